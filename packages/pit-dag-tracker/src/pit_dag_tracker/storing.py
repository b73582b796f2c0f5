"""Takes outputs to the Artifact Store in threads, so that the event loop goes on meanwhile."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from symphony_sdk.errors import ErrorPayload, SymphonyError

from pit_dag_tracker.entries import Stored
from pit_dag_tracker.spill import Spill


class Storing:
    """The outputs of one run that are on their way to the Artifact Store.

    Args:
        spill: Keeps them.
        done: Called on the event loop when one has ended, after whoever asked for it.
    """

    def __init__(self, spill: Spill, done: Callable[[], None]) -> None:
        self._spill = spill
        self._done = done
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._tasks

    def keep(
        self,
        node: str,
        outputs: dict[str, bytes],
        sources: Sequence[str],
        kept: Callable[[Mapping[str, Stored]], None],
        failed: Callable[[ErrorPayload], None],
    ) -> None:
        """Store the large ones among the outputs of a node, and what the artifacts among them were made from.

        Args:
            node: Id of the node.
            outputs: Encoded values by port name.
            sources: Ids of the artifacts that it was given.
            kept: Called on the event loop with what the log is to hold.
            failed: Called on the event loop where they cannot be stored.
        """
        self._tasks.add(
            asyncio.get_running_loop().create_task(self._keep(node, outputs, sources, kept, failed))
        )

    async def _keep(
        self,
        node: str,
        outputs: dict[str, bytes],
        sources: Sequence[str],
        kept: Callable[[Mapping[str, Stored]], None],
        failed: Callable[[ErrorPayload], None],
    ) -> None:
        try:
            stored = await asyncio.to_thread(self._spill.keep, node, outputs, sources)
        except SymphonyError as error:
            failed(error.payload())
        else:
            kept(stored)
        finally:
            task = asyncio.current_task()
            self._tasks = {one for one in self._tasks if one is not task}
            self._done()

"""The executor `local`: runs ready nodes in the extension workers of this machine."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from symphony_sdk.ports import ExtensionPort, NodeCall, NodeEvent, Resources

OnEvent = Callable[[NodeEvent], None]

_CALLS_PER_CORE = 4


class LocalExecutor:
    """Runs calls in the workers of this machine; adapter of `ExecutorPort`.

    More calls than cores are under way at once, so that a worker finds the next one when it ends one. Each
    extension has processes of its own, so that one with a long queue keeps no other waiting.

    Args:
        extensions: Where the calls go.
        cores: Cores to keep busy.
        custom: What else the machine has, by name, such as `{"licence": 1}`.
    """

    name = "local"

    def __init__(
        self,
        extensions: ExtensionPort,
        cores: int = os.cpu_count() or 1,
        custom: Mapping[str, float] | None = None,
    ) -> None:
        self.slots = cores * _CALLS_PER_CORE
        self._custom = dict(custom or {})
        self._extensions = extensions
        self._cores = cores
        self._runs: set[str] = set()

    async def start(self) -> None:
        """Nothing is to be prepared: workers start with their first call."""

    @cached_property
    def capacity(self) -> Resources:
        """The cores, memory and devices of this machine, and what its user says that it has besides."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        devices = len(list(Path("/dev").glob("nvidia[0-9]*")))
        return Resources(self._cores, memory, devices, self._custom)

    def can_place(self, resources: Resources) -> bool:
        """Whether this machine has as many cores, as much memory and as many devices at all, and all else.

        Args:
            resources: What a call needs.
        """
        has = self.capacity
        return (
            resources.cpu <= has.cpu
            and resources.memory <= has.memory
            and resources.gpu <= has.gpu
            and all(amount <= has.custom.get(name, 0.0) for name, amount in resources.custom.items())
        )

    def chains(self, first: str, then: str) -> bool:
        """Whether both operations are of one extension, and run in the same processes or threads.

        Args:
            first: Id of the operation of the one call.
            then: Id of the operation of the one after it.
        """
        return self._extensions.chains(first, then)

    def submit(self, batch: Sequence[NodeCall], on_event: OnEvent) -> None:
        """Run calls.

        Args:
            batch: Calls that are ready now.
            on_event: Takes what happens to them, on the event loop.
        """
        self._runs.update({call.run for call in batch})
        self._extensions.submit(batch, on_event)

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None:
        """Stop calls; each still gets its final event, `failed` with SYM-R003.

        A worker that does not end a cancelled call is killed after a grace, with `force` at once; what else it
        worked on is `lost` then.

        Args:
            run: Id of the run.
            node: Only the calls of this node; all of the run where it is empty.
            item: Only the call of this item of the node; those of all where it is -1.
            force: Kill the processes that work on them.
        """
        self._extensions.cancel(run, node, item=item, force=force)

    async def stop(self) -> None:
        """Cancel what runs."""
        for run in self._runs:
            self._extensions.cancel(run)
        self._runs.clear()
        await asyncio.sleep(0)  # the final events come in this turn of the event loop

"""An executor that runs Python functions on the event loop."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symphony_sdk.errors import Cancelled, foreign_error
from symphony_sdk.ports import NodeCall, NodeEvent, Resources
from symphony_sdk.values import decode, encode


class FakeExecutor:
    """Fake of ExecutorPort.

    Args:
        operations: Functions by the id of the operation; each takes its inputs by name and returns its
            outputs by name. A coroutine function is awaited.
        slots: How many calls it says that it can run at once.
    """

    name = "fake"

    def __init__(self, operations: Mapping[str, Callable[..., Any]], *, slots: int = 4) -> None:
        self.slots = slots
        self.calls: list[NodeCall] = []
        self._operations = dict(operations)
        self._running: dict[asyncio.Task[None], NodeCall] = {}

    @property
    def capacity(self) -> Resources:
        """A core for each slot."""
        return Resources(cpu=self.slots)

    async def start(self) -> None:
        """It is always ready."""

    def can_place(self, resources: Resources) -> bool:
        """Whether no more than its slots are asked for."""
        return resources.cpu <= self.slots

    def chains(self, first: str, then: str) -> bool:
        """No operation follows another one in the same place."""
        return False

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        """Run each call as a task; a link of a chain is given back."""
        for call in batch:
            self.calls.append(call)
            if call.takes is not None:
                on_event(NodeEvent(call, "returned"))
                continue
            task = asyncio.get_running_loop().create_task(self._run(call, on_event))
            self._running[task] = call
            task.add_done_callback(lambda done: self._running.pop(done, None))

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None:
        """Cancel the tasks of a run."""
        for task, call in list(self._running.items()):
            if call.run == run and node in ("", call.node) and item in (-1, call.item):
                task.cancel()

    async def stop(self) -> None:
        """Cancel everything."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, call: NodeCall, on_event: Callable[[NodeEvent], None]) -> None:
        on_event(NodeEvent(call, "started"))
        try:
            result = self._operations[call.operation](
                **{port: decode(value) for port, value in call.inputs.items()}
            )
            if asyncio.iscoroutine(result):
                result = await result
            outputs = {port: encode(value) for port, value in result.items()}
        except asyncio.CancelledError:
            error = Cancelled(f"node {call.node!r} was cancelled").payload()
            on_event(NodeEvent(call, "failed", error=error))
        except Exception as error:  # noqa: BLE001 - the function is a test's
            on_event(
                NodeEvent(call, "failed", error=foreign_error(error, "the test").payload(), retryable=True)
            )
        else:
            on_event(NodeEvent(call, "completed", outputs=outputs))

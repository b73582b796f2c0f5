"""Extensions whose code runs in the test's own process."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import Cancelled, ExtensionError, foreign_error
from symphony_sdk.extension import Instrument, Operator
from symphony_sdk.messages import OperationResult, Progress
from symphony_sdk.ports import ExtensionHealth, ExtensionInfo, NodeCall, NodeEvent
from symphony_sdk.testing.context import recording_context


class FakeExtensions:
    """Fake of ExtensionPort: one extension with the operations that a test gives it.

    Args:
        operations: Operators and instruments; values go through them encoded, as in a worker.
        extension: Id of the extension.
    """

    def __init__(
        self, *operations: "Operator[..., Any] | Instrument", extension: str = "test.extension"
    ) -> None:
        self._extension = extension
        self._operations = {operation.spec.id: operation for operation in operations}
        self._loaded: set[str] = set()
        self._tasks: dict[asyncio.Task[OperationResult], NodeCall] = {}
        self.active = False

    async def extensions(self) -> Sequence[ExtensionInfo]:
        """The one extension."""
        return [
            ExtensionInfo(
                self._extension,
                "0",
                "operator",
                "active" if self.active else "resolved",
                operations=tuple((await self.operations()).values()),
            )
        ]

    async def operations(self) -> Mapping[str, OperationSpec]:
        """The operations that it was made with."""
        return {id: operation.spec for id, operation in self._operations.items()}

    async def deployment(self) -> bytes:
        """Nothing: its operations exist in this process alone."""
        return b""

    async def activate(self, extension: str) -> None:
        """Remember that it is active."""
        self._check(extension)
        self.active = True

    async def deactivate(self, extension: str) -> None:
        """Unload its instruments."""
        self._check(extension)
        self.active = False
        for id in self._loaded:
            operation = self._operations[id]
            if isinstance(operation, Instrument):
                operation.unload()
        self._loaded.clear()

    async def reload(self, extension: str) -> ExtensionInfo:
        """Unload its instruments, so that they are loaded anew."""
        active = self.active
        await self.deactivate(extension)
        self.active = active
        return (await self.extensions())[0]

    async def call(
        self, call: NodeCall, on_progress: Callable[[Progress], None] | None = None
    ) -> OperationResult:
        """Run an operation, a plain function on a thread."""
        operation = self._operations.get(call.operation)
        if operation is None:
            raise ExtensionError(
                f"no extension brings the operation {call.operation!r}",
                code="SYM-E013",
                hint=f"There are {', '.join(self._operations) or 'none'}.",
            )
        self.active = True
        context = recording_context(
            run=call.run, node=call.node, attempt=call.attempt, item=call.item, on_progress=on_progress
        )
        arguments = operation.signature.decode(
            {port: msgspec.Raw(value) for port, value in call.inputs.items()}
        )
        try:
            function: Callable[..., Any]
            if isinstance(operation, Instrument):
                if call.operation not in self._loaded:
                    operation.load(context)
                    self._loaded.add(call.operation)
                function = operation.infer
            else:
                function = operation.function
            if inspect.iscoroutinefunction(function):
                result = await function(context, **arguments)
            else:
                result = await asyncio.to_thread(function, context, **arguments)
        except Exception as error:
            raise foreign_error(error, self._extension) from error
        return OperationResult(operation.signature.encode(result))

    def chains(self, first: str, then: str) -> bool:
        """No operation follows another one in the same place."""
        return False

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        """Run each call in a task of its own; a link of a chain is given back."""
        for call in batch:
            if call.takes is not None:
                on_event(NodeEvent(call, "returned"))
                continue
            task = asyncio.get_running_loop().create_task(self.call(call))
            self._tasks[task] = call
            task.add_done_callback(lambda task: self._ended(task, on_event))
            on_event(NodeEvent(call, "started"))

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None:
        """Cancel the tasks of these calls; code on a thread goes on."""
        for task, call in self._tasks.items():
            if call.run == run and node in ("", call.node) and item in (-1, call.item):
                task.cancel()

    def _ended(self, task: "asyncio.Task[OperationResult]", on_event: Callable[[NodeEvent], None]) -> None:
        call = self._tasks.pop(task)
        if task.cancelled():
            error: BaseException | None = Cancelled(f"the call of {call.operation!r} was cancelled")
        else:
            error = task.exception()
        if error is not None:
            payload = foreign_error(error, self._extension).payload()
            on_event(NodeEvent(call, "failed", error=payload))
            return
        result = task.result()
        outputs = {name: bytes(value) for name, value in result.outputs.items()}
        on_event(NodeEvent(call, "completed", outputs=outputs, seconds=result.seconds))

    async def health(self, extension: str) -> ExtensionHealth:
        """Healthy while it is active."""
        self._check(extension)
        return ExtensionHealth(extension, alive=self.active, answered=0.0 if self.active else None)

    def _check(self, extension: str) -> None:
        if extension != self._extension:
            raise ExtensionError(
                f"there is no extension {extension!r}", hint=f"There is only {self._extension!r}."
            )

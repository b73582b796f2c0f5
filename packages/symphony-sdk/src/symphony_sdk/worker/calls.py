"""Runs the operations of one extension: decodes what they take, contains what they raise, encodes what they give."""

import inspect
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from symphony_sdk.errors import ExtensionError, SymphonyError, foreign_error
from symphony_sdk.extension import Context, Instrument, Operator
from symphony_sdk.loading import Contributions
from symphony_sdk.messages import CHAIN_BYTES, CHAIN_SECONDS, CallOperation, OperationResult
from symphony_sdk.worker.coroutines import Coroutines
from symphony_sdk.worker.peak_memory import PeakMemory, Span

if TYPE_CHECKING:
    import asyncio

Answer = OperationResult | SymphonyError | None
"""How a call ended; None for a link of a chain that was given back: it has not begun, and will not."""


class RunningCall:
    """One call, from when it comes in until it is answered.

    Args:
        message: What to run.
        on_progress: Takes the fraction done and a text.
        on_end: Takes how it ended, once, on the thread where it did.
        number: Its number on the connection; 0 where it has none.

    Attributes:
        cancelled: Set when it is to end soon.
        inputs: What it is given, encoded.
        then: The link after it in its chain.
    """

    __slots__ = (
        "_stop",
        "_turn",
        "cancelled",
        "inputs",
        "message",
        "number",
        "on_end",
        "on_progress",
        "then",
    )

    def __init__(
        self,
        message: CallOperation,
        on_progress: Callable[[float, str], None],
        on_end: Callable[[Answer], None],
        number: int = 0,
    ) -> None:
        self.message = message
        self.number = number
        self.on_progress = on_progress
        self.on_end = on_end
        self.cancelled = threading.Event()
        self.inputs = message.inputs
        self.then: RunningCall | None = None
        self._stop: Callable[[], object] | None = None
        # Whoever gets the turn of a link decides what becomes of it: it runs, or it is given back.
        self._turn = None if message.takes is None else threading.Lock()

    def follow(self, result: OperationResult) -> bool:
        """Whether it is its turn, after the call that it follows has ended well; it has what it needs of that then.

        Args:
            result: What that call gave.
        """
        takes, outputs = self.message.takes, result.outputs
        if takes is None or self._turn is None or not all(map(_is_passed_on, outputs.values())):
            return False
        if not (outputs.keys() >= set(takes.values()) and self._turn.acquire(blocking=False)):
            return False
        self.inputs = self.inputs | {port: outputs[source] for port, source in takes.items()}
        return True

    def give_back(self) -> None:
        """Let it not begin where it has not, nor those after it; may be called from any thread."""
        link: RunningCall | None = self
        while link is not None:
            if link._turn is not None and link._turn.acquire(blocking=False):
                link.on_end(None)
            link = link.then

    def cancel(self) -> None:
        """Ask it to end, or not to begin, and those after it not to begin; may be called from any thread."""
        self.cancelled.set()
        self.give_back()
        if self._stop is not None:
            self._stop()

    def stopped_by(self, stop: Callable[[], object]) -> None:
        """Say how it is stopped besides by its event.

        Args:
            stop: Stops it; may be called from any thread.
        """
        self._stop = stop
        if self.cancelled.is_set():
            stop()


class OperationCalls:
    """The operations of one extension, ready to be called.

    Args:
        owner: Id of the extension.
        contributions: What it contributes.
        context: Makes the context of a call.
        coroutines: Where coroutines run.
        memory: Measures what a call needs; None where it cannot be told from others.
    """

    def __init__(
        self,
        owner: str,
        contributions: Contributions,
        context: Callable[[RunningCall], Context],
        coroutines: Coroutines,
        memory: PeakMemory | None = None,
    ) -> None:
        self._owner = owner
        self._operations = contributions.operations
        self._context = context
        self._coroutines = coroutines
        self._memory = memory
        self._loaded: dict[str, Instrument] = {}
        self._locks = {id: threading.Lock() for id in self._operations}

    def run(self, call: RunningCall) -> None:
        """Run a call and the links after it, for a moment; one that awaits goes on after this has returned.

        Args:
            call: The call; each is told how it ended, and nothing is raised here.
        """
        until = 0.0 if call.then is None else time.perf_counter() + CHAIN_SECONDS
        link: RunningCall | None = call
        while link is not None:
            link = self.run_one(link, until)

    def run_one(self, call: RunningCall, until: float) -> RunningCall | None:
        """Run a call; the link after it where that is to run now, or None: all others have been given back.

        Args:
            call: The call; it is told how it ended, and nothing is raised here.
            until: When its chain is to give the rest back, as `perf_counter` tells the time.
        """
        try:
            operation = self._operation(call.message.operation)
            arguments = operation.signature.decode(call.inputs)
            context = self._context(call)
            function = self._function(operation, context)
            context.check_cancelled()
        except BaseException as error:  # noqa: BLE001 - foreign code raised it, SystemExit included
            return _answered(call, foreign_error(error, self._owner), 0.0)
        span = None if self._memory is None else self._memory.begin()
        began = time.perf_counter()
        try:
            given = function(context, **arguments)
        except BaseException as error:  # noqa: BLE001 - foreign code raised it, SystemExit included
            if self._memory is not None and span is not None:
                self._memory.end(span)
            return _answered(call, foreign_error(error, self._owner), 0.0)
        if not inspect.iscoroutine(given):
            return self._end(call, operation, context, began, span, lambda: given, until)
        call.give_back()  # the links after it would have to wait, and keep others waiting

        def ended(task: "asyncio.Task[Any]") -> None:
            self._end(call, operation, context, began, span, task.result, 0.0)

        call.stopped_by(self._coroutines.start(call, given, ended))
        return None

    def unload(self, failed: Callable[[str, BaseException], None]) -> None:
        """Unload the instruments that are loaded.

        Args:
            failed: Takes the id of an instrument and what its `unload` raised; the others are unloaded all the same.
        """
        while self._loaded:
            id, instrument = self._loaded.popitem()
            try:
                instrument.unload()
            except Exception as error:  # noqa: BLE001 - foreign code; the caller tells of it
                failed(id, error)

    def _end(
        self,
        call: RunningCall,
        operation: "Operator[..., Any] | Instrument",
        context: Context,
        began: float,
        span: Span | None,
        result: Callable[[], Any],
        until: float,
    ) -> RunningCall | None:
        seconds = time.perf_counter() - began
        memory = 0 if self._memory is None or span is None else self._memory.end(span)
        try:
            given = result()
            context.check_cancelled()
            answer: Answer = OperationResult(operation.signature.encode(given), seconds, memory)
        except BaseException as error:  # noqa: BLE001 - foreign code raised it, SystemExit included
            answer = foreign_error(error, self._owner)
        return _answered(call, answer, until)

    def _operation(self, id: str) -> "Operator[..., Any] | Instrument":
        operation = self._operations.get(id)
        if operation is None:
            raise ExtensionError(
                f"{self._owner!r} has no operation {id!r}",
                code="SYM-E013",
                hint=f"It has {', '.join(sorted(self._operations)) or 'none'}.",
            )
        return operation

    def _function(self, operation: "Operator[..., Any] | Instrument", context: Context) -> Callable[..., Any]:
        if not isinstance(operation, Instrument):
            return operation.function
        if operation.id not in self._loaded:
            with self._locks[operation.id]:
                if operation.id not in self._loaded:
                    operation.load(context)
                    self._loaded[operation.id] = operation
        return operation.infer


def _answered(call: RunningCall, answer: Answer, until: float) -> RunningCall | None:
    """Tell how a call ended; the link after it where that is to run now. What is given back is told first."""
    then = call.then
    if then is not None:
        in_time = time.perf_counter() < until
        if not (in_time and isinstance(answer, OperationResult) and then.follow(answer)):
            then.give_back()
            then = None
    call.on_end(answer)
    return then


def _is_passed_on(value: msgspec.Raw) -> bool:
    return memoryview(value).nbytes <= CHAIN_BYTES

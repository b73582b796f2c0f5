"""One call on the host's side, from when it is submitted until its final event."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import Cancelled, ErrorPayload, SymphonyError
from symphony_sdk.messages import CallOperation, OperationResult, Progress
from symphony_sdk.ports import NodeCall, NodeEvent

OnEvent = Callable[[NodeEvent], None]

PROGRESS_INTERVAL = 0.05
"""Seconds between two reports of the progress of one call; what comes faster than anyone can see is dropped."""

_WORTH_A_RETRY = ("SYM-E014", "SYM-T003", "SYM-T004")
_OF_A_MODEL = "SYM-E045"


class Call:
    """A call and the one who waits for it; it has exactly one final event.

    Where it ends otherwise than well, the links after it in its chain are given back with that.

    Args:
        request: The call.
        on_event: Takes what happens to it.
        callers: Ids of the extensions whose calls wait for it, the first of them that of a node; none wait for the
            call of a node itself.

    Attributes:
        operation: The operation, once it is known.
        cost: Seconds that it is expected to take, once it was handed to a process.
        due: Whether it may end well: it follows none, or the one that it follows has ended well.
        ended: Whether its final event was given, or is about to be.
        fraction: How far it said that it is.
        then: The link after it in its chain; None where there is none.
        timer: Ends it when it is too late; None without a bound.
        traceparent: W3C trace context that it was sent in.
    """

    __slots__ = (
        "_told",
        "_waits_in",
        "callers",
        "cost",
        "due",
        "ended",
        "fraction",
        "on_event",
        "operation",
        "request",
        "then",
        "timer",
        "traceparent",
    )

    operation: OperationSpec

    def __init__(self, request: NodeCall, on_event: OnEvent, callers: tuple[str, ...] = ()) -> None:
        self.request = request
        self.on_event = on_event
        self.callers = callers
        self.cost = 0.0
        self.due = request.takes is None
        self.ended = False
        self.fraction = 0.0
        self.then: Call | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.traceparent = ""
        self._told = 0.0
        self._waits_in: set[asyncio.Task[object]] | None = None

    @property
    def level(self) -> int:
        """How many calls wait for it."""
        return len(self.callers)

    def remaining(self, now: float) -> float | None:
        """Seconds that it still has; None without a bound.

        Args:
            now: Seconds of the event loop's clock.
        """
        return None if self.timer is None else max(self.timer.when() - now, 0.0)

    @contextmanager
    def waiting(self) -> "Iterator[None]":
        """Within it, the present task does something that it waits for; the task is cancelled when it ends."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        if self._waits_in is None:
            self._waits_in = set()
        self._waits_in.add(task)
        try:
            yield
        finally:
            self._waits_in.discard(task)

    def links(self) -> "Iterator[Call]":
        """It and those after it in its chain, up to the first that has ended."""
        link: Call | None = self
        while link is not None and not link.ended:
            yield link
            link = link.then

    def message(self) -> CallOperation:
        """What a worker is sent."""
        request = self.request
        return CallOperation(
            request.operation,
            {name: msgspec.Raw(value) for name, value in request.inputs.items()},
            request.run,
            request.node,
            request.attempt,
            request.item,
            request.takes,
            len(self.callers),
        )

    def start(self) -> None:
        """It was handed to where it runs."""
        if not self.ended:
            self._tell(NodeEvent(self.request, "started"))

    def progress(self, progress: Progress, now: float) -> None:
        """It says how far it is; the first of what comes too fast is passed on.

        Args:
            progress: What it says.
            now: Seconds that never go back.
        """
        self.fraction = progress.fraction
        if not self.ended and now - self._told >= PROGRESS_INTERVAL:
            self._told = now
            self._tell(NodeEvent(self.request, "progressed", progress.fraction, progress.text))

    def complete(self, result: OperationResult, place: str, fingerprint: str = "") -> None:
        """It ended well, and the link after it has begun.

        Args:
            result: What it gave.
            place: Where it ran.
            fingerprint: That of its extension as it ran.
        """
        outputs = {name: bytes(value) for name, value in result.outputs.items()}
        self._end(
            NodeEvent(
                self.request,
                "completed",
                outputs=outputs,
                seconds=result.seconds,
                memory=result.memory,
                place=place,
                fingerprint=fingerprint,
            )
        )
        if self.then is not None:
            self.then.due = True
            self.then.start()

    def fail(self, error: ErrorPayload, place: str = "") -> None:
        """It failed; another attempt may help where its code or its process did, and it may be done twice.

        Args:
            error: Why.
            place: Where it ran.
        """
        code = str(error.details.get("code", "")) if error.code == _OF_A_MODEL else error.code
        own = code in _WORTH_A_RETRY or not code.startswith("SYM-")
        self._end(
            NodeEvent(
                self.request,
                "failed",
                error=error,
                retryable=own and self.operation.idempotent,
                place=place,
            )
        )

    def refuse(self, error: SymphonyError) -> None:
        """It cannot run at all; told in another turn of the event loop, as whoever asked goes on first.

        Args:
            error: Why.
        """
        self._end_soon(NodeEvent(self.request, "failed", error=error.payload()))

    def cancel(self, place: str = "") -> None:
        """It is not wanted any more; told in another turn of the event loop.

        Args:
            place: Where it runs.
        """
        request = self.request
        error = Cancelled(f"the call of {request.operation!r} for node {request.node!r} was cancelled")
        self._end_soon(NodeEvent(request, "failed", error=error.payload(), place=place))

    def lose(self, error: ErrorPayload, place: str) -> None:
        """Its process was killed because of another call.

        Args:
            error: What became of the process.
            place: Where it ran.
        """
        self._end(
            NodeEvent(self.request, "lost", error=error, retryable=self.operation.idempotent, place=place)
        )

    def give_back(self) -> None:
        """It is a link that has not begun, and will not here."""
        self._end(NodeEvent(self.request, "returned"))

    def _end_soon(self, event: NodeEvent) -> None:
        for call, last in self._ending(event):
            asyncio.get_running_loop().call_soon(call._tell, last)

    def _end(self, event: NodeEvent) -> None:
        for call, last in self._ending(event):
            call._tell(last)

    def _ending(self, event: NodeEvent) -> "list[tuple[Call, NodeEvent]]":
        """What ends with an event, and its final events: it, and the links after it if it did not end well."""
        if self.ended:
            return []
        ending = [(self, event)]
        if self.then is not None and event.kind != "completed":
            error = event.error if event.kind == "lost" else None
            ending += [(link, NodeEvent(link.request, "returned", error=error)) for link in self.then.links()]
        for call, _ in ending:
            call.ended = True
            if call.timer is not None:
                call.timer.cancel()
            for task in call._waits_in or ():
                task.cancel()
        return ending

    def _tell(self, event: NodeEvent) -> None:
        try:
            self.on_event(event)
        except Exception as error:  # noqa: BLE001 - whoever waits is foreign here: the other calls get their events
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"whoever waits for {self.request.idempotency_key} raised", "exception": error}
            )

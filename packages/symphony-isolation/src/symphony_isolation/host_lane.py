"""The calls of one extension that runs in the host: on the event loop where they are short or await, else on threads.

Nothing contains such an extension, and nothing can kill what it does: a call that is stopped ends for the one who
waits, and its code when it looks.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from functools import partial
from types import coroutine as generator_coroutine
from typing import Any, Final

from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import DeadlineExceeded
from symphony_sdk.extension import Context, Instrument
from symphony_sdk.loading import Contributions
from symphony_sdk.messages import ExtensionLoaded, OperationResult, Progress
from symphony_sdk.ports import ExtensionHealth, ExtensionInfo
from symphony_sdk.worker import OperationCalls, Runner, RunningCall
from symphony_sdk.worker.calls import Answer
from symphony_sdk.worker.coroutines import CoroutineThread

from symphony_isolation.call import Call

SLICE: Final = 0.001
"""Seconds that calls may keep the event loop at a time; an operation that keeps it longer goes to a thread."""

PLACE: Final = "host"
"""What the host is called in events."""


class HostLane:
    """Runs the operations of one extension in this process; adapter of `Lane`.

    Args:
        info: What is known of the extension, its operations among it.
        contributions: Its code.
        context: Makes the context of a call.
        log: Takes what it cannot say to anyone else.
    """

    def __init__(
        self,
        info: ExtensionInfo,
        contributions: Contributions,
        *,
        context: Callable[[RunningCall], Context],
        log: Callable[[str], None],
    ) -> None:
        self.info = info
        self.contributions = ExtensionLoaded(info.operations, info.addons, contributions.hooks)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._log = log
        self._code = contributions.operations
        self._running: dict[Call, RunningCall] = {}
        self._here: deque[Call] = deque()
        self._slicing = False
        self._long: set[str] = set()
        self._ended: deque[tuple[Call, Answer]] = deque()
        self._telling = False
        self._runner = Runner(self._flush)
        self._inline = OperationCalls(info.id, contributions, context, _OnLoop(self._loop, self._long.add))
        self._threaded = OperationCalls(info.id, contributions, context, CoroutineThread(self._flush))

    async def activate(self) -> None:
        """The host has loaded and activated it."""

    async def stop(self) -> None:
        """Cancel what runs, and unload its instruments."""
        self.cancel(lambda call: True)
        failed = partial(_say, self._log)
        await asyncio.to_thread(self._threaded.unload, failed)

    async def health(self) -> ExtensionHealth:
        """It is as well as the host."""
        return ExtensionHealth(self.info.id, alive=True, answered=0.0, calls=len(self._running))

    def chains(self, first: OperationSpec, then: OperationSpec) -> bool:
        """Whether both are plain functions that run on the event loop, or both on threads.

        Args:
            first: The operation of the one call.
            then: The operation of the one after it.
        """
        return first.chains and then.chains and self._is_inline(first) is self._is_inline(then)

    def submit(self, calls: Iterable[Call]) -> None:
        """Run calls, each with the links after it in its chain.

        Args:
            calls: Calls whose operation is known.
        """
        blocking = []
        for call in calls:
            running = self._begin(call)
            if self._is_inline(call.operation):
                self._here.append(call)
            else:
                blocking.append(partial(self._threaded.run, running))
                call.start()
        if blocking:
            self._runner.submit(blocking)
        self._slice_soon()

    def cancel(self, chosen: Callable[[Call], bool], *, force: bool = False) -> None:
        """End calls for those who wait, and ask their code to end.

        Args:
            chosen: Whether a call is meant.
            force: Changes nothing: the host cannot kill a part of itself.
        """
        for call in [call for call in self._running if chosen(call)]:
            call.cancel(PLACE)
            running = self._running.get(call)
            if running is not None:  # a link is given back with the one before it
                running.cancel()

    def _begin(self, call: Call) -> RunningCall:
        running = self._running[call] = RunningCall(
            call.message(), partial(self._progressed, call), partial(self._finished, call)
        )
        if call.request.timeout is not None:
            call.timer = self._loop.call_later(max(call.request.timeout, 0.0), self._too_late, call)
        if call.then is not None and not call.then.ended:
            running.then = self._begin(call.then)
        return running

    def _is_inline(self, operation: OperationSpec) -> bool:
        if operation.id in self._long or operation.kind == "instrument":
            return False
        code = self._code[operation.id]
        awaits = not isinstance(code, Instrument) and asyncio.iscoroutinefunction(code.function)
        return operation.short or awaits

    # -- on the event loop ----------------------------------------------------------------------------

    def _slice_soon(self) -> None:
        if self._here and not self._slicing:
            self._slicing = True
            self._loop.call_soon(self._slice)

    def _slice(self) -> None:
        """Run calls for a moment, then let others have their turn."""
        self._slicing = False
        began = now = time.perf_counter()
        while self._here and now - began < SLICE:
            call = self._here.popleft()
            if call.request.operation in self._long:
                self._runner.submit((partial(self._threaded.run, self._running[call]),))
                call.start()
                continue
            call.start()
            link: RunningCall | None = self._running[call]
            while link is not None:
                operation = link.message.operation
                link = self._inline.run_one(link, began + SLICE)
                before, now = now, time.perf_counter()
                if now - before > SLICE:
                    self._long.add(operation)
        self._slice_soon()

    def _finished(self, call: Call, answer: Answer) -> None:
        """A call has ended, here or on a thread."""
        self._ended.append((call, answer))
        if not self._running_on_loop():
            return
        self._tell()

    def _running_on_loop(self) -> bool:
        return threading.get_ident() == self._thread

    def _flush(self) -> None:
        """From a thread: have the event loop tell what has ended."""
        if self._ended and not self._telling:
            self._telling = True
            try:
                self._loop.call_soon_threadsafe(self._tell)
            except RuntimeError:
                self._ended.clear()  # the event loop is closed: nobody waits any more

    def _tell(self) -> None:
        self._telling = False
        while self._ended:
            call, answer = self._ended.popleft()
            del self._running[call]
            if isinstance(answer, OperationResult):
                call.complete(answer, PLACE)
            elif answer is None:
                call.give_back()
            else:
                payload = answer.payload()
                payload.details["extension"] = self.info.id
                call.fail(payload, PLACE)

    def _progressed(self, call: Call, fraction: float, text: str) -> None:
        progress = Progress(fraction, text)
        if self._running_on_loop():
            call.progress(progress, self._loop.time())
        else:
            self._loop.call_soon_threadsafe(lambda: call.progress(progress, self._loop.time()))

    def _too_late(self, call: Call) -> None:
        if not call.ended:
            request = call.request
            late = DeadlineExceeded(
                f"{request.operation!r} did not end within {request.timeout:g} s",
                hint="Give the node a longer timeout, or let the operation do less at once.",
                details={"extension": self.info.id},
            )
            call.fail(late.payload(), PLACE)
            self._running[call].cancel()


class _OnLoop:
    """Runs coroutines on the host's event loop and watches how long each step keeps it; adapter of `Coroutines`.

    Args:
        loop: The event loop.
        keeps_long: Takes the id of an operation whose step took longer than a slice.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, keeps_long: Callable[[str], None]) -> None:
        self._loop = loop
        self._keeps_long = keeps_long

    def start(
        self,
        call: RunningCall,
        coroutine: Coroutine[Any, Any, Any],
        ended: Callable[[asyncio.Task[Any]], None],
    ) -> Callable[[], object]:
        """Run a coroutine; see [Coroutines.start][symphony_sdk.worker.coroutines.Coroutines.start]."""
        too_long = partial(self._keeps_long, call.message.operation)
        task = self._loop.create_task(_watched(coroutine, too_long))
        task.add_done_callback(lambda task: coroutine.close())  # it may be cancelled before its first step
        task.add_done_callback(ended)
        return task.cancel


async def _watched(coroutine: Coroutine[Any, Any, Any], too_long: Callable[[], None]) -> Any:
    return await _steps(coroutine, too_long)


@generator_coroutine
def _steps(coroutine: Coroutine[Any, Any, Any], too_long: Callable[[], None]) -> Generator[Any, Any, Any]:
    """The steps of a coroutine, each timed."""
    step: Callable[[], Any] = partial(coroutine.send, None)
    while True:
        began = time.perf_counter()
        try:
            awaited = step()
        except StopIteration as end:
            return end.value
        finally:
            if time.perf_counter() - began > SLICE:
                too_long()
        try:
            value = yield awaited
        except BaseException as error:  # noqa: BLE001 - the coroutine decides what becomes of it
            step = partial(coroutine.throw, error)
        else:
            step = partial(coroutine.send, value)


def _say(log: Callable[[str], None], id: str, error: BaseException) -> None:
    log(f"{id} did not unload: {error!r}")

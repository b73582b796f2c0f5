"""The bridge between threads and an event loop: calls go over as they are, in one process, without encoding."""

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Final, TypeVar, TypeVarTuple, overload

from symphony_sdk.errors import DeadlineExceeded, TransportError

from symphony_ipc.crossing import Crossing, begin
from symphony_ipc.facade import Facade

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

LOOK: Final = 0.1
"""Seconds after which a waiting thread looks whether the event loop runs; one that is stopped tells nobody."""

MAX_THREADS: Final = 10_000
"""More than are ever busy at once: where they wait for each other, a bound that is reached is a deadlock."""


class Bridge:
    """Carries calls between threads and one event loop; adapter of `BridgePort`.

    Values, errors and context variables are the very objects of the other side. `close` is called, and
    `in_thread` awaited, on that event loop; the rest is for every other thread.

    Attributes:
        closed: Whether it carries nothing any more.
        lanes: Tasks that make calls of one iteration or one context each.
    """

    def __init__(self) -> None:
        self.closed = False
        self.lanes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._under_way: set[Crossing] = set()
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="symphony-bridge")

    def here(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """From any thread, also the event loop's own: call a plain function on the event loop.

        Args:
            function: What to call.
            args: Its arguments.

        Raises:
            BaseException: As for `call`, but for SYM-T060.
        """
        if asyncio._get_running_loop() is self._loop:
            return function(*args)
        crossing = Crossing(function, args)
        result: Result = self.carry(crossing, crossing.run)
        return result

    @overload
    def call(
        self,
        function: Callable[[*Arguments], Coroutine[Any, Any, Result]],
        *args: *Arguments,
        timeout: float | None = None,
    ) -> Result: ...

    @overload
    def call(
        self,
        function: Callable[[*Arguments], Result],
        *args: *Arguments,
        timeout: float | None = None,
    ) -> Result: ...

    def call(
        self,
        function: Callable[[*Arguments], Any],
        *args: *Arguments,
        timeout: float | None = None,
    ) -> Any:
        """From a thread: call a function or a coroutine function on the event loop, and wait for its result.

        Args:
            function: What to call.
            args: Its arguments.
            timeout: Seconds; None for no bound. A coroutine that is late is cancelled.

        Raises:
            BaseException: The very exception that it raised, with the frames of both sides.
            DeadlineExceeded: `timeout` passed.
            TransportError: SYM-T060, this thread is the event loop's own; SYM-T061, the event loop does not run or
                ended; SYM-T062, the work was cancelled there.
        """
        crossing = Crossing(function, args)
        return self.carry(crossing, crossing.run, timeout)

    def batch(self, calls: Sequence[Callable[[], Any]], *, timeout: float | None = None) -> list[Any]:
        """From a thread: make many calls with one hop; their results in order.

        All are begun in order, and the coroutines among them run at once.

        Args:
            calls: Functions and coroutine functions without arguments.
            timeout: Seconds for all of them; None for no bound.

        Raises:
            BaseException: What the first of them raised; those under way are cancelled, the rest is not begun.
            SymphonyError: As for `call`.
        """
        crossing = Crossing(_make_all, (tuple(calls),))
        results: list[Any] = self.carry(crossing, crossing.run, timeout)
        return results

    def facade(self, port: Any, *, on_loop: bool = False) -> Any:
        """A port as code on threads uses it: with its methods, none of which is a coroutine.

        Coroutine methods wait for their result. Async iterators become iterators, async context managers
        become context managers. Plain methods are called where they are, without a hop.

        Args:
            port: The port.
            on_loop: Whether plain methods belong to the event loop too, as those of the bus do.
        """
        return Facade(self, port, on_loop=on_loop)

    async def in_thread(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """From the event loop: call a function on a thread, where it may wait and may use this bridge.

        Where the awaiting task is cancelled, so is what the function waits for by way of the bridge, or the next
        thing that it waits for; after that it may clean up.

        Args:
            function: What to call.
            args: Its arguments.

        Raises:
            BaseException: What it raised.
            TransportError: SYM-T061, the bridge is closed; SYM-T063, this is another event loop.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise TransportError(
                f"{_name(function)} was to be called on a thread of another event loop's bridge",
                code="SYM-T063",
                hint="Each event loop has a bridge of its own: use that of the one that you are on.",
            )
        if self.closed:
            raise _ended(_name(function))
        job = _Job(partial(copy_context().run, function, *args))
        try:
            await self._loop.run_in_executor(self._threads, job.run)
        except asyncio.CancelledError:
            job.cancel()
            raise
        if job.error is not None:
            try:
                raise job.error
            finally:
                job.error = None  # or the error and this frame keep each other alive
        result: Result = job.result
        return result

    def close(self) -> None:
        """Fail what is under way, and carry nothing any more; threads that are busy end with their function."""
        self.closed = True
        for crossing in tuple(self._under_way):
            crossing.abandon(_ended(_name(crossing.function)))
        for lane in tuple(self.lanes):
            lane.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- for facades ---------------------------------------------------------------------------------

    def carry(self, crossing: Crossing, start: Callable[[], None], timeout: float | None = None) -> Any:
        """From a thread: have a call made, and wait for it.

        Args:
            crossing: The call.
            start: Starts it, on the event loop.
            timeout: Seconds; None for no bound.

        Raises:
            BaseException: As for `call`.
        """
        if asyncio._get_running_loop() is self._loop:
            raise TransportError(
                f"{_name(crossing.function)} was called over the bridge from the event loop's own thread, "
                "which would wait for itself for ever",
                code="SYM-T060",
                hint="Call or await it directly; or call your function with `await bridge.in_thread(...)`.",
            )
        job: _Job | None = getattr(_here, "job", None)
        if job is not None:
            job.abandon = partial(self.post, partial(crossing.abandon, asyncio.CancelledError()))
            if job.cancelled:
                job.cancelled, job.abandon = False, None
                raise _cancelled(crossing)
        under_way = self._under_way
        under_way.add(crossing)
        try:
            self._start(crossing, start)
            self._wait(crossing, timeout)
        except BaseException:
            crossing.given_up = True
            self.post(crossing.cancel)
            raise
        finally:
            under_way.discard(crossing)
            if job is not None:
                job.abandon = None
        if crossing.error is None:
            return crossing.result
        try:
            if isinstance(crossing.error, asyncio.CancelledError):
                if job is not None:
                    job.cancelled = False
                raise _cancelled(crossing) from crossing.error
            raise crossing.error
        finally:
            crossing.error = None  # or the error and this frame keep each other alive

    def post(self, function: Callable[[], None]) -> None:
        """From any thread: have a function called on the event loop; not at all where that is closed.

        Args:
            function: What to call.
        """
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _start(self, crossing: Crossing, start: Callable[[], None]) -> None:
        if self.closed or not self._loop.is_running():
            raise _ended(_name(crossing.function))
        try:
            self._loop.call_soon_threadsafe(start, context=copy_context())
        except RuntimeError as error:  # it has just been closed
            raise _ended(_name(crossing.function)) from error

    def _wait(self, crossing: Crossing, timeout: float | None) -> None:
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        look = LOOK if timeout is None else max(0.0, min(LOOK, timeout))
        while not crossing.wait(look):
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeadlineExceeded(
                    f"{_name(crossing.function)} was not done on its event loop within {timeout:g} s",
                    hint="It was cancelled. Allow more time, or see whether something blocks the event loop.",
                )
            if not self._loop.is_running():
                raise _ended(_name(crossing.function))
            look = min(LOOK, left)


class _Job:
    """A function that runs on a thread while the event loop waits for it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self.cancelled = False
        self.abandon: Callable[[], None] | None = None
        """Ends what it waits for by way of a bridge."""

    def run(self) -> None:
        """On the thread: call it, and keep what came of it; a future could not hold every exception."""
        _here.job = self
        try:
            self.result = self._function()
        except BaseException as error:  # noqa: BLE001 - the awaiting task raises it
            self.error = error
        finally:
            _here.job = None

    def cancel(self) -> None:
        """On the event loop: end what it waits for, or the next thing; once, so that it can clean up after itself."""
        self.cancelled = True
        if self.abandon is not None:
            self.abandon()


_here = threading.local()
"""The job of this thread, where it has one."""


def _make_all(calls: Sequence[Callable[[], Any]]) -> list[Any] | Coroutine[Any, Any, list[Any]]:
    results: list[Any] = []
    try:
        results.extend(call() for call in calls)
    except BaseException:
        for result in results:
            if isinstance(result, Coroutine):
                result.close()
        raise
    if any(isinstance(result, Awaitable) for result in results):
        return _awaited(results)
    return results


async def _awaited(results: list[Any]) -> list[Any]:
    tasks = {
        index: begin(result) if isinstance(result, Coroutine) else asyncio.ensure_future(result)
        for index, result in enumerate(results)
        if isinstance(result, Awaitable)
    }
    try:
        for index, result in zip(tasks, await asyncio.gather(*tasks.values()), strict=True):
            results[index] = result
    except BaseException:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        raise
    return results


def _name(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__qualname__", None) or repr(function)


def _ended(name: str) -> TransportError:
    return TransportError(
        f"{name} cannot be called over the bridge: its event loop has ended or does not run",
        code="SYM-T061",
        hint="Keep the event loop, and what owns the bridge, until the threads are done.",
    )


def _cancelled(crossing: Crossing) -> TransportError:
    return TransportError(
        f"{_name(crossing.function)} was cancelled on its event loop",
        code="SYM-T062",
        hint="The task that waits for this thread was cancelled, or the event loop is about to end.",
    )

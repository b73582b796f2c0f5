"""A port as code on threads uses it: blocking methods, iterators and context managers in place of async ones."""

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from symphony_ipc.crossing import Crossing

if TYPE_CHECKING:
    from symphony_ipc.bridge import Bridge

_END: Final = object()


class Facade:
    """A port, or what one of its methods gave, for code on threads; see `Bridge.facade`.

    Args:
        bridge: Carries the calls over.
        port: The port.
        on_loop: Whether plain methods belong to the event loop, too.
    """

    def __init__(self, bridge: "Bridge", port: Any, *, on_loop: bool) -> None:
        self._bridge = bridge
        self._port = port
        self._on_loop = on_loop
        self._lane: Lane | None = None

    def __repr__(self) -> str:
        return f"<blocking {self._port!r}>"

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if not callable(attribute):
            return attribute
        crosses = self._on_loop or inspect.iscoroutinefunction(attribute)

        def method(*args: Any, **kwargs: Any) -> Any:
            if crosses:
                return self._given(self._bridge.call(partial(attribute, *args, **kwargs)))
            return self._given(attribute(*args, **kwargs))

        self.__dict__[name] = method  # found without this detour from now on
        return method

    def __enter__(self) -> Any:
        lane = Lane(self._bridge)
        try:
            entered = lane.call(self._port.__aenter__)
        except BaseException:
            lane.close()
            raise
        self._lane = lane
        return self if entered is self._port else self._given(entered)

    def __exit__(self, *reason: object) -> bool:
        lane, self._lane = cast("Lane", self._lane), None
        try:
            return bool(lane.call(self._port.__aexit__, *reason))
        finally:
            lane.close()

    def __iter__(self) -> Iterator[Any]:
        return _iterate(self._bridge, self._port, self._lane)

    def _given(self, result: Any) -> Any:
        """What a method gave, for code on threads."""
        kind = type(result)
        if hasattr(kind, "__aenter__"):
            return Facade(self._bridge, result, on_loop=self._on_loop)
        if hasattr(kind, "__aiter__"):
            return _iterate(self._bridge, result, None)
        if isinstance(result, Awaitable):
            return self._given(self._bridge.call(lambda: result))
        return result


class Lane:
    """One task that makes calls one after the other.

    What an async generator or context manager begins in one of its steps, such as a timeout, a task group or a
    context variable, it ends in another, and all of these belong to one task.

    Args:
        bridge: Carries the calls over.

    Attributes:
        endings: Coroutine functions that the task calls before it ends; they raise nothing.
    """

    def __init__(self, bridge: "Bridge") -> None:
        self.endings: list[Callable[[], Awaitable[None]]] = []
        self._bridge = bridge
        self._task: asyncio.Task[None] | None = None
        self._calls: deque[Crossing | None] = deque()
        self._more: asyncio.Future[None] | None = None

    def call(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """From a thread: call a coroutine function in this task, and wait for its result.

        Args:
            function: What to call.
            args: Its arguments.

        Raises:
            BaseException: As for `Bridge.call`.
        """
        crossing = Crossing(function, args)
        return self._bridge.carry(crossing, partial(self._take, crossing))

    def close(self) -> None:
        """From any thread: end the task once it has made the calls that it was given."""
        self._bridge.post(self._end)

    # -- on the event loop ---------------------------------------------------------------------------

    def _take(self, crossing: Crossing) -> None:
        if crossing.given_up:
            return
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._left)
            self._bridge.lanes.add(self._task)
        if self._task.done():
            crossing.end(None, asyncio.CancelledError())
            return
        self._wake(crossing)

    def _end(self) -> None:
        if self._task is not None:
            self._wake(None)

    def _wake(self, crossing: Crossing | None) -> None:
        self._calls.append(crossing)
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def _run(self) -> None:
        try:
            while True:
                while self._calls:
                    crossing = self._calls.popleft()
                    if crossing is None:
                        return
                    await self._make(crossing)
                self._more = asyncio.get_running_loop().create_future()
                await self._more
        finally:
            for end in self.endings:
                await end()

    async def _make(self, crossing: Crossing) -> None:
        if crossing.given_up or self._task is None:
            return
        crossing.task = self._task
        try:
            await crossing.finish(_called(crossing))
        except asyncio.CancelledError:
            for _ in range(crossing.cancels):
                self._task.uncancel()
            if self._task.cancelling() or not crossing.cancels:
                raise
            # Only this call was to stop: the context is yet to be left.

    def _left(self, task: asyncio.Task[None]) -> None:
        self._bridge.lanes.discard(task)
        for crossing in self._calls:
            if crossing is not None:
                crossing.end(None, asyncio.CancelledError())


async def _called(crossing: Crossing) -> Any:
    return await crossing.function(*crossing.args)


def _iterate(bridge: "Bridge", source: Any, lane: Lane | None) -> Iterator[Any]:
    """The items of an async iterable, each fetched when it is asked for.

    Args:
        bridge: Carries the calls over.
        source: The async iterable.
        lane: The task of the context that it was entered in; None where there is none.
    """
    used = lane or Lane(bridge)
    iterator: Any = None

    async def step() -> Any:
        nonlocal iterator
        if iterator is None:
            iterator = aiter(source)
            if hasattr(iterator, "aclose"):
                used.endings.append(stop)
        return await anext(iterator, _END)

    async def stop() -> None:
        try:
            await iterator.aclose()
        except Exception as error:  # noqa: BLE001 - nobody waits for it: the loop is told
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"{source!r} failed while it was closed", "exception": error}
            )

    try:
        while (item := used.call(step)) is not _END:
            yield item
    finally:
        if lane is None:  # perhaps by the garbage collector, on any thread: nothing here may wait
            used.close()

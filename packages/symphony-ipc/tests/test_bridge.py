import asyncio
import gc
import signal
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_ipc.bridge import Bridge
from symphony_ipc.envelope import TRACEPARENT
from symphony_sdk.errors import BusError, DeadlineExceeded, TransportError
from symphony_sdk.ports import BridgePort

PLACE: ContextVar[str] = ContextVar("place", default="nowhere")
DEADLINE = 20


class Loop:
    """An event loop on a thread of its own, and a bridge to it."""

    def __init__(self) -> None:
        self.unhandled: list[dict[str, Any]] = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda loop, context: self.unhandled.append(context))
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.bridge: Bridge = asyncio.run_coroutine_threadsafe(self._bridge(), self.loop).result(DEADLINE)

    async def _bridge(self) -> Bridge:
        return Bridge()

    def stop(self) -> None:
        """Stop the loop and leave everything on it where it is."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(DEADLINE)

    def close(self) -> None:
        """Bring the loop to an end as `asyncio.run` does."""
        if self.loop.is_closed():
            return
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.bridge.close)
            self.stop()

        async def rest() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.loop.run_until_complete(rest())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Lets SIGINT interrupt, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def bridge(loop) -> BridgePort:
    return loop.bridge


@pytest.fixture(scope="module")
def shared():
    """The loop of hypothesis' examples."""
    loop = Loop()
    yield loop
    loop.close()


async def echo(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def hang(begun: threading.Event, ended: threading.Event) -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()


def in_thread(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """Call a function on a new thread; what is given back waits for its result."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function, *args)
    pool.shutdown(wait=False)
    return lambda: future.result(DEADLINE)


# -- from a thread to the event loop -----------------------------------------------------------------------


def test_functions_coroutines_and_futures_of_the_loop_give_their_result_to_a_thread(loop, bridge):
    def where() -> int:
        return threading.get_ident()

    async def where_async() -> int:
        return threading.get_ident()

    def future() -> asyncio.Future[str]:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, "later")
        return future

    assert bridge.call(where) == loop.thread.ident
    assert bridge.call(where_async) == loop.thread.ident
    assert bridge.call(future) == "later"
    assert bridge.call(divmod, 7, 2) == (3, 1)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
        lambda values: st.lists(values) | st.dictionaries(st.text(), values) | st.frozensets(st.integers()),
    )
)
@settings(max_examples=50, deadline=None)
def test_values_of_every_type_cross_as_the_very_objects(shared, value):
    assert shared.bridge.call(echo, value) is value
    assert shared.bridge.call(lambda: value) is value


@pytest.mark.parametrize("function", [fail, lambda error: (_ for _ in ()).throw(error)])
def test_a_thread_raises_the_very_exception_with_the_frames_of_both_sides(bridge, function):
    error = BusError("no such topic", code="SYM-T020", hint="another", details={"topic": "a.b"})

    def caller() -> None:
        bridge.call(lambda: next(function(error)) if function is not fail else function(error))

    with pytest.raises(BusError) as caught:
        caller()

    assert caught.value is error
    assert (error.hint, error.details) == ("another", {"topic": "a.b"})
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames.index("caller") < frames.index("fail" if function is fail else "<genexpr>")


def test_an_error_that_crossed_keeps_nothing_alive(bridge):
    class Held:
        pass

    def failing() -> "weakref.ref[Held]":
        held = Held()
        seen.append(weakref.ref(held))
        raise ValueError

    seen: list[weakref.ref[Held]] = []
    gc.disable()
    try:
        with pytest.raises(ValueError):
            bridge.call(failing)
        assert seen[0]() is None
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("kind", [lambda: sys.exit(3), lambda: fail(SystemExit(3))])
def test_an_exit_reaches_the_thread_and_ends_the_loop_as_it_does_from_any_callback(loop, bridge, kind):
    with pytest.raises(SystemExit):
        bridge.call(kind)
    loop.thread.join(DEADLINE)
    assert not loop.loop.is_running()


def test_context_variables_go_over_and_do_not_come_back(bridge):
    def sync() -> tuple[str, str]:
        found = (PLACE.get(), TRACEPARENT.get())
        PLACE.set("changed")
        return found

    async def suspended() -> tuple[str, str]:
        await asyncio.sleep(0)
        return sync()

    def thread() -> list[tuple[str, str]]:
        PLACE.set("thread")
        TRACEPARENT.set("00-trace-01")
        found = [bridge.call(sync), bridge.call(suspended), *bridge.batch([sync]), *bridge.batch([suspended])]
        assert PLACE.get() == "thread"
        return found

    assert copy_context().run(thread) == [("thread", "00-trace-01")] * 4
    assert bridge.call(sync) == ("nowhere", "")


def test_a_call_from_the_loops_own_thread_is_refused_and_leaves_the_loop_working(bridge):
    async def on_loop() -> list[str]:
        codes = []
        for blocking in (
            lambda: bridge.call(echo, 1),
            lambda: bridge.batch([lambda: 1]),
            lambda: bridge.facade(Port()).ask(1),
        ):
            with pytest.raises(TransportError, match="wait for itself") as caught:
                blocking()
            codes.append(caught.value.code)
            assert "in_thread" in caught.value.hint
        return codes

    assert bridge.call(on_loop) == ["SYM-T060"] * 3
    assert bridge.call(echo, "well") == "well"


def test_a_coroutine_that_is_late_is_cancelled(bridge):
    begun, ended = threading.Event(), threading.Event()
    with pytest.raises(DeadlineExceeded, match=r"hang was not done on its event loop within 0.01 s"):
        bridge.call(hang, begun, ended, timeout=0.01)
    bridge.call(echo, None)  # the cancellation came before it
    assert begun.is_set() == ended.is_set()


def test_a_coroutine_in_time_is_not_bothered_by_its_timeout(bridge):
    assert bridge.call(echo, 5, timeout=DEADLINE) == 5


def test_what_the_loop_had_no_time_to_begin_before_the_deadline_is_never_begun(loop, bridge):
    release, called = threading.Event(), []
    loop.loop.call_soon_threadsafe(release.wait, DEADLINE)
    with pytest.raises(DeadlineExceeded):
        bridge.call(called.append, 1, timeout=0.01)
    release.set()
    bridge.call(echo, None)
    assert called == []


def test_what_fails_after_it_was_given_up_is_told_to_the_loop(loop, bridge):
    async def stubborn() -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("cleaning up failed") from None

    with pytest.raises(KeyboardInterrupt):
        bridge.call(stubborn)
    while asyncio.run_coroutine_threadsafe(ready(), loop.loop).result(DEADLINE):
        pass
    assert [str(context["exception"]) for context in loop.unhandled] == ["cleaning up failed"]


async def ready() -> bool:
    """Whether the loop works on anything else."""
    await asyncio.sleep(0)
    return len(asyncio.all_tasks()) > 1


def test_an_interrupt_of_the_waiting_thread_cancels_the_coroutine(bridge):
    begun, ended = threading.Event(), threading.Event()

    async def interrupted() -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        await hang(begun, ended)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        bridge.call(interrupted)
    assert ended.wait(DEADLINE)
    assert bridge.call(echo, "well") == "well"


def test_a_task_that_is_cancelled_on_the_loop_says_so_to_its_thread(bridge):
    begun, ended = threading.Event(), threading.Event()
    waiting = in_thread(bridge.call, hang, begun, ended)
    assert begun.wait(DEADLINE)
    bridge.call(cancel_all)
    with pytest.raises(TransportError, match="hang was cancelled on its event loop") as caught:
        waiting()
    assert caught.value.code == "SYM-T062"


def test_a_task_that_is_cancelled_before_its_first_step_says_so_to_its_thread(bridge):
    def cancelled_at_once() -> Any:
        asyncio.get_running_loop().call_soon(cancel_all)
        return echo(1)

    with pytest.raises(TransportError) as caught:
        bridge.call(cancelled_at_once)
    assert caught.value.code == "SYM-T062"


def cancel_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


# -- the end of the loop -----------------------------------------------------------------------------------


def test_a_closed_loop_and_a_closed_bridge_refuse_calls_at_once(loop, bridge):
    loop.loop.call_soon_threadsafe(bridge.close)
    for _ in range(2):
        with pytest.raises(TransportError, match=r"echo cannot be called .* ended") as caught:
            bridge.call(echo, 1)
        assert caught.value.code == "SYM-T061"
        loop.close()


def test_a_loop_that_does_not_run_refuses_calls_at_once(loop, bridge):
    loop.stop()
    with pytest.raises(TransportError) as caught:
        bridge.call(echo, 1)
    assert caught.value.code == "SYM-T061"


def test_a_loop_that_is_stopped_lets_go_those_who_wait_and_begins_nothing_of_theirs_later(loop, bridge):
    begun, ended, later = threading.Event(), threading.Event(), []
    under_way = in_thread(bridge.call, hang, begun, ended)
    assert begun.wait(DEADLINE)
    blocked, release = threading.Event(), threading.Event()

    def stop() -> None:
        blocked.set()
        release.wait(DEADLINE)
        loop.loop.stop()

    loop.loop.call_soon_threadsafe(stop)
    assert blocked.wait(DEADLINE)
    never_begun = [in_thread(bridge.call, later.append, 1) for _ in range(3)]
    release.set()
    for waiting in (under_way, *never_begun):
        with pytest.raises(TransportError) as caught:
            waiting()
        assert caught.value.code == "SYM-T061"
    loop.close()
    assert ended.is_set()
    assert later == []


def test_closing_the_bridge_lets_go_all_who_wait_and_cancels_their_work(loop, bridge):
    events = [(threading.Event(), threading.Event()) for _ in range(8)]
    waiting = [in_thread(bridge.call, hang, *pair) for pair in events]
    assert all(begun.wait(DEADLINE) for begun, _ in events)
    loop.loop.call_soon_threadsafe(bridge.close)
    for each in waiting:
        with pytest.raises(TransportError) as caught:
            each()
        assert caught.value.code == "SYM-T061"
    assert all(ended.wait(DEADLINE) for _, ended in events)


def test_the_end_of_asyncio_run_lets_go_those_who_wait():
    begun, ended = threading.Event(), threading.Event()

    async def main() -> Callable[[], Any]:
        waiting = in_thread(Bridge().call, hang, begun, ended)
        await asyncio.to_thread(begun.wait, DEADLINE)
        return waiting

    waiting = asyncio.run(main())
    with pytest.raises(TransportError) as caught:
        waiting()
    assert caught.value.code in ("SYM-T061", "SYM-T062")
    assert ended.is_set()


@pytest.mark.parametrize("used", ["iterator", "context"])
def test_the_end_of_asyncio_run_does_not_wait_for_threads_in_a_context_or_an_iteration(used):
    begun, ended = threading.Event(), threading.Event()

    class Endless(Opened):
        async def __anext__(self) -> str:
            await hang(begun, ended)
            raise AssertionError

    async def endless() -> Any:
        await hang(begun, ended)
        yield

    def use(bridge: BridgePort) -> None:
        if used == "iterator":
            list(bridge.facade(endless).__call__())
        else:
            with bridge.facade(Endless(Port())) as opened:
                list(opened)

    async def main() -> Callable[[], Any]:
        waiting = in_thread(use, Bridge())
        await asyncio.to_thread(begun.wait, DEADLINE)
        return waiting

    waiting = asyncio.run(main())
    with pytest.raises(TransportError) as caught:
        waiting()
    assert caught.value.code in ("SYM-T061", "SYM-T062")
    assert ended.is_set()


def test_a_loop_that_ends_ends_the_context_of_a_thread_that_has_just_given_up(loop, bridge, port):
    class Endless(Opened):
        async def __anext__(self) -> str:
            await hang(begun, ended)
            raise AssertionError

    def use() -> None:
        with bridge.facade(Endless(port)) as opened:
            list(opened)

    begun, ended = threading.Event(), threading.Event()
    waiting = in_thread(use)
    assert begun.wait(DEADLINE)
    loop.stop()
    with pytest.raises(TransportError) as caught:
        waiting()  # the loop is not closed yet, and has yet to cancel the task of the context
    assert caught.value.code == "SYM-T061"
    loop.close()
    assert ended.is_set()


# -- many calls with one hop -------------------------------------------------------------------------------


def test_a_batch_gives_the_results_of_functions_and_coroutines_in_order(bridge):
    gate: list[asyncio.Event] = []

    async def opened() -> str:
        gate.append(asyncio.Event())
        await gate[0].wait()
        return "opened"

    async def opens() -> str:
        gate[0].set()
        return "opens"

    assert bridge.batch([]) == []
    assert bridge.batch([lambda: 1, lambda: 2]) == [1, 2]
    assert bridge.batch([opened, lambda: 1, opens]) == ["opened", 1, "opens"]


def test_a_batch_raises_what_its_first_failure_was_and_ends_the_rest(bridge):
    begun, ended, called = threading.Event(), threading.Event(), []
    error = ValueError("first")

    def failing() -> None:
        raise error

    with pytest.raises(ValueError) as caught:
        bridge.batch([lambda: hang(begun, ended), lambda: fail(error)])
    assert caught.value is error
    assert begun.is_set() == ended.is_set() == True  # noqa: E712
    with pytest.raises(ValueError) as caught:
        bridge.batch([lambda: called.append(1), lambda: echo(1), failing, lambda: called.append(2)])
    assert caught.value is error
    assert called == [1]


def test_a_late_batch_is_cancelled_whole(bridge):
    pairs = [(threading.Event(), threading.Event()) for _ in range(3)]
    with pytest.raises(DeadlineExceeded):
        bridge.batch([lambda pair=pair: hang(*pair) for pair in pairs], timeout=0.05)
    while bridge.call(ready):  # they are being cancelled
        pass
    assert all(begun.is_set() == ended.is_set() for begun, ended in pairs)


# -- from the event loop to a thread -----------------------------------------------------------------------


def test_a_function_on_a_thread_gives_its_result_and_sees_the_context(loop, bridge):
    def where(value: int) -> tuple[int, str, int]:
        return threading.get_ident(), PLACE.get(), value

    async def on_loop() -> tuple[int, str, int]:
        PLACE.set("loop")
        return await bridge.in_thread(where, 5)

    thread, place, value = bridge.call(on_loop)
    assert thread not in (loop.thread.ident, threading.get_ident())
    assert (place, value) == ("loop", 5)


def test_what_a_function_on_a_thread_raises_is_raised_where_it_is_awaited(bridge):
    error = BusError("no", details={"a": 1})

    def failing() -> None:
        raise error

    def stopping() -> None:
        raise StopIteration

    async def on_loop() -> None:
        await bridge.in_thread(failing)

    with pytest.raises(BusError) as caught:
        bridge.call(on_loop)
    assert caught.value is error
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert frames.index("on_loop") < frames.index("failing")
    with pytest.raises(RuntimeError, match="StopIteration"):
        bridge.call(bridge.in_thread, stopping)


def test_calls_nest_from_side_to_side_as_deep_as_one_likes(bridge):
    def down(depth: int) -> int:
        return bridge.call(up, depth)

    async def up(depth: int) -> int:
        return 0 if depth == 0 else 1 + await bridge.in_thread(down, depth - 1)

    async def many() -> list[int]:
        return await asyncio.gather(*(up(3) for _ in range(20)))

    assert bridge.call(up, 30) == 30
    assert bridge.call(many) == [3] * 20


async def begun_and_cancelled(bridge: BridgePort, begun: threading.Event, function: Any, *args: Any) -> str:
    """Await a function on a thread, and cancel that once it has begun."""
    task = asyncio.create_task(bridge.in_thread(function, *args))
    await bridge.in_thread(begun.wait, DEADLINE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return "cancelled"


def test_cancelling_who_awaits_a_thread_ends_what_that_thread_waits_for(bridge, port):
    begun, ended, done = threading.Event(), threading.Event(), threading.Event()
    found: list[Any] = []

    def blocked() -> None:
        try:
            with bridge.facade(port).open():
                bridge.call(hang, begun, ended)
        except TransportError as error:
            found.append(error.code)
        found.append(bridge.call(echo, "cleaned up"))
        done.set()

    assert bridge.call(begun_and_cancelled, bridge, begun, blocked) == "cancelled"
    assert done.wait(DEADLINE)
    assert ended.wait(DEADLINE)
    assert found == ["SYM-T062", "cleaned up"]
    assert port.left == [TransportError]


def test_cancelling_who_awaits_a_busy_thread_ends_the_next_thing_that_it_waits_for(bridge):
    begun, busy, done = threading.Event(), threading.Event(), threading.Event()
    found: list[Any] = []

    def working() -> None:
        begun.set()
        busy.wait(DEADLINE)
        try:
            bridge.call(echo, "too late")
        except TransportError as error:
            found.append(error.code)
        found.append(bridge.call(echo, "cleaned up"))
        done.set()

    assert bridge.call(begun_and_cancelled, bridge, begun, working) == "cancelled"
    busy.set()
    assert done.wait(DEADLINE)
    assert found == ["SYM-T062", "cleaned up"]


def test_a_thread_of_another_loops_bridge_is_refused(bridge):
    with pytest.raises(TransportError, match="another event loop") as caught:
        asyncio.run(bridge.in_thread(len, ""))
    assert caught.value.code == "SYM-T063"


def test_a_closed_bridge_calls_no_function_on_a_thread(bridge):
    async def on_loop() -> None:
        bridge.close()
        await bridge.in_thread(len, "")

    with pytest.raises(TransportError) as caught:
        bridge.call(on_loop)
    assert caught.value.code == "SYM-T061"


# -- ports as facades --------------------------------------------------------------------------------------


class Port:
    """A port of every shape, which notes what was called where."""

    name = "a port"

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.closed = threading.Event()
        self.tasks: set[Any] = set()
        self.left: list[Any] = []

    async def ask(self, value: Any, *, error: BaseException | None = None) -> Any:
        self.threads.add(threading.get_ident())
        await asyncio.sleep(0)
        if error is not None:
            raise error
        return value

    def plain(self, value: Any) -> int:
        return threading.get_ident()

    def promises(self, value: Any) -> Any:
        return self.ask(value)

    async def count(self, end: int) -> Any:
        token = PLACE.set("counting")
        self.tasks.add(asyncio.current_task())
        try:
            async with asyncio.timeout(DEADLINE):
                for number in range(end):
                    self.tasks.add(asyncio.current_task())
                    yield number, PLACE.get()
                if end == 7:
                    raise ValueError("seven")
        finally:
            PLACE.reset(token)
            self.closed.set()

    def open(self) -> "Opened":
        return Opened(self)

    async def open_later(self) -> "Opened":
        return Opened(self)


class Opened:
    """What is entered and iterated, such as a subscription."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.lost = 3
        self.items = iter("abc")

    async def __aenter__(self) -> "Opened":
        self.scope = asyncio.TaskGroup()
        await self.scope.__aenter__()
        return self

    async def __aexit__(self, *reason: Any) -> bool:
        self.port.left.append(reason[0])
        await self.scope.__aexit__(None, None, None)
        return reason[0] is LookupError

    def __aiter__(self) -> "Opened":
        return self

    async def __anext__(self) -> str:
        for item in self.items:
            return item
        raise StopAsyncIteration

    async def wait(self, begun: threading.Event, ended: threading.Event) -> None:
        await hang(begun, ended)


@pytest.fixture
def port() -> Port:
    return Port()


def test_a_facade_calls_coroutine_methods_on_the_loop_and_plain_ones_where_it_is(loop, bridge, port):
    facade = bridge.facade(port)
    value = object()
    assert facade.ask(value) is value
    assert facade.promises(value) is value
    assert port.threads == {loop.thread.ident}
    assert facade.plain(1) == threading.get_ident()
    assert facade.name == "a port"
    assert "Port object" in repr(facade)
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = facade.other


def test_a_facade_of_a_port_that_belongs_to_the_loop_calls_plain_methods_there(loop, bridge, port):
    assert bridge.facade(port, on_loop=True).plain(1) == loop.thread.ident


def test_a_facade_raises_what_its_port_raises(bridge, port):
    error = BusError("no")
    with pytest.raises(BusError) as caught:
        bridge.facade(port).ask(1, error=error)
    assert caught.value is error


def test_an_async_iterator_is_an_iterator_that_runs_in_one_task(bridge, port):
    numbers = bridge.facade(port).count(3)
    assert next(numbers) == (0, "counting")
    assert list(numbers) == [(1, "counting"), (2, "counting")]
    assert len(port.tasks) == 1
    assert port.closed.is_set()
    with pytest.raises(ValueError, match="seven"):
        list(bridge.facade(port, on_loop=True).count(7))


def test_an_iterator_that_is_left_ends_the_async_one(bridge, port):
    for number, _ in bridge.facade(port).count(100):
        if number == 2:
            break
    assert port.closed.wait(DEADLINE)


def test_an_iterator_that_is_dropped_on_the_loops_thread_ends_without_waiting(bridge, port):
    numbers = [bridge.facade(port).count(100)]
    next(numbers[0])
    bridge.call(numbers.clear)
    assert port.closed.wait(DEADLINE)


def test_an_async_iterator_that_fails_while_it_is_closed_tells_the_loop(loop, bridge):
    async def items() -> Any:
        try:
            yield 1
        finally:
            loop.loop.call_soon(closed.set)
            raise ValueError("not closed")

    closed = threading.Event()
    iterator = bridge.facade(items).__call__()
    assert next(iterator) == 1
    iterator.close()
    assert closed.wait(DEADLINE)
    bridge.call(echo, None)
    assert [str(context["exception"]) for context in loop.unhandled] == ["not closed"]


@pytest.mark.parametrize("method", ["open", "open_later"])
def test_an_async_context_is_a_context_that_is_entered_and_left_in_one_task(bridge, port, method):
    with getattr(bridge.facade(port), method)() as opened:
        assert opened.lost == 3
        assert list(opened) == ["a", "b", "c"]
    with getattr(bridge.facade(port), method)() as opened, pytest.raises(ValueError):
        raise ValueError
    with getattr(bridge.facade(port), method)():
        raise LookupError
    with pytest.raises(KeyError), getattr(bridge.facade(port), method)():
        raise KeyError
    assert port.left == [None, None, LookupError, KeyError]


def test_a_context_that_cannot_be_entered_says_why(bridge):
    class Broken(Opened):
        async def __aenter__(self) -> "Opened":
            raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"), bridge.facade(Broken(Port())):
        pass
    assert not bridge.lanes or bridge.call(ready) is False


def test_a_context_is_left_in_order_though_a_step_in_it_was_interrupted(bridge, port):
    class Hanging(Opened):
        async def __anext__(self) -> str:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            await hang(threading.Event(), ended)
            raise AssertionError

    ended = threading.Event()
    with pytest.raises(KeyboardInterrupt), bridge.facade(Hanging(port)) as opened:
        next(iter(opened))
    assert ended.is_set()
    assert port.left == [KeyboardInterrupt]


def test_contexts_and_iterators_end_with_the_bridge(loop, bridge, port):
    numbers = bridge.facade(port).count(100)
    next(numbers)
    opened = bridge.facade(port).open().__enter__()
    loop.loop.call_soon_threadsafe(bridge.close)
    assert port.closed.wait(DEADLINE)
    for use in (lambda: next(numbers), lambda: opened.__exit__(None, None, None)):
        with pytest.raises(TransportError) as caught:
            use()
        assert caught.value.code == "SYM-T061"


def test_a_context_whose_task_was_cancelled_on_the_loop_says_so(bridge, port):
    opened = bridge.facade(port).open().__enter__()
    bridge.call(cancel_all)
    with pytest.raises(TransportError) as caught:
        list(opened)
    assert caught.value.code == "SYM-T062"


# -- all at once -------------------------------------------------------------------------------------------

STEPS = st.sampled_from(["plain", "coroutine", "batch", "error", "late", "iterate", "context", "nested"])


@given(st.lists(st.lists(STEPS, min_size=1, max_size=4), min_size=32, max_size=32))
@settings(max_examples=8, deadline=None)
def test_many_threads_at_once_each_get_what_is_theirs(shared, plans):
    bridge, port = shared.bridge, Port()
    start = threading.Barrier(len(plans))

    def step(kind: str, mark: object) -> None:
        if kind == "plain":
            assert bridge.call(lambda: mark) is mark
        elif kind == "coroutine":
            assert bridge.call(echo, mark) is mark
        elif kind == "batch":
            assert bridge.batch([lambda: mark, lambda: echo(mark)]) == [mark, mark]
        elif kind == "error":
            error = LookupError(mark)
            with pytest.raises(LookupError) as caught:
                bridge.call(fail, error)
            assert caught.value is error
        elif kind == "late":
            with pytest.raises(DeadlineExceeded):
                bridge.call(hang, threading.Event(), threading.Event(), timeout=0.001)
        elif kind == "iterate":
            assert [number for number, _ in bridge.facade(port).count(3)] == [0, 1, 2]
        elif kind == "context":
            with bridge.facade(port).open() as opened:
                assert list(opened) == ["a", "b", "c"]
        else:
            assert bridge.call(bridge.in_thread, lambda: bridge.call(echo, mark)) is mark

    def thread(number: int, plan: list[str]) -> int:
        PLACE.set(str(number))
        start.wait(DEADLINE)
        for kind in plan:
            step(kind, object())
            assert bridge.call(PLACE.get) == str(number)
        return number

    with ThreadPoolExecutor(len(plans)) as pool:
        futures = [pool.submit(copy_context().run, thread, *each) for each in enumerate(plans)]
        assert [future.result(60) for future in futures] == list(range(len(plans)))
    assert shared.unhandled == []
    assert bridge._under_way == set()

"""What it costs to call Symphony in one process: directly, on the event loop, and from a thread.

    uv run --with anyio --with uvloop benchmarks/bridge.py

Prints medians in microseconds for each event loop that is installed, each beside its floor of the same run: a
bare call of a function, a bare `await`, two threads that hand each other one object through a SimpleQueue. The
peers of a thread's call are `asyncio.run_coroutine_threadsafe` and anyio's BlockingPortal; of a call on a thread,
`asyncio.to_thread`.
"""

import asyncio
import importlib.util
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from symphony_host.composition import Host
from symphony_host.configuration import load_settings
from symphony_ipc.bus import Bus
from symphony_sdk.messages import message

TURNS, CALLS, HOPS = 20, 1_000, 25
BATCH = 64
PASSES = 5

Measured = dict[str, float]


@message("benchmark.bridge")
class Number(msgspec.Struct, frozen=True):
    """A small message."""

    value: int = 7


class Component:
    """Stands for a component of the Pit whose work takes no time."""

    def waiting_time(self, claimant: str, resource: str, amount: float = 1.0) -> float:
        return 0.0


def calls(cases: dict[str, Callable[[], Any]]) -> Measured:
    """Microseconds of one call of each: the mean of a turn, the median of turns taken one after the other."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(TURNS):
        for name, function in cases.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                function()
            taken[name].append((time.perf_counter() - started) / CALLS)
    return medians(taken)


async def awaits(cases: dict[str, Callable[[], Awaitable[Any]]]) -> Measured:
    """Microseconds of one await of each, as for `calls`."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(TURNS):
        for name, function in cases.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                await function()
            taken[name].append((time.perf_counter() - started) / CALLS)
    return medians(taken)


def hops(cases: dict[str, Callable[[], Any]]) -> Measured:
    """Microseconds of one call of each that crosses threads: the median of all, made by turns."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(TURNS):
        for name, function in cases.items():
            for _ in range(HOPS):
                started = time.perf_counter()
                function()
                taken[name].append(time.perf_counter() - started)
    return medians(taken)


async def hops_back(cases: dict[str, Callable[[], Awaitable[Any]]]) -> Measured:
    """Microseconds of one await of each that crosses threads, as for `hops`."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(TURNS):
        for name, function in cases.items():
            for _ in range(HOPS):
                started = time.perf_counter()
                await function()
                taken[name].append(time.perf_counter() - started)
    return medians(taken)


def medians(taken: dict[str, list[float]]) -> Measured:
    return {name: statistics.median(seconds) * 1e6 for name, seconds in taken.items()}


@contextmanager
def ping_pong() -> Iterator[Callable[[], None]]:
    """Another thread that sends back what it is sent."""
    there: queue.SimpleQueue[object] = queue.SimpleQueue()
    back: queue.SimpleQueue[object] = queue.SimpleQueue()

    def answer() -> None:
        while (item := there.get()) is not None:
            back.put(item)

    def ping() -> None:
        there.put(1)
        back.get()

    thread = threading.Thread(target=answer)
    thread.start()
    yield ping
    there.put(None)
    thread.join()


async def nothing(value: int = 7) -> int:
    return value


async def answer(request: msgspec.Struct) -> Number:
    return Number()


async def on_loop(host: Host, bus: Bus) -> Measured:
    """Calls without any hop: of the Pit, and of the bus on its own event loop."""
    component, message = Component(), Number()
    host.pit.arbitration = component
    pit = host.services("symphony.artifact-store").pit
    async with await bus.listen("benchmark.topic", lambda delivery: None):
        measured = calls(
            {
                "bare call of a function": lambda: component.waiting_time("run", "gpu"),
                "services.pit, its method": lambda: pit.arbitration.waiting_time("run", "gpu"),
                "bus.publish, 1 listener": lambda: bus.publish("benchmark.topic", message),
            }
        )
    return measured | await awaits(
        {
            "bare await": nothing,
            "bus.request, here": lambda: bus.request("benchmark.answer", message, Number),
        }
    )


def from_thread(host: Host, bus: Bus, loop: asyncio.AbstractEventLoop, portal: Any) -> Measured:
    """Calls from a thread to the event loop."""
    bridge, facade, request = host.bridge, host.bridge.facade(bus), Number()
    functions, coroutines = [lambda: 7] * BATCH, [nothing] * BATCH
    threadsafe = asyncio.run_coroutine_threadsafe
    with ping_pong() as ping:
        measured = hops(
            {
                "two threads and a queue": ping,
                "bridge.call, function": lambda: bridge.call(int),
                "bridge.call, coroutine": lambda: bridge.call(nothing),
                "facade of the bus, request": lambda: facade.request("benchmark.answer", request, Number),
                "batch of functions, each": lambda: bridge.batch(functions),
                "batch of coroutines, each": lambda: bridge.batch(coroutines),
                "run_coroutine_threadsafe": lambda: threadsafe(nothing(), loop).result(),
            }
            | ({"anyio BlockingPortal": lambda: portal.call(nothing)} if portal else {})
        )
    for batch in ("batch of functions, each", "batch of coroutines, each"):
        measured[batch] /= BATCH
    return measured


async def across(host: Host, bus: Bus) -> Measured:
    """Calls between threads and the event loop, both ways."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        portal = None
        if importlib.util.find_spec("anyio"):
            from anyio.from_thread import BlockingPortal

            portal = await stack.enter_async_context(BlockingPortal())
        measured = await asyncio.to_thread(from_thread, host, bus, loop, portal)
    return measured | await hops_back(
        {
            "asyncio.to_thread": lambda: asyncio.to_thread(int),
            "bridge.in_thread": lambda: host.bridge.in_thread(int),
        }
    )


async def one_pass(host: Host, bus: Bus) -> Measured:
    """Everything once, in turn."""
    return {**await on_loop(host, bus), **await across(host, bus)}


async def measure(folder: Path) -> list[Measured]:
    """All passes on one event loop."""
    settings = load_settings(overrides=[f"data_dir={folder / 'data'}", f"cache_dir={folder / 'cache'}"])
    async with Host.open(settings) as host:
        bus = Bus("benchmark")
        async with await bus.register("benchmark.answer", answer):
            await one_pass(host, bus)  # threads are started, caches filled
            passes = [await one_pass(host, bus) for _ in range(PASSES)]
        await bus.close()
        return passes


FLOORS = {
    "bare call of a function": ["services.pit, its method", "bus.publish, 1 listener"],
    "bare await": ["bus.request, here"],
    "two threads and a queue": [
        "bridge.call, function",
        "bridge.call, coroutine",
        "facade of the bus, request",
        "batch of functions, each",
        "batch of coroutines, each",
        "run_coroutine_threadsafe",
        "anyio BlockingPortal",
        "bridge.in_thread",
        "asyncio.to_thread",
    ],
}


def table(title: str, passes: list[Measured]) -> None:
    """Print the medians of all passes."""
    found = {name: statistics.median(each[name] for each in passes) for name in passes[0]}
    print(f"\n{title}, median of {PASSES} passes, us; batches of {BATCH}\n")
    for floor, rows in FLOORS.items():
        print(f"{floor:>28} {found[floor]:9.2f}")
        for row in rows:
            if row in found:
                print(f"{row:>28} {found[row]:9.2f} {found[row] / found[floor]:9.2f} x")


def main() -> None:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop] | None] = {"asyncio": None}
    if importlib.util.find_spec("uvloop"):
        import uvloop

        loops["uvloop"] = uvloop.new_event_loop
    for name, factory in loops.items():
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=factory) as runner:
            table(name, runner.run(measure(Path(folder))))


if __name__ == "__main__":
    main()

"""The message bus: requests through a hub, publishing to many, and deliveries in one process.

    uv run --with nats-py --with uvloop benchmarks/message_bus.py [REQUESTS]

Requests go from one process through the hub to another, 64 at a time and one after the other; the peer is nats-py
on a nats-server of the same run. What counts is the CPU time of a request, as wall time depends on who else uses the
machine; both are medians of passes in turn. The floor of a delivery is a loop over functions, and 100 bare futures.
"""

import asyncio
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import msgspec
from symphony_ipc import Endpoint, from_socket
from symphony_ipc.bus import Bus
from symphony_sdk.messages import Done, message
from symphony_sdk.ports.bus import Delivery

REQUESTS = int(sys.argv[1]) if len(sys.argv) == 2 else 20_000
SEQUENTIAL = REQUESTS // 10
IN_FLIGHT = 64
PASSES = 3
FANS = 300
PAYLOAD = os.urandom(200)
Ask = Callable[[], Awaitable[Any]]


@message("benchmark.blob")
class Blob(msgspec.Struct, frozen=True):
    """Bytes, and when they were sent."""

    data: bytes
    sent: float = 0.0


@message("benchmark.spent")
class Spent(msgspec.Struct, frozen=True):
    """CPU seconds of a process since it started."""

    seconds: float


def spent() -> Spent:
    return Spent(time.process_time())


async def measured(ask: Ask, cpu: Callable[[], Awaitable[dict[str, float]]]) -> dict[str, float]:
    """Requests a second, microseconds of one after the other, and CPU microseconds of each process."""

    async def some(count: int) -> None:
        for _ in range(count):
            await ask()

    await some(500)
    before, begun = await cpu(), time.perf_counter()
    await asyncio.gather(*(some(REQUESTS // IN_FLIGHT) for _ in range(IN_FLIGHT)))
    wall, after = time.perf_counter() - begun, await cpu()
    result = {name: (after[name] - before[name]) / REQUESTS * 1e6 for name in after}
    result["all"] = sum(result.values())
    result["per second"] = REQUESTS / wall
    taken = []
    for _ in range(SEQUENTIAL):
        begun = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - begun)
    result["one by one"] = median(taken) * 1e6
    return result


# -- ours --------------------------------------------------------------------------------------------


async def hub(*fds: str) -> None:
    """The hub between the others."""
    bus = Bus("hub")
    connections = await asyncio.gather(
        *(
            from_socket(
                socket.socket(fileno=int(fd)), Endpoint("hub", timeout=60), accepts=True, on_open=bus.attach
            )
            for fd in fds
        )
    )

    async def tell(message: msgspec.Struct) -> Spent:
        return spent()

    async with await bus.register("hub.spent", tell):
        await asyncio.gather(*(connection.wait_closed() for connection in connections))


async def joined(name: str, fd: str) -> Bus:
    bus = Bus(name)
    await bus.join(
        await from_socket(socket.socket(fileno=int(fd)), Endpoint(name, timeout=60), accepts=False)
    )
    return bus


async def responder(fd: str) -> None:
    """Answers."""
    bus = await joined("responder", fd)
    done = asyncio.Event()

    async def echo(message: msgspec.Struct) -> msgspec.Struct:
        return message

    async def tell(message: msgspec.Struct) -> Spent:
        return spent()

    async with (
        await bus.register("responder.echo", echo),
        await bus.register("responder.spent", tell),
        await bus.listen("end", lambda delivery: done.set()),
    ):
        await done.wait()
    await bus.close()


async def requester(fd: str) -> None:
    """Asks, and prints what it measured."""
    bus = await joined("requester", fd)
    while not await bus.endpoints("responder.spent"):  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(0.05)
    blob = Blob(PAYLOAD)

    async def ask() -> None:
        await bus.request("responder.echo", blob, Blob, timeout=30)

    async def cpu() -> dict[str, float]:
        others = {
            name: (await bus.request(f"{name}.spent", Done(), Spent)).seconds for name in ("hub", "responder")
        }
        return {"requester": time.process_time(), **others}

    print(json.dumps(await measured(ask, cpu)))
    bus.publish("end", Done())
    await bus.close()


async def subscribers(fd: str) -> None:
    """25 of 100 subscribers; says when its last one got the message."""
    bus = await joined("subscribers", fd)
    done, came = asyncio.Event(), 0

    def take(delivery: Delivery) -> None:
        nonlocal came
        came += 1
        if came == 25:
            came = 0
            assert isinstance(delivery.message, Blob)
            bus.publish("arrived", Blob(b"", time.monotonic() - delivery.message.sent))

    async with AsyncExitStack() as stack:
        for _ in range(25):
            await stack.enter_async_context(await bus.listen("fan", take))
        await stack.enter_async_context(await bus.listen("end", lambda delivery: done.set()))
        bus.publish("ready", Done())
        await done.wait()
    await bus.close()


async def publisher(*fds: str) -> None:
    """The hub of four processes with 25 subscribers each; prints when the last one got each message."""
    bus = Bus("hub")
    ready, arrived, taken = 0, [], []
    moved = asyncio.Event()

    def count(delivery: Delivery) -> None:
        nonlocal ready
        ready += 1
        moved.set()

    def take(delivery: Delivery) -> None:
        assert isinstance(delivery.message, Blob)
        arrived.append(delivery.message.sent)
        moved.set()

    async with await bus.listen("ready", count), await bus.listen("arrived", take):
        connections = [
            await from_socket(
                socket.socket(fileno=int(fd)), Endpoint("hub", timeout=60), accepts=True, on_open=bus.attach
            )
            for fd in fds
        ]
        while ready < len(fds):
            moved.clear()
            await moved.wait()
        for _ in range(FANS):
            await asyncio.sleep(0.003)
            arrived.clear()
            bus.publish("fan", Blob(PAYLOAD, time.monotonic()))
            while len(arrived) < len(fds):
                moved.clear()
                await moved.wait()
            taken.append(max(arrived))
        bus.publish("end", Done())
        await asyncio.gather(*(connection.wait_closed() for connection in connections))
    print(json.dumps(taken))
    await bus.close()


def started(uvloop: str, role: str, *sockets: socket.socket) -> subprocess.Popen[str]:
    fds = [sock.fileno() for sock in sockets]
    command = [sys.executable, __file__, "role", uvloop, role, *map(str, fds)]
    return subprocess.Popen(command, pass_fds=fds, stdout=subprocess.PIPE, text=True)


def result_of(star: str, points: list[str], uvloop: str) -> Any:
    """What one of the processes prints: one in the middle, and those around it, of which the last one measures."""
    pairs = [socket.socketpair() for _ in points]
    processes = [started(uvloop, star, *(inner for inner, _ in pairs))]
    processes += [started(uvloop, role, outer) for role, (_, outer) in zip(points, pairs, strict=True)]
    for pair in pairs:
        for sock in pair:
            sock.close()
    printed = [process.communicate()[0] for process in processes]
    return json.loads(next(filter(None, printed)))


# -- the peer ----------------------------------------------------------------------------------------


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def nats_responder(port: str) -> None:
    import nats

    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    done = asyncio.Event()

    async def echo(asked: Any) -> None:
        await asked.respond(asked.data)

    async def tell(asked: Any) -> None:
        await asked.respond(repr(time.process_time()).encode())

    async def end(asked: Any) -> None:
        done.set()

    await connection.subscribe("echo", cb=echo)
    await connection.subscribe("spent", cb=tell)
    await connection.subscribe("end", cb=end)
    await connection.flush()
    print("ready", flush=True)
    await done.wait()
    await connection.close()


async def nats_requester(port: str, server: str) -> None:
    import nats

    connection = await nats.connect(f"nats://127.0.0.1:{port}")

    async def ask() -> None:
        await connection.request("echo", PAYLOAD, timeout=30)

    async def cpu() -> dict[str, float]:
        other = float((await connection.request("spent", b"", timeout=30)).data)
        return {"requester": time.process_time(), "hub": cpu_of(int(server)), "responder": other}

    print(json.dumps(await measured(ask, cpu)))
    await connection.publish("end", b"")
    await connection.close()


def nats_result(uvloop: str) -> Any:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = subprocess.Popen(
        ["nats-server", "-a", "127.0.0.1", "-p", port], stderr=subprocess.DEVNULL, cwd=tempfile.gettempdir()
    )
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            time.sleep(0.05)
        command = [sys.executable, __file__, "role", uvloop]
        answering = subprocess.Popen([*command, "nats_responder", port], stdout=subprocess.PIPE, text=True)
        assert answering.stdout is not None and answering.stdout.readline() == "ready\n"
        asking = subprocess.run(
            [*command, "nats_requester", port, str(server.pid)], stdout=subprocess.PIPE, check=True
        )
        answering.wait()
        return json.loads(asking.stdout)
    finally:
        server.terminate()
        server.wait()


# -- in one process ----------------------------------------------------------------------------------


async def in_process() -> dict[str, float]:
    bus, blob, count = Bus("one"), Blob(PAYLOAD), 100_000
    results = {}

    def ignore(delivery: object) -> None:
        pass

    begun = time.perf_counter()
    for _ in range(count):
        for function in (ignore,):
            function(blob)
    results["a loop over one function, calls a second"] = count / (time.perf_counter() - begun)
    async with await bus.listen("a.b", ignore):
        begun = time.perf_counter()
        for _ in range(count):
            bus.publish("a.b", blob)
        results["published to 1 listener, deliveries a second"] = count / (time.perf_counter() - begun)
    async with AsyncExitStack() as stack:
        for _ in range(100):
            await stack.enter_async_context(await bus.listen("a.b", ignore))
        begun = time.perf_counter()
        for _ in range(count // 100):
            bus.publish("a.b", blob)
        seconds = time.perf_counter() - begun
        results["published to 100 listeners, deliveries a second"] = count / seconds
        results["100 listeners, us until the last was called"] = seconds / (count // 100) * 1e6
    results["100 subscriptions, us until the last task has it"] = await fan_out(bus, blob)
    results["100 bare futures, us until the last task goes on"] = await bare_fan_out()
    return results


class Arrivals:
    """Counts to 100, and keeps the time."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self.complete = asyncio.Event()

    def arrive(self) -> None:
        self.count += 1
        if self.count == 100:
            self.last = time.perf_counter()
            self.complete.set()

    async def after(self, act: Callable[[], None]) -> float:
        self.count = 0
        self.complete.clear()
        begun = time.perf_counter()
        act()
        await self.complete.wait()
        await asyncio.sleep(0)
        return self.last - begun


async def fan_out(bus: Bus, blob: Blob) -> float:
    arrivals = Arrivals()

    async def take(subscription: Any) -> None:
        async for _ in subscription:
            arrivals.arrive()

    async with AsyncExitStack() as stack:
        subscriptions = [await stack.enter_async_context(await bus.subscribe("f")) for _ in range(100)]
        tasks = [asyncio.create_task(take(subscription)) for subscription in subscriptions]
        await asyncio.sleep(0)
        taken = [await arrivals.after(lambda: bus.publish("f", blob)) for _ in range(FANS)]
    await asyncio.gather(*tasks)
    return median(taken) * 1e6


async def bare_fan_out() -> float:
    arrivals, loop = Arrivals(), asyncio.get_running_loop()
    waiting: list[asyncio.Future[None]] = []

    async def take() -> None:
        while True:
            waiting.append(loop.create_future())
            await waiting[-1]
            arrivals.arrive()

    def wake() -> None:
        futures = waiting.copy()
        waiting.clear()
        for future in futures:
            future.set_result(None)

    tasks = [asyncio.create_task(take()) for _ in range(100)]
    await asyncio.sleep(0)
    taken = [await arrivals.after(wake) for _ in range(FANS)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return median(taken) * 1e6


# -- the tables --------------------------------------------------------------------------------------

ROWS = ["per second", "one by one", "hub", "requester", "responder", "all"]
UNITS = {"per second": "requests a second, 64 at a time", "one by one": "us, one after the other"}


def requests_table(uvloop: str) -> None:
    has_peer = shutil.which("nats-server") is not None and importlib.util.find_spec("nats") is not None
    ours, theirs = [], []
    for _ in range(PASSES):
        ours.append(result_of("hub", ["responder", "requester"], uvloop))
        if has_peer:
            theirs.append(nats_result(uvloop))
    print(
        f"\nrequest of {len(PAYLOAD)} B through the hub, 3 processes, {uvloop}, {PASSES} passes of {REQUESTS:,}\n"
    )
    if not has_peer:
        print("nats-py or nats-server: not installed")
    print(f"{'':>32} {'symphony':>10} {'nats':>10} {'ratio':>7}")
    for row in ROWS:
        mine = median(one[row] for one in ours)
        peer = median(one[row] for one in theirs) if theirs else float("nan")
        print(f"{UNITS.get(row, f'CPU us, {row}'):>32} {mine:10,.1f} {peer:10,.1f} {mine / peer:7.2f}")


def fan_table(uvloop: str) -> None:
    taken = sorted(1e6 * seconds for seconds in result_of("publisher", ["subscribers"] * 4, uvloop))
    p99 = quantiles(taken, n=100)[98]
    print(f"\npublished to 100 subscribers in 4 other processes, {uvloop}: the last has it after")
    print(f"{median(taken):,.0f} us (median), {p99:,.0f} us (p99) of {FANS}")


def run(uvloop: str, main: Any) -> Any:
    if uvloop == "uvloop":
        import uvloop as loops

        return asyncio.Runner(loop_factory=loops.new_event_loop).run(main)
    return asyncio.run(main)


def main() -> None:
    if sys.argv[1:2] == ["role"]:
        _, _, uvloop, role, *arguments = sys.argv
        run(uvloop, globals()[role](*arguments))
        return
    for uvloop in ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]:
        print(f"\nin one process, {uvloop}\n")
        for what, value in run(uvloop, in_process()).items():
            print(f"{value:12,.0f}  {what}")
        requests_table(uvloop)
        fan_table(uvloop)


if __name__ == "__main__":
    main()

"""Workers: from spawn to ready, the round trip of a call, ten thousand nodes, cores, each beside its floor.

    uv run benchmarks/worker_calls.py [REPEATS]

The nodes are run by the tracker on its durable log (SQLite, synchronous=FULL) and by the executor `local` in real
worker processes. Their floor is a bare process at the end of a pipe that answers MessagePack arrays of 64 calls.
Prints medians; all of it is measured in one run, in turn.
"""

import asyncio
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import msgspec
from pit_dag_tracker import Tracker
from symphony_host.composition import SWITCH_INTERVAL
from symphony_isolation import IsolatedExtensions, LocalExecutor, WorkerSpec
from symphony_sdk.ports import NodeCall, NodeEvent, RunRequest
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import encode

SOURCE = """
import time
from symphony_sdk import Context, operator, provides_operators

@operator("bench.echo.echo")
def echo(ctx: Context, text: str) -> str:
    return text

@operator("bench.echo.no-op")
def no_op(ctx: Context, a: int = 0, b: int = 0, c: int = 0) -> int:
    return 0

@operator("bench.echo.compute")
def compute(ctx: Context, seconds: float) -> int:
    until = time.thread_time() + seconds
    count = 0
    while time.thread_time() < until:
        count += 1
    return count

@operator("bench.echo.until-cancelled")
def until_cancelled(ctx: Context) -> None:
    ctx.progress(0.0)
    while not ctx.cancelled:
        pass
    ctx.log.info(str(time.monotonic()))

@provides_operators
def symphony_operators():
    yield from (echo, no_op, compute, until_cancelled)
"""
PIPE = """
import struct, sys
import msgspec
read, write, flush = sys.stdin.buffer.read, sys.stdout.buffer.write, sys.stdout.buffer.flush
decoder = msgspec.msgpack.Decoder(list[tuple[int, bytes]])
while head := read(4):
    done = msgspec.msgpack.encode([(number, value) for number, value in decoder.decode(read(*struct.unpack("<I", head)))])
    write(struct.pack("<I", len(done)) + done)
    flush()
"""
PROGRAMS = {
    "python -I -c pass": "pass",
    "... import msgspec": "import msgspec",
    "... import the bootstrap": "import symphony_isolation.bootstrap",
}
CALLS = 2000
NODES = 10_000


def started(code: str) -> float:
    """Seconds from the start to the end of an interpreter."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
    return time.perf_counter() - begin


async def spawn_to_ready(extensions: IsolatedExtensions) -> float:
    """Seconds until a worker is active."""
    begin = time.perf_counter()
    await extensions.activate("bench.echo")
    seconds = time.perf_counter() - begin
    await extensions.deactivate("bench.echo")
    return seconds


async def round_trip(extensions: IsolatedExtensions, call: NodeCall) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    await extensions.call(call)
    return time.perf_counter() - begin


async def calls_a_second(extensions: IsolatedExtensions, call: NodeCall) -> float:
    """Calls through the executor `local`, as many at once as it likes."""
    executor = LocalExecutor(extensions)
    done = asyncio.Event()
    ended = 0

    def on_event(event: object) -> None:
        nonlocal ended
        ended += event.kind == "completed"  # type: ignore[attr-defined]
        if ended == CALLS:
            done.set()

    begin = time.perf_counter()
    executor.submit([call] * CALLS, on_event)
    await done.wait()
    return CALLS / (time.perf_counter() - begin)


def piped() -> float:
    """Seconds of 10,000 calls through a bare pipe, 64 at a time, one batch ahead."""
    command = [sys.executable, "-I", "-c", PIPE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        value = encode(0)
        decoder = msgspec.msgpack.Decoder(list[tuple[int, bytes]])
        batches = [[(number + one, value) for one in range(64)] for number in range(0, NODES, 64)]

        def answer() -> int:
            (length,) = struct.unpack("<I", process.stdout.read(4))  # type: ignore[union-attr]
            return len(decoder.decode(process.stdout.read(length)))  # type: ignore[union-attr]

        begin = time.perf_counter()
        answered = ahead = 0
        for batch in batches:
            data = msgspec.msgpack.encode(batch)
            process.stdin.write(struct.pack("<I", len(data)) + data)
            process.stdin.flush()
            ahead += 1
            if ahead > 1:
                answered += answer()
                ahead -= 1
        answered += answer()
        seconds = time.perf_counter() - begin
        process.stdin.close()
    return seconds / answered * NODES


def graph(shape: str) -> dict[str, Any]:
    """10,000 no-op nodes: all at once, 100 layers of 100 of which each node reads three, or each reads the one before."""
    nodes = {f"n{number:05}": {"kind": "operator", "uses": "bench.echo.no-op"} for number in range(NODES)}
    edges = []
    if shape == "layered":
        for number in range(100, NODES):
            layer, place = divmod(number, 100)
            for step, port in enumerate("abc"):
                above = (layer - 1) * 100 + (place + 37 * step) % 100
                edges.append({"from": f"n{above:05}.result", "to": f"n{number:05}.{port}"})
    if shape == "chain":
        edges = [{"from": f"n{number - 1:05}.result", "to": f"n{number:05}.a"} for number in range(1, NODES)]
    return {"schema": 1, "id": shape, "nodes": nodes, "edges": edges}


async def run_nodes(root: Path, executor: LocalExecutor, workflow: dict[str, Any]) -> float:
    """Seconds of a run by the tracker, from its durable start to its durable end."""
    with tempfile.TemporaryDirectory(dir=root) as directory:
        services: Any = SimpleNamespace(
            config={}, data_dir=Path(directory), executors={"local": executor}, pit=SimpleNamespace()
        )
        tracker = Tracker(services)
        run = await tracker.start(RunRequest(workflow=workflow))
        begin = time.perf_counter()
        events = [event async for event in tracker.events(run)]
        seconds = time.perf_counter() - begin
        await tracker.close()
    if len(events) != 2 * NODES + 2:
        raise AssertionError(f"{len(events)} events of {NODES} nodes")
    return seconds


async def computed(extensions: IsolatedExtensions, calls: int) -> float:
    """Seconds of so many calls that compute for 1 ms each."""
    request = NodeCall("run", "node", "bench.echo.compute", {"seconds": encode(0.001)})
    done = asyncio.Event()
    left = calls

    def on_event(event: NodeEvent) -> None:
        nonlocal left
        if event.kind == "completed":
            left -= 1
            if not left:
                done.set()
        elif event.kind != "started":
            raise AssertionError(event)

    begin = time.perf_counter()
    extensions.submit([request] * calls, on_event)
    await done.wait()
    return time.perf_counter() - begin


async def cancelled(extensions: IsolatedExtensions, told: asyncio.Queue[str]) -> float:
    """Seconds from the cancel of a call until its code, which computes, knows of it."""
    begun = asyncio.Event()
    request = NodeCall("run", "node", "bench.echo.until-cancelled", {})
    extensions.submit([request], lambda event: begun.set() if event.kind == "progressed" else None)
    await begun.wait()
    began = time.monotonic()
    extensions.cancel("run")
    return float(await told.get()) - began


async def turns(threads: int) -> list[float]:
    """Seconds that a turn of the event loop is late while threads compute, 500 times."""
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(100))

    for _ in range(threads):
        threading.Thread(target=compute).start()
    late = []
    for _ in range(500):
        due = time.perf_counter() + 0.002
        await asyncio.sleep(0.002)
        late.append(time.perf_counter() - due)
    over.set()
    return sorted(late)


async def measure(root: Path, repeats: int) -> None:
    """Print every figure."""
    (root / "bench_echo.py").write_text(SOURCE)
    spec = WorkerSpec(
        id="bench.echo",
        version="1",
        kind="operator",
        module="bench_echo",
        data_dir=str(root / "data"),
        fingerprint="1",
        import_path=(str(root),),
    )
    told: asyncio.Queue[str] = asyncio.Queue()
    extensions = IsolatedExtensions(
        [spec],
        cache_dir=root / "cache",
        artifacts=FakeArtifactStore,
        on_log=lambda id, level, text: told.put_nowait(text),
    )
    await spawn_to_ready(extensions)
    starts: dict[str, list[float]] = {name: [] for name in (*PROGRAMS, "spawn to ready")}
    for _ in range(repeats):
        for name, code in PROGRAMS.items():
            starts[name].append(started(code))
        starts["spawn to ready"].append(await spawn_to_ready(extensions))
    floor = median(starts["python -I -c pass"])
    for name, seconds in starts.items():
        print(f"{name:28} {median(seconds) * 1e3:8.1f} ms   {median(seconds) / floor:6.2f} x bare Python")

    call = NodeCall("run", "node", "bench.echo.echo", {"text": encode("a small value")})
    await extensions.activate("bench.echo")
    calls, pings = [], []
    for _ in range(CALLS):
        calls.append(await round_trip(extensions, call))
        pings.append((await extensions.health("bench.echo")).answered or 0.0)
    print(f"{'ping of the wire alone':28} {median(pings) * 1e6:8.0f} us")
    ratio = median(calls) / median(pings)
    print(f"{'call, small value':28} {median(calls) * 1e6:8.0f} us   {ratio:6.2f} x ping")
    rates = [await calls_a_second(extensions, call) for _ in range(5)]
    print(f"{'calls a second, executor':28} {median(rates):8.0f}")

    floor = median(piped() for _ in range(5)) / NODES * 1e6
    print(f"{'a call through a bare pipe':28} {floor:8.1f} us, batches of 64")
    executor = LocalExecutor(extensions)
    for shape in ("wide", "layered", "chain"):
        workflow = graph(shape)
        took = [await run_nodes(root, executor, workflow) for _ in range(5)]
        node = median(took) / NODES * 1e6
        print(f"{f'a node, {NODES:,} {shape}':28} {node:8.1f} us   {node / floor:6.2f} x pipe")
    reached = sorted([await cancelled(extensions, told) for _ in range(50)])
    print(
        f"{'cancel of code that computes':28} {median(reached) * 1e3:8.1f} ms, worst {reached[-1] * 1e3:.1f} ms"
    )
    await extensions.stop()

    seconds = {}
    for workers in (1, 2):
        several = IsolatedExtensions(
            [msgspec.structs.replace(spec, workers=workers)],
            cache_dir=root / "cache",
            artifacts=FakeArtifactStore,
            on_log=lambda *line: None,
        )
        await several.operations()
        await computed(several, 1000)  # as many processes have been started as it likes
        seconds[workers] = median([await computed(several, 1000) for _ in range(5)])
        pids = (await several.health("bench.echo")).pids
        print(f"{f'1,000 x 1 ms, {len(pids)} processes':28} {seconds[workers]:8.2f} s")
        await several.stop()
    print(f"{'speed of two processes':28} {seconds[1] / seconds[2]:8.2f} x one")
    python = sys.getswitchinterval()
    for interval in (python, SWITCH_INTERVAL):
        sys.setswitchinterval(interval)
        late = await turns(2)
        name = f"late, switches of {interval * 1e3:g} ms"
        print(f"{name:28} {median(late) * 1e3:8.1f} ms, p99 {late[int(len(late) * 0.99)] * 1e3:.1f} ms")
    sys.setswitchinterval(python)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory), int(sys.argv[1]) if len(sys.argv) > 1 else 15))

"""Workers: from spawn to ready, the round trip of a call, and calls a second, each beside its floor.

    uv run benchmarks/worker_calls.py [REPEATS]

Prints medians; all of it is measured in one run, in turn.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from symphony_isolation import IsolatedExtensions, LocalExecutor, WorkerSpec
from symphony_sdk.ports import NodeCall
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import encode

SOURCE = """
from symphony_sdk import Context, operator, provides_operators

@operator("bench.echo.echo")
def echo(ctx: Context, text: str) -> str:
    return text

@provides_operators
def symphony_operators():
    yield echo
"""
PROGRAMS = {
    "python -I -c pass": "pass",
    "... import msgspec": "import msgspec",
    "... import the bootstrap": "import symphony_isolation.bootstrap",
}
CALLS = 2000


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
    extensions = IsolatedExtensions(
        [spec], cache_dir=root / "cache", artifacts=FakeArtifactStore, on_log=lambda *line: None
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
    await extensions.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory), int(sys.argv[1]) if len(sys.argv) > 1 else 15))

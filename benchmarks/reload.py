"""Recovery: kill -9 to serving again, how soon it is seen, and hot reload under load, beside the start of a process.

    uv run benchmarks/reload.py [ROUNDS]

A round kills the one worker of an extension with SIGKILL and takes the time until its pidfd tells of it, and until a
call is answered again; then it starts a bare `python -I -c pass` and one that imports what every worker imports: no
crash can be mended faster than a process starts. Then 20 reloads of an extension with two workers under sixteen callers,
which have to make 1,000 calls at least: how many failed, how long each took until the new code served. Prints medians.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec
from symphony_isolation import IsolatedExtensions, WorkerSpec
from symphony_isolation import restarts as restart_policy
from symphony_sdk.errors import SymphonyError
from symphony_sdk.ports import NodeCall
from symphony_sdk.testing.fakes import FakeArtifactStore

ROUNDS = int(sys.argv[1]) if len(sys.argv) == 2 else 20
RELOADS = 20
CALLS = 1000
CALLERS = 16
SOURCE = """
import time
from symphony_sdk import Context, operator, provides_operators

@operator("bench.hot.version")
def version(ctx: Context) -> int:
    time.sleep(0.002)
    return {version}

@provides_operators
def symphony_operators():
    yield version
"""
CALL = NodeCall("run", "node", "bench.hot.version", {})


def started(code: str) -> float:
    """Seconds that a bare process takes from its start to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
    return time.perf_counter() - began


async def seen_dead(pid: int) -> None:
    """Until the pidfd of a process tells that it has ended."""
    loop = asyncio.get_running_loop()
    dead = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, dead.set)
    await dead.wait()
    loop.remove_reader(descriptor)
    os.close(descriptor)


async def crashes(extensions: IsolatedExtensions) -> None:
    restart_policy.RESTART_WINDOW = 0.0  # type: ignore[misc]  # each crash is the first: no backoff, no quarantine
    figures: dict[str, list[float]] = {}
    await extensions.call(CALL)
    for _ in range(ROUNDS):
        pid = (await extensions.health("bench.hot")).pid
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        await seen_dead(pid)
        detected = time.perf_counter() - began
        while True:
            try:
                await extensions.call(CALL)
            except SymphonyError:  # it reached the dead one
                continue
            break
        figures.setdefault("detected", []).append(detected)
        figures.setdefault("serving again", []).append(time.perf_counter() - began)
        figures.setdefault("floor: python -I -c pass", []).append(await asyncio.to_thread(started, "pass"))
        imports = "import symphony_isolation.bootstrap"
        figures.setdefault("floor: its imports", []).append(await asyncio.to_thread(started, imports))
    floor = median(figures["floor: its imports"])
    print(f"kill -9, {ROUNDS} rounds")
    for name, seconds in figures.items():
        print(f"  {name:28} {median(seconds) * 1000:7.1f} ms   {median(seconds) / floor:5.2f} of its imports")


async def reloads(extensions: IsolatedExtensions, write: Callable[[int], None]) -> None:
    done: list[int] = []
    waits: list[float] = []
    failed: list[SymphonyError] = []
    ending = False

    async def caller() -> None:
        while not ending:
            began = time.perf_counter()
            try:
                result = await extensions.call(CALL)
            except SymphonyError as error:
                failed.append(error)
            else:
                done.append(msgspec.msgpack.decode(bytes(result.outputs["result"])))
                waits.append(time.perf_counter() - began)
            await asyncio.sleep(0.001)

    callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
    async with asyncio.timeout(30):
        while len((await extensions.health("bench.hot")).pids) < 2:  # noqa: ASYNC110 - it asks processes
            await asyncio.sleep(0.01)
    took, workers = [], []
    for number in range(RELOADS):
        write(100 + number)
        began = time.perf_counter()
        await extensions.reload("bench.hot")
        took.append(time.perf_counter() - began)
        workers.append(len((await extensions.health("bench.hot")).pids))
        while len(done) + len(failed) < CALLS * (number + 1) / RELOADS:  # noqa: ASYNC110 - many tasks count
            await asyncio.sleep(0.001)
    ending = True
    await asyncio.gather(*callers)
    versions = len({version for version in done if version >= 100})
    waits.sort()
    print(f"{RELOADS} reloads, {min(workers)} to {max(workers)} workers, {CALLERS} callers")
    print(
        f"  {len(failed)} of {len(done) + len(failed):,} calls failed; {versions} of {RELOADS} versions were seen"
    )
    print(f"  until the new code serves    {median(took) * 1000:7.1f} ms")
    print(
        f"  a call meanwhile             {median(waits) * 1000:7.1f} ms, 99 % {waits[len(waits) * 99 // 100] * 1000:.1f} ms"
    )


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="symphony-") as root:
        spec = WorkerSpec(
            id="bench.hot",
            version="1.0",
            kind="operator",
            module="bench_hot",
            data_dir=str(Path(root, "data")),
            fingerprint="0",
            import_path=(root,),
        )

        def write(version: int) -> None:
            nonlocal spec
            Path(root, "bench_hot.py").write_text(SOURCE.format(version=version))
            for stale in Path(root).glob("__pycache__/bench_hot.*"):
                stale.unlink()
            spec = msgspec.structs.replace(spec, fingerprint=str(version), workers=2)

        write(1)
        extensions = IsolatedExtensions(
            [spec],
            cache_dir=Path(root, "cache"),
            artifacts=FakeArtifactStore,
            on_log=lambda *line: None,
            renewed=lambda extension: spec,
        )
        try:
            await crashes(extensions)
            await reloads(extensions, write)
        finally:
            await extensions.stop()


asyncio.run(main())

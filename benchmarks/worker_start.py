"""Workers: from the wish to ready, warm and cold, their private memory, and from `kill -9` to serving again.

    uv run benchmarks/worker_start.py [REPEATS]

Warm is forked from the zygote, cold executed with `-I -S`; both load the same extension in the sandbox of this machine.
The floors are an interpreter that does nothing, and a fork of a small process that does nothing. Prints medians;
all of it is measured in one run, in turn.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles

import msgspec
from symphony_isolation import IsolatedExtensions, WorkerSpec
from symphony_isolation.way import way_of
from symphony_sdk.errors import PeerGone
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
CALL = NodeCall("run", "node", "bench.echo.echo", {"text": encode("bear")})
FORKS = """
import os, sys
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    print(flush=True)
"""
MILLISECOND = 1e-3


@asynccontextmanager
async def opened(spec: WorkerSpec, root: Path) -> AsyncIterator[IsolatedExtensions]:
    store = FakeArtifactStore()
    extensions = IsolatedExtensions(
        [spec], cache_dir=root / "cache", artifacts=lambda: store, on_log=lambda *line: None
    )
    try:
        await extensions.activate(spec.id)
        await extensions.call(CALL)
        yield extensions
    finally:
        await extensions.stop()


async def start(extensions: IsolatedExtensions) -> float:
    await extensions.deactivate("bench.echo")
    began = time.perf_counter()
    await extensions.activate("bench.echo")
    return time.perf_counter() - began


def memory_of(worker: int) -> dict[str, float]:
    """MiB of a worker and those that keep it in its sandbox: what each shares with nobody, and with all shares."""
    total = {"Private_": 0.0, "Pss:": 0.0}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if worker in (int(directory.name), parent(directory)):
                for line in (directory / "smaps_rollup").read_text().splitlines():
                    for name in total:
                        if line.startswith(name):
                            total[name] += int(line.split()[1]) / 1024
        except (OSError, ValueError):
            continue
    return total


def parent(directory: Path) -> int:
    return int((directory / "stat").read_text().rpartition(")")[2].split()[1])


async def restart(spec: WorkerSpec, root: Path) -> float:
    async with opened(spec, root) as extensions:
        pid = (await extensions.health(spec.id)).pid
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        while True:
            try:
                await extensions.call(CALL)
            except PeerGone:
                continue
            took = time.perf_counter() - began
            if (await extensions.health(spec.id)).pid != pid:  # not the last answer of the one that is dying
                return took


def bare_interpreter() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
    return time.perf_counter() - began


def bare_fork(forks: "subprocess.Popen[str]") -> float:
    assert forks.stdin is not None and forks.stdout is not None
    began = time.perf_counter()
    print(file=forks.stdin, flush=True)
    forks.stdout.readline()
    return time.perf_counter() - began


def another_name() -> str:
    """The interpreter by another name: one that is not the host's, and so is executed."""
    names = ("python", "python3", f"python{sys.version_info.major}.{sys.version_info.minor}")
    found = [str(Path(sys.executable).with_name(name)) for name in names]
    return next(python for python in found if python != sys.executable and Path(python).exists())


async def main(repeats: int, forks: "subprocess.Popen[str]") -> None:
    times: defaultdict[str, list[float]] = defaultdict(list)
    memory = {}
    with tempfile.TemporaryDirectory(prefix="symphony-") as directory:
        root = Path(directory)
        (root / "bench_echo.py").write_text(SOURCE)
        warm = WorkerSpec(
            id="bench.echo",
            version="1.0",
            kind="operator",
            module="bench_echo",
            data_dir=str(root / "data"),
            fingerprint="1",
            import_path=(directory,),
        )
        cold = msgspec.structs.replace(warm, python=another_name())
        ways = {way_of(spec.python).kind: spec for spec in (warm, cold)}
        for kind, spec in ways.items():
            async with opened(spec, root) as extensions:
                memory[kind] = memory_of((await extensions.health(spec.id)).pid)
        async with opened(warm, root) as forked, opened(cold, root) as executed:
            for _ in range(repeats):
                times["python -I -S -c pass"].append(bare_interpreter())
                times["bare fork"].append(bare_fork(forks))
                times["warm"].append(await start(forked))
                times["cold"].append(await start(executed))
        for _ in range(max(3, repeats // 3)):
            for kind, spec in ways.items():
                times[f"{kind}, kill -9 to serving again"].append(await restart(spec, root))
    for name, found in times.items():
        floor = median(times["bare fork" if "warm" in name or "fork" in name else "python -I -S -c pass"])
        half = median(found)
        print(
            f"{name:36s} p50 {half / MILLISECOND:7.1f} ms   p95 {quantiles(found, n=20)[-1] / MILLISECOND:7.1f} ms"
            f"   {half / floor:5.1f} x its floor"
        )
    for kind, size in memory.items():
        private, shared = size["Private_"], size["Pss:"]
        print(
            f"{kind}, an idle worker: {private:.1f} MiB private, {shared:.1f} MiB with its part of what is shared"
        )


if __name__ == "__main__":
    command = [sys.executable, "-I", "-S", "-c", FORKS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forks:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60, forks))
        assert forks.stdin is not None
        forks.stdin.close()

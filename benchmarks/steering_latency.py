"""How soon a pause and a cancel have taken effect: between nodes, and on a node that runs in an extension's worker.

    uv run benchmarks/steering_latency.py [ROUNDS]

Each is timed from the command to the last event of the run, which is shown when it is on the disk (SQLite,
synchronous=FULL), and for a node in a worker until its own code has come to its end, too. The floor is two such commits
in the same round, that of the command and that of the last event.
"""

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from statistics import median, quantiles
from types import SimpleNamespace
from typing import Any

from pit_dag_tracker import Tracker
from symphony_isolation import IsolatedExtensions, LocalExecutor, WorkerSpec
from symphony_sdk.events import NodeCompleted, NodeProgressed, RunCancelled, RunPaused
from symphony_sdk.ports import NodeCall, NodeEvent, Resources, RunRequest
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import encode

SOURCE = """
import asyncio
import threading
from symphony_sdk import Context, operator, provides_operators

@operator("bench.slow.polls")
def polls(ctx: Context) -> int:
    try:
        while True:
            ctx.progress(0.5)
            threading.Event().wait(0.01)
    finally:
        ctx.log.info("stopped")

@operator("bench.slow.awaits")
async def awaits(ctx: Context) -> int:
    try:
        ctx.progress(0.5)
        await asyncio.Event().wait()
    finally:
        ctx.log.info("stopped")

@provides_operators
def symphony_operators():
    yield from (polls, awaits)
"""
NODES = 2_000
STEP = 0.002
"""Seconds that a node takes where a run is stopped between nodes."""

Command = Callable[[Tracker, str], Coroutine[Any, Any, None]]


class Timed:
    """Reports each call after a moment; two at once."""

    name, slots, capacity = "local", 2, None

    async def start(self) -> None: ...

    def can_place(self, resources: Resources) -> bool:
        return True

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        loop = asyncio.get_running_loop()
        for place, call in enumerate(batch, 1):
            done = NodeEvent(call, "completed", outputs={"result": encode(None)}, seconds=STEP)
            loop.call_later(STEP * place, on_event, done)

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None: ...

    async def stop(self) -> None: ...


def wide() -> dict[str, Any]:
    """Many nodes of which none waits for another."""
    return {
        "schema": 2,
        "id": "wide",
        "nodes": {f"n{number}": {"kind": "operator", "uses": "bench.none.none"} for number in range(NODES)},
    }


def one(operation: str) -> dict[str, Any]:
    """A single node."""
    return {"schema": 2, "id": "one", "nodes": {"a": {"kind": "operator", "uses": operation}}}


async def steered(
    tracker: Tracker, flow: dict[str, Any], after: type, command: Command, stopped: asyncio.Event
) -> float:
    """Seconds from a command, given when a run is in the midst of its work, until nothing of the run is left."""
    if after is NodeProgressed:
        stopped.clear()
    run = await tracker.start(RunRequest(workflow=flow))
    events = tracker.events(run)
    seen = 0
    async for event in events:
        seen += isinstance(event, after)
        if seen == (20 if after is NodeCompleted else 1):
            break
    begin = time.perf_counter()
    given = asyncio.create_task(command(tracker, run))
    async for event in events:
        if isinstance(event, RunPaused | RunCancelled):
            break
    await stopped.wait()
    seconds = time.perf_counter() - begin
    await given
    return seconds


def floor(path: Path) -> float:
    """Seconds of two commits."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS rows (data BLOB)")
        begin = time.perf_counter()
        for _ in range(2):
            connection.execute("INSERT INTO rows VALUES (?)", (b"x" * 200,))
        return time.perf_counter() - begin


async def measure(directory: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each measure, in turn."""
    stopped = asyncio.Event()
    stopped.set()
    package = directory / "source"
    package.mkdir()
    (package / "bench_slow.py").write_text(SOURCE, encoding="utf-8")
    spec = WorkerSpec(
        id="bench.slow",
        version="1",
        kind="operator",
        module="bench_slow",
        data_dir=str(directory / "data"),
        fingerprint="1",
        import_path=(str(package),),
    )
    extensions = IsolatedExtensions(
        [spec],
        cache_dir=directory / "cache",
        artifacts=FakeArtifactStore,
        on_log=lambda extension, level, line: stopped.set(),
    )
    executors: dict[str, Any] = {"timed": Timed(), "local": LocalExecutor(extensions)}
    trackers = {
        name: Tracker(
            SimpleNamespace(  # type: ignore[arg-type]
                config={}, data_dir=directory / name, executors={"local": executor}, pit=SimpleNamespace()
            )
        )
        for name, executor in executors.items()
    }
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for what, name, flow, after, command in (
            ("pause, between nodes", "timed", wide(), NodeCompleted, Tracker.pause),
            ("cancel, between nodes", "timed", wide(), NodeCompleted, Tracker.cancel),
            ("cancel, a node that asks", "local", one("bench.slow.polls"), NodeProgressed, Tracker.cancel),
            ("cancel, a node that awaits", "local", one("bench.slow.awaits"), NodeProgressed, Tracker.cancel),
        ):
            seconds = await steered(trackers[name], flow, after, command, stopped)
            found.setdefault(what, []).append(seconds)
        found.setdefault("two commits (floor)", []).append(floor(directory / "floor.sqlite"))
    for tracker in trackers.values():
        await tracker.close()
    await extensions.stop()
    return found


def main() -> None:
    """Print the medians, the 99th percentiles and the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        for name in ("timed", "local", "data"):
            (Path(directory) / name).mkdir()
        found = asyncio.run(measure(Path(directory), rounds))
    least = median(found["two commits (floor)"])
    print(f"{'milliseconds':28}{'median':>9}{'p99':>9}{'to floor':>10}")
    for what, seconds in found.items():
        half, late = median(seconds), quantiles(seconds, n=100)[98]
        print(f"{what:28}{1000 * half:9.2f}{1000 * late:9.2f}{half / least:9.1f}x")


if __name__ == "__main__":
    main()

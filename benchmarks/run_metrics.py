"""What the metrics of a run say beside what the extension's own clock says, and what asking for them costs.

    uv run benchmarks/run_metrics.py [--rounds 3]

An operation in a real worker process sleeps or computes for 50 to 500 ms and writes CLOCK_MONOTONIC at its begin and its
end to a file of its own. The run has 5 layers of 8 nodes, each of which waits for three; two processes work. Errors are
those of the tracker's figures against the file's, in per cent. Then 10,000 no-op nodes are asked about: from the log,
and while the run goes on, where only what is new is read; beside what an event of the same run costs to decode.
"""

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from pit_dag_tracker import Tracker
from symphony_isolation import IsolatedExtensions, LocalExecutor, WorkerSpec
from symphony_sdk.events import NodeStarted
from symphony_sdk.ports import NodeCall, NodeEvent, RunMetrics, RunRequest
from symphony_sdk.testing.fakes import FakeArtifactStore

SOURCE = """
import time
from symphony_sdk import Context, operator, provides_operators

@operator("bench.clock.stamp")
def stamp(ctx: Context, name: str, seconds: float, compute: bool, folder: str) -> int:
    begin = time.clock_gettime(time.CLOCK_MONOTONIC)
    if compute:
        while time.clock_gettime(time.CLOCK_MONOTONIC) < begin + seconds:
            pass
    else:
        time.sleep(seconds)
    end = time.clock_gettime(time.CLOCK_MONOTONIC)
    with open(f"{folder}/{name}", "w") as file:
        file.write(f"{begin} {end}")
    return 0

@provides_operators
def symphony_operators():
    yield stamp
"""
LAYERS, WIDTH, READS = 5, 8, 3
NODES = 10_000


def above(layer: int, place: int) -> list[str]:
    return [f"n{layer - 1}-{(place + step) % WIDTH}" for step in range(READS)] if layer else []


def flow(folder: Path, seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    nodes, edges = {}, []
    for layer in range(LAYERS):
        for place in range(WIDTH):
            name = f"n{layer}-{place}"
            params = {"name": name, "seconds": draw.uniform(0.05, 0.5), "compute": draw.random() < 0.5}
            nodes[name] = {
                "kind": "operator",
                "uses": "bench.clock.stamp",
                "params": {**params, "folder": str(folder)},
            }
            edges += [{"kind": "control", "from": other, "to": name} for other in above(layer, place)]
    return {"schema": 1, "id": "clock", "nodes": nodes, "edges": edges}


def compared(metrics: RunMetrics, folder: Path) -> dict[str, list[float]]:
    """The errors of a run's metrics in per cent, and what they are in milliseconds."""
    begin, end = {}, {}
    for file in folder.iterdir():
        begin[file.name], end[file.name] = map(float, file.read_text().split())
    errors: dict[str, list[float]] = {"duration": [], "work": [], "queue": [], "queue, ms": []}
    for node in metrics.nodes:
        took = end[node.node] - begin[node.node]
        errors["duration"].append(100 * abs(node.seconds - took) / took)
        errors["work"].append(100 * abs(node.work - took) / took)
        layer, place = map(int, node.node[1:].split("-"))
        if layer:
            waited = begin[node.node] - max(end[other] for other in above(layer, place))
            errors["queue, ms"].append(1e3 * abs(node.queued - waited))
            if waited >= 0.05:
                errors["queue"].append(100 * abs(node.queued - waited) / waited)
    wall = max(end.values()) - min(begin.values())
    errors["throughput"] = [100 * abs(metrics.throughput - len(end) / wall) / (len(end) / wall)]
    work = sum(end.values()) - sum(begin.values())
    errors["parallelism"] = [100 * abs(metrics.parallelism - work / wall) / (work / wall)]
    return errors


async def against_the_clock(root: Path, rounds: int) -> None:
    (root / "bench_clock.py").write_text(SOURCE)
    spec = WorkerSpec(
        id="bench.clock",
        version="1",
        kind="operator",
        module="bench_clock",
        data_dir=str(root / "data"),
        fingerprint="1",
        import_path=(str(root),),
        workers=2,
        permissions=(f"file:write:{root}/**",),
    )
    extensions = IsolatedExtensions(
        [spec], cache_dir=root / "cache", artifacts=FakeArtifactStore, on_log=lambda *line: None
    )
    await extensions.activate("bench.clock")
    executor = LocalExecutor(extensions)
    errors: dict[str, list[float]] = {}
    for seed in range(rounds):
        stamps = root / f"stamps-{seed}"
        stamps.mkdir()
        async with opened(root / f"log-{seed}", executor) as tracker:
            run = await tracker.start(RunRequest(workflow=flow(stamps, seed)))
            async for _ in tracker.events(run):
                pass
            for name, found in compared(await tracker.metrics(run), stamps).items():
                errors.setdefault(name, []).extend(found)
    await executor.stop()
    await extensions.stop()
    print(f"{rounds} runs of {LAYERS * WIDTH} nodes of 50 to 500 ms, against CLOCK_MONOTONIC of the worker")
    for name, found in errors.items():
        unit = "ms" if name.endswith("ms") else "%"
        about = f"median {median(found):7.3f} {unit}   largest {max(found):7.3f} {unit}   of {len(found)}"
        print(f"error of {name:12} {about}")


class opened:  # noqa: N801 - used like a function
    """A tracker on a log of its own."""

    def __init__(self, directory: Path, executor: Any) -> None:
        directory.mkdir()
        services: Any = SimpleNamespace(
            config={}, data_dir=directory, executors={"local": executor}, pit=SimpleNamespace()
        )
        self.tracker = Tracker(services)

    async def __aenter__(self) -> Tracker:
        return self.tracker

    async def __aexit__(self, *error: object) -> None:
        await self.tracker.close()


class Inline:
    """Ends each call at once."""

    name, slots = "local", 2

    async def start(self) -> None: ...

    def can_place(self, resources: object) -> bool:
        return True

    def submit(self, batch: Any, on_event: Any) -> None:
        for call in batch:
            on_event(done(call))

    def cancel(self, run: str, node: str = "", *, force: bool = False) -> None: ...

    async def stop(self) -> None: ...


def done(call: NodeCall) -> NodeEvent:
    return NodeEvent(call, "completed")


async def cost(root: Path, rounds: int) -> None:
    nodes = {f"n{number}": {"kind": "operator", "uses": "bench.no.op"} for number in range(NODES)}
    request = RunRequest(workflow={"schema": 1, "id": "wide", "nodes": nodes, "edges": []})
    taken: dict[str, list[float]] = {}

    def note(name: str, begin: float) -> None:
        taken.setdefault(name, []).append(time.perf_counter() - begin)

    for number in range(rounds):
        async with opened(root / f"cost-{number}", Inline()) as tracker:
            run = await tracker.start(request)
            seen = 0
            async for event in tracker.events(run):
                seen += isinstance(event, NodeStarted)
                if seen == NODES // 2:
                    seen += 1
                    begin = time.perf_counter()
                    await tracker.metrics(run)
                    note("first question, half of the run", begin)
                    begin = time.perf_counter()
                    await tracker.metrics(run)
                    note("next question", begin)
            begin = time.perf_counter()
            await tracker.metrics(run)
            note("from the log", begin)
            begin = time.perf_counter()
            await tracker.status(run)
            note("status from the log, for comparison", begin)
    base = median(taken["status from the log, for comparison"])
    print(f"\n{NODES:,} nodes: what a question costs, median of {rounds}")
    for name, found in taken.items():
        print(f"{name:36} {median(found) * 1e3:7.0f} ms   {median(found) / base:5.2f} x status")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(against_the_clock(Path(directory), rounds))
        asyncio.run(cost(Path(directory), rounds))


if __name__ == "__main__":
    main()

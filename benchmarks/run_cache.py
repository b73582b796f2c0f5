"""What the cache of results costs a run, and what it saves: 10,000 no-op nodes on the durable log.

    uv run --with joblib --with diskcache python benchmarks/run_cache.py [--rounds 5]

The graph has 100 layers of 100 nodes that each read three of the layer before; each node has a param of its own, so
that no two calls are equal. `off` is a run whose operations are not known, so that no key is made, and `short` one whose
operation is declared short, so that its results are not worth keeping; `miss` makes a key
for every node and keeps its result; `hit` is a second run, all of whose results are found. All are measured by turns on
the event loop with FULL durability. The peers look up 10,000 results of a no-op function one after the other:
joblib.Memory keeps each in a directory of its own, diskcache in SQLite. Processor time of all threads is given: on a
busy machine it says more than the clock.
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pit_dag_tracker import Tracker
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.ports import ExtensionInfo, NodeCall, NodeEvent, Resources, RunRequest
from symphony_sdk.values import encode

LAYERS, WIDTH, READS = 100, 100, 3
NODES = LAYERS * WIDTH
RESULT = {"result": encode(7)}


class Inline:
    """Calls the operation on the event loop."""

    name, slots = "local", 2

    def __init__(self) -> None:
        self.calls = 0

    async def start(self) -> None: ...

    def can_place(self, resources: Resources) -> bool:
        return True

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        self.calls += len(batch)
        for call in batch:
            on_event(NodeEvent(call=call, kind="completed", outputs=RESULT))

    def cancel(self, run: str, node: str = "", *, force: bool = False) -> None: ...

    async def stop(self) -> None: ...


class Installed:
    """Brings the operation, unless it is not known."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    async def operations(self) -> dict[str, OperationSpec]:
        no_op = OperationSpec("b.b.no-op", "operator", short=self.kind == "short")
        return {} if self.kind == "off" else {no_op.id: no_op}

    async def extensions(self) -> list[ExtensionInfo]:
        return [ExtensionInfo("b.b", "1", "operator", "active")]


def flow() -> dict[str, Any]:
    """The layered graph."""
    nodes = {
        f"n{layer:03}-{place:03}": {
            "kind": "operator",
            "uses": "b.b.no-op",
            "params": {"own": layer * WIDTH + place},
        }
        for layer in range(LAYERS)
        for place in range(WIDTH)
    }
    edges = [
        {
            "from": f"n{layer - 1:03}-{(place + step * 37) % WIDTH:03}.result",
            "to": f"n{layer:03}-{place:03}.p{step}",
        }
        for layer in range(1, LAYERS)
        for place in range(WIDTH)
        for step in range(READS)
    ]
    return {"schema": 2, "id": "cached", "nodes": nodes, "edges": edges}


async def run(directory: Path, request: RunRequest, kind: str) -> tuple[float, float, int]:
    """Microseconds a node by the clock and of processor time, without load and start, and the calls made."""
    executor = Inline()
    services: Any = SimpleNamespace(
        config={},
        data_dir=directory,
        executors={"local": executor},
        pit=SimpleNamespace(),
        extensions=Installed(kind),
    )
    tracker = Tracker(services)
    try:
        gc.collect()
        run = await tracker.start(request)
        clock, cpu = time.perf_counter(), time.process_time()
        async for _ in tracker.events(run):
            pass
        return (
            (time.perf_counter() - clock) * 1e6 / NODES,
            (time.process_time() - cpu) * 1e6 / NODES,
            executor.calls,
        )
    finally:
        await tracker.close()


def ours(rounds: int) -> dict[str, tuple[float, float]]:
    """Medians of each kind: by the clock, and of processor time."""
    request = RunRequest(flow())
    found: dict[str, list[tuple[float, float]]] = {"off": [], "short": [], "miss": [], "hit": []}
    for _ in range(rounds):
        for kinds in (("off",), ("short",), ("miss", "hit")):
            with tempfile.TemporaryDirectory() as directory:
                for kind in kinds:
                    clock, cpu, calls = asyncio.run(run(Path(directory), request, kind))
                    assert calls == (0 if kind == "hit" else NODES)
                    found[kind].append((clock, cpu))
    return {
        kind: (statistics.median(clock for clock, _ in both), statistics.median(cpu for _, cpu in both))
        for kind, both in found.items()
    }


def no_op(own: int) -> int:
    """The work of each node."""
    return 7


def peers() -> dict[str, float]:
    """Microseconds of processor time of a look-up that finds a result, where the peer is installed."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        try:
            from joblib import Memory
        except ImportError:
            print("joblib is not installed")
        else:
            remembered = Memory(directory, verbose=0).cache(no_op)
            found["joblib.Memory"] = timed(remembered)
    with tempfile.TemporaryDirectory() as directory:
        try:
            from diskcache import Cache
        except ImportError:
            print("diskcache is not installed")
        else:
            with Cache(directory) as cache:
                found["diskcache"] = timed(cache.memoize()(no_op))
    return found


def timed(function: Callable[[int], int]) -> float:
    """Microseconds of processor time a call, once every result is there."""
    for number in range(NODES):
        function(number)
    start = time.process_time()
    for number in range(NODES):
        function(number)
    return (time.process_time() - start) * 1e6 / NODES


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    medians = ours(parser.parse_args().rounds)
    print(f"{NODES:,} no-op nodes, FULL durability, microseconds a node: clock / processor")
    for kind, (clock, cpu) in medians.items():
        print(f"  {kind:<14} {clock:8.1f} {cpu:8.1f}")
    cost = medians["miss"][1] - medians["off"][1]
    print(
        f"  a key and its result kept: {cost:.1f} a node, {medians['miss'][1] / medians['off'][1]:.2f} x off"
    )
    print(f"  a run of hits / one without the cache: {medians['hit'][1] / medians['off'][1]:.2f} x")
    for name, micros in peers().items():
        print(
            f"  {name}: {micros:.1f} a look-up; a whole node of ours that hits: {medians['hit'][1] / micros:.2f} x"
        )


if __name__ == "__main__":
    main()

"""10,000 no-op nodes with a durable log and three followers, beside dask's threaded scheduler and a bare loop.

    uv run --with dask python benchmarks/dag_tracker.py [--rounds 5]

The graph has 100 layers of 100 nodes; each node reads three of the layer before. `inline` calls the operation on
the event loop; `threads` sends each batch to a pool of two threads. The log is SQLite with synchronous=FULL, and a
run has ended when its last event is on the disk. The floor is Kahn's algorithm calling the same function: no
states, no events, no log. Wall time and processor time (all threads) are given: on a busy machine only the second
says much.
"""

import argparse
import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pit_dag_tracker import Tracker
from symphony_sdk.ports import NodeCall, NodeEvent, Resources, RunRequest
from symphony_sdk.values import encode

LAYERS, WIDTH, READS = 100, 100, 3
NODES = LAYERS * WIDTH
FOLLOWERS = 3
NOTHING = encode(None)


def sources(layer: int, place: int) -> list[tuple[int, int]]:
    """The nodes that a node reads."""
    return [(layer - 1, (place + step * 37) % WIDTH) for step in range(READS)] if layer else []


def no_op(*values: object) -> None:
    """The work of each node."""


class InlineExecutor:
    """Calls the operation on the event loop."""

    name, slots = "local", 2

    async def start(self) -> None: ...

    def can_place(self, resources: Resources) -> bool:
        return True

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        for call in batch:
            on_event(finished(call))

    def cancel(self, run: str, node: str = "", *, force: bool = False) -> None: ...

    async def stop(self) -> None: ...


class ThreadExecutor(InlineExecutor):
    """Calls the operations of a batch in one of two threads."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(self.slots)

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        loop = asyncio.get_running_loop()

        def report(events: list[NodeEvent]) -> None:
            for event in events:
                on_event(event)

        def work() -> None:
            events = [finished(call) for call in batch]
            loop.call_soon_threadsafe(report, events)

        self.pool.submit(work)


def finished(call: NodeCall) -> NodeEvent:
    began = time.perf_counter()
    no_op(*call.inputs.values())
    seconds = time.perf_counter() - began
    return NodeEvent(call=call, kind="completed", outputs={"result": NOTHING}, seconds=seconds)


def document() -> dict[str, Any]:
    nodes, edges = {}, []
    for layer in range(LAYERS):
        for place in range(WIDTH):
            name = f"n{layer:03}-{place:03}"
            nodes[name] = {"kind": "operator", "uses": "bench.flow.no-op"}
            for port, (above, other) in enumerate(sources(layer, place)):
                edges.append({"from": f"n{above:03}-{other:03}.result", "to": f"{name}.p{port}"})
    return {"schema": 1, "id": "layered", "nodes": nodes, "edges": edges}


Taken = tuple[float, float]
"""Seconds on the clock and of the processor."""


def now() -> Taken:
    return time.perf_counter(), time.process_time()


def since(began: Taken) -> Taken:
    clock, processor = now()
    return clock - began[0], processor - began[1]


def tracker_round(executor: Any, request: RunRequest) -> tuple[Taken, float]:
    """What it takes from the durable start to the durable end, and the seconds of loading the workflow."""

    async def story(directory: str) -> tuple[Taken, float]:
        services: Any = SimpleNamespace(
            config={}, data_dir=Path(directory), executors={"local": executor}, pit=SimpleNamespace()
        )
        tracker = Tracker(services)
        asked = time.perf_counter()
        run = await tracker.start(request)
        load = time.perf_counter() - asked
        began = now()

        async def follow() -> int:
            return sum([1 async for _ in tracker.events(run)])

        seen = await asyncio.gather(*(follow() for _ in range(FOLLOWERS)))
        taken = since(began)
        if set(seen) != {2 * NODES + 2}:
            raise AssertionError(f"followers saw {seen} events")
        await tracker.close()
        return taken, load

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        return asyncio.run(story(directory))


def floor_round() -> Taken:
    children: list[list[int]] = [[] for _ in range(NODES)]
    waits = [0] * NODES
    for layer in range(LAYERS):
        for place in range(WIDTH):
            for above, other in sources(layer, place):
                children[above * WIDTH + other].append(layer * WIDTH + place)
                waits[layer * WIDTH + place] += 1
    began = now()
    ready = [node for node in range(NODES) if not waits[node]]
    while ready:
        node = ready.pop()
        no_op()
        for child in children[node]:
            waits[child] -= 1
            if not waits[child]:
                ready.append(child)
    return since(began)


def dask_round() -> Taken | None:
    try:
        from dask import threaded
    except ImportError:
        return None
    graph: dict[Any, Any] = {
        (layer, place): (no_op, *sources(layer, place)) for layer in range(LAYERS) for place in range(WIDTH)
    }
    last = [(LAYERS - 1, place) for place in range(WIDTH)]
    began = now()
    threaded.get(graph, last, num_workers=2)
    return since(began)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    request = RunRequest(workflow=document())
    taken: dict[str, list[Taken]] = {}
    loads: list[float] = []
    for _ in range(rounds):
        for name, executor in (("inline", InlineExecutor()), ("threads", ThreadExecutor())):
            gc.collect()
            seconds, load = tracker_round(executor, request)
            taken.setdefault(f"pit-dag-tracker, {name}", []).append(seconds)
            loads.append(load)
        for name, peer in (("dask.threaded", dask_round()), ("bare Kahn loop", floor_round())):
            if peer is not None:
                taken.setdefault(name, []).append(peer)
    print(
        f"{NODES:,} no-op nodes, {LAYERS} layers, {FOLLOWERS} followers; median of {rounds} rounds, us a node"
    )
    medians = {
        name: [statistics.median(column) / NODES * 1e6 for column in zip(*each, strict=True)]
        for name, each in taken.items()
    }
    dask = medians.get("dask.threaded")
    for name, (clock, processor) in medians.items():
        low, high = (bound(one for one, _ in taken[name]) / NODES * 1e6 for bound in (min, max))
        ratio = f"  {clock / dask[0]:.3f}x and {processor / dask[1]:.3f}x of dask" if dask else ""
        print(f"{name:26} clock {clock:7.1f} ({low:.1f} to {high:.1f})  processor {processor:7.1f}{ratio}")
    print(f"loading the workflow and the durable start: {statistics.median(loads) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()

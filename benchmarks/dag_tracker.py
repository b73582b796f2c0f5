"""No-op nodes with a durable log and three followers, beside dask, LangGraph and a bare loop, in three shapes.

    uv run --with dask --with langgraph --with langgraph-checkpoint-sqlite python benchmarks/dag_tracker.py [--rounds 5]

`wide` is one node, then all others, then one; `layered` has 100 layers, each node of which reads three of the layer
before; in `chain` each node reads the one before. `inline` calls the operation on the event loop; `threads` sends each
batch to a pool of two threads. The log is SQLite with synchronous=FULL, and a run has ended when its last event is on
the disk. The floor is Kahn's algorithm calling the same function: no states, no events, no log. Wall time and processor
time (all threads) are given: on a busy machine only the second says much. LangGraph runs 1,000 nodes of the same shape,
because 10,000 take it minutes; its saver is told to keep every step in SQLite, as it does when nothing is said.
"""

import argparse
import asyncio
import gc
import importlib.util
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

LAYERS, READS = 100, 3
NODES, FEW = 10_000, 1_000
FOLLOWERS = 3
NOTHING = encode(None)

Graph = list[list[int]]
"""The nodes that each node reads, by number; each has a larger number than those that it reads."""


def wide(nodes: int) -> Graph:
    return [[], *([0] for _ in range(nodes - 2)), list(range(1, nodes - 1))]


def layered(nodes: int) -> Graph:
    width = nodes // LAYERS
    return [
        [(layer - 1) * width + (place + step * 37) % width for step in range(READS)] if layer else []
        for layer in range(LAYERS)
        for place in range(width)
    ]


def chain(nodes: int) -> Graph:
    return [[number - 1] if number else [] for number in range(nodes)]


SHAPES: dict[str, Callable[[int], Graph]] = {"wide": wide, "layered": layered, "chain": chain}


def no_op(*values: object) -> None:
    """The work of each node."""


class InlineExecutor:
    """Calls the operation on the event loop."""

    name, slots = "local", 2

    async def start(self) -> None: ...

    def can_place(self, resources: Resources) -> bool:
        return True

    def chains(self, first: str, then: str) -> bool:
        return True

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        for event in run(batch):
            on_event(event)

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
            events = run(batch)
            loop.call_soon_threadsafe(report, events)

        self.pool.submit(work)


def run(batch: Sequence[NodeCall]) -> list[NodeEvent]:
    """Run calls one after the other, each link of a chain with what the one before it gave."""
    events: list[NodeEvent] = []
    for call in batch:
        inputs = call.inputs
        if call.takes is not None:
            before = events[-1].outputs
            inputs = inputs | {port: before[source] for port, source in call.takes.items()}
        events.append(finished(call, inputs))
    return events


def finished(call: NodeCall, inputs: dict[str, bytes]) -> NodeEvent:
    began = time.perf_counter()
    no_op(*inputs.values())
    seconds = time.perf_counter() - began
    return NodeEvent(call=call, kind="completed", outputs={"result": NOTHING}, seconds=seconds)


def document(graph: Graph) -> dict[str, Any]:
    nodes = {
        f"n{number:06}": {"kind": "operator", "uses": "bench.flow.no-op"} for number in range(len(graph))
    }
    edges = [
        {"from": f"n{source:06}.result", "to": f"n{number:06}.p{port}"}
        for number, sources in enumerate(graph)
        for port, source in enumerate(sources)
    ]
    return {"schema": 2, "id": "no-ops", "nodes": nodes, "edges": edges}


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
        if set(seen) != {2 * len(request.workflow["nodes"]) + 2}:
            raise AssertionError(f"followers saw {seen} events")
        await tracker.close()
        return taken, load

    with tempfile.TemporaryDirectory(prefix=".dag-tracker-", dir=Path.cwd()) as directory:
        return asyncio.run(story(directory))


def floor_round(graph: Graph) -> Taken:
    children: list[list[int]] = [[] for _ in graph]
    waits = [len(sources) for sources in graph]
    for node, sources in enumerate(graph):
        for source in sources:
            children[source].append(node)
    began = now()
    ready = [node for node, count in enumerate(waits) if not count]
    while ready:
        node = ready.pop()
        no_op()
        for child in children[node]:
            waits[child] -= 1
            if not waits[child]:
                ready.append(child)
    return since(began)


def dask_round(graph: Graph) -> Taken:
    from dask import threaded

    tasks: dict[Any, Any] = {
        f"n{number}": (no_op, *(f"n{one}" for one in sources)) for number, sources in enumerate(graph)
    }
    read = {source for sources in graph for source in sources}
    began = now()
    threaded.get(tasks, [f"n{number}" for number in range(len(graph)) if number not in read], num_workers=2)
    return since(began)


def langgraph_round(graph: Graph, directory: str | None) -> Taken:
    """A round of LangGraph: in memory, or with its saver in a directory."""
    import operator
    from typing import Annotated, TypedDict

    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, StateGraph

    class State(TypedDict):
        done: Annotated[int, operator.add]

    builder = StateGraph(State)
    for number in range(len(graph)):
        builder.add_node(f"n{number}", lambda state: {"done": 1})
    for number, sources in enumerate(graph):
        builder.add_edge([f"n{one}" for one in sources] if sources else START, f"n{number}")
    builder.add_edge(f"n{len(graph) - 1}", END)
    config: Any = {"recursion_limit": 2 * len(graph), "configurable": {"thread_id": "bench"}}
    if directory is None:
        flow = builder.compile()
        began = now()
        flow.invoke({"done": 0}, config)
        return since(began)
    with SqliteSaver.from_conn_string(f"{directory}/langgraph.sqlite") as saver:
        flow = builder.compile(checkpointer=saver)
        began = now()
        flow.invoke({"done": 0}, config)
        return since(began)


def in_a_directory(peer: Callable[[Graph, str | None], Taken], graph: Graph) -> Taken:
    with tempfile.TemporaryDirectory(prefix=".dag-tracker-", dir=Path.cwd()) as directory:
        return peer(graph, directory)


def measured(shape: str, rounds: int) -> None:
    """Measure everything in one shape, in turns, and print the medians."""
    graph, small = SHAPES[shape](NODES), SHAPES[shape](FEW)
    request = RunRequest(workflow=document(graph))
    contestants: dict[str, tuple[int, Callable[[], Taken]]] = {
        "inline": (NODES, lambda: tracker_round(InlineExecutor(), request)[0]),
        "threads": (NODES, lambda: tracker_round(ThreadExecutor(), request)[0]),
        "bare Kahn loop": (NODES, lambda: floor_round(graph)),
    }
    if importlib.util.find_spec("dask"):
        contestants["dask.threaded"] = NODES, lambda: dask_round(graph)
    if importlib.util.find_spec("langgraph"):
        contestants["LangGraph in memory"] = FEW, lambda: langgraph_round(small, None)
        contestants["LangGraph, SqliteSaver"] = FEW, lambda: in_a_directory(langgraph_round, small)
    taken: dict[str, list[Taken]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, (_, contest) in contestants.items():
            gc.collect()
            taken[name].append(contest())
    medians = {
        name: [statistics.median(column) / contestants[name][0] * 1e6 for column in zip(*each, strict=True)]
        for name, each in taken.items()
    }
    print(f"{shape}: us a node, median of {rounds} rounds; inline and threads over it on the clock")
    for name, (clock, processor) in medians.items():
        ratios = [medians[one][0] / clock for one in ("inline", "threads")]
        print(
            f"  {name:24} clock {clock:8.1f}  processor {processor:8.1f}"
            f"   {ratios[0]:7.3f}x  {ratios[1]:7.3f}x  ({contestants[name][0]:,} nodes)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", choices=SHAPES, action="append")
    arguments = parser.parse_args()
    for shape in arguments.shape or SHAPES:
        measured(shape, arguments.rounds)


if __name__ == "__main__":
    main()

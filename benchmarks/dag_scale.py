"""What a large run costs beside its time: memory a node, recovery from the log, growth to 100,000 nodes, event latency.

    uv run python benchmarks/dag_scale.py [--nodes 10000 100000]

The graph is the layered one of `dag_tracker.py`. Memory is what `tracemalloc` counts: what a run keeps of its workflow,
with the states of its nodes, and the most that it holds beside that, the events for its followers included. Recovery is
from a log in which all nodes but one are completed to the moment when that one is handed out. Latency is from the end of a node in its thread to the
follower that sees it completed, with no-op nodes and with nodes that compute for a millisecond in two threads (with the
interval between threads that Symphony's host sets).
"""

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from dag_tracker import (
    FOLLOWERS,
    LAYERS,
    InlineExecutor,
    ThreadExecutor,
    document,
    finished,
    layered,
    since,
    tracker_round,
)
from dag_tracker import now as moment
from pit_dag_tracker import Tracker
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.wiring import Wiring
from symphony_sdk.errors import Cancelled
from symphony_sdk.events import NodeCompleted
from symphony_sdk.ports import NodeCall, NodeEvent, RunRequest
from symphony_workflow.document import from_document

Result = TypeVar("Result")

AIM = 50.0
"""Milliseconds that the recovery of 10,000 nodes may take; of more nodes, as much more."""

SWITCH_INTERVAL = 0.0005
"""Seconds; what symphony_host.composition sets."""


@asynccontextmanager
async def tracker_in(directory: str, executor: Any) -> AsyncIterator[Tracker]:
    services: Any = SimpleNamespace(
        config={}, data_dir=Path(directory), executors={"local": executor}, pit=SimpleNamespace()
    )
    tracker = Tracker(services)
    try:
        yield tracker
    finally:
        await tracker.close()


class AllButTheLast(InlineExecutor):
    """Completes every node but the one with the largest number, and says when that is handed out."""

    def __init__(self, nodes: int) -> None:
        self.last = f"n{nodes - 1:06}"
        self.reached = asyncio.Event()

    def chains(self, first: str, then: str) -> bool:
        return False

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        for call in batch:
            if call.node == self.last:
                self.held = call, on_event
                self.reached.set()
            else:
                on_event(finished(call, call.inputs))

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None:
        call, on_event = self.held
        on_event(NodeEvent(call, "failed", error=Cancelled("cancelled").payload()))


class Stamping(ThreadExecutor):
    """Notes when each node ended in its thread."""

    def __init__(self, work: float) -> None:
        super().__init__()
        self.work = work
        self.ended: dict[str, float] = {}

    def chains(self, first: str, then: str) -> bool:
        return False

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        loop = asyncio.get_running_loop()

        def work() -> None:
            for call in batch:
                until = time.thread_time() + self.work
                while self.work and time.thread_time() < until:
                    pass
                event = finished(call, call.inputs)
                self.ended[call.node] = time.perf_counter()
                loop.call_soon_threadsafe(on_event, event)

        self.pool.submit(work)


def played(story: Callable[[str], Coroutine[Any, Any, Result]]) -> Result:
    """What a story gives that is played in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix=".dag-tracker-", dir=Path.cwd()) as directory:
        return asyncio.run(story(directory))


async def all_events(tracker: Tracker, run: str) -> int:
    return sum([1 async for _ in tracker.events(run)])


def memory(nodes: int, request: RunRequest) -> None:
    most: list[int] = []

    async def story(directory: str) -> None:
        async with tracker_in(directory, InlineExecutor()) as tracker:
            run = await tracker.start(request)
            gc.collect()
            tracemalloc.reset_peak()
            await all_events(tracker, run)
            most.append(tracemalloc.get_traced_memory()[1])

    Graph(from_document(document(layered(LAYERS))))  # the modules that read documents are no part of a run
    tracemalloc.start()
    ledger = Ledger(Graph(from_document(request.workflow)))
    wiring = Wiring(ledger.graph, {})
    gc.collect()
    state = tracemalloc.get_traced_memory()[0]
    del wiring, ledger
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    played(story)
    tracemalloc.stop()
    kept = (state - before) / nodes
    print(
        f"  memory a node: {kept:,.0f} B of the workflow and the states, at most"
        f" {(most[0] - before) / nodes - kept:,.0f} B more while the run goes on"
    )


def recovery(nodes: int, request: RunRequest) -> None:
    async def story(directory: str) -> tuple[float, float]:
        executor = AllButTheLast(nodes)
        async with tracker_in(directory, executor) as tracker:
            run = await tracker.start(request)
            await executor.reached.wait()
        executor = AllButTheLast(nodes)
        async with tracker_in(directory, executor) as tracker:
            began = moment()
            await tracker.resume(run)
            await executor.reached.wait()
            return since(began)

    clock, processor = (
        statistics.median(each) * 1e3 for each in zip(*[played(story) for _ in range(3)], strict=True)
    )
    began = moment()
    Graph(from_document(request.workflow))
    read = since(began)[0] * 1e3
    aim = AIM * nodes / 10_000
    print(
        f"  recovery: {clock:,.0f} ms on the clock, {processor:,.0f} of processor: {clock / aim:.2f} of the"
        f" {aim:,.0f} ms that it may take; reading the workflow's document would take {read:,.0f} more"
    )


def speed(nodes: int, request: RunRequest) -> float:
    clock, processor = (
        statistics.median(each) / nodes * 1e6
        for each in zip(*[tracker_round(InlineExecutor(), request)[0] for _ in range(3)], strict=True)
    )
    print(
        f"  inline, {FOLLOWERS} followers: {clock:.1f} us a node on the clock, {processor:.1f} of processor"
    )
    return processor


def latency(nodes: int, work: float) -> None:
    request = RunRequest(workflow=document(layered(nodes)))

    async def story(directory: str) -> list[float]:
        executor = Stamping(work)
        async with tracker_in(directory, executor) as tracker:
            run = await tracker.start(request)
            return [
                time.perf_counter() - executor.ended[event.node]
                async for event in tracker.events(run)
                if isinstance(event, NodeCompleted)
            ]

    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    late = sorted(played(story))
    sys.setswitchinterval(usual)
    half, most = (late[int(len(late) * share)] * 1e3 for share in (0.5, 0.99))
    print(
        f"event latency, {nodes:,} nodes of {work * 1e3:g} ms in two threads: p50 {half:.2f}, p99 {most:.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[10_000, 100_000])
    taken = []
    for nodes in parser.parse_args().nodes:
        request = RunRequest(workflow=document(layered(nodes)))
        print(f"{nodes:,} nodes")
        taken.append(speed(nodes, request))
        recovery(nodes, request)
        memory(nodes, request)
    print(f"growth from the fewest nodes to the most: {taken[-1] - taken[0]:+.1f} us a node of processor")
    latency(5_000, 0.0)
    latency(1_000, 0.001)


if __name__ == "__main__":
    main()

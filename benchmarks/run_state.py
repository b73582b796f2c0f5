"""What a change of state costs in a run, how soon its event is seen, and how soon a command takes effect.

    uv run python benchmarks/run_state.py [--rounds 7]

`transition + event` lets the attempts at nodes begin and end in a journal without a follower and without a log:
the state advances by the tables, the event is made, numbered, kept for followers and put down for the log. The floor
sets a value in a dict and appends a tuple to a list. `event seen` is the time from an operation's report to a
follower of the same process, and to one of another process, which sees it when it is on the disk. `command` is the
time from asking in another process until the answer that it has taken effect and is durable.
"""

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pit_dag_tracker import Tracker
from pit_dag_tracker.feed import Feed
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.journal import Journal
from pit_dag_tracker.ledger import Ledger
from symphony_sdk.events import NodeCompleted, NodeStarted, RunStarted
from symphony_sdk.ports import NodeCall, NodeEvent, Resources, RunRequest
from symphony_sdk.values import encode
from symphony_workflow import from_document

NODES = 10_000
EVENTS = 200
STEP = 0.005
"""Seconds that each operation of the latency runs takes."""

NOTHING = encode(None)


def document(count: int) -> dict[str, Any]:
    """A chain of nodes."""
    names = [f"n{number:05}" for number in range(count)]
    return {
        "schema": 1,
        "id": "chain",
        "nodes": {name: {"kind": "operator", "uses": "bench.state.step"} for name in names},
        "edges": [{"kind": "control", "from": one, "to": other} for one, other in itertools.pairwise(names)],
    }


def transition_round() -> float:
    """Seconds of one change of state with its event."""

    async def story() -> float:
        ledger = new_ledger()
        ledger.apply(RunStarted(run="r", sequence=1, at=time.time(), workflow="chain", nodes=NODES))

        async def read(after: int, until: int) -> list[Any]:
            return []

        nothing: Callable[..., None] = lambda *_: None  # noqa: E731 - the four callbacks of a journal
        journal = Journal(
            "r", ledger, Feed(1, read), SimpleNamespace(), on_room=nothing, on_failure=nothing, on_end=nothing  # type: ignore[arg-type]
        )  # fmt: skip
        names = ledger.graph.names
        began = time.perf_counter()
        for number, name in enumerate(names):
            ledger.ready(number)
            sequence, at = journal.next()
            journal.emit(NodeStarted(run="r", sequence=sequence, at=at, node=name))
            sequence, at = journal.next()
            journal.emit(NodeCompleted(run="r", sequence=sequence, at=at, node=name, seconds=0.0))
        return (time.perf_counter() - began) / (2 * len(names))

    return asyncio.run(story())


def floor_round() -> float:
    """Seconds of setting a value in a dict and appending to a list."""
    states: dict[str, str] = {}
    events: list[tuple[Any, ...]] = []
    names = [f"n{number:05}" for number in range(NODES)]
    began = time.perf_counter()
    for name in names:
        states[name] = "running"
        events.append(("started", name, time.time()))
        states[name] = "completed"
        events.append(("completed", name, time.time()))
    return (time.perf_counter() - began) / (2 * len(names))


def new_ledger() -> Ledger:
    """The ledger of a run of the chain."""
    return Ledger(Graph(from_document(document(NODES))))


class Timed:
    """Reports each call after a moment, and notes when."""

    name, slots = "local", 1

    def __init__(self) -> None:
        self.reported: dict[str, float] = {}

    async def start(self) -> None: ...

    def can_place(self, resources: Resources) -> bool:
        return True

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        loop = asyncio.get_running_loop()
        for place, call in enumerate(batch, 1):
            loop.call_later(STEP * place, self._report, call, on_event)

    def _report(self, call: NodeCall, on_event: Callable[[NodeEvent], None]) -> None:
        self.reported[call.node] = time.time()
        on_event(NodeEvent(call=call, kind="completed", outputs={"result": NOTHING}, seconds=STEP))

    def cancel(self, run: str, node: str = "", *, force: bool = False) -> None: ...

    async def stop(self) -> None: ...


def tracker_in(directory: str, executor: Any) -> Tracker:
    """A tracker whose log is in a directory."""
    services: Any = SimpleNamespace(
        config={}, data_dir=Path(directory), executors={"local": executor}, pit=SimpleNamespace()
    )
    return Tracker(services)


async def delays(tracker: Tracker, run: str, reported: dict[str, float]) -> list[float]:
    """Seconds from the report of each node to its event."""
    seen: dict[str, float] = {}
    async for event in tracker.events(run):
        if isinstance(event, NodeCompleted):
            seen[event.node] = time.time()
    return [seen[node] - at for node, at in reported.items()]


def worker(directory: str, pipe: Any) -> None:
    """The other process: works on a run and tells its id, then when each node reported."""

    async def story() -> None:
        executor = Timed()
        tracker = tracker_in(directory, executor)
        run = await tracker.start(RunRequest(workflow=document(EVENTS)))
        pipe.send(run)
        async for _ in tracker.events(run):
            pass
        pipe.send(executor.reported)
        await asyncio.to_thread(pipe.recv)
        await tracker.close()

    asyncio.run(story())


def here_round() -> list[float]:
    """Delays of the events of a run in this process."""

    async def story(directory: str) -> list[float]:
        executor = Timed()
        tracker = tracker_in(directory, executor)
        run = await tracker.start(RunRequest(workflow=document(EVENTS)))
        found = await delays(tracker, run, executor.reported)
        await tracker.close()
        return found

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        return asyncio.run(story(directory))


@contextlib.contextmanager
def other_process(directory: str) -> Any:
    """A run in another process: the pipe to it and the run's id."""
    context = multiprocessing.get_context("spawn")
    pipe, end = context.Pipe()
    process = context.Process(target=worker, args=(directory, end))
    process.start()
    try:
        yield pipe, pipe.recv()
    finally:
        pipe.send("end")
        process.join()


def there_round() -> tuple[list[float], list[float]]:
    """Delays of the events of a run in another process, and seconds of commands to it."""

    async def story(directory: str, pipe: Any, run: str) -> tuple[list[float], list[float]]:
        tracker = tracker_in(directory, Timed())
        commands = []
        following = asyncio.create_task(seen_there(tracker, run))
        for command in ("pause", "resume") * 5:
            began = time.perf_counter()
            await (tracker.pause(run) if command == "pause" else tracker.resume(run))
            commands.append(time.perf_counter() - began)
        seen = await following
        reported = await asyncio.to_thread(pipe.recv)
        await tracker.close()
        return [seen[node] - at for node, at in reported.items() if node in seen], commands

    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory, other_process(directory) as (pipe, run):
        return asyncio.run(story(directory, pipe, run))


async def seen_there(tracker: Tracker, run: str) -> dict[str, float]:
    """When each node's event was seen here."""
    seen: dict[str, float] = {}
    async for event in tracker.events(run):
        if isinstance(event, NodeCompleted):
            seen[event.node] = time.time()
    return seen


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share of all values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    ours = [transition_round() for _ in range(rounds)]
    floor = [floor_round() for _ in range(rounds)]
    a, b = statistics.median(ours), statistics.median(floor)
    print(
        f"transition + event, no subscriber   {a * 1e6:6.2f} us (best {min(ours) * 1e6:.2f})   "
        f"bare dict + list {b * 1e6:.2f} us   {a / b:.1f}x"
    )
    tell("event seen in the same process", [delay for _ in range(rounds) for delay in here_round()])
    there, commands = [], []
    for _ in range(max(1, rounds // 2)):
        delays_there, taken = there_round()
        there += delays_there
        commands += taken
    tell("event seen in another process", there)
    tell("command answered by another process", commands)


def tell(what: str, seconds: Sequence[float]) -> None:
    """Print the spread of some times."""
    p50, p99, worst = (
        1e3 * value for value in (percentile(seconds, 0.5), percentile(seconds, 0.99), max(seconds))
    )
    print(f"{what:35} p50 {p50:6.2f} ms   p99 {p99:.2f} ms   worst {worst:.2f} ms")


if __name__ == "__main__":
    main()

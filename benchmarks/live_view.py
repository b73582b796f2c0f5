"""What it costs to look at a run of 10,000 nodes: an event, a picture, and the whole run beside `--quiet`.

    uv run python benchmarks/live_view.py [--rounds 5]

The graph has 100 layers of 100 no-op nodes, which the real tracker runs on the event loop with its durable log; it is
followed as `symphony run` follows it, by a display that draws nothing (the floor), by the live picture on a terminal
of 120 columns and 40 rows, and by the plain lines of a pipe. Processor time of all threads is told: on a busy machine
it says more than the time that passes. The picture is also drawn at 100, 10,000 and 100,000 nodes.
"""

import argparse
import asyncio
import contextlib
import gc
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pit_dag_tracker import Tracker
from rich.console import Console
from symphony_core import SymphonyCore
from symphony_host.cli.displays import Display, PlainLines, Silence
from symphony_host.cli.following import follow
from symphony_host.cli.live import LivePicture
from symphony_host.cli.picture import picture
from symphony_host.cli.run_view import RunView
from symphony_host.cli.signs import UNICODE
from symphony_host.run_shape import RunShape
from symphony_host.timeline import timeline_of, to_html, to_svg
from symphony_sdk.events import NodeCompleted, NodeStarted, RunEvent, RunStarted
from symphony_sdk.ports import NodeCall, NodeEvent, NodeStatus, Resources, RunRequest, RunStatus
from symphony_sdk.testing.fakes import FakeExtensions
from symphony_sdk.values import encode

WIDTH = 100
NOTHING = encode(None)


def document(nodes: int) -> dict[str, Any]:
    """Layers of 100 nodes, each of which waits for three of the layer before."""
    names = [f"n{number:06}" for number in range(nodes)]
    edges = [
        {
            "from": names[number - WIDTH - number % WIDTH + (number + step * 37) % WIDTH],
            "to": name,
            "kind": "control",
        }
        for number, name in enumerate(names)
        for step in range(3 if number >= WIDTH else 0)
    ]
    return {
        "schema": 1,
        "id": "layered",
        "nodes": {name: {"kind": "operator", "uses": "bench.nothing.at-all"} for name in names},
        "edges": edges,
    }


class InlineExecutor:
    """Completes each call on the event loop."""

    name, slots = "local", 2

    async def start(self) -> None: ...

    def can_place(self, resources: Resources) -> bool:
        return True

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        for call in batch:
            on_event(NodeEvent(call, "completed", outputs={"result": NOTHING}))

    def cancel(self, run: str, node: str = "", *, force: bool = False) -> None: ...

    async def stop(self) -> None: ...


async def followed(request: RunRequest, make: Callable[[RunStatus], Display]) -> tuple[float, list[RunEvent]]:
    """Processor seconds of a run and of looking at it, and its events."""
    with tempfile.TemporaryDirectory() as folder:
        executors = {"local": InlineExecutor()}
        services: Any = SimpleNamespace(
            config={},
            data_dir=Path(folder),
            executors=executors,
            pit=SimpleNamespace(),
            extensions=FakeExtensions(),
        )
        tracker = Tracker(services)
        core = SymphonyCore(
            pit=SimpleNamespace(tracker=tracker),  # type: ignore[arg-type] # the other components are not used
            extensions=FakeExtensions(),
            executors=executors,
        )
        gc.collect()
        begun = time.process_time()
        run = await tracker.start(request)
        display = make(await tracker.status(run))
        outcome, _ = await follow(core, run, display)
        spent = time.process_time() - begun
        assert outcome.status.state == "completed"
        events = [event async for event in tracker.events(run)]
        await tracker.close()
        return spent, events


def terminal() -> Console:
    return Console(file=io.StringIO(), width=120, height=40, force_terminal=True, color_system="truecolor")


def median_ms(rounds: int, work: Callable[[], object]) -> float:
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - begun))
    return statistics.median(taken)


def half_done(nodes: int) -> RunView:
    shape = RunShape.of_document(document(nodes))
    view = RunView([NodeStatus(name, "pending") for name in shape.levels], shape, "r")
    view.see(RunStarted(run="r", sequence=1, at=100.0, workflow="w", nodes=nodes))
    for number, name in enumerate(list(shape.levels)[: nodes // 2 + 50]):
        view.see(NodeStarted(run="r", sequence=1, at=100.0 + number, node=name))
        if number < nodes // 2:
            view.see(NodeCompleted(run="r", sequence=1, at=100.0 + number, node=name, seconds=0.1))
    return view


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    request = RunRequest(document(10_000))
    shape = RunShape.of_document(request.workflow)

    def live(status: RunStatus) -> Display:
        return LivePicture(RunView(status.nodes, shape, status.run), terminal())

    ways: dict[str, Callable[[RunStatus], Display]] = {
        "quiet (the floor)": lambda status: Silence(),
        "live picture": live,
        "plain lines": lambda status: PlainLines(RunView(status.nodes)),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    events: list[RunEvent] = []
    for _ in range(rounds):
        for name, make in ways.items():
            with contextlib.redirect_stdout(io.StringIO()):
                spent, events = asyncio.run(followed(request, make))
            taken[name].append(spent)
    floor = statistics.median(taken["quiet (the floor)"])
    print(f"{'10,000 nodes, processor seconds':34} {'median':>8} {'ratio':>6}")
    for name, times in taken.items():
        print(f"{name:34} {statistics.median(times):8.3f} {statistics.median(times) / floor:6.2f}")

    def see_all() -> None:
        view = RunView([NodeStatus(name, "pending") for name in shape.levels], shape)
        begun = time.process_time()
        for event in events:
            view.see(event)
        seen.append(1e6 * (time.process_time() - begun) / len(events))

    seen: list[float] = []
    median_ms(rounds, see_all)
    print(f"{'an event':34} {statistics.median(seen):8.2f} us")
    for nodes in (100, 10_000, 100_000):
        view, console = half_done(nodes), terminal()
        lines = median_ms(
            20, lambda view=view, nodes=nodes: picture(view, 100.0 + nodes / 2, 120, 39, UNICODE)
        )  # type: ignore[misc]
        display = LivePicture(view, console)
        with display:
            whole = median_ms(20, lambda display=display: (setattr(display, "_next", 0.0), display.refresh()))  # type: ignore[misc]
        print(f"{f'a picture of {nodes:,} nodes':34} {lines:8.2f} ms, on the terminal {whole:.2f} ms")
    drawn = timeline_of(events, shape)
    for name, work in (
        ("timeline: events to bars", lambda: timeline_of(events, shape)),
        (f"timeline: SVG of {len(to_svg(drawn)):,} bytes", lambda: to_svg(drawn)),
        (f"timeline: HTML of {len(to_html(drawn)):,} bytes", lambda: to_html(drawn)),
    ):
        print(f"{name:34} {median_ms(rounds, work):8.1f} ms")


if __name__ == "__main__":
    main()

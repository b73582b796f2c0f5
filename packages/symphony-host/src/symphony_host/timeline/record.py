"""What ran when: the events of a run as bars on one axis of time, an attempt each, and the pauses between."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
)
from symphony_workflow.model import LOCAL

from symphony_host.run_shape import RunShape

BarState = Literal["completed", "failed", "retried", "stopped", "running", "waiting", "reused"]
"""`retried`: an attempt failed and another was made; `stopped`: it ended with the run, or with its process."""


@dataclass(slots=True)
class Bar:
    """One attempt at a node, one item of a fan-out, or the time for which a node waited for a person.

    Args:
        node: The name of the node in the run.
        operation: The operation that it uses, or the kind of a control node.
        state: How it ended, or that it has not.
        start: Seconds from the begin of the timeline.
        end: The same; not before its start.
        attempt: Number of the attempt; 0 where there was none.
        ready: When it could have begun; its start where that is not known.
        place: Where it ran; empty where that has no name.
        note: Why it failed, or what was asked.
        control: Whether the node steers others, rather than working itself.
        item: Index of the item of a fan-out; -1 for any other bar.
        critical: Whether it is on the critical path.
    """

    node: str
    operation: str
    state: BarState
    start: float
    end: float
    attempt: int = 0
    ready: float = 0.0
    place: str = ""
    note: str = ""
    control: bool = False
    item: int = -1
    critical: bool = False

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which nobody worked on the run.

    Args:
        start: Seconds from the begin of the timeline.
        end: The same.
        reason: Why.
    """

    start: float
    end: float
    reason: str


@dataclass(slots=True)
class Timeline:
    """A run on one axis of time.

    Args:
        run: Id of the run.
        workflow: Id of the workflow.
        state: Where the run is: that of its last event.
        begin: Unix time in seconds of its first event.
        seconds: From there to its last event, or to now.
        bars: In the order of their starts.
        pauses: In order.
        path: The names of the nodes on the critical path, from the first to the last.
        nodes: How many nodes the workflow has.
        skipped: How many nodes were skipped.
    """

    run: str = ""
    workflow: str = ""
    state: str = "running"
    begin: float = 0.0
    seconds: float = 0.0
    bars: list[Bar] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    nodes: int = 0
    skipped: int = 0

    def count(self, *states: BarState) -> int:
        """How many bars are in one of these states.

        Args:
            states: The states.
        """
        return sum(bar.state in states for bar in self.bars)


def timeline_of(
    events: Iterable[RunEvent], shape: RunShape, path: Sequence[str] = (), now: float | None = None
) -> Timeline:
    """Put the events of a run on one axis of time.

    Args:
        events: All of them, in order.
        shape: How its nodes depend on each other.
        path: The names of the nodes on its critical path, as its metrics tell them.
        now: Unix time in seconds until which the run goes on; None where nobody works on it.
    """
    recorder = _Recorder(shape)
    for event in events:
        recorder.see(event)
    return recorder.finish(path, now)


class _Recorder:
    """Turns events into bars."""

    def __init__(self, shape: RunShape) -> None:
        self._shape = shape
        self._timeline = Timeline()
        self._bars = self._timeline.bars
        self._open: dict[str, Bar] = {}
        self._ended: dict[str, float] = {}
        self._ready: dict[str, float] = {}
        self._skipped: set[str] = set()
        self._went_on = 0.0
        self._last = 0.0
        self._halt: tuple[float, str] | None = None
        self._seers: dict[type, Callable[[Any, float], None]] = {
            RunStarted: self._run_started,
            RunResumed: self._run_resumed,
            RunPaused: self._run_halted,
            RunFailed: self._run_halted,
            RunCancelled: self._run_halted,
            RunCompleted: self._run_halted,
            NodeStarted: self._started,
            NodeWaiting: self._waits,
            NodeCompleted: self._completed,
            ItemCompleted: self._item_completed,
            NodeRetrying: self._retrying,
            NodeFailed: self._failed,
            NodeReused: self._reused,
            NodeSkipped: self._node_skipped,
        }

    def see(self, event: RunEvent) -> None:
        timeline = self._timeline
        if not timeline.begin:
            timeline.run, timeline.begin = event.run, event.at
        at = max(self._last, event.at - timeline.begin)  # a clock that was set back stands still
        seer = self._seers.get(type(event))
        if seer is not None:
            seer(event, at)
        self._last = at

    def finish(self, path: Sequence[str], now: float | None) -> Timeline:
        timeline = self._timeline
        if now is not None:
            self._last = max(self._last, now - timeline.begin)
        for bar in self._open.values():
            bar.end = self._last
            if now is None and bar.state != "waiting":
                bar.state = "stopped"
        timeline.seconds = self._last
        timeline.skipped = len(self._skipped)
        timeline.path = [*path]
        critical = set(timeline.path)
        for bar in self._bars:
            bar.critical = bar.item < 0 and bar.node in critical
        self._bars.sort(key=lambda bar: (bar.start, bar.end))
        return timeline

    # -- the run --------------------------------------------------------------------------------------

    def _run_started(self, event: RunStarted, at: float) -> None:
        self._timeline.workflow, self._timeline.nodes = event.workflow, event.nodes

    def _run_resumed(self, event: RunResumed, at: float) -> None:
        since, reason = self._halt or (self._last, "its process had ended")
        self._stop_all(since)
        if at > since:
            self._timeline.pauses.append(Pause(since, at, reason))
        self._halt, self._went_on, self._timeline.state = None, at, "running"

    def _run_halted(self, event: RunPaused | RunFailed | RunCancelled | RunCompleted, at: float) -> None:
        match event:
            case RunPaused():
                self._timeline.state, reason = "paused", event.reason or "paused"
            case RunFailed():
                self._timeline.state, reason = "failed", "failed, then resumed"
            case RunCancelled():
                self._timeline.state, reason = "cancelled", "cancelled, then resumed"
            case _:
                self._timeline.state, reason = "completed", "completed, then resumed"
        self._stop_all(at)
        self._halt = at, reason

    def _stop_all(self, at: float) -> None:
        for bar in self._open.values():
            if bar.state == "waiting":  # the question stands while nobody works on the run
                continue
            bar.end, bar.state = max(bar.start, at), "stopped"
        self._open = {node: bar for node, bar in self._open.items() if bar.state == "waiting"}

    # -- nodes ----------------------------------------------------------------------------------------

    def _started(self, event: NodeStarted, at: float) -> None:
        self._close(event.node, "stopped", at)
        ready = self._ready.pop(event.node, None)
        if ready is None:
            parents = self._shape.parents(event.node)
            free = max([self._ended.get(parent, 0.0) for parent in parents], default=0.0)
            ready = max(free, self._went_on) if "/" not in event.node else at
        self._begin(event.node, "running", at, event.attempt, ready)

    def _waits(self, event: NodeWaiting, at: float) -> None:
        bar = self._open.get(event.node) or self._begin(event.node, "waiting", at)
        bar.state, bar.start, bar.note = "waiting", at, event.prompt

    def _completed(self, event: NodeCompleted, at: float) -> None:
        bar = self._open.get(event.node) or self._begin(event.node, "running", max(0.0, at - event.seconds))
        self._close(event.node, "waiting" if bar.state == "waiting" else "completed", at)
        if not bar.control:  # the executor may have told of its begin only at its end
            bar.start = max(0.0, min(bar.start, at - event.work))
        bar.ready = min(bar.ready, bar.start)
        bar.place = event.place
        self._ended[event.node] = at

    def _item_completed(self, event: ItemCompleted, at: float) -> None:
        operation = self._shape.operation(event.node)
        if operation.startswith(LOCAL):  # what runs inside of it has bars of its own
            return
        state: BarState = "reused" if event.origin else "failed" if event.error else "completed"
        start = at if event.origin else max(0.0, at - event.seconds)
        note = event.error.message if event.error else event.origin
        self._bars.append(
            Bar(event.node, operation, state, start, at, ready=start, note=note, item=event.item)
        )

    def _retrying(self, event: NodeRetrying, at: float) -> None:
        self._fail(event, "retried", at)
        self._ready[event.node] = at + event.delay

    def _failed(self, event: NodeFailed, at: float) -> None:
        self._fail(event, "failed", at)
        if event.item < 0:
            self._ended[event.node] = at

    def _fail(self, event: NodeRetrying | NodeFailed, state: BarState, at: float) -> None:
        node, item = event.node, event.item
        bar = self._close(node, state, at) if item < 0 else None
        if bar is None:
            bar = Bar(node, self._shape.operation(node), state, at, at, ready=at, item=item)
            self._bars.append(bar)
        bar.note, bar.place = event.error.message, event.place

    def _reused(self, event: NodeReused, at: float) -> None:
        bar = Bar(
            event.node, self._shape.operation(event.node), "reused", at, at, ready=at, note=event.origin
        )
        self._bars.append(bar)
        self._ended[event.node] = at

    def _node_skipped(self, event: NodeSkipped, at: float) -> None:
        self._close(event.node, "stopped", at)
        self._skipped.add(event.node)

    def _begin(
        self, node: str, state: BarState, at: float, attempt: int = 0, ready: float | None = None
    ) -> Bar:
        shape = self._shape
        bar = Bar(
            node, shape.operation(node), state, at, at, attempt, at if ready is None else min(at, ready)
        )
        bar.control = shape.is_control(node)
        self._open[node] = bar
        self._bars.append(bar)
        self._skipped.discard(node)
        return bar

    def _close(self, node: str, state: BarState, at: float) -> Bar | None:
        bar = self._open.pop(node, None)
        if bar is not None:
            bar.end, bar.state = at, state
        return bar

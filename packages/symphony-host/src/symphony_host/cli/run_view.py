"""Where a run is, built up from its events: what every kind of progress display reads."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunEvent,
    RunStarted,
)
from symphony_sdk.ports import NodeStatus
from symphony_sdk.ports.pit import NodeState, Progress

from symphony_host.run_shape import RunShape

WINDOW = 10
"""Seconds over which the pace of this moment is told."""

Stage = Literal["done", "under way", "to come"]

_AT_WORK: frozenset[NodeState] = frozenset(("running", "retrying"))
_BUSY: frozenset[NodeState] = frozenset(("running", "retrying", "waiting"))
_OVER: frozenset[NodeState] = frozenset(("completed", "failed", "skipped", "cancelled"))


@dataclass(slots=True)
class NodeView:
    """One node as a display shows it.

    Args:
        id: Id of the node.
        state: Its state.
        attempt: Number of its last attempt.
        done: Items that are done.
        total: Items of a fan-out; 1 for any other node, 0 while it is not known.
        fraction: What the node itself says of its progress, from 0 to 1.
        text: What it says that it is doing, or what it asks.
        started: Unix time of its start; 0 before.
        seconds: From its start to its end.
        error: Why it failed.
        approvers: Who may answer it; none for anybody who may steer the run.
        level: How deep it lies in the workflow.
    """

    id: str
    state: NodeState = "pending"
    attempt: int = 0
    done: int = 0
    total: int = 1
    fraction: float = 0.0
    text: str = ""
    started: float = 0.0
    seconds: float = 0.0
    error: ErrorPayload | None = None
    approvers: tuple[str, ...] = ()
    level: int = 0

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.state == "completed":
            return 1.0
        if self.total > 1:
            return min(1.0, self.done / self.total)
        return min(1.0, max(0.0, self.fraction))


@dataclass(slots=True)
class LevelView:
    """The nodes that lie equally deep.

    Args:
        total: How many there are.
        over: How many need nothing more.
        running: How many are at work.
        waiting: How many wait for a person.
        failed: How many failed.
    """

    total: int = 0
    over: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0

    @property
    def stage(self) -> Stage:
        """Where the level as a whole is."""
        if self.over == self.total:
            return "done"
        return "under way" if self.over or self.running or self.waiting else "to come"

    def count(self, state: NodeState, by: int) -> None:
        """Note that a node came into a state, or left it.

        Args:
            state: The state.
            by: 1 or -1.
        """
        if state in _OVER:
            self.over += by
            self.failed += by * (state == "failed")
        elif state in _AT_WORK:
            self.running += by
        elif state == "waiting":
            self.waiting += by


class RunView:
    """Where a run is. An event costs the same however many nodes there are.

    Args:
        nodes: Where the nodes were when the events begin, in topological order.
        shape: How the nodes depend on each other; None where the levels are not shown.
        run: Id of the run.

    Attributes:
        nodes: All nodes by id.
        counts: How many nodes are in each state.
        active: The nodes that are at work, those that began first at the front.
        failed: The nodes that failed, in order.
        waiting: The nodes that wait for a person, in order.
        levels: The nodes by how deep they lie; empty without a shape.
        stages: How many levels are at each stage, and how many nodes these have.
        busy: The levels where a node is at work or waits for a person, with how many.
        retries: How often an attempt failed and another was made.
        reused: How many nodes have their results from another run.
        places: How many nodes completed at each place that has a name.
        started: Unix time since when the run is looked at; 0 before the first event.
        progress: The last estimate of how far the run is, and when it was made.
    """

    def __init__(self, nodes: Iterable[NodeStatus], shape: RunShape | None = None, run: str = "") -> None:
        self.run = run
        self.nodes: dict[str, NodeView] = {}
        self.counts: Counter[NodeState] = Counter()
        self.active: dict[str, NodeView] = {}
        self.failed: dict[str, NodeView] = {}
        self.waiting: dict[str, NodeView] = {}
        self.levels = [LevelView() for _ in range(shape.depth)] if shape else []
        self.stages: dict[Stage, list[int]] = {stage: [0, 0] for stage in ("done", "under way", "to come")}
        self.busy: Counter[int] = Counter()
        self.retries = self.reused = 0
        self.places: Counter[str] = Counter()
        self.started = 0.0
        self.progress: tuple[Progress, float] | None = None
        self._shape = shape
        self._worked = 0
        self._seconds: deque[list[int]] = deque(maxlen=WINDOW + 1)
        self._listed: dict[NodeState, dict[str, NodeView]] = {
            "running": self.active,
            "retrying": self.active,
            "failed": self.failed,
            "waiting": self.waiting,
        }
        self._seers: dict[type, Callable[[Any], None]] = {
            RunStarted: self._run_started,
            NodeStarted: self._started,
            NodeProgressed: self._progressed,
            ItemCompleted: self._item_completed,
            NodeWaiting: self._waits,
            NodeCompleted: self._completed,
            NodeReused: self._reused,
            NodeRetrying: self._retrying,
            NodeFailed: self._failed,
            NodeSkipped: self._skipped,
        }
        now = time.time()
        for status in nodes:
            self._add(
                NodeView(
                    status.node,
                    status.state,
                    status.attempt,
                    status.done,
                    status.total,
                    text=status.prompt,
                    started=now - status.seconds if status.state in _BUSY else 0.0,
                    seconds=status.seconds,
                    error=status.error,
                    approvers=status.approvers,
                )
            )

    @property
    def finished(self) -> int:
        """How many nodes need nothing more."""
        return sum(self.counts[state] for state in _OVER)

    def see(self, event: RunEvent) -> None:
        """Take note of an event.

        Args:
            event: What happened.
        """
        if not self.started:
            self.started = event.at
        seer = self._seers.get(type(event))
        if seer is not None:  # the other events of a run change no node
            seer(event)

    def estimate(self, progress: Progress, at: float) -> None:
        """Take note of how far the run is and how long it may still take.

        Args:
            progress: As the tracker estimates it.
            at: Unix time in seconds.
        """
        self.progress = progress, at

    def left(self, now: float) -> float | None:
        """Seconds until the run is expected to end; None where that is not known.

        Args:
            now: Unix time in seconds.
        """
        if self.progress is None or self.progress[0].eta is None:
            return None
        return max(0.0, self.progress[0].eta - (now - self.progress[1]))

    def pace(self, now: float) -> tuple[float, float]:
        """Nodes a second that were worked on: of late, and since the run is looked at.

        Args:
            now: Unix time in seconds.
        """
        spent = max(1e-3, now - self.started) if self.started else 0.0
        if not spent:
            return 0.0, 0.0
        first = int(now) - WINDOW
        late = sum(count for second, count in self._seconds if second > first)
        since = max(self.started, first + 1.0)
        return late / max(1e-3, now - since), self._worked / spent

    def _run_started(self, event: RunStarted) -> None:
        self.started = event.at

    def _started(self, event: NodeStarted) -> None:
        node = self._move(event.node, "running")
        node.attempt = event.attempt
        node.started = node.started or event.at
        node.total = event.items or node.total
        node.error = None

    def _progressed(self, event: NodeProgressed) -> None:
        node = self._node(event.node)
        node.fraction, node.text = event.fraction, event.text

    def _item_completed(self, event: ItemCompleted) -> None:
        self._node(event.node).done += 1

    def _waits(self, event: NodeWaiting) -> None:
        node = self._move(event.node, "waiting")
        node.text, node.approvers = event.prompt, event.approvers

    def _completed(self, event: NodeCompleted) -> None:
        node = self._move(event.node, "completed")
        node.seconds = event.seconds
        node.done = node.total = max(node.total, 1)
        node.error = None
        if event.place:
            self.places[event.place] += 1
        self._work(event.at)

    def _reused(self, event: NodeReused) -> None:
        node = self._move(event.node, "completed")
        node.seconds = event.seconds
        node.done = node.total = max(node.total, 1)
        self.reused += 1

    def _retrying(self, event: NodeRetrying) -> None:
        node = self._node(event.node) if event.item >= 0 else self._move(event.node, "retrying")
        node.error = event.error
        self.retries += 1

    def _failed(self, event: NodeFailed) -> None:
        if event.item < 0:
            node = self._move(event.node, "failed")
            node.seconds = event.at - node.started if node.started else 0.0
            self._work(event.at)
        else:
            node = self._node(event.node)
        node.error = event.error

    def _skipped(self, event: NodeSkipped) -> None:
        self._move(event.node, "skipped").text = event.reason

    def _work(self, at: float) -> None:
        self._worked += 1
        second = int(at)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0])
        self._seconds[-1][1] += 1

    def _node(self, id: str) -> NodeView:
        return self.nodes.get(id) or self._add(NodeView(id))

    def _add(self, node: NodeView) -> NodeView:
        self.nodes[node.id] = node
        self.counts[node.state] += 1
        self._list(node)
        if self._shape is not None:
            node.level = self._shape.level(node.id)
            level = self.levels[node.level]
            self._stage(level, -1)
            level.total += 1
            level.count(node.state, 1)
            self._stage(level, 1)
            if node.state in _BUSY:
                self.busy[node.level] += 1
        return node

    def _move(self, id: str, state: NodeState) -> NodeView:
        node = self._node(id)
        before = node.state
        if before == state:
            return node
        listed = self._listed.get(before)
        if listed is not None:
            del listed[id]
        node.state = state
        self._list(node)
        self.counts[before] -= 1
        self.counts[state] += 1
        if self.levels:
            level = self.levels[node.level]
            stage = level.stage
            level.count(before, -1)
            level.count(state, 1)
            if level.stage != stage:
                self.stages[stage][0] -= 1
                self.stages[stage][1] -= level.total
                self._stage(level, 1)
            if (before in _BUSY) != (state in _BUSY):
                self.busy[node.level] += 1 if state in _BUSY else -1
                if not self.busy[node.level]:
                    del self.busy[node.level]
        return node

    def _list(self, node: NodeView) -> None:
        listed = self._listed.get(node.state)
        if listed is not None:
            listed[node.id] = node

    def _stage(self, level: LevelView, by: int) -> None:
        if level.total:
            at = self.stages[level.stage]
            at[0] += by
            at[1] += by * level.total

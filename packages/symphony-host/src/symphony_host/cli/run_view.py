"""Where a run is, built up from its events: what every kind of progress display reads."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

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
from symphony_sdk.ports.pit import NodeState


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
        text: What it says that it is doing.
        started: Unix time of its start; 0 before.
        seconds: From its start to its end.
        error: Why it failed.
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

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.state == "completed":
            return 1.0
        if self.total > 1:
            return min(1.0, self.done / self.total)
        return min(1.0, max(0.0, self.fraction))


class RunView:
    """Where a run is. An event costs the same however many nodes there are.

    Args:
        nodes: Where the nodes were when the events begin, in topological order.
    """

    def __init__(self, nodes: Iterable[NodeStatus]) -> None:
        self.nodes: dict[str, NodeView] = {}
        self.counts: Counter[NodeState] = Counter()
        self.active: dict[str, NodeView] = {}
        self.started = 0.0
        self.now = 0.0
        for status in nodes:
            view = NodeView(
                status.node,
                status.state,
                status.attempt,
                status.done,
                status.total,
                seconds=status.seconds,
                error=status.error,
            )
            self.nodes[view.id] = view
            self.counts[view.state] += 1
            if view.state in ("running", "retrying"):
                self.active[view.id] = view

    @property
    def finished(self) -> int:
        """How many nodes need nothing more."""
        return self.counts["completed"] + self.counts["skipped"] + self.counts["failed"]

    def see(self, event: RunEvent) -> None:
        """Take note of an event.

        Args:
            event: What happened.
        """
        self.now = event.at
        self.started = self.started or event.at
        match event:
            case RunStarted():
                self.started = event.at
            case NodeStarted():
                node = self._move(event.node, "running")
                node.attempt = event.attempt
                node.started = node.started or event.at
                node.total = event.items or node.total
                node.error = None
            case NodeProgressed():
                node = self._node(event.node)
                node.fraction, node.text = event.fraction, event.text
            case ItemCompleted():
                self._node(event.node).done += 1
            case NodeWaiting():
                self._move(event.node, "waiting").text = event.prompt
            case NodeCompleted() | NodeReused():
                node = self._move(event.node, "completed")
                node.seconds = event.seconds
                node.done = node.total = max(node.total, 1)
                node.error = None
            case NodeRetrying():
                node = self._node(event.node) if event.item >= 0 else self._move(event.node, "retrying")
                node.error = event.error
            case NodeFailed():
                if event.item < 0:
                    node = self._move(event.node, "failed")
                    node.seconds = event.at - node.started if node.started else 0.0
                else:
                    node = self._node(event.node)
                node.error = event.error
            case NodeSkipped():
                self._move(event.node, "skipped").text = event.reason
            case _:
                pass  # the run's own events change no node

    def _node(self, id: str) -> NodeView:
        if id not in self.nodes:
            self.nodes[id] = NodeView(id)
            self.counts["pending"] += 1
        return self.nodes[id]

    def _move(self, id: str, state: NodeState) -> NodeView:
        node = self._node(id)
        self.counts[node.state] -= 1
        self.counts[state] += 1
        node.state = state
        if state in ("running", "retrying"):
            self.active[id] = node
        else:
            self.active.pop(id, None)
        return node

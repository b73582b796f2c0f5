"""Gathers what a run took from its events: one pass, the same while the run goes on and from the log."""

from collections.abc import Callable
from typing import Any

from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunEvent,
    RunResumed,
    RunStarted,
    ends_run,
)
from symphony_workflow.model import LOCAL, InstrumentNode, OperatorNode
from symphony_workflow.state import NodeState

from pit_dag_tracker.graph import Graph, Instance
from pit_dag_tracker.ledger import Ledger

_NodeEvent = (
    NodeStarted
    | NodeWaiting
    | NodeReused
    | ItemCompleted
    | NodeCompleted
    | NodeRetrying
    | NodeFailed
    | NodeSkipped
)


class Taken:
    """What the events say of one node beyond its state and its times."""

    __slots__ = ("free", "last", "memory", "origin", "place", "produced", "received", "retries", "work")

    def __init__(self) -> None:
        self.free = 0.0
        self.work = 0.0
        self.last = 0.0
        self.received = 0
        self.produced = 0
        self.memory = 0
        self.place = ""
        self.retries = 0
        self.origin = ""


class Measures:
    """What a run took, as far as its events were applied.

    Args:
        graph: The nodes of the run; it may be that of a run that is under way, and is only read.

    Attributes:
        ledger: Where the run is.
        taken: What is known of the nodes that events named, by number; `free` is when all before a node had ended, and
            `last` the work of the call that completed it.
        named: The workflows inside of the run that events named, and the run itself.
        last: Unix time of the last event.
    """

    def __init__(self, graph: Graph) -> None:
        self.ledger = Ledger(graph)
        self.taken: dict[int, Taken] = {}
        self.named: set[Instance] = {graph.top}
        self.last = 0.0
        self._graph = graph
        self._since = 0.0
        self._wall = 0.0
        self._of_nodes: dict[type, Callable[[Any], object]] = {
            NodeStarted: self._started,
            NodeCompleted: self._completed,
            ItemCompleted: self._item_completed,
            NodeRetrying: self._retrying,
            NodeReused: self._reused,
            NodeWaiting: self._applied,
            NodeFailed: self._failed,
            NodeSkipped: self._applied,
        }

    @property
    def going_on(self) -> bool:
        """Whether the last event left the run under way."""
        return self._since > 0

    def wall(self, now: float) -> float:
        """Seconds that the run was under way.

        Args:
            now: Unix time in seconds.
        """
        return self._wall + (max(0.0, now - self._since) if self._since else 0.0)

    def apply(self, event: RunEvent) -> None:
        """Take the next event.

        Args:
            event: A numbered event of the run; each exactly once and in order.

        Raises:
            WorkflowError: It cannot follow those before it.
        """
        if len(self.ledger.state) < len(
            self._graph.names
        ):  # the graph of a run under way has grown meanwhile
            self.ledger.grow()
        take = self._of_nodes.get(type(event))
        if take is not None:
            take(event)
        else:
            self._take_of_run(event)
        self.last = event.at

    def _take_of_run(self, event: RunEvent) -> None:
        if isinstance(event, RunStarted | RunResumed):
            self._wall = self.wall(self.last)  # where its process died, the run went on until its last event
            self._since = event.at
        elif ends_run(event):
            self._wall = self.wall(event.at)
            self._since = 0.0
        self.ledger.apply(event)

    def _started(self, event: NodeStarted) -> None:
        number, ledger = self._graph.index.get(event.node), self.ledger
        # it runs and starts again: a compacted log does not say why
        again = number is not None and ledger.state[number] is NodeState.RUNNING
        number, taken = self._applied(event)
        taken.retries += again
        if ledger.began[number] == event.at:  # the first start since the run went on
            taken.free = ledger.free(number)

    def _completed(self, event: NodeCompleted) -> None:
        number, taken = self._applied(event)
        if isinstance(self._graph.nodes[number], OperatorNode | InstrumentNode):
            taken.work += event.work
            taken.last = event.work
        elif operation(self._graph, number):  # its items have told, but where the log was compacted
            taken.work = max(taken.work, event.work)
        taken.received += event.received
        taken.produced += event.produced
        taken.memory = max(taken.memory, event.memory)
        taken.place = event.place or taken.place
        taken.origin = ""

    def _item_completed(self, event: ItemCompleted) -> None:
        number, taken = self._applied(event)
        if operation(self._graph, number):
            taken.work += event.seconds

    def _retrying(self, event: NodeRetrying) -> None:
        taken = self._failed(event)
        taken.retries += 1

    def _failed(self, event: NodeRetrying | NodeFailed) -> Taken:
        _, taken = self._applied(event)
        taken.place = event.place or taken.place
        return taken

    def _reused(self, event: NodeReused) -> None:
        self._applied(event)[1].origin = event.origin

    def _applied(self, event: _NodeEvent) -> tuple[int, Taken]:
        """The node of an event, once the ledger has taken it."""
        self.ledger.apply(event)
        number = self._graph.index[event.node]
        return number, self._of(number)

    def _of(self, number: int) -> Taken:
        taken = self.taken.get(number)
        if taken is None:
            taken = self.taken[number] = Taken()
            instance = self._graph.of[number]
            while instance not in self.named:
                self.named.add(instance)
                instance = self._graph.of[instance.owner]
        return taken


def operation(graph: Graph, number: int) -> str:
    """The id of the operation that a node runs; empty where it runs none.

    Args:
        graph: The nodes of the run.
        number: The node.
    """
    uses: str = getattr(graph.nodes[number], "uses", "")
    return "" if uses.startswith(LOCAL) else uses

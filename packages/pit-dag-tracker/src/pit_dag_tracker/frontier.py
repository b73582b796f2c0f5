"""Which nodes of a run may run next: counts what each waits for, and keeps outputs as long as somebody needs them."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from symphony_sdk.errors import SymphonyError
from symphony_sdk.events import NodeFailed, NodeSkipped
from symphony_workflow.model import JoinNode
from symphony_workflow.state import NODE_ENDS, NodeState

from pit_dag_tracker.entries import loggable
from pit_dag_tracker.graph import Instance
from pit_dag_tracker.journal import Journal
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.wiring import Wiring

PENDING = NodeState.PENDING
_NOTHING: dict[str, bytes] = {}


class Frontier:
    """The nodes of one run that wait for others; nodes are named by their numbers in the graph.

    Args:
        ledger: Where the run is.
        wiring: What each node is given.
        journal: Makes the events of nodes that are skipped, or fail before they run.
        outputs: The outputs of completed nodes that others still need.
        ready: Takes a node that may run now, with what it is given.

    Attributes:
        left: How many nodes of each workflow under way have not ended.
        ended: The workflows whose nodes have all ended since somebody looked.
    """

    def __init__(
        self,
        ledger: Ledger,
        wiring: Wiring,
        journal: Journal,
        outputs: Mapping[int, dict[str, bytes]],
        ready: Callable[[int, dict[str, bytes]], None],
    ) -> None:
        graph = ledger.graph
        self.left: dict[Instance, int] = {}
        self.ended: list[Instance] = []
        self._ledger = ledger
        self._graph = graph
        self._wiring = wiring
        self._journal = journal
        self._ready = ready
        self._outputs = [outputs.get(number, _NOTHING) for number in range(len(graph.names))]
        self._readers = [len(children) for children in graph.children]
        self._waits = [len(parents) for parents in graph.parents]
        self._eager: set[int] = set()

    def open(self, instance: Instance, *, keep: bool = False) -> None:
        """Begin a workflow, or go on with it: let the nodes run that can, and skip those that never can.

        Args:
            instance: The workflow, which is wired.
            keep: Whether all outputs are needed until it is closed, because it may be begun again.
        """
        ledger, graph = self._ledger, self._graph
        self._make_room()
        first, parents, readers = instance.first, graph.parents, self._readers
        last = first + len(instance.workflow.names)
        readers[first:last] = [int(keep)] * (last - first)
        if instance is not graph.top:
            for output in instance.workflow.outputs:
                readers[instance.number(output.node)] += 1
        states = ledger.state
        left = [number for number in instance.order if states[number] not in NODE_ENDS]
        self.left[instance] = len(left)
        if not left:
            self.ended.append(instance)
        self._eager.update(first + number for number in instance.workflow.eager)
        for number in left:
            waits = 0
            for parent in parents[number]:
                readers[parent] += 1
                waits += states[parent] not in NODE_ENDS
            self._waits[number] = waits
        for number in range(first, last):
            if not readers[number]:
                self._outputs[number] = _NOTHING
        for number in left:
            due = not self._waits[number] or number in self._eager
            if due and states[number] is PENDING and not self._due(number):
                self._release(number)

    def close(self, instance: Instance) -> dict[str, bytes]:
        """End a workflow, and return what it gives; outputs of nodes without a result are left out.

        Args:
            instance: The workflow.
        """
        given = {}
        for output in instance.workflow.outputs:
            value = self._outputs[instance.number(output.node)].get(output.port)
            if value is not None:
                given[output.name] = value
        for number in instance.numbers:
            self._outputs[number] = _NOTHING
        return given

    def completed(self, number: int, outputs: dict[str, bytes]) -> None:
        """A node has completed: keep what it gave where somebody needs it, and see to those that wait for it.

        Args:
            number: The node.
            outputs: Encoded values by port name.
        """
        if self._readers[number]:
            self._outputs[number] = outputs
        self.settle(number)

    def settle(self, number: int) -> None:
        """A node has reached another end: see to those that wait for it.

        Args:
            number: The node.
        """
        self._count(number)
        self._release(number)

    def take_leave(self, number: int) -> None:
        """Let go of the outputs that no other node waits for any more once this one does not.

        Args:
            number: The node.
        """
        readers = self._readers
        for parent in self._graph.parents[number]:
            left = readers[parent] - 1
            readers[parent] = left
            if not left:
                self._outputs[parent] = _NOTHING

    def undo(self, again: Sequence[int], outputs: Mapping[int, dict[str, bytes]]) -> None:
        """Let nodes wait that have ended; `resume` then lets those run that wait for nothing.

        Args:
            again: The nodes, in topological order.
            outputs: The outputs of the completed nodes before them, and of those inside of them.
        """
        undone = set(again)
        for number in again:
            self._outputs[number] = _NOTHING
            for inner in self._graph.within(number):
                self._outputs[inner] = outputs.get(inner, _NOTHING)
        for number in self._under_way(again):
            self.left[self._graph.of[number]] += 1
            self._waits[number] = sum(not self._ledger.over(parent) for parent in self._graph.parents[number])
            for parent in self._graph.parents[number]:
                self._readers[parent] += 1
                self._outputs[parent] = self._outputs[parent] or outputs.get(parent, _NOTHING)
            for child in self._graph.children[number]:
                self._waits[child] += child not in undone and not self._ledger.over(child)

    def resume(self, again: Sequence[int]) -> None:
        """Let those of some nodes run that wait for nothing.

        Args:
            again: Nodes that were undone.
        """
        for number in self._under_way(again):
            if (not self._waits[number] or number in self._eager) and not self._due(number):
                self._release(number)

    def _under_way(self, numbers: Iterable[int]) -> list[int]:
        return [number for number in numbers if self._graph.of[number] in self.left]

    def _make_room(self) -> None:
        """Follow the graph, which may have grown."""
        more = len(self._graph.names) - len(self._waits)
        self._outputs += [_NOTHING] * more
        self._waits += [0] * more
        self._readers += [0] * more

    def _count(self, number: int) -> None:
        """A node has ended, and perhaps the workflow that it belongs to."""
        instance = self._graph.of[number]
        left = self.left[instance] - 1
        self.left[instance] = left
        if not left:
            self.ended.append(instance)

    def _release(self, number: int) -> None:
        """Tell those that wait for a node; iterative, because skipping may run down a long chain."""
        ended, states = [number], self._ledger.state
        waits, children, eager = self._waits, self._graph.children, self._eager
        while ended:
            for child in children[ended.pop()]:
                left = waits[child] - 1
                waits[child] = left
                due = not left or child in eager
                if due and states[child] is PENDING and not self._due(child):
                    ended.append(child)

    def _due(self, number: int) -> bool:
        """What a node waits for has ended: make it ready, or skip it; whether it did not end with that."""
        node, given = self._graph.nodes[number], None
        try:
            if type(node) is JoinNode:
                given = self._wiring.gather_join(number, node, self._outputs, self._ledger)
                if given is None:
                    return True
            else:
                given = self._wiring.gather(number, self._outputs, self._ledger.state)
        except SymphonyError as error:
            head = self._journal.head()
            self._journal.emit(NodeFailed(**head, node=node.id, error=loggable(error.payload())))
        self.take_leave(number)
        if isinstance(given, dict):
            self._ledger.ready(number)
            self._ready(number, given)
            return True
        if given is not None:
            self._journal.emit(NodeSkipped(**self._journal.head(), node=node.id, reason=given))
        self._count(number)
        return False

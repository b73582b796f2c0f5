"""Linear chains: which nodes may run right after another one, in the same place and without another decision.

Such a node waits for one other alone, and that one has no other after it; nothing is to be decided or computed between
them, and no earlier result could stand in. Everything else is as for any other node: it has its own events, its own
attempts, and a result that is kept.
"""

from collections.abc import Callable, Iterator

from symphony_workflow.model import NO_RESOURCES, InstrumentNode, OperatorNode
from symphony_workflow.state import NodeState

from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.limits import Needs
from pit_dag_tracker.wiring import Taken, Wiring

OperationNode = OperatorNode | InstrumentNode

PENDING = NodeState.PENDING
_OPERATIONS = (OperatorNode, InstrumentNode)


class Chains:
    """The chains of one run, looked for where a node is handed out; nodes are named by their numbers in the graph.

    Args:
        ledger: Where the run is.
        wiring: What each node is given.
        allows: Whether the executor can run one operation right after another one.
        needs: What the calls of the run take; None where they take nothing.
        looked_up: Whether an earlier result may stand in for the call of a node.
    """

    def __init__(
        self,
        ledger: Ledger,
        wiring: Wiring,
        allows: Callable[[str, str], bool],
        *,
        needs: Needs | None,
        looked_up: Callable[[OperationNode], bool],
    ) -> None:
        self._graph = ledger.graph
        self._states = ledger.state
        self._wiring = wiring
        self._allows = allows
        self._needs = needs
        self._looked_up = looked_up
        self._alone: set[int] = set()

    def part(self, number: int) -> None:
        """Let a node run alone from now on: what it ran with was lost, perhaps by its fault.

        Args:
            number: The node.
        """
        self._alone.add(number)

    def begins(self, number: int) -> bool:
        """Whether a node has one after it alone, and that one no other before it; nothing else begins a chain.

        Args:
            number: The node.
        """
        children = self._graph.children[number]
        return len(children) == 1 and len(self._graph.parents[children[0]]) == 1

    def after(self, number: int) -> Iterator[tuple[int, OperationNode, Taken]]:
        """The nodes that may run right after another one and each other, each with what it is given.

        Args:
            number: A node that is about to run.
        """
        graph, states, alone, taken = self._graph, self._states, self._alone, self._wiring.taken
        nodes, parents, children = graph.nodes, graph.parents, graph.children
        node, first, last = nodes[number], "", ""
        if not isinstance(node, _OPERATIONS):
            return
        while len(children[number]) == 1:
            child = children[number][0]
            then = nodes[child]
            if len(parents[child]) > 1 or states[child] is not PENDING or not isinstance(then, _OPERATIONS):
                return
            if (first, last) != (node.uses, then.uses):
                first, last = node.uses, then.uses
                if not self._allows(first, last):
                    return
            given = taken(child)
            if (
                given is None
                or (alone and not alone.isdisjoint((number, child)))
                or self._waits(number, then, child)
            ):
                return
            yield child, then, given
            number, node = child, then

    def _waits(self, number: int, then: OperationNode, child: int) -> bool:
        """Whether something is to be seen to before a node may run after another one."""
        if then.timeout is not None or then.idle_timeout is not None or then.resources is not NO_RESOURCES:
            return True
        if self._needs is not None and self._needs.of((number, -1)) != self._needs.of((child, -1)):
            return True
        return self._looked_up(then)

"""Which nodes can never run: every way to them is closed, or they wait for ways that exclude each other.

A node knows which decisions it depends on: that branch `size` goes to `then`, say. Two answers of one decision never
come together in one run, except in a join. Nodes that no decision touches are not looked at, and a change is followed
only as far as it changes something.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from symphony_workflow.acyclic import Order
from symphony_workflow.condition_rules import closed_ports, constant
from symphony_workflow.findings import Fault
from symphony_workflow.model import (
    ApprovalNode,
    BranchNode,
    ConditionalEdge,
    DataEdge,
    Edge,
    JoinNode,
    Node,
    SwitchNode,
)
from symphony_workflow.rule_graph import DECISIONS, Graph

_KEPT_ANSWERS = 64
"""How many decisions a node is known to depend on; of more, the first by name."""


class Way(NamedTuple):
    """What has to happen before a node runs.

    Args:
        answers: The decisions that it depends on, each with the port that they have to choose.
        closed: Why it never runs; empty where it may.
        excluded: Whether that is because two ways to it exclude each other.
    """

    answers: frozenset[tuple[str, str]] = frozenset()
    closed: str = ""
    excluded: bool = False


OPEN = Way()


class Ways:
    """The ways to all nodes of a graph.

    Args:
        graph: The graph.
        order: Its order; while it has a cycle, nothing is found, and what changes is remembered.
    """

    def __init__(self, graph: Graph, order: Order) -> None:
        self._graph = graph
        self._order = order
        self._known: dict[str, Way] = {}
        self._closed: dict[str, dict[str, str]] = {}
        self._remembered: set[str] = set()
        starts = set()
        for id, node in graph.nodes.items():
            if isinstance(node, DECISIONS):
                starts.add(id)
                starts.update(graph.edges[number].target for number in graph.out.get(id, ()))
        for edge in graph.edges:
            if type(edge) is ConditionalEdge:
                starts.add(edge.target)
        if starts:
            self.follow(starts)

    def follow(self, touched: Iterable[str]) -> None:
        """Look again at nodes, and at what follows them as far as it is other than before.

        Args:
            touched: The ids of nodes where something changed; some may be gone.
        """
        self._remembered.update(touched)
        if not self._order.acyclic:
            return
        nodes, place = self._graph.nodes, self._order.place
        ahead: list[tuple[int, str]] = []
        for id in self._remembered:
            node = nodes.get(id)
            if node is None:
                self._known.pop(id, None)
            else:
                ahead.append((place[id], id))
            if isinstance(node, BranchNode | SwitchNode):
                self._closed[id] = closed_ports(self._graph, node)
            else:
                self._closed.pop(id, None)
        self._remembered = set()
        heapq.heapify(ahead)
        met = {id for _, id in ahead}
        while ahead:
            _, id = heapq.heappop(ahead)
            way = self._way(nodes[id])
            if way == self._known.get(id, OPEN):
                continue
            if way == OPEN:
                del self._known[id]
            else:
                self._known[id] = way
            for number in self._graph.out.get(id, ()):
                target = self._graph.edges[number].target
                if target in nodes and target not in met:
                    met.add(target)
                    heapq.heappush(ahead, (place[target], target))

    def faults(self) -> list[Fault]:
        """That nodes can never run; nothing while there is a cycle."""
        if not self._order.acyclic:
            return []
        return [self._fault(id, way) for id, way in self._known.items() if way.closed]

    def _fault(self, id: str, way: Way) -> Fault:
        if way.excluded:
            hint = "Bring them together in a join, which goes on with the one that was taken."
            return Fault("SYM-W025", "error", f"node {id!r} can never run: {way.closed}", hint, id)
        hint = "Open a way to it, or remove it."
        return Fault("SYM-W024", "warning", f"node {id!r} can never run: {way.closed}", hint, id)

    def _way(self, node: Node) -> Way:
        ways = [
            self._along(edge)
            for edge in (self._graph.edges[number] for number in self._graph.into.get(node.id, ()))
            if edge.source in self._graph.nodes
        ]
        if not ways:
            return OPEN
        if isinstance(node, JoinNode):
            possible = [way.answers for way in ways if not way.closed]
            if not possible:
                return Way(closed=f"every way to it is closed; {min(way.closed for way in ways)}")
            if isinstance(node.wait, int) and len(possible) < node.wait <= len(ways):
                return Way(closed=f"it waits for {node.wait} inputs, and {len(possible)} can arrive")
            return Way(frozenset.intersection(*possible))
        if closed := [way.closed for way in ways if way.closed]:
            return Way(closed=min(closed))
        answers = ways[0].answers.union(*(way.answers for way in ways[1:]))
        chosen: dict[str, str] = {}
        for decision, port in sorted(answers):
            if chosen.setdefault(decision, port) != port:
                why = f"it waits for `{decision}.{chosen[decision]}` and for `{decision}.{port}`, of which only one is taken"
                return Way(closed=why, excluded=True)
        if len(answers) > _KEPT_ANSWERS:
            answers = frozenset(sorted(answers)[:_KEPT_ANSWERS])
        return Way(answers)

    def _along(self, edge: Edge) -> Way:
        before = self._known.get(edge.source, OPEN)
        if before.closed:
            return Way(closed=f"it waits for {edge.source!r}, which never runs")
        if isinstance(edge, ConditionalEdge):
            if constant(edge.condition) is False:
                return Way(closed=f"the condition `{edge.condition}` is always false")
        elif isinstance(edge, DataEdge) and _decides(self._graph.nodes[edge.source], edge.source_port):
            if why := self._closed.get(edge.source, {}).get(edge.source_port):
                return Way(closed=f"`{edge.source}.{edge.source_port}` is never taken, {why}")
            return Way(before.answers | {(edge.source, edge.source_port)})
        return before


def _decides(node: Node, port: str) -> bool:
    """Whether a value at the port says which way a decision went."""
    return isinstance(node, DECISIONS) and not (isinstance(node, ApprovalNode) and port == "answer")

"""What the rules of validation look at: one workflow with its edges by node, its ports and the types that flow.

Everything here can be kept up to date: [change][symphony_workflow.rule_graph.Graph.change] brings a graph from one
state of a workflow to the next and says which nodes have to be looked at again.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from operator import is_
from typing import Any, NamedTuple

from symphony_sdk.contributions import OperationSpec

from symphony_workflow.model import (
    INPUTS,
    LOCAL,
    ApprovalNode,
    BranchNode,
    DataEdge,
    Edge,
    Expression,
    JoinNode,
    LoopNode,
    MapNode,
    Node,
    Resources,
    SubworkflowNode,
    SwitchNode,
    Workflow,
    WorkflowInput,
)
from symphony_workflow.port_types import Schema, accepts, compatible
from symphony_workflow.ports import Ports, node_ports

DECISIONS = (BranchNode, SwitchNode, ApprovalNode)
"""The kinds of node that choose one of their outputs, so that what follows the others is skipped."""

PASSES_ON = (*DECISIONS, JoinNode)
"""The kinds of node whose outputs have the types of what they are given."""

REPEATING = (MapNode, LoopNode)
"""The kinds of node that make several calls."""

CALLERS = (*REPEATING, SubworkflowNode)
"""The kinds of node that may run a workflow of the file."""

_KEPT_COMPARISONS = 20_000
_JOINED_TYPES = 8
_COMPARED_AT_ONCE = 512
_SCALARS = frozenset({str, int, float, bool, type(None)})


class Setting(NamedTuple):
    """What a workflow is held against, the same for it and its sub-workflows.

    Args:
        operations: The installed operations by id; None to know nothing of them.
        capacity: The most that any place to run a node offers; None to know nothing of it.
    """

    operations: Mapping[str, OperationSpec] | None
    capacity: Resources | None = None


class Change(NamedTuple):
    """What is other in a graph than it was.

    Args:
        nodes: The ids of nodes that came, went or are others.
        gone: The edges that went, with their numbers.
        new: The edges that came, with their numbers.
        touched: The ids of all nodes whose faults may be others.
        ends: Whether inputs or outputs of the workflow are others.
    """

    nodes: set[str]
    gone: list[tuple[int, Edge]]
    new: list[tuple[int, Edge]]
    touched: set[str]
    ends: bool


class Graph:
    """A workflow as its rules see it.

    An edge is known by a number that it keeps while others come and go.

    Args:
        workflow: Any workflow, complete or not.
        setting: What it is held against.
        local: The sub-workflows of the file as operations, by `#` and their id.
    """

    def __init__(self, workflow: Workflow, setting: Setting, local: Mapping[str, OperationSpec]) -> None:
        self.workflow = workflow
        self.setting = setting
        self.local = local
        self.nodes: dict[str, Node] = {node.id: node for node in workflow.nodes}
        self.edges: list[Edge] = list(workflow.edges)
        self.numbers: range | list[int] = range(len(self.edges))
        self.into: dict[str, list[int]] = defaultdict(list)
        self.out: dict[str, list[int]] = defaultdict(list)
        into, out = self.into, self.out
        for number, edge in enumerate(self.edges):
            into[edge.target].append(number)
            out[edge.source].append(number)
        self._ports_by_kind: dict[Any, Ports | None] = {}
        self.ports: dict[str, Ports | None] = {id: self._ports_of(node) for id, node in self.nodes.items()}
        self.callers = {id for id, node in self.nodes.items() if _is_caller(node)}
        self.repeating = {id for id, node in self.nodes.items() if isinstance(node, REPEATING)}
        self.expressing = {id for id, node in self.nodes.items() if has_expression(node)}
        self.sound_uses: set[tuple[type, str, int | None]] = set()
        self.sound_links: dict[tuple[int, str, int, str], tuple[Any, Any]] = {}
        self._fits: dict[tuple[int, int], tuple[Schema, Schema, str]] = {}
        self._accepted: dict[tuple[int, type, Any], tuple[Schema, str]] = {}
        self._flows: dict[str, dict[str, Schema]] = defaultdict(dict)
        self._read_ends()

    def _read_ends(self) -> None:
        self.inputs: dict[str, WorkflowInput] = {one.name: one for one in self.workflow.inputs}
        self.input_schemas = {name: input_schema(one) for name, one in self.inputs.items()}
        self.handed_back: dict[str, set[str]] = defaultdict(set)
        for one in self.workflow.outputs:
            self.handed_back[one.node].add(one.port)

    def operation(self, uses: str) -> OperationSpec | None:
        """What a node `uses`, where it is known."""
        if uses.startswith(LOCAL):
            return self.local.get(uses)
        return (self.setting.operations or {}).get(uses)

    def position(self, number: int) -> int:
        """The index in `Workflow.edges` of the edge of this number."""
        return self.numbers.index(number)

    def data_into(self, id: str) -> Iterator[tuple[int, DataEdge]]:
        """The data edges that end at a node, with their numbers."""
        for number in self.into.get(id, ()):
            edge = self.edges[number]
            if isinstance(edge, DataEdge):
                yield number, edge

    def taken_ports(self, id: str) -> set[str]:
        """The output ports of a node that a data edge or an output of the workflow takes."""
        edges = (self.edges[number] for number in self.out.get(id, ()))
        taken = {edge.source_port for edge in edges if isinstance(edge, DataEdge)}
        return taken | self.handed_back.get(id, set())

    def mismatch(self, source: Schema, target: Schema) -> str:
        """Why values of type `source` do not fit `target`; each pair is compared once."""
        key = (id(source), id(target))
        known = self._fits.get(key)
        if known is None:
            if len(self._fits) > _KEPT_COMPARISONS:
                self._fits.clear()
            # It keeps both alive: their ids are the key.
            known = self._fits[key] = (source, target, compatible(source, target).reason)
        return known[2]

    def refusal(self, schema: Schema, value: Any) -> str:
        """Why a literal is not of a type; most literals are short, and stand in many nodes."""
        if type(value) not in _SCALARS:
            return accepts(schema, value).reason
        key = (id(schema), type(value), value)
        known = self._accepted.get(key)
        if known is None:
            if len(self._accepted) > _KEPT_COMPARISONS:
                self._accepted.clear()
            known = self._accepted[key] = (schema, accepts(schema, value).reason)
        return known[1]

    def remember_sound(self, link: tuple[int, str, int, str], edge: DataEdge) -> None:
        """Keep that edges between these ports of these kinds of node have no fault, where that is always so."""
        source, target = self.ports.get(edge.source), self.ports.get(edge.target)
        if source is not None and target is not None and not self._passes_on(edge.source):
            if len(self.sound_links) > _KEPT_COMPARISONS:
                self.sound_links.clear()
            self.sound_links[link] = (source, target)  # it keeps both alive: their ids are in the key

    def source_schema(self, edge: DataEdge) -> Schema:
        """The type of what an edge carries, `{}` where it cannot be known."""
        return self.output_schema(edge.source, edge.source_port)

    def output_schema(self, id: str, port: str) -> Schema:
        """The type of an output port, of an input of the workflow where `id` is `$inputs`; `{}` where unknown."""
        if id == INPUTS:
            return self.input_schemas.get(port, {})
        if isinstance(self.nodes.get(id), PASSES_ON):
            return self._flow(id, port)
        ports = self.ports.get(id)
        found = ports.outputs.get(port) if ports else None
        return found.schema if found else {}

    def _flow(self, id: str, port: str) -> Schema:
        """The type that a node passes on, found without recursion: rows of branches may be long."""
        waiting, met = [(id, port)], set()
        while waiting:
            here = waiting[-1]
            if here[1] in self._flows[here[0]]:
                waiting.pop()
                continue
            sources = self._passed_on(*here)
            ahead = [one for one in sources if self._passes_on(one[0]) and one[1] not in self._flows[one[0]]]
            if ahead and here not in met:
                met.add(here)
                waiting += ahead
                continue
            # What is still ahead now is part of a ring, of which no type can be known.
            self._flows[here[0]][here[1]] = {} if ahead else self._joined(*here, sources)
            waiting.pop()
        return self._flows[id][port]

    def _passes_on(self, id: str) -> bool:
        return isinstance(self.nodes.get(id), PASSES_ON)

    def _passed_on(self, id: str, port: str) -> list[tuple[str, str]]:
        """The output ports whose values a port of a node passes on; none where it makes a value of its own."""
        node = self.nodes[id]
        if isinstance(node, JoinNode):
            if port != "value" or node.params:
                return []
            return [(edge.source, edge.source_port) for _, edge in self.data_into(id)]
        if isinstance(node, ApprovalNode) and port == "answer":
            return []
        feeding = [edge for _, edge in self.data_into(id) if edge.target_port == "value"]
        return [(edge.source, edge.source_port) for edge in feeding] if len(feeding) == 1 else []

    def _joined(self, id: str, port: str, sources: list[tuple[str, str]]) -> Schema:
        types: list[Schema] = []
        for source in sorted(sources):
            schema = self.output_schema(*source)
            if not any(schema is known or schema == known for known in types):
                types.append(schema)
        if not types:
            ports = self.ports[id]
            return ports.outputs[port].schema if ports and port in ports.outputs else {}
        if len(types) == 1:
            return types[0]
        plain = all(types) and not any("$defs" in one for one in types)
        return {"anyOf": types} if plain and len(types) <= _JOINED_TYPES else {}

    def _ports_of(self, node: Node) -> Ports | None:
        uses = getattr(node, "uses", "")
        kind: tuple[Any, ...] = (type(node), uses)
        if isinstance(node, MapNode):
            kind += (node.over, node.on_error)
        elif isinstance(node, SwitchNode):
            kind += tuple(case.port for case in node.cases)
        if kind not in self._ports_by_kind:
            operation = self.operation(uses)
            self._ports_by_kind[kind] = node_ports(node, {uses: operation} if operation else {})
        return self._ports_by_kind[kind]

    # -- change ----------------------------------------------------------------------------------------

    def change(self, workflow: Workflow, local: Mapping[str, OperationSpec]) -> Change | None:
        """Bring the graph to a new state of its workflow.

        Args:
            workflow: The new state. Parts that are the same objects as before are not looked at.
            local: The sub-workflows of the file as operations; the same object as before where none has changed.

        Returns:
            What has changed; None where two nodes share an id, and the graph has to be made anew.
        """
        old, self.workflow = self.workflow, workflow
        if len(self.nodes) < len(old.nodes):
            return None
        nodes = self._change_nodes(old.nodes, workflow.nodes)
        if len(self.nodes) < len(workflow.nodes):
            return None
        if local is not self.local:
            nodes |= self._change_local(local)
        gone, new = self._change_edges(old.edges, workflow.edges)
        sources = {edge.source for _, edge in (*gone, *new)}
        if (len(old.nodes) > 1) != (len(workflow.nodes) > 1):  # one alone need not be connected
            nodes |= self.nodes.keys()
        targets = {edge.target for _, edge in (*gone, *new)}
        ends = workflow.inputs is not old.inputs or workflow.outputs is not old.outputs
        if ends:
            sources |= self.handed_back.keys()
            self._read_ends()
            sources |= self.handed_back.keys()
            nodes.add(INPUTS)
            targets |= self.expressing
        return Change(nodes, gone, new, self._touched(nodes, sources, targets), ends)

    def _touched(self, nodes: set[str], sources: set[str], targets: set[str]) -> set[str]:
        """The nodes whose faults may be others now: the types that flow reach through the nodes that pass them on."""
        touched = nodes | sources | targets
        ahead = [*nodes, *(id for id in targets if isinstance(self.nodes.get(id), PASSES_ON))]
        followed = set(ahead)
        while ahead:
            id = ahead.pop()
            self._flows.pop(id, None)
            for number in self.out.get(id, ()):
                target = self.edges[number].target
                touched.add(target)
                if target not in followed and isinstance(self.nodes.get(target), PASSES_ON):
                    followed.add(target)
                    ahead.append(target)
        return touched

    def _change_nodes(self, old: tuple[Node, ...], new: tuple[Node, ...]) -> set[str]:
        start, end = _unchanged(old, new)
        before, after = old[start : len(old) - end], new[start : len(new) - end]
        kept = {id(node) for node in before} & {id(node) for node in after}
        changed = set()
        for node in before:
            if id(node) not in kept:
                changed.add(node.id)
                del self.nodes[node.id], self.ports[node.id]
                self.callers.discard(node.id)
                self.repeating.discard(node.id)
                if node.id in self.expressing:
                    self.expressing.remove(node.id)
                    changed.add(INPUTS)
        for node in after:
            if id(node) not in kept:
                changed.add(node.id)
                self.nodes[node.id] = node
                self.ports[node.id] = self._ports_of(node)
                if _is_caller(node):
                    self.callers.add(node.id)
                if isinstance(node, REPEATING):
                    self.repeating.add(node.id)
                if has_expression(node):
                    self.expressing.add(node.id)
                    changed.add(INPUTS)
        return changed

    def _change_local(self, local: Mapping[str, OperationSpec]) -> set[str]:
        """The nodes whose ports are others now that the sub-workflows are."""
        self.local = local
        for kind in [kind for kind in self._ports_by_kind if str(kind[1]).startswith(LOCAL)]:
            del self._ports_by_kind[kind]
        for id in self.callers:
            self.ports[id] = self._ports_of(self.nodes[id])
        return set(self.callers)

    def _change_edges(
        self, old: tuple[Edge, ...], new: tuple[Edge, ...]
    ) -> tuple[list[tuple[int, Edge]], list[tuple[int, Edge]]]:
        start, end = _unchanged(old, new)
        numbers = self.numbers if isinstance(self.numbers, list) else list(self.numbers)
        self.numbers = numbers
        left = numbers[start : len(old) - end]
        free: dict[int, list[int]] = defaultdict(list)
        for number in reversed(left):
            free[id(self.edges[number])].append(number)
        middle, added = [], []
        for edge in new[start : len(new) - end]:
            if free.get(id(edge)):
                middle.append(free[id(edge)].pop())
            else:
                middle.append(len(self.edges))
                added.append((len(self.edges), edge))
                self.edges.append(edge)
        numbers[start : len(old) - end] = middle
        removed = [(number, self.edges[number]) for number in set(left).difference(middle)]
        for number, edge in removed:
            self.into[edge.target].remove(number)
            self.out[edge.source].remove(number)
        for number, edge in added:
            self.into[edge.target].append(number)
            self.out[edge.source].append(number)
        return removed, added


def input_schema(one: WorkflowInput) -> Schema:
    """The type of what an input of a workflow gives: null too, where it may be left out."""
    if one.required or one.default is not None or not one.schema:
        return one.schema
    return {"anyOf": [one.schema, {"type": "null"}], "$defs": one.schema.get("$defs", {})}


def has_expression(node: Node) -> bool:
    """Whether a parameter of a node is computed.

    Args:
        node: Any node.
    """
    return Expression in map(type, node.params.values())


def _is_caller(node: Node) -> bool:
    return isinstance(node, CALLERS) and node.uses.startswith(LOCAL)


def _unchanged(old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[int, int]:
    """How many parts at the start and at the end are the same objects; equal ones may differ, as 1 and True do."""
    if old is new:
        return len(old), 0
    shorter = min(len(old), len(new))
    start = shorter
    for at in range(0, shorter, _COMPARED_AT_ONCE):
        here = slice(at, min(at + _COMPARED_AT_ONCE, shorter))
        if (place := bytes(map(is_, old[here], new[here])).find(0)) >= 0:
            start = at + place
            break
    for at in range(0, shorter - start, _COMPARED_AT_ONCE):
        size = min(_COMPARED_AT_ONCE, shorter - start - at)
        mine = old[len(old) - at - size : len(old) - at]
        theirs = new[len(new) - at - size : len(new) - at]
        if (place := bytes(map(is_, mine, theirs)).rfind(0)) >= 0:
            return start, at + size - place - 1
    return start, shorter - start

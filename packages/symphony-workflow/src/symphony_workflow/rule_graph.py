"""What the rules of validation share: look-ups of nodes, ports and types, each made once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from symphony_sdk.contributions import OperationSpec

from symphony_workflow.model import (
    INPUTS,
    ApprovalNode,
    BranchNode,
    DataEdge,
    JoinNode,
    LoopNode,
    MapNode,
    Node,
    SwitchNode,
    Workflow,
)
from symphony_workflow.port_types import Schema
from symphony_workflow.ports import Ports, node_ports

MAX_SEARCHES = 50
"""How many misspelt names are looked up for a hint in one pass: each look-up is slow among thousands of names."""


class Graph:
    """A workflow, and the operations that its nodes may use.

    Args:
        workflow: Any workflow, complete or not.
        operations: The operations by id; None to know nothing of ports.
    """

    def __init__(self, workflow: Workflow, operations: Mapping[str, OperationSpec] | None) -> None:
        self.workflow = workflow
        self.operations = operations
        self.nodes: dict[str, Node] = {node.id: node for node in workflow.nodes}
        self.inputs = {one.name: one for one in workflow.inputs}
        self.workflows = {one.id: one for one in workflow.workflows}
        self._searches = 0

    @cached_property
    def data_into(self) -> dict[str, list[tuple[int, DataEdge]]]:
        """The data edges that end at each node, with their index."""
        found: dict[str, list[tuple[int, DataEdge]]] = defaultdict(list)
        for number, edge in enumerate(self.workflow.edges):
            if isinstance(edge, DataEdge):
                found[edge.target].append((number, edge))
        return found

    @cached_property
    def ports(self) -> dict[str, Ports | None]:
        """The ports of each node, None where they cannot be known."""
        made: dict[Any, Ports | None] = {}
        found: dict[str, Ports | None] = {}
        for id, node in self.nodes.items():
            key = _ports_key(node)
            if key not in made:
                made[key] = node_ports(node, self.operations or {}, self.workflows)
            found[id] = made[key]
        return found

    @cached_property
    def input_schemas(self) -> dict[str, Schema]:
        """The type of what each input of the workflow gives: null too, where it may be left out."""
        return {
            name: one.schema
            if one.required or one.default is not None or not one.schema
            else {"anyOf": [one.schema, {"type": "null"}], "$defs": one.schema.get("$defs", {})}
            for name, one in self.inputs.items()
        }

    def source_schema(self, edge: DataEdge, through: tuple[str, ...] = ()) -> Schema:
        """The type of what an edge carries, `{}` where it cannot be known."""
        if edge.source == INPUTS:
            return self.input_schemas.get(edge.source_port, {})
        node = self.nodes.get(edge.source)
        if node is None:
            return {}
        if isinstance(node, BranchNode):  # it passes on what it is given
            feeding = [one for _, one in self.data_into.get(node.id, ()) if one.target_port == "value"]
            known = len(feeding) == 1 and node.id not in through
            return self.source_schema(feeding[0], (*through, node.id)) if known else {}
        ports = self.ports[edge.source]
        port = ports.outputs.get(edge.source_port) if ports else None
        return port.schema if port else {}

    def suggest(self, name: str, known: Iterable[str]) -> str:
        """A hint that names the nearest known name, or all where they are few."""
        self._searches += 1
        if self._searches > MAX_SEARCHES:
            return ""
        names = sorted(known)
        close = get_close_matches(name, names, n=1)
        if close:
            return f"Did you mean {close[0]!r}?"
        return f"There is {', '.join(names)}." if 0 < len(names) <= 8 else ""


def _ports_key(node: Node) -> Any:
    """What decides on the ports of a node."""
    if isinstance(node, MapNode):
        return (MapNode, node.uses, node.over, node.on_error)
    if isinstance(node, SwitchNode):
        return (SwitchNode, node.cases)
    if isinstance(node, BranchNode | JoinNode | ApprovalNode):
        return type(node)
    return (LoopNode, node.uses) if isinstance(node, LoopNode) else node.uses

"""What the rules of validation share: look-ups of nodes, ports and types, each made once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from symphony_sdk.contributions import OperationSpec

from symphony_workflow.model import INPUTS, BranchNode, DataEdge, MapNode, Node, Workflow
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
        self._ports: dict[tuple[Any, ...], Ports | None] = {}
        self._searches = 0

    @cached_property
    def data_into(self) -> dict[str, list[tuple[int, DataEdge]]]:
        """The data edges that end at each node, with their index."""
        found: dict[str, list[tuple[int, DataEdge]]] = defaultdict(list)
        for number, edge in enumerate(self.workflow.edges):
            if isinstance(edge, DataEdge):
                found[edge.target].append((number, edge))
        return found

    def ports(self, node: Node) -> Ports | None:
        """The ports of a node, None where they cannot be known."""
        if isinstance(node, BranchNode):
            key: tuple[Any, ...] = ("branch",)
        elif isinstance(node, MapNode):
            key = (node.uses, node.over, node.on_error)
        else:
            key = (node.uses,)
        if key not in self._ports:
            self._ports[key] = node_ports(node, self.operations or {})
        return self._ports[key]

    def source_schema(self, edge: DataEdge, through: tuple[str, ...] = ()) -> Schema:
        """The type of what an edge carries, `{}` where it cannot be known."""
        if edge.source == INPUTS:
            given = self.inputs.get(edge.source_port)
            if given is None:
                return {}
            if given.required or given.default is not None or not given.schema:
                return given.schema
            return {"anyOf": [given.schema, {"type": "null"}], **_definitions(given.schema)}
        node = self.nodes.get(edge.source)
        if node is None:
            return {}
        if isinstance(node, BranchNode):  # it passes on what it is given
            feeding = [one for _, one in self.data_into.get(node.id, ()) if one.target_port == "value"]
            known = len(feeding) == 1 and node.id not in through
            return self.source_schema(feeding[0], (*through, node.id)) if known else {}
        ports = self.ports(node)
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


def _definitions(schema: Schema) -> dict[str, Any]:
    return {"$defs": schema["$defs"]} if "$defs" in schema else {}

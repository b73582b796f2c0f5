"""The rules about conditions and expressions: what they may use, and which of them never change."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow.conditions import condition_variables, holds
from symphony_workflow.expressions import BOOLEAN, check_expression
from symphony_workflow.findings import Fault
from symphony_workflow.model import (
    BranchNode,
    ConditionalEdge,
    Expression,
    LoopNode,
    Node,
    SwitchNode,
)
from symphony_workflow.port_types import Schema
from symphony_workflow.rule_graph import Graph


def condition_faults(graph: Graph, node: Node) -> Iterator[Fault]:
    """What is wrong with the conditions and expressions of a node.

    Args:
        graph: The workflow.
        node: One of its nodes.
    """
    if isinstance(node, (BranchNode, SwitchNode)):
        yield from _decision_faults(graph, node)
    elif isinstance(node, LoopNode):
        yield from _loop_faults(graph, node)
    if node.id in graph.expressing:
        for port, value in node.params.items():
            if isinstance(value, Expression):
                yield from _expression_faults(graph, node, port, value.text)


def _decision_faults(graph: Graph, node: BranchNode | SwitchNode) -> Iterator[Fault]:
    types = given_types(graph, node)
    hint = f"It can use the inputs of {node.id!r}: {_listed(types)}."
    for port, condition in _conditions(node):
        if fault := _fault(condition, types, BOOLEAN):
            yield Fault("SYM-W021", "error", f"node {node.id!r}: {fault}", hint, node.id, port)
    for port, why in closed_ports(graph, node).items():
        yield Fault(
            "SYM-W082",
            "warning",
            f"node {node.id!r} never takes the way {port!r}: {why}",
            "Correct the condition, or remove the way and what follows it.",
            node.id,
            port,
        )


def _conditions(node: BranchNode | SwitchNode) -> list[tuple[str, str]]:
    if isinstance(node, BranchNode):
        return [("", node.condition)]
    return [(case.port, case.condition) for case in node.cases]


def _loop_faults(graph: Graph, node: LoopNode) -> Iterator[Fault]:
    operation = graph.operation(node.uses)
    types: dict[str, Schema] | None = None
    if operation is not None:
        types = {port.name: port.schema for port in operation.outputs}
        types["iteration"] = {"type": "integer"}
    if fault := _fault(node.until, types, BOOLEAN):
        hint = f"It can use what an iteration gives: {_listed(types)}." if types is not None else ""
        yield Fault("SYM-W021", "error", f"node {node.id!r}: {fault}", hint, node.id)
    elif (always := constant(node.until)) is not None:
        outcome = (
            "stops after one iteration" if always else f"always reaches its bound of {node.max_iterations}"
        )
        yield Fault(
            "SYM-W082",
            "warning",
            f"the loop {node.id!r} {outcome}: its condition `{node.until}` is always {str(always).lower()}",
            "Let it look at an output of an iteration, or at `iteration`.",
            node.id,
        )


def _expression_faults(graph: Graph, node: Node, port: str, text: str) -> Iterator[Fault]:
    given = given_types(graph, node)
    types = {name: type for name, type in given.items() if not isinstance(node.params.get(name), Expression)}
    if "inputs" in types:
        message = f"node {node.id!r} has an input named 'inputs', which means the workflow's inputs in an expression"
        yield Fault("SYM-W020", "error", message, "Give the value to another input.", node.id, "inputs")
    types["inputs"] = {"type": "object", "properties": {**graph.input_schemas}, "additionalProperties": False}
    ports = graph.ports[node.id]
    wants = ports.inputs[port].schema if ports and port in ports.inputs else None
    if fault := _fault(text, types, wants):
        hint = f"It can use {_listed(types)}."
        message = f"the parameter {port!r} of node {node.id!r}: {fault}"
        yield Fault("SYM-W021", "error", message, hint, node.id, port)


def edge_condition_faults(graph: Graph, number: int, edge: ConditionalEdge) -> Iterator[Fault]:
    """What is wrong with the condition of an edge from a known node.

    Args:
        graph: The workflow.
        number: The number of the edge.
        edge: The edge.
    """
    ports = graph.ports[edge.source]
    types = (
        None if ports is None else {name: graph.output_schema(edge.source, name) for name in ports.outputs}
    )
    if fault := _fault(edge.condition, types, BOOLEAN):
        hint = f"It can use the outputs of {edge.source!r}: {_listed(types)}." if types is not None else ""
        yield Fault("SYM-W021", "error", fault, hint, edge.target, edge=number)
    elif (always := constant(edge.condition)) is not None:
        yield Fault(
            "SYM-W082",
            "warning",
            f"the condition `{edge.condition}` of the edge {edge.source} -> {edge.target} is always "
            f"{str(always).lower()}",
            "Use a control edge instead." if always else "Correct it, or remove the edge.",
            edge.target,
            edge=number,
        )


def given_types(graph: Graph, node: Node) -> dict[str, Schema]:
    """The types of the values that a node is given, by input.

    Args:
        graph: The workflow.
        node: One of its nodes.
    """
    types: dict[str, Schema] = {name: _type_of(value) for name, value in node.params.items()}
    for _, edge in graph.data_into(node.id):
        port = edge.target_port
        types[port] = {} if port in types else graph.source_schema(edge)  # what is given twice may be either
    return types


def closed_ports(graph: Graph, node: BranchNode | SwitchNode) -> dict[str, str]:
    """The ways out of a decision that are never taken, each with the reason.

    Args:
        graph: The workflow.
        node: A branch or switch of it.
    """
    edges = {edge.target_port for _, edge in graph.data_into(node.id)}
    known = {
        name: value
        for name, value in node.params.items()
        if not isinstance(value, Expression) and name not in edges
    }
    if isinstance(node, BranchNode):
        always = constant(node.condition, known)
        if always is None:
            return {}
        return {"else" if always else "then": f"`{node.condition}` is always {str(always).lower()}"}
    closed: dict[str, str] = {}
    open_ports: set[str] = set()
    met: dict[str, str] = {}
    certain = ""
    for case in node.cases:
        always = constant(case.condition, known)
        if certain:
            closed.setdefault(case.port, f"the case {certain!r} before it always holds")
        elif always is False:
            closed.setdefault(case.port, f"`{case.condition}` is always false")
        elif case.condition in met:
            closed.setdefault(case.port, f"the case {met[case.condition]!r} before it has the same condition")
        else:
            open_ports.add(case.port)
        met.setdefault(case.condition, case.port)
        if always and not certain:
            certain = case.port
    if certain:
        closed.setdefault("default", f"the case {certain!r} always holds")
    return {port: why for port, why in closed.items() if port not in open_ports}


def constant(text: str, known: Mapping[str, Any] | None = None) -> bool | None:
    """What a condition always is, where it needs nothing but what is known; None where it may change.

    Args:
        text: A condition.
        known: Values that never change, by name.
    """
    names = _variables(text)
    if names is None or (names and (known is None or not names <= known.keys())):
        return None
    try:
        return holds(text, {name: known[name] for name in names} if known else {})
    except WorkflowError:
        return None


@lru_cache(maxsize=4096)
def _variables(text: str) -> frozenset[str] | None:
    try:
        return condition_variables(text)
    except WorkflowError:
        return None


def _fault(text: str, types: Mapping[str, Schema] | None, wants: Schema | None) -> str:
    return "; ".join(check_expression(text, types, wants=wants))


def _listed(types: Mapping[str, Schema] | None) -> str:
    return ", ".join(sorted(types or ())) or "nothing"


def _type_of(value: Any) -> Schema:
    """The type of a literal; any, for what is computed."""
    if value is None:
        return {"type": "null"}
    for kind, name in _JSON_TYPES.items():
        if isinstance(value, kind):
            return {"type": name}
    return {}


_JSON_TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}

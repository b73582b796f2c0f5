"""The typed ports of a node: those of the operation that it uses, and what a control node makes of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from symphony_sdk.contributions import OperationSpec, PortSpec

from symphony_workflow.model import (
    LOCAL,
    ApprovalNode,
    BranchNode,
    JoinNode,
    LoopNode,
    MapNode,
    Node,
    SwitchNode,
    Workflow,
)

_MAP_ERROR = {
    "type": "object",
    "properties": {
        "index": {"type": "integer"},
        "code": {"type": "string"},
        "message": {"type": "string"},
    },
    "required": ["index", "code", "message"],
}
_COUNT = {"type": "integer", "minimum": 1}
_ANSWER = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "by": {"type": "string"},
        "comment": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
    },
    "required": ["approved", "by", "comment", "at"],
}


class Ports(NamedTuple):
    """The ports of one node.

    Args:
        inputs: The input ports by name.
        outputs: The output ports by name.
        any_input: Whether an input may have any further name, as those of a branch, switch, join or approval may.
    """

    inputs: dict[str, PortSpec]
    outputs: dict[str, PortSpec]
    any_input: bool = False


def node_ports(
    node: Node, operations: Mapping[str, OperationSpec], workflows: Mapping[str, Workflow] | None = None
) -> Ports | None:
    """The ports of `node`; None where what it uses is not known.

    Args:
        node: Any node.
        operations: The known operations by id. Workflows of the file whose types are known may be among them, by `#`
            and their id.
        workflows: The other workflows of the file by id: their outputs may have any type here, for telling it takes
            the types of all their nodes.
    """
    if isinstance(node, BranchNode | SwitchNode | JoinNode | ApprovalNode):
        return _ports_of_any_input(node)
    called = called_ports(node.uses, operations, workflows or {})
    if called is None:
        return None
    if isinstance(node, MapNode):
        return _map_ports(node, called)
    if isinstance(node, LoopNode):
        return Ports(called.inputs, {**called.outputs, "iterations": PortSpec("iterations", _COUNT)})
    return called


def called_ports(
    uses: str, operations: Mapping[str, OperationSpec], workflows: Mapping[str, Workflow]
) -> Ports | None:
    """The ports of what a node `uses`: those of an operation, or the inputs and outputs of a workflow of the file.

    Args:
        uses: The id of an operation, or `#` and the id of a workflow.
        operations: The known operations by id, and workflows of the file by `#` and their id.
        workflows: Further workflows of the file by id.
    """
    operation = operations.get(uses)
    if operation is not None:
        return Ports(
            {port.name: port for port in operation.inputs}, {port.name: port for port in operation.outputs}
        )
    workflow = workflows.get(uses.removeprefix(LOCAL)) if uses.startswith(LOCAL) else None
    if workflow is None:
        return None
    inputs = {
        one.name: PortSpec(one.name, one.schema, required=one.required, description=one.description)
        for one in workflow.inputs
    }
    return Ports(inputs, {one.name: PortSpec(one.name, {}) for one in workflow.outputs})


def _ports_of_any_input(node: BranchNode | SwitchNode | JoinNode | ApprovalNode) -> Ports:
    if isinstance(node, JoinNode):
        outputs = {"value": PortSpec("value", {}), "values": PortSpec("values", {"type": "object"})}
        return Ports({}, outputs, any_input=True)
    if isinstance(node, BranchNode):
        ways = ["then", "else"]
    elif isinstance(node, SwitchNode):
        ways = [*(case.port for case in node.cases), "default"]
    else:
        ways = ["approved", "rejected"]
    value = PortSpec(
        "value", {}, required=False, description=f"what goes on to {' or '.join(f'`{way}`' for way in ways)}"
    )
    outputs = {way: PortSpec(way, {}) for way in ways}
    if isinstance(node, ApprovalNode):
        outputs["answer"] = PortSpec("answer", _ANSWER)
    return Ports({"value": value}, outputs, any_input=True)


def _map_ports(node: MapNode, called: Ports) -> Ports:
    inputs = dict(called.inputs)
    if node.over in inputs:
        inputs[node.over] = PortSpec(node.over, list_of(inputs[node.over].schema))
    outputs = {"results": PortSpec("results", _results(called, nullable=node.on_error == "collect"))}
    if node.on_error == "collect":
        outputs["errors"] = PortSpec("errors", list_of(_MAP_ERROR))
    return Ports(inputs, outputs)


def map_result(outputs: Mapping[str, Any]) -> Any:
    """What one call of a map node adds to `results`: the value of the only output port, or all by name.

    Args:
        outputs: The values of the operation's output ports by name.
    """
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    return dict(outputs)


def list_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a list of `schema`.

    Args:
        schema: The JSON Schema of one item.
    """
    return _hoist({"type": "array", "items": _without_definitions(schema)}, schema)


def _results(called: Ports, *, nullable: bool) -> dict[str, Any]:
    ports = list(called.outputs.values())
    if len(ports) == 1:
        item = ports[0].schema
    else:
        item = {
            "type": "object",
            "properties": {port.name: _without_definitions(port.schema) for port in ports},
            "required": [port.name for port in ports if port.required],
        }
        for port in ports:
            item = _hoist(item, port.schema)
    if nullable:
        item = _hoist({"anyOf": [_without_definitions(item), {"type": "null"}]}, item)
    return list_of(item)


def _without_definitions(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "$defs"}


def _hoist(outer: dict[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """`outer` with the definitions of `inner`, whose `#/$defs/...` references start at the root."""
    if "$defs" not in inner:
        return outer
    own = outer.get("$defs", {})
    merged = {**own, **inner["$defs"]}
    for name in own.keys() & inner["$defs"].keys():
        if own[name] != inner["$defs"][name]:
            merged[name] = {}  # two types of one name: neither can be checked
    return {**outer, "$defs": merged}

"""The typed ports of a node: those of the operation that it uses, and what a control node makes of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from symphony_sdk.contributions import OperationSpec, PortSpec

from symphony_workflow.model import ApprovalNode, BranchNode, JoinNode, LoopNode, MapNode, Node, SwitchNode

_MAP_ERROR = {
    "type": "object",
    "properties": {
        "index": {"type": "integer"},
        "code": {"type": "string"},
        "message": {"type": "string"},
    },
    "required": ["index", "code", "message"],
}


class Ports(NamedTuple):
    """The ports of one node.

    Args:
        inputs: The input ports by name.
        outputs: The output ports by name.
        any_input: Whether an input may have any further name, as those of a branch may.
    """

    inputs: dict[str, PortSpec]
    outputs: dict[str, PortSpec]
    any_input: bool = False


def node_ports(node: Node, operations: Mapping[str, OperationSpec]) -> Ports | None:
    """The ports of `node`; None where the operation that it uses is not known.

    Args:
        node: Any node.
        operations: The known operations by id; sub-workflows among them by `#` and their id.
    """
    if isinstance(node, BranchNode | SwitchNode | JoinNode | ApprovalNode):
        return _control_ports(node)
    operation = operations.get(node.uses)
    if operation is None:
        return None
    inputs = {port.name: port for port in operation.inputs}
    outputs = {port.name: port for port in operation.outputs}
    if isinstance(node, LoopNode):
        return Ports(inputs, outputs | {"iterations": PortSpec("iterations", {"type": "integer"})})
    if not isinstance(node, MapNode):
        return Ports(inputs, outputs)
    if node.over in inputs:
        inputs[node.over] = PortSpec(node.over, list_of(inputs[node.over].schema))
    outputs = {"results": PortSpec("results", _results(operation, nullable=node.on_error == "collect"))}
    if node.on_error == "collect":
        outputs["errors"] = PortSpec("errors", list_of(_MAP_ERROR))
    return Ports(inputs, outputs)


_ANSWER = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "by": {"type": "string"},
        "comment": {"type": "string"},
        "at": {"type": "string"},
    },
    "required": ["approved", "by", "comment", "at"],
}


def _control_ports(node: BranchNode | SwitchNode | JoinNode | ApprovalNode) -> Ports:
    if isinstance(node, JoinNode):
        outputs = {"value": PortSpec("value", {}), "values": PortSpec("values", {"type": "object"})}
        return Ports({}, outputs, any_input=True)
    if isinstance(node, BranchNode):
        ways = ["then", "else"]
    elif isinstance(node, SwitchNode):
        ways = [*(case.port for case in node.cases), "default"]
    else:
        ways = ["approved", "rejected"]
    outputs = {name: PortSpec(name, {}) for name in ways}
    if isinstance(node, ApprovalNode):
        outputs["answer"] = PortSpec("answer", _ANSWER)
    value = PortSpec("value", {}, required=False, description="what goes on to one of the outputs")
    return Ports({"value": value}, outputs, any_input=True)


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


def _results(operation: OperationSpec, *, nullable: bool) -> dict[str, Any]:
    if len(operation.outputs) == 1:
        item = operation.outputs[0].schema
    else:
        item = {
            "type": "object",
            "properties": {port.name: _without_definitions(port.schema) for port in operation.outputs},
            "required": [port.name for port in operation.outputs if port.required],
        }
        for port in operation.outputs:
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

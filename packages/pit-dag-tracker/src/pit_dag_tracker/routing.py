"""What branch, switch and join nodes give: where the values that come in go on."""

from collections.abc import Mapping

import msgspec
from symphony_sdk.values import encode
from symphony_workflow.model import BranchNode, JoinNode, SwitchNode

from pit_dag_tracker.wiring import FIRST, test

RoutingNode = BranchNode | SwitchNode | JoinNode

NULL = encode(None)


def routed(node: RoutingNode, given: Mapping[str, bytes]) -> dict[str, bytes]:
    """The outputs of a node that only passes values on.

    Args:
        node: The node.
        given: Encoded values by input port.

    Raises:
        WorkflowError: A condition cannot be evaluated.
        MalformedMessage: A condition needs a value that is too large or no value.
    """
    if isinstance(node, JoinNode):
        arrived = {port: msgspec.Raw(value) for port, value in given.items() if port != FIRST}
        return {"value": given[FIRST], "values": encode(arrived)}
    value = given.get("value", NULL)
    if isinstance(node, BranchNode):
        return {"then" if test(node.condition, given, node.id) else "else": value}
    taken = (case.port for case in node.cases if test(case.condition, given, node.id))
    return {next(taken, "default"): value}

"""What failed in a run, put together: one group for each kind of failure, however many nodes it met."""

from collections.abc import Sequence

import msgspec
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.ports import NodeStatus

from symphony_host.run_shape import RunShape


class Failure(msgspec.Struct, frozen=True):
    """The nodes that failed in the same way.

    Args:
        code: The code of their error.
        operation: The operation that they use, or the kind of control node.
        nodes: Their ids, in topological order.
        skipped: How many nodes were skipped that depend on them.
        error: The error of the first.
    """

    code: str
    operation: str
    nodes: list[str]
    skipped: int
    error: ErrorPayload


def failures(nodes: Sequence[NodeStatus], shape: RunShape) -> list[Failure]:
    """The kinds of failure, those that met most nodes first.

    Args:
        nodes: The nodes of a run.
        shape: How they depend on each other.
    """
    names: dict[tuple[str, str], list[str]] = {}
    first: dict[tuple[str, str], ErrorPayload] = {}
    for node in nodes:
        if node.state == "failed" and node.error is not None:
            kind = (node.error.code, shape.operation(node.node))
            names.setdefault(kind, []).append(node.node)
            first.setdefault(kind, node.error)
    skipped = {node.node for node in nodes if node.state == "skipped"}
    found = [
        Failure(*kind, members, len(skipped & shape.after(members)), first[kind])
        for kind, members in names.items()
    ]
    return sorted(found, key=lambda failure: -len(failure.nodes))

"""Turns nodes into what a file says of them, and back."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from sys import intern
from typing import Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow.bulk import from_columns
from symphony_workflow.json_values import json_fault
from symphony_workflow.model import (
    ApprovalNode,
    BranchNode,
    CachePolicy,
    Case,
    Expression,
    InstrumentNode,
    JoinNode,
    LoopNode,
    MapNode,
    Node,
    OperatorNode,
    Resources,
    RetryPolicy,
    SubworkflowNode,
    SwitchNode,
)

EXPRESSION = "$expr"
"""The only key of an object that stands for an `Expression` in `params`."""

LITERAL = "$literal"
"""The only key of an object around a literal that would else be read as an expression, or as such an object."""

NODE_KINDS: Mapping[str, type[Node]] = {
    "instrument": InstrumentNode,
    "operator": OperatorNode,
    "map": MapNode,
    "branch": BranchNode,
    "switch": SwitchNode,
    "join": JoinNode,
    "loop": LoopNode,
    "subworkflow": SubworkflowNode,
    "approval": ApprovalNode,
}
"""The class of each `kind` of node, and of each `control` of those of kind `control`."""


def node_document(node: Node) -> dict[str, Any]:
    """What a file says of a node: keys in a fixed order, no defaults, then the fields that are not known.

    Args:
        node: Any node.

    Raises:
        WorkflowError: A value is not JSON, or an unknown field has the name of a known one.
    """
    document: dict[str, Any] = {"kind": node.kind}
    if node.kind == "control":
        document["control"] = node.control
    for name, default, write in _WRITTEN[type(node)]:
        value = getattr(node, name)
        if value != default:
            document[name] = write(value, f"nodes.{node.id}.{name}") if write else value
    if node.extra:
        put_extra(document, node.extra, _KNOWN[type(node)], f"nodes.{node.id}")
    return document


def read_nodes(documents: Mapping[str, Mapping[str, Any]]) -> tuple[Node, ...]:
    """The nodes that a file speaks of.

    Args:
        documents: What the file says of each, by id, checked; left as it is.
    """
    ids: dict[type[Node], list[str]] = {}
    for id, document in documents.items():
        kind = document["kind"]
        ids.setdefault(NODE_KINDS[document["control"] if kind == "control" else kind], []).append(id)
    made: dict[str, Node] = {}
    for kind, named in ids.items():
        found = [documents[id] for id in named]
        columns = {name: column(found) for name, column in _COLUMNS[kind].items()}
        made.update(
            zip(named, from_columns(kind, len(named), {"id": map(intern, named), **columns}), strict=True)
        )
    return tuple([made[id] for id in documents])


def put_extra(document: dict[str, Any], extra: dict[str, Any], known: frozenset[str], path: str) -> None:
    """Add the fields that this version does not know to a part of a file.

    Args:
        document: The part.
        extra: The fields.
        known: The names that mean something there.
        path: The place of the part in the file, for errors.

    Raises:
        WorkflowError: A value is not JSON, or a field has a name that means something: it would come back as that.
    """
    taken = known & extra.keys()
    if taken:
        name = min(taken)
        raise WorkflowError(
            f"{path} has {name!r} among its unknown fields, but the file format knows it",
            code="SYM-W006",
            hint=f"Set the field {name!r} itself, or rename it in `extra`.",
            details={"path": path},
        )
    document |= plain(extra, path)


def plain(value: Any, path: str) -> Any:
    """A value that can be written as JSON and read back unchanged.

    Args:
        value: Any object.
        path: Its place in the file, for errors.

    Raises:
        WorkflowError: It is no JSON.
    """
    if fault := json_fault(value):
        raise WorkflowError(
            f"{path} cannot be written as JSON: {fault}",
            code="SYM-W006",
            hint="Keep values of other types out of the workflow: pass them as an input or read them in a node.",
            details={"path": path},
        )
    return value


def read_param(value: Any) -> Any:
    """The parameter that a file speaks of: a literal or an `Expression`.

    Args:
        value: A value of `params`, checked.
    """
    if type(value) is dict and len(value) == 1:
        if EXPRESSION in value:
            return Expression(value[EXPRESSION])
        if LITERAL in value:
            return value[LITERAL]
    return value


def param_document(value: Any, path: str) -> Any:
    """What a file says of a parameter.

    Args:
        value: A literal or an `Expression`.
        path: Its place in the file, for errors.

    Raises:
        WorkflowError: It is neither an expression nor JSON.
    """
    if isinstance(value, Expression):
        return {EXPRESSION: plain(value.text, path)}
    plain(value, path)
    if type(value) is dict and len(value) == 1 and (EXPRESSION in value or LITERAL in value):
        return {LITERAL: value}
    return value


def number(value: float) -> float | int:
    """One spelling for one number, so that 2 and 2.0 seconds have the same digest.

    Args:
        value: A finite number; above 2**53, where not all integers are floats, it stays as it is.
    """
    return int(value) if abs(value) < 2**53 and float(value).is_integer() else value


def _params(params: dict[str, Any], path: str) -> dict[str, Any]:
    return {port: param_document(value, f"{path}.{port}") for port, value in params.items()}


def _number(value: float, path: str) -> float | int:
    return number(value)


def _list(values: tuple[Any, ...], path: str) -> list[Any]:
    return plain(list(values), path)  # type: ignore[no-any-return]


def _part(value: Any, path: str) -> dict[str, Any]:
    """A policy, resources or a case: its fields that are not the default."""
    return {
        name: write(found, f"{path}.{name}") if write else found
        for name, default, write in _WRITTEN[type(value)]
        if (found := getattr(value, name)) != default
    }


def _cases(cases: tuple[Case, ...], path: str) -> list[dict[str, Any]]:
    return [_part(case, path) for case in cases]


def _custom(custom: dict[str, float], path: str) -> dict[str, float | int]:
    return {name: number(amount) for name, amount in custom.items()}


_Write = Callable[[Any, str], Any]
_WRITE: dict[str, _Write] = {
    "params": _params,
    **dict.fromkeys(("metadata", "label", "prompt", "condition", "until"), plain),
    "retry": _part,
    "resources": _part,
    "cache": _part,
    "cases": _cases,
    "approvers": _list,
    "on": _list,
    "ignore": _list,
    "custom": _custom,
    **dict.fromkeys(
        ("timeout", "idle_timeout", "delay", "factor", "limit", "jitter", "cpu", "gpu", "ttl"), _number
    ),
}
_READ: dict[str, Callable[[Any], Any]] = {
    "params": lambda params: {port: read_param(value) for port, value in params.items()},
    "retry": lambda retry: RetryPolicy(**{**retry, "on": tuple(retry.get("on", ()))}),
    "resources": lambda resources: Resources(**resources),
    "cache": lambda cache: CachePolicy(**{**cache, "ignore": tuple(cache.get("ignore", ()))}),
    "cases": lambda cases: tuple(Case(**case) for case in cases),
    "approvers": tuple,
}
# The fields that a reader looks for first stand first: what the node does, then what it is given, then the rest.
_ORDER = (
    *(
        "uses",
        "version",
        "over",
        "condition",
        "cases",
        "wait",
        "until",
        "max_iterations",
        "carry",
        "on_limit",
    ),
    *(
        "prompt",
        "approvers",
        "on_timeout",
        "params",
        "concurrency",
        "max_items",
        "on_error",
        "retry",
        "timeout",
        "idle_timeout",
    ),
    *("resources", "cache", "label", "metadata"),
)


def _column(field: Field[Any], known: frozenset[str]) -> Callable[[list[Mapping[str, Any]]], list[Any]]:
    """What gives the values of one field, from what a file says of nodes of one kind."""
    name, read = field.name, _READ.get(field.name)
    if name == "extra":
        return lambda documents: [
            {} if one.keys() <= known else {key: one[key] for key in one if key not in known}
            for one in documents
        ]
    if field.default_factory is not MISSING:
        fresh = field.default_factory
        if read:
            return lambda documents: [read(one[name]) if name in one else fresh() for one in documents]
        return lambda documents: [one[name] if name in one else fresh() for one in documents]
    default = field.default
    if read:
        return lambda documents: [read(one[name]) if name in one else default for one in documents]
    return lambda documents: [one.get(name, default) for one in documents]


def _rows(part: Any, order: tuple[str, ...]) -> tuple[tuple[str, Any, _Write | None], ...]:
    named = {field.name: field for field in fields(part)}
    return tuple((name, _default(named[name]), _WRITE.get(name)) for name in order if name in named)


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


_KNOWN: dict[type[Node], frozenset[str]] = {
    kind: frozenset({"kind", *(["control"] if kind.kind == "control" else [])}).union(
        field.name for field in fields(kind) if field.name not in ("id", "extra")
    )
    for kind in NODE_KINDS.values()
}
_COLUMNS = {
    kind: {field.name: _column(field, _KNOWN[kind]) for field in fields(kind) if field.name != "id"}
    for kind in NODE_KINDS.values()
}
_WRITTEN: dict[type, tuple[tuple[str, Any, _Write | None], ...]] = {
    **{kind: _rows(kind, _ORDER) for kind in NODE_KINDS.values()},
    **{
        part: _rows(part, tuple(field.name for field in fields(part)))
        for part in (RetryPolicy, Resources, CachePolicy, Case)
    },
}

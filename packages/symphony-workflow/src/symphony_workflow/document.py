"""Turns a workflow into the document that its file holds, and back."""

from collections.abc import Callable, Mapping
from typing import Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow.json_values import json_fault
from symphony_workflow.migrations import MIGRATIONS, Migration, migrate
from symphony_workflow.model import (
    ONCE,
    SCHEMA,
    BranchNode,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Edge,
    InstrumentNode,
    MapNode,
    Metadata,
    Node,
    OperatorNode,
    RetryPolicy,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)

SHOWN_FAULTS = 20
"""How many faults an error's message lists; `details["faults"]` holds all."""


def to_document(workflow: Workflow) -> dict[str, Any]:
    """The JSON document of a workflow: keys in a fixed order, nodes and edges in the author's, no defaults.

    Args:
        workflow: Any workflow, complete or not.

    Raises:
        WorkflowError: Two parts share a name, or a value is not JSON: the file could not give it back.
    """
    document: dict[str, Any] = {"schema": SCHEMA, "id": workflow.id}
    _put(document, "name", workflow.name, "")
    _put(document, "metadata", _metadata_document(workflow.metadata), {})
    _put(document, "inputs", _by_name("input", workflow.inputs, lambda one: one.name, _input_document), {})
    document["nodes"] = _by_name("node", workflow.nodes, lambda one: one.id, _node_document)
    _put(document, "edges", [_edge_document(edge) for edge in workflow.edges], [])
    _put(document, "outputs", _by_name("output", workflow.outputs, lambda one: one.name, _output_text), {})
    return document


def from_document(
    document: Any,
    *,
    file: str = "",
    migrations: Mapping[int, Migration] = MIGRATIONS,
) -> Workflow:
    """The workflow of a JSON document.

    Args:
        document: What a JSON parser gave; left as it is.
        file: Where it came from, for errors.
        migrations: The step from each older format to the next.

    Raises:
        WorkflowError: The format is newer than this version knows, or the shape is wrong; `details["faults"]`
            lists every fault as `{"path", "message", "hint"}`.
    """
    from symphony_workflow.document_faults import check_shape  # pydantic: only where a document is read

    if isinstance(document, dict):
        document = migrate(document, file=file, migrations=migrations)
    checked, faults = check_shape(document)
    if not faults:
        faults = [{"path": path, "message": fault, "hint": ""} for path, fault in _value_faults(checked)]
    if faults:
        raise _wrong_shape(faults, file)
    return Workflow(
        id=checked["id"],
        name=checked.get("name", ""),
        metadata=_metadata(checked.get("metadata", {})),
        inputs=tuple(_input(name, fields) for name, fields in checked.get("inputs", {}).items()),
        nodes=tuple([_node(id, fields) for id, fields in checked["nodes"].items()]),
        edges=tuple([_edge(fields) for fields in checked.get("edges", ())]),
        outputs=tuple(
            WorkflowOutput(name, *place.split(".")) for name, place in checked.get("outputs", {}).items()
        ),
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of workflow files, for editors and other programs."""
    from symphony_workflow.document_schema import document_schema  # pydantic: only where it is needed

    return document_schema()


def _put(document: dict[str, Any], key: str, value: Any, default: Any) -> None:
    if value != default:
        document[key] = value


def _by_name(
    what: str, parts: tuple[Any, ...], name_of: Callable[[Any], str], write: Callable[[Any], Any]
) -> dict[str, Any]:
    written = {name_of(part): write(part) for part in parts}
    if len(written) < len(parts):
        names = [name_of(part) for part in parts]
        twice = next(name for name in names if names.count(name) > 1)
        raise WorkflowError(
            f"two {what}s are named {twice!r}, and a file can hold only one",
            code="SYM-W006",
            hint="Give each a name of its own.",
            details={"name": twice},
        )
    return written


def _node_document(node: Node) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": node.kind}
    if isinstance(node, BranchNode):
        document |= {"control": node.control, "condition": node.condition}
    elif isinstance(node, MapNode):
        document |= {"control": node.control, "uses": node.uses, "over": node.over}
    else:
        document["uses"] = node.uses
    if node.params:
        document["params"] = _json(node.params, f"nodes.{node.id}.params")
    if isinstance(node, MapNode):
        _put(document, "concurrency", node.concurrency, 8)
        _put(document, "on_error", node.on_error, "fail")
    if not isinstance(node, BranchNode):
        if node.retry is not ONCE and (retry := _retry_document(node.retry)):
            document["retry"] = retry
        _put(document, "timeout", None if node.timeout is None else _number(node.timeout), None)
    _put(document, "label", node.label, "")
    if node.metadata:
        document["metadata"] = _json(node.metadata, f"nodes.{node.id}.metadata")
    return document


def _retry_document(retry: RetryPolicy) -> dict[str, Any]:
    document: dict[str, Any] = {}
    _put(document, "attempts", retry.attempts, ONCE.attempts)
    _put(document, "backoff", _number(retry.delay), ONCE.delay)
    _put(document, "factor", _number(retry.factor), ONCE.factor)
    return document


def _number(value: float) -> float | int:
    """One spelling for one number, so that 2 and 2.0 seconds have the same digest."""
    return int(value) if float(value).is_integer() else value


def _edge_document(edge: Edge) -> dict[str, Any]:
    if isinstance(edge, DataEdge):
        return {
            "from": f"{edge.source}.{edge.source_port}",
            "to": f"{edge.target}.{edge.target_port}",
        }
    document = {"kind": edge.kind, "from": edge.source, "to": edge.target}
    if isinstance(edge, ConditionalEdge):
        document["condition"] = edge.condition
    return document


def _input_document(one: WorkflowInput) -> dict[str, Any]:
    document: dict[str, Any] = {}
    _put(document, "schema", _json(one.schema, f"inputs.{one.name}.schema"), {})
    if not one.required and one.default is None:
        document["required"] = False
    elif not one.required:
        document["default"] = _json(one.default, f"inputs.{one.name}.default")
    _put(document, "description", one.description, "")
    return document


def _output_text(one: WorkflowOutput) -> str:
    return f"{one.node}.{one.port}"


def _metadata_document(metadata: Metadata) -> dict[str, Any]:
    document: dict[str, Any] = {}
    _put(document, "author", metadata.author, "")
    _put(document, "created", metadata.created, "")
    _put(document, "modified", metadata.modified, "")
    _put(document, "tags", list(metadata.tags), [])
    document |= _json(metadata.extra, "metadata")
    return document


def _json(value: Any, path: str) -> Any:
    if fault := json_fault(value):
        raise WorkflowError(
            f"{path} cannot be written as JSON: {fault}",
            code="SYM-W006",
            hint="Keep values of other types out of the workflow: pass them as an input or read them in a node.",
            details={"path": path},
        )
    return value


def _node(id: str, fields: dict[str, Any]) -> Node:
    variant = fields.pop("control", None) or fields["kind"]
    del fields["kind"]
    if "retry" in fields:
        retry = fields["retry"]
        fields["retry"] = RetryPolicy(**{"delay" if key == "backoff" else key: retry[key] for key in retry})
    return _NODES[variant](id=id, **fields)


_NODES: dict[str, Callable[..., Node]] = {
    "instrument": InstrumentNode,
    "operator": OperatorNode,
    "map": MapNode,
    "branch": BranchNode,
}


def _edge(fields: dict[str, Any]) -> Edge:
    kind = fields.get("kind", "data")
    source, target = fields["source"], fields["target"]
    if kind == "data":
        return DataEdge(*source.split("."), *target.split("."))
    if kind == "control":
        return ControlEdge(source, target)
    return ConditionalEdge(source, target, fields["condition"])


def _input(name: str, fields: dict[str, Any]) -> WorkflowInput:
    return WorkflowInput(
        name,
        schema=fields.get("schema", {}),
        required=fields.get("required", "default" not in fields),
        default=fields.get("default"),
        description=fields.get("description", ""),
    )


def _metadata(fields: dict[str, Any]) -> Metadata:
    known = {key: fields.pop(key) for key in ("author", "created", "modified", "tags") if key in fields}
    return Metadata(**{**known, "tags": tuple(known.get("tags", ()))}, extra=fields)


def _value_faults(checked: dict[str, Any]) -> list[tuple[str, str]]:
    """The places of the document where a free value is not what JSON can hold, or contradicts another."""
    places: list[tuple[str, Any]] = [
        ("metadata", checked.get("metadata", {})),
        ("name", checked.get("name", "")),
    ]
    for id, fields in checked["nodes"].items():
        free = fields.keys() & {"params", "metadata", "label", "condition"}
        places.extend((f"nodes.{id}.{key}", fields[key]) for key in free)
    faults = []
    for name, fields in checked.get("inputs", {}).items():
        places.append((f"inputs.{name}", fields))
        if fields.get("required") and "default" in fields:
            faults.append((f"inputs.{name}", "an input with a default cannot be required"))
    return faults + [(path, fault) for path, value in places if (fault := json_fault(value))]


def _wrong_shape(faults: list[Any], file: str) -> WorkflowError:
    lines = [
        f"{fault['path']}: {fault['message']} {fault['hint']}".rstrip() for fault in faults[:SHOWN_FAULTS]
    ]
    if len(faults) > SHOWN_FAULTS:
        lines.append(f"and {len(faults) - SHOWN_FAULTS} more")
    count = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
    return WorkflowError(
        f"the workflow has {count} in its shape\n  " + "\n  ".join(lines),
        code="SYM-W004",
        hint="The JSON Schema of workflow files says what may stand where.",
        details={"faults": faults},
        file=file,
    )

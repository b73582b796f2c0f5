"""Turns a workflow into the document that its file holds, and back."""

import json
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow.bulk import collector_paused
from symphony_workflow.edge_documents import edge_document, read_edges
from symphony_workflow.migrations import MIGRATIONS, Migration, migrate
from symphony_workflow.model import (
    SCHEMA,
    Metadata,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)
from symphony_workflow.node_documents import node_document, plain, put_extra, read_nodes

SHOWN_FAULTS = 20
"""How many faults an error's message lists; `details["faults"]` holds all."""


def to_document(workflow: Workflow) -> dict[str, Any]:
    """The JSON document of a workflow: keys in a fixed order, nodes and edges in the author's, no defaults.

    Args:
        workflow: Any workflow, complete or not.

    Raises:
        WorkflowError: Two parts share a name, or a value is not JSON: the file could not give it back.
    """
    document = {"schema": SCHEMA, "id": workflow.id, **_body(workflow)}
    if workflow.workflows:
        document["workflows"] = _by_name("workflow", workflow.workflows, lambda one: one.id, _inner_document)
    if workflow.extra:
        put_extra(document, workflow.extra, _WORKFLOW_KEYS, "the workflow")
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
    from symphony_workflow.document_faults import check_document  # pydantic: only where a document is read

    if isinstance(document, dict):
        document = migrate(document, file=file, migrations=migrations)
    with collector_paused():
        checked, faults = check_document(document)
        if faults:
            raise _wrong_shape(faults, file)
        inner = checked.get("workflows", {})
        return _workflow(
            checked["id"],
            checked,
            known=_WORKFLOW_KEYS,
            workflows=tuple(_workflow(id, fields, known=_BODY_KEYS) for id, fields in inner.items()),
        )


def json_schema(version: int = SCHEMA) -> dict[str, Any]:
    """The JSON Schema of workflow files, for editors and other programs; its `$id` is `urn:symphony:workflow:VERSION`.

    Args:
        version: The version of the format, from 1 to the present one.

    Raises:
        WorkflowError: There is no such version.
    """
    if version not in range(1, SCHEMA + 1):
        raise WorkflowError(
            f"there is no JSON Schema of the workflow format {version}",
            code="SYM-W005",
            hint=f"There are 1 to {SCHEMA}.",
            details={"schema": version, "known": SCHEMA},
        )
    text = (
        resources.files("symphony_workflow").joinpath(f"schemas/workflow-{version}.json").read_text("utf-8")
    )
    schema: dict[str, Any] = json.loads(text)
    return schema


_BODY_KEYS = frozenset({"name", "metadata", "inputs", "nodes", "edges", "outputs"})
_WORKFLOW_KEYS = _BODY_KEYS | {"schema", "id", "workflows"}
_INPUT_KEYS = frozenset({"schema", "required", "default", "description"})


def _body(workflow: Workflow) -> dict[str, Any]:
    """What a file says of a workflow and of each workflow in it."""
    document: dict[str, Any] = {}
    if workflow.name:
        document["name"] = plain(workflow.name, "name")
    if metadata := _metadata_document(workflow.metadata):
        document["metadata"] = metadata
    if workflow.inputs:
        document["inputs"] = _by_name("input", workflow.inputs, lambda one: one.name, _input_document)
    document["nodes"] = _by_name("node", workflow.nodes, lambda one: one.id, node_document)
    if workflow.edges:
        document["edges"] = [edge_document(edge, place) for place, edge in enumerate(workflow.edges)]
    if workflow.outputs:
        document["outputs"] = _by_name("output", workflow.outputs, lambda one: one.name, _output_text)
    return document


def _inner_document(workflow: Workflow) -> dict[str, Any]:
    if workflow.workflows:
        raise WorkflowError(
            f"the workflow {workflow.id!r} of the file has workflows of its own",
            code="SYM-W006",
            hint="Put them beside it: the nodes of each workflow of a file may use all the others.",
            details={"path": f"workflows.{workflow.id}"},
        )
    document = _body(workflow)
    if workflow.extra:
        put_extra(document, workflow.extra, _BODY_KEYS | {"workflows"}, f"workflows.{workflow.id}")
    return document


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


def _input_document(one: WorkflowInput) -> dict[str, Any]:
    path = f"inputs.{one.name}"
    document: dict[str, Any] = {}
    if one.schema:
        document["schema"] = plain(one.schema, f"{path}.schema")
    if one.required and one.default is not None:
        raise WorkflowError(
            f"the input {one.name!r} is required and has a default, which a file cannot say",
            code="SYM-W006",
            hint="Leave out the default, or give required=False.",
            details={"path": path},
        )
    if not one.required and one.default is None:
        document["required"] = False
    elif not one.required:
        document["default"] = plain(one.default, f"{path}.default")
    if one.description:
        document["description"] = plain(one.description, f"{path}.description")
    if one.extra:
        put_extra(document, one.extra, _INPUT_KEYS, path)
    return document


def _output_text(one: WorkflowOutput) -> str:
    return f"{one.node}.{one.port}"


def _metadata_document(metadata: Metadata) -> dict[str, Any]:
    said = {
        "author": metadata.author,
        "created": metadata.created,
        "modified": metadata.modified,
        "tags": list(metadata.tags),
    }
    document: dict[str, Any] = plain(
        {key: value for key, value in said.items() if value} | metadata.extra, "metadata"
    )
    return document


def _workflow(
    id: str, fields: Mapping[str, Any], *, known: frozenset[str], workflows: tuple[Workflow, ...] = ()
) -> Workflow:
    return Workflow(
        id=id,
        name=fields.get("name", ""),
        metadata=_metadata(fields.get("metadata", {})),
        inputs=tuple(_input(name, one) for name, one in fields.get("inputs", {}).items()),
        nodes=read_nodes(fields["nodes"]),
        edges=read_edges(fields.get("edges", ())),
        outputs=tuple(
            WorkflowOutput(name, *place.split(".")) for name, place in fields.get("outputs", {}).items()
        ),
        workflows=workflows,
        extra=_unknown(fields, known),
    )


def _unknown(fields: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {} if fields.keys() <= known else {key: fields[key] for key in fields if key not in known}


def _input(name: str, fields: Mapping[str, Any]) -> WorkflowInput:
    return WorkflowInput(
        name,
        schema=fields.get("schema", {}),
        required=fields.get("required", "default" not in fields),
        default=fields.get("default"),
        description=fields.get("description", ""),
        extra=_unknown(fields, _INPUT_KEYS),
    )


def _metadata(fields: Mapping[str, Any]) -> Metadata:
    extra = dict(fields)
    known = {key: extra.pop(key) for key in ("author", "created", "modified", "tags") if key in extra}
    return Metadata(**{**known, "tags": tuple(known.get("tags", ()))}, extra=extra)


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
        hint="`symphony validate --schema` prints the JSON Schema of workflow files: what may stand where.",
        details={"faults": faults},
        file=file,
    )

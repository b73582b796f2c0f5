"""The shape of a workflow document: what a file may say.

Only this module and `document_faults` import pydantic, and only when a document is read. The types here are the shape of
the file (nodes by id, `from` and `to`), those of [model][symphony_workflow.model] are what programs work with.

A workflow, node, edge or input may have keys that are not here: they are kept, and validation warns of them. Inside a
retry policy, resources, a cache policy or a case they are errors: a misspelt bound there would be no bound.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, WithJsonSchema, with_config
from typing_extensions import TypedDict

from symphony_workflow.model import LOCAL, NODE_ID, OPERATION_ID, PORT_NAME, SCHEMA, WORKFLOW_ID

SCHEMA_ID = f"urn:symphony:workflow:{SCHEMA}"
"""The `$id` of the JSON Schema of workflow files."""

_OPEN = ConfigDict(strict=True, extra="allow")
_CLOSED = ConfigDict(strict=True, extra="forbid")

NodeId = Annotated[str, Field(pattern=f"^{NODE_ID.pattern}$")]
PortName = Annotated[str, Field(pattern=f"^{PORT_NAME.pattern}$")]
WorkflowId = Annotated[str, Field(pattern=f"^{WORKFLOW_ID.pattern}$")]
OperationId = Annotated[str, Field(pattern=f"^{OPERATION_ID.pattern}$", description="What the node runs")]
LocalId = Annotated[
    str,
    Field(pattern=f"^{LOCAL}{WORKFLOW_ID.pattern}$", description="# and the id of a workflow of the file"),
]
Callee = Annotated[
    str,
    Field(
        pattern=f"^({OPERATION_ID.pattern}|{LOCAL}{WORKFLOW_ID.pattern})$",
        description="What is run: an operation, or # and the id of a workflow of the file",
    ),
]
NodePort = Annotated[str, Field(pattern=rf"^{NODE_ID.pattern}\.{PORT_NAME.pattern}$")]
SourcePort = Annotated[str, Field(pattern=rf"^(\$inputs|{NODE_ID.pattern})\.{PORT_NAME.pattern}$")]
Param = Annotated[
    Any,
    WithJsonSchema(
        {
            "if": {"type": "object", "required": ["$expr"], "maxProperties": 1},
            "then": {"properties": {"$expr": {"type": "string", "minLength": 1}}},
        }
    ),
]
Params = Annotated[
    dict[PortName, Param],
    Field(description='Values for input ports: literals, or `{"$expr": "a CEL expression"}`'),
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Label = Annotated[str, Field(description="What the drawing shows")]
Condition = Annotated[str, Field(min_length=1, description="A CEL expression")]
Free = Annotated[dict[str, Any], Field(description="Free values for tools")]


@with_config(_CLOSED)
class RetryFields(TypedDict, total=False):
    """How often a node is tried."""

    attempts: Annotated[int, Field(ge=1, le=1000, description="Attempts in all")]
    delay: Annotated[float, Field(ge=0, le=86_400, description="Seconds before the second attempt")]
    factor: Annotated[
        float, Field(ge=1, le=100, description="Multiplies the wait before each further attempt")
    ]
    limit: Annotated[float, Field(ge=0, le=31_536_000, description="Seconds of the longest wait")]
    jitter: Annotated[float, Field(ge=0, le=1, description="The part of each wait that chance may take away")]
    on: Annotated[
        list[Annotated[str, Field(min_length=1)]],
        Field(description="The error codes that are tried again, or their starts; all where there is none"),
    ]


@with_config(_CLOSED)
class ResourcesFields(TypedDict, total=False):
    """What a node needs while it runs."""

    cpu: Annotated[Amount, Field(description="Cores")]
    memory: Annotated[int, Field(ge=0, lt=2**63, description="Bytes")]
    gpu: Annotated[Amount, Field(description="Devices; a fraction shares one")]
    custom: Annotated[
        dict[Annotated[str, Field(min_length=1)], Amount],
        Field(description="Amounts of anything else that an executor has"),
    ]


@with_config(_CLOSED)
class CacheFields(TypedDict, total=False):
    """When an earlier result stands in for a run."""

    use: Annotated[
        Literal["auto", "never"], Field(description="Where the operation is idempotent, or not at all")
    ]
    ttl: Annotated[Amount | None, Field(description="Seconds after which an earlier result no longer counts")]
    ignore: Annotated[list[PortName], Field(description="Input ports that make no difference to the result")]


@with_config(_CLOSED)
class CaseFields(TypedDict):
    """One way out of a switch."""

    port: Annotated[PortName, Field(description="The output port")]
    condition: Condition


class _Described(TypedDict, total=False):
    params: Params
    label: Label
    metadata: Free


class _Called(_Described, total=False):
    version: Annotated[
        int | None,
        Field(ge=1, lt=2**63, description="The version of the operation that the node was made for"),
    ]
    retry: Annotated[RetryFields, Field(description="How often a failure is tried again")]
    timeout: Annotated[Seconds | None, Field(description="Seconds for one attempt")]
    idle_timeout: Annotated[
        Seconds | None, Field(description="Seconds that one attempt may run without a word of its progress")
    ]
    resources: Annotated[ResourcesFields, Field(description="What one attempt needs while it runs")]
    cache: Annotated[CacheFields, Field(description="When an earlier result stands in for a run")]


class _Operation(TypedDict):
    uses: OperationId


@with_config(_OPEN)
class InstrumentFields(_Called, _Operation):
    """A node that runs an instrument."""

    kind: Literal["instrument"]


@with_config(_OPEN)
class OperatorFields(_Called, _Operation):
    """A node that runs an operator."""

    kind: Literal["operator"]


class _MapOptions(TypedDict, total=False):
    concurrency: Annotated[int, Field(ge=1, le=10_000, description="Items in work at once")]
    max_items: Annotated[
        int | None, Field(ge=1, lt=2**63, description="The longest list that is taken; null for any length")
    ]
    on_error: Annotated[
        Literal["fail", "collect"], Field(description="What a failed item does to the others")
    ]


@with_config(_OPEN)
class MapFields(_Called, _MapOptions):
    """A node that runs something for each item of a list."""

    kind: Literal["control"]
    control: Literal["map"]
    uses: Callee
    over: Annotated[PortName, Field(description="The input port that takes one item")]


@with_config(_OPEN)
class BranchFields(_Described):
    """A node that sends its value one of two ways."""

    kind: Literal["control"]
    control: Literal["branch"]
    condition: Condition


@with_config(_OPEN)
class SwitchFields(_Described):
    """A node that sends its value the way of the first case that holds, or to `default`."""

    kind: Literal["control"]
    control: Literal["switch"]
    cases: Annotated[list[CaseFields], Field(description="The ways out, tried in this order")]


def _wait_kind(wait: Any) -> str:
    return "word" if isinstance(wait, str) else "count"


class _JoinOptions(TypedDict, total=False):
    wait: Annotated[
        Annotated[Literal["all", "any"], Tag("word")] | Annotated[int, Field(ge=1, lt=2**63), Tag("count")],
        Discriminator(_wait_kind),
        Field(description="For every input that is not skipped, the first, or so many"),
    ]


@with_config(_OPEN)
class JoinFields(_Described, _JoinOptions):
    """A node that brings branches together."""

    kind: Literal["control"]
    control: Literal["join"]


class _LoopOptions(TypedDict, total=False):
    carry: Annotated[
        dict[PortName, PortName],
        Field(description="The output of an iteration that an input of the next one takes, by input"),
    ]
    on_limit: Annotated[Literal["fail", "complete"], Field(description="What happens at the bound")]


@with_config(_OPEN)
class LoopFields(_Called, _LoopOptions):
    """A node that runs something until a condition holds."""

    kind: Literal["control"]
    control: Literal["loop"]
    uses: Callee
    until: Annotated[Condition, Field(description="A CEL expression over an iteration's outputs")]
    max_iterations: Annotated[int, Field(ge=1, lt=2**63, description="The bound")]


class _TimeOfAll(TypedDict, total=False):
    timeout: Annotated[Seconds | None, Field(description="Seconds for all of it")]


@with_config(_OPEN)
class SubworkflowFields(_Described, _TimeOfAll):
    """A node that runs a workflow of the file."""

    kind: Literal["control"]
    control: Literal["subworkflow"]
    uses: LocalId


class _ApprovalOptions(TypedDict, total=False):
    approvers: Annotated[list[str], Field(description="Who may answer; anybody where there is none")]
    timeout: Annotated[Seconds | None, Field(description="Seconds that a person has")]
    on_timeout: Annotated[
        Literal["fail", "approve", "reject"], Field(description="What happens where nobody answers")
    ]


@with_config(_OPEN)
class ApprovalFields(_Described, _ApprovalOptions):
    """A node that waits for a person."""

    kind: Literal["control"]
    control: Literal["approval"]
    prompt: Annotated[str, Field(description="What the person is asked")]


ControlFields = Annotated[
    MapFields | BranchFields | SwitchFields | JoinFields | LoopFields | SubworkflowFields | ApprovalFields,
    Discriminator("control"),
]
NodeFields = Annotated[InstrumentFields | OperatorFields | ControlFields, Discriminator("kind")]


class _Noted(TypedDict, total=False):
    metadata: Free


class _DataKind(TypedDict, total=False):
    kind: Literal["data"]


# Functional syntax: `from` is a word of Python.
_DataEnds = TypedDict(
    "_DataEnds",
    {
        "from": Annotated[SourcePort, Field(description="node.port, or $inputs.name")],
        "to": Annotated[NodePort, Field(description="node.port")],
    },
)
_NodeEnds = TypedDict(
    "_NodeEnds",
    {
        "from": Annotated[NodeId, Field(description="The node that runs first")],
        "to": Annotated[NodeId, Field(description="The node that waits")],
    },
)


@with_config(_OPEN)
class DataEdgeFields(_Noted, _DataEnds, _DataKind):
    """An edge that carries a value."""


@with_config(_OPEN)
class ControlEdgeFields(_Noted, _NodeEnds):
    """An edge that only orders."""

    kind: Literal["control"]


@with_config(_OPEN)
class ConditionalEdgeFields(_Noted, _NodeEnds):
    """An edge that orders, and skips its target where the condition does not hold."""

    kind: Literal["conditional"]
    condition: Condition


def _edge_kind(edge: Any) -> Any:
    return edge.get("kind", "data") if isinstance(edge, Mapping) else None


EdgeFields = Annotated[
    Annotated[DataEdgeFields, Tag("data")]
    | Annotated[ControlEdgeFields, Tag("control")]
    | Annotated[ConditionalEdgeFields, Tag("conditional")],
    Discriminator(_edge_kind),
]


@with_config(_OPEN)
class InputFields(TypedDict, total=False):
    """A value that whoever runs the workflow gives."""

    schema: Annotated[dict[str, Any], Field(description="JSON Schema of the value")]
    required: Annotated[bool, Field(description="True unless there is a default")]
    default: Annotated[Any, Field(description="The value where none is given")]
    description: Annotated[str, Field(description="What it is, for people")]


@with_config(_OPEN)
class MetadataFields(TypedDict, total=False):
    """Who made the workflow and when; any further key is kept."""

    author: Annotated[str, Field(description="A person or an organisation")]
    created: Annotated[str, Field(description="ISO 8601")]
    modified: Annotated[str, Field(description="ISO 8601")]
    tags: Annotated[list[str], Field(description="Words to find it by")]


class _Optional(TypedDict, total=False):
    name: Annotated[str, Field(description="What people read")]
    metadata: Annotated[MetadataFields, Field(description="Who made it and when")]
    inputs: Annotated[dict[PortName, InputFields], Field(description="What a run is given, by name")]
    edges: Annotated[list[EdgeFields], Field(description="What leads from node to node")]
    outputs: Annotated[
        dict[PortName, NodePort], Field(description="What a run hands back: node.port by name")
    ]


class _Nodes(TypedDict):
    nodes: Annotated[dict[NodeId, NodeFields], Field(description="The nodes by id")]


@with_config(_OPEN)
class InnerWorkflowFields(_Optional, _Nodes):
    """A workflow that nodes of the file run; it has no workflows of its own."""


class _Workflows(TypedDict, total=False):
    workflows: Annotated[
        dict[WorkflowId, InnerWorkflowFields],
        Field(description="The workflows that map, loop and subworkflow nodes run, by id"),
    ]


@with_config(_OPEN)
class WorkflowFields(_Workflows, _Optional, _Nodes):
    """A workflow file of Symphony."""

    schema: Annotated[int, Field(ge=SCHEMA, le=SCHEMA, description="Version of the format")]
    id: Annotated[WorkflowId, Field(description="The name that programs use")]


@cache
def adapter() -> TypeAdapter[WorkflowFields]:
    """What validates a document; made once."""
    return TypeAdapter(WorkflowFields)


def document_schema() -> dict[str, Any]:
    """The JSON Schema of workflow files."""
    schema = adapter().json_schema(by_alias=True)
    for part in (schema, *schema["$defs"].values()):
        for fields in part["properties"].values():
            if "patternProperties" in fields:  # pydantic would let keys of any other pattern pass
                fields["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}

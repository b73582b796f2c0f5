"""The shape of a workflow document: what a file may say.

Only this module and `document_faults` import pydantic, and only when a document is read. The types here are the shape of
the file (nodes by id, `from` and `to`), those of [model][symphony_workflow.model] are what programs work with.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, with_config
from typing_extensions import TypedDict

from symphony_workflow.model import NODE_ID, OPERATION_ID, PORT_NAME, SCHEMA, WORKFLOW_ID

_STRICT = ConfigDict(strict=True, extra="forbid")

NodeId = Annotated[str, Field(pattern=f"^{NODE_ID.pattern}$")]
PortName = Annotated[str, Field(pattern=f"^{PORT_NAME.pattern}$")]
OperationId = Annotated[str, Field(pattern=f"^{OPERATION_ID.pattern}$", description="What the node runs")]
NodePort = Annotated[str, Field(pattern=rf"^{NODE_ID.pattern}\.{PORT_NAME.pattern}$")]
SourcePort = Annotated[str, Field(pattern=rf"^(\$inputs|{NODE_ID.pattern})\.{PORT_NAME.pattern}$")]
Params = Annotated[dict[PortName, Any], Field(description="Literal values for input ports")]
Timeout = Annotated[float, Field(gt=0, allow_inf_nan=False, description="Seconds for one attempt")]
Label = Annotated[str, Field(description="What the drawing shows")]
Condition = Annotated[str, Field(min_length=1, description="A CEL expression")]
Free = Annotated[dict[str, Any], Field(description="Free values for tools")]


@with_config(_STRICT)
class RetryFields(TypedDict, total=False):
    """How often a node is tried."""

    attempts: Annotated[int, Field(ge=1, le=1000, description="Attempts in all")]
    backoff: Annotated[float, Field(ge=0, le=86_400, description="Seconds before the second attempt")]
    factor: Annotated[
        float, Field(ge=1, le=100, description="Multiplies the wait before each further attempt")
    ]


class _Described(TypedDict, total=False):
    params: Params
    label: Label
    metadata: Free


class _Called(_Described, total=False):
    retry: Annotated[RetryFields, Field(description="How often a failure is tried again")]
    timeout: Timeout | None


class _Uses(TypedDict):
    uses: OperationId


@with_config(_STRICT)
class InstrumentFields(_Called, _Uses):
    """A node that runs an instrument."""

    kind: Literal["instrument"]


@with_config(_STRICT)
class OperatorFields(_Called, _Uses):
    """A node that runs an operator."""

    kind: Literal["operator"]


class _MapOptions(TypedDict, total=False):
    concurrency: Annotated[int, Field(ge=1, le=10_000, description="Items in work at once")]
    on_error: Annotated[
        Literal["fail", "collect"], Field(description="What a failed item does to the others")
    ]


@with_config(_STRICT)
class MapFields(_Called, _Uses, _MapOptions):
    """A node that runs an operation for each item of a list."""

    kind: Literal["control"]
    control: Literal["map"]
    over: Annotated[PortName, Field(description="The input port that takes one item")]


@with_config(_STRICT)
class BranchFields(_Described):
    """A node that sends its value one of two ways."""

    kind: Literal["control"]
    control: Literal["branch"]
    condition: Condition


ControlFields = Annotated[MapFields | BranchFields, Discriminator("control")]
NodeFields = Annotated[InstrumentFields | OperatorFields | ControlFields, Discriminator("kind")]


class _DataKind(TypedDict, total=False):
    kind: Literal["data"]


@with_config(_STRICT)
class DataEdgeFields(_DataKind):
    """An edge that carries a value."""

    source: Annotated[SourcePort, Field(alias="from", description="node.port, or $inputs.name")]
    target: Annotated[NodePort, Field(alias="to", description="node.port")]


@with_config(_STRICT)
class ControlEdgeFields(TypedDict):
    """An edge that only orders."""

    kind: Literal["control"]
    source: Annotated[NodeId, Field(alias="from", description="The node that runs first")]
    target: Annotated[NodeId, Field(alias="to", description="The node that waits")]


@with_config(_STRICT)
class ConditionalEdgeFields(TypedDict):
    """An edge that orders, and skips its target where the condition does not hold."""

    kind: Literal["conditional"]
    source: Annotated[NodeId, Field(alias="from", description="The node that runs first")]
    target: Annotated[NodeId, Field(alias="to", description="The node that waits")]
    condition: Condition


def _edge_kind(edge: Any) -> Any:
    return edge.get("kind", "data") if isinstance(edge, Mapping) else None


EdgeFields = Annotated[
    Annotated[DataEdgeFields, Tag("data")]
    | Annotated[ControlEdgeFields, Tag("control")]
    | Annotated[ConditionalEdgeFields, Tag("conditional")],
    Discriminator(_edge_kind),
]


@with_config(_STRICT)
class InputFields(TypedDict, total=False):
    """A value that whoever runs the workflow gives."""

    schema: Annotated[dict[str, Any], Field(description="JSON Schema of the value")]
    required: Annotated[bool, Field(description="True unless there is a default")]
    default: Annotated[Any, Field(description="The value where none is given")]
    description: Annotated[str, Field(description="What it is, for people")]


@with_config(ConfigDict(strict=True, extra="allow"))
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


@with_config(_STRICT)
class WorkflowFields(_Optional):
    """A workflow file of Symphony."""

    schema: Annotated[int, Field(ge=SCHEMA, le=SCHEMA, description="Version of the format")]
    id: Annotated[str, Field(pattern=f"^{WORKFLOW_ID.pattern}$", description="The name that programs use")]
    nodes: Annotated[dict[NodeId, NodeFields], Field(description="The nodes by id")]


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
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

"""Loads and validates the JSON file of a workflow of 10,000 nodes and 30,000 edges, beside what JSON alone takes.

Run it with `uv run benchmarks/workflow_load.py`. Figures are medians of CPU time. The peers check less: models of pydantic
that know one kind of node and of edge, see no key that stands twice, and take ends of edges as they are.
"""

import json
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from symphony_sdk.contributions import OperationSpec, PortSpec
from symphony_workflow import dumps, from_document, loads, validate
from workflow_graph import EDGES_PER_NODE, NODES, generate, median

NODE = r"^[A-Za-z_][A-Za-z0-9_-]*$"
PLACE = r"^[A-Za-z_][A-Za-z0-9_-]*\.[A-Za-z_][A-Za-z0-9_]*$"
NodeId = Annotated[str, Field(pattern=NODE)]
Place = Annotated[str, Field(pattern=PLACE)]


class ModelNode(BaseModel):
    model_config = ConfigDict(extra="allow")
    kind: str
    uses: str
    params: dict[str, Any] = {}
    timeout: float | None = None
    label: str = ""
    metadata: dict[str, Any] = {}


class ModelEdge(BaseModel):
    model_config = ConfigDict(extra="allow")
    source: Place = Field(alias="from")
    target: Place = Field(alias="to")
    metadata: dict[str, Any] = {}


class ModelWorkflow(BaseModel):
    id: str
    nodes: dict[NodeId, ModelNode]
    edges: list[ModelEdge]


@dataclass(frozen=True, slots=True)
class PlainNode:
    kind: str
    uses: str
    params: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlainEdge:
    source: Annotated[Place, Field(alias="from")]
    target: Annotated[Place, Field(alias="to")]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlainWorkflow:
    id: str
    nodes: dict[NodeId, PlainNode]
    edges: list[PlainEdge]


def main() -> None:
    workflow = generate(NODES)
    ports = tuple(
        PortSpec(f"value{number}", {"type": "number"}, required=False) for number in range(EDGES_PER_NODE)
    )
    operation = OperationSpec(
        "bench.graph.merge",
        "operator",
        inputs=(*ports, PortSpec("level", {"type": "integer"})),
        outputs=(PortSpec("result", {"type": "integer"}),),
    )
    operations = {operation.id: operation}
    text = dumps(workflow)
    if loads(text) != workflow or validate(workflow, operations):
        sys.exit("the generated workflow did not come back as it was, or has faults")
    document = json.loads(text)
    dataclasses = TypeAdapter(PlainWorkflow)
    floor = median(lambda: json.loads(text))
    print(
        f"{NODES:,} nodes, {len(workflow.edges):,} edges, {len(text) / 1e6:.1f} MB; CPU ms, medians; x json.loads"
    )
    for name, work in (
        ("json.loads alone (floor)", lambda: json.loads(text)),
        ("loads", lambda: loads(text)),
        ("  of it from_document", lambda: from_document(document)),
        ("validate with types", lambda: validate(workflow, operations)),
        ("loads + validate", lambda: validate(loads(text), operations)),
        ("peer: pydantic BaseModel", lambda: ModelWorkflow.model_validate_json(text)),
        ("peer: pydantic dataclasses", lambda: dataclasses.validate_json(text)),
    ):
        took = median(work)
        print(f"  {name:28} {took:8.1f} {took / floor:6.1f}x")


if __name__ == "__main__":
    main()

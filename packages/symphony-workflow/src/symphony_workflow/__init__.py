"""The workflow model of Symphony: nodes and edges, builder, validation, JSON files, compiled plans, states."""

from symphony_workflow.builder import WorkflowBuilder
from symphony_workflow.codec import digest, dumps, load, loads, save
from symphony_workflow.conditions import check_condition, condition_variables, holds
from symphony_workflow.document import from_document, json_schema, to_document
from symphony_workflow.findings import Finding
from symphony_workflow.model import (
    INPUTS,
    SCHEMA,
    BranchNode,
    ConditionalEdge,
    ControlEdge,
    ControlNode,
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
from symphony_workflow.node_refs import InputPort, NodeRef, OutputPort
from symphony_workflow.plan import Plan, compile_plan
from symphony_workflow.port_types import Compatibility, accepts, compatible, describe
from symphony_workflow.ports import Ports, map_result, node_ports
from symphony_workflow.state import (
    NODE_ENDS,
    NODE_TRANSITIONS,
    RUN_ENDS,
    RUN_TRANSITIONS,
    NodeState,
    RunState,
    advance,
)
from symphony_workflow.validation import check, validate

__all__ = [
    "INPUTS",
    "NODE_ENDS",
    "NODE_TRANSITIONS",
    "RUN_ENDS",
    "RUN_TRANSITIONS",
    "SCHEMA",
    "BranchNode",
    "Compatibility",
    "ConditionalEdge",
    "ControlEdge",
    "ControlNode",
    "DataEdge",
    "Edge",
    "Finding",
    "InputPort",
    "InstrumentNode",
    "MapNode",
    "Metadata",
    "Node",
    "NodeRef",
    "NodeState",
    "OperatorNode",
    "OutputPort",
    "Plan",
    "Ports",
    "RetryPolicy",
    "RunState",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowInput",
    "WorkflowOutput",
    "accepts",
    "advance",
    "check",
    "check_condition",
    "compatible",
    "compile_plan",
    "condition_variables",
    "describe",
    "digest",
    "dumps",
    "from_document",
    "holds",
    "json_schema",
    "load",
    "loads",
    "map_result",
    "node_ports",
    "save",
    "to_document",
    "validate",
]

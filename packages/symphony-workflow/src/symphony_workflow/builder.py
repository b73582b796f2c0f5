"""Builds workflows in Python, so that the code reads like the drawing.

```python
wf = WorkflowBuilder("code-atlas")
walk = wf.operator("walk", uses="symphony.files.walk", path=wf.input("path", str))
metrics = wf.map("metrics", uses="symphony.code.metrics", over="path", path=walk.out.files)
report = wf.operator("report", uses="symphony.report.html")
metrics.out.results >> report.in_.rows
wf.output("report", report.out.path)
workflow = wf.build()
```
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import msgspec
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.values import schema_hook

from symphony_workflow.call_site import Place, caller, literal, misuse
from symphony_workflow.findings import Finding, invalid_workflow
from symphony_workflow.model import (
    INPUTS,
    NODE_ID,
    OPERATION_ID,
    PORT_NAME,
    WORKFLOW_ID,
    BranchNode,
    CallingNode,
    Edge,
    InstrumentNode,
    MapNode,
    Metadata,
    Node,
    OperatorNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)
from symphony_workflow.node_refs import NodeRef, OutputPort
from symphony_workflow.validation import validate

_NO_DEFAULT: Any = object()


class WorkflowBuilder:
    """Collects nodes and edges, and builds the workflow of them.

    Args:
        id: The name that programs use, such as `code-atlas`.
        name: The name that people read.
        metadata: Who, when, and free notes.

    Raises:
        WorkflowError: The id is no name.
    """

    def __init__(self, id: str, *, name: str = "", metadata: Metadata | None = None) -> None:
        self._place = caller()
        if not WORKFLOW_ID.fullmatch(id):
            raise misuse(f"the workflow's id {id!r} is no name", "Write it like `code-atlas`.")
        self._id = id
        self._name = name
        self._metadata = metadata or Metadata()
        self._nodes: dict[str, Node] = {}
        self._node_places: dict[str, Place] = {}
        self._edges: list[Edge] = []
        self._edge_places: list[Place] = []
        self._inputs: dict[str, WorkflowInput] = {}
        self._outputs: dict[str, WorkflowOutput] = {}
        self._end_places: dict[str, Place] = {}

    def input(
        self, name: str, type: Any = Any, *, default: Any = _NO_DEFAULT, description: str = ""
    ) -> "OutputPort":
        """Declare a value that whoever runs the workflow gives.

        Args:
            name: The name, as in `--input name=value`.
            type: The Python type of the value, or its JSON Schema.
            default: The value where none is given; without one the input is required.
            description: What it is, for people.

        Returns:
            The place that edges from this input start at.

        Raises:
            WorkflowError: The name is taken or no name, or the type or the default is not JSON-like.
        """
        self._check_end("input", name, self._inputs)
        required = default is _NO_DEFAULT
        self._inputs[name] = WorkflowInput(
            name,
            schema=_schema(name, type),
            required=required,
            default=None if required else literal(f"the default of the input {name!r}", default),
            description=description,
        )
        return OutputPort(self, INPUTS, name)

    def operator(self, id: str, /, *, uses: str, **inputs: Any) -> "NodeRef":
        """Add a node that runs an operator.

        Args:
            id: The name of the node.
            uses: The id of the operator, such as `acme.text.word-count`.
            inputs: A literal, or the output port that the value comes from, by input port.

        Raises:
            WorkflowError: A name is taken or no name, or a literal is not JSON-like.
        """
        return self._add(OperatorNode(id=id, uses=uses), inputs)

    def instrument(self, id: str, /, *, uses: str, **inputs: Any) -> "NodeRef":
        """Add a node that runs an instrument.

        Args:
            id: The name of the node.
            uses: The id of the instrument, such as `acme.vision.caption`.
            inputs: A literal, or the output port that the value comes from, by input port.

        Raises:
            WorkflowError: A name is taken or no name, or a literal is not JSON-like.
        """
        return self._add(InstrumentNode(id=id, uses=uses), inputs)

    def map(
        self,
        id: str,
        /,
        *,
        uses: str,
        over: str,
        concurrency: int = 8,
        on_error: Literal["fail", "collect"] = "fail",
        **inputs: Any,
    ) -> "NodeRef":
        """Add a node that runs an operation once for each item of a list; its output port is `results`.

        Args:
            id: The name of the node.
            uses: The id of the operator or instrument that each item goes to.
            over: The input port that takes one item; it is given the list.
            concurrency: How many items may be in work at once.
            on_error: `fail`: the first failed item fails the node; `collect`: the others go on.
            inputs: A literal, or the output port that the value comes from, by input port.

        Raises:
            WorkflowError: A name is taken or no name, or a literal is not JSON-like.
        """
        return self._add(
            MapNode(id=id, uses=uses, over=over, concurrency=concurrency, on_error=on_error), inputs
        )

    def branch(self, id: str, /, *, condition: str, **inputs: Any) -> "NodeRef":
        """Add a node that sends its input `value` to `out.then` or to `out["else"]`.

        Args:
            id: The name of the node.
            condition: A CEL expression over the inputs.
            inputs: A literal, or the output port that the value comes from, by name.

        Raises:
            WorkflowError: A name is taken or no name, or a literal is not JSON-like.
        """
        return self._add(BranchNode(id=id, condition=condition), inputs)

    def output(self, name: str, port: "OutputPort") -> None:
        """Hand back what an output port gives.

        Args:
            name: The name in the run's results.
            port: An output port of a node of this builder.

        Raises:
            WorkflowError: The name is taken or no name, or the port is not of this builder's nodes.
        """
        self._check_end("output", name, self._outputs)
        if not isinstance(port, OutputPort) or port.builder is not self or port.node == INPUTS:
            raise misuse(
                f"the output {name!r} is given {port!r}", "Give it an output port, such as `walk.out.files`."
            )
        self._outputs[name] = WorkflowOutput(name, port.node, port.name)

    def build(self, operations: Mapping[str, OperationSpec] | None = None) -> Workflow:
        """The workflow, checked.

        Args:
            operations: The operations that nodes may use, to check ports and types too.

        Raises:
            WorkflowError: The workflow has faults; the error's place is the line that made the first of them, and
                `details["findings"]` lists all, each with its `file` and `line`.
        """
        workflow = Workflow(
            id=self._id,
            name=self._name,
            nodes=tuple(self._nodes.values()),
            edges=tuple(self._edges),
            inputs=tuple(self._inputs.values()),
            outputs=tuple(self._outputs.values()),
            metadata=self._metadata,
        )
        findings = validate(workflow, operations)
        errors = [finding for finding in findings if finding.severity == "error"]
        if errors:
            first = self._place_of(errors[0])
            error = invalid_workflow(workflow, findings, file=first.file, line=first.line)
            for entry, finding in zip(error.details["findings"], findings, strict=True):
                place = self._place_of(finding)
                entry |= {"file": place.file, "line": place.line}
            raise error
        return workflow

    def _add(self, node: Node, inputs: Mapping[str, Any]) -> "NodeRef":
        if not NODE_ID.fullmatch(node.id):
            raise misuse(
                f"{node.id!r} is no id of a node", "Use letters, digits, _ and -, such as `word-count`."
            )
        if node.id in self._nodes:
            first = self._node_places[node.id]
            raise misuse(
                f"there is a node {node.id!r} already, made at {first.file}:{first.line}",
                "Give each node an id of its own.",
                code="SYM-W019",
            )
        if isinstance(node, CallingNode) and not OPERATION_ID.fullmatch(node.uses):
            raise misuse(
                f"node {node.id!r} uses {node.uses!r}, which is no id of an operation",
                "Write it like `acme.text.word-count`.",
            )
        params = {
            port: literal(f"the input {port!r} of node {node.id!r}", value)
            for port, value in inputs.items()
            if not isinstance(value, OutputPort)
        }
        self._nodes[node.id] = replace(node, params=params)
        self._node_places[node.id] = caller()
        made = NodeRef(self, node.id)
        for port, value in inputs.items():
            if isinstance(value, OutputPort):
                value >> made.in_[port]
        return made

    def _connect(self, edge: Edge) -> None:
        self._edges.append(edge)
        self._edge_places.append(caller())

    def _change(self, id: str, **fields: Any) -> None:
        self._nodes[id] = replace(self._nodes[id], **fields)

    def _check_end(self, what: str, name: str, taken: Mapping[str, Any]) -> None:
        if not PORT_NAME.fullmatch(name):
            raise misuse(
                f"the {what} {name!r} has no proper name", "Use letters, digits and _, such as `min_length`."
            )
        if name in taken:
            raise misuse(
                f"there is an {what} {name!r} already",
                f"Give each {what} a name of its own.",
                code="SYM-W019",
            )
        self._end_places[name] = caller()

    def _place_of(self, finding: Finding) -> Place:
        if finding.edge is not None:
            return self._edge_places[finding.edge]
        if finding.node in self._node_places:
            return self._node_places[finding.node]
        return self._end_places.get(finding.port, self._place)


def _schema(name: str, type: Any) -> dict[str, Any]:
    if isinstance(type, dict):
        return literal(f"the schema of the input {name!r}", type)  # type: ignore[no-any-return]
    try:
        return msgspec.json.schema(type, schema_hook=schema_hook)
    except (TypeError, msgspec.MsgspecError) as error:
        raise misuse(
            f"the type of the input {name!r} has no JSON Schema: {error}",
            "Use JSON-like types, dataclasses, TypedDicts, dates, paths, or a JSON Schema.",
        ) from error

"""Builds workflows in Python, so that the code reads like the drawing.

```python
wf = WorkflowBuilder("code-atlas")
walk = wf.node("walk", uses="symphony.files.walk", path=wf.input("path", str))
metrics = wf.map("metrics", uses="symphony.code.metrics", over="path", path=walk.out.files)
report = wf.node("report", uses="symphony.report.html")
metrics.out >> report.rows
walk.when("count > 0") >> report
wf.output("report", report.out.path)
workflow = wf.build()
```
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, overload

import msgspec
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.values import schema_hook

from symphony_workflow.call_site import Place, literal, misuse
from symphony_workflow.expression_syntax import SyntaxFault, parse
from symphony_workflow.findings import Finding, invalid_workflow
from symphony_workflow.model import (
    INPUTS,
    LOCAL,
    OPERATION_ID,
    WORKFLOW_ID,
    ApprovalNode,
    BranchNode,
    Case,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Edge,
    Expression,
    InstrumentNode,
    JoinNode,
    LoopNode,
    MapNode,
    Metadata,
    Node,
    OperatorNode,
    SubworkflowNode,
    SwitchNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)
from symphony_workflow.node_refs import NodeRef, OutputPort, Outputs
from symphony_workflow.sketch import Sketch
from symphony_workflow.validation import validate

_NO_DEFAULT: Any = object()


class WorkflowBuilder:
    """Collects nodes and edges, and builds the workflow of them.

    Every method that adds a node takes its inputs as keywords: a literal, an expression, an output port, or the
    `out` of a node that has one output port. All raise a WorkflowError, at the line that called them, where a name is
    taken or no name, or a literal is not JSON-like.

    Args:
        id: The name that programs use, such as `code-atlas`.
        name: The name that people read.
        metadata: Who, when, and free notes.
        extra: Fields of a file that this version does not know, kept as they are.
        operations: The operations that nodes may use, to check ports and types too.

    Raises:
        WorkflowError: The id is no name.
    """

    def __init__(
        self,
        id: str,
        *,
        name: str = "",
        metadata: Metadata | None = None,
        extra: Mapping[str, Any] | None = None,
        operations: Mapping[str, OperationSpec] | None = None,
    ) -> None:
        if not WORKFLOW_ID.fullmatch(id):
            raise misuse(f"the workflow's id {id!r} is no name", "Write it like `code-atlas`.")
        kept = literal(f"the fields besides those of the workflow {id!r}", dict(extra or {}))
        self._sketch = Sketch(id, name, metadata or Metadata(), kept)
        self._operations = operations
        self._workflows: dict[str, WorkflowBuilder] = {}
        self._parent: WorkflowBuilder | None = None

    def input(
        self, name: str, type: Any = Any, *, default: Any = _NO_DEFAULT, description: str = ""
    ) -> OutputPort:
        """Declare a value that whoever runs the workflow gives.

        Args:
            name: The name, as in `--input name=value`.
            type: The Python type of the value, or its JSON Schema.
            default: The value where none is given; without one the input is required.
            description: What it is, for people.

        Returns:
            The place that edges from this input start at.
        """
        required = default is _NO_DEFAULT
        return self.add(
            WorkflowInput(
                name,
                schema=_schema(name, type),
                required=required,
                default=None if required else literal(f"the default of the input {name!r}", default),
                description=description,
            )
        )

    def output(self, name: str, port: OutputPort | Outputs) -> None:
        """Hand back what an output port gives.

        Args:
            name: The name in the run's results.
            port: An output port of a node of this builder, or the `out` of a node that has one.
        """
        port = port._only() if isinstance(port, Outputs) else port
        if not isinstance(port, OutputPort) or port.builder is not self or port.node == INPUTS:
            raise misuse(
                f"the output {name!r} is given {port!r}", "Give it an output port, such as `walk.out.files`."
            )
        self.add(WorkflowOutput(name, port.node, port.name))

    def expr(self, text: str) -> Expression:
        """A value that is computed when its node becomes ready.

        Args:
            text: A CEL expression over the other inputs of the node, and the workflow's inputs as `inputs.NAME`.
        """
        try:
            parse(text)
        except SyntaxFault as fault:
            raise misuse(
                f"the expression `{text:.80}` is not CEL: {fault}",
                "Write it like `inputs.limit * 2`.",
                code="SYM-W021",
            ) from None
        return Expression(text)

    def workflow(
        self,
        id: str,
        *,
        name: str = "",
        metadata: Metadata | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> "WorkflowBuilder":
        """Start a workflow that nodes of this one run: give it as their `uses`.

        Args:
            id: Its id, of its own in this file.
            name: The name that people read.
            metadata: Who, when, and free notes.
            extra: Fields of a file that this version does not know, kept as they are.
        """
        inner = WorkflowBuilder(id, name=name, metadata=metadata, extra=extra, operations=self._operations)
        return self._keep(inner)

    def node(self, id: str, /, *, uses: "str | WorkflowBuilder", **inputs: Any) -> NodeRef:
        """Add a node that runs an operator, an instrument or a sub-workflow, whichever `uses` is.

        What is not known is taken for an operator.

        Args:
            id: The name of the node.
            uses: The id of an operation, such as `acme.text.word-count`, or a workflow of this builder.
            inputs: What it is given, by input port.
        """
        used = self._used(uses)
        if used.startswith(LOCAL):
            return self.subworkflow(id, uses=used, **inputs)
        known = (self._operations or {}).get(used)
        if known is not None and known.kind == "instrument":
            return self.instrument(id, uses=used, **inputs)
        return self.operator(id, uses=used, **inputs)

    def operator(self, id: str, /, *, uses: str, **inputs: Any) -> NodeRef:
        """Add a node that runs an operator.

        Args:
            id: The name of the node.
            uses: The id of the operator, such as `acme.text.word-count`.
            inputs: What it is given, by input port.
        """
        return self._add(OperatorNode(id=id, uses=uses), inputs)

    def instrument(self, id: str, /, *, uses: str, **inputs: Any) -> NodeRef:
        """Add a node that runs an instrument.

        Args:
            id: The name of the node.
            uses: The id of the instrument, such as `acme.vision.caption`.
            inputs: What it is given, by input port.
        """
        return self._add(InstrumentNode(id=id, uses=uses), inputs)

    def map(
        self,
        id: str,
        /,
        *,
        uses: "str | WorkflowBuilder",
        over: str,
        concurrency: int = 8,
        max_items: int | None = 10_000,
        on_error: Literal["fail", "collect"] = "fail",
        **inputs: Any,
    ) -> NodeRef:
        """Add a node that runs an operation once for each item of a list; its output port is `results`.

        Args:
            id: The name of the node.
            uses: What each item goes to: the id of an operation, or a workflow of this builder.
            over: The input port that takes one item; it is given the list.
            concurrency: How many items may be in work at once.
            max_items: The longest list that is taken; None for any length.
            on_error: `fail`: the first failed item fails the node; `collect`: the others go on.
            inputs: What it is given, by input port.
        """
        node = MapNode(
            id=id,
            uses=self._used(uses),
            over=over,
            concurrency=concurrency,
            max_items=max_items,
            on_error=on_error,
        )
        return self._add(node, inputs)

    def branch(self, id: str, /, *, condition: str, **inputs: Any) -> NodeRef:
        """Add a node that sends its input `value` to `out.then` or to `out["else"]`.

        Args:
            id: The name of the node.
            condition: A CEL expression over the inputs.
            inputs: What it is given, by name.
        """
        return self._add(BranchNode(id=id, condition=condition), inputs)

    def switch(
        self, id: str, /, *, cases: Mapping[str, str] | Iterable[tuple[str, str]], **inputs: Any
    ) -> NodeRef:
        """Add a node that sends its input `value` to the port of the first case that holds, or to `out.default`.

        Args:
            id: The name of the node.
            cases: A CEL expression over the inputs, by output port; they are tried in this order.
            inputs: What it is given, by name.
        """
        pairs = cases.items() if isinstance(cases, Mapping) else cases
        return self._add(SwitchNode(id=id, cases=tuple(Case(port, holds) for port, holds in pairs)), inputs)

    def join(self, id: str, /, *, wait: Literal["all", "any"] | int = "all", **inputs: Any) -> NodeRef:
        """Add a node that runs although some of what leads to it was skipped; its outputs are `value` and `values`.

        Args:
            id: The name of the node.
            wait: `all`: for every input that is not skipped; `any`: for the first; or for so many of them.
            inputs: What it is given, by name.
        """
        return self._add(JoinNode(id=id, wait=wait), inputs)

    def loop(
        self,
        id: str,
        /,
        *,
        uses: "str | WorkflowBuilder",
        until: str,
        max_iterations: int,
        carry: Mapping[str, str] | None = None,
        on_limit: Literal["fail", "complete"] = "fail",
        **inputs: Any,
    ) -> NodeRef:
        """Add a node that runs an operation or a sub-workflow again and again.

        Args:
            id: The name of the node.
            uses: What is run: the id of an operation, or a workflow of this builder.
            until: A CEL expression over the outputs of an iteration and its `iteration`, counted from 1.
            max_iterations: The bound; at least 1.
            carry: Which output of an iteration an input of the next one takes, by input.
            on_limit: Whether the node fails where the bound is reached, or completes with what it has.
            inputs: What the first iteration is given, by input port.
        """
        node = LoopNode(
            id=id,
            uses=self._used(uses),
            until=until,
            max_iterations=max_iterations,
            carry=dict(carry or {}),
            on_limit=on_limit,
        )
        return self._add(node, inputs)

    def subworkflow(self, id: str, /, *, uses: "str | WorkflowBuilder", **inputs: Any) -> NodeRef:
        """Add a node that runs a workflow of this builder.

        Args:
            id: The name of the node.
            uses: The workflow, or `#` and its id.
            inputs: What it is given, by name of its input.
        """
        return self._add(SubworkflowNode(id=id, uses=self._used(uses)), inputs)

    def approval(
        self,
        id: str,
        /,
        *,
        prompt: str,
        approvers: Iterable[str] = (),
        on_timeout: Literal["fail", "approve", "reject"] = "fail",
        **inputs: Any,
    ) -> NodeRef:
        """Add a node that waits for a person, and sends its input `value` to `out.approved` or `out.rejected`.

        Args:
            id: The name of the node.
            prompt: What the person is asked.
            approvers: Who may answer, by name; none for anybody who may steer the run.
            on_timeout: What happens where nobody answered within the node's `timeout`.
            inputs: What the person is shown, by name.
        """
        node = ApprovalNode(id=id, prompt=prompt, approvers=tuple(approvers), on_timeout=on_timeout)
        return self._add(node, inputs)

    @overload
    def add(self, part: Node) -> NodeRef: ...
    @overload
    def add(self, part: WorkflowInput) -> OutputPort: ...
    @overload
    def add(self, part: Workflow) -> "WorkflowBuilder": ...
    @overload
    def add(self, part: Edge | WorkflowOutput) -> None: ...
    def add(self, part: Node | Edge | WorkflowInput | WorkflowOutput | Workflow) -> Any:
        """Add a part as the model says it, such as one that was read from a file.

        Args:
            part: A node, edge, input, output, or workflow for nodes to run.

        Returns:
            What the method for such a part returns; nothing for edges and outputs.
        """
        match part:
            case DataEdge() | ControlEdge() | ConditionalEdge():
                return self._sketch.connect(part)
            case WorkflowInput():
                self._sketch.add_input(part)
                return OutputPort(self, INPUTS, part.name)
            case WorkflowOutput():
                return self._sketch.add_output(part)
            case Workflow():
                return self._keep(builder_of(part, self._operations))
        self._sketch.add_node(part)
        return NodeRef(self, part.id)

    def build(self, operations: Mapping[str, OperationSpec] | None = None) -> Workflow:
        """The workflow, checked.

        Args:
            operations: The operations that nodes may use; those that the builder was given where none are.

        Raises:
            WorkflowError: The workflow has faults; the error's place is the line that made the first of them, and
                `details["findings"]` lists all, each with its `file` and `line`.
        """
        workflow = self.draft()
        findings = validate(workflow, self._operations if operations is None else operations)
        errors = [finding for finding in findings if finding.severity == "error"]
        if errors:
            first = self._place_of(errors[0])
            error = invalid_workflow(workflow, findings, file=first.file, line=first.line)
            for entry, finding in zip(error.details["findings"], findings, strict=True):
                place = self._place_of(finding)
                entry |= {"file": place.file, "line": place.line}
            raise error
        return workflow

    def draft(self) -> Workflow:
        """The workflow as it is so far, with whatever faults it has."""
        return self._sketch.workflow(tuple(one.draft() for one in self._workflows.values()))

    def _add(self, node: Node, inputs: Mapping[str, Any]) -> NodeRef:
        uses = getattr(node, "uses", None)
        if uses is not None and not uses.startswith(LOCAL) and not OPERATION_ID.fullmatch(uses):
            raise misuse(
                f"node {node.id!r} uses {uses!r}, which is no id of an operation",
                "Write it like `acme.text.word-count`.",
            )
        params = self._params(node.id, inputs)
        made = self.add(replace(node, params=params))
        self._draw(made, inputs)
        return made

    def _give(self, id: str, inputs: Mapping[str, Any]) -> None:
        """Give a node further inputs."""
        params = self._params(id, inputs)
        self._sketch.change_node(id, params={**self._sketch.nodes[id].params, **params})
        self._draw(NodeRef(self, id), inputs)

    def _params(self, id: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {
            port: value
            if isinstance(value, Expression)
            else literal(f"the input {port!r} of node {id!r}", value)
            for port, value in inputs.items()
            if not isinstance(value, OutputPort | Outputs)
        }

    def _draw(self, node: NodeRef, inputs: Mapping[str, Any]) -> None:
        for port, value in inputs.items():
            if isinstance(value, OutputPort | Outputs):
                value >> node.in_[port]

    def _used(self, uses: "str | WorkflowBuilder") -> str:
        if isinstance(uses, str):
            return uses
        if not isinstance(uses, WorkflowBuilder) or uses._parent not in (self, self._parent or self):
            raise misuse(f"{uses!r} is no workflow of this builder", 'Start it with `wf.workflow("clean")`.')
        return LOCAL + uses._sketch.id

    def _keep(self, inner: "WorkflowBuilder") -> "WorkflowBuilder":
        id = inner._sketch.id
        if self._parent is not None or inner._workflows:
            raise misuse(
                f"the workflow {id!r} is within a workflow that is within another one",
                "Start all of them in the outermost workflow; they can use each other.",
            )
        if id in self._workflows:
            raise misuse(
                f"there is a workflow {id!r} already", "Give each an id of its own.", code="SYM-W019"
            )
        inner._parent = self
        self._workflows[id] = inner
        return inner

    def _output_ports(self, id: str) -> list[str]:
        """The output ports of a node from which `node.out` chooses."""
        node = self._sketch.nodes[id]
        match node:
            case MapNode():
                return ["results"]
            case JoinNode():
                return ["value"]
            case BranchNode():
                return ["then", "else"]
            case SwitchNode():
                return [*(case.port for case in node.cases), "default"]
            case ApprovalNode():
                return ["approved", "rejected"]
        root = self._parent or self
        if node.uses.startswith(LOCAL):
            inner = root._workflows.get(node.uses.removeprefix(LOCAL))
            return list(inner._sketch.outputs) if inner else ["result"]
        operation = (self._operations or {}).get(node.uses)
        return [port.name for port in operation.outputs] if operation else ["result"]

    def _place_of(self, finding: Finding) -> Place:
        inner = self._workflows.get(finding.workflow)
        return (inner or self)._sketch.place_of(finding)

    def __repr__(self) -> str:
        return f"<builder of workflow {self._sketch.id}>"


def builder_of(workflow: Workflow, operations: Mapping[str, OperationSpec] | None = None) -> WorkflowBuilder:
    """A builder that holds the parts of a workflow already.

    Args:
        workflow: Any workflow.
        operations: The operations that nodes may use.

    Raises:
        WorkflowError: An id is taken or no name.
    """
    builder = WorkflowBuilder(
        workflow.id,
        name=workflow.name,
        metadata=workflow.metadata,
        extra=workflow.extra,
        operations=operations,
    )
    parts = (*workflow.workflows, *workflow.inputs, *workflow.nodes, *workflow.edges, *workflow.outputs)
    for part in parts:
        builder.add(part)
    return builder


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

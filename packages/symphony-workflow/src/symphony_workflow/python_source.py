"""Writes the Python code that builds a workflow, as a person would write it.

Nodes and edges come in the order of the workflow, names are made of ids, and what has its usual value is left out. Every
text of the workflow stands in the code as a quoted literal, and every name is checked, so that no text becomes code.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from keyword import iskeyword, issoftkeyword
from typing import Any, get_args

from symphony_sdk.errors import WorkflowError

from symphony_workflow.builder import WorkflowBuilder, builder_of
from symphony_workflow.expression_syntax import SyntaxFault, parse
from symphony_workflow.json_values import json_fault
from symphony_workflow.model import (
    CACHED,
    INPUTS,
    LOCAL,
    NO_RESOURCES,
    ONCE,
    OPERATION_ID,
    PORT_NAME,
    CachePolicy,
    Case,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Edge,
    Expression,
    Metadata,
    Node,
    Resources,
    RetryPolicy,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)
from symphony_workflow.node_refs import NodeRef
from symphony_workflow.python_layout import (
    Code,
    Group,
    arguments,
    is_word,
    json_literal,
    lay_out,
    mapping,
    member,
    quoted,
    tuple_of,
)
from symphony_workflow.validation import validate

_TAKEN = frozenset(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__) | {
    "Expression",
    "Metadata",
    "Path",
    "WorkflowBuilder",
    "wf",
    "workflow",
    *(part.__name__ for part in (*get_args(Node), *get_args(Edge), WorkflowInput, WorkflowOutput)),
    *(part.__name__ for part in (CachePolicy, Case, Resources, RetryPolicy)),
}
_METHODS = frozenset(dir(NodeRef))
_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def to_python(workflow: Workflow) -> str:
    """The Python code that builds a workflow: its last line binds `workflow` to one that is equal in every field.

    Args:
        workflow: Any workflow that a file can hold, with whatever faults.

    Raises:
        WorkflowError: It holds what no file could hold, such as an id that is no name or a value that is not JSON.
    """
    try:
        same = builder_of(workflow).draft() == workflow
    except WorkflowError as error:
        raise _unwritable(workflow, error.message) from error
    if not same:
        raise _unwritable(workflow, "one of its parts is of a type that the model does not say")
    faulty = any(finding.severity == "error" for finding in validate(workflow))
    source = _Source(workflow)
    lines = [*source.lines, "", f"workflow = wf.{'draft' if faulty else 'build'}()"]
    if faulty:
        lines[-1] += "  # it has faults: `build` tells them"
    imported = ", ".join(sorted(source.imported, key=str.lower))
    paths = ["from pathlib import Path", ""] if source.uses_path else []
    head = lay_out("from symphony_workflow import ", Group("(", [*sorted(source.imported)], ")"))
    one_line = f"from symphony_workflow import {imported}"
    return "\n".join([*paths, one_line if len(one_line) <= 100 else head, "", *lines, ""])


def _unwritable(workflow: Workflow, why: str) -> WorkflowError:
    return WorkflowError(
        f"the workflow {workflow.id!r} cannot be written as Python: {why}",
        code="SYM-W072",
        hint="Correct it in the program that made it; `validate` tells what else is wrong.",
    )


class _Source:
    """The lines of one workflow, those of the workflows that its nodes run before its own."""

    def __init__(self, workflow: Workflow) -> None:
        self.whole = workflow
        self.lines: list[str] = []
        self.imported = {"WorkflowBuilder"}
        self.uses_path = False
        self.names: dict[str, int] = {}  # how often a name was given already
        self.builders: dict[str, str] = {}  # the variable of a workflow that nodes run, by id
        self.statement("wf = WorkflowBuilder", self.head(workflow))
        for inner in workflow.workflows:
            name = self.variable(inner.id)
            self.lines.append("")
            self.statement(f"{name} = wf.workflow", self.head(inner))
            self.builders[inner.id] = name
            self.parts(inner, name)
        if workflow.workflows:
            self.lines.append("")
        self.parts(workflow, "wf")

    def statement(self, before: str, call: Code, after: str = "") -> None:
        self.lines.append(lay_out(before, call) + after)

    def variable(self, id: str) -> str:
        """A name for what has this id, which nothing else has."""
        name = re.sub(r"[^A-Za-z0-9_]", "_", id)
        name = f"w{name}" if name[0].isdigit() else name
        name = name.lstrip("_") if name.startswith("__") else name
        if not name or name[0].isdigit() or name in _TAKEN or iskeyword(name) or issoftkeyword(name):
            name = f"{name}_" if name and not name[0].isdigit() else f"node_{name}"
        count = self.names[name] = self.names.get(name, 0) + 1
        return name if count == 1 else self.variable(f"{name}_{count}")

    def literal(self, value: Any) -> Code:
        """The code of a JSON value."""
        if fault := json_fault(value):
            raise _unwritable(self.whole, fault)
        return json_literal(value)

    def call(self, *given: Code, **named: Code) -> Group:
        return arguments(given, named)

    def head(self, workflow: Workflow) -> Group:
        named: dict[str, Code] = {}
        if workflow.name:
            named["name"] = quoted(workflow.name)
        if workflow.metadata != Metadata():
            named["metadata"] = self.construct(workflow.metadata)
        if workflow.extra:
            named["extra"] = self.literal(workflow.extra)
        return self.call(quoted(workflow.id), **named)

    def construct(self, part: Any, positional: int = 0) -> Code:
        """The code that makes a dataclass of the model, without the fields that have their usual value.

        Args:
            part: A part of a workflow.
            positional: How many of its fields come without their names.
        """
        self.imported.add(type(part).__name__)
        given: list[Code] = []
        named: dict[str, Code] = {}
        for place, field in enumerate(fields(part)):
            value = getattr(part, field.name)
            if place < positional:
                given.append(self.value(value))
                continue
            usual = field.default_factory() if field.default_factory is not MISSING else field.default
            if value != usual:
                named[field.name] = self.value(value)
        return Group(f"{type(part).__name__}(", arguments(given, named).items, ")")

    def value(self, value: Any) -> Code:
        """The code of a field of the model."""
        if isinstance(value, Expression):
            return self.expression(value)
        if isinstance(value, tuple):
            return tuple_of([self.value(one) for one in value])
        if isinstance(value, dict) and any(isinstance(one, Expression) for one in value.values()):
            return mapping({key: self.value(one) for key, one in value.items()})
        return self.construct(value) if hasattr(value, "__dataclass_fields__") else self.literal(value)

    def expression(self, value: Expression) -> Code:
        try:
            parse(value.text)
        except SyntaxFault:
            self.imported.add("Expression")
            return Group("Expression(", [quoted(value.text)], ")")
        return Group("wf.expr(", [quoted(value.text)], ")")

    def parts(self, workflow: Workflow, builder: str) -> None:
        """The lines of a workflow's inputs, nodes, edges and outputs."""
        ends = {edge.source for edge in workflow.edges} | {edge.target for edge in workflow.edges}
        ends |= {output.node for output in workflow.outputs}
        taken = {
            edge.source_port
            for edge in workflow.edges
            if isinstance(edge, DataEdge) and edge.source == INPUTS
        }
        places = _Places()
        for declared in workflow.inputs:
            name = self.variable(declared.name) if declared.name in taken else ""
            self.input(declared, builder, name)
            places.inputs[declared.name] = name
        edges = list(workflow.edges)
        done = 0
        for node in workflow.nodes:
            inline = self.inlined(node, edges, done, places)
            done += len(inline)
            name = self.variable(node.id) if node.id in ends else ""
            self.node(node, builder, name, inline)
            places.nodes[node.id] = name
            while done < len(edges) and places.knows(edges[done]):
                self.edge(edges[done], builder, places)
                done += 1
        for edge in edges[done:]:
            self.edge(edge, builder, places)
        for output in workflow.outputs:
            self.output(output, builder, places)

    def input(self, declared: WorkflowInput, builder: str, name: str) -> None:
        before = f"{name} = {builder}" if name else builder
        if declared.extra or (declared.required and declared.default is not None):
            self.statement(f"{before}.add", Group("(", [self.construct(declared, 1)], ")"))
            return
        given: list[Code] = [quoted(declared.name)]
        if declared.schema:
            kind = _type(declared.schema)
            self.uses_path = self.uses_path or "Path" in kind
            given.append(kind or self.literal(declared.schema))
        named: dict[str, Code] = {}
        if not declared.required:
            named["default"] = self.literal(declared.default)
        if declared.description:
            named["description"] = quoted(declared.description)
        self.statement(f"{before}.input", self.call(*given, **named))

    def inlined(self, node: Node, edges: Sequence[Edge], done: int, places: "_Places") -> dict[str, Code]:
        """The edges that come next and can be given where the node is made, by input port."""
        found: dict[str, Code] = {}
        for edge in edges[done:]:
            if not isinstance(edge, DataEdge) or edge.target != node.id or edge.source == node.id:
                break
            port = edge.target_port
            source = places.output(edge)
            if not source or port in found or port in node.params or port in _own(node) or not is_word(port):
                break
            found[port] = source
        return found

    def node(self, node: Node, builder: str, name: str, inline: Mapping[str, Code]) -> None:
        uses = getattr(node, "uses", "")
        if uses and not uses.startswith(LOCAL) and not OPERATION_ID.fullmatch(uses):
            before = f"{name} = {builder}" if name else builder
            self.statement(f"{before}.add", Group("(", [self.construct(node)], ")"))
            return
        params = {port: self.value(value) for port, value in node.params.items()}
        late = {port: params.pop(port) for port in list(params) if port in _own(node)}
        call = arguments([quoted(node.id)], {**self.own(node), **params, **inline})
        before = f"{builder}.{_method(node)}"
        chain = [("set", arguments([], late))] if late else []
        chain += self.policies(node)
        flat = "".join(f".{method}{made.flat()}" for method, made in chain)
        start = f"{name} = {before}" if name else before
        if len(f"{start}{call.flat()}{flat}") <= 100 or not chain:
            self.statement(start, call, flat)
            return
        name = name or self.variable(node.id)
        self.statement(f"{name} = {before}", call)
        for method, made in chain:
            self.statement(f"{name}.{method}", made)

    def own(self, node: Node) -> dict[str, Code]:
        """The arguments of the method that adds such a node, without those that have their usual value."""
        named: dict[str, Code] = {}
        for field in fields(node):
            if field.name == "id" or field.name not in _own(node):
                continue
            value = getattr(node, field.name)
            if field.name == "uses":
                named["uses"] = self.builders.get(value.removeprefix(LOCAL), "") or quoted(value)
                if not value.startswith(LOCAL):
                    named["uses"] = quoted(value)
            elif field.name == "cases":
                named["cases"] = _cases([(case.port, case.condition) for case in value])
            elif (field.default is MISSING and field.default_factory is MISSING) or value != (
                field.default_factory() if field.default_factory is not MISSING else field.default
            ):
                named[field.name] = self.value(value)
        return named

    def policies(self, node: Node) -> list[tuple[str, Group]]:
        """The methods to call on a node afterwards."""
        found: list[tuple[str, Group]] = []
        for method, usual in (("retry", ONCE), ("resources", NO_RESOURCES), ("cache", CACHED)):
            policy = getattr(node, method, usual)
            if policy != usual:
                first = 1 if method == "retry" else 0
                group = self.construct(policy, first)
                self.imported.discard(type(policy).__name__)
                found.append((method, Group("(", group.items if isinstance(group, Group) else [], ")")))
        for method in ("timeout", "idle_timeout", "version"):
            value = getattr(node, method, None)
            if value is not None:
                found.append((method, self.call(self.literal(value))))
        if node.label:
            found.append(("label", self.call(quoted(node.label))))
        for method, kept in (("note", node.metadata), ("extra", node.extra)):
            if kept:
                found.append(
                    (method, arguments([], {key: self.literal(value) for key, value in kept.items()}))
                )
        return found

    def edge(self, edge: Edge, builder: str, places: "_Places") -> None:
        if drawn := "" if edge.metadata or edge.extra else places.drawn(edge):
            self.lines.append(drawn)
            return
        count = {DataEdge: 4, ControlEdge: 2, ConditionalEdge: 3}[type(edge)]
        self.statement(f"{builder}.add", Group("(", [self.construct(edge, count)], ")"))

    def output(self, output: WorkflowOutput, builder: str, places: "_Places") -> None:
        port = places.port(output.node, output.port)
        if port:
            self.statement(f"{builder}.output", self.call(quoted(output.name), port))
        else:
            self.statement(f"{builder}.add", Group("(", [self.construct(output, 3)], ")"))


class _Places:
    """The variables of the inputs and nodes that there are already."""

    def __init__(self) -> None:
        self.inputs: dict[str, str] = {}
        self.nodes: dict[str, str] = {}

    def knows(self, edge: Edge) -> bool:
        return edge.target in self.nodes and (edge.source in self.nodes or edge.source == INPUTS)

    def output(self, edge: DataEdge) -> str:
        """The code of the place that an edge starts at; empty where it has none, or the edge has notes."""
        if edge.metadata or edge.extra:
            return ""
        if edge.source == INPUTS:
            return self.inputs.get(edge.source_port, "")
        return self.port(edge.source, edge.source_port)

    def port(self, node: str, port: str) -> str:
        if node not in self.nodes or not PORT_NAME.fullmatch(port):
            return ""
        return f"{self.nodes[node]}.out{member(port)}"

    def drawn(self, edge: Edge) -> str:
        """The statement that draws an edge; empty where no sign can."""
        source, target = self.nodes.get(edge.source, ""), self.nodes.get(edge.target, "")
        match edge:
            case DataEdge():
                place = self.output(edge)
                if not place or not target or not PORT_NAME.fullmatch(edge.target_port):
                    return ""
                plain = is_word(edge.target_port) and edge.target_port not in _METHODS
                return f"{place} >> {target}{'' if plain else '.in_'}{member(edge.target_port)}"
            case ControlEdge():
                return f"{source} >> {target}" if source and target else ""
        condition = edge.condition
        drawn = f"{source}.when({quoted(condition)}) >> {target}"
        return drawn if source and target and condition else ""


def _cases(cases: Sequence[tuple[str, str]]) -> Code:
    if len(dict(cases)) == len(cases):
        return mapping({port: quoted(condition) for port, condition in cases})
    return Group("[", [tuple_of([quoted(port), quoted(condition)]) for port, condition in cases], "]")


def _method(node: Node) -> str:
    return type(node).__name__.removesuffix("Node").lower()


def _own(node: Node) -> frozenset[str]:
    """The parameters of the method that adds such a node; an input of one of these names is given afterwards."""
    code = getattr(WorkflowBuilder, _method(node)).__code__
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _type(schema: Mapping[str, Any], depth: int = 0) -> str:
    """The Python type that has this JSON Schema; empty where there is none."""
    if depth > 3 or not isinstance(schema, dict):
        return ""
    match schema:
        case {"type": "string", "format": "path"} if len(schema) == 2:
            return "Path"
        case {"type": "array", "items": items} if len(schema) == 2:
            inner = _type(items, depth + 1)
            return f"list[{inner}]" if inner else ""
        case {"type": "object", "additionalProperties": items} if len(schema) == 2:
            inner = _type(items, depth + 1)
            return f"dict[str, {inner}]" if inner else ""
        case {"anyOf": [one, {"type": "null"}]} if len(schema) == 1 and len(schema["anyOf"][1]) == 1:
            inner = _type(one, depth + 1)
            return f"{inner} | None" if inner and inner != "None" and "|" not in inner else ""
        case {"type": str(kind)} if len(schema) == 1:
            return {**_TYPES, "array": "list", "object": "dict"}.get(kind, "")
    return ""

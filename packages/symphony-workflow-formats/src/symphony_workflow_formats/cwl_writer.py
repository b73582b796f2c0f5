"""Writes CWL 1.2: operations without a tool become abstract operations, which any CWL program can check."""

from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]
from symphony_sdk import ExportedWorkflow, FormatNote
from symphony_workflow import (
    INPUTS,
    BranchNode,
    DataEdge,
    Expression,
    InstrumentNode,
    MapNode,
    Node,
    OperatorNode,
    SubworkflowNode,
    Workflow,
    from_document,
)

from symphony_workflow_formats.cwl_conditions import condition_of
from symphony_workflow_formats.cwl_documents import named
from symphony_workflow_formats.cwl_steps import NAMESPACE, NATIVE
from symphony_workflow_formats.cwl_types import schema_of, type_of
from symphony_workflow_formats.draft import WHOLE


def write(document: Mapping[str, Any]) -> ExportedWorkflow:
    """Make a CWL document of a workflow, in YAML.

    Args:
        document: The JSON document of the workflow.

    Raises:
        WorkflowError: It is no workflow.
    """
    workflow = from_document(dict(document))
    notes: list[FormatNote] = []
    inside = {one.id: one for one in workflow.workflows}
    kept = _kept(workflow)
    main = _Process(workflow, inside, notes, "").written()
    others = [
        {"id": one.id, **_Process(one, inside, notes, f"{one.id}/").written()} for one in inside.values()
    ]
    others += [one for one in kept.get("packed", []) if isinstance(one, dict)]
    native = any(_uses_hint(one) for one in (main, *others))
    spaces = {**({"symphony": NAMESPACE} if native else {}), **_object(kept.get("$namespaces"))}
    head = {
        "cwlVersion": "v1.2",
        **({"$namespaces": spaces} if spaces else {}),
        **({"$schemas": kept["$schemas"]} if "$schemas" in kept else {}),
    }
    file = {**head, "$graph": [{"id": "main", **main}, *others]} if others else {**head, **main}
    text = yaml.dump(file, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return ExportedWorkflow(text.encode(), tuple(notes))


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes each value out, and quotes what another version of YAML would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Process:
    """One workflow of the document.

    Args:
        workflow: The workflow.
        inside: The workflows that its nodes may run, by id.
        notes: Takes what cannot be said.
        prefix: What notes set before the ids of its nodes.
    """

    def __init__(
        self, workflow: Workflow, inside: Mapping[str, Workflow], notes: list[FormatNote], prefix: str
    ) -> None:
        self._workflow = workflow
        self._inside = inside
        self._notes = notes
        self._prefix = prefix
        self._nodes = {node.id: node for node in workflow.nodes}
        self._into: dict[str, dict[str, DataEdge]] = {}
        for edge in workflow.edges:
            if isinstance(edge, DataEdge) and edge.target in self._nodes:
                self._into.setdefault(edge.target, {}).setdefault(edge.target_port, edge)
        self._inputs = {
            one.name: str(_object(one.extra.get("x-cwl")).get("id", one.name)) for one in workflow.inputs
        }
        self._passing = {
            id: sources
            for id, node in self._nodes.items()
            if isinstance(sources := _cwl(node).get("sources"), dict)
        }
        self._gates = {id: str(_cwl(node)["when"]) for id, node in self._nodes.items() if self._is_gate(node)}
        self._features: set[str] = set()

    def written(self) -> dict[str, Any]:
        """The workflow as CWL says it."""
        workflow, kept = self._workflow, _kept(self._workflow)
        for edge in workflow.edges:
            if not isinstance(edge, DataEdge):
                self._note(
                    edge.target,
                    f"the {edge.kind} edge from {edge.source}",
                    "CWL has no order but that of data",
                )
        steps = {}
        names: set[str] = set()
        for node in workflow.nodes:
            if node.id not in self._passing and node.id not in self._gates:
                name = self._step_name(node.id)
                names.add(name)
                steps[name] = self._step(node)
        outputs = {
            str(about.get("id", one.name)): {
                "type": "Any",
                **{key: value for key, value in about.items() if key != "id"},
                **self._reference(one.node, one.port, "outputSource"),
            }
            for one in workflow.outputs
            if one.node in self._nodes
            for about in (_object(_object(kept.get("outputs")).get(one.name)),)
        }
        written = {
            "class": "Workflow",
            **({"label": workflow.name} if workflow.name else {}),
            **{key: value for key, value in kept.items() if key not in _OWN},
            "inputs": {self._inputs[one.name]: _input(one) for one in workflow.inputs},
            "outputs": outputs,
            "steps": steps,
        }
        needed = self._needed(kept.get("requirements"))
        if needed:
            written["requirements"] = needed
        return written

    def _needed(self, kept: Any) -> Any:
        """What the workflow requires: as it was, and what it uses beyond that."""
        known = {one.get("class") for one in named(kept, "class")}
        missing = sorted(self._features - known)
        if isinstance(kept, dict):
            return {**kept, **{name: {} for name in missing}}
        return [*(kept or []), *({"class": name} for name in missing)]

    def _step(self, node: Node) -> dict[str, Any]:
        kept = _cwl(node)
        outs = [str(one) for one in kept.get("out", [])] if isinstance(kept.get("out"), list) else []
        for port in self._used_outputs(node):
            if (name := self._output_name(node, port)) not in outs:
                outs.append(name)
        ins, when = self._ins(node)
        step: dict[str, Any] = {}
        if node.label:
            step["label"] = node.label
        step |= {
            key: value for key, value in kept.items() if key not in ("id", "in", "out", "run", "sources")
        }
        if when:
            step["when"] = when
            self._features.add("InlineJavascriptRequirement")
        step |= {"in": ins, "out": outs, "run": self._run(node, list(ins), outs)}
        if any("valueFrom" in one for one in ins.values()):
            self._features |= {"InlineJavascriptRequirement", "StepInputExpressionRequirement"}
        if isinstance(node, MapNode):
            step["scatter"] = self._input_name(node, node.over)
            self._features.add("ScatterFeatureRequirement")
        hints = self._hints(node)
        if hints:
            step["hints"] = [*named(step.get("hints"), "class"), *hints]
        return step

    def _run(self, node: Node, ins: list[str], outs: list[str]) -> Any:
        uses = getattr(node, "uses", "")
        if isinstance(node, SubworkflowNode | MapNode) and uses.startswith("#"):
            self._features.add("SubworkflowFeatureRequirement")
            if uses[1:] not in self._inside:
                self._note(
                    node.id, f"it uses {uses}", "there is no such workflow", "it is an abstract operation"
                )
            else:
                return uses
        if (run := _cwl(node).get("run")) is not None:
            return run
        if not isinstance(node, OperatorNode | InstrumentNode | MapNode):
            what = f"the control node of kind {node.control}"
            self._note(node.id, what, "CWL has none", "it is an abstract operation")
        elif not any(uses == one.get("uses") for one in named(_cwl(node).get("hints"), "class")):
            self._note(
                node.id,
                f"it uses {uses}",
                "CWL knows no operations of Symphony",
                "it is an abstract operation",
            )
        return {
            "class": "Operation",
            "inputs": dict.fromkeys(ins, "Any"),
            "outputs": dict.fromkeys(outs, "Any"),
        }

    def _hints(self, node: Node) -> list[dict[str, Any]]:
        kept = _cwl(node)
        if "run" in kept or any(
            str(one.get("class")).endswith(NATIVE) for one in named(kept.get("hints"), "class")
        ):
            return []
        uses = getattr(node, "uses", "")
        hints = []
        if isinstance(node, OperatorNode | InstrumentNode | MapNode) and not uses.startswith("#"):
            hints.append({"class": f"symphony:{NATIVE}", "uses": uses})
        said = {
            str(one.get("class"))
            for key in ("requirements", "hints")
            for one in named(kept.get(key), "class")
        }
        resources = getattr(node, "resources", None)
        if (
            resources is not None
            and (resources.cpu or resources.memory)
            and "ResourceRequirement" not in said
        ):
            amounts = {"coresMin": resources.cpu, "ramMin": -(-resources.memory // (1 << 20))}
            hints.append(
                {"class": "ResourceRequirement", **{key: one for key, one in amounts.items() if one}}
            )
        if getattr(node, "timeout", None) and "ToolTimeLimit" not in said:
            self._note(node.id, f"the timeout of {node.timeout} s", "a hint would not hold", "it is left out")  # type: ignore[union-attr]
        return hints

    def _ins(self, node: Node) -> tuple[dict[str, Any], str]:
        """The inputs of a step, and its condition."""
        kept = _object(_cwl(node).get("in"))
        ins: dict[str, Any] = {}
        when = ""
        for port, edge in self._into.get(node.id, {}).items():
            name = self._input_name(node, port)
            source, source_port = edge.source, edge.source_port
            if source in self._gates and source_port == "then":
                when = self._gates[source]
                gate = self._into.get(source, {}).get("value")
                if gate is None:
                    ins[name] = {
                        "default": self._nodes[source].params.get("value"),
                        **_object(kept.get(name)),
                    }
                    continue
                source, source_port = gate.source, gate.source_port
            ins[name] = {**self._reference(source, source_port, "source"), **_object(kept.get(name))}
        for port, value in node.params.items():
            name = self._input_name(node, port)
            if isinstance(value, Expression):
                self._note(node.id, f"the expression of {port}", "CWL computes in JavaScript")
            else:
                ins.setdefault(name, {"default": value, **_object(kept.get(name))})
        for name, about in kept.items():
            ins.setdefault(name, _object(about))
        return ins, when

    def _reference(self, node: str, port: str, field: str) -> dict[str, Any]:
        """What names an output: several sources, where a node only brings them together."""
        if node in self._passing:
            edges = sorted(self._into.get(node, {}).items(), key=lambda one: (len(one[0]), one[0]))
            sources = [self._source(edge.source, edge.source_port) for _, edge in edges]
            about = self._passing[node]
            if not about:
                return {field: sources[0]} if len(sources) == 1 else {field: sources}
            self._features.add("MultipleInputFeatureRequirement")
            return {field: sources, **about}
        return {field: self._source(node, port)}

    def _source(self, node: str, port: str) -> str:
        if node == INPUTS:
            return self._inputs.get(port, port)
        return (
            f"{self._step_name(node)}/{self._output_name(self._nodes[node], port)}"
            if node in self._nodes
            else port
        )

    def _step_name(self, id: str) -> str:
        name = _cwl(self._nodes[id]).get("id")
        return name if isinstance(name, str) and name else id

    def _used_outputs(self, node: Node) -> list[str]:
        used = [
            edge.source_port
            for edge in self._workflow.edges
            if isinstance(edge, DataEdge) and edge.source == node.id
        ]
        used += [one.port for one in self._workflow.outputs if one.node == node.id]
        return list(dict.fromkeys(used))

    def _input_name(self, node: Node, port: str) -> str:
        return _original(node, "inputs", port)

    def _output_name(self, node: Node, port: str) -> str:
        outs = _cwl(node).get("out")
        if isinstance(node, MapNode) and port == "results" and isinstance(outs, list) and len(outs) == 1:
            return str(outs[0])
        return _original(node, "outputs", port)

    def _is_gate(self, node: Node) -> bool:
        """Whether a branch still is the condition of one step, as the reader made it of a `when`."""
        when = _cwl(node).get("when")
        if not isinstance(node, BranchNode) or not isinstance(when, str):
            return False
        said = condition_of(when)
        out = [edge for edge in self._workflow.edges if edge.source == node.id]
        return (
            said is not None
            and said[0] == node.condition
            and len(out) == 1
            and isinstance(out[0], DataEdge)
            and out[0].source_port == "then"
        )

    def _note(self, node: str, what: str, why: str, instead: str = "it is left out") -> None:
        made = self._step_name(node) if node in self._nodes else ""
        self._notes.append(FormatNote(f"{self._prefix}{node}" or WHOLE, made, what, why, instead))


_OWN = ("outputs", "requirements", "cwlVersion", "$namespaces", "$schemas", "packed")


def _uses_hint(process: Mapping[str, Any]) -> bool:
    steps = _object(process.get("steps")).values()
    return any(
        one.get("class") == f"symphony:{NATIVE}"
        for step in steps
        for one in named(step.get("hints"), "class")
    )


def _input(one: Any) -> dict[str, Any]:
    kept = {key: value for key, value in _object(one.extra.get("x-cwl")).items() if key != "id"}
    if "type" in kept and schema_of(kept["type"]) != one.schema:
        del kept["type"]
    kind = type_of(one.schema)
    if not one.required and one.default is None and kind != "Any" and "type" not in kept:
        kind = kind if isinstance(kind, list) and "null" in kind else [kind, "null"]
    written: dict[str, Any] = {"type": kind}
    if one.default is not None:
        written["default"] = (
            {"class": "File", "path": one.default}
            if kind == "File" and isinstance(one.default, str)
            else one.default
        )
    if one.description:
        written["doc"] = one.description
    return {**written, **kept}


def _kept(workflow: Workflow) -> dict[str, Any]:
    return _object(workflow.metadata.extra.get("cwl"))


def _cwl(node: Node) -> dict[str, Any]:
    return _object(node.metadata.get("cwl"))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _original(node: Node, side: str, port: str) -> str:
    return str(_object(_object(node.metadata.get("ports")).get(side)).get(port, port))

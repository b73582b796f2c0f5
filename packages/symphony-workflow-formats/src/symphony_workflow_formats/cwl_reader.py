"""Reads workflows of CWL: a step becomes a node, a scatter a map, a `when` a branch before its step."""

from collections.abc import Mapping
from typing import Any

from symphony_sdk import ImportedWorkflow, NodeMapping
from symphony_workflow import (
    INPUTS,
    BranchNode,
    JoinNode,
    MapNode,
    OperatorNode,
    SubworkflowNode,
    WorkflowInput,
    WorkflowOutput,
)

from symphony_workflow_formats.cwl_conditions import condition_of
from symphony_workflow_formats.cwl_documents import entries, local_id, named, processes_of, source_of, texts
from symphony_workflow_formats.cwl_steps import (
    NAMESPACE,
    SWITCHES,
    Gate,
    Source,
    native_uses,
    path_of,
    policies_of,
    unswitched,
)
from symphony_workflow_formats.cwl_types import is_optional, schema_of, type_of
from symphony_workflow_formats.draft import WHOLE, Graph, Importing, NodeDraft
from symphony_workflow_formats.parsing import MAX_DEPTH, parse_yaml
from symphony_workflow_formats.shapes import as_object, as_text, wrong_shape

MERGED = "merged"
"""The output port of a node that makes a list of several sources."""


def read(data: bytes, *, name: str, mapping: Mapping[str, NodeMapping]) -> ImportedWorkflow:
    """Make a workflow of a CWL document.

    Args:
        data: The file, in YAML or JSON.
        name: What to call the workflow.
        mapping: The operations that stand for tools, by the name of the tool's file without its ending, or its id.

    Raises:
        WorkflowError: SYM-W101, SYM-W102, it is no such file.
    """
    file = as_object(parse_yaml(data), "the file")
    workflow, packed = processes_of(file)
    importing = Importing("cwl", "tool", mapping)
    root = importing.graph("", name)
    root.name = str(workflow.get("label") or "")
    reader = _Reader(importing, packed)
    reader.fill(root, workflow, "")
    spaces = as_object(file.get("$namespaces") or {}, "$namespaces")
    kept = {
        "cwlVersion": file["cwlVersion"],
        "$namespaces": {key: value for key, value in spaces.items() if value != NAMESPACE},
        "$schemas": file.get("$schemas"),
        "packed": list(reader.packed_tools.values()),
    }
    root.metadata |= {key: value for key, value in kept.items() if value}
    return importing.finish(root)


class _Reader:
    """Reads the workflows of a document.

    Args:
        importing: What is being made.
        packed: The processes that the document packs, by id.
    """

    def __init__(self, importing: Importing, packed: Mapping[str, dict[str, Any]]) -> None:
        self._importing = importing
        self._packed = packed
        self._made: dict[str, Graph] = {}
        self._depth = 0
        self.packed_tools: dict[str, dict[str, Any]] = {}

    def fill(self, graph: Graph, workflow: Mapping[str, Any], prefix: str) -> None:
        """Make nodes and edges of the steps of a workflow.

        Args:
            graph: Takes them.
            workflow: The workflow.
            prefix: What notes set before the ids of its steps.
        """
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise wrong_shape(prefix, f"at most {MAX_DEPTH} workflows in each other", "one more")
        graph.metadata = {
            key: value
            for key, value in workflow.items()
            if key
            not in (
                "requirements",
                "steps",
                "inputs",
                "outputs",
                "id",
                "class",
                "label",
                "cwlVersion",
                "$graph",
            )
        }
        if requirements := unswitched(workflow.get("requirements")):
            graph.metadata["requirements"] = requirements
        filling = _Filling(self, self._importing, graph, workflow, prefix)
        filling.inputs()
        filling.steps()
        filling.outputs()
        for one in (*named(workflow.get("requirements"), "class"), *named(workflow.get("hints"), "class")):
            if one.get("class") not in SWITCHES:
                self._importing.note(
                    prefix.rstrip("/"),
                    "",
                    f"{one.get('class')} of the workflow",
                    "a workflow here has none",
                    "it is kept in the metadata",
                )
        self._depth -= 1

    def run_of(self, run: Any, step: str) -> tuple[str, Graph | None, Any]:
        """What a step runs: the name of the tool, or the workflow; and what is to be kept of it.

        Args:
            run: What the step says.
            step: Its id, with the ids of the steps around it.

        Raises:
            WorkflowError: SYM-W102, it is neither a reference nor a process.
        """
        if isinstance(run, str):
            process = self._packed.get(local_id(run)) if "#" in run else None
            if process is None:
                file = run.rpartition("#")[0] or run
                return file.rpartition("/")[2].rpartition(".")[0] or file, None, run
            key, name = f"#{local_id(run)}", local_id(run)
        else:
            process = as_object(run, f"step {step}.run")
            name = local_id(str(process.get("id") or "")) or step.rpartition("/")[2]
            key = step
        if process.get("class") != "Workflow":
            if isinstance(run, str):
                self.packed_tools[name] = dict(process)
                return name, None, f"#{name}"
            if process.get("class") not in ("CommandLineTool", "ExpressionTool", "Operation"):
                raise wrong_shape(f"step {step}.run.class", "a class of process", process.get("class"))
            return name, None, process
        if key not in self._made:
            graph = self._importing.graph(key, name)
            graph.name = str(process.get("label") or "")
            self._made[key] = graph
            self.fill(graph, process, f"{step}/" if key == step else f"{name}/")
            self._importing.workflows.append(graph.build())
        return name, self._made[key], None


class _Filling:
    """Fills one graph."""

    def __init__(
        self,
        reader: _Reader,
        importing: Importing,
        graph: Graph,
        workflow: Mapping[str, Any],
        prefix: str,
    ) -> None:
        self._reader = reader
        self._importing = importing
        self._graph = graph
        self._workflow = workflow
        self._prefix = prefix
        self._id = local_id(str(workflow.get("id") or ""))
        self._sources: dict[tuple[str, str], Source] = {}
        self._inside: dict[str, Graph] = {}

    def inputs(self) -> None:
        """Make the inputs of the workflow."""
        for id, one in entries(self._workflow, "inputs", "the workflow", "type").items():
            name = self._graph.input_names.of(id)
            kind, default = one.get("type"), one.get("default")
            schema = schema_of(kind)
            path = path_of(default)
            kept = {key: value for key, value in one.items() if key not in ("type", "default", "doc")}
            if type_of(schema) != kind:
                kept["type"] = kind
            if path is not None:
                kept["default"] = default
            if id != name:
                kept["id"] = id
            doc = one.get("doc")
            if doc is not None and not isinstance(doc, str):
                kept["doc"] = doc
            self._graph.inputs[name] = WorkflowInput(
                name,
                schema,
                required=default is None and not is_optional(kind),
                default=default if path is None else path,
                description=doc if isinstance(doc, str) else "",
                extra={"x-cwl": kept} if kept else {},
            )
            self._sources["", id] = Source(INPUTS, name)

    def steps(self) -> None:
        """Make the nodes of the steps, and then the edges, for a step may stand before those it takes from."""
        made = []
        for id, step in entries(self._workflow, "steps", "the workflow", "run").items():
            made.append((id, step, self._step(id, step)))
        for id, step, draft in made:
            self._connect(id, step, draft)

    def outputs(self) -> None:
        """Make the outputs of the workflow."""
        kept: dict[str, Any] = {}
        for id, one in entries(self._workflow, "outputs", "the workflow", "type").items():
            name = self._graph.output_names.of(id)
            source = self._merged(("output", id), id, one, "outputSource", f"the output {id}", WHOLE)
            if source is not None and source.node == INPUTS:
                passing = self._graph.node(("output", id), f"{id}-out", JoinNode)
                passing.metadata["cwl"] = {"sources": {}}
                self._graph.connect(INPUTS, source.port, passing.id, passing.input("source_1"))
                source = Source(passing.id, "value")
            if source is None:
                self._importing.note(
                    WHOLE, "", f"the output {self._prefix}{id}", "it has no source", "it is left out"
                )
                continue
            self._graph.outputs[name] = WorkflowOutput(name, source.node, source.port)
            about = {
                key: value
                for key, value in one.items()
                if key not in ("outputSource", "linkMerge", "pickValue")
            }
            kept[name] = {**about, **({"id": id} if id != name else {})}
        if kept:
            self._graph.metadata["outputs"] = kept

    def _step(self, id: str, step: Mapping[str, Any]) -> NodeDraft:
        place = f"{self._prefix}{id}"
        tool, inside, run = self._reader.run_of(step.get("run"), place)
        outs = (
            [
                local_id(one if isinstance(one, str) else as_text(as_object(one, place).get("id"), place))
                for one in step.get("out") or []
            ]
            if isinstance(step.get("out") or [], list)
            else []
        )
        scatter = [local_id(one) for one in texts(step.get("scatter"), f"step {place}.scatter")]
        mapped = len(scatter) == 1 and len(outs) <= 1
        fields, unsaid = policies_of(step)
        uses = native_uses(step)
        if inside is not None and (mapped or not scatter):
            kind: type[Any] = MapNode if mapped else SubworkflowNode
            if kind is SubworkflowNode:
                fields.pop("resources", None)
            draft = self._graph.node(id, id, kind, uses=f"#{inside.id}", **fields)
        elif uses and not (scatter and not mapped):
            kind = MapNode if mapped else OperatorNode
            draft = self._graph.node(id, id, kind, uses=uses, **fields)
        else:
            draft = self._graph.operation(
                id, id, tool, original=place, kind=MapNode if mapped else None, **fields
            )
        if inside is not None and draft.kind is not OperatorNode:
            self._inside[draft.id] = inside
        if mapped:
            draft.fields["over"] = self._port(draft, scatter[0])
        elif scatter:
            self._note(
                id,
                draft,
                f"a scatter over {', '.join(scatter)}",
                "a map goes over one input and gives one output",
                "the node runs once: replace it with a map over a sub-workflow",
            )
        for one in outs:
            conditional = step.get("when") is not None
            port = "results" if mapped else draft.output(one)
            if inside is not None and not mapped:
                port = inside.output_names.of(one)
            self._sources[id, one] = Source(draft.id, port, conditional)
        label = step.get("label")
        if isinstance(label, str):
            draft.fields["label"] = label
        draft.metadata["cwl"] = {
            "id": id,
            **{
                key: value
                for key, value in step.items()
                if key not in ("in", "out", "run", "label", "id", "when", "scatter")
            },
            **({"run": run} if run is not None else {}),
            **({"scatter": scatter} if scatter and not mapped else {}),
            "out": outs,
        }
        for what in unsaid:
            self._note(id, draft, what, "a node here has none", "it is kept in the metadata")
        return draft

    def _connect(self, id: str, step: Mapping[str, Any], draft: NodeDraft) -> None:
        gate = self._gate(id, step, draft)
        kept: dict[str, Any] = {}
        for name, one in entries(step, "in", f"step {id}", "source").items():
            port = self._port(draft, name)
            about = {
                key: value
                for key, value in one.items()
                if key not in ("source", "default", "linkMerge", "pickValue")
            }
            if "valueFrom" in one:
                self._note(
                    id,
                    draft,
                    f"valueFrom of {name}",
                    "it is an expression of CWL",
                    "the input takes its source as it is; the text is kept in the metadata",
                )
            source = self._merged(
                (id, name), f"{id}-{name}", one, "source", f"{id}.{name}", f"{self._prefix}{id}"
            )
            if source is None and "default" in one:
                draft.params[port] = one["default"]
            elif "default" in one:
                about["default"] = one["default"]
                self._note(
                    id,
                    draft,
                    f"the default of {name}",
                    "an input takes an edge or a literal",
                    "the edge counts",
                )
            if gate is not None:
                source = gate.passed(name, source, draft.params.get(port))
            if source is not None:
                self._graph.connect(source.node, source.port, draft.id, port)
            if about:
                kept[name] = about
        if kept:
            draft.metadata["cwl"]["in"] = kept

    def _port(self, draft: NodeDraft, name: str) -> str:
        inside = self._inside.get(draft.id)
        return draft.input(name, inside.input_names.of(name) if inside else "")

    def _gate(self, id: str, step: Mapping[str, Any], draft: NodeDraft) -> "Gate | None":
        when = step.get("when")
        if when is None:
            return None
        said = condition_of(when) if isinstance(when, str) else None
        if said is not None and set(said[1]) <= entries(step, "in", f"step {id}", "source").keys():
            condition, names = said
            branch = self._graph.node(("when", id), f"{id}-when", BranchNode, condition=condition)
            branch.metadata["cwl"] = {"when": when}
            return Gate(self._graph, branch, names)
        first = next(iter(entries(step, "in", f"step {id}", "source")), None)
        draft.metadata["cwl"]["when"] = when
        self._note(
            id,
            draft,
            f"the condition {when}",
            "it is JavaScript that CEL does not say" if first else "the step has no input",
            "the node has no condition: put a branch before it; the text is kept in the metadata",
        )
        return None

    def _merged(
        self, key: Any, name: str, one: Mapping[str, Any], field: str, place: str, original: str
    ) -> Source | None:
        """Where the value of an input comes from; a node that brings several sources together where there are several."""
        references = texts(one.get(field), place)
        sources = []
        for reference in references:
            found = self._sources.get(source_of(reference, self._id))
            if found is None:
                raise wrong_shape(place, "a source that there is", reference)
            sources.append(found)
        pick, merge = one.get("pickValue"), one.get("linkMerge")
        alone = len(sources) < 2 and not isinstance(one.get(field), list) and pick is None and merge is None
        if alone or not sources:
            if sources and sources[0].conditional:
                self._importing.note(
                    original,
                    sources[0].node,
                    f"the source of {place}, from a step that has a condition",
                    "CWL gives null where the condition does not hold",
                    "what takes it is skipped too",
                )
            return sources[0] if sources else None
        about = {
            key: value for key, value in (("linkMerge", merge), ("pickValue", pick)) if value is not None
        }
        if pick in ("first_non_null", "the_only_non_null"):
            node = self._graph.node(("merge", key), f"{name}-pick", JoinNode)
            port = "value"
        else:
            node = self._graph.operation(
                ("merge", key),
                f"{name}-merge",
                f"link-{merge or 'merge_nested'}",
                original=original,
            )
            port = node.output(MERGED)
        node.metadata["cwl"] = {"sources": about}
        for number, source in enumerate(sources, 1):
            self._graph.connect(source.node, source.port, node.id, node.input(f"source_{number}"))
        return Source(node.id, port)

    def _note(self, id: str, draft: NodeDraft, what: str, why: str, instead: str) -> None:
        self._importing.note(f"{self._prefix}{id}", draft.id, what, why, instead)

"""Reads WfFormat 1.5: a task becomes a node, a file that one task writes and another reads becomes an edge."""

from collections.abc import Mapping
from typing import Any

from symphony_sdk import ImportedWorkflow, NodeMapping
from symphony_workflow import INPUTS, ControlEdge, Metadata, Resources, WorkflowInput, WorkflowOutput

from symphony_workflow_formats.draft import Graph, Importing, NodeDraft
from symphony_workflow_formats.parsing import parse_json
from symphony_workflow_formats.shapes import as_list, as_object, as_text, objects, wrong_shape

_FILE = {"type": "string", "description": "a file"}


def read(data: bytes, *, name: str, mapping: Mapping[str, NodeMapping]) -> ImportedWorkflow:
    """Make a workflow of a WfFormat instance.

    Args:
        data: The file.
        name: What to call the workflow where the file does not say.
        mapping: The operations that stand for programs, by program (or task name, where it has no command).

    Raises:
        WorkflowError: SYM-W101, SYM-W102, it is no such file.
    """
    file = as_object(parse_json(data), "the file")
    flow = as_object(file.get("workflow"), "workflow")
    specification = as_object(flow.get("specification"), "workflow.specification")
    execution = as_object(flow.get("execution") or {}, "workflow.execution")
    importing = Importing("wfformat", "task", mapping)
    graph = importing.graph("root", as_text(file.get("name") or name, "name"))
    author = file.get("author")
    graph.about = Metadata(
        author=str(author.get("name", "")) if isinstance(author, dict) else "",
        created=as_text(file.get("createdAt", ""), "createdAt"),
    )
    graph.metadata = _kept(file, flow, specification, execution)
    runs = {
        as_text(one.get("id"), "workflow.execution.tasks[].id"): one
        for one in objects(execution, "tasks", "workflow.execution")
    }
    tasks = _tasks(specification)
    nodes = {id: _node(graph, id, task, runs.pop(id, None)) for id, task in tasks.items()}
    for id, run in runs.items():
        graph.metadata.setdefault("other_runs", []).append(run)
        importing.note(
            id, "", "a task that was run", "the specification has no such task", "its data is kept"
        )
    _files(graph, tasks, nodes)
    _order(graph, tasks, nodes)
    return importing.finish(graph)


def _kept(*levels: dict[str, Any]) -> dict[str, Any]:
    """What is not tasks and edges, level by level, as it stands in the file."""
    file, flow, specification, execution = levels
    return {
        "file": {key: value for key, value in file.items() if key != "workflow"},
        "workflow": {key: value for key, value in flow.items() if key not in ("specification", "execution")},
        "specification": {key: value for key, value in specification.items() if key != "tasks"},
        **(
            {"execution": {key: value for key, value in execution.items() if key != "tasks"}}
            if "execution" in flow
            else {}
        ),
    }


def _tasks(specification: dict[str, Any]) -> dict[str, dict[str, Any]]:
    place = "workflow.specification"
    tasks: dict[str, dict[str, Any]] = {}
    for number, task in enumerate(objects(specification, "tasks", place)):
        id = as_text(task.get("id"), f"{place}.tasks[{number}].id")
        if id in tasks:
            raise wrong_shape(f"{place}.tasks[{number}].id", "an id that no other task has", id)
        as_text(task.get("name"), f"{place}.tasks[{number}].name")
        for key in ("parents", "children", "inputFiles", "outputFiles"):
            for one in as_list(task.get(key) or [], f"task {id}.{key}"):
                as_text(one, f"task {id}.{key}[]")
        tasks[id] = task
    return tasks


def _node(graph: Graph, id: str, task: dict[str, Any], run: dict[str, Any] | None) -> NodeDraft:
    command = as_object((run or {}).get("command") or {}, f"task {id}.command")
    type_name = str(command.get("program") or task["name"])
    node = graph.operation(id, id, type_name, original=id, resources=_resources(run or {}))
    if task["name"] != node.id:
        node.fields["label"] = task["name"]
    node.params.update({key: command[key] for key in ("program", "arguments") if key in command})
    for key in node.params:
        node.input(("param", key), key)  # no file may take its name
    edges = ("parents", "children")
    node.metadata["wfformat"] = {
        "task": {key: value for key, value in task.items() if key not in edges},
        **({} if run is None else {"run": run}),
    }
    return node


def _resources(run: dict[str, Any]) -> Resources:
    cores, memory = run.get("coreCount"), run.get("memoryInBytes")
    return Resources(
        cpu=float(cores) if isinstance(cores, int | float) and cores > 0 else 0.0,
        memory=int(memory) if isinstance(memory, int | float) and memory > 0 else 0,
    )


def _files(graph: Graph, tasks: dict[str, dict[str, Any]], nodes: dict[str, NodeDraft]) -> None:
    """Draw an edge for each file that goes from a task to a task; the others are inputs and outputs."""
    writers: dict[str, str] = {}
    for id, task in tasks.items():
        for one in task.get("outputFiles") or []:
            if writers.setdefault(one, id) != id:
                graph.importing.note(
                    id,
                    nodes[id].id,
                    f"it writes {one}",
                    f"{writers[one]} writes it too",
                    "readers take it from the first",
                )
    read: set[str] = set()
    for id, task in tasks.items():
        for one in dict.fromkeys(task.get("inputFiles") or []):
            read.add(one)
            port = nodes[id].input(("file", one), one)
            source = writers.get(one)
            if source is None:
                name = graph.input_names.of(one)
                graph.inputs[name] = WorkflowInput(name, _FILE, required=False, default=one)
                graph.connect(INPUTS, name, nodes[id].id, port)
            elif source != id:
                made = nodes[source]
                graph.connect(made.id, made.output(("file", one), one), nodes[id].id, port)
            else:
                graph.importing.note(
                    id, nodes[id].id, f"it reads {one}", "it writes that file itself", "no edge is drawn"
                )
    for one, source in writers.items():
        if one not in read:
            name = graph.output_names.of(one)
            graph.outputs[name] = WorkflowOutput(
                name, nodes[source].id, nodes[source].output(("file", one), one)
            )


def _order(graph: Graph, tasks: dict[str, dict[str, Any]], nodes: dict[str, NodeDraft]) -> None:
    """Draw an edge of order for each parent that no file comes from, and say where the lists disagree."""
    drawn = {(edge.source, edge.target) for edge in graph.edges}
    declared: dict[tuple[str, str], None] = {}
    for id, task in tasks.items():
        pairs = [(one, id) for one in task.get("parents") or []]
        pairs += [(id, one) for one in task.get("children") or []]
        for parent, child in pairs:
            other = child if parent == id else parent
            if other not in tasks:
                graph.importing.note(
                    id, nodes[id].id, f"a dependency on {other}", "there is no such task", "it is left out"
                )
                continue
            declared[parent, child] = None
    for parent, child in declared:
        pair = (nodes[parent].id, nodes[child].id)
        if pair not in drawn:
            drawn.add(pair)
            graph.edges.append(ControlEdge(*pair))
    known = {(nodes[parent].id, nodes[child].id) for parent, child in declared}
    ids = {node.id: id for id, node in nodes.items()}
    for edge in graph.edges:
        pair = (edge.source, edge.target)
        if edge.source != INPUTS and pair not in known:
            known.add(pair)
            graph.importing.note(
                ids[edge.target],
                edge.target,
                f"it reads a file of {ids[edge.source]}",
                "its parents do not name that task",
                "an edge is drawn all the same",
            )

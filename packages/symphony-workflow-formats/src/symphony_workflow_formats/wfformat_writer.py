"""Writes WfFormat 1.5: what was read from it comes back, and of any other workflow the shape is told."""

import json
from collections.abc import Mapping
from typing import Any

from symphony_sdk import ExportedWorkflow, FormatNote
from symphony_workflow import (
    INPUTS,
    ConditionalEdge,
    DataEdge,
    InstrumentNode,
    Node,
    OperatorNode,
    Workflow,
    from_document,
)

from symphony_workflow_formats.draft import WHOLE


def write(document: Mapping[str, Any]) -> ExportedWorkflow:
    """Make a WfFormat instance of a workflow.

    Args:
        document: The JSON document of the workflow.

    Raises:
        WorkflowError: It is no workflow.
    """
    workflow = from_document(dict(document))
    notes: list[FormatNote] = []
    kept = workflow.metadata.extra.get("wfformat", {})
    kept = kept if isinstance(kept, dict) else {}
    names = {node.id: _task(node).get("id", node.id) for node in workflow.nodes}
    parents: dict[str, dict[str, None]] = {node.id: {} for node in workflow.nodes}
    children: dict[str, dict[str, None]] = {node.id: {} for node in workflow.nodes}
    for edge in workflow.edges:
        if edge.source != INPUTS and {edge.source, edge.target} <= names.keys():
            parents[edge.target][names[edge.source]] = None
            children[edge.source][names[edge.target]] = None
    files = _Files(workflow)
    tasks, runs = [], []
    for node in workflow.nodes:
        notes.extend(_notes(node))
        task = {
            **_task(node),
            "name": node.label or _task(node).get("name", node.id),
            "id": names[node.id],
            "parents": list(parents[node.id]),
            "children": list(children[node.id]),
        }
        for key, found in (("inputFiles", files.read[node.id]), ("outputFiles", files.written[node.id])):
            if found or key in task:
                task[key] = _in_order(found, task.get(key, []))
        tasks.append(task)
        if (run := _run(node, names[node.id])) is not None:
            runs.append(run)
    notes += [
        FormatNote(
            edge.target,
            names.get(edge.target, ""),
            f"the condition of the edge from {edge.source}",
            "WfFormat has no conditions",
            "it is written as a dependency",
        )
        for edge in workflow.edges
        if isinstance(edge, ConditionalEdge)
    ]
    if workflow.workflows:
        notes.append(
            FormatNote(
                WHOLE, "", "sub-workflows", "WfFormat has none", "only the nodes that run them are written"
            )
        )
    runs += kept.get("other_runs", [])
    specification = {"tasks": tasks, **kept.get("specification", {})}
    if files.unknown(specification.get("files", [])):
        known = specification.get("files", [])
        specification["files"] = [
            *known,
            *({"id": one, "sizeInBytes": 0} for one in files.unknown(known)),
        ]
    flow: dict[str, Any] = {"specification": specification, **kept.get("workflow", {})}
    if "execution" in kept:
        flow["execution"] = {**kept["execution"], **({"tasks": runs} if runs else {})}
    file = {
        "name": workflow.name or workflow.id,
        "schemaVersion": "1.5",
        **kept.get("file", {}),
        "workflow": flow,
    }
    text = json.dumps(file, indent=2, ensure_ascii=False)
    return ExportedWorkflow(f"{text}\n".encode(), tuple(notes))


class _Files:
    """The files of a workflow by the nodes that read and write them: one for each port that an edge leaves."""

    def __init__(self, workflow: Workflow) -> None:
        self.read: dict[str, dict[str, None]] = {node.id: {} for node in workflow.nodes}
        self.written: dict[str, dict[str, None]] = {node.id: {} for node in workflow.nodes}
        self._ports = {node.id: _ports(node) for node in workflow.nodes}
        defaults = {one.name: one.default for one in workflow.inputs}
        for edge in workflow.edges:
            if not isinstance(edge, DataEdge) or edge.target not in self.read:
                continue
            if edge.source == INPUTS:
                default = defaults.get(edge.source_port)
                known = self._ports[edge.target]["inputs"].get(edge.target_port)
                file = known or (default if isinstance(default, str) and default else edge.source_port)
                self.read[edge.target][file] = None
            elif edge.source in self.written:
                file = self._written_by(edge.source, edge.source_port)
                self.read[edge.target][file] = None
        for one in workflow.outputs:
            if one.node in self.written:
                self._written_by(one.node, one.port)
        for node in workflow.nodes:  # what nobody takes, or what the task reads of its own
            task = _task(node)
            for file in task.get("outputFiles", ()):
                self.written[node.id][file] = None
            for file in task.get("inputFiles", ()):
                if file in self.written[node.id]:
                    self.read[node.id][file] = None

    def unknown(self, known: list[Any]) -> list[str]:
        """Files that the list of files lacks.

        Args:
            known: The list.
        """
        if not known and not any(self.read.values()) and not any(self.written.values()):
            return []
        ids = {one.get("id") for one in known if isinstance(one, dict)}
        every = dict.fromkeys(
            file for side in (self.read, self.written) for each in side.values() for file in each
        )
        return [file for file in every if file not in ids]

    def _written_by(self, node: str, port: str) -> str:
        file = self._ports[node]["outputs"].get(port) or f"{node}.{port}"
        self.written[node][file] = None
        return file


def _task(node: Node) -> dict[str, Any]:
    kept = node.metadata.get("wfformat")
    task = kept.get("task") if isinstance(kept, dict) else None
    return task if isinstance(task, dict) else {}


def _ports(node: Node) -> dict[str, dict[str, str]]:
    """The files that ports stand for, as the reader noted them."""
    task = _task(node)
    if not task:
        return {"inputs": {}, "outputs": {}}
    kept = node.metadata.get("ports", {})
    return {
        side: {
            port: key[1]
            for port, key in kept.get(side, {}).items()
            if isinstance(key, list) and len(key) == 2 and key[0] == "file"
        }
        for side in ("inputs", "outputs")
    }


def _in_order(found: dict[str, None], before: list[str]) -> list[str]:
    """`found` in the order that the task had it in; what is new comes last."""
    return [*(one for one in before if one in found), *(one for one in found if one not in before)]


def _run(node: Node, id: str) -> dict[str, Any] | None:
    kept = node.metadata.get("wfformat")
    run = kept.get("run") if isinstance(kept, dict) else None
    return {**run, "id": id} if isinstance(run, dict) else None


def _notes(node: Node) -> list[FormatNote]:
    if _task(node):
        return []
    found = []
    if not isinstance(node, OperatorNode | InstrumentNode):
        found.append(
            (f"the control node of kind {node.control}", "a task that only has its place in the graph")
        )
    else:
        found.append((f"uses {node.uses}", "its id is the name of the task"))
    if node.params:
        found.append((f"params {', '.join(node.params)}", "they are left out"))
    return [
        FormatNote(node.id, node.id, what, "WfFormat has no word for it", instead) for what, instead in found
    ]

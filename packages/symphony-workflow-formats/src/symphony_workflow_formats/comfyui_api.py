"""Reads and writes what ComfyUI's server is given: nodes by id, with links as `[node, slot]` among their inputs."""

import json
from collections.abc import Mapping
from typing import Any

from symphony_sdk import ExportedWorkflow, FormatNote, ImportedWorkflow, NodeMapping
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    INPUTS,
    DataEdge,
    Expression,
    InstrumentNode,
    Node,
    OperatorNode,
    from_document,
)

from symphony_workflow_formats.draft import WHOLE, Importing
from symphony_workflow_formats.parsing import parse_json
from symphony_workflow_formats.shapes import as_object, as_text


def read(data: bytes, *, name: str, mapping: Mapping[str, NodeMapping]) -> ImportedWorkflow:
    """Make a workflow of a prompt.

    Args:
        data: The file: the prompt itself, or an object that holds it as `prompt`.
        name: What to call the workflow.
        mapping: The operations that stand for node types.

    Raises:
        WorkflowError: SYM-W101, SYM-W102, it is no such file.
    """
    odd: list[str] = []
    file = as_object(parse_json(data, odd_numbers=odd), "the file")
    importing = Importing("comfyui", "node", mapping)
    if odd:
        importing.note("", "", f"{len(odd)} times {odd[0]}", "JSON has no such number", "a text stands there")
    graph = importing.graph("", name)
    prompt = file
    if isinstance(file.get("prompt"), dict):
        prompt = file["prompt"]
        graph.metadata = {key: value for key, value in file.items() if key != "prompt"}
    drafts = {}
    for id, node in prompt.items():
        type_name = as_text(as_object(node, f"node {id}").get("class_type"), f"node {id}.class_type")
        draft = graph.operation(id, f"{type_name}-{id}", type_name, original=id)
        title = as_object(node.get("_meta") or {}, f"node {id}._meta").get("title")
        if isinstance(title, str) and title != type_name:
            draft.fields["label"] = title
        kept = {key: value for key, value in node.items() if key != "inputs"}
        draft.metadata["comfyui"] = {"id": id, **kept}
        drafts[id] = draft
    for id, node in prompt.items():
        draft = drafts[id]
        for name_, value in as_object(node.get("inputs") or {}, f"node {id}.inputs").items():
            port = draft.input(name_)
            if not _is_link(value):
                draft.params[port] = value
            elif str(value[0]) in drafts:
                source = drafts[str(value[0])]
                graph.connect(source.id, source.output(value[1], f"output_{value[1]}"), draft.id, port)
            else:
                importing.note(
                    id,
                    draft.id,
                    f"the link of its input {port} to node {value[0]}",
                    "there is no such node",
                    "the input is left open",
                )
    return importing.finish(graph)


def write(document: Mapping[str, Any]) -> ExportedWorkflow:
    """Make a prompt of a workflow whose nodes come from ComfyUI.

    Args:
        document: The JSON document of the workflow.

    Raises:
        WorkflowError: SYM-W103, none of its nodes is one of ComfyUI's.
    """
    workflow = from_document(dict(document))
    notes: list[FormatNote] = []
    nodes: dict[str, Node] = {}
    ids: dict[str, str] = {}
    for node in workflow.nodes:
        if _type_of(node):
            nodes[node.id] = node
            original = _kept(node).get("id")
            wanted = str(original) if original is not None else node.id.rsplit("-", 1)[-1]
            ids[node.id] = wanted if wanted not in ids.values() else node.id
        else:
            notes.append(
                FormatNote(
                    node.id, "", _named(node), "it is no node of ComfyUI", "it is left out with its edges"
                )
            )
    if not nodes:
        raise WorkflowError(
            "no node of the workflow is one of ComfyUI's, so there is nothing to write",
            code="SYM-W103",
            hint="A workflow that was imported from ComfyUI can be written.",
        )
    prompt = {ids[id]: _entry(node, notes, ids[id]) for id, node in nodes.items()}
    for edge in workflow.edges:
        if edge.target not in nodes:
            continue
        if not isinstance(edge, DataEdge) or edge.source not in nodes:
            what = f"the {edge.kind} edge from {edge.source}"
            if isinstance(edge, DataEdge) and edge.source == INPUTS:
                what = f"the workflow's input {edge.source_port}"
            notes.append(
                FormatNote(
                    edge.target, ids[edge.target], what, "ComfyUI has none between nodes", "it is left out"
                )
            )
            continue
        slot = _original(nodes[edge.source], "outputs", edge.source_port)
        if isinstance(slot, int):
            name = str(_original(nodes[edge.target], "inputs", edge.target_port))
            prompt[ids[edge.target]]["inputs"][name] = [ids[edge.source], slot]
        else:
            notes.append(
                FormatNote(
                    edge.target,
                    ids[edge.target],
                    f"the edge from {edge.source}.{edge.source_port}",
                    "which of the outputs it is by number is not known",
                    "it is left out",
                )
            )
    if workflow.outputs:
        notes.append(
            FormatNote(WHOLE, "", "outputs of the workflow", "ComfyUI has none", "they are left out")
        )
    return ExportedWorkflow(f"{json.dumps(prompt, indent=2, ensure_ascii=False)}\n".encode(), tuple(notes))


def _entry(node: Node, notes: list[FormatNote], id: str) -> dict[str, Any]:
    inputs = {}
    for port, value in node.params.items():
        if isinstance(value, Expression):
            notes.append(
                FormatNote(
                    node.id,
                    id,
                    f"the expression of {port}",
                    "ComfyUI computes none",
                    "the input is left open",
                )
            )
        else:
            inputs[str(_original(node, "inputs", port))] = value
    return {
        "class_type": _type_of(node),
        "inputs": inputs,
        "_meta": {"title": node.label or _type_of(node)},
    }


def _is_link(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and type(value[1]) is int
        and (isinstance(value[0], str) or type(value[0]) is int)
    )


def _kept(node: Node) -> dict[str, Any]:
    kept = node.metadata.get("comfyui")
    return kept if isinstance(kept, dict) else {}


def _type_of(node: Node) -> str:
    """The node type of ComfyUI that a node stands for; empty where it stands for none."""
    if not isinstance(node, OperatorNode | InstrumentNode):
        return ""
    return str(_kept(node).get("class_type") or _kept(node).get("type") or "")


def _original(node: Node, side: str, port: str) -> Any:
    """What ComfyUI calls a port: the name of an input, the number of an output."""
    ports = node.metadata.get("ports")
    known = ports.get(side, {}).get(port, port) if isinstance(ports, dict) else port
    return known[1] if isinstance(known, list) and len(known) == 2 else known


def _named(node: Node) -> str:
    return (
        f"uses {node.uses}" if isinstance(node, OperatorNode | InstrumentNode) else f"the {node.control} node"
    )

"""Reads what ComfyUI's editor saves, of version 0.4 and 1, with subgraphs."""

from collections.abc import Mapping
from typing import Any

from symphony_sdk import ImportedWorkflow, NodeMapping
from symphony_workflow import INPUTS, SubworkflowNode, WorkflowInput, WorkflowOutput

from symphony_workflow_formats.comfyui_links import (
    BYPASSED,
    GETTER,
    GRAPH_INPUTS,
    GRAPH_OUTPUTS,
    MUTED,
    NOTES,
    PRIMITIVE,
    REROUTE,
    SETTER,
    Link,
    Wiring,
    nodes_by_id,
    read_links,
)
from symphony_workflow_formats.comfyui_widgets import named_values
from symphony_workflow_formats.draft import Graph, Importing, NodeDraft
from symphony_workflow_formats.parsing import MAX_DEPTH, parse_json
from symphony_workflow_formats.shapes import as_object, as_text, objects, wrong_shape

_PASSING = (REROUTE, SETTER, GETTER)


def read(data: bytes, *, name: str, mapping: Mapping[str, NodeMapping]) -> ImportedWorkflow:
    """Make a workflow of a graph of ComfyUI's editor.

    Args:
        data: The file.
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
    subgraphs = {
        as_text(one.get("id"), "definitions.subgraphs[].id"): one
        for one in objects(
            as_object(file.get("definitions") or {}, "definitions"), "subgraphs", "definitions"
        )
    }
    reader = _Reader(importing, subgraphs)
    root = importing.graph("", name)
    reader.fill(root, file, "graph", "")
    for id in subgraphs:
        reader.subgraph(id)
    return importing.finish(root)


class _Reader:
    """Reads the graph of a file and its subgraphs, each of these once.

    Args:
        importing: What is being made.
        subgraphs: The definitions of subgraphs by id.
    """

    def __init__(self, importing: Importing, subgraphs: Mapping[str, dict[str, Any]]) -> None:
        self._importing = importing
        self._subgraphs = subgraphs
        self._made: dict[str, Graph] = {}
        self._depth = 0

    def subgraph(self, id: str) -> Graph:
        """The graph of a definition.

        Args:
            id: Its id.
        """
        if id not in self._made:
            definition = self._subgraphs[id]
            graph = self._importing.graph(id, str(definition.get("name") or id))
            self._made[id] = (
                graph  # before it is filled: one that holds itself is a cycle, for validation to tell
            )
            for number, one in enumerate(objects(definition, "inputs", id)):
                port = graph.input_names.of(number, str(one.get("name", number)))
                graph.inputs[port] = WorkflowInput(
                    port, required=False, description=str(one.get("label") or "")
                )
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise wrong_shape(
                    f"subgraph {id}", f"at most {MAX_DEPTH} subgraphs in each other", "one more"
                )
            self.fill(graph, definition, f"subgraph {id}", f"{id}:")
            self._depth -= 1
            self._importing.workflows.append(graph.build())
        return self._made[id]

    def fill(self, graph: Graph, file: Mapping[str, Any], place: str, prefix: str) -> None:
        """Make nodes and edges of those of the file.

        Args:
            graph: Takes them.
            file: A graph of the file.
            place: Where it stands.
            prefix: What notes set before the ids of its nodes.
        """
        nodes, links = nodes_by_id(file, place), read_links(file, place)
        graph.metadata = {
            key: value for key, value in file.items() if key not in ("nodes", "links", "definitions")
        }
        wiring = _GraphWiring(self, graph, nodes, Wiring(nodes, links), prefix)
        kept = []
        for id, node in nodes.items():
            if not wiring.make(id, node):
                kept.append(node)
        if kept:
            graph.metadata["nodes"] = kept
        for link in links:
            wiring.draw(link)
        wiring.outputs(objects(file, "outputs", place), links)

    def instance(self, graph: Graph, id: str, node: Mapping[str, Any]) -> NodeDraft:
        """A node that runs a subgraph.

        Args:
            graph: Where it stands.
            id: Its id.
            node: What the file says of it.
        """
        used = self.subgraph(str(node["type"]))
        return graph.node(id, f"{used.name}-{id}", SubworkflowNode, uses=f"#{used.id}")

    def known(self, type_name: str) -> bool:
        """Whether a node type is a subgraph of the file.

        Args:
            type_name: The node type.
        """
        return type_name in self._subgraphs

    def instance_port(self, type_name: str, number: int, name: str) -> str:
        """The input port of a subgraph that an input of a node which runs it is.

        Args:
            type_name: The id of the subgraph.
            number: Which input of the node it is.
            name: Its name.
        """
        inputs = objects(self._subgraphs[type_name], "inputs", type_name)
        by_name = [place for place, one in enumerate(inputs) if one.get("name") == name]
        return self.subgraph(type_name).input_names.of(by_name[0] if by_name else number, name)

    def instance_output(self, type_name: str, number: int) -> str:
        """The output port of a subgraph by its number.

        Args:
            type_name: The id of the subgraph.
            number: Which output it is.
        """
        outputs = objects(self._subgraphs[type_name], "outputs", type_name)
        name = str(outputs[number].get("name", number)) if 0 <= number < len(outputs) else str(number)
        return self.subgraph(type_name).output_names.of(number, name)


class _GraphWiring:
    """Makes the nodes and edges of one graph."""

    def __init__(
        self,
        reader: _Reader,
        graph: Graph,
        nodes: Mapping[str, dict[str, Any]],
        wiring: Wiring,
        prefix: str,
    ) -> None:
        self._reader = reader
        self._graph = graph
        self._nodes = nodes
        self._wiring = wiring
        self._prefix = prefix
        self._made: dict[str, NodeDraft] = {}

    def make(self, id: str, node: dict[str, Any]) -> bool:
        """Make a node; false where none comes of it.

        Args:
            id: Its id.
            node: What the file says of it.
        """
        kind, mode = node["type"], node.get("mode")
        if kind in NOTES or kind in _PASSING or kind == PRIMITIVE:
            return False
        if mode in (MUTED, BYPASSED):
            muted = mode == MUTED
            self._note(
                id,
                f"the {'muted' if muted else 'bypassed'} node of type {kind}",
                "a node is either there or not",
                "it is left out, and its data is kept with the workflow"
                if muted
                else "what leads to it is connected with what follows; its data is kept with the workflow",
            )
            return False
        title = str(node.get("title") or "")
        if self._reader.known(kind):
            draft = self._reader.instance(self._graph, id, node)
        else:
            draft = self._graph.operation(id, f"{kind}-{id}", kind, original=f"{self._prefix}{id}")
        if title and title != kind:
            draft.fields["label"] = title
        draft.metadata["comfyui"] = node
        self._made[id] = draft
        for number in range(len(objects(node, "outputs", f"node {id}"))):
            self._output(id, number)
        self._values(id, node, draft)
        return True

    def draw(self, link: Link) -> None:
        """Draw the edge of a link, from where its value really comes.

        Args:
            link: The link.
        """
        if link.target == GRAPH_OUTPUTS or link.target not in self._made:
            if link.target != GRAPH_OUTPUTS and link.target not in self._nodes:
                self._note(
                    link.source, f"a link to node {link.target}", "there is no such node", "it is left out"
                )
            return
        draft = self._made[link.target]
        port = self._input(link.target, link.target_slot)
        origin = self._wiring.origin(link)
        if not origin.node:
            self._note(link.target, f"the link to its input {port}", origin.lost, "the input is left open")
        elif origin.node != GRAPH_INPUTS and self._nodes[origin.node]["type"] == PRIMITIVE:
            values = self._nodes[origin.node].get("widgets_values")
            if isinstance(values, list) and values:
                draft.params[port] = values[0]
            else:
                self._note(link.target, f"its input {port}", "its primitive has no value", "it is left open")
        else:
            source, source_port = self._source(origin.node, origin.slot)
            passed = {"comfyui": {"through": list(origin.through)}} if origin.through else {}
            self._graph.connect(source, source_port, draft.id, port, **passed)

    def outputs(self, outputs: list[dict[str, Any]], links: list[Link]) -> None:
        """Make the outputs of a subgraph.

        Args:
            outputs: What the definition says of them.
            links: The links of the subgraph.
        """
        into = {link.target_slot: link for link in links if link.target == GRAPH_OUTPUTS}
        for number, one in enumerate(outputs):
            name = self._graph.output_names.of(number, str(one.get("name", number)))
            origin = self._wiring.origin(into[number]) if number in into else None
            if origin and origin.node in self._made:
                source, port = self._source(origin.node, origin.slot)
                self._graph.outputs[name] = WorkflowOutput(name, source, port)
            else:
                self._importing_note(name, origin.lost if origin else "nothing leads to it")

    def _importing_note(self, name: str, why: str) -> None:
        self._graph.importing.note(
            self._prefix.rstrip(":"),
            "",
            f"the output {name} of the subgraph",
            why or "it hands an input straight on",
            "the workflow of the subgraph has no such output",
        )

    def _values(self, id: str, node: Mapping[str, Any], draft: NodeDraft) -> None:
        inputs = objects(node, "inputs", f"node {id}")
        widgets = [number for number, one in enumerate(inputs) if isinstance(one.get("widget"), dict)]
        names = [
            str(inputs[number]["widget"].get("name") or inputs[number].get("name")) for number in widgets
        ]
        values = named_values(node["type"], names, node.get("widgets_values"))
        if values is None:
            self._note(
                id,
                f"{len(node['widgets_values'])} values of its widgets",
                "the file does not name them",
                "they are in the metadata alone, by position",
            )
            return
        slots = dict(zip(names, widgets, strict=True))
        for name, value in values.items():
            port = self._input(id, slots[name]) if name in slots else draft.input(("widget", name), name)
            draft.params[port] = value

    def _input(self, id: str, slot: int) -> str:
        inputs = objects(self._nodes[id], "inputs", f"node {id}")
        name = str(inputs[slot].get("name", slot)) if 0 <= slot < len(inputs) else f"input_{slot}"
        kind = self._nodes[id]["type"]
        if self._reader.known(kind):
            return self._reader.instance_port(kind, slot, name)
        return self._made[id].input(name)

    def _output(self, id: str, slot: int) -> str:
        kind = self._nodes[id]["type"]
        if self._reader.known(kind):
            return self._reader.instance_output(kind, slot)
        outputs = objects(self._nodes[id], "outputs", f"node {id}")
        name = str(outputs[slot].get("name") or "") if 0 <= slot < len(outputs) else ""
        return self._made[id].output(slot, name or f"output_{slot}")

    def _source(self, id: str, slot: int) -> tuple[str, str]:
        if id == GRAPH_INPUTS:
            return INPUTS, self._graph.input_names.of(slot)
        return self._made[id].id, self._output(id, slot)

    def _note(self, id: str, what: str, why: str, instead: str) -> None:
        made = self._made.get(id)
        self._graph.importing.note(f"{self._prefix}{id}", made.id if made else "", what, why, instead)

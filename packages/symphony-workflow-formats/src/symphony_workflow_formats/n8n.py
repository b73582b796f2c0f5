"""Reads workflows of n8n: what steers the flow becomes a control node where it means the same here."""

from collections.abc import Mapping
from typing import Any

from symphony_sdk import ImportedWorkflow, NodeMapping
from symphony_workflow import INPUTS, JoinNode, MapNode, Metadata, WorkflowInput, WorkflowOutput

from symphony_workflow_formats.draft import Graph, Importing, NodeDraft
from symphony_workflow_formats.n8n_graph import Connection, Loop, loop_of, read_connections, without_cycles
from symphony_workflow_formats.n8n_nodes import (
    CORE,
    NodeMaker,
    batch_size,
    loop_output,
    source_port,
    target_port,
)
from symphony_workflow_formats.parsing import parse_json
from symphony_workflow_formats.shapes import as_object, as_text, objects, wrong_shape

_START = "$start"
_END = "$end"
"""Stand for the beginning and the end of a loop's body or a sub-workflow, as nodes that connections lead from and to."""

ITEM = "item"
RESULT = "result"
"""The input and the output of a workflow that another one runs."""


def read(data: bytes, *, name: str, mapping: Mapping[str, NodeMapping]) -> ImportedWorkflow:
    """Make a workflow of one of n8n.

    Args:
        data: The file.
        name: What to call the workflow where the file does not say.
        mapping: The operations that stand for node types.

    Raises:
        WorkflowError: SYM-W101, SYM-W102, it is no such file.
    """
    file = as_object(parse_json(data), "the file")
    importing = Importing("n8n", "node", mapping)
    return importing.finish(_read_graph(importing, "", file, str(file.get("name") or name)))


def read_subworkflow(importing: Importing, key: str, file: Mapping[str, Any], name: str) -> Graph:
    """Make a workflow that a node runs: it takes `item` and gives the `result` of its last node.

    Args:
        importing: What it belongs to.
        key: What makes it one of a kind; notes set it before the names of its nodes.
        file: The workflow.
        name: What to call it.
    """
    graph = _read_graph(importing, f"{key}/", file, name, inside=True)
    importing.workflows.append(graph.build())
    return graph


def _read_graph(
    importing: Importing, prefix: str, file: Mapping[str, Any], name: str, *, inside: bool = False
) -> Graph:
    nodes: dict[str, dict[str, Any]] = {}
    for number, node in enumerate(objects(file, "nodes", "the workflow")):
        called = as_text(node.get("name"), f"nodes[{number}].name")
        if called in nodes:
            raise wrong_shape(f"nodes[{number}].name", "a name that no other node has", called)
        as_text(node.get("type"), f"nodes[{number}].type")
        nodes[called] = node
    graph = importing.graph(prefix, name)
    graph.about = _about(file)
    graph.metadata = {key: value for key, value in file.items() if key not in ("nodes", "connections")}
    sticky = [node for node in nodes.values() if node["type"] == f"{CORE}stickyNote"]
    if sticky:
        graph.metadata["nodes"] = sticky
    nodes = {called: node for called, node in nodes.items() if node["type"] != f"{CORE}stickyNote"}
    connections = []
    for one in read_connections(file):
        missing = [end for end in (one.source, one.target) if end not in nodes]
        if not missing:
            connections.append(one)
        else:
            there = one.target if one.source in missing else one.source
            importing.note(
                f"{prefix}{there}",
                "",
                f"a connection with {missing[0]!r}",
                "there is no such node",
                "it is left out",
            )
    if inside:
        connections += _ends(nodes, connections)
        graph.inputs[ITEM] = WorkflowInput(ITEM, required=False)
    _Filling(importing, graph, prefix).fill(nodes, connections)
    return graph


def _about(file: Mapping[str, Any]) -> Metadata:
    tags = file.get("tags")
    names = [
        tag.get("name") if isinstance(tag, dict) else tag for tag in (tags if isinstance(tags, list) else ())
    ]
    return Metadata(
        created=str(file.get("createdAt") or ""),
        modified=str(file.get("updatedAt") or ""),
        tags=tuple(name for name in names if isinstance(name, str)),
    )


def _ends(nodes: Mapping[str, Any], connections: list[Connection]) -> list[Connection]:
    """Connections from the start to a sub-workflow's trigger, and to the end from the nodes that nothing follows."""
    followed = {one.source for one in connections}
    starts = [name for name, node in nodes.items() if node["type"] == f"{CORE}executeWorkflowTrigger"]
    last = [name for name in nodes if name not in followed]
    return [
        *(Connection(_START, 0, name, 0) for name in starts),
        *(Connection(name, 0, _END, 0) for name in last),
    ]


class _Filling:
    """Fills one graph with nodes and edges; the body of a loop becomes a workflow of its own.

    Args:
        importing: What it belongs to.
        graph: The graph.
        prefix: What notes set before the names of its nodes.
    """

    def __init__(self, importing: Importing, graph: Graph, prefix: str) -> None:
        self._importing = importing
        self._graph = graph
        self._prefix = prefix
        self._made: dict[str, NodeDraft] = {}

    def fill(self, nodes: Mapping[str, dict[str, Any]], connections: list[Connection]) -> None:
        """Make the nodes and edges.

        Args:
            nodes: The nodes by name.
            connections: Those among them, and perhaps from the start and to the end.
        """
        loops = self._loops(nodes, connections)
        outside = dict(nodes)
        for name, loop in loops.items():
            outside = {one: node for one, node in outside.items() if one not in loop.body}
            gone = {*loop.entries, *loop.inner, *loop.backs}
            connections = [one for one in connections if one not in gone]
            self._body(name, nodes, loop)
        maker = NodeMaker(self._importing, self._graph, self._prefix)
        for name, node in outside.items():
            if name in loops:
                uses = self._importing.graph((self._prefix, name), f"{name} body").id
                draft = self._graph.node(name, name, MapNode, uses=f"#{uses}", over=ITEM, concurrency=1)
                draft.metadata["n8n"] = node
                self._made[name] = draft
            else:
                self._made[name] = maker.make(name, node)
        ends = [end for end in (_START, _END) if any(end in (one.source, one.target) for one in connections)]
        kept, back = without_cycles([*outside, *ends], connections)
        for one in back:
            draft = self._made[one.source]
            draft.metadata.setdefault("left_out", []).append(f"{one.source} -> {one.target}")
            self._importing.note(
                f"{self._prefix}{one.source}",
                draft.id,
                f"the connection back to {one.target!r}",
                "it makes a cycle, and a workflow has none",
                "it is left out; a loop node with a sub-workflow can do the same",
            )
        self._wire(kept)

    def _loops(self, nodes: Mapping[str, dict[str, Any]], connections: list[Connection]) -> dict[str, Loop]:
        """The loops whose bodies can be workflows, the outer ones alone."""
        found = {}
        for name, node in nodes.items():
            if node["type"] != f"{CORE}splitInBatches" or node.get("disabled") or batch_size(node) != 1:
                continue
            if node["type"] in self._importing.mapping:
                continue
            loop = loop_of(name, loop_output(node), connections)
            if loop is not None and _END not in loop.body:
                found[name] = loop
        inside = {one for loop in found.values() for one in loop.body}
        return {name: loop for name, loop in found.items() if name not in inside}

    def _body(self, name: str, nodes: Mapping[str, dict[str, Any]], loop: Loop) -> None:
        graph = self._importing.graph((self._prefix, name), f"{name} body")
        graph.inputs[ITEM] = WorkflowInput(ITEM, required=False)
        connections = [
            *(one._replace(source=_START, source_port=0) for one in loop.entries),
            *loop.inner,
            *(one._replace(target=_END, target_port=0) for one in loop.backs),
        ]
        body = {one: node for one, node in nodes.items() if one in loop.body}
        _Filling(self._importing, graph, self._prefix).fill(body, connections)
        self._importing.workflows.append(graph.build())

    def _wire(self, connections: list[Connection]) -> None:
        groups: dict[tuple[str, str, int], list[Connection]] = {}
        for one in connections:
            groups.setdefault((one.target, one.kind, one.target_port), []).append(one)
        for (target, kind, port), group in groups.items():
            if target == _END:
                self._result(group)
            elif kind != "main":
                for number, one in enumerate(group):
                    draft = self._made[target]
                    name = draft.input((kind, port, number), kind)
                    self._graph.connect(*self._source(one), draft.id, name)
            else:
                draft = self._made[target]
                source = self._source(group[0]) if len(group) == 1 else self._joined(target, port, group)
                self._graph.connect(*source, draft.id, target_port(draft, port))

    def _result(self, group: list[Connection]) -> None:
        node, port = self._source(group[0]) if len(group) == 1 else self._joined(_END, 0, group)
        if node != INPUTS:
            self._graph.outputs[RESULT] = WorkflowOutput(RESULT, node, port)

    def _source(self, one: Connection) -> tuple[str, str]:
        if one.source == _START:
            return INPUTS, ITEM
        draft = self._made[one.source]
        return draft.id, source_port(draft, one)

    def _joined(self, target: str, port: int, group: list[Connection]) -> tuple[str, str]:
        """A join of what leads to one input; n8n runs a node once for each connection."""
        name = "end" if target == _END else target
        join = self._graph.node(("join", target, port), f"{name} in", JoinNode)
        for number, one in enumerate(group):
            self._graph.connect(*self._source(one), join.id, join.input(number, f"from_{number}"))
        if (
            len({(one.source, one.source_port) for one in group}) < len(group)
            or len({one.source for one in group}) > 1
        ):
            made = self._made.get(target)
            self._importing.note(
                f"{self._prefix}{'' if target == _END else target}",
                made.id if made else "",
                f"{len(group)} connections to one input",
                "n8n runs a node once for each of them",
                f"the join {join.id} waits for those that are not skipped and hands on the first by name",
            )
        return join.id, "value"

"""A workflow that is being made of a file: its nodes, what stands for what, and the notes on what did not fit."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from symphony_sdk import FormatNote, ImportedWorkflow, NodeMapping
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    INPUTS,
    ControlEdge,
    DataEdge,
    Edge,
    InstrumentNode,
    Metadata,
    Node,
    OperatorNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
    to_document,
)
from symphony_workflow.model import OPERATION_ID

from symphony_workflow_formats.names import Names, node_name, port_name, word, workflow_name

WHOLE = "$workflow"
"""What a note names that concerns all of the workflow."""


@dataclass
class NodeDraft:
    """A node that is being made.

    Args:
        id: Its id.
        kind: What it will be.
        mapping: The operation that stands for its type; None where none does.
        params: Values of its inputs by port.
        fields: Its other fields.
        metadata: What is kept of the original.
    """

    id: str
    kind: type[Any]
    mapping: NodeMapping | None = None
    params: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._inputs, self._outputs = Names(port_name), Names(port_name)

    def input(self, key: Hashable, name: str = "") -> str:
        """The input port for what the file calls `key`.

        Args:
            key: What the file calls it.
            name: What to name it after; `key` where empty.
        """
        renamed = self.mapping.inputs if self.mapping else {}
        name = name or str(key)
        return self._inputs.of(key, renamed.get(name, name))

    def output(self, key: Hashable, name: str = "") -> str:
        """The output port for what the file calls `key`.

        Args:
            key: What the file calls it.
            name: What to name it after; `key` where empty.
        """
        renamed = self.mapping.outputs if self.mapping else {}
        name = name or str(key)
        return self._outputs.of(key, renamed.get(name, name))

    def build(self) -> Node:
        """The node."""
        renamed = {
            side: ports
            for side, names in (("inputs", self._inputs), ("outputs", self._outputs))
            if (ports := {port: _plain(key) for key, port in names.by_key.items() if port != key})
        }
        metadata = {**self.metadata, **({"ports": renamed} if renamed else {})}
        node: Node = self.kind(id=self.id, params=self.params, metadata=metadata, **self.fields)
        return node


def _plain(key: Hashable) -> Any:
    """A key as JSON holds it."""
    return list(key) if isinstance(key, tuple) else key


class Graph:
    """One graph of the file.

    Args:
        importing: What it belongs to.
        id: The id of its workflow.
        name: What people call it.
    """

    def __init__(self, importing: "Importing", id: str, name: str = "") -> None:
        self.importing = importing
        self.id = id
        self.name = name
        self.nodes: dict[str, NodeDraft] = {}
        self.edges: list[Edge] = []
        self.inputs: dict[str, WorkflowInput] = {}
        self.outputs: dict[str, WorkflowOutput] = {}
        self.metadata: dict[str, Any] = {}
        self.about = Metadata()
        self.input_names = Names(port_name)
        self.output_names = Names(port_name)
        self._node_ids = Names(node_name, "node")
        self._given: set[tuple[str, str]] = set()

    def node(self, key: Hashable, name: str, kind: type[Any], **fields: Any) -> NodeDraft:
        """Add a node.

        Args:
            key: What the file calls it, or what makes it one of a kind.
            name: What to name it after.
            kind: What it is to be.
            fields: Its fields but params and metadata.
        """
        draft = NodeDraft(self._node_ids.of(key, name), kind, fields=fields)
        self.nodes[draft.id] = draft
        return draft

    def operation(
        self,
        key: Hashable,
        name: str,
        type_name: str,
        *,
        original: str,
        kind: type[Any] | None = None,
        **fields: Any,
    ) -> NodeDraft:
        """Add a node for a type of the other program: the operation it is mapped to, or a placeholder with a note.

        Args:
            key: What the file calls it, or what makes it one of a kind.
            name: What to name it after.
            type_name: The node type.
            original: What a note calls the node.
            kind: What the node is to be; an operator or instrument where None.
            fields: Fields of the node.
        """
        mapping = self.importing.mapping.get(type_name)
        kind = kind or (InstrumentNode if mapping and mapping.kind == "instrument" else OperatorNode)
        uses = mapping.uses if mapping else self.importing.placeholder(type_name)
        draft = self.node(key, name, kind, uses=uses, **fields)
        draft.mapping = mapping
        if mapping is None:
            draft.metadata["placeholder"] = f"{self.importing.format}: {type_name}"
            self.importing.note(
                original,
                draft.id,
                f"node type {type_name}",
                "no operation is known for it",
                f"a placeholder that uses {uses}, with all data of the node in its metadata",
            )
        return draft

    def connect(self, source: str, source_port: str, target: str, target_port: str, **metadata: Any) -> None:
        """Draw a data edge; it takes the place of a literal value.

        Args:
            source: The node, or `$inputs`.
            source_port: Its output port.
            target: The node.
            target_port: Its input port.
            metadata: What is kept of the original.
        """
        if (target, target_port) in self._given:
            self.importing.note(
                target,
                target,
                f"a second connection to {target_port}, from {source}.{source_port}",
                "an input takes one value",
                "the first one counts, and nodes only wait for the other",
            )
            if source != INPUTS:
                self.edges.append(ControlEdge(source, target, metadata=metadata))
            return
        self._given.add((target, target_port))
        self.nodes[target].params.pop(target_port, None)
        self.edges.append(DataEdge(source, source_port, target, target_port, metadata=metadata))

    def build(self, workflows: tuple[Workflow, ...] = ()) -> Workflow:
        """The workflow.

        Args:
            workflows: The workflows of the file that its nodes use.
        """
        about = self.about
        extra = {**about.extra, **({self.importing.format: self.metadata} if self.metadata else {})}
        return Workflow(
            id=self.id,
            name=self.name,
            nodes=tuple(draft.build() for draft in self.nodes.values()),
            edges=tuple(self.edges),
            inputs=tuple(self.inputs.values()),
            outputs=tuple(self.outputs.values()),
            metadata=Metadata(about.author, about.created, about.modified, about.tags, extra),
            workflows=workflows,
        )


class Importing:
    """All that is made of one file.

    Args:
        format: The key that the original's data has in metadata, such as `comfyui`.
        kind: What the file calls a node, for the ids of placeholders.
        mapping: The operations that stand for node types.
    """

    def __init__(self, format: str, kind: str, mapping: Mapping[str, NodeMapping]) -> None:
        self.format = format
        self.mapping = mapping
        self.notes: list[FormatNote] = []
        self.workflows: list[Workflow] = []
        self._kind = kind
        self._types = Names(word)
        self._workflow_ids = Names(workflow_name)
        for type_name, known in mapping.items():
            if not OPERATION_ID.fullmatch(known.uses):
                raise WorkflowError(
                    f"the node type {type_name!r} is mapped to {known.uses!r}, which is no id of an operation",
                    code="SYM-W104",
                    hint="Write it like `acme.image.sample`.",
                )

    def note(self, node: str, becomes: str, what: str, why: str, instead: str) -> None:
        """Say what could not be taken over.

        Args:
            node: As of [FormatNote][symphony_sdk.formats.FormatNote], as the others are.
            becomes: Its id.
            what: What was found.
            why: Why.
            instead: What was done.
        """
        self.notes.append(FormatNote(node or WHOLE, becomes, what, why, instead))

    def placeholder(self, type_name: str) -> str:
        """The operation that a node of a type without an equal uses.

        Args:
            type_name: The node type.
        """
        return f"{self.format}.{self._kind}.{self._types.of(type_name)}"

    def graph(self, key: Hashable, name: str) -> Graph:
        """Begin a workflow.

        Args:
            key: What the file calls it.
            name: What to name it after.
        """
        return Graph(self, self._workflow_ids.of(key, name), name)

    def finish(self, root: Graph) -> ImportedWorkflow:
        """What was made, with the notes on it.

        Args:
            root: The graph that is run.
        """
        return ImportedWorkflow(to_document(root.build(tuple(self.workflows))), tuple(self.notes))

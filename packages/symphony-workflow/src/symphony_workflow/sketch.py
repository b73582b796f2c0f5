"""What a builder has drawn so far, and the lines of the author's code that drew it."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from symphony_workflow.call_site import Place, caller, misuse
from symphony_workflow.findings import Finding
from symphony_workflow.model import (
    NODE_ID,
    PORT_NAME,
    Edge,
    Metadata,
    Node,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)


class Sketch:
    """The parts of one workflow in the order in which they were drawn, each with its line.

    Args:
        id: The id of the workflow.
        name: The name that people read.
        metadata: Who, when, and free notes.
        extra: Fields of a file that this version does not know.
    """

    def __init__(self, id: str, name: str, metadata: Metadata, extra: dict[str, Any]) -> None:
        self.id = id
        self.name = name
        self.metadata = metadata
        self.extra = extra
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.inputs: dict[str, WorkflowInput] = {}
        self.outputs: dict[str, WorkflowOutput] = {}
        self._place = caller()
        self._node_places: dict[str, Place] = {}
        self._edge_places: list[Place] = []
        self._end_places: dict[tuple[str, str], Place] = {}

    def workflow(self, workflows: tuple[Workflow, ...]) -> Workflow:
        """The workflow as it is so far.

        Args:
            workflows: The workflows that its nodes run.
        """
        return Workflow(
            id=self.id,
            name=self.name,
            nodes=tuple(self.nodes.values()),
            edges=tuple(self.edges),
            inputs=tuple(self.inputs.values()),
            outputs=tuple(self.outputs.values()),
            metadata=self.metadata,
            workflows=workflows,
            extra=self.extra,
        )

    def add_node(self, node: Node) -> None:
        """Add a node.

        Args:
            node: Any node.

        Raises:
            WorkflowError: Its id is taken or no name.
        """
        if not NODE_ID.fullmatch(node.id):
            raise misuse(
                f"{node.id!r} is no id of a node", "Use letters, digits, _ and -, such as `word-count`."
            )
        if node.id in self.nodes:
            first = self._node_places[node.id]
            raise misuse(
                f"there is a node {node.id!r} already, made at {first.file}:{first.line}",
                "Give each node an id of its own.",
                code="SYM-W019",
            )
        self.nodes[node.id] = node
        self._node_places[node.id] = caller()

    def change_node(self, id: str, **changes: Any) -> None:
        """Give fields of a node other values.

        Args:
            id: The id of the node.
            changes: The new values by field.

        Raises:
            WorkflowError: Nodes of its kind have no such field.
        """
        node = self.nodes[id]
        if missing := sorted(changes.keys() - {field.name for field in fields(node)}):
            kind = type(node).__name__.removesuffix("Node").lower()
            raise misuse(f"the {kind} {id!r} has no {missing[0]}", "Set it on a node that runs an operation.")
        self.nodes[id] = replace(node, **changes)

    def connect(self, edge: Edge) -> None:
        """Add an edge.

        Args:
            edge: Any edge.
        """
        self.edges.append(edge)
        self._edge_places.append(caller())

    def add_input(self, declared: WorkflowInput) -> None:
        """Declare an input of the workflow.

        Args:
            declared: The input.

        Raises:
            WorkflowError: Its name is taken or no name.
        """
        self._check_end("input", declared.name, self.inputs)
        self.inputs[declared.name] = declared

    def add_output(self, declared: WorkflowOutput) -> None:
        """Declare an output of the workflow.

        Args:
            declared: The output.

        Raises:
            WorkflowError: Its name is taken or no name.
        """
        self._check_end("output", declared.name, self.outputs)
        self.outputs[declared.name] = declared

    def place_of(self, finding: Finding) -> Place:
        """The line that drew what a finding is about.

        Args:
            finding: A finding of this workflow.
        """
        if finding.edge is not None:
            return self._edge_places[finding.edge]
        if finding.node in self._node_places:
            return self._node_places[finding.node]
        ends = (self._end_places.get((what, finding.port)) for what in ("output", "input"))
        return next((place for place in ends if place), self._place)

    def _check_end(self, what: str, name: str, taken: Mapping[str, Any]) -> None:
        if not PORT_NAME.fullmatch(name):
            raise misuse(
                f"the {what} {name!r} has no proper name", "Use letters, digits and _, such as `min_length`."
            )
        if name in taken:
            raise misuse(
                f"there is an {what} {name!r} already",
                f"Give each {what} a name of its own.",
                code="SYM-W019",
            )
        self._end_places[what, name] = caller()

"""What a builder hands out: nodes and ports of a workflow that is being built, and the edges drawn between them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symphony_workflow.call_site import literal, misuse
from symphony_workflow.model import (
    PORT_NAME,
    BranchNode,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    RetryPolicy,
)

if TYPE_CHECKING:
    from symphony_workflow.builder import WorkflowBuilder


@dataclass(frozen=True, slots=True)
class OutputPort:
    """The place that a data edge starts at; `port >> node.in_.other` draws it.

    Args:
        builder: The builder that it belongs to.
        node: The id of the node, or `$inputs`.
        name: The name of the port.
    """

    builder: "WorkflowBuilder"
    node: str
    name: str

    def __rshift__(self, target: "InputPort") -> "NodeRef":
        """Draw a data edge, and return the node that it leads to.

        Args:
            target: An input port of a node of the same builder.

        Raises:
            WorkflowError: `target` is something else.
        """
        if not isinstance(target, InputPort) or target.builder is not self.builder:
            raise misuse(
                f"an edge from `{self.node}.{self.name}` cannot lead to {target!r}",
                "Lead it to an input port of the same workflow, such as `>> report.in_.rows`.",
            )
        self.builder._connect(DataEdge(self.node, self.name, target.node, target.name))
        return NodeRef(self.builder, target.node)

    def __repr__(self) -> str:
        return f"<output port {self.node}.{self.name}>"


@dataclass(frozen=True, slots=True)
class InputPort:
    """The place that a data edge ends at.

    Args:
        builder: The builder that it belongs to.
        node: The id of the node.
        name: The name of the port.
    """

    builder: "WorkflowBuilder"
    node: str
    name: str

    def __repr__(self) -> str:
        return f"<input port {self.node}.{self.name}>"


class _Outputs:
    """The output ports of a node, by attribute, or by item where the name is a word of Python."""

    def __init__(self, node: "NodeRef") -> None:
        self._node = node

    def __getattr__(self, name: str) -> OutputPort:
        return self[_port_attribute(name)]

    def __getitem__(self, name: str) -> OutputPort:
        return OutputPort(self._node.builder, self._node.id, _port(name))


class _Inputs:
    """The input ports of a node, by attribute, or by item where the name is a word of Python."""

    def __init__(self, node: "NodeRef") -> None:
        self._node = node

    def __getattr__(self, name: str) -> InputPort:
        return self[_port_attribute(name)]

    def __getitem__(self, name: str) -> InputPort:
        return InputPort(self._node.builder, self._node.id, _port(name))


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node of a workflow that is being built.

    Args:
        builder: The builder that it belongs to.
        id: The id of the node.
    """

    builder: "WorkflowBuilder"
    id: str

    @property
    def out(self) -> _Outputs:
        """The output ports: `node.out.files`, `node.out["else"]`."""
        return _Outputs(self)

    @property
    def in_(self) -> _Inputs:
        """The input ports: `node.in_.rows`, `node.in_["from"]`."""
        return _Inputs(self)

    def then(self, other: "NodeRef", *, when: str = "") -> "NodeRef":
        """Let another node wait for this one, and return it.

        Args:
            other: A node of the same builder.
            when: A CEL expression over this node's outputs; where it does not hold, `other` is skipped.

        Raises:
            WorkflowError: `other` is no node of the same builder.
        """
        if not isinstance(other, NodeRef) or other.builder is not self.builder:
            raise misuse(
                f"node {self.id!r} cannot lead to {other!r}", "Lead it to a node of the same workflow."
            )
        self.builder._connect(
            ConditionalEdge(self.id, other.id, when) if when else ControlEdge(self.id, other.id)
        )
        return other

    def retry(self, attempts: int, *, delay: float = 0.0, factor: float = 2.0) -> "NodeRef":
        """Try the node again where it fails.

        Args:
            attempts: Attempts in all, the first one included.
            delay: Seconds before the second attempt.
            factor: What the wait is multiplied with before each further attempt.

        Raises:
            WorkflowError: The node is a branch, which cannot fail for a while only.
        """
        return self._set_policy(retry=RetryPolicy(attempts, delay, factor))

    def timeout(self, seconds: float) -> "NodeRef":
        """Bound the time of one attempt.

        Args:
            seconds: More than 0.

        Raises:
            WorkflowError: The node is a branch, which takes no time.
        """
        return self._set_policy(timeout=seconds)

    def label(self, text: str) -> "NodeRef":
        """Set what the drawing shows.

        Args:
            text: A few words.
        """
        self.builder._change(self.id, label=text)
        return self

    def note(self, **metadata: Any) -> "NodeRef":
        """Keep free values with the node.

        Args:
            metadata: JSON-like values by key; they replace earlier ones of the same key.

        Raises:
            WorkflowError: A value is not JSON-like.
        """
        notes = {
            key: literal(f"the note {key!r} of node {self.id!r}", value) for key, value in metadata.items()
        }
        self.builder._change(self.id, metadata={**self.builder._nodes[self.id].metadata, **notes})
        return self

    def _set_policy(self, **fields: Any) -> "NodeRef":
        if isinstance(self.builder._nodes[self.id], BranchNode):
            raise misuse(
                f"the branch {self.id!r} has no {next(iter(fields))}", "Set it on an operator or instrument."
            )
        self.builder._change(self.id, **fields)
        return self

    def __repr__(self) -> str:
        return f"<node {self.id}>"


def _port_attribute(name: str) -> str:
    if name.startswith("__"):  # Python asks for its own protocols
        raise AttributeError(name)
    return name


def _port(name: str) -> str:
    if not PORT_NAME.fullmatch(name):
        raise misuse(f"{name!r} is no name of a port", "Use letters, digits and _, such as `min_length`.")
    return name

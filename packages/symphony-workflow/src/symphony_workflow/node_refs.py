"""What a builder hands out: nodes and ports of a workflow that is being built, and the edges drawn between them."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from symphony_workflow.call_site import literal, misuse
from symphony_workflow.model import (
    PORT_NAME,
    CachePolicy,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Resources,
    RetryPolicy,
)

if TYPE_CHECKING:
    from symphony_workflow.builder import WorkflowBuilder


@dataclass(frozen=True, slots=True)
class OutputPort:
    """The place that a data edge starts at; `port >> node.other` draws it.

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
            method = getattr(target, "__name__", "")
            raise misuse(
                f"an edge from `{self.node}.{self.name}` cannot lead to {target!r}",
                f"`{method}` is a method of nodes: write `.in_.{method}` for the port."
                if isinstance(getattr(target, "__self__", None), NodeRef)
                else "Lead it to an input port of the same workflow, such as `>> report.in_.rows`.",
            )
        self.builder._sketch.connect(DataEdge(self.node, self.name, target.node, target.name))
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

    if not TYPE_CHECKING:  # a type checker says by itself that a port cannot be called

        def __call__(self, *_: Any, **__: Any) -> NoReturn:
            """Tell of a method's name that was misspelt: it is the name of a port then."""
            methods = [name for name in vars(NodeRef) if not name.startswith("_")]
            close = get_close_matches(self.name, methods, 1)
            hint = f"Did you mean `{close[0]}`?" if close else f"There is {', '.join(sorted(methods))}."
            raise misuse(f"nodes have no method {self.name!r}", hint)

    def __repr__(self) -> str:
        return f"<input port {self.node}.{self.name}>"


class Outputs:
    """The output ports of a node, by attribute, or by item where the name is a word of Python.

    `node.out >> other.text` starts at the only output port of the node: the one that its operation has, or
    `result` where its operation is not known.
    """

    def __init__(self, node: "NodeRef") -> None:
        self._node = node

    def __getattr__(self, name: str) -> OutputPort:
        return self[_port_attribute(name)]

    def __getitem__(self, name: str) -> OutputPort:
        return OutputPort(self._node.builder, self._node.id, _port(name))

    def __rshift__(self, target: InputPort) -> "NodeRef":
        """Draw a data edge from the only output port, and return the node that it leads to.

        Args:
            target: An input port of a node of the same builder.

        Raises:
            WorkflowError: The node has several output ports, or `target` is something else.
        """
        return self._only() >> target

    def _only(self) -> OutputPort:
        names = self._node.builder._output_ports(self._node.id)
        if len(names) != 1:
            listed = f"has the outputs {', '.join(names)}" if names else "has no output"
            raise misuse(
                f"node {self._node.id!r} {listed}", f"Name one: `{self._node.id}.out.{(*names, 'NAME')[0]}`."
            )
        return self[names[0]]

    def __repr__(self) -> str:
        return f"<outputs of {self._node.id}>"


class Inputs:
    """The input ports of a node, by attribute, or by item where the name is a word of Python."""

    def __init__(self, node: "NodeRef") -> None:
        self._node = node

    def __getattr__(self, name: str) -> InputPort:
        return self[_port_attribute(name)]

    def __getitem__(self, name: str) -> InputPort:
        return InputPort(self._node.builder, self._node.id, _port(name))


@dataclass(frozen=True, slots=True)
class Way:
    """An edge with a condition that is being drawn: `a.when("count > 3") >> b`.

    Args:
        source: The node that it starts at.
        condition: A CEL expression over the outputs of `source`.
    """

    source: "NodeRef"
    condition: str

    def __rshift__(self, target: "NodeRef") -> "NodeRef":
        """Let a node wait for the source, and skip it where the condition does not hold; return it.

        Args:
            target: A node of the same builder.

        Raises:
            WorkflowError: `target` is no node of the same builder.
        """
        return self.source.then(target, when=self.condition)


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node of a workflow that is being built.

    `node.rows` is its input port `rows`, as `node.in_.rows` is; ports with the name of a method have the second form only.

    Args:
        builder: The builder that it belongs to.
        id: The id of the node.
    """

    builder: "WorkflowBuilder"
    id: str

    @property
    def out(self) -> Outputs:
        """The output ports: `node.out.files`, `node.out["else"]`."""
        return Outputs(self)

    @property
    def in_(self) -> Inputs:
        """The input ports: `node.in_.rows`, `node.in_["from"]`."""
        return Inputs(self)

    def __getattr__(self, name: str) -> InputPort:
        return self.in_[_port_attribute(name)]

    def __rshift__(self, target: "NodeRef") -> "NodeRef":
        """Let another node wait for this one, and return it.

        Args:
            target: A node of the same builder.

        Raises:
            WorkflowError: `target` is no node of the same builder.
        """
        return self.then(target)

    def when(self, condition: str) -> Way:
        """An edge with a condition: `a.when("count > 3") >> b`.

        Args:
            condition: A CEL expression over this node's outputs; where it does not hold, `b` is skipped.
        """
        return Way(self, condition)

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
                f"node {self.id!r} cannot lead to {other!r}",
                "Lead it to a node of the same workflow; a port is led to from a port, such as `a.out.x >> b.in_.y`.",
            )
        self.builder._sketch.connect(
            ConditionalEdge(self.id, other.id, when) if when else ControlEdge(self.id, other.id)
        )
        return other

    def set(self, /, **inputs: Any) -> "NodeRef":
        """Give further inputs.

        Args:
            inputs: A literal, an expression, or the output port that the value comes from, by input port.

        Raises:
            WorkflowError: A literal is not JSON-like.
        """
        self.builder._give(self.id, inputs)
        return self

    def retry(
        self,
        attempts: int,
        *,
        delay: float = 0.0,
        factor: float = 2.0,
        limit: float = 3600.0,
        jitter: float = 0.0,
        on: tuple[str, ...] = (),
    ) -> "NodeRef":
        """Try the node again where it fails.

        Args:
            attempts: Attempts in all, the first one included.
            delay: Seconds before the second attempt.
            factor: What the wait is multiplied with before each further attempt.
            limit: Seconds of the longest wait.
            jitter: The part of each wait, from 0 to 1, that chance may take away.
            on: The error codes that are tried again, or the start of several; none for all.

        Raises:
            WorkflowError: The node runs no operation.
        """
        return self._change(retry=RetryPolicy(attempts, delay, factor, limit, jitter, tuple(on)))

    def timeout(self, seconds: float) -> "NodeRef":
        """Bound the time of one attempt, of a whole sub-workflow, or of a person's answer.

        Args:
            seconds: More than 0.

        Raises:
            WorkflowError: The node takes no time, such as a branch.
        """
        return self._change(timeout=seconds)

    def idle_timeout(self, seconds: float) -> "NodeRef":
        """Bound how long one attempt may run without a word of its progress.

        Args:
            seconds: More than 0.

        Raises:
            WorkflowError: The node runs no operation.
        """
        return self._change(idle_timeout=seconds)

    def resources(
        self,
        *,
        cpu: float = 0.0,
        memory: int = 0,
        gpu: float = 0.0,
        custom: dict[str, float] | None = None,
    ) -> "NodeRef":
        """Say what one attempt needs while it runs.

        Args:
            cpu: Cores.
            memory: Bytes.
            gpu: Devices; a fraction shares one.
            custom: Amounts of anything else that an executor has.

        Raises:
            WorkflowError: The node runs no operation.
        """
        return self._change(resources=Resources(cpu, memory, gpu, dict(custom or {})))

    def cache(
        self,
        use: Literal["auto", "never"] = "auto",
        *,
        ttl: float | None = None,
        ignore: tuple[str, ...] = (),
    ) -> "NodeRef":
        """Say when an earlier result stands in for a run.

        Args:
            use: `auto`: where the operation is idempotent; `never`: each run computes it anew.
            ttl: Seconds after which an earlier result no longer counts; None for ever.
            ignore: Input ports that make no difference to the result.

        Raises:
            WorkflowError: The node runs no operation.
        """
        return self._change(cache=CachePolicy(use, ttl, tuple(ignore)))

    def version(self, number: int) -> "NodeRef":
        """Say for which version of its operation the node was made.

        Args:
            number: The version.

        Raises:
            WorkflowError: The node runs no operation.
        """
        return self._change(version=number)

    def label(self, text: str) -> "NodeRef":
        """Set what the drawing shows.

        Args:
            text: A few words.
        """
        return self._change(label=text)

    def note(self, /, **metadata: Any) -> "NodeRef":
        """Keep free values with the node.

        Args:
            metadata: JSON-like values by key; they replace earlier ones of the same key.

        Raises:
            WorkflowError: A value is not JSON-like.
        """
        notes = {
            key: literal(f"the note {key!r} of node {self.id!r}", value) for key, value in metadata.items()
        }
        return self._change(metadata={**self.builder._sketch.nodes[self.id].metadata, **notes})

    def extra(self, /, **fields: Any) -> "NodeRef":
        """Keep fields that a file has and this version does not know.

        Args:
            fields: JSON-like values by name; they replace earlier ones of the same name.

        Raises:
            WorkflowError: A value is not JSON-like.
        """
        kept = {
            key: literal(f"the field {key!r} of node {self.id!r}", value) for key, value in fields.items()
        }
        return self._change(extra={**self.builder._sketch.nodes[self.id].extra, **kept})

    def _change(self, **fields: Any) -> "NodeRef":
        self.builder._sketch.change_node(self.id, **fields)
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

"""The workflow model: nodes, edges, inputs, outputs and metadata as frozen values.

A workflow is a directed acyclic graph. A node runs as soon as every node it has an edge from has completed and
every condition on the way holds; where a source was skipped or a condition does not hold, the node is skipped too.
The classes hold what the author said and check nothing about the whole:
[validate][symphony_workflow.validation.validate] does, so that an editor can hold a workflow that is not finished.
"""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from symphony_sdk.errors import WorkflowError

SCHEMA = 1
"""The version of the workflow file format that this package writes."""

INPUTS = "$inputs"
"""The source of a data edge that starts at an input of the workflow; the port is the input's name."""

NODE_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
PORT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
OPERATION_ID = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*){2,}")
WORKFLOW_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a node is tried, and how long to wait between two attempts.

    Args:
        attempts: Attempts in all, the first one included; at least 1.
        backoff: Seconds before the second attempt.
        factor: What the wait is multiplied with before each further attempt; at least 1.
    """

    attempts: int = 1
    backoff: float = 0.0
    factor: float = 2.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after attempt number `attempt` (counted from 1) has failed."""
        return self.backoff * self.factor ** (attempt - 1)


ONCE = RetryPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentNode:
    """Runs an instrument: a model that is loaded, inferred with and unloaded.

    Args:
        id: The name of the node in its workflow.
        uses: The id of the instrument, such as `acme.vision.caption`.
        params: Literal values for input ports, by port name.
        retry: How often a failure is tried again.
        timeout: Seconds that one attempt may take; None for no bound.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
    """

    kind: ClassVar[Literal["instrument"]] = "instrument"
    id: str
    uses: str
    params: dict[str, Any] = field(default_factory=dict)
    retry: RetryPolicy = ONCE
    timeout: float | None = None
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorNode:
    """Runs an operator: a function from input ports to output ports.

    Args:
        id: The name of the node in its workflow.
        uses: The id of the operator, such as `acme.text.word-count`.
        params: Literal values for input ports, by port name.
        retry: How often a failure is tried again.
        timeout: Seconds that one attempt may take; None for no bound.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
    """

    kind: ClassVar[Literal["operator"]] = "operator"
    id: str
    uses: str
    params: dict[str, Any] = field(default_factory=dict)
    retry: RetryPolicy = ONCE
    timeout: float | None = None
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """Runs an operator or instrument once for each item of a list.

    Its inputs are those of `uses`, except that the port `over` takes a list of what it takes there. Its output port
    `results` is the list of what the calls returned, in the order of the items: the value of the only output port,
    or an object by port name where there are several. With `on_error="collect"` a failed item is null in `results`
    and the output port `errors` lists `{"index", "code", "message"}` of each.

    Args:
        id: The name of the node in its workflow.
        uses: The id of the operator or instrument that each item goes to.
        over: The input port of `uses` that takes one item.
        params: Literal values for the other input ports, by port name.
        concurrency: How many items may be in work at once.
        on_error: `fail`: the first failed item fails the node; `collect`: the others go on.
        retry: How often the failure of one item is tried again.
        timeout: Seconds that one item may take; None for no bound.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
    """

    kind: ClassVar[Literal["control"]] = "control"
    control: ClassVar[Literal["map"]] = "map"
    id: str
    uses: str
    over: str
    params: dict[str, Any] = field(default_factory=dict)
    concurrency: int = 8
    on_error: Literal["fail", "collect"] = "fail"
    retry: RetryPolicy = ONCE
    timeout: float | None = None
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchNode:
    """Sends its input `value` to the output port `then` or to `else`; what follows the other one is skipped.

    Args:
        id: The name of the node in its workflow.
        condition: A CEL expression over the node's inputs; an input may have any name.
        params: Literal values for inputs, by name.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
    """

    kind: ClassVar[Literal["control"]] = "control"
    control: ClassVar[Literal["branch"]] = "branch"
    id: str
    condition: str
    params: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


ControlNode = MapNode | BranchNode
Node = InstrumentNode | OperatorNode | ControlNode


@dataclass(frozen=True, slots=True)
class DataEdge:
    """Carries the value of an output port to an input port.

    Args:
        source: The node that the value comes from, or `$inputs`.
        source_port: Its output port, or the name of the workflow's input.
        target: The node that the value goes to.
        target_port: Its input port.
    """

    kind: ClassVar[Literal["data"]] = "data"
    source: str
    source_port: str
    target: str
    target_port: str


@dataclass(frozen=True, slots=True)
class ControlEdge:
    """Lets the target wait for the source; no value is carried.

    Args:
        source: The node that runs first.
        target: The node that waits.
    """

    kind: ClassVar[Literal["control"]] = "control"
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class ConditionalEdge:
    """Lets the target wait for the source, and skips it where the condition does not hold.

    Args:
        source: The node that runs first.
        target: The node that waits.
        condition: A CEL expression over the output ports of the source, such as `count > 3`.
    """

    kind: ClassVar[Literal["conditional"]] = "conditional"
    source: str
    target: str
    condition: str


Edge = DataEdge | ControlEdge | ConditionalEdge


@dataclass(frozen=True, slots=True)
class WorkflowInput:
    """A value that whoever runs the workflow gives.

    Args:
        name: The name, as in `--input name=value`.
        schema: The JSON Schema of the value; `{}` for any.
        required: Whether the run is refused without it.
        default: The value where none is given; used only where not `required`.
        description: What it is, for people.
    """

    name: str
    schema: dict[str, Any] = field(default_factory=dict)
    required: bool = True
    default: Any = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowOutput:
    """An output port that the run hands back under a name.

    Args:
        name: The name in the run's results.
        node: The node.
        port: Its output port.
    """

    name: str
    node: str
    port: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who made a workflow and when, and whatever else its author notes.

    Args:
        author: A person or an organisation.
        created: When it was made, as ISO 8601.
        modified: When it was last changed, as ISO 8601.
        tags: Words to find it by.
        extra: Any further keys and values; JSON values.

    Raises:
        WorkflowError: `extra` holds a key that has a field of its own.
    """

    author: str = ""
    created: str = ""
    modified: str = ""
    tags: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taken = sorted({"author", "created", "modified", "tags"} & self.extra.keys())
        if taken:
            raise WorkflowError(
                f"metadata names {', '.join(taken)} both as a field and in `extra`",
                code="SYM-W006",
                hint=f"Give it as Metadata({taken[0]}=...).",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A whole workflow, as its author wrote it.

    Args:
        id: The name that programs use, such as `code-atlas`.
        name: The name that people read; the id where empty.
        nodes: The nodes, in the author's order.
        edges: The edges, in the author's order.
        inputs: What a run is given.
        outputs: What a run hands back.
        metadata: Who, when, and free notes.
    """

    schema: ClassVar[int] = SCHEMA
    id: str
    name: str = ""
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    inputs: tuple[WorkflowInput, ...] = ()
    outputs: tuple[WorkflowOutput, ...] = ()
    metadata: Metadata = Metadata()

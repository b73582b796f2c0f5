"""The workflow model: nodes, edges, inputs, outputs and metadata as frozen values.

A workflow is a directed acyclic graph. A node runs as soon as every node it has an edge from has completed and
every condition on the way holds; where a source was skipped or a condition does not hold, the node is skipped too.
Two kinds of node differ: a join runs
although some of its sources were skipped, and a loop runs its body again and again while the graph stays acyclic.
The classes hold what the author said and check nothing about the whole:
[validate][symphony_workflow.validation.validate] does, so that an editor can hold a workflow that is not finished.
"""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from symphony_sdk.errors import WorkflowError

SCHEMA = 2
"""The version of the workflow file format that this package writes."""

INPUTS = "$inputs"
"""The source of a data edge that starts at an input of the workflow; the port is the input's name."""

NODE_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
PORT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
LOCAL = "#"
"""What stands before the id of a workflow of the same file, where a node `uses` it."""

OPERATION_ID = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*){2,}")
WORKFLOW_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Expression:
    """A value that is computed when its node becomes ready; it stands in for a literal in `params`.

    Args:
        text: A CEL expression over the other inputs of the node by name, and the workflow's inputs as `inputs.NAME`.
    """

    text: str


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a node is tried, and how long to wait between two attempts.

    Args:
        attempts: Attempts in all, the first one included; at least 1.
        delay: Seconds before the second attempt.
        factor: What the wait is multiplied with before each further attempt; at least 1, which keeps it fixed.
        limit: Seconds of the longest wait.
        jitter: The part of each wait, from 0 to 1, that chance may take away, so that many nodes do not try at once.
        on: The error codes that are tried again, such as `SYM-T014`, or the start of several; none for all.
    """

    attempts: int = 1
    delay: float = 0.0
    factor: float = 2.0
    limit: float = 3600.0
    jitter: float = 0.0
    on: tuple[str, ...] = ()

    def wait(self, attempt: int, chance: float = 0.0) -> float:
        """Seconds to wait after attempt number `attempt` (counted from 1) has failed.

        Args:
            attempt: The attempt that failed.
            chance: A random number from 0 to 1.
        """
        try:
            longest = min(self.delay * self.factor ** (attempt - 1), self.limit)
        except OverflowError:
            longest = self.limit if self.delay else 0.0
        return longest * (1 - self.jitter * chance)

    def covers(self, code: str) -> bool:
        """Whether an error with this code is tried again."""
        return not self.on or code.startswith(self.on)


ONCE = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Resources:
    """What a node needs while it runs; a scheduler starts it only where and when all of it is free.

    Args:
        cpu: Cores.
        memory: Bytes.
        gpu: Devices; a fraction shares one.
        custom: Amounts of anything else that an executor has, such as `{"licence": 1}`.
    """

    cpu: float = 0.0
    memory: int = 0
    gpu: float = 0.0
    custom: dict[str, float] = field(default_factory=dict)


NO_RESOURCES = Resources()


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """When the result of an earlier run of a node with the same inputs stands in for a run.

    Args:
        use: `auto`: where the operation is idempotent; `never`: each run computes it anew.
        ttl: Seconds after which an earlier result no longer counts; None for ever.
        ignore: Input ports that make no difference to the result.
    """

    use: Literal["auto", "never"] = "auto"
    ttl: float | None = None
    ignore: tuple[str, ...] = ()


CACHED = CachePolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentNode:
    """Runs an instrument: a model that is loaded, inferred with and unloaded.

    Args:
        id: The name of the node in its workflow.
        uses: The id of the instrument, such as `acme.vision.caption`.
        version: The version of the instrument that the node was made for; None for any.
        params: Values for input ports, by port name: literals, or an `Expression`.
        retry: How often a failure is tried again.
        timeout: Seconds that one attempt may take; None for no bound.
        idle_timeout: Seconds that it may run without a word of its progress; None for no bound.
        resources: What one attempt needs while it runs.
        cache: When an earlier result stands in for a run.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["instrument"]] = "instrument"
    id: str
    uses: str
    version: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    retry: RetryPolicy = ONCE
    timeout: float | None = None
    idle_timeout: float | None = None
    resources: Resources = NO_RESOURCES
    cache: CachePolicy = CACHED
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorNode:
    """Runs an operator: a function from input ports to output ports.

    Args:
        id: The name of the node in its workflow.
        uses: The id of the operator, such as `acme.text.word-count`.
        version: The version of the operator that the node was made for; None for any.
        params: Values for input ports, by port name: literals, or an `Expression`.
        retry: How often a failure is tried again.
        timeout: Seconds that one attempt may take; None for no bound.
        idle_timeout: Seconds that it may run without a word of its progress; None for no bound.
        resources: What one attempt needs while it runs.
        cache: When an earlier result stands in for a run.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["operator"]] = "operator"
    id: str
    uses: str
    version: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    retry: RetryPolicy = ONCE
    timeout: float | None = None
    idle_timeout: float | None = None
    resources: Resources = NO_RESOURCES
    cache: CachePolicy = CACHED
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """Runs an operation or a sub-workflow once for each item of a list.

    Its inputs are those of `uses`, except that the port `over` takes a list of what it takes there. Its output port
    `results` is the list of what the calls returned, in the order of the items: the value of the only output port,
    or an object by port name where there are several. With `on_error="collect"` a failed item is null in `results`
    and the output port `errors` lists `{"index", "code", "message"}` of each.

    Args:
        id: The name of the node in its workflow.
        uses: What each item goes to: the id of an operator or instrument, or `#` and the id of a workflow of the file.
        over: The input port of `uses` that takes one item.
        version: The version of the operation that the node was made for; None for any.
        params: Values for the other input ports, by name: literals, or an `Expression`.
        concurrency: How many items may be in work at once.
        max_items: The longest list that is taken; None for any length.
        on_error: `fail`: the first failed item fails the node; `collect`: the others go on.
        retry: How often a failure is tried again.
        timeout: Seconds that one item may take; None for no bound.
        idle_timeout: Seconds that one item may run without a word of its progress; None for no bound.
        resources: What one item needs while it runs.
        cache: When an earlier result stands in for a run.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["control"]] = "control"
    control: ClassVar[Literal["map"]] = "map"
    id: str
    uses: str
    over: str
    version: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    concurrency: int = 8
    max_items: int | None = 10_000
    on_error: Literal["fail", "collect"] = "fail"
    retry: RetryPolicy = ONCE
    timeout: float | None = None
    idle_timeout: float | None = None
    resources: Resources = NO_RESOURCES
    cache: CachePolicy = CACHED
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchNode:
    """Sends its input `value` to the output port `then` or to `else`; what follows the other one is skipped.

    Args:
        id: The name of the node in its workflow.
        condition: A CEL expression over the node's inputs; an input may have any name.
        params: Values for inputs, by name: literals, or an `Expression`.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["control"]] = "control"
    control: ClassVar[Literal["branch"]] = "branch"
    id: str
    condition: str
    params: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One way out of a switch.

    Args:
        port: The output port; any name but `default`.
        condition: A CEL expression over the inputs of the switch.
    """

    port: str
    condition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchNode:
    """Sends its input `value` to the port of the first case that holds, or to `default` where none does.

    What follows the other ports is skipped.

    Args:
        id: The name of the node in its workflow.
        cases: The ways out, tried in this order; an input may have any name.
        params: Values for inputs, by name: literals, or an `Expression`.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["control"]] = "control"
    control: ClassVar[Literal["switch"]] = "switch"
    id: str
    cases: tuple[Case, ...]
    params: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinNode:
    """Brings branches together: unlike any other node, it runs although some of what leads to it was skipped.

    Its inputs have any names. The output port `value` is the input that arrived first (the first by name, where all
    were there), and `values` is an object of all that arrived. Where none can arrive any more, it is skipped.

    Args:
        id: The name of the node in its workflow.
        wait: `all`: for every input that is not skipped; `any`: for the first; or for so many of them.
        params: Values for inputs, by name: literals, or an `Expression`; they are always there.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["control"]] = "control"
    control: ClassVar[Literal["join"]] = "join"
    id: str
    wait: Literal["all", "any"] | int = "all"
    params: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopNode:
    """Runs an operation or a sub-workflow again and again, until a condition holds or the bound is reached.

    Its inputs are those of `uses`. Its outputs are those of the last iteration, and `iterations`, their count.

    Args:
        id: The name of the node in its workflow.
        uses: What is run: the id of an operator or instrument, or `#` and the id of a workflow of the file.
        until: A CEL expression over the outputs of an iteration and its `iteration`, counted from 1.
        max_iterations: The bound; at least 1.
        carry: Which output of an iteration an input of the next one takes, by input; the others stay as they were.
        on_limit: Whether the node fails where the bound is reached, or completes with what it has.
        version: The version of the operation that the node was made for; None for any.
        params: Values for input ports of the first iteration, by name: literals, or an `Expression`.
        retry: How often a failure is tried again.
        timeout: Seconds that one iteration may take; None for no bound.
        idle_timeout: Seconds that one iteration may run without a word of its progress; None for no bound.
        resources: What one iteration needs while it runs.
        cache: When an earlier result stands in for a run.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["control"]] = "control"
    control: ClassVar[Literal["loop"]] = "loop"
    id: str
    uses: str
    until: str
    max_iterations: int
    carry: dict[str, str] = field(default_factory=dict)
    on_limit: Literal["fail", "complete"] = "fail"
    version: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    retry: RetryPolicy = ONCE
    timeout: float | None = None
    idle_timeout: float | None = None
    resources: Resources = NO_RESOURCES
    cache: CachePolicy = CACHED
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubworkflowNode:
    """Runs a workflow of the same file; its inputs and outputs are the ports of the node.

    Args:
        id: The name of the node in its workflow.
        uses: `#` and the id of the workflow.
        params: Values for inputs of that workflow, by name: literals, or an `Expression`.
        timeout: Seconds that all of it may take; None for no bound.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["control"]] = "control"
    control: ClassVar[Literal["subworkflow"]] = "subworkflow"
    id: str
    uses: str
    params: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalNode:
    """Waits for a person, and sends its input `value` to the output port `approved` or to `rejected`.

    What follows the other one is skipped. The output port `answer` is `{"approved", "by", "comment", "at"}`. The
    wait survives restarts.

    Args:
        id: The name of the node in its workflow.
        prompt: What the person is asked.
        params: Values for inputs; each is shown to the person, by name: literals, or an `Expression`.
        approvers: Who may answer, by name; none for anybody who may steer the run.
        timeout: Seconds that the person has; None for no bound.
        on_timeout: What happens where nobody answered in time.
        label: What the drawing shows; the id where empty.
        metadata: Free values for tools, such as the place in a drawing.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["control"]] = "control"
    control: ClassVar[Literal["approval"]] = "approval"
    id: str
    prompt: str
    params: dict[str, Any] = field(default_factory=dict)
    approvers: tuple[str, ...] = ()
    timeout: float | None = None
    on_timeout: Literal["fail", "approve", "reject"] = "fail"
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


ControlNode = MapNode | BranchNode | SwitchNode | JoinNode | LoopNode | SubworkflowNode | ApprovalNode
Node = InstrumentNode | OperatorNode | ControlNode
CallingNode = InstrumentNode | OperatorNode | MapNode | LoopNode
"""Nodes that run an operation, or (map and loop) perhaps a workflow of the file."""


@dataclass(frozen=True, slots=True)
class DataEdge:
    """Carries the value of an output port to an input port.

    Args:
        source: The node that the value comes from, or `$inputs`.
        source_port: Its output port, or the name of the workflow's input.
        target: The node that the value goes to.
        target_port: Its input port.
        metadata: Free values for tools.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["data"]] = "data"
    source: str
    source_port: str
    target: str
    target_port: str
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControlEdge:
    """Lets the target wait for the source; no value is carried.

    Args:
        source: The node that runs first.
        target: The node that waits.
        metadata: Free values for tools.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["control"]] = "control"
    source: str
    target: str
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConditionalEdge:
    """Lets the target wait for the source, and skips it where the condition does not hold.

    Args:
        source: The node that runs first.
        target: The node that waits.
        condition: A CEL expression over the output ports of the source, such as `count > 3`.
        metadata: Free values for tools.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    kind: ClassVar[Literal["conditional"]] = "conditional"
    source: str
    target: str
    condition: str
    metadata: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


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
        extra: Fields of the file that this version does not know, kept as they are.
    """

    name: str
    schema: dict[str, Any] = field(default_factory=dict)
    required: bool = True
    default: Any = None
    description: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


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
        workflows: The workflows that its map, loop and subworkflow nodes run; they have none of their own, and their
            nodes look here as well.
        extra: Fields of the file that this version does not know, kept as they are.
    """

    schema: ClassVar[int] = SCHEMA
    id: str
    name: str = ""
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    inputs: tuple[WorkflowInput, ...] = ()
    outputs: tuple[WorkflowOutput, ...] = ()
    metadata: Metadata = Metadata()
    workflows: "tuple[Workflow, ...]" = ()
    extra: dict[str, Any] = field(default_factory=dict)

"""The domain events of a run: what happened, in order, as anyone may follow it.

Events of one run are numbered without gaps. They are a tagged union, `RunEvent`, on the wire, in the log
and in JSON alike.
"""

from typing import Literal

import msgspec

from symphony_sdk.errors import ErrorPayload
from symphony_sdk.messages import message

RunCommand = Literal["start", "rerun", "pause", "resume", "cancel", "retry", "skip", "approve", "reject"]
"""What a person or a program may ask of a run."""


class _Event(msgspec.Struct, frozen=True, tag_field="event", kw_only=True, omit_defaults=True):
    """What every event has.

    Args:
        run: Id of the run.
        sequence: Number of the event in the run, counted from 1.
        at: Unix time in seconds.
    """

    run: str
    sequence: int
    at: float


class RunStarted(_Event, frozen=True, tag="run-started"):
    """A run began.

    Args:
        workflow: Id of the workflow.
        nodes: How many nodes it has.
        actor: Who started it; empty where that is not known.
        origin: Id of the run whose results it takes over; empty for a run of its own.
        anew: Ids of the nodes that run whatever was computed before, because whoever started it named them.
    """

    workflow: str
    nodes: int
    actor: str = ""
    origin: str = ""
    anew: tuple[str, ...] = ()


class RunSteered(_Event, frozen=True, tag="run-steered"):
    """Somebody gave a command to a run; what it leads to follows in events of its own.

    Args:
        command: What was asked.
        actor: Who asked; empty where that is not known.
        node: Id of the node that it is about; empty for the whole run.
        comment: What the actor said about it.
    """

    command: RunCommand
    actor: str = ""
    node: str = ""
    comment: str = ""


class RunResumed(_Event, frozen=True, tag="run-resumed"):
    """A run goes on after a pause, a failure or a crash.

    Args:
        completed: How many nodes were completed before.
    """

    completed: int = 0


class RunWaiting(_Event, frozen=True, tag="run-waiting"):
    """Nothing can go on in a run until a person answers.

    Args:
        nodes: Ids of the nodes that wait.
    """

    nodes: tuple[str, ...]


class RunPaused(_Event, frozen=True, tag="run-paused"):
    """A run starts no further node.

    Where the log cannot be written, this event is shown with the number of the event before it.

    Args:
        reason: Why.
    """

    reason: str = ""


class RunCompleted(_Event, frozen=True, tag="run-completed"):
    """Every node of a run completed or was skipped, or failed where the run isolates failures.

    Args:
        seconds: From its start.
    """

    seconds: float


class RunFailed(_Event, frozen=True, tag="run-failed"):
    """A run ended with nodes that failed, or took too long.

    Args:
        error: Why.
    """

    error: ErrorPayload


class RunCancelled(_Event, frozen=True, tag="run-cancelled"):
    """A run was ended by its user."""


class NodeStarted(_Event, frozen=True, gc=False, tag="node-started"):
    """An attempt at a node began.

    Args:
        node: Id of the node.
        attempt: Number of the attempt, counted from 1.
        items: Of a fan-out: how many items it has.
    """

    node: str
    attempt: int = 1
    items: int = 0


class NodeProgressed(_Event, frozen=True, gc=False, tag="node-progressed"):
    """A node is further than it was. Not kept, so not numbered: it has the number of the event before it.

    Args:
        node: Id of the node.
        fraction: From 0 to 1.
        text: What is being done.
    """

    node: str
    fraction: float
    text: str = ""


class ItemCompleted(_Event, frozen=True, gc=False, tag="item-completed"):
    """One item of a fan-out completed.

    Args:
        node: Id of the node.
        item: Index of the item.
        seconds: How long the extension's own code ran.
        error: Why it failed, where the node collects the errors of its items and goes on.
        origin: Id of the run whose result stands in for it, because nothing that it depends on has changed; empty
            where it ran.
        source: Of such a result: id of the node that computed it there.
        computed: Of such a result: Unix time in seconds when it was computed.
    """

    node: str
    item: int
    seconds: float = 0.0
    error: ErrorPayload | None = None
    origin: str = ""
    source: str = ""
    computed: float = 0.0


class NodeCompleted(_Event, frozen=True, gc=False, tag="node-completed"):
    """A node completed.

    Args:
        node: Id of the node.
        seconds: From its start.
        work: How long the extension's own code ran, summed over the items of a fan-out.
        artifacts: Ids of the artifacts among its outputs.
        received: Bytes of its encoded inputs, summed over the items of a fan-out.
        produced: Bytes of its encoded outputs; an artifact counts with its reference alone.
        memory: Bytes of the highest resident memory of the process while it ran; 0 where that is not known.
        place: Where it ran, such as `acme.text#2` or the name of a machine; empty where the executor has one place.
    """

    node: str
    seconds: float
    work: float = 0.0
    artifacts: tuple[str, ...] = ()
    received: int = 0
    produced: int = 0
    memory: int = 0
    place: str = ""


class NodeRetrying(_Event, frozen=True, tag="node-retrying"):
    """An attempt failed and another will be made.

    Args:
        node: Id of the node.
        attempt: Number of the attempt that failed.
        delay: Seconds until the next.
        error: Why it failed.
        item: Index of the item in a fan-out; -1 outside of one.
        place: Where the attempt ran, such as `acme.text#2`; empty where the executor has one place.
    """

    node: str
    attempt: int
    delay: float
    error: ErrorPayload
    item: int = -1
    place: str = ""


class NodeFailed(_Event, frozen=True, tag="node-failed"):
    """A node failed for good.

    Args:
        node: Id of the node.
        error: Why.
        item: Index of the item in a fan-out; -1 outside of one.
        place: Where the last attempt ran, such as `acme.text#2`; empty where the executor has one place.
    """

    node: str
    error: ErrorPayload
    item: int = -1
    place: str = ""


class NodeWaiting(_Event, frozen=True, tag="node-waiting"):
    """A node waits for a person.

    Args:
        node: Id of the node.
        prompt: What the person is asked.
        approvers: Who may answer; none for anybody who may steer the run.
        until: Unix time in seconds when the wait ends; 0 for never.
    """

    node: str
    prompt: str
    approvers: tuple[str, ...] = ()
    until: float = 0.0


class NodeReused(_Event, frozen=True, tag="node-reused"):
    """A node completed with the result that it had in another run, and did not run.

    Args:
        node: Id of the node.
        origin: Id of that run.
        seconds: How long the node took there.
        artifacts: Ids of the artifacts among its outputs.
        cached: Whether it was found because nothing that it depends on has changed; else a rerun took it over.
        source: Where it was found so: id of the node that computed it there.
        computed: Where it was found so: Unix time in seconds when it was computed.
    """

    node: str
    origin: str
    seconds: float = 0.0
    artifacts: tuple[str, ...] = ()
    cached: bool = False
    source: str = ""
    computed: float = 0.0


class NodeSkipped(_Event, frozen=True, tag="node-skipped"):
    """A node is not needed, or cannot run because one before it failed.

    Args:
        node: Id of the node.
        reason: Why.
    """

    node: str
    reason: str


RunEvent = (
    RunStarted
    | RunSteered
    | RunResumed
    | RunWaiting
    | RunPaused
    | RunCompleted
    | RunFailed
    | RunCancelled
    | NodeStarted
    | NodeProgressed
    | NodeWaiting
    | NodeReused
    | ItemCompleted
    | NodeCompleted
    | NodeRetrying
    | NodeFailed
    | NodeSkipped
)
"""Any event of a run."""


@message("run.event")
class RunHappened(msgspec.Struct, frozen=True):
    """Host to whoever subscribed to `run.RUN.EVENT`: something happened in a run.

    Args:
        event: What happened.
    """

    event: RunEvent


def event_name(event: RunEvent) -> str:
    """What an event is called on the wire and in the log, such as `node-completed`."""
    return str(type(event).__struct_config__.tag)


def ends_run(event: RunEvent) -> bool:
    """Whether nothing more happens in a run after this event, until it is resumed."""
    return isinstance(event, RunCompleted | RunFailed | RunCancelled | RunPaused)


def is_durable(event: RunEvent) -> bool:
    """Whether the event is written to the log; progress is not."""
    return not isinstance(event, NodeProgressed)

"""What a run took: times, waits, bytes and memory, of each node and of the run as a whole.

Times are seconds, on the clock that the events of the run have in `at`; sizes are bytes.
"""

import msgspec

from symphony_sdk.ports.pit import NodeState, RunState


class Spread(msgspec.Struct, frozen=True):
    """How seconds are spread over several nodes; all 0 where there is none.

    A percentile is the smallest of the values that at least so many per cent of them do not exceed (nearest rank).

    Args:
        count: How many nodes.
        total: Their sum.
        p50: The median.
        p95: The 95th percentile.
        p99: The 99th percentile.
        largest: The largest.
    """

    count: int = 0
    total: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    largest: float = 0.0


class NodeMetrics(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one node took.

    Args:
        node: Id of the node.
        operation: Id of the operation that it runs; empty where it runs none.
        state: Its state; one that could run and has not begun is `pending`.
        attempts: How many attempts were made.
        retries: How often an attempt, of it or of one of its items, was followed by another because it failed.
        began: Unix time of its first start since the run last went on; 0 where there was none. Of a call that completed
            at its first attempt, that is `work` before its end: it may have waited inside of the executor.
        seconds: From then to its end, or until now, with its retries and the waits between them.
        queued: From when every node before it had ended to `began`.
        work: How long the extension's own code ran, summed over its items.
        received: Bytes of its encoded inputs.
        produced: Bytes of its encoded outputs; an artifact counts with its reference alone.
        memory: Bytes of the highest resident memory of the process that it ran in; 0 where that is not known.
        place: Where it ran; empty where the executor has one place.
        origin: Id of the run whose result it took over instead of running; empty where it ran.
    """

    node: str
    operation: str
    state: NodeState
    attempts: int = 0
    retries: int = 0
    began: float = 0.0
    seconds: float = 0.0
    queued: float = 0.0
    work: float = 0.0
    received: int = 0
    produced: int = 0
    memory: int = 0
    place: str = ""
    origin: str = ""


class GroupMetrics(msgspec.Struct, frozen=True):
    """What all nodes of one operation, or of one extension, took.

    Args:
        name: Id of the operation or the extension.
        nodes: How many nodes ran.
        completed: How many of them completed.
        failed: How many of them failed for good.
        retries: How often an attempt was followed by another because it failed.
        duration: Of the nodes that completed or failed: from the first start to the end.
        queued: Of the nodes that ran: from when they could run to their first start.
        work: Seconds that the extension's own code ran.
        received: Bytes of their encoded inputs.
        produced: Bytes of their encoded outputs.
        memory: Bytes of the highest resident memory of a process while one of them ran.
    """

    name: str
    nodes: int
    completed: int
    failed: int
    retries: int
    duration: Spread
    queued: Spread
    work: float
    received: int
    produced: int
    memory: int


class RunMetrics(msgspec.Struct, frozen=True):
    """What a run took until now, or until its end.

    `duration` and `queued` are over the nodes that run an operation, inside of workflows in the run too; nodes that
    only steer, and nodes whose results were taken over, would hide what the work takes.

    Args:
        run: Id of the run.
        workflow: Id of the workflow.
        state: Its state.
        sequence: Number of the last event that is counted.
        nodes: Every node.
        states: How many nodes there are in each state.
        wall: Seconds that the run was under way; pauses are not counted.
        throughput: Nodes that completed here for each second of `wall`.
        recent: The same of the last `window` seconds.
        window: Seconds that `recent` is about; less than ten where the run is younger.
        reused: How many nodes took over the result of another run.
        retries: How often an attempt was followed by another because it failed.
        duration: From the first start of a node to its end.
        queued: From when a node could run to its first start.
        work: Seconds that the code of extensions ran.
        received: Bytes of the nodes' encoded inputs.
        produced: Bytes of the nodes' encoded outputs.
        memory: Bytes of the highest resident memory of a process of an extension.
        critical_path: Ids of the nodes of the chain that determined the end of the run, in order: the node that ended
            last, before it the one that it waited for longest, and so on; those that took nothing here are left out.
        critical_seconds: What they took together.
        parallelism: `work` for each second of `wall`.
        overhead: Seconds of `wall` beyond that: the waits of those nodes for a place, and what Symphony itself took.
        operations: What the nodes of each operation took, those that worked longest first.
        extensions: What the nodes of each extension took, those that worked longest first.
    """

    run: str
    workflow: str
    state: RunState
    sequence: int
    nodes: tuple[NodeMetrics, ...] = ()
    states: dict[NodeState, int] = {}
    wall: float = 0.0
    throughput: float = 0.0
    recent: float = 0.0
    window: float = 0.0
    reused: int = 0
    retries: int = 0
    duration: Spread = Spread()
    queued: Spread = Spread()
    work: float = 0.0
    received: int = 0
    produced: int = 0
    memory: int = 0
    critical_path: tuple[str, ...] = ()
    critical_seconds: float = 0.0
    parallelism: float = 0.0
    overhead: float = 0.0
    operations: tuple[GroupMetrics, ...] = ()
    extensions: tuple[GroupMetrics, ...] = ()

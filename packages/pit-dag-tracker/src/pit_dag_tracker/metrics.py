"""Sums up what was gathered of a run: percentiles, groups, throughput and the critical path."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from symphony_sdk.ports.metrics import GroupMetrics, NodeMetrics, RunMetrics, Spread
from symphony_sdk.ports.pit import RunState
from symphony_workflow.state import NODE_ENDS, NodeState

from pit_dag_tracker.graph import Graph
from pit_dag_tracker.measures import Measures, Taken, operation

WINDOW = 10.0
"""Seconds that the recent throughput is about."""

_NOTHING = Taken()


def run_metrics(
    measures: Measures, order: Sequence[int], run: str, workflow: str, state: RunState, now: float
) -> RunMetrics:
    """What a run took.

    Args:
        measures: What was gathered from its events; not changed meanwhile.
        order: The numbers of its nodes in topological order.
        run: Id of the run.
        workflow: Id of the workflow.
        state: Its state.
        now: Unix time in seconds until which it is measured.
    """
    graph, ledger = measures.ledger.graph, measures.ledger
    count = len(ledger.state)
    chosen = [number for number in order if number < count and graph.of[number] in measures.named]
    told = {number: _node(measures, number, now) for number in chosen}
    nodes = tuple(told.values())
    working = [node for node in nodes if node.operation]
    wall = measures.wall(now)
    here = [number for number in chosen if ledger.state[number] is NodeState.COMPLETED and told[number].began]
    window = min(WINDOW, wall)
    lately = sum(ledger.ended[number] > now - window for number in here)
    work = sum(node.work for node in nodes)
    path = _path(measures, told, now)
    critical = sum(told[number].seconds for number in path)
    return RunMetrics(
        run=run,
        workflow=workflow,
        state=state,
        sequence=ledger.sequence,
        nodes=nodes,
        states=dict(Counter(node.state for node in nodes)),
        wall=wall,
        throughput=len(here) / wall if wall else 0.0,
        recent=lately / window if window else 0.0,
        window=window,
        reused=sum(1 for node in nodes if node.origin),
        retries=sum(node.retries for node in nodes),
        duration=spread(_durations(working)),
        queued=spread(_queues(working)),
        work=work,
        received=sum(node.received for node in working),
        produced=sum(node.produced for node in working),
        memory=max((node.memory for node in working), default=0),
        critical_path=tuple(graph.nodes[number].id for number in path),
        critical_seconds=critical,
        parallelism=work / wall if wall else 0.0,
        overhead=max(0.0, wall - critical),
        operations=_groups(working, lambda node: node.operation),
        extensions=_groups(working, lambda node: node.operation.rpartition(".")[0]),
    )


def spread(values: Iterable[float]) -> Spread:
    """How values are spread, by nearest rank.

    Args:
        values: Seconds.
    """
    found = sorted(values)
    if not found:
        return Spread()

    def percentile(percent: int) -> float:
        return found[math.ceil(len(found) * percent / 100) - 1]

    return Spread(len(found), sum(found), percentile(50), percentile(95), percentile(99), found[-1])


def critical_path(graph: Graph, began: Mapping[int, float], ended: Mapping[int, float]) -> list[int]:
    """The chain of the run's own nodes that determined its end; what runs inside of one is a part of its time.

    It leads from the node that ended last back over the one that each was let go by: of those that it waits for, the
    one that ended last before it began. The longest chain by what the nodes took is another one where a node waited
    for a place to run at: that tells how fast the run could have been, and this one what made it as long as it was.

    Args:
        graph: The nodes of the run.
        began: When each node began, by number, for those that did.
        ended: When each ended, for those that did or are under way.

    Returns:
        The numbers of the nodes that began, in order.
    """

    def last_of(numbers: Iterable[int]) -> int:  # of those that end together, the one that took longest
        return max(numbers, key=lambda one: (ended[one], ended[one] - began.get(one, ended[one])), default=-1)

    path = []
    last = last_of(number for number in graph.top.order if number in ended)
    while last >= 0:
        if last in began:
            path.append(last)
        before = [parent for parent in graph.parents[last] if parent in ended]
        start = began.get(last, ended[last])
        # a join may begin before all of them have ended, and a clock may be set back
        last = last_of([parent for parent in before if ended[parent] <= start] or before)
    return path[::-1]


def _path(measures: Measures, told: Mapping[int, NodeMetrics], now: float) -> list[int]:
    ledger = measures.ledger
    own = [(number, told[number].began) for number in ledger.graph.top.numbers if number in told]
    began = {number: at for number, at in own if at}
    ended = {
        number: _until(measures, number, now)
        for number, at in own
        if at or (ledger.state[number] in NODE_ENDS and ledger.ended[number])
    }
    return critical_path(ledger.graph, began, ended)


def _until(measures: Measures, number: int, now: float) -> float:
    """Unix time when a node ended, or until which it is measured."""
    ledger = measures.ledger
    return (ledger.ended[number] or ledger.run_ended) if ledger.state[number] in NODE_ENDS else now


def _node(measures: Measures, number: int, now: float) -> NodeMetrics:
    ledger, taken = measures.ledger, measures.taken.get(number, _NOTHING)
    graph, state = ledger.graph, ledger.state[number]
    began = ledger.began[number]
    until = _until(measures, number, now)
    if taken.last and state is NodeState.COMPLETED and began == ledger.started[number]:
        # a call may wait inside of an executor after it was said to have started, or be told of only when it has ended
        began = max(taken.free, until - taken.last)
    return NodeMetrics(
        node=graph.nodes[number].id,
        operation=operation(graph, number),
        state=cast("Any", NodeState.PENDING if state is NodeState.READY else state).value,
        attempts=ledger.attempt[number],
        retries=taken.retries,
        began=began,
        seconds=max(0.0, until - began) if began else 0.0,
        queued=max(0.0, began - taken.free) if began else 0.0,
        work=taken.work,
        received=taken.received,
        produced=taken.produced,
        memory=taken.memory,
        place=taken.place,
        origin=taken.origin,
    )


def _durations(nodes: Iterable[NodeMetrics]) -> Iterable[float]:
    return (node.seconds for node in nodes if node.began and node.state in ("completed", "failed"))


def _queues(nodes: Iterable[NodeMetrics]) -> Iterable[float]:
    return (node.queued for node in nodes if node.began)


def _groups(nodes: Iterable[NodeMetrics], name_of: Callable[[NodeMetrics], str]) -> tuple[GroupMetrics, ...]:
    members: dict[str, list[NodeMetrics]] = {}
    for node in nodes:
        if node.began:
            members.setdefault(name_of(node), []).append(node)
    groups = [_group(name, each) for name, each in members.items()]
    return tuple(sorted(groups, key=lambda group: (-group.work, group.name)))


def _group(name: str, nodes: Sequence[NodeMetrics]) -> GroupMetrics:
    return GroupMetrics(
        name=name,
        nodes=len(nodes),
        completed=sum(node.state == "completed" for node in nodes),
        failed=sum(node.state == "failed" for node in nodes),
        retries=sum(node.retries for node in nodes),
        duration=spread(_durations(nodes)),
        queued=spread(_queues(nodes)),
        work=sum(node.work for node in nodes),
        received=sum(node.received for node in nodes),
        produced=sum(node.produced for node in nodes),
        memory=max(node.memory for node in nodes),
    )

"""What a run took: exact from hand-made events, and the same from the live run, from its log, and piece by piece."""

import asyncio
import itertools
import math
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.measures import Measures
from pit_dag_tracker.metrics import critical_path, run_metrics, spread
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
)
from symphony_sdk.ports.metrics import Spread
from symphony_workflow.document import from_document
from symphony_workflow.testing import examples

BROKEN = ErrorPayload("TEST-001", "broken")
START = 1_000_000.0


class Story:
    """Events of one run at seconds after its start, and what they come to."""

    def __init__(self, flow):
        self.graph = Graph(from_document(flow))
        self.measures = Measures(self.graph)
        self.sequence = 0

    def tell(self, at, kind, **fields):
        self.sequence += 1
        head = {"run": "r", "sequence": self.sequence, "at": START + at}
        if kind is RunStarted:
            fields = {"workflow": "flow", "nodes": 1}
        self.measures.apply(kind(**head, **fields))

    def node(self, name, began, ended, **fields):
        self.tell(began, NodeStarted, node=name)
        self.tell(ended, NodeCompleted, node=name, seconds=ended - began, **fields)

    def metrics(self, at):
        return run_metrics(self.measures, list(self.graph.order), "r", "flow", "running", START + at)

    def nodes(self, at=0.0):
        return {node.node: node for node in self.metrics(at).nodes}


def told(desk, nodes, edges=(), **more):
    story = Story(desk.flow(nodes, edges, **more))
    story.tell(0, RunStarted)
    return story


def test_each_node_is_told_with_its_times_bytes_memory_and_place(desk):
    story = told(desk, {"a": "echo", "b": "boom"}, ["a -> b"])
    story.node("a", 1, 3, work=2.0, received=10, produced=20, memory=4096, place="t.t#2")
    story.tell(3.5, NodeStarted, node="b")
    nodes = story.nodes(5)
    assert msgspec.to_builtins(nodes["a"]) == {
        "node": "a",
        "operation": "t.t.echo",
        "state": "completed",
        "attempts": 1,
        "began": START + 1,
        "seconds": 2.0,
        "queued": 1.0,
        "work": 2.0,
        "received": 10,
        "produced": 20,
        "memory": 4096,
        "place": "t.t#2",
    }
    assert (nodes["b"].state, nodes["b"].seconds, nodes["b"].queued) == ("running", 1.5, 0.5)


def test_a_run_is_told_with_its_throughput_parallelism_and_critical_path(desk):
    story = told(desk, {"a": "echo", "b": "echo", "c": "echo", "d": "echo"}, ["a -> c", "b -> c", "a -> d"])
    story.node("a", 0, 2, work=2.0, received=1, produced=2)
    story.node("b", 0, 5, work=5.0, received=3, produced=4, memory=7)
    story.node("d", 2, 3, work=1.0)
    story.node("c", 6, 20, work=14.0, memory=5)
    story.tell(20, RunCompleted, seconds=20.0)
    metrics = story.metrics(999)
    assert (metrics.wall, metrics.work, metrics.parallelism) == (20.0, 22.0, 1.1)
    assert (metrics.received, metrics.produced, metrics.memory) == (4, 6, 7)
    assert (metrics.throughput, metrics.recent, metrics.window) == (4 / 20, 0.0, 10.0)
    assert (metrics.critical_path, metrics.critical_seconds, metrics.overhead) == (("b", "c"), 19.0, 1.0)
    assert metrics.states == {"completed": 4}
    assert metrics.duration == Spread(4, 22.0, 2.0, 14.0, 14.0, 14.0)
    assert metrics.queued == Spread(4, 1.0, 0.0, 1.0, 1.0, 1.0)


def test_the_throughput_of_the_last_seconds_counts_them_alone(desk):
    story = told(desk, {f"n{number}": "echo" for number in range(4)})
    for number, at in enumerate((1, 12, 14, 15)):
        story.node(f"n{number}", at - 1, at)
    metrics = story.metrics(20)
    assert (metrics.throughput, metrics.recent) == (4 / 20, 3 / 10)
    assert story.metrics(25).recent == 0.0


def test_a_retried_node_is_told_from_its_first_start_with_how_often_it_was_retried(desk):
    story = told(desk, {"a": "echo"})
    story.tell(1, NodeStarted, node="a")
    story.tell(2, NodeRetrying, node="a", attempt=1, delay=3.0, error=BROKEN)
    assert story.nodes(4)["a"].state == "retrying"
    story.tell(5, NodeStarted, node="a", attempt=2)
    story.tell(7, NodeFailed, node="a", error=BROKEN)
    story.tell(7, RunFailed, error=BROKEN)
    (node,) = story.metrics(0).nodes
    assert (node.state, node.attempts, node.retries, node.seconds) == ("failed", 2, 1, 6.0)
    (group,) = story.metrics(0).operations
    assert (group.name, group.nodes, group.completed, group.failed, group.retries) == ("t.t.echo", 1, 0, 1, 1)


def test_a_pause_and_the_time_after_a_crash_are_no_part_of_the_run(desk):
    story = told(desk, {"a": "echo", "b": "echo", "c": "echo"}, ["a -> b", "b -> c"])
    story.node("a", 1, 2)
    story.tell(3, RunPaused, reason="tea")
    assert story.metrics(50).wall == 3.0
    story.tell(100, RunResumed, completed=1)
    story.tell(101, NodeStarted, node="b")
    story.tell(400, RunResumed, completed=1)  # nothing said that its process died
    story.node("b", 402, 404)
    story.node("c", 404, 405)
    story.tell(405, RunCompleted, seconds=405.0)
    metrics, nodes = story.metrics(0), story.nodes()
    assert metrics.wall == 3.0 + 1.0 + 5.0
    assert [node.queued for node in nodes.values()] == [1.0, 2.0, 0.0]
    assert (nodes["b"].began, nodes["b"].seconds) == (START + 402, 2.0)
    assert metrics.critical_seconds == 4.0 <= metrics.wall


def test_a_wait_inside_of_the_executor_counts_as_queued(desk):
    story = told(desk, {"a": "echo", "b": "echo"})
    story.node("a", 1, 9, work=2.0)
    story.tell(2, NodeStarted, node="b")
    story.tell(3, NodeRetrying, node="b", attempt=1, delay=0.0, error=BROKEN)
    story.node("b", 4, 9, work=2.0)
    nodes = story.nodes()
    assert (nodes["a"].seconds, nodes["a"].queued) == (2.0, 7.0)
    assert (nodes["b"].seconds, nodes["b"].queued) == (7.0, 2.0)


def test_an_executor_that_tells_start_and_end_at_once_hides_no_work(desk):
    story = told(desk, {"a": "echo", "b": "echo"}, ["a -> b"])
    story.node("a", 4, 4, work=3.0)
    story.node("b", 6, 6, work=3.0)  # more than there was since the node before it ended
    nodes = story.nodes()
    assert (nodes["a"].seconds, nodes["a"].queued) == (3.0, 1.0)
    assert (nodes["b"].seconds, nodes["b"].queued) == (2.0, 0.0)


def test_taken_over_skipped_and_cancelled_nodes_take_nothing_here(desk):
    story = told(desk, {"a": "echo", "b": "echo", "c": "echo", "d": "echo"})
    story.tell(1, NodeReused, node="a", origin="old", seconds=9.0)
    story.tell(1, NodeSkipped, node="b", reason="no need")
    story.tell(2, NodeStarted, node="c")
    story.tell(6, RunCancelled)
    metrics, nodes = story.metrics(9), story.nodes(9)
    assert metrics.states == {"completed": 1, "skipped": 1, "cancelled": 2}
    assert (nodes["a"].origin, nodes["a"].seconds, metrics.reused) == ("old", 0.0, 1)
    assert (nodes["c"].seconds, nodes["d"].seconds) == (4.0, 0.0)
    assert (metrics.throughput, metrics.duration, metrics.critical_path) == (0.0, Spread(), ("c",))


def test_the_work_of_a_map_is_that_of_its_items_while_it_goes_on_too(desk):
    story = told(desk, {"each": {"control": "map", "over": "x", "uses": "echo", "params": {"x": [1, 2]}}})
    story.tell(1, NodeStarted, node="each", items=2)
    story.tell(2, ItemCompleted, node="each", item=0, seconds=0.75)
    assert story.metrics(3).work == 0.75
    story.tell(3, NodeRetrying, node="each", item=1, attempt=1, delay=0.0, error=BROKEN)
    story.tell(4, ItemCompleted, node="each", item=1, seconds=1.25)
    story.tell(4, NodeCompleted, node="each", seconds=3.0, work=2.0)
    (node,) = story.metrics(4).nodes
    assert (node.operation, node.work, node.seconds, node.retries) == ("t.t.echo", 2.0, 3.0, 1)


def test_work_inside_of_workflows_is_told_once_and_waits_from_when_they_began(desk):
    inner = desk.flow({"s": "echo"}, ["$inputs.x -> s.x"], inputs={"x": {}}, outputs={"x": "s.result"})
    loop = {"control": "loop", "uses": "#again", "params": {"x": 0}, "carry": {"x": "x"}, "until": "x > 1", "max_iterations": 2}  # fmt: skip
    story = told(desk, {"grow": loop}, workflows={"again": inner})
    story.tell(10, NodeStarted, node="grow", items=2)
    story.node("grow[0]/s", 11, 13, work=2.0)
    story.tell(14, ItemCompleted, node="grow", item=0, seconds=2.0)
    story.node("grow[1]/s", 17, 18, work=1.0)
    story.tell(18, ItemCompleted, node="grow", item=1, seconds=1.0)
    story.tell(18, NodeCompleted, node="grow", seconds=8.0, work=3.0)
    metrics, nodes = story.metrics(18), story.nodes()
    assert metrics.work == 3.0 and nodes["grow"].work == 0.0
    assert [nodes[name].queued for name in ("grow", "grow[0]/s", "grow[1]/s")] == [10.0, 1.0, 3.0]
    assert (metrics.critical_path, metrics.critical_seconds) == (("grow",), 8.0)
    assert [group.name for group in metrics.operations] == ["t.t.echo"]
    assert [(group.name, group.nodes) for group in metrics.extensions] == [("t.t", 2)]


def test_after_a_crash_the_first_nodes_inside_wait_from_when_their_owner_began_again(desk):
    inner = desk.flow({"s": "echo", "t": "echo"}, ["$inputs.x -> s.x", "s -> t"], inputs={"x": {}}, outputs={"x": "t.result"})  # fmt: skip
    loop = {"control": "loop", "uses": "#again", "params": {"x": 0}, "carry": {"x": "x"}, "until": "x > 1", "max_iterations": 2}  # fmt: skip
    nodes = {
        "before": "echo",
        "each": {"control": "map", "uses": "#again", "over": "x", "params": {"x": [1]}},
        "sub": {"control": "subworkflow", "uses": "#again", "params": {"x": 1}},
        "grow": loop,
    }
    story = told(
        desk, nodes, ["before -> each", "before -> sub", "before -> grow"], workflows={"again": inner}
    )
    story.node("before", 1, 5)
    for at, owner in ((6, "each"), (7, "sub"), (8, "grow")):
        story.tell(at, NodeStarted, node=owner, items=0 if owner == "sub" else 2)
    for at, name in ((9, "each[0]/s"), (9, "sub/s"), (10, "grow[0]/s")):
        story.node(name, at, at + 1, work=1.0)
    story.node("grow[0]/t", 12, 13, work=1.0)
    story.tell(13, ItemCompleted, node="grow", item=0, seconds=2.0)
    story.tell(14, NodeStarted, node="sub/t")  # and then its process dies
    story.tell(100, RunResumed)
    for at, owner in ((101, "each"), (102, "sub"), (103, "grow")):
        story.tell(at, NodeStarted, node=owner, items=0 if owner == "sub" else 2)
    for at, name in ((105, "each[0]/t"), (106, "sub/t"), (107, "grow[1]/s")):
        story.node(name, at, at + 1, work=1.0)
    story.tell(110, NodeStarted, node="grow[1]/t")
    nodes = story.nodes(111)
    waited = {
        "before": 1,
        "each": 1,
        "sub": 2,
        "grow": 3,
        "each[0]/s": 3,
        "sub/s": 2,
        "grow[0]/s": 2,
        "grow[0]/t": 1,
    }
    waited |= {"each[0]/t": 5, "sub/t": 6, "grow[1]/s": 4, "grow[1]/t": 2}
    assert {name: node.queued for name, node in nodes.items()} == waited
    assert story.metrics(111).queued.count == 9
    status = story.measures.ledger.status("r", "flow", durable=0, now=START + 111)
    finished = {
        "each[0]/s",
        "sub/s",
        "grow[0]/s",
        "grow[0]/t",
    }  # a status tells of the time since the run went on
    assert {one.node: one.queued for one in status.nodes if one.node not in finished | {"before"}} == {
        name: wait for name, wait in waited.items() if name not in finished | {"before"}
    }


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
@example([1.0])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values):
    found = spread(values)
    for percent, value in ((50, found.p50), (95, found.p95), (99, found.p99)):
        needed = math.ceil(percent * len(values) / 100)
        assert value in values
        assert sum(one <= value for one in values) >= needed
        assert sum(one < value for one in values) < needed
    assert (found.count, found.largest) == (len(values), max(values))
    assert found.total == pytest.approx(sum(values))


@given(st.data())
@settings(deadline=None)
def test_nothing_but_waits_lies_between_the_nodes_of_the_critical_path(new_desk, data):
    count = data.draw(st.integers(1, 7))
    edges = data.draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=12))
    edges = sorted((low, high) for low, high in edges if low < high)
    waits, took = (
        data.draw(st.lists(st.integers(0, 20), min_size=count, max_size=count)) for _ in ("wait", "time")
    )
    flow = new_desk.flow(
        new_desk, {f"n{n}": "echo" for n in range(count)}, [f"n{low} -> n{high}" for low, high in edges]
    )
    graph = Graph(from_document(flow))
    began, ended = {}, {}
    for n in range(count):  # each as soon as those before it have ended and it has waited for a place
        free = max((ended[low] for low, high in edges if high == n), default=0)
        began[n], ended[n] = free + waits[n], free + waits[n] + took[n]
    number = [graph.index[f"n{n}"] for n in range(count)]

    def named(times):
        return {number[n]: float(at) for n, at in times.items()}

    path = [int(graph.nodes[one].id[1:]) for one in critical_path(graph, named(began), named(ended))]
    assert all(pair in edges for pair in itertools.pairwise(path))
    assert sum(waits[n] + took[n] for n in path) == ended[path[-1]] == max(ended.values())


def test_the_critical_path_is_what_a_run_waited_for_not_the_longest_chain(desk):
    story = told(desk, {"a": "echo", "b": "echo", "c": "echo", "d": "echo"}, ["a -> b", "c -> d"])
    story.node("a", 0, 1, work=1.0)
    story.node("c", 1, 6, work=5.0)
    story.node("d", 6, 9, work=3.0)
    story.node("b", 9, 10, work=1.0)  # had to wait for the only place
    metrics = story.metrics(10)
    assert (metrics.critical_path, metrics.critical_seconds) == (("a", "b"), 2.0)
    assert metrics.overhead == 8.0  # a free place for b would have saved up to that


def test_the_critical_path_passes_over_what_was_skipped_or_taken_over(desk):
    story = told(desk, {"a": "echo", "b": "echo", "c": "echo"}, ["a -> b", "b -> c"])
    story.node("a", 0, 2, work=2.0)
    story.tell(2, NodeReused, node="b", origin="old", seconds=9.0)
    story.tell(3, NodeStarted, node="c")
    assert story.metrics(7).critical_path == ("a", "c")  # it still runs
    story.tell(8, NodeSkipped, node="c", reason="no need")
    assert story.metrics(9).critical_path == ("a", "c")


def test_a_join_that_takes_the_first_is_on_the_critical_path_with_that(desk):
    nodes = {"a": "echo", "b": "echo", "either": {"control": "join", "wait": "any"}, "end": "echo"}
    story = told(desk, nodes, ["a.result -> either.a", "b.result -> either.b", "either -> end"])
    story.tell(0, NodeStarted, node="a")
    story.node("b", 0, 2, work=2.0)
    story.node("either", 2, 2)
    story.tell(3, NodeCompleted, node="a", seconds=3.0)
    story.node("end", 4, 6, work=2.0)
    assert story.metrics(6).critical_path == ("b", "either", "end")


FATES = st.sampled_from(["echo", "echo", "boom", "flaky"])


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    fates=st.lists(FATES, min_size=1, max_size=7),
    edges=st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=10),
    kinds=st.lists(st.sampled_from(["plain", "map", "inner"]), min_size=7, max_size=7),
    cuts=st.sets(st.integers(1, 60), max_size=5),
)
def test_live_piece_by_piece_and_from_the_log_a_run_took_the_same(new_desk, fates, edges, kinds, cuts):
    with tempfile.TemporaryDirectory() as directory:
        check(new_desk(Path(directory)), fates, edges, kinds, cuts)


def check(desk, fates, edges, kinds, cuts):
    @desk.operation("flaky")
    async def flaky(call, **inputs):
        if call.attempt == 1:
            raise desk.Retryable("first")
        return {"result": 1}

    nodes = {}
    for number, fate in enumerate(fates):
        retry = {"attempts": 2}
        nodes[f"n{number}"] = {
            "plain": {"uses": fate, "retry": retry},
            "map": {"control": "map", "over": "x", "uses": fate, "params": {"x": [0, 1]}, "retry": retry},
            "inner": {"control": "subworkflow", "uses": f"#{fate}"},
        }[kinds[number]]
    lines = [f"n{low} -> n{high}" for low, high in edges if low < high < len(fates)]
    inner = {fate: desk.flow({"s": fate, "e": "echo"}, ["s -> e"]) for fate in ("echo", "boom", "flaky")}
    used = {fates[number] for number in range(len(fates)) if kinds[number] == "inner"}
    flow = desk.flow(nodes, lines, workflows={fate: inner[fate] for fate in used})

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            asked = [
                await tracker.metrics(run) async for event in tracker.events(run) if event.sequence in cuts
            ]
            if (await tracker.status(run)).state == "failed":
                seen = (await tracker.status(run)).durable
                await tracker.resume(run)
                asked.append(await tracker.metrics(run))
                await desk.follow(tracker, run, seen)
            last = await tracker.metrics(run)
        async with desk.open() as tracker:
            assert await tracker.metrics(run) == last
            return asked, last, await desk.follow(tracker, run)

    asked, last, events = desk.play(story())
    assert (last.sequence, last.wall) >= (len(events), last.critical_seconds)
    graph = Graph(from_document(flow))
    measures = Measures(graph)
    for event in events:  # the graph grows with them, as it does in a run that is under way
        measures.apply(event)
    pieces = Measures(graph)
    for event in events:
        pieces.apply(event)
        if event.sequence in cuts:
            run_metrics(pieces, list(graph.order), last.run, "flow", "running", pieces.last)
    for one in (measures, pieces):
        again = run_metrics(one, list(graph.order), last.run, last.workflow, last.state, one.last)
        assert again == last
    for before in asked:
        fresh = Measures(Graph(from_document(flow)))
        for event in events[: before.sequence]:
            fresh.apply(event)
        then = run_metrics(
            fresh, list(fresh.ledger.graph.order), before.run, before.workflow, before.state, fresh.last
        )
        assert steady(before) == steady(then)


def steady(metrics):
    """What does not depend on when it was asked."""
    return (
        metrics.states,
        metrics.retries,
        metrics.work,
        (metrics.received, metrics.produced),
        [
            node
            if node.state in ("completed", "failed", "skipped")
            else msgspec.structs.replace(node, seconds=0.0)
            for node in metrics.nodes
        ],
    )


def test_a_run_that_nobody_asks_about_keeps_no_measures(desk):
    opened, reached = desk.gate()

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"a": "gated"})))
            await reached.wait()
            assert not tracker._metering._meters
            first = await tracker.metrics(run)
            assert len(tracker._metering._meters) == 1
            assert first.states == {"running": 1} and first.nodes[0].seconds <= first.wall
            both = await asyncio.gather(tracker.metrics(run), tracker.metrics(run))
            assert [one.sequence for one in both] == [first.sequence] * 2
            opened.set()
            await desk.follow(tracker, run)
            assert (await tracker.metrics(run)).states == {"completed": 1}

    desk.play(story())


def test_compacting_the_log_of_a_run_changes_nothing_of_what_it_took(desk):
    @desk.operation("flaky")
    async def flaky(call, **inputs):
        if call.attempt == 1:
            raise desk.Retryable("first")
        return {"result": 1}

    retry = {"attempts": 2}
    each = {"control": "map", "over": "x", "uses": "flaky", "params": {"x": [1, 2, 3]}, "retry": retry}
    flow = desk.flow({"a": {"uses": "flaky", "retry": retry}, "each": each}, ["a -> each"])

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            before = await tracker.metrics(run)
            (compacted,) = await tracker.compact([run])
            assert compacted.events > 0
            assert await tracker.metrics(run) == before
            assert (before.retries, before.nodes[0].retries) == (4, 1)

    desk.play(story())


def test_a_listed_run_says_how_much_of_it_is_durable(desk):
    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, desk.flow({"a": "echo"}))
        async with desk.open() as other:
            (status,) = await other.runs()
            assert status.durable == len(events) == (await other.status(run)).durable

    desk.play(story())

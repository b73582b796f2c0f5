"""How long nodes and runs may take and be silent, and what becomes of calls whose place is lost."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.journal import NOTHING
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.recovery import replay
from symphony_sdk import Context, operator
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeStarted,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    RunSteered,
)
from symphony_sdk.ports import NodeEvent, RunPolicy
from symphony_sdk.testing.fakes import FakeExtensions
from symphony_sdk.values import encode
from symphony_workflow import from_document


def asked(desk, flow, **policy):
    return msgspec.structs.replace(desk.request(flow), policy=RunPolicy(**policy))


def brings(desk, *, idempotent):
    """Let the desk have an extension that brings the operation `do`."""

    @operator("t.t.do", idempotent=idempotent)
    def do(ctx: Context) -> int:
        return 1

    desk.services.extensions = FakeExtensions(do, extension="t.t")


@pytest.fixture
def at_once(monkeypatch):
    """Wait for no grace."""
    monkeypatch.setattr("pit_dag_tracker.watch.GRACE", 0.01)
    monkeypatch.setattr("pit_dag_tracker.dispatcher.GRACE", 0.01)


def errors(events):
    return [event.error.code for event in events if isinstance(event, NodeFailed)]


# -- one call -----------------------------------------------------------------------------------------


def test_a_call_that_says_nothing_is_told_to_stop_and_fails(desk):
    stopped = []

    @desk.operation("do")
    async def do(call):
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(call.attempt)

    flow = desk.flow({"a": {"uses": "do", "idle_timeout": 0.02}, "b": "echo"}, ["a -> b"])

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
            assert errors(events) == ["SYM-R090"]
            assert await desk.states(tracker, run) == {"a": "failed", "b": "skipped"}
        assert stopped == [1]
        assert desk.executor.cancels == [(run, "a", False)]

    desk.play(story())


def test_a_call_that_says_how_far_it_is_may_take_as_long_as_it_likes(desk):
    told = asyncio.Event()

    class Telling(type(desk.executor)):
        """Reports progress more often than the node may be silent, for longer than that."""

        async def _run(self, call, on_event):
            on_event(NodeEvent(call, "started"))
            loop = asyncio.get_running_loop()
            until = loop.time() + 0.5
            while loop.time() < until:
                on_event(NodeEvent(call, "progressed", fraction=0.5))
                await asyncio.sleep(0)
            told.set()
            on_event(NodeEvent(call, "completed", outputs={"result": encode(1)}))

    desk.executor.__class__ = Telling
    flow = desk.flow({"a": {"uses": "do", "idle_timeout": 0.25}})

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, flow)
        assert isinstance(events[-1], RunCompleted)
        assert told.is_set()
        assert desk.executor.cancels == []

    desk.play(story())


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_silent_call_is_tried_again_only_if_its_operation_may_run_twice(desk, idempotent):
    brings(desk, idempotent=idempotent)

    @desk.operation("do")
    async def do(call):
        if call.attempt == 1:
            await asyncio.Event().wait()
        return {"result": 1}

    flow = desk.flow({"a": {"uses": "do", "idle_timeout": 0.02, "retry": {"attempts": 2}}})

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, flow)
        if idempotent:
            assert [event.error.code for event in events if isinstance(event, NodeRetrying)] == ["SYM-R090"]
            assert isinstance(events[-1], RunCompleted)
        else:
            assert errors(events) == ["SYM-R090"]

    desk.play(story())


def test_only_the_silent_item_of_a_map_is_stopped(desk):
    silent, others = asyncio.Event(), []

    @desk.operation("do")
    async def do(call, x):
        if x == 0:
            silent.set()
            await asyncio.Event().wait()
        others.append(x)
        return {"result": x}

    flow = desk.flow(
        {
            "each": {
                "control": "map",
                "uses": "do",
                "over": "x",
                "params": {"x": [0, 1, 2, 3]},
                "idle_timeout": 0.05,
                "on_error": "collect",
            }
        },
        outputs={"results": "each.results", "errors": "each.errors"},
    )

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            outputs = await desk.outputs(tracker, run)
        assert outputs["results"] == [None, 1, 2, 3]
        assert [error["code"] for error in outputs["errors"]] == ["SYM-R090"]

    desk.play(story())


def test_a_timeout_holds_where_the_executor_does_nothing_about_it(desk, at_once):
    desk.executor.deaf = True  # it stops calls by force alone

    @desk.operation("do")
    async def do(call):
        await asyncio.Event().wait()

    flow = desk.flow({"a": {"uses": "do", "timeout": 0.01}})

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
        assert errors(events) == ["SYM-R089"]
        assert desk.executor.cancels == [(run, "a", True)]

    desk.play(story())


@pytest.mark.parametrize("bound", ["timeout", "idle_timeout"])
def test_a_call_that_is_never_reported_is_given_up(desk, at_once, bound):
    desk.executor.cancel = lambda run, node="", *, item=-1, force=False: None
    opened, reached = desk.gate("do")
    flow = desk.flow({"a": {"uses": "do", bound: 0.01}, "b": "echo"})

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, flow)
            assert errors(events) == ["SYM-R089" if bound == "timeout" else "SYM-R090"]
            assert reached.is_set()
            opened.set()  # what it reports then, nobody takes

    desk.play(story())


# -- a whole run --------------------------------------------------------------------------------------


def test_a_run_that_takes_too_long_is_stopped_and_says_so(desk):
    _, reached = desk.gate("do")
    flow = desk.flow({"a": "echo", "b": "do", "c": "echo"}, ["a -> b", "b -> c"])

    async def story():
        timeout = 0.2
        async with desk.open() as tracker:
            while not reached.is_set():  # on a busy machine the time is over before that
                desk.executor.calls.clear()
                run = await tracker.start(asked(desk, flow, timeout=timeout))
                events = await desk.follow(tracker, run)
                assert isinstance(events[-1], RunFailed)
                assert events[-1].error.code == "SYM-R091"
                assert all(call.timeout <= timeout for call in desk.executor.calls)
                timeout *= 2
            states = {"a": "completed", "b": "cancelled", "c": "cancelled"}
            assert await desk.states(tracker, run) == states
        async with desk.open() as tracker:
            assert await desk.states(tracker, run) == states

    desk.play(story())


def test_what_is_left_to_the_run_bounds_its_calls_and_they_may_bound_themselves_more(desk):
    flow = desk.flow({"a": {"uses": "echo", "timeout": 5.0}, "b": {"uses": "echo", "timeout": 5000.0}})

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(asked(desk, flow, timeout=1000.0))
            await desk.follow(tracker, run)
        by_node = {call.node: call.timeout for call in desk.executor.calls}
        assert by_node["a"] == 5.0
        assert 900.0 < by_node["b"] <= 1000.0

    desk.play(story())


def test_a_run_that_was_too_late_gets_its_time_anew_when_it_is_resumed(desk):
    @desk.operation("do")
    async def do(call):
        if call.attempt == 1:
            await asyncio.Event().wait()
        return {"result": 1}

    async def late(tracker, timeout):
        """A run that is late, and the events after it was resumed."""
        run = await tracker.start(asked(desk, desk.flow({"a": "do"}), timeout=timeout))
        events = await desk.follow(tracker, run)
        assert events[-1].error.code == "SYM-R091"
        await tracker.resume(run)
        return await desk.follow(tracker, run, len(events))

    async def story():
        timeout = 0.2
        async with desk.open() as tracker:
            while not isinstance((await late(tracker, timeout))[-1], RunCompleted):
                timeout *= 2  # it was late again, on a busy machine

    desk.play(story())


def test_the_time_that_a_run_has_spent_is_computed_from_its_events(desk):
    def at(moment, kind, **fields):
        nonlocal sequence
        sequence += 1
        return kind(run="r", sequence=sequence, at=moment, **fields), NOTHING

    sequence = 0
    ledger = Ledger(Graph(from_document(desk.flow({"a": "echo", "b": "echo"}))))
    replay(
        [
            at(100.0, RunStarted, workflow="flow", nodes=2),
            at(103.0, RunPaused),
            at(200.0, RunSteered, command="resume"),
            at(200.0, RunResumed),
            at(201.0, NodeStarted, node="a"),
            at(204.0, NodeCompleted, node="a", seconds=3.0),  # and then its process died
            at(300.0, RunSteered, command="resume"),
            at(300.0, RunResumed),
        ],
        ledger,
    )
    assert ledger.spent == pytest.approx(3.0 + 4.0)
    failed = ErrorPayload("SYM-R091", "late")
    replay([at(310.0, RunFailed, error=failed), at(320.0, RunResumed)], ledger)
    assert ledger.spent == 0.0


# -- places that are lost -----------------------------------------------------------------------------


class LosingExecutor:
    """Loses the first so many attempts at each node with the place where they are made."""

    name, slots, capacity = "local", 2, None

    def __init__(self, losses, *, retryable=True):
        self.losses = losses
        self.retryable = retryable
        self.calls = []

    async def start(self): ...

    def can_place(self, resources):
        return True

    def submit(self, batch, on_event):
        for call in batch:
            self.calls.append(call)
            on_event(NodeEvent(call, "started"))
            lost = sum(one.node == call.node and one.item == call.item for one in self.calls)
            if lost <= self.losses:
                error = ErrorPayload("SYM-T003", "it is gone")
                place = f"machine-{lost}"
                on_event(NodeEvent(call, "lost", error=error, retryable=self.retryable, place=place))
            else:
                on_event(NodeEvent(call, "completed", outputs={"result": encode(1)}))

    def cancel(self, run, node="", *, item=-1, force=False): ...

    async def stop(self): ...


def test_a_call_that_is_lost_runs_again_whatever_its_retry_policy(desk):
    desk.services.executors["local"] = desk.executor = LosingExecutor(3)
    flow = desk.flow({"a": "do", "b": "do"}, ["a -> b"])

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
            assert isinstance(events[-1], RunCompleted)
            assert {node.attempt for node in (await tracker.status(run)).nodes} == {4}
        assert [call.attempt for call in desk.executor.calls if call.node == "a"] == [1, 2, 3, 4]
        assert len({call.idempotency_key for call in desk.executor.calls}) == 8
        retrying = [event for event in events if isinstance(event, NodeRetrying)]
        assert [(event.attempt, event.delay) for event in retrying] == 2 * [(1, 0.0), (2, 0.0), (3, 0.0)]

    desk.play(story())


def test_a_call_that_is_lost_four_times_in_a_row_fails_and_names_the_places(desk):
    desk.services.executors["local"] = desk.executor = LosingExecutor(4)

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, desk.flow({"a": "do"}))
        (failed,) = [event for event in events if isinstance(event, NodeFailed)]
        assert failed.error.code == "SYM-R088"
        assert failed.error.details["places"] == ["machine-1", "machine-2", "machine-3", "machine-4"]
        assert len(desk.executor.calls) == 4

    desk.play(story())


def test_a_lost_call_that_must_not_run_twice_fails_at_once_with_what_happened(desk):
    desk.services.executors["local"] = desk.executor = LosingExecutor(1, retryable=False)
    flow = desk.flow({"a": {"uses": "do", "retry": {"attempts": 5}}})

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, flow)
        assert errors(events) == ["SYM-T003"]
        assert len(desk.executor.calls) == 1

    desk.play(story())


def test_a_lost_item_of_a_map_runs_again_alone(desk):
    desk.services.executors["local"] = desk.executor = LosingExecutor(2)
    flow = desk.flow(
        {"each": {"control": "map", "uses": "do", "over": "x", "params": {"x": [5, 6, 7]}}},
        outputs={"results": "each.results"},
    )

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            assert await desk.outputs(tracker, run) == {"results": [1, 1, 1]}
        attempts = {
            item: [call.attempt for call in desk.executor.calls if call.item == item] for item in range(3)
        }
        assert attempts == {0: [1, 2, 3], 1: [1, 2, 3], 2: [1, 2, 3]}

    desk.play(story())


# -- order --------------------------------------------------------------------------------------------


def test_the_way_that_took_longest_last_time_goes_first_though_others_have_more_nodes(
    new_desk, tmp_path, monkeypatch
):
    desk = new_desk(tmp_path, slots=1)
    desk.executor.seconds = 1.0  # each call is a batch of its own
    now = 1e9
    monkeypatch.setattr("pit_dag_tracker.journal.time", SimpleNamespace(time=lambda: now))

    @desk.operation("slow")
    async def slow(call):
        nonlocal now
        await asyncio.sleep(0)  # that it has begun is told before
        now += 0.2
        return {"result": 1}

    flow = desk.flow(
        {"a": "echo", "b": "echo", "c": "echo", "d": "echo", "z": "slow"},
        ["a -> b", "b -> c", "c -> d"],
    )

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow)
            assert desk.called()[0] == "a"  # by count, the chain of four is the longest way
            desk.executor.calls.clear()
            await desk.run(tracker, flow)
            assert desk.called()[0] == "z"

    desk.play(story())


def test_a_map_of_a_million_items_puts_only_those_in_line_that_can_be_out(desk):
    desk.executor.operations["t.t.do"] = None
    held = 0

    def submit(batch, on_event):
        nonlocal held
        held += len(batch)
        desk.executor.calls.extend(batch)

    flow = desk.flow(
        {
            "each": {
                "control": "map",
                "uses": "do",
                "over": "x",
                "max_items": None,
                "concurrency": 10_000,
            }
        },
        ["$inputs.x -> each.x"],
        inputs={"x": {}},
    )

    async def story():
        async with desk.open() as tracker:
            desk.executor.submit = submit
            run = await tracker.start(desk.request(flow, x=[0] * 1_000_000))
            async for event in tracker.events(run):
                if isinstance(event, NodeStarted):
                    break
            dispatcher = tracker._live[run]._dispatcher
            assert len(dispatcher._waiting) + held <= dispatcher.most < 1000
            for call in list(desk.executor.calls):
                dispatcher._on_event(NodeEvent(call, "failed", error=ErrorPayload("TEST-001", "no")))
            await desk.follow(tracker, run)

    desk.play(story())


def test_a_run_that_waits_for_a_person_for_too_long_fails(desk):
    flow = desk.flow({"sure": {"control": "approval", "prompt": "Go on?"}, "b": "echo"}, ["sure -> b"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(asked(desk, flow, timeout=0.2))
            events = await desk.follow(tracker, run)
            assert events[-1].error.code == "SYM-R091"
            assert await desk.states(tracker, run) == {"sure": "cancelled", "b": "cancelled"}

    desk.play(story())


def test_a_pause_neither_counts_nor_gives_a_run_more_time(desk):
    opened, reached = desk.gate("do")

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(asked(desk, desk.flow({"a": "do"}), timeout=1000.0))
            await reached.wait()
        async with desk.open() as tracker:
            opened.set()
            await tracker.resume(run)
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunCompleted)
        ended = next(event for event in events if isinstance(event, RunPaused))
        spent = ended.at - events[0].at
        first, second = (call.timeout for call in desk.executor.calls)
        assert second <= 1000.0 - spent < 1000.0
        assert second < first

    desk.play(story())


def test_a_run_made_from_another_is_run_as_that_one(desk):
    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(asked(desk, desk.flow({"a": "echo"}), weight=3.0, on_failure="isolate"))
            await desk.follow(tracker, run)
            new = await tracker.rerun(run, nodes=["a"])
            await desk.follow(tracker, new)
            assert (await tracker.request(new)).policy == RunPolicy(weight=3.0, on_failure="isolate")

    desk.play(story())


def test_a_skipped_node_whose_call_is_never_reported_keeps_no_run_from_its_end(desk, at_once):
    opened, reached = desk.gate("do")
    cancels = []
    desk.executor.cancel = lambda run, node="", *, item=-1, force=False: cancels.append((node, force))

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"a": "do", "b": "echo"})))
            await reached.wait()
            await tracker.skip(run, "a")
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunCompleted)
            assert cancels == [("a", False), ("a", True)]
            opened.set()

    desk.play(story())


def test_only_the_kinds_of_error_that_a_node_names_are_tried_again_and_chance_shortens_the_waits(desk):
    @desk.operation("flaky")
    async def flaky(call):
        raise desk.Retryable("no")

    policy = {"attempts": 4, "delay": 0.01, "factor": 1.0, "jitter": 0.5}
    flow = desk.flow(
        {
            "tried": {"uses": "flaky", "retry": {**policy, "on": ["TEST-0"]}},
            "once": {"uses": "flaky", "retry": {**policy, "on": ["SYM-T"]}},
        }
    )

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, flow)
        delays = {event.node: [] for event in events if isinstance(event, NodeRetrying)}
        for event in events:
            if isinstance(event, NodeRetrying):
                delays[event.node].append(event.delay)
        assert list(delays) == ["tried"]
        assert len(delays["tried"]) == 3
        assert all(0.005 <= delay <= 0.01 for delay in delays["tried"])

    desk.play(story())


def test_nodes_weigh_what_they_took_and_those_inside_of_others_are_as_urgent_as_these(desk):
    inner = desk.flow({"x": "echo", "y": "echo"}, ["x -> y"])
    flow = desk.flow(
        {"a": "echo", "b": "echo", "sub": {"control": "subworkflow", "uses": "#inner"}, "new": "echo"},
        ["a -> b", "sub -> b"],
        workflows={"inner": inner},
    )
    graph = Graph(from_document(flow))
    counts = dict(zip(graph.names, graph.priority, strict=True))
    assert counts == {"a": 2, "b": 1, "sub": 2, "new": 1}
    graph.weigh(dict.fromkeys(counts, 0.001))
    assert counts == dict(zip(graph.names, graph.priority, strict=True))
    graph.weigh({"a": 0.1, "b": 0.5, "sub": 0.3, "sub/x": 0.3, "sub/y": 0.0})
    graph.instance(graph.index["sub"], -1)
    weights = dict(zip(graph.names, graph.priority, strict=True))
    assert weights == {"a": 60, "b": 50, "sub": 80, "new": 24, "sub/x": 111, "sub/y": 81}

"""Switches, joins, loops, sub-workflows, maps over workflows, approvals and computed values, as a run executes them."""

import asyncio

import pytest
from symphony_sdk.errors import RunError, WorkflowError
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunCompleted,
    RunFailed,
    RunPaused,
)
from symphony_sdk.ports import Resources


async def until(tracker, run, kind, count=1):
    """The events of a run up to the `count`th of a kind."""
    seen = []
    async for event in tracker.events(run):
        seen.append(event)
        count -= isinstance(event, kind)
        if not count:
            return seen
    raise AssertionError(f"no such event among {seen}")


def run_once(desk, flow, **inputs):
    """The events, states and outputs of a run from its start to its end."""

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow, **inputs)
            outputs = await desk.outputs(tracker, run) if isinstance(events[-1], RunCompleted) else None
            states = await desk.states(tracker, run)
        async with desk.open() as tracker:  # the log tells the same
            assert await desk.follow(tracker, run) == events
            assert await desk.states(tracker, run) == states
        return events, states, outputs

    return desk.play(story())


def failure(events):
    return next(event.error for event in events if isinstance(event, NodeFailed))


@pytest.fixture
def add(desk):
    @desk.operation("add")
    async def add(call, x, by=1):
        return {"result": x + by}


# -- switch ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count, way", [(0, "none"), (1, "few"), (5, "few"), (6, "default")])
def test_a_switch_takes_the_first_case_that_holds_and_skips_what_follows_the_others(desk, count, way):
    cases = [{"port": "none", "condition": "count == 0"}, {"port": "few", "condition": "count <= 5"}]
    flow = desk.flow(
        {"pick": {"control": "switch", "cases": cases, "params": {"value": "v"}}, "none": "echo", "few": "echo", "default": "echo"},
        ["$inputs.count -> pick.count", *(f"pick.{port} -> {port}.x" for port in ("none", "few", "default"))],
        inputs={"count": {}},
        outputs={"out": f"{way}.result"},
    )  # fmt: skip
    _, states, outputs = run_once(desk, flow, count=count)
    assert outputs == {"out": "v"}
    assert {node for node, state in states.items() if state == "completed"} == {"pick", way}


def test_a_switch_whose_condition_cannot_be_evaluated_fails(desk):
    flow = desk.flow({"pick": {"control": "switch", "cases": [{"port": "a", "condition": "x > 1"}]}})
    events, states, _ = run_once(desk, flow)
    assert states == {"pick": "failed"}
    assert "x" in failure(events).message


# -- join --------------------------------------------------------------------------------------------


def joined(desk, **join):
    """A branch whose two ways meet again."""
    return desk.flow(
        {"way": {"control": "branch", "condition": "value > 1"}, "big": "echo", "small": "echo",
         "meet": {"control": "join", **join}, "after": "echo"},
        ["$inputs.n -> way.value", "way.then -> big.x", "way.else -> small.x", "big.result -> meet.big",
         "small.result -> meet.small", "meet.value -> after.x"],
        inputs={"n": {}},
        outputs={"value": "after.result", "values": "meet.values"},
    )  # fmt: skip


@pytest.mark.parametrize("wait", ["all", "any", 1])
@pytest.mark.parametrize("n, way", [(2, "big"), (1, "small")])
def test_a_join_runs_although_one_way_to_it_was_skipped(desk, wait, n, way):
    _, states, outputs = run_once(desk, joined(desk, wait=wait), n=n)
    assert outputs == {"value": n, "values": {way: n}}
    assert states["meet"] == states["after"] == "completed"


def test_a_join_is_skipped_where_fewer_can_arrive_than_it_waits_for(desk):
    events, states, _ = run_once(desk, joined(desk, wait=2), n=2)
    assert states["meet"] == states["after"] == "skipped"
    reasons = {event.node: event.reason for event in events if isinstance(event, NodeSkipped)}
    assert reasons["meet"] == "1 of 2 that it waits for arrived"


@pytest.mark.parametrize("wait", ["all", "any", 2])
def test_a_join_is_skipped_where_nothing_arrives(desk, wait):
    flow = desk.flow(
        {"no": {"control": "branch", "condition": "false"}, "a": "echo", "b": "echo", "meet": {"control": "join", "wait": wait}},
        ["no.then -> a.x", "no.then -> b.x", "a.result -> meet.a", "b -> meet"],
    )  # fmt: skip
    _, states, _ = run_once(desk, flow)
    assert states["meet"] == "skipped"


def test_a_join_for_any_runs_before_the_others_have_ended_and_passes_on_what_came_first(desk):
    gate = asyncio.Event()

    @desk.operation("slow")
    async def slow(call):
        await gate.wait()
        return {"result": "late"}

    flow = desk.flow(
        {"a": "slow", "b": "echo", "meet": {"control": "join", "wait": "any"}, "after": "open"},
        ["a.result -> meet.a", "b.result -> meet.b", "meet.value -> after.x"],
        outputs={"first": "after.result", "values": "meet.values"},
    )

    @desk.operation("open")
    async def opens(call, x):
        gate.set()
        return {"result": x}

    _, states, outputs = run_once(desk, flow)
    assert outputs == {"first": "b", "values": {"b": "b"}}
    assert set(states.values()) == {"completed"}


def test_a_join_for_all_has_every_value_and_its_fixed_ones_and_passes_on_the_first_by_name(desk):
    flow = desk.flow(
        {"b": "echo", "c": "echo", "meet": {"control": "join", "params": {"d": 1}}},
        ["b.result -> meet.b", "c.result -> meet.c"],
        outputs={"value": "meet.value", "values": "meet.values"},
    )
    _, _, outputs = run_once(desk, flow)
    assert outputs == {"value": "b", "values": {"b": "b", "c": "c", "d": 1}}


def test_a_join_counts_edges_without_values_and_conditions_that_hold(desk):
    flow = desk.flow(
        {"a": "echo", "meet": {"control": "join", "wait": 2}, "none": {"control": "join"}},
        ["a -> meet", "a -> meet if result == 'a'", "a -> none if result == 'b'"],
        outputs={"value": "meet.value", "values": "meet.values"},
    )
    _, states, outputs = run_once(desk, flow)
    assert outputs == {"value": None, "values": {}}
    assert states["none"] == "skipped"


def test_a_join_for_all_is_skipped_where_one_failed_but_one_for_any_runs(desk):
    flow = desk.flow(
        {"a": "boom", "b": "echo", "all": {"control": "join"}, "any": {"control": "join", "wait": "any"}},
        ["a.result -> all.a", "b.result -> all.b", "a.result -> any.a", "b.result -> any.b"],
    )
    _, states, _ = run_once(desk, flow)
    assert states == {"a": "failed", "b": "completed", "all": "skipped", "any": "completed"}


# -- loop --------------------------------------------------------------------------------------------


def counting(desk, **fields):
    loop = {
        "control": "loop",
        "uses": "add",
        "params": {"x": 0},
        "until": "result >= 5",
        "max_iterations": 10,
    }
    return desk.flow(
        {"grow": {**loop, "carry": {"x": "result"}, **fields}, "after": "echo"},
        ["grow.result -> after.x"],
        outputs={"result": "after.result", "iterations": "grow.iterations"},
    )


def test_a_loop_carries_outputs_to_the_next_iteration_until_its_condition_holds(desk, add):
    events, _, outputs = run_once(desk, counting(desk))
    assert outputs == {"result": 5, "iterations": 5}
    assert [event.item for event in events if isinstance(event, ItemCompleted)] == [0, 1, 2, 3, 4]
    assert [call.item for call in desk.executor.calls if call.node == "grow"] == [0, 1, 2, 3, 4]


def test_the_condition_of_a_loop_knows_the_iteration(desk, add):
    _, _, outputs = run_once(desk, counting(desk, until="iteration == 3"))
    assert outputs == {"result": 3, "iterations": 3}


def test_a_loop_that_reaches_its_bound_fails_or_completes_with_what_it_has(desk, add):
    events, states, _ = run_once(desk, counting(desk, max_iterations=3))
    assert failure(events).code == "SYM-R083"
    assert states == {"grow": "failed", "after": "skipped"}
    _, _, outputs = run_once(desk, counting(desk, max_iterations=3, on_limit="complete"))
    assert outputs == {"result": 3, "iterations": 3}


def test_a_loop_whose_condition_cannot_be_evaluated_or_whose_body_fails_fails(desk, add):
    events, _, _ = run_once(desk, counting(desk, until="nothing > 1"))
    assert "nothing" in failure(events).message
    events, _, _ = run_once(desk, counting(desk, uses="boom"))
    assert failure(events).message == "grow is broken"


def test_an_iteration_is_tried_again(desk):
    @desk.operation("flaky")
    async def flaky(call, x):
        if call.attempt == 1 and call.item == 1:
            raise desk.Retryable("once")
        return {"result": x + 1}

    events, _, outputs = run_once(desk, counting(desk, uses="flaky", retry={"attempts": 2}))
    assert outputs == {"result": 5, "iterations": 5}
    assert [event.item for event in events if isinstance(event, NodeRetrying)] == [1]


def test_a_loop_goes_on_at_its_iteration_after_a_pause(desk):
    async def story():
        reached = asyncio.Event()

        @desk.operation("add")
        async def add(call, x):
            if call.item == 2:
                reached.set()
            return {"result": x + 1}

        async with desk.open() as tracker:
            run = await tracker.start(desk.request(counting(desk)))
            await reached.wait()
            await tracker.pause(run)
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunPaused)
        done = [event.item for event in events if isinstance(event, ItemCompleted)]
        assert 2 in done and 4 not in done
        desk.executor.calls.clear()
        async with desk.open() as tracker:
            await tracker.resume(run)
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert await desk.outputs(tracker, run) == {"result": 5, "iterations": 5}
        assert [call.item for call in desk.executor.calls if call.node == "grow"] == list(range(len(done), 5))

    desk.play(story())


# -- workflows inside of a run -----------------------------------------------------------------------


def plus(desk, steps=2):
    """A workflow that adds 1 to its input `x` so many times."""
    nodes = {f"s{step}": "add" for step in range(steps)}
    edges = ["$inputs.x -> s0.x", *(f"s{step}.result -> s{step + 1}.x" for step in range(steps - 1))]
    return desk.flow(nodes, edges, inputs={"x": {}}, outputs={"sum": f"s{steps - 1}.result"})


def test_a_sub_workflow_runs_as_nodes_of_the_run_and_gives_its_outputs(desk, add):
    flow = desk.flow(
        {"a": {"uses": "add", "params": {"x": 1}}, "sub": {"control": "subworkflow", "uses": "#plus"}, "b": "add"},
        ["a.result -> sub.x", "sub.sum -> b.x"],
        outputs={"out": "b.result"},
        workflows={"plus": plus(desk)},
    )  # fmt: skip
    events, states, outputs = run_once(desk, flow)
    assert outputs == {"out": 5}
    assert list(states) == ["a", "sub", "sub/s0", "sub/s1", "b"]
    assert set(states.values()) == {"completed"}
    started = [event.node for event in events if isinstance(event, NodeStarted)]
    assert started == ["a", "sub", "sub/s0", "sub/s1", "b"]
    work = {event.node: event.work for event in events if isinstance(event, NodeCompleted)}
    assert work["sub"] == pytest.approx(work["sub/s0"] + work["sub/s1"])


def test_sub_workflows_run_inside_of_each_other(desk, add):
    middle = desk.flow(
        {"deep": {"control": "subworkflow", "uses": "#plus"}}, ["$inputs.y -> deep.x"],
        inputs={"y": {}}, outputs={"z": "deep.sum"},
    )  # fmt: skip
    flow = desk.flow(
        {"sub": {"control": "subworkflow", "uses": "#middle", "params": {"y": 1}}},
        outputs={"out": "sub.z"},
        workflows={"plus": plus(desk), "middle": middle},
    )
    _, states, outputs = run_once(desk, flow)
    assert outputs == {"out": 3}
    assert list(states) == ["sub", "sub/deep", "sub/deep/s0", "sub/deep/s1"]


def test_a_map_runs_a_workflow_for_each_item(desk, add):
    flow = desk.flow(
        {"each": {"control": "map", "uses": "#plus", "over": "x", "concurrency": 2}},
        ["$inputs.items -> each.x"],
        inputs={"items": {}},
        outputs={"out": "each.results"},
        workflows={"plus": plus(desk)},
    )
    events, states, outputs = run_once(desk, flow, items=[10, 20, 30])
    assert outputs == {"out": [12, 22, 32]}
    assert states["each[2]/s1"] == "completed"
    assert len(states) == 7
    assert sorted(event.item for event in events if isinstance(event, ItemCompleted)) == [0, 1, 2]
    running, most = set(), 0
    for event in events:
        if isinstance(event, NodeStarted) and event.node.endswith("s0"):
            running.add(event.node[:7])
        if isinstance(event, ItemCompleted):
            running.discard(f"each[{event.item}]")
        most = max(most, len(running))
    assert most == 2


def test_a_loop_runs_a_workflow_again_and_again(desk, add):
    flow = desk.flow(
        {"grow": {"control": "loop", "uses": "#plus", "params": {"x": 0}, "carry": {"x": "sum"}, "until": "sum > 4", "max_iterations": 9}},
        outputs={"out": "grow.sum", "iterations": "grow.iterations"},
        workflows={"plus": plus(desk)},
    )  # fmt: skip
    _, states, outputs = run_once(desk, flow)
    assert outputs == {"out": 6, "iterations": 3}
    assert [node for node in states if node.endswith("s1")] == [f"grow[{item}]/s1" for item in range(3)]


def broken(desk):
    return desk.flow(
        {"good": "echo", "bad": "maybe", "after": "echo"}, ["$inputs.x -> bad.x", "bad.result -> after.x"],
        inputs={"x": {}}, outputs={"out": "after.result"},
    )  # fmt: skip


def test_a_sub_workflow_fails_with_its_nodes_and_goes_on_from_there_when_resumed(desk):
    mended = False

    @desk.operation("maybe")
    async def maybe(call, x):
        if not mended:
            raise ValueError("not yet")
        return {"result": x}

    flow = desk.flow(
        {"sub": {"control": "subworkflow", "uses": "#broken", "params": {"x": 7}}, "end": "echo"},
        ["sub.out -> end.x"],
        outputs={"out": "end.result"},
        workflows={"broken": broken(desk)},
    )

    async def story():
        nonlocal mended
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
            assert isinstance(events[-1], RunFailed)
            errors = {event.node: event.error for event in events if isinstance(event, NodeFailed)}
            assert errors["sub"].code == "SYM-R087"
            assert "1 of 3 nodes failed: 'sub/bad'; 'sub/bad': not yet" in errors["sub"].message
            assert events[-1].error.details["nodes"] == ["sub"]
            mended = True
            desk.executor.calls.clear()
            await tracker.resume(run)
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert await desk.outputs(tracker, run) == {"out": 7}
            assert set((await desk.states(tracker, run)).values()) == {"completed"}
        assert desk.called() == ["sub/bad", "sub/after", "end"]

    desk.play(story())


def test_what_a_workflow_is_to_give_is_kept_over_a_restart_in_the_middle_of_it(desk):
    gate = asyncio.Event()

    @desk.operation("slow")
    async def slow(call):
        await gate.wait()
        return {"result": 1}

    both = desk.flow(
        {"fast": "echo", "slow": "slow"},
        ["$inputs.x -> fast.x"],
        inputs={"x": {}},
        outputs={"out": "fast.result"},
    )
    flow = desk.flow(
        {"each": {"control": "map", "uses": "#both", "over": "x", "params": {"x": [7]}},
         "sub": {"control": "subworkflow", "uses": "#both", "params": {"x": 8}}},
        outputs={"each": "each.results", "sub": "sub.out"},
        workflows={"both": both},
    )  # fmt: skip

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            done = []
            async for event in tracker.events(run):
                done += [event.node] if isinstance(event, NodeCompleted) else []
                if {"each[0]/fast", "sub/fast"} <= set(done):
                    break
        gate.set()
        desk.executor.calls.clear()
        async with desk.open() as tracker:
            await tracker.resume(run)
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert await desk.outputs(tracker, run) == {"each": [7], "sub": 8}
        assert sorted(desk.called()) == ["each[0]/slow", "sub/slow"]

    desk.play(story())


def test_a_map_over_a_workflow_collects_the_items_that_failed_and_a_resume_leaves_them(desk):
    @desk.operation("maybe")
    async def maybe(call, x):
        if x == 1:
            raise ValueError("no")
        return {"result": x}

    flow = desk.flow(
        {"each": {"control": "map", "uses": "#broken", "over": "x", "params": {"x": [0, 1, 2]}, "on_error": "collect"},
         "bad": "boom"},
        ["each -> bad"],
        outputs={"out": "each.results"},
        workflows={"broken": broken(desk)},
    )  # fmt: skip

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
            assert isinstance(events[-1], RunFailed)
            errors = [event.error for event in events if isinstance(event, ItemCompleted) and event.error]
            assert [error.code for error in errors] == ["SYM-R087"]
        desk.executor.calls.clear()
        async with desk.open() as tracker:
            await tracker.resume(run)
            await desk.follow(tracker, run)
            states = await desk.states(tracker, run)
        assert desk.called() == ["bad"]
        assert states["each"] == "completed" and states["each[1]/bad"] == "failed"

    desk.play(story())


def test_an_item_that_runs_a_workflow_is_tried_again_and_keeps_what_completed(desk):
    tries = []

    @desk.operation("maybe")
    async def maybe(call, x):
        tries.append(x)
        if len(tries) == 1:
            raise ValueError("once")
        return {"result": x}

    flow = desk.flow(
        {"each": {"control": "map", "uses": "#broken", "over": "x", "params": {"x": [4]}, "retry": {"attempts": 2}}},
        outputs={"out": "each.results"},
        workflows={"broken": broken(desk)},
    )  # fmt: skip
    events, states, outputs = run_once(desk, flow)
    assert outputs == {"out": [4]}
    assert set(states.values()) == {"completed"}
    assert desk.called() == ["each[0]/bad", "each[0]/good", "each[0]/bad", "each[0]/after"]
    assert [event.item for event in events if isinstance(event, NodeRetrying)] == [0]


def test_an_output_of_a_sub_workflow_that_was_skipped_is_missing_and_null_in_the_results_of_a_map(desk):
    sub = desk.flow(
        {"way": {"control": "branch", "condition": "value > 1"}, "big": "echo"},
        ["$inputs.x -> way.value", "way.then -> big.x"],
        inputs={"x": {}},
        outputs={"out": "big.result"},
    )
    flow = desk.flow(
        {"each": {"control": "map", "uses": "#sub", "over": "x", "params": {"x": [1, 2]}},
         "one": {"control": "subworkflow", "uses": "#sub", "params": {"x": 1}}, "after": "echo"},
        ["one.out -> after.x"],
        outputs={"out": "each.results"},
        workflows={"sub": sub},
    )  # fmt: skip
    _, states, outputs = run_once(desk, flow)
    assert outputs == {"out": [None, 2]}
    assert (states["one"], states["after"]) == ("completed", "skipped")


def test_an_empty_workflow_and_one_without_the_input_that_it_needs(desk):
    flow = desk.flow(
        {"sub": {"control": "subworkflow", "uses": "#empty"}, "no": {"control": "subworkflow", "uses": "#needs"},
         "each": {"control": "map", "uses": "#empty", "over": "x", "params": {"x": [1, 2]}}},
        workflows={"empty": desk.flow({}, inputs={"x": {"required": False}}), "needs": desk.flow({}, inputs={"x": {}})},
    )  # fmt: skip
    events, states, _ = run_once(desk, flow)
    assert states == {"sub": "completed", "no": "failed", "each": "completed"}
    assert failure(events).code == "SYM-W016"


@pytest.mark.parametrize(
    "uses, workflows, says",
    [
        ("#away", {}, "runs '#away', which is not in the file"),
        ("#a", {"a": "#a"}, "inside of itself: #a -> #a"),
        ("#a", {"a": "#b", "b": "#a"}, "inside of itself: #a -> #b -> #a"),
        ("#w0", {f"w{n}": f"#w{n + 1}" for n in range(40)} | {"w40": None}, "inside of each other"),
    ],
)
def test_a_workflow_that_cannot_run_inside_of_a_run_is_refused_before_anything_runs(
    desk, uses, workflows, says
):
    def made(inner):
        return desk.flow({"n": {"control": "subworkflow", "uses": inner}} if inner else {})

    flow = desk.flow(
        {"a": "echo", "sub": {"control": "subworkflow", "uses": uses}},
        workflows={id: made(inner) for id, inner in workflows.items()},
    )

    async def story():
        async with desk.open() as tracker:
            with pytest.raises(RunError, match=says) as caught:
                await tracker.start(desk.request(flow))
            assert caught.value.code == "SYM-R080"
            assert not await tracker.runs()

    desk.play(story())


@pytest.mark.parametrize("part", [{"outputs": {"o": "nobody.x"}}, {"edges": ["$inputs.no -> a.x"]}])
def test_a_workflow_that_names_what_it_does_not_have_is_refused_before_anything_runs(desk, part):
    wrong = desk.flow({"a": "echo"}, **part)
    flow = desk.flow({"sub": {"control": "subworkflow", "uses": "#wrong"}}, workflows={"wrong": wrong})

    async def story():
        async with desk.open() as tracker:
            with pytest.raises(WorkflowError) as caught:
                await tracker.start(desk.request(flow))
            assert caught.value.code == "SYM-W011"

    desk.play(story())


def test_a_run_that_would_grow_without_end_fails_where_it_does(desk, add, monkeypatch):
    monkeypatch.setattr("pit_dag_tracker.graph.LARGEST", 20)
    flow = desk.flow(
        {"each": {"control": "map", "uses": "#plus", "over": "x", "params": {"x": list(range(50))}, "concurrency": 1}},
        workflows={"plus": plus(desk)},
    )  # fmt: skip
    events, states, _ = run_once(desk, flow)
    assert failure(events).code == "SYM-R086"
    assert states["each"] == "failed"


@pytest.mark.parametrize("kind", ["subworkflow", "map", "loop"])
def test_a_workflow_that_takes_too_long_is_given_up_and_what_runs_is_told_to_stop(desk, kind):
    @desk.operation("stuck")
    async def stuck(call, x):
        await asyncio.Event().wait()

    sub = desk.flow(
        {"deep": {"control": "subworkflow", "uses": "#stuck"}, "after": "echo"},
        ["$inputs.x -> deep.x", "deep.out -> after.x"],
        inputs={"x": {}},
        outputs={"out": "after.result"},
    )
    fields = {
        "subworkflow": {"params": {"x": 1}},
        "map": {"over": "x", "params": {"x": [1]}},
        "loop": {"params": {"x": 1}, "until": "true", "max_iterations": 2},
    }[kind]
    inside = desk.flow({"n": "stuck"}, ["$inputs.x -> n.x"], inputs={"x": {}}, outputs={"out": "n.result"})
    prefix = "sub" if kind == "subworkflow" else "sub[0]"
    timeout = 0.05
    while f"{prefix}/deep/n" not in desk.called():  # on a busy machine the time is over before it begins
        flow = desk.flow(
            {"sub": {"control": kind, "uses": "#sub", "timeout": timeout, **fields}, "ok": "echo"},
            workflows={"sub": sub, "stuck": inside},
        )
        events, states, _ = run_once(desk, flow)
        assert failure(events).code == "SYM-R084"
        timeout *= 2
    assert states == {
        "ok": "completed",
        "sub": "failed",
        f"{prefix}/deep": "skipped",
        f"{prefix}/after": "skipped",
        f"{prefix}/deep/n": "skipped",
    }
    assert desk.executor.cancels == [(events[0].run, f"{prefix}/deep/n", False)]


def test_a_sub_workflow_that_is_skipped_stops_with_all_that_runs_inside(desk):
    @desk.operation("stuck")
    async def stuck(call, x):
        await asyncio.Event().wait()

    sub = desk.flow({"n": "stuck"}, ["$inputs.x -> n.x"], inputs={"x": {}}, outputs={"out": "n.result"})
    flow = desk.flow(
        {"each": {"control": "map", "uses": "#sub", "over": "x", "params": {"x": [1, 2]}}, "after": "echo"},
        ["each.results -> after.x"],
        workflows={"sub": sub},
    )

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await until(tracker, run, NodeStarted, 3)
            await tracker.skip(run, "each", actor="ann")
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert set((await desk.states(tracker, run)).values()) == {"skipped"}

    desk.play(story())


def test_a_failed_node_inside_of_a_workflow_is_retried_by_its_name_while_the_run_goes_on(desk):
    mended, gate = False, asyncio.Event()

    @desk.operation("maybe")
    async def maybe(call, x):
        if not mended:
            raise ValueError("not yet")
        return {"result": x}

    @desk.operation("wait")
    async def wait(call):
        await gate.wait()
        return {"result": 1}

    flow = desk.flow(
        {"sub": {"control": "subworkflow", "uses": "#broken", "params": {"x": 7}}, "end": "echo", "slow": "wait"},
        ["sub.out -> end.x"],
        outputs={"out": "end.result"},
        workflows={"broken": broken(desk)},
    )  # fmt: skip

    async def story():
        nonlocal mended
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await until(tracker, run, NodeFailed, 2)
            mended = True
            desk.executor.calls.clear()
            await tracker.retry(run, "sub/bad")
            gate.set()
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert await desk.outputs(tracker, run) == {"out": 7}
        assert desk.called() == ["sub/bad", "sub/after", "end"]

    desk.play(story())


# -- approval ----------------------------------------------------------------------------------------


def asking(desk, **fields):
    return desk.flow(
        {"ok": {"control": "approval", "prompt": "Go on?", "params": {"value": "v"}, **fields}, "yes": "echo", "no": "echo"},
        ["ok.approved -> yes.x", "ok.rejected -> no.x"],
        outputs={"answer": "ok.answer"},
    )  # fmt: skip


@pytest.mark.parametrize("on_timeout, taken", [("approve", "yes"), ("reject", "no")])
def test_an_approval_that_nobody_gives_in_time_is_decided_by_its_author(desk, on_timeout, taken):
    _, states, outputs = run_once(desk, asking(desk, timeout=0.01, on_timeout=on_timeout))
    assert states[taken] == "completed"
    assert sorted(states.values()) == ["completed", "completed", "skipped"]
    assert outputs["answer"]["approved"] is (on_timeout == "approve")
    assert (outputs["answer"]["by"], outputs["answer"]["comment"]) == ("", "nobody answered within 0.01 s")


def test_an_approval_that_nobody_gives_in_time_fails(desk):
    events, states, _ = run_once(desk, asking(desk, timeout=0.01))
    assert failure(events).code == "SYM-R085"
    assert states == {"ok": "failed", "yes": "skipped", "no": "skipped"}


def test_the_time_for_an_answer_runs_on_while_the_run_is_paused(desk):
    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(asking(desk, timeout=3600)))
            events = await until(tracker, run, NodeWaiting)
        async with desk.open() as tracker:
            await tracker.resume(run)
            again = (await until(tracker, run, NodeWaiting, 2))[-1]
            assert again.until == events[-1].until
            assert again.until - events[-1].at == pytest.approx(3600, abs=1)
            await tracker.answer(run, "ok", True, by="ann")
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)

    desk.play(story())


def test_an_approval_inside_of_a_loop_is_asked_in_each_iteration(desk):
    body = desk.flow(
        {"ok": {"control": "approval", "prompt": "Good enough?"}},
        outputs={"answer": "ok.answer"},
    )
    flow = desk.flow(
        {"again": {"control": "loop", "uses": "#body", "until": "answer.approved", "max_iterations": 5}},
        outputs={"iterations": "again.iterations"},
        workflows={"body": body},
    )

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            for item, approved in enumerate([False, False, True]):
                await until(tracker, run, NodeWaiting, item + 1)
                await tracker.answer(run, f"again[{item}]/ok", approved, by="ann")
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert await desk.outputs(tracker, run) == {"iterations": 3}

    desk.play(story())


# -- values, retries, resources ----------------------------------------------------------------------


def test_an_expression_is_computed_from_the_other_inputs_and_those_of_the_workflow(desk, add):
    sub = desk.flow(
        {"n": {"uses": "add", "params": {"by": {"$expr": "inputs.x * 10"}}}},
        ["$inputs.x -> n.x"],
        inputs={"x": {}},
        outputs={"out": "n.result"},
    )
    flow = desk.flow(
        {"a": {"uses": "add", "params": {"x": 2, "by": {"$expr": "x * inputs.times"}}},
         "sub": {"control": "subworkflow", "uses": "#sub", "params": {"x": {"$expr": "inputs.times + 1"}}}},
        inputs={"times": {}},
        outputs={"a": "a.result", "sub": "sub.out"},
        workflows={"sub": sub},
    )  # fmt: skip
    _, _, outputs = run_once(desk, flow, times=3)
    assert outputs == {"a": 8, "sub": 44}


def test_an_expression_that_cannot_be_computed_fails_its_node(desk):
    flow = desk.flow({"a": {"uses": "echo", "params": {"x": {"$expr": "1 + missing"}}}, "b": "echo"})
    events, states, _ = run_once(desk, flow)
    assert states == {"a": "failed", "b": "completed"}
    assert "1 + missing" in failure(events).message


def test_only_the_errors_that_a_policy_names_are_tried_again(desk):
    @desk.operation("flaky")
    async def flaky(call):
        raise desk.Retryable("always")

    flow = desk.flow(
        {"yes": {"uses": "flaky", "retry": {"attempts": 3, "on": ["TEST-0"]}},
         "no": {"uses": "flaky", "retry": {"attempts": 3, "on": ["SYM-T014"]}}},
    )  # fmt: skip
    run_once(desk, flow)
    assert sorted(desk.called()) == ["no", "yes", "yes", "yes"]


def test_the_wait_before_a_retry_keeps_to_its_limit_and_jitter(desk):
    @desk.operation("flaky")
    async def flaky(call):
        raise desk.Retryable("always")

    policy = {"attempts": 6, "delay": 0.004, "factor": 3, "limit": 0.02, "jitter": 0.5}
    events, _, _ = run_once(desk, desk.flow({"a": {"uses": "flaky", "retry": policy}}))
    delays = [event.delay for event in events if isinstance(event, NodeRetrying)]
    for delay, longest in zip(delays, [0.004, 0.012, 0.02, 0.02, 0.02], strict=True):
        assert longest / 2 <= delay <= longest


def test_a_list_longer_than_a_map_allows_fails_it(desk):
    each = {"control": "map", "uses": "echo", "over": "x", "params": {"x": [1, 2, 3]}, "max_items": 2}
    events, _, _ = run_once(desk, desk.flow({"each": each}))
    assert failure(events).code == "SYM-R082"
    assert desk.called() == []


def test_what_the_executor_can_never_place_is_refused_and_what_it_can_is_told_to_it(desk):
    placed = desk.executor.can_place
    desk.executor.can_place = lambda resources: placed(resources) and resources.cpu <= 4
    needs = {"cpu": 2.0, "memory": 1024}
    run_once(desk, desk.flow({"a": {"uses": "echo", "resources": needs}}))
    assert desk.executor.calls[0].resources == Resources(cpu=2.0, memory=1024)
    sub = desk.flow({"big": {"uses": "echo", "resources": {"cpu": 64.0}}})
    flow = desk.flow({"sub": {"control": "subworkflow", "uses": "#sub"}}, workflows={"sub": sub})

    async def story():
        async with desk.open() as tracker:
            with pytest.raises(RunError, match=r"'big', which needs cpu 64\.0") as caught:
                await tracker.start(desk.request(flow))
            assert caught.value.code == "SYM-R081"

    desk.play(story())

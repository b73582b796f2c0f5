"""Whole runs: order, values, failures, conditions and branches."""

import asyncio
from itertools import pairwise

import pytest
from symphony_sdk import ArtifactRef
from symphony_sdk.errors import ArtifactError, RunError, WorkflowError
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeSkipped,
    NodeStarted,
    RunCompleted,
    RunFailed,
    RunStarted,
)
from symphony_sdk.ports import NodeEvent
from symphony_sdk.values import encode


def test_values_flow_along_the_edges_to_the_outputs_of_the_run(desk):
    @desk.operation("add")
    async def add(call, a, b):
        return {"sum": a + b}

    flow = desk.flow(
        {"one": "echo", "add": {"uses": "add", "params": {"b": 30}}, "last": "echo"},
        ["$inputs.n -> one.x", "one.result -> add.a", "add.sum -> last.x"],
        inputs={"n": {}},
        outputs={"total": "last.result", "first": "one.result"},
    )

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow, n=12)
            assert await desk.outputs(tracker, run) == {"total": 42, "first": 12}
            status = await tracker.status(run)
        assert status.state == "completed"
        assert [node.node for node in status.nodes] == ["one", "add", "last"]
        assert {(node.state, node.attempt, node.done, node.total) for node in status.nodes} == {
            ("completed", 1, 1, 1)
        }
        assert status.durable == len(events)
        assert [event.sequence for event in events] == list(range(1, 9))
        assert isinstance(events[0], RunStarted) and events[0].nodes == 3
        assert isinstance(events[-1], RunCompleted)

    desk.play(story())


def test_branches_of_the_graph_run_in_parallel_and_never_more_than_two_batches_a_slot(desk):
    together = asyncio.Event()

    @desk.operation("meet")
    async def meet(call):
        if desk.executor.running == 2:
            together.set()
        await together.wait()
        return {"result": 1}

    flow = desk.flow({f"n{number}": "meet" for number in range(12)})
    desk.executor.seconds = 1.0  # long calls go one in a batch

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, flow)
        assert isinstance(events[-1], RunCompleted)
        assert desk.executor.peak == 2
        assert desk.executor.peak_held <= 4

    desk.play(story())


def test_the_longest_path_goes_first(new_desk, tmp_path):
    desk = new_desk(tmp_path, slots=1)
    flow = desk.flow({"a": "echo", "b": "echo", "c": "echo", "d": "echo", "z": "echo"}, ["z -> c", "c -> d"])

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow)
        assert desk.called()[0] == "z"

    desk.play(story())


def test_independent_branches_go_on_after_a_failure_and_the_run_names_what_failed(desk):
    flow = desk.flow(
        {"bad": "boom", "after": "echo", "later": "echo", "good": "echo", "better": "echo"},
        ["bad.result -> after.x", "after -> later", "good.result -> better.x"],
    )

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
            states = await desk.states(tracker, run)
            with pytest.raises(RunError, match="is failed, not completed"):
                await tracker.outputs(run)
        assert states == {
            "bad": "failed",
            "after": "skipped",
            "later": "skipped",
            "good": "completed",
            "better": "completed",
        }
        end = events[-1]
        assert isinstance(end, RunFailed)
        assert end.error.details == {"nodes": ["bad"]}
        assert "bad is broken" in end.error.message
        reasons = {event.node: event.reason for event in events if isinstance(event, NodeSkipped)}
        assert reasons == {"after": "'bad' failed", "later": "'after' was skipped"}

    desk.play(story())


def test_a_conditional_edge_skips_what_it_leads_to_unless_it_holds(desk):
    flow = desk.flow(
        {"count": "echo", "many": "echo", "few": "echo", "after-few": "echo"},
        [
            "$inputs.n -> count.x",
            "count -> many if result > 3",
            "count -> few if result <= 3",
            "few -> after-few",
        ],
        inputs={"n": {"default": 1}},
    )

    async def story():
        async with desk.open() as tracker:
            default, _ = await desk.run(tracker, flow)
            large, events = await desk.run(tracker, flow, n=7)
            assert await desk.states(tracker, default) == {
                "count": "completed",
                "many": "skipped",
                "few": "completed",
                "after-few": "completed",
            }
            assert (await tracker.status(large)).state == "completed"
        skipped = [event for event in events if isinstance(event, NodeSkipped)]
        assert [event.node for event in skipped] == ["few", "after-few"]
        assert skipped[0].reason == "the condition `result <= 3` on 'count' does not hold"

    desk.play(story())


@pytest.mark.parametrize(("n", "taken", "left"), [(5, "yes", "no"), (1, "no", "yes")])
def test_a_branch_sends_its_value_one_way_and_skips_the_other(desk, n, taken, left):
    flow = desk.flow(
        {
            "fork": {
                "control": "branch",
                "condition": "n > limit",
                "params": {"limit": 2, "value": "payload"},
            },
            "yes": "echo",
            "no": "echo",
        },
        ["$inputs.n -> fork.n", "fork.then -> yes.x", "fork.else -> no.x"],
        inputs={"n": {}},
        outputs={"yes": "yes.result", "no": "no.result"},
    )

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow, n=n)
            states = await desk.states(tracker, run)
            assert (states[taken], states[left]) == ("completed", "skipped")
            assert await desk.outputs(tracker, run) == {taken: "payload"}

    desk.play(story())


@pytest.mark.parametrize(
    ("value", "code"), [("text", "SYM-W030"), ("x" * (2 << 20), "SYM-T002")], ids=["wrong type", "too large"]
)
def test_a_condition_that_cannot_be_evaluated_fails_its_node(desk, value, code):
    @desk.operation("source")
    async def source(call):
        return {"result": value}

    flow = desk.flow(
        {
            "source": "source",
            "edge": "echo",
            "after": "echo",
            "fork": {"control": "branch", "condition": "n > 3"},
        },
        ["source -> edge if result > 3", "edge -> after", "source.result -> fork.n"],
    )

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
            states = await desk.states(tracker, run)
        failed = {event.node: event.error.code for event in events if isinstance(event, NodeFailed)}
        assert failed == {"edge": code, "fork": code}
        assert states["after"] == "skipped"

    desk.play(story())


def test_skipping_runs_down_a_chain_of_any_length(desk):
    names = [f"n{number:04}" for number in range(3000)]
    flow = desk.flow(
        {name: "boom" if name == names[0] else "echo" for name in names},
        [f"{one} -> {other}" for one, other in pairwise(names)],
    )

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            states = await desk.states(tracker, run)
        assert list(states.values()) == ["failed"] + ["skipped"] * 2999

    desk.play(story())


def test_large_values_go_through_the_artifact_store_and_small_ones_do_not(desk):
    big = "x" * 100_000
    flow = desk.flow(
        {"make": "echo", "use": "echo", "small": "echo"},
        ["$inputs.v -> make.x", "make.result -> use.x"],
        inputs={"v": {}},
        outputs={"v": "use.result"},
    )

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow, v=big)
            assert await desk.outputs(tracker, run) == {"v": big}
        kept = desk.artifacts.find(run=run)
        assert {info.lineage.node for info in kept} <= {"make", "use"}
        assert {info.ref.size for info in kept} == {len(encode(big))}

    desk.play(story())


def test_a_store_that_is_full_does_not_lose_a_result_that_the_log_can_take(desk):
    def refuse(*args, **kwargs):
        raise ArtifactError("the disk is full")

    desk.artifacts.put = refuse

    @desk.operation("make")
    async def make(call, size):
        return {"result": "x" * size}

    flow = desk.flow({"a": "make"}, ["$inputs.n -> a.size"], inputs={"n": {}}, outputs={"v": "a.result"})

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow, n=100_000)
            assert await desk.outputs(tracker, run) == {"v": "x" * 100_000}
            huge, events = await desk.run(tracker, flow, n=17 << 20)
            assert (await tracker.status(huge)).state == "failed"
        assert [event.error.code for event in events if isinstance(event, NodeFailed)] == ["SYM-R013"]

    desk.play(story())


def test_the_artifacts_among_the_outputs_are_named_in_the_event(desk):
    @desk.operation("store")
    async def store(call):
        return {
            "file": ArtifactRef(id="aa11", size=3),
            "more": {"deep": [ArtifactRef(id="bb22", size=4)]},
            "n": 1,
        }

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, desk.flow({"s": "store"}))
        assert [event.artifacts for event in events if isinstance(event, NodeCompleted)] == [("aa11", "bb22")]

    desk.play(story())


def test_progress_reaches_a_follower_and_is_neither_numbered_nor_kept(desk):
    seen = asyncio.Event()

    @desk.operation("slow")
    async def slow(call):
        await seen.wait()
        return {"result": 1}

    async def story():
        async with desk.open() as tracker:
            submit = desk.executor.submit

            def submit_and_report(batch, on_event):
                submit(batch, on_event)

                def report():
                    for number in range(100):
                        on_event(
                            NodeEvent(
                                call=batch[0], kind="progressed", fraction=number / 100, text=f"{number}"
                            )
                        )

                asyncio.get_running_loop().call_later(0.01, report)

            desk.executor.submit = submit_and_report
            run = await tracker.start(desk.request(desk.flow({"s": "slow"})))
            live = []
            async for event in tracker.events(run):
                live.append(event)
                if isinstance(event, NodeProgressed):
                    seen.set()
            replayed = await desk.follow(tracker, run)
        progress = [event for event in live if isinstance(event, NodeProgressed)]
        assert progress[-1].text == "99"
        assert progress[-1].sequence == 2
        assert replayed == [event for event in live if not isinstance(event, NodeProgressed)]

    desk.play(story())


def test_a_run_says_what_is_wrong_with_its_request(desk):
    flow = desk.flow({"a": "echo"}, ["$inputs.path -> a.x"], inputs={"path": {}})
    cycle = desk.flow({"a": "echo", "b": "echo"}, ["a -> b", "b -> a"])

    async def story():
        async with desk.open() as tracker:
            with pytest.raises(WorkflowError, match="needs a value for its input 'path'") as missing:
                await tracker.start(desk.request(flow))
            assert "--input path=" in missing.value.hint
            with pytest.raises(WorkflowError, match="has no input 'pth'; it has path") as unknown:
                await tracker.start(desk.request(flow, pth=1))
            assert unknown.value.hint == "Did you mean 'path'?"
            with pytest.raises(WorkflowError, match="cycle"):
                await tracker.start(desk.request(cycle))
            with pytest.raises(RunError, match="no executor 'ray'; there are local") as executor:
                request = desk.request(desk.flow({"a": "echo"}))
                await tracker.start(type(request)(workflow=request.workflow, executor="ray"))
            assert executor.value.code == "SYM-R004"
            desk.executor.slots = 0
            with pytest.raises(RunError, match="can run no node"):
                await tracker.start(desk.request(desk.flow({"a": "echo"})))
            assert await tracker.runs() == []

    desk.play(story())


def test_an_unknown_run_is_an_error_that_says_so(desk):
    async def story():
        async with desk.open() as tracker:
            for ask in (tracker.status, tracker.resume, tracker.pause, tracker.cancel, tracker.outputs):
                with pytest.raises(RunError, match="there is no run 'nope'") as caught:
                    await ask("nope")
                assert caught.value.code == "SYM-R002"
            with pytest.raises(RunError, match="there is no run 'nope'"):
                await desk.follow(tracker, "nope")

    desk.play(story())


def test_an_executor_that_breaks_fails_the_nodes_and_not_the_tracker(desk):
    def submit(batch, on_event):
        raise OSError("the cluster is away")

    desk.executor.submit = submit

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, desk.flow({"a": "echo", "b": "echo"}))
        failed = [event for event in events if isinstance(event, NodeFailed)]
        assert {event.node for event in failed} == {"a", "b"}
        assert "the cluster is away" in failed[0].error.message

    desk.play(story())


def test_what_an_executor_reports_twice_counts_once(desk):
    def submit(batch, on_event):
        for call in batch:
            for _ in range(2):
                on_event(NodeEvent(call=call, kind="completed", outputs={"result": encode(1)}))
            on_event(NodeEvent(call=call, kind="failed"))

    desk.executor.submit = submit

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, desk.flow({"a": "echo"}))
        assert [type(event) for event in events] == [RunStarted, NodeStarted, NodeCompleted, RunCompleted]

    desk.play(story())


def test_an_error_that_no_log_can_hold_is_made_one_that_it_can(desk):
    @desk.operation("odd")
    async def odd(call):
        raise RunError("no such file: \udcff", details={"thing": object()})

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, desk.flow({"a": "odd"}))
            replayed = await desk.follow(tracker, run)
        error = replayed[-2].error
        assert error.message == "no such file: \\udcff"
        assert error.details["thing"].startswith("<object object")

    desk.play(story())


def test_runs_are_listed_newest_first(desk):
    async def story():
        async with desk.open() as tracker:
            first, _ = await desk.run(tracker, desk.flow({"a": "echo"}))
            second, _ = await desk.run(tracker, desk.flow({"a": "boom"}))
            listed = await tracker.runs()
            assert [(one.run, one.state, one.nodes) for one in listed] == [
                (second, "failed", ()),
                (first, "completed", ()),
            ]
            assert "boom" not in (listed[0].workflow) and listed[0].error.code == "SYM-R001"
            assert len(await tracker.runs(limit=1)) == 1

    desk.play(story())


def test_a_workflow_of_branches_alone_needs_no_call(desk):
    flow = desk.flow({"fork": {"control": "branch", "condition": "true", "params": {"value": 1}}})

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, flow)
        assert isinstance(events[-1], RunCompleted)
        assert desk.executor.calls == []

    desk.play(story())

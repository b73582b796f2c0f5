"""Retry, skip, answers, runs made from others, history and progress."""

import asyncio

import pytest
from symphony_sdk.errors import RunError, WorkflowError
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeWaiting,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    RunSteered,
    RunWaiting,
)
from symphony_sdk.values import encode

DIAMOND = ["a.result -> b.x", "a.result -> c.x", "b.result -> d.x", "c.result -> d.y"]


def mendable(desk, name="mended"):
    """An operation that fails until `broken` is empty."""
    broken = {"yes"}

    @desk.operation(name)
    async def mended(call, **inputs):
        if broken:
            raise ValueError("broken")
        return {"result": call.attempt}

    return broken


async def until(tracker, run, kind, count=1):
    """The first events of a run up to the `count`th of a kind."""
    found = []
    async for event in tracker.events(run):
        found.append(event)
        count -= isinstance(event, kind)
        if not count:
            return found
    raise AssertionError(f"the run ended without {kind.__name__}: {found}")


# -- retry ------------------------------------------------------------------------------------------------


def test_a_retry_of_a_completed_node_runs_it_and_all_that_depends_on_it_again(desk):
    flow = desk.flow(dict.fromkeys("abcd", "echo"), DIAMOND, outputs={"out": "d.result"})

    async def story():
        async with desk.open() as tracker:
            run, before = await desk.run(tracker, flow)
            desk.executor.calls.clear()
            await tracker.retry(run, "b", actor="ada")
            after = await desk.follow(tracker, run, len(before))
            assert isinstance(after[0], RunSteered) and after[0].command == "retry"
            assert (after[0].actor, after[0].node) == ("ada", "b")
            assert isinstance(after[1], RunResumed) and after[1].completed == 2
            assert desk.called() == ["b", "d"]
            assert [call.attempt for call in desk.executor.calls] == [2, 2]
            assert await desk.states(tracker, run) == dict.fromkeys("abcd", "completed")
            status = await tracker.status(run)
        async with desk.open() as tracker:
            assert await tracker.status(run) == status

    desk.play(story())


def test_a_retry_of_a_run_that_goes_on_keeps_what_runs_and_what_completed(desk):
    broken = mendable(desk)
    opened, reached = desk.gate()
    flow = desk.flow(
        {"a": "echo", "b": "mended", "c": "gated", "d": "echo", "e": "echo"},
        ["a.result -> b.x", "a.result -> c.x", "b.result -> d.x", "c.result -> d.y", "b -> e"],
        outputs={"out": "d.result"},
    )

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await until(tracker, run, NodeSkipped)
            await reached.wait()
            broken.clear()
            await tracker.retry(run, actor="ada")
            seen = await until(tracker, run, NodeCompleted, 3)
            assert [event.node for event in seen if isinstance(event, NodeFailed)] == ["b"]
            opened.set()
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunCompleted)
            assert await desk.states(tracker, run) == dict.fromkeys("abcde", "completed")
            assert await desk.outputs(tracker, run) == {"out": 2}
            assert sorted(desk.called()) == ["a", "b", "b", "c", "d", "e"]
            status = await tracker.status(run)
        async with desk.open() as tracker:
            assert await tracker.status(run) == status
            assert await desk.follow(tracker, run) == events

    desk.play(story())


def test_a_retry_of_a_failed_map_runs_only_the_items_that_are_not_done(desk):
    broken = {3}
    opened, reached = desk.gate()

    @desk.operation("picky")
    async def picky(call, x):
        if x in broken:
            raise ValueError("broken")
        return {"result": x * 10}

    node = {"control": "map", "uses": "picky", "over": "x", "params": {"x": [1, 2, 3]}, "concurrency": 1}
    flow = desk.flow({"m": node, "other": "gated"}, outputs={"r": "m.results"})

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await until(tracker, run, NodeFailed)
            await reached.wait()
            broken.clear()
            await tracker.retry(run, "m")
            opened.set()
            await desk.follow(tracker, run)
            assert await desk.outputs(tracker, run) == {"r": [10, 20, 30]}
        assert [call.item for call in desk.executor.calls if call.node == "m"] == [0, 1, 2, 2]
        keys = [call.idempotency_key for call in desk.executor.calls]
        assert len(set(keys)) == len(keys)

    desk.play(story())


def test_a_retry_of_a_completed_map_runs_every_item_again(desk):
    node = {"control": "map", "uses": "echo", "over": "x", "params": {"x": [1, 2]}}

    async def story():
        async with desk.open() as tracker:
            run, before = await desk.run(tracker, desk.flow({"m": node}, outputs={"r": "m.results"}))
            await tracker.retry(run, "m")
            await desk.follow(tracker, run, len(before))
            assert await desk.outputs(tracker, run) == {"r": [1, 2]}
            [status] = (await tracker.status(run)).nodes
            assert (status.state, status.done, status.total) == ("completed", 2, 2)
        assert sorted(call.item for call in desk.executor.calls) == [0, 0, 1, 1]

    desk.play(story())


def test_a_retry_that_cannot_be_says_why(desk):
    opened, reached = desk.gate()
    flow = desk.flow({"a": "echo", "b": "gated", "c": "echo"}, ["a -> b", "b -> c"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
            for node, reason in (
                ("", "no node failed"),
                ("b", "node 'b' is running"),
                ("c", "node 'c' is pending"),
                ("a", "node 'b' is under way"),
            ):
                with pytest.raises(RunError, match=reason) as caught:
                    await tracker.retry(run, node)
                assert caught.value.code == "SYM-R061"
            with pytest.raises(RunError, match="no node 'bb'") as unknown:
                await tracker.retry(run, "bb")
            assert (unknown.value.code, unknown.value.hint) == ("SYM-R060", "Did you mean 'b'?")
            opened.set()
            events = await desk.follow(tracker, run)
        assert not [event for event in events if isinstance(event, RunSteered)]

    desk.play(story())


def test_a_retry_that_needs_a_lost_result_names_the_node_that_made_it(desk):
    mendable(desk)
    opened, reached = desk.gate()

    @desk.operation("big")
    async def big(call):
        return {"result": "x" * 50_000}

    flow = desk.flow({"a": "big", "b": "mended", "c": "gated"}, ["a.result -> b.x"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await until(tracker, run, NodeFailed)
            await reached.wait()
            for info in desk.artifacts.find():
                desk.artifacts.remove(info.ref.id)
            with pytest.raises(RunError, match="the outputs of node 'a' are lost") as caught:
                await tracker.retry(run, "b")
            assert caught.value.code == "SYM-R068"
            opened.set()
            await desk.follow(tracker, run)

    desk.play(story())


def test_a_retry_takes_back_a_pause_that_has_not_taken_effect(desk):
    broken = mendable(desk)
    opened, reached = desk.gate()

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"a": "gated", "b": "mended"})))
            await until(tracker, run, NodeFailed)
            await reached.wait()
            await tracker.pause(run)
            broken.clear()
            await tracker.retry(run)
            opened.set()
            events = await desk.follow(tracker, run)
        assert isinstance(events[-1], RunCompleted)
        assert not [event for event in events if isinstance(event, RunPaused)]

    desk.play(story())


# -- skip -------------------------------------------------------------------------------------------------


def test_a_running_node_that_is_skipped_is_stopped_and_what_needs_it_is_skipped(desk):
    _, reached = desk.gate()
    flow = desk.flow({"a": "gated", "b": "echo", "c": "echo"}, ["a -> b"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
            await tracker.skip(run, "a", actor="ada")
            await tracker.skip(run, "a", actor="ada")  # it is skipped already
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunCompleted)
            assert await desk.states(tracker, run) == {"a": "skipped", "b": "skipped", "c": "completed"}
        assert desk.executor.cancels == [(run, "a", False)]
        reasons = {event.node: event.reason for event in events if isinstance(event, NodeSkipped)}
        assert reasons == {"a": "skipped by ada", "b": "'a' was skipped"}
        assert [event.node for event in events if isinstance(event, RunSteered)] == ["a"]

    desk.play(story())


def test_a_node_that_is_not_due_can_be_skipped_beforehand(desk):
    opened, reached = desk.gate()
    flow = desk.flow({"a": "gated", "b": "echo", "c": "echo"}, ["a.result -> b.x", "b -> c"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
            await tracker.skip(run, "b")
            opened.set()
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert await desk.states(tracker, run) == {"a": "completed", "b": "skipped", "c": "skipped"}
            with pytest.raises(RunError, match=r"node 'a' of run .* is completed") as caught:
                await tracker.skip(run, "a")
            assert caught.value.code == "SYM-R062"
        assert desk.called() == ["a"]

    desk.play(story())


def test_a_node_that_waits_for_its_next_attempt_can_be_skipped(desk):
    @desk.operation("never")
    async def never(call):
        raise desk.Retryable("never")

    async def story():
        async with desk.open() as tracker:
            flow = desk.flow({"a": {"uses": "never", "retry": {"attempts": 5, "delay": 1000}}})
            run = await tracker.start(desk.request(flow))
            await until(tracker, run, NodeRetrying)
            await tracker.skip(run, "a")
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)

    desk.play(story())


def test_a_map_that_is_skipped_makes_no_further_call(desk):
    opened, reached = desk.gate()
    node = {
        "control": "map",
        "uses": "gated",
        "over": "x",
        "params": {"x": list(range(50))},
        "concurrency": 4,
    }

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"m": node, "z": "echo"})))
            await reached.wait()
            await tracker.skip(run, "m")
            opened.set()
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert (await desk.states(tracker, run)) == {"m": "skipped", "z": "completed"}
        assert desk.called().count("m") <= 4

    desk.play(story())


def test_a_failed_node_that_is_skipped_lets_the_run_complete_when_it_is_resumed(desk):
    mendable(desk)
    flow = desk.flow({"a": "echo", "b": "mended", "c": "echo"}, ["a -> b", "b -> c"])

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            await tracker.skip(run, "b", actor="ada")
            assert (await tracker.status(run)).state == "failed"
            assert (await desk.states(tracker, run))["b"] == "skipped"
            seen = (await tracker.status(run)).durable
            await tracker.resume(run)
            assert isinstance((await desk.follow(tracker, run, seen))[-1], RunCompleted)
            assert await desk.states(tracker, run) == {"a": "completed", "b": "skipped", "c": "skipped"}
            await tracker.retry(run, "b")  # wanted after all
            assert isinstance((await desk.follow(tracker, run))[-1], RunFailed)
        assert desk.called() == ["a", "b", "b"]

    desk.play(story())


# -- answers ----------------------------------------------------------------------------------------------


def approval(desk, **fields):
    node = {"control": "approval", "prompt": "Publish?", **fields}
    return desk.flow(
        {"draft": "echo", "ok": node, "publish": "echo", "bin": "echo"},
        ["draft.result -> ok.value", "ok.approved -> publish.x", "ok.rejected -> bin.x"],
        outputs={"published": "publish.result", "binned": "bin.result", "answer": "ok.answer"},
    )


@pytest.mark.parametrize(("approved", "way"), [(True, "published"), (False, "binned")])
def test_a_run_waits_for_an_answer_and_goes_the_way_that_it_says(desk, approved, way):
    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(approval(desk, approvers=["bob"])))
            events = await until(tracker, run, RunWaiting)
            assert events[-1].nodes == ("ok",)
            assert [event.prompt for event in events if isinstance(event, NodeWaiting)] == ["Publish?"]
            status = await tracker.status(run)
            assert status.state == "waiting"
            [node] = [node for node in status.nodes if node.state == "waiting"]
            assert (node.prompt, node.approvers) == ("Publish?", ("bob",))
            await asyncio.wrap_future(tracker._log.flush())
            assert (await tracker.runs())[0].state == "waiting"
            with pytest.raises(RunError, match="'eve' may not answer") as refused:
                await tracker.answer(run, "ok", approved, by="eve")
            assert refused.value.code == "SYM-R064" and "bob" in refused.value.hint
            await tracker.answer(run, "ok", approved, by="bob", comment="well")
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunCompleted)
            found = await desk.outputs(tracker, run)
            answer = found.pop("answer")
            assert (answer["approved"], answer["by"], answer["comment"]) == (approved, "bob", "well")
            assert found == {way: "draft"}
            await tracker.answer(run, "ok", approved, by="bob")  # it was said before
            with pytest.raises(RunError, match=r"was answered before: .* by 'bob'") as differently:
                await tracker.answer(run, "ok", not approved, by="bob")
            assert differently.value.code == "SYM-R063"

    desk.play(story())


def test_an_answer_survives_a_restart_whether_given_before_or_after_it(desk):
    async def story():
        async with desk.open() as tracker:
            first = await tracker.start(desk.request(approval(desk)))
            second = await tracker.start(desk.request(approval(desk)))
            for run in (first, second):
                await until(tracker, run, RunWaiting)
            with pytest.raises(RunError, match="waits for no answer"):
                await tracker.answer(first, "publish", True, by="ada")
        async with desk.open() as tracker:
            assert (await desk.states(tracker, first))["ok"] == "waiting"
            await tracker.answer(first, "ok", True, by="ada")
            await tracker.answer(first, "ok", True, by="ada")
        async with desk.open() as tracker:
            for run in (first, second):
                await tracker.resume(run)
            await until(tracker, second, RunWaiting, 2)
            await tracker.answer(second, "ok", False, by="ada")
            await desk.follow(tracker, first)
            await desk.follow(tracker, second)
            assert (await desk.outputs(tracker, first))["published"] == "draft"
            assert (await desk.outputs(tracker, second))["binned"] == "draft"
            assert [entry.command for entry in await tracker.history(first)] == ["start", "approve", "resume"]

    desk.play(story())


@pytest.mark.parametrize("command", ["skip", "cancel", "pause"])
def test_a_run_that_waits_can_be_steered(desk, command):
    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(approval(desk)))
            await until(tracker, run, RunWaiting)
            await (tracker.skip(run, "ok") if command == "skip" else getattr(tracker, command)(run))
            await desk.follow(tracker, run)
            return await desk.states(tracker, run), (await tracker.status(run)).state

    states, state = desk.play(story())
    assert state == {"skip": "completed", "cancel": "cancelled", "pause": "paused"}[command]
    assert states["ok"] == {"skip": "skipped", "cancel": "cancelled", "pause": "waiting"}[command]


# -- runs from others -------------------------------------------------------------------------------------


def test_a_rerun_with_a_changed_input_runs_only_what_depends_on_it(desk):
    flow = desk.flow(
        {"a": "echo", "b": "echo", "c": {"uses": "add", "params": {"z": 100}}},
        ["$inputs.n -> a.x", "$inputs.m -> b.x", "a.result -> c.x", "b.result -> c.y"],
        inputs={"n": {}, "m": {}},
        outputs={"sum": "c.result"},
    )

    @desk.operation("add")
    async def add(call, x, y, z):
        return {"result": x + y + z}

    async def story():
        async with desk.open() as tracker:
            run, before = await desk.run(tracker, flow, n=1, m=2)
            desk.executor.calls.clear()
            other = await tracker.rerun(run, inputs={"m": encode(20)}, actor="ada")
            events = await desk.follow(tracker, other)
            assert isinstance(events[0], RunStarted) and (events[0].origin, events[0].actor) == (run, "ada")
            assert [(event.node, event.origin) for event in events if isinstance(event, NodeReused)] == [
                ("a", run)
            ]
            assert desk.called() == ["b", "c"]
            assert await desk.outputs(tracker, other) == {"sum": 121}
            third = await tracker.rerun(other, params={"c": {"z": 0}})
            await desk.follow(tracker, third)
            assert await desk.outputs(tracker, third) == {"sum": 21}
            assert desk.called() == ["b", "c", "c"]
            assert await desk.follow(tracker, run) == before
            with pytest.raises(WorkflowError, match="no input 'k'"):
                await tracker.rerun(run, inputs={"k": encode(1)})
            with pytest.raises(RunError, match="fed by an edge from 'a'") as fed:
                await tracker.rerun(run, params={"c": {"x": 1}})
            assert fed.value.code == "SYM-R067"
        async with desk.open() as tracker:
            assert await desk.follow(tracker, other) == events
            assert await desk.states(tracker, other) == dict.fromkeys("abc", "completed")

    desk.play(story())


def test_a_rerun_of_a_failed_run_takes_over_all_that_completed(desk):
    broken = mendable(desk)

    @desk.operation("big")
    async def big(call):
        return {"result": "x" * 50_000}

    flow = desk.flow({"a": "big", "b": "mended", "c": "echo"}, ["a.result -> b.x", "b.result -> c.x"])

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            broken.clear()
            other = await tracker.rerun(run)
            assert isinstance((await desk.follow(tracker, other))[-1], RunCompleted)
            assert desk.called() == ["a", "b", "b", "c"]
            for info in desk.artifacts.find():
                desk.artifacts.remove(info.ref.id)
            third = await tracker.rerun(run, nodes=["b"])  # the result of `a` is lost meanwhile
            assert isinstance((await desk.follow(tracker, third))[-1], RunCompleted)
            assert desk.called() == ["a", "b", "b", "c", "a", "b", "c"]

    desk.play(story())


def test_an_expression_that_reads_a_changed_input_runs_again(desk):
    flow = desk.flow({"a": {"uses": "echo", "params": {"x": {"$expr": "inputs.n + 1"}}}}, inputs={"n": {}})
    from pit_dag_tracker.forking import Changes, affected
    from symphony_workflow.document import from_document
    from symphony_workflow.model import Expression
    from symphony_workflow.plan import compile_plan

    workflow = from_document({**flow, "nodes": {"a": {"kind": "operator", "uses": "t.t.echo"}}})
    [node] = workflow.nodes
    node.params["x"] = Expression("inputs.n + 1")
    plan = compile_plan(workflow)
    assert affected(plan, Changes((), {"n": b""}, {})) == {0}
    assert affected(plan, Changes((), {"other": b""}, {})) == set()


# -- history and progress ---------------------------------------------------------------------------------


def test_progress_weighs_nodes_by_what_they_took_before_and_tells_the_time_left(desk):
    opened, reached = desk.gate()
    flow = desk.flow({"a": "echo", "b": "gated", "c": "echo"}, ["a -> b", "b -> c"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
            first = (await tracker.status(run)).progress
            assert (first.nodes_done, first.nodes_total) == (1, 3)
            assert (first.weight_done, first.weight_total) == (1.0, 3.0)
            assert first.percentage == pytest.approx(100 / 3)
            assert first.eta > 0
            opened.set()
            await desk.follow(tracker, run)
            opened.clear()
            reached.clear()
            other = await tracker.start(desk.request(flow))
            await reached.wait()
            status = await tracker.status(other)
            seconds = {node.node: node.seconds for node in (await tracker.status(run)).nodes}
            assert status.progress.weight_total == pytest.approx(sum(seconds.values()), abs=1e-5)
            assert status.progress.percentage < 50
            opened.set()
            await desk.follow(tracker, other)
            done = (await tracker.status(other)).progress
            assert (done.percentage, done.eta, done.nodes_done) == (100.0, 0.0, 3)

    desk.play(story())


def test_the_items_of_a_map_count_for_progress_and_a_paused_run_has_no_time_left(desk):
    opened, reached = desk.gate()

    @desk.operation("third")
    async def third(call, x):
        if x == 2:
            reached.set()
            await opened.wait()
        return {"result": x}

    node = {"control": "map", "uses": "third", "over": "x", "params": {"x": [0, 1, 2, 3]}, "concurrency": 1}

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"m": node})))
            await reached.wait()
            progress = (await tracker.status(run)).progress
            assert (progress.nodes_done, progress.percentage) == (0, 50.0)
            await tracker.pause(run, actor="ada")
            opened.set()
            await desk.follow(tracker, run)
            assert (await tracker.status(run)).progress.eta is None
            return await tracker.status(run)

    status = desk.play(story())
    assert status.nodes[0].queued >= 0


def test_the_history_of_all_runs_can_be_read_on_from_any_entry(desk):
    async def story():
        async with desk.open() as tracker:
            runs = [(await desk.run(tracker, desk.flow({"a": "boom"})))[0] for _ in range(3)]
            for run in runs:
                await tracker.retry(run, actor="ada")
                await desk.follow(tracker, run)
            history = await tracker.history()
            assert [entry.command for entry in history] == ["start"] * 3 + ["retry"] * 3
            assert [entry.run for entry in history] == runs * 2
            assert await tracker.history(after=history[2].id, limit=2) == history[3:5]
            assert await tracker.history(runs[1]) == [history[1], history[4]]

    desk.play(story())

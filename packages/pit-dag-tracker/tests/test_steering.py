"""Retries, timeouts, pause, resume, cancel and close."""

import asyncio

import pytest
from symphony_sdk.errors import RunError
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeStarted,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunResumed,
)


def test_a_retryable_failure_is_tried_again_after_a_growing_delay(desk):
    @desk.operation("flaky")
    async def flaky(call):
        if call.attempt < 4:
            raise desk.Retryable("not yet")
        return {"result": call.attempt}

    flow = desk.flow(
        {"a": {"uses": "flaky", "retry": {"attempts": 4, "delay": 0.001, "factor": 3.0}}},
        outputs={"attempt": "a.result"},
    )

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
            assert await desk.outputs(tracker, run) == {"attempt": 4}
        retries = [event for event in events if isinstance(event, NodeRetrying)]
        assert [event.attempt for event in retries] == [1, 2, 3]
        for event, least in zip(retries, (0.001, 0.003, 0.009), strict=True):
            assert least <= event.delay <= 1.25 * least + 1e-9
        assert [event.attempt for event in events if isinstance(event, NodeStarted)] == [1, 2, 3, 4]

    desk.play(story())


def test_a_failure_that_is_not_retryable_is_final_whatever_the_policy(desk):
    flow = desk.flow({"a": {"uses": "boom", "retry": {"attempts": 5}}})

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, flow)
        assert desk.called() == ["a"]
        assert isinstance(events[-1], RunFailed)

    desk.play(story())


def test_attempts_that_are_used_up_fail_the_node_with_the_last_error(desk):
    @desk.operation("never")
    async def never(call):
        raise desk.Retryable(f"attempt {call.attempt}")

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, desk.flow({"a": {"uses": "never", "retry": {"attempts": 3}}}))
        assert [event.error.message for event in events if isinstance(event, NodeFailed)] == ["attempt 3"]

    desk.play(story())


def test_the_timeout_of_a_node_goes_with_each_of_its_calls(desk):
    flow = desk.flow(
        {
            "a": {"uses": "echo", "timeout": 1.5},
            "m": {"control": "map", "uses": "echo", "over": "x", "params": {"x": [1, 2]}, "timeout": 2.5},
        }
    )

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow)
        assert sorted(call.timeout for call in desk.executor.calls) == [1.5, 2.5, 2.5]

    desk.play(story())


def test_a_pause_lets_running_nodes_end_starts_no_other_and_resume_goes_on(desk):
    opened, reached = desk.gate()
    flow = desk.flow({"a": "gated", "b": "echo", "c": "echo"}, ["a.result -> b.x", "b -> c"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
            await tracker.pause(run)
            opened.set()
            before = await desk.follow(tracker, run)
            assert isinstance(before[-1], RunPaused) and before[-1].reason == "paused by its user"
            assert (await tracker.status(run)).state == "paused"
            assert desk.called() == ["a"]
            await tracker.pause(run)  # a paused run stays paused
            await tracker.resume(run)
            after = await desk.follow(tracker, run, before[-1].sequence)
            assert isinstance(after[1], RunResumed) and after[1].completed == 1
            assert isinstance(after[-1], RunCompleted)
            assert desk.called() == ["a", "b", "c"]
            assert await desk.follow(tracker, run) == before + after

    desk.play(story())


def test_a_pause_that_has_not_taken_effect_can_be_taken_back(desk):
    opened, reached = desk.gate()

    @desk.operation("flaky")
    async def flaky(call):
        if call.attempt == 1:
            raise desk.Retryable("once")
        return {"result": 1}

    flow = desk.flow({"a": "gated", "b": {"uses": "flaky", "retry": {"attempts": 2, "delay": 1000}}})

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            async for event in tracker.events(run):
                if isinstance(event, NodeRetrying):
                    break
            await reached.wait()
            await tracker.pause(run)
            await tracker.resume(run)
            opened.set()
            events = await desk.follow(tracker, run)
        assert isinstance(events[-1], RunCompleted)
        assert not [event for event in events if isinstance(event, RunPaused | RunResumed)]

    desk.play(story())


def test_a_failed_run_resumes_at_what_failed_and_keeps_what_completed(desk):
    broken = True

    @desk.operation("mended")
    async def mended(call, x):
        if broken:
            raise ValueError("broken")
        return {"result": x + 1}

    flow = desk.flow(
        {"a": "echo", "b": "mended", "c": "echo", "other": "echo"},
        ["$inputs.n -> a.x", "a.result -> b.x", "b.result -> c.x"],
        inputs={"n": {}},
        outputs={"n": "c.result"},
    )

    async def story():
        nonlocal broken
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow, n=1)
            assert isinstance(events[-1], RunFailed)
            broken = False
            await tracker.resume(run)
            after = await desk.follow(tracker, run, events[-1].sequence)
            assert isinstance(after[-1], RunCompleted)
            assert await desk.outputs(tracker, run) == {"n": 2}
            status = {node.node: node for node in (await tracker.status(run)).nodes}
            assert (status["b"].state, status["b"].attempt, status["b"].error) == ("completed", 2, None)
            with pytest.raises(RunError, match="is completed"):
                await tracker.resume(run)
        assert sorted(desk.called()) == ["a", "b", "b", "c", "other"]

    desk.play(story())


def test_a_failed_map_resumes_at_the_items_that_are_not_done(desk):
    broken = True

    @desk.operation("mended")
    async def mended(call, x):
        if broken and x == 3:
            raise ValueError("broken")
        return {"result": x * 10}

    flow = desk.flow(
        {
            "m": {
                "control": "map",
                "uses": "mended",
                "over": "x",
                "params": {"x": [0, 1, 2, 3]},
                "concurrency": 1,
            }
        },
        outputs={"r": "m.results"},
    )

    async def story():
        nonlocal broken
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            broken = False
            await tracker.resume(run)
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunCompleted)
            assert await desk.outputs(tracker, run) == {"r": [0, 10, 20, 30]}
        assert [call.item for call in desk.executor.calls] == [0, 1, 2, 3, 3]
        keys = [call.idempotency_key for call in desk.executor.calls]
        assert len(set(keys)) == len(keys)

    desk.play(story())


def test_a_resumed_map_keeps_the_errors_that_it_has_collected(desk):
    opened, reached = desk.gate("wait")

    @desk.operation("picky")
    async def picky(call, x):
        if x == 0:
            raise ValueError("zero")
        if x == 2:
            reached.set()
            await opened.wait()
        return {"result": x}

    node = {
        "control": "map",
        "uses": "picky",
        "over": "x",
        "params": {"x": [0, 1, 2]},
        "concurrency": 1,
        "on_error": "collect",
    }
    flow = desk.flow({"m": node}, outputs={"r": "m.results", "e": "m.errors"})

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
        async with desk.open() as tracker:
            opened.set()
            await tracker.resume(run)
            await desk.follow(tracker, run)
            found = await desk.outputs(tracker, run)
        assert found["r"] == [None, 1, 2]
        assert [error["index"] for error in found["e"]] == [0]
        assert [call.item for call in desk.executor.calls] == [0, 1, 2, 2]

    desk.play(story())


def test_a_running_run_is_not_resumed_a_second_time(desk):
    opened, _ = desk.gate()

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"a": "gated"})))
            with pytest.raises(RunError, match="is running already") as caught:
                await tracker.resume(run)
            assert caught.value.code == "SYM-R005"
            opened.set()
            await desk.follow(tracker, run)

    desk.play(story())


def test_two_resumes_at_once_resume_once(desk):
    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, desk.flow({"a": "boom"}))
            results = await asyncio.gather(tracker.resume(run), tracker.resume(run), return_exceptions=True)
            events = await desk.follow(tracker, run)
        assert sorted(type(result).__name__ for result in results) == ["NoneType", "RunError"]
        assert sum(isinstance(event, RunResumed) for event in events) == 1

    desk.play(story())


def test_cancel_stops_what_runs_ends_the_run_and_resume_finishes_it(desk):
    opened, reached = desk.gate()
    flow = desk.flow({"a": "echo", "b": "gated", "c": "echo"}, ["a -> b", "b -> c"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
            await tracker.cancel(run)
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunCancelled)
            assert not [event for event in events if isinstance(event, NodeFailed)]
            assert desk.executor.cancels == [(run, "", False)]
            assert await desk.states(tracker, run) == {"a": "completed", "b": "cancelled", "c": "cancelled"}
            for ask in (tracker.cancel, tracker.pause):
                with pytest.raises(RunError, match="is cancelled"):
                    await ask(run)
            opened.set()
            await tracker.resume(run)
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
        assert desk.called() == ["a", "b", "b", "c"]
        assert [call.attempt for call in desk.executor.calls if call.node == "b"] == [1, 2]

    desk.play(story())


def test_what_does_not_stop_is_stopped_by_force_after_the_grace(desk, monkeypatch):
    monkeypatch.setattr("pit_dag_tracker.dispatcher.GRACE", 0.01)
    _, reached = desk.gate()
    desk.executor.deaf = True

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"a": "gated"})))
            await reached.wait()
            await tracker.cancel(run)
            assert (await tracker.status(run)).state == "cancelled"
        assert desk.executor.cancels == [(run, "", False), (run, "", True)]

    desk.play(story())


def test_an_executor_that_never_reports_cannot_hold_a_cancel_up(desk, monkeypatch):
    monkeypatch.setattr("pit_dag_tracker.dispatcher.GRACE", 0.01)
    taken = asyncio.Event()
    desk.executor.submit = lambda batch, on_event: taken.set()

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"a": "echo"})))
            await taken.wait()
            await asyncio.gather(tracker.cancel(run), tracker.cancel(run))
            assert (await tracker.status(run)).state == "cancelled"
        assert desk.executor.cancels == [(run, "", False), (run, "", True)]

    desk.play(story())


def test_a_paused_run_can_be_cancelled(desk):
    opened, reached = desk.gate()

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"a": "gated", "b": "echo"}, ["a -> b"])))
            await reached.wait()
            await tracker.pause(run)
            opened.set()
            await desk.follow(tracker, run)
            await tracker.cancel(run)
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunCancelled)
            assert await desk.states(tracker, run) == {"a": "completed", "b": "cancelled"}

    desk.play(story())


def test_closing_the_tracker_pauses_its_runs_and_another_goes_on(desk):
    opened, reached = desk.gate()
    flow = desk.flow({"a": "echo", "b": "gated"}, ["a -> b"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
        async with desk.open() as tracker:
            status = await tracker.status(run)
            assert (status.state, status.nodes[0].state) == ("paused", "completed")
            opened.set()
            await tracker.resume(run)
            events = await desk.follow(tracker, run)
        assert [event.reason for event in events if isinstance(event, RunPaused)] == ["Symphony was closed"]
        assert isinstance(events[-1], RunCompleted)
        assert [event.node for event in events if isinstance(event, NodeCompleted)] == ["a", "b"]
        assert desk.called() == ["a", "b", "b"]

    desk.play(story())


def test_a_closed_tracker_answers_with_an_error(desk):
    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, desk.flow({"a": "echo"}))
        for ask in (
            tracker.status(run),
            tracker.runs(),
            tracker.start(desk.request(desk.flow({"a": "echo"}))),
        ):
            with pytest.raises(RunError, match="is closed"):
                await ask
        await tracker.close()

    desk.play(story())

"""What a failure means to the other nodes of a run, as its policy says: live, from the log, resumed and retried."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import RunError
from symphony_sdk.events import NodeStarted, RunCompleted, RunFailed
from symphony_sdk.ports import RunPolicy
from symphony_workflow.testing import examples


def asked(desk, flow, **policy):
    return msgspec.structs.replace(desk.request(flow), policy=RunPolicy(**policy))


async def run_with(desk, tracker, flow, **policy):
    run = await tracker.start(asked(desk, flow, **policy))
    return run, await desk.follow(tracker, run)


def test_a_run_that_fails_fast_stops_what_runs_and_starts_nothing_more(desk):
    reached, stopped = asyncio.Event(), []

    @desk.operation("wait")
    async def wait(call):
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(call.node)

    @desk.operation("break")
    async def broken(call):
        await reached.wait()
        raise ValueError("broken")

    flow = desk.flow(
        {"bad": "break", "slow": "wait", "after-bad": "echo", "after-slow": "echo"},
        ["bad -> after-bad", "slow -> after-slow"],
    )

    async def story():
        async with desk.open() as tracker:
            run, events = await run_with(desk, tracker, flow, on_failure="fail-fast")
            states = await desk.states(tracker, run)
            status = await tracker.status(run)
        assert stopped == ["slow"]
        assert states == {
            "bad": "failed",
            "slow": "cancelled",
            "after-bad": "skipped",
            "after-slow": "cancelled",
        }
        assert isinstance(events[-1], RunFailed)
        assert events[-1].error.details == {"nodes": ["bad"]}
        async with desk.open() as tracker:
            assert await desk.states(tracker, run) == states
            assert await tracker.status(run) == status

    desk.play(story())


def test_a_run_that_failed_fast_goes_on_with_all_that_is_left_when_it_is_resumed(desk):
    tries = []

    @desk.operation("once")
    async def once(call):
        tries.append(call.attempt)
        if call.attempt == 1:
            raise ValueError("broken")
        return {"result": 1}

    flow = desk.flow(
        {"a": "echo", "bad": "once", "b": "echo", "c": "echo"}, ["a -> bad", "bad -> b", "a -> c"]
    )

    async def story():
        async with desk.open() as tracker:
            run, events = await run_with(desk, tracker, flow, on_failure="fail-fast")
            assert isinstance(events[-1], RunFailed)
        async with desk.open() as tracker:
            await tracker.resume(run)
            events = await desk.follow(tracker, run, len(events))
            assert isinstance(events[-1], RunCompleted)
            assert set((await desk.states(tracker, run)).values()) == {"completed"}
        assert tries == [1, 2]
        assert desk.called().count("a") == 1

    desk.play(story())


def test_an_isolated_failure_leaves_out_only_the_outputs_that_depend_on_it(desk):
    flow = desk.flow(
        {"bad": "boom", "after": "echo", "good": "echo"},
        ["bad.result -> after.x"],
        outputs={"lost": "after.result", "kept": "good.result"},
    )

    async def story():
        async with desk.open() as tracker:
            run, events = await run_with(desk, tracker, flow, on_failure="isolate")
            assert isinstance(events[-1], RunCompleted)
            assert await desk.outputs(tracker, run) == {"kept": "good"}
            assert await desk.states(tracker, run) == {
                "bad": "failed",
                "after": "skipped",
                "good": "completed",
            }
            assert (await tracker.status(run)).state == "completed"

    desk.play(story())


def test_a_node_of_a_completed_run_that_failed_alone_can_be_retried(desk):
    @desk.operation("once")
    async def once(call):
        if call.attempt == 1:
            raise ValueError("broken")
        return {"result": 1}

    flow = desk.flow({"bad": "once", "after": "echo"}, ["bad -> after"])

    async def story():
        async with desk.open() as tracker:
            run, events = await run_with(desk, tracker, flow, on_failure="isolate")
            assert isinstance(events[-1], RunCompleted)
            await tracker.retry(run)
            await desk.follow(tracker, run, len(events))
            assert set((await desk.states(tracker, run)).values()) == {"completed"}

    desk.play(story())


def test_the_first_failed_item_stops_the_others_of_a_run_that_fails_fast(desk):
    stopped = []
    reached = asyncio.Event()

    @desk.operation("item")
    async def item(call, x):
        if x == 0:
            await reached.wait()
            raise ValueError("broken")
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(x)

    flow = desk.flow(
        {"each": {"control": "map", "uses": "item", "over": "x", "params": {"x": [0, 1, 2]}}, "b": "echo"},
        ["each -> b"],
    )

    async def story():
        async with desk.open() as tracker:
            run, events = await run_with(desk, tracker, flow, on_failure="fail-fast")
            assert isinstance(events[-1], RunFailed)
            assert await desk.states(tracker, run) == {"each": "failed", "b": "skipped"}
        assert 1 in stopped

    desk.play(story())


def test_a_failure_inside_of_a_workflow_inside_breaks_off_the_run_that_fails_fast(desk):
    opened, reached = desk.gate()

    @desk.operation("break")
    async def broken(call):
        await reached.wait()
        raise ValueError("broken")

    inner = desk.flow({"bad": "break", "slow": "gated", "later": "echo"}, ["slow -> later"])
    flow = desk.flow(
        {"sub": {"control": "subworkflow", "uses": "#inner"}, "after": "echo"},
        ["sub -> after"],
        workflows={"inner": inner},
    )

    async def story():
        async with desk.open() as tracker:
            run, events = await run_with(desk, tracker, flow, on_failure="fail-fast")
            assert isinstance(events[-1], RunFailed)
            assert not opened.is_set()
            assert await desk.states(tracker, run) == {
                "sub": "failed",
                "after": "skipped",
                "sub/bad": "failed",
                "sub/slow": "skipped",
                "sub/later": "skipped",
            }

    desk.play(story())


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"timeout": 0.0}, "timeout is 0 s"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"concurrency": -1}, "concurrency is -1"),
        ({"weight": 0.0}, "weight is 0"),
        ({"weight": float("inf")}, "weight is inf"),
    ],
)
def test_a_policy_that_cannot_be_obeyed_starts_nothing(desk, policy, said):
    async def story():
        async with desk.open() as tracker:
            with pytest.raises(RunError, match=said) as refused:
                await tracker.start(asked(desk, desk.flow({"a": "echo"}), **policy))
            assert refused.value.code == "SYM-R092"
            assert not await tracker.runs()

    desk.play(story())


# -- any graph ----------------------------------------------------------------------------------------


@dataclass
class Drawn:
    fates: list[bool]
    edges: list[tuple[int, int]]


@st.composite
def drawings(draw):
    count = draw(st.integers(1, 12))
    fates = [draw(st.sampled_from([True, True, True, False])) for _ in range(count)]
    edges = [
        (source, target)
        for target in range(1, count)
        for source in sorted(draw(st.sets(st.integers(0, target - 1), max_size=2)))
    ]
    return Drawn(fates, edges)


def by_the_rules(drawn, policy, order):
    """How each node must end, if calls end one after the other in this order."""
    parents = {
        node: [source for source, target in drawn.edges if target == node] for node in range(len(drawn.fates))
    }
    states = {}
    for node in order:
        assert all(states[parent] == "completed" for parent in parents[node])
        states[node] = "completed" if drawn.fates[node] else "failed"
    if policy == "fail-fast" and "failed" in states.values():
        after = len(order) - 1 - list(states.values()).index("failed")
        assert after < 2, "more ended than the one slot and the call behind it had when the first failed"
    for node in range(len(drawn.fates)):  # numbered in topological order
        if node in states:
            continue
        before = {states[parent] for parent in parents[node]}
        if "cancelled" not in before and before & {"failed", "skipped"}:
            states[node] = "skipped"
        else:  # whether it is needed was not decided any more
            assert policy == "fail-fast"
            states[node] = "cancelled"
    return {f"n{node:02}": state for node, state in states.items()}


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=drawings(), policy=st.sampled_from(["continue", "fail-fast", "isolate"]), again=st.booleans())
def test_any_graph_with_any_failures_ends_as_its_policy_says(new_desk, drawn, policy, again):
    with tempfile.TemporaryDirectory() as directory:
        check(new_desk(Path(directory), slots=1), drawn, policy, again)


def check(desk, drawn, policy, again):
    bad = {f"n{node:02}" for node, works in enumerate(drawn.fates) if not works}

    @desk.operation("do")
    async def do(call):
        if call.node in bad:
            raise ValueError("broken")
        return {"result": 1}

    desk.executor.seconds = 1.0  # each call is a batch of its own
    flow = desk.flow(
        {f"n{node:02}": "do" for node in range(len(drawn.fates))},
        [f"n{source:02} -> n{target:02}" for source, target in drawn.edges],
    )

    def ended(events):
        """The nodes whose calls ended of themselves, in order."""
        return [
            int(event.node[1:]) for event in events if type(event).__name__ in ("NodeCompleted", "NodeFailed")
        ]

    async def story():
        async with desk.open() as tracker:
            run, events = await run_with(desk, tracker, flow, on_failure=policy)
            states = await desk.states(tracker, run)
            assert states == by_the_rules(drawn, policy, ended(events))
            fails = bool(bad) and policy != "isolate"
            assert isinstance(events[-1], RunFailed if fails else RunCompleted)
        async with desk.open() as tracker:
            assert await desk.states(tracker, run) == states
            if "failed" not in states.values():
                return
            bad.clear()
            if again or policy == "isolate":
                await tracker.retry(run)
            else:
                await tracker.resume(run)
            after = await desk.follow(tracker, run, len(events))
            assert isinstance(after[-1], RunCompleted)
            assert set((await desk.states(tracker, run)).values()) == {"completed"}
            kept = {node for node, state in states.items() if state == "completed"}
            assert not kept & {event.node for event in after if isinstance(event, NodeStarted)}

    desk.play(story())

"""Runs share an executor by their weights, and what calls need by what there is; nobody starves, nothing lies idle."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pit_dag_tracker.limits import Limits
from pit_dag_tracker.sharing import Share
from symphony_sdk.errors import RunError
from symphony_sdk.events import RunCompleted
from symphony_sdk.ports import Resources, RunPolicy
from symphony_workflow.model import OperatorNode
from symphony_workflow.model import Resources as Wanted

MANY = 240


def wide(desk, operation="echo", count=MANY, **fields):
    return desk.flow({f"n{number:03}": {"uses": operation, **fields} for number in range(count)})


def asked(desk, flow, **policy):
    return msgspec.structs.replace(desk.request(flow), policy=RunPolicy(**policy))


def full_once(desk, most):
    """An operation whose first calls wait until so many are out, and how many were out at each call."""
    full, peaks = asyncio.Event(), []

    @desk.operation("do")
    async def do(call):
        peaks.append(desk.executor.held)
        if desk.executor.held >= most:
            full.set()
        await full.wait()
        return {"result": 1}

    return peaks


async def ends(desk, tracker, *runs):
    for run in runs:
        assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(weights=st.tuples(st.integers(1, 4), st.integers(1, 4)), slots=st.integers(1, 3))
def test_runs_get_calls_by_their_weights_while_all_of_them_have_work(new_desk, weights, slots):
    with tempfile.TemporaryDirectory() as directory:
        desk = new_desk(Path(directory), slots)
        desk.executor.seconds = 1.0  # each call is a batch of its own
        opened, reached = desk.gate("do")

        async def story():
            async with desk.open() as tracker:
                first = await tracker.start(asked(desk, wide(desk, "do"), weight=weights[0]))
                await reached.wait()
                before = len(desk.executor.calls)  # those of the first run, before there was another
                second = await tracker.start(asked(desk, wide(desk, "do"), weight=weights[1]))
                opened.set()
                await ends(desk, tracker, first, second)
            shared = [call.run for call in desk.executor.calls[before:]]
            left = Counter({first: MANY - before, second: MANY})
            window = []
            for run in shared:  # while both have work
                window.append(run)
                left[run] -= 1
                if not left[run]:
                    break
            share = weights[0] / sum(weights)
            got = window.count(first)
            assert abs(got - share * len(window)) <= max(3, 0.1 * min(share, 1 - share) * len(window))

        desk.play(story())


def test_a_run_that_starts_late_gets_its_share_at_once_and_no_more(desk):
    opened, reached = asyncio.Event(), asyncio.Event()
    desk.executor.seconds = 1.0  # each call is a batch of its own

    @desk.operation("do")
    async def do(call):
        if len(desk.executor.calls) >= 100:
            reached.set()
            await opened.wait()
        return {"result": 1}

    async def story():
        async with desk.open() as tracker:
            first = await tracker.start(desk.request(wide(desk, "do", 400)))
            await reached.wait()
            before = len(desk.executor.calls)
            second = await tracker.start(desk.request(wide(desk, "do", 400)))
            opened.set()
            await ends(desk, tracker, first, second)
        after = Counter(call.run for call in desk.executor.calls[before : before + 100])
        assert 45 <= after[second] <= 55
        assert 45 <= after[first] <= 55

    desk.play(story())


def test_what_one_run_leaves_over_is_used_by_the_other(desk):
    opened, reached = desk.gate("do")

    async def story():
        async with desk.open() as tracker:
            heavy = await tracker.start(asked(desk, wide(desk, "do"), weight=100.0, concurrency=1))
            await reached.wait()
            light = await tracker.start(desk.request(wide(desk, "echo")))
            await ends(desk, tracker, light)  # though the heavy one holds its only call all the time
            assert Counter(call.run for call in desk.executor.calls)[heavy] == 1
            opened.set()
            await ends(desk, tracker, heavy)

    desk.play(story())


def test_a_run_that_is_paused_leaves_its_share_to_the_others(desk):
    opened, reached = desk.gate("do")

    async def story():
        async with desk.open() as tracker:
            first = await tracker.start(asked(desk, wide(desk, "do"), weight=50.0))
            await reached.wait()
            second = await tracker.start(desk.request(wide(desk, "echo", 50)))
            await tracker.pause(first)
            opened.set()
            await ends(desk, tracker, second)
            assert (await tracker.status(first)).state == "paused"

    desk.play(story())


def test_a_run_never_has_more_calls_out_than_its_concurrency(new_desk, tmp_path):
    desk = new_desk(tmp_path, slots=4)
    peaks = full_once(desk, 3)

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(asked(desk, wide(desk, "do"), concurrency=3))
            await ends(desk, tracker, run)
        assert max(peaks) == 3

    desk.play(story())


# -- resources ----------------------------------------------------------------------------------------


def held_by(desk):
    """An operation that notes how much of what it needs is out at once, and the highest of that."""
    out, peak = Counter(), Counter()

    @desk.operation("do")
    async def do(call):
        needs = call.resources
        amounts = {"cpu": needs.cpu, "memory": needs.memory, "gpu": needs.gpu, **needs.custom}
        for kind, amount in amounts.items():
            out[kind] += amount
            peak[kind] = max(peak[kind], out[kind])
        await asyncio.sleep(0)
        for kind, amount in amounts.items():
            out[kind] -= amount
        return {"result": 1}

    return peak


AMOUNTS = st.fixed_dictionaries(
    {},
    optional={
        "cpu": st.sampled_from([0.5, 1.0, 2.0]),
        "memory": st.integers(0, 100),
        "gpu": st.sampled_from([0.1, 0.5, 1.0]),
        "custom": st.fixed_dictionaries({}, optional={"licence": st.integers(1, 2)}),
    },
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wanted=st.lists(AMOUNTS, min_size=1, max_size=12), runs=st.integers(1, 3))
def test_calls_never_take_more_together_than_there_is_and_all_of_them_run(new_desk, wanted, runs):
    with tempfile.TemporaryDirectory() as directory:
        desk = new_desk(Path(directory), slots=4)
        desk.executor.capacity = Resources(2.0, 100, 1.0, {"licence": 2})
        peak = held_by(desk)
        flow = desk.flow(
            {f"n{number}": {"uses": "do", "resources": needs} for number, needs in enumerate(wanted)}
        )

        async def story():
            async with desk.open() as tracker:
                started = [await tracker.start(desk.request(flow)) for _ in range(runs)]
                await ends(desk, tracker, *started)
            assert len(desk.executor.calls) == runs * len(wanted)
            for kind, most in {"cpu": 2.0, "memory": 100, "gpu": 1.0, "licence": 2}.items():
                assert peak[kind] <= most + 1e-9

        desk.play(story())


def test_calls_that_need_nothing_go_on_while_others_wait_for_a_device(desk):
    desk.executor.capacity = Resources(gpu=1)
    opened, reached = desk.gate("do")
    flow = desk.flow(
        {
            **{f"g{number}": {"uses": "do", "resources": {"gpu": 1}} for number in range(10)},
            **{f"n{number}": "echo" for number in range(20)},
        }
    )

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
            done = 0
            async for event in tracker.events(run):
                done += type(event).__name__ == "NodeCompleted"
                if done == 20:
                    break
            assert Counter(call.operation for call in desk.executor.calls) == {"t.t.do": 1, "t.t.echo": 20}
            opened.set()
            await ends(desk, tracker, run)

    desk.play(story())


def test_many_calls_that_need_little_starve_none_that_needs_much(new_desk, tmp_path):
    desk = new_desk(tmp_path, slots=4)
    desk.executor.capacity = Resources(gpu=1)
    opened, _ = desk.gate("do")

    async def story():
        async with desk.open() as tracker:
            small = await tracker.start(desk.request(wide(desk, "do", 200, resources={"gpu": 0.5})))
            large = await tracker.start(desk.request(wide(desk, "do", 3, resources={"gpu": 1.0})))
            opened.set()
            await ends(desk, tracker, small, large)
        order = [call.run for call in desk.executor.calls]
        assert len(order) - 1 - order[::-1].index(large) < 100

    desk.play(story())


def test_an_extension_has_no_more_calls_out_than_the_settings_say_over_all_runs(new_desk, tmp_path):
    desk = new_desk(tmp_path, slots=4)
    desk.services.config["concurrency"] = ["t.t=2", "other.one=1"]
    peaks = full_once(desk, 2)

    async def story():
        async with desk.open() as tracker:
            runs = [await tracker.start(desk.request(wide(desk, "do", 40))) for _ in range(3)]
            await ends(desk, tracker, *runs)
        assert max(peaks) == 2

    desk.play(story())


def test_items_of_a_map_take_what_the_map_says_and_its_beginning_takes_nothing(desk):
    desk.executor.capacity = Resources(gpu=1)
    peak = held_by(desk)

    @desk.operation("item")
    async def item(call, x):
        return await desk.executor.operations["t.t.do"](call)

    flow = desk.flow(
        {
            "each": {
                "control": "map",
                "uses": "item",
                "over": "x",
                "params": {"x": list(range(9))},
                "resources": {"gpu": 1},
            }
        }
    )

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, flow)
            assert isinstance(events[-1], RunCompleted)
        assert peak["gpu"] == 1

    desk.play(story())


def test_what_no_executor_has_is_refused_with_its_name(desk):
    desk.executor.can_place = lambda resources: "licence" not in resources.custom

    async def story():
        async with desk.open() as tracker:
            flow = wide(desk, "echo", 1, resources={"custom": {"licence": 2}})
            with pytest.raises(RunError, match="needs licence 2") as refused:
                await tracker.start(desk.request(flow))
            assert refused.value.code == "SYM-R081"

    desk.play(story())


def test_a_node_without_needs_takes_nothing_and_one_with_too_large_needs_all_there_is():
    limits = Limits(Resources(cpu=2.0), {})
    assert not limits.concern(OperatorNode(id="a", uses="t.t.do"))
    assert not limits.concern(OperatorNode(id="a", uses="t.t.do", resources=Wanted(gpu=1.0)))
    assert limits.need(OperatorNode(id="a", uses="t.t.do", resources=Wanted(cpu=3.0))) == (
        ("cpu", 2_000_000),
    )


def test_an_executor_without_a_capacity_limits_nothing():
    class Old:
        name = "old"

    share = Share(Old(), {})
    assert not share.limits.concern(OperatorNode(id="a", uses="t.t.do", resources=Wanted(cpu=3.0)))


def test_a_run_that_is_paused_keeps_nobody_waiting_for_what_it_waited_for(new_desk, tmp_path):
    desk = new_desk(tmp_path, slots=4)
    desk.executor.capacity = Resources(custom={"licence": 2})
    opened, reached = desk.gate("hold")
    begun = asyncio.Event()

    @desk.operation("begin")
    async def begin(call):
        begun.set()
        return {"result": 1}

    def licences(count):
        return {"resources": {"custom": {"licence": count}}}

    async def story():
        async with desk.open() as tracker:
            holder = await tracker.start(desk.request(wide(desk, "hold", 1, **licences(1))))
            await reached.wait()
            greedy = await tracker.start(desk.request(wide(desk, "echo", 1, **licences(2))))
            modest = desk.flow(
                {"first": "begin", "second": {"uses": "echo", **licences(1)}}, ["first -> second"]
            )
            modest = await tracker.start(desk.request(modest))
            await begun.wait()
            await tracker.pause(greedy)
            await ends(desk, tracker, modest)  # though the holder has not given anything back
            assert (await tracker.status(greedy)).state == "paused"
            opened.set()
            await ends(desk, tracker, holder)
            await tracker.resume(greedy)
            await ends(desk, tracker, greedy)

    desk.play(story())

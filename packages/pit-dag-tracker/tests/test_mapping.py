"""Map nodes: one call an item, results in order, bounded concurrency, retries and collected errors."""

import asyncio

import pytest
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeStarted,
    RunCompleted,
)
from symphony_sdk.values import encode


def mapping(desk, **fields):
    return desk.flow(
        {"each": {"control": "map", "over": "x", "uses": "echo", **fields}, "after": "echo"},
        ["$inputs.items -> each.x", "each.results -> after.x"],
        inputs={"items": {}},
        outputs={"results": "each.results"},
    )


@pytest.mark.parametrize("count", [0, 1, 2, 100, 3000])
def test_a_map_calls_each_item_once_and_joins_the_results_in_order(desk, count):
    @desk.operation("double")
    async def double(call, x, by):
        if x % 7 == 0:
            await asyncio.sleep(0)
        return {"result": x * by}

    flow = mapping(desk, uses="double", params={"by": 3})

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow, items=list(range(count)))
            assert await desk.outputs(tracker, run) == {"results": [3 * item for item in range(count)]}
            status = {node.node: node for node in (await tracker.status(run)).nodes}
        assert (status["each"].done, status["each"].total) == (count, count)
        assert [event.items for event in events if isinstance(event, NodeStarted)] == [count, 0]
        assert sorted(event.item for event in events if isinstance(event, ItemCompleted)) == list(
            range(count)
        )
        assert [call.item for call in desk.executor.calls if call.node == "each"].count(0) == min(count, 1)

    desk.play(story())


def test_a_map_never_has_more_items_in_work_than_its_concurrency(new_desk, tmp_path):
    desk = new_desk(tmp_path, slots=16)

    @desk.operation("step")
    async def step(call, x):
        for _ in range(3):
            await asyncio.sleep(0)
        return {"result": x}

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(
                tracker, mapping(desk, uses="step", concurrency=3), items=list(range(50))
            )
        assert isinstance(events[-1], RunCompleted)
        assert desk.executor.peak == 3

    desk.play(story())


def test_items_with_several_outputs_become_objects(desk):
    @desk.operation("split")
    async def split(call, x):
        return {"whole": x // 2, "rest": x % 2}

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, mapping(desk, uses="split"), items=[4, 7])
            assert await desk.outputs(tracker, run) == {
                "results": [{"whole": 2, "rest": 0}, {"whole": 3, "rest": 1}]
            }

    desk.play(story())


def test_large_items_and_results_are_kept_in_the_store(desk):
    items = [letter * 50_000 for letter in "abc"]

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, mapping(desk), items=items)
            assert await desk.outputs(tracker, run) == {"results": items}
        assert isinstance(events[-1], RunCompleted)
        assert len(desk.artifacts.find(run=run)) >= 4

    desk.play(story())


def test_an_item_is_tried_again_by_itself(desk):
    tries = {}

    @desk.operation("flaky")
    async def flaky(call, x):
        tries[x] = tries.get(x, 0) + 1
        if x == 2 and tries[x] < 3:
            raise desk.Retryable("not yet")
        return {"result": x}

    flow = mapping(desk, uses="flaky", retry={"attempts": 3, "delay": 0.001})

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow, items=[1, 2, 3])
            assert await desk.outputs(tracker, run) == {"results": [1, 2, 3]}
        retries = [event for event in events if isinstance(event, NodeRetrying)]
        assert [(event.item, event.attempt) for event in retries] == [(1, 1), (1, 2)]
        assert tries == {1: 1, 2: 3, 3: 1}
        keys = [call.idempotency_key for call in desk.executor.calls]
        assert len(set(keys)) == len(keys)

    desk.play(story())


def test_the_first_failed_item_fails_the_node_once_the_others_in_work_have_ended(desk):
    release = asyncio.Event()

    @desk.operation("some")
    async def some(call, x):
        if x == 0:
            raise ValueError("zero")
        if x == 1:
            await release.wait()
        if x == 9:
            raise desk.Retryable("later")
        return {"result": x}

    desk.executor.seconds = 1.0
    flow = mapping(desk, uses="some", concurrency=2, retry={"attempts": 9, "delay": 1000})

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow, items=[9, 0, 1, 2, 3, 4]))
            events = []
            async for event in tracker.events(run):
                events.append(event)
                if isinstance(event, NodeRetrying):
                    release.set()
            states = await desk.states(tracker, run)
        failed = [event for event in events if isinstance(event, NodeFailed)]
        assert [(event.item, event.error.message) for event in failed] == [(1, "zero")]
        assert states == {"each": "failed", "after": "skipped"}
        assert len(desk.executor.calls) < 6

    desk.play(story())


def test_a_map_may_collect_the_errors_of_its_items(desk):
    @desk.operation("picky")
    async def picky(call, x):
        if x < 0:
            raise ValueError(f"{x} is negative")
        return {"result": x}

    flow = mapping(desk, uses="picky", on_error="collect")
    flow["outputs"]["errors"] = "each.errors"

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow, items=[1, -2, 3])
            assert await desk.outputs(tracker, run) == {
                "results": [1, None, 3],
                "errors": [{"index": 1, "code": "TEST-002", "message": "-2 is negative"}],
            }
        errors = {event.item: event.error for event in events if isinstance(event, ItemCompleted)}
        assert errors[0] is None and errors[1].message == "-2 is negative"

    desk.play(story())


@pytest.mark.parametrize(
    "value",
    [b"", b"\xc1", encode(1) + encode(2), encode([1, 2])[:-1], b"\x91" * 500_000 + b"\xc0"],
    ids=["nothing", "no opcode", "two values", "cut off", "too deep"],
)
def test_an_item_that_gives_no_value_fails_instead_of_shifting_the_results(desk, value):
    @desk.operation("bad")
    async def bad(call, x):
        return {"result": desk.RawValue(value)}

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, mapping(desk, uses="bad"), items=[1])
        assert [event.error.code for event in events if isinstance(event, NodeFailed)] == ["SYM-R011"]

    desk.play(story())


@pytest.mark.parametrize("value", [7, "text", {"a": 1}, None])
def test_a_map_over_something_else_than_a_list_fails_and_says_so(desk, value):
    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, mapping(desk), items=value)
        failed = [event for event in events if isinstance(event, NodeFailed)]
        assert [(event.node, event.error.code) for event in failed] == [("each", "SYM-R010")]
        assert "'x'" in failed[0].error.message

    desk.play(story())


def test_a_map_without_its_list_fails_and_says_where_it_belongs(desk):
    async def story():
        async with desk.open() as tracker:
            flow = desk.flow({"each": {"control": "map", "over": "x", "uses": "echo"}})
            _, events = await desk.run(tracker, flow)
        failed = [event for event in events if isinstance(event, NodeFailed)]
        assert failed[0].error.hint.startswith("Connect an edge to each.x")

    desk.play(story())


def test_the_work_of_a_map_is_that_of_its_items(desk):
    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, mapping(desk), items=list(range(10)))
        each = next(event for event in events if isinstance(event, NodeCompleted))
        assert each.work == pytest.approx(0.01)

    desk.play(story())

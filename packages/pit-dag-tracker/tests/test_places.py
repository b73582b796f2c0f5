"""Where the attempts of a node failed."""

from symphony_sdk.events import NodeFailed, NodeRetrying


def test_a_failure_says_where_the_attempt_ran_until_the_node_runs_again(desk):
    calls = []

    @desk.operation("flaky")
    async def flaky(call, **inputs):
        calls.append(call.node)
        desk.executor.place = f"t.t#{len(calls)}"
        if len(calls) > 3:
            return {"result": 1}
        raise desk.Retryable("not yet")

    retry = {"retry": {"attempts": 2}}
    each = {"control": "map", "uses": "flaky", "over": "x", "params": {"x": [1]}}
    flow = desk.flow({"a": {"uses": "flaky", **retry}, "each": each, "after": "echo"}, ["a -> after"])
    flow["edges"] += desk.flow({}, ["after -> each"])["edges"]

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
            places = [
                (event.node, event.place) for event in events if isinstance(event, NodeRetrying | NodeFailed)
            ]
            assert places == [("a", "t.t#1"), ("a", "t.t#2")]
            told = {node.node: node.place for node in (await tracker.status(run)).nodes}
            assert told == {"a": "t.t#2", "each": "", "after": ""}
            assert [node.place for node in (await tracker.metrics(run)).nodes if node.node == "a"] == [
                "t.t#2"
            ]
            calls.extend(["x"] * 3)
            await tracker.retry(run)
            assert all(
                event.place
                for event in await desk.follow(tracker, run, len(events))
                if isinstance(event, NodeFailed)
            )
            assert {node.place for node in (await tracker.status(run)).nodes} == {""}

    desk.play(story())


def test_an_item_that_fails_its_map_says_where(desk):
    desk.executor.place = "gpu-1"
    each = {"control": "map", "uses": "boom", "over": "x", "params": {"x": [1]}}

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, desk.flow({"each": each}))
            (failed,) = [event for event in events if isinstance(event, NodeFailed)]
            assert (failed.node, failed.item, failed.place) == ("each", 0, "gpu-1")
            return run

    run = desk.play(story())

    async def again():
        async with desk.open() as tracker:
            assert [node.place for node in (await tracker.status(run)).nodes] == ["gpu-1"]

    desk.play(again())

import pytest
from symphony_sdk.errors import RunError


def test_a_run_whose_workflow_is_of_an_older_format_goes_on_after_an_upgrade(desk, new_desk):
    flow = desk.flow(
        {"a": "echo", "b": {"uses": "flaky", "retry": {"attempts": 1, "delay": 1}}},
        ["a.result -> b.x"],
        outputs={"r": "b.result"},
    )
    assert flow["schema"] == 1

    @desk.operation("flaky")
    async def flaky(call, x):
        raise desk.Retryable("not yet")

    async def fail():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            assert (await tracker.status(run)).state == "failed"
            return run

    later = new_desk(desk.directory)
    later.artifacts = later.services.pit.artifacts = desk.artifacts

    @later.operation("flaky")
    async def mended(call, x):
        return {"result": x}

    async def resume(run):
        async with later.open() as tracker:
            seen = (await tracker.status(run)).durable
            await tracker.resume(run)
            await later.follow(tracker, run, seen)
            return await later.outputs(tracker, run)

    assert later.play(resume(desk.play(fail()))) == {"r": "a"}
    assert later.called() == ["b"]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"control": "join"}, "is of the kind 'join'"),
        ({"control": "map", "over": "x"}, "runs the workflow '#inner'"),
        ({"params": {"x": {"$expr": "1 + 1"}}}, "computes a parameter"),
    ],
)
def test_a_node_that_cannot_be_run_is_refused_before_the_run_begins(desk, node, said):
    flow = desk.flow({"a": node}) | {"schema": 2, "workflows": {"inner": {"nodes": {}}}}
    if node.get("control") != "join":
        flow["nodes"]["a"]["uses"] = "#inner" if "control" in node else "t.t.echo"

    async def start():
        async with desk.open() as tracker:
            with pytest.raises(RunError, match=said) as refused:
                await tracker.start(desk.request(flow))
            assert await tracker.runs() == []
            return refused.value

    error = desk.play(start())
    assert (error.code, error.details) == ("SYM-W051", {"node": "a"})

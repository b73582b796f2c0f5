def test_a_run_whose_workflow_is_of_an_older_format_goes_on_after_an_upgrade(desk, new_desk):
    flow = desk.flow(
        {"a": "echo", "b": {"uses": "flaky", "retry": {"attempts": 1, "delay": 1}}},
        ["a.result -> b.x"],
        outputs={"r": "b.result"},
    ) | {"schema": 1}

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

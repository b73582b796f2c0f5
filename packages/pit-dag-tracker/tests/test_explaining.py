"""Every node of a run says why it was computed, or was not."""

import asyncio

import msgspec
import pytest
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import RunError
from symphony_sdk.ports import ExtensionInfo, RunPolicy


@pytest.fixture
def desk(desk):
    desk.remember()

    @desk.operation("add")
    async def add(call, **inputs):
        return {"result": sum(inputs.values())}

    return desk


def pair(desk, x=1, **fields):
    nodes = {"a": {"uses": "add", "params": {"x": x, "y": 0}, **fields}, "b": "add"}
    return desk.flow(nodes, ["a.result -> b.x"], outputs={"n": "b.result"})


async def explained(tracker, run, node=""):
    return {one.node: one for one in await tracker.explain(run, node)}


def codes(explanations):
    return {node: one.code for node, one in explanations.items()}


def test_the_first_time_is_told_from_a_hit_and_a_hit_says_of_what(desk):
    async def story():
        async with desk.open() as tracker:
            first, _ = await desk.run(tracker, pair(desk))
            assert codes(await explained(tracker, first)) == {"a": "first-time", "b": "first-time"}
            second, _ = await desk.run(tracker, pair(desk))
            third, _ = await desk.run(tracker, pair(desk))
            for run in (second, third):
                found = await explained(tracker, run)
                assert codes(found) == {"a": "hit", "b": "hit"}
                assert (found["a"].details["run"], found["a"].details["node"]) == (first, "a")
                assert found["a"].text.startswith(f"the same as node a of run {first} of 20")
            assert list(await explained(tracker, second, "b")) == ["b"]
            with pytest.raises(RunError, match="no node 'bb'") as caught:
                await tracker.explain(second, "bb")
            assert caught.value.code == "SYM-R060"

    desk.play(story())


def test_a_changed_input_is_named_with_what_it_was_and_is(desk):
    async def story():
        async with desk.open() as tracker:
            first, _ = await desk.run(tracker, pair(desk, 1))
            second, _ = await desk.run(tracker, pair(desk, 2))
            found = await explained(tracker, second)
            assert codes(found) == {"a": "input-changed", "b": "input-changed"}
            assert found["a"].details == {"run": first, "inputs": {"x": {"old": "1", "new": "2"}}}
            assert found["b"].text == f"its input x changed from 1 to 2 since run {first}"

    desk.play(story())


def test_large_inputs_are_told_by_their_digests(desk):
    @desk.operation("length")
    async def length(call, x):
        return {"result": len(x)}

    @desk.operation("text")
    async def text(call, n):
        return {"result": "x" * n}

    def flow(n):
        return desk.flow(
            {"a": {"uses": "text", "params": {"n": n}}, "b": "length"},
            ["a.result -> b.x"],
        )

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow(100))
            run, _ = await desk.run(tracker, flow(100_000))
            change = (await explained(tracker, run))["b"].details["inputs"]["x"]
            assert change["old"].startswith("102 bytes ") and change["new"].startswith("artifact ")

    desk.play(story())


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (lambda at: setattr(at, "release", "1.1"), "version-changed", "t.t changed from 1.0 to 1.1"),
        (lambda at: at.versions.update({"t.t.add": 2}), "version-changed", "operation changed from 1 to 2"),
        (
            lambda at: setattr(at, "fingerprint", "f2"),
            "settings-changed",
            "the settings or the content of t.t",
        ),
        (lambda at: at.once.add("t.t.add"), "not-idempotent", "not declared idempotent"),
        (lambda at: at.short.add("t.t.add"), "cheaper-to-run", "less to compute than to look up"),
        (lambda at: at.executor.operations.pop("t.t.never", None), "hit", "the same as"),
    ],
)
def test_a_changed_extension_is_named_with_what_changed(desk, change, code, text):
    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, pair(desk))
            change(desk.installed)
            run, _ = await desk.run(tracker, pair(desk))
            found = await explained(tracker, run)
            assert codes(found) == {"a": code, "b": code}
            assert text in found["a"].text

    desk.play(story())


def test_a_changed_model_of_another_extension_is_named_as_the_change(desk):
    models = (OperationSpec("m.m.caption", "instrument"),)
    other = ExtensionInfo("m.m", "1.0", "instrument", "active", models, fingerprint="m1")
    desk.installed.permissions = ("model:execute:m.m.*",)

    async def story():
        async with desk.open() as tracker:
            desk.installed.others = [other]
            await desk.run(tracker, pair(desk))
            desk.installed.others = [msgspec.structs.replace(other, fingerprint="m2")]
            run, _ = await desk.run(tracker, pair(desk))
            found = await explained(tracker, run)
            assert codes(found) == {"a": "settings-changed", "b": "settings-changed"}
            assert "models that t.t may run" in found["a"].text

    desk.play(story())


def test_what_a_user_or_the_workflow_wants_is_the_reason(desk):
    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, pair(desk, cache={"use": "never"}))
            assert codes(await explained(tracker, run)) == {"a": "never", "b": "first-time"}
            request = msgspec.structs.replace(desk.request(pair(desk)), policy=RunPolicy(cache=False))
            run = await tracker.start(request)
            await desk.follow(tracker, run)
            assert codes(await explained(tracker, run)) == {"a": "switched-off", "b": "switched-off"}
            new = await tracker.rerun(run, nodes=["b"])
            await desk.follow(tracker, new)
            assert codes(await explained(tracker, new)) == {"a": "taken-over", "b": "asked"}
            run, _ = await desk.run(tracker, pair(desk))
            await tracker.retry(run, "a")
            await desk.follow(tracker, run)
            assert codes(await explained(tracker, run)) == {"a": "asked", "b": "hit"}

    desk.play(story())


def test_what_has_not_run_and_what_is_no_call_say_so(desk):
    flow = desk.flow(
        {"bad": "boom", "after": "echo", "way": {"control": "branch", "condition": "true"}},
        ["bad.result -> after.x", "bad -> way"],
    )

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            assert codes(await explained(tracker, run)) == {
                "bad": "first-time",
                "after": "not-run",
                "way": "control",
            }
            del desk.services.extensions
            run, _ = await desk.run(tracker, pair(desk))
            assert codes(await explained(tracker, run)) == {"a": "unknown", "b": "unknown"}
            desk.remember()
            run, _ = await desk.run(tracker, pair(desk))
            assert codes(await explained(tracker, run)) == {"a": "forgotten", "b": "forgotten"}

    desk.play(story())


def test_a_result_that_is_too_old_removed_empty_or_forgotten_is_told_apart(desk, monkeypatch):
    @desk.operation("store")
    async def store(call):
        return {"file": desk.artifacts.put(b"content")}

    @desk.operation("nothing")
    async def nothing(call):
        return {}

    flow = desk.flow(
        {
            "old": {"uses": "echo", "params": {"x": 1}, "cache": {"ttl": 0.000001}},
            "gone": "store",
            "empty": "nothing",
            "lost": {"uses": "echo", "params": {"x": 2}},
        }
    )

    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, flow)
            for info in desk.artifacts.find():
                desk.artifacts.remove(info.ref.id)

            def forget(connection):
                connection.execute("DELETE FROM results")

            await asyncio.wrap_future(tracker._log.work(forget))
            desk.artifacts.put(b"other")
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            assert codes(await explained(tracker, run)) == {
                "old": "expired",
                "gone": "forgotten",
                "empty": "no-outputs",
                "lost": "forgotten",
            }
            for info in desk.artifacts.find():
                desk.artifacts.remove(info.ref.id)
            assert (await explained(tracker, run))["gone"].code == "removed"

    desk.play(story())


def test_inner_nodes_and_items_are_explained_too(desk):
    inner = desk.flow(
        {"in": {"uses": "add", "params": {"y": 1}}},
        ["$inputs.x -> in.x"],
        inputs={"x": {}},
        outputs={"result": "in.result"},
    )

    def flow(items):
        return desk.flow(
            {
                "each": {"control": "map", "uses": "add", "over": "x", "params": {"x": items}},
                "deep": {"control": "map", "uses": "#inner", "over": "x", "params": {"x": items}},
                "loop": {
                    "control": "loop",
                    "uses": "#inner",
                    "params": {"x": items[0] + 100},  # no value that an item has
                    "until": "iteration == 2",
                    "max_iterations": 3,
                    "carry": {"x": "result"},
                },
            },
            workflows={"inner": inner},
        )

    async def story():
        async with desk.open() as tracker:
            first, _ = await desk.run(tracker, flow([1, 20, 30]))
            run, _ = await desk.run(tracker, flow([5, 20, 30]))
            found = await explained(tracker, run)
            assert codes(found) == {
                "each": "input-changed",
                "deep": "control",
                "loop": "control",
                "deep[0]/in": "input-changed",
                "deep[1]/in": "hit",
                "deep[2]/in": "hit",
                "loop[0]/in": "input-changed",
                "loop[1]/in": "input-changed",
            }
            assert found["deep[0]/in"].details["inputs"] == {"x": {"old": "1", "new": "5"}}
            assert found["loop[1]/in"].details["inputs"] == {"x": {"old": "102", "new": "106"}}
            assert found["each"].text == (
                "2 of its 3 items are the same as earlier ones; its input x changed from [1, 20, 30] to "
                f"[5, 20, 30] since run {first}"
            )
            run, _ = await desk.run(tracker, flow([5, 20, 30]))
            assert (await explained(tracker, run))["each"].text == "its 3 items are the same as earlier ones"

    desk.play(story())


def test_a_run_that_computes_the_same_at_the_same_time_is_named(desk):
    opened, both = asyncio.Event(), asyncio.Event()

    @desk.operation("gated")
    async def gated(call):
        if len(desk.executor.calls) == 2:
            both.set()
        await opened.wait()
        return {"result": 1}

    async def story():
        async with desk.open() as tracker:
            flow = desk.flow({"a": "gated"})
            first = await tracker.start(desk.request(flow))
            second = await tracker.start(desk.request(flow))
            await both.wait()
            opened.set()
            for run in (first, second):
                await desk.follow(tracker, run)
            assert codes(await explained(tracker, second)) == {"a": "at-the-same-time"}

    desk.play(story())

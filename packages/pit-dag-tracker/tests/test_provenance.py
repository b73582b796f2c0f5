"""What a node makes says which artifacts it was made from."""

import logging

import pytest
from symphony_sdk import ArtifactRef
from symphony_sdk.errors import ArtifactError

BIG = "x" * 100_000


@pytest.fixture
def artifacts(desk):
    """Two artifacts, and operations that read one and make one."""

    @desk.operation("write")
    async def write(call, text, file=None):
        return {
            "file": desk.artifacts.put(
                f"{call.node} {call.item} {text}".encode(), name=f"{call.node}.{call.item}"
            )
        }

    @desk.operation("grow")
    async def grow(call, file):
        return {"result": BIG + file["id"]}

    return [desk.artifacts.put(data, name=data.decode()) for data in (b"first", b"second")]


def made_from(desk, name):
    """Names of what the newest artifact of a name is derived from."""
    info = desk.artifacts.find(name=name, limit=1)[0]
    return {
        desk.artifacts.info(relation.object).ref.name
        for relation in desk.artifacts.relations(info.ref.id)
        if relation.kind == "derived-from" and relation.subject == info.ref.id
    }


def play(desk, flow, **inputs):
    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow, **inputs)
            return (await tracker.status(run)).state

    return desk.play(story())


def given(ref):
    return {"$type": "artifact", "id": ref.id, "size": ref.size}


def test_an_artifact_is_derived_from_those_among_the_inputs_of_its_node(desk, artifacts):
    flow = desk.flow(
        {"a": "write", "b": "write"},
        ["$inputs.files -> a.file", "$inputs.text -> a.text", "$inputs.text -> b.text", "a.file -> b.file"],
        inputs={"files": {}, "text": {}},
    )
    assert play(desk, flow, files=[given(ref) for ref in artifacts], text="t") == "completed"
    assert made_from(desk, "a.-1") == {"first", "second"}
    assert made_from(desk, "b.-1") == {"a.-1"}


def test_large_values_are_links_of_the_lineage(desk, artifacts):
    flow = desk.flow(
        {"grow": "grow", "pass": "echo", "b": "write"},
        ["$inputs.file -> grow.file", "grow.result -> pass.x", "pass.result -> b.text"],
        inputs={"file": {}},
    )
    assert play(desk, flow, file=given(artifacts[0])) == "completed"
    assert made_from(desk, "grow.result.msgpack") == {"first"}
    (through,) = made_from(desk, "b.-1")
    assert through.endswith(".result.msgpack")


def test_each_item_is_derived_from_its_own(desk, artifacts):
    flow = desk.flow(
        {"each": {"control": "map", "over": "file", "uses": "write", "params": {"text": "t"}}},
        ["$inputs.items -> each.file"],
        inputs={"items": {}},
    )
    assert play(desk, flow, items=[given(ref) for ref in artifacts]) == "completed"
    assert made_from(desk, "each.0") == {"first"}
    assert made_from(desk, "each.1") == {"second"}


def test_the_results_of_a_map_are_derived_from_the_large_value_that_its_items_are_in(desk, artifacts):
    @desk.operation("list")
    async def list_(call, file):
        return {"result": [f"{number} {BIG}" for number in range(2)]}

    @desk.operation("shout")
    async def shout(call, x):
        return {"result": f"{x}!"}

    flow = desk.flow(
        {"list": "list", "each": {"control": "map", "over": "x", "uses": "shout"}, "b": "write"},
        ["$inputs.file -> list.file", "list.result -> each.x", "each.results -> b.text"],
        inputs={"file": {}},
    )
    assert play(desk, flow, file=given(artifacts[0])) == "completed"
    assert made_from(desk, "b.-1") == {"each.results.msgpack"}
    assert made_from(desk, "list.result.msgpack") == {"first"}
    assert made_from(desk, "each.results.msgpack") == {"list.result.msgpack"}


def test_what_is_passed_on_is_not_made_from_itself(desk, artifacts):
    flow = desk.flow({"a": "echo"}, ["$inputs.file -> a.x"], inputs={"file": {}})
    assert play(desk, flow, file=given(artifacts[0])) == "completed"
    assert list(desk.artifacts.relations(artifacts[0].id)) == []


@pytest.mark.parametrize("id", ["b3-" + "0" * 64, "b3-", "stable", "no id at all", ""])
def test_inputs_that_are_not_there_harm_nothing(desk, artifacts, id):
    desk.artifacts.tag(artifacts[1].id, "stable")
    flow = desk.flow(
        {"a": "write"},
        ["$inputs.files -> a.file", "$inputs.text -> a.text"],
        inputs={"files": {}, "text": {}},
    )
    files = [given(artifacts[0]), {"$type": "artifact", "id": id, "size": 1}]
    assert play(desk, flow, files=files, text="t") == "completed"
    assert made_from(desk, "a.-1") == {"first"}


def test_a_store_that_cannot_keep_it_loses_no_result(desk, artifacts, caplog):
    def refuse(ids, sources):
        raise ArtifactError("the disk is full")

    desk.artifacts.derive = refuse
    flow = desk.flow(
        {"a": "write"}, ["$inputs.file -> a.file", "$inputs.text -> a.text"], inputs={"file": {}, "text": {}}
    )
    with caplog.at_level(logging.WARNING):
        assert play(desk, flow, file=given(artifacts[0]), text="t") == "completed"
    assert "the disk is full" in caplog.text
    assert "'a'" in caplog.text
    assert made_from(desk, "a.-1") == set()


def test_after_a_resumption_the_lineage_goes_on(desk, artifacts):
    broken = []

    @desk.operation("fragile")
    async def fragile(call, text):
        if not broken:
            broken.append(1)
            raise ArtifactError("once")
        return {"file": desk.artifacts.put(b"late", name="late")}

    flow = desk.flow(
        {"grow": "grow", "b": "fragile"},
        ["$inputs.file -> grow.file", "grow.result -> b.text"],
        inputs={"file": {}},
    )

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow, file=given(artifacts[0]))
            assert (await tracker.status(run)).state == "failed"
        async with desk.open() as tracker:
            await tracker.resume(run)
            await desk.follow(tracker, run)
            assert (await tracker.status(run)).state == "completed"

    desk.play(story())
    assert made_from(desk, "late") == {"grow.result.msgpack"}


def test_a_reference_that_a_node_invents_is_an_output_like_any_other(desk, artifacts):
    @desk.operation("invent")
    async def invent(call, file):
        return {"file": ArtifactRef("b3-" + "f" * 64, 1)}

    flow = desk.flow({"a": "invent"}, ["$inputs.file -> a.file"], inputs={"file": {}})
    assert play(desk, flow, file=given(artifacts[0])) == "completed"
    assert list(desk.artifacts.relations(artifacts[0].id)) == []

"""The workflows of the page "Branch, map, loop and ask", run by the DAG Tracker with operations of the test's own."""

import asyncio
from types import SimpleNamespace

import pytest
from pit_dag_tracker import Tracker
from symphony_sdk.events import NodeWaiting
from symphony_sdk.ports import RunRequest
from symphony_sdk.testing.fakes import FakeExecutor, FakePit
from symphony_sdk.values import decode, encode
from symphony_workflow import WorkflowBuilder, to_document

OPERATIONS = {
    "symphony.files.walk": lambda path: {"files": [f"{path}/a.py", f"{path}/b.md"], "count": 2},
    "symphony.file-type.classify": lambda file: {"result": file.rpartition(".")[2]},
    "acme.text.measure": lambda **files: {"result": len(files)},
    "acme.text.sample": lambda files: {"result": files[:1]},
    "acme.text.improve": lambda text, score: {"text": text + "!", "score": score + 0.4},
    "acme.text.send": lambda text: {"result": text},
    "acme.text.tell": lambda text: {"result": text},
}


@pytest.fixture
def ran(pages, monkeypatch, tmp_path):
    """Runs a workflow of the page; gives the states of its nodes and its outputs."""
    built = {}
    build = WorkflowBuilder.build

    def record(builder):
        workflow = build(builder)
        built[workflow.id] = to_document(workflow)
        return workflow

    monkeypatch.setattr(WorkflowBuilder, "build", record)
    blocks = [block.text for block in pages["how-to/branch-and-map.md"].blocks if block.language == "python"]
    exec("\n".join(blocks), {})

    async def story(name, inputs):
        services = SimpleNamespace(
            data_dir=tmp_path, executors={"local": FakeExecutor(OPERATIONS)}, pit=FakePit(), config={}
        )
        tracker = Tracker(services)
        try:
            given = {port: encode(value) for port, value in inputs.items()}
            run = await tracker.start(RunRequest(built[name], given))
            async for event in tracker.events(run):
                if isinstance(event, NodeWaiting):
                    await tracker.answer(run, event.node, True, by="Ada")
            states = {node.node: node.state for node in (await tracker.status(run)).nodes}
            return states, {port: decode(value) for port, value in (await tracker.outputs(run)).items()}
        finally:
            await tracker.close()

    return lambda name, **inputs: asyncio.run(asyncio.wait_for(story(name, inputs), 60))


def test_the_map_of_the_page_classifies_each_file(ran):
    _, outputs = ran("classify", path="src")
    assert outputs == {"kinds": ["py", "md"], "errors": []}


def test_the_branch_and_the_switch_of_the_page_take_one_way_and_the_join_goes_on(ran):
    states, _ = ran("long-or-short", path="src")
    assert (states["measured"], states["sampled"]) == ("completed", "skipped")
    states, outputs = ran("by-size", path="src")
    assert (states["few"], states["many"]) == ("completed", "skipped")
    assert outputs == {"result": 1}


def test_the_workflows_inside_of_the_page_run_once_for_each_item_and_until_they_are_good(ran):
    states, outputs = ran("polish", text="hi", texts=["a", "b"])
    assert outputs == {"text": "hi!!!!"}
    assert states["sent"] == "completed"
    for node in ("once/better", "each[1]/better", "polished[2]/better"):
        assert states[node] == "completed"


def test_the_condition_on_an_edge_of_the_page_holds(ran):
    states, _ = ran("tell", path="src")
    assert states == {"walk": "completed", "tell": "completed"}

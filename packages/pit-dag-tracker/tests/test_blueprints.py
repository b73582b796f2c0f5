"""The compiled workflow that is kept with a run: the same as what the document says, or made anew from that."""

import asyncio
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pit_dag_tracker import blueprint_form
from pit_dag_tracker.blueprint_form import AT_ONCE, decode_blueprints, encode_blueprints
from pit_dag_tracker.blueprints import Blueprints, blueprints_of
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.recovery import recover, replay
from pit_dag_tracker.wiring import Wiring
from symphony_workflow import INPUTS, DataEdge, OperatorNode, Workflow, WorkflowInput, from_document
from symphony_workflow.model import CACHED, NO_RESOURCES, ONCE
from symphony_workflow.testing import examples, workflows

PATIENT = settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
CHILD = Path(__file__).with_name("crash_child.py")


def whole(blueprints: Blueprints) -> list[object]:
    """Everything that blueprints say, with every node made."""
    for one in blueprints:
        for number in range(len(one.names)):
            assert one.nodes[number].id == one.names[number]
    return [blueprints.top, *sorted(blueprints.inner.items())]


def runnable(drawn: Workflow) -> Workflow:
    """A drawn workflow that names only what there is: inputs, nodes, and workflows of its file."""
    leaf = Workflow(id="leaf", nodes=(OperatorNode(id="only", uses="acme.a.x"),))
    inner = tuple(mended(one, known=set()) for one in drawn.workflows if one.id != "leaf")
    return replace(mended(drawn, known={f"#{one.id}" for one in inner}), workflows=(*inner, leaf))


def mended(drawn: Workflow, known: set[str]) -> Workflow:
    named = {edge.source_port for edge in drawn.edges if isinstance(edge, DataEdge) and edge.source == INPUTS}
    missing = sorted(named - {one.name for one in drawn.inputs})
    nodes = tuple(
        replace(node, uses="#leaf")
        if getattr(node, "uses", "").startswith("#") and node.uses not in known
        else node
        for node in drawn.nodes
    )
    outputs = [replace(one, node=nodes[0].id) for one in drawn.outputs] if nodes else ()
    inputs = (*drawn.inputs, *map(WorkflowInput, missing))
    return replace(drawn, nodes=nodes, inputs=inputs, outputs=tuple(outputs))


flows = workflows(acyclic=True, most=7).map(runnable)


@PATIENT
@given(flows, st.binary(max_size=8))
def test_what_is_read_from_the_form_is_what_the_document_says(workflow, request_bytes):
    made = blueprints_of(workflow)
    read = decode_blueprints(encode_blueprints(made, request_bytes), request_bytes)
    assert whole(read) == whole(made)
    assert read.calls == made.calls
    for one in read:
        for node in one.nodes.values():  # others ask whether a policy is the default by `is`
            for name, default in (("resources", NO_RESOURCES), ("retry", ONCE), ("cache", CACHED)):
                assert getattr(node, name, default) != default or getattr(node, name, default) is default


@PATIENT
@given(flows)
def test_a_graph_of_a_form_runs_like_that_of_the_document(workflow):
    def told(graph):
        wiring = Wiring(graph, {one.name: b"\xc0" for one in workflow.inputs})
        for number in range(len(graph.top.workflow.names)):
            if graph.runs(number) is not None:
                instance = graph.instance(number, -1)
                wiring.wire(instance, {one.name: b"\xc3" for one in instance.workflow.inputs})
        ledger = Ledger(graph)
        nodes = [graph.nodes[number] for number in range(len(graph.names))]
        numbers = range(len(graph.names))
        given = [
            (wiring._fixed[n], wiring._ports[n], [*wiring._sources[n]], wiring._rules.get(n)) for n in numbers
        ]
        return (
            graph.names,
            nodes,
            graph.parents,
            graph.children,
            graph.priority,
            [*graph.order],
            given,
            ledger.total,
        )

    read = decode_blueprints(encode_blueprints(blueprints_of(workflow), b""), b"")
    assert told(Graph(read)) == told(Graph(workflow))


@PATIENT
@given(flows, st.data())
def test_a_form_that_is_damaged_or_of_another_request_is_not_believed(workflow, data):
    form = encode_blueprints(blueprints_of(workflow), b"asked")
    assert decode_blueprints(form, b"asked else") is None
    assert decode_blueprints(form[: data.draw(st.integers(0, len(form) - 1))], b"asked") is None
    place = data.draw(st.integers(0, len(form) - 1))
    changed = bytes([form[place] ^ data.draw(st.integers(1, 255))])
    assert decode_blueprints(form[:place] + changed + form[place + 1 :], b"asked") is None


def test_nodes_of_a_form_are_made_when_they_are_asked_for():
    names = [f"n{number:04}" for number in range(3 * AT_ONCE)]
    workflow = Workflow(id="many", nodes=tuple(OperatorNode(id=name, uses="acme.a.x") for name in names))
    read = decode_blueprints(encode_blueprints(blueprints_of(workflow), b""), b"")
    assert len(read.top.nodes) == 0
    assert read.top.nodes[AT_ONCE].id == names[AT_ONCE]
    assert sorted(read.top.nodes) == list(range(AT_ONCE, 2 * AT_ONCE))
    with pytest.raises(KeyError):
        read.top.nodes[len(names)]


# -- in the log ---------------------------------------------------------------------------------------


def form_of(desk, run):
    with sqlite3.connect(desk.directory / "runs.sqlite") as connection:
        row = connection.execute("SELECT form FROM blueprints WHERE run = ?", (run,)).fetchone()
        (request,) = connection.execute("SELECT request FROM requests WHERE run = ?", (run,)).fetchone()
    connection.close()
    return (row[0] if row else None), request


def change(desk, statement, *values):
    with sqlite3.connect(desk.directory / "runs.sqlite") as connection:
        connection.execute(statement, values)
    connection.close()


async def begun(desk, flow):
    """A run that stopped before its node `last`."""
    _, reached = desk.gate("gated")
    async with desk.open() as tracker:
        run = await tracker.start(desk.request(flow))
        await reached.wait()
    return run


async def resumed(desk, run):
    @desk.operation("gated")
    async def gated(call, **inputs):
        return {"result": "done"}

    async with desk.open() as tracker:
        states = await desk.states(tracker, run)
        seen = (await tracker.status(run)).durable
        await tracker.resume(run)
        await desk.follow(tracker, run, seen)
        return states, await desk.outputs(tracker, run)


DAMAGE = {
    "missing": ("DELETE FROM blueprints", None),
    "empty": ("UPDATE blueprints SET form = x''", None),
    "cut": ("UPDATE blueprints SET form = substr(form, 1, length(form) - 1)", None),
    "of another run": (
        "UPDATE blueprints SET form = ?",
        encode_blueprints(blueprints_of(Workflow(id="x")), b""),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_form_that_is_not_right_is_made_anew_and_kept(desk, caplog, damage):
    inner = desk.flow({"s": "echo"}, ["$inputs.x -> s.x"], inputs={"x": {}}, outputs={"x": "s.result"})
    each = {"control": "map", "uses": "#inner", "over": "x", "params": {"x": [1, 2]}}
    flow = desk.flow(
        {"a": {"uses": "echo", "params": {"x": 7}}, "each": each, "last": "gated"},
        ["a.result -> last.a", "each.results -> last.e"],
        outputs={"a": "a.result", "each": "each.results", "last": "last.result"},
        workflows={"inner": inner},
    )
    run = asyncio.run(begun(desk, flow))
    good, request = form_of(desk, run)
    assert decode_blueprints(good, request) is not None
    statement, value = DAMAGE[damage]
    change(desk, statement, *([] if value is None else [value]))
    with caplog.at_level(logging.WARNING, "pit_dag_tracker"):
        states, outputs = asyncio.run(resumed(desk, run))
    assert bool(caplog.records) == (damage in ("cut", "of another run"))
    assert states["a"] == states["each"] == "completed"
    assert outputs == {"a": 7, "each": [1, 2], "last": "done"}
    assert form_of(desk, run)[0] == good


def test_a_form_of_another_version_is_made_anew_and_kept(desk, monkeypatch):
    flow = desk.flow({"a": "echo", "last": "gated"}, ["a -> last"], outputs={"last": "last.result"})
    run = asyncio.run(begun(desk, flow))
    old, request = form_of(desk, run)
    monkeypatch.setattr(blueprint_form, "_LAYOUT", b"of a later version")
    assert decode_blueprints(old, request) is None
    assert asyncio.run(resumed(desk, run))[1] == {"last": "done"}
    kept, _ = form_of(desk, run)
    assert kept != old and decode_blueprints(kept, request) is not None


KILLED = """
import asyncio, os, runpy, signal, sys
from pit_dag_tracker import starting, tables

def keep(connection, run, form):
    tables.keep_blueprints(connection, run, form)
    os.kill(os.getpid(), signal.SIGKILL)

starting.keep_blueprints = keep
main = runpy.run_path(sys.argv[1])["main"]
asyncio.run(main(*sys.argv[2:6]))
"""


def child(tmp_path, run="", *, killed=False):
    ledger, script = str(tmp_path / "ledger"), ["-c", KILLED, str(CHILD)] if killed else [str(CHILD)]
    return subprocess.run(
        [sys.executable, *script, str(tmp_path), ledger, "nested", run],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_after_kill_9_while_the_form_is_written_there_is_none_or_a_whole_one(desk, tmp_path):
    assert child(tmp_path, killed=True).returncode == -signal.SIGKILL
    with closing(EventLog(tmp_path / "runs.sqlite")) as log:
        assert log.runs(10) == []  # it was not started

    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(tmp_path), os.devnull, "held nested", ""],
        stdout=subprocess.PIPE,
        text=True,
    )
    run = process.stdout.readline().split()[1]
    process.kill()
    process.stdout.close()
    process.wait()
    good, request = form_of(desk, run)
    change(desk, "DELETE FROM blueprints")
    assert child(tmp_path, run, killed=True).returncode == -signal.SIGKILL
    assert form_of(desk, run)[0] is None
    change(desk, "INSERT INTO blueprints VALUES (?, ?)", run, good[: len(good) // 2])
    assert child(tmp_path, run, killed=True).returncode == -signal.SIGKILL
    assert form_of(desk, run)[0] == good[: len(good) // 2]
    (tmp_path / "go").touch()
    ended = child(tmp_path, run)
    assert ended.returncode == 0 and "outputs" in ended.stdout
    assert decode_blueprints(form_of(desk, run)[0], request) is not None


# -- what is recovered --------------------------------------------------------------------------------


def test_whatever_happened_a_run_is_recovered_as_it_is_replayed(desk):
    tried = []

    @desk.operation("flaky")
    async def flaky(call, **inputs):
        tried.append(call.node)
        if call.attempt == 1:
            raise desk.Retryable("first")
        return {"result": len(tried)}

    inner = desk.flow(
        {"s": "flaky", "t": "echo"},
        ["$inputs.x -> s.x", "s -> t"],
        inputs={"x": {}},
        outputs={"x": "t.result"},
    )
    retry = {"attempts": 2}
    inner["nodes"]["s"]["retry"] = retry
    nodes = {
        "a": "echo",
        "f": {"uses": "flaky", "retry": retry},
        "bad": "boom",
        "after": "echo",
        "each": {"control": "map", "uses": "#inner", "over": "x", "params": {"x": [1, 2]}},
        "items": {"control": "map", "uses": "echo", "over": "x", "params": {"x": [1, 2, 3]}},
        "way": {"control": "branch", "condition": "value == 1", "params": {"value": 1}},
        "then": "echo",
        "else": "echo",
        "ask": {"control": "approval", "prompt": "Go on?"},
        "end": "echo",
    }
    edges = [
        "a.result -> f.x",
        "bad -> after",
        "way.then -> then.x",
        "way.else -> else.x",
        "f.result -> ask.value",
        "ask.approved -> end.x",
        "a -> each",
    ]
    flow = desk.flow(nodes, edges, workflows={"inner": inner})

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            async for event in tracker.events(run):
                if event.__struct_config__.tag == "run-waiting":
                    await tracker.answer(run, "ask", True, by="ada")
            await tracker.retry(run, "a")
            seen = event.sequence
            async for event in tracker.events(run, seen):
                if event.__struct_config__.tag == "run-waiting":
                    break
        async with desk.open() as tracker:
            await tracker.resume(run)
            await tracker.pause(run)
            await desk.follow(tracker, run, seen)
        return run

    run = desk.play(story())
    with closing(EventLog(desk.directory / "runs.sqlite")) as log:
        entries, batches = list(log.entries(run)), [one for batch in log.unread(run) for one in batch]
    assert len(entries) == len(batches) > 40
    workflow = from_document(flow)

    def told(ledger, stored, remains):
        state = {
            name: value
            for name, value in vars(ledger).items()
            if not name.startswith("_of") and name != "graph"
        }
        return state, stored, remains.stored_items, remains.item_errors, ledger.graph.names

    for count in range(1, len(entries) + 1):  # as if its process had died after each event
        ledger = Ledger(Graph(workflow))
        remains = replay(entries[:count], ledger)
        fast = Ledger(Graph(decode_blueprints(encode_blueprints(blueprints_of(workflow), b""), b"")))
        found = recover([batches[:count]], run, fast)
        stored = {number: found.held(number) for number in sorted({*found.stored, *found.unread})}
        assert told(fast, stored, found) == told(ledger, dict(sorted(remains.stored.items())), remains)

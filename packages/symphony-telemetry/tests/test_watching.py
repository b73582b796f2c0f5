"""What is noted of runs, when the tracker is asked, and what the sinks are told."""

import asyncio
import threading

import pytest
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    RunCompleted,
    RunPaused,
    RunResumed,
    RunStarted,
    RunSteered,
    RunWaiting,
)
from symphony_telemetry import watching
from symphony_telemetry.watching import OTHER, Telemetry, owner

BROKEN = ErrorPayload("TEST-001", "broken")


class Book:
    """Writes down what it is told."""

    def __init__(self):
        self.lines = []
        self.states = []
        self.flushed = threading.Event()
        self.threads = set()

    def write(self, *line):
        self.threads.add(threading.get_ident())
        self.lines.append(line)

    def begun(self, run):
        self.write("begun", run.workflow)

    def retried(self, run, operation, times):
        self.write("retried", operation, times)

    def node(self, run, node, end, inside):
        self.write("node", node.node, node.operation, type(end).__name__, inside and inside.node)

    def ended(self, run, state, seconds, end):
        self.write("ended", state, seconds)

    def under_way(self, runs):
        self.states.append(dict(runs))

    def dropped(self, count):
        self.write("dropped", count)

    def flush(self):
        self.flushed.set()

    def close(self):
        self.write("closed")


def test_a_run_is_told_from_its_begin_to_its_end_each_node_once(play, watch):
    book = Book()
    play.node("a", "completed")
    play.node("b", "failed", "t.t.boom", retries=2)
    play.node("c", "skipped", "")
    watch(
        [book],
        play.event(RunStarted, 0, workflow="flow", nodes=3),
        play.event(NodeStarted, 1, node="a"),
        play.event(NodeCompleted, 2, node="a", seconds=1.0),
        play.event(NodeRetrying, 2, node="b", attempt=1, delay=0.0, error=BROKEN),
        play.event(NodeRetrying, 3, node="b", attempt=2, delay=0.0, error=BROKEN),
        play.event(NodeFailed, 4, node="b", error=BROKEN),
        play.event(NodeSkipped, 4, node="c", reason="no"),
        play.event(RunCompleted, 5, seconds=5.0),
    )
    assert book.lines == [
        ("begun", "flow"),
        ("retried", "t.t.boom", 2),
        ("node", "a", "t.t.echo", "NodeCompleted", None),
        ("node", "b", "t.t.boom", "NodeFailed", None),
        ("node", "c", "", "NodeSkipped", None),
        ("ended", "completed", 5.0),
        ("closed",),
    ]
    assert threading.get_ident() not in book.threads
    assert play.tracker.asked == 1


def test_a_run_that_pauses_and_goes_on_is_told_in_two_parts(play, watch):
    book = Book()
    play.node("a", "completed")
    watch(
        [book],
        play.event(RunStarted, 0, workflow="flow", nodes=1),
        play.event(RunPaused, 2, reason="tea"),
        play.event(RunSteered, 10, command="resume"),
        play.event(RunResumed, 10),
        play.event(NodeCompleted, 11, node="a", seconds=1.0),
        play.event(RunCompleted, 13, seconds=13.0),
    )
    assert [line for line in book.lines if line[0] in ("begun", "ended")] == [
        ("begun", "flow"),
        ("ended", "paused", 2.0),
        ("begun", "flow"),
        ("ended", "completed", 3.0),
    ]


def test_runs_under_way_are_told_by_state_as_soon_as_it_changes(play):
    book = Book()

    async def story():
        telemetry = Telemetry(play.pit, [book], interval=60)

        async def soon():
            await asyncio.to_thread(book.flushed.wait, 30)
            book.flushed.clear()
            return book.states[-1]

        telemetry.see(play.event(RunStarted, 0, workflow="flow", nodes=1))
        assert await soon() == {("flow", "running"): 1}
        telemetry.see(play.event(RunWaiting, 1, nodes=("a",)))
        assert await soon() == {("flow", "waiting"): 1}
        telemetry.see(play.event(RunStarted, 1, run="other", workflow="flow", nodes=1))
        assert await soon() == {("flow", "running"): 1, ("flow", "waiting"): 1}
        play.node("a", "completed")
        telemetry.see(play.event(NodeCompleted, 2, node="a", seconds=1.0))
        telemetry.see(play.event(RunCompleted, 3, run="other", seconds=2.0))
        assert await soon() == {("flow", "running"): 1}
        await telemetry.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_what_ends_while_a_run_goes_on_is_told_after_the_interval(play):
    book = Book()

    async def story():
        telemetry = Telemetry(play.pit, [book], interval=0.01)
        telemetry.see(play.event(RunStarted, 0, workflow="flow", nodes=1))
        play.node("a", "completed")
        telemetry.see(play.event(NodeCompleted, 2, node="a", seconds=1.0))
        while not any(line[0] == "node" for line in book.lines):
            book.flushed.clear()
            await asyncio.to_thread(book.flushed.wait, 30)
        await telemetry.close()

    asyncio.run(asyncio.wait_for(story(), 60))
    assert [line[0] for line in book.lines] == ["begun", "node", "closed"]


def test_events_of_a_run_that_nobody_works_on_are_no_concern(play, watch):
    book = Book()
    watch([book], play.event(RunSteered, 0, command="skip"), play.event(NodeSkipped, 0, node="a", reason="x"))
    assert book.lines == [("closed",)]
    assert play.tracker.asked == 0


def test_a_node_inside_of_a_workflow_is_told_with_the_node_that_runs_it(play, watch):
    book = Book()
    for name in ("each", "each[3]/deep", "each[3]/deep/s"):
        play.node(name, "completed", "")
    events = [
        play.event(NodeCompleted, 1, node=name, seconds=0.0)
        for name in ("each[3]/deep/s", "each[3]/deep", "each")
    ]
    watch([book], play.event(RunStarted, 0, workflow="flow", nodes=1), *events)
    assert [(line[1], line[4]) for line in book.lines if line[0] == "node"] == [
        ("each[3]/deep/s", "each[3]/deep"),
        ("each[3]/deep", "each"),
        ("each", None),
    ]
    assert [owner(name) for name in ("a", "a/b", "a[0]/b", "a/b[10]/c")] == ["", "a", "a", "a/b"]


def test_notes_and_labels_are_bounded(play, watch, monkeypatch):
    monkeypatch.setattr(watching, "MOST_NOTED", 5)
    monkeypatch.setattr(watching, "MOST_NAMES", 2)
    book = Book()
    for number in range(8):
        play.node(f"n{number}", "completed", f"t.t.o{number}")
    watch(
        [book],
        play.event(RunStarted, 0, workflow="flow", nodes=8),
        *(play.event(NodeCompleted, 1, node=f"n{number}", seconds=0.0) for number in range(8)),
    )
    assert [line[2] for line in book.lines if line[0] == "node"] == ["t.t.o0", "t.t.o1", *[OTHER] * 3]
    assert ("dropped", 3) in book.lines


def test_workflows_beyond_the_bound_share_a_label(play, monkeypatch):
    monkeypatch.setattr(watching, "MOST_NAMES", 1)
    book = Book()

    async def story():
        telemetry = Telemetry(play.pit, [book], interval=60)
        for workflow in ("one", "two", "three", "one"):
            play.tracker.workflow = workflow
            book.flushed.clear()
            telemetry.see(play.event(RunStarted, 0, run=f"r{play.sequence}", workflow=workflow, nodes=0))
            await asyncio.to_thread(book.flushed.wait, 30)
        await telemetry.close()

    asyncio.run(asyncio.wait_for(story(), 60))
    assert [line[1] for line in book.lines if line[0] == "begun"] == ["one", OTHER, OTHER, "one"]


def test_a_run_that_cannot_be_asked_harms_no_other(play, watch, caplog):
    book = Book()
    play.tracker.known = False
    watch([book], play.event(RunStarted, 0, workflow="flow", nodes=1))
    assert book.lines == [("closed",)]
    assert "run r could not be told of" in caplog.text


def test_nodes_of_a_run_that_can_no_longer_be_asked_are_counted_as_dropped(play, caplog):
    book = Book()

    async def story():
        telemetry = Telemetry(play.pit, [book], interval=60)
        telemetry.see(play.event(RunStarted, 0, workflow="flow", nodes=1))
        await asyncio.to_thread(book.flushed.wait, 30)
        play.tracker.known = False
        telemetry.see(play.event(NodeCompleted, 1, node="a", seconds=0.0))
        telemetry.see(play.event(RunCompleted, 2, seconds=2.0))
        await telemetry.close()

    asyncio.run(asyncio.wait_for(story(), 60))
    assert book.lines == [("begun", "flow"), ("dropped", 1), ("ended", "completed", 2.0), ("closed",)]
    assert "cannot be asked what it took" in caplog.text


def test_a_sink_that_does_not_close_keeps_no_other_open(play, watch, caplog):
    class Stuck(Book):
        def close(self):
            raise OSError("stuck")

    book = Book()
    watch([Stuck(), book])
    assert book.lines == [("closed",)] and "Stuck did not close" in caplog.text


@pytest.mark.parametrize("sinks", [0, 1])
def test_seeing_an_event_waits_for_nothing(play, sinks):
    """However slow the sinks are: they are told in a thread."""
    entered, let_go = threading.Event(), threading.Event()

    class Slow(Book):
        def node(self, *args):
            entered.set()
            let_go.wait(30)

    async def story():
        telemetry = Telemetry(play.pit, [Slow()] * sinks, interval=0.01)
        telemetry.see(play.event(RunStarted, 0, workflow="flow", nodes=1))
        play.node("a", "completed")
        telemetry.see(play.event(NodeCompleted, 1, node="a", seconds=0.0))
        if sinks:
            await asyncio.to_thread(entered.wait, 30)
        for _ in range(1000):
            telemetry.see(play.event(NodeCompleted, 1, node="a", seconds=0.0))
        let_go.set()
        await telemetry.close()

    asyncio.run(asyncio.wait_for(story(), 60))
    assert entered.is_set() == bool(sinks)

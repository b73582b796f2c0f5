"""What comes in bursts ends as what comes one by one: reports of calls, events for the log, and calls that wait."""

import asyncio
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pit_dag_tracker.log import GATHERING, EventLog
from pit_dag_tracker.waiting import Waiting
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import NodeCompleted, NodeStarted, event_name
from symphony_sdk.ports import NodeEvent
from symphony_sdk.values import encode
from symphony_workflow.testing import examples


class Bundling:
    """Ends each call at once and reports what has ended in bundles, some of it twice.

    Args:
        sizes: How many reports each bundle has, over and over.
        twice: Whether every report comes twice.
    """

    name, slots = "local", 2

    def __init__(self, sizes, twice):
        self.sizes = sizes
        self.twice = twice
        self.bundles = 0
        self.reports = []

    async def start(self): ...

    def can_place(self, resources):
        return True

    def submit(self, batch, on_event):
        if not self.reports:
            asyncio.get_running_loop().call_soon(self.deliver)
        self.reports += [(on_event, ended(call)) for call in batch]

    def deliver(self):
        size = self.sizes[self.bundles % len(self.sizes)]
        self.bundles += 1
        bundle, self.reports = self.reports[:size], self.reports[size:]
        for on_event, event in bundle:
            for _ in range(1 + self.twice):
                on_event(event)
        if self.reports:
            asyncio.get_running_loop().call_soon(self.deliver)

    def cancel(self, run, node="", *, item=-1, force=False): ...

    async def stop(self): ...


def ended(call):
    fate = call.operation.removeprefix("t.t.")
    if fate == "works" or (fate == "flaky" and call.attempt > 1):
        return NodeEvent(call, "completed", outputs={"result": encode(call.node)}, seconds=0.5, memory=7)
    return NodeEvent(call, "failed", error=ErrorPayload("TEST-001", fate), retryable=fate == "flaky")


def story_of(new_desk, flow, executor):
    """What happened to each node, in order, and where the run and its nodes ended."""
    with tempfile.TemporaryDirectory() as directory:
        desk = new_desk(Path(directory))
        desk.services.executors["local"] = executor

        async def story():
            async with desk.open() as tracker:
                run, events = await desk.run(tracker, desk.flow(*flow))
                assert [event.sequence for event in events] == list(range(1, len(events) + 1))
                assert await desk.follow(tracker, run) == events
                return events, await desk.states(tracker, run)

        events, states = desk.play(story())
    told = {}
    for event in events:
        facts = [
            getattr(event, name, None) for name in ("attempt", "received", "produced", "memory", "reason")
        ]
        told.setdefault(getattr(event, "node", ""), []).append((event_name(event), *facts))
    return told, states


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_reports_that_come_in_bundles_and_one_by_one_and_twice_tell_the_same_story(new_desk, data):
    count = data.draw(st.integers(1, 12))
    fates = data.draw(
        st.lists(st.sampled_from(["works", "works", "flaky", "fails"]), min_size=count, max_size=count)
    )
    nodes = {f"n{number}": {"uses": fate, "retry": {"attempts": 2}} for number, fate in enumerate(fates)}
    lines = [
        f"n{source}.result -> n{target}.p{source}"
        for target in range(1, count)
        for source in data.draw(st.sets(st.integers(0, target - 1), max_size=3))
    ]
    sizes = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    together = Bundling(sizes, data.draw(st.booleans()))
    one_by_one = story_of(new_desk, (nodes, lines), Bundling([1], False))
    assert story_of(new_desk, (nodes, lines), together) == one_by_one


def test_a_completion_says_what_went_in_and_came_out_and_what_it_took(desk):
    desk.services.executors["local"] = Bundling([1], False)

    async def story():
        async with desk.open() as tracker:
            flow = desk.flow({"a": "works", "b": "works"}, ["a.result -> b.x"])
            _, events = await desk.run(tracker, flow)
            completed = {event.node: event for event in events if isinstance(event, NodeCompleted)}
            value = len(encode("a"))
            assert [completed[node].received for node in "ab"] == [0, value]
            assert [completed[node].produced for node in "ab"] == [value, value]
            assert {(event.work, event.memory) for event in completed.values()} == {(0.5, 7)}

    desk.play(story())


@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0, 2.5]), st.integers(0, 5)) | st.none(), max_size=60))
def test_the_most_urgent_go_first_and_equally_urgent_ones_as_they_came(steps):
    waiting, model = Waiting(), []
    for place, step in enumerate(steps):
        if step is not None:
            priority, number = step
            waiting.push(priority, (number, place))
            model.append((-priority, place, number))
        elif model:
            urgency, first, number = min(model)
            model.remove((urgency, first, number))
            assert waiting.urgency == -urgency
            assert waiting.pop() == (number, first)
        assert len(waiting) == len(model)
    waiting.withdraw(3)
    left = [(number, place) for _, place, number in sorted(model) if number != 3]
    assert [waiting.pop() for _ in range(len(waiting))] == left


def test_events_that_come_while_the_log_is_busy_go_into_one_chunk_and_are_told_of_once(tmp_path):
    log = EventLog(tmp_path / "runs.sqlite")
    busy, goes_on, written = threading.Event(), threading.Event(), threading.Event()
    told = Counter()

    def occupy(connection):
        busy.set()
        return goes_on.wait(30)

    def done(last):
        def note(error):
            told[last, error] += 1
            if last == 3:
                written.set()

        return note

    occupied = log.work(occupy)
    assert busy.wait(30)
    for sequence in (1, 2, 3):
        event = NodeStarted(run="r", sequence=sequence, at=1.0, node=f"n{sequence}")
        log.append("r", [(event, {})], done(sequence))
    goes_on.set()
    assert occupied.result(30)
    assert written.wait(30)
    chunks = log.look(lambda connection: connection.execute("SELECT last FROM chunks").fetchall())
    assert chunks == [(3,)]
    assert told == {(3, None): 1}
    assert [event.sequence for event, _ in log.read("r", 0)] == [1, 2, 3]
    log.close()


def test_an_event_that_comes_alone_at_any_moment_after_a_commit_is_written_without_another_one(tmp_path):
    log = EventLog(tmp_path / "runs.sqlite")
    for sequence in range(1, 101):
        written = threading.Event()
        event = NodeStarted(run="r", sequence=sequence, at=1.0, node="n")
        log.append(
            "r", [(event, {})], lambda error, written=written: written.set() if error is None else None
        )
        assert written.wait(30)
        until = (
            time.perf_counter() + GATHERING * (sequence % 10) / 6
        )  # the writer gathers, or waits for anything
        while time.perf_counter() < until:
            pass
    assert [event.sequence for event, _ in log.read("r", 0, limit=200)] == list(range(1, 101))
    log.close()

"""A disk that is full or may not be written to pauses runs, says so, and loses nothing."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from pit_dag_tracker import Tracker
from symphony_sdk.errors import RunError
from symphony_sdk.events import RunCompleted, RunPaused

CHILD = Path(__file__).with_name("cached_child.py")


@pytest.fixture
def disk(monkeypatch):
    """A disk that can be made read-only between two transactions, as SQLite sees it, by the thread that writes."""

    class Disk:
        read_only = False

    real = sqlite3.connect

    class Connection(sqlite3.Connection):
        def execute(self, sql, *args):
            if sql == "BEGIN IMMEDIATE":
                read_only = Disk.read_only  # once: it changes meanwhile
                super().execute(f"PRAGMA query_only = {int(read_only)}")
                if read_only:
                    super().execute("CREATE TABLE refused (x)")
            return super().execute(sql, *args)

    monkeypatch.setattr(
        "pit_dag_tracker.tables.sqlite3.connect",
        lambda *args, **kwargs: real(*args, factory=Connection, **kwargs),
    )
    return Disk


def test_a_disk_that_is_full_pauses_the_run_and_resume_loses_nothing_and_computes_nothing_twice(tmp_path):
    """The operating system refuses every write beyond a size, in a process of its own."""
    found = subprocess.run(
        [sys.executable, str(CHILD), str(tmp_path), "1", "", "20000"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line.split() for line in found.stdout.splitlines()]
    (paused,) = [words for words in lines if words[0] == "paused"]
    assert paused[1:3] == ["paused", "SYM-R008"]
    assert 0 < int(paused[3]) <= 48
    assert lines[-1] == ["calls", "48"]
    again = subprocess.run(
        [sys.executable, str(CHILD), str(tmp_path), "1"], stdout=subprocess.PIPE, text=True, check=True
    )
    assert again.stdout.splitlines()[-1] == "calls 0"
    assert again.stdout.splitlines()[-2] == found.stdout.splitlines()[-2]


def test_a_disk_that_becomes_read_only_pauses_the_run_and_what_it_computed_stands_in_later(desk, disk):
    desk.remember()

    @desk.operation("step")
    async def step(call, **inputs):
        disk.read_only = disk.read_only or call.node == "b"
        return {"result": call.node}

    flow = desk.flow({"a": "step", "b": "step", "c": "step"}, ["a.result -> b.x", "b.result -> c.x"])

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, flow)
            assert isinstance(events[-1], RunPaused)
            assert "attempt to write a readonly database" in events[-1].reason
            assert (await tracker.status(run)).error.code == "SYM-R008"
            with pytest.raises(RunError, match="may still go on"):
                await tracker.compact([run])
            assert [one.node for one in await tracker.explain(run)] == ["a", "b", "c"]
            disk.read_only = False
            desk.executor.operations["t.t.step"] = desk.executor.operations["t.t.echo"]
            await tracker.resume(run)
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert desk.new_calls() == ["a", "b", "c"]
            await desk.run(tracker, flow)
            assert desk.new_calls() == []

    desk.play(story())


def test_a_compaction_on_a_disk_that_is_read_only_changes_nothing_and_says_why(desk, disk):
    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, desk.flow({"a": "echo"}, outputs={"a": "a.result"}))
            disk.read_only = True
            with pytest.raises(RunError, match="readonly") as caught:
                await tracker.compact()
            assert caught.value.code == "SYM-R008"
            assert await desk.follow(tracker, run) == events
            assert await desk.outputs(tracker, run) == {"a": "a"}
            disk.read_only = False
            assert [one.run for one in await tracker.compact()] == [run]

    desk.play(story())


def test_a_log_that_may_not_be_written_to_is_refused_as_that_and_not_as_damaged(desk, monkeypatch):
    async def make():
        async with desk.open() as tracker:
            await desk.run(tracker, desk.flow({"a": "echo"}))

    desk.play(make())
    path, real = desk.directory / "runs.sqlite", sqlite3.connect
    with real(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    monkeypatch.setattr(
        "pit_dag_tracker.tables.sqlite3.connect",
        lambda place, **kwargs: real(f"file:{place}?mode=ro", uri=True, **kwargs),
    )
    with pytest.raises(RunError, match="readonly") as caught:
        Tracker(desk.services)
    assert caught.value.code == "SYM-R008"

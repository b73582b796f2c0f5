"""The log: full disks, damage, versions, slow followers."""

import asyncio
import sqlite3
from contextlib import suppress
from itertools import pairwise

import pytest
from pit_dag_tracker import Tracker
from symphony_sdk.errors import RunError
from symphony_sdk.events import RunCompleted, RunPaused, RunResumed


@pytest.fixture
def disk(monkeypatch):
    """A disk that can be filled: SQLite's own limit on the pages of the log.

    It is set by the thread that writes, between two transactions: SQLite keeps one error for a connection, and another
    thread that used it in between could hide the failure of a write from the one that made it.
    """

    class Disk:
        def __init__(self):
            self._wanted = None

        def fill(self):
            self._wanted = self._full

        def make_room(self):
            self._wanted = self._roomy

        def settle(self, execute):
            wanted, self._wanted = self._wanted, None
            if wanted is not None:
                execute(f"PRAGMA max_page_count = {wanted(execute)}")

        def _full(self, execute):
            (pages,) = execute("PRAGMA page_count").fetchone()
            return pages

        def _roomy(self, execute):
            return 1_000_000

    disk, real = Disk(), sqlite3.connect

    class Connection(sqlite3.Connection):
        def execute(self, sql, *args):
            if sql == "BEGIN IMMEDIATE":
                disk.settle(super().execute)
            return super().execute(sql, *args)

    monkeypatch.setattr(
        "pit_dag_tracker.tables.sqlite3.connect",
        lambda *args, **kwargs: real(*args, factory=Connection, **kwargs),
    )
    return disk


def chain(desk, count, name="step"):
    names = [f"n{number:03}" for number in range(count)]
    edges = [f"{one} -> {other}" for one, other in pairwise(names)]
    return desk.flow(dict.fromkeys(names, name), edges, outputs={"last": f"{names[-1]}.result"})


def test_a_full_disk_pauses_the_run_and_loses_nothing(desk, disk):
    @desk.operation("step")
    async def step(call):
        if call.node == "n003":
            disk.fill()
        if call.node == "n005":
            with suppress(RunError):
                await asyncio.wrap_future(desk.tracker._log.flush())
        return {"result": call.node + "x" * 8000}

    async def story():
        async with desk.open() as tracker:
            desk.tracker = tracker
            run = await tracker.start(desk.request(chain(desk, 30)))
            before = await desk.follow(tracker, run)
            pause = before.pop()
            assert isinstance(pause, RunPaused)
            assert "cannot be written: database or disk is full" in pause.reason
            status = await tracker.status(run)
            assert (status.state, status.error.code) == ("paused", "SYM-R008")
            assert status.durable < pause.sequence == before[-1].sequence
            for ask in (
                tracker.resume(run),
                tracker.cancel(run),
                tracker.start(desk.request(chain(desk, 2))),
            ):
                with pytest.raises(RunError, match="cannot be written"):
                    await ask
            disk.make_room()
            await tracker.resume(run)
            after = await desk.follow(tracker, run, before[-1].sequence)
            assert isinstance(after[1], RunResumed) and isinstance(after[-1], RunCompleted)
            assert await desk.follow(tracker, run) == before + after
        assert sorted(desk.called()) == sorted(set(desk.called()))
        assert len(desk.called()) == 30

    desk.play(story())


def test_a_run_whose_last_event_cannot_be_written_is_not_shown_as_completed_until_it_is(desk, disk):
    @desk.operation("last")
    async def last(call):
        disk.fill()
        return {"result": "x" * 30_000}

    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, desk.flow({"a": "last"}, outputs={"a": "a.result"}))
            assert isinstance(events[-1], RunPaused)
            assert not [event for event in events if isinstance(event, RunCompleted)]
            disk.make_room()
            await tracker.resume(run)
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert await desk.outputs(tracker, run) == {"a": "x" * 30_000}
        assert desk.called() == ["a"]

    desk.play(story())


def test_runs_that_cannot_be_written_do_not_hold_the_close_up(desk, disk):
    @desk.operation("last")
    async def last(call):
        disk.fill()
        return {"result": "x" * 30_000}

    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, desk.flow({"a": "last"}))
        async with desk.open() as tracker:
            assert (await tracker.status(run)).state == "paused"

    desk.play(story())


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, but long enough to be one" * 100, b"SQLite format 3\0" + b"\xff" * 4000],
)
def test_a_file_that_is_no_log_is_refused_with_its_place(desk, tmp_path, content):
    (tmp_path / "runs.sqlite").write_bytes(content)
    with pytest.raises(RunError) as caught:
        Tracker(desk.services)
    assert caught.value.code == "SYM-R007"
    assert caught.value.file == str(tmp_path / "runs.sqlite")


def test_a_log_of_a_newer_symphony_is_refused(desk, tmp_path):
    with sqlite3.connect(tmp_path / "runs.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(RunError, match="version 99") as caught:
        Tracker(desk.services)
    assert caught.value.code == "SYM-R009"


def test_a_directory_that_is_missing_is_an_error_of_the_log(desk, tmp_path):
    desk.services.data_dir = tmp_path / "missing"
    with pytest.raises(RunError, match="unable to open"):
        Tracker(desk.services)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("UPDATE chunks SET entries = x'c1' WHERE last > 1", "is damaged"),
        ("DELETE FROM chunks WHERE last = (SELECT min(last) FROM chunks)", "lacks event 1"),
        ("UPDATE requests SET request = x'c1'", "is damaged"),
    ],
)
def test_damage_to_one_run_is_an_error_of_that_run_only(desk, tmp_path, damage, what):
    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, desk.flow({"a": "boom"}))
        with sqlite3.connect(tmp_path / "runs.sqlite") as connection:
            connection.execute(damage)
        connection.close()
        async with desk.open() as tracker:
            for ask in (tracker.status, tracker.resume):
                with pytest.raises(RunError, match=what) as caught:
                    await ask(run)
                assert caught.value.code == "SYM-R007"
            assert [one.run for one in await tracker.runs()] == [run]
            _, events = await desk.run(tracker, desk.flow({"a": "echo"}))
            assert isinstance(events[-1], RunCompleted)

    desk.play(story())


def test_a_follower_that_is_too_slow_reads_the_log_and_loses_nothing(desk, monkeypatch):
    monkeypatch.setattr("pit_dag_tracker.feed.KEPT", 8)

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(chain(desk, 200, "echo")))
            slow = tracker.events(run)
            seen = [await anext(slow)]
            quick = await desk.follow(tracker, run)
            seen += [event async for event in slow]
        assert seen == quick
        assert [event.sequence for event in seen] == list(range(1, 403))

    desk.play(story())


def test_a_follower_may_begin_anywhere(desk):
    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, chain(desk, 10, "echo"))
            for after in (0, 1, 7, len(events), len(events) + 5):
                assert await desk.follow(tracker, run, after) == events[after:]

    desk.play(story())


def test_the_start_of_a_run_is_durable_when_start_returns(desk, tmp_path):
    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(desk.flow({"a": "echo"})))
            with sqlite3.connect(tmp_path / "runs.sqlite") as connection:
                assert connection.execute("SELECT state FROM runs WHERE run = ?", (run,)).fetchall() == [
                    ("running",)
                ]
            connection.close()
            await desk.follow(tracker, run)
            assert tracker._log._reader.execute("PRAGMA synchronous").fetchone() == (2,)

    desk.play(story())


def test_a_log_of_the_version_before_is_read_and_its_runs_go_on(desk):
    async def fail():
        async with desk.open() as tracker:
            return (await desk.run(tracker, desk.flow({"a": "echo", "b": "boom"}, ["a -> b"])))[0]

    async def go_on(run):
        async with desk.open() as tracker:
            assert await tracker.history() == []  # nobody wrote one then
            await tracker.retry(run, actor="ada")
            await desk.follow(tracker, run)
            assert [entry.command for entry in await tracker.history()] == ["retry"]

    run = desk.play(fail())
    with sqlite3.connect(desk.directory / "runs.sqlite", isolation_level=None) as connection:
        for table in ("history", "mailbox", "paces"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    desk.play(go_on(run))
    assert desk.called() == ["a", "b", "b"]

"""A compacted run is smaller and otherwise what it was: seen, resumed, retried, rerun, explained and reused."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from itertools import pairwise

import pytest
from symphony_sdk.errors import RunError
from symphony_sdk.events import ItemCompleted, NodeRetrying, NodeStarted, RunCompleted


def busy(desk, items=200):
    """A map, a loop, an inner workflow, and a node that needs a second attempt."""

    @desk.operation("flaky")
    async def flaky(call, **inputs):
        if call.attempt == 1:
            raise desk.Retryable("first")
        return {"result": 1}

    inner = desk.flow(
        {"in": "echo"}, ["$inputs.x -> in.x"], inputs={"x": {}}, outputs={"result": "in.result"}
    )
    return desk.flow(
        {
            "flaky": {"uses": "flaky", "retry": {"attempts": 2}},
            "map": {"control": "map", "uses": "echo", "over": "x", "params": {"x": ["y" * 100] * items}},
            "loop": {
                "control": "loop",
                "uses": "echo",
                "params": {"x": 1},
                "until": "iteration == 5",
                "max_iterations": 9,
            },
            "deep": {"control": "map", "uses": "#inner", "over": "x", "params": {"x": [1, 2]}},
            "last": "echo",
        },
        ["map.results -> last.x", "flaky -> map"],
        outputs={"all": "last.result", "deep": "deep.results"},
        workflows={"inner": inner},
    )


def size(desk):
    with sqlite3.connect(desk.directory / "runs.sqlite") as connection:
        (found,) = connection.execute("SELECT sum(length(entries)) FROM chunks").fetchone()
    connection.close()
    return found


def as_version_2(path):
    """Make the log what an earlier Symphony would have written."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute(
            "UPDATE runs SET request = (SELECT request FROM requests WHERE requests.run = runs.run)"
        )
        for table in ("results", "operations", "requests", "blueprints"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE runs DROP COLUMN compacted")
        connection.execute("PRAGMA user_version = 2")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
    connection.close()


def test_a_compacted_run_is_what_it_was_and_much_smaller(desk):
    async def story():
        async with desk.open() as tracker:
            run, events = await desk.run(tracker, busy(desk))
            status, outputs = await tracker.status(run), await tracker.outputs(run)
            history, before = await tracker.history(run), size(desk)
            (would,) = await tracker.compact(dry_run=True)
            assert size(desk) == before
            (done,) = await tracker.compact()
            assert done == would
            assert (done.run, done.state, done.before) == (run, "completed", before)
            assert size(desk) == done.after < before / 10
            assert done.events == 200 + 1 + 2
            assert await tracker.compact() == []
            assert await tracker.status(run) == status
            assert await tracker.outputs(run) == outputs
            assert await tracker.history(run) == history
            left = await desk.follow(tracker, run)
            assert left == [
                event
                for event in events
                if not isinstance(event, NodeRetrying)
                and not (isinstance(event, ItemCompleted) and event.node in ("map", "deep"))
            ]
            assert await desk.follow(tracker, run, left[3].sequence) == left[4:]
        async with desk.open() as tracker:
            assert await tracker.status(run) == status
            assert await desk.follow(tracker, run) == left

    desk.play(story())


def test_a_compacted_run_is_retried_rerun_and_compacted_again(desk):
    async def story():
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, busy(desk, 3))
            outputs = await tracker.outputs(run)
            await tracker.compact([run])
            desk.new_calls()
            new = await tracker.rerun(run, nodes=["last"])
            await desk.follow(tracker, new)
            assert desk.new_calls() == ["last"]
            for node, calls in (
                ("map", ["last", "map[0]", "map[1]", "map[2]"]),
                ("deep", ["deep[0]/in", "deep[1]/in"]),
            ):
                await tracker.retry(run, node)
                events = await desk.follow(tracker, run)
                assert isinstance(events[-1], RunCompleted)
                assert desk.new_calls() == calls
                assert await tracker.outputs(run) == outputs
                (done,) = await tracker.compact([run])
                assert await tracker.outputs(run) == outputs
            assert (await tracker.compact([run]))[0].before == done.after

    desk.play(story())


def test_a_cancelled_run_is_resumed_where_it_was_after_it_was_compacted(desk):
    opened, reached = desk.gate()
    flow = desk.flow({"a": "echo", "b": "gated", "c": "echo"}, ["a -> b", "b -> c"])

    async def story():
        async with desk.open() as tracker:
            run = await tracker.start(desk.request(flow))
            await reached.wait()
            with pytest.raises(RunError, match="may still go on") as caught:
                await tracker.compact([run])
            assert caught.value.code == "SYM-R100"
            await tracker.cancel(run)
            status = await tracker.status(run)
            await tracker.compact()
            assert (await tracker.status(run)).nodes == status.nodes
            opened.set()
            await tracker.resume(run)
            assert isinstance((await desk.follow(tracker, run))[-1], RunCompleted)
            assert desk.called() == ["a", "b", "b", "c"]

    desk.play(story())


def test_only_runs_that_are_over_and_old_enough_are_compacted(desk):
    async def story():
        async with desk.open() as tracker:
            await desk.run(tracker, desk.flow({"a": "boom"}))
            over, _ = await desk.run(tracker, desk.flow({"a": "echo"}))
            assert await tracker.compact(older_than=60) == []
            assert [one.run for one in await tracker.compact()] == [over]
            with pytest.raises(RunError, match="there is no run 'nope'"):
                await tracker.compact(["nope"])

    desk.play(story())


def test_what_the_cache_holds_survives_and_what_it_forgot_does_not_stand_in_empty(desk):
    desk.remember()

    async def story():
        flow = busy(desk, 3)
        async with desk.open() as tracker:
            first, _ = await desk.run(tracker, flow)
            await tracker.compact()
            desk.new_calls()
            second, events = await desk.run(tracker, flow)
            assert desk.new_calls() == []
            assert await tracker.outputs(second) == await tracker.outputs(first)
            assert not [event for event in events if isinstance(event, NodeStarted) and event.node == "flaky"]
            explained = [one.code for one in await tracker.explain(second)]

            def forget(connection):
                connection.execute("DELETE FROM results")

            await asyncio.wrap_future(tracker._log.work(forget))
            tracker._cache._ahead.clear()
            await tracker.compact()  # the index in memory still leads to values that are dropped here
            await tracker.compact([first])
            assert [one.code for one in await tracker.explain(second)] == explained
            third, _ = await desk.run(tracker, flow)
            assert await tracker.outputs(third) == await tracker.outputs(first)
            assert "map[0]" in desk.new_calls()

    desk.play(story())


def test_the_file_shrinks_even_if_it_was_made_by_an_earlier_version(desk):
    path = desk.directory / "runs.sqlite"

    async def fill():
        async with desk.open() as tracker:
            await desk.run(tracker, busy(desk, 2000))

    async def shrink():
        async with desk.open() as tracker:
            (run,) = await tracker.runs()
            outputs = await tracker.outputs(run.run)
            await tracker.compact()
            assert await tracker.outputs(run.run) == outputs

    desk.play(fill())
    as_version_2(path)
    before = path.stat().st_size
    desk.play(shrink())
    assert path.stat().st_size < before / 2


def test_a_log_of_version_2_is_migrated_with_its_runs(desk):
    desk.remember()
    flow = desk.flow({"a": "echo", "b": "boom"}, ["a -> b"])

    async def fail():
        async with desk.open() as tracker:
            return (await desk.run(tracker, flow))[0]

    run = desk.play(fail())
    as_version_2(desk.directory / "runs.sqlite")

    async def go_on():
        async with desk.open() as first, desk.open() as second:
            assert (await second.status(run)).state == "failed"
            await first.resume(run)
            await desk.follow(first, run)
            assert desk.called() == ["a", "b", "b"]
            assert [one.code for one in await second.explain(run)] == ["first-time", "first-time"]
            await desk.run(first, flow)

    desk.play(go_on())
    assert desk.called() == ["a", "b", "b", "a", "b"]


CHILD = """
import sys
from pathlib import Path
import pit_dag_tracker.compaction as compaction
from pit_dag_tracker.log import EventLog
compaction.SLICE_CHUNKS = 1
def say():
    print("slice", flush=True)
    return True
log = EventLog(Path(sys.argv[1]) / "runs.sqlite")
compaction.compact(log, sys.argv[2], go_on=say)
print("done", flush=True)
"""


@pytest.mark.parametrize("slices", [1, 2, 4])
def test_a_compaction_that_is_killed_leaves_the_run_readable_and_is_done_the_next_time(desk, slices):
    @desk.operation("settled")
    async def settled(call, **values):  # so that each node has a chunk of the log to itself
        await asyncio.wrap_future(desk.tracker._log.flush())
        return {"result": 1}

    async def make():
        async with desk.open() as desk.tracker:
            tracker = desk.tracker
            names = [f"n{number:02}" for number in range(40)]
            edges = [f"{one} -> {other}" for one, other in pairwise(names)]
            flow = desk.flow(dict.fromkeys(names, "settled"), edges, outputs={"n": "n39.result"})
            run, events = await desk.run(tracker, flow)
            return run, events, await tracker.status(run), await tracker.outputs(run)

    run, events, status, outputs = desk.play(make())
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(desk.directory), run], stdout=subprocess.PIPE, text=True
    )
    lines = [process.stdout.readline() for _ in range(slices)]
    assert lines[0] == "slice\n" and set(lines) <= {
        "slice\n",
        "done\n",
        "",
    }  # a log of few chunks is done soon
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    async def look():
        async with desk.open() as tracker:
            for _ in range(2):
                assert await tracker.status(run) == status
                assert await tracker.outputs(run) == outputs
                assert await desk.follow(tracker, run) == events
                await tracker.compact()
            assert await tracker.compact() == []

    desk.play(look())


def test_old_runs_are_compacted_by_themselves_and_the_cache_forgets_what_it_holds_too_much(desk):
    desk.remember()
    desk.services.config = {"compact_beyond": 1, "cache_results": 2}

    async def story():
        async with desk.open() as tracker:
            for number in range(4):
                await desk.run(tracker, desk.flow({"a": {"uses": "echo", "params": {"x": number}}}))
                await tracker._upkeep._task
        with sqlite3.connect(desk.directory / "runs.sqlite") as connection:
            compacted = [row[0] for row in connection.execute("SELECT compacted FROM runs ORDER BY rowid")]
            (rows,) = connection.execute("SELECT count(*) FROM results").fetchone()
        connection.close()
        assert (compacted, rows) == ([2, 2, 2, 0], 2)
        desk.new_calls()
        async with desk.open() as tracker:
            for number, calls in ((3, []), (0, ["a"])):
                await desk.run(tracker, desk.flow({"a": {"uses": "echo", "params": {"x": number}}}))
                assert desk.new_calls() == calls

    desk.play(story())


def test_a_log_that_cannot_be_tidied_fails_no_run(desk, monkeypatch):
    desk.services.config = {"compact_beyond": 0}

    def broken(*args, **kwargs):
        raise RunError("no")

    monkeypatch.setattr("pit_dag_tracker.upkeep.compact", broken)
    monkeypatch.setattr("pit_dag_tracker.upkeep.give_back", broken)

    async def story():
        async with desk.open() as tracker:
            _, events = await desk.run(tracker, desk.flow({"a": "echo"}))
            assert isinstance(events[-1], RunCompleted)
            await tracker._upkeep._task
            monkeypatch.setattr("pit_dag_tracker.upkeep.evict", broken)
            _, events = await desk.run(tracker, desk.flow({"a": "echo"}))
            assert isinstance(events[-1], RunCompleted)
            await tracker._upkeep._task

    desk.play(story())

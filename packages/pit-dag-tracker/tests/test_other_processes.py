"""Commands for a run that another process works on: they take effect there, and a crash cannot undo them."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from symphony_sdk.errors import RunError
from symphony_sdk.events import NodeReused, RunCompleted, RunPaused, RunSteered

CHILD = Path(__file__).with_name("steered_child.py")


class Child:
    """The process that works on a run whose node `slow` waits."""

    def __init__(self, directory):
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(CHILD), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self, word):
        """The rest of the next line that begins with a word."""
        for line in self.process.stdout:
            first, *rest = line.split()
            if first == word:
                return " ".join(rest)
        raise AssertionError(f"the process ended without a line {word!r}")

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(self.process.pid, os.WUNTRACED)[1])

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def child(tmp_path):
    child = Child(tmp_path)
    yield child
    child.kill()
    child.process.stdin.close()
    child.process.stdout.close()


@pytest.fixture
def run(child):
    """A run in the other process, of which `slow` is under way and `mended` has failed."""
    child.say("start")
    run = child.hear("run")
    called = set()
    while not called >= {"slow", "mended"}:  # in any order
        called.add(child.hear("called"))
    return run


def operations(desk):
    async def echo(call, **inputs):
        return {"result": call.node}

    desk.executor.operations.update(dict.fromkeys(("t.t.echo", "t.t.mended", "t.t.gated"), echo))


def steered(events):
    return [(event.command, event.actor, event.node) for event in events if isinstance(event, RunSteered)]


async def until_failed(tracker, run, node):
    async for event in tracker.events(run):
        if getattr(event, "node", "") == node and hasattr(event, "error"):
            return


def test_a_pause_from_another_process_lets_what_runs_end_and_starts_no_other(desk, child, run):
    async def story():
        async with desk.open() as tracker:
            await tracker.pause(run, actor="ada")
            assert (await tracker.status(run)).process == child.process.pid
            child.say("go")
            events = await desk.follow(tracker, run)
            assert isinstance(events[-1], RunPaused) and events[-1].reason == "paused by ada"
            assert steered(events) == [("pause", "ada", "")]
            assert (await desk.states(tracker, run))["last"] == "pending"
            assert (await tracker.status(run)).process == 0

    desk.play(story())
    assert child.hear("ended") == "paused"


def test_a_pause_is_taken_back_from_another_process(desk, child, run):
    async def story():
        async with desk.open() as tracker:
            with pytest.raises(RunError, match="is running already") as refused:
                await tracker.resume(run)
            assert refused.value.code == "SYM-R005"
            await tracker.pause(run)
            await tracker.resume(run)

    desk.play(story())
    child.say("go")
    assert child.hear("called") == "last"


def test_a_cancel_from_another_process_ends_the_run_there(desk, child, run):
    async def story():
        async with desk.open() as tracker:
            await tracker.cancel(run, actor="ada")
            assert (await tracker.status(run)).state == "cancelled"
            assert await desk.states(tracker, run) == {
                "first": "completed",
                "mended": "failed",
                "slow": "cancelled",
                "last": "cancelled",
            }

    desk.play(story())
    assert child.hear("ended") == "cancelled"


def test_a_skip_and_a_retry_from_another_process_take_effect_there(desk, child, run):
    async def story():
        async with desk.open() as tracker:
            await tracker.skip(run, "last", actor="ada")
            await until_failed(tracker, run, "mended")
            with pytest.raises(RunError, match="no node 'lost'"):
                await tracker.retry(run, "lost")
            child.say("mend")
            await tracker.retry(run, "mended", actor="bob")
            assert child.hear("called") == "mended"
            child.say("go")
            events = await desk.follow(tracker, run)
            assert steered(events) == [("skip", "ada", "last"), ("retry", "bob", "mended")]
            assert isinstance(events[-1], RunCompleted)
            assert [entry.actor for entry in await tracker.history(run)] == ["", "ada", "bob"]

    desk.play(story())
    assert child.hear("ended") == "completed"


@pytest.mark.parametrize("command", ["pause", "skip", "cancel"])
def test_a_command_that_was_acknowledged_before_a_kill_is_in_force_after_it(desk, child, run, command):
    operations(desk)

    async def story():
        async with desk.open() as tracker:
            if command == "skip":
                await tracker.skip(run, "last", actor="ada")
            else:
                await getattr(tracker, command)(run, actor="ada")
            child.kill()
            state = "cancelled" if command == "cancel" else "paused"
            assert (await tracker.status(run)).state == state
            before = await desk.follow(tracker, run)
            assert steered(before) == [(command, "ada", "last" if command == "skip" else "")]
            await tracker.resume(run)
            after = await desk.follow(tracker, run, len(before))
            assert isinstance(after[-1], RunCompleted)
            last = "skipped" if command == "skip" else "completed"
            assert (await desk.states(tracker, run))["last"] == last

    desk.play(story())


def test_a_command_whose_process_dies_before_it_takes_it_is_given_here(desk, child, run):
    async def story():
        async with desk.open() as tracker:
            connection = sqlite3.connect(desk.directory / "runs.sqlite", timeout=30, isolation_level=None)
            connection.execute("begin immediate")  # the other process is not stopped while it holds the lock
            child.stop()
            connection.execute("rollback")
            asked = asyncio.create_task(tracker.cancel(run, actor="ada"))
            while not connection.execute("select count(*) from mailbox").fetchone()[0]:  # noqa: ASYNC110
                await asyncio.sleep(0)
            child.kill()
            await asked
            assert (await tracker.status(run)).state == "cancelled"
            assert connection.execute("select count(*) from mailbox").fetchone() == (0,)
            connection.close()

    desk.play(story())


def test_a_run_made_from_another_survives_a_kill_with_what_it_took_over(desk, child, run):
    operations(desk)
    child.say("go")
    assert child.hear("ended") == "failed"
    child.say(f"rerun {run} slow")
    other = child.hear("run")
    child.kill()

    async def story():
        async with desk.open() as tracker:
            events = await desk.follow(tracker, other)
            assert [event.node for event in events if isinstance(event, NodeReused)] == ["first"]
            await tracker.resume(other)
            assert isinstance((await desk.follow(tracker, other, len(events)))[-1], RunCompleted)
            assert "first" not in desk.called()
            assert await desk.outputs(tracker, other) == {"last": "last"}

    desk.play(story())

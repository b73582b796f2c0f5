"""A process that is killed at any point loses no event that was durable and runs nothing again that had completed."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from pit_dag_tracker import Tracker
from symphony_sdk.errors import RunError
from symphony_sdk.events import ItemCompleted, NodeCompleted, RunCompleted, RunResumed

CHILD = Path(__file__).with_name("crash_child.py")
ROUNDS = 20
MANY_PROCESSES = pytest.mark.timeout(600)  # one after the other, which takes its time on a busy machine


def start_child(directory, ledger, run="", flow="layers"):
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", str(CHILD), str(directory), str(ledger), flow, run],
        stdout=subprocess.PIPE,
        text=True,
    )


def read_until(child, lines):
    """The output of a child, up to so many lines; it is killed then, unless it has ended by itself."""
    output = []
    with child:
        for line in child.stdout:
            output.append(line.split())
            if len(output) >= lines:
                break
        child.kill()
        output += [line.split() for line in child.stdout if line.endswith("\n")]
    return output


def completed_calls(entries):
    done = {(event.node, -1) for event, _ in entries if isinstance(event, NodeCompleted)}
    return done | {(event.node, event.item) for event, _ in entries if isinstance(event, ItemCompleted)}


def ledger_calls(ledger):
    calls = Counter()
    for line in ledger.read_text().splitlines() if ledger.exists() else ():
        node, item, _ = line.split()
        calls[node, int(item)] += 1
    return calls


@MANY_PROCESSES
def test_after_kill_9_anywhere_nothing_durable_is_lost_and_nothing_completed_runs_again(desk, tmp_path):
    """The run is killed again and again until it ends; then a new run begins, for `ROUNDS` kills in all."""
    chance = random.Random(20261122)
    kills = finished = 0
    run, ledger, before, known = "", tmp_path / "ledger-0", Counter(), set()
    while kills < ROUNDS or run:
        lines = chance.randrange(1, 120) if kills < ROUNDS else 100_000
        output = read_until(start_child(tmp_path, ledger, run), lines)
        run = run or (output[0][1] if output else "")
        after = ledger_calls(ledger)
        assert not [key for key in known if after[key] > before[key]], "a completed call was made again"
        if output and output[-1][0] == "outputs":
            finished += 1
            with contextlib.closing(Tracker(desk.services)._log) as log:
                entries = list(log.entries(run))
            assert isinstance(entries[-1][0], RunCompleted)
            every = completed_calls(entries)
            assert {node for node, _ in every} == {node for node, _ in after}
            assert len([key for key in every if key[0] == "map"]) == 61
            assert set(after) == every - {("map", -1)}
            # 1 + 3 * (the layer before), layer for layer; one of the inputs of layer 6 counts for nothing
            assert output[-1][1:] == ["3280", "60", str(sum(range(60)) + 60)]
            run, ledger, before, known = "", tmp_path / f"ledger-{finished}", Counter(), set()
            continue
        kills += 1
        if not run:
            continue
        durable = max((int(line[2]) for line in output if line[0] == "seen" and len(line) == 3), default=1)
        with contextlib.closing(Tracker(desk.services)._log) as log:
            entries = list(log.entries(run))  # raises at a gap
        assert len(entries) >= durable, "a durable event was lost"
        before, known = after, completed_calls(entries)
        assert known <= set(after) | {("map", -1)}
    assert finished >= 1


@MANY_PROCESSES
def test_after_kill_9_anywhere_loops_maps_and_sub_workflows_go_on_where_they_were(desk, tmp_path):
    """A run is killed eight times at most: no call that had completed is made again, and nothing is left out."""
    chance = random.Random(20261123)
    ledger, run, known, before, output = tmp_path / "nested", "", set(), Counter(), []
    for attempt in range(9):
        lines = chance.randrange(5, 60) if attempt < 8 else 100_000
        output = read_until(start_child(tmp_path, ledger, run, "nested"), lines)
        run = run or (output[0][1] if output else "")
        after = ledger_calls(ledger)
        assert not [key for key in known if after[key] > before[key]], "a completed call was made again"
        if output and output[-1][0] == "outputs":
            break
        if run:
            with contextlib.closing(Tracker(desk.services)._log) as log:
                before, known = after, completed_calls(list(log.entries(run)))
    # 24 = 6 iterations of 4 steps; each item gains 4 in the chain and 3 in the loop
    assert output[-1] == ["outputs", "26", "8", str(sum(range(8)) + 8 * 7)]
    assert {node for node, _ in after} == {
        *(f"grow[{item}]/s{step}" for item in range(6) for step in range(4)),
        *(f"each[{item}]/first/s{step}" for item in range(8) for step in range(4)),
        *(f"each[{item}]/then" for item in range(8)),
        "big",
        "last",
    }


def test_a_run_of_a_killed_process_is_shown_as_interrupted_and_goes_on_here(desk, tmp_path):
    child = start_child(tmp_path, tmp_path / "ledger", flow="held layers")
    run = read_until(child, 40)[0][1]

    class Sum:
        async def __call__(self, call, **inputs):
            return {"result": sum(value for value in inputs.values() if isinstance(value, int)) + 1}

    desk.executor.operations.update({"t.t.sum": Sum(), "t.t.big": Sum(), "t.t.held": Sum()})

    async def story():
        async with desk.open() as tracker:
            for status in (await tracker.status(run), (await tracker.runs())[0]):
                assert status.state == "paused"
                assert status.error.code == "SYM-R012"
            with pytest.raises(RunError, match="is paused, not completed"):
                await tracker.outputs(run)
            before = await desk.follow(tracker, run)
            await tracker.resume(run)
            after = await desk.follow(tracker, run, len(before))
            assert isinstance(after[1], RunResumed) and isinstance(after[-1], RunCompleted)

    desk.play(story())


def stop_between_commits(child, log):
    """Stop a process while it does not hold the lock of its log, because this one does."""
    connection = sqlite3.connect(log, timeout=30, isolation_level=None)
    try:
        connection.execute("begin immediate")
        child.send_signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1]), "the run ended before it was stopped"
        connection.execute("rollback")
    finally:
        connection.close()


def test_a_command_for_a_process_that_is_stopped_is_withdrawn_and_the_run_can_be_followed(
    desk, tmp_path, monkeypatch
):
    monkeypatch.setattr("pit_dag_tracker.mailbox.PATIENCE", 0.05)
    child = start_child(tmp_path, tmp_path / "ledger", flow="held layers")
    try:
        run = child.stdout.readline().split()[1]
        stop_between_commits(child, tmp_path / "runs.sqlite")  # alive, and in the middle of the run

        async def refused():
            async with desk.open() as tracker:
                assert (await tracker.status(run)).state == "running"
                for ask in (tracker.resume, tracker.pause, tracker.cancel):
                    with pytest.raises(RunError, match=f"the process {child.pid} works on the run") as caught:
                        await ask(run)
                    assert caught.value.code == "SYM-R066"
                follow = asyncio.create_task(desk.follow(tracker, run))
                await asyncio.sleep(0)
                (tmp_path / "go").touch()
                child.send_signal(signal.SIGCONT)
                events = await follow
                assert [event.sequence for event in events] == list(range(1, len(events) + 1))
                assert isinstance(events[-1], RunCompleted)

        desk.play(refused())
        child.stdout.read()
        assert child.wait() == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_an_output_that_was_lost_from_the_store_is_made_again(desk):
    broken = True

    @desk.operation("mended")
    async def mended(call, x):
        if broken:
            raise ValueError("broken")
        return {"result": len(x)}

    @desk.operation("big")
    async def big(call):
        return {"result": "x" * 50_000}

    flow = desk.flow({"a": "big", "b": "mended"}, ["a.result -> b.x"], outputs={"n": "b.result"})

    async def story():
        nonlocal broken
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
            for info in desk.artifacts.find(run=run):
                desk.artifacts.remove(info.ref.id)
            broken = False
            await tracker.resume(run)
            live = await desk.follow(tracker, run)
            assert await desk.outputs(tracker, run) == {"n": 50_000}
            assert desk.called() == ["a", "b", "a", "b"]
            status = await tracker.status(run)
        async with desk.open() as tracker:
            assert await desk.follow(tracker, run) == live
            assert (await tracker.status(run)).nodes == status.nodes

    desk.play(story())


def test_large_outputs_that_others_need_are_read_back_on_resume(desk):
    broken = True

    @desk.operation("mended")
    async def mended(call, x):
        if broken:
            raise ValueError("broken")
        return {"result": len(x)}

    @desk.operation("big")
    async def big(call):
        return {"result": "x" * 50_000}

    flow = desk.flow({"a": "big", "b": "mended"}, ["a.result -> b.x"], outputs={"n": "b.result"})

    async def story():
        nonlocal broken
        async with desk.open() as tracker:
            run, _ = await desk.run(tracker, flow)
        broken = False
        async with desk.open() as tracker:
            await tracker.resume(run)
            await desk.follow(tracker, run)
            assert await desk.outputs(tracker, run) == {"n": 50_000}
            assert desk.called() == ["a", "b", "b"]

    desk.play(story())

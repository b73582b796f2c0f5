"""Whoever is in a hurry, and when: no process, no pipe and no descriptor outlives the extensions' stop."""

import asyncio
import gc
import os
import signal
import subprocess
import threading
import time
import types
from functools import partial
from pathlib import Path

import pytest
from symphony_isolation.ending import see_through
from symphony_isolation.launcher import Launcher
from symphony_isolation.way import Way
from symphony_sdk.errors import ExtensionError

linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks for what is left in /proc")


async def cancelled_at(coroutine, turns):
    """Awaits a coroutine and cancels the task that does at these of its turns, counted from 0."""
    return await _driven(coroutine, turns)


@types.coroutine
def _driven(coroutine, turns):
    turn, step, value = 0, coroutine.send, None
    while True:
        try:
            future = step(value)
        except StopIteration as stop:
            return stop.value
        if turn in turns:
            turns.remove(turn)
            asyncio.current_task().cancel()
        turn += 1
        try:
            value = yield future
            step = coroutine.send
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's to handle
            step, value = coroutine.throw, error


async def each_turn(work, settle, times):
    """Does some work with its turns 0, 1, 2, ... cancelled, `times` in a row, until it has no such turn."""
    first = 0
    while True:
        turns = set(range(first, first + times))
        task = asyncio.create_task(cancelled_at(work(), turns))
        await asyncio.wait((task,))
        await settle(task)
        if first in turns:
            return first
        first += 1


def until(condition):
    """Waits until something holds."""
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit
        threading.Event().wait(0.005)


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def runs(pid):
    return Path(f"/proc/{pid}").exists()


@pytest.fixture(params=["warm", "cold"])
def started(request, monkeypatch):
    """Process ids of the workers that were started; at the end of the test none is left, nor a descriptor."""
    pids, executed = [], []
    launch, execute = Launcher.launch, subprocess.Popen

    async def launched(*args):
        child = await launch(*args)
        pids.append(child.pid)
        return child

    def remembered(*args, **kwargs):
        executed.append(execute(*args, **kwargs))
        return executed[-1]

    monkeypatch.setattr(Launcher, "launch", launched)
    monkeypatch.setattr(subprocess, "Popen", remembered)
    if request.param == "cold":
        monkeypatch.setattr("symphony_isolation.launcher.way_of", lambda python: Way("cold"))
    gc.collect()
    before = descriptors()
    yield pids
    assert executed
    assert [pid for pid in (*pids, *(child.pid for child in executed)) if runs(pid)] == []
    assert [child for child in executed if child.returncode is None] == []
    executed.clear()
    gc.collect()
    until(lambda: descriptors() <= before)  # a thread of the host closes the last of them


@linux
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("what", ["start", "introspect"])
def test_a_start_that_is_cancelled_at_any_turn_leaves_nothing(house, started, what, times):
    async def settle(task):
        if not task.cancelled() and task.result() is not None:
            await task.result().stop()
        assert [pid for pid in started if runs(pid)] == []

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            supervisor = extensions._lanes["acme.zoo"]._supervisor
            start = partial(supervisor._start, 1, activate=True)
            return await each_turn(start if what == "start" else supervisor.introspect, settle, times)

    assert asyncio.run(scenario()) > 3
    assert len(started) > 3


@linux
def test_a_stop_that_is_cancelled_at_any_turn_leaves_nothing(house, started):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            supervisor = extensions._lanes["acme.zoo"]._supervisor
            await extensions.activate("acme.zoo")

            async def settle(task):
                assert [pid for pid in started if runs(pid)] == []
                await extensions.activate("acme.zoo")

            assert await each_turn(supervisor.stop, settle, 2) > 0

    asyncio.run(scenario())


@linux
@pytest.mark.parametrize("started", ["cold"], indirect=True)
def test_giving_a_program_up_that_is_no_worker_may_be_cancelled_at_any_turn(house, started, hostile):
    async def settle(task):
        assert [pid for pid in started if runs(pid)] == []

    async def scenario():
        async with house.opened(hostile("stranger")) as extensions:
            supervisor = extensions._lanes["acme.hostile"]._supervisor
            return await each_turn(partial(supervisor._start, 1, activate=True), settle, 1)

    assert asyncio.run(scenario()) > 2


@linux
def test_who_waited_for_the_end_of_a_worker_starts_none_after_the_stop(house, started):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await extensions.activate("acme.zoo")
            worker = extensions._lanes["acme.zoo"]._supervisor.workers[1]
            os.kill(worker.pid, signal.SIGKILL)
            await worker._connection.closed.wait()
            waiting = asyncio.create_task(extensions.activate("acme.zoo"))
            await asyncio.sleep(0)
            await extensions.stop()
            count = len(started)
            with pytest.raises(ExtensionError) as caught:
                await waiting
            assert caught.value.code == "SYM-E036"
            assert len(started) == count

    asyncio.run(scenario())


@linux
def test_a_call_that_learns_its_extension_as_all_are_stopped_starts_no_worker(
    house, started, recorder, node_call
):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            events = recorder()
            extensions.submit([node_call("acme.zoo.echo", text="bear")], events)
            stopping = []

            async def learn_and_stop():
                await extensions._introspect_unknown()
                stopping.append(asyncio.ensure_future(extensions.stop()))

            extensions._learning = asyncio.create_task(learn_and_stop())
            (event,) = (await events.finals(1)).values()
            assert (event.kind, event.error.code) == ("failed", "SYM-E036")
            await stopping[0]

    asyncio.run(scenario())


@linux
def test_a_worker_that_cannot_be_watched_is_not_left(house, started, monkeypatch):
    def refuse(pid):
        raise OSError(24, "too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(ExtensionError, match="too many open files") as caught:
                await extensions.activate("acme.zoo")
            assert caught.value.code == "SYM-E030"

    asyncio.run(scenario())


@linux
def test_a_worker_whose_output_cannot_be_read_is_not_left(house, started, monkeypatch):
    async def refuse(loop, protocol, pipe):
        raise OSError(28, "no space left")

    monkeypatch.setattr("asyncio.unix_events._UnixSelectorEventLoop.connect_read_pipe", refuse)

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(ExtensionError, match="no space left") as caught:
                await extensions.activate("acme.zoo")
            assert caught.value.code == "SYM-E030"

    asyncio.run(scenario())


def test_what_is_seen_through_ends_before_a_cancellation_comes_into_force():
    async def scenario():
        done = []

        async def work():
            for _ in range(5):
                await asyncio.sleep(0)
            done.append(True)

        task = asyncio.create_task(see_through(work()))
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done

    asyncio.run(scenario())

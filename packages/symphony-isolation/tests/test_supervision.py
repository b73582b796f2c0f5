"""Crashes are counted, remembered and typed; what is silent is told from what is dead, and what is busy from both."""

import asyncio
import os
import signal
import subprocess
import sys

import msgspec
import pytest
from symphony_isolation.pulse import Sight, judge, look
from symphony_isolation.quarantine import Quarantine
from symphony_isolation.restarts import Restarts
from symphony_isolation.sandbox.processes import descendants_of
from symphony_sdk.errors import ExtensionError, PeerGone, SymphonyError


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


# -- how often, how soon -------------------------------------------------------------------------------


def test_restarts_wait_twice_as_long_each_time_and_never_all_at_once():
    for jitter, waits in ((0.0, [0.0, 0.1, 0.2]), (1.0, [0.0, 0.2, 0.4])):
        clock = Clock()
        restarts = Restarts(clock=clock, jitter=lambda jitter=jitter: jitter)
        found = []
        for _ in range(3):
            restarts.crashed()
            found.append(pytest.approx(restarts.delay()))
        assert found == waits
        assert not restarts.exhausted()
        restarts.crashed()
        assert restarts.exhausted()


def test_crashes_of_more_than_a_minute_ago_count_no_more():
    clock = Clock()
    restarts = Restarts(clock=clock)
    for _ in range(3):
        restarts.crashed()
    clock.now += 60.0
    restarts.crashed()
    assert (restarts.recent(), restarts.delay(), restarts.exhausted()) == (1, 0.0, False)


def test_a_crash_while_loading_counts_double():
    restarts = Restarts(clock=Clock())
    restarts.crashed(loading=True)
    assert not restarts.exhausted()
    restarts.crashed(loading=True)
    assert restarts.exhausted()


def test_after_a_quarantine_one_crash_is_one_too_many_for_a_minute():
    clock = Clock()
    restarts = Restarts(one_try=True, clock=clock)
    assert not restarts.exhausted()
    restarts.crashed()
    assert restarts.exhausted()
    clock = Clock()
    restarts = Restarts(one_try=True, clock=clock)
    clock.now += 61.0
    restarts.crashed()
    assert not restarts.exhausted()


# -- quarantine ----------------------------------------------------------------------------------------


def test_a_quarantine_holds_for_what_the_extension_was(tmp_path):
    quarantine = Quarantine(tmp_path / "quarantine")
    assert quarantine.reason("acme.zoo") == ""
    assert not quarantine.lift("acme.zoo")
    quarantine.put("acme.zoo", "f1", "crashed\nand crashed")
    assert quarantine.reason("acme.zoo", "f1") == quarantine.reason("acme.zoo") == "crashed\nand crashed"
    assert quarantine.reason("acme.zoo", "f2") == ""
    assert [file.name for file in (tmp_path / "quarantine").iterdir()] == ["acme.zoo"]
    assert quarantine.lift("acme.zoo")
    assert quarantine.reason("acme.zoo") == ""


async def _quarantined(extensions, call):
    for _ in range(4):
        with pytest.raises(PeerGone):
            await call(extensions, "acme.zoo.crash", how="os._exit")
    with pytest.raises(ExtensionError) as caught:
        await call(extensions, "acme.zoo.echo")
    assert caught.value.code == "SYM-E032"


def test_a_quarantine_outlives_the_host_until_the_extension_changes(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await _quarantined(extensions, call)
        async with house.opened(house.zoo()) as extensions:
            info = (await extensions.extensions())[0]
            assert info.state == "quarantined"
            assert "exit code 3" in info.reason
            with pytest.raises(ExtensionError, match="exit code 3") as caught:
                await call(extensions, "acme.zoo.echo")
            assert caught.value.code == "SYM-E032"
            assert not (await extensions.health("acme.zoo")).alive
        for changed in (house.zoo(fingerprint="2"), house.zoo(config={"new": 1})):
            async with house.opened(changed) as extensions:
                assert (await extensions.extensions())[0].state == "resolved"
        async with house.opened(house.zoo()) as extensions:
            assert (await extensions.extensions())[0].state == "quarantined"

    asyncio.run(scenario())


def test_a_reload_lifts_a_quarantine_and_the_next_crash_brings_it_back(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await _quarantined(extensions, call)
            info = await extensions.reload("acme.zoo")
            assert (info.state, info.reason, info.cause) == ("resolved", "", "")
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            with pytest.raises(PeerGone):
                await call(extensions, "acme.zoo.crash", how="os._exit")
            info = (await extensions.extensions())[0]
            assert (info.state, info.cause) == ("quarantined", "exit")
            assert info.reason.startswith("crashed again; at last ")

    asyncio.run(scenario())
    assert Quarantine(house.root / "quarantine").reason("acme.zoo").startswith("crashed again")


def test_a_quarantine_that_another_process_lifts_gives_one_try(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await _quarantined(extensions, call)
            assert Quarantine(house.root / "quarantine").lift("acme.zoo")
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            with pytest.raises(PeerGone):
                await call(extensions, "acme.zoo.crash", how="os._exit")
            assert (await extensions.extensions())[0].state == "quarantined"

    asyncio.run(scenario())


def test_an_extension_that_crashes_twice_while_it_loads_is_quarantined(house):
    spec = house.write("acme.broken", "import os; os._exit(5)")

    async def scenario():
        async with house.opened(spec) as extensions:
            info = (await extensions.extensions())[0]
            assert (info.state, info.cause) == ("failed", "exit")
            with pytest.raises(ExtensionError):
                await extensions.activate("acme.broken")
            info = (await extensions.extensions())[0]
            assert (info.state, info.cause) == ("quarantined", "exit")
            assert "crashed 2 times" in info.reason

    asyncio.run(scenario())


def test_a_quarantine_that_cannot_be_kept_holds_in_this_host_and_is_told(house, call):
    (house.root / "quarantine").write_text("a file in the place of the directory")

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await _quarantined(extensions, call)

    asyncio.run(scenario())
    assert any("cannot be remembered" in text for text in house.texts("warning"))


# -- why it ended --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "cause"), [("os._exit", "exit"), ("segfault", "signal")])
def test_the_cause_of_a_crash_is_typed_in_the_error_the_info_and_the_health(house, call, how, cause):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(PeerGone) as caught:
                await call(extensions, "acme.zoo.crash", how=how)
            assert caught.value.details["cause"] == cause
            info = (await extensions.extensions())[0]
            assert (info.state, info.cause) == ("failed", cause)
            (exit,) = (await extensions.health("acme.zoo")).exits
            assert (exit.cause, exit.place) == (cause, "acme.zoo#1")
            assert exit.text in info.reason

    asyncio.run(scenario())


def test_a_breach_of_the_protocol_is_a_cause(house, call, hostile):
    async def scenario():
        async with house.opened(hostile("garbage")) as extensions:
            with pytest.raises(PeerGone) as caught:
                await call(extensions, "acme.hostile.go")
            assert caught.value.details["cause"] == "protocol"

    asyncio.run(scenario())


def test_a_worker_that_asks_again_and_again_for_what_it_may_not_is_killed(house, call, hostile):
    async def scenario():
        async with house.opened(hostile("abuses")) as extensions:
            with pytest.raises(PeerGone, match="it asked for what it may not") as caught:
                await call(extensions, "acme.hostile.go")
            assert caught.value.details["cause"] == "permission"
            assert (await extensions.extensions())[0].cause == "permission"

    asyncio.run(scenario())


# -- health --------------------------------------------------------------------------------------------

HEALTH = """
from pathlib import Path
import threading
from symphony_sdk import *

@operator("acme.frail.go")
def go(ctx: Context) -> str:
    return "went"

@on_health
def health(ctx):
    said = Path("health").read_text()
    if said == "hang":
        threading.Event().wait()
    if said == "raise":
        raise OSError("no disk")
    return said

@provides_operators
def symphony_operators():
    yield go
"""


def test_an_extension_says_itself_how_it_is_and_is_well_again_when_it_says_so(house, call, monkeypatch):
    spec = house.write("acme.frail", HEALTH)
    said = house.root / "data" / "acme.frail" / "health"

    async def scenario():
        async with house.opened(spec, house.zoo()) as extensions:
            await extensions.activate("acme.frail")
            problems = []
            for text in ("the cache is cold", "raise", "hang", ""):
                said.write_text(text)
                monkeypatch.setattr(
                    "symphony_isolation.worker.HEALTH_TIMEOUT", 0.5 if text == "hang" else 30.0
                )
                problems.append((await extensions.health("acme.frail")).problem)
            assert problems[0] == "the cache is cold"
            assert "no disk" in problems[1]
            assert "0.5 s" in problems[2]
            assert problems[3] == ""
            assert await call(extensions, "acme.frail.go") == "went"
            assert (await extensions.health("acme.frail")).alive
            await extensions.activate("acme.zoo")
            assert (await extensions.health("acme.zoo")).problem == ""

    asyncio.run(scenario())


@pytest.fixture
def soon(monkeypatch):
    """Beats that come fast, and little patience."""
    monkeypatch.setattr("symphony_isolation.worker.BEAT", 0.05)
    monkeypatch.setattr("symphony_isolation.worker.SILENCE", 0.3)
    monkeypatch.setattr("symphony_isolation.process_lane.PING_TIMEOUT", 0.2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc says what a process does")
def test_a_worker_that_waits_for_ever_and_lets_nobody_else_run_is_killed(house, call, soon):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(PeerGone, match=r"no sign of life for 0\.3 s and was blocked") as caught:
                await call(extensions, "acme.zoo.stick")
            assert caught.value.details["cause"] == "heartbeat"

    asyncio.run(scenario())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc says what a process does")
def test_a_worker_that_was_stopped_is_seen_and_killed(house, call, under_way, soon):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            task = await under_way(extensions, "acme.zoo.wait")
            outer = (await extensions.health("acme.zoo")).pid
            for pid in (outer, *descendants_of(outer)):  # one of a sandbox, and the worker in it
                os.kill(pid, signal.SIGSTOP)
            with pytest.raises(PeerGone, match="was stopped"):
                await task

    asyncio.run(scenario())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc says what a process does")
def test_a_worker_that_is_busy_in_c_is_not_killed_however_long_it_is_silent(house, call, under_way, soon):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            task = await under_way(extensions, "acme.zoo.grind", seconds=1.0)
            silent = (await extensions.health("acme.zoo")).silent
            assert silent in ({"acme.zoo#1": "busy"}, {})  # it may have ended on a fast machine
            assert await task == "ground"
            assert (await extensions.health("acme.zoo")).restarts == 0

    asyncio.run(scenario())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc says what a process does")
def test_a_look_tells_busy_from_blocked_from_stopped_in_all_below_a_process():
    """The process itself only waits, as the outer one of a sandbox does: what counts is below it."""
    inner = "import os\nprint(os.getpid(), flush=True)\ninput()\nwhile True: pass"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        below = int(process.stdout.readline())
        try:
            while (first := look(process.pid)).states != {"S"}:  # until it reads
                pass
            assert judge(first, Sight(first.ticks, frozenset("S"))) == "blocked"
            process.stdin.write("\n")
            process.stdin.flush()
            while judge(first, look(process.pid)) != "busy":
                pass
            os.kill(below, signal.SIGSTOP)
            pulse, before = "busy", look(process.pid)
            while pulse == "busy":  # it is told that it is stopped a moment before it is
                pulse, before = judge(before, after := look(process.pid)), after
            assert pulse == "stopped"
        finally:
            os.kill(below, signal.SIGKILL)
    assert look(process.pid) is None
    assert judge(first, None) is None


def test_a_disk_and_a_debugger_are_no_reason_to_end_a_process():
    for state in "RDt":
        assert judge(Sight(5, frozenset("S")), Sight(5, frozenset({"S", state}))) == "busy"
    assert judge(Sight(5, frozenset("S")), Sight(6, frozenset("S"))) == "busy"


def test_what_an_exit_was_survives_the_wire(house, call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            with pytest.raises(SymphonyError):
                await call(extensions, "acme.zoo.crash", how="abort")
            health = await extensions.health("acme.zoo")
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(health), type=type(health)) == health

    asyncio.run(scenario())

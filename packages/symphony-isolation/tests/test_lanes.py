"""The calls of an extension on its processes: how many there are, who takes which, and what becomes of them."""

import asyncio
import os
import signal
from collections import Counter
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_isolation.process_lane import CALLS_PER_CORE, usable_cores

AT_ONCE = CALLS_PER_CORE * usable_cores()
"""Calls that one process has at once, where they are not known to be short."""

PLAIN = """
import os, time, threading
from symphony_sdk import Context, Instrument, operator, provides_instruments, provides_operators

@operator("acme.plain.wait")
def wait(ctx: Context) -> None:
    ctx.progress(0.0, str(os.getpid()))
    ctx._cancelled.wait()

@operator("acme.plain.once", idempotent=False)
def once(ctx: Context) -> int:
    return os.getpid()

@operator("acme.plain.where")
def where(ctx: Context) -> int:
    return os.getpid()

class Model(Instrument):
    id = "acme.plain.model"
    def infer(self, ctx: Context) -> int:
        return os.getpid()

@provides_operators
def symphony_operators():
    return [wait, once, where]

@provides_instruments
def symphony_instruments():
    yield Model()
"""


def pids(recorder):
    """The processes that calls said they run in, by node."""
    return {event.call.node: int(event.text) for event in recorder.of("progressed")}


async def fill_two(extensions, recorder, node_call, operation):
    """Give an extension calls that never end, until two processes have as many as they take."""
    calls = [node_call(operation, f"n{number}") for number in range(2 * AT_ONCE)]
    extensions.submit(calls, recorder)
    await recorder.until(lambda: len(pids(recorder)) == len(calls))
    return pids(recorder)


def test_a_second_process_takes_what_the_first_has_no_room_for(house, recorder, node_call, monkeypatch):
    monkeypatch.setattr("symphony_isolation.process_lane.PING_TIMEOUT", 30.0)

    async def scenario():
        async with house.opened(house.zoo(workers=2, tier="fallback")) as extensions:
            events = recorder()
            where = await fill_two(extensions, events, node_call, "acme.zoo.wait")
            health = await extensions.health("acme.zoo")
            assert Counter(where.values()) == dict.fromkeys(health.pids.values(), AT_ONCE)
            assert (list(health.pids), health.calls, health.waiting) == (
                ["acme.zoo#1", "acme.zoo#2"],
                2 * AT_ONCE,
                0,
            )
            assert health.answered is not None
            extensions.submit([node_call("acme.zoo.wait", "late")], events)
            await asyncio.sleep(0)
            assert (await extensions.health("acme.zoo")).waiting == 1
            extensions.cancel("run")
            finals = await events.finals(2 * AT_ONCE + 1)
            assert {event.error.code for event in finals.values()} == {"SYM-R003"}

    asyncio.run(scenario())
    assert Counter(house.notes()) == dict.fromkeys(("load", "activate {}", "deactivate", "unload"), 2) | {
        "cancelled": 2 * AT_ONCE
    }


def test_kill_9_of_one_of_two_processes_fails_its_calls_alone(house, recorder, node_call):
    async def scenario():
        async with house.opened(house.zoo(workers=2, tier="fallback")) as extensions:
            events = recorder()
            where = await fill_two(extensions, events, node_call, "acme.zoo.wait")
            killed = (await extensions.health("acme.zoo")).pids["acme.zoo#2"]
            os.kill(killed, signal.SIGKILL)
            finals = await events.finals(AT_ONCE)
            assert set(finals) == {node for node, pid in where.items() if pid == killed}
            for event in finals.values():
                assert (event.kind, event.error.code, event.retryable) == ("failed", "SYM-T003", True)
                assert event.place == "acme.zoo#2"
            info = (await extensions.extensions())[0]
            assert (info.state, info.reason) == ("active", "")
            extensions.cancel("run")
            await events.finals(2 * AT_ONCE)

    asyncio.run(scenario())


def test_only_idempotent_operators_of_an_extension_without_hooks_of_its_life_spread_by_themselves(
    house, call, recorder, node_call
):
    async def scenario():
        async with house.opened(house.write("acme.plain", PLAIN, tier="fallback")) as extensions:
            lane = extensions._isolated["acme.plain"]
            lane._cores = 2
            operations = await extensions.operations()
            assert {id.rpartition(".")[2]: lane._most(spec) for id, spec in operations.items()} == {
                "wait": 2,
                "where": 2,
                "once": 1,
                "model": 1,
            }
            events = recorder()
            extensions.submit([node_call("acme.plain.wait", f"n{n}") for n in range(9)], events)
            await events.until(lambda: len(set(pids(events).values())) == 2)
            first = (await extensions.health("acme.plain")).pids["acme.plain#1"]
            extensions.cancel("run")
            await events.finals(9)
            for operation in ("once", "model"):
                found = {await call(extensions, f"acme.plain.{operation}") for _ in range(3)}
                assert found == {first}

    asyncio.run(scenario())


def test_a_process_that_has_nothing_to_do_is_stopped_and_the_first_one_stays(
    house, recorder, node_call, gone, monkeypatch
):
    monkeypatch.setattr("symphony_isolation.process_lane.IDLE", 0.1)

    async def scenario():
        async with house.opened(house.zoo(workers=2)) as extensions:
            events = recorder()
            await fill_two(extensions, events, node_call, "acme.zoo.wait")
            before = (await extensions.health("acme.zoo")).pids
            extensions.cancel("run")
            assert await asyncio.to_thread(gone, before["acme.zoo#2"])
            assert list((await extensions.health("acme.zoo")).pids) == ["acme.zoo#1"]
            assert (await extensions.extensions())[0].state == "active"

    asyncio.run(scenario())


def test_an_extension_that_can_be_there_only_once_goes_on_with_one_process(house, call, recorder, node_call):
    source = (
        PLAIN
        + """
from pathlib import Path
Path("only-one").touch(exist_ok=Path("learned").exists() is False)
Path("learned").touch()
"""
    )

    async def scenario():
        async with house.opened(house.write("acme.plain", source, workers=2, tier="fallback")) as extensions:
            await extensions.operations()
            (house.root / "data" / "acme.plain" / "only-one").unlink()
            events = recorder()
            extensions.submit([node_call("acme.plain.wait", f"n{n}") for n in range(AT_ONCE + 1)], events)
            async with asyncio.timeout(60):
                await house.heard("worker 2 did not start")
            info = (await extensions.extensions())[0]
            assert (info.state, info.reason) == ("active", "")
            extensions.cancel("run")
            assert len(await events.finals(AT_ONCE + 1)) == AT_ONCE + 1
            first = (await extensions.health("acme.plain")).pids
            assert list(first) == ["acme.plain#1"]
            assert await call(extensions, "acme.plain.where") == first["acme.plain#1"]

    asyncio.run(scenario())


def test_force_kills_the_process_at_once_and_what_else_it_did_is_lost_and_no_crash(
    house, call, recorder, node_call, gone
):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            events = recorder()
            extensions.submit(
                [node_call("acme.zoo.stick", "stuck"), node_call("acme.zoo.wait", "other", run="two")], events
            )
            await events.until(lambda: any(event.call.node == "stuck" for event in events.of("progressed")))
            pid = (await extensions.health("acme.zoo")).pid
            extensions.cancel("run")
            await events.finals(1)
            extensions.cancel("run", force=True)
            finals = await events.finals(2)
            assert finals["stuck"].error.code == "SYM-R003"
            assert (finals["other"].kind, finals["other"].retryable) == ("lost", True)
            assert finals["other"].place == "acme.zoo#1"
            assert "stopped by force" in finals["other"].error.message
            assert gone(pid)
            assert await call(extensions, "acme.zoo.echo", text="bear") == "bear"
            health = await extensions.health("acme.zoo")
            assert (health.restarts, (await extensions.extensions())[0].state) == (0, "active")
            extensions.cancel("run", force=True)
            assert await call(extensions, "acme.zoo.echo", text="wolf") == "wolf"
            assert (await extensions.health("acme.zoo")).pids == health.pids

    asyncio.run(scenario())


def test_a_call_that_comes_right_after_a_process_was_killed_by_force_goes_to_the_next_one(
    house, recorder, node_call
):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            events = recorder()
            extensions.submit([node_call("acme.zoo.ignore", "deaf")], events)
            await events.until(lambda: bool(events.of("progressed")))
            extensions.cancel("run", force=True)
            extensions.submit([node_call("acme.zoo.echo", "next", "two", text="bear")], events)
            finals = await events.finals(2)
            assert (finals["deaf"].kind, finals["next"].kind) == ("failed", "completed")

    asyncio.run(scenario())


def test_a_call_that_does_not_end_takes_its_process_along_and_the_others_are_lost(
    house, recorder, node_call, monkeypatch
):
    monkeypatch.setattr("symphony_isolation.worker.CANCEL_GRACE", 0.1)

    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            events = recorder()
            extensions.submit(
                [node_call("acme.zoo.ignore", "deaf"), node_call("acme.zoo.wait", "other")], events
            )
            await events.until(lambda: len(events.of("progressed")) == 2)
            extensions.cancel("run", "deaf")
            finals = await events.finals(2)
            assert (finals["deaf"].kind, finals["other"].kind) == ("failed", "lost")
            assert (await extensions.extensions())[0].state == "failed"

    asyncio.run(scenario())


@pytest.mark.parametrize("operation", ["wait", "wait-async"])
def test_cancel_reaches_code_that_runs_while_others_compute(house, recorder, node_call, operation):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            events = recorder()
            extensions.submit(
                [node_call(f"acme.zoo.{operation}", "a"), node_call("acme.zoo.wait", "b")], events
            )
            await events.until(lambda: len(events.of("progressed")) == 2)
            extensions.cancel("run", "a")
            await events.finals(1)
            extensions.submit([node_call("acme.zoo.echo", "c", text="still here")], events)
            assert (await events.finals(2))["c"].kind == "completed"
            extensions.cancel("run")
            await events.finals(3)

    asyncio.run(scenario())
    assert house.notes().count("cancelled") == 2


def test_a_long_queue_of_one_extension_keeps_no_other_waiting(house, call, recorder, node_call):
    async def scenario():
        async with house.opened(house.zoo(), house.write("acme.plain", PLAIN)) as extensions:
            events = recorder()
            extensions.submit([node_call("acme.zoo.wait", f"n{n}") for n in range(100)], events)
            assert await call(extensions, "acme.plain.where") > 0
            extensions.cancel("run")
            await events.finals(100)

    asyncio.run(scenario())


def test_calls_that_wait_when_an_extension_cannot_start_are_told_why(house, recorder, node_call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            await extensions.operations()
            events = recorder()
            for _ in range(4):
                extensions.submit([node_call("acme.zoo.crash", how="os._exit")], crash := recorder())
                await crash.finals(1)
            extensions.submit([node_call("acme.zoo.echo", f"n{n}", text="a") for n in range(5)], events)
            finals = await events.finals(5)
            assert {event.error.code for event in finals.values()} == {"SYM-E032"}
            assert not any(event.retryable for event in finals.values())

    asyncio.run(scenario())


def test_calls_that_wait_when_their_extension_is_stopped_are_told(house, recorder, node_call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            events = recorder()
            extensions.submit([node_call("acme.zoo.wait", f"n{n}") for n in range(AT_ONCE + 3)], events)
            await events.until(lambda: len(events.of("progressed")) == AT_ONCE)
            await extensions.deactivate("acme.zoo")
            finals = await events.finals(AT_ONCE + 3)
            codes = Counter(event.error.code for event in finals.values())
            assert codes == {"SYM-T003": AT_ONCE, "SYM-E036": 3}

    asyncio.run(scenario())


def test_calls_that_came_before_anything_was_known_are_cancelled_too(house, recorder, node_call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            events = recorder()
            extensions.submit(
                [node_call("acme.zoo.wait"), node_call("acme.zoo.echo", "b", "two", text="b")], events
            )
            extensions.cancel("run")
            finals = await events.finals(2)
            assert (finals["node"].error.code, finals["b"].kind) == ("SYM-R003", "completed")

    asyncio.run(scenario())


def test_inputs_that_no_message_can_hold_fail_their_call_alone(house, recorder, node_call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            events = recorder()
            texts = {"small": "a", "large": "x" * (3 << 20), "too-large": "x" * (17 << 20), "last": "b"}
            extensions.submit(
                [node_call("acme.zoo.echo", name, text=text) for name, text in texts.items()], events
            )
            finals = await events.finals(4)
            assert finals["too-large"].error.code == "SYM-T005"
            assert {name for name, event in finals.items() if event.kind == "completed"} == {*texts} - {
                "too-large"
            }
            assert (await extensions.health("acme.zoo")).calls == 0

    asyncio.run(scenario())


def test_the_highest_memory_of_a_call_is_told_to_one_per_cent(house, recorder, node_call):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            found = {}
            for megabytes in (0, 64, 0):
                events = recorder()
                extensions.submit([node_call("acme.zoo.fill", megabytes=megabytes)], events)
                found[megabytes] = (await events.finals(1))["node"].memory
            return found

    found = asyncio.run(scenario())
    assert found[64] - found[0] == pytest.approx(64 << 20, rel=0.01)


def test_the_fingerprint_changes_with_the_content_the_version_and_the_settings(house):
    async def fingerprint(spec):
        async with house.opened(spec) as extensions:
            return (await extensions.extensions())[0].fingerprint

    spec = house.zoo(config={"a": 1, "b": 2})
    variants = [
        spec,
        msgspec.structs.replace(spec, fingerprint="2"),
        msgspec.structs.replace(spec, version="1.1"),
        msgspec.structs.replace(spec, config={"a": 1, "b": 3}),
    ]
    found = [asyncio.run(fingerprint(one)) for one in variants]
    assert len({*found}) == 4
    assert asyncio.run(fingerprint(msgspec.structs.replace(spec, config={"b": 2, "a": 1}))) == found[0]


STEPS = st.lists(
    st.sampled_from(["submit", "submit", "turn", "wait", "cancel", "cancel-node", "force", "kill"]),
    min_size=3,
    max_size=12,
)


@settings(deadline=None, max_examples=int(os.environ.get("SYMPHONY_FUZZ", "8")))
@given(steps=STEPS, data=st.data())
def test_whatever_happens_each_call_has_one_final_event(
    tmp_path_factory, steps, data, house_in, recorder, node_call
):
    house = house_in(tmp_path_factory.mktemp("storm"))

    async def scenario():
        async with house.opened(house.zoo(workers=2)) as extensions:
            events = recorder()
            nodes = []
            kills = 0
            for step, action in enumerate(steps):
                match action:
                    case "submit":
                        for number in range(data.draw(st.integers(1, 12))):
                            operation = data.draw(
                                st.sampled_from(["echo", "echo", "fail", "wait", "wait-async", "nothing"])
                            )
                            inputs = {"text": "a"} if operation == "echo" else {}
                            timeout = data.draw(st.sampled_from([None, None, 0.001, 0.05]))
                            nodes.append(f"{step}-{number}")
                            extensions.submit(
                                [
                                    node_call(
                                        f"acme.zoo.{operation}",
                                        nodes[-1],
                                        str(number % 2),
                                        timeout=timeout,
                                        **inputs,
                                    )
                                ],
                                events,
                            )
                    case "turn":
                        await asyncio.sleep(0)
                    case "wait":
                        await extensions.health("acme.zoo")
                    case "cancel":
                        extensions.cancel(data.draw(st.sampled_from("01")))
                    case "cancel-node" if nodes:
                        node = data.draw(st.sampled_from(nodes))
                        extensions.cancel("0", node)
                        extensions.cancel("1", node)
                    case "force":
                        extensions.cancel(data.draw(st.sampled_from("01")), force=True)
                    case "kill" if kills < 3:
                        kills += 1
                        for pid in (await extensions.health("acme.zoo")).pids.values():
                            with suppress(
                                ProcessLookupError
                            ):  # it was killed before, and nobody has noticed yet
                                os.kill(pid, signal.SIGKILL)
            extensions.cancel("0")
            extensions.cancel("1")
            assert set(await events.finals(len(nodes))) == set(nodes)
            assert (await extensions.health("acme.zoo")).waiting == 0

    asyncio.run(scenario())

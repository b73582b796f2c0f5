"""A fleet on real machines: each a process of its own, with workers of its own."""

import asyncio
import os
import signal
from collections import Counter

import msgspec
import pytest
import symphony_sdk
from symphony_isolation.cluster import FleetSettings
from symphony_isolation.cluster.deployment import decode_deployment
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import RunError
from symphony_sdk.ports import Lineage, Resources
from symphony_sdk.values import decode, encode

BIG = "x" * (100 << 10)


def test_calls_run_in_the_workers_of_all_machines(fleet, recorder, node_call):
    async def scenario():
        async with fleet() as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.say", str(n), text="x") for n in range(100)], seen)
            pids = {}
            for event in await seen.ended(100):
                pids.setdefault(event.place, set()).add(decode(event.outputs["result"]))
            assert its.fleet.capacity is None
            return seen.kinds, pids, set(its.cluster.processes)

    kinds, pids, machines = asyncio.run(scenario())
    assert kinds["completed"] == kinds["started"] == 100
    assert {place: len(of) for place, of in pids.items()} == dict.fromkeys(machines, 1)


def test_a_large_value_goes_to_each_machine_once_and_never_to_the_one_that_made_it(
    fleet, recorder, node_call
):
    async def scenario():
        async with fleet() as its:
            first, second = recorder(), recorder()
            its.fleet.submit([node_call("acme.zoo.echo", "make", text=BIG)], first)
            (made,) = await first.ended(1)
            before = dict(its.cluster.sent)
            value = bytes(bytearray(made.outputs["result"]))  # equal, but another object
            inputs = {"text": value}
            calls = [
                msgspec.structs.replace(node_call("acme.zoo.echo", str(n)), inputs=inputs) for n in range(40)
            ]
            its.fleet.submit(calls, second)
            finals = await second.ended(40)
            grown = {name: size - before.get(name, 0) for name, size in its.cluster.sent.items()}
            return made.place, grown, finals

    maker, grown, finals = asyncio.run(scenario())
    assert {decode(event.outputs["result"]) for event in finals} == {BIG}
    assert grown.pop(maker) < len(BIG)
    (other,) = grown.values()
    assert len(BIG) < other < 2 * len(BIG)


def test_a_killed_machine_loses_its_own_calls_alone_and_is_replaced(fleet, recorder, node_call):
    async def scenario():
        async with fleet() as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.wait", str(n)) for n in range(4)], seen)
            await seen.progressed(4)
            its.cluster.processes["machine-1"].kill()
            lost = list(await seen.ended(2))
            await its.ready(2)
            its.fleet.cancel("run")
            await seen.ended(4)
            again = recorder()
            its.fleet.submit([node_call("acme.zoo.echo", str(n), text="x") for n in range(20)], again)
            places = {event.place for event in await again.ended(20)}
            return lost, seen.finals, places, set(its.cluster.processes)

    lost, finals, places, machines = asyncio.run(scenario())
    assert [(event.kind, event.error.code, event.place, event.retryable) for event in lost] == [
        ("lost", "SYM-R124", "machine-1", True)
    ] * 2
    assert Counter(event.error.code for event in finals) == {"SYM-R124": 2, "SYM-R003": 2}
    assert places == machines == {"machine-2", "machine-3"}


def test_what_is_not_idempotent_is_lost_for_good(fleet, recorder, node_call, house):
    spec = house.write(
        "acme.pay",
        "from symphony_sdk import operator, provides_operators\n"
        "@operator('acme.pay.pay', idempotent=False)\n"
        "def pay(ctx) -> None:\n"
        "    ctx.progress(0.0)\n"
        "    ctx._cancelled.wait()\n"
        "@provides_operators\n"
        "def symphony_operators():\n"
        "    yield pay\n",
    )

    async def scenario():
        async with fleet(spec, machines=1) as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.pay.pay")], seen)
            await seen.progressed()
            its.cluster.processes["machine-1"].kill()
            return (await seen.ended(1))[0]

    event = asyncio.run(scenario())
    assert (event.kind, event.retryable) == ("lost", False)


def test_a_call_that_was_cancelled_is_not_told_as_lost(fleet, recorder, node_call):
    async def scenario():
        async with fleet(machines=1) as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.wait")], seen)
            await seen.progressed()
            os.kill(its.cluster.processes["machine-1"].pid, signal.SIGSTOP)
            its.fleet.cancel("run", "node")
            its.cluster.processes["machine-1"].kill()
            return (await seen.ended(1))[0]

    event = asyncio.run(scenario())
    assert (event.kind, event.error.code) == ("failed", "SYM-R003")


def test_without_any_machine_calls_wait_for_one_and_then_fail(fleet, recorder, node_call):
    async def scenario():
        settings = FleetSettings(patience=0.01)
        async with fleet(machines=1, replace=False, settings=settings) as its:
            gone, seen = recorder(), recorder()
            its.fleet.submit([node_call("acme.zoo.wait")], gone)
            await gone.progressed()
            its.cluster.processes["machine-1"].kill()
            await gone.ended(1)
            assert its.fleet.slots == 0
            its.fleet.submit([node_call("acme.zoo.echo", str(n)) for n in range(3)], seen)
            failed = list(await seen.ended(3))
            late = recorder()
            its.fleet._settings = FleetSettings()
            its.fleet.submit([node_call("acme.zoo.echo", text="x")], late)
            await its.cluster.add()
            return failed, (await late.ended(1))[0]

    failed, late = asyncio.run(scenario())
    assert [(event.kind, event.error.code, event.retryable) for event in failed] == [
        ("failed", "SYM-R125", False)
    ] * 3
    assert (late.kind, late.place) == ("completed", "machine-2")


def test_a_cancelled_call_ends_and_its_machine_goes_on(fleet, recorder, node_call):
    async def scenario():
        async with fleet(machines=1) as its:
            seen, other = recorder(), recorder()
            its.fleet.submit([node_call("acme.zoo.wait", str(n)) for n in range(100)], seen)
            await seen.progressed()
            its.fleet.cancel("run", "0")
            one = (await seen.ended(1))[0]
            its.fleet.cancel("run")
            await seen.ended(100)
            its.fleet.submit([node_call("acme.zoo.echo", run="other", text="x")], other)
            return one, seen.finals, (await other.ended(1))[0], set(its.cluster.processes)

    one, finals, other, machines = asyncio.run(scenario())
    assert one.call.node == "0"
    assert Counter((event.kind, event.error.code) for event in finals) == {("failed", "SYM-R003"): 100}
    assert (other.kind, machines) == ("completed", {"machine-1"})


def test_what_does_not_stop_is_killed_by_force_and_its_machine_is_not(fleet, recorder, node_call, gone):
    async def scenario():
        async with fleet(machines=1) as its:
            seen, other = recorder(), recorder()
            its.fleet.submit([node_call("acme.zoo.say", "pid", text="x")], seen)
            worker = decode((await seen.ended(1))[0].outputs["result"])
            its.fleet.submit([node_call("acme.zoo.ignore", "stuck")], seen)
            await seen.progressed(2)
            its.fleet.cancel("run", "stuck", force=True)
            stuck = (await seen.ended(2))[1]
            assert await asyncio.to_thread(gone, worker)
            its.fleet.submit([node_call("acme.zoo.echo", text="x")], other)
            return stuck, (await other.ended(1))[0], set(its.cluster.processes)

    stuck, other, machines = asyncio.run(scenario())
    assert (stuck.kind, stuck.error.code) == ("failed", "SYM-R003")
    assert (other.kind, machines) == ("completed", {"machine-1"})


def test_a_machine_has_no_more_calls_than_it_can_run_while_nothing_is_known_of_them(
    fleet, recorder, node_call
):
    async def scenario():
        async with fleet() as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.wait", str(n)) for n in range(200)], seen)
            await seen.progressed(2)
            out = [len(member.out) for member in its.fleet._members.values()]
            its.fleet.cancel("run")
            await seen.ended(200)
            return out, its.fleet.slots

    out, slots = asyncio.run(scenario())
    assert sum(out) == slots
    assert out[0] == out[1]


def test_calls_wait_until_a_machine_has_free_what_they_need(fleet, recorder, node_call):
    needs = Resources(custom={"licence": 1.0})

    async def scenario():
        async with fleet(labels=("licence=1",)) as its:
            assert its.fleet.can_place(Resources(cpu=1.0))
            assert its.fleet.can_place(needs)
            assert not its.fleet.can_place(Resources(custom={"licence": 2.0}))
            assert not its.fleet.can_place(Resources(gpu=1.0))
            assert not its.fleet.can_place(Resources(cpu=64.0))
            seen, free = recorder(), recorder()
            calls = [node_call("acme.zoo.wait", str(n)) for n in range(6)]
            its.fleet.submit([msgspec.structs.replace(call, resources=needs) for call in calls], seen)
            await seen.progressed(2)
            its.fleet.submit([node_call("acme.zoo.echo", run="free", text="x")], free)
            await free.ended(1)  # those that wait are in nobody's way
            out = [
                [flight.call.node for flight in member.out.values()] for member in its.fleet._members.values()
            ]
            its.fleet.cancel("run", "0")
            await seen.progressed(3)
            its.fleet.cancel("run")
            return out, await seen.ended(6)

    out, finals = asyncio.run(scenario())
    assert [len(of) for of in out] == [1, 1]
    assert len(finals) == 6


def test_artifacts_of_machines_are_in_the_store_of_the_host(fleet, recorder, node_call, house):
    size = (9 << 20) + 256  # more than one part

    async def scenario():
        async with fleet() as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.store", "make", size=size)], seen)
            (made,) = await seen.ended(1)
            ref = decode(made.outputs["result"], ArtifactRef)
            calls = [node_call("acme.zoo.digest", str(n), ref=ref) for n in range(4)]
            its.fleet.submit(calls, seen)
            return ref, (await seen.ended(5))[1:]

    ref, finals = asyncio.run(scenario())
    info = house.store.info(ref.id)
    assert (ref.size, info.metadata) == (size, {"of": "zoo"})
    assert info.lineage == Lineage("run", "make", "acme.zoo", version="1.0")
    assert {event.kind for event in finals} == {"completed"}, [event.error for event in finals]
    assert len({event.outputs["result"] for event in finals}) == 1


def test_an_artifact_that_is_not_there_fails_its_call_as_it_does_here(fleet, recorder, node_call):
    async def scenario():
        async with fleet(machines=1) as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.digest", ref=ArtifactRef("nothing", 3))], seen)
            return (await seen.ended(1))[0]

    event = asyncio.run(scenario())
    assert event.kind == "failed"
    assert event.error.code.startswith("SYM-A")


def test_a_machine_with_another_symphony_is_refused_and_both_are_named(fleet, monkeypatch):
    here = symphony_sdk.__version__
    monkeypatch.setattr(symphony_sdk, "__version__", "99.0")

    async def scenario():
        async with fleet(start=False, machines=1) as its:
            await its.fleet.start()

    with pytest.raises(RunError, match=rf"'machine-1' has Symphony {here}; the host has 99.0") as caught:
        asyncio.run(scenario())
    assert caught.value.code == "SYM-R122"


def test_calls_of_an_extension_that_machines_have_otherwise_fail_and_others_run(
    fleet, recorder, node_call, house
):
    other = house.write(
        "acme.tidy",
        "from symphony_sdk import operator, provides_operators\n"
        "@operator('acme.tidy.tidy')\n"
        "def tidy(ctx) -> None: ...\n"
        "@provides_operators\n"
        "def symphony_operators():\n"
        "    yield tidy\n",
    )

    async def scenario():
        async with fleet(house.zoo(), other, start=False) as its:
            deployed = decode_deployment(await its.extensions.deployment())
            changed = [
                msgspec.structs.replace(one, content="other") if one.spec.id == "acme.tidy" else one
                for one in deployed
            ]

            async def deployment():
                return msgspec.msgpack.encode(changed)

            its.extensions.deployment = deployment
            await its.fleet.start()
            seen = recorder()
            its.fleet.submit(
                [node_call("acme.tidy.tidy", "a"), node_call("acme.zoo.echo", "b", text="x")], seen
            )
            return {event.call.node: event for event in await seen.ended(2)}

    events = asyncio.run(scenario())
    assert (events["a"].kind, events["a"].error.code) == ("failed", "SYM-R123")
    assert "pip install" in events["a"].error.hint
    assert events["b"].kind == "completed"


def test_a_machine_that_breaks_the_protocol_is_given_up(fleet, recorder, node_call):
    async def scenario():
        async with fleet() as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.wait", str(n)) for n in range(2)], seen)
            await seen.progressed(2)
            its.fleet.heard("machine-1", b"\xc1")
            lost = (await seen.ended(1))[0]
            its.fleet.heard("machine-1", b"\xc1")  # nobody listens to it any more
            its.fleet.lost("machine-1", "twice")
            return lost, its.fleet.slots

    lost, slots = asyncio.run(scenario())
    assert (lost.kind, lost.place, slots) == ("lost", "machine-1", 4)
    assert "broke the protocol" in lost.error.message


def test_no_machine_in_time_is_an_error(fleet):
    async def scenario():
        async with fleet(start=False, machines=0, settings=FleetSettings(start_timeout=0.01)) as its:
            await its.fleet.start()

    with pytest.raises(RunError, match=r"no machine of 'pipes' was ready within 0.01 s") as caught:
        asyncio.run(scenario())
    assert caught.value.code == "SYM-R121"


def test_before_the_first_machine_what_is_expected_says_what_can_be_placed(fleet):
    from symphony_isolation.cluster import Capacity

    async def scenario():
        async with fleet(start=False) as its:
            assert its.fleet.can_place(Resources(cpu=1000.0))
            its.fleet._settings = FleetSettings(expected=Capacity(2.0))
            assert its.fleet.can_place(Resources(cpu=2.0))
            assert not its.fleet.can_place(Resources(cpu=3.0))

    asyncio.run(scenario())


def test_stop_ends_every_call_and_leaves_no_process(fleet, recorder, node_call, gone):
    async def scenario():
        async with fleet() as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.wait", str(n)) for n in range(20)], seen)
            await seen.progressed(2)
            processes = [process.pid for process in its.cluster.processes.values()]
            workers = [int(event.text) for event in seen.events if event.kind == "progressed"]
            await its.fleet.stop()
            await its.fleet.stop()
            return processes + workers, await seen.ended(20)

    pids, finals = asyncio.run(scenario())
    assert {event.error.code for event in finals} == {"SYM-R003"}
    assert all(gone(pid) for pid in pids)


def test_a_killed_machine_takes_its_workers_with_it(fleet, recorder, node_call, gone):
    async def scenario():
        async with fleet(machines=1, replace=False) as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.ignore", "a"), node_call("acme.zoo.wait", "b")], seen)
            await seen.progressed(2)
            worker = next(
                int(event.text) for event in seen.events if event.kind == "progressed" and event.text
            )
            its.cluster.processes["machine-1"].kill()
            await seen.ended(2)
            return worker

    assert gone(asyncio.run(scenario()))


def test_what_workers_say_is_in_the_log_of_the_host_with_the_machine(fleet, recorder, node_call, caplog):
    async def scenario():
        async with fleet(machines=1) as its:
            seen = recorder()
            its.fleet.submit([node_call("acme.zoo.say", text="bear")], seen)
            await seen.ended(1)

    with caplog.at_level("INFO", logger="symphony.extension.acme.zoo"):
        asyncio.run(scenario())
    assert "machine-1: bear in the log" in caplog.messages


def test_an_event_is_of_the_very_call_that_was_submitted(fleet, recorder, node_call):
    async def scenario():
        async with fleet(machines=1) as its:
            seen = recorder()
            call = msgspec.structs.replace(node_call("acme.zoo.echo", text="x"), item=3, attempt=2)
            its.fleet.submit([call], seen)
            return call, (await seen.ended(1))[0]

    call, event = asyncio.run(scenario())
    assert event.call is call
    assert event.outputs == {"result": encode("x")}

"""Chains of calls through real workers and in the host: each link ends once, in order, whatever becomes of the others."""

import asyncio
import os
import signal

import msgspec
import pytest
from symphony_isolation import HostLane, IsolatedExtensions, LocalExecutor
from symphony_sdk import Context, operator
from symphony_sdk.extension import Files, Log, OwnNetwork
from symphony_sdk.loading import Contributions
from symphony_sdk.permissions import PermissionSet
from symphony_sdk.ports import ExtensionInfo, NodeCall
from symphony_sdk.testing import FakeModels
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import decode, encode

SOURCE = """
import os
import threading
import time
from symphony_sdk import Context, operator, provides_operators
from symphony_sdk.worker import calls

calls.CHAIN_SECONDS = 60.0  # however busy the machine is

@operator("acme.line.add")
def add(ctx: Context, number: int = 0) -> int:
    return number + 1

@operator("acme.line.once", idempotent=False)
def once(ctx: Context, number: int = 0) -> int:
    return number + 1

@operator("acme.line.later")
async def later(ctx: Context, number: int = 0) -> int:
    return number + 1

@operator("acme.line.boom")
def boom(ctx: Context, number: int = 0) -> int:
    raise ValueError(number)

@operator("acme.line.crash")
def crash(ctx: Context, number: int = 0) -> int:
    os._exit(3)

@operator("acme.line.hold")
def hold(ctx: Context, number: int = 0) -> int:
    ctx.progress(0.5, "holds")
    while not ctx.cancelled:
        time.sleep(0.001)
    ctx.check_cancelled()
    return number

@operator("acme.line.stay")
def stay(ctx: Context, number: int = 0) -> int:
    ctx.progress(0.5, "stays")
    threading.Event().wait()
    return number

@provides_operators
def symphony_operators():
    yield from (add, once, later, boom, crash, hold, stay)
"""


def chain(*operations, node="n", run="run"):
    """The calls of a chain, each of which is given the result of the one before."""
    return [
        NodeCall(
            run,
            f"{node}{place}",
            f"acme.line.{operation}",
            {} if place else {"number": encode(0)},
            takes={"number": "result"} if place else None,
        )
        for place, operation in enumerate(operations)
    ]


def ends(finals):
    """How each call ended: its result, the code of its error, or that it was returned."""
    found = []
    for node in sorted(finals):
        event = finals[node]
        if event.kind == "completed":
            found.append(decode(event.outputs["result"]))
        else:
            found.append(event.error.code if event.kind == "failed" else event.kind)
    return found


def in_order(events):
    """Whether no link begins or ends before the one that it follows has completed."""
    done = set()
    for event in events:
        place = int(event.call.node[1:])
        if event.kind in ("started", "completed") and place and place - 1 not in done:
            return False
        if event.kind == "completed":
            done.add(place)
    return True


@pytest.fixture
def line(house):
    """The extension `acme.line` in its worker, active and known."""
    return house.write("acme.line", SOURCE)


def test_a_chain_runs_in_one_message_and_tells_of_each_of_its_links(house, line, recorder):
    async def scenario():
        async with house.opened(line) as extensions:
            await extensions.operations()
            executor, events = LocalExecutor(extensions), recorder()
            executor.submit([*chain(*["add"] * 5), *chain("add", "add", node="m")], events)
            finals = await events.finals(7)
            assert ends(finals) == [1, 2, 1, 2, 3, 4, 5]
            assert {event.place for event in finals.values()} == {"acme.line#1"}
            assert len(events.of("started")) == 7
            assert in_order([event for event in events.events if event.call.node.startswith("n")])
            await extensions.deactivate("acme.line")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("first", "then", "may"),
    [
        ("add", "add", True),
        ("add", "boom", True),
        ("add", "once", False),
        ("once", "add", False),
        ("add", "later", False),
        ("later", "add", False),
        ("add", "nothing", False),
    ],
)
def test_plain_functions_of_one_extension_that_may_run_twice_chain(house, line, recorder, first, then, may):
    async def scenario():
        async with house.opened(line) as extensions:
            executor, events = LocalExecutor(extensions), recorder()
            assert not executor.chains("acme.line.add", "acme.line.add")  # nothing is known yet
            await extensions.operations()
            assert executor.chains(f"acme.line.{first}", f"acme.line.{then}") is may
            executor.submit(chain(first, then), events)
            finals = await events.finals(2)
            assert (finals["n1"].kind == "returned") is not may

    asyncio.run(scenario())


def test_a_worker_that_does_not_say_that_it_knows_chains_is_given_none(house, line):
    async def scenario():
        async with house.opened(line) as extensions:
            await extensions.operations()
            lane = extensions._lanes["acme.line"]
            old = tuple(msgspec.structs.replace(one, chains=False) for one in lane.contributions.operations)
            lane.contributions = msgspec.structs.replace(lane.contributions, operations=old)
            extensions._known = None
            assert not extensions.chains("acme.line.add", "acme.line.add")

    asyncio.run(scenario())


def test_links_that_cannot_follow_are_given_back_even_before_anything_is_known(house, line, recorder):
    async def scenario():
        async with house.opened(line) as extensions:
            events = recorder()
            late = chain("add", "add")[1]
            extensions.submit([late, *chain(*["add"] * 70, node="m")], events)  # the first follows nothing
            finals = await events.finals(71)
            kinds = [finals[f"m{place}"].kind for place in range(70)]
            assert finals["n1"].kind == "returned"
            assert kinds[0] == "completed"
            assert kinds[64:] == ["returned"] * 6
            large = msgspec.structs.replace(chain("add", "add")[1], inputs={"other": b"x" * 40_000})
            events = recorder()
            extensions.submit([chain("add")[0], large], events)
            assert ends(await events.finals(2)) == [1, "returned"]

    asyncio.run(scenario())


def test_what_follows_a_call_that_ends_badly_is_given_back(house, line, recorder):
    async def scenario():
        async with house.opened(line) as extensions:
            await extensions.operations()
            events = recorder()
            extensions.submit(chain("add", "boom", "add", "add"), events)
            assert ends(await events.finals(4)) == [1, "SYM-E014", "returned", "returned"]
            assert in_order(events.events)
            late = [msgspec.structs.replace(call, timeout=0.05) for call in chain("hold", "add", node="m")]
            events = recorder()
            extensions.submit(late, events)
            assert ends(await events.finals(2)) == ["SYM-T004", "returned"]
            assert (await extensions.health("acme.line")).calls == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("waiting", [False, True])
def test_a_link_in_the_middle_can_be_cancelled_while_the_ones_before_it_go_on(house, line, recorder, waiting):
    async def scenario():
        async with house.opened(line) as extensions:
            await (extensions.operations() if waiting else extensions.activate("acme.line"))
            events = recorder()
            extensions.submit(chain("hold", "add", "add", "add"), events)
            if not waiting:
                await events.until(lambda: bool(events.of("progressed")))
            extensions.cancel("run", "n2")
            await events.until(lambda: len(events.of("failed", "returned")) == 2)
            assert [(event.call.node, event.kind) for event in events.of("failed", "returned")] == [
                *(("n2", "failed"), ("n3", "returned"))
            ]
            await events.until(lambda: bool(events.of("progressed")))
            extensions.cancel("run")
            assert ends(await events.finals(4))[2:] == ["SYM-R003", "returned"]
            assert (await extensions.health("acme.line")).restarts == 0

    asyncio.run(scenario())


def test_a_worker_that_is_killed_in_the_middle_loses_one_link_and_the_others_are_as_never_sent(
    house, line, recorder
):
    async def scenario():
        async with house.opened(line) as extensions:
            await extensions.activate("acme.line")
            events = recorder()
            extensions.submit(chain("add", "stay", "add", "add"), events)
            await events.until(lambda: bool(events.of("completed")))
            os.kill((await extensions.health("acme.line")).pid, signal.SIGKILL)
            finals = await events.finals(4)
            assert ends(finals) == [1, "lost", "returned", "returned"]
            assert finals["n1"].retryable
            assert finals["n2"].error.code == finals["n1"].error.code == "SYM-T003"
            # Alone it is known which one it was.
            events = recorder()
            extensions.submit(chain("crash"), events)
            assert ends(await events.finals(1)) == ["SYM-T003"]
            assert (await extensions.health("acme.line")).calls == 0

    asyncio.run(scenario())


# -- in the host ---------------------------------------------------------------------------------------


@operator("acme.line.add", short=True)
def add(ctx: Context, number: int = 0) -> int:
    return number + 1


@operator("acme.line.thread")
def thread(ctx: Context, number: int = 0) -> int:
    return number + 1


@operator("acme.line.boom")
def boom(ctx: Context, number: int = 0) -> int:
    raise ValueError(number)


@operator("acme.line.hold")
def hold(ctx: Context, number: int = 0) -> int:
    ctx.progress(0.5, "holds")
    ctx._cancelled.wait()
    return number


@operator("acme.line.later")
async def later(ctx: Context, number: int = 0) -> int:
    return number + 1


@pytest.fixture
def near(tmp_path, monkeypatch):
    """The operations above in this process, where a chain goes on however busy the machine is."""
    monkeypatch.setattr("symphony_sdk.worker.calls.CHAIN_SECONDS", 60.0)
    monkeypatch.setattr("symphony_isolation.host_lane.SLICE", 60.0)

    def context(call):
        return Context(
            config={},
            files=Files(PermissionSet()),
            network=OwnNetwork(PermissionSet()),
            artifacts=FakeArtifactStore(),
            models=FakeModels({}, PermissionSet()),
            log=Log(lambda level, text: None),
            progress=call.on_progress,
            cancelled=call.cancelled,
        )

    def opened():
        operations = {one.spec.id: one for one in (add, thread, boom, hold, later)}
        specs = tuple(one.spec for one in operations.values())
        info = ExtensionInfo("acme.line", "1.0", "operator", "active", specs)
        lane = HostLane(info, Contributions(operations), context=context, log=lambda line: None)
        return IsolatedExtensions(
            [], cache_dir=tmp_path, artifacts=lambda: None, on_log=lambda *line: None, hosted=[lane]
        )

    return opened


@pytest.mark.parametrize("operation", ["add", "thread"])
def test_a_chain_runs_on_the_event_loop_or_on_a_thread(near, recorder, operation):
    async def scenario():
        extensions = near()
        await extensions.operations()
        assert extensions.chains(f"acme.line.{operation}", f"acme.line.{operation}")
        assert not extensions.chains("acme.line.add", "acme.line.thread")
        assert not extensions.chains("acme.line.later", "acme.line.later")
        events, calls = recorder(), chain(*[operation] * 64)
        extensions.submit(calls, events)
        finals = await events.finals(64)
        completed = [event for event in events.events if event.kind == "completed"]
        assert [decode(event.outputs["result"]) for event in completed] == list(range(1, len(completed) + 1))
        assert len(completed) > 1
        assert len(events.of("started")) == len(completed)
        assert {finals[call.node].kind for call in calls[len(completed) :]} <= {"returned"}
        assert (await extensions.health("acme.line")).calls == 0
        await extensions.stop()

    asyncio.run(scenario())


def test_in_the_host_too_what_follows_a_call_that_ends_badly_or_is_cancelled_is_given_back(near, recorder):
    async def scenario():
        extensions = near()
        await extensions.operations()
        events = recorder()
        extensions.submit(chain("thread", "boom", "thread"), events)
        assert ends(await events.finals(3)) == [1, "SYM-E014", "returned"]
        events = recorder()
        extensions.submit(chain("hold", "thread", "thread"), events)
        await events.until(lambda: bool(events.of("progressed")))
        extensions.cancel("run", "n1")
        extensions.cancel("run")
        assert ends(await events.finals(3)) == ["SYM-R003", "SYM-R003", "returned"]
        await extensions.stop()

    asyncio.run(scenario())

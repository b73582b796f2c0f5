"""A real host: parts that extensions provide, conductors of both kinds, the bridge and the bus."""

import asyncio
import sys
import threading
from contextlib import asynccontextmanager

import msgspec
import pytest
from symphony_core import SymphonyCore
from symphony_host.composition import Host
from symphony_host.configuration import load_settings
from symphony_sdk import Context, operator
from symphony_sdk.errors import (
    AccessFailed,
    ConfigurationError,
    ErrorPayload,
    ExtensionError,
    MalformedMessage,
    PortError,
    TransportError,
)
from symphony_sdk.events import RunHappened, event_name
from symphony_sdk.messages import Done
from symphony_sdk.ports import ArtifactInfo, Lineage, NodeCall
from symphony_sdk.testing.fakes import FakeExtensions
from symphony_sdk.values import decode, encode
from symphony_workflow import WorkflowBuilder

DEADLINE = 20


@operator("acme.ops.double")
def double(ctx: Context, number: int) -> int:
    """Twice a number."""
    return 2 * number


EXECUTORS = """
from symphony_sdk import Executor, hookimpl
from symphony_sdk.testing.fakes import FakeExecutor

@hookimpl
def symphony_executors():
    operations = {"acme.ops.double": lambda number: {"result": 2 * number}}
    for name in ("near", "far"):
        yield Executor(name, lambda services: FakeExecutor(operations))
"""

CONDUCTOR = """
import threading
from symphony_sdk import Conductor, hookimpl
from symphony_sdk.messages import Done
from symphony_sdk.ports import FailureAdvice, PlanAdvice

seen = {}

class Blocking:
    def __init__(self, services):
        self.services = services
        seen["made"] = threading.get_ident()

    def plan(self, workflow, executors):
        seen["thread"] = threading.get_ident()
        pit, bridge = self.services.pit, self.services.bridge
        seen["plan"] = pit.artifacts.put(b"the plan", name="plan.txt")   # directly
        seen["runs"] = bridge.call(pit.tracker.runs)                     # over the bridge
        seen["facade"] = bridge.facade(pit.tracker).runs(limit=1)
        bus = bridge.facade(self.services.bus, on_loop=True)
        bus.publish("conductor.planned", Done())
        seen["answer"] = bus.request("acme.oracle", Done(), Done, timeout=20)
        return PlanAdvice("far", reason=f"one of {', '.join(executors)}")

    def on_failure(self, call, error):
        return FailureAdvice("skip", reason=error.message)

class Async:
    def __init__(self, services):
        self.services = services

    async def plan(self, workflow, executors):
        seen["thread"] = threading.get_ident()
        seen["runs"] = await self.services.pit.tracker.runs()
        return PlanAdvice("far")

    async def on_failure(self, call, error):
        return FailureAdvice("retry", delay=1.0)

class Wrong:
    def __init__(self, services):
        pass

    def plan(self, workflow, executors):
        return "far"

    def on_failure(self, call, error):
        raise ValueError("no idea")

class Broken:
    def __init__(self, services):
        raise ValueError("not today")

@hookimpl
def symphony_conductors():
    yield Conductor("acme", {kind})
"""

TRANSPORTS = """
import threading
from symphony_sdk import Transport, hookimpl

made = []

def pigeon(services):
    made.append(threading.get_ident())
    return ("pigeon", services.transports["smoke"])

def broken(services):
    raise ValueError("no drum")

@hookimpl
def symphony_transports():
    yield Transport("pigeon", pigeon)
    yield Transport("smoke", lambda services: "smoke")
    yield Transport("drum", broken)
"""


OBSERVERS = """
from symphony_sdk import Observer, hookimpl

seen = []

class Spy:
    def __init__(self, services):
        self.pit = services.pit

    def see(self, event):
        seen.append(type(event).__name__)

    async def close(self):
        seen.append([status.state for status in await self.pit.tracker.runs()])

class Clumsy(Spy):
    def see(self, event):
        raise SystemExit("tired")

    async def close(self):
        raise ValueError("no end")

def broken(services):
    raise ValueError("no eyes")

@hookimpl
def symphony_observers():
    yield Observer("clumsy", Clumsy)
    yield Observer("broken", broken)
    yield Observer("idle", lambda services: None)
    yield Observer("spy", Spy)
"""


UPLINKS = """
from symphony_sdk import BusUplink, hookimpl

class Broker:
    def start(self, node):
        self.told = []

    def publish(self, envelope):
        self.told.append(envelope.to)

    async def subscribe(self, *key):
        self.told.append(key[0])

    async def unsubscribe(self, *key):
        pass

    async def close(self):
        self.told.append("closed")

brokers = []

async def broker(services):
    brokers.append(Broker())
    return brokers[-1]

@hookimpl
def symphony_bus_uplinks():
    yield BusUplink("broker", broker)
"""


@pytest.fixture
def opened(site):
    """Opens a host with extensions that run in it, from the source of their modules."""

    @asynccontextmanager
    async def opened(*overrides, **sources):
        for name, source in sources.items():
            root = site.add(name, more='runs = "host"\n', files={"plugin.py": source})
            (root / "__init__.py").write_text("")
        site.settle()
        trusted = ",".join(f"acme.{name}" for name in sources)
        async with Host.open(load_settings(overrides=[f"trusted={trusted}", *overrides])) as host:
            yield host

    return opened


CLUSTER = """
from symphony_sdk import Executor, hookimpl
from symphony_sdk.testing.fakes import FakeExecutor

def create(services):
    executor = FakeExecutor({})
    executor.address = services.config["address"]
    return executor

@hookimpl
def symphony_executors():
    yield Executor("cluster", create)
"""


async def answer(message):
    return message


def test_a_setting_of_an_executor_is_one_of_the_extension_that_brings_it(site):
    settings = 'runs = "host"\n[config.properties.address]\ntype = "string"\ndefault = "here"\n'
    root = site.add("cluster", more=settings, files={"plugin.py": CLUSTER})
    (root / "__init__.py").write_text("")
    site.settle()

    async def address(executor, setting="address"):
        async with Host.open(load_settings(overrides=["trusted=acme.cluster"])) as host:
            host.set_of_executor(executor, setting, "there")
            return host.executors["cluster"].address

    assert asyncio.run(address("cluster")) == "there"
    assert asyncio.run(address("no-such-executor")) == "here"
    with pytest.raises(ConfigurationError, match=r"the command line: adress"):
        asyncio.run(address("cluster", "adress"))


@asynccontextmanager
async def core_of(host):
    """The host's core, but for the workers: its operation is a function of this process."""
    core = SymphonyCore(
        pit=host.pit,
        extensions=FakeExtensions(double),
        executors=host.executors,
        conductor=host.conductor,
        observers=host.observers,
    )
    yield core
    await core.close()


async def run_to_end(core, **choice):
    """Run a workflow of one node; its state, its result and its events."""
    wf = WorkflowBuilder("double")
    node = wf.operator("double", uses="acme.ops.double", number=wf.input("number", int))
    wf.output("result", node.out.result)
    run = await core.start(wf.build(await FakeExtensions(double).operations()), {"number": 21}, **choice)
    events = [event async for event in core.events(run)]
    outcome = await core.outcome(run)
    return outcome.status.state, decode(outcome.outputs["result"], int), events


async def run_double(host, **choice):
    async with core_of(host) as core:
        return await run_to_end(core, **choice)


def seen_by(name):
    return sys.modules[f"acme_{name}.plugin"].seen


def test_a_blocking_conductor_runs_on_a_thread_and_uses_the_pit_directly_and_over_the_bridge(opened):
    async def main():
        async with opened(executors=EXECUTORS, conductor=CONDUCTOR.replace("{kind}", "Blocking")) as host:
            async with (
                await host.bus.subscribe("conductor.*") as told,
                await host.bus.register("acme.oracle", answer),
            ):
                assert (await run_double(host))[:2] == ("completed", 42)
                assert (await anext(told)).topic == "conductor.planned"
            assert len(host.executors["far"].calls) == 1
            assert "near" not in host.executors.made
            advice = await host.conductor.on_failure(
                NodeCall("r", "n", "acme.ops.double", {}), ErrorPayload("ACME-1", "broken")
            )
            assert (advice.action, advice.reason) == ("skip", "broken")
            seen = seen_by("conductor")
            assert seen["made"] == threading.get_ident() != seen["thread"]
            assert isinstance(host.artifacts.info(seen["plan"].id), ArtifactInfo)
            assert seen["runs"] == seen["facade"] == []
            assert seen["answer"] == Done()

    asyncio.run(main())


def test_an_async_conductor_runs_on_the_event_loop(opened):
    async def main():
        async with opened(executors=EXECUTORS, conductor=CONDUCTOR.replace("{kind}", "Async")) as host:
            assert (await run_double(host))[:2] == ("completed", 42)
            assert seen_by("conductor") == {"thread": threading.get_ident(), "runs": []}
            call = NodeCall("r", "n", "acme.ops.double", {})
            assert (await host.conductor.on_failure(call, ErrorPayload("A-1", ""))).action == "retry"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "code", "what"),
    [("Broken", "SYM-O003", "could not make the conductor: .* not today"), ("Wrong", "SYM-O004", "'far'")],
)
def test_a_conductor_that_is_no_good_keeps_no_run_from_its_end(opened, caplog, kind, code, what):
    async def main():
        async with opened(executors=EXECUTORS, conductor=CONDUCTOR.replace("{kind}", kind)) as host:
            with pytest.raises(PortError, match=what) as caught:
                await host.conductor.plan({}, ())
            assert caught.value.code == code
            assert "gave no advice" not in caplog.text
            assert (await run_double(host, executor="near"))[:2] == ("completed", 42)

    asyncio.run(main())


def test_what_a_blocking_conductor_raises_is_raised_as_it_is(opened):
    async def main():
        async with opened(conductor=CONDUCTOR.replace("{kind}", "Wrong")) as host:
            with pytest.raises(ValueError, match="no idea"):
                await host.conductor.on_failure(NodeCall("r", "n", "o", {}), ErrorPayload("A-1", ""))

    asyncio.run(main())


def test_observers_see_each_event_and_end_while_the_pit_is_there_and_harm_no_run(opened):
    async def main():
        async with opened(executors=EXECUTORS, spies=OBSERVERS) as host:
            assert seen_by("spies") == []
            state, _, events = await run_double(host, executor="near")
            assert state == "completed"
            assert seen_by("spies") == [type(event).__name__ for event in events]
        assert seen_by("spies")[-1] == ["completed"]
        told = [fault.message for fault in host.plugins.faults["acme.spies"]]
        assert len(told) == 3
        for text in ("could not make the observer 'broken'", "no eyes", "tired", "no end"):
            assert any(text in one for one in told), (text, told)

    asyncio.run(main())


def test_a_host_that_runs_nothing_makes_no_observer(opened):
    async def main():
        async with opened(spies=OBSERVERS) as host:
            await host.core.runs()
        assert seen_by("spies") == [] and host.plugins.faults == {}

    asyncio.run(main())


def test_without_one_conductor_nobody_advises(opened):
    async def main():
        async with opened() as host:
            assert host.conductor is None
        conductor = CONDUCTOR.replace("{kind}", "Async")
        async with opened(one=conductor, two=conductor.replace("acme", "other")) as host:
            assert host.conductor is None

    asyncio.run(main())


def test_transports_are_found_by_scheme_and_made_once_on_the_loop_whoever_reads_them_first(opened):
    async def main():
        async with opened(transports=TRANSPORTS) as host:
            assert {"drum", "pigeon", "smoke"} <= set(host.transports)
            assert len(host.transports) == len(set(host.transports))
            assert host.transports.made == {}
            pigeon = await host.bridge.in_thread(lambda: host.transports["pigeon"])
            assert pigeon == ("pigeon", "smoke")
            assert host.transports["pigeon"] is pigeon
            assert sys.modules["acme_transports.plugin"].made == [threading.get_ident()]
            assert "telegraph" not in host.transports
            with pytest.raises(KeyError):
                _ = host.transports["telegraph"]

    asyncio.run(main())


def test_a_transport_that_cannot_be_made_harms_no_other(opened):
    async def main():
        async with opened(transports=TRANSPORTS) as host:
            for read in (lambda: host.transports["drum"], None):
                with pytest.raises(
                    PortError, match=r"could not make the transport 'drum': .* no drum"
                ) as caught:
                    read() if read else await host.bridge.in_thread(lambda: host.transports["drum"])
                assert caught.value.code == "SYM-O003"
                assert "broken" in caught.value.traceback
            assert host.transports["smoke"] == "smoke"

    asyncio.run(main())


def test_components_of_the_pit_are_made_once_on_the_loop_though_many_threads_ask_first(opened):
    async def main():
        async with opened() as host:
            stores = await asyncio.gather(
                *(host.bridge.in_thread(lambda: host.pit.artifacts) for _ in range(32))
            )
            assert {id(store) for store in stores} == {id(host.pit.artifacts)}
            with pytest.raises(PortError, match="pool manager"):
                await host.bridge.in_thread(lambda: host.pit.pool)

    asyncio.run(main())


def test_the_end_of_the_host_lets_go_the_threads_that_wait_for_it(opened):
    async def main():
        begun = threading.Event()

        async def hang():
            begun.set()
            await asyncio.Event().wait()

        async with opened() as host:
            waiting = asyncio.create_task(host.bridge.in_thread(host.bridge.call, hang))
            await asyncio.to_thread(begun.wait, DEADLINE)
        with pytest.raises(TransportError) as caught:
            await waiting
        assert caught.value.code == "SYM-T061"

    asyncio.run(main())


def test_the_events_of_a_run_are_published_on_the_bus(opened):
    async def main():
        async with (
            opened(executors=EXECUTORS) as host,
            await host.bus.subscribe("run.>") as told,
            core_of(host) as core,
            asyncio.timeout(DEADLINE),
        ):
            _, _, events = await run_to_end(core, executor="near")
            deliveries = [await anext(told) for _ in events]
        assert [delivery.message for delivery in deliveries] == [RunHappened(event) for event in events]
        run = events[0].run
        assert [delivery.topic for delivery in deliveries] == [
            f"run.{run}.{event_name(event)}" for event in events
        ]
        assert deliveries[-1].topic == f"run.{run}.run-completed"
        sent = msgspec.msgpack.encode(deliveries[-1].message)
        assert msgspec.msgpack.decode(sent, type=RunHappened) == RunHappened(events[-1])

    asyncio.run(main())


def test_no_bus_is_made_for_runs_that_nobody_follows_and_it_is_made_once_whoever_asks(opened):
    async def main():
        async with opened(executors=EXECUTORS) as host:
            await run_double(host, executor="near")
            assert host._bus is None
            buses = await asyncio.gather(*(host.bridge.in_thread(lambda: host.bus) for _ in range(8)))
            assert set(buses) == {host.bus} == {host.services("symphony.dag-tracker").bus}

    asyncio.run(main())


def test_an_address_without_a_transport_says_which_there_are(opened):
    async def main():
        async with opened(transports=TRANSPORTS) as host:
            with pytest.raises(TransportError, match="no transport for the address 'morse:here'") as caught:
                await host.listen("morse:here")
            assert caught.value.code == "SYM-T064"
            assert "pigeon" in caught.value.hint
            with pytest.raises(AttributeError):  # `smoke` is a string, and leaves nothing behind
                await host.listen("smoke:here")
            assert list(host.settings.data_dir.glob("*.token")) == []

    asyncio.run(main())


def test_a_token_that_cannot_be_written_is_told(opened):
    async def main():
        async with opened(transports=TRANSPORTS) as host:
            host.settings.data_dir.parent.mkdir(exist_ok=True)
            blocked = host.settings.data_dir.parent / "file"
            blocked.write_text("")
            host.settings = host.settings._replace(data_dir=blocked / "data")
            with pytest.raises(PortError, match="token cannot be written") as caught:
                await host.listen("smoke:here")
            assert caught.value.code == "SYM-O002"

    asyncio.run(main())


def test_a_host_joins_the_bus_that_the_setting_names_and_leaves_it_at_its_end(opened):
    async def main():
        async with opened("bus_uplink=broker", broker=UPLINKS) as host:
            (broker,) = sys.modules["acme_broker.plugin"].brokers
            async with await host.bus.subscribe("run.>"):
                host.bus.publish("run.r1.run-paused", Done())
            assert broker.told == ["run.>", "run.r1.run-paused"]
        assert broker.told[-1] == "closed"

    asyncio.run(main())


def test_a_bus_that_no_extension_provides_is_told_with_those_that_there_are(opened):
    async def main():
        with pytest.raises(
            ConfigurationError, match="no usable extension provides the bus 'brocker'"
        ) as caught:
            async with opened("bus_uplink=brocker", broker=UPLINKS):
                pytest.fail("it opened")
        assert "Installed are: broker" in caught.value.hint

    asyncio.run(main())


HOSTED = """
import asyncio, threading, time
from symphony_sdk import Context, Instrument, hookimpl, operator
from symphony_sdk.contributions import ArtifactRef

here = threading.get_ident
release = threading.Event()

@operator("acme.{name}.awaits")
async def awaits(ctx: Context, text: str) -> dict[str, int]:
    await asyncio.sleep(0)
    return {{text: here()}}

@operator("acme.{name}.short", short=True)
def short(ctx: Context) -> int:
    return here()

@operator("acme.{name}.not-so-short", short=True)
def not_so_short(ctx: Context) -> int:
    until = time.perf_counter() + 0.003
    while time.perf_counter() < until:
        pass
    return here()

@operator("acme.{name}.awaits-too-late")
async def awaits_too_late(ctx: Context) -> int:
    until = time.perf_counter() + 0.003
    while time.perf_counter() < until:
        pass
    await asyncio.sleep(0)
    return here()

@operator("acme.{name}.blocks")
def blocks(ctx: Context) -> int:
    ctx.progress(0.5, "waiting")
    while not release.wait(0.001):
        ctx.check_cancelled()
    return here()

@operator("acme.{name}.waits")
async def waits(ctx: Context) -> None:
    ctx.progress(0.5, "waiting")
    await asyncio.Event().wait()

@operator("acme.{name}.fails")
def fails(ctx: Context) -> int:
    raise LookupError("no such thing")

@operator("acme.{name}.keeps")
def keeps(ctx: Context) -> ArtifactRef:
    return ctx.artifacts.put(b"kept " + ctx.config.get("text", "").encode(), name="kept")

@operator("acme.{name}.asks")
def asks(ctx: Context, how: str) -> None:
    getattr(ctx.models, how)("acme.near.model")

class Model(Instrument):
    id = "acme.{name}.model"
    def load(self, ctx: Context) -> None:
        self.thread = here()
    async def infer(self, ctx: Context) -> bool:
        return here() != self.thread
    def unload(self) -> None:
        raise RuntimeError("stays")

@hookimpl
def symphony_operators():
    return [awaits, short, not_so_short, awaits_too_late, blocks, waits, fails, keeps, asks]

@hookimpl
def symphony_instruments():
    yield Model()
"""


def test_the_operations_of_a_trusted_extension_run_in_the_host_on_its_loop_or_on_threads(opened):
    async def scenario():
        async with opened(near=HOSTED.format(name="near")) as host:

            async def value(operation, **inputs):
                encoded = {name: encode(each) for name, each in inputs.items()}
                result = await host.extensions.call(
                    NodeCall("run", "node", f"acme.near.{operation}", encoded)
                )
                return decode(bytes(result.outputs["result"]))

            loop = threading.get_ident()
            assert await value("awaits", text="a") == {"a": loop}
            assert await value("short") == loop
            for operation in ("not-so-short", "awaits-too-late"):
                assert await value(operation) == loop
                assert await value(operation) != loop
            assert await value("model") is True
            info = next(info for info in await host.extensions.extensions() if info.id == "acme.near")
            assert (info.state, len(info.operations), len(info.fingerprint)) == ("active", 10, 64)
            assert (await host.extensions.health("acme.near")).alive
            with pytest.raises(ExtensionError, match="LookupError: no such thing") as caught:
                await value("fails")
            assert (caught.value.code, caught.value.details["extension"]) == ("SYM-E014", "acme.near")
            with pytest.raises(MalformedMessage, match="do not fit its ports"):
                await value("awaits", text=7)
            for how in ("describe", "list", "run"):
                with pytest.raises(AccessFailed) as refused:
                    await value("asks", how=how)
                assert refused.value.code == "SYM-P046"
            ref = await value("keeps")
            lineage = host.artifacts.info(ref["id"]).lineage
            assert lineage == Lineage("run", "node", "acme.near", version="1.0")

    asyncio.run(scenario())


def test_calls_in_the_host_end_once_when_they_are_cancelled_or_late(opened):
    async def scenario():
        async with opened(near=HOSTED.format(name="near")) as host:
            executor, events = host.executors["local"], []
            begun, ended = asyncio.Event(), asyncio.Event()

            def on_event(event):
                events.append(event)
                kinds = [each.kind for each in events]
                if kinds.count("progressed") == 2:
                    begun.set()
                if kinds.count("failed") + kinds.count("completed") == 4:
                    ended.set()

            calls = [
                NodeCall("run", "blocks", "acme.near.blocks", {}),
                NodeCall("run", "waits", "acme.near.waits", {}),
                NodeCall("other", "late", "acme.near.waits", {}, timeout=0.01),
                NodeCall("other", "short", "acme.near.short", {}),
            ]
            async with asyncio.timeout(DEADLINE):
                executor.submit(calls, on_event)
                await begun.wait()
                executor.cancel("run", force=True)
                await ended.wait()
            return {
                event.call.node: (event.kind, event.place, event.error and event.error.code)
                for event in events
                if event.kind in ("completed", "failed")
            }

    assert asyncio.run(scenario()) == {
        "blocks": ("failed", "host", "SYM-R003"),
        "waits": ("failed", "host", "SYM-R003"),
        "late": ("failed", "host", "SYM-T004"),
        "short": ("completed", "host", None),
    }


def test_an_extension_in_the_host_whose_operations_are_broken_says_so_and_harms_no_other(opened):
    source = HOSTED.format(name="another")

    async def scenario():
        async with opened(near=HOSTED.format(name="near"), far=source) as host:
            assert "acme.near.short" in await host.extensions.operations()
            return host.problems

    problems = asyncio.run(scenario())
    assert [error.code for error in problems["acme.far"]] == ["SYM-E011"]
    assert "acme.near" not in problems


def test_the_threads_of_a_host_take_turns_quickly_and_no_longer_when_it_has_ended(opened):
    before = sys.getswitchinterval()

    async def scenario():
        async with opened():
            return sys.getswitchinterval()

    assert asyncio.run(scenario()) < 0.001
    assert sys.getswitchinterval() == before

"""The executor `local`: every call that was submitted gets exactly one final event."""

import asyncio
import os
import signal
from collections import Counter
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import symphony_isolation
from symphony_isolation import LocalExecutor
from symphony_isolation.plugin import symphony_executors
from symphony_sdk import manifest
from symphony_sdk.ports import NodeCall, Resources
from symphony_sdk.values import decode, encode


class Recorder:
    """Takes events, and waits for so many final ones."""

    def __init__(self, finals: int) -> None:
        self.events = []
        self.started = asyncio.Event()
        self._finals = finals
        self._done = asyncio.Event()

    def __call__(self, event) -> None:
        self.events.append(event)
        if event.kind == "progressed":
            self.started.set()
        if len(self.finals) >= self._finals:
            self._done.set()

    @property
    def finals(self):
        return [event for event in self.events if event.kind in ("completed", "failed", "lost")]

    async def wait(self):
        async with asyncio.timeout(60):
            await self._done.wait()
        return self.finals


def node_call(operation, node="node", run="run", **inputs):
    return NodeCall(run, node, operation, {name: encode(value) for name, value in inputs.items()})


def test_a_batch_of_calls_is_run_in_the_worker(house):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            executor = LocalExecutor(extensions)
            await executor.start()
            recorder = Recorder(100)
            executor.submit([node_call("acme.zoo.echo", str(n), text=str(n)) for n in range(100)], recorder)
            finals = await recorder.wait()
            assert {event.call.node: decode(event.outputs["result"]) for event in finals} == {
                str(n): str(n) for n in range(100)
            }
            assert Counter(event.kind for event in recorder.events) == {"started": 100, "completed": 100}
            await executor.stop()

    asyncio.run(scenario())


def test_progress_is_reported_between_start_and_end(house):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            executor = LocalExecutor(extensions)
            recorder = Recorder(1)
            executor.submit([node_call("acme.zoo.say", text="bear")], recorder)
            await recorder.wait()
            assert [(event.kind, event.fraction, event.text) for event in recorder.events] == [
                ("started", 0.0, ""),
                ("progressed", 0.5, "bear half-way"),
                ("completed", 0.0, ""),
            ]

    asyncio.run(scenario())


def test_what_may_go_better_is_worth_another_attempt_where_nothing_is_done_twice(house):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            executor = LocalExecutor(extensions)
            crashed, killed, failed, late, wrong = (Recorder(1) for _ in range(5))
            executor.submit([node_call("acme.zoo.crash", how="os._exit")], crashed)
            await crashed.wait()
            executor.submit([node_call("acme.zoo.wait")], killed)
            await killed.started.wait()
            os.kill((await extensions.health("acme.zoo")).pid, signal.SIGKILL)
            await killed.wait()
            executor.submit([node_call("acme.zoo.fail")], failed)
            await failed.wait()
            executor.submit([msgspec.structs.replace(node_call("acme.zoo.wait"), timeout=0.05)], late)
            await late.wait()
            executor.submit([node_call("acme.zoo.echo", text=7)], wrong)
            await wrong.wait()
            return [recorder.finals[0] for recorder in (crashed, killed, failed, late, wrong)]

    events = asyncio.run(scenario())
    assert [(event.error.code, event.retryable) for event in events] == [
        ("SYM-T003", False),
        ("SYM-T003", True),
        ("SYM-E014", True),
        ("SYM-T004", True),
        ("SYM-T002", False),
    ]


def test_cancel_ends_what_runs_and_what_waits_of_that_run_alone(house, monkeypatch):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            executor = LocalExecutor(extensions, cores=1)
            waiting, other = Recorder(6), Recorder(1)
            executor.submit([node_call("acme.zoo.wait", f"n{n}", run="one") for n in range(6)], waiting)
            executor.submit([node_call("acme.zoo.echo", run="two", text="bear")], other)
            await waiting.started.wait()
            executor.cancel("one", "n5")
            executor.cancel("one", "n4", item=7)
            executor.cancel("one")
            assert {event.error.code for event in await waiting.wait()} == {"SYM-R003"}
            assert (await other.wait())[0].kind == "completed"
            await executor.stop()

    asyncio.run(scenario())


class Paper:
    """Extensions of paper: remember what they are asked."""

    def __init__(self) -> None:
        self.submitted = []
        self.cancelled = []

    def submit(self, batch, on_event):
        self.submitted += batch

    def cancel(self, run, node="", *, item=-1, force=False):
        self.cancelled.append((run, node, item, force))


def test_the_executor_cancels_what_it_is_told_and_at_its_end_all_that_it_was_given():
    async def scenario():
        paper = Paper()
        executor = LocalExecutor(paper)
        calls = [node_call("a.a.go", run=run) for run in ("one", "two")]
        executor.submit(calls, Recorder(2))
        executor.cancel("one", "node", item=3, force=True)
        assert paper.submitted == calls
        assert paper.cancelled == [("one", "node", 3, True)]
        await executor.stop()
        assert sorted(paper.cancelled[1:]) == [("one", "", -1, False), ("two", "", -1, False)]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("resources", "fits"),
    [
        (Resources(), True),
        (Resources(cpu=1.0, memory=1 << 20), True),
        (Resources(cpu=4096.0), False),
        (Resources(memory=1 << 60), False),
        (Resources(gpu=1000.0), False),
        (Resources(custom={"licence": 2}), True),
        (Resources(custom={"licence": 3}), False),
        (Resources(custom={"seat": 1}), False),
    ],
)
def test_what_can_never_fit_this_machine_is_refused(resources, fits):
    assert LocalExecutor(Paper(), custom={"licence": 2}).can_place(resources) is fits


def test_the_settings_say_what_else_the_machine_has():
    services = SimpleNamespace(extensions=Paper(), config={"resources": ["licence=2", "seat=0.5"]})
    (provided,) = symphony_executors()
    assert provided.create(services).capacity.custom == {"licence": 2.0, "seat": 0.5}


def test_an_operation_that_is_not_there_fails_its_call(house):
    async def scenario():
        async with house.opened(house.zoo()) as extensions:
            recorder = Recorder(1)
            LocalExecutor(extensions).submit([node_call("acme.zoo.nothing")], recorder)
            return (await recorder.wait())[0]

    event = asyncio.run(scenario())
    assert (event.kind, event.error.code, event.retryable) == ("failed", "SYM-E013", False)


def test_the_plugin_provides_the_executor_for_the_extensions_of_the_host():
    class HostServices:
        extensions = Paper()
        config = {}

    package = Path(symphony_isolation.__file__).parent
    assert manifest.load(package / "symphony.toml").extension.id == "symphony.isolation"
    assert "isolation" in entry_points(group="symphony.extensions").names
    (provider,) = symphony_executors()
    executor = provider.create(HostServices())
    assert (provider.name, executor.name) == ("local", "local")
    assert isinstance(executor, LocalExecutor)

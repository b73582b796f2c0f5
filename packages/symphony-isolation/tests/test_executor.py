"""The executor `local`: every call that was submitted gets exactly one final event."""

import asyncio
import os
import signal
from collections import Counter
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest
import symphony_isolation
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_isolation import LocalExecutor
from symphony_isolation.plugin import symphony_executors
from symphony_sdk import manifest
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import PeerGone
from symphony_sdk.messages import OperationResult
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
        return [event for event in self.events if event.kind in ("completed", "failed")]

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
            executor.cancel("one", force=True)
            assert {event.error.code for event in await waiting.wait()} == {"SYM-R003"}
            assert (await other.wait())[0].kind == "completed"
            await executor.stop()

    asyncio.run(scenario())


class Paper:
    """Extensions of paper: calls end when and how the test says."""

    def __init__(self) -> None:
        self.futures = {}
        self.most = Counter()
        self.running = Counter()

    async def operations(self):
        return {"a.a.go": OperationSpec("a.a.go", "operator", idempotent=True)}

    async def call(self, call, on_progress=None):
        owner = call.operation.rpartition(".")[0]
        self.running[owner] += 1
        self.most[owner] = max(self.most[owner], self.running[owner])
        future = self.futures[call.node] = asyncio.get_running_loop().create_future()
        try:
            return await future
        finally:
            self.running[owner] -= 1
            del self.futures[call.node]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_whatever_happens_each_call_gets_one_final_event(data):
    async def scenario():
        paper = Paper()
        executor = LocalExecutor(paper, cores=1)
        recorder = Recorder(10**9)
        submitted = []
        try:
            for step in range(data.draw(st.integers(1, 25))):
                action = data.draw(
                    st.sampled_from(["submit", "submit", "end", "fail", "break", "cancel", "turn"])
                )
                if action == "submit":
                    batch = [
                        node_call(f"{data.draw(st.sampled_from('abc'))}.a.go", f"{step}-{n}", run=str(n % 2))
                        for n in range(data.draw(st.integers(1, 6)))
                    ]
                    submitted += batch
                    executor.submit(batch, recorder)
                elif action == "cancel":
                    executor.cancel(data.draw(st.sampled_from("01")))
                elif action == "turn":
                    await asyncio.sleep(0)
                else:
                    future = next((one for one in paper.futures.values() if not one.done()), None)
                    if future is None:
                        continue
                    match action:
                        case "end":
                            future.set_result(OperationResult())
                        case "fail":
                            future.set_exception(PeerGone("gone"))
                        case "break":
                            future.set_exception(RuntimeError("a defect"))
        finally:
            await executor.stop()
        for _ in range(5):
            await asyncio.sleep(0)
        assert sorted(event.call.node for event in recorder.finals) == sorted(c.node for c in submitted)
        assert all(most <= executor.slots // 2 for most in paper.most.values())
        assert not paper.futures

    asyncio.run(scenario())


def test_an_extension_with_a_long_queue_leaves_slots_to_another():
    async def scenario():
        paper = Paper()
        executor = LocalExecutor(paper, cores=1)
        recorder = Recorder(1)
        executor.submit([node_call("a.a.go", f"a{n}") for n in range(100)], recorder)
        executor.submit([node_call("b.a.go", "b0")], recorder)
        await asyncio.sleep(0)
        assert "b0" in paper.futures
        assert len(paper.futures) == executor.slots // 2 + 1
        await executor.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("resources", "fits"),
    [
        (Resources(), True),
        (Resources(cpu=1.0, memory=1 << 20), True),
        (Resources(cpu=4096.0), False),
        (Resources(memory=1 << 60), False),
        (Resources(gpu=1000.0), False),
    ],
)
def test_what_can_never_fit_this_machine_is_refused(resources, fits):
    assert LocalExecutor(Paper()).can_place(resources) is fits


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

    package = Path(symphony_isolation.__file__).parent
    assert manifest.load(package / "symphony.toml").extension.id == "symphony.isolation"
    assert "isolation" in entry_points(group="symphony.extensions").names
    (provider,) = symphony_executors()
    executor = provider.create(HostServices())
    assert (provider.name, executor.name) == ("local", "local")
    assert isinstance(executor, LocalExecutor)

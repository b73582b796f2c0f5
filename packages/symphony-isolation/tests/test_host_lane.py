"""Operations of an extension that runs in the host: on its event loop, or on threads, and each answered once."""

import asyncio
import gc
import threading
import time
from contextlib import asynccontextmanager

import pytest
from symphony_isolation import HostLane, IsolatedExtensions
from symphony_sdk import Context, Instrument, operator
from symphony_sdk.errors import DeadlineExceeded, ExtensionError
from symphony_sdk.extension import Files, Log, OwnNetwork
from symphony_sdk.loading import Contributions
from symphony_sdk.permissions import PermissionSet
from symphony_sdk.ports import ExtensionInfo
from symphony_sdk.testing import FakeModels
from symphony_sdk.testing.fakes import FakeArtifactStore


def busy(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


@operator("acme.near.short", short=True)
def short(ctx: Context, text: str) -> str:
    return f"{text} on {threading.current_thread().name}"


@operator("acme.near.long", short=True)
def long(ctx: Context) -> str:
    busy(0.003)
    return threading.current_thread().name


@operator("acme.near.awaits")
async def awaits(ctx: Context, times: int) -> int:
    for _ in range(times):
        await asyncio.sleep(0)
    ctx.progress(0.5, "awaited")
    return times


@operator("acme.near.catches")
async def catches(ctx: Context) -> str:
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.001)
    except TimeoutError:
        return "in time"
    return "never"


@operator("acme.near.hogs")
async def hogs(ctx: Context) -> bool:
    busy(0.003)
    await asyncio.sleep(0)
    return threading.current_thread() is threading.main_thread()


@operator("acme.near.blocks")
def blocks(ctx: Context, seconds: float = 60.0) -> None:
    ctx.progress(0.1, "blocked")
    ctx._cancelled.wait(seconds)


TO_DO = []


@operator("acme.near.does", short=True)
def does(ctx: Context) -> None:
    TO_DO.pop()()


@operator("acme.near.fails")
def fails(ctx: Context) -> None:
    raise LookupError("nothing there")


class Model(Instrument):
    id = "acme.near.model"

    def load(self, ctx: Context) -> None:
        self.loaded_on = threading.current_thread()

    def infer(self, ctx: Context) -> bool:
        return self.loaded_on is not threading.main_thread()

    def unload(self) -> None:
        raise RuntimeError("stays")


OPERATIONS = (short, long, awaits, catches, hogs, blocks, does, fails, Model())


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


@pytest.fixture
def near(tmp_path):
    """The extension `acme.near` in this process, and what it logged."""

    @asynccontextmanager
    async def opened():
        log = []
        info = ExtensionInfo(
            "acme.near", "1.0", "operator", "active", tuple(operation.spec for operation in OPERATIONS)
        )
        lane = HostLane(
            info,
            Contributions({operation.spec.id: operation for operation in OPERATIONS}),
            context=context,
            log=log.append,
        )
        extensions = IsolatedExtensions(
            [], cache_dir=tmp_path, artifacts=lambda: None, on_log=lambda *line: None, hosted=[lane]
        )
        try:
            yield extensions, log
        finally:
            await extensions.stop()

    return opened


def test_what_is_short_or_awaits_runs_on_the_event_loop_and_the_rest_on_threads(near, call):
    async def scenario():
        async with near() as (extensions, log):
            assert await call(extensions, "acme.near.short", text="a") == "a on MainThread"
            assert await call(extensions, "acme.near.awaits", times=3) == 3
            assert await call(extensions, "acme.near.catches") == "in time"
            assert await call(extensions, "acme.near.model") is True
            assert await call(extensions, "acme.near.blocks", seconds=0.0) is None
        return log

    assert asyncio.run(scenario()) == ["acme.near.model did not unload: RuntimeError('stays')"]


def test_what_keeps_the_event_loop_longer_than_a_slice_goes_to_a_thread_from_then_on(near, call):
    async def scenario():
        async with near() as (extensions, _):
            assert await call(extensions, "acme.near.long") == "MainThread"
            assert await call(extensions, "acme.near.long") != "MainThread"
            assert await call(extensions, "acme.near.hogs") is True
            assert await call(extensions, "acme.near.hogs") is False

    asyncio.run(scenario())


def test_many_calls_each_end_once_wherever_they_run(near, recorder, node_call):
    async def scenario():
        async with near() as (extensions, _):
            await extensions.operations()
            events = recorder()
            calls = []
            for number in range(40):
                calls += [
                    node_call("acme.near.short", f"short-{number}", text="a"),
                    node_call("acme.near.long", f"long-{number}"),
                    node_call("acme.near.awaits", f"awaits-{number}", times=number % 3),
                    node_call("acme.near.blocks", f"blocks-{number}", seconds=0.001),
                    node_call("acme.near.fails", f"fails-{number}"),
                ]
            extensions.submit(calls, events)
            finals = await events.finals(200)
            failed = {node for node, event in finals.items() if event.kind == "failed"}
            assert failed == {f"fails-{number}" for number in range(40)}
            assert {event.place for event in finals.values()} == {"host"}
            assert len(events.of("started")) == 200
            assert (await extensions.health("acme.near")).calls == 0

    asyncio.run(scenario())


def test_a_call_that_is_cancelled_or_late_ends_at_once_and_its_code_is_told(near, call, under_way):
    async def scenario():
        async with near() as (extensions, _):
            task = await under_way(extensions, "acme.near.blocks")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(DeadlineExceeded, match=r"within 0\.01 s"):
                await call(extensions, "acme.near.blocks", timeout=0.01)
            with pytest.raises(ExtensionError, match="LookupError: nothing there") as caught:
                await call(extensions, "acme.near.fails")
            assert caught.value.details["extension"] == "acme.near"

    asyncio.run(scenario())


def test_what_waits_for_the_event_loop_can_be_cancelled(near, recorder, node_call):
    async def scenario():
        async with near() as (extensions, _):
            await extensions.operations()
            events = recorder()
            extensions.submit([node_call("acme.near.short", f"n{n}", text="a") for n in range(5)], events)
            extensions.cancel("run", "n3")
            finals = await events.finals(5)
            assert [node for node, event in finals.items() if event.kind == "failed"] == ["n3"]

    asyncio.run(scenario())


def test_a_coroutine_that_is_cancelled_before_its_first_step_leaves_nothing(
    near, recorder, node_call, monkeypatch
):
    monkeypatch.setattr("symphony_isolation.host_lane.SLICE", 60.0)

    async def scenario():
        async with near() as (extensions, _):
            await extensions.operations()
            events = recorder()
            TO_DO.append(lambda: extensions.cancel("run", "waits"))
            extensions.submit(
                [node_call("acme.near.awaits", "waits", times=1), node_call("acme.near.does", "does")], events
            )
            finals = await events.finals(2)
            assert (finals["waits"].error.code, finals["does"].kind) == ("SYM-R003", "completed")

    asyncio.run(scenario())
    gc.collect()  # a coroutine that was never awaited would be told here

"""What the host makes of a request for a model, without any worker."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_ipc.envelope import TRACEPARENT
from symphony_isolation.broker.models import ModelAccess
from symphony_isolation.call import Call
from symphony_isolation.waiting_calls import WaitingCalls
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import AccessFailed, Cancelled, ModelFailed, PermissionDenied, SymphonyError
from symphony_sdk.messages import OperationResult, Progress
from symphony_sdk.model_messages import LEVELS, ListModels, RunModel
from symphony_sdk.permissions import PermissionSet
from symphony_sdk.ports import NodeCall
from symphony_sdk.values import encode

NAME = "acme.vision.caption"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Provider:
    """Has one model, which does what the test says."""

    def __init__(self, work=None):
        self.work = work
        self.asked = []

    async def operations(self):
        return {NAME: OperationSpec(NAME, "instrument"), "acme.vision.other": OperationSpec("o", "operator")}

    async def call(self, call, on_progress=None, *, callers=()):
        self.asked.append((call, callers, TRACEPARENT.get()))
        if self.work is not None:
            await self.work(on_progress)
        return OperationResult({"result": msgspec.Raw(encode("a cat"))})


async def allow(access):
    """Everything."""


def access_to(provider, check=allow, *permissions):
    return ModelAccess("acme.album", PermissionSet.parse(permissions or ("model:read:**",)), check, provider)


def call_of(events, callers=()):
    call = Call(NodeCall("r", "n", "acme.album.ask", {}, attempt=2, item=7), events.append, callers)
    call.operation = OperationSpec("acme.album.ask", "operator")
    return call


def test_a_model_has_the_node_the_time_and_the_trace_of_the_call_that_runs_it():
    async def scenario():
        provider, events = Provider(), []
        loop = asyncio.get_running_loop()
        call = call_of(events, ("acme.first",))
        call.traceparent = TRACE
        call.timer = loop.call_later(5.0, print)
        ran = await access_to(provider).run(RunModel(NAME, {"picture": msgspec.Raw(encode(1))}, 1), call)
        call.timer.cancel()
        call.timer = None
        await access_to(provider).run(RunModel(NAME), call)
        return ran, provider.asked

    ran, [(request, callers, trace), (unbound, *_)] = asyncio.run(scenario())
    assert bytes(ran.outputs["result"]) == encode("a cat")
    assert (request.run, request.node, request.operation) == ("r", "n", NAME)
    assert (request.attempt, request.item, request.inputs) == (2, 7, {"picture": encode(1)})
    assert 0.0 < request.timeout <= 5.0
    assert (callers, trace) == (("acme.first", "acme.album"), TRACE)
    assert unbound.timeout is None


def test_a_model_whose_call_has_ended_is_no_failure_of_the_model():
    async def scenario():
        events = []
        call = call_of(events)

        async def late(on_progress):
            call.ended = True
            raise SymphonyError("the worker is gone", code="SYM-T003")

        with pytest.raises(Cancelled):
            await access_to(Provider(late)).run(RunModel(NAME), call)

        async def fails(on_progress):
            raise SymphonyError("the worker is gone", code="SYM-T003")

        with pytest.raises(ModelFailed) as caught:
            await access_to(Provider(fails)).run(RunModel(NAME), call_of(events))
        assert caught.value.details["code"] == "SYM-T003"

    asyncio.run(scenario())


def test_a_call_that_has_not_begun_or_has_ended_runs_no_model():
    async def scenario():
        provider = Provider()
        link, ended = call_of([]), call_of([])
        link.due, ended.ended = False, True
        for call in (None, link, ended):
            with pytest.raises(AccessFailed) as caught:
                await access_to(provider).run(RunModel(NAME, {}, 5), call)
            assert caught.value.code == "SYM-P044"
        assert provider.asked == []

    asyncio.run(scenario())


def test_whatever_ends_a_call_ends_its_models_and_tells_of_none_that_ended_before():
    async def scenario(end):
        events, begun = [], asyncio.Event()
        call = call_of(events)

        async def waits(on_progress):
            call.progress(Progress(0.5), 1.0)
            on_progress(Progress(0.1, "drawing"))
            begun.set()
            await asyncio.Event().wait()

        access, provider = access_to(Provider()), Provider(waits)
        await access.run(RunModel(NAME), call)
        running = asyncio.create_task(access_to(provider).run(RunModel(NAME), call))
        await begun.wait()
        end(call)
        with pytest.raises(asyncio.CancelledError):
            await running
        told = [(event.fraction, event.text) for event in events if event.kind == "progressed"]
        assert told[:2] == [(0.5, ""), (0.5, "drawing")]

    error = SymphonyError("no").payload()
    for end in (
        lambda call: call.cancel(),
        lambda call: call.fail(error),
        lambda call: call.lose(error, "place"),
        lambda call: call.complete(OperationResult(), "place"),
    ):
        asyncio.run(scenario(end))


@pytest.mark.parametrize(
    ("code", "listed"), [("SYM-P003", ()), ("SYM-P005", ()), ("SYM-P008", None), ("SYM-P040", None)]
)
def test_what_may_not_be_read_is_left_out_and_what_cannot_be_decided_is_said(code, listed):
    async def refuse(access):
        raise PermissionDenied("no", code=code)

    async def scenario():
        return await access_to(Provider(), refuse).list(ListModels())

    if listed is None:
        with pytest.raises(PermissionDenied):
            asyncio.run(scenario())
    else:
        assert asyncio.run(scenario()).names == listed


def test_without_extensions_there_are_no_models():
    assert asyncio.run(access_to(None).list(ListModels())).names == ()


@given(st.lists(st.tuples(st.integers(0, LEVELS - 1), st.booleans())))
def test_calls_wait_in_their_order_within_a_level_and_those_others_wait_for_come_first(added):
    waiting, calls = WaitingCalls(), []
    for level, ended in added:
        call = call_of([], ("acme.other",) * level)
        waiting.add([call])
        calls.append(call)
        call.ended = ended
    assert len(waiting) == len(added)
    assert bool(waiting) == bool(added)
    waiting.drop_ended()
    left = sorted((call for call in calls if not call.ended), key=lambda call: -call.level)
    assert list(waiting) == left
    if left:
        assert waiting.first() is left[0]
    assert waiting.clear() == left
    assert not waiting
    assert list(waiting) == []

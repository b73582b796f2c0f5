"""Models of other extensions: what a call may ask, what it gets, and what stands in for them in tests."""

import asyncio
import threading
from typing import Annotated, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_sdk import ArtifactRef, Context, ModelInfo, operator
from symphony_sdk.errors import (
    AccessFailed,
    Cancelled,
    ExtensionError,
    MalformedMessage,
    ManifestError,
    ModelFailed,
    PermissionDenied,
    error_from_payload,
)
from symphony_sdk.extension import ModelOutputs
from symphony_sdk.extension.models import model_failed
from symphony_sdk.messages import CallOperation
from symphony_sdk.model_messages import LEVELS, RUNS_AT_ONCE, ModelRan
from symphony_sdk.testing import recording_context
from symphony_sdk.values import encode
from symphony_sdk.worker import HostModels, RunningCall
from symphony_sdk.worker.host_models import Turns


class Caption(msgspec.Struct, frozen=True):
    text: str
    picture: ArtifactRef


class Pair(TypedDict):
    left: int
    right: Annotated[str, msgspec.Meta(description="The other one")]


def caption(picture: ArtifactRef, words: int = 3) -> Caption:
    return Caption("a cat " * words, picture)


def split(text: str) -> Pair:
    return {"left": len(text), "right": text}


def broken(text: str) -> str:
    raise LookupError(f"no weights for {text}")


MODELS = {"acme.vision.caption": caption, "acme.words.split": split, "acme.words.broken": broken}
PICTURE = ArtifactRef("f00", 3, name="cat.png")


@operator("acme.album.describe")
def describe(ctx: Context, picture: ArtifactRef) -> str:
    return ctx.models.run("acme.vision.caption", picture=picture).read("result", Caption).text


def test_an_operator_is_tested_with_functions_in_the_place_of_models():
    ctx = recording_context(models={"acme.vision.caption": caption})
    assert describe(ctx, PICTURE) == "a cat a cat a cat "
    assert ctx.models.ran == [("acme.vision.caption", {"picture": PICTURE, "words": 3})]


def test_a_fake_checks_permissions_as_the_host_does():
    ctx = recording_context(
        permissions=["model:execute:acme.vision.*", "model:read:acme.words.*"], models=MODELS
    )
    assert ctx.models.list() == ("acme.words.broken", "acme.words.split")
    assert ctx.models.list("acme.words.s*") == ("acme.words.split",)
    for refused in (
        lambda: ctx.models.run("acme.words.split", text="x"),
        lambda: ctx.models.describe("acme.vision.caption"),
        lambda: ctx.models.run("acme.words.unknown"),
    ):
        with pytest.raises(PermissionDenied) as caught:
            refused()
        assert caught.value.code == "SYM-P001"
    with pytest.raises(AccessFailed) as unknown:
        ctx.models.run("acme.vision.unknown")
    assert unknown.value.code == "SYM-P042"
    with pytest.raises(ManifestError):
        ctx.models.list("a//b")
    with pytest.raises(ExtensionError, match="no name"):
        recording_context(models={"no name": caption})


def test_a_fake_is_described_by_its_annotations_and_held_to_them():
    ctx = recording_context(models=MODELS)
    info = ctx.models.describe("acme.words.split")
    assert (info.name, info.extension) == ("acme.words.split", "acme.words")
    assert [port.name for port in info.inputs] == ["text"]
    assert [port.name for port in info.outputs] == ["left", "right"]
    assert dict(ctx.models.run("acme.words.split", text="ab")) == {"left": 2, "right": "ab"}
    for wrong in ({}, {"text": 1}, {"text": "x", "more": 1}):
        with pytest.raises(ModelFailed) as caught:
            ctx.models.run("acme.words.split", **wrong)
        assert caught.value.details["code"] == "SYM-T002"
    with pytest.raises(
        ModelFailed, match=r"'acme.words.broken' of 'acme.words' failed.*no weights for x"
    ) as failed:
        ctx.models.run("acme.words.broken", text="x")
    assert failed.value.details["code"] == "SYM-E014"
    assert ctx.models.ran[-1] == ("acme.words.broken", {"text": "x"})


def test_outputs_are_plain_values_with_artifacts_or_what_they_are_read_as():
    given = Caption("a cat", PICTURE)
    outputs = ModelOutputs(
        "acme.vision.caption", {"result": encode(given), "all": encode([{"one": PICTURE}])}
    )
    assert outputs["result"] == {"text": "a cat", "picture": PICTURE}
    assert outputs["all"] == [{"one": PICTURE}]
    assert outputs.read("result", Caption) == given
    assert (list(outputs), len(outputs)) == (["result", "all"], 2)
    assert repr(outputs) == "<what 'acme.vision.caption' gave: result, all>"
    with pytest.raises(KeyError, match="it gave result, all"):
        outputs["text"]
    assert outputs.get("text") is None
    with pytest.raises(MalformedMessage):
        outputs.read("result", list[int])
    with pytest.raises(MalformedMessage, match="without a type"):
        ModelOutputs("m", {"result": encode("x" * (2 << 20))})["result"]
    false = {"$type": "artifact", "id": 5}
    assert ModelOutputs("m", {"result": encode(false)})["result"] == false


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_plain_values_come_back_as_they_were(value):
    assert ModelOutputs("m", {"result": encode(value)})["result"] == value


def test_the_failure_of_a_model_crosses_processes_as_what_it_is():
    cause = AccessFailed("a ring", code="SYM-P043", hint="do without", details={"callers": ["a.b"]})
    error = model_failed(ModelInfo("acme.vision.caption", "acme.vision"), cause)
    back = error_from_payload(error.payload())
    assert isinstance(back, ModelFailed)
    assert isinstance(back, ExtensionError)
    assert back.details["code"] == "SYM-P043"
    assert back.details["cause"] == {"callers": ["a.b"]}
    assert isinstance(error_from_payload(cause.payload()), AccessFailed)


class Host:
    """A channel whose host answers each run when it is let."""

    def __init__(self):
        self.asked = []
        self.let = threading.Semaphore(0)
        self.news = threading.Condition()

    def request(self, message, response, timeout=None):
        with self.news:
            self.asked.append(message)
            self.news.notify_all()
        assert response is ModelRan
        assert self.let.acquire(timeout=30)
        return ModelRan({"result": msgspec.Raw(encode("done"))})

    def until(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.asked) >= count, 30)


def running(number=1, depth=0):
    return RunningCall(CallOperation("acme.a.b", depth=depth), print, print, number)


def test_a_hook_runs_no_model_and_neither_does_a_coroutine():
    host = Host()
    with pytest.raises(AccessFailed) as caught:
        HostModels(host, Turns(), running(number=0)).run("acme.vision.caption")
    assert caught.value.code == "SYM-P044"

    async def coroutine():
        HostModels(host, Turns(), running()).run("acme.vision.caption")

    with pytest.raises(AccessFailed) as caught:
        asyncio.run(coroutine())
    assert caught.value.code == "SYM-P045"
    assert host.asked == []

    async def in_a_thread():
        host.let.release()
        return await asyncio.to_thread(HostModels(host, Turns(), running()).run, "acme.vision.caption")

    assert asyncio.run(in_a_thread())["result"] == "done"


def test_an_input_that_has_no_encoding_is_refused_before_anything_is_asked():
    host = Host()
    with pytest.raises(TypeError, match="has no encoding"):
        HostModels(host, Turns(), running()).run("acme.vision.caption", picture=object())
    assert host.asked == []


def test_each_level_has_its_turns_and_a_cancelled_call_waits_for_none():
    host, turns, given = Host(), Turns(), []

    def begin(call):
        def work():
            try:
                given.append(HostModels(host, turns, call).run("acme.vision.caption")["result"])
            except Cancelled as error:
                given.append(error.code)

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    first = [begin(running(number)) for number in range(1, RUNS_AT_ONCE + 1)]
    host.until(RUNS_AT_ONCE)
    late = running(99)
    waits = begin(late)
    second = [
        begin(running(number, depth)) for number, depth in ((100, 1), (101, LEVELS - 1), (102, LEVELS + 9))
    ]
    host.until(RUNS_AT_ONCE + 3)
    late.cancel()
    waits.join(30)
    assert given == ["SYM-R003"]
    host.let.release(RUNS_AT_ONCE + 3)
    for thread in (*first, *second):
        thread.join(30)
    assert given[1:] == ["done"] * (RUNS_AT_ONCE + 3)
    assert 99 not in {message.call for message in host.asked}

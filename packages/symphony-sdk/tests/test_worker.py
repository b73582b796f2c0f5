import queue
import threading

import msgspec
import pytest
from symphony_sdk.errors import Cancelled, SymphonyError
from symphony_sdk.messages import (
    ArtifactData,
    ArtifactStored,
    CallOperation,
    Done,
    ExtensionLoaded,
    GetArtifact,
    LifecycleStep,
    LoadExtension,
    LogLine,
    OperationResult,
    Progress,
    PutArtifact,
)
from symphony_sdk.testing.fakes import FakeArtifactStore
from symphony_sdk.values import decode, encode
from symphony_sdk.worker import PART, WorkerRuntime

DEADLINE = 20.0

EXTENSION = """
import asyncio, threading
from symphony_sdk import *
from symphony_sdk.contributions import (ArtifactRef)

entered = threading.Event()
steps = []

@operator("acme.text.shout")
def shout(ctx: Context, text: str) -> str:
    ctx.log.info(f"node {ctx.node} attempt {ctx.attempt} item {ctx.item}")
    ctx.progress(0.5, "half")
    return text.upper() + ctx.config.get("end", "")

@operator("acme.text.later")
async def later(ctx: Context, text: str) -> str:
    await asyncio.sleep(0)
    return text[::-1]

@operator("acme.text.wait")
async def wait(ctx: Context) -> None:
    entered.set()
    await asyncio.Event().wait()

@operator("acme.text.spin")
def spin(ctx: Context) -> None:
    entered.set()
    while not ctx.cancelled:
        pass
    ctx.check_cancelled()

@operator("acme.text.fail")
def fail(ctx: Context, how: str) -> int:
    if how == "exit":
        raise SystemExit(3)
    if how == "own":
        raise SymphonyError("mine", code="ACME-001", hint="do it")
    if how == "lie":
        return "text"
    raise ZeroDivisionError("no")

@operator("acme.text.keep")
def keep(ctx: Context, data: bytes) -> ArtifactRef:
    ref = ctx.artifacts.put(data, name="kept.bin", media_type="text/plain")
    assert ctx.artifacts.get(ref) == data
    return ref

@operator("acme.text.read")
def read(ctx: Context, path: str) -> str:
    return ctx.files.read_text(path)

class Model(Instrument):
    id = "acme.text.model"
    loads = 0
    def load(self, ctx: Context) -> None:
        type(self).loads += 1
    def infer(self, ctx: Context) -> int:
        return self.loads
    def unload(self) -> None:
        steps.append("model")
        raise RuntimeError("does not go")

@provides_operators
def operators():
    return [shout, later, wait, spin, fail, keep, read]

@provides_instruments
def instruments():
    yield Model()

@on_load
def load(ctx: Context) -> None:
    steps.append("load")

@on_unload
def unload(ctx: Context) -> None:
    steps.append("unload")
"""


class Host:
    """The host's end of the channel, and every call that was made over it."""

    def __init__(self):
        self.store = FakeArtifactStore()
        self.parts = {}
        self.told = queue.Queue()
        self.sizes = []

    def request(self, message, response, timeout=None):
        match message:
            case PutArtifact():
                self.sizes.append(len(message.data))
                data = self.parts.setdefault(message.upload, bytearray())
                data += message.data
                if not message.last:
                    return ArtifactStored()
                return ArtifactStored(
                    self.store.put(bytes(data), name=message.name, media_type=message.media_type)
                )
            case GetArtifact():
                info = self.store.info(message.id)
                return ArtifactData(
                    self.store.read(message.id, message.offset, message.length), info.ref.size
                )

    def notify(self, message):
        self.told.put(message)


class Call:
    def __init__(self, id, message):
        self.id = id
        self.message = message
        self.answered = threading.Event()
        self.answer = None
        self.told = []

    def decode(self):
        if isinstance(self.message, SymphonyError):
            raise self.message
        return self.message

    def respond(self, message):
        self.answer = message
        self.answered.set()

    def fail(self, error):
        self.answer = error
        self.answered.set()

    def notify(self, message):
        self.told.append(message)

    def result(self):
        assert self.answered.wait(DEADLINE), "the worker gave no answer"
        if isinstance(self.answer, SymphonyError):
            raise self.answer
        return self.answer


class Worker:
    def __init__(self, host):
        self.runtime = WorkerRuntime(host)
        self.count = 0

    def send(self, message):
        self.count += 1
        call = Call(self.count, message)
        self.runtime.request(call)
        return call

    def call(self, operation, **inputs):
        raw = {port: msgspec.Raw(encode(value)) for port, value in inputs.items()}
        return self.send(CallOperation(f"acme.text.{operation}", raw, run="r", node="n", attempt=2, item=7))

    def value(self, operation, **inputs):
        return decode(bytes(self.call(operation, **inputs).result().outputs["result"]))


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def worker(host, make_module, tmp_path):
    module = make_module("acme_worker", EXTENSION)
    worker = Worker(host)
    loaded = worker.send(
        LoadExtension(
            "acme.text", "1.0", module, {"end": "!"}, ("file:read:${project}/**",), {"project": str(tmp_path)}
        )
    ).result()
    assert isinstance(loaded, ExtensionLoaded)
    return worker


def test_loading_tells_every_operation_with_its_ports(host, worker):
    loaded = worker.send(LoadExtension("acme.text", "1.0", "acme_worker")).result()
    assert [spec.id.removeprefix("acme.text.") for spec in loaded.operations] == [
        *("shout", "later", "wait", "spin", "fail", "keep", "read", "model")
    ]
    assert loaded.operations[-1].kind == "instrument"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(loaded), type=ExtensionLoaded) == loaded


def test_a_call_has_its_config_and_place_and_tells_progress_and_log(host, worker):
    call = worker.call("shout", text="hello")
    result = call.result()
    assert isinstance(result, OperationResult)
    assert decode(bytes(result.outputs["result"])) == "HELLO!"
    assert result.seconds > 0
    assert call.told == [Progress(0.5, "half")]
    assert host.told.get(timeout=DEADLINE) == LogLine("info", "node n attempt 2 item 7")


def test_a_coroutine_runs_on_an_event_loop(worker):
    assert worker.value("later", text="abc") == "cba"
    assert worker.value("later", text="def") == "fed"


@pytest.mark.parametrize("operation", ["wait", "spin"])
def test_a_cancelled_call_ends_as_cancelled_whether_it_awaits_or_looks(worker, operation):
    import acme_worker

    call = worker.call(operation)
    assert acme_worker.entered.wait(DEADLINE)
    worker.runtime.cancel(call.id)
    with pytest.raises(Cancelled):
        call.result()


def test_cancelling_a_call_that_has_ended_does_nothing(worker):
    call = worker.call("shout", text="a")
    assert call.result()
    worker.runtime.cancel(call.id)
    assert worker.value("shout", text="b") == "B!"


def test_a_closed_channel_cancels_what_runs(worker):
    import acme_worker

    call = worker.call("wait")
    assert acme_worker.entered.wait(DEADLINE)
    worker.runtime.closed(None)
    with pytest.raises(Cancelled):
        call.result()


@pytest.mark.parametrize(
    ("how", "code", "text"),
    [
        ("raise", "SYM-E014", "'acme.text' raised ZeroDivisionError: no"),
        ("exit", "SYM-E014", "'acme.text' raised SystemExit: 3"),
        ("own", "ACME-001", "mine"),
        ("lie", "SYM-E010", "Expected `int`, got `str`"),
    ],
)
def test_an_operation_that_fails_fails_its_call_and_no_other(worker, how, code, text):
    with pytest.raises(SymphonyError) as caught:
        worker.call("fail", how=how).result()
    assert caught.value.code == code
    assert text in caught.value.message
    assert worker.value("shout", text="still here") == "STILL HERE!"


def test_inputs_that_do_not_fit_fail_the_call(worker):
    with pytest.raises(SymphonyError, match="do not fit its ports"):
        worker.call("shout", text=1).result()


def test_an_unknown_operation_names_those_that_there_are(worker):
    with pytest.raises(SymphonyError, match=r"has no operation 'acme\.text\.zzz'") as caught:
        worker.call("zzz").result()
    assert "acme.text.shout" in caught.value.hint


def test_a_message_that_is_none_of_the_workers_is_refused(worker):
    with pytest.raises(SymphonyError, match="cannot answer Done"):
        worker.send(Done()).result()


def test_a_message_that_cannot_be_decoded_fails_its_own_call(worker):
    with pytest.raises(SymphonyError, match="broken"):
        worker.send(SymphonyError("broken", code="SYM-T002")).result()
    assert worker.value("shout", text="a") == "A!"


def test_an_artifact_travels_in_parts_and_comes_back_whole(host, worker):
    data = bytes(range(256)) * ((2 * PART + 100_000) // 256)
    ref = worker.value("keep", data=data)
    assert host.store.get(ref["id"]) == data
    assert ref["name"] == "kept.bin"
    assert host.sizes == [PART, PART, len(data) - 2 * PART]


def test_an_empty_artifact_is_an_artifact(host, worker):
    assert worker.value("keep", data=b"")["size"] == 0
    assert host.sizes == [0]


def test_only_declared_files_can_be_read(worker, tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert worker.value("read", path=str(tmp_path / "a.txt")) == "text"
    with pytest.raises(SymphonyError) as caught:
        worker.call("read", path="/etc/hostname").result()
    assert caught.value.code.startswith("SYM-P")


def test_a_link_out_of_the_declared_folder_leads_nowhere(worker, tmp_path):
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(SymphonyError) as caught:
        worker.call("read", path=str(tmp_path / "link")).result()
    assert caught.value.code.startswith("SYM-P")


def test_an_instrument_is_loaded_once_however_many_calls_come_at_once(worker):
    calls = [worker.call("model") for _ in range(20)]
    assert {decode(bytes(call.result().outputs["result"])) for call in calls} == {1}


def test_the_life_cycle_runs_its_hooks_and_unload_frees_the_instruments_first(host, worker):
    import acme_worker

    assert worker.send(LifecycleStep("load")).result() == Done()
    assert worker.value("model") == 1
    assert worker.send(LifecycleStep("unload")).result() == Done()
    assert acme_worker.steps == ["load", "model", "unload"]
    assert "did not unload" in host.told.get(timeout=DEADLINE).text

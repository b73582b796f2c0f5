import itertools
import queue
import threading

import msgspec
import pytest
from symphony_sdk.errors import Cancelled, ErrorPayload, SymphonyError, error_from_payload
from symphony_sdk.messages import (
    ArtifactData,
    ArtifactStored,
    CallOperation,
    CallOperations,
    CancelCalls,
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
import asyncio, threading, time
from symphony_sdk import *
from symphony_sdk.contributions import (ArtifactRef)

entered = threading.Event()
released = threading.Event()
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
    if how == "odd":
        raise SymphonyError("odd", code="ACME-002", details={"object": object()})
    raise ZeroDivisionError("no")

@operator("acme.text.hold")
def hold(ctx: Context) -> None:
    entered.set()
    released.wait()

@operator("acme.text.fill")
def fill(ctx: Context, size: int) -> str:
    return "x" * size

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

@operator("acme.text.pass-on")
def pass_on(ctx: Context, text: str) -> str:
    steps.append(ctx.cancelled)
    return text + "."

@operator("acme.text.pause")
def pause(ctx: Context, text: str) -> str:
    entered.set()
    released.wait()
    return text

@operator("acme.text.linger")
def linger(ctx: Context, text: str) -> str:
    until = time.perf_counter() + 0.01
    while time.perf_counter() < until:
        pass
    return text

@operator("acme.text.break")
def break_(ctx: Context, text: str) -> str:
    raise ValueError("broken")

@operator("acme.text.grow")
def grow(ctx: Context, text: str) -> str:
    return text * 100_000

@provides_operators
def operators():
    return [shout, later, wait, spin, fail, hold, fill, keep, read, pass_on, pause, linger, break_, grow]

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
    """A request, and all that came back for it."""

    def __init__(self, id, message):
        self.id = id
        self.message = message
        self.answered = threading.Event()
        self.answer = None
        self.items = queue.Queue()

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

    def send_item(self, message):
        assert not self.answered.is_set(), "an item came after the answer"
        self.items.put(message)

    def result(self):
        assert self.answered.wait(DEADLINE), "the worker gave no answer"
        if isinstance(self.answer, SymphonyError):
            raise self.answer
        return self.answer


class OperationCall(Call):
    """A message with calls of operations; `first` is the number of the first one."""

    def __init__(self, id, message):
        super().__init__(id, message)
        self.first = min(message.calls)

    def answers(self):
        """The results and errors of all calls by number."""
        answers = {}
        last = super().result()
        for part in (*self.items.queue, last):
            fresh = part.results | part.errors
            fresh |= dict.fromkeys(part.returned, "returned")
            assert answers.keys().isdisjoint(fresh), "a call was answered twice"
            answers |= fresh
        return answers

    def result(self):
        answer = self.answers()[self.first]
        if isinstance(answer, ErrorPayload):
            raise error_from_payload(answer)
        return answer


class Worker:
    def __init__(self, host):
        self.runtime = WorkerRuntime(host)
        self.count = 0
        self.numbers = itertools.count(1)

    def send(self, message):
        self.count += 1
        call = Call(self.count, message)
        self.runtime.request(call)
        return call

    def call(self, operation, **inputs):
        return self.calls((operation, inputs))

    def calls(self, *calls):
        """Calls in one message: pairs of an operation and its inputs."""
        numbered = {}
        for operation, inputs in calls:
            raw = {port: msgspec.Raw(encode(value)) for port, value in inputs.items()}
            numbered[next(self.numbers)] = CallOperation(
                f"acme.text.{operation}", raw, run="r", node="n", attempt=2, item=7
            )
        return self.request(numbered)

    def chain(self, *operations, **inputs):
        """Calls in one message of which each is given the result of the one before as its `text`."""
        numbered = {}
        for operation in operations:
            raw = {} if numbered else {port: msgspec.Raw(encode(value)) for port, value in inputs.items()}
            takes = {"text": "result"} if numbered else None
            numbered[next(self.numbers)] = CallOperation(f"acme.text.{operation}", raw, takes=takes)
        return self.request(numbered)

    def request(self, numbered):
        self.count += 1
        call = OperationCall(self.count, CallOperations(numbered))
        self.runtime.request(call)
        return call

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
        *("shout", "later", "wait", "spin", "fail", "hold", "fill", "keep", "read"),
        *("pass-on", "pause", "linger", "break", "grow", "model"),
    ]
    chains = {spec.id.removeprefix("acme.text.") for spec in loaded.operations if spec.chains}
    assert {"shout", "grow"} <= chains
    assert chains.isdisjoint({"later", "wait", "model"})
    assert loaded.operations[-1].kind == "instrument"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(loaded), type=ExtensionLoaded) == loaded


def test_a_call_has_its_config_and_place_and_tells_progress_and_log(host, worker):
    call = worker.call("shout", text="hello")
    result = call.result()
    assert isinstance(result, OperationResult)
    assert decode(bytes(result.outputs["result"])) == "HELLO!"
    assert result.seconds > 0
    assert host.told.get(timeout=DEADLINE) == LogLine("info", "node n attempt 2 item 7")
    assert host.told.get(timeout=DEADLINE) == Progress(0.5, "half", call.first)


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


def test_each_call_of_a_message_is_answered_once_whatever_becomes_of_the_others(worker):
    calls = [("shout", {"text": "a"}), ("fail", {"how": "exit"}), ("later", {"text": "abc"}), ("zzz", {})]
    answers = worker.calls(*calls * 25).answers()
    kinds = ["HELLO", "SYM-E014", "cba", "SYM-E013"]
    assert len(answers) == 100
    for number, answer in answers.items():
        kind = kinds[(number - 1) % 4]
        if isinstance(answer, ErrorPayload):
            assert answer.code == kind
        else:
            assert decode(bytes(answer.outputs["result"])) == ("A!" if kind == "HELLO" else kind)


def test_what_is_done_does_not_wait_for_a_call_that_takes_long_nor_do_those_behind_it(worker):
    call = worker.calls(("shout", {"text": "a"}), ("spin", {}), ("shout", {"text": "b"}))
    early = {}
    while len(early) < 2:
        early |= call.items.get(timeout=DEADLINE).results
    assert [number - call.first for number in sorted(early)] == [0, 2]
    worker.runtime.notified(CancelCalls((call.first + 1, 10**6)))
    assert call.answered.wait(DEADLINE)
    assert call.answer.errors[call.first + 1].code == "SYM-R003"


def test_a_call_that_is_cancelled_before_its_turn_never_begins(worker):
    import acme_worker

    held = worker.call("hold")
    assert acme_worker.entered.wait(DEADLINE)
    acme_worker.entered.clear()
    call = worker.calls(("spin", {}))
    worker.runtime.notified(CancelCalls((call.first,)))
    with pytest.raises(Cancelled):
        call.result()
    acme_worker.released.set()
    assert held.result()


def test_outputs_of_many_bytes_leave_in_messages_of_their_own_and_too_many_are_refused(worker):
    call = worker.calls(*[("fill", {"size": size}) for size in (3 << 20, 3 << 20, 17 << 20, 1)])
    answers = call.answers()
    sizes = [len(bytes(answers[call.first + n].outputs["result"])) for n in (0, 1, 3)]
    assert [size >> 20 for size in sizes] == [3, 3, 0]
    assert answers[call.first + 2].code == "SYM-T005"


def test_an_error_that_has_no_encoding_is_told_in_short(worker):
    call = worker.calls(("fail", {"how": "odd"}), ("shout", {"text": "a"}))
    answers = call.answers()
    assert answers[call.first].details == {"shortened": True}
    assert decode(bytes(answers[call.first + 1].outputs["result"])) == "A!"


def test_cancelling_a_request_cancels_all_of_its_calls(worker):
    call = worker.calls(("wait", {}), ("spin", {}), ("wait", {}))
    worker.runtime.cancel(call.id)
    assert {answer.code for answer in call.answers().values()} == {"SYM-R003"}


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


@pytest.fixture
def patient(monkeypatch):
    """Chains that go on however long they take."""
    monkeypatch.setattr("symphony_sdk.worker.calls.CHAIN_SECONDS", 60.0)


def chained(call):
    """What became of each link: its text, the code of its error, or that it was returned."""
    answers = call.answers()
    ends = []
    for number in sorted(answers):
        answer = answers[number]
        if isinstance(answer, OperationResult):
            ends.append(decode(bytes(answer.outputs["result"])) if answer.outputs else None)
        else:
            ends.append(answer.code if isinstance(answer, ErrorPayload) else answer)
    return ends


def test_the_links_of_a_chain_run_one_after_the_other_each_with_what_the_one_before_gave(worker, patient):
    ends = chained(worker.chain("pass-on", "shout", *["pass-on"] * 20, text="a"))
    assert ends == ["a.", "A.!"] + ["A.!" + "." * count for count in range(1, 21)]


def test_a_link_that_ends_badly_or_gives_what_cannot_be_passed_on_gives_the_rest_back(worker, patient):
    assert chained(worker.chain("pass-on", "break", "pass-on", "pass-on", text="a")) == [
        *("a.", "SYM-E014", "returned", "returned")
    ]
    assert chained(worker.chain("zzz", "pass-on", text="a")) == ["SYM-E013", "returned"]
    assert chained(worker.chain("pass-on", "grow", "pass-on", text="a"))[2] == "returned"
    assert chained(worker.chain("later", "pass-on", text="ab")) == ["ba", "returned"]
    assert chained(worker.chain("fill", "hold", "pass-on", size=1)) == ["x", "SYM-T002", "returned"]


def test_a_chain_that_has_held_its_thread_for_a_moment_gives_the_rest_back(worker):
    assert chained(worker.chain("linger", "pass-on", "pass-on", text="a")) == ["a", "returned", "returned"]


def test_a_link_that_is_not_wanted_is_given_back_at_once_with_those_after_it(worker, patient):
    import acme_worker

    call = worker.chain("pass-on", "pause", "pass-on", "pass-on", "pass-on", text="a")
    assert acme_worker.entered.wait(DEADLINE)
    worker.runtime.notified(CancelCalls((call.first + 3,)))
    early = []
    while len(early) < 2:
        early += call.items.get(timeout=DEADLINE).returned
    assert early == [call.first + 3, call.first + 4]
    acme_worker.released.set()
    assert call.answered.wait(DEADLINE)
    assert call.answer.results.keys() <= {call.first, call.first + 1, call.first + 2}
    assert acme_worker.steps == [False, False]


def test_a_chain_that_is_cancelled_ends_where_it_is(worker, patient):
    import acme_worker

    call = worker.chain("pass-on", "pause", "pass-on", "pass-on", text="a")
    assert acme_worker.entered.wait(DEADLINE)
    worker.runtime.cancel(call.id)
    acme_worker.released.set()
    assert chained(call) == ["a.", "SYM-R003", "returned", "returned"]


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

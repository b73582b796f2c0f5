"""JSON-RPC by lines: between real processes, against everything that is no message, and without a deadlock."""

import asyncio
import contextlib
import json
import os
import random
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_ipc.jsonrpc import BlockingJsonRpc, Dialogue, Faults, JsonRpcPeer, LineReader, Method
from symphony_ipc.jsonrpc.failures import error_object, error_of
from symphony_ipc.pipes import open_pipes
from symphony_sdk.errors import (
    DeadlineExceeded,
    MalformedMessage,
    PeerGone,
    PortError,
    SymphonyError,
    TransportError,
)

SCRIPT = Path(__file__).with_name("editor_process.py")


class Text(msgspec.Struct):
    text: str


class Count(msgspec.Struct):
    count: int


class Area(msgspec.Struct, array_like=True):
    first: int
    last: int


def spawn() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@contextlib.contextmanager
def editor():
    """An editor's process, its pipes and a way to exchange lines with it."""
    process = spawn()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def with_editor(check, methods=None):
    """Run `check(peer, process)` with the asynchronous end at the pipes of an editor's process."""

    async def main():
        with editor() as process:
            peer = JsonRpcPeer(methods)
            await open_pipes(lambda: peer, os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno()))
            try:
                async with asyncio.timeout(60):
                    return await check(peer, process)
            finally:
                await peer.close()

    return asyncio.run(main())


def conversation(methods: Any = None, **options: Any) -> tuple[Dialogue, list[Any]]:
    sent: list[Any] = []
    return Dialogue(methods or {}, lambda line: sent.append(json.loads(line)), **options), sent


def test_a_request_is_answered_by_another_process():
    async def check(peer, process):
        assert await peer.request("echo", Text("ö\n\u2028"), str) == "ö\n\u2028"
        answers = await asyncio.gather(*(peer.request("echo", Text(str(n)), str) for n in range(100)))
        assert answers == [str(n) for n in range(100)]

    with_editor(check)


def test_what_an_editor_prints_is_no_part_of_the_conversation():
    async def check(peer, process):
        assert await peer.request("print", Text('{"id":1,"result":"forged"}'), None) is None
        assert await peer.request("echo", Text("on"), str) == "on"
        assert peer.faults == Faults()

    with_editor(check)


def test_both_ends_ask_and_tell():
    told = asyncio.Queue()

    async def width(params):
        await asyncio.sleep(0)
        return len(params.text)

    async def check(peer, process):
        assert await peer.request("ask_back", Text("four"), str) == "asked"
        assert await told.get() == "4"

    with_editor(check, {"width": Method(Text, width), "width_is": Method(str, told.put_nowait)})


@pytest.mark.parametrize(
    ("method", "kind", "code", "message"),
    [
        ("refuse", PortError, "SYM-O001", "no such buffer"),
        ("refuse_with_number", TransportError, "SYM-T050", "missing view"),
        ("defect", TransportError, "SYM-T050", "raised ZeroDivisionError: a defect"),
        ("not_json", TransportError, "SYM-T011", "cannot be encoded as JSON"),
        ("nothing", TransportError, "SYM-T050", "there is no method 'nothing'"),
    ],
)
def test_an_error_crosses_with_all_its_fields(method, kind, code, message):
    async def check(peer, process):
        with pytest.raises(kind, match=message) as caught:
            await peer.request(method, None, str)
        assert caught.value.code == code
        if method == "refuse":
            assert (caught.value.hint, caught.value.details) == ("Open it first.", {"buffer": "b1"})
        if method == "refuse_with_number":
            assert caught.value.details == {"code": 404, "data": {"view": "v1"}}
        assert await peer.request("echo", Text("on"), str) == "on"

    with_editor(check)


def test_a_result_of_another_type_is_malformed():
    async def check(peer, process):
        with pytest.raises(MalformedMessage, match="the result of echo is wrong"):
            await peer.request("echo", Text("x"), int)

    with_editor(check)


def test_a_killed_process_fails_what_waits_for_it():
    async def check(peer, process):
        os.kill(process.pid, 19)  # SIGSTOP: it will not answer
        waiting = asyncio.create_task(peer.request("echo", Text("x"), str))
        await asyncio.sleep(0)
        process.kill()
        with pytest.raises(PeerGone):
            await waiting
        assert isinstance(await peer.wait_closed(), PeerGone)
        assert not peer.is_open
        with pytest.raises(PeerGone):
            peer.notify("echo", Text("x"))

    with_editor(check)


def test_a_deadline_ends_the_wait_and_a_late_answer_is_no_fault():
    async def check(peer, process):
        os.kill(process.pid, 19)
        with pytest.raises(DeadlineExceeded, match="echo"):
            await peer.request("echo", Text("x"), str, timeout=0.01)
        os.kill(process.pid, 18)
        assert await peer.request("echo", Text("y"), str) == "y"
        assert peer.faults.unknown == 0

    with_editor(check)


def test_a_peer_that_was_closed_says_so():
    async def check(peer, process):
        await peer.close()
        assert await peer.wait_closed() is None
        with pytest.raises(TransportError) as caught:
            await peer.request("echo", None, str)
        assert caught.value.code == "SYM-T009"

    with_editor(check)


def test_an_editor_ends_with_its_input():
    with editor() as process:
        process.stdin.close()
        assert process.wait(30) == 0


def test_closing_ends_an_editor():
    async def check(peer, process):
        await peer.request("stop", None, None)
        assert isinstance(await peer.wait_closed(), PeerGone)
        assert process.wait(30) == 0

    with_editor(check)


def test_a_client_that_writes_much_before_it_reads_blocks_nobody():
    count = 20_000
    request = b'{"id":1,"method":"many","params":{"count":%d}}\n' % count
    with editor() as process:
        process.stdin.write(
            request + b'{"id":2,"method":"echo","params":{"text":"' + b"x" * 9_000_000 + b'"}}\n'
        )
        process.stdin.flush()  # its 9 MB are read although nobody reads its 5 MB of notifications
        lines = [process.stdout.readline() for _ in range(count + 2)]
    assert json.loads(lines[count]) == {"id": 1, "result": count}
    assert len(json.loads(lines[-1])["result"]) == 9_000_000


LINES = [
    ("spec: call of what is not there", b'{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', -32601, "1"),
    ("spec: no JSON", b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', -32700, None),
    ("spec: no request", b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}', -32600, None),
    ("a batch", b'[{"id":1,"method":"echo","params":{"text":"x"}}]', -32600, None),
    ("an empty batch", b"[]", -32600, None),
    ("a number", b"1", -32600, None),
    ("null", b"null", -32600, None),
    ("an empty object", b"{}", -32600, None),
    ("only an id", b'{"id":3}', -32600, None),
    ("no UTF-8", b'{"id":1,"method":"\xff"}', -32700, None),
    ("a lone surrogate", b'{"id":1,"method":"echo","params":{"text":"\\ud800"}}', -32700, None),
    ("a lone surrogate as a method", b'{"id":1,"method":"\\ud800"}', -32700, None),
    ("a null id", b'{"id":null,"method":"echo","params":{"text":"x"}}', -32600, None),
    ("a negative id", b'{"id":-1,"method":"echo","params":{"text":"x"}}', -32600, None),
    ("an id that is too large", b'{"id":18446744073709551616,"method":"echo"}', -32600, None),
    ("an id of 10,000 digits", b'{"id":' + b"9" * 10_000 + b',"method":"echo"}', -32600, None),
    ("a broken number", b'{"id":1.5,"method":"echo"}', -32600, None),
    ("an object as an id", b'{"id":{},"method":"echo"}', -32600, None),
    ("no parameters", b'{"id":4,"method":"echo"}', -32602, 4),
    ("wrong parameters", b'{"id":4,"method":"echo","params":[1]}', -32602, 4),
    ("parameters of the wrong type", b'{"id":4,"method":"echo","params":{"text":1}}', -32602, 4),
    ("parameters where none are", b'{"id":4,"method":"refuse","params":{"x":1}}', -32602, 4),
    ("depth", b'{"id":5,"method":"echo","params":' + b"[" * 1_000_000 + b"}", -32700, None),
    (
        "depth that is closed",
        b'{"id":5,"method":"e","params":' + b"[" * 9_999 + b"]" * 9_999 + b"}",
        -32700,
        None,
    ),
    ("a NUL", b"\x00", -32700, None),
    ("half a line", b'{"id":1,', -32700, None),
]


def test_a_line_that_is_no_message_is_answered_and_the_conversation_goes_on():
    with editor() as process:
        for name, line, code, id in LINES:
            process.stdin.write(line + b"\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert (answer["error"]["code"], answer["id"]) == (code, id), name
            assert answer["error"]["message"], name
        process.stdin.write(b'{"id":18446744073709551615,"method":"echo","params":{"text":"on"}}\r\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"id": 2**64 - 1, "result": "on"}


def test_what_has_no_answer_is_counted():
    with editor() as process:
        process.stdin.write(
            b"\n   \r\n"  # blank
            b'{"method":"nothing"}\n{"id":77,"result":1}\n{"id":"x","result":null}\n'  # unknown
            b'{"method":"echo","params":{"text":1}}\n'  # refused
            b'{"method":"defect"}\n'  # failed
            b'{"id":null,"error":{"code":-32700,"message":"what?"}}\n{"error":7}\n'  # malformed
            b'{"id":1,"method":"faults","params":[],"more":{"jsonrpc":"2.0"}}\n'
        )
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {
            "id": 1,
            "result": {"malformed": 2, "unknown": 3, "refused": 1, "failed": 1, "blank": 2},
        }


def test_two_peers_never_answer_each_others_errors():
    async def check():
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        first, second = JsonRpcPeer(), JsonRpcPeer()
        transport, _ = await loop.create_unix_connection(lambda: first, sock=ours)
        await loop.create_unix_connection(lambda: second, sock=theirs)
        transport.write(b"what?\n")
        with pytest.raises(TransportError, match="no method"):
            await first.request("nothing", None, str)
        with pytest.raises(TransportError, match="no method"):
            await second.request("nothing", None, str)
        assert second.faults == msgspec.structs.replace(second.faults, malformed=1, unknown=1)
        assert first.faults == second.faults
        await first.close()
        assert isinstance(await second.wait_closed(), PeerGone)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ('"result":1,"error":{"code":1,"message":"m"}', "both a result and an error"),
        ('"error":null', "neither a result nor an error"),
        ('"error":7', "the error in an answer is none"),
        ('"error":{"code":"x","message":"m"}', "the error in an answer is none"),
    ],
)
def test_an_answer_that_is_none_fails_its_request(members, message):
    dialogue, _ = conversation()
    answers = []
    id = dialogue.ask("x", None, answers.append)
    dialogue.take(f'{{"id":{id},{members}}}'.encode())
    [answer] = answers
    assert isinstance(answer, MalformedMessage)
    assert message in answer.message


def test_a_null_beside_the_answer_is_tolerated():
    dialogue, sent = conversation()
    answers = []
    for members in (
        b'"result":5,"error":null',
        b'"result":null',
        b'"result":null,"error":{"code":5,"message":"m"}',
    ):
        dialogue.take(b'{"id":%d,%b}' % (dialogue.ask("x", None, answers.append), members))
    assert (bytes(answers[0]), bytes(answers[1]), answers[2].details["code"]) == (b"5", b"null", 5)
    assert sent == [{"id": id, "method": "x"} for id in (1, 2, 3)]


def test_parameters_may_be_left_out_in_every_way_where_none_are_needed():
    taken = []
    dialogue, sent = conversation({"none": Method(None, taken.append), "scroll": Method(Area, taken.append)})
    for params in ("", ',"params":null', ',"params":[]', ',"params":{}'):
        dialogue.take(f'{{"method":"none"{params}}}'.encode())
    dialogue.take(b'{"method":"scroll","params":[3,4]}')
    assert taken == [None] * 4 + [Area(3, 4)]
    assert not sent


def test_a_line_is_never_longer_than_allowed():
    dialogue, sent = conversation({"echo": Method(Text, lambda params: params.text * 2)}, max_line=200)
    with pytest.raises(TransportError) as caught:
        dialogue.tell("echo", Text("x" * 200))
    assert caught.value.code == "SYM-T051"
    dialogue.take(b'{"id":1,"method":"echo","params":{"text":"%b"}}' % (b"x" * 120))
    dialogue.take(None)
    assert "error" in sent[0]
    assert sent[0]["id"] == 1
    assert sent[1]["error"]["message"] == "a line has more than 200 bytes"


def test_what_cannot_be_encoded_is_refused_and_nothing_is_sent():
    dialogue, sent = conversation()
    with pytest.raises(TransportError) as caught:
        dialogue.ask("x", object(), sent.append)
    assert caught.value.code == "SYM-T011"
    dialogue.fail(1, PortError("lone \ud800", details={"x": object()}))
    assert sent == [{"id": 1, "error": {"code": -32000, "message": "lone \\ud800"}}]


def test_an_encoded_value_with_a_line_break_stays_on_its_line():
    lines = []
    Dialogue({}, lines.append).tell("x", msgspec.Raw(b'{\n"a": [1,\n2]}'))
    [line] = lines
    assert line.count(b"\n") == 1
    assert json.loads(line)["params"] == {"a": [1, 2]}


@given(
    st.builds(
        PortError,
        st.text(),
        code=st.sampled_from(["SYM-O002", "ACME-1"]),
        hint=st.text(),
        details=st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.text()),
        line=st.integers(0, 9),
    )
)
def test_every_error_of_symphony_comes_back(error):
    back = error_of(msgspec.Raw(msgspec.json.encode(error_object(error))))
    assert isinstance(back, SymphonyError)
    assert back.payload() == error.payload()


@given(st.integers(), st.text(), st.none() | st.text() | st.lists(st.booleans()))
def test_every_error_with_a_number_comes_back(code, message, data):
    raw = msgspec.Raw(json.dumps({"code": code, "message": message, "data": data}).encode())
    back = error_of(raw)
    if abs(code) < 2**63:
        assert (back.code, back.message, back.details) == ("SYM-T050", message, {"code": code, "data": data})


def test_the_data_of_an_error_cannot_take_much_memory():
    data = b"[" + b"{}," * 100_000 + b"{}]"
    back = error_of(msgspec.Raw(b'{"code":-32000,"message":"m","data":%b}' % data))
    assert back.details["data"] == f"{len(data):,} bytes, which were left out"


@given(st.lists(st.binary(max_size=12)), st.lists(st.integers(0, 200), max_size=12), st.integers(1, 16))
def test_a_stream_cut_anywhere_gives_the_same_lines(lines, cuts, limit):
    expected = [part if len(part) <= limit else None for line in lines for part in line.split(b"\n")]
    stream = b"".join(line + b"\n" for line in lines)
    reader, found, start = LineReader(limit), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        found += reader.received(stream[start:cut])
        start = max(start, cut)
    assert found == expected


def test_a_line_without_an_end_takes_no_more_memory_than_a_line_may():
    reader = LineReader(1000)
    for _ in range(10_000):
        assert not list(reader.received(b"x" * 1000))
    assert sum(map(len, reader._parts)) <= 1000
    assert list(reader.received(b"\nnext\n")) == [None, b"next"]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
members = st.sampled_from(["id", "method", "params", "result", "error", "jsonrpc", "code", "message"])
almost = st.dictionaries(members, values | st.sampled_from(["echo", 1, {"text": "x"}]), max_size=5).map(
    lambda made: json.dumps(made).encode()
)


@settings(max_examples=60)
@given(st.lists(almost | st.binary(max_size=40) | st.sampled_from([line for _, line, _, _ in LINES[:20]])))
def test_no_line_raises_and_every_answer_is_a_message(lines):
    dialogue, sent = conversation({"echo": Method(Text, lambda params: params.text)})
    dialogue.ask("x", None, lambda answer: None)
    sent.clear()
    for line in lines:
        dialogue.take(line)
        assert len(sent) <= 1
        for message in sent:
            assert message.keys() in ({"id", "result"}, {"id", "error"})
            dialogue.take(json.dumps(message | {"id": None}).encode())
            assert len(sent) == 1  # an answer is never answered
        sent.clear()


def test_changed_bytes_never_end_an_editor():
    """A thousand mutations of a real conversation, each line of them to a process that must still be there."""
    chance = random.Random(7)
    good = [line for _, line, _, _ in LINES if len(line) < 200] + [
        b'{"id":1,"method":"many","params":{"count":1}}'
    ]
    with editor() as process:
        for round in range(1000):
            line = bytearray(chance.choice(good))
            for _ in range(chance.randrange(4)):
                line[chance.randrange(len(line))] = chance.randrange(256)
            process.stdin.write(
                bytes(line) + b'\n{"id":"round","method":"echo","params":{"text":"%d"}}\n' % round
            )
            process.stdin.flush()
            while (answer := json.loads(process.stdout.readline())).get("id") != "round":
                pass
            assert answer["result"] == str(round)


def test_a_peer_that_does_not_read_costs_its_connection_and_not_all_memory():
    async def check():
        ours, theirs = socket.socketpair()
        with theirs:
            peer = JsonRpcPeer()
            await asyncio.get_running_loop().create_unix_connection(lambda: peer, sock=ours)
            text = Text("x" * (8 << 20))
            for _ in range(10):
                if peer.is_open:
                    peer.notify("x", text)
            reason = await peer.wait_closed()
            assert reason is not None
            assert reason.code == "SYM-T052"

    asyncio.run(check())


def test_an_editor_whose_client_does_not_read_ends():
    incoming, outgoing = os.pipe(), os.pipe()
    text = Text("x" * (8 << 20))

    def flood(_: None) -> None:
        for _ in range(10):
            peer.notify("x", text)

    peer = BlockingJsonRpc({"flood": Method(None, flood)}, incoming[0], outgoing[1])
    os.write(incoming[1], b'{"method":"flood"}\n')
    try:
        with pytest.raises(TransportError) as caught:
            peer.serve()
        assert caught.value.code == "SYM-T052"
    finally:
        for descriptor in (*incoming, *outgoing):
            os.close(descriptor)


def test_an_editor_whose_client_is_gone_returns():
    incoming, outgoing = os.pipe(), os.pipe()
    os.close(outgoing[0])
    answers: list[object] = []
    peer = BlockingJsonRpc(
        {"x": Method(None, lambda _: peer.ask("y", None, answers.append))}, incoming[0], outgoing[1]
    )
    os.write(incoming[1], b'{"method":"x"}\n')
    try:
        peer.serve()
        assert [type(answer) for answer in answers] == [PeerGone]
        assert select.select([incoming[0]], [], [], 0)[0] == []  # it took what was there and no more
    finally:
        for descriptor in (*incoming, outgoing[1]):
            os.close(descriptor)


def test_the_methods_of_a_peer_may_wait_and_may_be_cancelled():
    released = []

    async def main():
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        gate, begun = asyncio.Event(), asyncio.Event()

        async def wait(params):
            begun.set()
            try:
                await gate.wait()
            except asyncio.CancelledError:
                released.append(params.text)
                raise
            return params.text

        async def cancelled(_):
            raise asyncio.CancelledError

        server = JsonRpcPeer({"wait": Method(Text, wait), "cancelled": Method(None, cancelled)})
        client = JsonRpcPeer()
        await loop.create_unix_connection(lambda: server, sock=ours)
        await loop.create_unix_connection(lambda: client, sock=theirs)
        with pytest.raises(TransportError, match="was cancelled"):
            await client.request("cancelled", None, str)
        waiting = [asyncio.create_task(client.request("wait", Text(str(n)), str)) for n in range(1025)]
        with pytest.raises(TransportError, match="ask again later"):
            await waiting[1024]
        gate.set()
        assert await asyncio.gather(*waiting[:1024]) == [str(n) for n in range(1024)]
        gate.clear()
        begun.clear()
        last = asyncio.create_task(client.request("wait", Text("last"), str))
        await begun.wait()
        await server.close()
        with pytest.raises(PeerGone):
            await last
        await client.close()

    asyncio.run(main())
    assert released == ["last"]

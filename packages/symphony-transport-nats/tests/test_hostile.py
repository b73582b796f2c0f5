"""Whatever others put on the subjects of the bus is counted and does no harm."""

import asyncio
from contextlib import suppress

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from nats.aio.client import Client
from symphony_ipc.envelope import Envelope, Kind
from symphony_sdk.errors import BusError, MalformedMessage
from symphony_transport_nats import frames, subjects

SUBJECTS = (
    "symphony.t.p.open.a",
    "symphony.t.k.open.a",
    "symphony.t.l.open.a",
    "symphony.t.x.open.a",
    "symphony.t.p.open." + "long" * 100,
    "symphony.r.victim",
    "symphony.nodes",
    "symphony.n.{node}.a.1",
    "symphony.n.{node}.a.x",
    "symphony.n.{node}.a.99999999999999999999999999",
    "symphony.n.{node}.a",
    "symphony.n.{node}.c.x.y.z",
    "symphony.n.{node}.f.1",
    "symphony.n.{node}.f.",
    "symphony.n.{node}.zzz",
)
encode = msgspec.msgpack.encode
DATA = (
    b"",
    b"\xc1",
    b"\x9b" + b"\x81" * 1000,
    b"\xdf\xff\xff\xff\xff",
    encode([1]),
    encode(list(range(40))),
    *(encode(Envelope(kind, to="open.a", meta={"a": "b"}, payload=memoryview(b"\xc1"))) for kind in Kind),
    encode(Envelope(Kind.REQUEST, to="victim")) + b"trailing",
)
REPLIES = (
    "",
    "open",
    "symphony.n.0123456789abcdef.a.1",
    "symphony.n.{node}.a.1",
    "symphony.n.{node}.c.1",
    "$JS.API.STREAM.DELETE.symphony",
)


def test_nothing_on_any_subject_of_the_bus_harms_a_node(server, joined, message, ask, eventually, caplog):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            for pattern, group in (("open.>", ""), ("open.*", "g")):
                await two.subscribe(pattern, group)
            await two.register("victim", "")
            await two.subscribe("open.>", "", "hostile")
            client = Client()
            await client.connect(server.url)
            for data in DATA:
                for subject in SUBJECTS:
                    for reply in REPLIES:
                        subject = subject.format(node=two._id)
                        if ".." not in subject and not subject.endswith("."):
                            await client.publish(subject, data, reply.format(node=two._id))
            await client.flush()
            await client.close()
            one.publish(message("open.good", "good"))
            await eventually(lambda: "good" in node.texts)
            answers, _ = ask(one, "victim", "still there?")
            question = b"still there?"
            await eventually(lambda: any(bytes(call.envelope.payload) == question for call in node.calls))
            next(call for call in node.calls if bytes(call.envelope.payload) == question).respond(b"yes")
            await eventually(lambda: answers.ended)
            assert answers.texts == ["yes"]
            await one.deliver(message("open.kept", "kept"))
            await eventually(lambda: any(bytes(envelope.payload) == b"kept" for _, envelope, _ in node.kept))
            assert two.counters.malformed > 300
            assert two.counters.dropped == 0
            assert two.counters.reconnects == 0
            assert not caplog.records

    asyncio.run(main())


def test_an_error_that_is_no_error_fails_the_request_that_it_answers(server, joined, ask, eventually):
    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.register("odd", "")
            answers, _ = ask(one, "odd")
            await eventually(lambda: node.calls)
            node.calls[0].respond(b"\xc1", Kind.ERROR)
            await eventually(lambda: answers.ended)
            with pytest.raises(MalformedMessage):
                _ = answers.error

    asyncio.run(main())


def test_requests_beyond_the_limit_are_refused(server, joined, ask, eventually, monkeypatch):
    monkeypatch.setattr("symphony_transport_nats.answering.OPEN_REQUESTS", 2)

    async def main():
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.register("busy", "")
            asked = [ask(one, "busy")[0] for _ in range(3)]
            await eventually(lambda: asked[2].ended)
            assert asked[2].error.code == "SYM-T001"
            assert two.counters.refused == 1
            node.calls[0].respond()
            await eventually(lambda: asked[0].ended)
            ask(one, "busy")
            await eventually(lambda: len(node.calls) == 3)

    asyncio.run(main())


def test_a_receiver_that_raises_is_told_and_the_next_message_comes(server, joined, message, eventually):
    async def main():
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with joined(server, "one") as (one, _), joined(server, "two") as (two, node):
            await two.subscribe("a", "")
            keep, node.messages = node.messages, None
            one.publish(message("a", "1"))
            await eventually(lambda: told)
            node.messages = keep
            one.publish(message("a", "2"))
            await eventually(lambda: node.messages)
            assert "symphony.t.p.a" in told[0]["message"]

    asyncio.run(main())


@given(data=st.binary(max_size=200))
@example(b"")
@settings(max_examples=200)
def test_any_bytes_are_an_envelope_or_malformed(data):
    with suppress(MalformedMessage):
        assert isinstance(frames.decode(data, *Kind), Envelope)


envelopes = st.builds(
    Envelope,
    kind=st.just(Kind.PUBLISH),
    id=st.integers(0, 2**63 - 1),
    type=st.text(),
    traceparent=st.text(),
    idempotency_key=st.text(),
    meta=st.none() | st.dictionaries(st.text(), st.text(), min_size=1),
    to=st.text(),
    payload=st.binary().map(memoryview),
)


@given(envelope=envelopes)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_a_signed_envelope_comes_back_as_it_was(envelope):
    data = frames.encode(frames.signed(envelope, "node", 7), 1 << 20)
    back = frames.decode(data, Kind.PUBLISH)
    assert back.id == 7
    assert frames.unsigned(back) == "node"
    back.id = envelope.id
    assert back == envelope


def test_an_envelope_that_has_no_encoding_is_refused():
    from symphony_sdk.errors import TransportError

    for bad in (Envelope(Kind.PUBLISH, type="\ud800"), Envelope(Kind.PUBLISH, meta={"a": object()})):
        with pytest.raises(TransportError) as caught:
            frames.encode(bad, 1000)
        assert caught.value.code == "SYM-T011"
    failure = frames.failure(BusError("no \ud800", details={"a": object()}))
    assert frames.decode(frames.encode(failure, 1000), Kind.ERROR).kind is Kind.ERROR


def test_a_frame_longer_than_the_bus_allows_is_refused():
    with pytest.raises(MalformedMessage, match="are allowed"):
        frames.decode(bytes((16 << 20) + 1), Kind.PUBLISH)


@pytest.mark.parametrize("text", ["a b", "a\r\nPUB x 0", "a\x00b", "\x7f", "a\u2028b", "ä" * 600])
def test_text_that_could_break_the_protocol_never_becomes_a_subject(text):
    for make in (subjects.published, subjects.kept, subjects.requests, subjects.all_of, subjects.checked):
        with pytest.raises(BusError) as caught:
            make(text)
        assert caught.value.code == "SYM-T059"

"""Every registered message there and back, read and written by another implementation too, and with wrong bytes."""

import contextlib

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import decode, encode
from symphony_ipc.payload import decode_message, decode_payload, encode_payload
from symphony_ipc.schema import FRAMING, family_messages
from symphony_sdk.errors import MalformedMessage
from symphony_sdk.testing import message_strategy

MESSAGES = family_messages()
ENCODER = msgspec.msgpack.Encoder()


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_comes_back_through_a_frame_with_the_same_bytes(name):
    @settings(max_examples=20)
    @given(message_strategy(MESSAGES[name]))
    def check(message):
        payload = encode_payload(message)
        frame = b"".join(encode(Envelope(Kind.REQUEST, 1, name, payload=payload)))
        envelope = decode(frame[4:])
        back = decode_message(envelope.type, envelope.payload)
        assert type(back) is MESSAGES[name]
        assert encode_payload(back) == payload

    check()


@pytest.mark.parametrize("name", [*MESSAGES, *FRAMING])
def test_another_implementation_of_messagepack_reads_and_writes_every_message(name):
    kind = {**MESSAGES, **FRAMING}[name]

    @settings(max_examples=20)
    @given(message_strategy(kind))
    def check(message):
        wire = ENCODER.encode(message)
        theirs = msgpack.unpackb(wire, strict_map_key=False)  # numbers are keys too
        assert theirs == msgspec.msgpack.decode(wire)
        again = msgspec.msgpack.decode(msgpack.packb(theirs), type=kind)
        assert ENCODER.encode(again) == wire

    check()


@pytest.mark.parametrize("name", MESSAGES)
def test_wrong_bytes_in_a_message_are_malformed_or_another_message(name):
    kind = MESSAGES[name]

    @settings(max_examples=20)
    @given(message_strategy(kind), st.data())
    def check(message, data):
        wire = bytearray(encode_payload(message))
        for _ in range(data.draw(st.integers(1, 3))):
            wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(wire)))
        for changed in (bytes(wire), bytes(wire[:cut])):
            with contextlib.suppress(MalformedMessage):
                assert type(decode_payload(kind, memoryview(changed))) is kind

    check()

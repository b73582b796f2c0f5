"""Frames and envelopes: whatever is written is read, and whatever else comes in is refused cheaply."""

import contextlib
import itertools
import struct
import tracemalloc

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import CONTROL_LIMIT, DATA_LIMIT, RECEIVE_LIMIT, FrameReader, decode, encode
from symphony_sdk.errors import MalformedMessage, TransportError

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
envelopes = st.builds(
    Envelope,
    kind=st.sampled_from(Kind),
    id=st.integers(0, 2**63 - 1),
    type=text,
    deadline=st.none() | st.floats(0, 1e9),
    traceparent=text,
    idempotency_key=text,
    meta=st.none() | st.dictionaries(text, text, max_size=3),
    payload=st.binary(max_size=200).map(memoryview),
)


def read_all(reader, data, cuts=()):
    """What `reader` gives when `data` arrives in the pieces between `cuts`."""
    found = []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        piece = data[start:end]
        while piece:
            buffer = reader.get_buffer()
            count = min(len(buffer), len(piece))
            buffer[:count] = piece[:count]
            piece = piece[count:]
            found += reader.received(count)
    return found


def frame(body):
    return struct.pack("<I", len(body)) + body


@given(envelopes)
def test_what_is_encoded_is_decoded(envelope):
    data = b"".join(encode(envelope))
    assert struct.unpack_from("<I", data)[0] == len(data) - 4
    assert decode(data[4:]) == envelope


@given(envelopes)
def test_another_implementation_of_messagepack_reads_the_same(envelope):
    fields = msgpack.unpackb(b"".join(encode(envelope))[4:])
    assert fields == list(msgspec.structs.astuple(envelope))


@given(envelopes)
def test_another_implementation_of_messagepack_writes_what_is_read(envelope):
    fields = [*msgspec.structs.astuple(envelope)[:-1], bytes(envelope.payload)]
    assert decode(msgpack.packb(fields)) == envelope


@given(envelopes, st.lists(st.integers(-(2**63), 2**64 - 1) | text | st.lists(st.none())))
def test_fields_of_a_newer_peer_are_ignored(envelope, extra):
    body = msgspec.msgpack.encode([*msgspec.structs.astuple(envelope), *extra])
    assert decode(body) == envelope


@given(envelopes, st.integers(1, 7))
def test_fields_that_an_older_peer_leaves_out_have_their_defaults(envelope, count):
    body = msgspec.msgpack.encode(msgspec.structs.astuple(envelope)[:count])
    assert msgspec.structs.astuple(decode(body))[:count] == msgspec.structs.astuple(envelope)[:count]
    assert decode(msgspec.msgpack.encode([9])) == Envelope(Kind.PONG)


def test_frames_survive_being_cut_at_every_byte():
    sent = [Envelope(Kind.REQUEST, n, "t/1", 1.5, payload=memoryview(bytes(n * 7))) for n in range(4)]
    data = b"".join(b"".join(encode(envelope)) for envelope in sent)
    assert read_all(FrameReader(), data, range(1, len(data))) == sent
    for cut in range(1, len(data)):
        assert read_all(FrameReader(), data, [cut]) == sent


@settings(max_examples=50)
@given(
    st.lists(
        st.integers(0, 100)
        | st.integers((32 << 10) - 80, (32 << 10) + 80)
        | st.sampled_from([64 << 10, 200_000]),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_a_stream_cut_anywhere_gives_the_same_envelopes_and_overwrites_none(sizes, data):
    sent = [Envelope(Kind.RESPONSE, n, payload=memoryview(bytes([n]) * size)) for n, size in enumerate(sizes)]
    stream = b"".join(b"".join(encode(envelope)) for envelope in sent)
    cuts = data.draw(st.lists(st.integers(1, len(stream) - 1), max_size=20))
    assert read_all(FrameReader(), stream, cuts) == sent


def test_a_long_frame_is_received_in_bounded_pieces():
    stream = b"".join(encode(Envelope(Kind.RESPONSE, 1, payload=memoryview(bytes(3 * RECEIVE_LIMIT)))))
    reader, pieces = FrameReader(), []
    while stream:
        pieces.append(len(buffer := reader.get_buffer()))
        count = min(len(buffer), len(stream))
        buffer[:count] = stream[:count]
        stream = stream[count:]
        found = [*reader.received(count)]
    assert max(pieces) == RECEIVE_LIMIT
    assert found[0].payload == bytes(3 * RECEIVE_LIMIT)


@given(st.binary(max_size=400))
def test_foreign_bytes_are_malformed_or_an_envelope(data):
    try:
        decode(data)
    except MalformedMessage as error:
        assert error.code == "SYM-T002"
    reader = FrameReader()
    with contextlib.suppress(MalformedMessage):
        read_all(reader, data)
    assert len(reader.get_buffer()) > 0


@given(envelopes, st.data())
def test_a_changed_byte_is_malformed_or_an_envelope(envelope, data):
    body = bytearray(b"".join(encode(envelope))[4:])
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedMessage):
        assert isinstance(decode(bytes(body)), Envelope)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x91" * 100_000 + b"\xc0", id="nesting"),
        pytest.param(b"\x98\x03\x01" + b"\x91" * 100_000, id="nesting in a field"),
        pytest.param(
            b"\x99\x03\x01\xa0\xc0\xa0\xa0\xc0\xc4\x00" + b"\x91" * 100_000 + b"\xc0",
            id="nesting in a new field",
        ),
        pytest.param(b"\x92\x03" + b"\xdd\xff\xff\xff\xff", id="array of 4 G"),
        pytest.param(b"\x97\x03\x01\xa0\xc0\xa0\xa0\xdf\xff\xff\xff\xff", id="map of 4 G"),
        pytest.param(b"\x93\x03\x01\xdb\xff\xff\xff\xff", id="text of 4 G"),
        pytest.param(b"\x98\x03\x01\xa0\xc0\xa0\xa0\xc0\xc6\xff\xff\xff\xff", id="payload of 4 G"),
        pytest.param(b"\x91\x09\x00", id="trailing bytes"),
        pytest.param(b"\x93\x03\x01\xa1\xff", id="not UTF-8"),
        pytest.param(b"\x90", id="no kind"),
        pytest.param(b"\x91\x00", id="unknown kind"),
        pytest.param(b"\x92\x03\xff", id="negative id"),
        pytest.param(b"\x92\x03\xcf" + b"\xff" * 8, id="id that no signed number holds"),
        pytest.param(b"\x94\x03\x01\xa0\xcb\x7f\xf8" + bytes(6), id="deadline that is not a number"),
        pytest.param(b"\x94\x03\x01\xa0\xcb\xbf\xf0" + bytes(6), id="negative deadline"),
        pytest.param(b"\x81\x00\x03", id="a map"),
        pytest.param(b"\xc1", id="no MessagePack"),
    ],
)
def test_a_hostile_body_is_malformed(body):
    with pytest.raises(MalformedMessage):
        decode(body)
    with pytest.raises(MalformedMessage):
        read_all(FrameReader(), frame(body))


@pytest.mark.parametrize(
    ("limit", "data"),
    [
        pytest.param(DATA_LIMIT, b"\xff\xff\xff\xff", id="4 G"),
        pytest.param(DATA_LIMIT, struct.pack("<I", DATA_LIMIT + 1), id="one too many"),
        pytest.param(DATA_LIMIT, struct.pack("<I", 0), id="none"),
        pytest.param(4096, struct.pack("<I", 4097), id="in a handshake"),
        pytest.param(
            DATA_LIMIT, struct.pack("<I", CONTROL_LIMIT + 1) + b"\x98\x07\x01\x00", id="long CANCEL"
        ),
        pytest.param(
            DATA_LIMIT, struct.pack("<I", CONTROL_LIMIT + 1) + b"\xdc\x00\x20\x06", id="long NOTIFY"
        ),
        pytest.param(DATA_LIMIT, struct.pack("<I", CONTROL_LIMIT + 1) + b"\x81\x03\x01\x00", id="long map"),
    ],
)
def test_a_length_is_refused_before_memory_is_given(limit, data):
    reader = FrameReader(limit)
    tracemalloc.start()
    try:
        with pytest.raises(MalformedMessage, match="announced"):
            read_all(reader, data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_metadata_cannot_fill_a_data_frame():
    meta = msgspec.msgpack.encode({f"{n:x}": "" for n in range(300_000)})
    body = b"\x98\x03\x01\xa0\xc0\xa0\xa0" + meta + b"\xc4\x00"
    assert len(body) > CONTROL_LIMIT
    tracemalloc.start()
    try:
        with pytest.raises(MalformedMessage, match="around its payload"):
            decode(body)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_frame_of_sixteen_mebibytes_of_empty_maps_is_refused_cheaply():
    body = b"\x98\x03\x01\xa0\xc0\xa0\xa0\xc0\xdd" + struct.pack(">I", 15 << 20) + b"\x80" * (15 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(MalformedMessage):
            decode(body)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_frame_that_is_too_long_is_not_sent():
    for kind, size in ((Kind.REQUEST, DATA_LIMIT), (Kind.NOTIFY, CONTROL_LIMIT)):
        with pytest.raises(TransportError, match=kind.name) as caught:
            encode(Envelope(kind, 1, payload=memoryview(bytes(size))))
        assert caught.value.code == "SYM-T005"


def test_a_frame_as_long_as_allowed_is_sent_and_read():
    around = (
        sum(map(len, encode(Envelope(Kind.REQUEST, 1, payload=memoryview(bytes(1 << 20)))))) - (1 << 20) - 4
    )
    sent = Envelope(Kind.REQUEST, 1, payload=memoryview(bytes(DATA_LIMIT - around)))
    data = b"".join(encode(sent))
    assert len(data) == DATA_LIMIT + 4
    assert read_all(FrameReader(), data, range(100_000, len(data), 100_000)) == [sent]


def test_text_that_is_not_unicode_cannot_be_encoded():
    with pytest.raises(TransportError) as caught:
        encode(Envelope(Kind.REQUEST, 1, idempotency_key="\ud800"))
    assert caught.value.code == "SYM-T011"


def test_the_numbers_of_the_kinds_never_change():
    assert {kind.name: kind.value for kind in Kind} == {
        "HELLO": 1,
        "WELCOME": 2,
        "REQUEST": 3,
        "RESPONSE": 4,
        "ERROR": 5,
        "NOTIFY": 6,
        "CANCEL": 7,
        "PING": 8,
        "PONG": 9,
        "PUBLISH": 10,
        "ITEM": 11,
        "CREDIT": 12,
    }
    golden = bytes.fromhex("9b0301a5642e782f31cb3ff8000000000000a0a0c0a0a000c402c0c1")
    sent = Envelope(Kind.REQUEST, 1, "d.x/1", 1.5, payload=memoryview(b"\xc0\xc1"))
    assert b"".join(encode(sent)) == struct.pack("<I", len(golden)) + golden

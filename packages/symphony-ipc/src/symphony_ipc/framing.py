"""Frames: a length of four bytes, little-endian, then an envelope in MessagePack.

What comes in is from a process that may be broken or hostile. A length is checked before memory is given
for it, and everything that can go wrong while decoding leaves this module as `MalformedMessage`.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Any, Final, TypeVar

import msgspec
from symphony_sdk.errors import MalformedMessage, TransportError

from symphony_ipc.envelope import DATA_KINDS, EMPTY, Envelope

T = TypeVar("T")
Buffer = bytes | memoryview

RECEIVE_LIMIT: Final = 512 << 10
"""Bytes that are received at once: a peer that fills its socket while it is read keeps nobody waiting."""

CONTROL_LIMIT: Final = 1 << 20
"""Bytes that a frame may have, and that everything around the payload of a data frame may have."""

DATA_LIMIT: Final = 16 << 20
"""Bytes that a frame may have which carries data: a request, an answer, an item, a published message."""

_LENGTH: Final = Struct("<I")
_BIN32: Final = Struct(">BI")
_EMPTY_BIN: Final = b"\xc4\x00"
_KIND_BYTES: Final = 4  # an array header of one or three bytes, then the kind
_READ_BUFFER: Final = 64 << 10
_COPIED: Final = 32 << 10  # a longer frame is read into memory of its own
_SEPARATE: Final = 64 << 10  # a longer payload is sent from where it is

DECODING_FAILURES: Final = (
    msgspec.MsgspecError,
    UnicodeDecodeError,
    RecursionError,
    ValueError,
    OverflowError,
)
"""Everything that msgspec raises for bytes that it cannot decode."""


class _Outline(msgspec.Struct, array_like=True, gc=False):
    """An envelope of which nothing is built but the view of its payload."""

    kind: msgspec.Raw
    id: msgspec.Raw = msgspec.Raw()
    type: msgspec.Raw = msgspec.Raw()
    deadline: msgspec.Raw = msgspec.Raw()
    traceparent: msgspec.Raw = msgspec.Raw()
    idempotency_key: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.Raw()
    to: msgspec.Raw = msgspec.Raw()
    group: msgspec.Raw = msgspec.Raw()
    credit: msgspec.Raw = msgspec.Raw()
    payload: memoryview = EMPTY


_ENCODER: Final = msgspec.msgpack.Encoder()
_ENVELOPE: Final = msgspec.msgpack.Decoder(Envelope)
_OUTLINE: Final = msgspec.msgpack.Decoder(_Outline)


def encode(envelope: Envelope, max_frame: int = DATA_LIMIT) -> tuple[Buffer, ...]:
    """The frame of an envelope, as buffers to be sent one after the other.

    A short frame is one buffer. A long payload is a buffer of its own and is not copied.

    Args:
        envelope: What to send.
        max_frame: Bytes that the peer accepts in a frame.

    Raises:
        TransportError: The frame would be too long (`SYM-T005`), or a field has a value that cannot be
            encoded (`SYM-T011`).
    """
    payload = envelope.payload
    if len(payload) < _SEPARATE:
        try:
            body = _ENCODER.encode(envelope)
        except (TypeError, ValueError, OverflowError) as error:
            raise _unencodable(envelope, error) from error
        length = len(body)
        if length > max_frame or length > CONTROL_LIMIT:
            _check_size(envelope, length, max_frame)
        return (_LENGTH.pack(length) + body,)
    try:
        around = _ENCODER.encode(msgspec.structs.replace(envelope, payload=EMPTY))
    except (TypeError, ValueError, OverflowError) as error:
        raise _unencodable(envelope, error) from error
    head = around.removesuffix(_EMPTY_BIN)
    length = len(head) + _BIN32.size + len(payload)
    _check_size(envelope, length, max_frame)
    return (_LENGTH.pack(length) + head + _BIN32.pack(0xC6, len(payload)), payload)


def decode(frame: bytes | bytearray | memoryview) -> Envelope:
    """The envelope in a frame, without the length in front of it.

    Args:
        frame: Bytes from the peer. The payload of the result is a view of them.

    Raises:
        MalformedMessage: The bytes are not an envelope.
    """
    if len(frame) > CONTROL_LIMIT:
        outline = decode_typed(_OUTLINE, frame, "a frame")
        around = len(frame) - len(outline.payload)
        if around > CONTROL_LIMIT:
            raise MalformedMessage(
                f"a frame has {around:,} bytes around its payload; {CONTROL_LIMIT:,} are allowed",
                hint="Data belongs into the payload of a message, not into its metadata.",
            )
    try:
        return _ENVELOPE.decode(frame)
    except DECODING_FAILURES as error:
        raise undecodable(frame, "a frame", error) from error


def decode_typed(decoder: msgspec.msgpack.Decoder[T], data: bytes | bytearray | memoryview, what: str) -> T:
    """Decode bytes from the peer; every way in which that can fail becomes `MalformedMessage`.

    Args:
        decoder: Decoder of a type; never of `Any`, as a few bytes could then ask for a lot of memory.
        data: Bytes from the peer.
        what: What they are to be, for the message.

    Raises:
        MalformedMessage: The bytes are not of the decoder's type.
    """
    try:
        return decoder.decode(data)
    except DECODING_FAILURES as error:
        raise undecodable(data, what, error) from error


class FrameReader:
    """Cuts a stream of bytes into envelopes, for blocking sockets and for `asyncio.BufferedProtocol`.

    Bytes are received into `get_buffer()`; then `received(count)` gives the envelopes that they complete.
    The payload of an envelope is never overwritten: short frames are copied out of the read buffer, long
    ones are received into memory of their own.

    Args:
        max_frame: Bytes that a frame may have; may be changed between two frames.
    """

    def __init__(self, max_frame: int = DATA_LIMIT) -> None:
        self.max_frame = max_frame
        self._view = memoryview(bytearray(_READ_BUFFER))
        self._start = 0
        self._end = 0
        self._long: memoryview | None = None
        self._filled = 0

    def get_buffer(self) -> memoryview:
        """Where to receive the next bytes; never empty."""
        if self._long is not None:
            return self._long[self._filled : self._filled + RECEIVE_LIMIT]
        return self._view[self._end :]

    def received(self, count: int) -> Iterator[Envelope]:
        """The envelopes that are complete now; to be iterated to its end before more is received.

        Args:
            count: Bytes that were received into `get_buffer()`.

        Raises:
            MalformedMessage: The next bytes are not a frame; the stream cannot be read any further.
        """
        if self._long is not None:
            self._filled += count
            if self._filled == len(self._long):
                frame, self._long = self._long, None
                yield decode(frame)
            return
        self._end += count
        while self._start < self._end and (body := self._next()) is not None:
            yield decode(body)
        if self._start == self._end:
            self._start = self._end = 0
        elif len(self._view) - self._start < _COPIED + _LENGTH.size:
            rest = self._end - self._start
            self._view[:rest] = self._view[self._start : self._end]
            self._start, self._end = 0, rest

    def _next(self) -> bytes | None:
        start = self._start + _LENGTH.size
        available = self._end - start
        if available < 0:
            return None
        (length,) = _LENGTH.unpack_from(self._view, self._start)
        if length > self.max_frame or length == 0:
            raise MalformedMessage(
                f"a frame of {length:,} bytes was announced; 1 to {self.max_frame:,} are allowed here",
                hint="Larger values travel as artifacts.",
            )
        if length > CONTROL_LIMIT:
            if available < _KIND_BYTES:
                return None
            self._check_kind(start, length)
        if available >= length:
            self._start = start + length
            return self._view[start : self._start].tobytes()
        if length > _COPIED:
            self._long = memoryview(bytearray(length))
            self._long[:available] = self._view[start : self._end]
            self._filled = available
            self._start = self._end = 0
        return None

    def _check_kind(self, start: int, length: int) -> None:
        header = self._view[start]
        kind = self._view[start + 1] if header & 0xF0 == 0x90 else self._view[start + 3]
        if (header & 0xF0 != 0x90 and header != 0xDC) or kind not in DATA_KINDS:
            raise MalformedMessage(
                f"a frame of {length:,} bytes was announced that carries no data; "
                f"{CONTROL_LIMIT:,} bytes are allowed for it",
            )


def undecodable(data: bytes | bytearray | memoryview, what: str, error: Exception) -> MalformedMessage:
    """What any of `DECODING_FAILURES` becomes.

    Args:
        data: Bytes from the peer.
        what: What they are to be.
        error: Why they are not.
    """
    return MalformedMessage(
        f"{what} of {len(data):,} bytes cannot be decoded: {error}",
        hint="Both ends must run compatible versions of Symphony; see `symphony doctor`.",
    )


def _unencodable(envelope: Envelope, error: Exception) -> TransportError:
    return TransportError(
        f"the envelope of a {envelope.type!r} cannot be encoded: {error}",
        code="SYM-T011",
        hint="Trace context, idempotency key and metadata are text.",
    )


def _check_size(envelope: Envelope, length: int, max_frame: int) -> None:
    limit = max_frame if envelope.kind in DATA_KINDS else min(max_frame, CONTROL_LIMIT)
    if length > limit:
        raise TransportError(
            f"a {envelope.kind.name} of type {envelope.type!r} has {length:,} bytes; {limit:,} are allowed",
            code="SYM-T005",
            hint="Store large values as artifacts and send their references.",
            details={"type": envelope.type, "bytes": length, "limit": limit},
        )


def describe(value: Any) -> str:
    """A short text of a value from the peer that is safe to put into an error."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

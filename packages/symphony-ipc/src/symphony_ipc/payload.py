"""Payloads: typed messages and errors, as the bytes inside an envelope."""

from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec
from symphony_sdk.errors import (
    ErrorPayload,
    MalformedMessage,
    SymphonyError,
    TransportError,
    error_from_payload,
    payload_within,
)
from symphony_sdk.messages import MESSAGES, message_limit, message_type

from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import (
    CONTROL_LIMIT,
    DECODING_FAILURES,
    Buffer,
    decode_typed,
    describe,
    encode,
    undecodable,
)

MessageT = TypeVar("MessageT", bound=msgspec.Struct)

_ENCODER: Final = msgspec.msgpack.Encoder()
_ERROR: Final = msgspec.msgpack.Decoder(ErrorPayload)
_DECODERS: Final[dict[type[msgspec.Struct], tuple[msgspec.msgpack.Decoder[Any], int]]] = {}


def encode_payload(message: msgspec.Struct) -> memoryview:
    """Encode a message.

    Raises:
        TransportError: A field has a value that has no encoding (`SYM-T011`), or the message has more bytes
            than its type allows (`SYM-T005`).
    """
    try:
        payload = _ENCODER.encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TransportError(
            f"a message of type {message_type(message)!r} cannot be encoded: {error}",
            code="SYM-T011",
            hint="Messages hold JSON-like values, bytes, dates, dataclasses and Structs.",
        ) from error
    limit = message_limit(message)
    if len(payload) > limit:
        raise TransportError(
            f"a message of type {message_type(message)!r} has {len(payload):,} bytes; {limit:,} are allowed",
            code="SYM-T005",
            hint="Store large values as artifacts and send their references.",
            details={"type": message_type(message), "bytes": len(payload), "limit": limit},
        )
    return memoryview(payload)


def decode_payload(expected: type[MessageT], payload: memoryview) -> MessageT:
    """Decode a message of a known type.

    Args:
        expected: Class of the message.
        payload: Bytes from the peer.

    Raises:
        MalformedMessage: The bytes are not a message of this type, or more than it may have.
    """
    known = _DECODERS.get(expected)
    if known is None:
        known = _DECODERS[expected] = msgspec.msgpack.Decoder(expected), message_limit(expected)
    decoder, limit = known
    if len(payload) > limit:
        raise MalformedMessage(
            f"a message of type {message_type(expected)!r} has {len(payload):,} bytes; {limit:,} are allowed",
            hint="A few bytes can ask for a lot of memory; only types that carry data may be longer.",
        )
    try:
        message: MessageT = decoder.decode(payload)
    except DECODING_FAILURES as error:
        raise undecodable(payload, f"a message of type {message_type(expected)!r}", error) from error
    return message


def decode_message(name: str, payload: memoryview) -> msgspec.Struct:
    """Decode a message of any registered type.

    Args:
        name: Wire name that came with the payload.
        payload: Bytes from the peer.

    Raises:
        TransportError: No message of this name is registered here (`SYM-T006`).
        MalformedMessage: The bytes are not a message of the named type.
    """
    kind = MESSAGES.get(name)
    if kind is None:
        raise unknown_message(name, sorted(MESSAGES))
    return decode_payload(kind, payload)


def unknown_message(name: str, known: Iterable[str]) -> TransportError:
    """The error for a request of a type that is not served here.

    Args:
        name: Wire name of the request.
        known: Wire names of those that are served.
    """
    names = list(known)
    return TransportError(
        f"a message of type {describe(name)} is not known here; known are {', '.join(names) or 'none'}",
        code="SYM-T006",
        hint="Both ends must run versions of Symphony and of the extension that know the message.",
        details={"type": name[:256], "known": names},
    )


def answer_of(envelope: Envelope, response_type: type[MessageT]) -> MessageT:
    """The message in a RESPONSE, or the error in an ERROR.

    Args:
        envelope: What the peer answered.
        response_type: Class that the answer must have.

    Raises:
        SymphonyError: The one that the peer answered with.
        MalformedMessage: The answer is of another type or cannot be decoded.
    """
    if envelope.kind is Kind.ERROR:
        raise decode_error(envelope.payload)
    return _decode_expected(envelope, response_type)


def item_of(envelope: Envelope, item_type: type[MessageT]) -> MessageT | None:
    """The message in an ITEM of a stream; None where the stream has ended in order.

    Args:
        envelope: What the peer answered: ITEM, RESPONSE or ERROR.
        item_type: Class that an item must have.

    Raises:
        SymphonyError: The one that the peer ended the stream with.
        MalformedMessage: The item is of another type or cannot be decoded.
        TransportError: The peer answers with a single message (`SYM-T016`).
    """
    if envelope.kind is Kind.ITEM:
        return _decode_expected(envelope, item_type)
    if envelope.kind is Kind.ERROR:
        raise decode_error(envelope.payload)
    if envelope.type:
        raise TransportError(
            f"a stream was asked for, and the answer is a single {describe(envelope.type)}",
            code="SYM-T016",
            hint="Ask with `request`.",
        )
    return None


def decode_error(payload: memoryview) -> SymphonyError:
    """The error that a peer sent."""
    return error_from_payload(decode_typed(_ERROR, payload, "an error"))


def error_envelope(error: SymphonyError, call_id: int = 0) -> Envelope:
    """The ERROR that carries an error; one that is too large or cannot be encoded goes in a short form.

    Args:
        error: Why.
        call_id: The request that failed; 0 where it is the connection.
    """
    payload = payload_within(error, CONTROL_LIMIT // 2)
    return Envelope(Kind.ERROR, call_id, payload=memoryview(_ENCODER.encode(payload)))


def encode_error(call_id: int, error: SymphonyError) -> tuple[Buffer, ...]:
    """The frame that carries an error; see [error_envelope][symphony_ipc.payload.error_envelope].

    Args:
        call_id: The request that failed; 0 where it is the connection.
        error: Why.
    """
    return encode(error_envelope(error, call_id))


def _decode_expected(envelope: Envelope, expected: type[MessageT]) -> MessageT:
    if envelope.type != message_type(expected):
        raise MalformedMessage(
            f"the answer is of type {describe(envelope.type)}; expected {message_type(expected)!r}",
            hint="Both ends must run compatible versions; see `symphony doctor`.",
        )
    return decode_payload(expected, envelope.payload)

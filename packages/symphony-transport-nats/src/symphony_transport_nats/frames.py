"""Envelopes as the data of NATS messages, and back: what comes from the network is decoded here alone."""

from typing import Final

import msgspec
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import DATA_LIMIT, decode_typed
from symphony_ipc.framing import decode as decode_frame
from symphony_sdk.errors import ErrorPayload, MalformedMessage, SymphonyError, TransportError
from symphony_sdk.ports.bus import EndpointInfo

_ENCODER: Final = msgspec.msgpack.Encoder()
_ENDPOINTS: Final = msgspec.msgpack.Decoder(list[EndpointInfo])
_ORIGIN: Final = "nats.origin"
_ERROR_TEXT: Final = 4096  # characters kept of an error that is too large to be sent


def encode(envelope: Envelope, limit: int) -> bytes:
    """The data of the message that carries an envelope.

    Args:
        envelope: What to send.
        limit: Bytes that the server takes.

    Raises:
        TransportError: It is too long (`SYM-T005`), or cannot be encoded (`SYM-T011`).
    """
    try:
        data = _ENCODER.encode(envelope)
    except (TypeError, ValueError, OverflowError) as error:
        raise TransportError(
            f"the envelope of a {envelope.type!r} cannot be encoded: {error}",
            code="SYM-T011",
            hint="Trace context, idempotency key and metadata are text.",
        ) from error
    if len(data) > limit:
        raise TransportError(
            f"a {envelope.kind.name} of type {envelope.type!r} has {len(data):,} bytes; the NATS server takes {limit:,}",
            code="SYM-T005",
            hint="Store large values as artifacts and send their references, or raise `max_payload` of the server.",
            details={"type": envelope.type, "bytes": len(data), "limit": limit},
        )
    return data


def decode(data: bytes, *expected: Kind) -> Envelope:
    """The envelope in the data of a message.

    Args:
        data: From the network.
        expected: What it may be.

    Raises:
        MalformedMessage: It is no envelope, or none of those kinds.
    """
    if len(data) > DATA_LIMIT:
        raise MalformedMessage(f"a message of {len(data):,} bytes came from NATS; {DATA_LIMIT:,} are allowed")
    envelope = decode_frame(data)
    if envelope.kind not in expected:
        raise MalformedMessage(f"a {envelope.kind.name} came from NATS where it does not belong")
    return envelope


def failure(error: SymphonyError) -> Envelope:
    """The ERROR that carries an error; details that have no encoding are left out."""
    try:
        payload = _ENCODER.encode(error.payload())
    except (TypeError, ValueError, OverflowError, RecursionError):
        payload = _short(error)
    return Envelope(Kind.ERROR, payload=memoryview(payload))


def shortened(envelope: Envelope) -> Envelope:
    """An ERROR that is too long for the server, without what makes it long."""
    error = msgspec.msgpack.decode(envelope.payload, type=ErrorPayload)
    return Envelope(Kind.ERROR, payload=memoryview(_short(error)))


def _short(error: SymphonyError | ErrorPayload) -> bytes:
    def printable(text: str) -> str:
        return text[:_ERROR_TEXT].encode(errors="backslashreplace").decode()

    return _ENCODER.encode(
        ErrorPayload(error.code, printable(error.message), printable(error.hint), {"shortened": True})
    )


def signed(envelope: Envelope, node: str, number: int) -> Envelope:
    """A PUBLISH with its origin: the node, and a number that is unique there."""
    meta = {**(envelope.meta or {}), _ORIGIN: node}
    return msgspec.structs.replace(envelope, id=number, meta=meta, group="")


def unsigned(envelope: Envelope) -> str:
    """Take the origin out of a PUBLISH, and return it; empty where it has none."""
    meta = envelope.meta or {}
    origin = meta.pop(_ORIGIN, "")
    envelope.meta = meta or None
    return origin


def encode_endpoints(endpoints: list[EndpointInfo]) -> memoryview:
    """The payload that lists endpoints."""
    return memoryview(_ENCODER.encode(endpoints))


def decode_endpoints(payload: memoryview) -> list[EndpointInfo]:
    """The endpoints in a payload.

    Raises:
        MalformedMessage: It is no such list.
    """
    return decode_typed(_ENDPOINTS, payload, "a list of endpoints from NATS")

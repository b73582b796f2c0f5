"""The first exchange on a connection: who is there, which protocol, how long frames may be.

The end that connects says HELLO; the end that accepts answers WELCOME, or ERROR and closes. Nothing else is
read before that, no frame of it is longer than 4 KiB, and it has to be over within a second.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from struct import Struct as Layout
from time import monotonic
from typing import Final, Protocol

import msgspec
from symphony_sdk.errors import MalformedMessage, PeerGone, SymphonyError, TransportError

from symphony_ipc.envelope import PROTOCOL_MAX, PROTOCOL_MIN, Envelope, Kind
from symphony_ipc.framing import CONTROL_LIMIT, DATA_LIMIT, Buffer, decode, decode_typed, describe, encode
from symphony_ipc.payload import decode_error, encode_error

HANDSHAKE_LIMIT: Final = 4096
"""Bytes of a frame before the handshake is over."""

HANDSHAKE_TIMEOUT: Final = 1.0
"""Seconds that the handshake may take."""

_MAGIC: Final = "symphony"
_LENGTH: Final = Layout("<I")


class StreamSocket(Protocol):
    """What a blocking connection uses of a connected stream socket; what is none may act as one."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Say how long each call may wait; None for no bound."""

    def recv(self, size: int, /) -> bytes:
        """Receive at least one byte and at most so many; none at the end."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Receive at least one byte into a buffer; 0 at the end."""

    def sendall(self, data: Buffer, /) -> None:
        """Send all of some bytes."""

    def sendmsg(self, buffers: Sequence[Buffer], /) -> int:
        """Send several buffers, one after the other, as many of their bytes as can be, and count them."""

    def shutdown(self, how: int, /) -> None:
        """End the connection: whoever waits in another thread returns."""

    def close(self) -> None:
        """Give it back."""


class Endpoint(msgspec.Struct, frozen=True):
    """What one end of a connection says of itself and demands of the other.

    Args:
        name: What it is called in errors and logs, such as `host` or the id of an extension.
        token: The secret that the connecting end shows and the accepting end demands.
        max_frame: Bytes of the longest frame that it accepts.
        protocol_min: Oldest protocol that it speaks.
        protocol_max: Newest protocol that it speaks.
        timeout: Seconds that the handshake may take.
    """

    name: str
    token: bytes = b""
    max_frame: int = DATA_LIMIT
    protocol_min: int = PROTOCOL_MIN
    protocol_max: int = PROTOCOL_MAX
    timeout: float = HANDSHAKE_TIMEOUT


class Session(msgspec.Struct, frozen=True):
    """What the two ends agreed on.

    Args:
        peer: Name of the other end.
        pid: Process id of the other end, as it says itself.
        protocol: Version of the protocol that both speak.
        max_frame: Bytes of the longest frame that both accept.
        id: Id of this connection, for logs of both ends.
    """

    peer: str
    pid: int
    protocol: int
    max_frame: int
    id: str


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """Payload of HELLO; fields are only ever added at the end."""

    magic: str
    protocol_min: int
    protocol_max: int
    name: str
    pid: int
    token: bytes
    max_frame: int


class Welcome(msgspec.Struct, array_like=True, frozen=True):
    """Payload of WELCOME; fields are only ever added at the end."""

    protocol: int
    max_frame: int
    session: str
    name: str
    pid: int


_HELLO: Final = msgspec.msgpack.Decoder(Hello)
_WELCOME: Final = msgspec.msgpack.Decoder(Welcome)


def hello(endpoint: Endpoint) -> Envelope:
    """What the connecting end says first."""
    payload = Hello(
        _MAGIC,
        endpoint.protocol_min,
        endpoint.protocol_max,
        endpoint.name,
        os.getpid(),
        endpoint.token,
        endpoint.max_frame,
    )
    return Envelope(Kind.HELLO, payload=memoryview(msgspec.msgpack.encode(payload)))


def welcome(envelope: Envelope, endpoint: Endpoint) -> tuple[Envelope, Session]:
    """What the accepting end answers, and what is agreed with it.

    Args:
        envelope: The first one of the connecting end.
        endpoint: The accepting end.

    Raises:
        MalformedMessage: It is not a HELLO of Symphony.
        TransportError: The token is wrong (`SYM-T008`) or there is no common protocol (`SYM-T007`).
    """
    # Imported here because a worker never accepts, and hmac loads OpenSSL.
    from hmac import compare_digest

    said = decode_typed(_HELLO, _payload_of(envelope, Kind.HELLO), "a HELLO")
    if said.magic != _MAGIC:
        raise MalformedMessage(
            f"the peer greets with {describe(said.magic)}; expected {_MAGIC!r}",
            hint="Something that is not Symphony connected here.",
        )
    if not compare_digest(said.token, endpoint.token):
        raise TransportError(
            f"{describe(said.name)} did not show the token that {endpoint.name!r} gave out",
            code="SYM-T008",
            hint="Only processes that Symphony itself started may connect.",
        )
    protocol = min(said.protocol_max, endpoint.protocol_max)
    if protocol < max(said.protocol_min, endpoint.protocol_min):
        theirs = f"{said.protocol_min} to {said.protocol_max}"
        ours = f"{endpoint.protocol_min} to {endpoint.protocol_max}"
        raise TransportError(
            f"{describe(said.name)} speaks protocol {theirs}, {endpoint.name!r} speaks {ours}",
            code="SYM-T007",
            hint="Install the same version of symphony-ipc for both ends.",
            details={"theirs": theirs, "ours": ours},
        )
    max_frame = _agreed_frame(said.max_frame, endpoint)
    session = Session(said.name, said.pid, protocol, max_frame, os.urandom(8).hex())
    payload = Welcome(protocol, max_frame, session.id, endpoint.name, os.getpid())
    return Envelope(Kind.WELCOME, payload=memoryview(msgspec.msgpack.encode(payload))), session


def welcomed(envelope: Envelope, endpoint: Endpoint) -> Session:
    """What was agreed, as the connecting end learns it.

    Args:
        envelope: The first one of the accepting end.
        endpoint: The connecting end.

    Raises:
        SymphonyError: What the accepting end refused with.
        MalformedMessage: It is not a WELCOME, or agrees to what was not offered.
    """
    if envelope.kind is Kind.ERROR:
        raise decode_error(envelope.payload)
    said = decode_typed(_WELCOME, _payload_of(envelope, Kind.WELCOME), "a WELCOME")
    if not endpoint.protocol_min <= said.protocol <= endpoint.protocol_max:
        raise MalformedMessage(
            f"{describe(said.name)} chose protocol {said.protocol}; "
            f"{endpoint.protocol_min} to {endpoint.protocol_max} were offered",
        )
    return Session(said.name, said.pid, said.protocol, _agreed_frame(said.max_frame, endpoint), said.session)


def connect_blocking(sock: StreamSocket, endpoint: Endpoint) -> Session:
    """Shake hands as the connecting end.

    Args:
        sock: A connected stream socket; nothing past the handshake is read from it.
        endpoint: This end.

    Raises:
        TransportError: The other end refused, was silent, went away, or is not Symphony.
    """
    deadline = monotonic() + endpoint.timeout
    try:
        sock.settimeout(endpoint.timeout)
        sock.sendall(b"".join(encode(hello(endpoint), HANDSHAKE_LIMIT)))
        return welcomed(_read_frame(sock, deadline), endpoint)
    except OSError as error:
        raise _not_shaken(error, endpoint) from error
    finally:
        sock.settimeout(None)


def accept_blocking(sock: StreamSocket, endpoint: Endpoint) -> Session:
    """Shake hands as the accepting end; a peer that is refused is told why.

    Args:
        sock: A connected stream socket; nothing past the handshake is read from it.
        endpoint: This end.

    Raises:
        TransportError: The other end was refused, was silent, went away, or is not Symphony.
    """
    deadline = monotonic() + endpoint.timeout
    try:
        sock.settimeout(endpoint.timeout)
        try:
            answer, session = welcome(_read_frame(sock, deadline), endpoint)
        except SymphonyError as refusal:
            with suppress(OSError):  # the reason for the refusal matters more than whether it arrives
                sock.sendall(b"".join(encode_error(0, refusal)))
            raise
        sock.sendall(b"".join(encode(answer, HANDSHAKE_LIMIT)))
    except OSError as error:
        raise _not_shaken(error, endpoint) from error
    finally:
        sock.settimeout(None)
    return session


def silent_peer(endpoint: Endpoint) -> TransportError:
    """The error for a peer that did not shake hands in time."""
    return TransportError(
        f"the peer of {endpoint.name!r} did not shake hands within {endpoint.timeout:g} s",
        code="SYM-T012",
        hint="It hangs, or is not a process of Symphony.",
    )


def _agreed_frame(theirs: int, endpoint: Endpoint) -> int:
    if theirs < CONTROL_LIMIT:
        raise MalformedMessage(
            f"the peer accepts frames of {theirs:,} bytes; at least {CONTROL_LIMIT:,} are expected"
        )
    return min(theirs, endpoint.max_frame)


def _payload_of(envelope: Envelope, kind: Kind) -> memoryview:
    if envelope.kind is not kind:
        raise MalformedMessage(f"the peer opened with {envelope.kind.name}; expected {kind.name}")
    return envelope.payload


def _read_frame(sock: StreamSocket, deadline: float) -> Envelope:
    (length,) = _LENGTH.unpack(_read(sock, _LENGTH.size, deadline))
    if not 0 < length <= HANDSHAKE_LIMIT:
        raise MalformedMessage(
            f"a handshake of {length:,} bytes was announced; 1 to {HANDSHAKE_LIMIT:,} are allowed"
        )
    return decode(_read(sock, length, deadline))


def _read(sock: StreamSocket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        part = sock.recv(size - len(data))
        if not part:
            raise ConnectionResetError("the peer closed the connection")
        data += part
    return data


def _not_shaken(error: OSError, endpoint: Endpoint) -> TransportError:
    if isinstance(error, TimeoutError):
        return silent_peer(endpoint)
    return PeerGone(f"the peer of {endpoint.name!r} went away during the handshake: {error}")

"""The handshake: both kinds of end against each other, and against what is not Symphony."""

import asyncio
import socket
import struct
import threading

import msgspec
import pytest
from symphony_ipc.blocking import BlockingConnection
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import CONTROL_LIMIT, encode
from symphony_ipc.handshake import Endpoint, Welcome, accept_blocking, connect_blocking
from symphony_ipc.sockets import from_socket
from symphony_sdk.errors import MalformedMessage, PeerGone, SymphonyError, TransportError


def shake(ours, theirs, *, accepts_async, connects_async):
    """What each end has in the end: its session or its error."""

    async def async_end(sock, endpoint, accepts):
        try:
            connection = await from_socket(sock, endpoint, accepts=accepts)
        except SymphonyError as error:
            return error
        await connection.close()
        return connection.session

    def blocking_end(sock, endpoint, accepts):
        try:
            shaken = (BlockingConnection.accept if accepts else BlockingConnection.connect)(sock, endpoint)
        except SymphonyError as error:
            return error
        shaken.close()
        return shaken.session

    async def main():
        ends = []
        a, b = socket.socketpair()
        for sock, endpoint, accepts, is_async in (
            (a, ours, True, accepts_async),
            (b, theirs, False, connects_async),
        ):
            ends.append(
                async_end(sock, endpoint, accepts)
                if is_async
                else asyncio.to_thread(blocking_end, sock, endpoint, accepts)
            )
        return await asyncio.gather(*ends)

    return asyncio.run(main())


both_kinds = [
    pytest.mark.parametrize("accepts_async", [True, False], ids=["async accepts", "blocking accepts"]),
    pytest.mark.parametrize("connects_async", [True, False], ids=["async connects", "blocking connects"]),
]


def each_kind(function):
    for mark in both_kinds:
        function = mark(function)
    return function


@each_kind
def test_two_ends_agree_on_a_session(accepts_async, connects_async):
    accepted, connected = shake(
        Endpoint("host", b"t", timeout=30),
        Endpoint("worker", b"t", max_frame=2 << 20, timeout=30),
        accepts_async=accepts_async,
        connects_async=connects_async,
    )
    assert (accepted.peer, connected.peer) == ("worker", "host")
    assert accepted.id == connected.id
    assert accepted.max_frame == connected.max_frame == 2 << 20
    assert accepted.protocol == connected.protocol == 1


@each_kind
def test_a_wrong_token_is_refused_and_the_peer_is_told(accepts_async, connects_async):
    accepted, connected = shake(
        Endpoint("host", b"right", timeout=30),
        Endpoint("worker", b"wrong", timeout=30),
        accepts_async=accepts_async,
        connects_async=connects_async,
    )
    assert accepted.code == connected.code == "SYM-T008"
    assert "right" not in repr(connected.payload())


@each_kind
def test_without_a_common_protocol_both_ranges_are_named(accepts_async, connects_async):
    accepted, connected = shake(
        Endpoint("host", protocol_min=4, protocol_max=6, timeout=30),
        Endpoint("worker", protocol_min=2, protocol_max=3, timeout=30),
        accepts_async=accepts_async,
        connects_async=connects_async,
    )
    for error in (accepted, connected):
        assert error.code == "SYM-T007"
        assert "2 to 3" in error.message
        assert "4 to 6" in error.message


@each_kind
def test_the_newest_common_protocol_is_chosen(accepts_async, connects_async):
    accepted, connected = shake(
        Endpoint("host", protocol_max=6, timeout=30),
        Endpoint("worker", protocol_min=2, protocol_max=4, timeout=30),
        accepts_async=accepts_async,
        connects_async=connects_async,
    )
    assert accepted.protocol == connected.protocol == 4


def against(data, *, accepts, is_async, timeout=30.0, close=False):
    """The error of an end whose peer sends `data`."""
    ours, theirs = socket.socketpair()
    endpoint = Endpoint("host", timeout=timeout)
    with theirs:
        theirs.sendall(data)
        if close:
            theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(TransportError) as caught:
            if is_async:
                asyncio.run(from_socket(ours, endpoint, accepts=accepts))
            else:
                (BlockingConnection.accept if accepts else BlockingConnection.connect)(ours, endpoint)
    assert ours.fileno() == -1, "it is closed"
    return caught.value


is_async = pytest.mark.parametrize("is_async", [True, False], ids=["async", "blocking"])
accepts = pytest.mark.parametrize("accepts", [True, False], ids=["accepts", "connects"])


@is_async
@accepts
def test_a_silent_peer_is_given_up(is_async, accepts):
    error = against(b"\x10\x00\x00\x00\x91", accepts=accepts, is_async=is_async, timeout=0.05)
    assert error.code == "SYM-T012"


@is_async
@accepts
def test_a_peer_that_leaves_is_gone(is_async, accepts):
    error = against(b"\x10\x00", accepts=accepts, is_async=is_async, close=True)
    assert isinstance(error, PeerGone)


@is_async
@accepts
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="HTTP"),
        pytest.param(struct.pack("<I", 4097) + bytes(100), id="too long"),
        pytest.param(struct.pack("<I", 0), id="empty"),
        pytest.param(struct.pack("<I", 2) + b"\xc1\xc1", id="no MessagePack"),
        pytest.param(b"".join(encode(Envelope(Kind.PING, 1))), id="PING"),
        pytest.param(b"".join(encode(Envelope(Kind.HELLO))), id="empty HELLO"),
        pytest.param(b"".join(encode(Envelope(Kind.WELCOME))), id="empty WELCOME"),
        pytest.param(
            b"".join(
                encode(
                    Envelope(
                        Kind.HELLO,
                        payload=memoryview(
                            msgspec.msgpack.encode(["other", 1, 1, "n", 1, b"", CONTROL_LIMIT])
                        ),
                    )
                )
            ),
            id="other magic",
        ),
        pytest.param(
            b"".join(
                encode(
                    Envelope(
                        Kind.HELLO,
                        payload=memoryview(msgspec.msgpack.encode(["symphony", 1, 1, "n", 1, b"", 100])),
                    )
                )
            ),
            id="frames of 100 bytes",
        ),
        pytest.param(
            b"".join(
                encode(
                    Envelope(
                        Kind.WELCOME,
                        payload=memoryview(msgspec.msgpack.encode(Welcome(9, CONTROL_LIMIT, "s", "n", 1))),
                    )
                )
            ),
            id="protocol that was not offered",
        ),
    ],
)
def test_what_is_not_a_handshake_is_malformed(is_async, accepts, data):
    assert isinstance(against(data, accepts=accepts, is_async=is_async), MalformedMessage)


def test_nothing_behind_the_handshake_is_read_by_it():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=accept_blocking, args=(theirs, Endpoint("b", timeout=30)))
        thread.start()
        connect_blocking(ours, Endpoint("a", timeout=30))
        thread.join()
        ours.sendall(b"after")
        assert theirs.recv(100) == b"after"
        assert theirs.gettimeout() is None

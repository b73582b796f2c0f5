"""A connection for a worker process: blocking, without asyncio, usable from many threads.

One thread, usually the main one, runs `serve` and does nothing but read, so that PING and CANCEL are taken
at once however busy the worker is. Requests are answered from any thread, and any other thread may ask the
host.
"""

import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

import msgspec
from symphony_sdk.errors import (
    DeadlineExceeded,
    MalformedMessage,
    PeerGone,
    SymphonyError,
    TransportError,
    foreign_error,
)
from symphony_sdk.messages import message_type

from symphony_ipc.envelope import TRACEPARENT, Envelope, Kind
from symphony_ipc.framing import Buffer, FrameReader, encode
from symphony_ipc.handshake import Endpoint, Session, accept_blocking, connect_blocking
from symphony_ipc.incoming import IncomingCall, RequestHandler
from symphony_ipc.payload import (
    MessageT,
    answer_of,
    decode_error,
    encode_error,
    encode_payload,
)
from symphony_ipc.window import Window

LAST_WORD: Final = 1.0
"""Seconds that the reason of the end waits for a sender that is in the middle of a frame."""

_URGENT_PONGS: Final = 16  # a peer that has more PINGs unanswered does not read the answers either


class _Asked:
    """A request of this end that waits for its answer."""

    __slots__ = ("abandoned", "answered", "envelope", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.abandoned = False
        self.answered = threading.Event()
        self.envelope: Envelope | None = None


class BlockingConnection:
    """One end of a connection, on a blocking socket that has shaken hands.

    Args:
        sock: A connected stream socket; the connection owns it.
        session: What the handshake agreed on.

    Attributes:
        session: What the handshake agreed on.
        ignored: Answers and notifications that belonged to no request that is under way.
    """

    def __init__(self, sock: socket.socket, session: Session) -> None:
        self.session = session
        self.ignored = 0
        self._peer = repr(session.peer)
        self._sock = sock
        self._send_lock = threading.Lock()
        self._urgent: deque[tuple[Buffer, ...]] = deque()
        self._lock = threading.Lock()
        self._window_moved = threading.Condition(self._lock)
        self._open = True
        self._reason: SymphonyError | None = None
        self._reader = 0
        self._last_id = 0
        self._asked: dict[int, _Asked] = {}
        self._asking = Window()
        self._calls: dict[int, IncomingCall] = {}
        self._answering = Window()

    @classmethod
    def connect(cls, sock: socket.socket, endpoint: Endpoint) -> "BlockingConnection":
        """Shake hands as the end that connects; closes `sock` if that fails.

        Raises:
            TransportError: The other end refused, was silent, or is not Symphony.
        """
        return cls(sock, _shake(connect_blocking, sock, endpoint))

    @classmethod
    def accept(cls, sock: socket.socket, endpoint: Endpoint) -> "BlockingConnection":
        """Shake hands as the end that accepts; closes `sock` if that fails.

        Raises:
            TransportError: The other end was refused, was silent, or is not Symphony.
        """
        return cls(sock, _shake(accept_blocking, sock, endpoint))

    def serve(self, handler: RequestHandler) -> None:
        """Read and dispatch until the connection ends, then tell `handler.closed` why.

        Args:
            handler: Takes requests and cancellations, all on this thread.
        """
        self._reader = threading.get_ident()
        reader = FrameReader(self.session.max_frame)
        try:
            while count := self._sock.recv_into(reader.get_buffer()):
                for envelope in reader.received(count):
                    self._dispatch(envelope, handler)
            self._end(self._broken(None))
        except MalformedMessage as error:
            self._say_last(encode_error(0, error))
            self._end(error)
        except SymphonyError as error:
            self._end(error)
        except OSError as error:
            self._end(self._broken(error))
        finally:
            self._end(None)
            self._close_socket()
        handler.closed(self._reason)

    def request(
        self, message: msgspec.Struct, response: type[MessageT], timeout: float | None = None
    ) -> MessageT:
        """Ask the peer and wait for its answer; not from the thread that serves.

        Args:
            message: A registered message.
            response: Type of the answer.
            timeout: Seconds; None for no bound.

        Raises:
            SymphonyError: What the peer raised.
            DeadlineExceeded: `timeout` passed; the peer is told to stop.
            PeerGone: The connection ended first.
            MalformedMessage: The answer is not of that type.
            TransportError: The message cannot be sent.
        """
        if threading.get_ident() == self._reader:
            raise TransportError(
                f"{message_type(message)!r} was asked from the thread that reads the answers",
                code="SYM-T013",
                hint="Answer the request from another thread, and ask from there.",
            )
        deadline = None if timeout is None else monotonic() + timeout
        payload = encode_payload(message)
        call_id, asked = self._enter(message, len(payload), deadline)
        try:
            left = None if deadline is None else max(deadline - monotonic(), 0)
            envelope = Envelope(
                Kind.REQUEST, call_id, message_type(message), left, TRACEPARENT.get(), payload=payload
            )
            self._send(encode(envelope, self.session.max_frame))
        except SymphonyError:
            self._leave(call_id)
            raise
        if not asked.answered.wait(None if deadline is None else deadline - monotonic()):
            asked.abandoned = True  # it stays in the window: the peer works on it until it answers
            self._send_urgent(encode(Envelope(Kind.CANCEL, call_id)))
            raise _too_late(message)
        if asked.envelope is None:
            raise self._gone()
        return answer_of(asked.envelope, response)

    def notify(self, message: msgspec.Struct, *, call_id: int = 0) -> None:
        """Tell the peer something that has no answer; waits while the peer does not read.

        Args:
            message: A registered message.
            call_id: The request of the peer that it belongs to; 0 where it belongs to none.

        Raises:
            TransportError: The message is too large or cannot be encoded.
            PeerGone: Nobody is there to take it.
        """
        envelope = Envelope(Kind.NOTIFY, call_id, message_type(message), payload=encode_payload(message))
        self._send(encode(envelope, self.session.max_frame))

    def close(self) -> None:
        """End the connection; what is under way fails, and `serve` returns. May be called from any thread."""
        self._end(None)
        if not self._reader:
            self._close_socket()

    def _close_socket(self) -> None:
        with self._send_lock:  # nobody is inside of a system call with a number that is free to be reused
            self._sock.close()

    def _dispatch(self, envelope: Envelope, handler: RequestHandler) -> None:
        kind = envelope.kind
        if kind is Kind.REQUEST:
            self._take(envelope, handler)
        elif kind is Kind.RESPONSE or (kind is Kind.ERROR and envelope.id):
            asked = self._leave(envelope.id)
            if asked is None or asked.abandoned:
                self.ignored += 1
            else:
                asked.envelope = envelope
                asked.answered.set()
        elif kind is Kind.PING:
            if len(self._urgent) < _URGENT_PONGS:
                self._send_urgent(encode(Envelope(Kind.PONG, envelope.id)))
        elif kind is Kind.CANCEL:
            if envelope.id in self._calls:
                handler.cancel(envelope.id)
        elif kind is Kind.ERROR:
            error = decode_error(envelope.payload)
            raise PeerGone(f"{self._peer} closed the connection: {error}", details={"code": error.code})
        elif kind is Kind.NOTIFY or kind is Kind.PONG:
            self.ignored += 1
        else:
            raise MalformedMessage(f"{self._peer} sent {kind.name} after the handshake")

    def answer(self, call: IncomingCall, frame: tuple[Buffer, ...]) -> None:
        """Send the answer of a request; `IncomingCall` does it.

        Raises:
            TransportError: The request has its answer already (`SYM-T014`).
        """
        with self._lock:
            if not self._open:
                return  # the handler has been told
            if self._calls.pop(call.id, None) is None:
                raise TransportError(
                    f"the request {call.id} ({call.type!r}) has its answer already",
                    code="SYM-T014",
                    hint="Answer each request once.",
                )
            self._answering.release(len(call.payload))
        with suppress(PeerGone):  # the handler will be told
            self._send(frame)

    def _take(self, envelope: Envelope, handler: RequestHandler) -> None:
        size = len(envelope.payload)
        call = IncomingCall(self, envelope)
        with self._lock:
            if call.id in self._calls:
                raise MalformedMessage(f"{self._peer} used the number {call.id} for two open requests")
            if not self._answering.admits(size):
                raise MalformedMessage(f"{self._peer} asks for more than the window of requests allows")
            self._answering.take(size)
            self._calls[call.id] = call
        try:
            handler.request(call)
        except Exception as error:  # noqa: BLE001 - the handler runs foreign code; the caller gets its error
            if call.id in self._calls:
                call.fail(foreign_error(error, call.type))

    def _enter(self, message: msgspec.Struct, size: int, deadline: float | None) -> tuple[int, _Asked]:
        with self._lock:
            while self._open and not self._asking.admits(size):
                if not self._window_moved.wait(None if deadline is None else deadline - monotonic()):
                    raise _too_late(message)
            if not self._open:
                raise self._gone()
            self._last_id += 1
            asked = self._asked[self._last_id] = _Asked(size)
            self._asking.take(size)
            return self._last_id, asked

    def _leave(self, call_id: int) -> _Asked | None:
        with self._lock:
            asked = self._asked.pop(call_id, None)
            if asked is not None:
                self._asking.release(asked.size)
                self._window_moved.notify_all()
            return asked

    def _send(self, frame: tuple[Buffer, ...]) -> None:
        try:
            with self._send_lock:
                self._write_urgent()
                self._write(frame)
                self._write_urgent()
        finally:
            self._flush_urgent()

    def _send_urgent(self, frame: tuple[Buffer, ...]) -> None:
        """Send before all who wait for the lock; if it is held, its holder sends the frame next."""
        self._urgent.append(frame)
        self._flush_urgent()

    def _say_last(self, frame: tuple[Buffer, ...]) -> None:
        """Send a frame before the end: a sender that holds the lock is waited for, unless it is stuck."""
        self._urgent.append(frame)
        if self._send_lock.acquire(timeout=LAST_WORD):
            try:
                with suppress(PeerGone):
                    self._write_urgent()
            finally:
                self._send_lock.release()

    def _flush_urgent(self) -> None:
        # Whoever appends while the lock is held may come too late for its holder: so each looks again.
        while self._urgent and self._send_lock.acquire(blocking=False):
            try:
                self._write_urgent()
            except PeerGone:
                self._urgent.clear()
            finally:
                self._send_lock.release()

    def _write_urgent(self) -> None:
        while self._urgent:
            self._write(self._urgent.popleft())

    def _write(self, frame: tuple[Buffer, ...]) -> None:
        if not self._open:
            raise self._gone()
        try:
            if len(frame) == 1:
                self._sock.sendall(frame[0])
            else:
                sent = self._sock.sendmsg(frame)
                for buffer in frame:
                    if sent < len(buffer):
                        self._sock.sendall(memoryview(buffer)[sent:])
                    sent = max(sent - len(buffer), 0)
        except OSError as error:
            self._end(self._broken(error))
            raise self._gone() from error

    def _broken(self, error: OSError | None) -> PeerGone:
        if error is None or isinstance(error, BrokenPipeError | ConnectionResetError):
            return PeerGone(f"{self._peer} closed the connection")
        return PeerGone(f"the connection to {self._peer} broke: {error}")

    def _gone(self) -> SymphonyError:
        if self._reason is None:
            return TransportError(
                f"the connection to {self._peer} is closed",
                code="SYM-T009",
                hint="It was closed by this process.",
            )
        reason = self._reason
        return type(reason)(reason.message, code=reason.code, hint=reason.hint, details=reason.details)

    def _end(self, reason: SymphonyError | None) -> None:
        with self._lock:
            if not self._open:
                return
            self._open = False
            self._reason = reason
            self._window_moved.notify_all()
            asked, self._asked = list(self._asked.values()), {}
            self._calls.clear()
        for one in asked:
            one.answered.set()
        with suppress(OSError):  # the peer was quicker
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that serves, and those that send


def _too_late(message: msgspec.Struct) -> DeadlineExceeded:
    return DeadlineExceeded(f"no answer to {message_type(message)!r} came before its deadline")


def _shake(
    shake: Callable[[socket.socket, Endpoint], Session], sock: socket.socket, endpoint: Endpoint
) -> Session:
    try:
        return shake(sock, endpoint)
    except TransportError:
        sock.close()
        raise

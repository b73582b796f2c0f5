"""A connection for a worker process: blocking, without asyncio, usable from many threads.

One thread, usually the main one, runs `serve` and does nothing but read, so that PING and CANCEL are taken
at once however busy the worker is. Requests are answered from any thread, and any other thread may ask the
host.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic

import msgspec
from symphony_sdk.errors import (
    Cancelled,
    DeadlineExceeded,
    MalformedMessage,
    PeerGone,
    SymphonyError,
    TransportError,
    foreign_error,
)
from symphony_sdk.messages import MESSAGES, message_type

from symphony_ipc.envelope import TRACEPARENT, Envelope, Kind
from symphony_ipc.framing import Buffer, FrameReader, encode
from symphony_ipc.handshake import Endpoint, Session, StreamSocket, accept_blocking, connect_blocking
from symphony_ipc.incoming import IncomingCall, RequestHandler
from symphony_ipc.payload import (
    MessageT,
    answer_of,
    decode_error,
    decode_message,
    encode_error,
    encode_payload,
    item_of,
)
from symphony_ipc.sending import Sender
from symphony_ipc.window import Window


class _Asked:
    """A request of this end that waits for its answers; None among them says that the connection ended."""

    __slots__ = ("abandoned", "answers", "credits", "size")

    def __init__(self, size: int, items: int) -> None:
        self.size = size
        self.credits = items
        self.abandoned = False
        self.answers: SimpleQueue[Envelope | None] = SimpleQueue()


class BlockingConnection:
    """One end of a connection, on a blocking socket that has shaken hands.

    Args:
        sock: A connected stream socket; the connection owns it.
        session: What the handshake agreed on.

    Attributes:
        session: What the handshake agreed on.
        ignored: Answers and notifications that belonged to no request that is under way.
    """

    def __init__(self, sock: StreamSocket, session: Session) -> None:
        self.session = session
        self.ignored = 0
        self._peer = repr(session.peer)
        self._sock = sock
        self._sender = Sender(sock, self._broke)
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
    def connect(cls, sock: StreamSocket, endpoint: Endpoint) -> "BlockingConnection":
        """Shake hands as the end that connects; closes `sock` if that fails.

        Raises:
            TransportError: The other end refused, was silent, or is not Symphony.
        """
        return cls(sock, _shake(connect_blocking, sock, endpoint))

    @classmethod
    def accept(cls, sock: StreamSocket, endpoint: Endpoint) -> "BlockingConnection":
        """Shake hands as the end that accepts; closes `sock` if that fails.

        Raises:
            TransportError: The other end was refused, was silent, or is not Symphony.
        """
        return cls(sock, _shake(accept_blocking, sock, endpoint))

    def serve(
        self, handler: RequestHandler, on_notify: Callable[[msgspec.Struct], None] | None = None
    ) -> None:
        """Read and dispatch until the connection ends, then tell `handler.closed` why.

        Args:
            handler: Takes requests and cancellations, all on this thread.
            on_notify: Takes notifications that belong to no request, on this thread; what it raises ends the
                connection and leaves this function.
        """
        self._reader = threading.get_ident()
        reader = FrameReader(self.session.max_frame)
        try:
            while count := self._sock.recv_into(reader.get_buffer()):
                for envelope in reader.received(count):
                    self._dispatch(envelope, handler, on_notify)
            self._end(self._broken(None))
        except MalformedMessage as error:
            self._sender.send_last(encode_error(0, error))
            self._end(error)
        except SymphonyError as error:
            self._end(error)
        except OSError as error:
            self._end(self._broken(error))
        finally:
            self._end(None)
            self._sender.close()
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
        deadline = None if timeout is None else monotonic() + timeout
        call_id, asked = self._ask(message, deadline, 0)
        return answer_of(self._next_answer(message, call_id, asked, deadline), response)

    def stream(
        self, message: msgspec.Struct, item: type[MessageT], *, timeout: float | None = None, window: int = 32
    ) -> Iterator[MessageT]:
        """Ask the peer for many messages; not from the thread that serves.

        The request is sent when the first of them is asked for. Closing the iterator ends the work there.

        Args:
            message: A registered message.
            item: Type of each message of the answer.
            timeout: Seconds for all of them; None for no bound.
            window: Items that the peer may be ahead of the one who takes them.

        Raises:
            SymphonyError: What the peer raised, after the items that came before.
            DeadlineExceeded: `timeout` passed; the peer is told to stop.
            PeerGone: The connection ended first.
            MalformedMessage: An item is not of that type.
            TransportError: The message cannot be sent, or the answer is a single message (`SYM-T016`).
        """
        deadline = None if timeout is None else monotonic() + timeout
        window = max(window, 1)
        call_id, asked = self._ask(message, deadline, window)
        taken = 0
        try:
            while True:
                came = item_of(self._next_answer(message, call_id, asked, deadline), item)
                if came is None:
                    return
                taken += 1
                if taken * 2 >= window:
                    self._give_credit(call_id, asked, taken)
                    taken = 0
                yield came
        finally:
            self._abandon(call_id, asked)

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
        self._sender.send(encode(envelope, self.session.max_frame))

    def close(self) -> None:
        """End the connection; what is under way fails, and `serve` returns. May be called from any thread."""
        self._end(None)
        if not self._reader:
            self._sender.close()

    def _dispatch(
        self,
        envelope: Envelope,
        handler: RequestHandler,
        on_notify: Callable[[msgspec.Struct], None] | None,
    ) -> None:
        kind = envelope.kind
        if kind is Kind.REQUEST:
            self._take(envelope, handler)
        elif kind is Kind.RESPONSE or (kind is Kind.ERROR and envelope.id):
            asked = self._leave(envelope.id)
            if asked is None or asked.abandoned:
                self.ignored += 1
            else:
                asked.answers.put(envelope)
        elif kind is Kind.PING:
            self._sender.send_pong(encode(Envelope(Kind.PONG, envelope.id)))
        elif kind is Kind.CANCEL:
            if (call := self._calls.get(envelope.id)) is not None:
                with self._lock:
                    call.cancelled = True
                    self._window_moved.notify_all()
                handler.cancel(envelope.id)
        elif kind is Kind.CREDIT:
            with self._lock:
                if (call := self._calls.get(envelope.id)) is not None:
                    call.credits += envelope.credit
                    self._window_moved.notify_all()
        elif kind is Kind.ITEM:
            self._take_item(envelope)
        elif kind is Kind.ERROR:
            error = decode_error(envelope.payload)
            raise PeerGone(f"{self._peer} closed the connection: {error}", details={"code": error.code})
        elif kind is Kind.NOTIFY and on_notify is not None and not envelope.id and envelope.type in MESSAGES:
            on_notify(decode_message(envelope.type, envelope.payload))
        elif kind is Kind.NOTIFY or kind is Kind.PONG or kind is Kind.PUBLISH:
            self.ignored += 1
        else:
            raise MalformedMessage(f"{self._peer} sent {kind.name} after the handshake")

    def send_item(self, call: IncomingCall, envelope: Envelope) -> None:
        """Send an item of a stream; `IncomingCall` does it.

        Raises:
            Cancelled: The peer wants no more of it.
            PeerGone: Nobody is there to take it.
            TransportError: The item is too large, or the request has its answer already (`SYM-T014`).
        """
        frame = encode(envelope, self.session.max_frame)
        with self._lock:
            self._window_moved.wait_for(
                lambda: call.credits or call.cancelled or self._calls.get(call.id) is not call
            )
            if not self._open:
                raise self._gone()
            if self._calls.get(call.id) is not call:
                raise _answered_already(call)
            if call.cancelled:
                raise Cancelled(f"{call.type!r} was cancelled by the one who asked for it")
            call.credits -= 1
        self._sender.send(frame)

    def answer(self, call: IncomingCall, frame: tuple[Buffer, ...]) -> None:
        """Send the answer of a request; `IncomingCall` does it.

        Raises:
            TransportError: The request has its answer already (`SYM-T014`).
        """
        with self._lock:
            if not self._open:
                return  # the handler has been told
            if self._calls.get(call.id) is not call:
                raise _answered_already(call)
            del self._calls[call.id]
            self._answering.release(len(call.payload))
            self._window_moved.notify_all()  # a thread that sends an item of it waits for nothing now
        with suppress(PeerGone):  # the handler will be told
            self._sender.send(frame)

    def _take(self, envelope: Envelope, handler: RequestHandler) -> None:
        size = len(envelope.payload)
        call = IncomingCall(self, envelope)
        with self._lock:
            if call.id in self._calls:
                raise MalformedMessage(f"{self._peer} used the number {call.id} for two open requests")
            if not self._answering.take(size):
                raise MalformedMessage(f"{self._peer} asks for more than the window of requests allows")
            self._calls[call.id] = call
        try:
            handler.request(call)
        except Exception as error:  # noqa: BLE001 - the handler runs foreign code; the caller gets its error
            if call.id in self._calls:
                call.fail(foreign_error(error, call.type))

    def _take_item(self, envelope: Envelope) -> None:
        with self._lock:
            asked = self._asked.get(envelope.id)
            if asked is not None:
                asked.credits -= 1
        if asked is None or asked.abandoned:
            self.ignored += 1
        elif asked.credits < 0:
            raise MalformedMessage(f"{self._peer} sent an item of its answer that it had no credit for")
        else:
            asked.answers.put(envelope)

    def _ask(self, message: msgspec.Struct, deadline: float | None, items: int) -> tuple[int, _Asked]:
        if threading.get_ident() == self._reader:
            raise TransportError(
                f"{message_type(message)!r} was asked from the thread that reads the answers",
                code="SYM-T013",
                hint="Answer the request from another thread, and ask from there.",
            )
        payload = encode_payload(message)
        call_id, asked = self._enter(message, _Asked(len(payload), items), deadline)
        try:
            envelope = Envelope(
                Kind.REQUEST,
                call_id,
                message_type(message),
                None if deadline is None else max(deadline - monotonic(), 0),
                TRACEPARENT.get(),
                credit=items,
                payload=payload,
            )
            if not self._sender.send(encode(envelope, self.session.max_frame), deadline):
                raise _too_late(message)
        except SymphonyError:
            self._leave(call_id)
            raise
        return call_id, asked

    def _next_answer(
        self, message: msgspec.Struct, call_id: int, asked: _Asked, deadline: float | None
    ) -> Envelope:
        try:
            envelope = asked.answers.get(timeout=None if deadline is None else max(deadline - monotonic(), 0))
        except Empty:
            self._abandon(call_id, asked)
            raise _too_late(message) from None
        if envelope is None:
            raise self._gone()
        return envelope

    def _give_credit(self, call_id: int, asked: _Asked, items: int) -> None:
        with self._lock:
            if call_id not in self._asked:
                return  # the last item is there already
            asked.credits += items
        with suppress(SymphonyError):  # the end is told where it comes: after the items in front of it
            self._sender.send(encode(Envelope(Kind.CREDIT, call_id, credit=items)))

    def _abandon(self, call_id: int, asked: _Asked) -> None:
        with self._lock:
            if asked.abandoned or call_id not in self._asked:
                return
            asked.abandoned = True  # it stays in the window: the peer works on it until it answers
        self._sender.send_urgent(encode(Envelope(Kind.CANCEL, call_id)))

    def _enter(self, message: msgspec.Struct, asked: _Asked, deadline: float | None) -> tuple[int, _Asked]:
        with self._lock:
            while self._open and not self._asking.take(asked.size):
                if not self._window_moved.wait(None if deadline is None else deadline - monotonic()):
                    raise _too_late(message)
            if not self._open:
                raise self._gone()
            self._last_id += 1
            self._asked[self._last_id] = asked
            return self._last_id, asked

    def _leave(self, call_id: int) -> _Asked | None:
        with self._lock:
            asked = self._asked.pop(call_id, None)
            if asked is not None:
                self._asking.release(asked.size)
                self._window_moved.notify_all()
            return asked

    def _broke(self, error: OSError) -> SymphonyError:
        self._end(self._broken(error))
        return self._gone()

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
            one.answers.put(None)
        with suppress(OSError):  # the peer was quicker
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that serves, and those that send


def _too_late(message: msgspec.Struct) -> DeadlineExceeded:
    return DeadlineExceeded(f"no answer to {message_type(message)!r} came before its deadline")


def _answered_already(call: IncomingCall) -> TransportError:
    return TransportError(
        f"the request {call.id} ({call.type!r}) has its answer already",
        code="SYM-T014",
        hint="Answer each request once.",
    )


def _shake(
    shake: Callable[[StreamSocket, Endpoint], Session], sock: StreamSocket, endpoint: Endpoint
) -> Session:
    try:
        return shake(sock, endpoint)
    except TransportError:
        sock.close()
        raise

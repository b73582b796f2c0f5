"""A connection of the host: many requests at once in both directions, on an asyncio event loop."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from symphony_sdk.errors import (
    DeadlineExceeded,
    MalformedMessage,
    PeerGone,
    SymphonyError,
    TransportError,
)
from symphony_sdk.messages import message_type
from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.envelope import TRACEPARENT, Envelope, Kind
from symphony_ipc.framing import Buffer, FrameReader, encode
from symphony_ipc.handshake import HANDSHAKE_LIMIT, Endpoint, Session, hello, silent_peer, welcome, welcomed
from symphony_ipc.payload import (
    MessageT,
    answer_of,
    decode_error,
    decode_message,
    encode_error,
    encode_payload,
)
from symphony_ipc.serving import Serving
from symphony_ipc.window import Window

UNASKED_PER_SECOND: Final = 10_000
"""Notifications, PINGs and answers to nothing that are taken; a peer that sends more is not read for a while."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that `close` gives the peer to read what was sent to it."""

NotifyCallback = Callable[[msgspec.Struct], None]


class Counters(msgspec.Struct):
    """What a connection ignored, because it does no harm.

    Args:
        late: Answers to requests that were cancelled or whose deadline had passed.
        unknown: Answers to requests that were never asked or have been answered.
        notifications: Notifications that nobody listens to, or of a type that is not known here.
    """

    late: int = 0
    unknown: int = 0
    notifications: int = 0


class _Asked:
    """A request of this end, from when it is made until the peer has answered it."""

    __slots__ = (
        "abandoned",
        "deadline",
        "future",
        "id",
        "idempotency_key",
        "on_notify",
        "payload",
        "timer",
        "traceparent",
        "type",
    )

    def __init__(self, call_id: int, message: msgspec.Struct, future: asyncio.Future[Envelope]) -> None:
        self.id = call_id
        self.type = message_type(message)
        self.payload = encode_payload(message)
        self.future = future
        self.abandoned: float | None = None
        self.deadline: float | None = None
        self.traceparent = TRACEPARENT.get()
        self.idempotency_key = ""
        self.on_notify: NotifyCallback | None = None


class Connection(asyncio.BufferedProtocol):
    """One end of a connection; adapter of `ConnectionPort`. A transport makes it and gives it out open.

    Args:
        endpoint: This end.
        accepts: Whether it waits for a HELLO or says it.
        handler: Answers the requests of the peer; without one each gets an error.
        on_notify: Takes notifications that belong to no request.

    Attributes:
        endpoint: This end.
        session: What the handshake agreed on; set once `opened` is done.
        closed: Set when the connection has ended.
        counters: What was ignored.
    """

    session: Session

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        accepts: bool,
        handler: RequestHandler | None = None,
        on_notify: NotifyCallback | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.closed = asyncio.Event()
        self.counters = Counters()
        self._loop = asyncio.get_running_loop()
        self._accepts = accepts
        self._serving = Serving(handler, self._write)
        self._on_notify = on_notify
        self._transport: asyncio.Transport
        self._reader = FrameReader(HANDSHAKE_LIMIT)
        self._max_frame = HANDSHAKE_LIMIT
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._peer = f"the peer of {endpoint.name!r}"
        self._ended = False
        self._reason: SymphonyError | None = None
        self._paused = False
        self._pong_owed = 0
        self._unasked = 0
        self._unasked_window: asyncio.TimerHandle | None = None
        self._last_id = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[int, _Asked] = {}
        self._asked: dict[int, _Asked] = {}
        self._asking = Window()
        self._pings: dict[int, asyncio.Future[None]] = {}

    # -- for those who ask ---------------------------------------------------------------------------

    async def opened(self) -> None:
        """Wait until the handshake is over.

        Raises:
            TransportError: The other end refused or was refused, was silent, went away, or is not Symphony.
        """
        timer = self._loop.call_later(self.endpoint.timeout, self._end, silent_peer(self.endpoint))
        try:
            await self._opened
        except BaseException:
            self._end(None)
            await self.closed.wait()
            raise
        finally:
            timer.cancel()

    async def request(
        self,
        message: msgspec.Struct,
        response: type[MessageT],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        on_notify: NotifyCallback | None = None,
    ) -> MessageT:
        """Ask, and wait for the answer. Cancelling the awaiting task cancels the work at the other side.

        The request waits here while the window of requests is full or the peer does not read; its deadline
        runs all the same.

        Args:
            message: A registered message.
            response: Type of the answer.
            timeout: Seconds; None for no bound.
            idempotency_key: Equal for requests that the other side must not carry out twice.
            on_notify: Takes the messages that the other side sends while it works on this request.

        Raises:
            SymphonyError: What the other side raised.
            DeadlineExceeded: `timeout` passed; the other side is told to stop.
            PeerGone: The connection ended first.
            MalformedMessage: The answer is not of that type.
            TransportError: The message cannot be sent, or this end has closed the connection.
        """
        if self._ended:
            raise self._gone()
        self._last_id += 1
        asked = _Asked(self._last_id, message, self._loop.create_future())
        asked.idempotency_key = idempotency_key
        asked.on_notify = on_notify
        if timeout is not None:
            asked.deadline = self._loop.time() + timeout
            self._arm(asked.deadline)
        self._waiting[asked.id] = asked
        self._send_waiting()
        try:
            answer = await asked.future
        except asyncio.CancelledError:
            self._abandon(asked)
            raise
        return answer_of(answer, response)

    async def ping(self, timeout: float) -> float:
        """Seconds until the other side answered; it does so even while it is busy with requests.

        Args:
            timeout: Seconds.

        Raises:
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection ended first.
        """
        if self._ended:
            raise self._gone()
        self._last_id += 1
        ping_id, future = self._last_id, self._loop.create_future()
        self._pings[ping_id] = future
        started = self._loop.time()
        late = DeadlineExceeded(f"{self._peer} did not answer a PING within {timeout:g} s")
        timer = self._loop.call_later(timeout, _fail, future, late)
        self._write(encode(Envelope(Kind.PING, ping_id)))
        try:
            await future
        finally:
            timer.cancel()
            self._pings.pop(ping_id, None)
        return self._loop.time() - started

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return not self._ended

    @property
    def abandoned_since(self) -> float | None:
        """When the oldest request was given up that the other side works on still; None where there is none.

        In seconds of the event loop's clock. A side that ends its cancelled work answers it, if late.
        """
        return min((asked.abandoned for asked in self._asked.values() if asked.abandoned), default=None)

    async def wait_closed(self) -> SymphonyError | None:
        """Wait for the end, and say why it came; None where this side closed."""
        await self.closed.wait()
        return self._reason

    async def close(self) -> None:
        """Fail what is under way and close; gives the peer a second to read what was sent to it."""
        self._end(None)
        timer = self._loop.call_later(CLOSE_TIMEOUT, self._transport.abort)
        try:
            await self.closed.wait()
        finally:
            timer.cancel()
        await self._serving.stopped()

    # -- for the event loop --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say HELLO, or wait for it."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._accepts:
            self._write(encode(hello(self.endpoint), HANDSHAKE_LIMIT))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the event loop puts the next bytes."""
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come in; a peer that breaks the protocol is told so and cut off."""
        try:
            for envelope in self._reader.received(nbytes):
                if self._ended:
                    return
                if self._opened.done():
                    self._dispatch(envelope)
                else:
                    self._shake(envelope)
        except SymphonyError as error:
            if not self._ended and not isinstance(error, PeerGone):
                self._write(encode_error(0, error))
            self._end(error)

    def eof_received(self) -> None:
        """The peer sends no more: close."""
        self._end(PeerGone(f"{self._peer} closed the connection"))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail everything that waits for the peer."""
        self._end(PeerGone(f"the connection to {self._peer} broke: {error or 'it was reset'}"))
        self.closed.set()

    def pause_writing(self) -> None:
        """The peer does not read: hold back new requests, and start none of its own."""
        self._paused = True
        self._serving.pause()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._paused = False
        if self._pong_owed:
            pong_id, self._pong_owed = self._pong_owed, 0
            self._write(encode(Envelope(Kind.PONG, pong_id)))
        self._send_waiting()
        self._serving.resume()

    # -- what comes in -------------------------------------------------------------------------------

    def _shake(self, envelope: Envelope) -> None:
        if self._accepts:
            answer, self.session = welcome(envelope, self.endpoint)
            self._write(encode(answer, HANDSHAKE_LIMIT))
        else:
            self.session = welcomed(envelope, self.endpoint)
        self._peer = repr(self.session.peer)
        self._max_frame = self._reader.max_frame = self._serving.max_frame = self.session.max_frame
        self._opened.set_result(None)

    def _dispatch(self, envelope: Envelope) -> None:
        kind = envelope.kind
        if kind is Kind.RESPONSE or (kind is Kind.ERROR and envelope.id):
            self._take_answer(envelope)
        elif kind is Kind.REQUEST:
            self._serving.take(envelope)
        elif kind is Kind.NOTIFY:
            self._count_unasked()
            self._take_notification(envelope)
        elif kind is Kind.CANCEL:
            self._serving.cancel(envelope.id)
        elif kind is Kind.PING:
            self._count_unasked()
            if self._paused:  # it is owed the latest only, however many it sends without reading
                self._pong_owed = envelope.id
            else:
                self._write(encode(Envelope(Kind.PONG, envelope.id)))
        elif kind is Kind.PONG:
            future = self._pings.get(envelope.id)
            if future is None:
                self.counters.unknown += 1
                self._count_unasked()
            elif not future.done():
                future.set_result(None)
        elif kind is Kind.ERROR:
            error = decode_error(envelope.payload)
            raise PeerGone(f"{self._peer} closed the connection: {error}", details={"code": error.code})
        else:
            raise MalformedMessage(f"{self._peer} sent {kind.name} after the handshake")

    def _take_answer(self, envelope: Envelope) -> None:
        asked = self._asked.pop(envelope.id, None)
        if asked is None:
            self.counters.unknown += 1
            self._count_unasked()
            return
        self._asking.release(len(asked.payload))
        if asked.future.done():
            self.counters.late += 1
        else:
            asked.future.set_result(envelope)
        self._send_waiting()

    def _take_notification(self, envelope: Envelope) -> None:
        if envelope.id:
            asked = self._asked.get(envelope.id)
            listener = None if asked is None or asked.future.done() else asked.on_notify
        else:
            listener = self._on_notify
        if listener is None:
            self.counters.notifications += 1
            return
        try:
            message = decode_message(envelope.type, envelope.payload)
        except MalformedMessage:
            raise
        except TransportError:  # a newer peer tells more than is known here
            self.counters.notifications += 1
            return
        try:
            listener(message)
        except Exception as error:  # noqa: BLE001 - the listener is foreign here: it must not end the connection
            self._loop.call_exception_handler(
                {"message": f"the listener to {envelope.type!r} raised", "exception": error}
            )

    def _count_unasked(self) -> None:
        self._unasked += 1
        if self._unasked_window is None:
            self._unasked_window = self._loop.call_later(1.0, self._begin_window)
        if self._unasked > UNASKED_PER_SECOND:
            self._transport.pause_reading()

    def _begin_window(self) -> None:
        self._unasked = 0
        self._unasked_window = None
        self._transport.resume_reading()

    # -- asking --------------------------------------------------------------------------------------

    def _send_waiting(self) -> None:
        while self._waiting and not self._paused and not self._ended:
            asked = next(iter(self._waiting.values()))
            size = len(asked.payload)
            if not self._asking.admits(size):
                return
            del self._waiting[asked.id]
            envelope = Envelope(
                Kind.REQUEST,
                asked.id,
                asked.type,
                None if asked.deadline is None else max(asked.deadline - self._loop.time(), 0.0),
                asked.traceparent,
                asked.idempotency_key,
                payload=asked.payload,
            )
            try:
                frame = encode(envelope, self._max_frame)
            except TransportError as error:
                _fail(asked.future, error)
                continue
            self._asking.take(size)
            self._asked[asked.id] = asked
            self._write(frame)

    def _arm(self, deadline: float) -> None:
        """One timer serves all deadlines: nearly every request is answered before its own."""
        if self._timer is None or deadline < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        # A timer may come a little early: by the resolution of the clock.
        now = self._loop.time() + time.get_clock_info("monotonic").resolution
        for asked in (*self._waiting.values(), *self._asked.values()):
            if asked.deadline is None or asked.future.done():
                continue
            if asked.deadline <= now:
                _fail(asked.future, DeadlineExceeded(f"no answer to {asked.type!r} came before its deadline"))
                self._abandon(asked)
            else:
                self._arm(asked.deadline)

    def _abandon(self, asked: _Asked) -> None:
        if self._waiting.pop(asked.id, None) is None and asked.id in self._asked and not self._ended:
            asked.abandoned = self._loop.time()
            asked.on_notify = None
            self._write(encode(Envelope(Kind.CANCEL, asked.id)))

    # -- the end -------------------------------------------------------------------------------------

    def _write(self, frame: tuple[Buffer, ...]) -> None:
        for buffer in frame:
            self._transport.write(buffer)

    def _end(self, reason: SymphonyError | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._reason = reason
        requests = (*self._waiting.values(), *self._asked.values())
        futures: list[asyncio.Future[Any]] = [asked.future for asked in requests]
        for future in (*futures, *self._pings.values(), self._opened):
            _fail(future, self._gone())
        self._serving.stop()
        if self._unasked_window is not None:
            self._unasked_window.cancel()
        self._waiting.clear()
        self._asked.clear()
        if self._timer is not None:
            self._timer.cancel()
        if reason is None or not self._transport.get_write_buffer_size():
            self._transport.close()
        else:  # the peer is at fault or gone: it is not waited for
            self._transport.abort()

    def _gone(self) -> SymphonyError:
        reason = self._reason
        if reason is None:
            return TransportError(
                f"the connection to {self._peer} is closed",
                code="SYM-T009",
                hint="It was closed by this process.",
            )
        return type(reason)(reason.message, code=reason.code, hint=reason.hint, details=reason.details)


def _fail(future: asyncio.Future[Any], error: SymphonyError) -> None:
    if not future.done():
        future.set_exception(error)

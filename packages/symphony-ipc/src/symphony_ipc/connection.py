"""A connection of the host: many requests at once in both directions, on an asyncio event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, cast

import msgspec
from symphony_sdk.errors import (
    BusError,
    DeadlineExceeded,
    MalformedMessage,
    PeerGone,
    SymphonyError,
    TransportError,
)
from symphony_sdk.messages import message_type
from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.answered import AnsweredRequests
from symphony_ipc.asking import Asked, Asking, NotifyCallback
from symphony_ipc.counters import Counters
from symphony_ipc.envelope import TRACEPARENT, Envelope, Kind
from symphony_ipc.framing import Buffer, FrameReader, describe, encode
from symphony_ipc.handshake import HANDSHAKE_LIMIT, Endpoint, Session, hello, silent_peer, welcome, welcomed
from symphony_ipc.payload import (
    MessageT,
    answer_of,
    decode_error,
    decode_message,
    encode_error,
    encode_payload,
)
from symphony_ipc.router import Answered, Forwarded, Router
from symphony_ipc.serving import Serving
from symphony_ipc.streaming import items
from symphony_ipc.throttle import Throttle
from symphony_ipc.working import Work
from symphony_ipc.writing import Outbox

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that `close` gives the peer to read what was sent to it."""

UNASKED_PER_SECOND: Final = 10_000
"""Notifications, PINGs and answers to nothing that are taken, a long one for one more with each KiB; a peer that sends
more is not read for a while."""


# Looking an enum's member up takes longer than what is done with it here.
_RESPONSE: Final = Kind.RESPONSE
_ERROR: Final = Kind.ERROR
_REQUEST: Final = Kind.REQUEST
_ITEM: Final = Kind.ITEM
_PUBLISH: Final = Kind.PUBLISH
_CREDIT: Final = Kind.CREDIT
_NOTIFY: Final = Kind.NOTIFY
_CANCEL: Final = Kind.CANCEL
_PING: Final = Kind.PING
_PONG: Final = Kind.PONG


class Connection(asyncio.BufferedProtocol):
    """One end of a connection; adapter of `ConnectionPort`. A transport makes it and gives it out open.

    Args:
        endpoint: This end.
        accepts: Whether it waits for a HELLO or says it.
        handler: Answers the requests of the peer; without one each gets an error.
        on_notify: Takes notifications that belong to no request.
        on_open: Takes the connection when it has shaken hands, before anything else of it is read.
        answered: Carries requests that have an idempotency key out once; all connections of a listener share
            it. Without it each request is carried out.

    Attributes:
        endpoint: This end.
        session: What the handshake agreed on; set once `opened` is done.
        closed: Set when the connection has ended.
        counters: What was carried, and what was ignored.
        router: Takes what the peer publishes and asks of others; None where nothing is passed on.
        congested: Whether the peer reads too slowly for what it is sent.
        on_drained: Called when it no longer is.
        last_heard: When the peer was heard last, in seconds of the event loop's clock.
        round_trip: Seconds that the latest `beat` took; 0 before the first.
    """

    session: Session

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        accepts: bool,
        handler: RequestHandler | None = None,
        on_notify: NotifyCallback | None = None,
        on_open: "Callable[[Connection], None] | None" = None,
        answered: AnsweredRequests | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.closed = asyncio.Event()
        self.counters = Counters()
        self.router: Router | None = None
        self.congested = False
        self.on_drained: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self.last_heard = self._loop.time()
        self._accepts = accepts
        self._outbox = Outbox(self.counters)
        self._write = self._outbox.write
        self._asking = Asking(self._write, self.counters)
        self._serving = Serving(self._write, answered)
        self._work = Work(handler)
        self._on_notify = on_notify
        self._on_open = on_open
        self._transport: asyncio.Transport
        self._reader = FrameReader(HANDSHAKE_LIMIT)
        self._max_frame = HANDSHAKE_LIMIT
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._peer = f"the peer of {endpoint.name!r}"
        self._ended = False
        self._reason: SymphonyError | None = None
        self._pong_owed = 0
        self._unasked = Throttle(UNASKED_PER_SECOND)
        self._last_ping = 0
        self._pings: dict[int, asyncio.Future[None]] = {}
        self.round_trip = 0.0
        self._beat_id = 0
        self._beat_sent = 0.0

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
        future: asyncio.Future[Envelope] = self._loop.create_future()

        def answered(envelope: Envelope) -> None:
            if not future.done():
                future.set_result(envelope)

        asked = self._asking.ask(self._request(message, timeout, idempotency_key), answered, on_notify)
        try:
            answer = await future
        except asyncio.CancelledError:
            asked.abandon()
            raise
        return answer_of(answer, response)

    def stream(
        self, message: msgspec.Struct, item: type[MessageT], *, timeout: float | None = None, window: int = 32
    ) -> AsyncIterator[MessageT]:
        """Ask for many messages. Closing the iterator, or cancelling the task in it, ends the work there.

        The request is sent when the first of them is asked for.

        Args:
            message: A registered message.
            item: Type of each message of the answer.
            timeout: Seconds for all of them; None for no bound.
            window: Items that the other side may be ahead of the one who takes them.

        Raises:
            SymphonyError: What the other side raised, after the items that came before.
            DeadlineExceeded: `timeout` passed; the other side is told to stop.
            PeerGone: The connection ended first.
            MalformedMessage: An item is not of that type.
            TransportError: The message cannot be sent, this end has closed the connection, or the answer is
                a single message (`SYM-T016`).
        """
        envelope = self._request(message, timeout)
        envelope.credit = max(window, 1)
        return items(self._asking.ask, Asked.abandon, envelope, item)

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the other side something that has no answer.

        Args:
            message: A registered message.

        Raises:
            TransportError: The message is too large or cannot be encoded.
            PeerGone: The connection has ended.
        """
        envelope = Envelope(_NOTIFY, type=message_type(message), payload=encode_payload(message))
        self.send(encode(envelope, self._max_frame))

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
        self._last_ping += 1
        ping_id, future = self._last_ping, self._loop.create_future()
        self._pings[ping_id] = future
        started = self._loop.time()
        late = DeadlineExceeded(f"{self._peer} did not answer a PING within {timeout:g} s")
        timer = self._loop.call_later(timeout, _fail, future, late)
        self._write(encode(Envelope(_PING, ping_id)))
        try:
            await future
        finally:
            timer.cancel()
            self._pings.pop(ping_id, None)
        return self._loop.time() - started

    def beat(self) -> None:
        """Send a PING, unless the answer to one is awaited; `round_trip` says how long the latest took."""
        if not self._beat_id and not self._ended:
            self._last_ping += 1
            self._beat_id, self._beat_sent = self._last_ping, self._loop.time()
            self._write(encode(Envelope(_PING, self._beat_id)))

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return not self._ended

    @property
    def unsent(self) -> int:
        """Bytes that wait until the peer reads."""
        return self._transport.get_write_buffer_size()

    @property
    def abandoned_since(self) -> float | None:
        """When the oldest request was given up that the other side works on still; None where there is none.

        In seconds of the event loop's clock. A side that ends its cancelled work answers it, if late.
        """
        return self._asking.abandoned_since

    @property
    def flooded(self) -> float:
        """Seconds that the peer has sent more than is taken of what nobody asked for; 0 where it does not."""
        return self._unasked.flooded

    @property
    def in_flight(self) -> int:
        """Requests of this end that wait for their final answer."""
        return self._asking.in_flight

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
        await self._work.stopped()

    # -- for the bus ---------------------------------------------------------------------------------

    def forward(self, envelope: Envelope, answered: Answered) -> Asked:
        """Pass a request on as it is: nothing of it is decoded, and no task waits for its answer.

        Args:
            envelope: A REQUEST; it is given a number of this connection. Its deadline runs from now.
            answered: Takes ITEM envelopes, then one RESPONSE or ERROR; the ERROR is made here where the
                request cannot be sent, its deadline passes or the connection ends.
        """
        return self._asking.ask(envelope, answered)

    def send(self, frame: tuple[Buffer, ...]) -> None:
        """Send a frame that is encoded already, such as one for many.

        Args:
            frame: What [encode][symphony_ipc.framing.encode] gave.

        Raises:
            PeerGone: The connection has ended.
        """
        if self._ended:
            raise self._gone()
        self._write(frame)

    def abort(self, reason: SymphonyError) -> None:
        """End it at once, because the peer is known to be gone.

        Args:
            reason: What everything that waits for the peer is told.
        """
        self._end(reason)

    # -- for the event loop --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say HELLO, or wait for it."""
        self._transport = self._outbox.transport = self._unasked.transport = cast(
            "asyncio.Transport", transport
        )
        if not self._accepts:
            self._write(encode(hello(self.endpoint), HANDSHAKE_LIMIT))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the event loop puts the next bytes."""
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come in; a peer that breaks the protocol is told so and cut off."""
        counters = self.counters
        counters.bytes_in += nbytes
        self.last_heard = self._loop.time()
        self._outbox.begin_batch()
        try:
            for envelope in self._reader.received(nbytes):
                if self._ended:
                    return
                counters.frames_in += 1
                if self._opened.done():
                    self._dispatch(envelope)
                else:
                    self._shake(envelope)
        except SymphonyError as error:
            if not self._ended and not isinstance(error, PeerGone):
                self._write(encode_error(0, error))
            self._end(error)
        finally:
            self._outbox.end_batch()

    def eof_received(self) -> None:
        """The peer sends no more: close."""
        self._end(PeerGone(f"{self._peer} closed the connection"))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail everything that waits for the peer; the transport may say that the peer broke its rules."""
        if not isinstance(error, SymphonyError):
            error = PeerGone(f"the connection to {self._peer} broke: {error or 'it was reset'}")
        self._end(error)
        self.closed.set()

    def pause_writing(self) -> None:
        """The peer does not read: hold back new requests, and start none of its own."""
        self.congested = True
        self._asking.pause()
        self._work.pause()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self.congested = False
        if self._ended:
            return
        if self._pong_owed:
            pong_id, self._pong_owed = self._pong_owed, 0
            self._write(encode(Envelope(_PONG, pong_id)))
        self._asking.resume()
        self._work.resume()
        if self.on_drained is not None:
            self.on_drained()

    # -- what comes in -------------------------------------------------------------------------------

    def _shake(self, envelope: Envelope) -> None:
        if self._accepts:
            answer, self.session = welcome(envelope, self.endpoint)
            self._write(encode(answer, HANDSHAKE_LIMIT))
        else:
            self.session = welcomed(envelope, self.endpoint)
        self._peer = repr(self.session.peer)
        self._max_frame = self._reader.max_frame = self.session.max_frame
        self._serving.peer = self.session.peer
        self._serving.max_frame = self._asking.max_frame = self.session.max_frame
        self._opened.set_result(None)
        if self._on_open is not None:
            self._on_open(self)

    def _dispatch(self, envelope: Envelope) -> None:
        kind = envelope.kind
        if kind is _RESPONSE or (kind is _ERROR and envelope.id):
            if not self._asking.take(envelope):
                self._unasked.count(_weight(envelope))
        elif kind is _REQUEST:
            self._serving.take(envelope, self._route if envelope.to else self._work.ask)
        elif kind is _ITEM:
            if not self._asking.take_item(envelope):
                self._unasked.count(_weight(envelope))
        elif kind is _PUBLISH:
            self._take_published(envelope)
        elif kind is _CREDIT:
            self._serving.credit(envelope.id, envelope.credit)
        elif kind is _NOTIFY:
            self._unasked.count(_weight(envelope))
            self._take_notification(envelope)
        elif kind is _CANCEL:
            self._serving.cancel(envelope.id)
        elif kind is _PING:
            self._unasked.count()
            if self.congested:  # it is owed the latest only, however many it sends without reading
                self._pong_owed = envelope.id
            else:
                self._write(encode(Envelope(_PONG, envelope.id)))
        elif kind is _PONG:
            future = self._pings.get(envelope.id)
            if envelope.id == self._beat_id:
                self.round_trip = self._loop.time() - self._beat_sent
                self._beat_id = 0
            elif future is None:
                known = envelope.id <= self._last_ping
                self.counters.late += known
                self.counters.unknown += not known
                self._unasked.count()
            elif not future.done():
                future.set_result(None)
        elif kind is _ERROR:
            error = decode_error(envelope.payload)
            raise PeerGone(f"{self._peer} closed the connection: {error}", details={"code": error.code})
        else:
            raise MalformedMessage(f"{self._peer} sent {kind.name} after the handshake")

    def _route(self, envelope: Envelope, answered: Answered) -> Forwarded:
        if self.router is None:
            raise BusError(
                f"nobody here passes requests on to {describe(envelope.to)}",
                code="SYM-T021",
                hint="The process at this end of the connection has no bus attached to it.",
            )
        return self.router.asked(self, envelope, answered)

    def _take_published(self, envelope: Envelope) -> None:
        if self.router is None:
            self.counters.notifications += 1
            self._unasked.count(_weight(envelope))
        else:
            self.router.published(self, envelope)

    def _take_notification(self, envelope: Envelope) -> None:
        listener = self._asking.listener(envelope.id) if envelope.id else self._on_notify
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

    def _request(self, message: msgspec.Struct, timeout: float | None, key: str = "") -> Envelope:
        return Envelope(
            _REQUEST,
            0,
            message_type(message),
            None if timeout is None else max(timeout, 0.0),
            TRACEPARENT.get(),
            key,
            payload=encode_payload(message),
        )

    # -- the end -------------------------------------------------------------------------------------

    def _end(self, reason: SymphonyError | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._reason = reason
        self._asking.stop(self._gone())
        for future in (*self._pings.values(), self._opened):
            _fail(future, self._gone())
        self._serving.stop()
        self._work.stop()
        self._unasked.stop()
        self._outbox.flush()
        if reason is None or not self._transport.get_write_buffer_size():
            self._transport.close()
        else:  # the peer is at fault or gone: it is not waited for
            self._transport.abort()
        if self.router is not None:
            self.router.lost(self, reason)

    def _gone(self) -> SymphonyError:
        reason = self._reason
        if reason is None:
            return TransportError(
                f"the connection to {self._peer} is closed",
                code="SYM-T009",
                hint="It was closed by this process.",
            )
        return type(reason)(reason.message, code=reason.code, hint=reason.hint, details=reason.details)


def _weight(envelope: Envelope) -> int:
    return 1 + (len(envelope.payload) >> 10)


def _fail(future: asyncio.Future[Any], error: SymphonyError) -> None:
    if not future.done():
        future.set_exception(error)

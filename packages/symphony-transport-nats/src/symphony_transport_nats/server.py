"""The connection to a NATS server: made, kept up, written to by one task, and read in the order of the wire."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.aio.client import Server as Address
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from symphony_ipc.framing import DATA_LIMIT
from symphony_sdk.errors import PeerGone, SymphonyError, TransportError

from symphony_transport_nats.settings import NatsSettings

T = TypeVar("T")

CONNECT_TIMEOUT: Final = 5
"""Seconds that each address is given to be connected to."""

PATIENCE: Final = 10.0
"""Seconds that what must reach the server waits for an interruption to end."""

QUEUE_MESSAGES: Final = 1024
"""Published messages that may wait for the way to the server; beyond it the oldest are dropped."""

QUEUE_BYTES: Final = 8 << 20
"""Bytes of published messages that may wait."""

_PING: Final = 10  # seconds between two signs of life that the server must give
_LAST_WORDS: Final = 1.0  # seconds that `close` gives to what waits to be sent
_BACKOFF: Final = (0.05, 2.0)  # seconds between two attempts to reconnect: at first, at most


class Outgoing(NamedTuple):
    """A message on its way to the server.

    Args:
        subject: Where to.
        data: Its bytes.
        reply: Where to answer; empty where nothing is to be answered.
        topic: Topic of a published message, which may be dropped; empty where it may not.
        momentary: Whether it is worth nothing after an interruption.
    """

    subject: str
    data: bytes
    reply: str = ""
    topic: str = ""
    momentary: bool = False


class _Sink(asyncio.Future[Msg]):
    """Takes each message where it is parsed.

    The client hands messages to a future at once, and to a callback through a queue and a task of each
    subscription: that costs more than all else here, and loses the order between subscriptions.
    """

    def __init__(self, take: Callable[[Msg], None]) -> None:
        super().__init__()
        self._take = take

    def set_result(self, message: Msg) -> None:
        self._take(message)


class NatsServer:
    """An open connection to a NATS server, or to one of a cluster.

    It reconnects by itself, and what was subscribed to comes back with it.

    Args:
        settings: Which server.
        name: What the server's monitoring calls this connection.

    Attributes:
        dropped: Takes the topic of each published message that was dropped.
        interrupted: Called when the connection is lost.
        restored: Called when it is back.
        ended: Called when it is lost for good.
        reconnects: How often it came back.
        unsent: Messages that the client refused to send.
    """

    def __init__(self, settings: NatsSettings, name: str) -> None:
        self.dropped: Callable[[str], None] = lambda _: None
        self.interrupted: Callable[[SymphonyError], None] = lambda _: None
        self.restored: Callable[[], None] = lambda: None
        self.ended: Callable[[SymphonyError], None] = lambda _: None
        self.reconnects = 0
        self.unsent = 0
        self.client = Client()
        self._settings = settings
        self._name = settings.name or name
        self._loop = asyncio.get_running_loop()
        self._faults: list[Exception] = []
        self._own_inbox = self.client.new_inbox()
        self._marks: dict[bytes, asyncio.Future[None]] = {}
        self._last_mark = 0
        self._connected = asyncio.Event()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._queue: deque[Outgoing] = deque()
        self._waiting = 0  # of the queue's messages: those that may be dropped
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            ConfigurationError: The settings cannot be used.
            TransportError: No server answers (`SYM-T056`), or it refuses the credentials (`SYM-T057`).
        """
        failed = asyncio.Event()
        options = self._settings.options()

        async def fault(error: Exception) -> None:
            self._faults.append(error)
            failed.set()

        connecting = self._loop.create_task(
            self.client.connect(
                **options,
                name=self._name,
                connect_timeout=CONNECT_TIMEOUT,
                ping_interval=_PING,
                max_reconnect_attempts=-1,
                reconnect_to_server_handler=_next_server,
                error_cb=fault,
                disconnected_cb=self._on_interrupted,
                reconnected_cb=self._on_restored,
                closed_cb=self._on_ended,
            )
        )
        try:
            # The client goes on for ever: each of the addresses is tried once, and then it is said what is wrong.
            while not connecting.done() and len(self._faults) < len(self._settings.servers):
                failed.clear()
                waiting = self._loop.create_task(failed.wait())
                await asyncio.wait({connecting, waiting}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
            if not connecting.done() or connecting.exception() is not None:
                raise self._unreachable(connecting)
        except BaseException:
            self._closing = True
            connecting.cancel()
            await asyncio.wait({connecting})
            await self.client.close()
            raise
        self._faults.clear()
        await self.client.subscribe(self._own_inbox, future=_Sink(self._came_back))
        self._connected.set()
        self._writer = self._loop.create_task(self._write())

    @property
    def is_connected(self) -> bool:
        """Whether the server can be reached now."""
        return self._connected.is_set()

    @property
    def limit(self) -> int:
        """Bytes that a message may have."""
        return min(self.client.max_payload, DATA_LIMIT)

    def send(self, outgoing: Outgoing) -> None:
        """Send a message; one with a topic may be dropped where too many wait."""
        self._queue.append(outgoing)
        self._sent.clear()
        if outgoing.topic:
            self._waiting += 1
            self._waiting_bytes += len(outgoing.data)
            while self._waiting > QUEUE_MESSAGES or self._waiting_bytes > QUEUE_BYTES:
                self._drop_oldest()
        self._wake.set()

    async def subscribe(self, subject: str, take: Callable[[Msg], None], *, queue: str = "") -> Subscription:
        """Have each message of a subject taken; in force when this returns.

        Args:
            subject: Which subject.
            take: Called with each message, in the order of the wire.
            queue: The queue group.

        Raises:
            TransportError: The server cannot be reached (`SYM-T056`); `PeerGone` where the connection is closed.
        """
        try:
            subscription = await self.client.subscribe(subject, queue, future=_Sink(take))
        except nats.errors.ConnectionClosedError:
            raise self.gone() from None
        try:
            await self.settled()
        except BaseException:
            await self.unsubscribe(subscription)
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription, *, to_the_last: bool = False) -> None:
        """End a subscription.

        Args:
            subscription: Which one.
            to_the_last: Whether what the server sends until it knows is still taken; otherwise it is dropped.
        """
        if to_the_last and self.is_connected:
            with suppress(nats.errors.Error, TransportError):
                # Not `drain`: it waits by way of `flush`, see `_round_trip`.
                await self.client._send_unsubscribe(subscription._id)
                await self.settled()
        with suppress(nats.errors.Error):  # the connection has ended: so has the subscription
            await subscription.unsubscribe()

    async def settled(self) -> None:
        """Wait until the server has taken what was asked before; an interruption may last for `PATIENCE`.

        Raises:
            TransportError: The server cannot be reached (`SYM-T056`); `PeerGone` where the connection is closed.
        """
        await self.patiently(self._round_trip)

    async def patiently(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask the server something, again where the connection is lost meanwhile, for `PATIENCE`.

        Args:
            ask: What to ask; may be called more than once.

        Raises:
            TransportError: The server cannot be reached (`SYM-T056`); `PeerGone` where the connection is closed.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    await self._connected.wait()
                    if self._closing:
                        raise self.gone()
                    lost = self._lost
                    asking = self._loop.create_task(ask())
                    asking.add_done_callback(_retrieve)
                    both: list[asyncio.Future[Any]] = [asking, lost]
                    try:
                        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                        if asking.done() and not lost.done():
                            return asking.result()
                    finally:
                        asking.cancel()
        except (TimeoutError, nats.errors.ConnectionClosedError):
            raise self.gone() from None

    def gone(self) -> TransportError:
        """The error of what needs the server while it cannot be reached: `PeerGone` where it never will again."""
        if self._closing:
            return PeerGone(f"the connection to NATS at {self._settings.shown} is closed")
        last = f": {self._faults[-1]}" if self._faults else ""
        return TransportError(
            f"NATS at {self._settings.shown} cannot be reached{last}",
            code="SYM-T056",
            hint="Symphony reconnects by itself; ask again once the server is back.",
        )

    async def close(self) -> None:
        """Send what waits, if the server can be reached, and leave."""
        if self._writer is None or self._closing:
            return
        if self.is_connected:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._sent.wait()
        self._end()
        await self.client.close()

    async def _round_trip(self) -> None:
        # A message to ourselves comes back behind all that was sent before it. The PING of the client's `flush`
        # overtakes what waits to be written, so that its PONG says nothing about that.
        self._last_mark += 1
        mark = str(self._last_mark).encode()
        came = self._marks[mark] = self._loop.create_future()
        try:
            await self.client.publish(self._own_inbox, mark)
            await came
        finally:
            del self._marks[mark]

    def _came_back(self, message: Msg) -> None:
        came = self._marks.get(message.data)
        if came is not None and not came.done():
            came.set_result(None)

    # -- what the client tells -----------------------------------------------------------------------

    async def _on_interrupted(self) -> None:
        if self._closing or not self._connected.is_set():
            return
        self._connected.clear()
        self._lost.set_result(None)
        self._queue = deque(outgoing for outgoing in self._queue if not outgoing.momentary)
        reason = f"the connection to NATS at {self._settings.shown} was lost while the request was under way"
        self.interrupted(PeerGone(reason, hint="Symphony reconnects by itself; ask again once it is back."))

    async def _on_restored(self) -> None:
        self.reconnects += 1
        self._faults.clear()
        self._lost = self._loop.create_future()
        self._connected.set()
        self.restored()

    async def _on_ended(self) -> None:
        if self._closing:
            return
        reason = self.gone()
        self._end()
        self.ended(reason)

    def _end(self) -> None:
        self._closing = True
        if not self._lost.done():
            self._lost.set_result(None)
        self._connected.set()  # who waits for it finds that it is closed
        if self._writer is not None:
            self._writer.cancel()

    def _unreachable(self, connecting: asyncio.Task[None]) -> TransportError:
        error = connecting.exception() if connecting.done() else self._faults[-1]
        shown = self._settings.shown
        # A server that refuses ends the connection at once, so its word of it may be lost on the way.
        refused = isinstance(error, ConnectionError) and self.client._server_info.get("auth_required")
        if refused or any(word in str(error) for word in ("Authorization", "Authentication")):
            return TransportError(
                f"NATS at {shown} refuses this client: {error}",
                code="SYM-T057",
                hint="Check `user`, `password`, `token`, `credentials` and `nkey` of symphony.transport-nats.",
            )
        return TransportError(
            f"NATS at {shown} cannot be reached: {error or type(error).__name__}",
            code="SYM-T056",
            hint="Start `nats-server` there, or correct `url` of symphony.transport-nats.",
        )

    # -- writing -------------------------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            await self._connected.wait()
            while self._queue and self._connected.is_set():
                outgoing = self._queue.popleft()
                if outgoing.topic:
                    self._waiting -= 1
                    self._waiting_bytes -= len(outgoing.data)
                try:
                    await self.client.publish(outgoing.subject, outgoing.data, outgoing.reply)
                except (nats.errors.MaxPayloadError, nats.errors.BadSubjectError):
                    # This server takes less than the last one did; or it is an answer to where nothing can be.
                    self.unsent += 1
                except nats.errors.Error:  # the connection is being lost: it goes again after that
                    self._queue.appendleft(outgoing)
                    self._waiting += bool(outgoing.topic)
                    self._waiting_bytes += len(outgoing.data) if outgoing.topic else 0
                    await asyncio.sleep(_BACKOFF[0])
            if not self._queue:
                self._wake.clear()
                self._sent.set()

    def _drop_oldest(self) -> None:
        for index, outgoing in enumerate(self._queue):  # almost always the first
            if outgoing.topic:
                del self._queue[index]
                self._waiting -= 1
                self._waiting_bytes -= len(outgoing.data)
                self.dropped(outgoing.topic)
                return


def _next_server(addresses: list[Address], _: dict[str, Any]) -> tuple[Address | None, float]:
    """The address to try next, and how long to wait: exponential backoff with jitter."""
    address = min(addresses, key=lambda each: each.reconnects)
    delay = min(_BACKOFF[0] * 2 ** min(address.reconnects, 10), _BACKOFF[1])
    return address, delay * random.uniform(0.5, 1)  # noqa: S311 - spreads clients, keeps no secret


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # nobody waits for it any more where the connection was lost meanwhile

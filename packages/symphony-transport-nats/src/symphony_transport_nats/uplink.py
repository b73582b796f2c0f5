"""The bus between machines: a node's uplink that is a NATS server."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from symphony_ipc.bus.uplink import Receiver
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.router import Forwarded
from symphony_sdk.errors import BusError, MalformedMessage, SymphonyError
from symphony_sdk.ports.bus import EndpointInfo

from symphony_transport_nats import subjects
from symphony_transport_nats.answering import Answering
from symphony_transport_nats.asking import Asking
from symphony_transport_nats.finding import Finding
from symphony_transport_nats.frames import decode, encode, signed, unsigned
from symphony_transport_nats.kept import Kept
from symphony_transport_nats.server import NatsServer, Outgoing
from symphony_transport_nats.settings import NatsSettings

_log = logging.getLogger(__name__)

BEAT: Final = 1.0
"""Seconds between two looks after long requests and kept messages."""

REMEMBERED: Final = 4096
"""Messages that are recognized when they come again, by another pattern that matches too."""


class NatsCounters(msgspec.Struct, frozen=True):
    """What became of messages that were not delivered, and of the connection.

    Args:
        malformed: Messages from the network that are not of the bus, or make no sense.
        dropped: Messages of this node that were dropped because the way to the server was too slow, or the
            server does not take them.
        refused: Requests of others that came while too many were under way.
        ignored: Answers to requests that had ended.
        reconnects: How often the connection came back.
    """

    malformed: int
    dropped: int
    refused: int
    ignored: int
    reconnects: int


class NatsUplink:
    """A NATS server as the next bus above a node; adapter of `Uplink`. `connect` makes it.

    Args:
        server: An open connection.
        settings: Those that it was made with.
    """

    def __init__(self, server: NatsServer, settings: NatsSettings) -> None:
        self._server = server
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._id = secrets.token_hex(8)
        self._sequence = 0
        self._malformed = 0
        self._dropped: dict[str, int] = {}
        self._dropped_in_all = 0
        self._seen: set[str] = set()
        self._seen_before: set[str] = set()
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._node: Receiver
        self._asking = Asking(server, self._id)
        self._answering: Answering
        self._finding: Finding
        self._kept: Kept
        self._timer: asyncio.TimerHandle | None = None

    @property
    def counters(self) -> NatsCounters:
        """What was not delivered, and why."""
        return NatsCounters(
            self._malformed,
            self._dropped_in_all + self._server.unsent,
            self._answering.refused,
            self._asking.ignored,
            self._server.reconnects,
        )

    def start(self, node: Receiver) -> None:
        """Begin to receive for a node; called once, before anything else."""
        self._node = node
        size = self._settings.kept_mebibytes << 20
        self._answering = Answering(self._server, self._id, node, self._contained)
        self._finding = Finding(self._server, self._id, node.name, self._asking, self._answering)
        self._kept = Kept(self._server, self._id, node, size, self._contained)
        self._server.dropped = self._drop
        self._server.interrupted = self._asking.fail_all
        self._server.restored = self._kept.restored
        self._server.ended = self._ended
        self._timer = self._loop.call_later(BEAT, self._beat)

    async def subscribe(self, pattern: str, group: str, durable: str = "") -> None:
        """Receive what is published to a pattern; in force when this returns.

        Args:
            pattern: Which topics.
            group: The queue group; empty for all messages.
            durable: Name under which what was taken is remembered; all subscriptions of the name share it.

        Raises:
            BusError: NATS does not allow the pattern, the group or the name (`SYM-T059`), or keeps nothing
                (`SYM-T058`).
            TransportError: The server cannot be reached (`SYM-T056`).
        """
        if durable:
            await self._kept.subscribe(pattern, durable)
            return

        def take(message: Msg) -> None:
            self._published(message, group)

        self._subscriptions[pattern, group] = await self._server.subscribe(
            subjects.all_of(pattern), self._contained(take), queue=subjects.checked(group)
        )

    async def unsubscribe(self, pattern: str, group: str, durable: str = "") -> None:
        """End a subscription; what `durable` names stays remembered."""
        if durable:
            await self._kept.unsubscribe(durable)
            return
        subscription = self._subscriptions.pop((pattern, group), None)
        if subscription is not None:
            await self._server.unsubscribe(subscription)

    def publish(self, envelope: Envelope) -> None:
        """Pass a PUBLISH on. Returns at once; what the server would not take is dropped, counted and logged."""
        subject = subjects.published(envelope.to)
        try:
            data = encode(self._signed(envelope), self._server.limit)
        except SymphonyError as error:
            _log.warning("not published to %s: %s", envelope.to, error)
            self._drop(envelope.to)
            return
        self._server.send(Outgoing(subject, data, topic=envelope.to))

    async def deliver(self, envelope: Envelope) -> None:
        """Publish at least once: when this returns, the server's stream holds the message.

        Raises:
            BusError: It is not kept (`SYM-T058`), or NATS does not allow the topic (`SYM-T059`).
            TransportError: The message is larger than the server takes (`SYM-T005`), or the server cannot be reached
                (`SYM-T056`): whether it is kept is not known then.
        """
        signed = self._signed(envelope)
        await self._kept.deliver(signed, envelope.idempotency_key or f"{self._id} {signed.id}")

    def request(self, envelope: Envelope, answered: Callable[[Envelope], None]) -> Forwarded:
        """Pass a REQUEST on to the endpoint in its `to`."""
        return self._asking.request(envelope, answered)

    async def register(self, name: str, group: str) -> None:
        """Have requests to a name come to this node; in force when this returns.

        Two nodes that register a name in the same instant may both get it: each request still goes to one.

        Raises:
            BusError: The name is taken (`SYM-T023`), or NATS does not allow it (`SYM-T059`).
            TransportError: The server cannot be reached (`SYM-T056`).
        """
        taken_by = await self._finding.group_of(name)
        if taken_by is not None and not (group and taken_by == group):
            raise BusError(
                f"the endpoint {name!r} is registered at another machine"
                + (f", in the group {taken_by!r}" if taken_by else ""),
                code="SYM-T023",
                hint="Choose another name, or register all of them with the same `group`.",
            )
        await self._answering.register(name, group)

    async def unregister(self, name: str, group: str) -> None:
        """Have no more requests to a name come to this node; those under way are answered."""
        await self._answering.unregister(name)

    async def endpoints(self, pattern: str) -> tuple[EndpointInfo, ...]:
        """Who can be asked at the nodes that answer in time; without the endpoints of this node."""
        return await self._finding.endpoints(pattern)

    async def close(self) -> None:
        """Leave: what others asked fails, and what was not taken goes to others."""
        self._leave()
        if self._timer is not None:
            await self._kept.end()
        await self._server.close()
        self._asking.fail_all(self._server.gone())

    # -- what comes from the server ------------------------------------------------------------------

    async def listen(self) -> None:
        """Hear what is for this node; `connect` does it."""
        await self._server.subscribe(subjects.of_node(self._id), self._contained(self._told))
        await self._server.subscribe(subjects.NODES, self._contained(self._told_to_all))

    def _contained(self, take: Callable[[Msg], None]) -> Callable[[Msg], None]:
        """A callback that may fail: what raises inside of the client would end the connection."""

        def contained(message: Msg) -> None:
            try:
                take(message)
            except SymphonyError:  # no envelope, no topic, nothing that is expected where it came
                self._malformed += 1
            except Exception as error:  # noqa: BLE001 - whatever one message does, the next ones are read
                context = {
                    "message": f"a message at {message.subject!r} could not be taken",
                    "exception": error,
                }
                self._loop.call_exception_handler(context)

        return contained

    def _published(self, message: Msg, group: str) -> None:
        envelope = decode(message.data, Kind.PUBLISH)
        kind, envelope.to = subjects.kind_and_topic(message.subject)  # what the server checked
        origin = unsigned(envelope)
        if kind == subjects.DROPPED:
            if not group and not self._again(f"{origin} {envelope.id}"):
                self._node.lost(envelope.to, "", envelope.credit)
        elif group:
            envelope.group = group
            self._node.published(envelope)
        elif (kind == subjects.KEPT or origin != self._id) and not self._again(
            envelope.idempotency_key or f"{origin} {envelope.id}"
        ):
            envelope.group = ""
            self._node.published(envelope)

    def _again(self, unique: str) -> bool:
        """Whether the message has come before: each pattern that matches brings it."""
        if unique in self._seen or unique in self._seen_before:
            return True
        self._seen.add(unique)
        if len(self._seen) >= REMEMBERED:
            self._seen, self._seen_before = set(), self._seen
        return False

    def _told(self, message: Msg) -> None:
        """Take what is for this node alone."""
        kind = message.subject.split(".")[3]
        if kind == "a":
            self._asking.take(subjects.number_in(message.subject), message)
        elif kind == "c":
            self._answering.said(message.subject, message)
        elif kind == "f":
            self._finding.found(subjects.number_in(message.subject), message)
        else:
            raise MalformedMessage(f"nothing is expected at {message.subject!r}")

    def _told_to_all(self, message: Msg) -> None:
        if self._timer is None:
            return  # no node has started
        envelope = decode(message.data, Kind.CANCEL, Kind.PING, Kind.CREDIT)
        if envelope.kind is Kind.CANCEL:
            self._answering.cancel_of(message.reply)
        elif envelope.kind is Kind.PING:
            self._finding.asked(envelope.to, message.reply)

    # -- by itself -----------------------------------------------------------------------------------

    def _signed(self, envelope: Envelope) -> Envelope:
        self._sequence += 1
        return signed(envelope, self._id, self._sequence)

    def _drop(self, topic: str) -> None:
        self._dropped_in_all += 1
        self._dropped[topic] = self._dropped.get(topic, 0) + 1

    def _beat(self) -> None:
        self._timer = self._loop.call_later(BEAT, self._beat)
        if not self._server.is_connected:
            return
        self._asking.beat()
        self._answering.beat()
        self._kept.beat()
        dropped, self._dropped = self._dropped, {}
        for topic, count in dropped.items():
            notice = self._signed(Envelope(Kind.PUBLISH, credit=count))
            self._server.send(Outgoing(subjects.dropped(topic), encode(notice, self._server.limit)))

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._answering.end()

    def _ended(self, reason: SymphonyError) -> None:
        self._leave()
        self._asking.fail_all(reason)
        self._node.ended(reason)


async def connect(settings: NatsSettings, name: str) -> NatsUplink:
    """Connect to a NATS server, to be joined by a node: `await bus.join(await connect(settings, "me"))`.

    Args:
        settings: Which server, and who this is.
        name: What the server's monitoring calls this connection where the settings do not say.

    Raises:
        ConfigurationError: The settings cannot be used.
        TransportError: No server answers (`SYM-T056`), or it refuses the credentials (`SYM-T057`).
    """
    server = NatsServer(settings, name)
    await server.open()
    uplink = NatsUplink(server, settings)
    try:
        await uplink.listen()
    except BaseException:
        await server.close()
        raise
    return uplink

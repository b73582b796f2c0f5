"""Messages that the server keeps until each durable subscription took them: a stream of JetStream.

The stream holds a message as long as a durable subscription has not taken it. Where it is full, new messages
are refused; none that was accepted is thrown away.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final, TypeVar

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, RetentionPolicy, StreamConfig
from symphony_ipc.bus.uplink import Receiver
from symphony_ipc.envelope import Envelope, Kind
from symphony_sdk.errors import BusError, MalformedMessage, TransportError

from symphony_transport_nats import subjects
from symphony_transport_nats.frames import decode, encode, unsigned
from symphony_transport_nats.server import NatsServer, Outgoing

T = TypeVar("T")

STREAM: Final = "symphony"
"""Name of the stream."""

TAKEN_WITHIN: Final = 5.0
"""Seconds after which the server gives a message to another subscriber, unless its own says that it lives."""

AHEAD: Final = 64
"""Messages that a durable subscription may hold untaken."""

DUPLICATES_WITHIN: Final = 600.0
"""Seconds in which a message of the same idempotency key is kept once."""

PULL_EXPIRES: Final = 5.0
"""Seconds after which messages are asked for again: where nobody says any more that none came, all is lost."""

# What a subscriber says of a message: it works on it, has taken it, gives it back, nobody can take it. Back after a
# tenth of a second: at once, servers give it to the subscription that has just ended.
_BUSY: Final = b"+WPI"
_TAKEN: Final = b"+ACK"
_BACK: Final = b'-NAK {"delay": 100000000}'
_NEVER: Final = b"+TERM"
_NOBODY: Final = "503"  # the server has no such stream or consumer
_EXPIRED: Final = "408"


class _Durable:
    """A durable subscription of this node: asks for messages, and remembers those that are not taken yet."""

    def __init__(self, kept: "Kept", name: str, subject: str, deliver: str) -> None:
        self.name = name
        self.subject = subject
        self.missing = False
        self.subscription: Subscription
        self._kept = kept
        self._deliver = deliver
        self._untaken: dict[str, str] = {}  # sequence in the stream -> where to say what became of it
        self._pulls: dict[str, int] = {}  # where the answers arrive -> messages still to come
        self._last_pull = 0
        self._pulled_at = 0.0
        self._ended = False

    def pull(self) -> None:
        """Ask for as many messages as there is room for, where that is much of it."""
        if self._ended:
            return
        room = AHEAD - len(self._untaken) - sum(self._pulls.values())
        if room < AHEAD // 2:
            return
        self._last_pull += 1
        self._pulled_at = asyncio.get_running_loop().time()
        answers = f"{self._deliver}.{self._last_pull}"
        self._pulls[answers] = room
        ask = json.dumps({"batch": room, "expires": int(PULL_EXPIRES * 1e9)}).encode()
        self._kept.server.send(
            Outgoing(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self.name}", ask, answers, momentary=True)
        )

    def pull_anew(self) -> None:
        """Ask again: what was asked for is forgotten, or was never heard."""
        self._pulls.clear()
        self.pull()

    def take(self, message: Msg) -> None:
        """Take a message of the stream, or the end of what was asked for."""
        if not message.reply:
            self._pulls.pop(message.subject, None)
            status = (message.headers or {}).get("Status")
            self.missing = self.missing or status == _NOBODY
            if status == _EXPIRED:
                self.pull()  # for all else, with the next beat
            return
        oldest = next(iter(self._pulls), None)
        if oldest is not None:
            self._pulls[oldest] -= 1
            if not self._pulls[oldest]:
                del self._pulls[oldest]
        if self._ended:
            self._kept.server.send(Outgoing(message.reply, _BACK))
            return
        sequence = _sequence(message.reply)
        again = sequence in self._untaken
        self._untaken[sequence] = message.reply
        if again:
            return
        try:
            envelope = decode(message.data, Kind.PUBLISH)
        except MalformedMessage:
            self._settle(sequence, _NEVER)
            raise
        unsigned(envelope)
        envelope.to = subjects.kind_and_topic(message.subject)[1]  # what the server checked
        self._kept.receiver.published(envelope, self.name, lambda: self._settle(sequence, _TAKEN))

    def beat(self) -> None:
        """Say that what is not taken yet is not forgotten, and ask for more where an answer was lost."""
        for reply in self._untaken.values():
            self._kept.server.send(Outgoing(reply, _BUSY))
        unanswered = asyncio.get_running_loop().time() > self._pulled_at + 2 * PULL_EXPIRES
        self.missing = self.missing or (unanswered and bool(self._pulls))
        self.pull()

    def give_back(self) -> None:
        """Let others have what was not taken, and what may still come."""
        self._ended = True
        for reply in self._untaken.values():
            self._kept.server.send(Outgoing(reply, _BACK))
        self._untaken.clear()

    def _settle(self, sequence: str, word: bytes) -> None:
        reply = self._untaken.pop(sequence, None)
        if reply is not None:
            self._kept.server.send(Outgoing(reply, word))
            self.pull()


class Kept:
    """Delivers messages to the stream and takes them from there.

    Args:
        server: The way to the stream.
        node: The id of this node.
        receiver: The node.
        size: Bytes that the stream may hold.
        contained: Contains what a message does wrong.
    """

    def __init__(
        self,
        server: NatsServer,
        node: str,
        receiver: Receiver,
        size: int,
        contained: Callable[[Callable[[Msg], None]], Callable[[Msg], None]],
    ) -> None:
        self.server = server
        self.receiver = receiver
        self._node = node
        self._size = size
        self._contained = contained
        self._jetstream = JetStreamContext(server.client)
        self._last = 0
        self._durables: dict[str, _Durable] = {}
        self._mending: asyncio.Task[None] | None = None

    async def deliver(self, envelope: Envelope, unique: str) -> None:
        """Have a message kept.

        Args:
            envelope: A PUBLISH.
            unique: Equal for messages of the topic that are to be kept once.

        Raises:
            BusError: It is not kept (`SYM-T058`).
            TransportError: It is too large (`SYM-T005`), or the server cannot be reached (`SYM-T056`): whether it is
                kept is not known then.
        """
        subject = subjects.kept(envelope.to)
        data = encode(envelope, self.server.limit)
        # Any text may be part of a key, and not all of a header; and keys belong to a topic.
        name = blake2b(f"{envelope.to}\n{unique}".encode(errors="replace"), digest_size=16).hexdigest()
        headers: dict[str, Any] = {"Nats-Msg-Id": name}

        def publish() -> Coroutine[Any, Any, Any]:
            return self._jetstream.publish(subject, data, headers=headers)

        try:
            await self.server.patiently(publish)
        except nats.js.errors.NoStreamResponseError:
            await self._make_stream()
            await self._asked(publish)
        except nats.errors.Error as error:
            raise _not_kept(error) from error

    async def subscribe(self, pattern: str, durable: str) -> None:
        """Take the messages of a pattern that `durable` has not taken yet.

        Raises:
            BusError: The server keeps nothing (`SYM-T058`), or the name belongs to another pattern (`SYM-T059`).
        """
        subject = subjects.kept(pattern)
        await self._make_stream()
        await self._make_consumer(subjects.checked_durable(durable), subject)
        self._last += 1
        deliver = subjects.taken_from_stream(self._node, self._last)
        subscription = _Durable(self, durable, subject, deliver)
        taken = self._contained(subscription.take)
        subscription.subscription = await self.server.subscribe(f"{deliver}.*", taken)
        self._durables[durable] = subscription
        subscription.pull()

    async def unsubscribe(self, durable: str) -> None:
        """Take no more; what was not taken is for the next one of this name."""
        subscription = self._durables.pop(durable, None)
        if subscription is not None:
            subscription.give_back()
            await self.server.unsubscribe(subscription.subscription, to_the_last=True)

    def restored(self) -> None:
        """Ask again after an interruption."""
        for durable in self._durables.values():
            durable.pull_anew()

    def beat(self) -> None:
        """Keep what is not taken yet; make the stream anew where the server lost it."""
        for durable in self._durables.values():
            durable.beat()
        missing = [durable for durable in self._durables.values() if durable.missing]
        if missing and (self._mending is None or self._mending.done()):
            self._mending = asyncio.get_running_loop().create_task(self._mend(missing))

    async def end(self) -> None:
        """Let others have what was not taken: this node leaves."""
        if self._mending is not None:
            self._mending.cancel()
        for durable in list(self._durables):
            await self.unsubscribe(durable)

    async def _mend(self, missing: list[_Durable]) -> None:
        with suppress(TransportError):  # it is tried again when a pull finds it missing again
            await self._make_stream()
            for durable in missing:
                await self._make_consumer(durable.name, durable.subject)
        for durable in missing:
            durable.missing = False
            durable.pull_anew()

    async def _make_stream(self) -> None:
        config = StreamConfig(
            name=STREAM,
            description="What Symphony delivers at least once, until it was taken.",
            subjects=[subjects.STREAM],
            retention=RetentionPolicy.INTEREST,
            discard=DiscardPolicy.NEW,
            max_bytes=self._size,
            duplicate_window=DUPLICATES_WITHIN,
        )
        try:
            await self.server.patiently(lambda: self._jetstream.stream_info(STREAM))
        except nats.js.errors.NotFoundError:
            await self._asked(lambda: self._jetstream.add_stream(config))
        except nats.errors.Error as error:
            raise _not_kept(error) from error

    async def _make_consumer(self, durable: str, subject: str) -> None:
        config = ConsumerConfig(
            durable_name=durable,
            filter_subject=subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=TAKEN_WITHIN,
            deliver_policy=DeliverPolicy.NEW,
        )
        try:
            found = await self.server.patiently(lambda: self._jetstream.consumer_info(STREAM, durable))
        except nats.js.errors.NotFoundError:
            await self._asked(lambda: self._jetstream.add_consumer(STREAM, config))
            return
        if found.config.filter_subject != subject:
            raise BusError(
                f"the durable subscription {durable!r} is for {found.config.filter_subject}, not for {subject}",
                code="SYM-T059",
                hint=f"Choose another name, or forget this one: `nats consumer rm {STREAM} {durable}`.",
            )

    async def _asked(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await self.server.patiently(ask)
        except nats.errors.Error as error:
            raise _not_kept(error) from error


def _sequence(reply: str) -> str:
    """The number of a message in its stream, of the subject that JetStream wants to hear about it at.

    It is `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE...`, with a domain and an account after ACK where the words
    are more than nine.
    """
    words = reply.split(".")
    return words[5] if len(words) <= 9 else words[7] if len(words) > 7 else reply


def _not_kept(error: Exception) -> BusError:
    return BusError(
        f"NATS does not keep messages: {error or type(error).__name__}",
        code="SYM-T058",
        hint="Start the server with JetStream (`nats-server -js`); where the stream is full, let the durable "
        "subscriptions take what waits.",
    )

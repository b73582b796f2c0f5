"""The uplink to a node at the other end of a connection."""

from typing import Final

import msgspec
from symphony_sdk.errors import SymphonyError
from symphony_sdk.messages import Done, message_type
from symphony_sdk.ports.bus import EndpointInfo

from symphony_ipc.bus.calls import answer_to
from symphony_ipc.bus.messages import (
    DELIVER,
    LOST,
    NODE,
    TOPIC,
    EndpointsFound,
    FindEndpoints,
    Lost,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
)
from symphony_ipc.bus.metrics import Counts
from symphony_ipc.bus.send_queue import SendQueue
from symphony_ipc.bus.uplink import Receiver
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import encode
from symphony_ipc.payload import MessageT, answer_of, decode_payload, encode_payload
from symphony_ipc.router import Answered, Forwarded

NODE_TIMEOUT: Final = 10.0
"""Seconds that the node above may take to answer what concerns itself."""


class HubUplink:
    """A node at the other end of a connection, to which this process is a neighbour below; adapter of `Uplink`.

    Args:
        connection: Where it is. The uplink closes it.
        counts: What the node counts.
    """

    def __init__(self, connection: Connection, counts: Counts) -> None:
        self._connection = connection
        self._counts = counts
        self._node: Receiver

    def start(self, node: Receiver) -> None:
        """Begin to receive."""
        self._node = node
        self._queue = SendQueue(self._connection, self._counts)
        self._connection.router = self

    # -- up ------------------------------------------------------------------------------------------

    async def subscribe(self, pattern: str, group: str, durable: str = "") -> None:
        """Receive what is published to a pattern."""
        await self._tell(Subscribe(pattern, group, durable))

    async def unsubscribe(self, pattern: str, group: str, durable: str = "") -> None:
        """Receive it no more."""
        await self._tell(Unsubscribe(pattern, group, durable))

    def publish(self, envelope: Envelope) -> None:
        """Send a message up; it waits in a bounded queue while the node above does not read."""
        envelope.id = 0
        self._queue.send(encode(envelope), ((envelope.to, ""),))

    def missed(self, topic: str, count: int) -> None:
        """Tell the node above that messages to a topic were thrown away before they reached it."""
        self._queue.missed(((topic, ""),), count)

    async def deliver(self, envelope: Envelope) -> None:
        """Have a message kept by whoever is further up and keeps messages."""
        request = msgspec.structs.replace(
            envelope, kind=Kind.REQUEST, to=DELIVER, deadline=NODE_TIMEOUT, meta={TOPIC: envelope.to}
        )
        answer_of(await answer_to(self._connection.forward, request), Done)

    def request(self, envelope: Envelope, answered: Answered) -> Forwarded:
        """Pass a request up."""
        return self._connection.forward(envelope, answered)

    async def register(self, name: str, group: str) -> None:
        """Have requests to a name come down."""
        await self._tell(Register(name, group))

    async def unregister(self, name: str, group: str) -> None:
        """Have them come down no more."""
        await self._tell(Unregister(name, group))

    async def endpoints(self, pattern: str) -> tuple[EndpointInfo, ...]:
        """Who can be asked, those of this node included."""
        return (await self._ask(FindEndpoints(pattern), EndpointsFound)).endpoints

    async def close(self) -> None:
        """Leave, and close the connection."""
        self._connection.router = None
        await self._connection.close()

    # -- down ----------------------------------------------------------------------------------------

    def published(self, connection: Connection, envelope: Envelope) -> None:
        """Take a PUBLISH of the node above."""
        if envelope.to == LOST:
            loss = decode_payload(Lost, envelope.payload)
            self._node.lost(loss.pattern, loss.group, loss.count)
        else:
            self._node.published(envelope)

    def asked(self, connection: Connection, envelope: Envelope, answered: Answered) -> Forwarded:
        """Take a REQUEST that the node above passes on."""
        return self._node.asked(envelope, answered)

    def lost(self, connection: Connection, reason: SymphonyError | None) -> None:
        """Take the end."""
        self._node.ended(reason)

    async def _tell(self, message: msgspec.Struct) -> None:
        await self._ask(message, Done)

    async def _ask(self, message: msgspec.Struct, response: type[MessageT]) -> MessageT:
        envelope = Envelope(
            Kind.REQUEST,
            type=message_type(message),
            deadline=NODE_TIMEOUT,
            to=NODE,
            payload=encode_payload(message),
        )
        return answer_of(await answer_to(self._connection.forward, envelope), response)

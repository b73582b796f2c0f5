"""The publishing half of a node: each message goes to the subscribers here, to neighbours below, and up."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from symphony_sdk.errors import BusError, SymphonyError, TransportError
from symphony_sdk.messages import message_type
from symphony_sdk.ports.bus import DeadLetter, Delivery

from symphony_ipc.bus.interest import Interest, Member, Route
from symphony_ipc.bus.messages import DEAD
from symphony_ipc.bus.metrics import Counts
from symphony_ipc.bus.neighbour import Neighbour
from symphony_ipc.bus.send_queue import Key
from symphony_ipc.bus.subscription import Local
from symphony_ipc.bus.topics import OWN
from symphony_ipc.envelope import TRACEPARENT, Envelope, Kind
from symphony_ipc.framing import Buffer, encode
from symphony_ipc.payload import decode_message, encode_payload

DEAD_LIMIT: Final = 256 << 10
"""Bytes of a message, and characters of an error, that a dead letter holds; a longer message is left out."""


class Exchange:
    """Passes messages on to whoever wants them.

    Args:
        process: Name of this process.
        interest: Who wants what.
        counts: What is counted.

    Attributes:
        up: Passes a PUBLISH to the node above; None where there is none.
    """

    def __init__(self, process: str, interest: Interest, counts: Counts) -> None:
        self.up: Callable[[Envelope], None] | None = None
        self._process = process
        self._interest = interest
        self._routes = interest.routes
        self._counts = counts

    def publish(self, topic: str, message: msgspec.Struct) -> None:
        """Publish a message of this process.

        Raises:
            BusError: The topic is not one, or is the bus's own.
            TransportError: The message has to leave the process and cannot be encoded.
        """
        route = self._routes.get(topic)
        if route is None or route.own:
            route = self._interest.route(topic)
            if route.own:
                raise BusError(
                    f"{topic!r} is one of the bus's own topics",
                    hint="Topics that begin with `_` can be subscribed to; publish to another one.",
                    details={"topic": topic},
                )
        if self.up is not None or not route.is_local:
            self._publish(topic, message, route)
            return
        if not hasattr(message, "__message_type__"):
            message_type(message)  # is refused here as it is where it has to leave the process
        delivery = Delivery(topic, message, TRACEPARENT.get())
        for subscriber in route.local:
            subscriber.take(delivery)
        counts = self._counts
        counts.published += 1
        counts.delivered += len(route.local)

    def announce(self, topic: str, message: msgspec.Struct) -> None:
        """Publish what the bus says about itself; costs nothing where nobody wants to know."""
        route = self._interest.route(topic)
        if self.up is not None or not route.leads_nowhere:
            self._publish(topic, message, route)

    def pass_on(self, envelope: Envelope, origin: Neighbour | None) -> None:
        """Pass on a PUBLISH of another process.

        Args:
            envelope: What came.
            origin: The neighbour below that it came from; None where it came from above.

        Raises:
            BusError: Its topic is not one.
        """
        route = self._interest.route(envelope.to)
        if envelope.group:
            for group, members in route.groups:
                if group == envelope.group:
                    self._give(group, members, envelope)
                    return
            self._dead(envelope, "nobody", f"the members of the group {envelope.group!r} have gone")
            return
        if route.below:
            frame: tuple[Buffer, ...] | None = None
            for neighbour, keys in route.below:
                if neighbour is not origin:
                    if frame is None:
                        envelope.id = 0
                        frame = encode(envelope)
                    self._counts.forwarded += 1
                    neighbour.queue.send(frame, keys)
        if route.local and (delivery := self.decoded(envelope)) is not None:
            self._hand_out(route.local, delivery)
        if origin is None:
            return
        if self.up is not None:
            self._pass_up(self.up, envelope)
        else:
            for group, members in route.groups:
                self._give(group, members, envelope)
            if route.leads_nowhere:
                self._dead(envelope, "nobody")

    def _pass_up(self, up: Callable[[Envelope], None], envelope: Envelope) -> None:
        try:
            up(envelope)
        except SymphonyError as error:  # it came from another process, whose fault this is not
            self._dead(envelope, "malformed", str(error))
        else:
            self._counts.forwarded += 1

    def failed(self, delivery: Delivery, error: Exception) -> None:
        """Tell that a listener raised."""
        self._counts.failed += 1
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"the listener to {delivery.topic!r} raised", "exception": error}
        )
        self._dead_here(delivery, "failed", f"{type(error).__name__}: {error}")

    def _publish(self, topic: str, message: msgspec.Struct, route: Route) -> None:
        counts = self._counts
        counts.published += 1
        delivery = Delivery(topic, message, TRACEPARENT.get())
        envelope: Envelope | None = None
        if route.below or self.up is not None:
            envelope = _envelope(delivery)
            frame = encode(envelope)
            for neighbour, keys in route.below:
                counts.forwarded += 1
                neighbour.queue.send(frame, keys)
        for subscriber in route.local:
            subscriber.take(delivery)
        counts.delivered += len(route.local)
        if self.up is not None and envelope is not None:
            counts.forwarded += 1
            self.up(envelope)
            return
        for group, members in route.groups:
            self._give_own(group, members, delivery)
        if route.leads_nowhere:
            self._dead_here(delivery, "nobody")

    def _give_own(self, group: str, members: tuple[Member, ...], delivery: Delivery) -> None:
        member, key = self._interest.next_member(group, members)
        if isinstance(member, Neighbour):
            self._send_to_group(member, key, _envelope(delivery))
        else:
            self._counts.delivered += 1
            member.take(delivery)

    def _give(self, group: str, members: tuple[Member, ...], envelope: Envelope) -> None:
        member, key = self._interest.next_member(group, members)
        if isinstance(member, Neighbour):
            self._send_to_group(member, key, envelope)
        elif (delivery := self.decoded(envelope)) is not None:
            self._hand_out((member,), delivery)

    def _send_to_group(self, member: Neighbour, key: Key, envelope: Envelope) -> None:
        chosen = msgspec.structs.replace(envelope, id=0, group=key[1])
        try:
            frame = encode(chosen)
        except TransportError as error:  # it just fitted into a frame, without the name of the group
            self._dead(envelope, "malformed", str(error))
            return
        self._counts.forwarded += 1
        member.queue.send(frame, (key,))

    def _hand_out(self, subscribers: tuple[Local, ...], delivery: Delivery) -> None:
        self._counts.delivered += len(subscribers)
        token = TRACEPARENT.set(delivery.traceparent)
        for subscriber in subscribers:
            subscriber.take(delivery)
        TRACEPARENT.reset(token)

    def decoded(self, envelope: Envelope) -> Delivery | None:
        """The message of another process; None, and a dead letter, where it is malformed."""
        try:
            message = decode_message(envelope.type, envelope.payload)
        except TransportError as error:
            self._dead(envelope, "malformed", str(error))
            return None
        return Delivery(envelope.to, message, envelope.traceparent)

    def _dead(self, envelope: Envelope, reason: str, error: str = "") -> None:
        if self._is_wanted_dead(envelope.to):
            self._announce_dead(envelope, reason, error)

    def _dead_here(self, delivery: Delivery, reason: str, error: str = "") -> None:
        if not self._is_wanted_dead(delivery.topic):
            return
        try:
            envelope = _envelope(delivery)
        except TransportError as wrong:  # it could not have left the process
            envelope = Envelope(
                Kind.PUBLISH,
                type=message_type(delivery.message),
                traceparent=delivery.traceparent,
                to=delivery.topic,
            )
            error = error or str(wrong)
        self._announce_dead(envelope, reason, error)

    def _is_wanted_dead(self, topic: str) -> bool:
        if topic.startswith(OWN):
            return False  # above all, no dead letter about a dead letter
        self._counts.dead_letters += 1
        return self.up is not None or not self._interest.route(DEAD + topic).leads_nowhere

    def _announce_dead(self, envelope: Envelope, reason: str, error: str) -> None:
        payload = b"" if len(envelope.payload) > DEAD_LIMIT else bytes(envelope.payload)
        letter = DeadLetter(
            envelope.to,
            envelope.type,
            payload,
            reason,
            error[:DEAD_LIMIT],
            self._process,
            envelope.traceparent,
        )
        self.announce(DEAD + envelope.to, letter)


def _envelope(delivery: Delivery) -> Envelope:
    return Envelope(
        Kind.PUBLISH,
        type=message_type(delivery.message),
        traceparent=delivery.traceparent,
        to=delivery.topic,
        payload=encode_payload(delivery.message),
    )

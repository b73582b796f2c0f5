"""BusPort: how the parts of Symphony tell and ask each other, in one process or in many.

Topics are words joined by dots, such as `run.started`. In a pattern `*` stands for one word and `>`, at the
end, for one or more. Neither stands for a first word that begins with `_`: those topics are the bus's own, such as
`_dead.run.started` for a message to `run.started` that did no good ([DeadLetter][symphony_sdk.ports.bus.DeadLetter]),
and `_bus.health` ([HealthChanged][symphony_sdk.ports.bus.HealthChanged]).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeVar

import msgspec

from symphony_sdk.messages import message
from symphony_sdk.ports.transport import RequestHandler

Answer = TypeVar("Answer", bound=msgspec.Struct)

Health = Literal["alive", "suspect", "dead"]
"""`suspect`: it misses heartbeats, as a hung process does and one that is busy; `dead`: its process ended."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A message as a subscriber gets it.

    Args:
        topic: What it was published to.
        message: The message; the very object where it was published in this process.
        traceparent: W3C trace context of the publisher; empty where there is none.
    """

    topic: str
    message: msgspec.Struct
    traceparent: str = ""


class EndpointInfo(msgspec.Struct, frozen=True):
    """Who can be asked.

    Args:
        name: What `request` names.
        process: Name of the process that it lives in.
        group: The queue group that shares its requests; empty where it is alone.
        health: Whether its process answers.
    """

    name: str
    process: str
    group: str = ""
    health: Health = "alive"


@message("bus.dead-letter")
class DeadLetter(msgspec.Struct, frozen=True):
    """A message that reached nobody, or did no good there. Published to `_dead.` and its topic.

    Args:
        topic: Where it was published to.
        type: Wire name of the message.
        payload: The encoded message; empty where it is longer than 256 KiB.
        reason: `nobody` subscribed, a listener `failed`, or it is `malformed`.
        error: What a listener raised, or what is wrong with it; empty where nobody subscribed.
        process: Name of the process that says so.
        traceparent: W3C trace context of the publisher.
    """

    topic: str
    type: str
    payload: bytes
    reason: str
    error: str = ""
    process: str = ""
    traceparent: str = ""


@message("bus.health")
class HealthChanged(msgspec.Struct, frozen=True):
    """A process became suspect, alive again, or ended. Published to `_bus.health`.

    Args:
        process: Name of the process; empty for the bus above the one who says so.
        health: What it is now.
        reason: Why.
    """

    process: str
    health: Health
    reason: str = ""


class Subscription(Protocol):
    """The messages of a pattern, to be iterated by one task; leaving its context ends it."""

    @property
    def lost(self) -> int:
        """Messages that were thrown away, the oldest first, because they were not taken in time."""

    def __aiter__(self) -> AsyncIterator[Delivery]: ...

    async def __anext__(self) -> Delivery: ...

    async def __aenter__(self) -> "Subscription": ...

    async def __aexit__(self, *reason: object) -> None: ...

    async def close(self) -> None:
        """End it; the iteration ends too."""


class BusPort(Protocol):
    """Publishes, subscribes, asks and answers; to be used on the event loop that it lives on."""

    def publish(self, topic: str, message: msgspec.Struct) -> None:
        """Tell all who subscribed to the topic, at most once. Returns at once.

        Args:
            topic: Where to.
            message: A registered message.

        Raises:
            BusError: The topic is not one, or is the bus's own.
            TransportError: The message has to leave the process, and is too large or cannot be encoded.
        """

    async def deliver(self, topic: str, message: msgspec.Struct, *, idempotency_key: str = "") -> None:
        """Publish at least once: when this returns, the bus keeps the message until it was taken.

        Args:
            topic: Where to.
            message: A registered message.
            idempotency_key: Equal for calls that publish the same message; it is then kept once.

        Raises:
            BusError: This bus keeps no messages, or could not keep this one.
        """

    async def subscribe(
        self, pattern: str, *, group: str = "", limit: int = 1024, durable: str = ""
    ) -> Subscription:
        """Get the messages of the topics that match; when this returns, none is missed any more.

        Args:
            pattern: Which topics.
            group: Of all subscribers in one group only one gets each message.
            limit: Messages that may wait; beyond it the oldest are lost, and counted.
            durable: Name under which the bus remembers what was taken, across restarts. A message counts as
                taken when the next one is asked for.

        Raises:
            BusError: The pattern is not one, or `durable` is asked of a bus that keeps no messages.
        """

    async def listen(
        self, pattern: str, callback: Callable[[Delivery], None], *, group: str = ""
    ) -> AbstractAsyncContextManager[object]:
        """Have a function called with each message; it must return soon. What it raises is a dead letter.

        Args:
            pattern: Which topics.
            callback: Takes each message, on the event loop.
            group: Of all subscribers in one group only one gets each message.

        Returns:
            Ends it when left.

        Raises:
            BusError: The pattern is not one.
        """

    async def register(
        self, name: str, handler: RequestHandler, *, group: str = ""
    ) -> AbstractAsyncContextManager[object]:
        """Answer the requests to a name.

        Args:
            name: Dotted name, the same for all who share the work.
            handler: Answers each request.
            group: Where it is given, all endpoints of this name and group share the requests.

        Returns:
            Takes the endpoint away when left.

        Raises:
            BusError: The name is taken.
        """

    async def endpoints(self, pattern: str = ">") -> tuple[EndpointInfo, ...]:
        """Who can be asked.

        Args:
            pattern: Which names.
        """

    async def request(
        self,
        to: str,
        message: msgspec.Struct,
        response: type[Answer],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
    ) -> Answer:
        """Ask an endpoint, wherever it lives. Cancelling the awaiting task cancels the work there.

        Args:
            to: Its name.
            message: A registered message.
            response: Type of the answer.
            timeout: Seconds; None for no bound.
            idempotency_key: Equal for requests that must not be carried out twice.

        Raises:
            SymphonyError: What the endpoint raised.
            BusError: There is no such endpoint.
            DeadlineExceeded: `timeout` passed.
            PeerGone: Its process ended first.
        """

    def stream(
        self, to: str, message: msgspec.Struct, item: type[Answer], *, timeout: float | None = None
    ) -> AsyncIterator[Answer]:
        """Ask an endpoint for many messages. Closing the iterator ends the work there.

        Args:
            to: Its name.
            message: A registered message.
            item: Type of each message of the answer.
            timeout: Seconds for all of them; None for no bound.

        Raises:
            SymphonyError: As for `request`.
        """

"""What a node of the bus sees above it: a hub on this machine, or a server between machines."""

from collections.abc import Callable
from typing import Protocol

from symphony_sdk.errors import SymphonyError
from symphony_sdk.ports.bus import EndpointInfo

from symphony_ipc.envelope import Envelope
from symphony_ipc.router import Answered, Forwarded


class Receiver(Protocol):
    """The node below an uplink: what comes down is given to it, on the event loop that both live on.

    Nothing here waits, and nothing raises for what another process sent.
    """

    @property
    def name(self) -> str:
        """What the node is called: the `process` of the endpoints that it registers."""

    def published(
        self, envelope: Envelope, durable: str = "", taken: Callable[[], None] | None = None
    ) -> None:
        """Take a PUBLISH. Its `to` is the topic.

        A message comes at most once for all subscriptions without a group, however many of its patterns match,
        and never back from where this node published it. For each group that chose this node it comes once
        more, with `group` set. For a durable subscription it comes with the name of it, apart from the others.

        Args:
            envelope: The message, with its `type`, `traceparent` and payload.
            durable: The durable subscription that it is for; empty for all others.
            taken: To be called when a subscriber of the durable subscription has taken it; until then it
                comes again, here or elsewhere. As none of these is thrown away, no more than a thousand come
                before the first of them was taken.
        """

    def asked(self, envelope: Envelope, answered: Answered) -> Forwarded:
        """Take a REQUEST for an endpoint that this node registered; its `to` is the name.

        Args:
            envelope: The request, with `deadline` (seconds left), `credit` (0 for a single answer) and
                `idempotency_key`.
            answered: Takes ITEMs, then exactly one RESPONSE or ERROR, the last with an encoded error as its payload.
                Their ids are meaningless. May be called before this returns.
        """

    def lost(self, pattern: str, group: str, count: int) -> None:
        """Messages were thrown away on the way to a subscription of this node, which was too slow to take them.

        Args:
            pattern: As it was subscribed to; a topic where the loss is known for the topic alone.
            group: The queue group; empty for the subscriptions without one.
            count: How many.
        """

    def ended(self, reason: SymphonyError | None) -> None:
        """The uplink has ended for good; interruptions that it mends itself are not told."""


class Uplink(Protocol):
    """The next bus above a node. Errors are `SymphonyError`s; `PeerGone` where it has ended."""

    def start(self, node: Receiver) -> None:
        """Begin to receive for a node; called once, before anything else."""

    async def subscribe(self, pattern: str, group: str, durable: str = "") -> None:
        """Receive what is published to a pattern; in force when this returns.

        A node asks for each (pattern, group, durable) at most once at a time.

        Args:
            pattern: Which topics.
            group: The queue group; empty for all messages.
            durable: Name under which what was taken is remembered; empty where nothing is.

        Raises:
            BusError: `durable` is given and nothing is kept here.
        """

    async def unsubscribe(self, pattern: str, group: str, durable: str = "") -> None:
        """End a subscription; what `durable` names stays remembered."""

    def publish(self, envelope: Envelope) -> None:
        """Pass a PUBLISH on to all others who subscribed, and to one of each group, which may be this node's.

        Returns at once. What cannot be sent, because the way up is too slow or interrupted, is dropped and counted.
        """

    async def deliver(self, envelope: Envelope) -> None:
        """Publish at least once: when this returns, the message is kept until each durable subscription took it.

        It reaches ordinary subscribers too, as by `publish`.

        Args:
            envelope: A PUBLISH; messages of the same `idempotency_key` are kept once.

        Raises:
            BusError: Nothing is kept here, or this message could not be.
        """

    def request(self, envelope: Envelope, answered: Answered) -> Forwarded:
        """Pass a REQUEST on to the endpoint in its `to`.

        Args:
            envelope: With `deadline`, `credit`, `idempotency_key` as it came or was made.
            answered: Takes ITEMs, then exactly one RESPONSE or ERROR, also where the way ends, the deadline passes,
                there is no such endpoint (SYM-T022) or the request was cancelled. May be called before this returns.
        """

    async def register(self, name: str, group: str) -> None:
        """Have requests to a name come to this node; in force when this returns.

        Args:
            name: Name of the endpoint.
            group: Shared by all endpoints of the name; empty where this is to be the only one.

        Raises:
            BusError: The name is taken.
        """

    async def unregister(self, name: str, group: str) -> None:
        """Have no more requests to a name come to this node."""

    async def endpoints(self, pattern: str) -> tuple[EndpointInfo, ...]:
        """Who can be asked through this uplink, the endpoints of this node included or not."""

    async def close(self) -> None:
        """Leave; `Receiver.ended` is not called."""

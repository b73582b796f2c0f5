"""TransportPort: how two processes of Symphony reach each other."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec

from symphony_sdk.errors import SymphonyError

Response = TypeVar("Response", bound=msgspec.Struct)

RequestHandler = Callable[[msgspec.Struct], Awaitable[msgspec.Struct | AsyncIterator[msgspec.Struct]]]
"""Answers a request with a message, or with an iterator of messages where it is a stream, or raises the
SymphonyError that the other side gets."""


class ConnectionPort(Protocol):
    """An open connection; both sides may ask, and many requests are under way at once."""

    async def request(
        self,
        message: msgspec.Struct,
        response: type[Response],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        on_notify: Callable[[msgspec.Struct], None] | None = None,
    ) -> Response:
        """Ask, and wait for the answer. Cancelling the awaiting task cancels the work at the other side.

        Args:
            message: A registered message.
            response: Type of the answer.
            timeout: Seconds; None for no bound.
            idempotency_key: Equal for requests that the other side must not carry out twice.
            on_notify: Takes the messages that the other side sends while it works on this request.

        Raises:
            SymphonyError: What the other side raised.
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection ended first.
            MalformedMessage: The answer is not of that type.
        """

    def stream(
        self, message: msgspec.Struct, item: type[Response], *, timeout: float | None = None, window: int = 32
    ) -> AsyncIterator[Response]:
        """Ask for many messages. Closing the iterator, or cancelling the task in it, ends the work there.

        Args:
            message: A registered message.
            item: Type of each message of the answer.
            timeout: Seconds for all of them; None for no bound.
            window: Items that the other side may be ahead of the one who takes them.

        Raises:
            SymphonyError: What the other side raised, after the items that came before.
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection ended first.
            MalformedMessage: An item is not of that type.
        """

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the other side something that has no answer.

        Args:
            message: A registered message.

        Raises:
            PeerGone: The connection has ended.
        """

    async def ping(self, timeout: float) -> float:
        """Seconds until the other side answered; it does so even while it is busy with requests.

        Args:
            timeout: Seconds.

        Raises:
            DeadlineExceeded: `timeout` passed.
            PeerGone: The connection ended first.
        """

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""

    async def wait_closed(self) -> SymphonyError | None:
        """Wait for the end, and say why it came; None where this side closed."""

    async def close(self) -> None:
        """Fail what is under way and close."""


class ListenerPort(Protocol):
    """Takes connections at an address."""

    @property
    def address(self) -> str:
        """Where it listens."""

    async def close(self) -> None:
        """Take no further connection; those that are open stay."""


class TransportPort(Protocol):
    """Makes connections of one kind."""

    @property
    def scheme(self) -> str:
        """First part of its addresses, such as `unix`."""

    async def connect(
        self, address: str, *, token: bytes = b"", handler: RequestHandler | None = None
    ) -> ConnectionPort:
        """Connect to a listener and shake hands.

        Args:
            address: Where it listens.
            token: The secret that it expects.
            handler: Answers what the other side asks.

        Raises:
            TransportError: Nobody listens, or the handshake failed.
        """

    async def listen(
        self,
        address: str,
        on_connection: Callable[[ConnectionPort], None],
        *,
        token: bytes = b"",
        handler: RequestHandler | None = None,
    ) -> ListenerPort:
        """Take connections.

        Args:
            address: Where to listen.
            on_connection: Takes each connection that shook hands, before anything else of it is read.
            token: The secret to expect.
            handler: Answers what the other sides ask.

        Raises:
            TransportError: The address cannot be used.
        """

"""A transport whose connections are pairs of objects in one process."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from symphony_sdk.errors import DeadlineExceeded, MalformedMessage, PeerGone, SymphonyError, TransportError
from symphony_sdk.ports import ConnectionPort, RequestHandler

Response = TypeVar("Response", bound=msgspec.Struct)


class FakeConnection:
    """Fake of ConnectionPort: one of two ends.

    Args:
        handler: Answers what the other end asks.
    """

    def __init__(self, handler: RequestHandler | None) -> None:
        self._handler = handler
        self._closed = asyncio.Event()
        self._reason: SymphonyError | None = None
        self.other: FakeConnection = self

    async def request(
        self,
        message: msgspec.Struct,
        response: type[Response],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        on_notify: Callable[[msgspec.Struct], None] | None = None,
    ) -> Response:
        """Ask the other end."""
        if self._closed.is_set():
            raise PeerGone("the connection is closed")
        if self.other._handler is None:
            raise TransportError("the other side answers nothing")
        try:
            async with asyncio.timeout(timeout):
                answer = await self.other._handler(message)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no answer within {timeout} s") from error
        if not isinstance(answer, response):
            raise MalformedMessage(f"expected {response.__name__}, got {type(answer).__name__}")
        return answer

    async def ping(self, timeout: float) -> float:
        """At once."""
        if self._closed.is_set():
            raise PeerGone("the connection is closed")
        return 0.0

    async def wait_closed(self) -> SymphonyError | None:
        """Wait for the end."""
        await self._closed.wait()
        return self._reason

    async def close(self) -> None:
        """Close both ends."""
        if not self._closed.is_set():
            self.other._reason = PeerGone("the other side closed the connection")
            self._closed.set()
            self.other._closed.set()


class FakeListener(msgspec.Struct):
    """Fake of ListenerPort.

    Args:
        address: Where it listens.
        listeners: All listeners by address.
        token: The secret that it expects.
        handler: Answers what the other sides ask.
        on_connection: Takes each connection.
    """

    address: str
    listeners: "dict[str, FakeListener]"
    token: bytes
    handler: RequestHandler | None
    on_connection: Callable[[ConnectionPort], Awaitable[None]]

    async def close(self) -> None:
        """Take no further connection."""
        self.listeners.pop(self.address, None)


class FakeTransport:
    """Fake of TransportPort."""

    scheme = "fake"

    def __init__(self) -> None:
        self._listeners: dict[str, FakeListener] = {}

    async def connect(
        self, address: str, *, token: bytes = b"", handler: RequestHandler | None = None
    ) -> FakeConnection:
        """Connect to a listener of this transport."""
        listener = self._listeners.get(address)
        if listener is None:
            raise TransportError(f"nobody listens at {address!r}")
        if not hmac.compare_digest(listener.token, token):
            raise TransportError(f"{address!r} refused the token")
        ours, theirs = FakeConnection(handler), FakeConnection(listener.handler)
        ours.other, theirs.other = theirs, ours
        await listener.on_connection(theirs)
        return ours

    async def listen(
        self,
        address: str,
        on_connection: Callable[[ConnectionPort], Awaitable[None]],
        *,
        token: bytes = b"",
        handler: RequestHandler | None = None,
    ) -> FakeListener:
        """Take connections."""
        if address in self._listeners:
            raise TransportError(f"{address!r} is taken")
        listener = FakeListener(address, self._listeners, token, handler, on_connection)
        self._listeners[address] = listener
        return listener

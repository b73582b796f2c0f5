"""A transport whose connections are pairs of objects in one process."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

import msgspec

from symphony_sdk.errors import DeadlineExceeded, MalformedMessage, PeerGone, SymphonyError, TransportError
from symphony_sdk.ports import ConnectionPort, RequestHandler

Response = TypeVar("Response", bound=msgspec.Struct)


class FakeConnection:
    """Fake of ConnectionPort: one of two ends.

    Args:
        handler: Answers what the other end asks.

    Attributes:
        notified: What the other end told.
    """

    def __init__(self, handler: RequestHandler | None) -> None:
        self._handler = handler
        self._closed = asyncio.Event()
        self._reason: SymphonyError | None = None
        self.other: FakeConnection = self
        self.notified: list[msgspec.Struct] = []

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
        try:
            async with asyncio.timeout(timeout):
                answer = await self._answer(message)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no answer within {timeout} s") from error
        if not isinstance(answer, response):
            raise MalformedMessage(f"expected {response.__name__}, got {type(answer).__name__}")
        return answer

    async def stream(
        self, message: msgspec.Struct, item: type[Response], *, timeout: float | None = None, window: int = 32
    ) -> AsyncIterator[Response]:
        """Ask the other end for many messages; it makes each when it is asked for."""
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._answer(message)
            if isinstance(answer, msgspec.Struct):
                raise TransportError(f"{type(message).__name__} has a single answer", code="SYM-T016")
            async with aclosing(cast("Any", answer)) as items:
                while True:
                    async with asyncio.timeout_at(deadline):
                        one = await anext(items)
                    if not isinstance(one, item):
                        raise MalformedMessage(f"expected {item.__name__}, got {type(one).__name__}")
                    yield one
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise DeadlineExceeded(f"no end of the answer within {timeout} s") from error

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the other end; it keeps what it was told."""
        if not self.is_open:
            raise PeerGone("the connection is closed")
        self.other.notified.append(message)

    async def ping(self, timeout: float) -> float:
        """At once."""
        if self._closed.is_set():
            raise PeerGone("the connection is closed")
        return 0.0

    @property
    def is_open(self) -> bool:
        """Whether neither end has closed it."""
        return not self._closed.is_set()

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

    async def _answer(self, message: msgspec.Struct) -> msgspec.Struct | AsyncIterator[msgspec.Struct]:
        if self._closed.is_set():
            raise PeerGone("the connection is closed")
        if self.other._handler is None:
            raise TransportError("the other side answers nothing")
        return await self.other._handler(message)


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
    on_connection: Callable[[ConnectionPort], None]

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
        listener.on_connection(theirs)
        return ours

    async def listen(
        self,
        address: str,
        on_connection: Callable[[ConnectionPort], None],
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

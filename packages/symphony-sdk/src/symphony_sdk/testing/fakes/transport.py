"""A transport whose connections are pairs of objects in one process."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

import msgspec

from symphony_sdk.errors import (
    DeadlineExceeded,
    MalformedMessage,
    PeerGone,
    SymphonyError,
    TransportError,
    foreign_error,
)
from symphony_sdk.messages import message_limit
from symphony_sdk.ports import ConnectionPort, RequestHandler

Response = TypeVar("Response", bound=msgspec.Struct)
ResultT = TypeVar("ResultT")
Answer = msgspec.Struct | AsyncIterator[msgspec.Struct]


class FakeConnection:
    """Fake of ConnectionPort: one of two ends.

    Args:
        handler: Answers what the other end asks.
        answered: What was answered to requests with an idempotency key; shared by the ends of a listener.

    Attributes:
        notified: What the other end told.
    """

    def __init__(
        self, handler: RequestHandler | None, answered: "dict[str, asyncio.Task[Answer]] | None" = None
    ) -> None:
        self._handler = handler
        self._answered = {} if answered is None else answered
        self._closed = asyncio.Event()
        self._reason: SymphonyError | None = None
        self._under_way: set[asyncio.Future[Any]] = set()
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
                answer = await self._answer(message, idempotency_key)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no answer within {timeout} s") from error
        if not isinstance(answer, msgspec.Struct):
            await cast("Any", answer).aclose()
            raise TransportError(f"{type(message).__name__} has many answers", code="SYM-T015")
        return _checked(answer, response)

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
                        # StopAsyncIteration cannot be the outcome of a task
                        one = await self._unless_closed(asyncio.ensure_future(_next(items)))
                    if one is None:
                        return
                    yield _checked(one, item)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no end of the answer within {timeout} s") from error

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the other end; it keeps what it was told."""
        self._check_open()
        self.other.notified.append(message)

    async def ping(self, timeout: float) -> float:
        """At once."""
        self._check_open()
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
        """Close both ends, and fail what is under way."""
        if not self._closed.is_set():
            self.other._reason = PeerGone("the other side closed the connection")
            for end in (self, self.other):
                end._closed.set()
                for future in end._under_way:
                    future.cancel()

    async def _answer(self, message: msgspec.Struct, key: str = "") -> Answer:
        self._check_open()
        _check_size(message)
        if self.other._handler is None:
            raise TransportError("the other side answers nothing")
        task = self.other._answered.get(key) if key else None
        if task is None:
            task = asyncio.ensure_future(_handled(self.other._handler, message))
            if key:
                self.other._answered[key] = task
        # What has a key is not ended with the one who asked first: others may have joined.
        return await self._unless_closed(asyncio.shield(task) if key else task)

    async def _unless_closed(self, future: "asyncio.Future[ResultT]") -> ResultT:
        """The outcome of what the other end does, or the error for a connection that was closed meanwhile."""
        self._under_way.add(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._check_open()
            raise
        finally:
            self._under_way.discard(future)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise self._reason or TransportError("the connection is closed", code="SYM-T009")


async def _handled(handler: RequestHandler, message: msgspec.Struct) -> Answer:
    try:
        answer = await handler(message)
    except Exception as error:
        raise foreign_error(error, type(message).__name__) from error
    if isinstance(answer, msgspec.Struct):
        _check_size(answer)
    return answer


async def _next(items: AsyncIterator[msgspec.Struct]) -> msgspec.Struct | None:
    return await anext(items, None)


def _checked(answer: msgspec.Struct, expected: type[Response]) -> Response:
    if not isinstance(answer, expected):
        raise MalformedMessage(f"expected {expected.__name__}, got {type(answer).__name__}")
    return answer


def _check_size(message: msgspec.Struct) -> None:
    if len(msgspec.msgpack.encode(message)) > message_limit(message):
        raise TransportError(f"the {type(message).__name__} is too large", code="SYM-T005")


class FakeListener(msgspec.Struct):
    """Fake of ListenerPort.

    Args:
        address: Where it listens.
        listeners: All listeners by address.
        token: The secret that it expects.
        handler: Answers what the other sides ask.
        on_connection: Takes each connection.
        answered: What was answered to requests with an idempotency key.
    """

    address: str
    listeners: "dict[str, FakeListener]"
    token: bytes
    handler: RequestHandler | None
    on_connection: Callable[[ConnectionPort], None]
    answered: "dict[str, asyncio.Task[Answer]]"

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
            raise TransportError(f"{address!r} refused the token", code="SYM-T008")
        ours, theirs = FakeConnection(handler), FakeConnection(listener.handler, listener.answered)
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
        listener = FakeListener(address, self._listeners, token, handler, on_connection, {})
        self._listeners[address] = listener
        return listener

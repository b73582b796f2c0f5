"""A bus inside one process, which remembers what was published."""

import asyncio
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Final, TypeVar

import msgspec

from symphony_sdk.errors import BusError, DeadlineExceeded, MalformedMessage, TransportError
from symphony_sdk.messages import message_type
from symphony_sdk.ports.bus import DeadLetter, Delivery, EndpointInfo
from symphony_sdk.ports.transport import RequestHandler

Answer = TypeVar("Answer", bound=msgspec.Struct)
T = TypeVar("T")

_WORD: Final = r"[^\s.*>\x00-\x1f\x7f]+"
_TOPIC: Final = re.compile(rf"{_WORD}(\.{_WORD})*")
_PATTERN: Final = re.compile(rf"(({_WORD}|\*)\.)*({_WORD}|\*|>)")


class FakeSubscription:
    """Fake of Subscription.

    Args:
        limit: Messages that may wait.
        end: Takes it off the bus.
    """

    def __init__(self, limit: int, end: Callable[[], None]) -> None:
        self.lost = 0
        self._limit = limit
        self._end = end
        self._waiting: deque[Delivery] = deque()
        self._moved = asyncio.Event()
        self._closed = False

    def take(self, delivery: Delivery) -> None:
        """Let a message wait; the oldest is lost where there are too many."""
        self._waiting.append(delivery)
        if len(self._waiting) > self._limit:
            self._waiting.popleft()
            self.lost += 1
        self._moved.set()

    def __aiter__(self) -> "FakeSubscription":
        return self

    async def __anext__(self) -> Delivery:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._moved.clear()
            await self._moved.wait()
        return self._waiting.popleft()

    async def __aenter__(self) -> "FakeSubscription":
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End it."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._moved.set()
            self._end()


class FakeBus:
    """Fake of BusPort. It keeps nothing, so `deliver` and durable subscriptions are refused.

    Attributes:
        published: All that was published, in order.
    """

    def __init__(self) -> None:
        self.published: list[Delivery] = []
        self._subscribers: dict[int, tuple[str, str, Callable[[Delivery], None]]] = {}
        self._endpoints: dict[int, tuple[str, str, RequestHandler]] = {}
        self._numbers = count()
        self._turns: Counter[str] = Counter()
        self._answered: dict[
            tuple[str, str], asyncio.Future[msgspec.Struct | AsyncIterator[msgspec.Struct]]
        ] = {}

    def publish(self, topic: str, message: msgspec.Struct) -> None:
        """Call and fill all subscribers at once."""
        if topic.startswith("_"):
            raise _refused(topic, "topic of yours")
        delivery = Delivery(_checked(_TOPIC, topic, "topic"), message)
        message_type(message)
        self.published.append(delivery)
        self._hand_out(delivery)

    async def deliver(self, topic: str, message: msgspec.Struct, *, idempotency_key: str = "") -> None:
        """Refuse: nothing is kept."""
        raise BusError("the fake bus keeps no messages", code="SYM-T024")

    async def subscribe(
        self, pattern: str, *, group: str = "", limit: int = 1024, durable: str = ""
    ) -> FakeSubscription:
        """Get the messages of a pattern."""
        if durable:
            raise BusError("the fake bus remembers no subscriptions", code="SYM-T024")
        number = next(self._numbers)
        subscription = FakeSubscription(limit, lambda: self._drop(number))
        self._subscribers[number] = (_checked(_PATTERN, pattern, "pattern"), group, subscription.take)
        return subscription

    async def listen(
        self, pattern: str, callback: Callable[[Delivery], None], *, group: str = ""
    ) -> AbstractAsyncContextManager[object]:
        """Have a function called with each message."""
        number = next(self._numbers)

        def take(delivery: Delivery) -> None:
            try:
                callback(delivery)
            except Exception as error:  # noqa: BLE001 - the listener is what is tested; the others get the message
                self._bury(delivery, "failed", f"{type(error).__name__}: {error}")

        self._subscribers[number] = (_checked(_PATTERN, pattern, "pattern"), group, take)
        return _leaving(lambda: self._drop(number))

    async def register(
        self, name: str, handler: RequestHandler, *, group: str = ""
    ) -> AbstractAsyncContextManager[object]:
        """Answer the requests to a name."""
        if name.startswith("_"):
            raise _refused(name, "name of yours")
        _checked(_TOPIC, name, "name")
        for other, shared, _ in self._endpoints.values():
            if other == name and (not group or shared != group):
                raise BusError(f"the name {name!r} is taken", code="SYM-T023")
        number = next(self._numbers)
        self._endpoints[number] = (name, group, handler)
        return _leaving(lambda: self._endpoints.pop(number))

    async def endpoints(self, pattern: str = ">") -> tuple[EndpointInfo, ...]:
        """Who can be asked."""
        _checked(_PATTERN, pattern, "pattern")
        found = [EndpointInfo(name, "fake", group) for name, group, _ in self._endpoints.values()]
        return tuple(sorted((e for e in found if _matches(pattern, e.name)), key=lambda e: e.name))

    async def request(
        self,
        to: str,
        message: msgspec.Struct,
        response: type[Answer],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
    ) -> Answer:
        """Call the handler."""
        work = self._handler(to)(message) if not idempotency_key else self._once(to, message, idempotency_key)
        answer = await _in_time(work, timeout)
        if isinstance(answer, msgspec.Struct):
            return _expected(answer, response)
        raise TransportError(f"{to!r} answers with a stream", code="SYM-T015")

    async def stream(
        self, to: str, message: msgspec.Struct, item: type[Answer], *, timeout: float | None = None
    ) -> AsyncIterator[Answer]:
        """Call the handler, and iterate over its answer."""
        answer = await _in_time(self._handler(to)(message), timeout)
        if isinstance(answer, msgspec.Struct):
            raise TransportError(f"{to!r} answers with a single message", code="SYM-T016")
        source = aiter(answer)
        try:
            while True:
                try:
                    one = await _in_time(anext(source), timeout)
                except StopAsyncIteration:
                    return
                yield _expected(one, item)
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    async def _once(
        self, to: str, message: msgspec.Struct, key: str
    ) -> msgspec.Struct | AsyncIterator[msgspec.Struct]:
        if (to, key) not in self._answered:
            self._answered[to, key] = asyncio.ensure_future(self._handler(to)(message))
        return await asyncio.shield(self._answered[to, key])

    def _drop(self, number: int) -> None:
        self._subscribers.pop(number, None)

    def _hand_out(self, delivery: Delivery) -> None:
        wanted = [s for s in self._subscribers.values() if _matches(s[0], delivery.topic)]
        if not wanted:
            self._bury(delivery, "nobody")
        for _, group, take in wanted:
            if not group:
                take(delivery)
        for group in dict.fromkeys(group for _, group, _ in wanted if group):
            members = [take for _, shared, take in wanted if shared == group]
            self._turns[group] += 1
            members[self._turns[group] % len(members)](delivery)

    def _bury(self, delivery: Delivery, reason: str, error: str = "") -> None:
        if not delivery.topic.startswith("_"):
            payload = msgspec.msgpack.encode(delivery.message)
            letter = DeadLetter(delivery.topic, message_type(delivery.message), payload, reason, error)
            self._hand_out(Delivery(f"_dead.{delivery.topic}", letter))

    def _handler(self, to: str) -> RequestHandler:
        handlers = [handler for name, _, handler in self._endpoints.values() if name == to]
        if not handlers:
            raise BusError(f"nobody answers to {to!r}", code="SYM-T022", details={"name": to})
        self._turns[to] += 1
        return handlers[self._turns[to] % len(handlers)]


@asynccontextmanager
async def _leaving(end: Callable[[], object]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        end()


async def _in_time(work: Awaitable[T], timeout: float | None) -> T:
    scope = asyncio.timeout(timeout)
    try:
        async with scope:
            return await work
    except TimeoutError as error:
        if scope.expired():
            raise DeadlineExceeded(f"no answer within {timeout} s") from error
        raise


def _expected(answer: msgspec.Struct, response: type[Answer]) -> Answer:
    if not isinstance(answer, response):
        raise MalformedMessage(f"expected {response.__name__}, got {type(answer).__name__}")
    return answer


def _matches(pattern: str, topic: str) -> bool:
    if topic.startswith("_") and pattern[0] in "*>":
        return False
    words = [
        _WORD if word == "*" else ".+" if word == ">" else re.escape(word) for word in pattern.split(".")
    ]
    return re.fullmatch(r"\.".join(words), topic) is not None


def _checked(grammar: re.Pattern[str], text: str, what: str) -> str:
    if len(text) > 240 or not grammar.fullmatch(text):
        raise _refused(text, what)
    return text


def _refused(text: str, what: str) -> BusError:
    return BusError(f"{text!r} is no {what}")

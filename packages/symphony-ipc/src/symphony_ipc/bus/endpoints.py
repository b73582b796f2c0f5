"""The asking half of a node: who answers to a name, here or at a neighbour, and who of several is asked."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, TypeVar

import msgspec
from symphony_sdk.errors import BusError, MalformedMessage, TransportError
from symphony_sdk.messages import message_type
from symphony_sdk.ports.bus import EndpointInfo
from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.answered import AnsweredRequests
from symphony_ipc.bus.calls import in_time
from symphony_ipc.bus.neighbour import Neighbour
from symphony_ipc.bus.topics import Patterns
from symphony_ipc.envelope import Envelope
from symphony_ipc.router import Answered, Forwarded
from symphony_ipc.working import Work

AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)


class LocalEndpoint:
    """An endpoint of this process.

    Args:
        handler: Answers its requests.
    """

    ready: Final = True

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._work = Work(handler)
        self._answered = AnsweredRequests()
        self._calls = 0

    @property
    def in_flight(self) -> int:
        """Requests that it works on."""
        return self._calls + self._work.in_flight

    def ask(self, envelope: Envelope, answered: Answered) -> Forwarded:
        """Have it answer a request of another process; one that has an idempotency key is carried out once."""
        if envelope.idempotency_key and not envelope.credit:
            return self._answered.ask("", envelope, answered, self._work.ask)
        return self._work.ask(envelope, answered)

    async def call(self, message: msgspec.Struct, response: type[AnswerT], timeout: float | None) -> AnswerT:
        """Have it answer a request of this process: the handler gets the message as it is.

        Raises:
            DeadlineExceeded: `timeout` passed.
            MalformedMessage: The answer is not of that type.
            TransportError: The answer is a stream (`SYM-T015`).
        """
        message_type(message)
        self._calls += 1
        try:
            answer = await in_time(self._handler(message), timeout, message)
        finally:
            self._calls -= 1
        if isinstance(answer, msgspec.Struct):
            return expected(answer, response)
        await _close(answer)
        raise TransportError(
            f"{message_type(message)!r} is answered with a stream",
            code="SYM-T015",
            hint="Ask with `stream`, and iterate over what it returns.",
        )

    async def stream(
        self, message: msgspec.Struct, item: type[AnswerT], timeout: float | None
    ) -> AsyncIterator[AnswerT]:
        """Have it answer a request of this process with many messages.

        Raises:
            DeadlineExceeded: `timeout` passed.
            MalformedMessage: An item is not of that type.
            TransportError: The answer is a single message (`SYM-T016`).
        """
        clock = asyncio.get_running_loop().time
        deadline = None if timeout is None else clock() + timeout
        self._calls += 1
        try:
            answer = await in_time(self._handler(message), timeout, message)
            if isinstance(answer, msgspec.Struct):
                raise TransportError(
                    f"a stream was asked for, and the answer is a single {message_type(answer)!r}",
                    code="SYM-T016",
                    hint="Ask with `request`.",
                )
            source = aiter(answer)
            try:
                while True:
                    left = None if deadline is None else deadline - clock()
                    try:
                        one = await in_time(anext(source), left, message)
                    except StopAsyncIteration:
                        return
                    yield expected(one, item)
            finally:
                await _close(source)
        finally:
            self._calls -= 1


class _Name:
    """Who answers to one name."""

    __slots__ = ("group", "members", "turn")

    def __init__(self, group: str) -> None:
        self.group = group
        self.members: list[LocalEndpoint | Neighbour] = []
        self.turn = 0


class Directory:
    """The endpoints that a node knows: its own and those below it."""

    def __init__(self) -> None:
        self._names: dict[str, _Name] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def groups(self) -> dict[str, str]:
        """The group of each name."""
        return {name: entry.group for name, entry in self._names.items()}

    def add(self, name: str, group: str, member: LocalEndpoint | Neighbour) -> None:
        """Have somebody answer to a name.

        Raises:
            BusError: It is taken (`SYM-T023`).
        """
        entry = self._names.get(name)
        if entry is None:
            entry = self._names[name] = _Name(group)
        elif not group or entry.group != group:
            held = f"by the group {entry.group!r}" if entry.group else "by an endpoint that is in no group"
            raise BusError(
                f"the name {name!r} is taken {held}",
                code="SYM-T023",
                hint="Choose another name, or register all who share the work with the same `group`.",
                details={"name": name, "group": entry.group},
            )
        entry.members.append(member)

    def remove(self, name: str, member: LocalEndpoint | Neighbour) -> None:
        """Have somebody answer no more; nothing happens where it did not."""
        entry = self._names.get(name)
        if entry is not None and member in entry.members:
            entry.members.remove(member)
            if not entry.members:
                del self._names[name]

    def clear(self) -> None:
        """Have nobody answer."""
        self._names.clear()

    def choose(self, name: str, origin: Neighbour | None = None) -> LocalEndpoint | Neighbour | None:
        """Who is to answer: of those that are healthy the one with the least to do, in turn where they are equal.

        Args:
            name: Whose endpoint.
            origin: Who asks, and is therefore not asked itself.
        """
        entry = self._names.get(name)
        if entry is None:
            return None
        members = entry.members
        if len(members) == 1:
            return members[0] if members[0] is not origin else None
        entry.turn = turn = (entry.turn + 1) % len(members)
        others = [member for member in (*members[turn:], *members[:turn]) if member is not origin]
        return min(others, key=_burden)

    def infos(self, pattern: str, process: str) -> list[EndpointInfo]:
        """Who can be asked, in the order of their names.

        Args:
            pattern: Which names.
            process: What this process is called.
        """
        patterns: Patterns[None] = Patterns()
        patterns.add(pattern, None)
        found = []
        for name, entry in sorted(self._names.items()):
            if patterns.match(name):
                for member in entry.members:
                    if isinstance(member, Neighbour):
                        found.append(EndpointInfo(name, member.process, entry.group, member.health))
                    else:
                        found.append(EndpointInfo(name, process, entry.group))
        return found


def no_endpoint(name: str) -> BusError:
    """The error of a request that nobody answers."""
    return BusError(
        f"nobody answers to {name[:255]!r}",
        code="SYM-T022",
        hint="Look at `await bus.endpoints()`: the name may be misspelt, or its process has not started or has ended.",
        details={"name": name[:255]},
    )


def expected(answer: msgspec.Struct, response: type[AnswerT]) -> AnswerT:
    """The answer itself.

    Raises:
        MalformedMessage: It is of another type.
    """
    if not isinstance(answer, response):
        raise MalformedMessage(
            f"the answer is of type {message_type(answer)!r}; expected {message_type(response)!r}",
            hint="The one who asks and the one who answers must agree on the type.",
        )
    return answer


async def _close(stream: AsyncIterator[msgspec.Struct]) -> None:
    close = getattr(stream, "aclose", None)  # a generator has it, another iterator may
    if close is not None:
        await close()


def _burden(member: LocalEndpoint | Neighbour) -> tuple[bool, int]:
    return (not member.ready, member.in_flight)

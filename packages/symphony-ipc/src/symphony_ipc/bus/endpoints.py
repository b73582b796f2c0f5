"""The asking half of a node: who answers to a name, here or at a neighbour, and who of several is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import Token

import msgspec
from symphony_sdk.errors import BusError, DeadlineExceeded
from symphony_sdk.ports.bus import EndpointInfo
from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.bus.neighbour import Neighbour
from symphony_ipc.bus.topics import Patterns
from symphony_ipc.envelope import IDEMPOTENCY_KEY, Envelope
from symphony_ipc.router import Answered, Forwarded
from symphony_ipc.working import Work


class LocalEndpoint:
    """An endpoint of this process.

    Args:
        handler: Answers its requests.
    """

    ready = True

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._work = Work(handler)
        self._calls = 0

    @property
    def in_flight(self) -> int:
        """Requests that it works on."""
        return self._calls + self._work.in_flight

    def ask(self, envelope: Envelope, answered: Answered) -> Forwarded:
        """Have it answer a request of another process."""
        return self._work.ask(envelope, answered)

    async def call(
        self, message: msgspec.Struct, timeout: float | None, idempotency_key: str
    ) -> msgspec.Struct | AsyncIterator[msgspec.Struct]:
        """Have it answer a request of this process: the message is given to the handler as it is.

        Raises:
            DeadlineExceeded: `timeout` passed.
        """
        token: Token[str] = IDEMPOTENCY_KEY.set(idempotency_key)
        self._calls += 1
        try:
            if timeout is None:
                return await self._handler(message)
            async with within(timeout, message):
                return await self._handler(message)
        finally:
            self._calls -= 1
            IDEMPOTENCY_KEY.reset(token)


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
        """Have somebody answer no more."""
        entry = self._names[name]
        entry.members.remove(member)
        if not entry.members:
            del self._names[name]

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


class within:  # noqa: N801 - a context, named as it reads
    """A context that ends with `DeadlineExceeded` when the seconds of a request have passed."""

    def __init__(self, timeout: float | None, message: msgspec.Struct) -> None:
        self._scope = asyncio.timeout(timeout)
        self._message = message

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()

    async def __aexit__(self, *reason: object) -> None:
        pass


def _burden(member: LocalEndpoint | Neighbour) -> tuple[bool, int]:
    return (not member.ready, member.in_flight)

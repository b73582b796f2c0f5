"""Who gets what is published: the subscribers of this process and the neighbours, by pattern and group."""

from collections.abc import Iterator
from typing import Final

from symphony_ipc.bus.neighbour import Neighbour
from symphony_ipc.bus.send_queue import Key
from symphony_ipc.bus.subscription import Local
from symphony_ipc.bus.topics import OWN, Patterns, check_topic

ROUTES_LIMIT: Final = 4096
"""Topics whose routes are remembered."""

Member = tuple[Local | Neighbour, Key]
"""One of a queue group, and the subscription by which it is one."""


class Route:
    """The way of the messages of one topic.

    Args:
        own: Whether the topic is the bus's own.

    Attributes:
        local: Subscribers of this process that are in no group.
        below: Neighbours that want them outside of a group, and by which subscriptions.
        groups: The members of each queue group.
        is_local: Whether there are subscribers of this process, and nobody else.
    """

    __slots__ = ("below", "groups", "is_local", "local", "own")

    def __init__(
        self,
        own: bool,
        local: tuple[Local, ...],
        below: tuple[tuple[Neighbour, tuple[Key, ...]], ...],
        groups: tuple[tuple[str, tuple[Member, ...]], ...],
    ) -> None:
        self.own = own
        self.local = local
        self.below = below
        self.groups = groups
        self.is_local = bool(local) and not (own or below or groups)

    @property
    def leads_nowhere(self) -> bool:
        """Whether nobody wants the messages."""
        return not (self.local or self.below or self.groups)


class _Wanted:
    """Who subscribed to one pattern: by group, the empty one included."""

    __slots__ = ("by_group", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.by_group: dict[str, list[Local | Neighbour]] = {}


class Interest:
    """The subscriptions that a node knows.

    Attributes:
        routes: The ways that were found already, by topic.
    """

    def __init__(self) -> None:
        self._patterns: Patterns[_Wanted] = Patterns()
        self._wanted: dict[str, _Wanted] = {}
        self._turns: dict[str, int] = {}
        self.routes: dict[str, Route] = {}

    def __contains__(self, key: Key) -> bool:
        wanted = self._wanted.get(key[0])
        return wanted is not None and key[1] in wanted.by_group

    def __iter__(self) -> Iterator[Key]:
        return iter(
            [(wanted.pattern, group) for wanted in self._wanted.values() for group in wanted.by_group]
        )

    def members(self, key: Key) -> list[Local | Neighbour]:
        """Who subscribed to exactly this pattern and group."""
        wanted = self._wanted.get(key[0])
        return [] if wanted is None else wanted.by_group.get(key[1], [])

    def add(self, key: Key, member: Local | Neighbour) -> None:
        """Have somebody get the messages of a valid pattern."""
        pattern, group = key
        wanted = self._wanted.get(pattern)
        if wanted is None:
            wanted = self._wanted[pattern] = _Wanted(pattern)
            self._patterns.add(pattern, wanted)
        wanted.by_group.setdefault(group, []).append(member)
        self.routes.clear()

    def remove(self, key: Key, member: Local | Neighbour) -> None:
        """Have somebody get them no more."""
        pattern, group = key
        wanted = self._wanted[pattern]
        wanted.by_group[group].remove(member)
        if not wanted.by_group[group]:
            del wanted.by_group[group]
            if group and not any(group in other.by_group for other in self._wanted.values()):
                self._turns.pop(group, None)
        if not wanted.by_group:
            del self._wanted[pattern]
            self._patterns.remove(pattern)
        self.routes.clear()

    def route(self, topic: str) -> Route:
        """The way of a topic's messages.

        Raises:
            BusError: It is not a topic.
        """
        route = self.routes.get(topic)
        if route is None:
            if len(self.routes) >= ROUTES_LIMIT:
                self.routes.clear()
            route = self.routes[topic] = self._find(check_topic(topic))
        return route

    def next_member(self, group: str, members: tuple[Member, ...]) -> Member:
        """Whose turn it is among the members of a group: those that cannot take a message now are passed over."""
        turn = self._turns[group] = (self._turns.get(group, -1) + 1) % len(members)
        for member in (*members[turn:], *members[:turn]):
            if member[0].ready:
                return member
        return members[turn]

    def _find(self, topic: str) -> Route:
        local: list[Local] = []
        below: dict[Neighbour, list[Key]] = {}
        groups: dict[str, list[Member]] = {}
        for wanted in self._patterns.match(topic):
            for group, members in wanted.by_group.items():
                key = (wanted.pattern, group)
                if group:
                    groups.setdefault(group, []).extend((member, key) for member in members)
                    continue
                for member in members:
                    if isinstance(member, Neighbour):
                        below.setdefault(member, []).append(key)
                    else:
                        local.append(member)
        return Route(
            topic.startswith(OWN),
            tuple(local),
            tuple((neighbour, tuple(keys)) for neighbour, keys in below.items()),
            tuple((group, tuple(members)) for group, members in groups.items()),
        )

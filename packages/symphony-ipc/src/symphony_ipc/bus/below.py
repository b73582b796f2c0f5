"""The processes below a node: what they publish, ask of others, and ask of the node itself."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec
from symphony_sdk.errors import BusError, MalformedMessage, SymphonyError
from symphony_sdk.messages import Done
from symphony_sdk.ports.bus import EndpointInfo, Health, HealthChanged

from symphony_ipc.bus.above import Above, Claim
from symphony_ipc.bus.calls import Answering
from symphony_ipc.bus.endpoints import Directory, no_endpoint
from symphony_ipc.bus.exchange import Exchange
from symphony_ipc.bus.health import Heartbeat
from symphony_ipc.bus.hub import HubUplink
from symphony_ipc.bus.interest import Interest
from symphony_ipc.bus.messages import (
    DELIVER,
    HEALTH,
    LOST,
    NODE,
    TOPIC,
    EndpointsFound,
    FindEndpoints,
    Lost,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
)
from symphony_ipc.bus.metrics import Counts
from symphony_ipc.bus.neighbour import Neighbour
from symphony_ipc.bus.topics import OWN, check_group, check_name, check_pattern, check_topic
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.payload import decode_payload, unknown_message
from symphony_ipc.router import Answered, Forwarded
from symphony_ipc.working import Work

CLAIMS_LIMIT: Final = 10_000
"""Subscriptions and endpoints that one process below may have."""


class Below:
    """The neighbours below a node.

    Args:
        process: What this process is called.
        interest: Who wants what.
        directory: Who answers what.
        exchange: Passes on what is published.
        above: The node above.
        counts: What is counted.
    """

    def __init__(
        self,
        process: str,
        interest: Interest,
        directory: Directory,
        exchange: Exchange,
        above: Above,
        counts: Counts,
    ) -> None:
        self._process = process
        self._interest = interest
        self._directory = directory
        self._exchange = exchange
        self._above = above
        self._counts = counts
        self._neighbours: dict[Neighbour, Work] = {}
        self._heartbeat = Heartbeat(self._health_changed)
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(self._neighbours)

    def attach(self, connection: Connection, pid: int | None) -> None:
        """Take the process at the other end of a connection as a neighbour.

        Raises:
            BusError: It has a bus already (`SYM-T025`).
        """
        if connection.router is not None:
            raise BusError(
                f"the connection to {connection.session.peer!r} belongs to a bus already",
                code="SYM-T025",
                hint="Attach a connection once, and do not join a bus through it as well.",
            )
        neighbour = Neighbour(connection, self, self._counts)
        self._neighbours[neighbour] = Work(partial(self._serve, neighbour))
        self._heartbeat.watch(neighbour, pid)
        connection.router = neighbour
        if not connection.is_open:
            self.lost_below(neighbour, None)

    async def close(self) -> None:
        """Close the connections to all neighbours."""
        for neighbour in list(self._neighbours):
            await neighbour.connection.close()

    # -- what neighbours bring -----------------------------------------------------------------------

    def published_below(self, neighbour: Neighbour, envelope: Envelope) -> None:
        """Take a PUBLISH of a neighbour.

        Raises:
            MalformedMessage: Its topic is not one.
        """
        if envelope.to == LOST:
            self._lost_on_the_way_up(neighbour, decode_payload(Lost, envelope.payload))
            return
        try:
            self._exchange.pass_on(envelope, neighbour)
        except BusError as error:
            raise MalformedMessage(f"{neighbour.process!r} published to no topic: {error}") from error

    def asked_below(self, neighbour: Neighbour, envelope: Envelope, answered: Answered) -> Forwarded:
        """Take a REQUEST of a neighbour: it is passed on without being decoded, down, up or to this process.

        Raises:
            BusError: Nobody answers to its name.
        """
        self._counts.requests += 1
        name = envelope.to
        member = self._directory.choose(name, neighbour)
        if member is not None:
            return member.ask(envelope, answered)
        if name.startswith(OWN):
            if name == NODE:
                return self._neighbours[neighbour].ask(envelope, answered)
            if name == DELIVER:
                return Answering(self._deliver(envelope), answered)
        elif self._above.link is not None:
            return self._above.link.request(envelope, answered)
        self._counts.failed += 1
        raise no_endpoint(name)

    def lost_below(self, neighbour: Neighbour, reason: SymphonyError | None) -> None:
        """Forget a neighbour that is gone."""
        del self._neighbours[neighbour]
        self._heartbeat.forget(neighbour)
        claims: list[Claim] = []
        for key in neighbour.interest:
            self._interest.remove(key, neighbour)
            claims.append(Subscribe(*key))
        for name, group in neighbour.names.items():
            self._directory.remove(name, neighbour)
            claims.append(Register(name, group))
        self._health_changed(neighbour, "dead", "it was detached" if reason is None else reason.message)
        if self._above.link is not None and claims:
            task = asyncio.get_running_loop().create_task(self._settle(claims))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    # -- what they ask of the node -------------------------------------------------------------------

    async def _serve(self, neighbour: Neighbour, message: msgspec.Struct) -> msgspec.Struct:
        match message:
            case Subscribe():
                await self._subscribe(neighbour, message)
            case Unsubscribe():
                key = (message.pattern, message.group)
                if key in neighbour.interest:
                    neighbour.interest.discard(key)
                    self._interest.remove(key, neighbour)
                    await self._above.settle(Subscribe(*key))
            case Register():
                await self._register(neighbour, message)
            case Unregister():
                if neighbour.names.pop(message.name, None) is not None:
                    self._directory.remove(message.name, neighbour)
                    await self._above.settle(Register(message.name, message.group))
            case FindEndpoints():
                return EndpointsFound(await self.endpoints(message.pattern))
            case _:
                raise unknown_message(type(message).__name__, ("bus.subscribe/1", "bus.register/1"))
        return Done()

    async def endpoints(self, pattern: str) -> tuple[EndpointInfo, ...]:
        """Who can be asked: here, below, and through the node above.

        Raises:
            BusError: The pattern is not one.
        """
        found = self._directory.infos(check_pattern(pattern), self._process)
        link = self._above.link
        if link is not None:  # which knows those here and below as endpoints of this process
            found += [
                info
                for info in await link.endpoints(pattern)
                if info.process != self._process or info.name not in self._directory
            ]
        return tuple(sorted(found, key=lambda info: (info.name, info.process)))

    async def _subscribe(self, neighbour: Neighbour, message: Subscribe) -> None:
        if message.durable:
            raise BusError(
                f"a subscription of {neighbour.process!r} is to be remembered as {message.durable!r}, and it reaches "
                "the bus through another process",
                code="SYM-T024",
                hint="Subscribe in the process that has joined the bus which keeps messages.",
            )
        key = (check_pattern(message.pattern), check_group(message.group))
        if key not in neighbour.interest:
            self._check_room(neighbour)
            neighbour.interest.add(key)
            self._interest.add(key, neighbour)
        await self._above.settle(message)

    async def _register(self, neighbour: Neighbour, message: Register) -> None:
        name = check_name(message.name)
        check_group(message.group)
        if name not in neighbour.names:
            self._check_room(neighbour)
            self._directory.add(name, message.group, neighbour)
            neighbour.names[name] = message.group
        try:
            await self._above.settle(message)
        except BaseException:
            if neighbour.names.pop(name, None) is not None:
                self._directory.remove(name, neighbour)
            raise

    async def _deliver(self, envelope: Envelope) -> msgspec.Struct:
        topic = check_topic((envelope.meta or {}).get(TOPIC, ""))
        if self._above.link is None:
            raise keeps_nothing(topic)
        await self._above.link.deliver(
            msgspec.structs.replace(envelope, kind=Kind.PUBLISH, id=0, deadline=None, meta=None, to=topic)
        )
        return Done()

    def _check_room(self, neighbour: Neighbour) -> None:
        if len(neighbour.interest) + len(neighbour.names) >= CLAIMS_LIMIT:
            raise BusError(
                f"{neighbour.process!r} has {CLAIMS_LIMIT:,} subscriptions and endpoints, which is all that a process may",
                code="SYM-T026",
                hint="Subscribe to a pattern with `*` or `>` instead of to each topic.",
            )

    def _lost_on_the_way_up(self, origin: Neighbour, loss: Lost) -> None:
        route = self._interest.route(loss.pattern)
        for subscriber in route.local:
            subscriber.lost += loss.count
        for neighbour, keys in route.below:
            if neighbour is not origin:
                neighbour.queue.missed(keys, loss.count)
        if isinstance(self._above.link, HubUplink):
            self._above.link.missed(loss.pattern, loss.count)

    def _health_changed(self, neighbour: Neighbour, health: Health, reason: str) -> None:
        neighbour.health = health
        self._exchange.announce(HEALTH, HealthChanged(neighbour.process, health, reason))

    async def _settle(self, claims: list[Claim]) -> None:
        for claim in claims:
            with suppress(SymphonyError):  # the node above has it for longer than it is wanted: no harm
                await self._above.settle(claim)


def keeps_nothing(topic: str) -> BusError:
    """The error where a message is to be kept and nobody keeps it."""
    return BusError(
        f"no bus that this process has joined keeps messages, and one to {topic!r} is to be kept",
        code="SYM-T024",
        hint="Join a bus that keeps messages, such as NATS with JetStream, or `publish` at most once.",
    )

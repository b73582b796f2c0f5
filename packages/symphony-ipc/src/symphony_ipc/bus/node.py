"""A node of the bus: each process has one. It joins what its process asks for with the nodes below and above."""

from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

import msgspec
from symphony_sdk.errors import BusError
from symphony_sdk.messages import message_type
from symphony_sdk.ports.bus import Delivery, EndpointInfo
from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.bus.above import Above
from symphony_ipc.bus.below import Below, keeps_nothing
from symphony_ipc.bus.calls import answer_to, give_up
from symphony_ipc.bus.endpoints import Directory, LocalEndpoint, no_endpoint
from symphony_ipc.bus.exchange import Exchange
from symphony_ipc.bus.hub import HubUplink
from symphony_ipc.bus.interest import Interest
from symphony_ipc.bus.messages import Register, Subscribe
from symphony_ipc.bus.metrics import BusMetrics, Counts, NeighbourMetrics
from symphony_ipc.bus.neighbour import Neighbour
from symphony_ipc.bus.registration import Registration
from symphony_ipc.bus.subscription import Listener, Local, QueuedSubscription
from symphony_ipc.bus.topics import check_group, check_name, check_pattern, check_topic
from symphony_ipc.bus.uplink import Uplink
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import TRACEPARENT, Envelope, Kind
from symphony_ipc.payload import answer_of, encode_payload
from symphony_ipc.router import Ask
from symphony_ipc.streaming import items

AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)

STREAM_WINDOW: Final = 32
"""Items that the endpoint of a stream may be ahead of the one who takes them."""


class Bus:
    """A node of the bus; adapter of `BusPort`, for the event loop that it is used on.

    Alone it joins the parts of one process. With `attach` it is the hub of other processes; with `join` it becomes
    a neighbour below another node, or is joined to a server between machines.

    Args:
        name: What this process is called: the `process` of its endpoints.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts = Counts()
        self._interest = Interest()
        self._directory = Directory()
        self._local: set[Local] = set()
        self._exchange = Exchange(name, self._interest, self._counts)
        self._above = Above(name, self._interest, self._directory, self._exchange, self._counts)
        self._below = Below(name, self._interest, self._directory, self._exchange, self._above, self._counts)
        self._closed = False

    @property
    def name(self) -> str:
        """What this process is called."""
        return self._name

    # -- telling -------------------------------------------------------------------------------------

    def publish(self, topic: str, message: msgspec.Struct) -> None:
        """Tell all who subscribed to the topic, at most once. Returns at once.

        Args:
            topic: Where to.
            message: A registered message.

        Raises:
            BusError: The topic is not one, or is the bus's own.
            TransportError: The message has to leave the process, and is too large or cannot be encoded.
        """
        self._exchange.publish(topic, message)

    async def deliver(self, topic: str, message: msgspec.Struct, *, idempotency_key: str = "") -> None:
        """Publish at least once: when this returns, the bus keeps the message until it was taken.

        Args:
            topic: Where to.
            message: A registered message.
            idempotency_key: Equal for calls that publish the same message; it is then kept once.

        Raises:
            BusError: No bus that was joined keeps messages, or it could not keep this one.
        """
        check_topic(topic)
        link = self._above.link
        if link is None:
            raise keeps_nothing(topic)
        await link.deliver(
            Envelope(
                Kind.PUBLISH,
                type=message_type(message),
                traceparent=TRACEPARENT.get(),
                idempotency_key=idempotency_key,
                to=topic,
                payload=encode_payload(message),
            )
        )

    async def subscribe(
        self, pattern: str, *, group: str = "", limit: int = 1024, durable: str = ""
    ) -> QueuedSubscription:
        """Get the messages of the topics that match; when this returns, none is missed any more.

        Args:
            pattern: Which topics.
            group: Of all subscribers in one group only one gets each message.
            limit: Messages that may wait; beyond it the oldest are lost, and counted.
            durable: Name under which the bus remembers what was taken, across restarts. A message counts as
                taken when the next one is asked for.

        Raises:
            BusError: The pattern is not one, or `durable` is asked of a bus that keeps no messages.
        """
        if limit < 1:
            raise BusError(
                f"a subscription to {pattern!r} has room for {limit} messages; expected 1 or more",
                code="SYM-T025",
                hint="The default is 1024.",
            )
        subscription = QueuedSubscription(
            check_pattern(pattern), check_group(group), check_group(durable), limit, self._counts, self._end
        )
        if durable:
            self._remember(subscription)
        await self._begin(subscription)
        return subscription

    async def listen(
        self, pattern: str, callback: Callable[[Delivery], None], *, group: str = ""
    ) -> Listener:
        """Have a function called with each message; it must return soon. What it raises is a dead letter.

        Args:
            pattern: Which topics.
            callback: Takes each message, on the event loop.
            group: Of all subscribers in one group only one gets each message.

        Returns:
            Ends it when left.

        Raises:
            BusError: The pattern is not one.
        """
        listener = Listener(
            check_pattern(pattern), check_group(group), callback, self._exchange.failed, self._end
        )
        await self._begin(listener)
        return listener

    # -- asking --------------------------------------------------------------------------------------

    async def register(self, name: str, handler: RequestHandler, *, group: str = "") -> Registration:
        """Answer the requests to a name.

        Args:
            name: Dotted name, the same for all who share the work.
            handler: Answers each request.
            group: Where it is given, all endpoints of this name and group share the requests.

        Returns:
            Takes the endpoint away when left.

        Raises:
            BusError: The name is taken, or is not one.
        """
        self._check_open()
        endpoint = LocalEndpoint(handler)
        claim = Register(check_name(name), check_group(group))
        self._directory.add(name, group, endpoint)

        async def end() -> None:
            self._directory.remove(name, endpoint)
            await self._above.settle(claim)

        try:
            await self._above.settle(claim)
        except BaseException:
            self._directory.remove(name, endpoint)
            raise
        return Registration(end)

    async def endpoints(self, pattern: str = ">") -> tuple[EndpointInfo, ...]:
        """Who can be asked, in the order of their names.

        Args:
            pattern: Which names.

        Raises:
            BusError: The pattern is not one.
        """
        return await self._below.endpoints(pattern)

    async def request(
        self,
        to: str,
        message: msgspec.Struct,
        response: type[AnswerT],
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
    ) -> AnswerT:
        """Ask an endpoint, wherever it lives: here, then below, then by way of the node above.

        An endpoint of this process gets the very object, runs in this task, and what it raises is raised here as it
        is; with an idempotency key it is asked as from another process, and its answer kept. Cancelling the awaiting
        task cancels the work there.

        Args:
            to: Its name.
            message: A registered message.
            response: Type of the answer.
            timeout: Seconds; None for no bound.
            idempotency_key: Equal for requests that must not be carried out twice.

        Raises:
            SymphonyError: What the endpoint raised.
            BusError: There is no such endpoint.
            DeadlineExceeded: `timeout` passed.
            PeerGone: Its process ended first.
        """
        self._counts.requests += 1
        try:
            member = self._directory.choose(to)
            if isinstance(member, LocalEndpoint) and not idempotency_key:
                return await member.call(message, response, timeout)
            envelope = _request(to, message, timeout, idempotency_key)
            return answer_of(await answer_to(self._way_to(to, member), envelope), response)
        except BaseException:
            self._counts.failed += 1
            raise

    def stream(
        self, to: str, message: msgspec.Struct, item: type[AnswerT], *, timeout: float | None = None
    ) -> AsyncIterator[AnswerT]:
        """Ask an endpoint for many messages. Closing the iterator ends the work there.

        Args:
            to: Its name.
            message: A registered message.
            item: Type of each message of the answer.
            timeout: Seconds for all of them; None for no bound.

        Raises:
            SymphonyError: As for `request`.
        """
        self._counts.requests += 1
        member = self._directory.choose(to)
        if isinstance(member, LocalEndpoint):
            return member.stream(message, item, timeout)
        envelope = _request(to, message, timeout)
        envelope.credit = STREAM_WINDOW
        return items(self._way_to(to, member), give_up, envelope, item)

    # -- the tree ------------------------------------------------------------------------------------

    def attach(self, connection: Connection, *, pid: int | None = None) -> None:
        """Make the process at the other end a neighbour below: it must `join` through its end.

        Args:
            connection: Where it is; closed with this node.
            pid: Its process id in this process's view, where that is known: its end is then noticed even if
                another process holds its end of the connection open.

        Raises:
            BusError: The connection belongs to a bus already, or this one is closed (`SYM-T025`).
        """
        self._check_open()
        self._below.attach(connection, pid)

    async def join(self, above: Uplink | Connection) -> None:
        """Become a neighbour of the bus above; what is subscribed and registered here is so there when this returns.

        Where that bus ends, this one goes on alone, and may join again.

        Args:
            above: A connection whose other end was given to `attach`, or an uplink. It is closed with this node.

        Raises:
            BusError: There is a bus above already, the name of an endpoint is taken there, or this bus is closed.
            PeerGone: It ended meanwhile.
        """
        self._check_open()
        if self._above.link is not None:
            raise BusError(
                f"{self._name!r} has joined a bus already",
                code="SYM-T025",
                hint="A node has one bus above; attach the other as a neighbour below.",
            )
        await self._above.join(HubUplink(above, self._counts) if isinstance(above, Connection) else above)

    async def close(self) -> None:
        """End all subscriptions and endpoints of this process, and close the connections."""
        self._closed = True
        for local in self._local:
            local.stop()
        self._local.clear()
        self._above.durable.clear()
        self._directory.clear()
        await self._above.leave()
        await self._below.close()

    def metrics(self) -> BusMetrics:
        """What has been counted."""
        neighbours = tuple(
            NeighbourMetrics(
                neighbour.process,
                neighbour.health,
                neighbour.connection.counters.frames_in,
                neighbour.connection.counters.bytes_in,
                neighbour.connection.counters.frames_out,
                neighbour.connection.counters.bytes_out,
                len(neighbour.queue),
                neighbour.queue.lost,
                neighbour.in_flight,
                neighbour.connection.round_trip,
            )
            for neighbour in self._below
        )
        return BusMetrics(**msgspec.structs.asdict(self._counts), neighbours=neighbours)

    # -- inside --------------------------------------------------------------------------------------

    async def _begin(self, local: Local) -> None:
        self._check_open()
        claim = Subscribe(local.pattern, local.group, local.durable)
        if not local.durable:
            self._interest.add((local.pattern, local.group), local)
        self._local.add(local)
        try:
            await self._above.settle(claim)
        except BaseException:
            await self._end(local)
            raise

    def _remember(self, subscription: QueuedSubscription) -> None:
        if self._above.link is None:
            raise keeps_nothing(subscription.pattern)
        if subscription.durable in self._above.durable:
            raise BusError(
                f"{subscription.durable!r} names a subscription of this process already",
                code="SYM-T025",
                hint="Close it first, or give the other one another name.",
            )
        self._above.durable[subscription.durable] = subscription

    async def _end(self, local: Local) -> None:
        if local not in self._local:
            return
        self._local.discard(local)
        if local.durable:
            del self._above.durable[local.durable]
        else:
            self._interest.remove((local.pattern, local.group), local)
        await self._above.settle(Subscribe(local.pattern, local.group, local.durable))

    def _way_to(self, to: str, member: LocalEndpoint | Neighbour | None) -> Ask:
        if member is not None:
            return member.ask
        link = self._above.link
        if link is None:
            raise no_endpoint(check_name(to))
        return link.request

    def _check_open(self) -> None:
        if self._closed:
            raise BusError(
                f"the bus of {self._name!r} is closed", code="SYM-T025", hint="Make another `Bus`."
            )


def _request(to: str, message: msgspec.Struct, timeout: float | None, idempotency_key: str = "") -> Envelope:
    return Envelope(
        Kind.REQUEST,
        0,
        message_type(message),
        None if timeout is None else max(timeout, 0.0),
        TRACEPARENT.get(),
        idempotency_key,
        to=to,
        payload=encode_payload(message),
    )

"""The requests of others to endpoints of this node: each gets one final answer, and ends with its asker."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from symphony_ipc.bus.endpoints import no_endpoint
from symphony_ipc.bus.uplink import Receiver
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.router import Forwarded
from symphony_sdk.errors import MalformedMessage, PeerGone, SymphonyError, TransportError

from symphony_transport_nats import subjects
from symphony_transport_nats.frames import decode, encode, failure, shortened
from symphony_transport_nats.server import NatsServer, Outgoing

OPEN_REQUESTS: Final = 4096
"""Requests of others that may be worked on; beyond it they are refused."""

_ALONE: Final = "_"  # the queue group of an endpoint that has none: so a request never goes to two nodes


class _Endpoint(msgspec.Struct):
    group: str
    subscription: Subscription | None = None


class _Call:
    """A request of another node."""

    __slots__ = ("age", "answers", "control", "done", "forwarded", "name")

    def __init__(self, name: str, answers: str, control: str) -> None:
        self.name = name
        self.answers = answers
        self.control = control
        self.age = 0
        self.done = False
        self.forwarded: Forwarded | None = None


class Answering:
    """Gives requests to the node and sends what it answers.

    Args:
        server: The way to all others.
        node: The id of this node.
        receiver: The node.
        take: Contains what a message does wrong.

    Attributes:
        refused: Requests that came while too many were open.
    """

    def __init__(
        self,
        server: NatsServer,
        node: str,
        receiver: Receiver,
        take: Callable[[Callable[[Msg], None]], Callable[[Msg], None]],
    ) -> None:
        self.refused = 0
        self._server = server
        self._node = node
        self._receiver = receiver
        self._contained = take
        self._endpoints: dict[str, _Endpoint] = {}
        self._calls: dict[str, _Call] = {}

    @property
    def under_way(self) -> int:
        """Requests without their final answer."""
        return len(self._calls)

    @property
    def endpoints(self) -> Iterable[tuple[str, str]]:
        """Name and group of each endpoint."""
        return ((name, endpoint.group) for name, endpoint in self._endpoints.items())

    async def register(self, name: str, group: str) -> None:
        """Take the requests to a name; in force when this returns."""
        subject = subjects.requests(name)
        queue = subjects.checked(group) or _ALONE
        endpoint = self._endpoints[name] = _Endpoint(group)  # known before its first request comes
        try:
            take = self._contained(self._asked)
            endpoint.subscription = await self._server.subscribe(subject, take, queue=queue)
        except BaseException:
            del self._endpoints[name]
            raise

    async def unregister(self, name: str) -> None:
        """Take no more requests to a name; those under way go on."""
        endpoint = self._endpoints.pop(name, None)
        if endpoint is not None and endpoint.subscription is not None:
            await self._server.unsubscribe(endpoint.subscription, to_the_last=True)

    def said(self, control: str, message: Msg) -> None:
        """Take what the asker of a request, or the server about the asker, says about it.

        Args:
            control: The subject at which the request is spoken about.
            message: What is said.

        Raises:
            MalformedMessage: It is nothing that can be said about a request.
        """
        call = self._calls.get(control)
        if not message.data and message.headers:  # nobody is where the answers would go
            if call is not None:
                self._cancel(call)
            return
        envelope = decode(message.data, Kind.CANCEL, Kind.CREDIT, Kind.PING)
        if call is not None:
            self._said(call, envelope)
        elif envelope.kind is Kind.PING and subjects.asker_of(message.reply):
            gone = PeerGone("the node does not work on this request any more")
            self._send(message.reply, failure(gone))

    def cancel_of(self, answers: str) -> None:
        """Cancel the request whose answers go to a subject, if this node works on it."""
        asker = subjects.asker_of(answers)
        call = self._calls.get(subjects.control(self._node, *asker)) if asker else None
        if call is not None:
            self._cancel(call)

    def beat(self) -> None:
        """Say of each request that takes longer than a beat that it is worked on, and where."""
        for call in self._calls.values():
            call.age += 1
            if call.age > 1:
                self._send(call.answers, Envelope(Kind.PING), call.control)

    def end(self) -> None:
        """Fail what is under way: this node leaves."""
        for call in list(self._calls.values()):
            self._cancel(call)
            self._answer(call, failure(PeerGone(f"the node with {call.name!r} leaves")))

    def _asked(self, message: Msg) -> None:
        envelope = decode(message.data, Kind.REQUEST, Kind.PING)
        name = subjects.name_in(message.subject)
        endpoint = self._endpoints.get(name)
        asker = subjects.asker_of(message.reply)
        if asker is None:
            raise MalformedMessage(f"a request to {name!r} came from NATS without a node to answer to")
        if envelope.kind is Kind.PING:  # whose name is this?
            if endpoint is not None:
                self._send(message.reply, Envelope(Kind.RESPONSE, group=endpoint.group))
            return
        control = subjects.control(self._node, *asker)
        if control in self._calls:
            raise MalformedMessage(f"two requests to {name!r} came from NATS under one number")
        call = _Call(name, message.reply, control)
        if endpoint is None:
            self._send(call.answers, failure(no_endpoint(name)))  # it has just ended
            return
        if len(self._calls) >= OPEN_REQUESTS:
            self.refused += 1
            self._send(call.answers, failure(_overloaded(name)))
            return
        self._calls[control] = call
        envelope.to = name  # what the server checked, whatever the envelope says
        try:
            call.forwarded = self._receiver.asked(envelope, lambda answer: self._answer(call, answer))
        except SymphonyError as error:
            self._answer(call, failure(error))

    def _said(self, call: _Call, envelope: Envelope) -> None:
        if envelope.kind is Kind.CANCEL:
            self._cancel(call)
        elif envelope.kind is Kind.PING:
            self._send(call.answers, Envelope(Kind.PING), call.control)
        elif call.forwarded is not None:
            call.forwarded.credit(envelope.credit)

    def _cancel(self, call: _Call) -> None:
        if call.forwarded is not None:
            call.forwarded.cancel()

    def _answer(self, call: _Call, envelope: Envelope) -> None:
        if call.done:
            return
        last = envelope.kind is not Kind.ITEM
        try:
            data = encode(envelope, self._server.limit)
        except SymphonyError as error:
            if not last:
                self._cancel(call)
            last = True
            envelope = shortened(envelope) if envelope.kind is Kind.ERROR else failure(error)
            data = encode(envelope, self._server.limit)
        if last:
            call.done = True
            self._calls.pop(call.control, None)
        self._server.send(Outgoing(call.answers, data, "" if last else call.control))

    def _send(self, subject: str, envelope: Envelope, reply: str = "") -> None:
        self._server.send(Outgoing(subject, encode(envelope, self._server.limit), reply))


def _overloaded(name: str) -> TransportError:
    return TransportError(
        f"the node with {name!r} has {OPEN_REQUESTS:,} requests of others under way",
        hint="Ask again later, or share the work between several nodes of one group.",
    )

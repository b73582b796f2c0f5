"""The requests of this node: each ends once, with an answer, a deadline, or the end of who works on it."""

import asyncio
from collections.abc import Callable
from typing import Final

from nats.aio.msg import Msg
from symphony_ipc.bus.endpoints import no_endpoint
from symphony_ipc.envelope import Envelope, Kind
from symphony_sdk.errors import DeadlineExceeded, MalformedMessage, PeerGone, SymphonyError

from symphony_transport_nats import subjects
from symphony_transport_nats.frames import decode, encode, failure
from symphony_transport_nats.server import NatsServer, Outgoing

UNTAKEN_BEATS: Final = 3
"""Beats after which a request that no node has said to work on counts as lost with the node that got it."""

SILENT_BEATS: Final = 10
"""Beats after which a node that said nothing about a request counts as gone, whatever the server believes."""

_LIVING: Final = frozenset({Kind.ITEM, Kind.PING})


class _Asked:
    """A request of this node without its final answer; `Forwarded` of the bus."""

    __slots__ = ("_asking", "answered", "cancelled", "control", "credits", "number", "silent", "timer", "to")

    def __init__(
        self, asking: "Asking", number: int, envelope: Envelope, answered: Callable[[Envelope], None]
    ) -> None:
        self._asking = asking
        self.number = number
        self.to = envelope.to
        self.answered = answered
        self.credits = envelope.credit
        self.control = ""
        self.silent = 0
        self.cancelled = False
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Have the work ended; its answer comes all the same."""
        self._asking.cancel(self)

    def credit(self, items: int) -> None:
        """Let so many more items come."""
        self.credits += items
        if self.control:
            self._asking.say(self, Envelope(Kind.CREDIT, credit=items))


class Asking:
    """Sends requests and takes what is answered.

    A node that works on a request for longer than a beat says so with each beat, and where. From then on the
    server knows whether that node is connected: it answers at once where nobody is at a subject.

    Args:
        server: The way to all others.
        node: The id of this node.

    Attributes:
        ignored: Answers to what is not asked any more.
    """

    def __init__(self, server: NatsServer, node: str) -> None:
        self.ignored = 0
        self._server = server
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._last = 0
        self._asked: dict[int, _Asked] = {}

    @property
    def under_way(self) -> int:
        """Requests without their final answer."""
        return len(self._asked)

    def request(self, envelope: Envelope, answered: Callable[[Envelope], None]) -> _Asked:
        """Send a REQUEST.

        Args:
            envelope: With the name of the endpoint in its `to`.
            answered: Takes ITEMs, then one RESPONSE or ERROR.
        """
        self._last += 1
        asked = self._asked[self._last] = _Asked(self, self._last, envelope, answered)
        try:
            if not self._server.is_connected:
                raise self._server.gone()
            subject = subjects.requests(envelope.to)
            data = encode(envelope, self._server.limit)
        except SymphonyError as error:
            self._end(asked, failure(error))
            return asked
        if envelope.deadline is not None:
            asked.timer = self._loop.call_later(envelope.deadline, self._too_late, asked)
        answers = subjects.answers(self._node, asked.number)
        self._server.send(Outgoing(subject, data, answers, momentary=True))
        return asked

    def take(self, number: int, message: Msg) -> None:
        """Take a message about the request of this number.

        Raises:
            MalformedMessage: It is no answer.
        """
        asked = self._asked.get(number)
        if not message.data and message.headers:
            if asked is not None:
                self._end(asked, failure(self._nobody(asked)))
            return
        envelope = decode(message.data, Kind.ITEM, Kind.RESPONSE, Kind.ERROR, Kind.PING)
        if envelope.kind in _LIVING and not subjects.is_control_for(self._node, message.reply):
            raise MalformedMessage(f"a {envelope.kind.name} came from NATS without a node to answer to")
        if asked is None:
            self.ignored += 1
            if envelope.kind in _LIVING:
                self._send(message.reply, Envelope(Kind.CANCEL))
            return
        asked.silent = 0
        if envelope.kind in _LIVING:
            self._worked_on(asked, message.reply)
        if envelope.kind is Kind.ITEM:
            self._item(asked, envelope)
        elif envelope.kind is not Kind.PING:
            self._end(asked, envelope)

    def cancel(self, asked: _Asked) -> None:
        """Tell who works on a request to end it."""
        if asked.number in self._asked and not asked.cancelled:
            asked.cancelled = True
            self.say(asked, Envelope(Kind.CANCEL))

    def say(self, asked: _Asked, envelope: Envelope) -> None:
        """Tell something to the node that works on a request: to all, where it is not known yet which one does."""
        answers = subjects.answers(self._node, asked.number)
        self._send(asked.control or subjects.NODES, envelope, answers)

    def fail_all(self, error: SymphonyError) -> None:
        """End every request: the way is interrupted, and whether its answer would still come cannot be known."""
        for asked in list(self._asked.values()):
            self._end(asked, failure(error))

    def beat(self) -> None:
        """Find out about the requests that nothing was heard of since the last beat."""
        for asked in list(self._asked.values()):
            asked.silent += 1
            if asked.silent > (SILENT_BEATS if asked.control else UNTAKEN_BEATS):
                self._end(asked, failure(PeerGone(f"nothing is heard of the node that {asked.to!r} is at")))
            elif asked.control and asked.silent > 1:
                self.say(asked, Envelope(Kind.PING))

    def _worked_on(self, asked: _Asked, control: str) -> None:
        if not asked.control:
            asked.control = control
            if asked.cancelled:
                self.say(asked, Envelope(Kind.CANCEL))

    def _item(self, asked: _Asked, envelope: Envelope) -> None:
        asked.credits -= 1
        if asked.credits < 0:
            self.cancel(asked)
            self._end(asked, failure(MalformedMessage(f"{asked.to!r} sent more items than were asked for")))
        else:
            asked.answered(envelope)

    def _nobody(self, asked: _Asked) -> SymphonyError:
        if asked.control:
            return PeerGone(f"the node that worked on the request to {asked.to!r} is gone")
        return no_endpoint(asked.to)

    def _too_late(self, asked: _Asked) -> None:
        self.cancel(asked)
        self._end(asked, failure(DeadlineExceeded(f"{asked.to!r} did not answer within its deadline")))

    def _end(self, asked: _Asked, envelope: Envelope) -> None:
        if self._asked.pop(asked.number, None) is None:
            return
        if asked.timer is not None:
            asked.timer.cancel()
        asked.answered(envelope)

    def _send(self, subject: str, envelope: Envelope, reply: str = "") -> None:
        self._server.send(Outgoing(subject, encode(envelope, self._server.limit), reply))

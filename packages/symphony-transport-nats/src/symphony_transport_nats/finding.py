"""Who can be asked at all the nodes of a server: a question that each of them answers."""

import asyncio
from typing import Final

from nats.aio.msg import Msg
from symphony_ipc.bus.topics import matches
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.payload import decode_error
from symphony_sdk.errors import MalformedMessage
from symphony_sdk.ports.bus import EndpointInfo

from symphony_transport_nats import subjects
from symphony_transport_nats.answering import Answering
from symphony_transport_nats.asking import Asking
from symphony_transport_nats.frames import decode, decode_endpoints, encode, encode_endpoints
from symphony_transport_nats.server import NatsServer, Outgoing

ANSWERS_WITHIN: Final = 0.25
"""Seconds that other nodes have to say which endpoints they have: nobody knows how many nodes there are."""

HOLDER_ANSWERS_WITHIN: Final = 2.0
"""Seconds that the node with a name has to say so; one that is silent has it all the same."""

_AT_ONCE: Final = 500  # endpoints in one message
_NOT_SAID: Final = "?"


class Finding:
    """Asks all nodes for their endpoints, and tells them those of this node.

    Args:
        server: The way to all others.
        node: The id of this node.
        process: What this node is called.
        asking: The requests of this node.
        answering: The endpoints of this node.
    """

    def __init__(
        self, server: NatsServer, node: str, process: str, asking: Asking, answering: Answering
    ) -> None:
        self._server = server
        self._node = node
        self._process = process
        self._asking = asking
        self._answering = answering
        self._last = 0
        self._findings: dict[int, list[EndpointInfo]] = {}

    async def endpoints(self, pattern: str) -> tuple[EndpointInfo, ...]:
        """The endpoints of all other nodes that answer in time.

        Args:
            pattern: Which names.

        Raises:
            TransportError: The server cannot be reached (`SYM-T056`).
        """
        await self._server.settled()
        self._last += 1
        number = self._last
        found = self._findings[number] = []
        try:
            question = encode(Envelope(Kind.PING, to=pattern), self._server.limit)
            self._server.send(Outgoing(subjects.NODES, question, subjects.findings(self._node, number)))
            await asyncio.sleep(ANSWERS_WITHIN)
        finally:
            del self._findings[number]
        return tuple(found)

    async def group_of(self, name: str) -> str | None:
        """The group of the endpoint that has a name: empty where it is alone, None where the name is free.

        Args:
            name: Name of the endpoint.

        Raises:
            BusError: NATS does not allow the name.
            TransportError: The server cannot be reached (`SYM-T056`).
        """
        subjects.requests(name)
        await self._server.settled()
        answer: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()
        question = Envelope(Kind.PING, to=name, deadline=HOLDER_ANSWERS_WITHIN)
        self._asking.request(question, answer.set_result)
        envelope = await asyncio.shield(answer)
        if envelope.kind is Kind.RESPONSE:
            return envelope.group
        error = decode_error(envelope.payload)
        if error.code == "SYM-T022":
            return None
        if error.code == "SYM-T004":
            return _NOT_SAID
        raise error

    def asked(self, pattern: str, reply: str) -> None:
        """Answer the question of another node.

        Args:
            pattern: Which names it wants to know.
            reply: Where to tell them.

        Raises:
            MalformedMessage: That is nowhere.
        """
        finder = subjects.finder_of(reply)
        if not finder:
            raise MalformedMessage("a question came from NATS without a node to answer to")
        if finder == self._node:
            return  # its bus knows them
        mine = [
            EndpointInfo(name, self._process, group)
            for name, group in self._answering.endpoints
            if matches(pattern, name)
        ]
        for start in range(0, len(mine), _AT_ONCE):
            answer = Envelope(Kind.PONG, payload=encode_endpoints(mine[start : start + _AT_ONCE]))
            self._server.send(Outgoing(reply, encode(answer, self._server.limit)))

    def found(self, number: int, message: Msg) -> None:
        """Take what another node told.

        Args:
            number: Of the question.
            message: With its endpoints.

        Raises:
            MalformedMessage: It is no answer.
        """
        endpoints = decode_endpoints(decode(message.data, Kind.PONG).payload)
        if number in self._findings:
            self._findings[number] += endpoints

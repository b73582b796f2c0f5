"""A process below a node: what it wants, what it answers, and whether it lives."""

from typing import Protocol

from symphony_sdk.errors import SymphonyError
from symphony_sdk.ports.bus import Health

from symphony_ipc.bus.metrics import Counts
from symphony_ipc.bus.send_queue import Key, SendQueue
from symphony_ipc.connection import Connection
from symphony_ipc.envelope import Envelope
from symphony_ipc.router import Answered, Ask, Forwarded


class Node(Protocol):
    """The node that a neighbour is below of."""

    def published_below(self, neighbour: "Neighbour", envelope: Envelope) -> None:
        """Take a PUBLISH of the neighbour."""

    def asked_below(self, neighbour: "Neighbour", envelope: Envelope, answered: Answered) -> Forwarded:
        """Take a REQUEST of the neighbour."""

    def lost_below(self, neighbour: "Neighbour", reason: SymphonyError | None) -> None:
        """The neighbour is gone."""


class Neighbour:
    """A process below a node; takes what its connection brings for the bus, as its `Router`.

    Args:
        connection: Where it is.
        node: Whose neighbour it is.
        counts: What the node counts.

    Attributes:
        process: What it is called.
        connection: Where it is.
        ask: Has it answer a request.
        queue: What is published on its way to it.
        interest: What it subscribed to.
        names: The endpoints that it registered.
        health: Whether it answers.
    """

    __slots__ = ("_node", "ask", "connection", "health", "interest", "names", "process", "queue")

    def __init__(self, connection: Connection, node: Node, counts: Counts) -> None:
        self.process = connection.session.peer
        self.connection = connection
        self.ask: Ask = connection.forward  # itself, as every request that is passed on comes by here
        self.queue = SendQueue(connection, counts)
        self.interest: set[Key] = set()
        self.names: dict[str, str] = {}
        self.health: Health = "alive"
        self._node = node

    @property
    def ready(self) -> bool:
        """Whether it can take a message without losing one."""
        return self.health == "alive" and not len(self.queue)

    @property
    def in_flight(self) -> int:
        """Requests that it works on."""
        return self.connection.in_flight

    def published(self, connection: Connection, envelope: Envelope) -> None:
        """Take a PUBLISH."""
        self._node.published_below(self, envelope)

    def asked(self, connection: Connection, envelope: Envelope, answered: Answered) -> Forwarded:
        """Take a REQUEST for an endpoint."""
        return self._node.asked_below(self, envelope, answered)

    def lost(self, connection: Connection, reason: SymphonyError | None) -> None:
        """Take the end."""
        self._node.lost_below(self, reason)

"""What a worker's runtime is given to talk to the host; it knows nothing of sockets."""

from typing import Protocol, TypeVar

import msgspec

from symphony_sdk.errors import SymphonyError

MessageT = TypeVar("MessageT", bound=msgspec.Struct)


class IncomingCall(Protocol):
    """A request of the host, and the way to answer it; each is answered once."""

    @property
    def id(self) -> int:
        """Number of the request on its channel."""

    def decode(self) -> msgspec.Struct:
        """The request's message.

        Raises:
            MalformedMessage: It is of no registered type, or not what its type says.
        """

    def respond(self, message: msgspec.Struct) -> None:
        """Answer it; the last word where items were sent."""

    def send_item(self, message: msgspec.Struct) -> None:
        """Answer a part of it.

        Raises:
            SymphonyError: The part cannot be sent, or nobody is there to take it.
        """

    def fail(self, error: SymphonyError) -> None:
        """Answer it with an error."""

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the host something while it waits for the answer."""


class Channel(Protocol):
    """The worker's connection to the host; every method may be called from any thread."""

    def request(
        self, message: msgspec.Struct, response: type[MessageT], timeout: float | None = None
    ) -> MessageT:
        """Ask the host, and wait for its answer.

        Args:
            message: A registered message.
            response: Type of the answer.
            timeout: Seconds; None for no bound.

        Raises:
            SymphonyError: What the host raised.
            PeerGone: The host is gone.
        """

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the host something that belongs to no request."""

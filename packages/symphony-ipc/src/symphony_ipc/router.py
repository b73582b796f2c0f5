"""Who takes what a connection brings for others than the connection's own handler: the bus."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from symphony_sdk.errors import SymphonyError

from symphony_ipc.envelope import Envelope

if TYPE_CHECKING:
    from symphony_ipc.connection import Connection

Answered = Callable[[Envelope], None]
"""Takes the answer of a request: ITEM envelopes, then exactly one RESPONSE or ERROR, which is the last. The
number in an envelope means nothing to it. It may be called before the call that began the request returns."""


class Forwarded(Protocol):
    """A request that somebody else works on, in the hands of the one who passed it on."""

    def cancel(self) -> None:
        """Have the work ended. The final answer comes all the same; nothing happens where it has come."""

    def credit(self, items: int) -> None:
        """Let so many more items of a stream come."""


Ask = Callable[[Envelope, Answered], Forwarded]
"""Takes a request, and who takes its answer."""


class Router(Protocol):
    """Takes what comes in for others; each method is called while the frame is read, and must not wait."""

    def published(self, connection: "Connection", envelope: Envelope) -> None:
        """Take a PUBLISH: its topic is in `to`, its queue group in `group`."""

    def asked(self, connection: "Connection", envelope: Envelope, answered: Answered) -> Forwarded:
        """Take a REQUEST that has an endpoint in `to`.

        Args:
            connection: Where it came from.
            envelope: The request; it belongs to the router now, as its payload does.
            answered: Takes the answer. Each envelope belongs to it then, and it may change its number.

        Returns:
            What a CANCEL and a CREDIT of the one who asked are passed to.

        Raises:
            SymphonyError: The answer to a request that cannot be passed on.
        """

    def lost(self, connection: "Connection", reason: SymphonyError | None) -> None:
        """The connection has ended; `reason` is None where this end closed it."""

"""What comes in to a worker: a request that waits for its answer, and who takes it."""

from time import monotonic
from typing import TYPE_CHECKING, Protocol

import msgspec
from symphony_sdk.errors import SymphonyError, TransportError
from symphony_sdk.messages import message_type

from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import encode
from symphony_ipc.payload import decode_message, encode_error, encode_payload

if TYPE_CHECKING:
    from symphony_ipc.blocking import BlockingConnection


class IncomingCall:
    """A request of the peer, to be answered exactly once, from any thread.

    Args:
        connection: Where it came from.
        envelope: What came.

    Attributes:
        id: Its number; what `RequestHandler.cancel` names.
        type: Wire name of its message.
        payload: The encoded message; it stays valid.
        deadline: When the answer is too late, in seconds of `time.monotonic`; None for no bound.
        traceparent: W3C trace context of the caller; empty where there is none.
        idempotency_key: Equal for requests that must not be carried out twice; empty where there is none.
        meta: What else the caller says.
        to: The endpoint that it is for; empty where it is for this process itself.
        credits: Items that the caller can take now; 0 from the beginning where it wants a single answer.
        cancelled: Whether the caller wants no answer any more.
    """

    __slots__ = (
        "_connection",
        "_single",
        "cancelled",
        "credits",
        "deadline",
        "id",
        "idempotency_key",
        "meta",
        "payload",
        "to",
        "traceparent",
        "type",
    )

    def __init__(self, connection: "BlockingConnection", envelope: Envelope) -> None:
        self._connection = connection
        self.id = envelope.id
        self.type = envelope.type
        self.payload = envelope.payload
        self.deadline = None if envelope.deadline is None else monotonic() + envelope.deadline
        self.traceparent = envelope.traceparent
        self.idempotency_key = envelope.idempotency_key
        self.meta = envelope.meta or {}
        self.to = envelope.to
        self.credits = envelope.credit
        self.cancelled = False
        self._single = not envelope.credit

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline, negative after it; None for no bound."""
        return None if self.deadline is None else self.deadline - monotonic()

    def decode(self) -> msgspec.Struct:
        """The message, as its registered type.

        Raises:
            TransportError: No message of this type is registered here (`SYM-T006`).
            MalformedMessage: The payload is not a message of its type.
        """
        return decode_message(self.type, self.payload)

    def respond(self, message: msgspec.Struct) -> None:
        """Answer; an answer that is too large or cannot be encoded becomes the error that says so.

        Raises:
            TransportError: The call has its answer already (`SYM-T014`).
        """
        try:
            envelope = Envelope(
                Kind.RESPONSE, self.id, message_type(message), payload=encode_payload(message)
            )
            frame = encode(envelope, self._connection.session.max_frame)
        except TransportError as error:
            frame = encode_error(self.id, error)
        self._connection.answer(self, frame)

    def send_item(self, message: msgspec.Struct) -> None:
        """Answer with one of many messages; waits until the caller can take it. `end` comes after the last.

        Raises:
            Cancelled: The caller wants no more of them; the call is to be answered all the same.
            PeerGone: Nobody is there to take it.
            TransportError: The caller wants a single answer (`SYM-T015`), the message is too large or cannot be
                encoded, or the call has its answer already (`SYM-T014`).
        """
        if self._single:
            raise TransportError(
                f"{self.type!r} is answered with a stream",
                code="SYM-T015",
                hint="Ask with `stream`, and iterate over what it returns.",
            )
        item = Envelope(Kind.ITEM, self.id, message_type(message), payload=encode_payload(message))
        self._connection.send_item(self, item)

    def end(self) -> None:
        """End an answer of many messages.

        Raises:
            TransportError: The call has its answer already (`SYM-T014`).
        """
        self._connection.answer(self, encode(Envelope(Kind.RESPONSE, self.id)))

    def fail(self, error: SymphonyError) -> None:
        """Answer with an error.

        Raises:
            TransportError: The call has its answer already (`SYM-T014`).
        """
        self._connection.answer(self, encode_error(self.id, error))

    def notify(self, message: msgspec.Struct) -> None:
        """Tell the caller something while the call is under way; waits while the caller does not read.

        Raises:
            TransportError: The message is too large or cannot be encoded.
            PeerGone: Nobody is there to take it.
        """
        self._connection.notify(message, call_id=self.id)


class RequestHandler(Protocol):
    """What a worker does with what comes in; each method returns at once, as nothing is read meanwhile."""

    def request(self, call: IncomingCall, /) -> None:
        """Take a request; answer it here or from another thread. What this raises is the answer."""

    def cancel(self, call_id: int, /) -> None:
        """The caller does not want the answer any more. The call is answered all the same."""

    def closed(self, reason: SymphonyError | None, /) -> None:
        """The connection has ended; `reason` is None where this end closed it."""

"""What the peer asks: each of its requests is passed to who answers it, and gets one final answer."""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from symphony_sdk.errors import MalformedMessage, SymphonyError, TransportError

from symphony_ipc.answered import AnsweredRequests, Joined
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import DATA_LIMIT, Buffer, encode
from symphony_ipc.payload import encode_error, error_envelope
from symphony_ipc.router import Ask, Forwarded
from symphony_ipc.window import Window

# Looking an enum's member up takes longer than what is done with it here.
_ITEM: Final = Kind.ITEM


class _Served(msgspec.Struct, eq=False):
    """A request of the peer, from when it comes in until it has its final answer."""

    id: int
    size: int
    forwarded: Forwarded | None = None
    joined: Joined | None = None


class Serving:
    """The requests of one peer that have no final answer yet, within the window of the protocol.

    Args:
        write: Sends a frame to the peer.
        answered: Carries requests that have a key out once; without it each is carried out.

    Attributes:
        peer: Name of the peer.
        max_frame: Bytes that the peer accepts in a frame.
    """

    def __init__(
        self, write: Callable[[tuple[Buffer, ...]], None], answered: AnsweredRequests | None = None
    ) -> None:
        self.peer = ""
        self.max_frame = DATA_LIMIT
        self._write = write
        self._answered = answered
        self._open: dict[int, _Served] = {}
        self._window = Window()

    def take(self, envelope: Envelope, ask: Ask) -> None:
        """Take a REQUEST.

        Args:
            envelope: The request.
            ask: Who answers it.

        Raises:
            MalformedMessage: Its number is in use, or the peer does not keep to the window.
        """
        served = _Served(envelope.id, len(envelope.payload))
        if served.id in self._open:
            raise MalformedMessage(f"the peer used the number {served.id} for two open requests")
        if not self._window.take(served.size):
            raise MalformedMessage("the peer asks for more than the window of requests allows")
        self._open[served.id] = served
        answered = partial(self.answer, served)
        joined: Joined | None = None
        forwarded: Forwarded
        try:
            if self._answered is None or not envelope.idempotency_key or envelope.credit:
                forwarded = ask(envelope, answered)
            else:
                forwarded = joined = self._answered.ask(self.peer, envelope, answered, ask)
        except SymphonyError as error:
            self.answer(served, error_envelope(error))
            return
        if self._open.get(served.id) is served:  # else it has been answered meanwhile
            served.forwarded, served.joined = forwarded, joined

    def cancel(self, call_id: int) -> None:
        """Take a CANCEL; nothing happens where the request has been answered."""
        served = self._open.get(call_id)
        if served is not None and served.forwarded is not None:
            served.forwarded.cancel()

    def credit(self, call_id: int, items: int) -> None:
        """Take a CREDIT; nothing happens where the request has been answered."""
        served = self._open.get(call_id)
        if served is not None and served.forwarded is not None:
            served.forwarded.credit(items)

    def answer(self, served: _Served, envelope: Envelope) -> None:
        """Send an item or the final answer of a request; goes nowhere where the connection has ended."""
        if self._open.get(served.id) is not served:
            return
        envelope.id = served.id
        try:
            frame = encode(envelope, self.max_frame)
        except TransportError as error:
            frame = encode_error(served.id, error)
        else:
            if envelope.kind is _ITEM:
                self._write(frame)
                return
        del self._open[served.id]
        self._window.release(served.size)
        self._write(frame)
        # They refer to each other: let go, both are freed at once and nothing is left to the garbage collector.
        forwarded, served.forwarded, served.joined = served.forwarded, None, None
        if envelope.kind is _ITEM and forwarded is not None:
            forwarded.cancel()  # the item cannot be sent, so the rest is of no use

    def stop(self) -> None:
        """The connection has ended: cancel all work, but for what has a key and will be asked for again."""
        served, self._open = list(self._open.values()), {}
        for one in served:
            if one.joined is not None:
                one.joined.leave()
            elif one.forwarded is not None:
                one.forwarded.cancel()

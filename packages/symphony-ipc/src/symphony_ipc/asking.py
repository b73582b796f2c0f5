"""What this end asks: each request from when it is made until the peer has given its final answer."""

import asyncio
import time
from collections.abc import Callable
from math import inf

import msgspec
from symphony_sdk.errors import Cancelled, DeadlineExceeded, MalformedMessage, SymphonyError, TransportError

from symphony_ipc.counters import Counters
from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.framing import DATA_LIMIT, Buffer, encode
from symphony_ipc.payload import error_envelope
from symphony_ipc.router import Answered
from symphony_ipc.window import Window

NotifyCallback = Callable[[msgspec.Struct], None]


class Asked(msgspec.Struct, eq=False):
    """One request of this end; the peer's answer to it is handed on undecoded.

    Args:
        id: Its number.
        type: Wire name of its message.
        size: Bytes of its payload.
        credits: Items of a stream that the peer may send still.
        answered: Takes the answer; None where nobody waits for it any more.
        on_notify: Takes what the peer says while it works on it.
        deadline: When the answer is too late, in seconds of the event loop's clock.
        abandoned: When the peer was told to end it, on the same clock; None before.
    """

    _asking: "Asking"
    id: int
    type: str
    size: int
    credits: int
    answered: Answered | None
    on_notify: NotifyCallback | None
    deadline: float | None = None
    abandoned: float | None = None

    def cancel(self) -> None:
        """Tell the peer to end it; its final answer is handed on all the same."""
        self._asking.cancel(self)

    def credit(self, items: int) -> None:
        """Let the peer send so many more items of a stream."""
        self._asking.credit(self, items)

    def abandon(self) -> None:
        """Tell the peer to end it, and hand nothing on any more."""
        self.answered = None
        self.on_notify = None
        self._asking.cancel(self)


class Asking:
    """The requests of this end, within the window of the protocol.

    Args:
        write: Sends a frame to the peer.
        counters: Counts answers that nobody waits for.

    Attributes:
        max_frame: Bytes that the peer accepts in a frame.
    """

    def __init__(self, write: Callable[[tuple[Buffer, ...]], None], counters: Counters) -> None:
        self.max_frame = DATA_LIMIT
        self._write = write
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._last_id = 0
        self._paused = False
        self._stopped: SymphonyError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expires = inf
        self._waiting: dict[int, tuple[Asked, Envelope]] = {}
        self._asked: dict[int, Asked] = {}
        self._window = Window()

    @property
    def in_flight(self) -> int:
        """Requests that wait for their final answer."""
        return len(self._waiting) + len(self._asked)

    @property
    def abandoned_since(self) -> float | None:
        """When the oldest request was given up that the peer works on still; None where there is none."""
        return min((asked.abandoned for asked in self._asked.values() if asked.abandoned), default=None)

    def ask(self, envelope: Envelope, answered: Answered, on_notify: NotifyCallback | None = None) -> Asked:
        """Send a REQUEST, or keep it while the window is full or the peer does not read.

        Args:
            envelope: The request; it is given a number of this connection. Its deadline runs from now.
            answered: Takes ITEM envelopes and then one RESPONSE or ERROR; the ERROR is made here where the
                request cannot be sent, its deadline passes or the connection ends.
            on_notify: Takes what the peer says while it works on it.
        """
        self._last_id = envelope.id = self._last_id + 1
        asked = Asked(
            self, envelope.id, envelope.type, len(envelope.payload), envelope.credit, answered, on_notify
        )
        if self._stopped is not None:
            self._fail(asked, self._stopped)
            return asked
        if envelope.deadline is not None:
            asked.deadline = self._loop.time() + envelope.deadline
            if asked.deadline < self._expires:
                self._arm(asked.deadline)
        if self._waiting or self._paused or not self._window.take(asked.size):
            self._waiting[asked.id] = asked, envelope
        else:
            self._send(asked, envelope)
        return asked

    def take(self, envelope: Envelope) -> bool:
        """Take a RESPONSE or an ERROR; False where there is no request that it belongs to."""
        asked = self._asked.pop(envelope.id, None)
        if asked is None:
            self._counters.unknown += 1
            return False
        self._window.release(asked.size)
        self._hand_on(asked, envelope)
        if self._waiting:
            self._send_waiting()
        return True

    def take_item(self, envelope: Envelope) -> bool:
        """Take an ITEM of a stream; False where there is no request that it belongs to.

        Raises:
            MalformedMessage: The peer sends more than it was given credit for.
        """
        asked = self._asked.get(envelope.id)
        if asked is None:
            self._counters.unknown += 1
            return False
        if not asked.credits:
            raise MalformedMessage(
                f"the peer sent an item of its answer to {asked.type!r} that it had no credit for"
            )
        asked.credits -= 1
        self._hand_on(asked, envelope)
        return True

    def listener(self, call_id: int) -> NotifyCallback | None:
        """Who takes the notifications of a request."""
        asked = self._asked.get(call_id)
        return None if asked is None else asked.on_notify

    def cancel(self, asked: Asked) -> None:
        """See [Asked.cancel][symphony_ipc.asking.Asked.cancel]."""
        if self._waiting.pop(asked.id, None) is not None:
            self._fail(asked, Cancelled(f"{asked.type!r} was cancelled before it was sent"))
        elif asked.id in self._asked and asked.abandoned is None:
            asked.abandoned = self._loop.time()
            self._write(encode(Envelope(Kind.CANCEL, asked.id)))

    def credit(self, asked: Asked, items: int) -> None:
        """See [Asked.credit][symphony_ipc.asking.Asked.credit]."""
        if asked.id in self._asked:
            asked.credits += items
            self._write(encode(Envelope(Kind.CREDIT, asked.id, credit=items)))

    def pause(self) -> None:
        """Send no request: the peer does not read."""
        self._paused = True

    def resume(self) -> None:
        """Go on: the peer reads again."""
        self._paused = False
        self._send_waiting()

    def stop(self, reason: SymphonyError) -> None:
        """Fail all requests: the connection has ended. The errors of those that waited say that they were not sent."""
        self._stopped = reason
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting = self._waiting, {}
        sent, self._asked = self._asked, {}
        unsent = type(reason)(
            reason.message, code=reason.code, hint=reason.hint, details={**reason.details, "sent": False}
        )
        for asked, _ in waiting.values():
            self._fail(asked, unsent)
        for asked in sent.values():
            self._fail(asked, reason)

    def _all(self) -> list[Asked]:
        return [*(asked for asked, _ in self._waiting.values()), *self._asked.values()]

    def _send_waiting(self) -> None:
        while self._waiting and not self._paused and self._stopped is None:
            asked, envelope = next(iter(self._waiting.values()))
            if not self._window.take(asked.size):
                return
            del self._waiting[asked.id]
            if asked.deadline is not None:
                envelope.deadline = max(asked.deadline - self._loop.time(), 0.0)
            self._send(asked, envelope)

    def _send(self, asked: Asked, envelope: Envelope) -> None:
        """Send what the window has room for and has counted."""
        try:
            frame = encode(envelope, self.max_frame)
        except TransportError as error:
            self._window.release(asked.size)
            self._fail(asked, error)
            return
        self._asked[asked.id] = asked
        self._write(frame)

    def _hand_on(self, asked: Asked, envelope: Envelope) -> None:
        if asked.answered is None:
            self._counters.late += 1
        else:
            asked.answered(envelope)

    def _fail(self, asked: Asked, error: SymphonyError) -> None:
        answered, asked.answered, asked.on_notify = asked.answered, None, None
        if answered is not None:
            answered(error_envelope(error))

    def _arm(self, deadline: float) -> None:
        """One timer serves all deadlines: nearly every request is answered before its own."""
        if self._timer is not None:
            self._timer.cancel()
        self._expires = deadline
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer, self._expires = None, inf
        # A timer may come a little early: by the resolution of the clock.
        now = self._loop.time() + time.get_clock_info("monotonic").resolution
        following: float | None = None
        for asked in self._all():
            if asked.deadline is None or asked.answered is None:
                continue
            if asked.deadline <= now:
                late = DeadlineExceeded(f"no answer to {asked.type!r} came before its deadline")
                self._fail(asked, late)
                self.cancel(asked)
            elif following is None or asked.deadline < following:
                following = asked.deadline
        if following is not None and following < self._expires and self._stopped is None:
            self._arm(following)

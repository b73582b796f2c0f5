"""Requests with an idempotency key: each is carried out once, however often it is asked for.

A client that lost its connection cannot know whether its request was carried out. It asks again with the same
key: a request that is under way is joined, one that was carried out gets the answer that was kept.
"""

import asyncio
from math import inf
from typing import Final

from symphony_sdk.errors import Cancelled, TransportError

from symphony_ipc.envelope import Envelope, Kind
from symphony_ipc.payload import decode_error, error_envelope
from symphony_ipc.router import Answered, Ask, Forwarded

_OVERHEAD: Final = 512  # bytes that a kept answer takes beside its payload


class Joined:
    """One of those who asked for the same thing; see `Forwarded`."""

    def __init__(self, work: "_Work", answered: Answered) -> None:
        self._work = work
        self.answered = answered

    def cancel(self) -> None:
        """Give it up; the work ends when nobody else waits for it."""
        self._work.cancel(self)

    def credit(self, items: int) -> None:
        """Nothing: what is carried out once has a single answer."""

    def leave(self) -> None:
        """Take no answer any more; the work goes on, and its answer is kept for who asks again."""
        self._work.waiting.pop(self, None)


class _Work:
    """What is carried out once."""

    def __init__(self, envelope: Envelope) -> None:
        self.type = envelope.type
        self.to = envelope.to
        self.waiting: dict[Joined, None] = {}
        self.forwarded: Forwarded | None = None
        self.until = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.answer: Envelope | None = None
        self.answered_at = 0.0

    @property
    def size(self) -> int:
        return _OVERHEAD + (0 if self.answer is None else len(self.answer.payload))

    def cancel(self, joined: Joined) -> None:
        if joined not in self.waiting:
            return
        if len(self.waiting) == 1:
            self.end()
        else:
            del self.waiting[joined]
            joined.answered(
                error_envelope(Cancelled(f"{self.type!r} was cancelled by the one who asked for it"))
            )

    def end(self) -> None:
        if self.forwarded is not None:
            self.forwarded.cancel()

    def allow(self, seconds: float | None, loop: asyncio.AbstractEventLoop) -> None:
        """Let it take so long: the latest deadline of all who asked ends what nobody waits for any more."""
        until = inf if seconds is None else loop.time() + seconds
        if until > self.until:
            self.until = until
            if self.timer is not None:
                self.timer.cancel()
            self.timer = None if until == inf else loop.call_at(until, self.end)


class AnsweredRequests:
    """The requests with a key that are under way or have been answered; one for all connections of a listener.

    Answers are kept as long as there is room, the latest ones. An error of the transport is not kept: it says
    that the request was not carried out, or that nobody knows, and the next one of its key begins anew. Neither
    are streams.

    Args:
        limit: Requests that may be under way, and answers that are kept.
        size: Bytes of the answers that are kept.
        seconds: How long an answer is kept.
    """

    def __init__(self, limit: int = 4096, size: int = 16 << 20, seconds: float = 300.0) -> None:
        self._limit = limit
        self._size = size
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[tuple[str, str], _Work] = {}
        self._answered: dict[tuple[str, str], _Work] = {}
        self._kept = 0

    def ask(self, peer: str, envelope: Envelope, answered: Answered, ask: Ask) -> Joined:
        """Answer a request that has a key.

        Args:
            peer: Name of the process that asks.
            envelope: The REQUEST.
            answered: Takes the final answer.
            ask: Carries it out.

        Raises:
            TransportError: The key belongs to another request (`SYM-T017`), or too many are under way
                (`SYM-T018`).
        """
        self._forget()
        key = peer, envelope.idempotency_key
        work = self._under_way.get(key) or self._answered.get(key)
        if work is None:
            return self._begin(key, envelope, answered, ask)
        if (work.type, work.to) != (envelope.type, envelope.to):
            raise TransportError(
                f"{peer!r} used the idempotency key of a {work.type!r} for a {envelope.type!r}",
                code="SYM-T017",
                hint="Make a new key for each request, and use it for its repetitions alone.",
            )
        joined = Joined(work, answered)
        if work.answer is None:
            work.waiting[joined] = None
            work.allow(envelope.deadline, self._loop)
        else:
            answered(_copy(work.answer))
        return joined

    def _begin(self, key: tuple[str, str], envelope: Envelope, answered: Answered, ask: Ask) -> Joined:
        if len(self._under_way) >= self._limit:
            raise TransportError(
                f"{self._limit} requests with idempotency keys are under way; {envelope.type!r} was not begun",
                code="SYM-T018",
                hint="Ask again when others have been answered.",
            )
        work = self._under_way[key] = _Work(envelope)
        joined = Joined(work, answered)
        work.waiting[joined] = None
        work.allow(envelope.deadline, self._loop)
        try:
            work.forwarded = ask(envelope, lambda answer: self._finish(key, work, answer))
        except BaseException:
            self._end(key, work)
            raise
        return joined

    def _finish(self, key: tuple[str, str], work: _Work, answer: Envelope) -> None:
        self._end(key, work)
        if _says_what_was_done(answer):
            work.answer = _copy(answer)
            work.answered_at = self._loop.time()
            self._answered[key] = work
            self._kept += work.size
            self._forget()
        waiting, work.waiting = work.waiting, {}
        for joined in waiting:
            joined.answered(_copy(answer))

    def _end(self, key: tuple[str, str], work: _Work) -> None:
        del self._under_way[key]
        work.forwarded = None
        if work.timer is not None:
            work.timer.cancel()

    def _forget(self) -> None:
        before = self._loop.time() - self._seconds
        while self._answered:
            key, oldest = next(iter(self._answered.items()))
            if (
                oldest.answered_at > before
                and self._kept <= self._size
                and len(self._answered) <= self._limit
            ):
                return
            del self._answered[key]
            self._kept -= oldest.size


def _says_what_was_done(answer: Envelope) -> bool:
    if answer.kind is Kind.RESPONSE:
        return True
    error = decode_error(answer.payload)
    return not isinstance(error, TransportError | Cancelled)


def _copy(answer: Envelope) -> Envelope:
    return Envelope(answer.kind, type=answer.type, payload=answer.payload)

"""Hands the events of a run to any number of followers, each at its own pace and none at a cost in memory.

The newest events lie in one list that all followers share; a follower is only a cursor into it. Who falls behind
the list reads the log until it has caught up, and so loses nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from symphony_sdk.events import NodeProgressed, RunEvent, RunPaused

KEPT = 4096
"""Events that are kept for followers beside those that are not yet durable."""

_BURST = 256


class Feed:
    """The events of one run that is under way.

    Args:
        sequence: Number of the last event before it.
        read: Reads the events after one number and up to another from the log.

    Attributes:
        durable: Number of the last event that a crash can no longer undo.
        publish: Adds an event, whose number is one more than that of the one before.
    """

    def __init__(self, sequence: int, read: Callable[[int, int], Awaitable[list[RunEvent]]]) -> None:
        self.durable = sequence
        self._read = read
        self._events: list[RunEvent] = []
        self.publish = self._events.append
        self._first = sequence + 1
        self._progress: dict[str, tuple[int, NodeProgressed]] = {}
        self._ticks = 0
        self._ended = False
        self._pause: RunPaused | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def last(self) -> int:
        """Number of the newest event."""
        return self._first + len(self._events) - 1

    def progress(self, event: NodeProgressed) -> None:
        """Show how far a node is; who has not seen the state before never will.

        Args:
            event: The newest progress of the node.
        """
        self._ticks += 1
        self._progress[event.node] = (self._ticks, event)

    def settle(self, node: str) -> None:
        """Forget the progress of a node that has ended.

        Args:
            node: Id of the node.
        """
        if self._progress:
            self._progress.pop(node, None)

    def end(self, pause: RunPaused | None = None) -> None:
        """Let the followers end after the last event.

        Args:
            pause: A last word that is not in the log because the log cannot be written.
        """
        self._ended = True
        self._pause = pause
        self.wake()

    def wake(self) -> None:
        """Let the followers see what was published, and forget what all may read from the log."""
        over = len(self._events) - 2 * KEPT
        if over > 0:
            count = min(over + KEPT, self.durable - self._first + 1)
            if count > 0:
                del self._events[:count]
                self._first += count
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def past(self, after: int) -> AsyncIterator[list[RunEvent]]:
        """The events after a number that have happened by now, some at a time; progress is not among them.

        Args:
            after: Number of the last event already seen.
        """
        until = self.last
        while after < until:
            start = after + 1 - self._first
            if start < 0:
                burst = await self._read(after, min(self._first - 1, after + KEPT))
            else:
                burst = self._events[start : start + _BURST]
            yield burst
            after = burst[-1].sequence

    async def follow(self, after: int) -> AsyncIterator[RunEvent]:
        """The events after a number, until the run ends.

        Args:
            after: Number of the last event already seen.
        """
        cursor, seen = after, 0
        while True:
            if cursor + 1 < self._first:
                for event in await self._read(cursor, self._first - 1):
                    yield event
                    cursor = event.sequence
                continue
            start = cursor + 1 - self._first
            burst = self._events[start : start + _BURST]
            for event in burst:
                yield event
            cursor += len(burst)
            if cursor < self.last:
                continue
            if seen != self._ticks:
                news = [event for tick, event in self._progress.values() if tick > seen]
                seen = self._ticks
                for event in news:
                    yield event
                continue
            if self._ended:
                if self._pause is not None:
                    yield self._pause
                return
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

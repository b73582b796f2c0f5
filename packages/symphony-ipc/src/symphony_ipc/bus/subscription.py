"""The subscribers of one process: one is iterated, the other is called."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from symphony_sdk.errors import BusError
from symphony_sdk.ports.bus import Delivery

from symphony_ipc.bus.metrics import Counts

Taken = Callable[[], None]
"""Says that a message of a durable subscription was taken."""


class QueuedSubscription:
    """A subscription that is iterated by one task; adapter of `Subscription`.

    Args:
        pattern: Which topics.
        group: The queue group; empty where there is none.
        durable: Name under which the bus remembers what was taken; empty where it does not.
        limit: Messages that may wait; beyond it the oldest are lost, except where the bus keeps them.
        counts: Counts those too.
        end: Takes it off the bus.

    Attributes:
        lost: Messages that were thrown away.
    """

    def __init__(
        self,
        pattern: str,
        group: str,
        durable: str,
        limit: int,
        counts: Counts,
        end: Callable[["QueuedSubscription"], Awaitable[None]],
    ) -> None:
        self.pattern = pattern
        self.group = group
        self.durable = durable
        self.lost = 0
        self._limit = limit
        self._counts = counts
        self._end = end
        self._waiting: deque[Delivery] = deque()
        self._untaken: deque[Taken] = deque()  # of the messages that wait, where the bus remembers
        self._wakeup: asyncio.Future[None] | None = None
        self._taken: Taken | None = None
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether it can take a message without losing one."""
        return len(self._waiting) < self._limit

    def take(self, delivery: Delivery, taken: Taken | None = None) -> None:
        """Let a message wait for the one who iterates."""
        if self._closed:
            return
        waiting = self._waiting
        # What the bus keeps is not lost for a limit: the uplink gives a bounded number of untaken messages.
        if taken is None and len(waiting) >= self._limit:
            waiting.popleft()
            self.lost += 1
            self._counts.lost += 1
        waiting.append(delivery)
        if taken is not None:
            self._untaken.append(taken)
        wakeup = self._wakeup
        if wakeup is not None:
            self._wakeup = None
            if not wakeup.done():
                wakeup.set_result(None)

    def __aiter__(self) -> "QueuedSubscription":
        return self

    async def __anext__(self) -> Delivery:
        if self._taken is not None:
            taken, self._taken = self._taken, None
            taken()
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            if self._wakeup is not None and not self._wakeup.done():
                raise BusError(
                    f"two tasks iterate one subscription to {self.pattern!r}",
                    code="SYM-T025",
                    hint="Give each task a subscription of its own; with a `group` they share the messages.",
                )
            self._wakeup = asyncio.get_running_loop().create_future()
            await self._wakeup
        if self._untaken:
            self._taken = self._untaken.popleft()
        return self._waiting.popleft()

    async def __aenter__(self) -> "QueuedSubscription":
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End it; the iteration ends too, and what still waits is not given out."""
        if not self._closed:
            self.stop()
            await self._end(self)

    def stop(self) -> None:
        """End the iteration, as the bus does when it closes."""
        self._closed = True
        self._waiting.clear()
        self._untaken.clear()
        self._taken = None
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)


class Listener:
    """A subscription whose messages a function is called with.

    Args:
        pattern: Which topics.
        group: The queue group; empty where there is none.
        callback: Takes each message.
        failed: Takes the message that the callback raised for, and what it raised.
        end: Takes it off the bus.
    """

    ready: Final = True
    durable: Final = ""

    def __init__(
        self,
        pattern: str,
        group: str,
        callback: Callable[[Delivery], None],
        failed: Callable[[Delivery, Exception], None],
        end: Callable[["Listener"], Awaitable[None]],
    ) -> None:
        self.pattern = pattern
        self.group = group
        self.lost = 0
        self._callback: Callable[[Delivery], None] | None = callback
        self._failed = failed
        self._end = end

    def take(self, delivery: Delivery) -> None:
        """Call the function."""
        if self._callback is not None:
            try:
                self._callback(delivery)
            except Exception as error:  # noqa: BLE001 - the listener is foreign here: the others get the message all the same
                self._failed(delivery, error)

    async def __aenter__(self) -> "Listener":
        return self

    async def __aexit__(self, *reason: object) -> None:
        if self._callback is not None:
            self.stop()
            await self._end(self)

    def stop(self) -> None:
        """Call the function no more."""
        self._callback = None


Local = QueuedSubscription | Listener
"""A subscriber of this process."""

"""The calls of one extension that wait for a process, by level: how many other calls wait for each of them."""

from collections import deque
from collections.abc import Iterable, Iterator

from symphony_sdk.model_messages import LEVELS

from symphony_isolation.call import Call


class WaitingCalls:
    """Calls that wait, in a queue for each level: none is kept waiting by one that may wait for it.

    Attributes:
        queues: The queues; those whose calls most others wait for first.
    """

    def __init__(self) -> None:
        self.queues = tuple(deque[Call]() for _ in range(LEVELS))

    def __iter__(self) -> Iterator[Call]:
        for queue in self.queues:
            yield from queue

    def __len__(self) -> int:
        return sum(map(len, self.queues))

    def __bool__(self) -> bool:
        return any(self.queues)

    def first(self) -> Call:
        """The one that is next, of all."""
        return next(iter(self))

    def add(self, calls: Iterable[Call]) -> None:
        """Let calls wait.

        Args:
            calls: The calls.
        """
        for call in calls:
            self.queues[-1 - call.level].append(call)

    def drop_ended(self) -> None:
        """Forget those that have ended meanwhile."""
        for queue in self.queues:
            left = [call for call in queue if not call.ended]
            queue.clear()
            queue.extend(left)

    def clear(self) -> list[Call]:
        """Let none wait any more; gives those that did."""
        waiting = list(self)
        for queue in self.queues:
            queue.clear()
        return waiting

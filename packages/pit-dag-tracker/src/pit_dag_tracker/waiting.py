"""The calls of one run that wait for their turn: the most urgent first, equally urgent ones as they came."""

import heapq
from collections import deque

Key = tuple[int, int]
"""A node's number and the index of its item; -1 for the whole node."""


class Waiting:
    """A queue for each degree of urgency, so that no call is compared with another one."""

    def __init__(self) -> None:
        self._queues: dict[float, deque[Key]] = {}
        self._degrees: list[float] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def urgency(self) -> float:
        """The priority of the one whose turn it is; there must be one."""
        return -self._degrees[0]

    def push(self, priority: float, key: Key) -> None:
        """Let a node or an item wait for its turn.

        Args:
            priority: Larger is more urgent.
            key: The node or item.
        """
        self._count += 1
        queue = self._queues.get(priority)
        if queue is None:
            self._queues[priority] = deque((key,))
            heapq.heappush(self._degrees, -priority)
        else:
            queue.append(key)

    def pop(self) -> Key:
        """The node or item whose turn it is; there must be one."""
        self._count -= 1
        priority = -self._degrees[0]
        queue = self._queues[priority]
        key = queue.popleft()
        if not queue:
            del self._queues[priority]
            heapq.heappop(self._degrees)
        return key

    def withdraw(self, number: int) -> None:
        """Let nothing of a node wait any more.

        Args:
            number: The node.
        """
        waiting = [(priority, key) for priority, queue in self._queues.items() for key in queue]
        self._queues.clear()
        self._degrees.clear()
        self._count = 0
        for priority, key in waiting:
            if key[0] != number:
                self.push(priority, key)

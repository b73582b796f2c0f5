"""How long the workflows inside of a run may take, and the people whom its nodes have asked."""

import asyncio
from collections.abc import Callable

from pit_dag_tracker.graph import Instance

Limited = Instance | int
"""A workflow inside of the run, or a node that waits for a person."""


class Deadlines:
    """The deadlines of one run; while the run is stopping, those that pass are kept for when that is taken back.

    Args:
        stopping: Whether the run is stopping.
    """

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._timers: dict[Limited, asyncio.TimerHandle] = {}
        self._overdue: list[tuple[Limited, Callable[[], None]]] = []

    def set(self, what: Limited, seconds: float, late: Callable[[], None]) -> None:
        """Give something so much time.

        Args:
            what: What is to end.
            seconds: How long it may take from now on.
            late: Called when that is over.
        """
        loop = asyncio.get_running_loop()
        self._timers[what] = loop.call_later(max(0.0, seconds), self._expire, what, late)

    def clear(self, what: Limited) -> None:
        """Forget the deadline of something, if it has one.

        Args:
            what: What has ended.
        """
        timer = self._timers.pop(what, None)
        if timer is not None:
            timer.cancel()

    def go_on(self) -> None:
        """The run does not stop after all."""
        overdue, self._overdue = self._overdue, []
        for what, late in overdue:
            self._expire(what, late)

    def close(self) -> None:
        """Forget all deadlines."""
        for timer in self._timers.values():
            timer.cancel()

    def _expire(self, what: Limited, late: Callable[[], None]) -> None:
        if self._stopping():
            self._overdue.append((what, late))
        elif self._timers.pop(what, None) is not None:
            late()

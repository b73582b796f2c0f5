"""Holds back who sends more than is taken in a second: it is not read until the next one begins."""

import asyncio
from collections.abc import Callable
from typing import Final

WINDOW: Final = 1.0
"""Seconds in which is counted."""


class Throttle:
    """Counts what comes in, in windows of a second that begin with what comes first.

    Args:
        most: How much is taken in one of them.
        on_window: Called when one ends.

    Attributes:
        transport: What is not read while there was too much.
    """

    transport: asyncio.ReadTransport

    def __init__(self, most: int, on_window: Callable[[], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._most = most
        self._on_window = on_window
        self._count = 0
        self._window: asyncio.TimerHandle | None = None
        self._since: float | None = None
        self._ended = 0.0

    def count(self, number: int = 1) -> None:
        """Count what came in.

        Args:
            number: How much of it.
        """
        self._count += number
        if self._window is None:
            if not self.flooded:  # it was quiet since the last one
                self._since = None
            self._window = self._loop.call_later(WINDOW, self._end)
        if self._count > self._most:
            self.transport.pause_reading()

    @property
    def flooded(self) -> float:
        """Seconds that it was too much without a pause, up to now; 0 where it is not."""
        now = self._loop.time()
        if self._since is None or (self._window is None and now - self._ended > WINDOW):
            return 0.0
        return now - self._since

    def stop(self) -> None:
        """Count no more: the other end is gone."""
        if self._window is not None:
            self._window.cancel()

    def _end(self) -> None:
        self._ended = self._loop.time()
        if self._count <= self._most:
            self._since = None
        elif self._since is None:
            self._since = self._ended - WINDOW
        self._count = 0
        self._window = None
        if self._on_window is not None:
            self._on_window()
        self.transport.resume_reading()

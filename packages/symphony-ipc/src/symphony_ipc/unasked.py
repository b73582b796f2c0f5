"""Holds back a peer that sends more of what nobody asked for than a connection can be expected to take."""

import asyncio
from typing import Final

UNASKED_PER_SECOND: Final = 10_000
"""Notifications, PINGs and answers to nothing that are taken; a peer that sends more is not read for a while."""


class Unasked:
    """Counts what nobody asked for, in windows of a second.

    Attributes:
        transport: What is not read while there was too much.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._window: asyncio.TimerHandle | None = None

    def count(self) -> None:
        """Count one."""
        self._count += 1
        if self._window is None:
            self._window = self._loop.call_later(1.0, self._begin)
        if self._count > UNASKED_PER_SECOND:
            self.transport.pause_reading()

    def stop(self) -> None:
        """Count no more: the connection has ended."""
        if self._window is not None:
            self._window.cancel()

    def _begin(self) -> None:
        self._count = 0
        self._window = None
        self.transport.resume_reading()

"""Whether neighbours live: a beat every 25 ms, and who misses three of them is suspect until it is heard again.

Any byte counts as a sign of life. A process that is suspect hangs, or is busy; it is never ended for it. That it
is dead is told by the end of its connection or of its process. The connection to one that asks and asks, and does not
read the answers, is ended before they take this process's memory.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from symphony_sdk.errors import PeerGone
from symphony_sdk.ports.bus import Health

from symphony_ipc.bus.neighbour import Neighbour

BEAT: Final = 0.025
"""Seconds between two looks at a neighbour."""

SILENCE: Final = 0.07
"""Seconds without a sign of life, although one was asked for, after which a neighbour is suspect: not quite three
beats, as a timer may be late."""

UNSENT_LIMIT: Final = 64 << 20
"""Bytes of answers that may wait for a neighbour that does not read them; what is published has a queue of its own."""

_MISSED: Final = 2  # looks in vain after the PING: a loop that was itself held up takes two to be sure


class Heartbeat:
    """Watches the neighbours of a node.

    Args:
        changed: Takes a neighbour, its new health and the reason.
    """

    def __init__(self, changed: Callable[[Neighbour, Health, str], None]) -> None:
        self._changed = changed
        self._watched: dict[Neighbour, _Watched] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, neighbour: Neighbour, pid: int | None) -> None:
        """Begin to watch a neighbour.

        Args:
            neighbour: Who.
            pid: Its process id; None where only the connection can tell of its end.
        """
        self._watched[neighbour] = _Watched(neighbour, pid)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BEAT, self._look)

    def forget(self, neighbour: Neighbour) -> None:
        """Watch it no more."""
        self._watched.pop(neighbour).close()
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = loop.call_later(BEAT, self._look)
        for neighbour, watched in list(self._watched.items()):
            connection = neighbour.connection
            if connection.last_heard != watched.heard:
                watched.heard = connection.last_heard
                watched.missed = 0
                if neighbour.health == "suspect":
                    self._changed(neighbour, "alive", "it was heard again")
            else:
                watched.missed += 1
                silent = now - connection.last_heard
                if watched.missed >= _MISSED and silent >= SILENCE and neighbour.health == "alive":
                    self._changed(neighbour, "suspect", f"nothing was heard for {silent * 1000:.0f} ms")
            if not connection.congested:
                connection.beat()
            elif connection.unsent > UNSENT_LIMIT:
                connection.abort(
                    PeerGone(
                        f"{neighbour.process!r} left more than {UNSENT_LIMIT:,} bytes of answers unread",
                        hint="Read the answers to one's requests, or ask for less at once.",
                    )
                )


class _Watched:
    """What is known of one neighbour, and the descriptor that tells of the end of its process."""

    __slots__ = ("_descriptor", "_neighbour", "heard", "missed")

    def __init__(self, neighbour: Neighbour, pid: int | None) -> None:
        self.heard = neighbour.connection.last_heard
        self.missed = 0
        self._neighbour = neighbour
        self._descriptor = -1
        if pid is not None and hasattr(os, "pidfd_open"):
            loop = asyncio.get_running_loop()
            try:
                self._descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                loop.call_soon(self._died)
            else:
                loop.add_reader(self._descriptor, self._died)

    def close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _died(self) -> None:
        self._neighbour.connection.abort(PeerGone(f"the process {self._neighbour.process!r} ended"))

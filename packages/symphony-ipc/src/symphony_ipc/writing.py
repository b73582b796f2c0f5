"""What a connection sends: frames that belong together leave in one system call.

Within a batch of incoming frames nothing is sent: what the batch caused leaves at its end. Outside of one, as where
a task answers, the first frame in a turn of the event loop leaves at once and those after it at the end of
the turn. So one answer does not wait, and the answers of sixty tasks take two system calls.
"""

import asyncio
import threading
from typing import Final

from symphony_ipc.counters import Counters
from symphony_ipc.framing import Buffer

_JOINED: Final = 64 << 10  # bytes: so many are joined and sent, and do not wait any longer


class _Batch:
    """The batch that an event loop is at, and the outboxes that have something to send."""

    def __init__(self) -> None:
        self.depth = 0
        self.outboxes: list[Outbox] = []


class _Thread(threading.local):
    """A thread, which runs one event loop at a time."""

    def __init__(self) -> None:
        self.batch = _Batch()


class Outbox:
    """The frames for one peer.

    Args:
        counters: Counts them.

    Attributes:
        transport: Where they go.
    """

    transport: asyncio.Transport

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._batch = _THREAD.batch
        self._in_turn = False
        self._frames: list[Buffer] = []
        self._size = 0

    def write(self, frame: tuple[Buffer, ...]) -> None:
        """Send a frame, at once or together with others."""
        self._counters.frames_out += 1
        if self._batch.depth:
            if not self._frames:
                self._batch.outboxes.append(self)
        elif not self._in_turn:
            self._in_turn = True
            self._loop.call_soon(self._end_turn)
            for buffer in frame:
                self._counters.bytes_out += len(buffer)
                self.transport.write(buffer)
            return
        self._frames += frame
        for buffer in frame:
            self._size += len(buffer)
        if self._size >= _JOINED:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        frames, self._frames = self._frames, []
        size, self._size = self._size, 0
        self._counters.bytes_out += size
        if len(frames) > 1 and size < 2 * _JOINED:
            self.transport.write(b"".join(frames))
        else:
            for buffer in frames:
                self.transport.write(buffer)

    def begin_batch(self) -> None:
        """A batch of incoming frames begins."""
        self._batch.depth += 1

    def end_batch(self) -> None:
        """It ends: what it caused is sent, by this connection and by others."""
        batch = self._batch
        batch.depth -= 1
        if not batch.depth and batch.outboxes:
            outboxes, batch.outboxes = batch.outboxes, []
            for outbox in outboxes:
                outbox.flush()

    def _end_turn(self) -> None:
        self._in_turn = False
        self.flush()


_THREAD: Final = _Thread()

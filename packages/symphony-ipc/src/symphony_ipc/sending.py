"""Frames on a blocking socket, from many threads: each is sent whole, and urgent ones overtake."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

from symphony_sdk.errors import PeerGone, SymphonyError

from symphony_ipc.framing import Buffer
from symphony_ipc.handshake import StreamSocket

LAST_WORD: Final = 1.0
"""Seconds that the reason of the end waits for a sender that is in the middle of a frame."""

_URGENT_PONGS: Final = 16  # a peer that has more PINGs unanswered does not read the answers either


class Sender:
    """Sends the frames of one connection.

    Args:
        sock: Where to.
        broke: Ends the connection, and gives the error that says why.
    """

    def __init__(self, sock: StreamSocket, broke: Callable[[OSError], SymphonyError]) -> None:
        self._sock = sock
        self._broke = broke
        self._lock = threading.Lock()
        self._urgent: deque[tuple[Buffer, ...]] = deque()

    def send(self, frame: tuple[Buffer, ...], deadline: float | None = None) -> bool:
        """Send a frame; waits while the peer does not read.

        Args:
            frame: Its buffers.
            deadline: Until when to wait for others that send, in seconds of `time.monotonic`. A frame that was
                begun is finished.

        Returns:
            Whether it was sent; False where the deadline passed before it was begun.

        Raises:
            SymphonyError: The connection has ended.
        """
        if not self._lock.acquire(timeout=-1 if deadline is None else max(deadline - monotonic(), 0)):
            return False
        try:
            self._write_urgent()
            self._write(frame)
            self._write_urgent()
        finally:
            self._lock.release()
            self._flush_urgent()
        return True

    def send_urgent(self, frame: tuple[Buffer, ...]) -> None:
        """Send before all who wait for the lock; if it is held, its holder sends the frame next."""
        self._urgent.append(frame)
        self._flush_urgent()

    def send_pong(self, frame: tuple[Buffer, ...]) -> None:
        """Send the answer of a PING, unless the peer is owed many already."""
        if len(self._urgent) < _URGENT_PONGS:
            self.send_urgent(frame)

    def send_last(self, frame: tuple[Buffer, ...]) -> None:
        """Send a frame before the end: a sender that holds the lock is waited for, unless it is stuck."""
        self._urgent.append(frame)
        if self._lock.acquire(timeout=LAST_WORD):
            try:
                with suppress(PeerGone):
                    self._write_urgent()
            finally:
                self._lock.release()

    def close(self) -> None:
        """Close the socket."""
        with self._lock:  # nobody is inside of a system call with a number that is free to be reused
            self._sock.close()

    def _flush_urgent(self) -> None:
        # Whoever appends while the lock is held may come too late for its holder: so each looks again.
        while self._urgent and self._lock.acquire(blocking=False):
            try:
                self._write_urgent()
            except SymphonyError:
                self._urgent.clear()  # the connection has ended, and who waits for it is told
            finally:
                self._lock.release()

    def _write_urgent(self) -> None:
        while self._urgent:
            self._write(self._urgent.popleft())

    def _write(self, frame: tuple[Buffer, ...]) -> None:
        try:
            if len(frame) == 1:
                self._sock.sendall(frame[0])
            else:
                sent = self._sock.sendmsg(frame)
                for buffer in frame:
                    if sent < len(buffer):
                        self._sock.sendall(memoryview(buffer)[sent:])
                    sent = max(sent - len(buffer), 0)
        except OSError as error:
            raise self._broke(error) from error

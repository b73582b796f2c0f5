"""A connection through shared memory in the form of a blocking socket, for `BlockingConnection` and hot paths.

To wake a process whose core sleeps takes the system far longer than an answer takes to be ready. So whoever receives
looks for a little while at what the peer says in memory before it lets itself be put to sleep. Where that is in vain,
because the peer takes its time or waits for this very core, it looks less and less often. (To let others go first
between two looks would help a peer on the same core; but where many want it, each gets milliseconds of it.)
"""

import math
import os
import select
import socket
import threading
from collections.abc import Sequence
from io import FileIO
from itertools import repeat
from time import monotonic
from typing import Final

from symphony_sdk.errors import MalformedMessage, TransportError

from symphony_transports.shared_memory.channel import CAN_LOOK, Channel, writing_end
from symphony_transports.shared_memory.ring import Buffer

_LOOKS: Final = 1000
"""How often to look: 20 to 50 us in all, in which this process runs no other Python code."""

_LONGEST: Final = 32
"""Receives that at most go by without a look, after looking was in vain again and again."""


_PIECE: Final = 128 << 10
"""Bytes to put before the peer is told of them: it copies them out while the next are copied in."""


class RingSocket:
    """What of a connected stream socket `BlockingConnection` uses, over a channel.

    One thread may receive while another sends. `shutdown` may come from any thread and wakes both.

    Args:
        channel: This end; the socket owns it, also if this fails.

    Raises:
        TransportError: There is no `/proc`, through which `shutdown` wakes who waits (`SYM-T043`).
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._timeout: float | None = None
        self._shut = False
        self._awake = False  # whether the peer was told that this end looks
        self._pause = 0  # receives that go by without a look, after one in vain
        # How many are still to go by; all, where this process has one core alone, which the peer may need.
        self._blind: float = 0 if CAN_LOOK and len(os.sched_getaffinity(0)) > 1 else math.inf
        self._ending = threading.Lock()
        for pipe in (channel.announcements, channel.acknowledgements):
            os.set_blocking(pipe.fileno(), True)
        try:
            os.close(writing_end(channel.announcements))
        except OSError as error:
            channel.close()
            raise TransportError(
                f"{error.filename} cannot be opened: {error.strerror}",
                code="SYM-T043",
                hint="A blocking connection through shared memory needs /proc; mount it, or use the transport `unix`.",
            ) from error

    def settimeout(self, seconds: float | None) -> None:
        """Say how long each call may wait; None for no bound."""
        self._timeout = seconds

    def recv_into(self, buffer: memoryview) -> int:
        """Receive what there is into a buffer, at least one byte; 0 at the end.

        Raises:
            TimeoutError: Nothing came in time.
            MalformedMessage: The peer says what cannot be.
        """
        incoming = self._channel.incoming
        while not incoming.available:
            if self._shut:
                return 0
            if self._blind:
                self._blind -= 1
            elif self._look():
                break
            if not self._sleep():
                return 0
        count = incoming.take(buffer)
        if incoming.owes:
            self._channel.acknowledge()
        return count

    def _look(self) -> bool:
        """Whether the peer puts something in within a little while."""
        if threading.active_count() > 1:
            return False  # the others can do better with the time
        channel = self._channel
        if not self._awake:
            self._awake = True
            channel.stay_awake()
        incoming = channel.incoming
        put, known = channel.put, incoming.position
        for _ in repeat(None, _LOOKS):
            position = put[0]
            if position != known:
                incoming.advance(position)
                if self._pause:  # by so little that looking goes on where 5 of 6 looks find something
                    self._pause = self._pause * 7 // 8
                return True
        self._pause = self._blind = min(self._pause * 2 + 1, _LONGEST)
        return False

    def _sleep(self) -> bool:
        """Wait for the peer; whether it is still there."""
        channel = self._channel
        incoming = channel.incoming
        if self._awake:
            self._awake = False
            channel.fall_asleep()
            position = channel.put[0]
            if position != incoming.position:
                incoming.advance(position)
                return True
        if self._timeout is not None:
            self._wait(channel.announcements, self._timeout)
        said = channel.announcements.readinto(incoming.announcements)
        if not said or self._shut:
            return False
        incoming.announce(said)
        if incoming.owes:  # of what was known already there may be so much that the peer waits
            channel.acknowledge()
        return True

    def recv(self, size: int) -> bytes:
        """Receive at most `size` bytes, at least one; none at the end."""
        buffer = bytearray(size)
        return bytes(buffer[: self.recv_into(memoryview(buffer))])

    def sendall(self, data: Buffer) -> None:
        """Send all of some bytes.

        Raises:
            BrokenPipeError: The peer is gone.
            TimeoutError: The peer did not make room in time.
            MalformedMessage: The peer says what cannot be.
        """
        channel = self._channel
        outgoing = channel.outgoing
        try:
            sent = outgoing.put(data) if len(data) <= _PIECE else 0
            if sent:
                channel.announce()
            if sent < len(data):
                self._send_rest(memoryview(data)[sent:])
        except MalformedMessage:
            self.shutdown()  # the thread that receives is to know as well
            raise

    def _send_rest(self, data: memoryview) -> None:
        channel = self._channel
        outgoing = channel.outgoing
        deadline = None if self._timeout is None else monotonic() + self._timeout
        while data:
            count = outgoing.put(data[:_PIECE])
            if count:
                channel.announce()
                data = data[count:]
                continue
            if self._shut:
                raise BrokenPipeError("this end is closed")
            if deadline is not None:
                self._wait(channel.acknowledgements, deadline - monotonic())
            said = channel.acknowledgements.readinto(outgoing.acknowledgements)
            if not said or self._shut:
                raise BrokenPipeError("the peer is gone")
            outgoing.acknowledge(said)

    def sendmsg(self, buffers: Sequence[Buffer]) -> int:
        """Send all of several buffers, one after the other, and return the count of their bytes."""
        for buffer in buffers:
            self.sendall(buffer)
        return sum(map(len, buffers))

    def shutdown(self, how: int = socket.SHUT_RDWR) -> None:
        """End both directions, whatever is asked for; who waits in another thread returns."""
        with self._ending:
            if not self._shut:
                self._shut = True
                self._channel.hang_up()

    def close(self) -> None:
        """Give everything back; nobody may be inside of another method but `shutdown`."""
        with self._ending:
            self._shut = True
            self._channel.close()

    def _wait(self, pipe: FileIO, timeout: float) -> None:
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        if not waiting.poll(max(timeout, 0) * 1000):
            raise TimeoutError("the peer is silent")

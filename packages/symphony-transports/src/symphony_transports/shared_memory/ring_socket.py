"""A connection through shared memory in the form of a blocking socket, for `BlockingConnection` and hot paths."""

import os
import select
import socket
import threading
from collections.abc import Sequence
from io import FileIO
from time import monotonic

from symphony_sdk.errors import MalformedMessage, TransportError

from symphony_transports.shared_memory.channel import Channel, writing_end
from symphony_transports.shared_memory.ring import Buffer


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
        channel = self._channel
        incoming = channel.incoming
        while not incoming.available:
            said = self._read(channel.announcements, incoming.announcements, self._timeout)
            if not said:
                return 0
            incoming.announce(said)
        count = incoming.take(buffer)
        if incoming.owes:
            channel.acknowledge()
        return count

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
            sent = outgoing.put(data)
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
            count = outgoing.put(data)
            if count:
                channel.announce()
                data = data[count:]
                continue
            left = None if deadline is None else deadline - monotonic()
            said = self._read(channel.acknowledgements, outgoing.acknowledgements, left)
            if not said:
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

    def _read(self, pipe: FileIO, into: memoryview, timeout: float | None) -> int:
        """Read what the peer said; 0 at the end."""
        if timeout is not None:
            waiting = select.poll()
            waiting.register(pipe, select.POLLIN)
            if not waiting.poll(max(timeout, 0) * 1000):
                raise TimeoutError("the peer is silent")
        if self._shut:
            return 0
        said = pipe.readinto(into)
        return 0 if self._shut else said

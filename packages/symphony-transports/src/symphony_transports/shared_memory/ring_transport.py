"""A connection through shared memory on an event loop: an `asyncio.Transport` for a buffered protocol."""

import asyncio
import os
from collections import deque
from collections.abc import Iterable
from typing import Final, cast

from symphony_sdk.errors import MalformedMessage

from symphony_transports.shared_memory.channel import Channel
from symphony_transports.shared_memory.ring import Buffer

_HIGH_WATER: Final = 64 << 10  # bytes that wait for room when the protocol is told to pause, as in asyncio


class RingTransport(asyncio.Transport):
    """A transport over a channel; it connects the protocol at once.

    Buffers given to `write` are not copied until there is room for them, and must not change before.

    Args:
        protocol: What is connected.
        channel: This end; the transport owns it.
    """

    def __init__(self, protocol: asyncio.BufferedProtocol, channel: Channel) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._channel = channel
        self._announcements = channel.announcements.fileno()
        self._acknowledgements = channel.acknowledgements.fileno()
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._heard = True  # whether somebody is there to take what is written
        self._closing = False
        self._lost = False
        self._reading = True
        self._paused = False
        self._high, self._low = _HIGH_WATER, _HIGH_WATER // 4
        for descriptor in (self._announcements, self._acknowledgements):
            os.set_blocking(descriptor, False)
        protocol.connection_made(self)
        if not self._lost:
            self._loop.add_reader(self._acknowledgements, self._take_acknowledgements)
            if self.is_reading():
                self._loop.add_reader(self._announcements, self._take_announcements)

    # -- reading -------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Give the protocol nothing until `resume_reading`."""
        if self.is_reading():
            self._reading = False
            self._loop.remove_reader(self._announcements)

    def resume_reading(self) -> None:
        """Go on: first with what has come in before."""
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.call_soon(self._deliver)
            self._loop.add_reader(self._announcements, self._take_announcements)

    def is_reading(self) -> bool:
        """Whether the protocol is given what comes in."""
        return self._reading and not self._closing

    def _take_announcements(self) -> None:
        incoming = self._channel.incoming
        try:
            said = self._channel.announcements.readinto(incoming.announcements)
            if said:
                incoming.announce(said)
        except MalformedMessage as error:
            self._lose(error)
            return
        if said is None:
            return
        self._deliver()
        if not said and self.is_reading():
            if self._protocol.eof_received():
                self.pause_reading()
            else:
                self.close()

    def _deliver(self) -> None:
        """Give the protocol what is in the ring."""
        incoming = self._channel.incoming
        while incoming.available and self.is_reading():
            count = incoming.take(memoryview(self._protocol.get_buffer(-1)))
            if incoming.owes:
                try:
                    self._channel.acknowledge()
                except MalformedMessage as error:
                    self._lose(error)
                    return
            self._protocol.buffer_updated(count)

    # -- writing -------------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        """Send bytes, after those that wait."""
        if self._closing or not self._heard:
            return
        sent = 0
        if not self._waiting:
            sent = self._channel.outgoing.put(data)
            if sent:
                self._announce()
                if sent == len(data):
                    return
        self._hold(memoryview(data)[sent:])
        self._send()
        self._tell_pressure()

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Send several buffers, one after the other."""
        for data in list_of_data:
            self.write(data)

    def _hold(self, view: memoryview) -> None:
        if view and self._heard:
            self._waiting.append(view)
            self._size += len(view)

    def _send(self) -> None:
        """Put into the ring what there is room for."""
        while self._waiting:
            view = self._waiting[0]
            count = self._channel.outgoing.put(view)
            if not count:
                return
            self._size -= count
            if count < len(view):
                self._waiting[0] = view[count:]
            else:
                self._waiting.popleft()
            self._announce()

    def _announce(self) -> None:
        try:
            self._channel.announce()
        except BrokenPipeError:
            self._stop_writing()
        except MalformedMessage as error:
            self._lose(error)

    def _take_acknowledgements(self) -> None:
        outgoing = self._channel.outgoing
        try:
            said = self._channel.acknowledgements.readinto(outgoing.acknowledgements)
            if said:
                outgoing.acknowledge(said)
        except MalformedMessage as error:
            self._lose(error)
            return
        if said is None:
            return
        if said:
            self._send()
        else:
            self._stop_writing()
        if self._closing and not self._waiting:
            self._lose(None)
        else:
            self._tell_pressure()

    def _stop_writing(self) -> None:
        """Nobody is there any more: the end is told when all that was left behind has been read."""
        self._heard = False
        self._waiting.clear()
        self._size = 0
        self._loop.remove_reader(self._acknowledgements)

    def _tell_pressure(self) -> None:
        if self._lost:
            return
        if not self._paused and self._size > self._high:
            self._paused = True
            self._protocol.pause_writing()
        elif self._paused and self._size <= self._low:
            self._paused = False
            self._protocol.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say how many bytes may wait before the protocol is told to pause, and how few until it may go on."""
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be at least low ({low}), and low at least 0")
        self._high, self._low = high, low
        self._tell_pressure()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Both limits: low, high."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for room."""
        return self._size

    def can_write_eof(self) -> bool:
        """No: closing says it."""
        return False

    # -- the end -------------------------------------------------------------------------------------

    def get_protocol(self) -> asyncio.BaseProtocol:
        """What is connected."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Connect another protocol."""
        self._protocol = cast("asyncio.BufferedProtocol", protocol)

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """Read no more, wait until there was room for all that was written, and close."""
        if not self._closing:
            self._closing = True
            self._loop.remove_reader(self._announcements)
            if not self._waiting:
                self._lose(None)

    def abort(self) -> None:
        """Close at once; what waits is lost."""
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._waiting.clear()
        self._size = 0
        self._loop.remove_reader(self._announcements)
        self._loop.remove_reader(self._acknowledgements)
        self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        self._channel.close()
        self._protocol.connection_lost(error)

"""A connection through shared memory on an event loop: an `asyncio.Transport` for a buffered protocol."""

import asyncio
import os
from collections.abc import Iterable

from symphony_ipc.duplex import DuplexTransport
from symphony_sdk.errors import MalformedMessage

from symphony_transports.shared_memory.channel import Channel
from symphony_transports.shared_memory.ring import Buffer


class RingTransport(DuplexTransport):
    """A transport over a channel; it connects the protocol at once.

    Buffers given to `write` are not copied until there is room for them, and must not change before.

    Args:
        protocol: What is connected.
        channel: This end; the transport owns it.
    """

    def __init__(self, protocol: asyncio.BufferedProtocol, channel: Channel) -> None:
        self._channel = channel
        self._acknowledgements = channel.acknowledgements.fileno()
        self._heard = True  # whether somebody is there to take what is written
        announcements = channel.announcements.fileno()
        for descriptor in (announcements, self._acknowledgements):
            os.set_blocking(descriptor, False)
        super().__init__(protocol, announcements)
        if not self._lost:
            self._loop.add_reader(self._acknowledgements, self._take_acknowledgements)

    def resume_reading(self) -> None:
        """Go on: first with what has come in before."""
        if not self._reading and not self._closing:
            self._loop.call_soon(self._deliver)
        super().resume_reading()

    def _read(self) -> None:
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
            self._take_end()

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

    def write(self, data: Buffer) -> None:
        """Send bytes, after those that wait."""
        if self._closing or not self._heard:
            return
        sent = 0
        if not self._waiting:
            sent = self._channel.outgoing.put(data)
            if sent:
                self._announce()
                if sent == len(data) or not self._heard:
                    return
        self._hold(memoryview(data)[sent:])
        self._send()
        self._tell_pressure()

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Send several buffers, one after the other."""
        for data in list_of_data:
            self.write(data)

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
        self._have_sent()

    def _stop_writing(self) -> None:
        """Nobody is there any more: the end is told when all that was left behind has been read."""
        super()._stop_writing()
        self._heard = False
        self._loop.remove_reader(self._acknowledgements)

    def _release(self) -> None:
        self._channel.close()

"""What every `asyncio.Transport` over descriptors of its own keeps: what waits, when to pause, and how it ends."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Final, cast

_HIGH_WATER: Final = 64 << 10  # bytes that wait when the protocol is told to pause, as in asyncio


class DuplexTransport(asyncio.Transport, ABC):
    """A transport for a buffered protocol; how bytes come and go is left to its subclasses.

    Making it connects the protocol, which may write at once: a subclass first sets what its `write` needs.

    Args:
        protocol: What is connected.
        read_fd: Descriptor that is ready when something has come in; it does not block.
    """

    def __init__(self, protocol: asyncio.BufferedProtocol, read_fd: int) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._read_fd = read_fd
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._high, self._low = _HIGH_WATER, _HIGH_WATER // 4
        self._paused = False  # whether the protocol was told to write no more
        self._reading = True
        self._closing = False
        self._lost = False
        protocol.connection_made(self)
        if self.is_reading():
            self._loop.add_reader(read_fd, self._read)

    @abstractmethod
    def _read(self) -> None:
        """Give the protocol what has come in, or its end."""

    @abstractmethod
    def _release(self) -> None:
        """Close the descriptors."""

    # -- reading -------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Give the protocol nothing until `resume_reading`."""
        if self.is_reading():
            self._reading = False
            self._loop.remove_reader(self._read_fd)

    def resume_reading(self) -> None:
        """Go on."""
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._read_fd, self._read)

    def is_reading(self) -> bool:
        """Whether the protocol is given what comes in."""
        return self._reading and not self._closing

    def _take_end(self) -> None:
        """Nothing more will come in: close, unless the protocol goes on writing."""
        if self._protocol.eof_received():
            self.pause_reading()
        else:
            self.close()

    # -- writing -------------------------------------------------------------------------------------

    def _hold(self, view: memoryview) -> None:
        if view:
            self._waiting.append(view)
            self._size += len(view)

    def _tell_pressure(self) -> None:
        if self._lost:
            return
        if not self._paused and self._size > self._high:
            self._paused = True
            self._protocol.pause_writing()
        elif self._paused and self._size <= self._low:
            self._paused = False
            self._protocol.resume_writing()

    def _have_sent(self) -> None:
        """Some of what waited has gone: tell the protocol, or end if this was all there was to wait for."""
        if self._closing and not self._waiting:
            self._lose(None)
        else:
            self._tell_pressure()

    def _stop_writing(self) -> None:
        """Nobody takes anything any more; a subclass also stops waiting for room."""
        self._waiting.clear()
        self._size = 0

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
        """Bytes that wait."""
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
        """Read no more, write what waits, and close."""
        if not self._closing:
            self._closing = True
            self._loop.remove_reader(self._read_fd)
            if not self._waiting:
                self._lose(None)

    def abort(self) -> None:
        """Close at once; what waits is lost."""
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._loop.remove_reader(self._read_fd)
        self._stop_writing()
        self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        self._release()
        self._protocol.connection_lost(error)

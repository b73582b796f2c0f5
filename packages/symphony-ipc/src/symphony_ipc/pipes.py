"""Two pipes, one to read and one to write, as one duplex `asyncio.Transport`; and this process's own two.

asyncio has a transport for each direction and gives the bytes of a pipe in fresh memory of 256 KiB a read. This
one reads into the buffer of the protocol, and writes at once what the pipe takes. POSIX only.
"""

import asyncio
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeVar, cast

from symphony_sdk.errors import TransportError

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BufferedProtocol)

_HIGH_WATER: Final = (
    64 << 10
)  # bytes that wait to be written when the protocol is told to pause, as in asyncio
_BUFFERS_AT_ONCE: Final = 64  # in one system call; far below what any system allows


async def open_pipes(
    factory: Callable[[], ProtocolT], read_fd: int, write_fd: int
) -> tuple["PipeTransport", ProtocolT]:
    """Connect a protocol to two pipes.

    Args:
        factory: Makes the protocol.
        read_fd: Descriptor to read from; the transport owns it, also if this fails.
        write_fd: Descriptor to write to; the transport owns it, also if this fails.

    Raises:
        TransportError: A descriptor is neither a pipe nor a socket (`SYM-T032`).
    """
    try:
        transport = PipeTransport(factory(), read_fd, write_fd)
    except BaseException:
        os.close(read_fd)
        os.close(write_fd)
        raise
    return transport, cast("ProtocolT", transport.get_protocol())


async def open_stdio(factory: Callable[[], ProtocolT]) -> tuple["PipeTransport", ProtocolT]:
    """Connect a protocol to the standard input and output of this process, which it takes for itself.

    From then on the process reads nothing from its standard input, and what it prints goes to its standard
    error: a stray `print` would break the stream.

    Args:
        factory: Makes the protocol.

    Raises:
        TransportError: They are not pipes, or have been taken already (`SYM-T032`).
    """
    return await open_pipes(factory, *take_stdio())


def take_stdio() -> tuple[int, int]:
    """Take standard input and output away from the rest of the process.

    Returns:
        The descriptors that they were connected to: to read from, and to write to.

    Raises:
        TransportError: They are not pipes, or have been taken already (`SYM-T032`).
    """
    if _STDIO_TAKEN:
        raise _no_stdio("they have been taken already")
    if sys.__stdin__ is None or sys.__stdout__ is None:  # their numbers may belong to something else by now
        raise _no_stdio("they were closed when the program began")
    try:
        check_pipe(0)
        check_pipe(1)
        taken = os.dup(0), os.dup(1)
    except OSError as error:
        raise _no_stdio(error.strerror or str(error)) from error
    _STDIO_TAKEN.append(True)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # there is no standard error
        os.dup2(nothing, 1)
    os.close(nothing)
    return taken


_STDIO_TAKEN: Final[list[bool]] = []  # whether this process gave them away; they cannot be had back


def check_pipe(descriptor: int) -> None:
    """Refuse what an event loop cannot wait for, and a terminal, which others share.

    Args:
        descriptor: An open descriptor.

    Raises:
        TransportError: It is neither a pipe nor a socket (`SYM-T032`).
        OSError: It is not open.
    """
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise TransportError(
            f"descriptor {descriptor} is neither a pipe nor a socket",
            code="SYM-T032",
            hint="It must lead to another program: not to a file, a terminal or /dev/null.",
        )


class PipeTransport(asyncio.Transport):
    """A transport over two pipes; made by `open_pipes`.

    Buffers given to `write` are not copied and must not change before they are written.

    Args:
        protocol: What is connected.
        read_fd: Descriptor to read from.
        write_fd: Descriptor to write to.

    Raises:
        TransportError: One of them is neither a pipe nor a socket (`SYM-T032`).
    """

    def __init__(self, protocol: asyncio.BufferedProtocol, read_fd: int, write_fd: int) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._closing = False
        self._lost = False
        self._reading = True
        self._paused = False
        self._high, self._low = _HIGH_WATER, _HIGH_WATER // 4
        for descriptor in (read_fd, write_fd):
            check_pipe(descriptor)
            os.set_blocking(descriptor, False)
        protocol.connection_made(self)
        if self._reading and not self._closing:
            self._loop.add_reader(read_fd, self._read)

    # -- reading -------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`."""
        if self._reading and not self._closing:
            self._reading = False
            self._loop.remove_reader(self._read_fd)

    def resume_reading(self) -> None:
        """Read again."""
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._read_fd, self._read)

    def is_reading(self) -> bool:
        """Whether it reads."""
        return self._reading and not self._closing

    def _read(self) -> None:
        try:
            count = os.readv(self._read_fd, [self._protocol.get_buffer(-1)])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if count:
            self._protocol.buffer_updated(count)
        elif self._protocol.eof_received():
            self.pause_reading()
        else:
            self.close()

    # -- writing -------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, after those that wait."""
        if self._closing:
            return
        sent = 0
        if not self._waiting:
            try:
                sent = os.write(self._write_fd, data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._lose(error)
                return
            if sent < len(data):
                self._loop.add_writer(self._write_fd, self._flush)
        self._hold(memoryview(data)[sent:])
        self._tell_pressure()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several buffers, in one system call where the pipe takes them."""
        if self._closing:
            return
        idle = not self._waiting
        for data in list_of_data:
            self._hold(memoryview(data))
        if idle:
            self._send()
            if self._waiting:
                self._loop.add_writer(self._write_fd, self._flush)
        self._tell_pressure()

    def _hold(self, view: memoryview) -> None:
        if view:
            self._waiting.append(view)
            self._size += len(view)

    def _send(self) -> None:
        """Write what the pipe takes."""
        while self._waiting:
            first = list(islice(self._waiting, _BUFFERS_AT_ONCE))
            try:
                sent = os.writev(self._write_fd, first)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._lose(error)
                return
            self._size -= sent
            for view in first:
                if sent < len(view):
                    self._waiting[0] = view[sent:]
                    return  # the pipe is full
                sent -= len(view)
                self._waiting.popleft()

    def _flush(self) -> None:
        self._send()
        if self._lost:
            return
        if not self._waiting:
            self._loop.remove_writer(self._write_fd)
            if self._closing:
                self._lose(None)
                return
        self._tell_pressure()

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
        self._waiting.clear()
        self._size = 0
        self._loop.remove_reader(self._read_fd)
        self._loop.remove_writer(self._write_fd)
        self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        os.close(self._write_fd)
        os.close(self._read_fd)
        self._protocol.connection_lost(error)


def _no_stdio(reason: str) -> TransportError:
    return TransportError(
        f"standard input and output cannot be used for a connection: {reason}",
        code="SYM-T032",
        hint="The program that connects starts this one, with pipes for both; it takes them once.",
    )

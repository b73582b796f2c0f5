"""Two pipes, one to read and one to write, as one duplex `asyncio.Transport`; and this process's own two.

asyncio has a transport for each direction and gives the bytes of a pipe in fresh memory of 256 KiB a read. This
one reads into the buffer of the protocol, and writes at once what the pipe takes. POSIX only.
"""

import asyncio
import os
import stat
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeVar, cast

from symphony_sdk.errors import TransportError

from symphony_ipc.duplex import DuplexTransport

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BufferedProtocol)

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


class PipeTransport(DuplexTransport):
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
        for descriptor in (read_fd, write_fd):
            check_pipe(descriptor)
            os.set_blocking(descriptor, False)
        self._write_fd = write_fd
        super().__init__(protocol, read_fd)

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
        else:
            self._take_end()

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
        if not self._waiting:
            self._loop.remove_writer(self._write_fd)
        self._have_sent()

    def _stop_writing(self) -> None:
        super()._stop_writing()
        self._loop.remove_writer(self._write_fd)

    def _release(self) -> None:
        os.close(self._write_fd)
        os.close(self._read_fd)


def _no_stdio(reason: str) -> TransportError:
    return TransportError(
        f"standard input and output cannot be used for a connection: {reason}",
        code="SYM-T032",
        hint="The program that connects starts this one, with pipes for both; it takes them once.",
    )

"""An HTTP proxy for one worker, so that libraries which know nothing of Symphony reach what it may reach.

The worker is in a network of its own with nothing in it but loopback. There the sandbox makes a listener, before the
first line of the extension, and hands it to the host, which accepts on it: so nobody but this worker gets to this
proxy. Each server is checked by name and by address, as `ctx.connect` is. `CONNECT` tunnels are passed on unread; plain
HTTP gets one request a connection.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from symphony_sdk.errors import AccessFailed, SymphonyError

CONNECTIONS: Final = 64
"""Connections of one worker at the same time; further ones are refused."""

HEAD_LIMIT: Final = 32 << 10
"""Bytes of a request until its body."""

HEAD_TIMEOUT: Final = 10.0
"""Seconds until the head of a request is there."""

BUFFER: Final = 64 << 10
"""Bytes that are read from one side before the other side has taken them."""

Connect = Callable[[str, int], Awaitable[socket.socket]]
"""Gives a connection to a server, checked; raises `SymphonyError`."""

_OF_THE_HOP: Final = frozenset(
    {
        b"connection",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
    }
)


class Proxy:
    """Serves the listener of one worker.

    Args:
        connect: Gives a connection to a server that the worker may reach.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Accept on a listener until `close`.

        Args:
            listener: A TCP socket that listens; owned by the proxy.
        """
        listener.setblocking(False)
        self._server = await asyncio.start_server(self._accepted, sock=listener, limit=HEAD_LIMIT)

    def close(self) -> None:
        """End it and every connection through it."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._open.add(task)
        try:
            with suppress(OSError):  # whoever went away needs no answer
                try:
                    if len(self._open) > CONNECTIONS:
                        raise _Refused(503, f"there are {CONNECTIONS} connections already")
                    await self._answer(reader, writer)
                except _Refused as refused:
                    writer.write(refused.answer())
                    await writer.drain()
        finally:
            self._open.discard(task)
            writer.close()

    async def tunnel(self, there: socket.socket) -> socket.socket:
        """One end of a pair of sockets of which the other is passed on to a connection, until either ends.

        A worker that may connect by itself, in its own network, must never hold a socket of the host's network: it
        could connect that to where it likes.

        Args:
            there: The connection; owned by the proxy.

        Raises:
            AccessFailed: SYM-P035, there are too many.
        """
        if len(self._open) >= CONNECTIONS:
            raise AccessFailed(
                f"there are {CONNECTIONS} connections already",
                code="SYM-P035",
                hint="Close those that are not needed any more.",
                details={"errno": errno.EMFILE},
            )
        near, far = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=near, limit=BUFFER)
        passing = asyncio.create_task(_pass_both(reader, writer, *await _streams(there)))
        self._open.add(passing)
        passing.add_done_callback(self._open.discard)
        return far

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            raise _Refused(431, f"the head of a request may have {HEAD_LIMIT:,} bytes") from None
        except TimeoutError:
            raise _Refused(408, f"the head of the request was not there within {HEAD_TIMEOUT:g} s") from None
        method, target, lines = _parsed(head)
        if method == b"CONNECT":
            host, port = _authority(b"//" + target, 0)
            first, said = b"", b"HTTP/1.1 200 Connection established\r\n\r\n"
        else:
            if not target.lower().startswith(b"http://"):
                raise _Refused(400, "expected CONNECT host:port, or a request for http://host/path")
            host, port = _authority(target, 80)
            first, said = _forwarded(method, target, lines), b""
        there_reader, there_writer = await _streams(await self._reach(host, port))
        there_writer.write(first)
        writer.write(said)
        await _pass_both(reader, writer, there_reader, there_writer)

    async def _reach(self, host: str, port: int) -> socket.socket:
        try:
            return await self._connect(host, port)
        except AccessFailed as error:
            raise _Refused(502, str(error)) from None
        except SymphonyError as error:
            raise _Refused(403, f"{error}\n{error.hint}") from None


class _Refused(Exception):
    """A request that gets an answer of the proxy itself.

    Args:
        status: Its status.
        why: In words.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why

    def answer(self) -> bytes:
        body = f"Symphony: {self.why}\n".encode(errors="backslashreplace")
        head = (
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


_REASONS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


def _parsed(head: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """Method, target and header lines of a request."""
    first, *lines = head[:-4].split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[0].isalpha() or words[2] not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise _Refused(400, "expected METHOD TARGET HTTP/1.1")
    for line in lines:
        name, colon, _ = line.partition(b":")
        # A line that begins with a space, or holds a bare CR or LF, is read differently by different servers.
        if not colon or not name or name.strip() != name or b"\r" in line or b"\n" in line or b"\0" in line:
            raise _Refused(400, "a header line is malformed")
    return words[0], words[1], lines


def _authority(target: bytes, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(target.decode("ascii"))
        found = parts.port or port
        if not parts.hostname or parts.username is not None or not found:
            raise ValueError(target)
    except ValueError:
        raise _Refused(400, "the target names no host and port") from None
    return parts.hostname, found


def _forwarded(method: bytes, target: bytes, lines: list[bytes]) -> bytes:
    """The request as its server takes it: the path alone, the host that was checked, one request a connection."""
    rest = target[len(b"http://") :]
    authority = rest.split(b"/", 1)[0].split(b"?", 1)[0].split(b"#", 1)[0]
    path = rest[len(authority) :].split(b"#", 1)[0]
    kept = [line for line in lines if line.partition(b":")[0].lower() not in _OF_THE_HOP]
    path = path if path.startswith(b"/") else b"/" + path
    first = [b"%s %s HTTP/1.1" % (method, path), b"Host: " + authority, b"Connection: close"]
    return b"\r\n".join([*first, *kept]) + b"\r\n\r\n"


async def _streams(connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=connection, limit=BUFFER)


async def _pass_both(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there_reader: asyncio.StreamReader,
    there_writer: asyncio.StreamWriter,
) -> None:
    try:
        await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))
    finally:
        there_writer.close()
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the one side ends, and tell the other that it has."""
    with suppress(OSError):
        while data := await reader.read(BUFFER):
            writer.write(data)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()

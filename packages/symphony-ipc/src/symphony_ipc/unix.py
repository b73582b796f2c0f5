"""Connections over Unix sockets: to a listener at a path, or over the end of a socket pair.

Who may connect is settled three times: by the directory, which only this user may enter; by the user id
that the kernel gives for the peer, where it does; and by the token of the handshake.
"""

import asyncio
import os
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from symphony_sdk.errors import SymphonyError, TransportError
from symphony_sdk.ports.transport import ConnectionPort, RequestHandler

from symphony_ipc.connection import Connection, NotifyCallback
from symphony_ipc.handshake import Endpoint

_UCRED: Final = struct.Struct("3i")
_ACCEPT_PAUSE: Final = 0.1  # seconds to wait when the process has no descriptor left for a connection


async def from_socket(
    sock: socket.socket,
    endpoint: Endpoint,
    *,
    accepts: bool,
    handler: RequestHandler | None = None,
    on_notify: NotifyCallback | None = None,
    on_open: Callable[[Connection], None] | None = None,
) -> Connection:
    """An open connection over a connected socket, such as one end of a socket pair.

    Args:
        sock: A connected Unix stream socket; the connection owns it, also if this fails.
        endpoint: This end.
        accepts: Whether this end waits for the other's HELLO.
        handler: Answers what the other end asks.
        on_notify: Takes notifications that belong to no request.
        on_open: Takes the connection when it has shaken hands, before anything else of it is read.

    Raises:
        TransportError: The handshake failed.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(endpoint, accepts=accepts, handler=handler, on_notify=on_notify, on_open=on_open)
    await loop.create_unix_connection(lambda: connection, sock=sock)
    await connection.opened()
    return connection


class UnixTransport:
    """Connections between processes of one user on one machine; adapter of `TransportPort`.

    An address is `unix:` and a path, such as `unix:/run/user/1000/symphony/host.sock`.

    Args:
        name: What this end is called in errors and logs.
    """

    scheme = "unix"

    def __init__(self, name: str) -> None:
        self._name = name

    async def connect(
        self, address: str, *, token: bytes = b"", handler: RequestHandler | None = None
    ) -> Connection:
        """Connect to a listener and shake hands.

        Args:
            address: Where it listens.
            token: The secret that it expects.
            handler: Answers what the other side asks.

        Raises:
            TransportError: Nobody listens (`SYM-T010`), or the handshake failed.
        """
        path = _path_of(address)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, str(path))
            _check_user(sock)
        except OSError as error:
            sock.close()
            raise _unusable(address, error) from error
        except BaseException:
            sock.close()
            raise
        return await from_socket(sock, Endpoint(self._name, token), accepts=False, handler=handler)

    async def listen(
        self,
        address: str,
        on_connection: Callable[[ConnectionPort], None],
        *,
        token: bytes = b"",
        handler: RequestHandler | None = None,
    ) -> "UnixListener":
        """Take connections at a path; its directory is made if it is missing.

        Args:
            address: Where to listen.
            on_connection: Takes each connection that shook hands, before anything else of it is read.
            token: The secret to expect.
            handler: Answers what the other sides ask.

        Raises:
            TransportError: Others may enter the directory, somebody listens there already, or the path
                cannot be used (`SYM-T010`).
        """
        path = _path_of(address)
        try:
            sock = _bind(path)
        except OSError as error:
            raise _unusable(address, error) from error
        return UnixListener(sock, path, Endpoint(self._name, token), on_connection, handler)


class UnixListener:
    """Takes connections at a path; adapter of `ListenerPort`.

    Args:
        sock: A listening socket; the listener owns it.
        path: Where it listens.
        endpoint: This end of each connection.
        on_connection: Takes each connection that shook hands, before anything else of it is read.
        handler: Answers what the other sides ask.
    """

    def __init__(
        self,
        sock: socket.socket,
        path: Path,
        endpoint: Endpoint,
        on_connection: Callable[[ConnectionPort], None],
        handler: RequestHandler | None,
    ) -> None:
        self._sock = sock
        self._path = path
        self._endpoint = endpoint
        self._on_connection = on_connection
        self._handler = handler
        self._welcoming: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept_all())

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"unix:{self._path}"

    async def close(self) -> None:
        """Take no further connection; those that are open stay."""
        tasks = [self._accepting, *self._welcoming]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._sock.close()
        self._path.unlink(missing_ok=True)

    async def _accept_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._sock)
            except OSError:
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            task = loop.create_task(self._welcome(sock))
            self._welcoming.add(task)
            task.add_done_callback(self._welcoming.discard)

    async def _welcome(self, sock: socket.socket) -> None:
        try:
            _check_user(sock)
            await from_socket(
                sock, self._endpoint, accepts=True, handler=self._handler, on_open=self._on_connection
            )
        except SymphonyError:
            sock.close()  # the peer has been told why


def _path_of(address: str) -> Path:
    scheme, _, path = address.partition(":")
    if scheme != UnixTransport.scheme or not path:
        raise TransportError(
            f"{address!r} is not the address of a Unix socket",
            code="SYM-T010",
            hint="Write `unix:` and a path, such as `unix:/run/user/1000/symphony/host.sock`.",
        )
    return Path(path)


def _bind(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.parent.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TransportError(
            f"others than this user may enter {path.parent} (mode {stat.S_IMODE(found.st_mode):o})",
            code="SYM-T010",
            hint=f"Use a directory of your own, or `chmod 700 {path.parent}`.",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(FileNotFoundError):
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()  # left behind by a process that was killed
        else:
            raise TransportError(
                f"a process listens at {path} already",
                code="SYM-T010",
                hint="Stop it, or choose another path.",
            )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen()
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_user(sock: socket.socket) -> None:
    if not hasattr(socket, "SO_PEERCRED"):
        return  # Linux alone has it; elsewhere the directory and the token decide
    _, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    if user != os.getuid():
        raise TransportError(
            f"the peer belongs to user {user}; only user {os.getuid()} may connect",
            code="SYM-T008",
            hint="Run both ends as the same user.",
        )


def _unusable(address: str, error: OSError) -> TransportError:
    length = len(os.fsencode(_path_of(address)))
    return TransportError(
        f"{address} cannot be used: {error.strerror or error} ({length} bytes)",
        code="SYM-T010",
        hint="Something must listen there; the path must be writable and shorter than 108 bytes (macOS: 104).",
    )

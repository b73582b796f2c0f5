"""Connections over Unix sockets, between processes of one user on one machine."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from symphony_ipc import AnsweredRequests, Connection, Endpoint, from_socket
from symphony_sdk.errors import SymphonyError
from symphony_sdk.ports import ConnectionPort, RequestHandler

from symphony_transports.private_socket import PrivateListener, check_user, connect_private, path_of

_ACCEPT_PAUSE: Final = 0.1  # seconds to wait when the process has no descriptor left for a connection


class UnixTransport:
    """Connections over Unix sockets; adapter of `TransportPort`.

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
        sock = await connect_private(path_of(address, self.scheme))
        return await from_socket(
            sock,
            Endpoint(self._name, token),
            accepts=False,
            handler=handler,
            answered=AnsweredRequests(),
        )

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
        listener = PrivateListener(path_of(address, self.scheme))
        return UnixListener(listener, Endpoint(self._name, token), on_connection, handler)


class UnixListener:
    """Takes connections at a path; adapter of `ListenerPort`.

    Args:
        listener: The socket; this owns it.
        endpoint: This end of each connection.
        on_connection: Takes each connection that shook hands, before anything else of it is read.
        handler: Answers what the other sides ask.
    """

    def __init__(
        self,
        listener: PrivateListener,
        endpoint: Endpoint,
        on_connection: Callable[[ConnectionPort], None],
        handler: RequestHandler | None,
    ) -> None:
        self._listener = listener
        self._endpoint = endpoint
        self._on_connection = on_connection
        self._handler = handler
        self._answered = AnsweredRequests()
        self._welcoming: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept_all())

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{UnixTransport.scheme}:{self._listener.path}"

    async def close(self) -> None:
        """Take no further connection; those that are open stay."""
        tasks = [self._accepting, *self._welcoming]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._listener.close()

    async def _accept_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener.sock)
            except OSError:
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            task = loop.create_task(self._welcome(sock))
            self._welcoming.add(task)
            task.add_done_callback(self._welcoming.discard)

    async def _welcome(self, sock: socket.socket) -> None:
        try:
            check_user(sock)
            await from_socket(
                sock,
                self._endpoint,
                accepts=True,
                handler=self._handler,
                on_open=self._on_connection,
                answered=self._answered,
            )
        except SymphonyError:
            sock.close()  # the peer has been told why

"""Connections over Unix sockets, between processes of one user on one machine."""

import socket
from collections.abc import Callable

from symphony_ipc import AnsweredRequests, Connection, Endpoint, from_socket
from symphony_sdk.ports import ConnectionPort, RequestHandler

from symphony_transports.accepting import SocketListener
from symphony_transports.private_socket import PrivateListener, connect_private, path_of


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
    ) -> SocketListener:
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
        endpoint = Endpoint(self._name, token)
        answered = AnsweredRequests()

        async def welcome(sock: socket.socket) -> None:
            await from_socket(
                sock, endpoint, accepts=True, handler=handler, on_open=on_connection, answered=answered
            )

        return SocketListener(PrivateListener(path_of(address, self.scheme)), self.scheme, welcome)

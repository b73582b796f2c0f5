"""Connections through shared memory: two processes meet at a Unix socket, and leave it for two rings.

The socket settles who may connect, as that of the transport `unix` does, and carries the descriptors; then it is
closed. Everything else goes through the rings: the handshake with its token first.
"""

import asyncio
import socket
import sys
from collections.abc import Callable

from symphony_ipc import AnsweredRequests, Connection, Endpoint
from symphony_ipc.handshake import silent_peer
from symphony_sdk.ports import ConnectionPort, RequestHandler

from symphony_transports.accepting import SocketListener
from symphony_transports.private_socket import PrivateListener, connect_private, path_of
from symphony_transports.shared_memory.channel import Channel, not_linux, offer, receive
from symphony_transports.shared_memory.ring_transport import RingTransport


class SharedMemoryTransport:
    """Connections through shared memory, on Linux; adapter of `TransportPort`.

    An address is `shm:` and the path of a Unix socket, such as `shm:/run/user/1000/symphony/host.shm`.

    Args:
        name: What this end is called in errors and logs.

    Raises:
        TransportError: This is not Linux (`SYM-T030`).
    """

    scheme = "shm"

    def __init__(self, name: str) -> None:
        if sys.platform != "linux":
            raise not_linux()
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
            TransportError: Nobody listens (`SYM-T010`), what listens offers no shared memory that is safe to use
                (`SYM-T040`), or the handshake failed.
        """
        endpoint = Endpoint(self._name, token)
        with await connect_private(path_of(address, self.scheme)) as sock:
            channel = await _receive(sock, endpoint)
        connection = Connection(endpoint, accepts=False, handler=handler, answered=AnsweredRequests())
        return await _opened(connection, channel)

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
            with sock:
                channel = offer(sock)
            connection = Connection(
                endpoint, accepts=True, handler=handler, on_open=on_connection, answered=answered
            )
            await _opened(connection, channel)

        return SocketListener(PrivateListener(path_of(address, self.scheme)), self.scheme, welcome)


async def _receive(sock: socket.socket, endpoint: Endpoint) -> Channel:
    """What the listening end offers, as soon as it does."""
    loop = asyncio.get_running_loop()
    offered = asyncio.Event()
    loop.add_reader(sock, offered.set)
    try:
        async with asyncio.timeout(endpoint.timeout):
            await offered.wait()
    except TimeoutError:
        raise silent_peer(endpoint) from None
    finally:
        loop.remove_reader(sock)
    return receive(sock)


async def _opened(connection: Connection, channel: Channel) -> Connection:
    RingTransport(connection, channel)
    await connection.opened()
    return connection

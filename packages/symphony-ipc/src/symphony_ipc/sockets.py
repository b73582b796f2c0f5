"""Connections over sockets that are connected already, such as the ends of a socket pair."""

import asyncio
import socket

from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.connection import Connection, NotifyCallback
from symphony_ipc.handshake import Endpoint


async def from_socket(
    sock: socket.socket,
    endpoint: Endpoint,
    *,
    accepts: bool,
    handler: RequestHandler | None = None,
    on_notify: NotifyCallback | None = None,
) -> Connection:
    """An open connection over a connected socket, such as one end of a socket pair.

    Args:
        sock: A connected Unix stream socket; the connection owns it, also if this fails.
        endpoint: This end.
        accepts: Whether this end waits for the other's HELLO.
        handler: Answers what the other end asks.
        on_notify: Takes notifications that belong to no request.

    Raises:
        TransportError: The handshake failed.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(endpoint, accepts=accepts, handler=handler, on_notify=on_notify)
    await loop.create_unix_connection(lambda: connection, sock=sock)
    await connection.opened()
    return connection

"""Connections over sockets that are connected already, such as the ends of a socket pair."""

import asyncio
import socket
from collections.abc import Callable

from symphony_sdk.ports.transport import RequestHandler

from symphony_ipc.answered import AnsweredRequests
from symphony_ipc.asking import NotifyCallback
from symphony_ipc.connection import Connection
from symphony_ipc.handshake import Endpoint


async def from_socket(
    sock: socket.socket,
    endpoint: Endpoint,
    *,
    accepts: bool,
    handler: RequestHandler | None = None,
    on_notify: NotifyCallback | None = None,
    on_open: Callable[[Connection], None] | None = None,
    answered: AnsweredRequests | None = None,
) -> Connection:
    """An open connection over a connected socket, such as one end of a socket pair.

    Args:
        sock: A connected Unix stream socket; the connection owns it, also if this fails.
        endpoint: This end.
        accepts: Whether this end waits for the other's HELLO.
        handler: Answers what the other end asks.
        on_notify: Takes notifications that belong to no request.
        on_open: Takes the connection when it has shaken hands, before anything else of it is read.
        answered: Carries requests that have an idempotency key out once; a listener's connections share it.

    Raises:
        TransportError: The handshake failed.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(
        endpoint, accepts=accepts, handler=handler, on_notify=on_notify, on_open=on_open, answered=answered
    )
    await loop.create_unix_connection(lambda: connection, sock=sock)
    await connection.opened()
    return connection

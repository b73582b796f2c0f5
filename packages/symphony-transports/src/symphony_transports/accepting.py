"""Takes the connections that come to a Unix socket, whatever is then talked over."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from symphony_sdk.errors import SymphonyError

from symphony_transports.private_socket import PrivateListener, check_user

_ACCEPT_PAUSE: Final = 0.1  # seconds to wait when the process has no descriptor left for a connection


class SocketListener:
    """Takes connections at a path; adapter of `ListenerPort`.

    Args:
        listener: The socket; this owns it.
        scheme: First part of its address.
        welcome: Shakes hands over a socket whose peer is of this user; it owns the socket.
    """

    def __init__(
        self, listener: PrivateListener, scheme: str, welcome: Callable[[socket.socket], Awaitable[object]]
    ) -> None:
        self._listener = listener
        self._scheme = scheme
        self._open = welcome
        self._welcoming: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept_all())

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self._scheme}:{self._listener.path}"

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
            await self._open(sock)
        except SymphonyError:
            sock.close()  # the peer has been told why

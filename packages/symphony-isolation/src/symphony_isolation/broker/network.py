"""Connections as an extension gets them through the host: the name is checked, and each address that it leads to.

The name is resolved once. What is connected to is the address that was checked: a second look-up could give another.
"""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from symphony_sdk.errors import AccessFailed, PermissionDenied
from symphony_sdk.permissions import Access, PermissionSet

from symphony_isolation.broker.addresses import named, plain, resource, special

CONNECT_TIMEOUT: Final = 15.0
"""Seconds until a connection stands, the look-up of the name included."""

CONNECTING_AT_ONCE: Final = 16
"""Connections of one extension that are being made at the same time; further ones wait."""

ADDRESSES: Final = 8
"""Addresses of a name that are tried."""

SocketAddress = tuple[int, tuple[str | int, ...]]
"""Family of an address, and the address as a socket takes it."""

Allow = Callable[[Access], Awaitable[None]]
"""Returns where an access is allowed, and raises `PermissionDenied` where not."""

Resolve = Callable[[str, int], Awaitable[list[SocketAddress]]]
"""Gives the addresses of a name; raises `OSError`."""


class NetworkAccess:
    """Makes the connections that an extension asks for.

    Args:
        extension: Id of the extension.
        permissions: What it declared.
        allow: Says whether a single access is allowed.
        resolve: Looks a name up.
    """

    def __init__(self, extension: str, permissions: PermissionSet, allow: Allow, resolve: Resolve) -> None:
        self._extension = extension
        self._permissions = permissions
        self._allow = allow
        self._resolve = resolve
        self._room = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def connect(self, host: str, port: int, timeout: float | None = None) -> tuple[socket.socket, str]:
        """A connected socket that blocks, and the address of its peer; its owner closes it.

        Args:
            host: A name or an address; it was checked.
            port: The port.
            timeout: Seconds; at most `CONNECT_TIMEOUT`.

        Raises:
            PermissionDenied: SYM-P034, the name leads to where no permission does.
            AccessFailed: SYM-P035, the server cannot be reached.
        """
        host = host.lower().strip("[]").removesuffix(".")
        limit = timeout if timeout is not None and 0 < timeout < CONNECT_TIMEOUT else CONNECT_TIMEOUT
        deadline = asyncio.get_running_loop().time() + limit
        try:
            async with asyncio.timeout_at(deadline), self._room:
                addresses = await self._addresses(host, port)
                return await _first(addresses, deadline)
        except TimeoutError:
            late = TimeoutError(errno.ETIMEDOUT, f"no connection stood within {limit:g} s")
            raise _unreachable(host, port, late) from None
        except OSError as error:
            raise _unreachable(host, port, error) from error

    async def _addresses(self, host: str, port: int) -> list[SocketAddress]:
        found = await self._resolve(host, port)
        for _, address in found:
            await self._check_address(host, str(address[0]), port)
        return found[:ADDRESSES]

    async def _check_address(self, host: str, text: str, port: int) -> None:
        address = plain(text)
        found = special(address)
        if found is None:
            return
        block, what = found
        if not named(self._permissions, host, address, port, block):
            raise PermissionDenied(
                f"{self._extension} may not connect to {host!r}: it leads to {address}, which is {what}",
                code="SYM-P034",
                hint=f"Declare the address itself, `{resource(address, port)}`, if the extension is to reach it.",
                details={"extension": self._extension, "host": host, "port": port, "address": str(address)},
            )
        if host != "localhost":
            await self._allow(Access("network", "read", resource(address, port)))


async def _first(addresses: list[SocketAddress], deadline: float) -> tuple[socket.socket, str]:
    """Connect to the first address that answers; each gets its share of the time that is left."""
    loop = asyncio.get_running_loop()
    failed: OSError = OSError("it has no address")
    for tried, (family, address) in enumerate(addresses):
        share = (deadline - loop.time()) / (len(addresses) - tried)
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(share):
                await loop.sock_connect(connection, address)
        except OSError as error:
            failed = error
            connection.close()
        except BaseException:
            connection.close()
            raise
        else:
            connection.setblocking(True)
            return connection, str(address[0])
    raise failed


def _unreachable(host: str, port: int, error: OSError) -> AccessFailed:
    return AccessFailed(
        f"{host} cannot be reached on port {port}: {error.strerror or error}",
        code="SYM-P035",
        hint="The permission is there; the server, the network or the name is not.",
        details={
            "host": host,
            "port": port,
            "errno": error.errno or 0,
            "lookup": isinstance(error, socket.gaierror),
        },
    )

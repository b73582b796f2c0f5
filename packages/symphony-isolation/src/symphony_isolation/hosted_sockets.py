"""Lets libraries that know nothing of Symphony connect: the host does it for them.

Names are not looked up in the worker, and a TCP socket is none until it is connected: then it becomes the one that the
host has connected, after the checks that `ctx.connect` goes through. This is a convenience and no wall: the sandbox
lets nobody reach a network, whatever an extension does with this. Code that is not Python's has the proxy.
"""

import errno
import os
import socket
from contextlib import suppress
from typing import Any, Final

from symphony_sdk.errors import PermissionDenied, SymphonyError
from symphony_sdk.extension import Network

_KIND: Final = 0xF  # of the type of a socket; the rest are flags
_NONBLOCK: Final = getattr(socket, "SOCK_NONBLOCK", 0)  # not on macOS
_WISHES: Final = (socket.IPPROTO_IP, socket.IPPROTO_TCP, socket.IPPROTO_IPV6)


def host_sockets(network: Network, proxy: int = 0) -> None:
    """Have the module `socket` connect through the host; nothing that uses it may be imported yet.

    Args:
        network: The network through the host.
        proxy: Port of loopback where this process reaches a proxy by itself; 0 where there is none.
    """
    plain, look_up = socket.socket, socket.getaddrinfo

    class HostedSocket(socket.socket):
        """A socket; one for TCP is one end of a pair that nobody has the other end of, until it is connected."""

        def __init__(
            self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
        ) -> None:
            self._until_connected: list[tuple[Any, ...]] | None = None  # options that were set
            if fileno is not None or not _is_tcp(family, type):
                super().__init__(family, type, proto, fileno)
                return
            ours, theirs = socket.socketpair()
            theirs.close()
            family = socket.AF_INET if family == -1 else family
            super().__init__(family, socket.SOCK_STREAM, max(proto, 0), ours.detach())
            self._until_connected = []
            if type != -1 and type & _NONBLOCK:
                self.setblocking(False)

        def connect(self, address: Any) -> None:
            if self._until_connected is None:
                super().connect(address)
                return
            limit = self.gettimeout() or None
            if proxy and address[:2] == ("127.0.0.1", proxy):
                connected = plain(socket.AF_INET, socket.SOCK_STREAM)
                connected.settimeout(limit)
                connected.connect(address)
            else:
                connected = _connected(network, address, limit)
            with connected:
                os.dup2(connected.fileno(), self.fileno(), inheritable=False)
            options, self._until_connected = self._until_connected, None
            self.settimeout(self.gettimeout())
            for option in options:
                self.setsockopt(*option)

        def connect_ex(self, address: Any) -> int:
            try:
                self.connect(address)
            except OSError as error:
                return error.errno or errno.EHOSTUNREACH
            return 0

        def setsockopt(self, *option: Any) -> None:
            if self._until_connected is not None:
                self._until_connected.append(option)
                return
            try:
                super().setsockopt(*option)
            except OSError:
                if option[0] not in _WISHES:  # the host may hand over no TCP of its own, but a way to it
                    raise

    def getaddrinfo(
        host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        """A name as its own address, which `connect` takes; numbers as ever."""
        if not isinstance(host, str) or _is_number(host) or not _is_tcp(family or -1, type or -1):
            return look_up(host, port, family, type, proto, flags)
        number = int(port) if str(port).isdigit() else socket.getservbyname(port)
        found = socket.AddressFamily(family or socket.AF_INET)
        address = (host, number) if found == socket.AF_INET else (host, number, 0, 0)
        return [(found, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]

    socket.socket = HostedSocket  # type: ignore[misc]
    socket.getaddrinfo = getaddrinfo


def _is_tcp(family: int, type: int) -> bool:
    return family in (-1, socket.AF_INET, socket.AF_INET6) and (
        type == -1 or type & _KIND == socket.SOCK_STREAM
    )


def _is_number(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False


def _connected(network: Network, address: Any, timeout: float | None) -> socket.socket:
    try:
        return network.connect(address[0], address[1], timeout)
    except PermissionDenied as error:  # libraries know how to go on after an `OSError`
        raise PermissionError(errno.EACCES, error.message) from error
    except SymphonyError as error:
        raise OSError(errno.EHOSTUNREACH, error.message) from error

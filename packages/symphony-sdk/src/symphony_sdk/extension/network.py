"""Connections as an extension gets them."""

from typing import TYPE_CHECKING, Protocol

from symphony_sdk.permissions import Access, PermissionSet

if TYPE_CHECKING:
    import socket


class Network(Protocol):
    """Connects to servers."""

    def connect(self, host: str, port: int, timeout: float | None = None) -> "socket.socket":
        """A connected TCP socket.

        Args:
            host: A name or an address.
            port: The port.
            timeout: Seconds until the connection stands, and then of each wait on it; None for the host's bound,
                and none on the connection.

        Raises:
            PermissionDenied: The manifest does not declare it, or the user does not allow it.
            OSError: The server cannot be reached.
        """


class OwnNetwork:
    """The network of this process, where nothing lies between: in tests, and for extensions that run in the host.

    Args:
        permissions: What the manifest declares.
    """

    def __init__(self, permissions: PermissionSet) -> None:
        self._permissions = permissions

    def connect(self, host: str, port: int, timeout: float | None = None) -> "socket.socket":
        """A connected socket; see [Network.connect][symphony_sdk.extension.network.Network.connect]."""
        import socket  # imported where the network is used, not by every program that reads a manifest

        there = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._permissions.check(Access("network", "read", there))
        return socket.create_connection((host, port), timeout)

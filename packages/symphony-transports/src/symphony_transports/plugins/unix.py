"""Registers the transport over Unix sockets."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from symphony_sdk import Services, Transport, provides_transports

if TYPE_CHECKING:
    from symphony_transports.unix import UnixTransport


@provides_transports
def symphony_transports() -> Iterable[Transport]:
    """Connections at a path."""
    yield Transport("unix", create_transport)


def create_transport(services: Services) -> "UnixTransport":
    """Make the transport.

    Args:
        services: What the host gives to the parts that it creates.

    Raises:
        TransportError: This is Windows (`SYM-T030`).
    """
    from symphony_transports.systems import not_here
    from symphony_transports.unix import UnixTransport

    if sys.platform == "win32":
        raise not_here("Unix sockets", "npipe")

    return UnixTransport("host")

"""Registers the transport over standard input and output."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from symphony_sdk import Services, Transport, provides_transports

if TYPE_CHECKING:
    from symphony_transports.stdio import StdioTransport


@provides_transports
def symphony_transports() -> Iterable[Transport]:
    """Connections to programs."""
    yield Transport("stdio", create_transport)


def create_transport(services: Services) -> "StdioTransport":
    """Make the transport.

    Args:
        services: What the host gives to the parts that it creates.

    Raises:
        TransportError: This is Windows (`SYM-T030`).
    """
    from symphony_transports.stdio import StdioTransport
    from symphony_transports.systems import not_here

    if sys.platform == "win32":
        raise not_here("pipes", "npipe")

    return StdioTransport("host")

"""Registers the transport over named pipes; on other systems than Windows it says so when it is asked for."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from symphony_sdk import Services, Transport, provides_transports

if TYPE_CHECKING:
    from symphony_transports.named_pipe import NamedPipeTransport


@provides_transports
def symphony_transports() -> Iterable[Transport]:
    """Connections over Windows named pipes."""
    yield Transport("npipe", create_transport)


def create_transport(services: Services) -> "NamedPipeTransport":
    """Make the transport.

    Args:
        services: What the host gives to the parts that it creates.

    Raises:
        TransportError: This is not Windows (`SYM-T030`).
    """
    from symphony_transports.named_pipe import NamedPipeTransport
    from symphony_transports.systems import not_here

    if sys.platform != "win32":
        raise not_here("named pipes", "unix")
    return NamedPipeTransport("host")

"""Registers the transport through shared memory."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from symphony_sdk import Services, Transport, provides_transports

if TYPE_CHECKING:
    from symphony_transports.shared_memory import SharedMemoryTransport


@provides_transports
def symphony_transports() -> Iterable[Transport]:
    """Connections through shared memory."""
    yield Transport("shm", create_transport)


def create_transport(services: Services) -> "SharedMemoryTransport":
    """Make the transport.

    Args:
        services: What the host gives to the parts that it creates.

    Raises:
        TransportError: This is not Linux (`SYM-T030`).
    """
    from symphony_transports.shared_memory import SharedMemoryTransport

    return SharedMemoryTransport("host")

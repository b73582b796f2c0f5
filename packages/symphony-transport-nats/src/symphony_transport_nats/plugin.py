"""Registers NATS as a bus that the host's own can join; the client is imported when it is joined."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from symphony_sdk import BusUplink, Services, provides_bus_uplinks

if TYPE_CHECKING:
    from symphony_transport_nats.uplink import NatsUplink


@provides_bus_uplinks
def symphony_bus_uplinks() -> Iterable[BusUplink]:
    """The bus between machines."""
    yield BusUplink("nats", connect_to_nats)


async def connect_to_nats(services: Services) -> "NatsUplink":
    """Connect to the server of the extension's settings.

    Args:
        services: What the host gives to the parts that it creates.

    Raises:
        ConfigurationError: The settings cannot be used.
        TransportError: No server answers (`SYM-T056`), or it refuses the credentials (`SYM-T057`).
    """
    from symphony_transport_nats.settings import NatsSettings
    from symphony_transport_nats.uplink import connect

    return await connect(NatsSettings.of(services.config), "symphony")

"""The bus of Symphony between machines: the uplink of a node that is a NATS server.

The names below are imported when they are first used: the host reads the extension's hooks without the NATS
client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_transport_nats.settings import NatsSettings
    from symphony_transport_nats.uplink import NatsCounters, NatsUplink, connect

__all__ = ["NatsCounters", "NatsSettings", "NatsUplink", "connect"]

_MODULES = {"NatsCounters": "uplink", "NatsSettings": "settings", "NatsUplink": "uplink", "connect": "uplink"}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)

"""How processes of one machine reach each other: each transport is an extension of its own.

The names below are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_transports.named_pipe import NamedPipeTransport
    from symphony_transports.shared_memory import SharedMemoryTransport
    from symphony_transports.stdio import StdioTransport
    from symphony_transports.unix import UnixTransport

__all__ = ["NamedPipeTransport", "SharedMemoryTransport", "StdioTransport", "UnixTransport"]

_MODULES = {
    "NamedPipeTransport": "named_pipe",
    "SharedMemoryTransport": "shared_memory",
    "StdioTransport": "stdio",
    "UnixTransport": "unix",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)

"""How Symphony's processes talk: envelope, framing and connections.

The names below are imported when they are first used: a worker process that talks through
`BlockingConnection` never imports asyncio.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_ipc.blocking import BlockingConnection
    from symphony_ipc.connection import Connection
    from symphony_ipc.envelope import TRACEPARENT, Envelope, Kind
    from symphony_ipc.handshake import Endpoint, Session
    from symphony_ipc.incoming import IncomingCall, RequestHandler
    from symphony_ipc.sockets import from_socket

__all__ = [
    "TRACEPARENT",
    "BlockingConnection",
    "Connection",
    "Endpoint",
    "Envelope",
    "IncomingCall",
    "Kind",
    "RequestHandler",
    "Session",
    "from_socket",
]

_MODULES = {
    "TRACEPARENT": "envelope",
    "BlockingConnection": "blocking",
    "Connection": "connection",
    "Endpoint": "handshake",
    "Envelope": "envelope",
    "IncomingCall": "incoming",
    "Kind": "envelope",
    "RequestHandler": "incoming",
    "Session": "handshake",
    "from_socket": "sockets",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)

"""How Symphony's processes talk: envelope, framing and connections.

The names below are imported when they are first used: a worker process that talks through
`BlockingConnection` never imports asyncio.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symphony_ipc.answered import AnsweredRequests
    from symphony_ipc.blocking import BlockingConnection
    from symphony_ipc.connection import Connection
    from symphony_ipc.counters import Counters
    from symphony_ipc.envelope import IDEMPOTENCY_KEY, TRACEPARENT, Envelope, Kind
    from symphony_ipc.handshake import Endpoint, Session
    from symphony_ipc.incoming import IncomingCall, RequestHandler
    from symphony_ipc.router import Answered, Forwarded, Router
    from symphony_ipc.running import run
    from symphony_ipc.sockets import from_socket

__all__ = [
    "IDEMPOTENCY_KEY",
    "TRACEPARENT",
    "Answered",
    "AnsweredRequests",
    "BlockingConnection",
    "Connection",
    "Counters",
    "Endpoint",
    "Envelope",
    "Forwarded",
    "IncomingCall",
    "Kind",
    "RequestHandler",
    "Router",
    "Session",
    "from_socket",
    "run",
]

_MODULES = {
    "AnsweredRequests": "answered",
    "BlockingConnection": "blocking",
    "Connection": "connection",
    "Counters": "counters",
    "Envelope": "envelope",
    "IDEMPOTENCY_KEY": "envelope",
    "Kind": "envelope",
    "TRACEPARENT": "envelope",
    "Endpoint": "handshake",
    "Session": "handshake",
    "IncomingCall": "incoming",
    "RequestHandler": "incoming",
    "Answered": "router",
    "Forwarded": "router",
    "Router": "router",
    "run": "running",
    "from_socket": "sockets",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)

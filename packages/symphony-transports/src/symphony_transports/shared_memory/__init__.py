"""Connections between processes of one machine through shared memory, for large messages and short round trips.

Linux only. `SharedMemoryTransport` is the adapter of `TransportPort`; `offer` and `receive` make a channel over
any connected Unix socket, and `RingTransport` and `RingSocket` are its two forms: on an event loop, and blocking.
"""

from symphony_transports.shared_memory.channel import Channel, offer, receive
from symphony_transports.shared_memory.ring_socket import RingSocket
from symphony_transports.shared_memory.ring_transport import RingTransport
from symphony_transports.shared_memory.transport import SharedMemoryTransport

__all__ = ["Channel", "RingSocket", "RingTransport", "SharedMemoryTransport", "offer", "receive"]

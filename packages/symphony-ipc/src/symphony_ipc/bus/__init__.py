"""The message bus: a tree of nodes, one in each process, that tell and ask each other."""

from symphony_ipc.bus.metrics import BusMetrics, NeighbourMetrics
from symphony_ipc.bus.node import Bus
from symphony_ipc.bus.topics import matches
from symphony_ipc.bus.uplink import Receiver, Uplink

__all__ = [
    "Bus",
    "BusMetrics",
    "NeighbourMetrics",
    "Receiver",
    "Uplink",
    "matches",
]

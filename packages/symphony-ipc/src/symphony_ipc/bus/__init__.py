"""The message bus: a tree of nodes, one in each process, that tell and ask each other."""

from symphony_ipc.bus.uplink import Forwarded, Receiver, Uplink

__all__ = ["Forwarded", "Receiver", "Uplink"]

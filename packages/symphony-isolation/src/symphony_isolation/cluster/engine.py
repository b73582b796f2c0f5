"""What an engine has to do so that nodes run on its machines: start them, and move bytes between them and the host."""

import os
from pathlib import Path
from typing import Protocol

import msgspec
from symphony_sdk.ports import Resources


class Capacity(msgspec.Struct, frozen=True):
    """What a machine has for calls.

    Args:
        cores: Cores that may be kept busy.
        memory: Bytes; 0 where that is not known, which fits any call.
        gpus: Devices.
        custom: Amounts of anything else, by the name that nodes use in their `resources`.
    """

    cores: float = 1.0
    memory: int = 0
    gpus: float = 0.0
    custom: dict[str, float] = {}

    @classmethod
    def of_this_machine(cls) -> "Capacity":
        """What the machine has that this process runs on."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return cls(float(os.cpu_count() or 1), memory, len(list(Path("/dev").glob("nvidia[0-9]*"))))

    def holds(self, resources: Resources) -> bool:
        """Whether a call with these needs fits, where nothing else runs.

        Args:
            resources: What the call needs.
        """
        return (
            resources.cpu <= self.cores
            and (not self.memory or resources.memory <= self.memory)
            and resources.gpu <= self.gpus
            and all(amount <= self.custom.get(name, 0.0) for name, amount in resources.custom.items())
        )


class ClusterListener(Protocol):
    """Who is told what happens in a cluster. Its methods are called on the event loop that started the cluster.

    A machine's name is told by `joined` before anything else of it, and is never used for another one: a machine that
    comes back, or a process that takes the place of a killed one, has a new name.
    """

    def joined(self, machine: str) -> None:
        """A machine can be sent to from now on.

        Args:
            machine: Its name, for people too.
        """

    def heard(self, machine: str, data: bytes) -> None:
        """A machine sent something; messages of one machine come whole, once, and in their order.

        Args:
            machine: Its name.
            data: What its [Machine][symphony_isolation.cluster.machine.Machine] gave to `send`.
        """

    def lost(self, machine: str, reason: str) -> None:
        """A machine is gone, and with it whatever ran there; nothing of it is told any more.

        Args:
            machine: Its name.
            reason: Why, in words; what stands behind `was lost: `.
        """


class Cluster(Protocol):
    """The machines of an engine. All methods are called on one event loop.

    On each machine, in a process of the engine, the adapter keeps one
    [Machine][symphony_isolation.cluster.machine.Machine]: made with the bytes that `start` was given, stopped when the
    connection to the host ends. The engine's own queueing, retries and graphs are not used.
    """

    @property
    def name(self) -> str:
        """What `--executor` names."""

    async def start(self, setup: bytes, listener: ClusterListener) -> None:
        """Reach the cluster, or start one, and have a `Machine` made on every machine there is and that comes later.

        Returns when that was arranged; `listener` is told of each machine as it comes.

        Args:
            setup: What each `Machine` is made with.
            listener: Is told what happens.

        Raises:
            RunError: SYM-R120, the engine's library is not installed; SYM-R121, the cluster cannot be reached or started.
        """

    def send(self, machine: str, data: bytes) -> None:
        """Send to a machine, without waiting; nothing where it is gone, which `lost` tells.

        Messages arrive whole, once, and in their order.

        Args:
            machine: Its name.
            data: Goes to `Machine.receive`.
        """

    async def stop(self) -> None:
        """End every `Machine`, and the cluster too where `start` started it; nothing where it did not start."""

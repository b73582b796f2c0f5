"""What runs on each machine of a Ray cluster: an actor that keeps a machine, takes messages and gives them.

It is imported by Ray's processes on other computers, by name: symphony-engine-ray has to be installed there.
"""

import os
import queue
import tempfile
from pathlib import Path

import ray
from symphony_isolation.cluster import Capacity, Machine


@ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"to": 1, "from": 1, "end": 1})
class MachineActor:
    """A machine, for as long as its host lives; a group of calls runs in order, and the groups beside each other.

    Args:
        name: Its name, for people.
        setup: What the machine is made with.
        capacity: What it has for calls.
    """

    def __init__(self, name: str, setup: bytes, capacity: Capacity) -> None:
        self._said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._directory = tempfile.TemporaryDirectory(prefix="symphony-ray-machine-")
        self._machine = Machine(
            name, setup, self._said.put, directory=Path(self._directory.name), capacity=capacity
        )
        self._machine.start()

    @ray.method(concurrency_group="to")  # type: ignore[untyped-decorator]
    def receive(self, messages: list[bytes]) -> None:
        """Take messages of the host.

        Args:
            messages: In their order.
        """
        for message in messages:
            self._machine.receive(message)

    @ray.method(concurrency_group="from")  # type: ignore[untyped-decorator]
    def said(self) -> list[bytes]:
        """What the machine has said since this was last asked, in its order; waits until there is something."""
        messages = [self._said.get()]
        while not self._said.empty():
            messages.append(self._said.get())
        return messages

    @ray.method(concurrency_group="end")  # type: ignore[untyped-decorator]
    def pid(self) -> int:
        """The process id of the actor; answered once the machine was made."""
        return os.getpid()

    @ray.method(concurrency_group="end")  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """End the machine and its workers."""
        self._machine.stop()
        self._directory.cleanup()

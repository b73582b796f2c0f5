"""What runs in a Dask worker: a machine for each host that connects, and the plugin that makes workers able to.

It is imported by workers on other computers, by name: symphony-engine-dask has to be installed there.
"""

import asyncio
import itertools
from pathlib import Path
from typing import Final

from distributed import Worker, WorkerPlugin
from distributed.comm import Comm
from distributed.core import Status
from symphony_isolation.cluster import Capacity, Machine

from symphony_engine_dask.stream import Stream

OPERATION: Final = "symphony_machine"
"""What a host asks a worker for, with the setup of its machine."""

_numbers = itertools.count(1)


class MachinePlugin(WorkerPlugin):  # type: ignore[misc]
    """Lets a worker run machines, and tells the host of each worker that there is.

    Args:
        topic: Where the host listens for the addresses of workers.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def setup(self, worker: Worker) -> None:
        """Called by Dask in every worker, and in those that come later.

        Args:
            worker: The worker.
        """

        async def machine(comm: Comm, setup: bytes) -> Status:
            return await run_machine(worker, comm, setup)

        worker.handlers[OPERATION] = machine
        worker.log_event(self._topic, worker.address)


async def run_machine(worker: Worker, comm: Comm, setup: bytes) -> Status:
    """Run a machine for as long as its host is connected.

    Args:
        worker: The worker.
        comm: The connection to the host.
        setup: What the machine is made with.
    """
    loop = asyncio.get_running_loop()
    stream = Stream(comm)
    machine = Machine(
        worker.address,
        bytes(setup),
        lambda data: loop.call_soon_threadsafe(stream.send, data),
        directory=Path(worker.local_directory) / f"symphony-{next(_numbers)}",
        capacity=capacity_of(worker),
    )
    machine.start()
    try:
        await stream.receive(machine.receive)
    finally:
        await asyncio.to_thread(machine.stop)
        await stream.close()
    return Status.dont_reply


def capacity_of(worker: Worker) -> Capacity:
    """What a worker has for calls, as its Dask says: threads are cores, and its resource `GPU` devices.

    Args:
        worker: The worker.
    """
    custom = {name: float(amount) for name, amount in worker.state.total_resources.items()}
    gpus = custom.pop("GPU", 0.0)
    return Capacity(float(worker.state.nthreads), worker.memory_manager.memory_limit or 0, gpus, custom)

"""A cluster of plain processes on this machine, whose engine is two pipes each."""

import asyncio
import itertools
import struct
import sys
from contextlib import suppress
from pathlib import Path

PROGRAM = Path(__file__).with_name("pipe_machine.py")
LENGTH = struct.Struct("<I")


class PipeCluster:
    """Adapter of `Cluster`.

    Args:
        root: Where each machine gets a directory.
        machines: How many to start.
        cores: Cores of each.
        labels: What else each has, as `name=amount`.
        replace: Whether a lost machine is replaced.
    """

    name = "pipes"

    def __init__(
        self, root: Path, machines: int = 2, *, cores: int = 1, labels: tuple[str, ...] = (), replace=True
    ):
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.sent = dict[str, int]()
        self._root = root
        self._machines = machines
        self._arguments = (str(cores), *labels)
        self._replace = replace
        self._numbers = itertools.count(1)
        self._readers = set[asyncio.Task]()
        self._stopping = False

    async def start(self, setup, listener) -> None:
        self._setup, self._listener = setup, listener
        for _ in range(self._machines):
            await self.add()

    async def add(self) -> str:
        name = f"machine-{next(self._numbers)}"
        command = (sys.executable, str(PROGRAM), name, str(self._root / name), *self._arguments)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        self.processes[name] = process
        self._listener.joined(name)
        self.send(name, self._setup)
        reader = asyncio.create_task(self._read(name, process))
        self._readers.add(reader)
        return name

    def send(self, machine, data) -> None:
        process = self.processes.get(machine)
        if process is not None:
            self.sent[machine] = self.sent.get(machine, 0) + len(data)
            process.stdin.write(LENGTH.pack(len(data)) + data)

    async def _read(self, name, process) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                (size,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
                self._listener.heard(name, await process.stdout.readexactly(size))
        del self.processes[name]
        process.stdin.close()
        code = await process.wait()
        if not self._stopping:
            self._listener.lost(name, f"its process ended with {code}")
            if self._replace:
                await self.add()

    async def stop(self) -> None:
        self._stopping = True
        while True:  # one that takes the place of a lost one may be on its way
            for process in self.processes.values():
                process.stdin.close()
            await asyncio.gather(*self._readers)
            if not self.processes:
                return

"""Starts the processes of workers: warm, forked from the zygote, where that can be; cold, executed, otherwise."""

import asyncio
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from symphony_sdk.errors import ExtensionError

from symphony_isolation.environment import clean_environment, host_environment
from symphony_isolation.interpreter import interpreter_of, own_interpreter
from symphony_isolation.sandbox import SandboxPolicy, seatbelt
from symphony_isolation.spec import WorkerSpec
from symphony_isolation.way import way_of
from symphony_isolation.worker_log import LogSink
from symphony_isolation.zygote.client import Zygote

ZYGOTES: Final = 3
"""Zygotes within `ZYGOTES_WINDOW` after which, if the last of them has ended too, workers are started cold."""

ZYGOTES_WINDOW: Final = 60.0
"""Seconds."""


class Child(Protocol):
    """A process that was just started, in whichever way."""

    @property
    def pid(self) -> int:
        """Its process id; no other process has it until it is reaped."""

    @property
    def parent(self) -> int:
        """Process id of its parent: it is to die with it."""

    @property
    def contained(self) -> bool:
        """Whether it is the keeper of the worker, which it forks within namespaces of its own."""

    async def reap(self) -> int | None:
        """How it ended, once it has: exit code or minus the signal; None where only its parent knew, who died."""


class Launcher:
    """Starts processes, all of them from the thread of one event loop: the kernel kills them with this thread.

    Args:
        sink: Told, for the extension that is being started, when the zygote cannot be had.
    """

    def __init__(self, sink: LogSink) -> None:
        self._sink = sink
        self._zygote: asyncio.Task[Zygote] | None = None
        self._started: deque[float] = deque(maxlen=ZYGOTES)

    async def launch(self, spec: WorkerSpec, policy: SandboxPolicy, descriptors: Sequence[int]) -> Child:
        """Start the process of a worker; must be seen through.

        Args:
            spec: Its extension.
            policy: What it is to be confined to; on macOS from its first instruction, elsewhere by itself.
            descriptors: Its stdout, its stderr, and what its bootstrap needs; remain the caller's to close.

        Raises:
            OSError: It cannot be started.
            ExtensionError: SYM-E044, Symphony starts none on this platform.
            PermissionDenied: SYM-P023, macOS cannot be told a path that was granted.
        """
        if way_of(spec.python).kind == "warm":
            try:
                zygote = await self._ready()
                contained = policy.tier == "full"
                pid = await zygote.fork(
                    spec.data_dir, clean_environment(spec), descriptors, contained=contained
                )
            except ConnectionError as error:
                self._sink(spec.id, "warning", f"its worker is started without the zygote: {error}")
            else:
                return _Forked(pid, zygote, contained=contained)
        return _Executed(_execute(spec, policy, descriptors))

    async def close(self) -> None:
        """End the zygote; the workers have ended before."""
        if self._zygote is not None:
            task, self._zygote = self._zygote, None
            await asyncio.wait((task,))
            if task.exception() is None:
                task.result().close()

    async def _ready(self) -> Zygote:
        task = self._zygote
        if task is not None and task.done() and (task.exception() is not None or not task.result().alive):
            task = None
        if task is None:
            now = time.monotonic()
            if len(self._started) == ZYGOTES and now - self._started[0] < ZYGOTES_WINDOW:
                raise ConnectionRefusedError(
                    f"it came to its end {ZYGOTES} times within {ZYGOTES_WINDOW:g} s"
                )
            self._started.append(now)
            task = self._zygote = asyncio.get_running_loop().create_task(_start_zygote())
        return await asyncio.shield(task)


class _Forked:
    """A child of the zygote."""

    def __init__(self, pid: int, zygote: Zygote, *, contained: bool) -> None:
        self.pid = pid
        self.parent = zygote.pid
        self.contained = contained
        self._zygote = zygote

    async def reap(self) -> int | None:
        return await self._zygote.reap(self.pid)


class _Executed:
    """A child of the host."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self.parent = os.getpid()
        self.contained = False
        self._process = process

    async def reap(self) -> int | None:
        return self._process.wait()


async def _start_zygote() -> Zygote:
    try:
        return await Zygote.start(own_interpreter(), host_environment())
    except ConnectionError:
        raise
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _execute(spec: WorkerSpec, policy: SandboxPolicy, descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
    if sys.platform == "win32":
        raise ExtensionError(
            f"no worker can be started for {spec.id!r}: on Windows sockets are not handed to a process so far",
            code="SYM-E044",
            hint="Run Symphony in the Windows Subsystem for Linux, where extensions are confined, too.",
            details={"extension": spec.id},
        )
    stdout, stderr, *inherited = descriptors
    interpreter = None if spec.python == sys.executable else interpreter_of(spec.python)
    if interpreter is None or interpreter.needs_code:
        command = [spec.python, "-I", "-m", "symphony_isolation.bootstrap", *map(str, inherited)]
    else:
        command = interpreter.command("symphony_isolation.bootstrap", *inherited)
    if policy.tier == "unverified" and sys.platform == "darwin":
        command = seatbelt.command(policy, command)
    return subprocess.Popen(  # noqa: S603 - the interpreter is the user's choice, the other words are fixed
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=inherited,
        cwd=spec.data_dir,
        env=clean_environment(spec),
        umask=0o077,
        start_new_session=True,
    )

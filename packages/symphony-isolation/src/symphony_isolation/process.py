"""One child process: started clean, watched by its pidfd, and never left behind, nor its children.

The child is the leader of a session and so of a process group. The group is killed while the child is dead
and not yet reaped: until then no other process can have its number.
"""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from symphony_sdk.errors import ExtensionError

from symphony_isolation.plan import Plan, send_plan
from symphony_isolation.spec import WorkerSpec
from symphony_isolation.worker_log import PrintedLines, WorkerLog

OUTPUT_GRACE: Final = 0.5
"""Seconds to wait, after the end of a process, for the last of what it printed."""

_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR")


class WorkerProcess:
    """A child process that executes `symphony_isolation.bootstrap`.

    Args:
        process: The child, just started.
        token: The secret that it will show.
        log: Takes what it prints.

    Attributes:
        pid: Its process id.
        token: The secret that it will show.
        exited: Set when it has ended.
        returncode: Its exit code, or minus the signal that ended it; meaningful once `exited` is set.
    """

    def __init__(self, process: subprocess.Popen[bytes], token: bytes, log: WorkerLog) -> None:
        self.pid = process.pid
        self.token = token
        self.exited = asyncio.Event()
        self.returncode = 0
        self._process = process
        self._stdout = PrintedLines("stdout", log)
        self._stderr = PrintedLines("stderr", log)
        self._watch()

    @classmethod
    async def spawn(cls, spec: WorkerSpec, log: WorkerLog) -> tuple["WorkerProcess", socket.socket]:
        """Start the worker of an extension, and give the host's end of its socket.

        It is started from the thread of the event loop: the kernel kills the worker with this thread, not
        with this process.

        Args:
            spec: The extension.
            log: Takes what the worker prints.

        Raises:
            ExtensionError: It cannot be started.
        """
        ours, theirs = socket.socketpair()
        token = secrets.token_bytes(16)
        try:
            with theirs:
                child = _execute(spec, theirs.fileno())
        except OSError as error:
            ours.close()
            raise ExtensionError(
                f"no worker can be started for {spec.id!r}: {error}",
                code="SYM-E030",
                hint=f"{spec.python} must be an executable Python, and {spec.data_dir} a writable directory.",
            ) from error
        process = cls(child, token, log)
        try:
            await process._capture(child)
            with suppress(BrokenPipeError):  # it died already; whoever shakes hands finds out
                send_plan(ours, _plan(spec, token))
        except BaseException:
            process.signal(signal.SIGKILL)
            ours.close()
            raise
        ours.setblocking(False)
        return process, ours

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and to those that it started; nothing where it has ended.

        Args:
            number: The signal.
        """
        if not self.exited.is_set():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end and for the last of what it printed; whether it ended in time.

        Args:
            timeout: Seconds; None for no bound.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.exited.wait()
        except TimeoutError:
            return False
        try:
            async with asyncio.timeout(OUTPUT_GRACE):
                for stream in (self._stdout, self._stderr):
                    await stream.ended.wait()
        except TimeoutError:  # a process that left the group holds the other end
            for stream in (self._stdout, self._stderr):
                stream.close()
        return True

    async def _capture(self, child: subprocess.Popen[bytes]) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: self._stdout, child.stdout)
        await loop.connect_read_pipe(lambda: self._stderr, child.stderr)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        if hasattr(os, "pidfd_open"):
            descriptor = os.pidfd_open(self.pid)
            loop.add_reader(descriptor, self._reap, descriptor)
        else:
            threading.Thread(target=self._watch_blocking, args=(loop,), daemon=True).start()

    def _watch_blocking(self, loop: asyncio.AbstractEventLoop) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(self._reap, None)

    def _reap(self, descriptor: int | None) -> None:
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
        self.signal(signal.SIGKILL)
        self.returncode = self._process.wait()
        self.exited.set()


def clean_environment(spec: WorkerSpec) -> dict[str, str]:
    """The few variables of the host that a worker gets.

    Args:
        spec: The extension; its `tmp` root, where it has one, becomes TMPDIR.
    """
    environment = {
        name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith("LC_")
    }
    if "tmp" in spec.roots:
        environment["TMPDIR"] = spec.roots["tmp"]
    return environment


def _execute(spec: WorkerSpec, descriptor: int) -> subprocess.Popen[bytes]:
    Path(spec.data_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    return subprocess.Popen(  # noqa: S603 - the interpreter is the user's choice, the other words are fixed
        [spec.python, "-I", "-m", "symphony_isolation.bootstrap", str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=(descriptor,),
        cwd=spec.data_dir,
        env=clean_environment(spec),
        umask=0o077,
        start_new_session=True,
    )


def _plan(spec: WorkerSpec, token: bytes) -> Plan:
    return Plan(
        extension=spec.id,
        host=os.getpid(),
        token=token,
        memory=spec.limits.memory,
        open_files=spec.limits.open_files,
        timeout=spec.limits.load_timeout,
        import_path=spec.import_path,
    )

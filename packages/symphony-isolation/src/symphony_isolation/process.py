"""One worker's process: started, watched by its pidfd, and never left behind, nor its children.

The process is the leader of a session and so of a process group. The group is killed while the process is dead
and not yet reaped: until then no other process can have its number.
"""

import asyncio
import os
import secrets
import select
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from symphony_sdk.errors import ExtensionError

from symphony_isolation.ending import see_through
from symphony_isolation.environment import granted_environment
from symphony_isolation.launcher import Child, Launcher
from symphony_isolation.permissions.compiling import compile_policy
from symphony_isolation.plan import Plan, send_plan
from symphony_isolation.sandbox import SandboxPolicy, Violation, choose
from symphony_isolation.sandbox.enclosure import Encloses, enclosure_of
from symphony_isolation.spec import WorkerSpec, connects
from symphony_isolation.worker_log import PrintedLines, WorkerLog

if TYPE_CHECKING:
    from symphony_isolation.sandbox.denials import OnDenied

OUTPUT_GRACE: Final = 0.5
"""Seconds to wait, after the end of a process, for the last of what it printed."""

if sys.platform == "linux":
    from symphony_isolation.sandbox.denials import Denials

    _denials: Final = Denials()


class WorkerProcess:
    """A process that executes `symphony_isolation.bootstrap`; `spawn` makes it.

    Args:
        log: Takes what it prints.
        enclosure: What holds it to its limits.

    Attributes:
        pid: Its process id; 0 before it is started.
        token: The secret that it will show.
        exited: Set when it has ended.
        returncode: Its exit code, or minus the signal that ended it; meaningful once `exited` is set.
        violation: Which limit ended it; None where none did, and until `exited` is set.
        orphaned: Whether it was killed because the process that it was forked from had ended.
    """

    def __init__(self, log: WorkerLog, enclosure: Encloses) -> None:
        self.pid = 0
        self.token = secrets.token_bytes(16)
        self.exited = asyncio.Event()
        self.returncode = 0
        self.violation: Violation | None = None
        self.orphaned = False
        self._child: Child
        self._enclosure = enclosure
        self._stdout = PrintedLines("stdout", log)
        self._stderr = PrintedLines("stderr", log)
        self._reaping: asyncio.Task[None] | None = None

    @classmethod
    async def spawn(
        cls,
        spec: WorkerSpec,
        log: WorkerLog,
        launcher: Launcher,
        on_denied: "OnDenied",
        *inherited: socket.socket,
    ) -> tuple["WorkerProcess", socket.socket]:
        """Start the worker of an extension, and give the host's end of its socket.

        Args:
            spec: The extension.
            log: Takes what the worker prints.
            launcher: Starts the process.
            on_denied: Told of the system calls that it is refused, in a thread.
            inherited: More sockets that the worker gets; closed here.

        Raises:
            ExtensionError: It cannot be started.
            PermissionDenied: SYM-P020, this machine offers no such sandbox; SYM-P022, none but an unverified one;
                SYM-P012, its environment is too large.
        """
        policy = spec.sandbox
        if not isinstance(policy, SandboxPolicy):
            policy = compile_policy(spec, choose(policy))
        environment = granted_environment(spec)
        process = cls(log, enclosure_of(policy, spec.id))
        ours, theirs = socket.socketpair()
        handed, handing = socket.socketpair()
        if sys.platform == "linux":
            _denials.watch(handed, spec.id, on_denied)
        else:
            handed.close()
        try:
            with ExitStack() as stack:
                ends = [stack.enter_context(one) for one in (theirs, *inherited, handing)]
                await see_through(process._start(spec, policy, launcher, [end.fileno() for end in ends]))
            with suppress(BrokenPipeError):  # it died already; whoever shakes hands finds out
                send_plan(ours, process._plan(spec, policy, environment))
        except BaseException as error:
            ours.close()
            await process.kill()
            if not isinstance(error, OSError):
                raise
            raise ExtensionError(
                f"no worker can be started for {spec.id!r}: {error}",
                code="SYM-E030",
                hint=f"{spec.python} must be an executable Python, and {spec.data_dir} a writable directory.",
            ) from error
        ours.setblocking(False)
        return process, ours

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and to those that it started; nothing where it has ended.

        Args:
            number: The signal.
        """
        if self.pid and not self.exited.is_set():
            if number == signal.SIGKILL:
                self._enclosure.kill()
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:  # it was forked just now and leads no group yet
                with suppress(ProcessLookupError):
                    os.kill(self.pid, number)
            except PermissionError:
                pass

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
                await stream.ended.wait()
        return True

    @property
    def flooded(self) -> float:
        """Seconds that it has printed more than is read; 0 where it does not."""
        return max(self._stdout.flooded, self._stderr.flooded)

    async def kill(self) -> None:
        """End it at once, and return when nothing is left of it, whoever is in a hurry."""
        if self.pid:
            self.signal(signal.SIGKILL)
            await see_through(self.wait())
        else:
            self._enclosure.close()

    async def _start(
        self, spec: WorkerSpec, policy: SandboxPolicy, launcher: Launcher, descriptors: Sequence[int]
    ) -> None:
        _make(spec.data_dir)
        with ExitStack() as unread, ExitStack() as written:
            (stdout, out), (stderr, err) = _pipe(unread, written), _pipe(unread, written)
            self._child = await launcher.launch(spec, policy, (out, err, *descriptors))
            written.close()
            try:
                self._watch(self._child.pid)
            except BaseException:
                os.kill(self._child.pid, signal.SIGKILL)
                await self._child.reap()
                raise
            try:
                self._enclosure.attach(self.pid, contained=self._child.contained)
            except BaseException:
                self._stdout.ended.set()
                self._stderr.ended.set()
                raise
            unread.pop_all()
            await asyncio.gather(_connect(self._stdout, stdout), _connect(self._stderr, stderr))

    def _watch(self, pid: int) -> None:
        loop = asyncio.get_running_loop()
        if hasattr(os, "pidfd_open"):
            descriptor = os.pidfd_open(pid)
            loop.add_reader(descriptor, self._ended, descriptor)
        else:
            threading.Thread(target=self._watch_blocking, args=(loop, pid), daemon=True).start()
        self.pid = pid

    def _watch_blocking(self, loop: asyncio.AbstractEventLoop, pid: int) -> None:
        _wait_unreaped(pid)
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(self._ended, None)

    def _ended(self, descriptor: int | None) -> None:
        loop = asyncio.get_running_loop()
        if descriptor is not None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self.violation = self._enclosure.violation()
        self.signal(signal.SIGKILL)
        self._reaping = loop.create_task(self._reap())

    async def _reap(self) -> None:
        code = await self._child.reap()
        self.orphaned = code is None
        self.returncode = -signal.SIGKILL if code is None else code
        self._enclosure.close()
        self.exited.set()

    def _plan(self, spec: WorkerSpec, policy: SandboxPolicy, environment: tuple[bytes, ...]) -> Plan:
        return Plan(
            extension=spec.id,
            parent=self._child.parent,
            token=self.token,
            timeout=spec.limits.load_timeout,
            import_path=spec.import_path,
            sandbox=policy,
            environment=environment,
            connects=connects(spec),
        )


def _wait_unreaped(pid: int) -> None:
    """Wait until a process has ended, and leave it to whoever reaps it."""
    if sys.platform == "darwin":
        ended = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        with closing(select.kqueue()) as queue, suppress(ProcessLookupError):  # it has ended already
            queue.control([ended], 1)
    elif sys.platform != "win32":
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _make(directory: str) -> None:
    Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)


def _pipe(unread: ExitStack, written: ExitStack) -> tuple[IO[bytes], int]:
    """A pipe: the end that is read, and the one that is written, each of which its stack closes."""
    read, write = os.pipe()
    written.callback(os.close, write)
    return unread.enter_context(os.fdopen(read, "rb", buffering=0)), write


async def _connect(lines: PrintedLines, pipe: IO[bytes]) -> None:
    try:
        await asyncio.get_running_loop().connect_read_pipe(lambda: lines, pipe)
    except BaseException:
        pipe.close()
        lines.ended.set()
        raise

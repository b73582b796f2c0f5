"""Watches workers where the kernel does not count for it: one thread for all, some hundred times a second.

Memory is looked at more often the less of it is left. Processor time is shared out by a token bucket: what a worker
used is taken out of it, and a worker that owes is stopped (SIGSTOP) until it is even.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

from symphony_isolation.sandbox.policy import Limits
from symphony_isolation.sandbox.processes import ProcessStat, children_of, descendants_of, parse_stat

TICK: Final = 0.01
"""Seconds between two looks at a worker that computes."""

SHORTEST: Final = 0.002
"""Seconds between two looks at a worker that has nearly used up its memory."""

LONGEST: Final = 0.05
"""Seconds between two looks at one that has plenty."""

BURST: Final = 0.1
"""Seconds for which a worker that was idle, or had to wait for others, may compute faster than its share."""

_INTERPRETER: Final = 32 << 20
"""Bytes that an interpreter has in RAM at most before it runs a line of the extension; most of it is shared."""

BLOCK: Final = 4096
"""Bytes that a file or a directory counts at least: also an empty one fills a disk, which has room for so many."""

_GROWTH: Final = 4e9  # bytes a second: faster than a process can touch memory
_PATIENCE: Final = 20  # times the processor time of a look pass before the next one
_SOONEST: Final = 0.1  # seconds between two looks at what costs more: the disk, and which processes there are


class Violation(NamedTuple):
    """Which limit a worker was ended for.

    Args:
        resource: Of what it used too much.
        text: In words, such as `used more than its 512 MiB of memory`.
    """

    resource: Literal["memory", "processes", "disk"]
    text: str


def out_of_memory(limits: Limits) -> Violation:
    """The violation of the limit of memory.

    Args:
        limits: The limits.
    """
    return Violation("memory", f"used more than its {size(limits.memory)} of memory")


class WatchedProcess:
    """One process, followed by descriptors, so that its number can be given to another one.

    Args:
        pid: Its id.

    Raises:
        OSError: It has ended.
    """

    __slots__ = ("_clock", "_pidfd", "_stat", "base", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError:
            os.close(self._stat)
            raise
        self._clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of another process, see clock_getcpuclockid(3)
        self.base = 0  # bytes that are not the extension's

    def look(self) -> ProcessStat:
        """What the kernel says of it."""
        return parse_stat(os.pread(self._stat, 1024, 0))

    def processor_time(self) -> float:
        """Seconds that all its threads have computed."""
        return time.clock_gettime(self._clock)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing where it has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def close(self) -> None:
        """Let it go."""
        os.close(self._stat)
        os.close(self._pidfd)


class Watched:
    """A worker with all that it starts.

    Args:
        pid: The process that the host has started.
        limits: What it is held to; 0 is not looked at.
        grows: Whether it may start processes.
        trees: Directories whose growth counts as its disk.
        helpers: How many of its processes are not the extension's.

    Attributes:
        violation: Why it was killed; None where it was not.
        due: When to look at it again.
    """

    def __init__(self, pid: int, limits: Limits, *, grows: bool, trees: Iterable[str], helpers: int) -> None:
        self.violation: Violation | None = None
        self.due = 0.0
        self._pid = pid
        self._limits = limits
        self._grows = grows
        self._trees = tuple(trees)
        self._helpers = helpers
        self._lock = threading.Lock()
        self._processes: dict[int, WatchedProcess] = {}
        self._keepers = {pid} if helpers else set()
        first = WatchedProcess(pid)
        self._processes[pid] = first
        first.base = first.look().memory
        self._tokens = BURST * limits.cpu
        self._used: dict[int, float] = {}
        self._filled = time.monotonic()
        self._stopped = False
        self._list_due = 0.0
        self._disk_due = 0.0
        self._disk_before: int | None = None

    def look(self, now: float) -> None:
        """See how it is, and do what is to be done.

        Args:
            now: `time.monotonic()`.
        """
        with self._lock:
            if now >= self._list_due and (self._helpers or self._grows):
                self._list_due = self._list(now)
            wait = LONGEST
            memory = threads = 0
            for process in list(self._processes.values()):
                try:
                    found = process.look()
                except (ProcessLookupError, FileNotFoundError):
                    self._forget(process)
                    continue
                threads += found.threads
                if process.pid not in self._keepers:
                    memory += max(0, found.memory - process.base)
            limits = self._limits
            if limits.memory:
                left = limits.memory - memory
                wait = min(wait, max(SHORTEST, left / _GROWTH))
                if left < 0:
                    return self._end(out_of_memory(limits))
            if limits.threads and threads > limits.threads + self._helpers:
                return self._end(Violation("processes", f"had more than its {limits.threads} threads"))
            if limits.processes and len(self._processes) > limits.processes + self._helpers:
                return self._end(Violation("processes", f"had more than its {limits.processes} processes"))
            if limits.cpu:
                wait = min(wait, self._share(now))
            if limits.disk and now >= self._disk_due:
                used = self._growth(now)
                if used > limits.disk:
                    return self._end(Violation("disk", f"filled more than its {size(limits.disk)} of disk"))
            self.due = now + wait
        return None

    def kill(self) -> None:
        """Kill it and all that it started: first nothing can start another one, then none is left."""
        with self._lock:
            self._kill()

    def close(self) -> None:
        """Let it go."""
        with self._lock:
            for process in list(self._processes.values()):
                self._forget(process)

    def _end(self, violation: Violation) -> None:
        self.violation = violation
        self.due = time.monotonic() + LONGEST
        self._kill()

    def _kill(self) -> None:
        known = -1
        while self._grows and known != len(self._processes):
            known = len(self._processes)
            for process in self._processes.values():
                process.signal(signal.SIGSTOP)
            self._list(time.monotonic())
        for process in reversed(self._processes.values()):
            process.signal(signal.SIGKILL)

    def _list(self, now: float) -> float:
        """Find the processes that there are; gives when to do it again."""
        began = time.thread_time()
        try:
            found = descendants_of(self._pid) if self._grows else children_of(self._pid)
        except (ProcessLookupError, FileNotFoundError):
            found = []
        for pid in found:
            if pid not in self._processes:
                with suppress(OSError):
                    process = WatchedProcess(pid)
                    self._processes[pid] = process
                    self._used[pid] = 0.0
                    if process.look().parent not in self._processes:  # its number is another one's by now
                        self._forget(process)
                        continue
                    if self._stopped:  # it was started just before those that were known were stopped
                        process.signal(signal.SIGSTOP)
                    if len(self._keepers) < self._helpers:
                        self._keepers.add(pid)
                    elif self._keepers and len(self._processes) == len(self._keepers) + 1:
                        # the extension's own is seen late
                        process.base = min(process.look().memory, _INTERPRETER)
        if len(self._processes) <= self._helpers:  # the extension's own is still to come
            return now + TICK
        return now + max(_SOONEST, _PATIENCE * (time.thread_time() - began))

    def _share(self, now: float) -> float:
        """Take what was used out of the bucket, and stop or continue the worker; gives when to look again."""
        spent = 0.0
        for pid, process in self._processes.items():
            with suppress(OSError):
                used = process.processor_time()
                spent += used - self._used.get(pid, used)
                self._used[pid] = used
        share = self._limits.cpu
        self._tokens = min(BURST * share, self._tokens + share * (now - self._filled)) - spent
        self._filled = now
        owes = self._tokens <= 0
        if owes != self._stopped:
            self._stopped = owes
            for process in self._processes.values():
                process.signal(signal.SIGSTOP if owes else signal.SIGCONT)
        if owes:
            return min(LONGEST, max(SHORTEST, -self._tokens / share))
        return TICK if spent else LONGEST

    def _growth(self, now: float) -> int:
        began = time.thread_time()
        used = sum(disk_usage(tree) for tree in self._trees)
        self._disk_due = now + max(_SOONEST, _PATIENCE * (time.thread_time() - began))
        if self._disk_before is None:
            self._disk_before = used
        return used - self._disk_before

    def _forget(self, process: WatchedProcess) -> None:
        del self._processes[process.pid]
        self._used.pop(process.pid, None)
        process.close()


class Watchdog:
    """The thread that looks at all workers; it runs while there is one, or something else to be tried again."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._watched: set[Watched] = set()
        self._retried: list[Callable[[], bool]] = []
        self._thread: threading.Thread | None = None

    def add(self, watched: Watched) -> None:
        """Look at a worker from now on.

        Args:
            watched: The worker.
        """
        with self._condition:
            self._watched.add(watched)
            self._wake()

    def remove(self, watched: Watched) -> None:
        """Look at a worker no more.

        Args:
            watched: The worker.
        """
        with self._condition:
            self._watched.discard(watched)
        watched.close()

    def retry(self, action: Callable[[], bool]) -> None:
        """Do something again and again until it works.

        Args:
            action: What; tells whether it has worked.
        """
        with self._condition:
            self._retried.append(action)
            self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="symphony-watchdog", daemon=True)
            self._thread.start()
        self._condition.notify()

    def _run(self) -> None:
        while True:
            now = time.monotonic()
            with self._condition:
                self._retried = [action for action in self._retried if not action()]
                watched = list(self._watched)
                if not watched and not self._retried:
                    self._thread = None
                    return
            for each in watched:
                if now >= each.due:
                    each.look(now)
            with self._condition:
                next_due = min((each.due for each in self._watched), default=now + TICK)
                wait = max(0.0, min(next_due, now + LONGEST) - time.monotonic())
                if wait:
                    self._condition.wait(wait)


def disk_usage(tree: str) -> int:
    """Bytes that the files in a directory take up, each at least `BLOCK`; what vanishes meanwhile does not count.

    Args:
        tree: The directory, or a file.
    """
    used = 0
    directories = [tree]
    while directories:
        try:
            with os.scandir(directories.pop()) as entries:
                for entry in entries:
                    with suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            directories.append(entry.path)
                        used += max(BLOCK, entry.stat(follow_symlinks=False).st_blocks * 512)
        except NotADirectoryError:
            used += Path(tree).stat().st_blocks * 512
        except OSError:
            continue
    return used


def size(count: int) -> str:
    """A number of bytes in words.

    Args:
        count: How many.
    """
    for unit, bytes in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= bytes:
            return f"{count / bytes:.4g} {unit}"
    return f"{count} B"

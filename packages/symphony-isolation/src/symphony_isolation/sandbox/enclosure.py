"""What the host holds of one confined worker: its limits, why they ended it, and the means to end all of it.

On Linux, memory, processor time and tasks are the kernel's to hold where a control group can be made, and the
watchdog's where not. Disk and the number of processes are always the watchdog's. On Windows all is the job object's, and
macOS has nothing of the kind.
"""

import itertools
import os
import sys
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import msgspec
from symphony_sdk.errors import PermissionDenied

from symphony_isolation.sandbox import cgroup, job_object
from symphony_isolation.sandbox.policy import SandboxPolicy
from symphony_isolation.sandbox.watchdog import Violation, Watchdog, Watched, out_of_memory

_watchdog: Final = Watchdog()
_numbers: Final = itertools.count(1)


class Encloses(Protocol):
    """Encloses one worker with all that it starts."""

    def attach(self, pid: int, *, contained: bool = False) -> None:
        """Enclose a process that has not run a line of the extension, nor started another one."""

    def violation(self) -> Violation | None:
        """Which limit ended it; None where none did."""

    def kill(self) -> None:
        """Kill every process in it."""

    def close(self) -> None:
        """Leave nothing of it behind; all its processes have been killed."""


def enclosure_of(policy: SandboxPolicy, id: str) -> Encloses:
    """What a worker is to be enclosed in on this platform.

    Args:
        policy: What it is held to.
        id: A name for it, such as the id of the extension.

    Raises:
        PermissionDenied: SYM-P021, Windows refused; nothing must run then.
    """
    if sys.platform == "win32":
        try:
            return job_object.JobObject(policy.limits, job_object.load_kernel32())
        except OSError as error:
            raise PermissionDenied(
                f"Windows made no job object for {id!r}: {error}",
                code="SYM-P021",
                hint="A job that Symphony itself was started in may forbid it; start it outside of that.",
                details={"extension": id},
            ) from error
    return Enclosure(policy, id)


class Enclosure:
    """Encloses one worker with all that it starts, as far as Linux is asked for it; nothing elsewhere.

    Args:
        policy: What it is held to.
        id: A name for it, such as the id of the extension.
        use_cgroup: Whether the kernel may count; the watchdog does all of it where not.
    """

    def __init__(self, policy: SandboxPolicy, id: str, *, use_cgroup: bool = True) -> None:
        self._policy = policy
        self._group: cgroup.ControlGroup | None = None
        self._watched: Watched | None = None
        self._violation: Violation | None = None
        if use_cgroup:
            with suppress(OSError):
                self._group = cgroup.ControlGroup(cgroup.base(), f"{id}-{next(_numbers)}", policy.limits)

    @property
    def by_kernel(self) -> bool:
        """Whether a control group holds memory, processor time and tasks."""
        return self._group is not None

    def attach(self, pid: int, *, contained: bool = False) -> None:
        """Enclose a process that has not run a line of the extension, nor started another one.

        Args:
            pid: Its id.
            contained: Whether it is a keeper in new namespaces, which forks the extension's own process.

        Raises:
            OSError: It cannot be enclosed; it must be killed.
        """
        limits = self._policy.limits
        helpers = self._helpers(contained)
        if self._group is not None:
            if limits.threads:
                self._group.bound_tasks(limits.threads + helpers)
            self._group.add(pid)
            limits = msgspec.structs.replace(limits, memory=0, cpu=0.0, threads=0)
        if limits.cpu >= (os.cpu_count() or 1):
            limits = msgspec.structs.replace(limits, cpu=0.0)
        if not self._policy.starts_processes:
            limits = msgspec.structs.replace(limits, processes=0)  # it cannot
        watches = any((limits.memory, limits.cpu, limits.threads, limits.processes, limits.disk))
        watches = watches or (self._group is None and self._policy.starts_processes)
        if watches and sys.platform == "linux":
            self._watched = Watched(
                pid,
                limits,
                grows=self._policy.starts_processes,
                trees=self._policy.write,
                helpers=helpers,
            )
            _watchdog.add(self._watched)

    def _helpers(self, contained: bool) -> int:
        """How many of its processes are not the extension's: they keep that one in its sandbox."""
        if self._policy.tier == "full":
            return 1 if contained else 2
        return int(self._policy.tier == "fallback" and self._policy.starts_processes)

    def violation(self) -> Violation | None:
        """Which limit ended it; None where none did."""
        if self._violation is None and self._watched is not None:
            self._violation = self._watched.violation
        if self._violation is None and self._group is not None and self._group.out_of_memory():
            self._violation = out_of_memory(self._policy.limits)
        return self._violation

    def kill(self) -> None:
        """Kill every process in it."""
        self.violation()  # it is not to be known any more once the group is gone
        if self._group is not None:
            self._group.kill()
        elif self._watched is not None:
            self._watched.kill()

    def close(self) -> None:
        """Leave nothing of it behind; all its processes have been killed."""
        self.kill()
        if self._watched is not None:
            _watchdog.remove(self._watched)
        if self._group is not None and not self._group.remove():
            _watchdog.retry(partial(_removed, self._group))


def _removed(group: cgroup.ControlGroup) -> bool:
    group.kill()
    return group.remove()

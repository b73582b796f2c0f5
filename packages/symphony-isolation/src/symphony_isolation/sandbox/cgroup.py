"""Holds a worker and all that it starts to memory, processor time and tasks by a control group, version 2 or 1.

See cgroups(7). A group is made below the nearest ancestor of the host's own that may be changed and has the
controllers. Its name says which host made it: what a host that is dead has left is removed by the next one.
"""

import os
import re
import signal
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from symphony_isolation.sandbox.policy import Limits
from symphony_isolation.sandbox.processes import descendants_of

CONTROLLERS: Final = ("memory", "cpu", "pids")

_OWN: Final = 6 << 20
"""Bytes that a worker and its keeper have for themselves before they run a line of the extension."""

_PERIOD: Final = 100_000
"""Microseconds over which processor time is shared out."""

_ASIDE: Final = "symphony-host"
"""The group that a host moves to, within the one that it was alone in."""

_NAME: Final = re.compile(r"symphony-(\d+)-(\d+)-")
_ROUNDS: Final = 200
"""How often those that are in a group are killed, 5 ms apart, until none is left."""


class Base(NamedTuple):
    """Where groups can be made.

    Args:
        version: 2, where one tree has all controllers, or 1.
        directories: The directory of each controller; those of version 2 are one.
    """

    version: Literal[1, 2]
    directories: tuple[Path, ...]


class ControlGroup:
    """A control group of one worker.

    Args:
        base: Where it is made.
        id: A name for it that no other living group of this host has.
        limits: The most memory and processor time that is in it may use.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, base: Base, id: str, limits: Limits) -> None:
        self._version = base.version
        name = f"symphony-{os.getpid()}-{_started(os.getpid())}-{id.replace('/', '_')}"
        self._directories = [directory / name for directory in base.directories]
        try:
            for directory in self._directories:
                directory.mkdir()
            self._limit(limits)
        except BaseException:
            self.remove()
            raise

    def bound_tasks(self, tasks: int) -> None:
        """Let there be so many threads of all processes in it, and no more.

        Args:
            tasks: How many.
        """
        _write(self._of("pids") / "pids.max", tasks)

    def add(self, pid: int) -> None:
        """Move a process into it, before it has started others.

        Args:
            pid: Its id.
        """
        for directory in self._directories:
            _write(directory / "cgroup.procs", pid)

    def pids(self) -> list[int]:
        """Ids of the processes in it; those that ended and were not reaped are among them in version 1."""
        with suppress(FileNotFoundError):
            return [int(line) for line in (self._directories[0] / "cgroup.procs").read_text().split()]
        return []

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process in it because its memory was used up."""
        file = "memory.events" if self._version == 2 else "memory.oom_control"
        with suppress(FileNotFoundError):
            found = re.search(r"^oom_kill (\d+)$", (self._of("memory") / file).read_text(), re.MULTILINE)
            return found is not None and found[1] != "0"
        return False

    def kill(self) -> None:
        """Kill all processes in it, and let none be started."""
        with suppress(FileNotFoundError):
            _write(self._of("pids") / "pids.max", 0)
        if self._version == 2:
            with suppress(FileNotFoundError):  # a kernel before 5.14
                _write(self._directories[0] / "cgroup.kill", 1)
                return
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> bool:
        """Remove it; whether it is gone, which it cannot be before all in it have been reaped."""
        for directory in self._directories:
            try:
                directory.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True

    def _of(self, controller: str) -> Path:
        return self._directories[0 if self._version == 2 else CONTROLLERS.index(controller)]

    def _limit(self, limits: Limits) -> None:
        memory, cpu, most = self._of("memory"), self._of("cpu"), limits.memory + _OWN
        if limits.memory and self._version == 2:
            _write(memory / "memory.max", most)
            with suppress(FileNotFoundError):  # no swap
                _write(memory / "memory.swap.max", 0)
            _write(memory / "memory.oom.group", 1)
        elif limits.memory:
            _write(memory / "memory.limit_in_bytes", most)
            with suppress(FileNotFoundError):
                _write(memory / "memory.memsw.limit_in_bytes", most)
        quota = int(limits.cpu * _PERIOD)
        if quota and self._version == 2:
            _write(cpu / "cpu.max", f"{quota} {_PERIOD}")
        elif quota:
            _write(cpu / "cpu.cfs_period_us", _PERIOD)
            _write(cpu / "cpu.cfs_quota_us", quota)


@cache
def base() -> Base:
    """Where this process can make groups; those of dead hosts are removed there.

    Raises:
        OSError: Nowhere, with the reason.
    """
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    mounts = _mounts()
    if all(controller in mounts and controller in own for controller in CONTROLLERS):
        version: Literal[1, 2] = 1
        tried = [_writable(mounts[controller], own[controller]) for controller in CONTROLLERS]
    elif "" in mounts and "" in own:
        version = 2
        tried = [_delegated(mounts[""], own[""])]
    else:
        raise FileNotFoundError(2, "no cgroup file system with memory, cpu and pids is mounted")
    found = Base(version, tuple(tried))
    probe = ControlGroup(found, "probe", Limits(memory=1 << 30, cpu=1.0))
    try:
        probe.bound_tasks(16)
    finally:
        probe.remove()
    _remove_stale(found)
    return found


def _mounts() -> dict[str, tuple[Path, str]]:
    """Mount point and root of the hierarchy of each controller; that of version 2 is called ``."""
    found: dict[str, tuple[Path, str]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        place = (Path(fields.split()[4]), fields.split()[3])
        if kind == "cgroup2":
            found[""] = place
        elif kind == "cgroup":
            found.update({name: place for name in CONTROLLERS if name in options.split(" ")[-1].split(",")})
    return found


def _writable(mount: tuple[Path, str], own: str) -> Path:
    directory = _place(mount, own)
    if not os.access(directory, os.W_OK):
        raise PermissionError(13, f"{directory} cannot be written to")
    return directory


def _delegated(mount: tuple[Path, str], own: str) -> Path:
    """The nearest group around this process that can hand the controllers on.

    One with processes in it cannot, but for the root. Where no other is this user's, as in a service or a container,
    and this process is alone in its own, it moves to one within.
    """
    nearest = directory = _place(mount, own)
    reason = f"{directory} is not delegated to this user"
    while directory.is_relative_to(mount[0]):
        if _is_writable(directory):
            missing = _kept_back(directory)
            if not missing:
                return directory
            reason = f"{directory} does not hand on {', '.join(sorted(missing))}"
        directory = directory.parent
    if _is_writable(nearest):
        with suppress(OSError):
            _step_aside(nearest)
        if not _kept_back(nearest):
            return nearest
    raise PermissionError(13, reason)


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK) and os.access(directory / "cgroup.procs", os.W_OK)


def _kept_back(directory: Path) -> set[str]:
    """The controllers that a group cannot hand on."""
    control = directory / "cgroup.subtree_control"
    with suppress(OSError):
        _write(control, " ".join(f"+{controller}" for controller in CONTROLLERS))
    return set(CONTROLLERS) - set(control.read_text().split())


def _step_aside(directory: Path) -> None:
    """Move this process and those that it started to a group within the one that holds no others."""
    while members := {int(line) for line in (directory / "cgroup.procs").read_text().split()}:
        if not members <= {os.getpid(), *descendants_of(os.getpid())}:
            return
        (directory / _ASIDE).mkdir(exist_ok=True)
        for pid in members:
            with suppress(ProcessLookupError):
                _write(directory / _ASIDE / "cgroup.procs", pid)


def _place(mount: tuple[Path, str], own: str) -> Path:
    point, root = mount
    inside = own.removeprefix(root) if root != "/" else own
    return point / inside.lstrip("/")


def _remove_stale(base: Base) -> None:
    for directory in base.directories:
        for entry in directory.iterdir():
            name = _NAME.match(entry.name)
            if name is None or _started(int(name[1])) == int(name[2]):
                continue
            for _ in range(_ROUNDS):
                with suppress(OSError):
                    for line in (entry / "cgroup.procs").read_text().split():
                        os.kill(int(line), signal.SIGKILL)
                try:
                    entry.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.005)
                else:
                    break


def _started(pid: int) -> int:
    """When a process was started, in ticks since the machine was; -1 where there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except OSError:
        return -1


def _write(file: Path, value: object) -> None:
    with file.open("w") as opened:  # a write is one call: the kernel takes it or says why not
        opened.write(str(value))

"""Takes a process out of the host's sight, and the host out of its: namespaces, and who keeps those within.

A confined process that has a keeper is a child of it: an outer process that runs no line of the extension, tells
the host how the inner one came to its end, and leaves nothing behind that it started. Where the process that forks
it can put it into new namespaces at once, the keeper is the first process of them, and so the only one besides.
"""

import errno
import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from symphony_isolation.sandbox.kernel import prctl, syscall
from symphony_isolation.sandbox.privileges import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    drop_capabilities,
    gain_none,
)
from symphony_isolation.sandbox.processes import children_of

_USER, _MOUNT, _PID, _NET = 0x10000000, 0x00020000, 0x20000000, 0x40000000
_IPC, _UTS, _CGROUP = 0x08000000, 0x04000000, 0x02000000
_CLONED: Final = _USER | _PID  # CLONE_NEW* of linux/sched.h
_UNSHARED: Final = _MOUNT | _NET | _IPC | _UTS
_PR_SET_NAME: Final = 15
_ENDED: Final = "ended "

_HOST_NAME: Final = "extension"

INNER: Final = 2
"""Process id of the confined process in its new namespace."""

_KEPT: Final = (
    "this user may have none: a container, AppArmor or `kernel.unprivileged_userns_clone` keeps them"
)
_REASONS: Final = {
    errno.EPERM: _KEPT,
    errno.EACCES: _KEPT,
    errno.ENOSPC: "there may be no more: see `user.max_user_namespaces`",
    errno.EINVAL: "the kernel was built without them",
}


def unshare() -> None:
    """Move to new namespaces of every kind but that of time, as the same user; children are in a new pid namespace.

    The user namespace is new even for root: no privilege in it is one outside of it.

    Raises:
        OSError: The kernel refused.
    """
    user, group = os.geteuid(), os.getegid()
    with _reasons():
        syscall("unshare", _CLONED | _UNSHARED | _CGROUP)
    _settle(user, group)


def unshare_rest() -> None:
    """Move from the namespaces that `keep_first` has left behind to those of every kind that `unshare` moves to.

    Raises:
        OSError: The kernel refused, or this process is not in such namespaces.
    """
    if os.getpid() != INNER:
        raise ProcessLookupError(errno.ESRCH, f"process {os.getpid()} is in no namespace of its own")
    syscall("unshare", _CGROUP)  # its root is the control group that it was put into after it was cloned


@contextmanager
def _reasons() -> Iterator[None]:
    """Say why the kernel refused, where that is known."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, _REASONS.get(error.errno or 0, error.strerror)) from error


@_reasons()
def _settle(user: int, group: int) -> None:
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        map = os.open(f"/proc/self/{file}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(map, text.encode())
        finally:
            os.close(map)
    socket.sethostname(_HOST_NAME)


def clone() -> int:
    """Fork into new namespaces; gives 0 in the child, which is to call `keep_first`, and its process id here.

    They are those of users and of processes; the child makes the others, as a new network may have to wait for the
    end of old ones. The C library does not learn of it: this process has one thread, and the child makes system calls,
    forks in the usual way, and ends.

    Raises:
        OSError: The kernel refused.
    """
    with _reasons():
        return syscall("clone", _CLONED | signal.SIGCHLD, 0, 0, 0, 0)


def keep_first(parent: int, user: int, group: int, begin: int) -> None:
    """Be the first process of new namespaces, and fork once there is something to read; returns in the child alone.

    Orphans become children of this process, and all others end with it; it ends with its parent.

    Args:
        parent: A pidfd of the process that has cloned this one.
        user: The effective user of that process, as which this one goes on.
        group: Its effective group.
        begin: A descriptor; before it can be read, this process may be moved to a control group.

    Raises:
        OSError: The kernel refused.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if select.select([parent], [], [], 0)[0]:  # it died before it could be said to die with it
        os._exit(1)
    os.setsid()
    with _reasons():
        syscall("unshare", _UNSHARED)
    _settle(user, group)
    select.select([begin], [], [])
    inner = os.fork()
    if inner:
        _keep_to_end(inner)
    os.setsid()


def end_of(pid: int) -> int | None:
    """The wait status of the process that a keeper has kept; None where the keeper did not come to tell it.

    Args:
        pid: Process id of a keeper that has called `keep_first`; it has ended, and is not reaped.
    """
    with open(f"/proc/{pid}/comm") as file:
        name = file.read()
    return int(name.removeprefix(_ENDED)) if name.startswith(_ENDED) else None


def _keep_to_end(inner: int) -> NoReturn:
    """Wait for the end of the inner process, and tell how it ended by the own name.

    The first process of a namespace cannot end by a signal of its own; with it end all others of the namespace.
    """
    try:
        signal.signal(signal.SIGTERM, lambda number, frame: os.kill(inner, signal.SIGTERM))
        _give_up_all()
        status = _wait_for(inner)
        syscall("prctl", _PR_SET_NAME, f"{_ENDED}{status}".encode(), 0, 0, 0)
        os._exit(0)
    finally:
        os._exit(1)


def fork_in_namespace() -> None:
    """Fork; returns in the child, which sees no process but those that it starts.

    The first process of the namespace reaps orphans, and all others end with it; it ends with the keeper.

    Raises:
        OSError: The kernel refused.
    """
    keeper = os.pidfd_open(os.getpid())
    reaper = os.fork()
    if not reaper:
        _reap(keeper)
    inner = os.fork()
    if inner:
        _keep(inner, reaper)
    os.close(keeper)
    os.setsid()


def fork_kept() -> None:
    """Fork; returns in the child. Whatever it starts is the keeper's once its parent has ended.

    Raises:
        OSError: The kernel refused.
    """
    host = os.getppid()
    keeper = os.getpid()
    # Before: on a busy machine the child has started others, and left them, when its parent runs again.
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    inner = os.fork()
    if inner:
        prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
        if os.getppid() != host:
            os.kill(inner, signal.SIGKILL)
        _keep(inner, None)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(1)


def _reap(keeper: int) -> NoReturn:
    """Be the first process of a namespace until the keeper ends."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _give_up_all(spare=keeper)
        select.select([keeper], [], [])
    finally:
        os._exit(0)


def _keep(inner: int, reaper: int | None) -> NoReturn:
    """Wait for the end of the inner process, end all that it left, and end as it did."""
    try:
        signal.signal(signal.SIGTERM, lambda number, frame: os.kill(inner, signal.SIGTERM))
        signal.signal(signal.SIGHUP, lambda number, frame: os.kill(inner, signal.SIGKILL))
        _give_up_all()
        status = _wait_for(inner)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if reaper is not None:
            os.kill(reaper, signal.SIGKILL)
            os.waitpid(reaper, 0)  # returns when nothing is left in the namespace
        else:
            _end_children()
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            if -code not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code if code >= 0 else 128 - code)
    finally:
        os._exit(1)


def _wait_for(inner: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == inner:
            return status


def _end_children() -> None:
    """End all that is left: whoever is killed leaves its children to this process, which is their reaper."""
    me = os.getpid()
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in children_of(me):
            os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _give_up_all(spare: int = -1) -> None:
    if spare >= 0:
        syscall("close_range", 0, spare - 1, 0)
    syscall("close_range", spare + 1, 0xFFFFFFFF, 0)
    prctl(PR_SET_DUMPABLE, 0)
    gain_none()
    drop_capabilities()

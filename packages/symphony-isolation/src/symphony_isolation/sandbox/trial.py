"""Tries each layer of the sandbox for real, in a process of its own, and sees whether it holds what it promises.

Executed as `python -I -m symphony_isolation.sandbox.trial`; prints a JSON object of the layers, each with the
reason why it does not work, which is empty where it does.
"""

import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Callable

from symphony_isolation.sandbox import landlock, namespaces, privileges, seccomp, tree
from symphony_isolation.sandbox.policy import SandboxPolicy

_NOTHING = SandboxPolicy("full", private_tmp=1 << 20)


def namespaces_hold() -> str:
    """Try new namespaces as the zygote makes them: this must not be where other processes can be seen."""
    parent, nothing = os.pidfd_open(os.getpid()), os.open(os.devnull, os.O_RDONLY)
    user, group = os.geteuid(), os.getegid()
    keeper = namespaces.clone()
    if keeper:
        os.waitpid(keeper, 0)
        os._exit(0)
    namespaces.keep_first(parent, user, group, begin=nothing)
    namespaces.unshare_rest()
    return (
        "" if os.getpid() == namespaces.INNER and os.getppid() == 1 else f"process {os.getpid()} is not alone"
    )


def file_tree_holds() -> str:
    """Try a file tree of its own, in namespaces as a process that is executed makes them: the host's must be gone, and
    the new one must not be writable."""
    namespaces.unshare()
    namespaces.fork_in_namespace()
    tree.enter_tree(_NOTHING)
    if set(os.listdir("/")) != {"dev", "proc", "tmp"}:
        return f"the files of the host are there: {', '.join(sorted(os.listdir('/')))}"
    return _refused(lambda: os.mkdir("/new"), errno.EROFS, "a new directory")


def landlock_holds() -> str:
    """Try Landlock without a right: no file can be opened."""
    privileges.gain_none()
    landlock.restrict(())
    return _refused(lambda: os.open("/", os.O_RDONLY), errno.EACCES, "opening a directory")


def privileges_hold() -> str:
    """Try to give privileges up: none are left."""
    privileges.gain_none()
    privileges.drop_capabilities()
    with open("/proc/self/status") as file:
        found = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    left = [name for name in ("CapPrm", "CapEff", "CapInh", "CapAmb") if int(found[name], 16)]
    return (
        f"{', '.join(left)} is not empty"
        if left
        else ""
        if found["NoNewPrivs"] == "1"
        else "some can be gained"
    )


def seccomp_holds() -> str:
    """Try the filter of system calls: no socket can be made, and a right call goes on."""
    policy = SandboxPolicy("fallback")
    privileges.gain_none()
    rules = seccomp.rules(policy, pid=os.getpid(), pid_namespace=False, landlock_abi=1)
    seccomp.install(seccomp.program(rules))
    os.getpid()
    return _refused(socket.socket, errno.EACCES, "making a socket")


def _refused(action: Callable[[], object], number: int, what: str) -> str:
    try:
        action()
    except OSError as error:
        return "" if error.errno == number else f"{what} failed with {error.strerror}"
    return f"{what} was not refused"


TRIALS: dict[str, Callable[[], str]] = {
    "namespaces": namespaces_hold,
    "file tree": file_tree_holds,
    "Landlock": landlock_holds,
    "privileges": privileges_hold,
    "seccomp": seccomp_holds,
}


def attempt(trial: Callable[[], str]) -> str:
    """Why a layer does not work; empty where it does.

    Args:
        trial: Tries it; this process is not changed.
    """
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(receiving)
            reason = trial()
        except OSError as error:
            reason = error.strerror or str(error)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the layer does not work
            reason = repr(error)
        os.write(sending, b"+" + reason.encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as file:
        answer = file.read()
    _, status = os.waitpid(child, 0)
    if answer:
        return answer[1:].decode()
    code = os.waitstatus_to_exitcode(status)
    return f"it ended the process with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"


if __name__ == "__main__":
    json.dump({name: attempt(trial) for name, trial in TRIALS.items()}, sys.stdout)

"""What a process gives up before it runs a line of its extension, one layer after another.

Each layer stands alone: what one lets through by mistake, the next one stops. The order is forced: namespaces and
mounts need capabilities, Landlock needs `no_new_privs`, and the filter of system calls shuts the door behind it all.
"""

import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from symphony_isolation.sandbox.policy import SandboxPolicy

REFUSED: Final = 121
"""What a process exits with that was refused a layer of its sandbox; its last words name the layer."""

_LOADERS: Final = (
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
)
"""Programs that the kernel executes to load another one."""

_OWN_PROC: Final = "/proc/self"
_PUBLIC_PROC: Final = tuple(
    f"/proc/{name}"
    for name in (
        "cpuinfo",
        "filesystems",
        "loadavg",
        "meminfo",
        "stat",
        "uptime",
        "version",
        "sys/vm",
        "sys/kernel",
    )
)
"""What tells of the machine and not of other processes."""

_FORGETS_PEAK: Final = "/proc/self/clear_refs"


class LayerRefused(OSError):
    """A layer of the sandbox that was promised could not be made.

    Args:
        layer: Its name.
        error: Why.
    """

    def __init__(self, layer: str, error: OSError) -> None:
        super().__init__(error.errno, f"{layer}: {error.strerror or error}")
        self.layer = layer


def die_with(host: int) -> None:
    """Be killed when the host ends.

    Args:
        host: Its process id; it has started this process.

    Raises:
        OSError: The kernel refused; nothing must run then.
        ProcessLookupError: The host is gone.
    """
    if sys.platform == "linux":
        import signal

        from symphony_isolation.sandbox.kernel import prctl
        from symphony_isolation.sandbox.privileges import PR_SET_PDEATHSIG

        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != host:  # it died before it could be said to die with it
        raise ProcessLookupError(f"the host, process {host}, is gone")


def enter(
    policy: SandboxPolicy,
    *,
    keep: Collection[int],
    contained: bool = False,
    report: bool = False,
    in_network: Callable[[], None] | None = None,
) -> int:
    """Confine this process for ever; it has one thread, and has run no line of the extension.

    In tier `full`, unless it is `contained`, and where it may start processes, it forks: this returns in the inner
    process alone, and the outer one ends as that does. Where it raises, nothing may run. What tier `unverified` is
    made of confines it from the outside: `seatbelt.py`, `job_object.py`.

    Args:
        policy: What is to hold.
        keep: Descriptors that stay open besides those of stdin, stdout and stderr.
        contained: Whether its keeper, `namespaces.keep_first`, has forked it within new namespaces.
        report: Whether the host is to hear of refused system calls.
        in_network: Called in the new network of a policy with a proxy, while it can still be prepared.

    Returns:
        The descriptor that refused system calls are read from, to be handed to the host; -1 without `report`.

    Raises:
        LayerRefused: The kernel refused a layer.
    """
    with _layer("limits"):
        os.umask(0o077)
        if sys.platform == "linux":  # elsewhere it was executed, with these alone
            _close_others(keep)
        if sys.platform != "win32":
            from symphony_isolation.sandbox import process_limits

            process_limits.limit(policy.limits)
    if policy.tier not in ("full", "fallback"):
        if sys.platform == "linux":
            from symphony_isolation.sandbox import privileges

            privileges.gain_none()
        return -1
    from symphony_isolation.sandbox import kernel, landlock, namespaces, privileges, seccomp, tree

    full = policy.tier == "full"
    if full:
        with _layer("namespaces"):
            if contained:
                namespaces.unshare_rest()
            else:
                namespaces.unshare()
                namespaces.fork_in_namespace()
        with _layer("file tree"):
            tree.enter_tree(policy)
        if policy.proxy and in_network is not None:
            with _layer("proxy"):
                in_network()
    elif policy.starts_processes:
        with _layer("keeper"):
            namespaces.fork_kept()
    with _layer("privileges"):
        privileges.gain_none()
    with _layer("Landlock"):
        landlock.restrict(_rules(policy, contained=full), connects=full and policy.proxy)
        version = landlock.abi()
    with _layer("privileges"):
        privileges.drop_capabilities()
    with _layer("seccomp"):
        if kernel.MACHINE not in kernel.ARCHITECTURES:
            raise OSError(0, f"the system calls of {kernel.MACHINE} are not known")
        filter = seccomp.compiled(
            policy, pid=os.getpid(), pid_namespace=full, landlock_abi=version, report=report
        )
        return seccomp.install(filter, report=report)


def _rules(policy: SandboxPolicy, *, contained: bool) -> Iterator[tuple[str, int]]:
    from symphony_isolation.sandbox.landlock import CHANGE_FILE, EXECUTE, READ, READ_WRITE, WRITE

    for paths, access in ((policy.read, READ), (policy.write, WRITE), (policy.execute, EXECUTE)):
        yield from ((path, access) for path in paths)
    if policy.execute:
        yield from ((path, EXECUTE) for path in _LOADERS)
    yield _FORGETS_PEAK, CHANGE_FILE
    if contained:
        yield "/proc", READ
        yield "/dev", READ_WRITE
        if policy.private_tmp:
            yield "/tmp", WRITE  # noqa: S108 - it is its own
    else:
        from symphony_isolation.sandbox.tree import DEVICES

        yield from ((path, READ) for path in (_OWN_PROC, *_PUBLIC_PROC))
        yield from ((f"/dev/{name}", READ_WRITE) for name in DEVICES)


def _close_others(keep: Collection[int]) -> None:
    first = 3
    for descriptor in sorted({*keep, os.sysconf("SC_OPEN_MAX")}):
        os.closerange(first, descriptor)
        first = descriptor + 1


@contextmanager
def _layer(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LayerRefused(name, error) from error

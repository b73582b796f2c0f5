"""What a process of an extension may see and use: the one thing that host and child agree on."""

from typing import Literal, get_args

import msgspec

Tier = Literal["full", "fallback", "unverified", "none"]
"""How much the kernel enforces; each tier includes what the next one does.

- `full`: namespaces, a file tree of its own, a cgroup.
- `fallback`: Landlock, seccomp, resource limits, and a watchdog in the host; needs no rights.
- `unverified`: what macOS (Seatbelt) or Windows (a job object) can do. Only there, and only for extensions that are
  trusted or where the user said so: nobody has seen it hold one.
- `none`: a process of its own with resource limits. Only where the platform has no sandbox or the user said so;
  never chosen by itself.
"""

TIERS: tuple[Tier, ...] = get_args(Tier)

Wanted = Literal["auto", "full", "fallback", "unverified", "none"]
"""What the setting `sandbox` may be; `auto` is the best verified tier of the machine, and `unverified` is `auto` that
takes an unverified one too, where there is no other."""

WANTED: tuple[Wanted, ...] = get_args(Wanted)


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """The most that one worker, with all that it starts, may use; 0 is no bound.

    Args:
        memory: Bytes of memory in RAM.
        cpu: Cores, as a share of time: 0.5 is half of one.
        processes: Processes, the worker itself included; 1 and 0 mean that it starts none.
        threads: Threads of all its processes.
        open_files: Descriptors of each process.
        disk: Bytes of the files in the trees that it may write, besides what was there at the start.
    """

    memory: int = 0
    cpu: float = 0.0
    processes: int = 0
    threads: int = 0
    open_files: int = 1024
    disk: int = 0


class SandboxPolicy(msgspec.Struct, frozen=True, array_like=True):
    """What the kernel is told of one worker before a line of its extension runs.

    All paths are absolute paths of the host with their symbolic links resolved; each is the root of a tree or a
    single file. A path that does not exist is left out when the sandbox is entered.

    Args:
        tier: How much is enforced.
        read: May be read.
        write: May be read, changed, and filled.
        execute: May be executed as programs, and read. Without one the process cannot execute anything.
        private_tmp: Bytes of the `/tmp` of its own, in tier `full`; 0 for none.
        limits: The most that it may use.
        hidden: Trees within the others that are empty to it, in tier `full`; another tree within one of them is seen.
            In tier `fallback` the others name nothing that holds one.
        proxy: Whether libraries reach servers through a proxy of the host; in tier `full`, as it takes a network of
            its own. Only then may it make and connect sockets, and that network holds nothing but the proxy.
    """

    tier: Tier
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    execute: tuple[str, ...] = ()
    private_tmp: int = 0
    limits: Limits = Limits()
    hidden: tuple[str, ...] = ()
    proxy: bool = False

    @property
    def starts_processes(self) -> bool:
        """Whether it may start processes."""
        return self.limits.processes > 1 or bool(self.execute)

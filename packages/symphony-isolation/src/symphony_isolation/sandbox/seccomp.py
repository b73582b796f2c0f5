"""Which system calls an extension may make, and with which arguments.

No socket is opened inside: the host opens what is granted and passes it. Nothing reaches other processes, the
kernel's larger doors (io_uring, bpf, user faults, namespaces, mounts) are shut, and nothing is executed unless the
policy names programs. What honest libraries do on the way, such as copying a file's mode, goes on working.
"""

import ctypes
import errno
import functools
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from symphony_isolation.sandbox import landlock
from symphony_isolation.sandbox.bpf import (
    USER_NOTIF,
    Always,
    Check,
    IfBits,
    IfEqual,
    UnlessEqual,
    UnlessNull,
    assemble,
    refusal,
)
from symphony_isolation.sandbox.kernel import ARCHITECTURES, MACHINE, NEWEST, NUMBERS, syscall
from symphony_isolation.sandbox.policy import Limits, SandboxPolicy

_ANY_PROGRAM: Final = ("/",)

_SET_MODE_FILTER: Final = 1
_FILTER_FLAG_NEW_LISTENER: Final = 1 << 3

_EPERM: Final = refusal(errno.EPERM)
_EACCES: Final = refusal(errno.EACCES)
_ENOSYS: Final = refusal(errno.ENOSYS)
_PRETEND: Final = refusal(0)

_SHUT: Final = [
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "fanotify_init",
    "file_setattr",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "ioperm",
    "iopl",
    "ioprio_set",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "listmount",
    "lookup_dcookie",
    "lsm_set_self_attr",
    "mbind",
    "memfd_secret",
    "migrate_pages",
    "mknod",
    "mknodat",
    "mlockall",
    "modify_ldt",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "mq_open",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "open_tree_attr",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "pivot_root",
    "process_madvise",
    "process_mrelease",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "seccomp",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "set_mempolicy_home_node",
    "setdomainname",
    "sethostname",
    "setns",
    "setpriority",
    "setrlimit",
    "settimeofday",
    "shmat",
    "shmctl",
    "shmget",
    "statmount",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
    "chown",
    "fchown",
    "fchownat",
    "lchown",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "nfsservctl",
    "query_module",
    "sysfs",
    "uselib",
    "ustat",
]
"""Refused with EPERM."""

_UNKNOWN: Final = [
    "clone3",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "memfd_create",
    "openat2",
    "removexattrat",
    "setxattrat",
]
"""Do not exist: callers have another way, as the C library has for clone3."""

_WITHOUT_ATTRIBUTES: Final = [
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
]
_ATTRIBUTES_OF_PATHS: Final = [
    "getxattr",
    "getxattrat",
    "lgetxattr",
    "listxattr",
    "listxattrat",
    "llistxattr",
]
_TIMES: Final = {"utime": 1, "utimes": 1, "futimesat": 2, "utimensat": 2}  # where the times are
_MODES: Final = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}  # where the mode is
_CREATE: Final = {"open": 2, "openat": 3, "creat": 1}
_OPEN_FLAGS: Final = {"open": 1, "openat": 2}

_CLONE_THREAD: Final = 0x00010000
_CLONE_OUTSIDE: Final = 0x7E020000 | 0x8000 | 0x2000
"""New namespaces; a child of the parent; a traced child."""

_AF_UNIX: Final = 1
_INTERNET: Final = (2, 10)  # AF_INET, AF_INET6
_STREAM: Final = 1
_TCP: Final = (0, 6)  # IPPROTO_IP, which means TCP for a stream, and IPPROTO_TCP
_SOCK_TYPE: Final = 0xF
_SET_ID: Final = 0o6000
_SIGNAL_OWNERS: Final = (8, 10, 15, 1024, 1026)  # F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY
_IOCTLS: Final = (0x5412, 0x541C, 0x541D, 0x5423, 0x8901, 0x8902)
"""TIOCSTI, TIOCLINUX, TIOCCONS and TIOCSETD drive a terminal, FIOSETOWN and SIOCSPGRP send signals to others."""

_FILE_IOCTLS: Final = (0x40086602, 0x401C5820, 0x40806685, 0x800C6613)
"""FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY and FS_IOC_SET_ENCRYPTION_POLICY change a file that is
open for reading."""

_PRCTLS: Final = (1, 22, 35, 36, 0x59616D61)
"""PDEATHSIG, SECCOMP, MM, CHILD_SUBREAPER and PTRACER: what holds the process to its host."""

REPORTED: Final = frozenset(
    [
        "bind",
        "bpf",
        "chroot",
        "clone",
        "connect",
        "execve",
        "execveat",
        "fork",
        "io_uring_setup",
        "kcmp",
        "keyctl",
        "kill",
        "listen",
        "mount",
        "open_by_handle_at",
        "open_tree",
        "perf_event_open",
        "pidfd_getfd",
        "pidfd_open",
        "pidfd_send_signal",
        "pivot_root",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "setns",
        "shmget",
        "socket",
        "socketpair",
        "tgkill",
        "tkill",
        "umount2",
        "unshare",
        "userfaultfd",
        "vfork",
    ]
)
"""What the host hears of when it is refused; honest libraries do none of this."""


def compiled(
    policy: SandboxPolicy, *, pid: int, pid_namespace: bool, landlock_abi: int, report: bool = False
) -> bytes:
    """The filter of system calls that a policy stands for; made once for all policies that differ in paths alone.

    Args:
        policy: What is allowed.
        pid: The process that is to be confined, as it sees itself.
        pid_namespace: Whether it sees no process but its own, only the files of the policy, and no network.
        landlock_abi: The version of Landlock that holds the files.
        report: Whether the host decides on `REPORTED` calls.
    """
    essence = SandboxPolicy(
        policy.tier,
        execute=policy.execute and _ANY_PROGRAM,
        limits=Limits(processes=2 if policy.starts_processes else 1),
        proxy=policy.proxy,
    )
    return _compiled(essence, pid, pid_namespace, landlock_abi, report)


@functools.lru_cache(maxsize=16)
def _compiled(policy: SandboxPolicy, pid: int, pid_namespace: bool, landlock_abi: int, report: bool) -> bytes:
    found = rules(policy, pid=pid, pid_namespace=pid_namespace, landlock_abi=landlock_abi)
    return program(found, report=report)


def rules(
    policy: SandboxPolicy, *, pid: int, pid_namespace: bool, landlock_abi: int
) -> dict[str, list[Check]]:
    """The checks by name of the system call.

    Args:
        policy: What is allowed.
        pid: The process that is to be confined, as it sees itself.
        pid_namespace: Whether it sees no process but its own, only the files of the policy, and no network.
        landlock_abi: The version of Landlock that holds the files.
    """
    found: dict[str, list[Check]] = {}
    found.update((name, [Always(_EPERM)]) for name in _SHUT)
    found.update((name, [Always(_ENOSYS)]) for name in _UNKNOWN)
    found.update((name, [Always(refusal(errno.ENOTSUP))]) for name in _WITHOUT_ATTRIBUTES)
    found["socket"] = [Always(_EACCES)]
    found["socketpair"] = [
        UnlessEqual(0, (_AF_UNIX,), _EACCES),
        UnlessEqual(1, (1, 5), _EACCES, mask=_SOCK_TYPE),  # a datagram could be sent to any path
    ]
    found.update((name, [Always(_EACCES)]) for name in ("connect", "bind", "listen"))
    if (
        policy.proxy and pid_namespace
    ):  # in a network that holds nothing but the proxy; of MPTCP and the like it needs nothing
        found["socket"] = [
            UnlessEqual(0, _INTERNET, _EACCES),
            UnlessEqual(1, (_STREAM,), _EACCES, mask=_SOCK_TYPE),
            UnlessEqual(2, _TCP, _EACCES),
        ]
        del found["connect"]
    found["fcntl"] = [IfEqual(1, _SIGNAL_OWNERS, _EPERM)]
    found["ioctl"] = [IfEqual(1, (*_IOCTLS, *_FILE_IOCTLS), _EPERM)]
    found["prctl"] = [IfEqual(0, _PRCTLS, _EPERM)]
    found["prlimit64"] = [UnlessNull(2, _EPERM)]
    for name, position in _CREATE.items():  # a file that runs as the user, whoever starts it
        found[name] = [IfBits(position, _SET_ID, _EPERM)]
    for name, position in _OPEN_FLAGS.items():
        # neither to read nor to write: that needs no right of Landlock's
        found[name].append(IfEqual(position, (os.O_ACCMODE,), _EACCES, mask=os.O_ACCMODE))
    if pid_namespace:
        for name, position in _MODES.items():
            found[name] = [IfBits(position, _SET_ID, _EPERM)]
    else:  # Landlock lets change the mode and the times of every file that can be seen
        found.update((name, [Always(_PRETEND)]) for name in _MODES)
        for name, position in _TIMES.items():  # refused where it is now: `touch` then opens the file
            found[name] = [UnlessNull(position, _PRETEND), Always(_EPERM)]
        # ... and read the attributes of each; those of an open file can be read
        found.update((name, [Always(refusal(errno.ENOTSUP))]) for name in _ATTRIBUTES_OF_PATHS)
        # of a thread it is asked by number, which tells nothing of whose thread it is; it is a wish anyway
        found["sched_setaffinity"] = [UnlessEqual(0, (0,), _PRETEND)]
        if not policy.starts_processes:
            found["prlimit64"].append(UnlessEqual(0, (0, pid), _EPERM))
    if landlock_abi < landlock.TRUNCATES and not pid_namespace:
        found["truncate"] = [Always(_EACCES)]
        for name, position in _OPEN_FLAGS.items():  # O_RDONLY | O_TRUNC truncates without a right to write
            found[name].append(IfEqual(position, (os.O_TRUNC,), _EACCES, mask=os.O_TRUNC | os.O_ACCMODE))
    found.update(_processes(policy, pid, pid_namespace or landlock_abi >= landlock.SCOPES))
    return found


def _processes(policy: SandboxPolicy, pid: int, contained: bool) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {"clone": [IfBits(0, _CLONE_OUTSIDE, _EPERM)]}
    if not policy.starts_processes:
        found["clone"].append(UnlessEqual(0, (_CLONE_THREAD,), _EPERM, mask=_CLONE_THREAD))
        found.update((name, [Always(_EPERM)]) for name in ("fork", "vfork"))
    if not policy.execute:
        found.update((name, [Always(_EPERM)]) for name in ("execve", "execveat"))
    if not (policy.starts_processes and contained):
        found.update((name, [UnlessEqual(0, (pid,), _EPERM)]) for name in ("kill", "tgkill"))
        found["tkill"] = [Always(_EPERM)]
    return found


def program(rules: Mapping[str, Sequence[Check]], *, report: bool = False) -> bytes:
    """The filter of system calls for this machine.

    Args:
        rules: Checks by name of the system call; those that this machine does not have are left out.
        report: Whether the host decides on `REPORTED` calls: it hears of each that is refused.
    """
    numbered = {
        NUMBERS[name]: [_reported(check) for check in checks] if report and name in REPORTED else checks
        for name, checks in rules.items()
        if name in NUMBERS
    }
    return assemble(numbered, architecture=ARCHITECTURES[MACHINE], newest=NEWEST, unknown=_ENOSYS)


def install(filter: bytes, *, report: bool = False) -> int:
    """Hold this process and those that it starts to a filter, for ever; needs `no_new_privs`.

    Args:
        filter: The program.
        report: Whether it reports to the host.

    Returns:
        The descriptor that reports are read from; -1 where it does not report.

    Raises:
        OSError: The kernel refused.
    """
    code = ctypes.create_string_buffer(filter, len(filter))
    arguments = struct.pack("@HxxxxxxQ", len(filter) // 8, ctypes.addressof(code))
    if report:
        return syscall("seccomp", _SET_MODE_FILTER, _FILTER_FLAG_NEW_LISTENER, arguments)
    syscall("seccomp", _SET_MODE_FILTER, 0, arguments)
    return -1


def _reported(check: Check) -> Check:
    return check._replace(verdict=USER_NOTIF)

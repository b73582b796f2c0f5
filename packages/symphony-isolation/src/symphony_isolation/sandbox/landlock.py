"""Lets the kernel refuse every file, port, signal and abstract socket that is not named: Landlock.

Constants and structures are those of `linux/landlock.h`; see landlock(7). What a rule set cannot say, the filter of
system calls does: Landlock does not see chmod, utime, xattrs, UDP, raw sockets and io_uring.
"""

import errno
import os
import stat
import struct
from collections.abc import Iterable, Mapping
from enum import IntFlag
from typing import Final

from symphony_isolation.sandbox.kernel import syscall


class Access(IntFlag):
    """What may be done with a file or a tree; bit by bit in the order in which kernels learnt it."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


# plain numbers: what many rules are made of, each of them in each process, is not to be built of `Access` there
READ: Final = int(Access.READ_FILE | Access.READ_DIR)
READ_WRITE: Final = READ | int(Access.WRITE_FILE)
EXECUTE: Final = READ | int(Access.EXECUTE)
WRITE: Final = READ | int(
    Access.WRITE_FILE
    | Access.TRUNCATE
    | Access.MAKE_REG
    | Access.MAKE_DIR
    | Access.MAKE_SYM
    | Access.MAKE_FIFO
    | Access.REMOVE_FILE
    | Access.REMOVE_DIR
    | Access.REFER
)
"""Regular files, directories, links and pipes; no devices and no sockets."""

CHANGE_FILE: Final = int(Access.WRITE_FILE)
"""Writing to a file that is there, without reading it."""

_OF_A_FILE: Final = int(
    Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV
)
_BITS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # ABI: how many bits of `Access` it knows
_NETWORK: Final = 0b11  # BIND_TCP, CONNECT_TCP
_BIND: Final = 0b01
_SCOPES: Final = 0b11  # ABSTRACT_UNIX_SOCKET, SIGNAL

_VERSION: Final = 1 << 0  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH: Final = 1

TRUNCATES: Final = 3
"""The first ABI that refuses to truncate a file."""

SCOPES: Final = 6
"""The first ABI that refuses signals to processes outside."""

_ABSENT: Final = {
    errno.ENOSYS: "the kernel has none: it is older than 5.13, or was built without",
    errno.EOPNOTSUPP: "it is not among the `lsm=` that the kernel was booted with",
}


def abi() -> int:
    """The version of Landlock that the kernel speaks.

    Raises:
        OSError: It has none, or it was not enabled at boot.
    """
    try:
        return syscall("landlock_create_ruleset", None, 0, _VERSION)
    except OSError as error:
        raise OSError(error.errno, _ABSENT.get(error.errno or 0, error.strerror)) from error


def restrict(rules: Iterable[tuple[str, int]], *, connects: bool = False) -> None:
    """Refuse this process and those it starts, for ever, all that is not in the rules; needs `no_new_privs`.

    All rights that the kernel knows are handled, TCP and everything outside of this domain included, but for the one
    that `connects` asks for.

    Args:
        rules: Paths with what may be done (`Access`) beneath each; those that do not exist are left out.
        connects: Whether it may connect, as its network is its own.

    Raises:
        OSError: The kernel refused.
    """
    version = abi()
    handled = (1 << _BITS.get(version, 16)) - 1
    words = (handled, _BIND if connects else _NETWORK, _SCOPES)[
        : 3 if version >= SCOPES else 2 if version >= 4 else 1
    ]
    ruleset = syscall("landlock_create_ruleset", struct.pack(f"={len(words)}Q", *words), len(words) * 8, 0)
    try:
        for path, access in _united(rules).items():
            _allow(ruleset, path, access & handled)
        syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _united(rules: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    united: dict[str, int] = {}
    for path, access in rules:
        united[path] = united.get(path, 0) | access
    return united


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what cannot be found is not granted
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _OF_A_FILE
        syscall("landlock_add_rule", ruleset, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)

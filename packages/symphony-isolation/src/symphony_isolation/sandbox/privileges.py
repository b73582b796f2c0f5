"""Gives up every privilege for good: capabilities, and ways to gain them.

Constants are those of `linux/prctl.h`, `linux/securebits.h` and `linux/capability.h`.
"""

import errno
import itertools
import struct
from contextlib import suppress
from typing import Final

from symphony_isolation.sandbox.kernel import prctl, syscall

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_SECUREBITS: Final = 28
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47

_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITIES_V3: Final = 0x20080522
_LOCKED: Final = 0b1110_1111
"""NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE, each with its lock, and KEEP_CAPS locked: root is nobody."""


def drop_capabilities() -> None:
    """Give up all capabilities, those that could be gained by executing a file included.

    Raises:
        OSError: The kernel refused.
    """
    with suppress(PermissionError):  # without CAP_SETPCAP; `no_new_privs` lets no execution gain any anyway
        _bound_to_none()
        prctl(PR_SET_SECUREBITS, _LOCKED)
    prctl(PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    syscall("capset", struct.pack("=Ii", _CAPABILITIES_V3, 0), bytes(24))


def gain_none() -> None:
    """Let no execution of a file ever add privileges.

    Raises:
        OSError: The kernel refused.
    """
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def _bound_to_none() -> None:
    for capability in itertools.count():
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return  # the kernel knows no further one

"""Calls the kernel where Python has no function for it; for both sides, so with nothing but the standard library."""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.shmat.restype = ctypes.c_void_p
libc.mmap.restype = ctypes.c_void_p

_NUMBERS = {  # name: (x86_64, aarch64)
    "add_key": (248, 217),
    "bpf": (321, 280),
    "clock_adjtime": (305, 266),
    "clone3": (435, 435),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "fchmodat2": (452, 452),
    "getxattrat": (464, 464),
    "io_uring_enter": (426, 426),
    "io_uring_setup": (425, 425),
    "ioprio_get": (252, 31),
    "ioprio_set": (251, 30),
    "keyctl": (250, 219),
    "memfd_secret": (447, 447),
    "mount_setattr": (442, 442),
    "open_tree": (428, 428),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "socket": (41, 198),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "userfaultfd": (323, 282),
}
NUMBERS = {name: both[os.uname().machine != "x86_64"] for name, both in _NUMBERS.items()}


def call(name, *arguments):
    """What a function of the C library or else a system call of this name returns.

    Raises:
        OSError: The kernel refused.
    """
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    if name in NUMBERS:
        result = libc.syscall(ctypes.c_long(NUMBERS[name]), *words)
    else:
        result = getattr(libc, name)(*words)
    if result in (-1, (1 << 64) - 1):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


class Vector(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Message(ctypes.Structure):
    """`struct msgbuf`."""

    _fields_ = (("type", ctypes.c_long), ("text", ctypes.c_char * 128))


def shared(id, size=128):
    """A segment of System V as an array of bytes."""
    return (ctypes.c_char * size).from_address(call("shmat", id, None, 0))


IPC_RMID, IPC_CREAT, IPC_NOWAIT, GETVAL, SETVAL = 0, 0o1000, 0o4000, 12, 16

"""What a worker gives up before it imports a line of its extension.

Constants are those of Linux: `prctl(2)`. On other systems the limits hold and the rest is left out.
"""

import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def confine(host: int, memory: int, open_files: int) -> None:
    """Die with the host, gain no privileges, write no core, and keep within the limits.

    Args:
        host: Process id of the host.
        memory: Bytes of private writable memory; 0 for no bound.
        open_files: Descriptors.

    Raises:
        OSError: The kernel refused; nothing must run then.
        ProcessLookupError: The host is gone.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if os.getppid() != host:  # it died before it could be said to die with it
        raise ProcessLookupError(f"the host, process {host}, is gone")
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, open_files)
    if memory:
        _limit(resource.RLIMIT_DATA, memory)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _prctl(option: int, value: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")

"""What Windows is told of one worker: the limits of a job object, which its processes share and cannot leave.

**Unverified**: no part of it has held a process yet; its structures are compared with the sizes and values that
Microsoft documents. A job limits what a worker uses, not what it sees: files and the network stay open.
"""

import ctypes
import os
import sys
from typing import Any, Final, Protocol

from symphony_isolation.sandbox.policy import Limits

NAME: Final = "job object"
STOPS: Final = "using more memory, processor time or processes than allowed, and outliving the host"

UNENFORCED: Final = (
    "files: the worker may open whatever its user may",
    "network: the worker may connect to whatever its user may",
    "programs: the worker may execute whatever its user may, as far as the number of processes allows",
    "other processes: the worker may end and read those of its user",
    "threads, open files and disk: not limited",
    "denials: what Windows refuses it is not told, and not in the audit log",
)
"""What a worker can do there although its policy says otherwise, for people."""

EXTENDED_LIMITS: Final = 9
CPU_RATE: Final = 15
UI_RESTRICTIONS: Final = 4

_ACTIVE_PROCESS: Final = 0x0008
_JOB_MEMORY: Final = 0x0200
_DIE_ON_UNHANDLED_EXCEPTION: Final = 0x0400
_KILL_ON_JOB_CLOSE: Final = 0x2000

_CPU_ENABLE: Final = 0x1
_CPU_HARD_CAP: Final = 0x4
_WHOLE_MACHINE: Final = 10_000

_ALL_UI: Final = 0xFF
"""Handles of other windows, the clipboard, system parameters, display settings, atoms, desktops and logging off."""

_PROCESS_SET_QUOTA: Final = 0x0100
_PROCESS_TERMINATE: Final = 0x0001

# `ctypes.wintypes.DWORD` has 8 bytes where this is tested, and 4 where it is used.
_DWORD = ctypes.c_uint32


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = [
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", _DWORD),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", _DWORD),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", _DWORD),
        ("SchedulingClass", _DWORD),
    ]


class IoCounters(ctypes.Structure):
    """IO_COUNTERS."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("ro", "wo", "oo", "rt", "wt", "ot")]


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = [
        ("BasicLimitInformation", BasicLimits),
        ("IoInfo", IoCounters),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    ]


class CpuRate(ctypes.Structure):
    """JOBOBJECT_CPU_RATE_CONTROL_INFORMATION."""

    _fields_ = [("ControlFlags", _DWORD), ("CpuRate", _DWORD)]


class UiRestrictions(ctypes.Structure):
    """JOBOBJECT_BASIC_UI_RESTRICTIONS."""

    _fields_ = [("UIRestrictionsClass", _DWORD)]


def structures(limits: Limits, cores: int) -> list[tuple[int, ctypes.Structure]]:
    """What a job is set to: the class of each structure, and the structure.

    Args:
        limits: The most that the worker may use.
        cores: Those of this machine: Windows counts shares of all of them.
    """
    extended = ExtendedLimits()
    basic = extended.BasicLimitInformation
    basic.LimitFlags = _KILL_ON_JOB_CLOSE | _DIE_ON_UNHANDLED_EXCEPTION | _ACTIVE_PROCESS
    basic.ActiveProcessLimit = max(1, limits.processes)
    if limits.memory:
        basic.LimitFlags |= _JOB_MEMORY
        extended.JobMemoryLimit = limits.memory
    made: list[tuple[int, ctypes.Structure]] = [
        (EXTENDED_LIMITS, extended),
        (UI_RESTRICTIONS, UiRestrictions(_ALL_UI)),
    ]
    if limits.cpu:
        share = min(_WHOLE_MACHINE, max(1, round(limits.cpu / cores * _WHOLE_MACHINE)))
        made.append((CPU_RATE, CpuRate(_CPU_ENABLE | _CPU_HARD_CAP, share)))
    return made


def missing() -> str:
    """Why it cannot be used here: every Windows that Python runs on has it."""
    return ""


class Kernel32(Protocol):
    """The functions of `kernel32.dll` that a job needs; each gives 0 where it fails."""

    def CreateJobObjectW(self, security: None, name: None) -> int:  # noqa: N802 - its name there
        """Make a job without a name."""

    def SetInformationJobObject(self, job: int, kind: int, data: Any, size: int) -> int:  # noqa: N802
        """Set one of its structures."""

    def OpenProcess(self, access: int, inherit: bool, pid: int) -> int:  # noqa: N802
        """A handle of a process."""

    def AssignProcessToJobObject(self, job: int, process: int) -> int:  # noqa: N802
        """Put a process into a job."""

    def TerminateJobObject(self, job: int, code: int) -> int:  # noqa: N802
        """End every process of a job."""

    def CloseHandle(self, handle: int) -> int:  # noqa: N802
        """Give a handle back; the last one of a job ends its processes."""


class JobObject:
    """A job that ends with this process, and its processes with it.

    Args:
        limits: The most that its processes may use together.
        kernel32: The functions of Windows.

    Raises:
        OSError: Windows refused; nothing must run then.
    """

    def __init__(self, limits: Limits, kernel32: Kernel32) -> None:
        self._kernel32 = kernel32
        self._handle = kernel32.CreateJobObjectW(None, None)
        self._check(self._handle, "CreateJobObjectW")
        try:
            for kind, structure in structures(limits, os.cpu_count() or 1):
                size = ctypes.sizeof(structure)
                done = kernel32.SetInformationJobObject(self._handle, kind, ctypes.byref(structure), size)
                self._check(done, f"SetInformationJobObject({kind})")
        except OSError:
            self.close()
            raise

    def attach(self, pid: int, *, contained: bool = False) -> None:
        """Put a process into the job; what it starts from now on is in it too.

        Args:
            pid: Its number; it runs nothing of its extension yet.
            contained: Of no account on Windows.

        Raises:
            OSError: Windows refused; the process must not go on then.
        """
        process = self._kernel32.OpenProcess(_PROCESS_SET_QUOTA | _PROCESS_TERMINATE, False, pid)
        self._check(process, "OpenProcess")
        try:
            done = self._kernel32.AssignProcessToJobObject(self._handle, process)
            self._check(done, "AssignProcessToJobObject")
        finally:
            self._kernel32.CloseHandle(process)

    def violation(self) -> None:
        """Which limit ended it: Windows does not say; what is over one is refused instead."""

    def kill(self) -> None:
        """End all of its processes."""
        if self._handle:
            self._kernel32.TerminateJobObject(self._handle, 1)

    def close(self) -> None:
        """Give the job back; whatever is left in it ends."""
        handle, self._handle = self._handle, 0
        if handle:  # a handle that is closed may be another one's by now
            self._kernel32.CloseHandle(handle)

    def _check(self, done: int, function: str) -> None:
        if not done:
            raise OSError(_last_error(), f"{function} was refused")


if sys.platform == "win32":

    def load_kernel32() -> Kernel32:
        """The functions of this Windows; handles are as wide as pointers, which ctypes does not guess."""
        library: Any = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = ctypes.c_void_p
        for function, arguments in (
            (library.CreateJobObjectW, (handle, handle)),
            (library.OpenProcess, (_DWORD, ctypes.c_int, _DWORD)),
        ):
            function.argtypes, function.restype = arguments, handle
        library.SetInformationJobObject.argtypes = (handle, ctypes.c_int, handle, _DWORD)
        library.AssignProcessToJobObject.argtypes = (handle, handle)
        library.TerminateJobObject.argtypes = (handle, _DWORD)
        library.CloseHandle.argtypes = (handle,)
        kernel32: Kernel32 = library
        return kernel32

    def _last_error() -> int:
        return ctypes.get_last_error()

else:

    def _last_error() -> int:
        return 0

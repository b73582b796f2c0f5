"""How much memory the process had at most while a call ran, without a look at it for each short call.

Linux keeps the highest resident size of a process (`VmHWM` of `/proc/self/status`) and forgets it on request (`5`
written to `/proc/self/clear_refs`); see proc(5).
"""

import os
import threading
import time
from typing import Final

WORTH_A_LOOK: Final = 0.005
"""Seconds; of a shorter call the latest known value is told."""

_STALE: Final = 0.001  # seconds: so much of what ran before may count for a call
_STATUS_BYTES: Final = 8192


class Span:
    """The time of one call; `peak` is the most that is known of it before the mark was last taken back."""

    __slots__ = ("began", "peak")

    def __init__(self, began: float) -> None:
        self.began = began
        self.peak = 0


class PeakMemory:
    """Measures the calls of this process; every method may be called from any thread.

    Calls that run at the same time share what they need.

    Args:
        proc: Directory that the kernel keeps of this process; where there is none, nothing is known.
    """

    def __init__(self, proc: str = "/proc/self") -> None:
        self._lock = threading.Lock()
        self._spans: set[Span] = set()
        self._status = _opened(f"{proc}/status", os.O_RDONLY)
        self._reset = _opened(f"{proc}/clear_refs", os.O_WRONLY)
        self._cleared = 0.0
        self._latest = self._read()

    def begin(self) -> Span:
        """A call begins."""
        now = time.monotonic()
        with self._lock:
            if now - self._cleared > _STALE:
                self._clear(now)
            span = Span(now)
            self._spans.add(span)
        return span

    def end(self, span: Span) -> int:
        """The highest resident memory since the call began, in bytes; 0 where that is not known.

        Args:
            span: What `begin` gave for it.
        """
        with self._lock:
            self._spans.discard(span)
            if time.monotonic() - span.began > WORTH_A_LOOK:
                self._latest = max(self._read(), span.peak)
            return self._latest

    def _clear(self, now: float) -> None:
        self._cleared = now
        if self._spans:
            peak = self._read()
            for span in self._spans:
                span.peak = max(span.peak, peak)
        if self._reset is not None:
            try:
                os.pwrite(self._reset, b"5", 0)
            except (
                OSError
            ):  # this kernel does not: from now on the larger of what is there at the ends counts
                self._reset = None

    def _read(self) -> int:
        if self._status is None:
            return 0
        field = b"VmHWM:" if self._reset is not None else b"VmRSS:"
        found = os.pread(self._status, _STATUS_BYTES, 0).partition(field)[2].split(None, 1)
        return int(found[0]) << 10 if found else 0


def _opened(path: str, flags: int) -> int | None:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError:
        return None

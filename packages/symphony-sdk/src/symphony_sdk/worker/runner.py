"""Threads that run short work one piece after the other, and long work beside each other.

One thread at a time drives: it takes piece after piece, so that a thousand short ones cost no change of threads.
Where a piece takes longer than a slice, another thread drives from then on, and the first one finishes what it
has. `concurrent.futures` hands each piece to a thread of its own choice, and costs every worker the import of
`logging`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from typing import Final

SLICE: Final = 0.005
"""Seconds that a piece of work may take before another thread goes on with those that wait."""

TICK: Final = 0.001
"""Seconds between two looks at the one that drives."""

_QUIET_TICKS: Final = 50


class _Seat:
    """A thread of the runner; `began` says since when it runs its piece of work, `turn` is locked until it drives."""

    __slots__ = ("began", "turn")

    def __init__(self) -> None:
        self.began = inf
        self.turn = threading.Lock()  # as a semaphore of one: threading's own takes ten times as long
        self.turn.acquire()


class Runner:
    """Runs work on threads that are started when they are needed, and kept.

    Args:
        flush: Called often, by any of the threads, and always before they have nothing to do: passes on what the
            work gave. It may take long where nobody takes that; no further work is begun meanwhile.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._lock = threading.Lock()
        self._work: deque[Callable[[], None]] = deque()
        self._driver: _Seat | None = None
        self._idle: list[_Seat] = []
        self._watcher: threading.Lock | None = None
        self._watching = False

    def submit(self, work: Iterable[Callable[[], None]]) -> None:
        """Run work soon; returns at once.

        Args:
            work: Functions that raise nothing.
        """
        with self._lock:
            self._work.extend(work)
            if self._work and self._driver is None:
                self._promote()
            if not self._watching:
                self._watch_again()

    def _promote(self) -> None:
        if self._idle:
            seat = self._idle.pop()
        else:
            seat = _Seat()
            threading.Thread(target=self._sit, args=(seat,), daemon=True).start()
        self._driver = seat
        seat.turn.release()

    def _sit(self, seat: _Seat) -> None:
        while True:
            seat.turn.acquire()
            self._drive(seat)
            with self._lock:
                self._idle.append(seat)

    def _drive(self, seat: _Seat) -> None:
        flushed = time.monotonic()
        while True:
            with self._lock:
                if self._driver is not seat:
                    break  # its last piece took long, and another one drives
                if not self._work:
                    self._driver = None
                    return
                work = self._work.popleft()
                seat.began = now = time.monotonic()
            if now - flushed > TICK:
                self._flush_from(seat)
                flushed = seat.began = time.monotonic()
            work()
            seat.began = inf
            if not self._work:
                self._flush()
        self._flush()

    def _flush_from(self, seat: _Seat) -> None:
        seat.began = (
            inf  # whoever waits for the host to read is not replaced by one that gives it more to read
        )
        self._flush()

    def _watch_again(self) -> None:
        self._watching = True
        if self._watcher is None:
            self._watcher = threading.Lock()
            self._watcher.acquire()
            threading.Thread(target=self._watch, args=(self._watcher,), daemon=True).start()
        else:
            self._watcher.release()

    def _watch(self, again: threading.Lock) -> None:
        quiet = 0
        while True:
            # That a piece takes long tells nobody, so it is looked at; where none runs, this thread rests below.
            time.sleep(TICK)
            rest = False
            with self._lock:
                if self._driver is None:
                    quiet += 1
                    rest = quiet > _QUIET_TICKS
                    self._watching = not rest
                else:
                    quiet = 0
                    if time.monotonic() - self._driver.began > SLICE:
                        self._driver = None
                        if self._work:
                            self._promote()
            if rest:
                again.acquire()
                quiet = 0
            else:
                self._flush()

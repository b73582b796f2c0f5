"""How often an extension that crashes is started again, and how soon."""

import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final

RESTARTS: Final = 3
"""Restarts within `RESTART_WINDOW` after which an extension that crashes once more is quarantined."""

RESTART_WINDOW: Final = 60.0
"""Seconds."""

BACKOFF: Final = 0.1
"""Seconds before the second restart within the window, and up to as long again; each later one waits twice as long."""


class Restarts:
    """The crashes of one extension, and what follows of them.

    Restart intensity as in the supervisors of Erlang/OTP; the one try after a quarantine is a half-open breaker.

    Args:
        one_try: Whether the first crash within the window is one too many: it was quarantined.
        clock: Seconds that never go back.
        jitter: From 0 to 1: spreads the restarts of extensions that crash of the same thing.
    """

    def __init__(
        self,
        *,
        one_try: bool = False,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._crashes: deque[float] = deque(maxlen=RESTARTS + 1)
        self._trial_ends = clock() + RESTART_WINDOW if one_try else 0.0

    def crashed(self, *, loading: bool = False) -> None:
        """A worker has crashed.

        Args:
            loading: Whether it was not ready yet; that counts double, as the next one will hardly fare better.
        """
        self._crashes.extend([self._clock()] * (2 if loading else 1))

    def recent(self) -> int:
        """How many crashes count, of which one may count double."""
        now = self._clock()
        return sum(now - moment < RESTART_WINDOW for moment in self._crashes)

    def exhausted(self) -> bool:
        """Whether the extension has crashed too often to be started again."""
        recent = self.recent()
        return recent > RESTARTS or (recent > 0 and self._clock() < self._trial_ends)

    def delay(self) -> float:
        """Seconds until it is to be started again."""
        recent = self.recent()
        if recent < 2:
            return 0.0
        wait = BACKOFF * 2.0 ** (recent - 2) * (1 + self._jitter())
        return max(0.0, self._crashes[-1] + wait - self._clock())

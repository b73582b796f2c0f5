"""Sees that a call neither runs nor is silent for too long, whatever its executor does about that."""

import asyncio
from collections.abc import Callable

from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.ports.executor import NodeCall, NodeEvent

GRACE = 5.0
"""Seconds that calls have to stop by themselves before they are stopped by force, and then to report."""


class Watch:
    """Looks after one call that has begun.

    A call that is silent for too long is told to stop, and after a grace by force. The time that a call may run is
    seen to by its executor; only where that does nothing for a grace, the call is stopped by force. One that does not
    even then report its end is given up after another grace.

    Args:
        call: The call, which has just begun; at least one of its two bounds is set.
        cancel: Stops it, by force or not.
        give_up: Takes the end of a call whose executor does not report it.

    Attributes:
        verdict: Why the call was stopped; None while it may run.
    """

    __slots__ = ("_call", "_cancel", "_give_up", "_heard", "_loop", "_started", "_timer", "verdict")

    def __init__(
        self, call: NodeCall, *, cancel: Callable[[bool], None], give_up: Callable[[NodeEvent], None]
    ) -> None:
        self.verdict: ErrorPayload | None = None
        self._call = call
        self._cancel = cancel
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._started = self._heard = self._loop.time()
        self._timer = self._loop.call_at(min(self._late, self._silent), self._look)

    def hear(self) -> None:
        """The call has said how far it is."""
        self._heard = self._loop.time()

    def close(self) -> None:
        """The call has ended."""
        self._timer.cancel()

    @property
    def _late(self) -> float:
        """When the call has run for too long."""
        return float("inf") if self._call.timeout is None else self._started + self._call.timeout + GRACE

    @property
    def _silent(self) -> float:
        """When the call has been silent for too long."""
        idle = self._call.idle_timeout
        return float("inf") if idle is None else self._heard + idle

    def _look(self) -> None:
        now, call = self._loop.time(), self._call
        if now >= self._late:
            self.verdict = RunError(
                f"node {call.node!r} took longer than its {call.timeout:g} s, and its executor let it",
                code="SYM-R089",
                hint="Raise its `timeout`, or let it do less at a time.",
                details={"node": call.node},
            ).payload()
            self._force()
        elif now >= self._silent:
            self.verdict = RunError(
                f"node {call.node!r} said nothing for {call.idle_timeout:g} s",
                code="SYM-R090",
                hint="Let its operation call `ctx.progress` or `ctx.heartbeat`, or raise its `idle_timeout`.",
                details={"node": call.node},
            ).payload()
            self._cancel(False)
            self._timer = self._loop.call_later(GRACE, self._force)
        else:
            self._timer = self._loop.call_at(min(self._late, self._silent), self._look)

    def _force(self) -> None:
        self._cancel(True)
        gone = NodeEvent(self._call, "failed", error=self.verdict)
        self._timer = self._loop.call_later(GRACE, self._give_up, gone)

"""Hands the ready calls of a run to its executor, the most urgent first, and takes each one's report once.

They go in small batches, few at a time: so few that a pause takes effect at once and a crash loses little, and
large enough that the way to the executor is paid once for many short calls.
"""

import asyncio
import heapq
import time
from collections.abc import Callable

from symphony_sdk.errors import RunError, foreign_error
from symphony_sdk.ports.executor import ExecutorPort, NodeCall, NodeEvent

GRACE = 5.0
"""Seconds that calls have to stop by themselves before they are stopped by force, and then to report."""

BATCHES_PER_SLOT = 2
LARGEST_BATCH = 64
BATCH_SECONDS = 0.02
"""How long the calls of one batch should take together; an operation of which nothing is known fills a batch."""

BURST = 0.001
"""Seconds for which calls are handed out before others have their turn on the event loop."""

Key = tuple[int, int]
"""A node's number and the index of its item; -1 for the whole node."""


class _Flight:
    """A call that the executor has; `batch` counts those of its batch that are still out."""

    __slots__ = ("attempt", "batch", "key")

    def __init__(self, key: Key, attempt: int, batch: list[int]) -> None:
        self.key = key
        self.attempt = attempt
        self.batch = batch


class Dispatcher:
    """The calls of one run that wait for the executor, or that it has.

    Args:
        run: Id of the run.
        executor: Runs the calls.
        prepare: Makes the call of a key when its turn has come; None where there is nothing to call.
        report: Takes what the executor reports of a call: its beginning, its progress, and its end.
        on_idle: Called when calls that do not end were given up.
    """

    def __init__(
        self,
        run: str,
        executor: ExecutorPort,
        *,
        prepare: Callable[[Key], NodeCall | None],
        report: Callable[[Key, NodeEvent], None],
        on_idle: Callable[[], None],
    ) -> None:
        self._run = run
        self._executor = executor
        self._prepare = prepare
        self._report = report
        self._on_idle = on_idle
        self._waiting: list[tuple[int, int, int]] = []
        self._flights: dict[tuple[str, int], _Flight] = {}
        self._batches = 0
        self._typical: dict[str, float] = {}
        self._graces: list[asyncio.TimerHandle] = []
        self._cancelled = False

    @property
    def idle(self) -> bool:
        """Whether the executor has no call of this run."""
        return not self._flights

    @property
    def empty(self) -> bool:
        """Whether nothing waits for its turn."""
        return not self._waiting

    def busy(self, number: int) -> bool:
        """Whether the executor has a call of a node.

        Args:
            number: The node.
        """
        return any(flight.key[0] == number for flight in self._flights.values())

    def withdraw(self, number: int, node: str) -> None:
        """Let nothing of a node wait any more, and tell its calls that are out to stop.

        Args:
            number: The node.
            node: Its id.
        """
        self._waiting = [entry for entry in self._waiting if entry[1] != number]
        heapq.heapify(self._waiting)
        if self.busy(number):
            self._executor.cancel(self._run, node)
            loop = asyncio.get_running_loop()
            self._graces.append(loop.call_later(GRACE, self._force, number, node))

    def _force(self, number: int, node: str) -> None:
        if self.busy(number):
            self._executor.cancel(self._run, node, force=True)

    def push(self, priority: int, key: Key) -> None:
        """Let a node or an item wait for its turn.

        Args:
            priority: Larger is more urgent.
            key: The node or item.
        """
        heapq.heappush(self._waiting, (-priority, *key))

    def hand_out(self, go_on: Callable[[], bool]) -> bool:
        """Hand out what the executor can take, for a moment; whether there is more to hand out at once.

        Args:
            go_on: Whether any further call may be handed out.
        """
        until = time.perf_counter() + BURST
        slots = max(1, self._executor.slots)
        while self._waiting and self._batches < BATCHES_PER_SLOT * slots and go_on():
            self._submit(self._next_batch(slots))
            if time.perf_counter() > until:
                return True
        return False

    def cancel(self) -> None:
        """Stop the calls that are out: kindly, after a grace by force, and after another without their report."""
        if self._cancelled:
            return
        self._cancelled = True
        loop = asyncio.get_running_loop()
        self._graces += [
            loop.call_later(GRACE, lambda: self._executor.cancel(self._run, force=True)),
            loop.call_later(2 * GRACE, self._give_up),
        ]
        self._executor.cancel(self._run)

    def close(self) -> None:
        """Forget the timers; no call is out."""
        for timer in self._graces:
            timer.cancel()

    def _next_batch(self, slots: int) -> list[NodeCall]:
        most = min(LARGEST_BATCH, max(1, len(self._waiting) // (BATCHES_PER_SLOT * slots)))
        calls: list[NodeCall] = []
        batch, expected = [0], 0.0
        while self._waiting and len(calls) < most and expected < BATCH_SECONDS:
            _, number, item = heapq.heappop(self._waiting)
            call = self._prepare((number, item))
            if call is not None:
                calls.append(call)
                before = self._flights.pop((call.node, item), None)
                if before is not None:  # it was given up, and never reported its end
                    self._land(before)
                self._flights[call.node, item] = _Flight((number, item), call.attempt, batch)
                expected += self._typical.get(call.operation, BATCH_SECONDS)
        batch[0] = len(calls)
        return calls

    def _submit(self, calls: list[NodeCall]) -> None:
        if not calls:
            return
        self._batches += 1
        try:
            self._executor.submit(calls, self._on_event)
        except Exception as error:  # noqa: BLE001 - an executor is an extension; what it breaks, it fails
            payload = foreign_error(error, self._executor.name).payload()
            for call in calls:
                self._on_event(NodeEvent(call=call, kind="failed", error=payload))

    def _on_event(self, event: NodeEvent) -> None:
        call, kind = event.call, event.kind
        flight = self._flights.get((call.node, call.item))
        if flight is None or flight.attempt != call.attempt:  # reported twice, or after it was given up
            return
        if kind in ("completed", "failed"):
            del self._flights[call.node, call.item]
            self._land(flight)
            if kind == "completed":
                known = self._typical.get(call.operation, event.seconds)
                self._typical[call.operation] = known + (event.seconds - known) / 8
            elif event.error is None:
                error = RunError(f"executor {self._executor.name!r} gave no reason why {call.node!r} failed")
                event = NodeEvent(call=call, kind="failed", error=error.payload(), retryable=event.retryable)
        self._report(flight.key, event)

    def _land(self, flight: _Flight) -> None:
        flight.batch[0] -= 1
        if not flight.batch[0]:
            self._batches -= 1

    def _give_up(self) -> None:
        self._flights.clear()
        self._on_idle()

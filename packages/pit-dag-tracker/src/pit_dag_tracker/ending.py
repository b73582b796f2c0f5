"""Stops one run and ends it: knows why it is to stop, sees when nothing of it is under way, and makes its last event."""

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import RunCancelled, RunCompleted, RunFailed, RunPaused, RunWaiting
from symphony_sdk.ports.pit import RunPolicy
from symphony_workflow.state import NodeState, RunState

from pit_dag_tracker.attempts import Attempts
from pit_dag_tracker.deadlines import Deadlines
from pit_dag_tracker.dispatcher import Dispatcher
from pit_dag_tracker.failures import run_failure, run_late
from pit_dag_tracker.frontier import Frontier
from pit_dag_tracker.graph import Instance
from pit_dag_tracker.journal import Journal
from pit_dag_tracker.ledger import Ledger

Stop = Literal["pause", "close", "fail", "cancel"]
"""Why a run stops; `fail`, because a node failed that must not, or its time is over."""

_BROKEN_OFF = ("close", "fail", "cancel")


class Ending:
    """The end of one run, which may come at any time, and be taken back while it is only a pause.

    Args:
        run: Id of the run.
        ledger: Where the run is.
        policy: How the run is run.
        journal: Makes the last event.
        frontier: Knows how many nodes have not ended.
        dispatcher: Has the calls that are out.
        attempts: Has the nodes that wait for another attempt.
        deadlines: Ends what takes too long.
        break_off: Skips what is left of a workflow inside of the run, one of whose nodes has failed.
        busy: Whether outputs are being stored, or earlier results being read.
        wake: Lets the run look at what has changed.

    Attributes:
        why: Why the run is to stop; None while it is not.
        until: When its time is over, as the event loop tells the time; None where it has as much as it needs.
    """

    def __init__(
        self,
        run: str,
        ledger: Ledger,
        policy: RunPolicy,
        *,
        journal: Journal,
        frontier: Frontier,
        dispatcher: Dispatcher,
        attempts: Attempts,
        deadlines: Deadlines,
        break_off: Callable[[int, Instance], None],
        busy: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        self.why: Stop | None = None
        self.until: float | None = None
        self._run = run
        self._ledger = ledger
        self._policy = policy
        self._journal = journal
        self._frontier = frontier
        self._dispatcher = dispatcher
        self._attempts = attempts
        self._deadlines = deadlines
        self._break_off = break_off
        self._busy = busy
        self._wake = wake
        self._reason = ""
        self._overdue: ErrorPayload | None = None
        self._log_failure: RunError | None = None

    @property
    def near(self) -> bool:
        """Whether the run has ended or is about to."""
        return self.why is not None or self._log_failure is not None or self._journal.final is not None

    @property
    def sure(self) -> bool:
        """Whether the run can no longer be let go on here."""
        return self.broken_off or self._log_failure is not None or self.written

    @property
    def written(self) -> bool:
        """Whether the last event of the run is on its way to the disk."""
        return self._journal.final is not None and not self._journal.stalled

    @property
    def broken_off(self) -> bool:
        """Whether the run stops without waiting for its calls, so that what these report is no failure."""
        return self.why in _BROKEN_OFF

    @property
    def can_be_taken_back(self) -> bool:
        """Whether the run is about to pause and has not done so."""
        return self.why == "pause" and not self.written and self._log_failure is None

    def begin(self) -> None:
        """Let the time of the run begin."""
        if self._policy.timeout is not None:
            left = max(0.0, self._policy.timeout - self._ledger.spent)
            self.until = asyncio.get_running_loop().time() + left
            self._deadlines.set(self._ledger.graph.top, left, self._late)

    def stop(self, how: Stop, reason: str = "") -> None:
        """Start no further node, and end the run once those that run have ended.

        Args:
            how: `pause` waits for running calls; the others stop them.
            reason: Why, for RunPaused.
        """
        if self._journal.final is not None or self._journal.stalled or self.why == "cancel":
            return
        if self.why == "fail" and how != "cancel":
            return
        self.why, self._reason = how, reason
        self._attempts.hold()
        if how != "pause":
            self._dispatcher.cancel()
        self._wake()

    def take_back(self) -> None:
        """Let the run go on that was about to pause."""
        self.why = None
        self._attempts.go_on()
        self._deadlines.go_on()
        self._wake()

    def log_failed(self, error: RunError) -> None:
        """Stop because the log cannot be written.

        Args:
            error: Why.
        """
        if self._journal.stalled:
            return
        self._log_failure = error
        self._attempts.hold()
        if self._journal.final is not None:
            self._journal.stall(error)
        self._wake()

    def look_at_clock(self) -> None:
        """Stop where the time of the run is over: a call may say so before the run's own timer does."""
        if self.until is not None and asyncio.get_running_loop().time() >= self.until:
            self._late()

    def take_failures(self) -> None:
        """Let no further node start where one has failed: in the run, or in the workflow inside of it."""
        graph, ledger = self._ledger.graph, self._ledger
        broken, ledger.broken = ledger.broken, []
        for number in broken:
            instance = graph.of[number]
            if ledger.state[number] is not NodeState.FAILED:
                continue
            if instance is graph.top:
                self.stop("fail")
            else:
                self._break_off(instance.owner, instance)

    def check(self) -> None:
        """End the run where nothing of it is under way and nothing can begin; or say that it waits for people."""
        journal, ledger = self._journal, self._ledger
        if not self._dispatcher.idle or self._busy() or journal.final is not None or journal.stalled:
            return
        if self._log_failure is not None:
            self._close()
            journal.stall(self._log_failure)
        elif self.why is not None:
            self._close()
            if self.why == "fail":
                self._fail(self._overdue or run_failure(self._run, ledger))
            elif self.why == "cancel":
                journal.end(RunCancelled(**journal.head()), RunState.CANCELLED)
            else:
                journal.end(RunPaused(**journal.head(), reason=self._reason), RunState.PAUSED)
        elif not self._frontier.left[ledger.graph.top]:
            self._close()
            self._finish()
        elif ledger.waiting and ledger.run_state is RunState.RUNNING and self._needs_people:
            nodes = tuple(ledger.graph.nodes[number].id for number in sorted(ledger.waiting))
            journal.emit(RunWaiting(**journal.head(), nodes=nodes))

    @property
    def _needs_people(self) -> bool:
        """Whether only people can let the run go on, if the executor has nothing of it."""
        return self._dispatcher.empty and not self._attempts.waiting

    def _late(self) -> None:
        """The run had time enough to end."""
        if not self.near and self._policy.timeout is not None:
            self._overdue = run_late(self._run, self._policy.timeout)
            self.stop("fail")

    def _close(self) -> None:
        self._deadlines.close()
        self._dispatcher.close()

    def _finish(self) -> None:
        error = run_failure(self._run, self._ledger)
        if error is not None and self._policy.on_failure != "isolate":
            self._fail(error)
            return
        seconds = max(0.0, time.time() - self._ledger.run_started)
        self._journal.end(RunCompleted(**self._journal.head(), seconds=seconds), RunState.COMPLETED)

    def _fail(self, error: ErrorPayload | None) -> None:
        error = error or RunError(f"run {self._run!r} was broken off").payload()
        self._journal.end(RunFailed(**self._journal.head(), error=error), RunState.FAILED, error)

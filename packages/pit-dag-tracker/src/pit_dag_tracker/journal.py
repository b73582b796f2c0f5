"""Makes an event of a run happen: it changes the ledger, is shown to the followers, and goes to the log.

Events are shown at once; the last one of a run is shown only when a crash can no longer undo it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import NodeProgressed, RunCommand, RunEvent, RunPaused, RunSteered
from symphony_workflow.state import RunState

from pit_dag_tracker.entries import Entry, Stored
from pit_dag_tracker.feed import Feed
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.tables import Outcome

NOTHING: Mapping[str, Stored] = {}


class Journal:
    """The one place where the events of a run that is under way are made.

    Args:
        run: Id of the run.
        ledger: Where the run is; its last event is durable.
        feed: Shows the events.
        log: Keeps the events.
        on_durable: Called on the event loop when more events are durable.
        on_failure: Called on the event loop when the log cannot be written.
        on_end: Called on the event loop once the last event is durable.
    """

    def __init__(
        self,
        run: str,
        ledger: Ledger,
        feed: Feed,
        log: EventLog,
        *,
        on_durable: Callable[[], None],
        on_failure: Callable[[RunError], None],
        on_end: Callable[[], None],
    ) -> None:
        self.ended = asyncio.Event()
        self.stalled = False
        self.final: RunEvent | None = None
        self._run = run
        self._ledger = ledger
        self._feed = feed
        self._log = log
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._sequence = ledger.sequence
        self._state = RunState.RUNNING
        self._unsent: list[Entry] = []

    @property
    def unwritten(self) -> int:
        """How many events are not durable yet."""
        return self._sequence - self._feed.durable

    def head(self) -> dict[str, Any]:
        """What the next event begins with: the run, the event's number, and the time."""
        sequence, at = self.next()
        return {"run": self._run, "sequence": sequence, "at": at}

    def next(self) -> tuple[int, float]:
        """The number and the time of the next event: what is left of its head where that must be made fast."""
        self._sequence += 1
        return self._sequence, time.time()

    def emit(self, event: RunEvent, stored: Mapping[str, Stored] = NOTHING) -> None:
        """Let an event happen.

        Args:
            event: Begins with [head][pit_dag_tracker.journal.Journal.head].
            stored: The outputs of the node or item that it completes.
        """
        self._ledger.apply(event)
        self._feed.publish(event)
        self._unsent.append((event, stored))

    def steer(self, command: RunCommand, actor: str, node: str = "", comment: str = "") -> None:
        """Let a command happen.

        Args:
            command: What was asked.
            actor: Who asked.
            node: Id of the node that it is about.
            comment: What the actor said about it.
        """
        self.emit(RunSteered(**self.head(), command=command, actor=actor, node=node, comment=comment))

    def progress(self, node: str, fraction: float, text: str) -> None:
        """Show how far a node is; that is neither numbered nor kept.

        Args:
            node: Id of the node.
            fraction: From 0 to 1.
            text: What is being done.
        """
        self._feed.progress(
            NodeProgressed(
                run=self._run,
                sequence=self._sequence,
                at=time.time(),
                node=node,
                fraction=fraction,
                text=text,
            )
        )

    def flush(self) -> None:
        """Send what happened to the log, and let the followers see it."""
        if self._unsent:
            entries, self._unsent = self._unsent, []
            logged = partial(self._logged, entries[-1][0].sequence)
            if self._ledger.run_state is self._state:
                self._log.append(self._run, entries, logged)
            else:
                self._state = self._ledger.run_state
                self._log.append(self._run, entries, logged, state=self._state.value)
        self._feed.wake()

    def end(self, event: RunEvent, state: RunState, error: ErrorPayload | None = None) -> None:
        """Write the last event, and show it when it is durable.

        Args:
            event: Begins with [head][pit_dag_tracker.journal.Journal.head].
            state: The state that it leaves the run in.
            error: Why the run failed.
        """
        self.final = event
        self.flush()
        outcome = Outcome(state.value, event.at, error)
        self._log.append(self._run, [(event, NOTHING)], partial(self._logged, event.sequence), outcome)

    def stall(self, error: RunError) -> None:
        """The log cannot be written: show a pause that is not in it, and let nothing more happen.

        Args:
            error: Why.
        """
        self.stalled = True
        self._ledger.run_state = RunState.PAUSED
        self._ledger.run_error = error.payload()
        last = self._feed.last
        self._feed.end(RunPaused(run=self._run, sequence=last, at=time.time(), reason=error.message))
        self.ended.set()

    def _logged(self, last: int, error: RunError | None) -> None:
        """Called in the log's thread."""
        with suppress(RuntimeError):  # the event loop is gone, and the run with it
            self._loop.call_soon_threadsafe(self._written, last, error)

    def _written(self, last: int, error: RunError | None) -> None:
        if error is not None:
            self._on_failure(error)
            return
        self._feed.durable = max(self._feed.durable, last)
        if self.final is None or last < self.final.sequence:
            self._on_durable()
        elif not self.stalled:
            self._ledger.apply(self.final)
            self._feed.publish(self.final)
            self._feed.end()
            self.ended.set()
            self._on_end()

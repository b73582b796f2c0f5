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
from symphony_sdk.events import (
    NodeCompleted,
    NodeProgressed,
    NodeStarted,
    RunCommand,
    RunEvent,
    RunPaused,
    RunSteered,
)
from symphony_sdk.ports.executor import NodeEvent
from symphony_workflow.state import NodeState, RunState

from pit_dag_tracker.entries import Entry, Stored
from pit_dag_tracker.feed import Feed
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.result_tables import Keyed
from pit_dag_tracker.tables import Outcome

MOST_UNWRITTEN = 20_000
"""Events that may wait for the disk before no further node is handed out."""

READY = NodeState.READY
NOTHING: Mapping[str, Stored] = {}


class Journal:
    """The one place where the events of a run that is under way are made.

    Args:
        run: Id of the run.
        ledger: Where the run is; its last event is durable.
        feed: Shows the events.
        log: Keeps the events.
        on_room: Called on the event loop when it is no longer full.
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
        on_room: Callable[[], None],
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
        self._on_room = on_room
        self._on_failure = on_failure
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._sequence = ledger.sequence
        self._state = RunState.RUNNING
        self._unsent: list[Entry] = []
        self._results: list[Keyed] = []
        self._publish = feed.publish

    @property
    def full(self) -> bool:
        """Whether so much waits for the disk that no further node should be handed out."""
        return self._sequence - self._feed.durable >= MOST_UNWRITTEN

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
        self._publish(event)
        self._unsent.append((event, stored))

    def ran(self, number: int, report: NodeEvent, received: int, produced: int) -> int:
        """Let an operation have run: its node starts, unless it has, and completes; `emit` for most of all events.

        Args:
            number: The node, which is ready or running.
            report: The executor's last word.
            received: Bytes of its inputs.
            produced: Bytes of its outputs, which are not large and refer to no artifact.

        Returns:
            The number of its completion.
        """
        call, ledger, started = report.call, self._ledger, None
        # What the links of a chain began and ended is reported together.
        seconds = 0.0 if call.takes is None else report.seconds
        sequence, at = self._sequence + 1, time.time()
        if ledger.state[number] is READY:
            started = NodeStarted(
                run=self._run, sequence=sequence, at=at, node=call.node, attempt=call.attempt
            )
            self._publish(started)
            self._unsent.append((started, NOTHING))
            sequence += 1
        elif at - ledger.started[number] > seconds:
            seconds = at - ledger.started[number]
        self._sequence = sequence
        completed = NodeCompleted(
            run=self._run,
            sequence=sequence,
            at=at,
            node=call.node,
            seconds=seconds,
            work=report.seconds,
            received=received,
            produced=produced,
            memory=report.memory,
            place=report.place,
        )
        self._publish(completed)
        self._unsent.append((completed, report.outputs))
        if started:
            ledger.node_ran(number, started, completed)
        else:
            ledger.node_completed(number, completed)
        return sequence

    def keep(self, result: Keyed) -> None:
        """Let the log remember what a result was computed from.

        Args:
            result: The keys of an event that was emitted since the last flush.
        """
        self._results.append(result)

    def unsent(self, sequence: int) -> Entry | None:
        """An event that is not on its way to the log yet, with its outputs; None for any other.

        Args:
            sequence: Number of the event.
        """
        place = sequence - self._unsent[0][0].sequence if self._unsent else -1
        return self._unsent[place] if 0 <= place < len(self._unsent) else None

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
            self._send()
        self._feed.wake()

    def _send(self) -> None:
        entries, self._unsent = self._unsent, []
        results, self._results = self._results, []
        logged = partial(self._logged, entries[-1][0].sequence)
        if self._ledger.run_state is self._state:
            self._log.append(self._run, entries, logged, results=results)
        else:
            self._state = self._ledger.run_state
            self._log.append(self._run, entries, logged, state=self._state.value, results=results)

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
        full = self.full
        self._feed.durable = max(self._feed.durable, last)
        if self.final is None or last < self.final.sequence:
            if full and not self.full:
                self._on_room()
        elif not self.stalled:
            self._ledger.apply(self.final)
            self._publish(self.final)
            self._feed.end()
            self.ended.set()
            self._on_end()

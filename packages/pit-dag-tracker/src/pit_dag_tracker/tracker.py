"""The DAG Tracker: starts, resumes, pauses and cancels runs, and answers what became of them."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import RunEvent, RunResumed, RunStarted
from symphony_sdk.ports.executor import ExecutorPort, Resources
from symphony_sdk.ports.pit import RunRequest, RunStatus
from symphony_sdk.providers import Services
from symphony_sdk.values import DECODING_ERRORS
from symphony_workflow.document import from_document
from symphony_workflow.model import Workflow
from symphony_workflow.plan import compile_plan
from symphony_workflow.state import NodeState

from pit_dag_tracker.feed import Feed
from pit_dag_tracker.journal import NOTHING
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.owner import Owner
from pit_dag_tracker.recovery import Remains, replay, revive
from pit_dag_tracker.scheduler import Scheduler, runnable
from pit_dag_tracker.spill import Spill
from pit_dag_tracker.tables import RunRow, add_run, cancel_run, find_run, take_run
from pit_dag_tracker.wiring import Wiring, workflow_inputs

LOG_NAME = "runs.sqlite"
POLL = 0.1
"""Seconds between two looks at a run that another process works on."""


class Tracker:
    """Runs workflow graphs on a durable log; the [DagTracker][symphony_sdk.ports.DagTracker] of the family.

    Args:
        services: Gives the place of the log, the executors and the Artifact Store.

    Raises:
        RunError: The log cannot be opened.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._log = EventLog(services.data_dir / LOG_NAME)
        self._owner = Owner(services.data_dir / "owners")
        self._live: dict[str, Scheduler] = {}
        self._workflows: dict[str, str] = {}
        self._resuming: set[str] = set()

    async def start(self, request: RunRequest) -> str:
        """Begin a run, and return its id once a crash can no longer lose it.

        Args:
            request: What to run.

        Raises:
            WorkflowError: The workflow has no order, or an input is missing.
            RunError: The executor is unknown or cannot place a node, a node is of a kind that cannot be run, or the
                log cannot be written.
        """
        workflow, ledger, wiring = await asyncio.to_thread(_compile, request)
        executor = await self._executor(request.executor)
        now = time.time()
        run = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        event = RunStarted(run=run, sequence=1, at=now, workflow=workflow.id, nodes=len(workflow.nodes))
        row = RunRow(
            run, workflow.id, msgspec.msgpack.encode(request), now, "running", owner=self._owner.name
        )
        await asyncio.wrap_future(
            self._log.work(lambda connection: add_run(connection, row, (event, NOTHING)))
        )
        ledger.apply(event)
        self._begin(row, ledger, wiring, Remains(), executor, event)
        return run

    async def resume(self, run: str) -> None:
        """Go on with a run that was paused, interrupted or failed; completed nodes are not run again.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, it is completed, it is running already, here or in another process,
                its log is damaged, or the log cannot be written.
        """
        if run in self._resuming:
            raise _wrong_state(run, "is being resumed already")
        self._resuming.add(run)
        try:
            await self._resume(run)
        finally:
            self._resuming.discard(run)

    async def pause(self, run: str) -> None:
        """Start no further node of a run; those that run may end, and RunPaused follows.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, it has ended, or another process works on it.
        """
        live = self._live.get(run)
        if live is not None:
            live.stop("pause", "paused by its user")
            return
        row = await asyncio.to_thread(self._log.run, run)
        if row.state in _ENDS:
            raise _wrong_state(run, f"is {row.state}")
        self._refuse_foreign(row)

    async def cancel(self, run: str) -> None:
        """End a run, and return once it has ended; operations that run are told to stop.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, it has ended, another process works on it, or the log cannot be
                written.
        """
        live = self._live.get(run)
        if live is not None and live.stalled:
            await self._unstall(run)
            live = None
        if live is not None:
            live.stop("cancel")
            await live.wait_ended()
            return
        await asyncio.wrap_future(self._log.work(lambda connection: self._cancel_idle(connection, run)))

    def events(self, run: str, after: int = 0) -> AsyncIterator[RunEvent]:
        """The events of a run, those that happened first, then each as it happens, until the run ends.

        Args:
            run: Id of the run; it may run in another process.
            after: Sequence number of the last event already seen.

        Raises:
            RunError: There is no such run, or its log is damaged.
        """
        live = self._live.get(run)
        return self._recorded_events(run, after) if live is None else live.feed.follow(after)

    async def status(self, run: str) -> RunStatus:
        """Where a run is.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or its log is damaged.
        """
        live = self._live.get(run)
        if live is not None:
            return live.ledger.status(run, self._workflows[run], durable=live.feed.durable, now=time.time())
        row, ledger, _ = await asyncio.to_thread(self._replay, run)
        status = ledger.status(run, row.workflow, durable=ledger.sequence, now=time.time())
        brief = self._brief(row)
        return msgspec.structs.replace(status, state=brief.state, seconds=brief.seconds, error=brief.error)

    async def runs(self, limit: int = 100) -> Sequence[RunStatus]:
        """The newest runs first, without their nodes.

        Args:
            limit: At most so many.

        Raises:
            RunError: The log is damaged.
        """
        rows = await asyncio.to_thread(self._log.runs, limit)
        return [self._brief(row) for row in rows]

    async def outputs(self, run: str) -> Mapping[str, bytes]:
        """Encoded values of a completed run's outputs by name; those of skipped nodes are left out.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or it is not completed.
            ArtifactError: The artifact of a large output is missing or damaged.
        """
        return await asyncio.to_thread(self._outputs, run)

    async def close(self) -> None:
        """Stop every run where it is, ready to be resumed, and close the log."""
        for live in list(self._live.values()):
            live.stop("close", "Symphony was closed")
        for live in list(self._live.values()):
            await live.wait_ended()
        await asyncio.to_thread(self._log.close)
        self._owner.close()

    # -- beginning and ending -------------------------------------------------------------------------

    async def _resume(self, run: str) -> None:
        live = self._live.get(run)
        if live is not None:
            if live.go_on():
                return
            if live.stalled:
                await self._unstall(run)
            elif live.stopping:  # it is just ending
                await live.wait_ended()
            else:
                raise _wrong_state(run, "is running already")
        row = await asyncio.wrap_future(self._log.work(lambda connection: self._free_run(connection, run)))
        if row.state == "completed":
            if live is not None:  # its end was all that had not been written
                return
            raise _wrong_state(run, "is completed", "Start the workflow again for another run.")
        request = _request(row)
        _, ledger, wiring = await asyncio.to_thread(_compile, request)
        remains = await asyncio.to_thread(lambda: replay(self._log.entries(run), ledger))
        executor = await self._executor(request.executor)
        completed = sum(state is NodeState.COMPLETED for state in ledger.state)
        event = RunResumed(run=run, sequence=ledger.sequence + 1, at=time.time(), completed=completed)
        await asyncio.to_thread(revive, remains, ledger, Spill(self._services, run), event)
        await asyncio.wrap_future(self._log.work(lambda connection: self._take(connection, event)))
        self._begin(row, ledger, wiring, remains, executor, event)

    def _begin(
        self,
        row: RunRow,
        ledger: Ledger,
        wiring: Wiring,
        remains: Remains,
        executor: ExecutorPort,
        event: RunEvent,
    ) -> None:
        run = row.run

        async def read(after: int, until: int) -> list[RunEvent]:
            entries = await asyncio.to_thread(self._log.read, run, after)
            if not entries:
                raise RunError(
                    f"the log of run {run!r} lacks event {after + 1}",
                    code="SYM-R007",
                    details={"run": run},
                )
            return [event for event, _ in entries if event.sequence <= until]

        feed = Feed(event.sequence - 1, read)
        feed.publish(event)
        feed.durable = event.sequence
        live = Scheduler(
            run,
            ledger,
            wiring,
            remains,
            executor=executor,
            log=self._log,
            feed=feed,
            spill=Spill(self._services, run),
            on_end=lambda: self._forget(run),
        )
        self._live[run] = live
        self._workflows[run] = row.workflow
        live.begin()

    def _forget(self, run: str) -> None:
        self._live.pop(run, None)
        self._workflows.pop(run, None)

    async def _unstall(self, run: str) -> None:
        """Write what could not be written, and let the log say where the run is."""
        await asyncio.wrap_future(self._log.flush())
        self._forget(run)

    async def _executor(self, name: str) -> ExecutorPort:
        executors = self._services.executors
        if name not in executors:
            raise RunError(
                f"there is no executor {name!r}; there are {', '.join(sorted(executors)) or 'none'}",
                code="SYM-R004",
                hint="Choose one of these, or install the extension that brings it.",
            )
        executor = executors[name]
        await executor.start()
        if not executor.can_place(Resources()):
            raise RunError(
                f"executor {name!r} can run no node",
                code="SYM-R004",
                hint="See its settings: it may have no machines.",
            )
        return executor

    # -- inside a transaction of the log --------------------------------------------------------------

    def _free_run(self, connection: sqlite3.Connection, run: str) -> RunRow:
        """The row of a run on which no other process works."""
        row = find_run(connection, run)
        self._refuse_foreign(row)
        return row

    def _take(self, connection: sqlite3.Connection, event: RunResumed) -> None:
        self._free_run(connection, event.run)
        take_run(connection, self._owner.name, event)

    def _cancel_idle(self, connection: sqlite3.Connection, run: str) -> None:
        row = self._free_run(connection, run)
        if row.state in _ENDS:
            raise _wrong_state(run, f"is {row.state}")
        cancel_run(connection, run, time.time())

    def _refuse_foreign(self, row: RunRow) -> None:
        if row.owner not in ("", self._owner.name) and self._owner.alive(row.owner):
            raise RunError(
                f"run {row.run!r} is under way in the process {row.owner.partition('-')[0]}",
                code="SYM-R006",
                hint="Steer it from there, or end that process and resume the run.",
                details={"run": row.run, "process": row.owner.partition("-")[0]},
            )

    # -- from the log ---------------------------------------------------------------------------------

    async def _recorded_events(self, run: str, after: int) -> AsyncIterator[RunEvent]:
        """The events of a run that is over or in another process, and what follows where it is resumed here."""
        cursor = after
        while True:
            live = self._live.get(run)
            if live is not None:
                async for event in live.feed.follow(cursor):
                    yield event
                return
            row = await asyncio.to_thread(self._log.run, run)
            entries = await asyncio.to_thread(self._log.read, run, cursor)
            for event, _ in entries:
                yield event
                cursor = event.sequence
            if not entries and run not in self._live:
                if row.state != "running" or not self._owner.alive(row.owner):
                    return
                await asyncio.sleep(POLL)

    def _replay(self, run: str) -> tuple[RunRow, Ledger, tuple[Workflow, Remains]]:
        row = self._log.run(run)
        workflow = from_document(_request(row).workflow)
        ledger = Ledger(compile_plan(workflow))
        return row, ledger, (workflow, replay(self._log.entries(run), ledger))

    def _outputs(self, run: str) -> dict[str, bytes]:
        row, ledger, (workflow, remains) = self._replay(run)
        if row.state != "completed":
            raise _wrong_state(run, f"is {self._brief(row).state}, not completed")
        spill = Spill(self._services, run)
        found = {}
        for output in workflow.outputs:
            stored = remains.stored.get(ledger.plan.index[output.node], {})
            if output.port in stored:
                found[output.name] = spill.load({output.port: stored[output.port]})[output.port]
        return found

    def _brief(self, row: RunRow) -> RunStatus:
        state, ended = row.state, row.ended or time.time()
        error = msgspec.msgpack.decode(row.error, type=ErrorPayload) if row.error else None
        if state == "running" and not self._owner.alive(row.owner):
            state = "paused"
            error = RunError(
                f"the process that ran {row.run!r} has ended",
                code="SYM-R012",
                hint=f"`symphony resume {row.run}` goes on from there.",
            ).payload()
        return RunStatus(
            run=row.run,
            workflow=row.workflow,
            state=cast("Any", state),
            started=row.started,
            seconds=max(0.0, ended - row.started),
            error=error,
        )


_ENDS = ("completed", "failed", "cancelled")


def _compile(request: RunRequest) -> tuple[Workflow, Ledger, Wiring]:
    """What a run needs of its workflow; takes a while where that is large, so it belongs in a thread."""
    workflow = from_document(request.workflow)
    ledger = Ledger(compile_plan(workflow))
    runnable(ledger.plan.nodes)
    return workflow, ledger, Wiring(ledger.plan, workflow_inputs(workflow, request.inputs))


def _request(row: RunRow) -> RunRequest:
    try:
        return msgspec.msgpack.decode(row.request, type=RunRequest)
    except DECODING_ERRORS as error:
        raise RunError(
            f"the log of run {row.run!r} is damaged: {error}",
            code="SYM-R007",
            hint="Start the workflow anew; other runs are not affected.",
            details={"run": row.run},
        ) from error


def _wrong_state(run: str, what: str, hint: str = "") -> RunError:
    return RunError(
        f"run {run!r} {what}",
        code="SYM-R005",
        hint=hint,
        details={"run": run},
    )

"""The DAG Tracker: starts, resumes, pauses and cancels runs, and answers what became of them."""

import asyncio
import itertools
import os
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import RunEvent, RunResumed, RunStarted, RunSteered
from symphony_sdk.ports.executor import ExecutorPort, Resources
from symphony_sdk.ports.pit import HistoryEntry, RunRequest, RunStatus
from symphony_sdk.providers import Services
from symphony_sdk.values import DECODING_ERRORS
from symphony_workflow.document import from_document
from symphony_workflow.model import Workflow
from symphony_workflow.state import NodeState, RunState

from pit_dag_tracker.entries import Entry
from pit_dag_tracker.feed import Feed
from pit_dag_tracker.forking import Changes, affected, changed_request, reused
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.journal import NOTHING
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.mailbox import Command
from pit_dag_tracker.owner import Owner
from pit_dag_tracker.progress import Pace, pace_of, progress_of, read_pace, write_pace
from pit_dag_tracker.recovery import Remains, awaken, reload, renumbered, replay, revive
from pit_dag_tracker.resources import NOTHING_SPECIAL, described, needs
from pit_dag_tracker.scheduler import Scheduler
from pit_dag_tracker.spill import Spill
from pit_dag_tracker.steering import GOING_ON, Steering, may_retry, wrong_state
from pit_dag_tracker.tables import RunRow, add_run, find_run, read_history, take_run
from pit_dag_tracker.wiring import Wiring, workflow_inputs

LOG_NAME = "runs.sqlite"
POLL = 0.02
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
        self._paces: dict[str, Pace] = {}
        self._resuming: set[str] = set()
        self._steering = Steering(
            self._log,
            self._owner,
            self._live,
            replay=lambda run: self._replay(run)[:2],
            unstall=self._unstall,
            go_on=self._go_on,
            retry=self._retry_live,
        )

    async def start(self, request: RunRequest) -> str:
        """Begin a run, and return its id once a crash can no longer lose it.

        Args:
            request: What to run.

        Raises:
            WorkflowError: The workflow has no order, or an input is missing.
            RunError: The executor is unknown or cannot place a node, or the log cannot be written.
        """
        return await self._start(request)

    async def rerun(
        self,
        run: str,
        *,
        nodes: Sequence[str] = (),
        inputs: Mapping[str, bytes] | None = None,
        params: Mapping[str, Mapping[str, Any]] | None = None,
        actor: str = "",
    ) -> str:
        """Begin a new run of the same workflow with some things changed, and return its id.

        Results of completed nodes that depend on no change are taken over; the old run is left as it is.

        Args:
            run: Id of the old run, in any state, here or in another process.
            nodes: Ids of nodes to run again without a change.
            inputs: Encoded values of the workflow's inputs that are changed, by name.
            params: Params that are changed, by node and port.
            actor: Who asks.

        Raises:
            RunError: There is no such run or node, an edge feeds a port whose param is changed, or the log is
                damaged or cannot be written.
            WorkflowError: There is no such input.
        """
        await asyncio.wrap_future(
            self._log.flush()
        )  # what a run under way here has achieved until now counts
        changes = Changes(nodes, inputs or {}, params or {})
        row, source, (_, remains) = await asyncio.to_thread(self._replay, run)
        request = changed_request(_request(row), source.graph.top.plan, changes, actor)
        without = affected(source.graph.top.plan, changes)

        def taken_over(new: str, at: float) -> list[Entry]:
            return list(reused(run, new, at, source, remains.stored, without))

        return await self._start(request, run, taken_over)

    async def resume(self, run: str, *, actor: str = "") -> None:
        """Go on with a run that was paused, interrupted or failed; completed nodes are not run again.

        Args:
            run: Id of the run.
            actor: Who asks.

        Raises:
            RunError: There is no such run, it is completed, it is running already, its log is damaged, or the log
                cannot be written.
        """
        await self._steering.give(Command(run, "resume", actor))

    async def pause(self, run: str, *, actor: str = "") -> None:
        """Start no further node of a run; those that run may end, and RunPaused follows.

        Args:
            run: Id of the run.
            actor: Who asks.

        Raises:
            RunError: There is no such run, or it has ended.
        """
        await self._steering.give(Command(run, "pause", actor))

    async def cancel(self, run: str, *, actor: str = "") -> None:
        """End a run, and return once it has ended; operations that run are told to stop.

        Args:
            run: Id of the run.
            actor: Who asks.

        Raises:
            RunError: There is no such run, it has ended, or the log cannot be written.
        """
        await self._steering.give(Command(run, "cancel", actor))

    async def retry(self, run: str, node: str = "", *, actor: str = "") -> None:
        """Run a node again, and all that depends on it; the results of all others are kept.

        A run that has ended, is paused or was interrupted goes on with that, here.

        Args:
            run: Id of the run.
            node: Id of a node that has ended; empty for every node that failed.
            actor: Who asks.

        Raises:
            RunError: There is no such run or node, the node has not ended, no node failed, something that depends
                on the node is under way, or a result that it needs is lost.
        """
        await self._steering.give(Command(run, "retry", actor, node))

    async def skip(self, run: str, node: str, *, actor: str = "") -> None:
        """Let a node end without a result; what needs it is skipped, too. A running operation is told to stop.

        Args:
            run: Id of the run; the node stays skipped when it is resumed.
            node: Id of a node that has not completed.
            actor: Who asks.

        Raises:
            RunError: There is no such run or node, or the node is completed.
        """
        await self._steering.give(Command(run, "skip", actor, node))

    async def answer(self, run: str, node: str, approved: bool, *, by: str, comment: str = "") -> None:
        """Answer a node that waits for a person; where nobody works on the run, it goes on when it is resumed.

        Args:
            run: Id of the run.
            node: Id of the node.
            approved: What the person says.
            by: Who that is.
            comment: Why.

        Raises:
            RunError: There is no such run or node, it does not wait, it was answered differently, or the person is
                none of its approvers.
        """
        await self._steering.give(Command(run, "approve" if approved else "reject", by, node, comment))

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
        now, live = time.time(), self._live.get(run)
        if live is not None:
            status = live.ledger.status(run, self._workflows[run], durable=live.feed.durable, now=now)
            progress = progress_of(live.ledger, self._paces[run], now)
            return msgspec.structs.replace(status, progress=progress, process=os.getpid())
        row, ledger, _ = await asyncio.to_thread(self._replay, run)
        pace = await asyncio.to_thread(self._pace, row.workflow, ledger)
        status = ledger.status(run, row.workflow, durable=ledger.sequence, now=now)
        brief, progress = self._brief(row), progress_of(ledger, pace, now)
        if not brief.process and progress.eta:  # nobody works on it
            progress = msgspec.structs.replace(progress, eta=None)
        return msgspec.structs.replace(
            status,
            state=brief.state,
            seconds=brief.seconds,
            error=brief.error,
            process=brief.process,
            progress=progress,
        )

    async def runs(self, limit: int = 100) -> Sequence[RunStatus]:
        """The newest runs first, without their nodes.

        Args:
            limit: At most so many.

        Raises:
            RunError: The log is damaged.
        """
        rows = await asyncio.to_thread(self._log.runs, limit)
        return [self._brief(row) for row in rows]

    async def request(self, run: str) -> RunRequest:
        """What a run was asked to do.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or its log is damaged.
        """
        return _request(await asyncio.to_thread(self._log.run, run))

    async def history(self, run: str = "", *, after: int = 0, limit: int = 100) -> Sequence[HistoryEntry]:
        """Who gave which command, in order.

        Args:
            run: Id of the run; empty for all runs.
            after: Id of the last entry already seen.
            limit: At most so many.

        Raises:
            RunError: There is no such run, or the log is damaged.
        """

        def read(connection: sqlite3.Connection) -> list[HistoryEntry]:
            if run:
                find_run(connection, run)
            return read_history(connection, run, after, limit)

        return await asyncio.to_thread(self._log.look, read)

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
        await self._steering.close()
        for live in list(self._live.values()):
            live.stop("close", "Symphony was closed")
        for live in list(self._live.values()):
            await live.wait_ended()
        await asyncio.to_thread(self._log.close)
        self._owner.close()

    # -- beginning and ending -------------------------------------------------------------------------

    async def _start(
        self,
        request: RunRequest,
        origin: str = "",
        taken_over: Callable[[str, float], list[Entry]] | None = None,
    ) -> str:
        workflow, ledger, wiring = await asyncio.to_thread(_compile, request)
        executor = await self._executor(request.executor, workflow)
        now = time.time()
        run = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        started = RunStarted(
            run=run,
            sequence=1,
            at=now,
            workflow=workflow.id,
            nodes=len(workflow.nodes),
            actor=request.actor,
            origin=origin,
        )
        entries: list[Entry] = [(started, NOTHING), *(taken_over(run, now) if taken_over else ())]
        row = RunRow(
            run, workflow.id, msgspec.msgpack.encode(request), now, "running", owner=self._owner.name
        )
        await asyncio.wrap_future(self._log.work(lambda connection: add_run(connection, row, entries)))
        remains = replay(entries, ledger)
        await asyncio.to_thread(awaken, remains, ledger, Spill(self._services, run))
        await self._begin(row, ledger, wiring, remains, executor, [event for event, _ in entries])
        return run

    async def _go_on(self, command: Command) -> None:
        """Let a run on which nobody works go on."""
        run = command.run
        if run in self._resuming:
            raise wrong_state(run, "is being resumed already")
        self._resuming.add(run)
        try:
            await self._revive(command)
        finally:
            self._resuming.discard(run)

    async def _revive(self, command: Command) -> None:
        run = command.run
        row = await asyncio.wrap_future(self._log.work(lambda connection: self._free_run(connection, run)))
        if row.state == "completed" and command.kind == "resume":
            raise wrong_state(run, "is completed", "Start the workflow again for another run.")
        request = _request(row)
        workflow, ledger, wiring = await asyncio.to_thread(_compile, request)
        remains = await asyncio.to_thread(lambda: replay(self._log.entries(run), ledger))
        head: dict[str, Any] = {"run": run, "at": time.time()}
        steered = RunSteered(
            **head,
            sequence=ledger.sequence + 1,
            command=command.kind,
            actor=command.actor,
            node=command.node,
        )
        if command.kind == "retry":
            may_retry(ledger, steered)
        replay([(steered, NOTHING)], ledger, remains)
        executor = await self._executor(request.executor, workflow)
        completed = sum(state is NodeState.COMPLETED for state in ledger.state)
        resumed = RunResumed(**head, sequence=ledger.sequence + 1, completed=completed)
        await asyncio.to_thread(revive, remains, ledger, Spill(self._services, run), resumed)
        events: list[RunEvent] = [steered, resumed]
        await asyncio.wrap_future(self._log.work(lambda connection: self._take(connection, run, events)))
        await self._begin(row, ledger, wiring, remains, executor, events)

    async def _retry_live(self, live: Scheduler, command: Command) -> None:
        """Let nodes of a run that is under way here run again, with what they need from the log."""
        steered = RunSteered(
            run=command.run, sequence=0, at=0.0, command="retry", actor=command.actor, node=command.node
        )
        while True:
            again = may_retry(live.ledger, steered, out=live.out)
            live.flush()
            await asyncio.wrap_future(self._log.flush())
            remains = await asyncio.to_thread(self._what_it_takes, live.ledger.graph, steered, again)
            if self._live.get(command.run) is not live or live.stopped:
                raise wrong_state(command.run, "ended meanwhile", "Ask again.")
            if may_retry(live.ledger, steered, out=live.out) == again:
                live.retry(command.node, command.actor, again, remains)
                return

    def _what_it_takes(self, graph: Graph, steered: RunSteered, again: Sequence[int]) -> Remains:
        """What nodes of a run under way need from its log to run again; named by their numbers in its graph."""
        _, ledger, (_, remains) = self._replay(steered.run)
        replay([(steered, NOTHING)], ledger, remains)
        numbers = [ledger.graph.index[graph.nodes[number].id] for number in again]
        reload(remains, ledger, Spill(self._services, steered.run), numbers)
        return renumbered(remains, ledger.graph, graph)

    async def _begin(
        self,
        row: RunRow,
        ledger: Ledger,
        wiring: Wiring,
        remains: Remains,
        executor: ExecutorPort,
        events: Sequence[RunEvent],
    ) -> None:
        """Work on a run whose last events are durable."""
        run = row.run
        pace = await asyncio.to_thread(self._pace, row.workflow, ledger)

        async def read(after: int, until: int) -> list[RunEvent]:
            entries = await asyncio.to_thread(self._log.read, run, after)
            if not entries:
                raise RunError(
                    f"the log of run {run!r} lacks event {after + 1}",
                    code="SYM-R007",
                    details={"run": run},
                )
            return [event for event, _ in entries if event.sequence <= until]

        feed = Feed(events[0].sequence - 1, read)
        for event in events:
            feed.publish(event)
        feed.durable = events[-1].sequence
        live = Scheduler(
            run,
            ledger,
            wiring,
            remains,
            executor=executor,
            log=self._log,
            feed=feed,
            spill=Spill(self._services, run),
            on_end=lambda: self._ended(run),
        )
        self._live[run] = live
        self._workflows[run] = row.workflow
        self._paces[run] = pace
        self._steering.attend()
        live.begin()

    def _ended(self, run: str) -> None:
        ledger, workflow = self._live[run].ledger, self._workflows[run]
        if ledger.run_state is RunState.COMPLETED:
            pace = pace_of(ledger)
            self._log.work(lambda connection: write_pace(connection, workflow, pace))
        self._forget(run)

    def _forget(self, run: str) -> None:
        self._live.pop(run, None)
        self._workflows.pop(run, None)
        self._paces.pop(run, None)

    async def _unstall(self, run: str) -> None:
        """Write what could not be written, and let the log say where the run is."""
        await asyncio.wrap_future(self._log.flush())
        self._forget(run)

    async def _executor(self, name: str, workflow: Workflow) -> ExecutorPort:
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
        for node in itertools.chain(workflow.nodes, *(one.nodes for one in workflow.workflows)):
            resources = needs(node)
            if resources is not NOTHING_SPECIAL and not executor.can_place(resources):
                raise RunError(
                    f"executor {name!r} can never run node {node.id!r}, which needs {described(resources)}",
                    code="SYM-R081",
                    hint="Lower its `resources`, or choose an executor that has as much.",
                    details={"node": node.id, "executor": name},
                )
        return executor

    # -- inside a transaction of the log --------------------------------------------------------------

    def _free_run(self, connection: sqlite3.Connection, run: str) -> RunRow:
        """The row of a run on which no other process works."""
        row = find_run(connection, run)
        self._steering.refuse_foreign(row)
        return row

    def _take(self, connection: sqlite3.Connection, run: str, events: Sequence[RunEvent]) -> None:
        self._free_run(connection, run)
        take_run(connection, run, self._owner.name, events)

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
                if row.state not in GOING_ON or not self._owner.alive(row.owner):
                    return
                await asyncio.sleep(POLL)

    def _replay(self, run: str) -> tuple[RunRow, Ledger, tuple[Workflow, Remains]]:
        row = self._log.run(run)
        workflow = from_document(_request(row).workflow)
        ledger = Ledger(Graph(workflow))
        return row, ledger, (workflow, replay(self._log.entries(run), ledger))

    def _pace(self, workflow: str, ledger: Ledger) -> Pace:
        if ledger.run_state is RunState.COMPLETED:
            return pace_of(ledger)
        return self._log.look(lambda connection: read_pace(connection, workflow))

    def _outputs(self, run: str) -> dict[str, bytes]:
        row, ledger, (workflow, remains) = self._replay(run)
        if row.state != "completed":
            raise wrong_state(run, f"is {self._brief(row).state}, not completed")
        spill = Spill(self._services, run)
        found = {}
        for output in workflow.outputs:
            stored = remains.stored.get(ledger.graph.index[output.node], {})
            if output.port in stored:
                found[output.name] = spill.load({output.port: stored[output.port]})[output.port]
        return found

    def _brief(self, row: RunRow) -> RunStatus:
        state, ended = row.state, row.ended or time.time()
        error = msgspec.msgpack.decode(row.error, type=ErrorPayload) if row.error else None
        working = state in GOING_ON and self._owner.alive(row.owner)
        if state in GOING_ON and not working:
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
            process=int(row.owner.partition("-")[0]) if working else 0,
        )


def _compile(request: RunRequest) -> tuple[Workflow, Ledger, Wiring]:
    """What a run needs of its workflow; takes a while where that is large, so it belongs in a thread."""
    workflow = from_document(request.workflow)
    ledger = Ledger(Graph(workflow))
    return workflow, ledger, Wiring(ledger.graph, workflow_inputs(workflow, request.inputs))


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

"""The DAG Tracker: starts, resumes, pauses and cancels runs, and answers what became of them."""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from symphony_sdk.errors import RunError
from symphony_sdk.events import RunEvent
from symphony_sdk.ports.metrics import RunMetrics
from symphony_sdk.ports.pit import CompactedRun, Explanation, HistoryEntry, RunRequest, RunStatus
from symphony_sdk.providers import Services
from symphony_workflow.document import from_document
from symphony_workflow.plan import compile_plan

from pit_dag_tracker.cache import Cache
from pit_dag_tracker.compaction import ANY, compact, due, give_back
from pit_dag_tracker.entries import Entry
from pit_dag_tracker.explaining import explain
from pit_dag_tracker.forking import Changes, affected, changed_request, reused
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.mailbox import Command
from pit_dag_tracker.metering import Metering
from pit_dag_tracker.owner import Owner
from pit_dag_tracker.progress import progress_of
from pit_dag_tracker.records import Records, request_of
from pit_dag_tracker.starting import Starting
from pit_dag_tracker.steering import GOING_ON
from pit_dag_tracker.tables import find_run, read_history
from pit_dag_tracker.upkeep import Upkeep

LOG_NAME = "runs.sqlite"
POLL = 0.02
"""Seconds between two looks at a run that another process works on."""


class Tracker:
    """Runs workflow graphs on a durable log; the [DagTracker][symphony_sdk.ports.DagTracker] of the family.

    Args:
        services: Gives the place of the log, the executors, the Artifact Store, and the extensions, without which
            no result can stand in for a later node.

    Raises:
        RunError: The log cannot be opened.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._log = EventLog(services.data_dir / LOG_NAME)
        self._owner = Owner(services.data_dir / "owners")
        self._records = Records(services, self._log, self._owner)
        self._cache = Cache(self._log, services)
        self._upkeep = Upkeep(self._log, services.config)
        self._starting = Starting(services, self._log, self._owner, self._records, self._cache, self._upkeep)
        self._live = self._starting.live
        self._steering = self._starting.steering
        self._metering = Metering(self._log, self._records, self._live, self._starting.workflows)

    async def start(self, request: RunRequest) -> str:
        """Begin a run, and return its id once a crash can no longer lose it.

        Args:
            request: What to run.

        Raises:
            WorkflowError: The workflow has no order, or an input is missing.
            RunError: The executor is unknown or cannot place a node, or the log cannot be written.
        """
        return await self._starting.start(request)

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
        row, source, remains = await asyncio.to_thread(self._records.replay, run)
        request = request_of(row)
        plan = await asyncio.to_thread(lambda: compile_plan(from_document(request.workflow)))
        request, without = changed_request(request, plan, changes, actor), affected(plan, changes)

        def taken_over(new: str, at: float) -> list[Entry]:
            return list(reused(run, new, at, source, remains.stored, without))

        return await self._starting.start(request, run, nodes, taken_over)

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
        live = self._live.get(run)
        if live is None:
            return await asyncio.to_thread(self._records.status, run)
        now, workflow = time.time(), self._starting.workflows[run]
        status = live.ledger.status(run, workflow, durable=live.feed.durable, now=now)
        progress = progress_of(live.ledger, self._starting.paces[run], now)
        return msgspec.structs.replace(status, progress=progress, process=os.getpid())

    async def runs(self, limit: int = 100) -> Sequence[RunStatus]:
        """The newest runs first, without their nodes.

        Args:
            limit: At most so many.

        Raises:
            RunError: The log is damaged.
        """
        rows = await asyncio.to_thread(self._log.runs, limit)
        return [self._records.brief(row) for row in rows]

    async def metrics(self, run: str) -> RunMetrics:
        """What a run took until now, or until its end; told from its events alone, so the run pays nothing for it.

        Args:
            run: Id of the run; it may run in another process.

        Raises:
            RunError: There is no such run, or its log is damaged.
        """
        return await self._metering.metrics(run)

    async def request(self, run: str) -> RunRequest:
        """What a run was asked to do.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or its log is damaged.
        """
        return request_of(await asyncio.to_thread(self._log.run, run))

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

    async def explain(self, run: str, node: str = "") -> Sequence[Explanation]:
        """Why each node of a run was computed, or was not.

        Args:
            run: Id of the run.
            node: Id of a node; empty for all, in topological order.

        Raises:
            RunError: There is no such run or node, or the log is damaged.
        """
        if run in self._live:
            with suppress(RunError):  # a log that cannot be written can be read
                await asyncio.wrap_future(self._log.flush())
        return await asyncio.to_thread(explain, self._services, self._log, run, node)

    async def compact(
        self, runs: Sequence[str] = (), *, older_than: float = 0.0, dry_run: bool = False
    ) -> Sequence[CompactedRun]:
        """Make the logs of runs that are over small; their states, outputs and history stay.

        Args:
            runs: Ids of runs; none for all that are completed or cancelled and were not compacted before.
            older_than: Only those that ended so many seconds ago.
            dry_run: Only say what would be done.

        Raises:
            RunError: There is no such run, it may still go on, its log is damaged, or the log cannot be written.
        """
        before = time.time() - older_than
        wanted = runs or await asyncio.to_thread(self._log.look, partial(due, before=before, beyond=ANY))
        found = [await asyncio.to_thread(compact, self._log, run, dry_run=dry_run) for run in wanted]
        if found and not dry_run:
            await asyncio.to_thread(give_back, self._log)
        return found

    async def outputs(self, run: str) -> Mapping[str, bytes]:
        """Encoded values of a completed run's outputs by name; those of skipped nodes are left out.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or it is not completed.
            ArtifactError: The artifact of a large output is missing or damaged.
        """
        return await asyncio.to_thread(self._records.outputs, run)

    async def close(self) -> None:
        """Stop every run where it is, ready to be resumed, and close the log."""
        await self._steering.close()
        for live in list(self._live.values()):
            live.stop("close", "Symphony was closed")
        for live in list(self._live.values()):
            await live.wait_ended()
        await self._upkeep.close()
        await asyncio.to_thread(self._log.close)
        self._owner.close()

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

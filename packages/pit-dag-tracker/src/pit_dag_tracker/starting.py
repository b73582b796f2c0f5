"""Brings runs to life in this process: new ones, and those that go on from where they were."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from symphony_sdk.errors import RunError
from symphony_sdk.events import RunEvent, RunResumed, RunStarted, RunSteered
from symphony_sdk.ports.executor import ExecutorPort
from symphony_sdk.ports.pit import RunPolicy, RunRequest
from symphony_sdk.providers import Services
from symphony_workflow.document import from_document
from symphony_workflow.state import NodeState, RunState

from pit_dag_tracker.blueprint_form import encode_blueprints
from pit_dag_tracker.blueprints import Blueprints, blueprints_of
from pit_dag_tracker.cache import Cache, RunOperations
from pit_dag_tracker.entries import Entry
from pit_dag_tracker.feed import Feed
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.journal import NOTHING
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.mailbox import Command
from pit_dag_tracker.owner import Owner
from pit_dag_tracker.placing import check_policy, placed
from pit_dag_tracker.progress import Pace, pace_of, write_pace
from pit_dag_tracker.records import Records, terms_of
from pit_dag_tracker.recovery import Remains, awaken, recover, reload, renumbered, replay, revive
from pit_dag_tracker.result_tables import note_operations
from pit_dag_tracker.scheduler import Scheduler
from pit_dag_tracker.sharing import Shares
from pit_dag_tracker.spill import Spill
from pit_dag_tracker.steering import Steering, may_retry, wrong_state
from pit_dag_tracker.tables import RunRow, add_run, find_run, keep_blueprints, take_run
from pit_dag_tracker.upkeep import Upkeep
from pit_dag_tracker.wiring import Values, Wiring, workflow_inputs

TakeOver = Callable[[str, float], list[Entry]]
"""What a new run, with its id and the time of its start, takes over from another one."""


class Starting:
    """The runs that are under way in this process.

    Args:
        services: Gives the executors and the Artifact Store.
        log: Keeps the runs.
        owner: This tracker, among those that work on runs.
        records: Reads the log.
        cache: The results of earlier runs.
        upkeep: Looks after the log when a run has ended.

    Attributes:
        live: The scheduler of each run.
        workflows: The id of its workflow.
        paces: How long that usually takes.
        steering: Gives commands to runs.
    """

    def __init__(
        self,
        services: Services,
        log: EventLog,
        owner: Owner,
        records: Records,
        cache: Cache,
        upkeep: Upkeep,
    ) -> None:
        self.live: dict[str, Scheduler] = {}
        self.workflows: dict[str, str] = {}
        self.paces: dict[str, Pace] = {}
        self._services = services
        self._log = log
        self._owner = owner
        self._records = records
        self._cache = cache
        self._upkeep = upkeep
        self._resuming: set[str] = set()
        self._shares = Shares(services.config.get("concurrency", ()))
        self.steering = Steering(
            log,
            owner,
            self.live,
            replay=lambda run: records.replay(run)[:2],
            unstall=self._unstall,
            go_on=self._go_on,
            retry=self._retry_live,
        )

    async def start(
        self,
        request: RunRequest,
        origin: str = "",
        anew: Sequence[str] = (),
        taken_over: TakeOver | None = None,
    ) -> str:
        """Begin a run, and return its id once a crash can no longer lose it.

        Args:
            request: What to run.
            origin: Id of the run that it takes results over from.
            anew: Ids of the nodes that run whatever was computed before.
            taken_over: Those results.

        Raises:
            WorkflowError: The workflow has no order, or an input is missing.
            RunError: The policy cannot be obeyed, the executor is unknown or cannot place a node, or the log cannot
                be written.
        """
        check_policy(request.policy)
        blueprints = await asyncio.to_thread(lambda: blueprints_of(from_document(request.workflow)))
        ledger, wiring = await asyncio.to_thread(_wired, blueprints, request.inputs)
        executor = await placed(self._services.executors, request.executor, blueprints.examples)
        operations = await self._cache.operations_of(blueprints.calls)
        now = time.time()
        run = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        started = RunStarted(
            run=run,
            sequence=1,
            at=now,
            workflow=blueprints.top.id,
            nodes=len(blueprints.top.names),
            actor=request.actor,
            origin=origin,
            anew=tuple(anew),
        )
        entries: list[Entry] = [(started, NOTHING), *(taken_over(run, now) if taken_over else ())]
        row = RunRow(
            run, blueprints.top.id, msgspec.msgpack.encode(request), now, "running", owner=self._owner.name
        )
        form = await asyncio.to_thread(encode_blueprints, blueprints, row.request)

        def add(connection: sqlite3.Connection) -> None:
            add_run(connection, row, entries)
            keep_blueprints(connection, run, form)
            note_operations(connection, run, operations.known)

        await asyncio.wrap_future(self._log.work(add))
        remains = replay(entries, ledger)
        await asyncio.to_thread(awaken, remains, ledger, Spill(self._services, run))
        happened = [event for event, _ in entries]
        await self._begin(row, request.policy, ledger, wiring, remains, executor, operations, happened)
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
        terms = terms_of(row)
        blueprints, form = await asyncio.to_thread(self._records.blueprints, row)
        ledger, wiring = await asyncio.to_thread(_wired, blueprints, terms.inputs)
        remains = await asyncio.to_thread(lambda: recover(self._log.unread(run), run, ledger))
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
        executor = await placed(self._services.executors, terms.executor, blueprints.examples)
        operations = await self._cache.operations_of(blueprints.calls)
        completed = sum(state is NodeState.COMPLETED for state in ledger.state)
        resumed = RunResumed(**head, sequence=ledger.sequence + 1, completed=completed)
        await asyncio.to_thread(revive, remains, ledger, Spill(self._services, run), resumed)
        events: list[RunEvent] = [steered, resumed]

        def take(connection: sqlite3.Connection) -> None:
            self._take(connection, run, events)
            if form:
                keep_blueprints(connection, run, form)
            note_operations(connection, run, operations.known)

        await asyncio.wrap_future(self._log.work(take))
        await self._begin(row, terms.policy, ledger, wiring, remains, executor, operations, events)

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
            if self.live.get(command.run) is not live or live.stopped:
                raise wrong_state(command.run, "ended meanwhile", "Ask again.")
            if may_retry(live.ledger, steered, out=live.out) == again:
                live.retry(command.node, command.actor, again, remains)
                return

    def _what_it_takes(self, graph: Graph, steered: RunSteered, again: Sequence[int]) -> Remains:
        """What nodes of a run under way need from its log to run again; named by their numbers in its graph."""
        _, ledger, remains = self._records.replay(steered.run)
        replay([(steered, NOTHING)], ledger, remains)
        numbers = [ledger.graph.index[graph.names[number]] for number in again]
        reload(remains, ledger, Spill(self._services, steered.run), numbers)
        return renumbered(remains, ledger.graph, graph)

    async def _begin(
        self,
        row: RunRow,
        policy: RunPolicy,
        ledger: Ledger,
        wiring: Wiring,
        remains: Remains,
        executor: ExecutorPort,
        operations: RunOperations,
        events: Sequence[RunEvent],
    ) -> None:
        """Work on a run whose last events are durable."""
        run = row.run
        pace = await asyncio.to_thread(self._records.pace, row.workflow, ledger)
        ledger.graph.weigh(pace.nodes)

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
            policy=policy,
            share=self._shares.of(executor),
            log=self._log,
            feed=feed,
            spill=Spill(self._services, run),
            cache=self._cache,
            operations=operations,
            on_end=lambda: self._ended(run),
        )
        self.live[run] = live
        self.workflows[run] = row.workflow
        self.paces[run] = pace
        self.steering.attend()
        live.begin()

    def _ended(self, run: str) -> None:
        ledger, workflow = self.live[run].ledger, self.workflows[run]
        if ledger.run_state is RunState.COMPLETED:
            pace = pace_of(ledger)
            self._log.work(lambda connection: write_pace(connection, workflow, pace))
        self._forget(run)
        self._upkeep.start()

    def _forget(self, run: str) -> None:
        self.live.pop(run, None)
        self.workflows.pop(run, None)
        self.paces.pop(run, None)

    async def _unstall(self, run: str) -> None:
        """Write what could not be written, and let the log say where the run is."""
        await asyncio.wrap_future(self._log.flush())
        self._forget(run)

    # -- inside a transaction of the log --------------------------------------------------------------

    def _free_run(self, connection: sqlite3.Connection, run: str) -> RunRow:
        """The row of a run on which no other process works."""
        row = find_run(connection, run)
        self.steering.refuse_foreign(row)
        return row

    def _take(self, connection: sqlite3.Connection, run: str, events: Sequence[RunEvent]) -> None:
        self._free_run(connection, run)
        take_run(connection, run, self._owner.name, events)


def _wired(blueprints: Blueprints, inputs: Values) -> tuple[Ledger, Wiring]:
    """The states and edges of a run; takes a while where its workflow is large, so it belongs in a thread."""
    ledger = Ledger(Graph(blueprints))
    return ledger, Wiring(ledger.graph, workflow_inputs(blueprints.top, inputs))

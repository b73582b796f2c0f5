"""What the log says of runs, whoever works on them."""

import logging
import time
from functools import partial
from typing import Any, TypeVar, cast

import msgspec
from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.ports.pit import RunPolicy, RunRequest, RunStatus
from symphony_sdk.providers import Services
from symphony_sdk.values import DECODING_ERRORS
from symphony_workflow.document import from_document
from symphony_workflow.state import RunState

from pit_dag_tracker.blueprint_form import decode_blueprints, encode_blueprints
from pit_dag_tracker.blueprints import Blueprints, blueprints_of
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.owner import Owner
from pit_dag_tracker.progress import Pace, pace_of, progress_of, read_pace
from pit_dag_tracker.recovery import Remains, replay
from pit_dag_tracker.spill import Spill
from pit_dag_tracker.steering import GOING_ON, wrong_state
from pit_dag_tracker.tables import RunRow, read_blueprints

_log = logging.getLogger(__name__)
Asked = TypeVar("Asked")


class Terms(msgspec.Struct, frozen=True):
    """What a run was asked to do beside its workflow: a RunRequest of which that is left out.

    Args:
        inputs: Encoded values of the workflow's inputs by name.
        executor: Name of the executor that runs its nodes.
        policy: How it is run.
    """

    inputs: dict[str, bytes] = {}
    executor: str = "local"
    policy: RunPolicy = RunPolicy()


class Records:
    """The runs of one log; all methods may wait for the disk, so they belong in threads.

    Args:
        services: Gives the Artifact Store.
        log: Keeps the runs.
        owner: Tells who is alive.
    """

    def __init__(self, services: Services, log: EventLog, owner: Owner) -> None:
        self._services = services
        self._log = log
        self._owner = owner

    def status(self, run: str) -> RunStatus:
        """Where a run and its nodes are.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or its log is damaged.
        """
        now = time.time()
        row, ledger, _ = self.replay(run)
        status = ledger.status(run, row.workflow, durable=ledger.sequence, now=now)
        brief, progress = self.brief(row), progress_of(ledger, self.pace(row.workflow, ledger), now)
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

    def replay(self, run: str) -> tuple[RunRow, Ledger, Remains]:
        """A run from its log: its row, where it is, and what it has achieved.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or its log is damaged.
        """
        row = self._log.run(run)
        ledger = Ledger(Graph(self.blueprints(row)[0]))
        return row, ledger, replay(self._log.entries(run), ledger)

    def blueprints(self, row: RunRow) -> tuple[Blueprints, bytes]:
        """The workflows of a run, and their form where the log does not have that, or has one that is damaged.

        Args:
            row: The run.

        Raises:
            RunError: Its log is damaged.
        """
        form = self._log.look(partial(read_blueprints, run=row.run))
        kept = decode_blueprints(form, row.request) if form else None
        if kept is not None:
            return kept, b""
        if form:
            _log.warning("the compiled workflow of run %s is damaged or of another version", row.run)
        made = blueprints_of(from_document(request_of(row).workflow))
        return made, encode_blueprints(made, row.request)

    def pace(self, workflow: str, ledger: Ledger) -> Pace:
        """How long a workflow usually takes.

        Args:
            workflow: Id of the workflow.
            ledger: A run of it, which counts itself where it is completed.
        """
        if ledger.run_state is RunState.COMPLETED:
            return pace_of(ledger)
        return self._log.look(lambda connection: read_pace(connection, workflow))

    def outputs(self, run: str) -> dict[str, bytes]:
        """Encoded values of a completed run's outputs by name; those of skipped nodes are left out.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or it is not completed.
            ArtifactError: The artifact of a large output is missing or damaged.
        """
        row, ledger, remains = self.replay(run)
        if row.state != "completed":
            raise wrong_state(run, f"is {self.brief(row).state}, not completed")
        spill = Spill(self._services, run)
        found = {}
        for output in ledger.graph.top.workflow.outputs:
            stored = remains.stored.get(ledger.graph.index[output.node], {})
            if output.port in stored:
                found[output.name] = spill.load({output.port: stored[output.port]})[output.port]
        return found

    def brief(self, row: RunRow) -> RunStatus:
        """A run without its nodes.

        Args:
            row: What the index knows of it.
        """
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
            durable=row.last,
            error=error,
            process=int(row.owner.partition("-")[0]) if working else 0,
        )


def request_of(row: RunRow) -> RunRequest:
    """What a run was asked to do.

    Args:
        row: The run.

    Raises:
        RunError: Its log is damaged.
    """
    return _asked(row, RunRequest)


def terms_of(row: RunRow) -> Terms:
    """What a run was asked to do beside its workflow, which may take long to read.

    Args:
        row: The run.

    Raises:
        RunError: Its log is damaged.
    """
    return _asked(row, Terms)


def _asked(row: RunRow, kind: type[Asked]) -> Asked:
    try:
        return msgspec.msgpack.decode(row.request, type=kind)
    except DECODING_ERRORS as error:
        raise RunError(
            f"the log of run {row.run!r} is damaged: {error}",
            code="SYM-R007",
            hint="Start the workflow anew; other runs are not affected.",
            details={"run": row.run},
        ) from error

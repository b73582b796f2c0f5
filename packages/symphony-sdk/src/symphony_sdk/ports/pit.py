"""PitPort: the five components that every workflow stands on.

A component is called directly, in the host's process. Methods that wait are coroutines; the others return
at once and may be called from any thread.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import RunCommand, RunEvent
from symphony_sdk.ports.artifacts import ArtifactStore

if TYPE_CHECKING:
    from symphony_sdk.ports.metrics import RunMetrics

RunState = Literal["pending", "running", "paused", "waiting", "completed", "failed", "cancelled"]
NodeState = Literal[
    "pending",
    "ready",
    "running",
    "paused",
    "waiting",
    "retrying",
    "completed",
    "failed",
    "skipped",
    "cancelled",
]


OnFailure = Literal["continue", "fail-fast", "isolate"]


class RunPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a run is run.

    Args:
        on_failure: What a node that failed for good means to the others. `continue`: what does not depend on it runs,
            and the run fails in the end. `fail-fast`: no further node starts, those that run are stopped, and the
            run fails. `isolate`: as `continue`, but the run completes, without the outputs that could not be made.
        timeout: Seconds that the run may take, pauses and times without a process not counted; None for no bound. A run
            that has ended gets as much again when it is resumed.
        concurrency: At most so many of its calls are out at once; 0 for no bound of its own.
        weight: Its share of an executor that several runs of a process want; twice the weight gets twice the time, and
            so twice the calls where they take equally long. Above 0.
        cache: Whether results of earlier runs may stand in for nodes that are unchanged.
    """

    on_failure: OnFailure = "continue"
    timeout: float | None = None
    concurrency: int = 0
    weight: float = 1.0
    cache: bool = True


class RunRequest(msgspec.Struct, frozen=True):
    """A workflow to run.

    Args:
        workflow: The workflow as its JSON document.
        inputs: Encoded values of the workflow's inputs by name.
        executor: Name of the executor that runs its nodes.
        labels: Facts to keep beside the run.
        actor: Who starts it; empty where that is not known.
        policy: How it is run.
    """

    workflow: dict[str, Any]
    inputs: dict[str, bytes] = {}
    executor: str = "local"
    labels: dict[str, str] = {}
    actor: str = ""
    policy: RunPolicy = RunPolicy()


class NodeStatus(msgspec.Struct, frozen=True):
    """Where one node of a run is.

    Args:
        node: Id of the node.
        state: Its state.
        attempt: Number of its last attempt; 0 where none was made.
        done: Items of a fan-out that are done, or 0 and 1 for any other node.
        total: Items of a fan-out, or 1; 0 while it is not known.
        seconds: From its start to its end, or until now.
        error: Why it failed.
        queued: Seconds from when every node before it had ended to its first start since the run went on.
        prompt: What a person is asked, where it waits for an answer.
        approvers: Who may answer; none for anybody who may steer the run.
        place: Where its last attempt ran, if that failed; empty where that is not known.
    """

    node: str
    state: NodeState
    attempt: int = 0
    done: int = 0
    total: int = 1
    seconds: float = 0.0
    error: ErrorPayload | None = None
    queued: float = 0.0
    prompt: str = ""
    approvers: tuple[str, ...] = ()
    place: str = ""


class Progress(msgspec.Struct, frozen=True):
    """How far a run is.

    Args:
        nodes_done: Nodes that need nothing more.
        nodes_total: All nodes.
        weight_done: Seconds that what is done is expected to take: those of the last completed run of the workflow,
            the mean of the known ones for any other node, and 1 each where none is known.
        weight_total: The same of all nodes.
        percentage: `weight_done` of `weight_total`, from 0 to 100.
        eta: Seconds until the end, if what is left goes as fast as what was done in this run, or, before anything
            was, in the last completed run; None where neither is known or the run does not go on.
    """

    nodes_done: int
    nodes_total: int
    weight_done: float
    weight_total: float
    percentage: float
    eta: float | None = None


class HistoryEntry(msgspec.Struct, frozen=True):
    """Who gave which command to a run, and when.

    Args:
        id: Number of the entry among those of all runs; it grows.
        run: Id of the run.
        sequence: Number of the event that the command is in the run.
        at: Unix time in seconds.
        command: What was asked.
        actor: Who asked; empty where that is not known.
        node: Id of the node that it is about; empty for the whole run.
        comment: What the actor said about it.
    """

    id: int
    run: str
    sequence: int
    at: float
    command: RunCommand
    actor: str = ""
    node: str = ""
    comment: str = ""


ExplanationCode = Literal[
    "hit",
    "taken-over",
    "asked",
    "switched-off",
    "never",
    "not-idempotent",
    "reads-outside",
    "cheaper-to-run",
    "unknown",
    "first-time",
    "version-changed",
    "settings-changed",
    "input-changed",
    "expired",
    "removed",
    "no-outputs",
    "at-the-same-time",
    "forgotten",
    "control",
    "not-run",
]


class Explanation(msgspec.Struct, frozen=True):
    """Why a node of a run was computed, or was not.

    Args:
        node: Id of the node.
        code: `hit`: an earlier result stands in. `taken-over`: a rerun took the result over. Every other says why
            none did. `asked`: a user named the node. `switched-off`: the run computes everything anew. `never`: its
            cache policy says so. `not-idempotent`: its operation has effects. `reads-outside`: its
            operation may depend on files, the network or the system. `cheaper-to-run`: its operation takes
            less to compute than to look up. `unknown`: no extension says what its operation is. `first-time`: no earlier run of the workflow has a result of it. `version-changed`,
            `settings-changed`: its extension is not what it was. `input-changed`: it was given something else.
            `expired`: the result was too old. `removed`: an artifact of it is gone. `no-outputs`: there is nothing to
            keep. `at-the-same-time`: the result was not there yet. `forgotten`: the result is no longer kept.
            `control`: a control node, which is decided anew in each run. `not-run`: it has not run.
        text: The same for people.
        details: What belongs to the code: `run`, `node` and `computed` of a result that stands in; `old` and `new` of
            what changed, by port where that is an input.
    """

    node: str
    code: ExplanationCode
    text: str
    details: dict[str, Any] = {}


class CompactedRun(msgspec.Struct, frozen=True):
    """A run whose log was made small, or would be.

    Args:
        run: Id of the run.
        state: Its state.
        events: How many of its events were dropped.
        before: Bytes of its log before.
        after: And afterwards.
    """

    run: str
    state: RunState
    events: int
    before: int
    after: int


class RunStatus(msgspec.Struct, frozen=True):
    """Where a run is.

    Args:
        run: Id of the run.
        workflow: Id of the workflow.
        state: Its state.
        started: Unix time of its start in seconds.
        seconds: From its start to its end, or until now.
        nodes: Its nodes in topological order.
        durable: Sequence number of the last event that a crash can no longer undo.
        error: Why it failed.
        progress: How far it is; None where only the run as a whole was asked for.
        process: Id of the process that works on it; 0 for none.
        origin: Id of the run whose results it took over; empty for a run of its own.
    """

    run: str
    workflow: str
    state: RunState
    started: float
    seconds: float
    nodes: tuple[NodeStatus, ...] = ()
    durable: int = 0
    error: ErrorPayload | None = None
    progress: Progress | None = None
    process: int = 0
    origin: str = ""


class DagTracker(Protocol):
    """Runs workflow graphs and remembers every step of them.

    A run may be steered from any process that shares its log, whichever process works on it. A command has taken
    effect and cannot be lost by a crash when its method returns, and is a RunSteered event with its actor; where it
    asks for what is so already, it does nothing.
    """

    async def start(self, request: RunRequest) -> str:
        """Begin a run, and return its id once a crash can no longer lose it.

        Args:
            request: What to run.

        Raises:
            WorkflowError: The workflow has no order, or an input is missing.
            RunError: The executor is unknown or cannot place a node.
        """

    async def resume(self, run: str, *, actor: str = "") -> None:
        """Go on with a run that was paused, interrupted or failed; completed nodes are not run again.

        Args:
            run: Id of the run.
            actor: Who asks.

        Raises:
            RunError: There is no such run, or it is completed.
        """

    async def pause(self, run: str, *, actor: str = "") -> None:
        """Start no further node of a run; those that run may end.

        Args:
            run: Id of the run.
            actor: Who asks.

        Raises:
            RunError: There is no such run, or it has ended.
        """

    async def cancel(self, run: str, *, actor: str = "") -> None:
        """End a run; operations that run are told to stop.

        Args:
            run: Id of the run.
            actor: Who asks.

        Raises:
            RunError: There is no such run, or it has ended.
        """

    async def retry(self, run: str, node: str = "", *, actor: str = "") -> None:
        """Run a node again, and all that depends on it; the results of all others are kept.

        A run that has ended, is paused or was interrupted goes on with that.

        Args:
            run: Id of the run.
            node: Id of a node that has ended; empty for every node that failed.
            actor: Who asks.

        Raises:
            RunError: There is no such run or node, the node has not ended, no node failed, or something that
                depends on the node is under way.
        """

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
            run: Id of the old run, in any state.
            nodes: Ids of nodes to run again without a change.
            inputs: Encoded values of the workflow's inputs that are changed, by name.
            params: Params that are changed, by node and port.
            actor: Who asks.

        Raises:
            RunError: There is no such run or node.
            WorkflowError: There is no such input.
        """

    async def skip(self, run: str, node: str, *, actor: str = "") -> None:
        """Let a node end without a result; what needs it is skipped, too. A running operation is told to stop.

        Args:
            run: Id of the run; it stays skipped when the run is resumed.
            node: Id of a node that has not completed.
            actor: Who asks.

        Raises:
            RunError: There is no such run or node, the node is completed, or the run is.
        """

    async def answer(self, run: str, node: str, approved: bool, *, by: str, comment: str = "") -> None:
        """Answer a node that waits for a person; the run may be under way, paused or interrupted.

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

    def events(self, run: str, after: int = 0) -> AsyncIterator[RunEvent]:
        """The events of a run, those that happened first, then each as it happens, until the run ends.

        A follower may be as slow as it likes: it misses no numbered event, and sees the latest progress only.

        Args:
            run: Id of the run.
            after: Sequence number of the last event already seen.

        Raises:
            RunError: There is no such run.
        """

    async def status(self, run: str) -> RunStatus:
        """Where a run is.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run.
        """

    async def runs(self, limit: int = 100) -> Sequence[RunStatus]:
        """The newest runs first, without their nodes.

        Args:
            limit: At most so many.
        """

    async def metrics(self, run: str) -> "RunMetrics":
        """What a run took until now, or until its end; told from its events alone, so the run pays nothing for it.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run.
        """

    async def request(self, run: str) -> RunRequest:
        """What a run was asked to do.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run.
        """

    async def history(self, run: str = "", *, after: int = 0, limit: int = 100) -> Sequence[HistoryEntry]:
        """Who gave which command, in order.

        Args:
            run: Id of the run; empty for all runs.
            after: Id of the last entry already seen.
            limit: At most so many.

        Raises:
            RunError: There is no such run.
        """

    async def explain(self, run: str, node: str = "") -> Sequence[Explanation]:
        """Why each node of a run was computed, or was not.

        Args:
            run: Id of the run.
            node: Id of a node; empty for all, in topological order.

        Raises:
            RunError: There is no such run or node.
        """

    async def compact(
        self, runs: Sequence[str] = (), *, older_than: float = 0.0, dry_run: bool = False
    ) -> Sequence[CompactedRun]:
        """Make the logs of runs that are over small; their states, outputs and history stay.

        A compacted run can do what any other can. Its events keep their numbers; some are left out.

        Args:
            runs: Ids of runs; none for all that are completed or cancelled and were not compacted before.
            older_than: Only those that ended so many seconds ago.
            dry_run: Only say what would be done.

        Raises:
            RunError: There is no such run, it may still go on, or the log cannot be written.
        """

    async def outputs(self, run: str) -> Mapping[str, bytes]:
        """Encoded values of a completed run's outputs by name.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or it is not completed.
        """

    async def close(self) -> None:
        """Stop every run where it is, ready to be resumed, and close the log."""


class Lease(Protocol):
    """The right to use one loaded model until it is released."""

    @property
    def model(self) -> Any:
        """The model."""

    def release(self) -> None:
        """Give it back; a second release is an error.

        Raises:
            PortError: It was released before.
        """


class PoolManager(Protocol):
    """Keeps models in memory within a budget."""

    def acquire(self, model: str) -> Lease:
        """A lease of a model that is in memory.

        Args:
            model: Id of the model.

        Raises:
            PortError: It is not in memory, or all its leases are out.
        """

    async def load(self, model: str) -> Lease:
        """A lease of a model, which is brought into memory where it is not.

        Args:
            model: Id of the model.

        Raises:
            PortError: It is unknown, does not fit the budget, or does not load.
        """

    def hint(self, model: str, seconds: float, probability: float) -> None:
        """Say that a model will be needed.

        Args:
            model: Id of the model.
            seconds: From now until it is needed.
            probability: How likely that is, from 0 to 1.
        """

    async def unload(self, model: str) -> None:
        """Take a model out of memory once its leases are back.

        Args:
            model: Id of the model.
        """


class ArbitrationEngine(Protocol):
    """Decides who gets what several want."""

    def admit(self, claimant: str, resource: str, amount: float = 1.0) -> AbstractContextManager[None]:
        """Hold an amount of a resource; entering waits for its turn.

        Args:
            claimant: Who asks, such as a run's id.
            resource: Name of the resource.
            amount: How much of it.

        Raises:
            PortError: The resource is unknown or never has so much.
        """

    def waiting_time(self, claimant: str, resource: str, amount: float = 1.0) -> float:
        """Seconds that a claim made now would be expected to wait.

        Args:
            claimant: Who asks.
            resource: Name of the resource.
            amount: How much of it.
        """


class StaleReport(msgspec.Struct, frozen=True):
    """What the Stale Manager did, or would do.

    Args:
        examined: How many artifacts it looked at.
        moved: Ids of those that went to another tier.
        removed: Ids of those that were removed.
        freed: Bytes that were freed.
    """

    examined: int
    moved: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    freed: int = 0


class StaleManager(Protocol):
    """Ages what nobody needs."""

    async def sweep(self, *, dry_run: bool = True) -> StaleReport:
        """Apply the policies once.

        Args:
            dry_run: Only say what would be done.
        """

    def hold(self, artifact: str, reason: str) -> None:
        """Never move nor remove an artifact.

        Args:
            artifact: Its id.
            reason: Why, for the audit.
        """

    def release(self, artifact: str) -> None:
        """Undo a hold.

        Args:
            artifact: Its id.
        """


class PitPort(Protocol):
    """The five components; reading one that is not installed raises PortError and names its package."""

    @property
    def pool(self) -> PoolManager:
        """Keeps models in memory."""

    @property
    def tracker(self) -> DagTracker:
        """Runs workflow graphs."""

    @property
    def artifacts(self) -> ArtifactStore:
        """Keeps bytes by their content."""

    @property
    def arbitration(self) -> ArbitrationEngine:
        """Decides who gets what several want."""

    @property
    def stale(self) -> StaleManager:
        """Ages what nobody needs."""

"""The five components of the Pit in memory."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec

from symphony_sdk.errors import PortError, RunError, foreign_error
from symphony_sdk.events import (
    NodeCompleted,
    NodeSkipped,
    NodeWaiting,
    RunCancelled,
    RunCommand,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    RunSteered,
    RunWaiting,
    ends_run,
)
from symphony_sdk.ports import (
    CompactedRun,
    Explanation,
    HistoryEntry,
    NodeMetrics,
    NodeStatus,
    Progress,
    RunMetrics,
    RunRequest,
    RunStatus,
    StaleReport,
)
from symphony_sdk.ports.pit import RunState
from symphony_sdk.testing.fakes.artifacts import FakeArtifactStore
from symphony_sdk.values import encode


class FakeDagTracker:
    """Fake of DagTracker: a run calls one function instead of a graph.

    Args:
        work: Takes the request and returns the outputs by name; what it raises fails the run.
        held: Whether a run pauses at once and does its work when it is resumed.
        asks: Id of a node that waits for a person before the work is done; empty for none.
    """

    def __init__(
        self,
        work: Callable[[RunRequest], Mapping[str, Any]] = lambda request: {},
        *,
        held: bool = False,
        asks: str = "",
    ) -> None:
        self._work = work
        self._held = held
        self._asks = asks
        self._ids = itertools.count(1)
        self._events: dict[str, list[RunEvent]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._outputs: dict[str, dict[str, bytes]] = {}
        self._history: list[HistoryEntry] = []
        self.requests: dict[str, RunRequest] = {}

    async def start(self, request: RunRequest) -> str:
        """Begin a run."""
        return self._begin(request, "")

    async def resume(self, run: str, *, actor: str = "") -> None:
        """Go on with a run that is paused or failed."""
        if isinstance(self._of(run)[-1], RunCompleted):
            raise RunError(f"run {run!r} is completed")
        self._steer(run, "resume", actor)
        self._add(run, RunResumed)
        self._go_on(run)

    async def pause(self, run: str, *, actor: str = "") -> None:
        """Pause a run that has not ended."""
        self._check_open(run)
        if not isinstance(self._of(run)[-1], RunPaused):
            self._steer(run, "pause", actor)
            self._add(run, RunPaused, reason=f"paused by {actor or 'its user'}")

    async def cancel(self, run: str, *, actor: str = "") -> None:
        """Cancel a run that has not ended."""
        self._check_open(run)
        self._steer(run, "cancel", actor)
        self._add(run, RunCancelled)

    async def retry(self, run: str, node: str = "", *, actor: str = "") -> None:
        """Do the work of a run again."""
        self._check_node(run, node)
        if not node and not isinstance(self._of(run)[-1], RunFailed):
            raise RunError(f"nothing of run {run!r} can be retried", code="SYM-R061")
        self._steer(run, "retry", actor, node)
        self._add(run, RunResumed)
        self._go_on(run)

    async def rerun(
        self,
        run: str,
        *,
        nodes: Sequence[str] = (),
        inputs: Mapping[str, bytes] | None = None,
        params: Mapping[str, Mapping[str, Any]] | None = None,
        actor: str = "",
    ) -> str:
        """Begin a new run with changed inputs; nothing is taken over."""
        self._of(run)
        for node in (*nodes, *(params or ())):
            self._check_node(run, node)
        request = self.requests[run]
        changed = {**request.inputs, **(inputs or {})}
        return self._begin(msgspec.structs.replace(request, inputs=changed, actor=actor), run)

    async def skip(self, run: str, node: str, *, actor: str = "") -> None:
        """Note that a node is skipped."""
        self._check_node(run, node)
        if isinstance(self._of(run)[-1], RunCompleted):
            raise RunError(f"node {node!r} of run {run!r} is completed", code="SYM-R062")
        self._steer(run, "skip", actor, node)
        self._add(run, NodeSkipped, node=node, reason=f"skipped by {actor or 'its user'}")

    async def answer(self, run: str, node: str, approved: bool, *, by: str, comment: str = "") -> None:
        """Answer the node that waits."""
        self._check_node(run, node)
        if not isinstance(self._of(run)[-1], RunWaiting) or node != self._asks:
            raise RunError(f"node {node!r} of run {run!r} waits for no answer", code="SYM-R063")
        self._steer(run, "approve" if approved else "reject", by, node, comment)
        self._add(run, NodeCompleted, node=node, seconds=0.0)
        self._finish(run)

    async def events(self, run: str, after: int = 0) -> AsyncIterator[RunEvent]:
        """What happened, then what happens."""
        events = self._of(run)
        while True:
            while after < len(events):
                yield events[after]
                after += 1
            if ends_run(events[-1]):
                return
            self._changed[run].clear()
            await self._changed[run].wait()

    async def status(self, run: str) -> RunStatus:
        """Where a run is."""
        events = self._of(run)
        last = next(event for event in reversed(events) if not isinstance(event, NodeSkipped | RunSteered))
        states: dict[type, RunState] = {
            RunCompleted: "completed",
            RunFailed: "failed",
            RunCancelled: "cancelled",
            RunPaused: "paused",
            RunWaiting: "waiting",
        }
        state = states.get(type(last), "running")
        done = float(state == "completed")
        return RunStatus(
            run=run,
            workflow=str(self.requests[run].workflow.get("id", "")),
            state=state,
            started=events[0].at,
            seconds=last.at - events[0].at,
            nodes=tuple(self._nodes(run, state)),
            durable=len(events),
            error=last.error if isinstance(last, RunFailed) else None,
            progress=Progress(int(done), 1, done, 1.0, 100 * done, 0.0 if done else None),
            origin=events[0].origin if isinstance(events[0], RunStarted) else "",
        )

    async def runs(self, limit: int = 100) -> Sequence[RunStatus]:
        """The newest first."""
        statuses = [await self.status(run) for run in list(reversed(self._events))[:limit]]
        return [msgspec.structs.replace(status, nodes=(), progress=None) for status in statuses]

    async def metrics(self, run: str) -> RunMetrics:
        """What a run took: nothing is measured, each node is told with its state."""
        status = await self.status(run)
        nodes = self.requests[run].workflow.get("nodes", {})
        told = tuple(
            NodeMetrics(one.node, nodes[one.node].get("uses", ""), one.state) for one in status.nodes
        )
        return RunMetrics(
            run,
            status.workflow,
            status.state,
            len(self._events[run]),
            nodes=told,
            states=dict(Counter(one.state for one in told)),
            wall=status.seconds,
        )

    async def request(self, run: str) -> RunRequest:
        """What a run was asked to do."""
        self._of(run)
        return self.requests[run]

    async def history(self, run: str = "", *, after: int = 0, limit: int = 100) -> Sequence[HistoryEntry]:
        """Who gave which command."""
        if run:
            self._of(run)
        return [entry for entry in self._history if run in ("", entry.run) and entry.id > after][:limit]

    async def explain(self, run: str, node: str = "") -> Sequence[Explanation]:
        """Every node is computed for the first time."""
        self._check_node(run, node)
        nodes = [node] if node else self.requests[run].workflow.get("nodes", ())
        return [Explanation(one, "first-time", "nothing is kept") for one in nodes]

    async def compact(
        self, runs: Sequence[str] = (), *, older_than: float = 0.0, dry_run: bool = False
    ) -> Sequence[CompactedRun]:
        """Nothing is kept that could be made smaller."""
        found = [(run, (await self.status(run)).state) for run in runs or self._events]
        over = [(run, state) for run, state in found if state in ("completed", "cancelled")]
        if runs and len(over) < len(found):
            raise RunError(f"one of {', '.join(runs)} may still go on", code="SYM-R100")
        return [CompactedRun(run, state, 0, 0, 0) for run, state in over]

    async def outputs(self, run: str) -> Mapping[str, bytes]:
        """Outputs of a completed run."""
        self._of(run)
        if run not in self._outputs:
            raise RunError(f"run {run!r} is not completed")
        return self._outputs[run]

    async def close(self) -> None:
        """There is nothing to close."""

    def _begin(self, request: RunRequest, origin: str) -> str:
        run = f"run-{next(self._ids)}"
        self.requests[run] = request
        self._events[run] = []
        self._changed[run] = asyncio.Event()
        workflow, nodes = str(request.workflow.get("id", "")), len(request.workflow.get("nodes", ()))
        self._add(run, RunStarted, workflow=workflow, nodes=nodes, actor=request.actor, origin=origin)
        self._remember(run, "rerun" if origin else "start", request.actor, "", origin)
        if self._held:
            self._add(run, RunPaused, reason="held")
        else:
            self._go_on(run)
        return run

    def _nodes(self, run: str, state: RunState) -> Iterator[NodeStatus]:
        skipped = {event.node for event in self._events[run] if isinstance(event, NodeSkipped)}
        for node in self.requests[run].workflow.get("nodes", ()):
            if node in skipped:
                yield NodeStatus(node, "skipped")
            elif state == "waiting":
                asked = node == self._asks
                yield NodeStatus(node, "waiting" if asked else "pending", prompt="Go on?" if asked else "")
            else:
                yield NodeStatus(node, "pending" if state == "paused" else state)

    def _of(self, run: str) -> list[RunEvent]:
        if run not in self._events:
            raise RunError(f"there is no run {run!r}", code="SYM-R002")
        return self._events[run]

    def _check_open(self, run: str) -> None:
        if isinstance(self._of(run)[-1], RunCompleted | RunFailed | RunCancelled):
            raise RunError(f"run {run!r} has ended", code="SYM-R005")

    def _check_node(self, run: str, node: str) -> None:
        self._of(run)
        if node and node not in self.requests[run].workflow.get("nodes", ()):
            raise RunError(f"the workflow has no node {node!r}", code="SYM-R060")

    def _go_on(self, run: str) -> None:
        if self._asks:
            self._add(run, NodeWaiting, node=self._asks, prompt="Go on?")
            self._add(run, RunWaiting, nodes=(self._asks,))
        else:
            self._finish(run)

    def _finish(self, run: str) -> None:
        try:
            outputs = self._work(self.requests[run])
        except Exception as error:  # noqa: BLE001 - the function is a test's
            self._add(run, RunFailed, error=foreign_error(error, "the test").payload())
        else:
            self._outputs[run] = {name: encode(value) for name, value in outputs.items()}
            self._add(run, RunCompleted, seconds=0.0)

    def _steer(self, run: str, command: RunCommand, actor: str, node: str = "", comment: str = "") -> None:
        self._add(run, RunSteered, command=command, actor=actor, node=node, comment=comment)
        self._remember(run, command, actor, node, comment)

    def _remember(self, run: str, command: RunCommand, actor: str, node: str, comment: str) -> None:
        last = self._events[run][-1]
        number = len(self._history) + 1
        self._history.append(HistoryEntry(number, run, last.sequence, last.at, command, actor, node, comment))

    def _add(self, run: str, kind: type[RunEvent], **fields: Any) -> None:
        self._events[run].append(kind(run=run, sequence=len(self._events[run]) + 1, at=time.time(), **fields))
        self._changed[run].set()


class FakeLease:
    """Fake of Lease.

    Args:
        model: What is leased.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._released = False

    def release(self) -> None:
        """Give it back, once."""
        if self._released:
            raise PortError("the lease was released before")
        self._released = True


class FakePoolManager:
    """Fake of PoolManager: models that are there, and are in memory once loaded.

    Args:
        models: Models by id.
    """

    def __init__(self, models: Mapping[str, Any] | None = None) -> None:
        self._models = dict(models or {})
        self.loaded: set[str] = set()
        self.hints: list[tuple[str, float, float]] = []

    def acquire(self, model: str) -> FakeLease:
        """A lease of a model that is in memory."""
        if model not in self.loaded:
            raise PortError(f"the model {model!r} is not in memory", hint="Load it first.")
        return FakeLease(self._models[model])

    async def load(self, model: str) -> FakeLease:
        """A lease of a model."""
        if model not in self._models:
            raise PortError(f"there is no model {model!r}")
        self.loaded.add(model)
        return self.acquire(model)

    def hint(self, model: str, seconds: float, probability: float) -> None:
        """Remember the hint."""
        self.hints.append((model, seconds, probability))

    async def unload(self, model: str) -> None:
        """Take a model out of memory."""
        self.loaded.discard(model)


class FakeArbitrationEngine:
    """Fake of ArbitrationEngine: grants whatever there is enough of.

    Args:
        resources: Amounts by name.
    """

    def __init__(self, resources: Mapping[str, float] | None = None) -> None:
        self._resources = dict(resources or {})
        self.decisions: list[tuple[str, str, float]] = []

    def admit(self, claimant: str, resource: str, amount: float = 1.0) -> AbstractContextManager[None]:
        """Hold an amount of a resource."""
        if amount > self._resources.get(resource, 0.0):
            raise PortError(f"there is never {amount} of {resource!r}")
        self.decisions.append((claimant, resource, amount))
        return self._held()

    def waiting_time(self, claimant: str, resource: str, amount: float = 1.0) -> float:
        """No claim waits."""
        return 0.0

    @contextmanager
    def _held(self) -> Iterator[None]:
        yield


class FakeStaleManager:
    """Fake of StaleManager: remembers holds, removes nothing."""

    def __init__(self) -> None:
        self.holds: dict[str, str] = {}

    async def sweep(self, *, dry_run: bool = True) -> StaleReport:
        """Nothing is stale."""
        return StaleReport(examined=0)

    def hold(self, artifact: str, reason: str) -> None:
        """Remember a hold."""
        self.holds[artifact] = reason

    def release(self, artifact: str) -> None:
        """Forget a hold."""
        self.holds.pop(artifact, None)


class FakePit(msgspec.Struct):
    """Fake of PitPort.

    Args:
        pool: The Pool Manager.
        tracker: The DAG Tracker.
        artifacts: The Artifact Store.
        arbitration: The Arbitration Engine.
        stale: The Stale Manager.
    """

    pool: FakePoolManager = msgspec.field(default_factory=FakePoolManager)
    tracker: FakeDagTracker = msgspec.field(default_factory=FakeDagTracker)
    artifacts: FakeArtifactStore = msgspec.field(default_factory=FakeArtifactStore)
    arbitration: FakeArbitrationEngine = msgspec.field(default_factory=FakeArbitrationEngine)
    stale: FakeStaleManager = msgspec.field(default_factory=FakeStaleManager)

"""PitPort: the five components that every workflow stands on.

A component is called directly, in the host's process. Methods that wait are coroutines; the others return
at once and may be called from any thread.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import msgspec

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import RunEvent

Durability = Literal["os", "group", "sync"]
"""`os`: handed to the operating system; `group`: synced with the next group; `sync`: synced before return."""

RunState = Literal["pending", "running", "paused", "completed", "failed", "cancelled"]
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


class RunRequest(msgspec.Struct, frozen=True):
    """A workflow to run.

    Args:
        workflow: The workflow as its JSON document.
        inputs: Encoded values of the workflow's inputs by name.
        executor: Name of the executor that runs its nodes.
        labels: Facts to keep beside the run.
    """

    workflow: dict[str, Any]
    inputs: dict[str, bytes] = {}
    executor: str = "local"
    labels: dict[str, str] = {}


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
    """

    node: str
    state: NodeState
    attempt: int = 0
    done: int = 0
    total: int = 1
    seconds: float = 0.0
    error: ErrorPayload | None = None


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
    """

    run: str
    workflow: str
    state: RunState
    started: float
    seconds: float
    nodes: tuple[NodeStatus, ...] = ()
    durable: int = 0
    error: ErrorPayload | None = None


class Lineage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an artifact comes from.

    Args:
        run: Id of the run.
        node: Id of the node.
        extension: Id of the extension.
        inputs: Ids of the artifacts that it was made from.
    """

    run: str = ""
    node: str = ""
    extension: str = ""
    inputs: tuple[str, ...] = ()


class ArtifactInfo(msgspec.Struct, frozen=True):
    """What the Artifact Store knows of an artifact.

    Args:
        ref: The artifact.
        created: Unix time in seconds when it was first stored.
        metadata: Facts kept beside it.
        lineage: Where it comes from.
    """

    ref: ArtifactRef
    created: float
    metadata: dict[str, str] = {}
    lineage: Lineage = Lineage()


class DagTracker(Protocol):
    """Runs workflow graphs and remembers every step of them."""

    async def start(self, request: RunRequest) -> str:
        """Begin a run, and return its id once a crash can no longer lose it.

        Args:
            request: What to run.

        Raises:
            WorkflowError: The workflow has no order, or an input is missing.
            RunError: The executor is unknown or cannot place a node.
        """

    async def resume(self, run: str) -> None:
        """Go on with a run that was paused, interrupted or failed; completed nodes are not run again.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or it is completed.
        """

    async def pause(self, run: str) -> None:
        """Start no further node of a run; those that run may end.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or it has ended.
        """

    async def cancel(self, run: str) -> None:
        """End a run; operations that run are told to stop.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or it has ended.
        """

    def events(self, run: str, after: int = 0) -> AsyncIterator[RunEvent]:
        """The events of a run, those that happened first, then each as it happens, until the run ends.

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

    async def outputs(self, run: str) -> Mapping[str, bytes]:
        """Encoded values of a completed run's outputs by name.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or it is not completed.
        """

    async def close(self) -> None:
        """Stop every run where it is, ready to be resumed, and close the log."""


class ArtifactStore(Protocol):
    """Keeps bytes by their content."""

    def put(
        self,
        data: bytes | memoryview,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        lineage: Lineage | None = None,
        durability: Durability = "group",
    ) -> ArtifactRef:
        """Store bytes; storing the same bytes again costs no space.

        Args:
            data: The bytes.
            name: File name for people.
            media_type: Such as `text/html`.
            metadata: Facts to keep beside it.
            lineage: Where it comes from.
            durability: When it counts as stored.

        Raises:
            ArtifactError: It cannot be written.
        """

    def get(self, id: str) -> bytes:
        """All bytes of an artifact, checked against its id.

        Args:
            id: Its id, or the first characters of it where only one artifact has them.

        Raises:
            ArtifactError: There is none, there are several, or its bytes are damaged.
        """

    def read(self, id: str, offset: int, length: int) -> bytes:
        """Some bytes of an artifact; fewer at its end.

        Args:
            id: Its id.
            offset: First byte, counted from 0.
            length: How many bytes.

        Raises:
            ArtifactError: There is none, or its bytes are damaged.
        """

    def info(self, id: str) -> ArtifactInfo:
        """What is known of an artifact.

        Args:
            id: Its id, or the first characters of it where only one artifact has them.

        Raises:
            ArtifactError: There is none, or there are several.
        """

    def find(self, *, run: str = "", name: str = "", limit: int = 100) -> Sequence[ArtifactInfo]:
        """Artifacts, the newest first.

        Args:
            run: Only those of this run.
            name: Only those with this text in their name.
            limit: At most so many.
        """

    def remove(self, id: str) -> None:
        """Forget an artifact and free its space.

        Args:
            id: Its id.

        Raises:
            ArtifactError: There is none.
        """

    def verify(self) -> Sequence[ErrorPayload]:
        """Read every artifact and name each that is damaged, with its id in `details["id"]`."""

    def close(self) -> None:
        """Sync what is not yet synced, and close."""


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

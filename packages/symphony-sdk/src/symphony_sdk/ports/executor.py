"""ExecutorPort: where ready nodes run."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from symphony_sdk.errors import ErrorPayload


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node needs while it runs.

    Args:
        cpu: Cores.
        memory: Bytes.
        gpu: Devices; fractions share one.
    """

    cpu: float = 0.0
    memory: int = 0
    gpu: float = 0.0


class NodeCall(msgspec.Struct, frozen=True):
    """One attempt to run one node, or one item of a fan-out.

    Args:
        run: Id of the run.
        node: Id of the node.
        operation: Id of the operation that it uses.
        inputs: Encoded values by port name.
        attempt: Number of this attempt, counted from 1.
        item: Index of the item in a fan-out; -1 outside of one.
        timeout: Seconds that it may take; None for no bound.
        resources: What it needs while it runs.
    """

    run: str
    node: str
    operation: str
    inputs: dict[str, bytes]
    attempt: int = 1
    item: int = -1
    timeout: float | None = None
    resources: Resources = Resources()

    @property
    def idempotency_key(self) -> str:
        """Names this attempt; equal for a call that is delivered twice."""
        return f"{self.run}/{self.node}/{self.item}/{self.attempt}"


class NodeEvent(msgspec.Struct, frozen=True):
    """What an executor reports of a call.

    Args:
        call: The call that it is about.
        kind: `started`, `progressed`, `completed`, or `failed`; the last two are final and come once.
        fraction: Of `progressed`: from 0 to 1.
        text: Of `progressed`: what is being done.
        outputs: Of `completed`: encoded values by port name.
        seconds: Of `completed`: how long the extension's own code ran.
        error: Of `failed`: why.
        retryable: Of `failed`: whether another attempt may help and may be made.
    """

    call: NodeCall
    kind: Literal["started", "progressed", "completed", "failed"]
    fraction: float = 0.0
    text: str = ""
    outputs: dict[str, bytes] = {}
    seconds: float = 0.0
    error: ErrorPayload | None = None
    retryable: bool = False


class ExecutorPort(Protocol):
    """Runs ready nodes, in batches. Whoever uses it owns the graph, the order, retries and pauses.

    All methods are called on one event loop, and `on_event` is called on that same loop. An executor
    makes no attempt of its own twice. After `submit`, each call of the batch gets exactly one final event,
    whatever happens to the machine that it ran on.
    """

    @property
    def name(self) -> str:
        """What `--executor` names."""

    @property
    def slots(self) -> int:
        """How many calls it can usefully run at once; may change while it runs."""

    async def start(self) -> None:
        """Be ready for calls; does nothing where it is ready.

        Raises:
            RunError: The place cannot be reached or started.
        """

    def can_place(self, resources: Resources) -> bool:
        """Whether a call with these needs could ever run here.

        Args:
            resources: What the call needs.
        """

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        """Run calls.

        Args:
            batch: Calls that are ready now.
            on_event: Takes what happens to them, on the event loop.
        """

    def cancel(self, run: str, node: str = "", *, force: bool = False) -> None:
        """Stop calls; each still gets its final event, `failed` with SYM-R003.

        Args:
            run: Id of the run.
            node: Only the calls of this node; all of the run where it is empty.
            force: Kill what does not stop by itself.
        """

    async def stop(self) -> None:
        """Cancel what runs and give every resource back."""

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
        custom: Amounts of anything else that an executor has, such as `{"licence": 1}`.
    """

    cpu: float = 0.0
    memory: int = 0
    gpu: float = 0.0
    custom: dict[str, float] = {}


class NodeCall(msgspec.Struct, frozen=True, gc=False):
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
        idle_timeout: Seconds that it may run without a word of its progress; None for no bound.
        takes: Of a link of a chain: what it is given of the outputs of the call right before it in the batch, output
            port by input port. It runs right after that call, in the same place. None for a call that follows none.
    """

    run: str
    node: str
    operation: str
    inputs: dict[str, bytes]
    attempt: int = 1
    item: int = -1
    timeout: float | None = None
    resources: Resources = Resources()
    idle_timeout: float | None = None
    takes: dict[str, str] | None = None

    @property
    def idempotency_key(self) -> str:
        """Names this attempt; equal for a call that is delivered twice."""
        return f"{self.run}/{self.node}/{self.item}/{self.attempt}"


class NodeEvent(msgspec.Struct, frozen=True, gc=False):
    """What an executor reports of a call.

    Args:
        call: The call that it is about.
        kind: `started`, `progressed`, `completed`, `failed`, `lost` or `returned`; the last four are final, and one
            of them comes once. `lost`: the place where the call ran is gone through no fault of the call. `returned`:
            a link of a chain is given back as if it had never been handed out.
        fraction: Of `progressed`: from 0 to 1.
        text: Of `progressed`: what is being done.
        outputs: Of `completed`: encoded values by port name.
        seconds: Of `completed`: how long the extension's own code ran.
        error: Of `failed` and `lost`: why. Of `returned`: why it had better run alone, if it had.
        retryable: Of `failed` and `lost`: whether another attempt may help and may be made.
        memory: Of `completed`: bytes of the highest resident memory of the process while the call ran, as far as
            that is known; 0 where it is not. Calls that run there at the same time share it.
        place: Of the final ones: where it ran, such as `acme.text#2` or the name of a machine; empty where the
            executor has one place.
        fingerprint: Of `completed`: that of the extension whose code ran, as `ExtensionInfo` has it; empty where
            that is not known.
    """

    call: NodeCall
    kind: Literal["started", "progressed", "completed", "failed", "lost", "returned"]
    fraction: float = 0.0
    text: str = ""
    outputs: dict[str, bytes] = {}
    seconds: float = 0.0
    error: ErrorPayload | None = None
    retryable: bool = False
    memory: int = 0
    place: str = ""
    fingerprint: str = ""


class ExecutorPort(Protocol):
    """Runs ready nodes, in batches. Whoever uses it owns the graph, the order, retries and pauses.

    All methods are called on one event loop, and `on_event` is called on that same loop. An executor
    makes no attempt of its own twice. After `submit`, each call of the batch gets exactly one final event,
    whatever happens to the machine that it ran on.

    Where `chains` allows it, calls may follow each other in a batch as the links of a chain: each gets its events as
    ever, and none of them before the one that it follows has completed. A link whose turn does not come is `returned`:
    because the one before it did not end well, gave no such output or one of more than `CHAIN_BYTES`, because the
    chain has held its place for `CHAIN_SECONDS`, or because the executor likes to.
    """

    @property
    def name(self) -> str:
        """What `--executor` names."""

    @property
    def slots(self) -> int:
        """How many calls it can usefully run at once; may change while it runs."""

    @property
    def capacity(self) -> Resources | None:
        """What all calls that are out may need together; whoever uses it lets the others wait.

        None where the executor itself sees to it, because it has several places. It is asked for once, after `start`.
        """

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

    def chains(self, first: str, then: str) -> bool:
        """Whether a call may run right after another one in the same place, as the next link of a chain.

        Not where one of them must not be made twice: what a place that is gone had come to is not always known. It
        is asked often, and what it says may change.

        Args:
            first: Id of the operation of the one.
            then: Id of the operation of the other.
        """

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        """Run calls.

        Args:
            batch: Calls that are ready now.
            on_event: Takes what happens to them, on the event loop.
        """

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None:
        """Stop calls; each still gets its final event, `failed` with SYM-R003.

        Args:
            run: Id of the run.
            node: Only the calls of this node; all of the run where it is empty.
            item: Only the call of this item of the node; those of all where it is -1.
            force: Kill what does not stop by itself.
        """

    async def stop(self) -> None:
        """Cancel what runs and give every resource back."""

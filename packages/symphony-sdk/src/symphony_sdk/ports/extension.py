"""ExtensionPort: the extensions that run in workers, whichever processes these are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from symphony_sdk.contributions import AddonSpec, OperationSpec
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.messages import OperationResult, Progress
from symphony_sdk.ports.executor import NodeCall, NodeEvent

ExtensionState = Literal[
    "discovered",
    "resolved",
    "loaded",
    "active",
    "deactivated",
    "unloaded",
    "failed",
    "disabled",
    "quarantined",
]


ExitCause = Literal[
    "exit",
    "signal",
    "memory",
    "cpu",
    "processes",
    "disk",
    "load-timeout",
    "protocol",
    "flood",
    "heartbeat",
    "permission",
    "stuck",
    "host",
]
"""Why a worker ended: by itself, by a signal, as it was over one of its limits, as it was too slow to load, as it broke
the protocol, as it sent or printed without end, as it gave no sign of life, as it asked again and again for what it may not, as it did not end a call that
was cancelled, or as the host wanted it."""


class WorkerExit(msgspec.Struct, frozen=True):
    """How a worker came to an end that nobody wanted.

    Args:
        cause: Why, for programs.
        text: Why, in words.
        place: What the worker was called, such as `acme.text#2`.
        at: Unix time in seconds.
    """

    cause: ExitCause
    text: str
    place: str
    at: float


class ExtensionInfo(msgspec.Struct, frozen=True):
    """What is known of an installed extension.

    Args:
        id: `publisher.name`.
        version: Version of its distribution.
        kind: What it is, as its manifest says.
        state: Where it is in its life.
        operations: Its operations; empty until they are known.
        addons: Its addons; empty until they are known.
        reason: Why it is `failed`, `disabled` or `quarantined`.
        error: The error that led there, with its code and what to do; None where it is known as text alone.
        fingerprint: Changes with its content and its settings; empty where that is not known.
        permissions: What it asks for, in the text form of the permission grammar.
        cause: How its last worker ended, where that is why it is `failed` or `quarantined`.
    """

    id: str
    version: str
    kind: str
    state: ExtensionState
    operations: tuple[OperationSpec, ...] = ()
    addons: tuple[AddonSpec, ...] = ()
    reason: str = ""
    error: ErrorPayload | None = None
    fingerprint: str = ""
    permissions: tuple[str, ...] = ()
    cause: ExitCause | Literal[""] = ""


Pulse = Literal["busy", "blocked", "stopped"]
"""What a worker does that did not answer: computes, waits for something, or was stopped by a signal."""


class ExtensionHealth(msgspec.Struct, frozen=True):
    """How the workers of an extension are.

    Args:
        extension: Id of the extension.
        alive: Whether a worker runs.
        pid: Process id of the first; 0 where none runs, and of an extension that runs in the host.
        restarts: How often one was started again after a crash.
        answered: Seconds that the slowest took to answer just now; None where one did not.
        calls: How many calls they are working on.
        waiting: How many calls wait for one of them.
        pids: Process ids by place, such as `acme.text#2`.
        problem: What the extension's own `symphony_health` says is wrong; empty where nothing is, or none is there.
        silent: What those do that did not answer just now, by place. A busy one is well.
        exits: How its workers crashed lately, the latest last.
        generation: How often the extension was begun: 1, and one more with each reload.
    """

    extension: str
    alive: bool
    pid: int = 0
    restarts: int = 0
    answered: float | None = None
    calls: int = 0
    waiting: int = 0
    pids: dict[str, int] = {}
    problem: str = ""
    silent: dict[str, Pulse] = {}
    exits: tuple[WorkerExit, ...] = ()
    generation: int = 1


class ExtensionPort(Protocol):
    """Asks extensions to work. Each runs apart from the host; a call may find it dead and says so."""

    async def extensions(self) -> Sequence[ExtensionInfo]:
        """Every installed extension, the broken ones included."""

    async def operations(self) -> Mapping[str, OperationSpec]:
        """Every operation of every usable extension by its id."""

    async def deployment(self) -> bytes:
        """What another machine needs to run the usable extensions: their settings, and which code they have.

        Only the adapter's own other end reads it. It holds the settings of extensions, secret ones too.
        """

    async def activate(self, extension: str) -> None:
        """Start the worker of an extension, run its load and activate hooks; nothing where it is active.

        Args:
            extension: Id of the extension.

        Raises:
            ExtensionError: It is unknown, disabled, quarantined, or does not start.
        """

    async def deactivate(self, extension: str) -> None:
        """Run its deactivate and unload hooks and stop its worker; nothing where none runs.

        Args:
            extension: Id of the extension.
        """

    async def reload(self, extension: str) -> ExtensionInfo:
        """Replace the workers of an extension by new ones that run its code as it is now; no call fails of it.

        The new ones are started and asked for their health, then they get the calls; the old ones end theirs and are
        stopped. A quarantine is lifted. An extension that was not usable so far is begun.

        Args:
            extension: Id of the extension.

        Raises:
            ExtensionError: It is unknown or runs in the host; or the new one does not start or is not well, and then
                the old one stays.
        """

    async def call(
        self, call: NodeCall, on_progress: Callable[[Progress], None] | None = None
    ) -> OperationResult:
        """Run one operation in its extension's worker, which is started where it does not run.

        Cancelling the awaiting task cancels the operation.

        Args:
            call: What to run.
            on_progress: Takes what the operation says of its progress.

        Raises:
            ExtensionError: No extension brings the operation, or its own code failed.
            PeerGone: The worker died.
            DeadlineExceeded: `call.timeout` passed.
        """

    def chains(self, first: str, then: str) -> bool:
        """Whether a call may run right after another one in the same place, as the next link of a chain.

        Args:
            first: Id of the operation of the one.
            then: Id of the operation of the other.
        """

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        """Run calls, each as `call` does; those of one extension go to its worker together.

        Args:
            batch: What to run; a call with `takes` is a link of a chain, see `ExecutorPort`.
            on_event: Takes what happens to them, on the event loop; each gets exactly one final event.
        """

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None:
        """Stop calls of a run; each that was submitted still gets its final event, `failed` with SYM-R003.

        Args:
            run: Id of the run.
            node: Only the calls of this node; all of the run where it is empty.
            item: Only the call of this item of the node; those of all where it is -1.
            force: Kill the processes that work on them at once. What else they work on is `lost`.
        """

    async def health(self, extension: str) -> ExtensionHealth:
        """How the workers of an extension are.

        Args:
            extension: Id of the extension.

        Raises:
            ExtensionError: It is unknown.
        """

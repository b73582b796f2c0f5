"""ExtensionPort: the extensions that run in workers, whichever processes these are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from symphony_sdk.contributions import AddonSpec, OperationSpec
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.messages import OperationResult, Progress
from symphony_sdk.ports.executor import NodeCall

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
    """

    id: str
    version: str
    kind: str
    state: ExtensionState
    operations: tuple[OperationSpec, ...] = ()
    addons: tuple[AddonSpec, ...] = ()
    reason: str = ""
    error: ErrorPayload | None = None


class ExtensionHealth(msgspec.Struct, frozen=True):
    """How the worker of an extension is.

    Args:
        extension: Id of the extension.
        alive: Whether a worker runs.
        pid: Its process id; 0 where none runs.
        restarts: How often it was started again after a crash.
        answered: Seconds that it took to answer just now; None where it did not.
        calls: How many calls it is working on.
    """

    extension: str
    alive: bool
    pid: int = 0
    restarts: int = 0
    answered: float | None = None
    calls: int = 0


class ExtensionPort(Protocol):
    """Asks extensions to work. Each runs apart from the host; a call may find it dead and says so."""

    async def extensions(self) -> Sequence[ExtensionInfo]:
        """Every installed extension, the broken ones included."""

    async def operations(self) -> Mapping[str, OperationSpec]:
        """Every operation of every usable extension by its id."""

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

    async def health(self, extension: str) -> ExtensionHealth:
        """How the worker of an extension is.

        Args:
            extension: Id of the extension.

        Raises:
            ExtensionError: It is unknown.
        """

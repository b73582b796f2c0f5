"""The types of the messages that the host and an extension's worker exchange, and their registry.

Every wire type is a `msgspec.Struct` with a name and a version. Fields are only ever added, with a
default; a change of meaning is a new version. Values of ports travel as encoded MessagePack inside
`msgspec.Raw`, so that whoever only passes them on never decodes them.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec

from symphony_sdk.contributions import AddonSpec, ArtifactRef, OperationSpec
from symphony_sdk.errors import ErrorPayload

StructT = TypeVar("StructT", bound=type[msgspec.Struct])

_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+")

MESSAGES: dict[str, type[msgspec.Struct]] = {}
"""Every registered message type by its wire name, such as `worker.call/1`."""

MESSAGE_LIMIT: Final = 1 << 20
"""Bytes that a message may have encoded, unless its type says otherwise."""

DATA_LIMIT: Final = 16 << 20
"""Bytes that a message may have which carries bytes or encoded values: what fits into a frame."""

STATE_LIMIT: Final = 8 << 20
"""Bytes of the state that an extension hands over when it is reloaded."""

CALLS_LIMIT: Final = 1024
"""Calls of one message."""

CHAIN_LIMIT: Final = 64
"""Calls of one chain."""

CHAIN_BYTES: Final = 32 << 10
"""Bytes of the largest output that a call passes on in a chain."""

CHAIN_SECONDS: Final = 0.002
"""Seconds for which a chain goes on before it gives its rest back, so that others have their turn."""

Values = Annotated[dict[str, msgspec.Raw], msgspec.Meta(max_length=1024)]
"""Encoded values by port name."""

CallNumber = Annotated[int, msgspec.Meta(ge=1)]
"""Number of a call on its connection: it is given once, by the host."""


def message(name: str, *, version: int = 1, limit: int = MESSAGE_LIMIT) -> Callable[[StructT], StructT]:
    """Register a `msgspec.Struct` as a message.

    A module that is imported anew may register its own types again.

    Args:
        name: Dotted name of the message, such as `worker.call`: lower-case words, digits and `-`.
        version: Version of its meaning, counted from 1.
        limit: Bytes that it may have encoded. Decoded, a byte of it can take some seventy bytes of memory; so a
            type with a higher limit bounds the length of each of its collections.

    Raises:
        ValueError: The name is not one, or another type is registered under this name and version.
        TypeError: The class is no `msgspec.Struct`.
    """
    if not _NAME.fullmatch(name) or version < 1:
        raise ValueError(f"{name!r}, version {version}, names no message: write it like 'acme.text.greeting'")

    def register(struct: StructT) -> StructT:
        if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
            raise TypeError(f"{struct!r} cannot be a message: derive it from msgspec.Struct")
        wire_name = f"{name}/{version}"
        known = MESSAGES.get(wire_name)
        if known is not None and _place(known) != _place(struct):
            raise ValueError(f"message {wire_name!r} is already {known.__module__}.{known.__qualname__}")
        struct.__message_type__ = wire_name  # type: ignore[attr-defined]
        struct.__message_limit__ = limit  # type: ignore[attr-defined]
        MESSAGES[wire_name] = struct
        return struct

    return register


def _place(struct: type) -> tuple[str, str]:
    return struct.__module__, struct.__qualname__


def message_type(message: msgspec.Struct | type[msgspec.Struct]) -> str:
    """The wire name of a message or of its class.

    Raises:
        TypeError: The class is not registered with [message][symphony_sdk.messages.message].
    """
    name = getattr(message, "__message_type__", None)
    if not isinstance(name, str):
        raise TypeError(f"{message!r} is not a message: decorate its class with @message")
    return name


def message_limit(message: msgspec.Struct | type[msgspec.Struct]) -> int:
    """Bytes that a message of this class may have encoded."""
    limit: int = getattr(message, "__message_limit__", MESSAGE_LIMIT)
    return limit


@message("worker.load")
class LoadExtension(msgspec.Struct, frozen=True):
    """Host to worker, first of all: import the extension and say what it contributes.

    Args:
        extension: Id of the extension.
        version: Version of its distribution.
        module: Dotted name of the module to import.
        config: The extension's settings, validated by the host.
        permissions: What the extension declared, in the text form of the permission grammar.
        roots: Directories behind the variables of that grammar: `project`, `home`, `data`, `cache`, `tmp`.
    """

    extension: str
    version: str
    module: str
    config: dict[str, Any] = {}
    permissions: tuple[str, ...] = ()
    roots: dict[str, str] = {}


@message("worker.loaded")
class ExtensionLoaded(msgspec.Struct, frozen=True):
    """Worker to host: the extension is imported.

    Args:
        operations: Its operators and instruments with their typed ports.
        addons: Its contributions to the user interface.
        hooks: Names of the hooks that it implements.
    """

    operations: tuple[OperationSpec, ...] = ()
    addons: tuple[AddonSpec, ...] = ()
    hooks: tuple[str, ...] = ()


@message("worker.lifecycle")
class LifecycleStep(msgspec.Struct, frozen=True):
    """Host to worker: run one of the lifecycle hooks.

    Args:
        step: `load`, `activate`, `deactivate` or `unload`.
    """

    step: str


@message("worker.done")
class Done(msgspec.Struct, frozen=True):
    """The answer of a request that has nothing to tell but that it was done."""


@message("worker.health")
class CheckHealth(msgspec.Struct, frozen=True):
    """Host to worker: ask the extension whether it can do its work; only where it has the hook."""


@message("worker.healthy")
class HealthReport(msgspec.Struct, frozen=True):
    """Worker to host: what the extension says of its health.

    Args:
        problem: What is wrong; empty where nothing is.
    """

    problem: str = ""


@message("worker.save")
class SaveState(msgspec.Struct, frozen=True):
    """Host to worker: hand the extension's state over; only where it has the hook."""


@message("worker.saved", limit=DATA_LIMIT)
class SavedState(msgspec.Struct, frozen=True):
    """Worker to host: the extension's state.

    Args:
        data: What the extension made of it.
    """

    data: Annotated[bytes, msgspec.Meta(max_length=STATE_LIMIT)]


@message("worker.restore", limit=DATA_LIMIT)
class RestoreState(msgspec.Struct, frozen=True):
    """Host to worker: take this state over; only where the extension has the hook.

    Args:
        version: Version of the extension that saved it.
        data: What it made of it.
    """

    version: str
    data: Annotated[bytes, msgspec.Meta(max_length=STATE_LIMIT)]


@message("worker.call", limit=DATA_LIMIT)
class CallOperation(msgspec.Struct, frozen=True, gc=False):
    """One call of an operator, or one inference of an instrument; several go to the worker together.

    Args:
        operation: Id of the operation.
        inputs: Encoded values by port name.
        run: Id of the run that it belongs to; empty outside of a run.
        node: Id of the node; empty outside of a run.
        attempt: Number of this attempt, counted from 1.
        item: Index of the item in a fan-out; -1 outside of one.
        takes: Of a link of a chain: what it is given of the outputs of the call before it, output port by input port.
        depth: How many calls wait for it, each for the next; 0 for the call of a node.
    """

    operation: str
    inputs: Values = {}
    run: str = ""
    node: str = ""
    attempt: int = 1
    item: int = -1
    takes: dict[str, str] | None = None
    depth: int = 0


@message("worker.result", limit=DATA_LIMIT)
class OperationResult(msgspec.Struct, frozen=True, gc=False):
    """How an operation ended that ended well.

    Args:
        outputs: Encoded values by port name.
        seconds: How long the extension's own code ran.
        memory: Bytes of the highest resident memory of the worker while it ran; 0 where that is not known.
    """

    outputs: Values = {}
    seconds: float = 0.0
    memory: int = 0


@message("worker.calls", limit=DATA_LIMIT)
class CallOperations(msgspec.Struct, frozen=True):
    """Host to worker: run many operations. Each ends for itself; each gets one answer.

    The answers come as a stream of `OperationResults` (`worker.results`): those that are there
    while others are worked on as items, the last of them with the response. A call that takes something
    is a link of a chain: it runs right after the one before it, once that has ended well.

    Args:
        calls: The calls by their numbers, in order.
    """

    calls: Annotated[dict[CallNumber, CallOperation], msgspec.Meta(min_length=1, max_length=CALLS_LIMIT)]


@message("worker.results", limit=DATA_LIMIT)
class OperationResults(msgspec.Struct, frozen=True, omit_defaults=True):
    """Worker to host: some calls of a message have ended, in any order.

    Args:
        results: What those gave that ended well, by the numbers of the calls.
        errors: Why others failed.
        returned: Links that have not begun and will not.
    """

    results: Annotated[dict[CallNumber, OperationResult], msgspec.Meta(max_length=CALLS_LIMIT)] = {}
    errors: Annotated[dict[CallNumber, ErrorPayload], msgspec.Meta(max_length=CALLS_LIMIT)] = {}
    returned: Annotated[tuple[CallNumber, ...], msgspec.Meta(max_length=CALLS_LIMIT)] = ()


@message("worker.cancel")
class CancelCalls(msgspec.Struct, frozen=True):
    """Host to worker: calls are to end soon. Each gets its answer all the same.

    Args:
        calls: Their numbers; those that have ended are passed over.
    """

    calls: Annotated[tuple[CallNumber, ...], msgspec.Meta(max_length=CALLS_LIMIT)]


@message("worker.progress")
class Progress(msgspec.Struct, frozen=True):
    """Worker to host, during a call: how far it is.

    Args:
        fraction: From 0 to 1.
        text: What is being done, for a person.
        call: Number of the call; 0 where it is that of the request which this belongs to.
    """

    fraction: float
    text: str = ""
    call: int = 0


@message("worker.log")
class LogLine(msgspec.Struct, frozen=True):
    """Worker to host, during a call or outside of one: a line of the extension's log.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        text: The line.
    """

    level: str
    text: str


@message("artifact.put", limit=DATA_LIMIT)
class PutArtifact(msgspec.Struct, frozen=True):
    """Worker to host: store a part of an artifact, or all of it.

    Args:
        data: At most 8 MiB.
        upload: Number that joins the parts of one artifact, chosen by the worker.
        last: Whether this is the last part.
        name: File name for people.
        media_type: Such as `text/html`.
        metadata: Facts to keep beside the artifact.
        run: Id of the run that it is made in; empty outside of a run.
        node: Id of the node that it is made by; empty outside of a run.
    """

    data: bytes
    upload: int = 0
    last: bool = True
    name: str = ""
    media_type: str = "application/octet-stream"
    metadata: Annotated[dict[str, str], msgspec.Meta(max_length=1024)] = {}
    run: str = ""
    node: str = ""


@message("artifact.stored")
class ArtifactStored(msgspec.Struct, frozen=True):
    """Host to worker: the part, or with the last part the whole artifact, is stored.

    Args:
        ref: The artifact, once it is whole.
    """

    ref: ArtifactRef | None = None


@message("artifact.get")
class GetArtifact(msgspec.Struct, frozen=True):
    """Worker to host: send bytes of an artifact.

    Args:
        id: Id of the artifact.
        offset: First byte, counted from 0.
        length: At most 8 MiB.
    """

    id: str
    offset: int = 0
    length: int = 8 << 20


@message("artifact.data", limit=DATA_LIMIT)
class ArtifactData(msgspec.Struct, frozen=True):
    """Host to worker: bytes of an artifact.

    Args:
        data: The bytes asked for, fewer at its end.
        size: Size of the whole artifact in bytes.
    """

    data: bytes
    size: int

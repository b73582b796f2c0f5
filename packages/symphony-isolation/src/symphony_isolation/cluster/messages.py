"""What the host and a machine say to each other, as bytes.

There is one version of it: the host's and the machine's Symphony are the same, or the machine refuses to work. So
the setup, which is the first that a machine reads, begins with the version alone.
"""

from typing import Literal, TypeVar

import msgspec
from symphony_sdk.errors import ErrorPayload, MalformedMessage
from symphony_sdk.messages import ArtifactData, ArtifactStored, GetArtifact, PutArtifact
from symphony_sdk.ports import Resources
from symphony_sdk.values import DECODING_ERRORS

from symphony_isolation.cluster.engine import Capacity


class Greeting(msgspec.Struct, frozen=True, array_like=True):
    """The first bytes of the host, which machines of every version can read.

    Args:
        version: The Symphony of the host.
        setup: A `Setup` of that version.
    """

    version: str
    setup: bytes


class Setup(msgspec.Struct, frozen=True, array_like=True):
    """What a machine is to run.

    Args:
        deployment: What `ExtensionPort.deployment` gave.
        project: Directory that extensions see as the project; that of the engine's process where empty.
    """

    deployment: bytes
    project: str = ""


class RemoteCall(msgspec.Struct, frozen=True, array_like=True):
    """A `NodeCall` on its way.

    Args:
        number: Names the call between the host and this machine.
        run: Id of the run.
        node: Id of the node.
        operation: Id of the operation.
        inputs: The small encoded values by port name.
        large: Names of the others by port name; the machine has the values.
        attempt: Number of this attempt.
        item: Index of the item; -1 outside of a fan-out.
        timeout: Seconds that it may take.
        resources: What it needs while it runs.
        idle_timeout: Seconds that it may run without a word.
    """

    number: int
    run: str
    node: str
    operation: str
    inputs: dict[str, bytes]
    large: dict[str, bytes]
    attempt: int
    item: int
    timeout: float | None
    resources: Resources
    idle_timeout: float | None


class Calls(msgspec.Struct, frozen=True, array_like=True, tag="calls"):
    """Host to machine: run these.

    Args:
        calls: The calls.
        values: Large values by name that the machine does not have; it keeps them.
        forget: Names that no later call uses, unless their values are sent again; none of them is in `calls`.
    """

    calls: list[RemoteCall]
    values: dict[bytes, bytes] = {}
    forget: list[bytes] = []


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Host to machine: stop calls; each still reports its end.

    Args:
        run: Id of the run.
        node: Only the calls of this node; all of the run where it is empty.
        item: Only the call of this item of the node; those of all where it is -1.
        force: Kill the workers of what does not stop by itself.
    """

    run: str
    node: str
    item: int
    force: bool


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """Host to machine: the answer of an `Ask`; one of the three.

    Args:
        number: That of the request.
        stored: Of an artifact that was put.
        data: Of an artifact that was read.
        error: Why it was refused.
    """

    number: int
    stored: ArtifactStored | None = None
    data: ArtifactData | None = None
    error: ErrorPayload | None = None


ToMachine = Calls | Cancel | Answer


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """Machine to host, first of all: it takes calls.

    Args:
        capacity: What it has.
        slots: How many calls it can usefully run at once.
        unusable: Why calls of an extension cannot run there, by the extension's id.
    """

    capacity: Capacity
    slots: int
    unusable: dict[str, ErrorPayload]


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """Machine to host, instead of `Ready`: it takes no calls.

    Args:
        error: Why.
    """

    error: ErrorPayload


class RemoteEvent(msgspec.Struct, frozen=True, array_like=True):
    """A `NodeEvent` on its way.

    Args:
        number: The call that it is about.
        kind: See `NodeEvent`, as all that follow.
        fraction: How far it is.
        text: What is being done.
        outputs: Encoded values by port name.
        digests: Those of the large outputs by port name; the machine keeps these values, each under the name that
            `name_of_made` gives.
        seconds: How long the extension's own code ran.
        error: Why it failed.
        retryable: Whether another attempt may help.
        memory: Bytes.
    """

    number: int
    kind: Literal["started", "progressed", "completed", "failed", "lost", "returned"]
    fraction: float = 0.0
    text: str = ""
    outputs: dict[str, bytes] = {}
    digests: dict[str, bytes] = {}
    seconds: float = 0.0
    error: ErrorPayload | None = None
    retryable: bool = False
    memory: int = 0


class Events(msgspec.Struct, frozen=True, array_like=True, tag="events"):
    """Machine to host: what happened, in its order.

    Args:
        events: What happened to calls.
    """

    events: list[RemoteEvent]


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="ask"):
    """Machine to host: a worker wants something of the Artifact Store; one of the two.

    Args:
        number: Names the request.
        extension: Id of the worker's extension.
        put: A part of an artifact to store.
        get: Bytes to read.
        version: Version of the extension, where it stores.
    """

    number: int
    extension: str
    put: PutArtifact | None = None
    get: GetArtifact | None = None
    version: str = ""


class Said(msgspec.Struct, frozen=True, array_like=True, tag="said"):
    """Machine to host: a line of a worker's log.

    Args:
        extension: Id of the extension.
        level: `debug`, `info`, `warning` or `error`.
        text: The line.
    """

    extension: str
    level: str
    text: str


ToHost = Ready | Refused | Events | Ask | Said

MessageT = TypeVar("MessageT")

encode = msgspec.msgpack.Encoder().encode
_TO_MACHINE: msgspec.msgpack.Decoder[ToMachine] = msgspec.msgpack.Decoder(ToMachine)
_TO_HOST: msgspec.msgpack.Decoder[ToHost] = msgspec.msgpack.Decoder(ToHost)
_GREETING = msgspec.msgpack.Decoder(Greeting)
_SETUP = msgspec.msgpack.Decoder(Setup)


def to_machine(data: bytes) -> ToMachine:
    """What the host says.

    Args:
        data: What `encode` gave there.

    Raises:
        MalformedMessage: It is none of its messages.
    """
    return _decode(_TO_MACHINE, data, "what the host sent to this machine is no message")


def to_host(data: bytes) -> ToHost:
    """What a machine says.

    Args:
        data: What `encode` gave there.

    Raises:
        MalformedMessage: It is none of its messages.
    """
    return _decode(_TO_HOST, data, "what a machine sent is no message")


def greeting(data: bytes) -> Greeting:
    """What a host of any version begins with.

    Args:
        data: The bytes that a machine is made with.

    Raises:
        MalformedMessage: It is no greeting.
    """
    return _decode(_GREETING, data, "what this machine was started with is no greeting")


def setup_of(data: bytes) -> Setup:
    """What a host of this version sets a machine up with.

    Args:
        data: The field `setup` of its greeting.

    Raises:
        MalformedMessage: It is no setup.
    """
    return _decode(_SETUP, data, "what this machine was started with is no setup")


def _decode(decoder: msgspec.msgpack.Decoder[MessageT], data: bytes, fault: str) -> MessageT:
    try:
        return decoder.decode(data)
    except DECODING_ERRORS as error:
        raise MalformedMessage(f"{fault}: {error}") from error

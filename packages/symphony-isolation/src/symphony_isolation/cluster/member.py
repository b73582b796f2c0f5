"""One machine as the host sees it: what it has, what it works on, and what waits to be sent there."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.ports import ArtifactStore, NodeCall, NodeEvent, Resources

from symphony_isolation.broker.artifact_requests import ArtifactRequests
from symphony_isolation.cluster.engine import Capacity
from symphony_isolation.cluster.held_values import LARGE, Digests, HeldValues
from symphony_isolation.cluster.messages import Calls, Ready, RemoteCall

LARGEST_MESSAGE: Final = 4 << 20
"""Bytes of values after which calls are sent, however few they are."""

AHEAD: Final = 0.02
"""Seconds of work for each slot that a machine has before it: enough that it never waits for the host."""

MOST_AHEAD: Final = 128
"""Calls for each slot that a machine has at most, however short they are: two full batches."""

NO_RESOURCES: Final = Resources()


class Flight(msgspec.Struct, eq=False):
    """A call that was submitted, until its final event.

    Args:
        call: The call.
        extension: Id of its extension.
        on_event: Takes what happens to it.
        number: Names it between the host and the machines.
        expected: Seconds that it will take, as far as that is known; infinite where it is not.
        cancelled: Whether it was told to stop.
    """

    call: NodeCall
    extension: str
    on_event: Callable[[NodeEvent], None]
    number: int
    expected: float = 0.0
    cancelled: bool = False


class Member:
    """A machine of the cluster.

    Args:
        name: Its name.
        send: Sends a message to it.
        digests: Digests of large values, shared by all machines.
        artifacts: Gives the Artifact Store.

    Attributes:
        name: Its name.
        ready: What it said of itself; None until then.
        refusal: Why it takes no calls; None where it does.
        out: The calls that it has, by number.
    """

    def __init__(
        self,
        name: str,
        *,
        send: Callable[[Calls], None],
        digests: Digests,
        artifacts: Callable[[], ArtifactStore],
    ) -> None:
        self.name = name
        self.ready: Ready | None = None
        self.refusal: ErrorPayload | None = None
        self.out: dict[int, Flight] = {}
        self._send = send
        self._digests = digests
        self._artifacts = artifacts
        self._requests: dict[tuple[str, str], ArtifactRequests] = {}
        self._nodes: Counter[tuple[str, str]] = Counter()
        self._held = HeldValues()
        self._expected = 0.0
        self._free = Capacity(0.0)
        self._calls: list[RemoteCall] = []
        self._values: dict[bytes, bytes] = {}
        self._size = 0

    def begin(self, ready: Ready) -> None:
        """It takes calls from now on.

        Args:
            ready: What it said of itself.
        """
        self.ready = ready
        self._free = ready.capacity

    @property
    def slots(self) -> int:
        """How many calls it can usefully run at once."""
        return self.ready.slots if self.ready else 0

    @property
    def load(self) -> float:
        """Calls that it has for each of its slots."""
        return len(self.out) / (self.slots or 1)

    def could(self, extension: str, resources: Resources) -> bool:
        """Whether it could run a call if it had nothing else to do.

        Args:
            extension: Id of the call's extension.
            resources: What the call needs.
        """
        ready = self.ready
        return (
            ready is not None
            and extension not in ready.unusable
            and (resources == NO_RESOURCES or ready.capacity.holds(resources))
        )

    def can(self, extension: str, resources: Resources) -> bool:
        """Whether it is to be given a call now.

        Args:
            extension: Id of the call's extension.
            resources: What the call needs.
        """
        ready = self.ready
        if ready is None or extension in ready.unusable:
            return False
        out, slots = len(self.out), ready.slots
        if out >= slots and (out >= MOST_AHEAD * slots or self._expected >= AHEAD * slots):
            return False
        return resources == NO_RESOURCES or self._free.holds(resources)

    def unusable(self, extension: str) -> ErrorPayload | None:
        """Why it cannot run calls of an extension at all; None where it can, or has not said so yet.

        Args:
            extension: Id of the extension.
        """
        return self.ready.unusable.get(extension) if self.ready else None

    def give(self, flight: Flight) -> None:
        """Give it a call; `flush` sends it.

        Args:
            flight: The call.
        """
        call = flight.call
        self.out[flight.number] = flight
        self._expected += flight.expected
        self._reserve(call.resources, 1)
        self.requests(flight.extension).begin(call.run, call.node)
        large = {port: value for port, value in call.inputs.items() if len(value) > LARGE}
        small, names = call.inputs, {}
        if large:
            small = {port: value for port, value in small.items() if port not in large}
            names = {port: self._named(value) for port, value in large.items()}
        self._calls.append(
            RemoteCall(
                flight.number,
                call.run,
                call.node,
                call.operation,
                small,
                names,
                call.attempt,
                call.item,
                call.timeout,
                call.resources,
                call.idle_timeout,
            )
        )
        if self._size > LARGEST_MESSAGE:
            self.flush()

    def land(self, flight: Flight) -> None:
        """It has a call no more.

        Args:
            flight: The call.
        """
        del self.out[flight.number]
        self._expected = self._expected - flight.expected if self.out else 0.0
        self._reserve(flight.call.resources, -1)
        self.requests(flight.extension).end(flight.call.run, flight.call.node)

    def made(self, digest: bytes, name: bytes, value: bytes) -> None:
        """It holds a value that it made.

        Args:
            digest: The digest of the value.
            name: Its name there.
            value: The value.
        """
        self._digests.remember(value, digest)
        self._held.add(digest, name, len(value))

    def flush(self) -> None:
        """Send what waits."""
        if not self._calls:
            return
        in_use = {name for call in self._calls for name in call.large.values()}
        message = Calls(self._calls, self._values, self._held.forgotten(in_use))
        self._calls, self._values, self._size = [], {}, 0
        self._send(message)

    def requests(self, extension: str, version: str = "") -> ArtifactRequests:
        """What the workers of an extension there may ask of the Artifact Store.

        Args:
            extension: Id of the extension.
            version: The version that they have of it, where they store something.
        """
        requests = self._requests.get((extension, version))
        if requests is None:
            # What an extension there stores may be for the call of another one, which runs a model of it; which calls
            # its workers have is checked there.
            requests = ArtifactRequests(extension, version, self._artifacts, self._nodes)
            self._requests[extension, version] = requests
        return requests

    def _named(self, value: bytes) -> bytes:
        digest = self._digests.of(value)
        name = self._held.use(digest)
        if name is None:
            self._values[digest] = value
            self._held.add(digest, digest, len(value))
            self._size += len(value)
            return digest
        return name

    def _reserve(self, resources: Resources, sign: int) -> None:
        if resources == NO_RESOURCES:
            return
        free = self._free
        self._free = Capacity(
            free.cores - sign * resources.cpu,
            free.memory and free.memory - sign * resources.memory,
            free.gpus - sign * resources.gpu,
            {name: amount - sign * resources.custom.get(name, 0.0) for name, amount in free.custom.items()},
        )

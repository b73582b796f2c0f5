"""The executor of a cluster, whichever engine brings its machines: places ready calls, and answers for each of them."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import symphony_sdk
from symphony_sdk.contributions import OperationSpec
from symphony_sdk.errors import (
    Cancelled,
    ErrorPayload,
    MalformedMessage,
    RunError,
    SymphonyError,
    error_from_payload,
    foreign_error,
)
from symphony_sdk.messages import ArtifactData, ArtifactStored
from symphony_sdk.ports import ArtifactStore, ExtensionPort, NodeCall, NodeEvent, Resources

from symphony_isolation.cluster.engine import Capacity, Cluster
from symphony_isolation.cluster.held_values import Digests, name_of_made
from symphony_isolation.cluster.member import NO_RESOURCES, Flight, Member
from symphony_isolation.cluster.messages import (
    Answer,
    Ask,
    Cancel,
    Events,
    Greeting,
    Ready,
    Refused,
    RemoteEvent,
    Said,
    Setup,
    encode,
    to_host,
)
from symphony_isolation.spec import extension_of

UNKNOWN: Final = 1.0
"""Seconds that a call is taken to need while nothing is known of its operation: it fills a slot."""

SHORTEST: Final = 0.0001
"""Seconds that a call takes at least, whatever its own code takes."""

_log = logging.getLogger(__name__)


class _Queue(msgspec.Struct, eq=False):
    """Calls that wait and can be placed where any other of them can.

    Args:
        extension: Id of their extension.
        resources: What each of them needs.
        flights: The calls in their order.
        deadline: When they are given up; None while some machine could run them.
    """

    extension: str
    resources: Resources
    flights: deque[Flight]
    deadline: asyncio.TimerHandle | None = None

    def hope(self) -> None:
        """Some machine can run them."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None


class FleetSettings(msgspec.Struct, frozen=True):
    """How a fleet treats its machines.

    Args:
        project: Directory on each machine that extensions see as the project; that of the engine's process where empty.
        start_timeout: Seconds in which the first machine has to be ready.
        patience: Seconds that a call waits for a machine that could run it, while there is none.
        expected: The largest machine there will be; None where that is not known before the machines say so.
    """

    project: str = ""
    start_timeout: float = 60.0
    patience: float = 60.0
    expected: Capacity | None = None


class Fleet:
    """Runs calls on the machines of a cluster; adapter of `ExecutorPort`, and listener of its cluster.

    Calls wait here until a machine has room for them, so that a slow machine holds few, and a pause or a cancelled run
    leaves nothing queued elsewhere. A machine that is lost loses its own calls alone, each of which is reported as `lost`.

    Args:
        cluster: The machines.
        extensions: The host's; they have to be installed on the machines too.
        artifacts: Gives the Artifact Store, which the workers on the machines use too.
        settings: How the machines are treated.
    """

    def __init__(
        self,
        cluster: Cluster,
        extensions: ExtensionPort,
        artifacts: Callable[[], ArtifactStore],
        settings: FleetSettings = FleetSettings(),
    ) -> None:
        self.name = cluster.name
        self._cluster = cluster
        self._extensions = extensions
        self._artifacts = artifacts
        self._settings = settings
        self._operations: Mapping[str, OperationSpec] = {}
        self._members: dict[str, Member] = {}
        self._capacities: list[Capacity] = []
        self._digests = Digests()
        self._numbers = itertools.count(1)
        self._waiting: dict[tuple[str, bytes], _Queue] = {}
        self._typical: dict[str, float] = {}
        self._placing: asyncio.Handle | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._started = False
        self._news = asyncio.Event()

    # -- ExecutorPort ------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many calls all machines can usefully run at once; 0 while there is none."""
        return sum(member.slots for member in self._members.values())

    @property
    def capacity(self) -> None:
        """None: the fleet itself lets calls wait until a machine has what they need."""

    async def start(self) -> None:
        """Reach or start the cluster, and wait for its first machine; nothing where one is there.

        Raises:
            RunError: SYM-R120 or SYM-R121, the cluster is not there; SYM-R122, its machines have another Symphony.
        """
        async with self._starting:
            if not self._started:
                deployment = await self._extensions.deployment()
                self._operations = await self._extensions.operations()
                setup = encode(Setup(deployment, self._settings.project))
                await self._cluster.start(encode(Greeting(symphony_sdk.__version__, setup)), self)
                self._started = True
            await self._some_machine()

    def can_place(self, resources: Resources) -> bool:
        """Whether any machine that was ever there has as much; before the first, whether one may be expected to.

        Args:
            resources: What a call needs.
        """
        if not self._capacities:
            return self._settings.expected is None or self._settings.expected.holds(resources)
        return any(capacity.holds(resources) for capacity in self._capacities)

    def chains(self, first: str, then: str) -> bool:
        """No: which machine has room is decided for each call.

        Args:
            first: Id of the operation of the one call.
            then: Id of the operation of the one after it.
        """
        return False

    def submit(self, batch: Sequence[NodeCall], on_event: Callable[[NodeEvent], None]) -> None:
        """Run calls.

        Args:
            batch: Calls that are ready now.
            on_event: Takes what happens to them, on the event loop.
        """
        for call in batch:
            flight = Flight(call, extension_of(call.operation), on_event, next(self._numbers))
            self._queue(flight.extension, call.resources).flights.append(flight)
        self._place_soon()

    def cancel(self, run: str, node: str = "", *, item: int = -1, force: bool = False) -> None:
        """Stop calls; each still gets its final event, `failed` with SYM-R003.

        Args:
            run: Id of the run.
            node: Only the calls of this node; all of the run where it is empty.
            item: Only the call of this item of the node; those of all where it is -1.
            force: Kill the workers of what does not stop by itself; never a machine.
        """

        def chosen(flight: Flight) -> bool:
            call = flight.call
            return call.run == run and node in ("", call.node) and item in (-1, call.item)

        self._withdraw(chosen)
        for member in self._members.values():
            told = [flight for flight in member.out.values() if chosen(flight)]
            for flight in told:
                flight.cancelled = True
            if told:
                member.flush()
                self._cluster.send(member.name, encode(Cancel(run, node, item, force)))

    async def stop(self) -> None:
        """Cancel what runs, and leave the machines."""
        self._withdraw(lambda flight: True)
        members, self._members = self._members, {}
        for member in members.values():
            for flight in member.out.values():
                flight.on_event(_cancelled(flight, member.name))
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        if self._started:
            self._started = False
            await self._cluster.stop()

    # -- ClusterListener ---------------------------------------------------------------------------

    def joined(self, machine: str) -> None:
        """A machine is there; it will say what it has.

        Args:
            machine: Its name.
        """
        self._members[machine] = Member(
            machine,
            send=lambda calls: self._cluster.send(machine, encode(calls)),
            digests=self._digests,
            artifacts=self._artifacts,
        )

    def heard(self, machine: str, data: bytes) -> None:
        """A machine said something.

        Args:
            machine: Its name.
            data: What it said.
        """
        member = self._members.get(machine)
        if member is None:  # it was given up
            return
        try:
            message = to_host(data)
        except MalformedMessage as error:
            self.lost(machine, f"it broke the protocol: {error}")
            return
        match message:
            case Events():
                for event in message.events:
                    self._happened(member, event)
                self._place_soon()
            case Ready():
                member.begin(message)
                if message.capacity not in self._capacities:
                    self._capacities.append(message.capacity)
                for fault in message.unusable.values():
                    _log.info("%s", fault.message)
                self._news.set()
                self._place_soon()
            case Refused():
                member.refusal = message.error
                _log.warning("%s", message.error.message)
                self._news.set()
            case Ask():
                task = asyncio.get_running_loop().create_task(self._answer(member, message))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case Said():
                level = logging.getLevelNamesMapping().get(message.level.upper(), logging.INFO)
                log = logging.getLogger(f"symphony.extension.{message.extension}")
                log.log(level, "%s: %s", machine, message.text)

    def lost(self, machine: str, reason: str) -> None:
        """A machine is gone, and with it the calls that it had.

        Args:
            machine: Its name.
            reason: Why.
        """
        member = self._members.pop(machine, None)
        if member is None:
            return
        _log.warning("the machine %r was lost: %s", machine, reason)
        for flight in member.out.values():
            flight.on_event(
                _cancelled(flight, machine) if flight.cancelled else self._lost(flight, machine, reason)
            )
        self._news.set()
        self._place_soon()

    # -- placing -----------------------------------------------------------------------------------

    def _queue(self, extension: str, resources: Resources) -> _Queue:
        key = extension, b"" if resources is NO_RESOURCES else encode(resources)
        queue = self._waiting.get(key)
        if queue is None:
            queue = self._waiting[key] = _Queue(extension, resources, deque())
        return queue

    def _place_soon(self) -> None:
        if self._placing is None and self._waiting:
            self._placing = asyncio.get_running_loop().call_soon(self._place)

    def _place(self) -> None:
        """Give waiting calls to the machines that have room, to each queue in turn."""
        self._placing = None
        turns = deque(self._waiting.items())
        while turns:
            key, queue = turns.popleft()
            extension, resources = queue.extension, queue.resources
            able = [member for member in self._members.values() if member.can(extension, resources)]
            if not able:
                self._wait_for_machine(key, queue)
                continue
            queue.hope()
            flight = queue.flights.popleft()
            flight.expected = max(SHORTEST, self._typical.get(flight.call.operation, UNKNOWN))
            min(able, key=lambda member: member.load).give(flight)
            if queue.flights:
                turns.append((key, queue))
            else:
                del self._waiting[key]
        for member in self._members.values():
            member.flush()

    def _wait_for_machine(self, key: tuple[str, bytes], queue: _Queue) -> None:
        """See to calls for which no machine has room: perhaps none ever will."""
        there = [member for member in self._members.values() if member.ready is not None]
        if any(member.could(queue.extension, queue.resources) for member in there):
            queue.hope()
            return
        faults = [fault for member in there if (fault := member.unusable(queue.extension)) is not None]
        if there and len(faults) == len(there):
            self._fail(key, faults[0])
        elif queue.deadline is None:
            loop = asyncio.get_running_loop()
            queue.deadline = loop.call_later(self._settings.patience, self._give_up, key, queue)

    def _give_up(self, key: tuple[str, bytes], queue: _Queue) -> None:
        there = sum(member.ready is not None for member in self._members.values())
        error = RunError(
            f"for {self._settings.patience:g} s no machine of {self.name!r} could run calls of {queue.extension!r}: "
            f"{there} are there, and none has what these calls need",
            code="SYM-R125",
            hint="See that the machines of the cluster run, then resume the run.",
            details={"machines": there, "extension": queue.extension},
        )
        self._fail(key, error.payload())

    def _fail(self, key: tuple[str, bytes], error: ErrorPayload) -> None:
        for flight in self._waiting.pop(key).flights:
            flight.on_event(NodeEvent(flight.call, "failed", error=error))

    def _withdraw(self, chosen: Callable[[Flight], bool]) -> None:
        loop = asyncio.get_running_loop()
        for key, queue in list(self._waiting.items()):
            for _ in range(len(queue.flights)):
                flight = queue.flights.popleft()
                if chosen(flight):
                    loop.call_soon(flight.on_event, _cancelled(flight, ""))
                else:
                    queue.flights.append(flight)
            if not queue.flights:
                queue.hope()
                del self._waiting[key]

    # -- what machines say -------------------------------------------------------------------------

    def _happened(self, member: Member, event: RemoteEvent) -> None:
        flight = member.out.get(event.number)
        if flight is None:
            return
        kind, place = event.kind, ""
        if kind not in ("started", "progressed"):
            member.land(flight)
            place = member.name
            if kind == "completed":
                operation = flight.call.operation
                known = self._typical.get(operation, event.seconds)
                self._typical[operation] = known + (event.seconds - known) / 8
                for port, digest in event.digests.items():
                    member.made(digest, name_of_made(digest, event.number), event.outputs[port])
        flight.on_event(
            NodeEvent(
                flight.call,
                kind,
                event.fraction,
                event.text,
                event.outputs,
                event.seconds,
                event.error,
                event.retryable,
                event.memory,
                place,
            )
        )

    async def _answer(self, member: Member, ask: Ask) -> None:
        wanted = ask.put or ask.get
        try:
            if wanted is None:
                raise MalformedMessage("a machine asks for nothing")
            answer = await member.requests(ask.extension, ask.version).answer(wanted)
            stored = answer if isinstance(answer, ArtifactStored) else None
            data = answer if isinstance(answer, ArtifactData) else None
            message = Answer(ask.number, stored, data)
        except Exception as error:  # noqa: BLE001 - the store is an extension; a worker waits for an answer
            message = Answer(ask.number, error=foreign_error(error, "the Artifact Store").payload())
        self._cluster.send(member.name, encode(message))

    def _lost(self, flight: Flight, machine: str, reason: str) -> NodeEvent:
        call = flight.call
        error = RunError(
            f"the machine {machine!r} was lost while node {call.node!r} ran there: {reason}",
            code="SYM-R124",
            hint="It runs again on another machine where its operation is idempotent.",
            details={"machine": machine},
        )
        operation = self._operations.get(call.operation)
        retryable = operation is not None and operation.idempotent
        return NodeEvent(call, "lost", error=error.payload(), retryable=retryable, place=machine)

    async def _some_machine(self) -> None:
        """Wait until a machine takes calls.

        Raises:
            RunError: All of them refused, or none came in time.
        """
        try:
            async with asyncio.timeout(self._settings.start_timeout):
                while not any(member.ready for member in self._members.values()):
                    refusals = [member.refusal for member in self._members.values()]
                    if refusals and all(refusals):
                        raise _error(refusals)
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            joined = ", ".join(self._members) or "none"
            raise RunError(
                f"no machine of {self.name!r} was ready within {self._settings.start_timeout:g} s; joined had: {joined}",
                code="SYM-R121",
                hint="See the log of the cluster's workers; a slow one needs a longer `start_timeout`.",
            ) from None


def _cancelled(flight: Flight, place: str) -> NodeEvent:
    call = flight.call
    error = Cancelled(f"the call of {call.operation!r} for node {call.node!r} was cancelled")
    return NodeEvent(call, "failed", error=error.payload(), place=place)


def _error(refusals: Sequence[ErrorPayload | None]) -> SymphonyError:
    return next(error_from_payload(refusal) for refusal in refusals if refusal is not None)

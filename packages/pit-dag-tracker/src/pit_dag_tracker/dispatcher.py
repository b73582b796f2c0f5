"""Hands the ready calls of a run to its executor, the most urgent first, and takes each one's report once.

They go in small batches, few at a time: so few that a pause takes effect at once and a crash loses little, and
large enough that the way to the executor is paid once for many short calls.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial

import msgspec
from symphony_sdk.errors import RunError, foreign_error
from symphony_sdk.messages import CHAIN_LIMIT, CHAIN_SECONDS
from symphony_sdk.ports.executor import NodeCall, NodeEvent
from symphony_sdk.ports.pit import RunPolicy

from pit_dag_tracker.limits import UNLIMITED, Need, Needs
from pit_dag_tracker.sharing import BATCHES_PER_SLOT, LEAST_SECONDS, Share
from pit_dag_tracker.spill import INLINE
from pit_dag_tracker.waiting import Key, Waiting
from pit_dag_tracker.watch import GRACE, Watch

LARGEST_BATCH = 64
BATCH_SECONDS = 0.02
"""How long the calls of one batch should take together; an operation of which nothing is known fills a batch."""

Report = tuple[int, int, NodeEvent]
"""A node's number, the index of its item or -1, and what the executor reports of its call."""


class _Flight(msgspec.Struct, gc=False):
    """A call that the executor has; `batch` counts those of its batch that are still out.

    A link of a chain is `due` once the call that it follows has completed; `then` is the link after it, and `place` how
    many calls are before it.
    """

    key: Key
    attempt: int
    batch: list[int]
    need: Need
    watch: Watch | None = None
    due: bool = True
    then: "_Flight | None" = None
    place: int = 0


class Dispatcher:
    """The calls of one run that wait for the executor, or that it has.

    Args:
        run: Id of the run.
        share: The executor, which other runs may want too.
        policy: How the run is run.
        needs: What the calls of the run take; None where they take nothing.
        prepare: Makes the call of a key when its turn has come; None where there is nothing to call.
        follow: Makes the calls of the nodes that may run right after one in a chain, and gives None where it begins
            none; None where there are no chains.
        wake: Called when there is something to land, calls that do not end were given up, or it may be this run's
            turn.
        idempotent: Whether an operation may be run twice.

    Attributes:
        linked: The nodes that the executor has as links of chains.
        push: Lets a node or an item wait for its turn: its priority, of which larger is more urgent, and its key.
    """

    def __init__(
        self,
        run: str,
        share: Share,
        policy: RunPolicy,
        *,
        needs: Needs | None,
        prepare: Callable[[Key], NodeCall | None],
        follow: Callable[[int], Iterator[tuple[int, NodeCall]] | None] | None,
        wake: Callable[[], None],
        idempotent: Callable[[str], bool],
    ) -> None:
        self.linked: set[int] = set()
        self._run = run
        self._share = share
        self._executor = share.executor
        self._concurrency = policy.concurrency
        self._needs = needs
        self._prepare = prepare
        self._follow = follow
        self._wake = wake
        self._idempotent = idempotent
        self._turn = share.join(policy.weight, wake)
        self._waiting = Waiting()
        self._limited: dict[Need, Waiting] = {}
        self.push = self._waiting.push if needs is None else self._push
        self._flights: dict[tuple[str, int], _Flight] = {}
        self._undue = 0
        self._arrived: list[NodeEvent] = []
        self._graces: list[asyncio.TimerHandle] = []
        self._cancelled = False

    @property
    def idle(self) -> bool:
        """Whether the executor has no call of this run."""
        return not self._flights

    @property
    def empty(self) -> bool:
        """Whether nothing waits for its turn."""
        return not self._waiting and not self._limited

    @property
    def reported(self) -> bool:
        """Whether there is something to land."""
        return bool(self._arrived)

    @property
    def most(self) -> int:
        """How many calls of this run the executor could have at once."""
        return self._concurrency or LARGEST_BATCH * BATCHES_PER_SLOT * max(1, self._executor.slots)

    def busy(self, number: int) -> bool:
        """Whether the executor has a call of a node.

        Args:
            number: The node.
        """
        return any(flight.key[0] == number for flight in self._flights.values())

    def withdraw(self, number: int, node: str) -> None:
        """Let nothing of a node wait any more, and tell its calls that are out to stop.

        Args:
            number: The node.
            node: Its id.
        """
        for waiting in (self._waiting, *self._limited.values()):
            waiting.withdraw(number)
        self._limited = {need: waiting for need, waiting in self._limited.items() if waiting}
        self.interrupt(number, node)

    def interrupt(self, number: int, node: str) -> None:
        """Tell the calls of a node that are out to stop: kindly, and after a grace by force.

        Args:
            number: The node.
            node: Its id.
        """
        if self.busy(number):
            self._executor.cancel(self._run, node)
            loop = asyncio.get_running_loop()
            self._graces.append(loop.call_later(GRACE, self._force, number, node))

    def _force(self, number: int, node: str) -> None:
        if self.busy(number):
            self._executor.cancel(self._run, node, force=True)
            loop = asyncio.get_running_loop()
            self._graces.append(loop.call_later(GRACE, self._give_up, number))

    def _push(self, priority: float, key: Key) -> None:
        waiting = self._waiting
        if self._needs is not None and (need := self._needs.of(key)):
            waiting = self._limited.setdefault(need, Waiting())
        waiting.push(priority, key)

    def hand_out(self, go_on: Callable[[], bool], until: float) -> bool:
        """Hand out what the executor can take, for a moment; whether there is more to hand out at once.

        Args:
            go_on: Whether any further call may be handed out.
            until: When to stop, as `perf_counter` tells the time.
        """
        share, turn = self._share, self._turn
        slots = max(1, self._executor.slots)
        lacked, more = turn.lacking, False
        share.begin(turn)
        while (self._waiting or self._limited) and self._room and go_on():
            if share.batches >= BATCHES_PER_SLOT * slots or not share.first(turn):
                turn.hungry = True
                break
            if not self._submit_batch(slots):
                break
            if self._arrived or time.perf_counter() > until:  # what was done at once is taken first
                more = turn.hungry = True
                break
        if share.batches < BATCHES_PER_SLOT * slots:
            share.call_next()
        if lacked and lacked != turn.lacking:
            share.stopped_lacking()
        if lacked or turn.lacking:
            share.call_lacking()
        return more

    def landed(self) -> Iterator[Report]:
        """What the executor has reported since somebody asked, without what it reported twice or too late.

        Each is to be taken before the next one: that of a link follows from the one before it.
        """
        arrived, self._arrived = self._arrived, []
        flights, typical = self._flights, self._share.typical
        for event in arrived:
            call, kind = event.call, event.kind
            name = (call.node, call.item)
            flight = flights.get(name)
            if flight is None or flight.attempt != call.attempt:  # reported twice, or after it was given up
                continue
            if (
                not flight.due
            ):  # whatever is said of it, the call that it follows did not let it have its turn
                if kind in ("started", "progressed"):
                    continue
                if kind != "returned":
                    event, kind = NodeEvent(call, "returned"), "returned"
            if kind == "completed":
                del flights[name]
                if flight.then is not None:
                    self._pass_on(flight, flight.then, event)
                elif flight.place:
                    self._got_through(flight)
                self._end(flight)
                known = typical.get(call.operation, event.seconds)
                typical[call.operation] = known + (event.seconds - known) / 8
            elif kind in ("failed", "lost", "returned"):
                del flights[name]
                self._end(flight)
                if kind == "returned":
                    self._share.links = max(2, min(self._share.links, flight.place))
                else:
                    event = self._explained(event, flight)
            elif kind == "progressed":
                if flight.watch is not None:
                    flight.watch.hear()
            elif call.timeout is not None or call.idle_timeout is not None:
                self._watch(call, flight)
            number, item = flight.key
            yield number, item, event

    def cancel(self) -> None:
        """Stop the calls that are out: kindly, after a grace by force, and after another without their report."""
        if self._cancelled:
            return
        self._cancelled = True
        loop = asyncio.get_running_loop()
        self._graces += [
            loop.call_later(GRACE, lambda: self._executor.cancel(self._run, force=True)),
            loop.call_later(2 * GRACE, self._give_up),
        ]
        self._executor.cancel(self._run)

    def close(self) -> None:
        """Forget the timers and leave the executor to the other runs; no call is out."""
        for timer in self._graces:
            timer.cancel()
        self._share.leave(self._turn)

    @property
    def _room(self) -> int:
        """How many more calls may be out."""
        running = len(self._flights) - self._undue
        return self._concurrency - running if self._concurrency else LARGEST_BATCH

    def _submit_batch(self, slots: int) -> bool:
        """Hand out the most urgent calls; whether there are any that may go."""
        places = BATCHES_PER_SLOT * (min(slots, self._concurrency) if self._concurrency else slots)
        ready = (
            len(self._waiting) + sum(map(len, self._limited.values()))
            if self._limited
            else len(self._waiting)
        )
        most = min(LARGEST_BATCH, max(1, ready // places), self._room)
        share, typical, flights = self._share, self._share.typical, self._flights
        calls: list[NodeCall] = []
        batch, expected, found = [0], 0.0, False
        while len(calls) < most and expected < BATCH_SECONDS:
            need, waiting = self._next() if self._limited else (UNLIMITED, self._waiting)
            if not waiting:
                break
            found = True
            key = waiting.pop()
            if need and not waiting:
                del self._limited[need]
            call = self._prepare(key)
            if call is not None:
                calls.append(call)
                name = (call.node, call.item)
                if name in flights:  # it was given up, and never reported its end
                    self._end(flights.pop(name))
                if need:
                    share.take(need)
                flights[name] = flight = _Flight(key, call.attempt, batch, need)
                usual = typical.get(call.operation, BATCH_SECONDS)
                expected += usual if usual > LEAST_SECONDS else LEAST_SECONDS
                if self._follow is not None and key[1] < 0 and (following := self._follow(key[0])):
                    seconds = typical.get(call.operation, CHAIN_SECONDS)
                    if seconds < CHAIN_SECONDS:
                        expected += self._lengthen(following, seconds, calls, flight)
        batch[0] = len(calls)
        if calls:
            share.batches += 1
            share.charge(self._turn, expected)
            self._submit(calls)
        return found

    def _lengthen(
        self,
        following: Iterator[tuple[int, NodeCall]],
        seconds: float,
        calls: list[NodeCall],
        flight: _Flight,
    ) -> float:
        """Let nodes go right after a call, as many as take a moment together with it; how long they should take."""
        typical, flights, linked, batch = self._share.typical, self._flights, self.linked, flight.batch
        most, expected = self._share.links - 1, 0.0
        for place, (number, call) in enumerate(following, 1):
            takes = typical.get(call.operation, CHAIN_SECONDS)
            seconds += takes
            if seconds > CHAIN_SECONDS or number in linked:
                break
            calls.append(call)
            link = _Flight((number, -1), call.attempt, batch, UNLIMITED, None, False, None, place)
            flights[call.node, -1] = flight.then = link
            linked.add(number)
            self._undue += 1
            expected += takes if takes > LEAST_SECONDS else LEAST_SECONDS
            if place == most:
                break
            flight = link
        return expected

    def _got_through(self, last: _Flight) -> None:
        """The executor has run a chain to its end: where that was as long as it may be, the next may be longer."""
        if last.place == self._share.links - 1:
            self._share.links = min(CHAIN_LIMIT, 2 * self._share.links)

    def _pass_on(self, flight: _Flight, link: _Flight, event: NodeEvent) -> None:
        """A call has completed: it is the turn of the link after it, unless its outputs have to be kept first."""
        if link.key[0] in self.linked and max(map(len, event.outputs.values()), default=0) <= INLINE:
            link.due = True
            self._undue -= 1
            link.need, flight.need = flight.need, UNLIMITED

    def _next(self) -> tuple[Need, Waiting]:
        """Where the most urgent call waits that may go now, and what it takes; where none does if none may."""
        need, found = UNLIMITED, self._waiting
        lacking: set[str] = set()
        for other, waiting in sorted(self._limited.items(), key=lambda entry: -entry[1].urgency):
            if found and found.urgency >= waiting.urgency:
                break
            missing = self._share.lacking(self._turn, other) | lacking.intersection(kind for kind, _ in other)
            if not missing:
                need, found = other, waiting
                break
            lacking |= missing
        self._turn.lacking = lacking
        return need, found

    def _submit(self, calls: list[NodeCall]) -> None:
        try:
            self._executor.submit(calls, self._on_event)
        except Exception as error:  # noqa: BLE001 - an executor is an extension; what it breaks, it fails
            payload = foreign_error(error, self._executor.name).payload()
            for call in calls:
                self._on_event(NodeEvent(call, "failed", error=payload))

    def _on_event(self, event: NodeEvent) -> None:
        self._arrived.append(event)
        if len(self._arrived) == 1:
            self._wake()

    def _explained(self, event: NodeEvent, flight: _Flight) -> NodeEvent:
        """A failure with its reason: that it was stopped because it took too long, where it was."""
        call = event.call
        if flight.watch is not None and flight.watch.verdict is not None:
            again = self._idempotent(call.operation)
            return NodeEvent(call, "failed", error=flight.watch.verdict, retryable=again, place=event.place)
        if event.error is None:
            what = "failed" if event.kind == "failed" else "was lost"
            error = RunError(f"executor {self._executor.name!r} gave no reason why {call.node!r} {what}")
            return msgspec.structs.replace(event, error=error.payload())
        return event

    def _watch(self, call: NodeCall, flight: _Flight) -> None:
        if flight.watch is None:
            flight.watch = Watch(call, cancel=partial(self._cancel, call), give_up=self._on_event)

    def _cancel(self, call: NodeCall, force: bool) -> None:
        if call.item < 0:
            self._executor.cancel(call.run, call.node, force=force)
        else:
            self._executor.cancel(call.run, call.node, item=call.item, force=force)

    def _end(self, flight: _Flight) -> None:
        """A call is out no more."""
        if flight.watch is not None:
            flight.watch.close()
        if flight.need:
            self._share.give(flight.need)
        if self.linked:
            self.linked.discard(flight.key[0])
            self._undue -= not flight.due
        left = flight.batch[0] - 1
        flight.batch[0] = left
        if not left:
            self._share.batches -= 1

    def _give_up(self, number: int | None = None) -> None:
        """Wait no more for the calls of a node with those that follow it in a chain, or of the whole run."""
        gone: set[int] = set()
        for name, flight in list(self._flights.items()):  # a link comes after the call that it follows
            if number in (None, flight.key[0]) or flight.key[0] in gone:
                del self._flights[name]
                self._end(flight)
                if flight.then is not None:
                    gone.add(flight.then.key[0])
        self._wake()

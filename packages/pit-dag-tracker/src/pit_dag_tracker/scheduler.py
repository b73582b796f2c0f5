"""Decides what happens next in one run: the only one that changes its state, by callbacks on one event loop."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from symphony_sdk.errors import ErrorPayload, RunError, SymphonyError
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
)
from symphony_sdk.ports.executor import NodeCall, NodeEvent
from symphony_sdk.ports.pit import RunPolicy
from symphony_workflow.model import (
    NO_RESOURCES,
    ApprovalNode,
    ControlNode,
    InstrumentNode,
    LoopNode,
    MapNode,
    OperatorNode,
    SubworkflowNode,
)
from symphony_workflow.state import NODE_ENDS, NodeState

from pit_dag_tracker.approvals import Approvals
from pit_dag_tracker.attempts import Attempts
from pit_dag_tracker.cache import Cache, Result, RunOperations
from pit_dag_tracker.chains import Chains
from pit_dag_tracker.deadlines import Deadlines
from pit_dag_tracker.dispatcher import Dispatcher
from pit_dag_tracker.ending import Ending, Stop
from pit_dag_tracker.entries import Stored, loggable
from pit_dag_tracker.failures import lost_too_often
from pit_dag_tracker.fan_out import check_value
from pit_dag_tracker.feed import Feed
from pit_dag_tracker.frontier import Frontier
from pit_dag_tracker.inner_workflows import InnerWorkflows
from pit_dag_tracker.journal import Journal
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.limits import needs_of
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.provenance import Provenance
from pit_dag_tracker.recovery import Remains
from pit_dag_tracker.repeating import Repeating
from pit_dag_tracker.resources import NOTHING_SPECIAL, needs
from pit_dag_tracker.routing import RoutingNode, routed
from pit_dag_tracker.run_cache import RunCache, reuse
from pit_dag_tracker.sharing import Share
from pit_dag_tracker.spill import Spill, artifact_ids, plain_size
from pit_dag_tracker.storing import Storing
from pit_dag_tracker.waiting import Key
from pit_dag_tracker.wiring import Wiring

MOST_LOST = 3
"""Attempts in a row at one call that may be lost with their places before it fails."""

BURST = 0.001
"""Seconds for which a run may go on before others have their turn on the event loop."""

READY = NodeState.READY
_OPERATIONS = (OperatorNode, InstrumentNode)
_REPEATING = (MapNode, LoopNode)


class Scheduler:
    """One run that is under way in this process; nodes are named by their numbers in the graph.

    Args:
        run: Id of the run.
        ledger: Where the run is; its last event is RunStarted or RunResumed and durable.
        wiring: What each node is given.
        remains: What the run has achieved before.
        policy: How the run is run.
        share: The executor that runs the nodes, and the other runs that want it.
        log: Keeps the events.
        feed: Shows the events.
        spill: Keeps large outputs.
        cache: The results of earlier runs.
        operations: What is known of the operations that the run uses.
        on_end: Called once when nothing more happens in the run.
    """

    def __init__(
        self,
        run: str,
        ledger: Ledger,
        wiring: Wiring,
        remains: Remains,
        *,
        policy: RunPolicy,
        share: Share,
        log: EventLog,
        feed: Feed,
        spill: Spill,
        cache: Cache,
        operations: RunOperations,
        on_end: Callable[[], None],
    ) -> None:
        self.ledger = ledger
        self.feed = feed
        self._run = run
        self._graph = ledger.graph
        self._nodes = ledger.graph.nodes
        self._fail_fast = policy.on_failure == "fail-fast"
        self._loop = asyncio.get_running_loop()
        self._given: dict[int, dict[str, bytes]] = {}
        self._pump_due = False
        self._journal = Journal(
            run,
            ledger,
            feed,
            log,
            on_room=self._wake,
            on_failure=lambda error: self._ending.log_failed(error),
            on_end=on_end,
        )
        limited, chains = needs_of(ledger.graph, share.limits), getattr(share.executor, "chains", None)
        self._dispatcher = Dispatcher(
            run,
            share,
            policy,
            needs=limited,
            prepare=self._prepare,
            follow=None if chains is None else self._follow,
            wake=self._wake,
            idempotent=operations.idempotent,
        )
        self._frontier = Frontier(ledger, wiring, self._journal, remains.outputs, self._ready)
        self._deadlines = Deadlines(lambda: self._ending.near)
        self._attempts = Attempts(ledger, stopping=lambda: self._ending.near, again=self._again)
        self._storing = Storing(spill, self._wake)
        self._provenance = Provenance(wiring, remains.spilled)
        self._cache = RunCache(
            run,
            cache,
            operations,
            reads=policy.cache,
            asked=ledger.anew,
            note=self._journal.keep,
            unsent=self._journal.unsent,
            use=self._reused,
            miss=self._missed,
            on_idle=self._wake,
        )
        self._caches = bool(operations.identities)
        self._chains = Chains(
            ledger,
            wiring,
            chains or _never,
            needs=limited,
            looked_up=self._cache.looks_up,
        )
        self._approvals = Approvals(
            run,
            ledger,
            self._journal,
            self._deadlines,
            self._given,
            take=lambda number, outputs: self._take(number, -1, ledger.attempt[number], outputs, 0.0),
            fail=lambda number, error: self._failed(number, -1, ledger.attempt[number], error),
            wake=self._wake,
        )
        self._repeating = Repeating(
            self._nodes,
            self._journal,
            remains,
            most=self._dispatcher.most,
            push=self._push,
            take=lambda number, attempt, outputs, work, memory: self._take(
                number, -1, attempt, outputs, work, memory
            ),
            fail=lambda number, attempt, error: self._failed(number, -1, attempt, error),
            settle=self._settle,
        )
        self._inner = InnerWorkflows(
            ledger,
            wiring,
            self._frontier,
            self._journal,
            self._deadlines,
            take=self._take,
            fail=self._failed,
            drop=self._drop,
            forget=self._forget,
            wake=self._wake,
        )
        self._ending = Ending(
            run,
            ledger,
            policy,
            journal=self._journal,
            frontier=self._frontier,
            dispatcher=self._dispatcher,
            attempts=self._attempts,
            deadlines=self._deadlines,
            break_off=self._inner.break_off,
            busy=lambda: not (self._storing.idle and self._cache.idle),
            wake=self._wake,
        )

    # -- what others ask for --------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether the run has ended or is about to."""
        return self._ending.near

    @property
    def stalled(self) -> bool:
        """Whether the run is paused because its log cannot be written."""
        return self._journal.stalled

    @property
    def stopped(self) -> bool:
        """Whether the run can no longer be let go on here."""
        return self._ending.sure

    @property
    def ending(self) -> bool:
        """Whether the last event of the run is on its way to the disk."""
        return self._ending.written

    def flush(self) -> None:
        """Send what happened to the log, and let the followers see it."""
        self._journal.flush()

    async def wait_ended(self) -> None:
        """Wait until nothing more happens in the run."""
        await self._journal.ended.wait()

    def begin(self) -> None:
        """Run the nodes that can run, and then those that can run after them."""
        self._frontier.open(self._graph.top)
        self._ending.begin()
        self._wake()

    def skip(self, number: int, actor: str) -> None:
        """Let a node end without a result.

        Args:
            number: A node that is not completed.
            actor: Who asks.
        """
        name, over = self._nodes[number].id, self.ledger.over(number)
        unread = self.ledger.state[number] is NodeState.PENDING
        self._journal.steer("skip", actor, name)
        reason = f"skipped by {actor or 'its user'}"
        self._journal.emit(NodeSkipped(**self._journal.head(), node=name, reason=reason))
        if not over:
            if unread:
                self._frontier.take_leave(number)
            self._drop(number, f"{name!r} was skipped")
            self._settle(number)
        self._wake()

    def answer(self, number: int, approved: bool, by: str, comment: str) -> None:
        """Let a node that waits for a person go on.

        Args:
            number: A node that waits.
            approved: What the person says.
            by: Who that is.
            comment: Why.
        """
        self._journal.steer("approve" if approved else "reject", by, self._nodes[number].id, comment)
        self._approvals.answered(number)
        self._wake()

    def stop(self, how: Stop, reason: str = "") -> None:
        """Start no further node, and end the run once those that run have ended.

        Args:
            how: `pause` waits for running calls; the others stop them.
            reason: Why, for RunPaused.
        """
        self._ending.stop(how, reason)

    def pause(self, actor: str) -> None:
        """Start no further node, and end the run once those that run have ended.

        Args:
            actor: Who asks.
        """
        if self._ending.why is None:
            self._journal.steer("pause", actor)
            self.stop("pause", f"paused by {actor or 'its user'}")

    def cancel(self, actor: str) -> None:
        """Stop what runs, and end the run.

        Args:
            actor: Who asks.
        """
        if self._ending.why != "cancel":
            self._journal.steer("cancel", actor)
            self.stop("cancel")

    def go_on(self, actor: str) -> bool:
        """Take back a pause that has not taken effect yet; whether it could be.

        Args:
            actor: Who asks.
        """
        if not self._ending.can_be_taken_back:
            return False
        self._journal.steer("resume", actor)
        self._ending.take_back()
        return True

    def retry(self, node: str, actor: str, again: Sequence[int], remains: Remains) -> None:
        """Let nodes that have ended run again, and the run go on where it was about to pause.

        Args:
            node: Id of the node that is retried; empty for all that failed.
            actor: Who asks.
            again: The nodes whose ends are undone, in topological order; nothing of them is out.
            remains: The outputs of the completed nodes before them, and their done items.
        """
        self._journal.steer("retry", actor, node)
        for number in again:
            self._repeating.restore(number, remains)
        self._attempts.renew(again)
        self._frontier.undo(again, remains.outputs)
        self._frontier.resume(again)
        if self._ending.why == "pause":
            self._ending.take_back()
        self._wake()

    def out(self, number: int) -> bool:
        """Whether the executor still has a call of a node that was skipped.

        Args:
            number: The node.
        """
        return self._dispatcher.busy(number)

    # -- handing out ----------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Take what was reported and hand out what is ready, for a moment; then write and show what happened."""
        until = time.perf_counter() + BURST
        while True:
            if self._dispatcher.reported:
                self._land()
            while self._frontier.ended:
                self._inner.leave(self._frontier.ended.pop())
            if self._fail_fast and self.ledger.broken:
                self._ending.take_failures()
            more = self._dispatcher.hand_out(self._may_start, until)
            if not (more or self._dispatcher.reported or self._frontier.ended):
                self._pump_due = False
                self._ending.check()
                break
            if time.perf_counter() > until:
                self._loop.call_soon(self._pump)
                break
        self._journal.flush()

    def _may_start(self) -> bool:
        return not (self._ending.near or self._journal.full)

    def _prepare(self, key: Key) -> NodeCall | None:
        """The call of a node or an item; what needs no executor is done here."""
        number, item = key
        node = self._nodes[number]
        if isinstance(node, _OPERATIONS):
            inputs, attempt = self._given[number], self._attempts.next(number)
            if self._caches and self._cache.stands_in(key, node, inputs):
                return None
        elif isinstance(node, _REPEATING) and item >= 0:
            turn = self._repeating.turn(number, item)
            if turn is None:
                return None
            inputs, attempt = turn[0], turn[1] + self._attempts.made(key)
            if self._graph.runs(number) is not None:
                self._inner.enter(number, item, inputs, attempt)
                return None
            if self._cache.stands_in(key, node, inputs):
                return None
        else:
            self._control(number, node)
            return None
        return self._call(node, inputs, attempt, item)

    def _follow(self, number: int) -> Iterator[tuple[int, NodeCall]] | None:
        """The nodes that may run right after another one in a chain, and their calls."""
        return self._links(number) if self._chains.begins(number) else None

    def _links(self, number: int) -> Iterator[tuple[int, NodeCall]]:
        for then, node, (inputs, takes) in self._chains.after(number):
            yield then, self._call(node, inputs, self._attempts.next(then), -1, takes)

    def _call(
        self,
        node: OperatorNode | InstrumentNode | MapNode | LoopNode,
        inputs: dict[str, bytes],
        attempt: int,
        item: int,
        takes: dict[str, str] | None = None,
    ) -> NodeCall:
        return NodeCall(
            self._run,
            node.id,
            node.uses,
            inputs,
            attempt,
            item,
            node.timeout if self._ending.until is None else self._bounded(node.timeout, self._ending.until),
            NOTHING_SPECIAL if node.resources is NO_RESOURCES else needs(node),
            node.idle_timeout,
            takes,
        )

    def _bounded(self, timeout: float | None, until: float) -> float:
        """What a call may take of the time that the run has left."""
        left = max(0.0, until - self._loop.time())
        return left if timeout is None else min(timeout, left)

    # -- what became of it ----------------------------------------------------------------------------

    def _land(self) -> None:
        """Take what the executor has reported; a node that completed with nothing special goes a short way."""
        states = self.ledger.state
        for number, item, event in self._dispatcher.landed():
            if states[number] in NODE_ENDS:  # it was skipped meanwhile
                continue
            if item < 0 and event.kind == "completed":
                produced = plain_size(event.outputs)
                if produced >= 0:
                    self._ran(number, event, produced)
                    continue
            if event.kind == "returned":
                self._returned(number, event)
            else:
                self._reported(number, item, event)

    def _ran(self, number: int, event: NodeEvent, produced: int) -> None:
        """Take the outputs of an operation, which the log holds as they are."""
        received, outputs = 0, event.outputs
        for value in self._given.pop(number).values():
            received += len(value)
        sequence = self._journal.ran(number, event, received, produced)
        self.feed.settle(event.call.node)
        if self._caches:
            self._cache.made_by((number, -1), event)
            self._cache.keep((number, -1), sequence, outputs)
        if self._inner.under_way:
            self._inner.worked(number, event.seconds)
        self._frontier.completed(number, outputs)

    def _reported(self, number: int, item: int, event: NodeEvent) -> None:
        """Take what the executor reports of a call."""
        call, kind = event.call, event.kind
        if item < 0 and self.ledger.state[number] is READY:
            self._journal.emit(NodeStarted(**self._journal.head(), node=call.node, attempt=call.attempt))
        if kind == "completed":
            self._cache.made_by((number, item), event)
            self._take(number, item, call.attempt, event.outputs, event.seconds, event.memory, event.place)
        elif kind == "failed" and event.error is not None:
            self._failed(number, item, call.attempt, event.error, event.retryable, event.place)
        elif kind == "lost" and event.error is not None:
            self._lost(number, item, event, event.error)
        elif kind == "progressed" and item < 0:
            self._journal.progress(call.node, event.fraction, event.text)

    def _returned(self, number: int, event: NodeEvent) -> None:
        """Take a link of a chain back: it waits for its turn as any other node, once it may run."""
        if event.error is not None:
            self._chains.part(number)
        if number in self._given:
            self._push(number, -1)

    def _take(
        self,
        number: int,
        item: int,
        attempt: int,
        outputs: dict[str, bytes],
        seconds: float,
        memory: int = 0,
        place: str = "",
    ) -> None:
        """Take the outputs of a node or an item, through the Artifact Store where they are large."""
        if item >= 0:
            try:
                for value in outputs.values():
                    check_value(value)
            except RunError as error:
                self._failed(number, item, attempt, error.payload())
                return

        def kept(stored: Mapping[str, Stored]) -> None:
            if self.ledger.over(number):
                return
            if item >= 0:
                self._item_completed(number, item, outputs, stored, seconds, memory)
            else:
                self._completed(number, outputs, stored, seconds, memory, place)

        def failed(error: ErrorPayload) -> None:
            if not self.ledger.over(number):
                self._failed(number, item, attempt, error)

        if plain_size(outputs) < 0:
            self._storing.keep(self._nodes[number].id, outputs, self._sources(number, item), kept, failed)
        else:
            kept(outputs)

    def _sources(self, number: int, item: int) -> tuple[str, ...]:
        """The artifacts that a node or an item is given, as far as nobody inside of it says so of what it makes."""
        if item >= 0 and self._graph.runs(number) is None:
            return self._provenance.sources(number, self._repeating.given(number, item))
        if item < 0 and isinstance(self._nodes[number], _OPERATIONS):
            return self._provenance.sources(number, self._given[number])
        if item < 0 and isinstance(self._nodes[number], _REPEATING):
            return self._provenance.large(
                number
            )  # which item was given which of the others is known of each item
        return ()

    def _item_completed(
        self,
        number: int,
        item: int,
        outputs: dict[str, bytes],
        stored: Mapping[str, Stored],
        seconds: float,
        memory: int,
    ) -> None:
        head, name = self._journal.head(), self._nodes[number].id
        self._journal.emit(ItemCompleted(**head, node=name, item=item, seconds=seconds), stored)
        self._cache.keep((number, item), head["sequence"], stored)
        self._repeating.complete(number, item, outputs, seconds, memory)

    def _completed(
        self,
        number: int,
        outputs: dict[str, bytes],
        stored: Mapping[str, Stored],
        seconds: float,
        memory: int,
        place: str,
    ) -> None:
        head = self._journal.head()
        received = self._repeating.received(number)
        if received is None:
            received = sum(map(len, self._given[number].values()))
        self._journal.emit(
            NodeCompleted(
                **head,
                node=self._nodes[number].id,
                seconds=max(0.0, head["at"] - self.ledger.started[number]),
                work=seconds,
                artifacts=artifact_ids(outputs),
                received=received,
                produced=sum(len(value) if isinstance(value, bytes) else 0 for value in stored.values()),
                memory=memory,
                place=place,
            ),
            stored,
        )
        self._provenance.completed(number, stored)
        self._cache.keep((number, -1), head["sequence"], stored)
        self._inner.worked(number, seconds)
        self._forget(number)
        self._frontier.completed(number, outputs)

    def _reused(self, key: Key, result: Result) -> None:
        """An earlier result stands in for a node or an item."""
        number, item = key
        sequence, at = self._journal.next()
        event = reuse(self._run, self._nodes[number].id, item, sequence, at, result)
        self._journal.emit(event, result.stored)
        self._cache.keep(key, sequence, result.stored)
        if item < 0:
            self._provenance.completed(number, result.stored)
            self._forget(number)
            self._frontier.completed(number, result.outputs)
        else:
            self._repeating.complete(number, item, result.outputs, 0.0, 0)
        self._wake()

    def _missed(self, key: Key) -> None:
        """An earlier result is gone: the node or item runs after all."""
        self._push(*key)
        self._wake()

    def _failed(
        self,
        number: int,
        item: int,
        attempt: int,
        error: ErrorPayload,
        retryable: bool = False,
        place: str = "",
    ) -> None:
        """Take the error of a node or an item, which may be tried again."""
        self._ending.look_at_clock()
        if self._ending.broken_off:  # stopped, not failed
            return
        error = loggable(error)
        node, key, head = self._nodes[number], (number, item), self._journal.head
        if retryable and not (item >= 0 and self._repeating.failing(number)):
            delay = self._attempts.fail(key, node, error)
            if delay is not None:
                self._journal.emit(
                    NodeRetrying(
                        **head(),
                        node=node.id,
                        attempt=attempt,
                        delay=delay,
                        error=error,
                        item=item,
                        place=place,
                    )
                )
                self._attempts.wait(key, delay)
                return
        if item < 0:
            self._journal.emit(NodeFailed(**head(), node=node.id, error=error, place=place))
            self._settle(number)
            return
        if self._repeating.fail_item(number, item, error, place):
            self._journal.emit(ItemCompleted(**head(), node=node.id, item=item, error=error))
        else:
            self._attempts.hurry(number)  # the next attempts at its other items are not made
            if self._fail_fast:
                self._dispatcher.interrupt(number, node.id)
                self._inner.break_off(number)
        self._repeating.go_on(number)

    def _lost(self, number: int, item: int, event: NodeEvent, error: ErrorPayload) -> None:
        """Make an attempt again whose place is gone; that counts as no failure of its own."""
        if self._ending.broken_off:
            return
        call, key = event.call, (number, item)
        if event.retryable and not (item >= 0 and self._repeating.failing(number)):
            self._chains.part(number)
            places = self._attempts.lose(key, event.place)
            if len(places) <= MOST_LOST:
                error, head = loggable(error), self._journal.head()
                self._journal.emit(
                    NodeRetrying(
                        **head,
                        node=call.node,
                        attempt=call.attempt,
                        delay=0.0,
                        error=error,
                        item=item,
                        place=event.place,
                    )
                )
                self._attempts.wait(key, 0.0)
                return
            error = lost_too_often(call.node, places, error)
        self._failed(number, item, call.attempt, error, place=event.place)

    def _again(self, key: Key) -> None:
        """Let a node or an item whose wait is over run again."""
        number, item = key
        if item < 0:
            self.ledger.ready(number)
        self._push(number, item)
        self._wake()

    # -- readiness ------------------------------------------------------------------------------------

    def _ready(self, number: int, given: dict[str, bytes]) -> None:
        """A node may run."""
        self._given[number] = given
        if number not in self._dispatcher.linked:
            self._dispatcher.push(self._graph.priority[number], (number, -1))
        elif self._caches and isinstance(node := self._nodes[number], _OPERATIONS):
            self._cache.stands_in((number, -1), node, given)  # nothing does, but what it gives is to be kept

    def _settle(self, number: int) -> None:
        """A node has reached an end: see to those that wait for it."""
        self._forget(number)
        self._frontier.settle(number)

    def _forget(self, number: int) -> None:
        self._given.pop(number, None)
        self._repeating.forget(number)
        self.feed.settle(self._nodes[number].id)

    def _drop(self, number: int, why: str) -> None:
        """Let nothing of a node happen any more; its end is noted by whoever asks for that."""
        self._attempts.withdraw(number)
        self._deadlines.clear(number)
        self._dispatcher.withdraw(number, self._nodes[number].id)
        self._cache.withdraw(number)
        self._inner.give_up(number, why)

    def _push(self, number: int, item: int) -> None:
        self._dispatcher.push(self._graph.priority[number], (number, item))

    # -- control nodes --------------------------------------------------------------------------------

    def _control(self, number: int, node: ControlNode) -> None:
        """Begin a node that the executor does not run as a whole."""
        attempt, given = self._attempts.next(number), self._given[number]
        if isinstance(node, MapNode | LoopNode):
            self._repeating.begin(number, node, given, attempt)
            return
        self._journal.emit(NodeStarted(**self._journal.head(), node=node.id, attempt=attempt))
        if isinstance(node, SubworkflowNode):
            self._inner.enter(number, -1, given, attempt)
        elif isinstance(node, ApprovalNode):
            self._approvals.ask(number, node)
        else:
            self._route(number, node, given, attempt)

    def _route(self, number: int, node: RoutingNode, given: dict[str, bytes], attempt: int) -> None:
        try:
            outputs = routed(node, given)
        except SymphonyError as error:
            self._failed(number, -1, attempt, error.payload())
            return
        self._take(number, -1, attempt, outputs, 0.0)


def _never(first: str, then: str) -> bool:
    """What an executor says of chains that was made before the port had them."""
    return False

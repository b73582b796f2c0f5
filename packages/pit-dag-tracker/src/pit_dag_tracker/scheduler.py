"""Decides what happens next in one run: the only one that changes its state, by callbacks on one event loop."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from symphony_sdk.errors import ErrorPayload, RunError, SymphonyError
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunWaiting,
)
from symphony_sdk.ports.executor import ExecutorPort, NodeCall, NodeEvent
from symphony_sdk.values import encode
from symphony_workflow.model import (
    ONCE,
    ApprovalNode,
    ControlNode,
    InstrumentNode,
    LoopNode,
    MapNode,
    OperatorNode,
    SubworkflowNode,
)
from symphony_workflow.state import NodeState, RunState

from pit_dag_tracker.deadlines import Deadlines
from pit_dag_tracker.dispatcher import Dispatcher, Key
from pit_dag_tracker.entries import Stored, loggable
from pit_dag_tracker.fan_out import FanOut, check_value
from pit_dag_tracker.feed import Feed
from pit_dag_tracker.frontier import Frontier
from pit_dag_tracker.graph import Instance
from pit_dag_tracker.iterations import Iterations
from pit_dag_tracker.journal import Journal
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.recovery import Remains
from pit_dag_tracker.resources import needs
from pit_dag_tracker.routing import NULL, RoutingNode, routed
from pit_dag_tracker.spill import INLINE, Spill, artifact_ids
from pit_dag_tracker.wiring import Wiring, workflow_inputs

MOST_UNWRITTEN = 20_000
"""Events that may wait for the disk before no further node is handed out."""

SHOWN = 5
"""Failed nodes that the error of a run names; its details hold all."""

Stop = Literal["pause", "close", "cancel"]


class _Inside:
    """A workflow that runs inside of the run; `error` says why it was given up."""

    __slots__ = ("attempt", "error", "work")

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.work = 0.0
        self.error: ErrorPayload | None = None


class Scheduler:
    """One run that is under way in this process; nodes are named by their numbers in the graph.

    Args:
        run: Id of the run.
        ledger: Where the run is; its last event is RunStarted or RunResumed and durable.
        wiring: What each node is given.
        remains: What the run has achieved before.
        executor: Runs the nodes.
        log: Keeps the events.
        feed: Shows the events.
        spill: Keeps large outputs.
        on_end: Called once when nothing more happens in the run.
    """

    def __init__(
        self,
        run: str,
        ledger: Ledger,
        wiring: Wiring,
        remains: Remains,
        *,
        executor: ExecutorPort,
        log: EventLog,
        feed: Feed,
        spill: Spill,
        on_end: Callable[[], None],
    ) -> None:
        self.ledger = ledger
        self.feed = feed
        self._run = run
        self._graph = ledger.graph
        self._nodes = ledger.graph.nodes
        self._wiring = wiring
        self._spill = spill
        self._loop = asyncio.get_running_loop()
        self._journal = Journal(
            run,
            ledger,
            feed,
            log,
            on_durable=self._wake,
            on_failure=self._log_failed,
            on_end=on_end,
        )
        self._dispatcher = Dispatcher(
            run, executor, prepare=self._prepare, report=self._reported, on_idle=self._wake
        )
        self._frontier = Frontier(ledger, wiring, self._journal, remains.outputs, self._ready)
        self._deadlines = Deadlines(lambda: self.stopping)
        self._items = remains.items
        self._item_errors = remains.item_errors
        self._inside: dict[Instance, _Inside] = {}
        self._given: dict[int, dict[str, bytes]] = {}
        self._fans: dict[int, FanOut | Iterations] = {}
        self._attempts_before = list(ledger.attempt)
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._storing: set[asyncio.Task[None]] = set()
        self._pump_due = False
        self._stop: Stop | None = None
        self._reason = ""
        self._log_failure: RunError | None = None

    # -- what others ask for --------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether the run has ended or is about to."""
        return self._stop is not None or self._log_failure is not None or self._journal.final is not None

    @property
    def stalled(self) -> bool:
        """Whether the run is paused because its log cannot be written."""
        return self._journal.stalled

    @property
    def stopped(self) -> bool:
        """Whether the run can no longer be let go on here."""
        return self._stop in ("close", "cancel") or self._log_failure is not None or self.ending

    @property
    def ending(self) -> bool:
        """Whether the last event of the run is on its way to the disk."""
        return self._journal.final is not None and not self.stalled

    def flush(self) -> None:
        """Send what happened to the log, and let the followers see it."""
        self._journal.flush()

    async def wait_ended(self) -> None:
        """Wait until nothing more happens in the run."""
        await self._journal.ended.wait()

    def begin(self) -> None:
        """Run the nodes that can run, and then those that can run after them."""
        self._frontier.open(self._graph.top)
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
            self._give_up(number, f"{name!r} was skipped")
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
        self._answered(number)
        self._wake()

    def stop(self, how: Stop, reason: str = "") -> None:
        """Start no further node, and end the run once those that run have ended.

        Args:
            how: `pause` waits for running calls; `close` and `cancel` stop them.
            reason: Why, for RunPaused.
        """
        if self._journal.final is not None or self.stalled or self._stop == "cancel":
            return
        self._stop, self._reason = how, reason
        for timer in self._timers.values():
            timer.cancel()
        if how != "pause":
            self._dispatcher.cancel()
        self._wake()

    def pause(self, actor: str) -> None:
        """Start no further node, and end the run once those that run have ended.

        Args:
            actor: Who asks.
        """
        if self._stop is None:
            self._journal.steer("pause", actor)
            self.stop("pause", f"paused by {actor or 'its user'}")

    def cancel(self, actor: str) -> None:
        """Stop what runs, and end the run.

        Args:
            actor: Who asks.
        """
        if self._stop != "cancel":
            self._journal.steer("cancel", actor)
            self.stop("cancel")

    def go_on(self, actor: str) -> bool:
        """Take back a pause that has not taken effect yet; whether it could be.

        Args:
            actor: Who asks.
        """
        if self._stop != "pause" or self.ending or self._log_failure is not None:
            return False
        self._journal.steer("resume", actor)
        self._take_back()
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
        undone = set(again)
        for number in again:
            self._attempts_before[number] = self.ledger.attempt[number]
            self._items[number] = remains.items.get(number, {})
            self._item_errors[number] = remains.item_errors.get(number, {})
        self._frontier.undo(again, remains.outputs)
        self._failures = {key: count for key, count in self._failures.items() if key[0] not in undone}
        self._frontier.resume(again)
        if self._stop == "pause":
            self._take_back()
        self._wake()

    def out(self, number: int) -> bool:
        """Whether the executor still has a call of a node that was skipped.

        Args:
            number: The node.
        """
        return self._dispatcher.busy(number)

    def _take_back(self) -> None:
        self._stop = None
        for number, item in list(self._timers):
            self._again(number, item)
        self._deadlines.go_on()
        self._wake()

    # -- handing out ----------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Hand out what is ready; then write and show what happened."""
        while self._frontier.ended:
            self._leave(self._frontier.ended.pop())
        if self._dispatcher.hand_out(self._may_start):
            self._loop.call_soon(self._pump)
        else:
            self._pump_due = False
            self._check_end()
        self._journal.flush()

    def _may_start(self) -> bool:
        return not self.stopping and self._journal.unwritten < MOST_UNWRITTEN

    def _prepare(self, key: Key) -> NodeCall | None:
        """The call of a node or an item; what needs no executor is done here."""
        number, item = key
        node = self._nodes[number]
        if isinstance(node, OperatorNode | InstrumentNode):
            inputs, attempt = self._given[number], self._next_attempt(number)
        elif isinstance(node, MapNode | LoopNode) and item >= 0:
            fan = self._fans[number]
            if fan.failure:
                fan.drop()
                self._end_fan(number, fan)
                return None
            inputs, attempt = fan.inputs(item), fan.attempt + self._failures.get(key, 0)
            if self._graph.runs(number) is not None:
                self._enter(number, item, inputs, attempt)
                return None
        else:
            self._control(number, node)
            return None
        return NodeCall(
            run=self._run,
            node=node.id,
            operation=node.uses,
            inputs=inputs,
            attempt=attempt,
            item=item,
            timeout=node.timeout,
            resources=needs(node),
        )

    def _next_attempt(self, number: int) -> int:
        return self._attempts_before[number] + self._failures.get((number, -1), 0) + 1

    # -- what became of it ----------------------------------------------------------------------------

    def _reported(self, key: Key, event: NodeEvent) -> None:
        number, item = key
        call, kind = event.call, event.kind
        if self.ledger.over(number):  # it was skipped meanwhile
            self._wake()
            return
        if item < 0 and self.ledger.state[number] is NodeState.READY:
            sequence, at = self._journal.next()
            self._journal.emit(
                NodeStarted(run=self._run, sequence=sequence, at=at, node=call.node, attempt=call.attempt)
            )
        if kind == "completed":
            self._take(number, item, call.attempt, event.outputs, event.seconds)
        elif kind == "failed" and event.error is not None:
            self._failed(number, item, call.attempt, event.error, retryable=event.retryable)
        elif kind == "progressed" and item < 0:
            self._journal.progress(call.node, event.fraction, event.text)
        self._wake()

    def _take(self, number: int, item: int, attempt: int, outputs: dict[str, bytes], seconds: float) -> None:
        """Take the outputs of a node or an item, through the Artifact Store where they are large."""
        if item >= 0:
            try:
                for value in outputs.values():
                    check_value(value)
            except RunError as error:
                self._failed(number, item, attempt, error.payload(), retryable=False)
                return
        for value in outputs.values():
            if len(value) > INLINE:
                store = self._store(number, item, attempt, outputs, seconds)
                self._storing.add(self._loop.create_task(store))
                return
        self._completed(number, item, outputs, outputs, seconds)

    async def _store(
        self, number: int, item: int, attempt: int, outputs: dict[str, bytes], seconds: float
    ) -> None:
        try:
            stored = await asyncio.to_thread(self._spill.keep, self._nodes[number].id, outputs)
        except SymphonyError as error:
            if not self.ledger.over(number):
                self._failed(number, item, attempt, error.payload(), retryable=False)
        else:
            if not self.ledger.over(number):
                self._completed(number, item, outputs, stored, seconds)
        finally:
            task = asyncio.current_task()
            self._storing = {one for one in self._storing if one is not task}
            self._wake()

    def _completed(
        self, number: int, item: int, outputs: dict[str, bytes], stored: Mapping[str, Stored], seconds: float
    ) -> None:
        run, name = self._run, self._nodes[number].id
        sequence, at = self._journal.next()
        if item >= 0:
            self._journal.emit(
                ItemCompleted(run=run, sequence=sequence, at=at, node=name, item=item, seconds=seconds),
                stored,
            )
            fan = self._fans[number]
            fan.complete(item, outputs, seconds)
            self._next_item(number, fan)
            self._end_fan(number, fan)
            return
        duration = max(0.0, at - self.ledger.started[number])
        ids = artifact_ids(outputs)
        self._journal.emit(
            NodeCompleted(
                run=run, sequence=sequence, at=at, node=name, seconds=duration, work=seconds, artifacts=ids
            ),
            stored,
        )
        self._frontier.completed(number, outputs)
        inside = self._inside.get(self._graph.of[number])
        if inside is not None:
            inside.work += seconds
        self._settle(number)

    def _failed(self, number: int, item: int, attempt: int, error: ErrorPayload, *, retryable: bool) -> None:
        if self._stop in ("close", "cancel"):  # stopped, not failed
            return
        error = loggable(error)
        node, key = self._nodes[number], (number, item)
        policy = getattr(node, "retry", ONCE)
        fan = self._fans[number] if item >= 0 else None
        failures = self._failures.get(key, 0) + 1
        again = retryable and failures < policy.attempts and policy.covers(error.code)
        if again and not (fan and fan.failure):
            self._failures[key] = failures
            delay = policy.wait(failures, random.random())  # noqa: S311 - no secret
            self._retry(key, attempt, delay, error)
            return
        head = self._journal.head
        if fan is None:
            self._journal.emit(NodeFailed(**head(), node=node.id, error=error))
            self._settle(number)
            return
        if fan.fail(item, error):
            self._journal.emit(ItemCompleted(**head(), node=node.id, item=item, error=error))
        else:
            for waiting in [one for one in self._timers if one[0] == number]:  # their attempts are not made
                self._again(*waiting)
        self._next_item(number, fan)
        self._end_fan(number, fan)

    def _retry(self, key: Key, attempt: int, delay: float, error: ErrorPayload) -> None:
        number, item = key
        head, name = self._journal.head(), self._nodes[number].id
        self._journal.emit(
            NodeRetrying(**head, node=name, attempt=attempt, delay=delay, error=error, item=item)
        )
        self._timers[key] = self._loop.call_later(delay, self._again, number, item)
        if self.stopping:
            self._timers[key].cancel()

    def _again(self, number: int, item: int) -> None:
        """Let a node or an item whose wait is over run again."""
        self._timers.pop((number, item)).cancel()
        if item < 0:
            self.ledger.ready(number)
        self._push(number, item)
        self._wake()

    # -- readiness ------------------------------------------------------------------------------------

    def _ready(self, number: int, given: dict[str, bytes]) -> None:
        """A node may run."""
        self._given[number] = given
        self._push(number, -1)

    def _settle(self, number: int) -> None:
        """A node has reached an end: see to those that wait for it."""
        self._forget(number)
        self._frontier.settle(number)

    def _forget(self, number: int) -> None:
        self._given.pop(number, None)
        self._fans.pop(number, None)
        self.feed.settle(self._nodes[number].id)

    def _push(self, number: int, item: int) -> None:
        self._dispatcher.push(self._graph.priority[number], (number, item))

    # -- control nodes --------------------------------------------------------------------------------

    def _control(self, number: int, node: ControlNode) -> None:
        """Begin a node that the executor does not run as a whole."""
        attempt = self._next_attempt(number)
        if isinstance(node, MapNode | LoopNode):
            self._fan_out(number, node, attempt)
            return
        self._journal.emit(NodeStarted(**self._journal.head(), node=node.id, attempt=attempt))
        if isinstance(node, SubworkflowNode):
            self._enter(number, -1, self._given[number], attempt)
        elif isinstance(node, ApprovalNode):
            self._ask(number, node)
        else:
            self._route(number, node, attempt)

    def _route(self, number: int, node: RoutingNode, attempt: int) -> None:
        try:
            outputs = routed(node, self._given[number])
        except SymphonyError as error:
            self._failed(number, -1, attempt, error.payload(), retryable=False)
            return
        self._take(number, -1, attempt, outputs, 0.0)

    def _ask(self, number: int, node: ApprovalNode) -> None:
        if number in self.ledger.answers:  # given while the run was paused
            self._answered(number)
            return
        until = self.ledger.deadlines.get(number, 0.0)
        if node.timeout is not None and not until:
            until = time.time() + node.timeout
        self._journal.emit(
            NodeWaiting(
                **self._journal.head(),
                node=node.id,
                prompt=node.prompt,
                approvers=node.approvers,
                until=until,
            )
        )
        if until:
            self._deadlines.set(number, until - time.time(), lambda: self._not_answered(number, node))

    def _answered(self, number: int) -> None:
        self._deadlines.clear(number)
        answer = self.ledger.answers[number]
        approved = answer.command == "approve"
        facts = {"approved": approved, "by": answer.actor, "comment": answer.comment, "at": answer.at}
        value = self._given[number].get("value", NULL)
        outputs = {"approved" if approved else "rejected": value, "answer": encode(facts)}
        self._take(number, -1, self.ledger.attempt[number], outputs, 0.0)

    def _not_answered(self, number: int, node: ApprovalNode) -> None:
        """A person had time enough to answer."""
        late = f"nobody answered within {node.timeout:g} s"
        if node.on_timeout == "fail":
            error = RunError(
                f"node {node.id!r} waited for an answer in vain: {late}",
                code="SYM-R085",
                hint=f"`symphony runs retry {self._run} {node.id}` asks again.",
                details={"node": node.id},
            )
            self._failed(number, -1, self.ledger.attempt[number], error.payload(), retryable=False)
        else:
            self._journal.steer(node.on_timeout, "", node.id, late)
            self._answered(number)
        self._wake()

    def _fan_out(self, number: int, node: MapNode | LoopNode, attempt: int) -> None:
        head, given = self._journal.head(), self._given[number]
        done, failed = self._items.pop(number, {}), self._item_errors.pop(number, {})
        fan: FanOut | Iterations
        try:
            if isinstance(node, LoopNode):
                fan = Iterations(node, given, done=done, attempt=attempt)
            else:
                fan = FanOut(node, given, done=done, failed=failed, attempt=attempt)
        except RunError as error:
            self._journal.emit(NodeStarted(**head, node=node.id, attempt=attempt))
            self._failed(number, -1, attempt, error.payload(), retryable=False)
            return
        self._fans[number] = fan
        self._journal.emit(NodeStarted(**head, node=node.id, attempt=attempt, items=len(fan)))
        for _ in range(1 if isinstance(node, LoopNode) else max(1, node.concurrency)):
            self._next_item(number, fan)
        self._end_fan(number, fan)

    def _next_item(self, number: int, fan: FanOut | Iterations) -> None:
        item = fan.next()
        if item is not None:
            self._push(number, item)

    def _end_fan(self, number: int, fan: FanOut | Iterations) -> None:
        """End a map or loop node whose items have ended."""
        if fan.failure and not fan.active:
            item, error = fan.failure
            name = self._nodes[number].id
            self._journal.emit(NodeFailed(**self._journal.head(), node=name, error=error, item=item))
            self._settle(number)
        elif fan.over:
            self._take(number, -1, fan.attempt, fan.outputs(), fan.work)

    # -- workflows inside of the run ------------------------------------------------------------------

    def _enter(self, number: int, item: int, inputs: Mapping[str, bytes], attempt: int) -> None:
        """Run the workflow that a node runs, or go on with it."""
        graph, node = self._graph, self._nodes[number]
        try:
            instance = graph.instance(number, item)
            given = workflow_inputs(instance.workflow, inputs)
        except SymphonyError as error:
            self._failed(number, item, attempt, error.payload(), retryable=False)
            return
        self.ledger.grow()
        self._attempts_before += [0] * (len(self._nodes) - len(self._attempts_before))
        self._wiring.wire(instance, given)
        self._inside[instance] = _Inside(attempt)
        timeout = getattr(node, "timeout", None)
        if timeout is not None:
            self._deadlines.set(instance, timeout, lambda: self._late(instance, timeout))
        self._frontier.open(instance, keep=self._tried_again(number))
        self._wake()

    def _tried_again(self, number: int) -> bool:
        """Whether a workflow that a node runs may be begun again where it failed."""
        return getattr(self._nodes[number], "retry", ONCE).attempts > 1

    def _leave(self, instance: Instance) -> None:
        """Take what a workflow gave all of whose nodes have ended."""
        inside = self._inside.get(instance)
        if inside is None or self._frontier.left[instance]:  # given up, or some of it runs again
            return
        del self._inside[instance], self._frontier.left[instance]
        self._deadlines.clear(instance)
        owner, item = instance.owner, instance.item
        error = inside.error or self._what_failed(instance)
        if error is not None:
            if not self._tried_again(owner):
                self._frontier.close(instance)
            self._failed(owner, item, inside.attempt, error, retryable=inside.error is None)
            return
        outputs = self._frontier.close(instance)
        if item >= 0:  # items all look alike
            outputs = {output.name: NULL for output in instance.workflow.outputs} | outputs
        self._take(owner, item, inside.attempt, outputs, inside.work)

    def _what_failed(self, instance: Instance) -> ErrorPayload | None:
        states = self.ledger.state
        failed = [number for number in instance.order if states[number] is NodeState.FAILED]
        if not failed:
            return None
        names = [self._nodes[number].id for number in failed]
        return RunError(
            f"{len(names)} of {len(instance.plan.nodes)} nodes failed: {_some(names)}; "
            f"{names[0]!r}: {self.ledger.error[failed[0]].message}",
            code="SYM-R087",
            hint="Mend the cause, then resume the run: what has completed is kept.",
            details={"nodes": names},
        ).payload()

    def _give_up(self, number: int, why: str) -> None:
        """Let nothing of a node happen any more; its end is noted by whoever asks for that."""
        for key in [key for key in self._timers if key[0] == number]:
            self._timers.pop(key).cancel()
        self._deadlines.clear(number)
        self._dispatcher.withdraw(number, self._nodes[number].id)
        for instance in self._graph.inner(number):
            if self._inside.pop(instance, None) is not None:
                self._abandon(instance, why)
                del self._frontier.left[instance]

    def _abandon(self, instance: Instance, why: str) -> None:
        """Skip all that is left of a workflow."""
        self._deadlines.clear(instance)
        for number in instance.numbers:
            if not self.ledger.over(number):
                self._give_up(number, why)
                name = self._nodes[number].id
                self._journal.emit(NodeSkipped(**self._journal.head(), node=name, reason=why))
                self._forget(number)
        self._frontier.left[instance] = 0

    def _late(self, instance: Instance, timeout: float) -> None:
        """A workflow had time enough to end."""
        node = self._nodes[instance.owner].id
        error = RunError(
            f"{instance.name.removesuffix('/')!r} took longer than its {timeout:g} s",
            code="SYM-R084",
            hint=f"Raise the `timeout` of {node!r}, or let the workflow that it runs do less.",
            details={"node": node},
        ).payload()
        self._inside[instance].error = error
        self._abandon(instance, error.message)
        self._frontier.ended.append(instance)
        self._wake()

    # -- the end --------------------------------------------------------------------------------------

    def _log_failed(self, error: RunError) -> None:
        if self.stalled:
            return
        self._log_failure = error
        for timer in self._timers.values():
            timer.cancel()
        if self._journal.final is not None:
            self._journal.stall(error)
        self._wake()

    def _check_end(self) -> None:
        if not self._dispatcher.idle or self._storing or self._journal.final is not None or self.stalled:
            return
        if self._log_failure is not None:
            self._deadlines.close()
            self._dispatcher.close()
            self._journal.stall(self._log_failure)
        elif self._stop is not None:
            self._deadlines.close()
            self._dispatcher.close()
            head = self._journal.head()
            if self._stop == "cancel":
                self._journal.end(RunCancelled(**head), RunState.CANCELLED)
            else:
                self._journal.end(RunPaused(**head, reason=self._reason), RunState.PAUSED)
        elif not self._frontier.left[self._graph.top]:
            self._finish()
        elif self.ledger.waiting and self.ledger.run_state is RunState.RUNNING and self._stuck:
            nodes = tuple(self._nodes[number].id for number in sorted(self.ledger.waiting))
            self._journal.emit(RunWaiting(**self._journal.head(), nodes=nodes))

    @property
    def _stuck(self) -> bool:
        """Whether only people can let the run go on, if the executor has nothing of it."""
        return self._dispatcher.empty and not self._timers

    def _finish(self) -> None:
        states, order = self.ledger.state, self._graph.top.order
        failed = [number for number in order if states[number] is NodeState.FAILED]
        if not failed:
            seconds = max(0.0, time.time() - self.ledger.run_started)
            self._journal.end(RunCompleted(**self._journal.head(), seconds=seconds), RunState.COMPLETED)
            return
        names = [self._nodes[number].id for number in failed]
        error = RunError(
            f"{len(names)} of {len(order)} nodes failed: {_some(names)}; "
            f"{names[0]!r}: {self.ledger.error[failed[0]].message}",
            hint=f"Mend the cause, then `symphony resume {self._run}`: what has completed is kept.",
            details={"nodes": names},
        ).payload()
        self._journal.end(RunFailed(**self._journal.head(), error=error), RunState.FAILED, error)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")

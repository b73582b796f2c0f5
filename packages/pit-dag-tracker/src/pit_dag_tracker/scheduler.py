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
from symphony_workflow.model import ApprovalNode, BranchNode, MapNode, RetryPolicy
from symphony_workflow.state import NodeState, RunState

from pit_dag_tracker.dispatcher import Dispatcher, Key
from pit_dag_tracker.entries import Stored, loggable
from pit_dag_tracker.fan_out import FanOut, check_value
from pit_dag_tracker.feed import Feed
from pit_dag_tracker.journal import Journal
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.recovery import Remains
from pit_dag_tracker.spill import INLINE, Spill, artifact_ids
from pit_dag_tracker.wiring import Wiring, test

MOST_UNWRITTEN = 20_000
"""Events that may wait for the disk before no further node is handed out."""

JITTER = 0.25
"""A retry waits up to this share longer than its policy says, so that many do not come at once."""

SHOWN = 5
"""Failed nodes that the error of a run names; its details hold all."""

_NULL = encode(None)
_ONCE = RetryPolicy()

Stop = Literal["pause", "close", "cancel"]


class Scheduler:
    """One run that is under way in this process; nodes are named by their numbers in the plan.

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
        self._plan = ledger.plan
        self._nodes = ledger.plan.nodes
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
        self._outputs = [remains.outputs.get(number) for number in range(len(self._nodes))]
        self._items = remains.items
        self._item_errors = remains.item_errors
        self._readers = [len(children) for children in self._plan.children]
        self._waits = self._plan.indegree
        self._left = sum(not ledger.over(number) for number in range(len(self._nodes)))
        self._given: dict[int, dict[str, bytes]] = {}
        self._fans: dict[int, FanOut] = {}
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
        over = [number for number in self._plan.order if self.ledger.over(number)]
        for number in over:
            self._take_leave(number)
        roots = [number for number in self._plan.order if not self._plan.parents[number]]
        failed = [number for number in roots if not self.ledger.over(number) and not self._due(number)]
        for number in over + failed:
            self._release(number)
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
                self._take_leave(number)
            for key in [key for key in self._timers if key[0] == number]:
                self._timers.pop(key).cancel()
            self._dispatcher.withdraw(number, name)
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
        self._left += len(again)
        undone = set(again)
        for number in again:
            self._outputs[number] = None
            self._attempts_before[number] = self.ledger.attempt[number]
            self._items[number] = remains.items.get(number, {})
            self._item_errors[number] = remains.item_errors.get(number, {})
            parents, children = self._plan.parents[number], self._plan.children[number]
            self._waits[number] = sum(not self.ledger.over(parent) for parent in parents)
            for parent in parents:
                self._readers[parent] += 1
                self._outputs[parent] = self._outputs[parent] or remains.outputs.get(parent)
            for child in children:
                self._waits[child] += child not in undone and not self.ledger.over(child)
        self._failures = {key: count for key, count in self._failures.items() if key[0] not in undone}
        for number in [number for number in again if not self._waits[number]]:
            if not self._due(number):
                self._release(number)
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
        self._wake()

    # -- handing out ----------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Hand out what is ready; then write and show what happened."""
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
        if isinstance(node, BranchNode):
            self._branch(number, node)
            return None
        if isinstance(node, ApprovalNode):
            self._ask(number, node)
            return None
        if not isinstance(node, MapNode):
            inputs, attempt = self._given[number], self._next_attempt(number)
        elif item < 0:
            self._fan_out(number, node)
            return None
        else:
            fan = self._fans[number]
            if fan.failure:
                fan.drop()
                self._end_fan(number, fan)
                return None
            inputs, attempt = fan.inputs(item), fan.attempt + self._failures.get(key, 0)
        return NodeCall(
            run=self._run,
            node=node.id,
            operation=node.uses,
            inputs=inputs,
            attempt=attempt,
            item=item,
            timeout=node.timeout,
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
            head = self._journal.head()
            self._journal.emit(NodeStarted(**head, node=call.node, attempt=call.attempt))
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
        name, head = self._nodes[number].id, self._journal.head()
        if item >= 0:
            self._journal.emit(ItemCompleted(**head, node=name, item=item, seconds=seconds), stored)
            fan = self._fans[number]
            fan.complete(item, outputs, seconds)
            self._next_item(number, fan)
            self._end_fan(number, fan)
            return
        duration = max(0.0, head["at"] - self.ledger.started[number])
        ids = artifact_ids(outputs)
        self._journal.emit(
            NodeCompleted(**head, node=name, seconds=duration, work=seconds, artifacts=ids), stored
        )
        if self._readers[number]:
            self._outputs[number] = outputs
        self._settle(number)

    def _failed(self, number: int, item: int, attempt: int, error: ErrorPayload, *, retryable: bool) -> None:
        if self._stop in ("close", "cancel"):  # stopped, not failed
            return
        error = loggable(error)
        node, key = self._nodes[number], (number, item)
        policy = getattr(node, "retry", _ONCE)
        fan = self._fans[number] if item >= 0 else None
        failures = self._failures.get(key, 0) + 1
        if retryable and failures < policy.attempts and not (fan and fan.failure):
            self._failures[key] = failures
            self._retry(key, attempt, policy.wait(failures), error)
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
        delay *= random.uniform(1.0, 1.0 + JITTER)  # noqa: S311 - no secret
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

    def _settle(self, number: int) -> None:
        """A node has reached an end: see to those that wait for it."""
        self._left -= 1
        self._given.pop(number, None)
        self._fans.pop(number, None)
        self.feed.settle(self._nodes[number].id)
        self._release(number)

    def _release(self, number: int) -> None:
        """Count a node that has ended; iterative, because skipping may run down a long chain."""
        ended = [number]
        while ended:
            for child in self._plan.children[ended.pop()]:
                self._waits[child] -= 1
                if not self._waits[child] and not self.ledger.over(child) and not self._due(child):
                    ended.append(child)

    def _due(self, number: int) -> bool:
        """Every node before this one has ended: make it ready, or skip it; whether it can run."""
        name = self._nodes[number].id
        given: dict[str, bytes] | str | None = None
        try:
            given = self._wiring.gather(number, self._outputs, self.ledger.state)
        except SymphonyError as error:
            head = self._journal.head()
            self._journal.emit(NodeFailed(**head, node=name, error=loggable(error.payload())))
        self._take_leave(number)
        if isinstance(given, dict):
            self._given[number] = given
            self.ledger.ready(number)
            self._push(number, -1)
            return True
        if given is not None:
            self._journal.emit(NodeSkipped(**self._journal.head(), node=name, reason=given))
        self._left -= 1
        return False

    def _take_leave(self, number: int) -> None:
        """Let go of the outputs that no other node waits for any more once this one does not."""
        for parent in self._plan.parents[number]:
            self._readers[parent] -= 1
            if not self._readers[parent]:
                self._outputs[parent] = None

    def _push(self, number: int, item: int) -> None:
        self._dispatcher.push(self._plan.priority[number], (number, item))

    # -- control nodes --------------------------------------------------------------------------------

    def _branch(self, number: int, node: BranchNode) -> None:
        given, attempt = self._given[number], self._next_attempt(number)
        self._journal.emit(NodeStarted(**self._journal.head(), node=node.id, attempt=attempt))
        try:
            holds = test(node.condition, given, node.id)
        except SymphonyError as error:
            self._failed(number, -1, attempt, error.payload(), retryable=False)
            return
        outputs = {"then" if holds else "else": given.get("value", _NULL)}
        self._take(number, -1, attempt, outputs, 0.0)

    def _ask(self, number: int, node: ApprovalNode) -> None:
        attempt = self._next_attempt(number)
        self._journal.emit(NodeStarted(**self._journal.head(), node=node.id, attempt=attempt))
        head = self._journal.head()
        self._journal.emit(NodeWaiting(**head, node=node.id, prompt=node.prompt, approvers=node.approvers))
        if number in self.ledger.answers:  # given while the run was paused
            self._answered(number)

    def _answered(self, number: int) -> None:
        answer = self.ledger.answers[number]
        approved = answer.command == "approve"
        facts = {"approved": approved, "by": answer.actor, "comment": answer.comment, "at": answer.at}
        value = self._given[number].get("value", _NULL)
        outputs = {"approved" if approved else "rejected": value, "answer": encode(facts)}
        self._take(number, -1, self.ledger.attempt[number], outputs, 0.0)

    def _fan_out(self, number: int, node: MapNode) -> None:
        attempt = self._next_attempt(number)
        head = self._journal.head()
        try:
            fan = FanOut(
                node,
                self._given[number],
                done=self._items.pop(number, {}),
                failed=self._item_errors.pop(number, {}),
                attempt=attempt,
            )
        except RunError as error:
            self._journal.emit(NodeStarted(**head, node=node.id, attempt=attempt))
            self._failed(number, -1, attempt, error.payload(), retryable=False)
            return
        self._fans[number] = fan
        self._journal.emit(NodeStarted(**head, node=node.id, attempt=attempt, items=len(fan)))
        for _ in range(max(1, node.concurrency)):
            self._next_item(number, fan)
        self._end_fan(number, fan)

    def _next_item(self, number: int, fan: FanOut) -> None:
        item = fan.next()
        if item is not None:
            self._push(number, item)

    def _end_fan(self, number: int, fan: FanOut) -> None:
        """End a map node whose items have ended."""
        if fan.failure and not fan.active:
            item, error = fan.failure
            name = self._nodes[number].id
            self._journal.emit(NodeFailed(**self._journal.head(), node=name, error=error, item=item))
            self._settle(number)
        elif fan.over:
            self._take(number, -1, fan.attempt, fan.outputs(), fan.work)

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
            self._dispatcher.close()
            self._journal.stall(self._log_failure)
        elif self._stop is not None:
            self._dispatcher.close()
            head = self._journal.head()
            if self._stop == "cancel":
                self._journal.end(RunCancelled(**head), RunState.CANCELLED)
            else:
                self._journal.end(RunPaused(**head, reason=self._reason), RunState.PAUSED)
        elif not self._left:
            self._finish()
        elif self.ledger.waiting and self.ledger.run_state is RunState.RUNNING and self._stuck:
            nodes = tuple(self._nodes[number].id for number in sorted(self.ledger.waiting))
            self._journal.emit(RunWaiting(**self._journal.head(), nodes=nodes))

    @property
    def _stuck(self) -> bool:
        """Whether only people can let the run go on, if the executor has nothing of it."""
        return self._dispatcher.empty and not self._timers

    def _finish(self) -> None:
        states = self.ledger.state
        failed = [number for number in self._plan.order if states[number] is NodeState.FAILED]
        if not failed:
            seconds = max(0.0, time.time() - self.ledger.run_started)
            self._journal.end(RunCompleted(**self._journal.head(), seconds=seconds), RunState.COMPLETED)
            return
        names = [self._nodes[number].id for number in failed]
        shown = ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
        error = RunError(
            f"{len(names)} of {len(self._nodes)} nodes failed: {shown}; "
            f"{names[0]!r}: {self.ledger.error[failed[0]].message}",
            hint=f"Mend the cause, then `symphony resume {self._run}`: what has completed is kept.",
            details={"nodes": names},
        ).payload()
        self._journal.end(RunFailed(**self._journal.head(), error=error), RunState.FAILED, error)

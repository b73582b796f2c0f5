"""Where a run and each of its nodes are, computed from events: the same way while it runs and from the log."""

from typing import Any, cast

from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
)
from symphony_sdk.ports.pit import NodeStatus, RunStatus
from symphony_workflow.model import MapNode
from symphony_workflow.plan import Plan
from symphony_workflow.state import NODE_ENDS, NodeState, RunState, advance

PENDING, READY, RUNNING = NodeState.PENDING, NodeState.READY, NodeState.RUNNING


class Ledger:
    """The states of one run; every list is indexed by a node's number in the plan.

    Args:
        plan: The compiled workflow.
    """

    def __init__(self, plan: Plan) -> None:
        count = len(plan.nodes)
        self.plan = plan
        self.run_state = RunState.PENDING
        self.run_error: ErrorPayload | None = None
        self.run_started = 0.0
        self.run_ended = 0.0
        self.sequence = 0
        self.state = [PENDING] * count
        self.attempt = [0] * count
        self.started = [0.0] * count
        self.seconds = [0.0] * count
        self.total = [0 if isinstance(node, MapNode) else 1 for node in plan.nodes]
        self.error: dict[int, ErrorPayload] = {}
        self.items: dict[int, set[int]] = {}
        self._index = plan.index
        self._appliers: dict[type, Any] = {
            NodeStarted: self._node_started,
            NodeCompleted: self._node_completed,
            ItemCompleted: self._item_completed,
            NodeRetrying: self._node_retrying,
            NodeFailed: self._node_failed,
            NodeSkipped: self._node_skipped,
            NodeProgressed: self._node_progressed,
            RunStarted: self._run_started,
            RunResumed: self._run_resumed,
            RunPaused: self._run_paused,
            RunCompleted: self._run_ended,
            RunFailed: self._run_ended,
            RunCancelled: self._run_ended,
        }

    def apply(self, event: RunEvent) -> None:
        """Take the next event.

        Args:
            event: An event of this run; each exactly once and in order.

        Raises:
            WorkflowError: It cannot follow those before it.
        """
        self.sequence = event.sequence
        self._appliers[type(event)](event)

    def ready(self, number: int) -> None:
        """Note that a node may run; no event says so.

        Args:
            number: The node.
        """
        self.state[number] = advance(self.state[number], READY)

    def over(self, number: int) -> bool:
        """Whether a node has reached an end.

        Args:
            number: The node.
        """
        return self.state[number] in NODE_ENDS

    def status(self, run: str, workflow: str, *, durable: int, now: float) -> RunStatus:
        """The run and its nodes, as anyone may see them.

        Args:
            run: Id of the run.
            workflow: Id of the workflow.
            durable: Sequence number of the last event that a crash can no longer undo.
            now: Unix time in seconds.
        """
        return RunStatus(
            run=run,
            workflow=workflow,
            state=cast("Any", self.run_state.value),
            started=self.run_started,
            seconds=max(0.0, (self.run_ended or now) - self.run_started),
            nodes=tuple(self._node_status(number, now) for number in self.plan.order),
            durable=durable,
            error=self.run_error,
        )

    def _node_status(self, number: int, now: float) -> NodeStatus:
        state, is_map = self.state[number], isinstance(self.plan.nodes[number], MapNode)
        done = len(self.items.get(number, ())) if is_map else int(state is NodeState.COMPLETED)
        running = state in (RUNNING, NodeState.RETRYING)
        return NodeStatus(
            node=self.plan.nodes[number].id,
            state=cast("Any", state.value),
            attempt=self.attempt[number],
            done=done,
            total=self.total[number],
            seconds=max(0.0, now - self.started[number]) if running else self.seconds[number],
            error=self.error.get(number),
        )

    def _node_started(self, event: NodeStarted) -> None:
        number = self._index[event.node]
        state = self.state[number]
        if state is not READY:  # in the log: nothing says that a node became ready
            if state in NODE_ENDS:  # its result was lost, so it runs again
                state = advance(state, PENDING)
            state = advance(state, READY)
        self.state[number] = advance(state, RUNNING)
        self.attempt[number] = event.attempt
        self.started[number] = event.at
        if isinstance(self.plan.nodes[number], MapNode):
            self.total[number] = event.items

    def _node_completed(self, event: NodeCompleted) -> None:
        number = self._index[event.node]
        self.state[number] = advance(self.state[number], NodeState.COMPLETED)
        self.seconds[number] = event.seconds

    def _item_completed(self, event: ItemCompleted) -> None:
        self.items.setdefault(self._index[event.node], set()).add(event.item)

    def _node_retrying(self, event: NodeRetrying) -> None:
        number = self._index[event.node]
        if event.item < 0:
            self.state[number] = advance(self.state[number], NodeState.RETRYING)
        else:  # the next attempt of an item starts without an event of its own
            self.attempt[number] = max(self.attempt[number], event.attempt + 1)

    def _node_failed(self, event: NodeFailed) -> None:
        number = self._index[event.node]
        state = self.state[number]
        if state is PENDING:  # what it is given could not be made
            state = advance(state, READY)
        self.state[number] = advance(state, NodeState.FAILED)
        self.error[number] = event.error
        if self.attempt[number]:
            self.seconds[number] = max(0.0, event.at - self.started[number])

    def _node_skipped(self, event: NodeSkipped) -> None:
        number = self._index[event.node]
        self.state[number] = advance(self.state[number], NodeState.SKIPPED)

    def _node_progressed(self, event: NodeProgressed) -> None:
        """Progress changes no state."""

    def _run_started(self, event: RunStarted) -> None:
        self.run_state = advance(self.run_state, RunState.RUNNING)
        self.run_started = event.at

    def _run_resumed(self, event: RunResumed) -> None:
        if self.run_state is not RunState.RUNNING:  # else its process died
            self.run_state = advance(self.run_state, RunState.RUNNING)
        self.run_ended = 0.0
        self.run_error = None
        for number, state in enumerate(self.state):
            if state is not NodeState.COMPLETED:
                self.state[number] = PENDING
        self.error.clear()

    def _run_paused(self, event: RunPaused) -> None:
        self.run_state = advance(self.run_state, RunState.PAUSED)
        for number, state in enumerate(self.state):
            if state is RUNNING:  # stopped with its process; it will run again
                self.state[number] = advance(state, READY)

    def _run_ended(self, event: RunCompleted | RunFailed | RunCancelled) -> None:
        ends = {
            RunCompleted: RunState.COMPLETED,
            RunFailed: RunState.FAILED,
            RunCancelled: RunState.CANCELLED,
        }
        self.run_state = advance(self.run_state, ends[type(event)])
        self.run_ended = event.at
        if isinstance(event, RunFailed):
            self.run_error = event.error
        if isinstance(event, RunCancelled):
            for number, state in enumerate(self.state):
                if state not in NODE_ENDS:
                    self.state[number] = advance(state, NodeState.CANCELLED)

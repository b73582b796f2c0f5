"""Where a run and each of its nodes are, computed from events: the same way while it runs and from the log."""

from typing import Any, cast

from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    RunSteered,
    RunWaiting,
)
from symphony_sdk.ports.pit import NodeStatus, RunStatus
from symphony_workflow.model import LoopNode, MapNode
from symphony_workflow.state import NODE_ENDS, NodeState, RunState, advance

from pit_dag_tracker.graph import Graph, Instance

PENDING, READY, RUNNING, WAITING = (
    NodeState.PENDING,
    NodeState.READY,
    NodeState.RUNNING,
    NodeState.WAITING,
)
COMPLETED = NodeState.COMPLETED
_REPEATING = (MapNode, LoopNode)
_RUN_WAITING = RunState.WAITING
_UNDER_WAY = (RUNNING, WAITING, NodeState.RETRYING)
_STIRRING = (NodeStarted, NodeCompleted, NodeFailed, NodeSkipped)


class Ledger:
    """The states of one run; every list is indexed by a node's number in the graph.

    Args:
        graph: The nodes of the run.

    Attributes:
        answers: What people said to nodes that wait for them.
        held: Nodes that stay skipped because somebody asked for it.
        waiting: Nodes that wait for a person, with what they are asked.
        deadlines: Unix time until which an answer to a node that has asked a person counts.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.run_state = RunState.PENDING
        self.run_error: ErrorPayload | None = None
        self.run_started = 0.0
        self.run_ended = 0.0
        self.went_on = 0.0
        self.origin = ""
        self.sequence = 0
        self.state: list[NodeState] = []
        self.attempt: list[int] = []
        self.began: list[float] = []
        self.started: list[float] = []
        self.ended: list[float] = []
        self.seconds: list[float] = []
        self.total: list[int] = []
        self.grow()
        self.error: dict[int, ErrorPayload] = {}
        self.items: dict[int, set[int]] = {}
        self.answers: dict[int, RunSteered] = {}
        self.held: set[int] = set()
        self.waiting: dict[int, NodeWaiting] = {}
        self.deadlines: dict[int, float] = {}
        self._appliers: dict[type, Any] = {
            NodeStarted: self._node_started,
            NodeCompleted: self._node_completed,
            ItemCompleted: self._item_completed,
            NodeRetrying: self._node_retrying,
            NodeFailed: self._node_failed,
            NodeSkipped: self._node_skipped,
            NodeProgressed: self._node_progressed,
            NodeWaiting: self._node_waiting,
            NodeReused: self._node_reused,
            RunStarted: self._run_started,
            RunSteered: self._run_steered,
            RunWaiting: self._run_waiting,
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
        if self.run_state is _RUN_WAITING and isinstance(event, _STIRRING):
            self.run_state = advance(self.run_state, RunState.RUNNING)
        self._appliers[type(event)](event)

    def grow(self) -> None:
        """Make room for the nodes that the graph has got since."""
        more = self.graph.nodes[len(self.state) :]
        none = [0.0] * len(more)
        self.state += [PENDING] * len(more)
        self.attempt += [0] * len(more)
        self.total += [0 if isinstance(node, MapNode | LoopNode) else 1 for node in more]
        for times in (self.began, self.started, self.ended, self.seconds):
            times += none

    def settled(self, instance: Instance) -> bool:
        """Whether what a workflow inside of the run gave is taken, so that nothing of it runs any more.

        Args:
            instance: The workflow; the run itself is never settled.
        """
        owner = instance.owner
        if owner < 0:
            return False
        taken = self.state[owner] is NodeState.COMPLETED or instance.item in self.items.get(owner, ())
        return taken or self.settled(self.graph.of[owner])

    def lose(self, number: int) -> None:
        """Note that the outputs of a completed node are lost, so that it runs again; no event says so.

        Args:
            number: The node.
        """
        self.state[number] = advance(self.state[number], PENDING)
        self.items.pop(number, None)

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

    def discarded(self, event: RunSteered) -> list[int]:
        """The nodes whose ends a command undoes: those that it names, and all that ended after them.

        Args:
            event: The command; only a retry undoes anything.
        """
        if event.command != "retry":
            return []
        graph = self.graph
        named = self._number(event.node) if event.node else -1
        failed = {
            number
            for number, state in enumerate(self.state)
            if state is NodeState.FAILED and not self.settled(graph.of[number])
        }
        wave = {named} if event.node else failed
        found = set(wave)
        while wave:
            after: set[int] = set()
            for number in wave:
                after.update(graph.children[number])
                owner = graph.of[number].owner
                if owner >= 0:  # what it runs inside of has to end anew
                    after.add(owner)
                if self.state[number] is NodeState.COMPLETED:  # and what runs inside of it, begin anew
                    after.update(graph.within(number))
            wave = after - found
            found |= wave
        kept = self.held - {named}
        return [number for number in graph.order if number in found - kept and self.over(number)]

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
            nodes=tuple(self._node_status(number, now) for number in self.graph.order),
            durable=durable,
            error=self.run_error,
            origin=self.origin,
        )

    def _node_status(self, number: int, now: float) -> NodeStatus:
        state, has_items = self.state[number], isinstance(self.graph.nodes[number], MapNode | LoopNode)
        done = len(self.items.get(number, ())) if has_items else int(state is NodeState.COMPLETED)
        asked = self.waiting.get(number)
        return NodeStatus(
            node=self.graph.nodes[number].id,
            state=cast("Any", state.value),
            attempt=self.attempt[number],
            done=done,
            total=self.total[number],
            seconds=max(0.0, now - self.started[number]) if state in _UNDER_WAY else self.seconds[number],
            queued=self._queued(number),
            error=self.error.get(number),
            prompt=asked.prompt if asked else "",
            approvers=asked.approvers if asked else (),
        )

    def _queued(self, number: int) -> float:
        """Seconds for which a node could have run before it did."""
        if not self.began[number]:
            return 0.0
        free = max([self.ended[parent] for parent in self.graph.parents[number]], default=0.0)
        return max(0.0, self.began[number] - max(free, self.went_on))

    def _number(self, name: str) -> int:
        number = self.graph.index.get(name)
        if number is None:  # of an instance that the log has not named before
            number = self.graph.number(name)
            self.grow()
        return number

    def _instance(self, owner: int, item: int) -> Instance:
        instance = self.graph.instance(owner, item)
        self.grow()
        return instance

    def _node_started(self, event: NodeStarted) -> None:
        number = self._number(event.node)
        state = self.state[number]
        if state is not READY:  # in the log: nothing says that a node became ready
            if state in NODE_ENDS:  # its result was lost, so it runs again
                state = advance(state, PENDING)
            state = advance(state, READY)
        self.state[number] = advance(state, RUNNING)
        self.attempt[number] = event.attempt
        self.started[number] = event.at
        self.began[number] = self.began[number] or event.at
        if isinstance(self.graph.nodes[number], _REPEATING):
            self.total[number] = event.items

    def _node_waiting(self, event: NodeWaiting) -> None:
        number = self._number(event.node)
        self.state[number] = advance(self.state[number], WAITING)
        self.waiting[number] = event
        if event.until:
            self.deadlines[number] = event.until

    def _node_reused(self, event: NodeReused) -> None:
        number = self._number(event.node)
        self.state[number] = advance(advance(self.state[number], READY), NodeState.COMPLETED)
        self.seconds[number] = event.seconds
        self.ended[number] = event.at

    def _node_completed(self, event: NodeCompleted) -> None:
        number = self._number(event.node)
        self.state[number] = advance(self.state[number], COMPLETED)
        self.seconds[number] = event.seconds
        self.ended[number] = event.at
        if self.waiting:
            self.waiting.pop(number, None)
            self.deadlines.pop(number, None)

    def _item_completed(self, event: ItemCompleted) -> None:
        self.items.setdefault(self._number(event.node), set()).add(event.item)

    def _node_retrying(self, event: NodeRetrying) -> None:
        number = self._number(event.node)
        if event.item < 0:
            self.state[number] = advance(self.state[number], NodeState.RETRYING)
        else:  # the next attempt of an item starts without an event of its own
            self.attempt[number] = max(self.attempt[number], event.attempt + 1)
            if self.graph.runs(number) is not None:  # what completed inside of it is kept
                for inner in self._instance(number, event.item).numbers:
                    if self.state[inner] in NODE_ENDS and self.state[inner] is not NodeState.COMPLETED:
                        self.state[inner] = advance(self.state[inner], PENDING)

    def _node_failed(self, event: NodeFailed) -> None:
        number = self._number(event.node)
        state = self.state[number]
        if state is PENDING:  # what it is given could not be made
            state = advance(state, READY)
        self.state[number] = advance(state, NodeState.FAILED)
        self.error[number] = event.error
        self.ended[number] = event.at
        self.waiting.pop(number, None)
        if self.attempt[number]:
            self.seconds[number] = max(0.0, event.at - self.started[number])

    def _node_skipped(self, event: NodeSkipped) -> None:
        number = self._number(event.node)
        state = self.state[number]
        if state in NODE_ENDS:  # somebody gave it up after it had failed or was cancelled
            state = advance(state, PENDING)
        self.state[number] = advance(state, NodeState.SKIPPED)
        self.ended[number] = event.at
        self.waiting.pop(number, None)

    def _node_progressed(self, event: NodeProgressed) -> None:
        """Progress changes no state."""

    def _run_started(self, event: RunStarted) -> None:
        self.run_state = advance(self.run_state, RunState.RUNNING)
        self.run_started = self.went_on = event.at
        self.origin = event.origin

    def _run_steered(self, event: RunSteered) -> None:
        match event.command:
            case "skip":
                self.held.add(self._number(event.node))
            case "approve" | "reject":
                self.answers[self._number(event.node)] = event
            case "retry":
                for number in self.discarded(event):
                    self._forget(number)
            case _:
                pass  # it changes nothing before the event that it leads to

    def _forget(self, number: int) -> None:
        """Undo the end of a node; the done items of a map that did not complete are kept."""
        if self.state[number] is NodeState.COMPLETED:
            self.items.pop(number, None)
        self.state[number] = advance(self.state[number], PENDING)
        self.held.discard(number)
        self.began[number] = self.ended[number] = 0.0
        self.error.pop(number, None)
        self.answers.pop(number, None)
        self.deadlines.pop(number, None)

    def _run_resumed(self, event: RunResumed) -> None:
        if self.run_state is not RunState.RUNNING:  # else its process died
            self.run_state = advance(self.run_state, RunState.RUNNING)
        self.run_ended = 0.0
        self.run_error = None
        self.went_on = event.at
        settled = {instance for instance in self.graph.instances if self.settled(instance)}
        for number, state in enumerate(self.state):
            if state is NodeState.COMPLETED or (state is NodeState.SKIPPED and number in self.held):
                continue
            if settled and self.graph.of[number] in settled:
                continue
            if state in _UNDER_WAY:
                state = advance(state, READY)
            self.state[number] = state if state is PENDING else advance(state, PENDING)
            self.began[number] = 0.0
        self.error.clear()
        self.waiting.clear()

    def _run_waiting(self, event: RunWaiting) -> None:
        self.run_state = advance(self.run_state, RunState.WAITING)

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
            self.waiting.clear()

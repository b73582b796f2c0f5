"""Where a run and each of its nodes are, computed from events: the same way while it runs and from the log."""

from collections.abc import Callable
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
_RUN_WAITING = RunState.WAITING
_UNDER_WAY = (RUNNING, WAITING, NodeState.RETRYING)

_NodeEvent = (
    NodeStarted
    | NodeCompleted
    | ItemCompleted
    | NodeRetrying
    | NodeFailed
    | NodeSkipped
    | NodeWaiting
    | NodeReused
)


class Ledger:
    """The states of one run; every list is indexed by a node's number in the graph.

    Args:
        graph: The nodes of the run.

    Attributes:
        broken: The nodes that failed since somebody looked.
        spent: Seconds for which the run was under way before it last went on, since it began or ended.
        heard: Unix time of the last event that was replayed; commands do not count, as they reach dead runs too.
        failed_at: Where the last attempts of failed nodes ran, as far as that is known.
        answers: What people said to nodes that wait for them.
        held: Nodes that stay skipped because somebody asked for it.
        asked: Nodes that somebody asked to run again, whatever was computed before.
        waiting: Nodes that wait for a person, with what they are asked.
        total: How many items the map and loop nodes have, or how many iterations at most.
        deadlines: Unix time until which an answer to a node that has asked a person counts.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.broken: list[int] = []
        self.spent = 0.0
        self.heard = 0.0
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
        self.total: dict[int, int] = {}
        self.grow()
        self.error: dict[int, ErrorPayload] = {}
        self.failed_at: dict[int, str] = {}
        self.items: dict[int, set[int]] = {}
        self.answers: dict[int, RunSteered] = {}
        self.held: set[int] = set()
        self.asked: set[int] = set()
        self.waiting: dict[int, NodeWaiting] = {}
        self.deadlines: dict[int, float] = {}
        self._iterated: dict[int, float] = {}
        self._of_nodes: dict[type, Callable[[int, Any], None]] = {
            NodeStarted: self.node_started,
            NodeCompleted: self.node_completed,
            ItemCompleted: self._item_completed,
            NodeRetrying: self._node_retrying,
            NodeFailed: self._node_failed,
            NodeSkipped: self._node_skipped,
            NodeWaiting: self._node_waiting,
            NodeReused: self._node_reused,
        }
        self._of_run: dict[type, Callable[[Any], None]] = {
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
        kind = type(event)
        of_node = self._of_nodes.get(kind)
        if of_node is None:
            if kind is not NodeProgressed:  # progress changes no state
                self._of_run[kind](event)
            return
        of_node(self._number(cast("_NodeEvent", event).node), event)

    def grow(self) -> None:
        """Make room for the nodes that the graph has got since."""
        first = len(self.state)
        more = len(self.graph.names) - first
        none = [0.0] * more
        self.state += [PENDING] * more
        self.attempt += [0] * more
        for instance in reversed(self.graph.instances):
            if instance.first < first:
                break
            self.total.update((instance.first + number, 0) for number in instance.workflow.repeating)
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
        state = self.state[number]
        self.state[number] = READY if state is PENDING else advance(state, READY)

    def over(self, number: int) -> bool:
        """Whether a node has reached an end.

        Args:
            number: The node.
        """
        return self.state[number] in NODE_ENDS

    def anew(self, number: int) -> bool:
        """Whether somebody asked that a node runs again, or what it runs inside of.

        Args:
            number: The node.
        """
        while self.asked and number >= 0:
            if number in self.asked:
                return True
            number = self.graph.of[number].owner
        return False

    def done(self, number: int) -> int:
        """How many items of a map or iterations of a loop are done; 0 or 1 for any other node.

        Args:
            number: The node.
        """
        node, completed = self.graph.nodes[number], self.state[number] is COMPLETED
        if isinstance(node, LoopNode) or (isinstance(node, MapNode) and not completed):
            return len(self.items.get(number, ()))
        return self.total.get(number, 1) if completed else 0

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
        state = self.state[number]
        asked = self.waiting.get(number)
        return NodeStatus(
            node=self.graph.names[number],
            state=cast("Any", state.value),
            attempt=self.attempt[number],
            done=self.done(number),
            total=self.total.get(number, 1),
            seconds=max(0.0, now - self.started[number]) if state in _UNDER_WAY else self.seconds[number],
            queued=self._queued(number),
            error=self.error.get(number),
            prompt=asked.prompt if asked else "",
            approvers=asked.approvers if asked else (),
            place=self.failed_at.get(number, ""),
        )

    def _queued(self, number: int) -> float:
        """Seconds for which a node could have run before it did."""
        if not self.began[number]:
            return 0.0
        return max(0.0, self.began[number] - self.free(number))

    def free(self, number: int) -> float:
        """Unix time when a node that has begun could have, since the run last went on.

        Args:
            number: The node.
        """
        before = [self.ended[parent] for parent in self.graph.parents[number]]
        owner = self.graph.of[number].owner
        if (
            not before and owner >= 0
        ):  # the first of a workflow: it began with its owner, or an iteration later
            before = [self.began[owner], self._iterated.get(owner, 0.0)]
        return max([self.went_on, *before])

    def _number(self, name: str) -> int:
        number = self.graph.index.get(name, -1)
        if not 0 <= number < len(self.state):  # of an instance that no event has named before
            number = self.graph.number(name)
            self.grow()
        return number

    def _instance(self, owner: int, item: int) -> Instance:
        instance = self.graph.instance(owner, item)
        self.grow()
        return instance

    def node_started(self, number: int, event: NodeStarted) -> None:
        """Take that a node has started; [apply][pit_dag_tracker.ledger.Ledger.apply] for who knows its number.

        Args:
            number: The node.
            event: The next event.
        """
        self.sequence = event.sequence
        if self.run_state is _RUN_WAITING:
            self.run_state = advance(_RUN_WAITING, RunState.RUNNING)
        state = self.state[number]
        if state is READY:
            self.state[number] = RUNNING
        else:  # in the log: nothing says that a node became ready
            if state in NODE_ENDS:  # its result was lost, so it runs again
                state = advance(state, PENDING)
            self.state[number] = advance(advance(state, READY), RUNNING)
        self.attempt[number] = event.attempt
        self.started[number] = event.at
        self.began[number] = self.began[number] or event.at
        if number in self.total:
            self.total[number] = event.items

    def _node_waiting(self, number: int, event: NodeWaiting) -> None:
        self.state[number] = advance(self.state[number], WAITING)
        self.waiting[number] = event
        if event.until:
            self.deadlines[number] = event.until

    def _node_reused(self, number: int, event: NodeReused) -> None:
        state = self.state[number]
        if state is not READY:  # in the log, or taken over by a rerun
            if state in NODE_ENDS:  # its result was lost, and another one found
                state = advance(state, PENDING)
            state = advance(state, READY)
        self.state[number] = advance(state, COMPLETED)
        self.seconds[number] = event.seconds
        self.ended[number] = event.at

    def node_completed(self, number: int, event: NodeCompleted) -> None:
        """Take that a node has completed; [apply][pit_dag_tracker.ledger.Ledger.apply] for who knows its number.

        Args:
            number: The node.
            event: The next event.
        """
        self.sequence = event.sequence
        if self.run_state is _RUN_WAITING:
            self.run_state = advance(_RUN_WAITING, RunState.RUNNING)
        state = self.state[number]
        self.state[number] = COMPLETED if state is RUNNING else advance(state, COMPLETED)
        self.seconds[number] = event.seconds
        self.ended[number] = event.at
        if self.waiting:
            self.waiting.pop(number, None)
            self.deadlines.pop(number, None)

    def node_ran(self, number: int, started: NodeStarted, completed: NodeCompleted) -> None:
        """Take that an operation has started and completed at once, as most do whose executor does not tell of starts.

        Args:
            number: The node, which is ready.
            started: The next event.
            completed: The one after it, of the same time.
        """
        self.sequence = completed.sequence
        if self.run_state is _RUN_WAITING:
            self.run_state = advance(_RUN_WAITING, RunState.RUNNING)
        self.state[number] = COMPLETED
        self.attempt[number] = started.attempt
        self.started[number] = self.ended[number] = at = completed.at
        self.began[number] = self.began[number] or at
        self.seconds[number] = completed.seconds

    def _item_completed(self, number: int, event: ItemCompleted) -> None:
        self.items.setdefault(number, set()).add(event.item)
        if isinstance(self.graph.nodes[number], LoopNode):
            self._iterated[number] = event.at

    def _node_retrying(self, number: int, event: NodeRetrying) -> None:
        if event.item < 0:
            self.state[number] = advance(self.state[number], NodeState.RETRYING)
        else:  # the next attempt of an item starts without an event of its own
            self.attempt[number] = max(self.attempt[number], event.attempt + 1)
            if self.graph.runs(number) is not None:  # what completed inside of it is kept
                for inner in self._instance(number, event.item).numbers:
                    if self.state[inner] in NODE_ENDS and self.state[inner] is not NodeState.COMPLETED:
                        self.state[inner] = advance(self.state[inner], PENDING)

    def _node_failed(self, number: int, event: NodeFailed) -> None:
        if self.run_state is _RUN_WAITING:
            self.run_state = advance(_RUN_WAITING, RunState.RUNNING)
        state = self.state[number]
        if state is PENDING:  # what it is given could not be made
            state = advance(state, READY)
        self.state[number] = advance(state, NodeState.FAILED)
        self.broken.append(number)
        self.error[number] = event.error
        if event.place:
            self.failed_at[number] = event.place
        self.ended[number] = event.at
        self.waiting.pop(number, None)
        if self.attempt[number]:
            self.seconds[number] = max(0.0, event.at - self.started[number])

    def _node_skipped(self, number: int, event: NodeSkipped) -> None:
        if self.run_state is _RUN_WAITING:
            self.run_state = advance(_RUN_WAITING, RunState.RUNNING)
        state = self.state[number]
        if state in NODE_ENDS:  # somebody gave it up after it had failed or was cancelled
            state = advance(state, PENDING)
        self.state[number] = advance(state, NodeState.SKIPPED)
        self.ended[number] = event.at
        self.waiting.pop(number, None)

    def _run_started(self, event: RunStarted) -> None:
        self.run_state = advance(self.run_state, RunState.RUNNING)
        self.run_started = self.went_on = event.at
        self.origin = event.origin
        self.asked.update(map(self._number, event.anew))

    def _run_steered(self, event: RunSteered) -> None:
        match event.command:
            case "skip":
                self.held.add(self._number(event.node))
            case "approve" | "reject":
                self.answers[self._number(event.node)] = event
            case "retry":
                for number in self.discarded(event):
                    self._forget(number)
                if event.node:
                    self.asked.add(self._number(event.node))
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
        self.failed_at.pop(number, None)
        self.answers.pop(number, None)
        self.deadlines.pop(number, None)

    def _run_resumed(self, event: RunResumed) -> None:
        if self.run_state in (RunState.RUNNING, RunState.WAITING):  # its process died
            self.spent += max(0.0, self.heard - self.went_on)
        if self.run_state is not RunState.RUNNING:
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
        self.failed_at.clear()
        self.broken.clear()
        self.waiting.clear()

    def _run_waiting(self, event: RunWaiting) -> None:
        self.run_state = advance(self.run_state, RunState.WAITING)

    def _run_paused(self, event: RunPaused) -> None:
        self.run_state = advance(self.run_state, RunState.PAUSED)
        self.spent += max(0.0, event.at - self.went_on)
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
        self.spent = 0.0  # whoever lets it go on after that gives it its time anew
        if isinstance(event, RunFailed):
            self.run_error = event.error
        if not isinstance(event, RunCompleted):
            for number, state in enumerate(self.state):
                if state not in NODE_ENDS:
                    self.state[number] = advance(state, NodeState.CANCELLED)
            self.waiting.clear()

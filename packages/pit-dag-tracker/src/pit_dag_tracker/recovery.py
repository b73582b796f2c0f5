"""Rebuilds where a run was from its log: states, the outputs that are still needed, and what lacks them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from symphony_sdk.errors import ArtifactError, ErrorPayload, PortError, RunError
from symphony_sdk.events import ItemCompleted, NodeCompleted, NodeReused, NodeStarted, RunResumed, RunSteered
from symphony_workflow.bulk import collector_paused
from symphony_workflow.state import NodeState, RunState

from pit_dag_tracker.entries import Entry, Stored, Unread, decode_outputs
from pit_dag_tracker.graph import Graph, Instance
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.spill import Spill, spilled

T = TypeVar("T")

PENDING, READY, RUNNING, COMPLETED = (
    NodeState.PENDING,
    NodeState.READY,
    NodeState.RUNNING,
    NodeState.COMPLETED,
)
_RUN_RUNNING = RunState.RUNNING


@dataclass(slots=True)
class Remains:
    """What a run has achieved so far; nodes are named by their numbers.

    Args:
        run: Id of the run, for errors; empty where all outputs were read.
        stored: The outputs of completed nodes as the log holds them.
        unread: Those that were not read with their events.
        stored_items: The outputs of completed items of map nodes, by node and index.
        outputs: The outputs of completed nodes that others still need.
        items: The outputs of the done items of unfinished map nodes, by node and index.
        item_errors: The collected errors of their failed items, by node and index.
        spilled: Ids of the artifacts that some of those outputs are in, by node and port.
    """

    run: str = ""
    stored: dict[int, dict[str, Stored]] = field(default_factory=dict)
    stored_items: dict[int, dict[int, dict[str, Stored]]] = field(default_factory=dict)
    outputs: dict[int, dict[str, bytes]] = field(default_factory=dict)
    items: dict[int, dict[int, dict[str, bytes]]] = field(default_factory=dict)
    item_errors: dict[int, dict[int, ErrorPayload]] = field(default_factory=dict)
    unread: dict[int, msgspec.Raw] = field(default_factory=dict)
    spilled: dict[int, dict[str, str]] = field(default_factory=dict)

    def held(self, number: int) -> dict[str, Stored]:
        """The outputs of a completed node as the log holds them, read now if they were not before.

        Args:
            number: The node.

        Raises:
            RunError: The log is damaged.
        """
        if number in self.unread:
            self.stored[number] = decode_outputs(self.unread.pop(number), self.run)
        return self.stored[number]

    def forget(self, number: int) -> None:
        """Let go of the outputs of a node whose end is undone.

        Args:
            number: The node.
        """
        stored, unread = self.stored.pop(number, None), self.unread.pop(number, None)
        if stored is not None or unread is not None:
            self.item_errors.pop(number, None)


def replay(entries: Iterable[Entry], ledger: Ledger, remains: Remains | None = None) -> Remains:
    """Apply what a log holds to a ledger.

    Args:
        entries: The entries of the run in order.
        ledger: A ledger of the run's workflow, to which the entries before these were applied.
        remains: What was found in the entries before these; filled in further.

    Raises:
        RunError: The log is damaged.
        WorkflowError: An event cannot follow those before it.
    """
    remains = Remains() if remains is None else remains
    index = ledger.graph.index
    for event, stored in entries:
        if isinstance(event, RunSteered):
            for number in ledger.discarded(event):
                remains.forget(number)
        ledger.apply(event)
        if not isinstance(event, RunSteered):
            ledger.heard = event.at
        if isinstance(event, NodeCompleted | NodeReused):
            number = index[event.node]
            remains.unread.pop(number, None)
            remains.stored[number] = dict(stored)
            remains.stored_items.pop(number, None)
        elif isinstance(event, ItemCompleted):
            number = index[event.node]
            if event.error is None:
                remains.stored_items.setdefault(number, {})[event.item] = dict(stored)
            else:
                remains.item_errors.setdefault(number, {})[event.item] = event.error
    return remains


def recover(batches: Iterable[list[Unread]], run: str, ledger: Ledger) -> Remains:
    """What [replay][pit_dag_tracker.recovery.replay] does, for a run that goes on: in a fraction of the time.

    Nearly all events of a large run are starts and ends of nodes that need no second look, and of nearly all outputs
    nobody has any need: the nodes that read them are completed, too.

    Args:
        batches: What the log holds of the run, in order.
        run: Id of the run.
        ledger: A fresh ledger of its workflow.

    Raises:
        RunError: The log is damaged.
        WorkflowError: An event cannot follow those before it.
    """
    remains = Remains(run)
    with collector_paused():
        for entries in batches:
            _recover(entries, ledger, remains)
            ledger.sequence = entries[-1][0].sequence
            heard = (event.at for event, _ in reversed(entries) if type(event) is not RunSteered)
            ledger.heard = next(heard, ledger.heard)
    return remains


def _recover(entries: Iterable[Unread], ledger: Ledger, remains: Remains) -> None:
    number_of, state, total = ledger.graph.index.get, ledger.state, ledger.total
    began, started, ended = ledger.began, ledger.started, ledger.ended
    attempt, seconds = ledger.attempt, ledger.seconds
    unread, items, waiting = remains.unread, remains.stored_items, ledger.waiting
    simple = ledger.run_state is _RUN_RUNNING
    for event, values in entries:
        if simple and isinstance(event, NodeCompleted):
            number = number_of(event.node, -1)
            if number >= 0 and state[number] is RUNNING and not waiting:
                state[number] = COMPLETED
                seconds[number] = event.seconds
                ended[number] = event.at
                unread[number] = values
                if items:
                    items.pop(number, None)
                continue
        elif simple and isinstance(event, NodeStarted):
            number = number_of(event.node, -1)
            if number >= 0 and state[number] is PENDING and number not in total:
                state[number] = READY  # nothing in a log says so
                state[number] = RUNNING
                attempt[number] = event.attempt
                started[number] = event.at
                if not began[number]:
                    began[number] = event.at
                continue
        replay([(event, decode_outputs(values, remains.run))], ledger, remains)
        simple = ledger.run_state is _RUN_RUNNING


def revive(remains: Remains, ledger: Ledger, spill: Spill, resumed: RunResumed) -> None:
    """Make a replayed run ready to go on; reads large outputs back, so it belongs in a thread.

    Args:
        remains: What [replay][pit_dag_tracker.recovery.replay] found; its loaded parts are filled in.
        ledger: The replayed ledger.
        spill: Reads large outputs.
        resumed: The event that the run goes on with.
    """
    ledger.apply(resumed)
    awaken(remains, ledger, spill)


def awaken(remains: Remains, ledger: Ledger, spill: Spill) -> None:
    """Read back what the nodes that are left need; reads large outputs, so it belongs in a thread.

    A completed node whose outputs are needed but lost runs again.

    Args:
        remains: What [replay][pit_dag_tracker.recovery.replay] found; its loaded parts are filled in.
        ledger: The replayed ledger.
        spill: Reads large outputs.
    """
    for instance in ledger.graph.instances:  # each after the one that it is inside of
        if not ledger.settled(instance):
            _awaken_instance(remains, ledger, spill, instance)
    remains.stored.clear()
    remains.unread.clear()
    remains.stored_items.clear()


def _awaken_instance(remains: Remains, ledger: Ledger, spill: Spill, instance: Instance) -> None:
    first, states, parents = instance.first, ledger.state, ledger.graph.parents
    last = first + len(instance.workflow.names)
    left = [
        number for number, state in enumerate(states[first:last], first) if state is not NodeState.COMPLETED
    ]
    given = [instance.number(output.node) for output in instance.workflow.outputs if instance.owner >= 0]
    needed = [*given, *(parent for number in left for parent in parents[number])]
    while needed:
        number = needed.pop()
        if states[number] is not NodeState.COMPLETED or number in remains.outputs:
            continue
        outputs = _load(spill, remains.held(number))
        if outputs is None:
            ledger.lose(number)
            needed += parents[number]
        else:
            remains.outputs[number] = outputs
            remains.spilled[number] = spilled(remains.stored[number])
    if remains.stored_items:
        for number in instance.numbers:
            _load_items(remains, ledger, spill, number)


def reload(remains: Remains, ledger: Ledger, spill: Spill, again: Iterable[int]) -> None:
    """Read back what some nodes need to run again; reads large outputs, so it belongs in a thread.

    Args:
        remains: What [replay][pit_dag_tracker.recovery.replay] found; its loaded parts are filled in.
        ledger: The replayed ledger.
        spill: Reads large outputs.
        again: The nodes.

    Raises:
        RunError: The outputs of a node before them are lost.
    """
    for number in again:
        for parent in ledger.graph.parents[number]:
            if ledger.state[parent] is NodeState.COMPLETED and parent not in remains.outputs:
                outputs = _load(spill, remains.stored[parent])
                if outputs is None:
                    name = ledger.graph.nodes[parent].id
                    raise RunError(
                        f"the outputs of node {name!r} are lost",
                        code="SYM-R068",
                        hint=f"Retry {name!r}: what depends on it runs again, too.",
                        details={"node": name},
                    )
                remains.outputs[parent] = outputs
        _load_items(remains, ledger, spill, number)
        for instance in ledger.graph.inner(number):
            if not ledger.settled(instance):
                _awaken_instance(remains, ledger, spill, instance)


def renumbered(remains: Remains, old: Graph, new: Graph) -> Remains:
    """What a run has achieved, with its nodes named by their numbers in another graph of the same run.

    Args:
        remains: What it has achieved; nodes are named by their numbers in `old`.
        old: A graph of the run.
        new: Another one, whose instances may have been added in another order.
    """

    def by_new(of: dict[int, T]) -> dict[int, T]:
        return {new.index[old.names[number]]: value for number, value in of.items()}

    return Remains(
        "",
        by_new(remains.stored),
        by_new(remains.stored_items),
        by_new(remains.outputs),
        by_new(remains.items),
        by_new(remains.item_errors),
    )


def _load_items(remains: Remains, ledger: Ledger, spill: Spill, number: int) -> None:
    for item, stored in remains.stored_items.get(number, {}).items():
        outputs = _load(spill, stored)
        if outputs is not None:
            remains.items.setdefault(number, {})[item] = outputs
        elif number in ledger.items:  # it runs again
            ledger.items[number].discard(item)


def _load(spill: Spill, stored: dict[str, Stored]) -> dict[str, bytes] | None:
    try:
        return spill.load(stored)
    except (ArtifactError, PortError, OSError):
        return None

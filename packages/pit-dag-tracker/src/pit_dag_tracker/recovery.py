"""Rebuilds where a run was from its log: states, the outputs that are still needed, and what lacks them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from symphony_sdk.errors import ArtifactError, ErrorPayload, PortError, RunError
from symphony_sdk.events import ItemCompleted, NodeCompleted, NodeReused, RunResumed, RunSteered
from symphony_workflow.state import NodeState

from pit_dag_tracker.entries import Entry, Stored
from pit_dag_tracker.graph import Graph, Instance
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.spill import Spill

T = TypeVar("T")


@dataclass(slots=True)
class Remains:
    """What a run has achieved so far; nodes are named by their numbers.

    Args:
        stored: The outputs of completed nodes as the log holds them.
        stored_items: The outputs of completed items of map nodes, by node and index.
        outputs: The outputs of completed nodes that others still need.
        items: The outputs of the done items of unfinished map nodes, by node and index.
        item_errors: The collected errors of their failed items, by node and index.
    """

    stored: dict[int, dict[str, Stored]] = field(default_factory=dict)
    stored_items: dict[int, dict[int, dict[str, Stored]]] = field(default_factory=dict)
    outputs: dict[int, dict[str, bytes]] = field(default_factory=dict)
    items: dict[int, dict[int, dict[str, bytes]]] = field(default_factory=dict)
    item_errors: dict[int, dict[int, ErrorPayload]] = field(default_factory=dict)


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
                if remains.stored.pop(number, None) is not None:
                    remains.item_errors.pop(number, None)
        ledger.apply(event)
        if isinstance(event, NodeCompleted | NodeReused):
            number = index[event.node]
            remains.stored[number] = dict(stored)
            remains.stored_items.pop(number, None)
        elif isinstance(event, ItemCompleted):
            number = index[event.node]
            if event.error is None:
                remains.stored_items.setdefault(number, {})[event.item] = dict(stored)
            else:
                remains.item_errors.setdefault(number, {})[event.item] = event.error
    return remains


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
    remains.stored_items.clear()


def _awaken_instance(remains: Remains, ledger: Ledger, spill: Spill, instance: Instance) -> None:
    states, children = ledger.state, ledger.graph.children
    given = {instance.number(output.node) for output in instance.workflow.outputs if instance.owner >= 0}
    for number in reversed(instance.order):
        if states[number] is NodeState.COMPLETED:
            needed = any(states[child] is not NodeState.COMPLETED for child in children[number])
            if needed or number in given:
                outputs = _load(spill, remains.stored[number])
                if outputs is None:
                    ledger.lose(number)
                else:
                    remains.outputs[number] = outputs
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
        return {new.index[old.nodes[number].id]: value for number, value in of.items()}

    return Remains(
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

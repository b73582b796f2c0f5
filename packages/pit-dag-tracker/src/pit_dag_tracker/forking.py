"""Makes a new run out of an old one: the request with some things changed, and which results can be taken over."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from symphony_sdk.errors import RunError
from symphony_sdk.events import NodeReused
from symphony_sdk.ports.pit import RunRequest
from symphony_workflow.model import INPUTS, DataEdge, Expression
from symphony_workflow.plan import Plan
from symphony_workflow.state import NodeState

from pit_dag_tracker.entries import Entry, Stored
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.ledger import Ledger

Params = Mapping[str, Mapping[str, Any]]
"""Values of params, by node and port."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different in the new run.

    Args:
        nodes: Ids of nodes that run again as they are.
        inputs: Encoded values of the workflow's inputs by name.
        params: Values of params.
    """

    nodes: Sequence[str]
    inputs: Mapping[str, bytes]
    params: Params


def changed_request(request: RunRequest, plan: Plan, changes: Changes, actor: str) -> RunRequest:
    """The request of the new run.

    Args:
        request: The request of the old run.
        plan: Its compiled workflow.
        changes: What is different.
        actor: Who asks.

    Raises:
        RunError: There is no such node, or an edge feeds a port whose param is changed.
    """
    for node in (*changes.nodes, *changes.params):
        node_number(plan, node)
    document = dict(request.workflow)
    nodes = document["nodes"] = dict(document.get("nodes", {}))
    for node, params in changes.params.items():
        for edge in plan.edges_in[plan.index[node]]:
            if isinstance(edge, DataEdge) and edge.target_port in params:
                raise RunError(
                    f"the input {edge.target_port!r} of node {node!r} is fed by an edge from {edge.source!r}",
                    code="SYM-R067",
                    hint="Change the workflow's input, or a param of a node before it.",
                    details={"node": node, "port": edge.target_port},
                )
        nodes[node] = {**nodes[node], "params": {**nodes[node].get("params", {}), **params}}
    return msgspec.structs.replace(
        request, workflow=document, inputs={**request.inputs, **changes.inputs}, actor=actor
    )


def node_number(plan: Plan | Graph, node: str) -> int:
    """The number of a node.

    Args:
        plan: The compiled workflow.
        node: Id of the node.

    Raises:
        RunError: There is no such node.
    """
    if node not in plan.index:
        near = difflib.get_close_matches(node, plan.index, n=1)
        raise RunError(
            f"the workflow has no node {node!r}",
            code="SYM-R060",
            hint=f"Did you mean {near[0]!r}?" if near else "`symphony runs show RUN` lists its nodes.",
            details={"node": node},
        )
    return plan.index[node]


def affected(plan: Plan, changes: Changes) -> set[int]:
    """The nodes that changes reach: those that read what is changed, and all that depend on them.

    Args:
        plan: The compiled workflow.
        changes: What is different.
    """
    found = {plan.index[node] for node in (*changes.nodes, *changes.params)}
    for number in range(len(plan.nodes)):
        if not changes.inputs.keys().isdisjoint(_inputs_of(plan, number, changes.inputs)):
            found.add(number)
    for number in plan.order:
        if number in found:
            found.update(plan.children[number])
    return found


def reused(
    origin: str,
    run: str,
    at: float,
    ledger: Ledger,
    stored: Mapping[int, Mapping[str, Stored]],
    without: set[int],
) -> Iterator[Entry]:
    """The entries with which a new run takes results over, after its first event.

    A result is taken over where those of all nodes before it are.

    Args:
        origin: Id of the old run.
        run: Id of the new run.
        at: Unix time in seconds.
        ledger: Where the old run is.
        stored: The outputs of its completed nodes.
        without: The nodes whose results are not taken over.
    """
    sequence, taken = 1, set[int]()
    for number in ledger.graph.top.order:
        ended = ledger.state[number] is NodeState.COMPLETED and number in stored
        if ended and number not in without and _settled(ledger, number, taken):
            sequence += 1
            taken.add(number)
            node, seconds = ledger.graph.nodes[number].id, ledger.seconds[number]
            event = NodeReused(run=run, sequence=sequence, at=at, node=node, origin=origin, seconds=seconds)
            yield event, stored[number]


def _settled(ledger: Ledger, number: int, taken: set[int]) -> bool:
    """Whether nothing that a node depends on will be different in the new run."""
    return all(
        parent in taken or ledger.state[parent] is NodeState.SKIPPED
        for parent in ledger.graph.parents[number]
    )


def _inputs_of(plan: Plan, number: int, names: Iterable[str]) -> set[str]:
    """Those of the workflow's inputs that a node reads, through an edge or in an expression."""
    found = {
        edge.source_port
        for edge in plan.edges_in[number]
        if isinstance(edge, DataEdge) and edge.source == INPUTS
    }
    texts = [value.text for value in plan.nodes[number].params.values() if isinstance(value, Expression)]
    return found | {name for name in names if any(name in text for text in texts)}

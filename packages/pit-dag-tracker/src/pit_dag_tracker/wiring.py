"""What each node is given: its literal values, the inputs of the workflow, and the outputs of other nodes."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symphony_sdk.errors import WorkflowError
from symphony_sdk.values import decode, encode
from symphony_workflow.conditions import condition_variables, holds
from symphony_workflow.expressions import evaluate, expression_names
from symphony_workflow.model import INPUTS, ConditionalEdge, DataEdge, Expression, JoinNode, Workflow
from symphony_workflow.state import NodeState

from pit_dag_tracker.graph import Graph, Instance
from pit_dag_tracker.ledger import Ledger

Values = Mapping[str, bytes]
"""Encoded values by port name."""

FIRST = ""
"""Where a join finds the value that it passes on, among what it is given; no port has this name."""

_NULL = encode(None)


def workflow_inputs(workflow: Workflow, given: Values) -> dict[str, bytes]:
    """The encoded value of every input of a workflow.

    Args:
        workflow: The workflow.
        given: The values that the run is given.

    Raises:
        WorkflowError: A required input is missing, or one is given that the workflow does not have.
    """
    known = {one.name for one in workflow.inputs}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            has = ", ".join(sorted(known)) or "none"
            raise WorkflowError(
                f"workflow {workflow.id!r} has no input {name!r}; it has {has}",
                code="SYM-W012",
                hint=f"Did you mean {near[0]!r}?" if near else "Leave it out.",
            )
    missing = sorted(one.name for one in workflow.inputs if one.required and one.name not in given)
    if missing:
        raise WorkflowError(
            f"workflow {workflow.id!r} needs a value for its input {', '.join(map(repr, missing))}",
            code="SYM-W016",
            hint=f"Give it as `--input {missing[0]}=VALUE`.",
            details={"missing": missing},
        )
    return {
        one.name: given[one.name] if one.name in given else encode(one.default) for one in workflow.inputs
    }


@dataclass(frozen=True, slots=True)
class _Feeds:
    """What one node is given; sources are named by their numbers.

    Args:
        fixed: Encoded values that are there from the start, by port.
        computed: Expressions by port.
        data: The port, source and source's port of each data edge.
        controls: The sources of its control edges.
        conditions: The source and condition of each conditional edge.
    """

    fixed: dict[str, bytes]
    computed: dict[str, str]
    data: list[tuple[str, int, str]]
    controls: list[int]
    conditions: list[tuple[int, str]]


class Wiring:
    """The edges of a run as a scheduler follows them; a node is named by its number.

    Args:
        graph: The nodes of the run.
        inputs: Encoded values of the workflow's inputs by name.
    """

    def __init__(self, graph: Graph, inputs: Values) -> None:
        self._graph = graph
        self._feeds: dict[int, _Feeds] = {}
        self._inputs: dict[int, Values] = {}
        self.wire(graph.top, inputs)

    def wire(self, instance: Instance, inputs: Values) -> None:
        """Note what the nodes of an instance are given.

        Args:
            instance: The instance, which may be wired already.
            inputs: Encoded values of its workflow's inputs by name.
        """
        self._inputs[instance.first] = inputs
        for number, node, edges in zip(
            instance.numbers, instance.plan.nodes, instance.plan.edges_in, strict=True
        ):
            fixed: dict[str, bytes] = {}
            feeds = _Feeds(fixed, {}, [], [], [])
            for port, value in node.params.items():
                if isinstance(value, Expression):
                    feeds.computed[port] = value.text
                else:
                    fixed[port] = encode(value)
            for edge in edges:
                if isinstance(edge, DataEdge) and edge.source == INPUTS:
                    fixed[edge.target_port] = inputs[edge.source_port]
                elif isinstance(edge, DataEdge):
                    feeds.data.append((edge.target_port, instance.number(edge.source), edge.source_port))
                elif isinstance(edge, ConditionalEdge):
                    feeds.conditions.append((instance.number(edge.source), edge.condition))
                else:
                    feeds.controls.append(instance.number(edge.source))
            self._feeds[number] = feeds

    def gather(
        self, number: int, outputs: Sequence[Values | None], states: Sequence[NodeState]
    ) -> dict[str, bytes] | str:
        """What a node is given, or why it is skipped.

        Args:
            number: The node; every node that it waits for has reached an end.
            outputs: The outputs of each node that has completed.
            states: The state of each node.

        Raises:
            WorkflowError: A condition or a computed value cannot be evaluated.
            MalformedMessage: An expression needs a value that is too large or no value.
        """
        nodes, feeds = self._graph.nodes, self._feeds[number]
        for parent in self._graph.parents[number]:
            if states[parent] is not NodeState.COMPLETED:
                return f"{nodes[parent].id!r} {_WHY.get(states[parent], 'did not complete')}"
        for parent, condition in feeds.conditions:
            if not test(condition, outputs[parent] or {}, nodes[number].id):
                return f"the condition `{condition}` on {nodes[parent].id!r} does not hold"
        given = feeds.fixed.copy()
        for port, parent, source_port in feeds.data:
            value = (outputs[parent] or {}).get(source_port)
            if value is None:
                return f"{nodes[parent].id!r} gave nothing at its output {source_port!r}"
            given[port] = value
        return self._computed(number, given)

    def gather_join(
        self, number: int, node: JoinNode, outputs: Sequence[Values | None], ledger: Ledger
    ) -> dict[str, bytes] | str | None:
        """What a join is given as soon as enough has arrived, why it is skipped, or None while it waits.

        Args:
            number: The number of the join.
            node: The join.
            outputs: The outputs of each node that has completed.
            ledger: Where each node is.

        Raises:
            WorkflowError: A condition or a computed value cannot be evaluated.
            MalformedMessage: An expression needs a value that is too large or no value.
        """
        feeds, states = self._feeds[number], ledger.state
        sources = self._graph.parents[number]
        waits = any(not ledger.over(parent) for parent in sources)
        if waits and node.wait == "all":
            return None
        lost = [parent for parent in sources if states[parent] in (NodeState.FAILED, NodeState.CANCELLED)]
        if lost and node.wait == "all":
            return f"{self._graph.nodes[lost[0]].id!r} {_WHY.get(states[lost[0]], 'did not complete')}"
        done = {parent: outputs[parent] or {} for parent in sources if states[parent] is NodeState.COMPLETED}
        values = [
            (ledger.ended[parent], port, done[parent][source_port])
            for port, parent, source_port in feeds.data
            if source_port in done.get(parent, ())
        ]
        holding = [
            parent
            for parent, condition in feeds.conditions
            if parent in done and test(condition, done[parent], node.id)
        ]
        arrived = len(values) + len(holding) + sum(parent in done for parent in feeds.controls)
        needed = node.wait if isinstance(node.wait, int) else 1
        if arrived < needed and sources:
            return None if waits else f"{arrived} of {needed} that it waits for arrived"
        given = feeds.fixed | {port: value for _, port, value in values}
        by_name = node.wait == "all" or not values
        first = min(given, default=FIRST) if by_name else min(values)[1]
        return self._computed(number, given) | {FIRST: given.get(first, _NULL)}

    def _computed(self, number: int, given: dict[str, bytes]) -> dict[str, bytes]:
        """What a node is given, with what its expressions give for it."""
        feeds = self._feeds[number]
        if not feeds.computed:
            return given
        node, inputs = self._graph.nodes[number].id, self._inputs[self._graph.of[number].first]
        results = {}
        for port, text in feeds.computed.items():
            names = expression_names(text)
            values: dict[str, Any] = {name: decode(given[name]) for name in names & given.keys()}
            if "inputs" in names:
                values["inputs"] = {name: decode(value) for name, value in inputs.items()}
            results[port] = encode(evaluate(text, values, node=node))
        return given | results


def test(condition: str, values: Values, node: str) -> bool:
    """Whether a condition holds; only the values that it names are decoded.

    Args:
        condition: A CEL expression.
        values: Encoded values by name.
        node: Id of the node that asks, for errors.

    Raises:
        WorkflowError: The condition cannot be evaluated.
        MalformedMessage: A value is too large to be decoded, or no value.
    """
    names = condition_variables(condition) & values.keys()
    return holds(condition, {name: decode(values[name]) for name in names}, node=node)


_WHY = {NodeState.FAILED: "failed", NodeState.SKIPPED: "was skipped"}

"""What each node is given: its literal values, the inputs of the workflow, and the outputs of other nodes."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from symphony_sdk.errors import WorkflowError
from symphony_sdk.values import decode, encode
from symphony_workflow.conditions import condition_variables, holds
from symphony_workflow.expressions import evaluate, expression_names
from symphony_workflow.model import JoinNode
from symphony_workflow.state import NodeState

from pit_dag_tracker.blueprints import Blueprint, Ports, Rules
from pit_dag_tracker.entries import Stored
from pit_dag_tracker.graph import Graph, Instance
from pit_dag_tracker.ledger import Ledger

Values = Mapping[str, bytes]
"""Encoded values by port name."""

FIRST = ""
"""Where a join finds the value that it passes on, among what it is given; no port has this name."""

_NULL = encode(None)
_NO_VALUES: dict[str, bytes] = {}

Taken = tuple[dict[str, bytes], dict[str, str]]
"""What is there from the start for a node by port, and what it takes of the node before it: output port by port."""


def workflow_inputs(workflow: Blueprint, given: Values) -> dict[str, bytes]:
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


_NO_RULES = Rules({}, [], [])


class Wiring:
    """The edges of a run as a scheduler follows them; a node is named by its number.

    Args:
        graph: The nodes of the run.
        inputs: Encoded values of the workflow's inputs by name.
    """

    def __init__(self, graph: Graph, inputs: Values) -> None:
        self._graph = graph
        self._fixed: list[dict[str, bytes]] = []  # the encoded values that are there from the start, by port
        self._ports: list[Ports] = []
        self._sources: list[Sequence[int]] = []  # the source of each data edge that ends at a node
        self._takes: dict[Ports, dict[str, str]] = {}  # most nodes have the same ports as many others
        self._rules: dict[int, Rules] = {}
        self._inputs: dict[int, Values] = {}
        self.wire(graph.top, inputs)

    def wire(self, instance: Instance, inputs: Values) -> None:
        """Note what the nodes of an instance are given.

        Args:
            instance: The instance, which may be wired already.
            inputs: Encoded values of its workflow's inputs by name.
        """
        workflow, first = instance.workflow, instance.first
        last = first + len(workflow.names)
        more = len(self._graph.names) - len(self._ports)
        self._fixed += [_NO_VALUES] * more
        self._ports += [()] * more
        self._sources += [()] * more
        self._inputs[first] = inputs
        self._ports[first:last] = workflow.ports
        sources = [[first + one for one in each] for each in workflow.sources] if first else workflow.sources
        self._sources[first:last] = sources
        for number, fixed in workflow.fixed.items():
            self._fixed[first + number] = fixed
        for number, given in workflow.given.items():
            values = {port: inputs[name] for port, name in given}
            self._fixed[first + number] = workflow.fixed.get(number, _NO_VALUES) | values
        for number, rules in workflow.rules.items():
            self._rules[first + number] = rules.shifted(first) if first else rules

    def values(self, number: int, outputs: Mapping[int, Mapping[str, Stored]]) -> dict[str, Stored]:
        """What a node is given, as far as that is known without loading what is large.

        Args:
            number: The node.
            outputs: The outputs of completed nodes as the log holds them.

        Raises:
            WorkflowError: A computed value cannot be evaluated.
            MalformedMessage: An expression needs a value that is too large or no value.
        """
        given: dict[str, Stored] = dict(self._fixed[number])
        for (port, source_port), parent in zip(self._ports[number], self._sources[number], strict=True):
            if source_port in outputs.get(parent, {}):
                given[port] = outputs[parent][source_port]
        if number in self._rules:
            small = {port: value for port, value in given.items() if isinstance(value, bytes)}
            given.update(self._computed(number, small))
        return given

    def origins(self, number: int) -> list[tuple[int, str]]:
        """The nodes and their output ports that a node's inputs come from.

        Args:
            number: The node.
        """
        ports = [source_port for _, source_port in self._ports[number]]
        return list(zip(self._sources[number], ports, strict=True))

    def taken(self, number: int) -> Taken | None:
        """What a node is given that waits for one other, as far as no value of that one decides it; else None.

        Args:
            number: The node.
        """
        rules, ports = self._rules.get(number, _NO_RULES), self._ports[number]
        if rules.computed or rules.conditions:
            return None
        takes = self._takes.get(ports)
        if takes is None:
            takes = self._takes[ports] = dict(ports)
        return self._fixed[number], takes

    def gather(
        self, number: int, outputs: Sequence[Values], states: Sequence[NodeState]
    ) -> dict[str, bytes] | str:
        """What a node is given, or why it is skipped.

        Args:
            number: The node; every node that it waits for has reached an end.
            outputs: The outputs of each node; empty where it has not completed.
            states: The state of each node.

        Raises:
            WorkflowError: A condition or a computed value cannot be evaluated.
            MalformedMessage: An expression needs a value that is too large or no value.
        """
        given, ports = self._fixed[number].copy(), self._ports[number]
        try:
            for place, parent in enumerate(self._sources[number]):  # a strict zip takes three times as long
                port, source_port = ports[place]
                given[port] = outputs[parent][source_port]
        except KeyError:
            return self._why_skipped(number, outputs, states)
        if number in self._rules:
            why = self._why_skipped(number, outputs, states)
            return why or self._computed(number, given)
        return given

    def _why_skipped(self, number: int, outputs: Sequence[Values], states: Sequence[NodeState]) -> str:
        """The first reason why a node is skipped; empty where there is none."""
        nodes = self._graph.nodes
        for parent in self._graph.parents[number]:
            if states[parent] is not NodeState.COMPLETED:
                return f"{nodes[parent].id!r} {_WHY.get(states[parent], 'did not complete')}"
        for parent, condition in self._rules.get(number, _NO_RULES).conditions:
            if not test(condition, outputs[parent], nodes[number].id):
                return f"the condition `{condition}` on {nodes[parent].id!r} does not hold"
        for (_, source_port), parent in zip(self._ports[number], self._sources[number], strict=True):
            if source_port not in outputs[parent]:
                return f"{nodes[parent].id!r} gave nothing at its output {source_port!r}"
        return ""

    def gather_join(
        self, number: int, node: JoinNode, outputs: Sequence[Values], ledger: Ledger
    ) -> dict[str, bytes] | str | None:
        """What a join is given as soon as enough has arrived, why it is skipped, or None while it waits.

        Args:
            number: The number of the join.
            node: The join.
            outputs: The outputs of each node; empty where it has not completed.
            ledger: Where each node is.

        Raises:
            WorkflowError: A condition or a computed value cannot be evaluated.
            MalformedMessage: An expression needs a value that is too large or no value.
        """
        rules, states = self._rules.get(number, _NO_RULES), ledger.state
        sources = self._graph.parents[number]
        waits = any(not ledger.over(parent) for parent in sources)
        if waits and node.wait == "all":
            return None
        lost = [parent for parent in sources if states[parent] in (NodeState.FAILED, NodeState.CANCELLED)]
        if lost and node.wait == "all":
            return f"{self._graph.nodes[lost[0]].id!r} {_WHY.get(states[lost[0]], 'did not complete')}"
        done = {parent: outputs[parent] for parent in sources if states[parent] is NodeState.COMPLETED}
        values = [
            (ledger.ended[parent], port, done[parent][source_port])
            for (port, source_port), parent in zip(self._ports[number], self._sources[number], strict=True)
            if source_port in done.get(parent, ())
        ]
        holding = [
            parent
            for parent, condition in rules.conditions
            if parent in done and test(condition, done[parent], node.id)
        ]
        arrived = len(values) + len(holding) + sum(parent in done for parent in rules.controls)
        needed = node.wait if isinstance(node.wait, int) else 1
        if arrived < needed and sources:
            return None if waits else f"{arrived} of {needed} that it waits for arrived"
        given = self._fixed[number] | {port: value for _, port, value in values}
        by_name = node.wait == "all" or not values
        first = min(given, default=FIRST) if by_name else min(values)[1]
        return self._computed(number, given) | {FIRST: given.get(first, _NULL)}

    def _computed(self, number: int, given: dict[str, bytes]) -> dict[str, bytes]:
        """What a node is given, with what its expressions give for it."""
        computed = self._rules.get(number, _NO_RULES).computed
        if not computed:
            return given
        node, inputs = self._graph.nodes[number].id, self._inputs[self._graph.of[number].first]
        results = {}
        for port, text in computed.items():
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

"""What each node is given: its literal values, the inputs of the workflow, and the outputs of other nodes."""

import difflib
from collections.abc import Mapping, Sequence

from symphony_sdk.errors import WorkflowError
from symphony_sdk.values import decode, encode
from symphony_workflow.conditions import condition_variables, holds
from symphony_workflow.model import INPUTS, ConditionalEdge, DataEdge, Workflow
from symphony_workflow.plan import Plan
from symphony_workflow.state import NodeState

Values = Mapping[str, bytes]
"""Encoded values by port name."""


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


class Wiring:
    """The edges of a workflow as a scheduler follows them; a node is named by its number in the plan.

    Args:
        plan: The compiled workflow.
        inputs: Encoded values of the workflow's inputs by name.
    """

    def __init__(self, plan: Plan, inputs: Values) -> None:
        self._plan = plan
        self._fixed: list[dict[str, bytes]] = []
        self._data: list[list[tuple[str, int, str]]] = []
        self._conditions: list[list[tuple[int, str]]] = []
        for number, node in enumerate(plan.nodes):
            fixed = {port: encode(value) for port, value in node.params.items()}
            data, conditions = [], []
            for edge in plan.edges_in[number]:
                if isinstance(edge, DataEdge) and edge.source == INPUTS:
                    fixed[edge.target_port] = inputs[edge.source_port]
                elif isinstance(edge, DataEdge):
                    data.append((edge.target_port, plan.index[edge.source], edge.source_port))
                elif isinstance(edge, ConditionalEdge):
                    conditions.append((plan.index[edge.source], edge.condition))
            self._fixed.append(fixed)
            self._data.append(data)
            self._conditions.append(conditions)

    def gather(
        self, number: int, outputs: Sequence[Values | None], states: Sequence[NodeState]
    ) -> dict[str, bytes] | str:
        """What a node is given, or why it is skipped.

        Args:
            number: The node; every node that it waits for has reached an end.
            outputs: The outputs of each node that has completed.
            states: The state of each node.

        Raises:
            WorkflowError: A condition cannot be evaluated.
            MalformedMessage: A condition needs a value that is too large or no value.
        """
        nodes = self._plan.nodes
        for parent in self._plan.parents[number]:
            if states[parent] is not NodeState.COMPLETED:
                return f"{nodes[parent].id!r} {_WHY.get(states[parent], 'did not complete')}"
        for parent, condition in self._conditions[number]:
            if not test(condition, outputs[parent] or {}, nodes[number].id):
                return f"the condition `{condition}` on {nodes[parent].id!r} does not hold"
        given = self._fixed[number].copy()
        for port, parent, source_port in self._data[number]:
            value = (outputs[parent] or {}).get(source_port)
            if value is None:
                return f"{nodes[parent].id!r} gave nothing at its output {source_port!r}"
            given[port] = value
        return given


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

"""Compiles the workflows of a run to what the run needs of them: numbers instead of names, and nothing twice.

A run needs little of what its author wrote: no positions in a drawing, no descriptions, and of an edge only where its
value goes. So the workflow can be let go once its blueprints are made, and these can be kept with the run.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import repeat
from operator import attrgetter
from typing import Any

from symphony_sdk.errors import RunError, WorkflowError
from symphony_sdk.values import encode
from symphony_workflow.bulk import collector_paused, from_columns
from symphony_workflow.model import (
    INPUTS,
    LOCAL,
    NO_RESOURCES,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Edge,
    Expression,
    JoinNode,
    LoopNode,
    MapNode,
    Node,
    SubworkflowNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
)
from symphony_workflow.plan import Plan, compile_plan

from pit_dag_tracker.keys import Call, Caller

DEEPEST = 32
"""Workflows that may run inside of each other."""

Ports = tuple[tuple[str, str], ...]
"""Of each data edge that ends at a node: the port there, and that of the source."""

_EMPTY: dict[str, Any] = {}

UNREAD: Mapping[str, Any] = {"params": _EMPTY, "metadata": _EMPTY, "extra": _EMPTY, "label": ""}
"""The fields of nodes that no run reads, each with what it has in a blueprint."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What few nodes have beside literal values and data edges; sources are named by their numbers.

    Args:
        computed: Expressions by port.
        controls: The sources of its control edges.
        conditions: The source and condition of each conditional edge.
    """

    computed: dict[str, str]
    controls: list[int]
    conditions: list[tuple[int, str]]

    def shifted(self, first: int) -> "Rules":
        """The same where the numbers begin later.

        Args:
            first: The number that the first node has instead of 0.
        """
        return Rules(
            self.computed,
            [first + source for source in self.controls],
            [(first + source, condition) for source, condition in self.conditions],
        )


class Nodes(dict[int, Node]):
    """Nodes by their numbers; those that are not there are made when somebody first asks for one.

    Args:
        known: Those that are there, with their numbers.
        make: Gives the node of a number, perhaps with others, each with its number.
    """

    def __init__(
        self,
        known: Iterable[tuple[int, Node]] = (),
        make: Callable[[int], Iterable[tuple[int, Node]]] = lambda number: (),
    ) -> None:
        super().__init__(known)
        self._make = make

    def __missing__(self, number: int) -> Node:
        made = dict(self._make(number))
        self.update(made)
        return made[number]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A workflow as a run needs it; every list is indexed by a node's number, which its id gives it by the alphabet.

    Args:
        id: The id of the workflow.
        inputs: Its inputs; what their values must look like is left out.
        outputs: Its outputs.
        names: The ids of its nodes.
        index: The number of each.
        nodes: Its nodes, without what is said below and without what only people and tools read.
        parents: The numbers of the nodes that it waits for, each once.
        children: The numbers of the nodes that wait for it, each once.
        order: All numbers in topological order, ties in the order of the ids.
        priority: Nodes on the longest path from it to an end, itself included; larger is more urgent.
        ports: The ports of the data edges that end at it.
        sources: The sources of these edges.
        fixed: The encoded literal values of the nodes that have any, by port.
        given: The ports that take an input of the workflow, each with the name of that.
        rules: What few nodes have beside.
        repeating: The numbers of its maps and loops.
        eager: The numbers of the joins that may run before all have ended that they wait for.
        examples: The number of one node of each kind, operation, cache policy and need of resources.
    """

    id: str
    inputs: tuple[WorkflowInput, ...]
    outputs: tuple[WorkflowOutput, ...]
    names: list[str]
    index: dict[str, int]
    nodes: Nodes
    parents: list[list[int]]
    children: list[list[int]]
    order: list[int]
    priority: list[int]
    ports: list[Ports]
    sources: list[Sequence[int]]
    fixed: dict[int, dict[str, bytes]]
    given: dict[int, list[tuple[str, str]]]
    rules: dict[int, Rules]
    repeating: list[int]
    eager: list[int]
    examples: list[int]


@dataclass(frozen=True, slots=True)
class Blueprints:
    """The workflows of a run.

    Args:
        top: The workflow of the run itself.
        inner: Those that its nodes run, however deep, by `#` and their ids.
    """

    top: Blueprint
    inner: Mapping[str, Blueprint]

    def __iter__(self) -> Iterator[Blueprint]:
        yield self.top
        yield from self.inner.values()

    @property
    def examples(self) -> list[Node]:
        """A node of each kind, operation, cache policy and need of resources: all that executors can tell apart."""
        return [one.nodes[number] for one in self for number in one.examples]

    @property
    def calls(self) -> set[Call]:
        """The operations that their nodes run."""
        return {(node.uses, node.cache) for node in self.examples if isinstance(node, Caller)}


def blueprints_of(workflow: Workflow) -> Blueprints:
    """Compile the workflow of a run.

    Args:
        workflow: The workflow.

    Raises:
        WorkflowError: A workflow has no order, or names an input or a node that it does not have.
        RunError: A node runs a workflow that is not in the file, that runs itself, or is too deep inside of others.
    """
    workflows = {LOCAL + one.id: one for one in workflow.workflows}
    used = _check_nesting(workflow, workflows)
    with collector_paused():
        return Blueprints(_blueprint(workflow), {one: _blueprint(workflows[one]) for one in sorted(used)})


def _blueprint(workflow: Workflow) -> Blueprint:
    plan = compile_plan(workflow)
    _check_names(workflow, plan)
    drawn = Blueprint(
        workflow.id,
        tuple(
            [WorkflowInput(one.name, required=one.required, default=one.default) for one in workflow.inputs]
        ),
        workflow.outputs,
        [node.id for node in plan.nodes],
        plan.index,
        Nodes(enumerate(_bare(plan.nodes))),
        plan.parents,
        plan.children,
        plan.order,
        plan.priority,
        ports=[],
        sources=[],
        fixed={},
        given={},
        rules={},
        repeating=[number for number, node in enumerate(plan.nodes) if isinstance(node, MapNode | LoopNode)],
        eager=[
            number
            for number, node in enumerate(plan.nodes)
            if isinstance(node, JoinNode) and node.wait != "all"
        ],
        examples=_examples(plan.nodes),
    )
    alike: dict[Ports, Ports] = {}  # most nodes have the same ports as many others
    for number, (node, edges) in enumerate(zip(plan.nodes, plan.edges_in, strict=True)):
        ports = _wire(drawn, number, node, edges)
        drawn.ports.append(alike.setdefault(ports, ports))
    return drawn


def _wire(drawn: Blueprint, number: int, node: Node, edges: Sequence[Edge]) -> Ports:
    """Note what a node is given, and return the ports of the data edges that end at it."""
    index = drawn.index
    fixed, computed = {}, {}
    for port, value in node.params.items():
        if isinstance(value, Expression):
            computed[port] = value.text
        else:
            fixed[port] = encode(value)
    ports, sources, given, others = [], [], [], []
    for edge in edges:
        if not isinstance(edge, DataEdge):
            others.append(edge)
        elif edge.source == INPUTS:
            given.append((edge.target_port, edge.source_port))
        else:
            ports.append((edge.target_port, edge.source_port))
            sources.append(index[edge.source])
    drawn.sources.append(drawn.parents[number] if sources == drawn.parents[number] else sources)
    if fixed:
        drawn.fixed[number] = fixed
    if given:
        drawn.given[number] = given
    if computed or others:
        controls = [index[edge.source] for edge in others if isinstance(edge, ControlEdge)]
        conditions = [
            (index[edge.source], edge.condition) for edge in others if isinstance(edge, ConditionalEdge)
        ]
        drawn.rules[number] = Rules(computed, controls, conditions)
    return tuple(ports)


def _bare(nodes: Sequence[Node]) -> list[Node]:
    """Nodes without what no run reads."""
    numbers: dict[type[Node], list[int]] = {}
    for number, node in enumerate(nodes):
        numbers.setdefault(type(node), []).append(number)
    bare = list(nodes)
    for kind, named in numbers.items():
        found = [nodes[number] for number in named]
        columns = {
            name: repeat(UNREAD[name]) if name in UNREAD else map(attrgetter(name), found)
            for name in (field.name for field in fields(kind))
        }
        for number, node in zip(named, from_columns(kind, len(found), columns), strict=True):
            bare[number] = node
    return bare


def _examples(nodes: Sequence[Node]) -> list[int]:
    found: dict[object, int] = {}
    for number, node in enumerate(nodes):
        if isinstance(node, Caller):
            special = "" if node.resources is NO_RESOURCES else repr(node.resources)
            found.setdefault((type(node), node.uses, node.cache, special), number)
        else:
            found.setdefault(type(node), number)
    return [*found.values()]


def _check_names(workflow: Workflow, plan: Plan) -> None:
    """See that the inputs and outputs of a workflow are what its edges and its nodes know."""
    inputs = {one.name for one in workflow.inputs}
    unknown = [
        f"an edge to {edge.target!r} starts at the input {edge.source_port!r}"
        for edge in workflow.edges
        if isinstance(edge, DataEdge) and edge.source == INPUTS and edge.source_port not in inputs
    ]
    unknown += [
        f"the output {output.name!r} is one of the node {output.node!r}"
        for output in workflow.outputs
        if output.node not in plan.index
    ]
    if unknown:
        raise WorkflowError(
            f"{unknown[0]}, which the workflow {workflow.id!r} does not have",
            code="SYM-W011",
            hint="Correct its name, or add what is missing.",
        )


def _check_nesting(workflow: Workflow, workflows: dict[str, Workflow]) -> set[str]:
    """See that each workflow that a node runs is there, and that none runs inside of itself; returns all that run."""
    depths: dict[str, int] = {}

    def depth(outer: Workflow, path: tuple[str, ...]) -> int:
        deepest = 0
        for node in outer.nodes:
            if not isinstance(node, MapNode | LoopNode | SubworkflowNode) or not node.uses.startswith(LOCAL):
                continue
            inner = workflows.get(node.uses)
            if inner is None:
                there = ", ".join(sorted(workflows)) or "none"
                raise _nesting(
                    f"node {node.id!r} runs {node.uses!r}, which is not in the file; it has {there}"
                )
            if node.uses in path:
                raise _nesting(f"a workflow runs inside of itself: {' -> '.join([*path, node.uses])}")
            if node.uses not in depths:
                depths[node.uses] = depth(inner, (*path, node.uses))
            deepest = max(deepest, depths[node.uses] + 1)
            if deepest > DEEPEST:
                raise _nesting(f"node {node.id!r} has {deepest} workflows inside of each other")
        return deepest

    depth(workflow, ())
    return set(depths)


def _nesting(what: str) -> RunError:
    return RunError(
        what,
        code="SYM-R080",
        hint=f"A node may run the workflows of its file, at most {DEEPEST} deep; to repeat one, use a loop.",
    )

"""The nodes of one run: those of its workflow, and those of each workflow that one of them runs, as it runs.

A node that runs a workflow of the file is an *owner*; each time, an *instance* of that workflow is added to the graph,
with nodes of their own names: `clean/parse` for the only instance of a sub-workflow node `clean`, `each[3]/parse` for
item 3 of a map and for iteration 3 of a loop, both counted from 0. So the states and events of inner nodes are kept and
seen like those of all others, and a log that names one says by that which instance it belongs to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from symphony_sdk.errors import RunError, WorkflowError
from symphony_workflow.model import (
    INPUTS,
    LOCAL,
    DataEdge,
    LoopNode,
    MapNode,
    Node,
    SubworkflowNode,
    Workflow,
)
from symphony_workflow.plan import Plan, compile_plan

LARGEST = 250_000
"""Nodes that one run may have, those of all instances together."""

DEEPEST = 32
"""Workflows that may run inside of each other."""

_INSTANCE = re.compile(r"(.+?)(?:\[(\d+)\])?", re.DOTALL)


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One run of a workflow inside of a run; the run itself is one too.

    Args:
        owner: The number of the node that runs it; -1 for the run itself.
        item: The index of the item or iteration; -1 where there is only one.
        name: What the names of its nodes begin with.
        workflow: The workflow.
        plan: The compiled workflow, whose nodes are numbered from 0.
        first: The number that its first node has in the run.
    """

    owner: int
    item: int
    name: str
    workflow: Workflow
    plan: Plan
    first: int

    @property
    def numbers(self) -> range:
        """The numbers of its nodes."""
        return range(self.first, self.first + len(self.plan.nodes))

    @property
    def order(self) -> list[int]:
        """The numbers of its nodes in topological order."""
        return [self.first + number for number in self.plan.order]

    def number(self, node: str) -> int:
        """The number of a node that the workflow names so.

        Args:
            node: The id of the node in the workflow.
        """
        return self.first + self.plan.index[node]


class Graph:
    """The nodes of one run; every list is indexed by a node's number and grows with each instance.

    Args:
        workflow: The workflow of the run.

    Raises:
        WorkflowError: A workflow has no order, or names an input or a node that it does not have.
        RunError: A node runs a workflow that is not in the file, that runs itself, or is too deep inside of others.

    Attributes:
        nodes: The nodes, each with its name in the run as its id.
        index: The number of each name.
        parents: The numbers of the nodes that each waits for.
        children: The numbers of the nodes that wait for each.
        priority: How urgent each is; larger is more.
        top: The run itself.
        instances: All instances, each after that of its owner.
        of: The instance that each node belongs to.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.nodes: list[Node] = []
        self.index: dict[str, int] = {}
        self.parents: list[list[int]] = []
        self.children: list[list[int]] = []
        self.priority: list[int] = []
        self.instances: list[Instance] = []
        self.of: list[Instance] = []
        self._inner: dict[int, dict[int, Instance]] = {}
        self._workflows = {LOCAL + one.id: one for one in workflow.workflows}
        used = _check_nesting(workflow, self._workflows)
        self._plans = {one: _compiled(self._workflows[one]) for one in used}
        self.top = self._add(-1, -1, "", workflow, _compiled(workflow))

    @property
    def order(self) -> Iterator[int]:
        """All numbers: the nodes of an instance in topological order, each before the instances that it owns."""
        waiting = [iter(self.top.order)]
        while waiting:
            for number in waiting[-1]:
                yield number
                if number in self._inner:
                    inner = self._inner[number].values()
                    waiting.append(inner_number for one in inner for inner_number in one.order)
                    break
            else:
                waiting.pop()

    def number(self, name: str) -> int:
        """The number of a name; where it belongs to an instance that is not there yet, that is added.

        Args:
            name: The name of a node in the run.

        Raises:
            KeyError: There can be no such node.
            RunError: The run has too many nodes.
        """
        if name not in self.index:
            outer = _INSTANCE.fullmatch(name.rpartition("/")[0])
            if outer is None:
                raise KeyError(name)
            owner = self.number(outer[1])
            if self.runs(owner) is None:
                raise KeyError(name)
            self.instance(owner, -1 if outer[2] is None else int(outer[2]))
        return self.index[name]

    def runs(self, number: int) -> Workflow | None:
        """The workflow that a node runs; None where it runs none.

        Args:
            number: The node.
        """
        return inner_workflow(self.nodes[number], self._workflows)

    def instance(self, owner: int, item: int) -> Instance:
        """An instance of the workflow that a node runs; it is added where it is not there yet.

        Args:
            owner: The node.
            item: The index of the item or iteration; -1 where there is only one.

        Raises:
            RunError: The run has too many nodes.
            ValueError: The node runs no workflow.
        """
        found = self._inner.get(owner, {}).get(item)
        if found is not None:
            return found
        name = self.nodes[owner].id + ("" if item < 0 else f"[{item}]")
        workflow = self.runs(owner)
        if workflow is None:
            raise ValueError(f"{name!r} runs no workflow")
        if len(self.nodes) + len(workflow.nodes) > LARGEST:
            raise RunError(
                f"{name!r} would give the run more than {LARGEST:,} nodes",
                code="SYM-R086",
                hint="Give it shorter lists, or do more of the work inside of one operation.",
                details={"node": self.nodes[owner].id},
            )
        return self._add(owner, item, f"{name}/", workflow, self._plans[LOCAL + workflow.id])

    def inner(self, owner: int) -> list[Instance]:
        """The instances that a node owns.

        Args:
            owner: The node.
        """
        return list(self._inner.get(owner, {}).values())

    def within(self, owner: int) -> Iterator[int]:
        """The numbers of all nodes that run inside of a node, however deep.

        Args:
            owner: The node.
        """
        for instance in self.inner(owner):
            for number in instance.numbers:
                yield number
                yield from self.within(number)

    def _add(self, owner: int, item: int, name: str, workflow: Workflow, plan: Plan) -> Instance:
        first, urgent = len(self.nodes), self.priority[owner] if owner >= 0 else 0
        instance = Instance(owner, item, name, workflow, plan, first)
        nodes = [replace(node, id=name + node.id) for node in plan.nodes] if name else plan.nodes
        self.nodes += nodes
        self.index.update((node.id, number) for number, node in enumerate(nodes, first))
        self.parents += [[first + one for one in parents] for parents in plan.parents]
        self.children += [[first + one for one in children] for children in plan.children]
        self.priority += [urgent + one for one in plan.priority]
        self.instances.append(instance)
        self.of += [instance] * len(nodes)
        if owner >= 0:
            self._inner.setdefault(owner, {})[item] = instance
        return instance


def inner_workflow(node: Node, workflows: dict[str, Workflow]) -> Workflow | None:
    """The workflow that a node runs; None where it runs an operation, or nothing.

    Args:
        node: Any node.
        workflows: The workflows of the file by `#` and their ids.
    """
    return workflows.get(node.uses) if isinstance(node, MapNode | LoopNode | SubworkflowNode) else None


def _compiled(workflow: Workflow) -> Plan:
    """The plan of a workflow whose inputs and outputs are what its edges and its nodes know."""
    plan = compile_plan(workflow)
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
    return plan


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

"""The nodes of one run: those of its workflow, and those of each workflow that one of them runs, as it runs.

A node that runs a workflow of the file is an *owner*; each time, an *instance* of that workflow is added to the graph,
with nodes of their own names: `clean/parse` for the only instance of a sub-workflow node `clean`, `each[3]/parse` for
item 3 of a map and for iteration 3 of a loop, both counted from 0. So the states and events of inner nodes are kept and
seen like those of all others, and a log that names one says by that which instance it belongs to.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from symphony_sdk.errors import RunError
from symphony_workflow.model import LoopNode, MapNode, Node, SubworkflowNode, Workflow

from pit_dag_tracker.blueprints import Blueprint, Blueprints, Nodes, blueprints_of

LARGEST = 250_000
"""Nodes that one run may have, those of all instances together."""

SOON = 0.01
"""Seconds; nodes that take less make no difference to the order, and are not told apart."""

_INSTANCE = re.compile(r"(.+?)(?:\[(\d+)\])?", re.DOTALL)


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One run of a workflow inside of a run; the run itself is one too.

    Args:
        owner: The number of the node that runs it; -1 for the run itself.
        item: The index of the item or iteration; -1 where there is only one.
        name: What the names of its nodes begin with.
        workflow: The compiled workflow, whose nodes are numbered from 0.
        first: The number that its first node has in the run.
    """

    owner: int
    item: int
    name: str
    workflow: Blueprint
    first: int

    @property
    def numbers(self) -> range:
        """The numbers of its nodes."""
        return range(self.first, self.first + len(self.workflow.names))

    @property
    def order(self) -> list[int]:
        """The numbers of its nodes in topological order."""
        return [self.first + number for number in self.workflow.order]

    def number(self, node: str) -> int:
        """The number of a node that the workflow names so.

        Args:
            node: The id of the node in the workflow.
        """
        return self.first + self.workflow.index[node]


class Graph:
    """The nodes of one run; every list is indexed by a node's number and grows with each instance.

    Args:
        workflow: The workflow of the run, or its blueprints.

    Raises:
        WorkflowError: A workflow has no order, or names an input or a node that it does not have.
        RunError: A node runs a workflow that is not in the file, that runs itself, or is too deep inside of others.

    Attributes:
        names: The names of the nodes in the run.
        index: The number of each name.
        nodes: The nodes, each with its name in the run as its id.
        parents: The numbers of the nodes that each waits for.
        children: The numbers of the nodes that wait for each.
        priority: How urgent each is: the nodes on the longest way from it to an end, or how long they take together;
            larger is more.
        blueprints: The workflows of the run.
        top: The run itself.
        instances: All instances, each after that of its owner.
        of: The instance that each node belongs to.
    """

    def __init__(self, workflow: Workflow | Blueprints) -> None:
        self.blueprints = blueprints_of(workflow) if isinstance(workflow, Workflow) else workflow
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self.nodes = Nodes(make=self._made)
        self.parents: list[list[int]] = []
        self.children: list[list[int]] = []
        self.priority: list[int] = []
        self.instances: list[Instance] = []
        self.of: list[Instance] = []
        self._inner: dict[int, dict[int, Instance]] = {}
        self._weights: Mapping[str, int] = {}
        self._usual = 1
        self.top = self._add(-1, -1, "", self.blueprints.top)

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

    def weigh(self, seconds: Mapping[str, float]) -> None:
        """Let the nodes be urgent by how long the longest way from each to an end takes, not how many are on it.

        Args:
            seconds: How long nodes took before, by name; one that is not there takes as long as the others on average.
        """
        weights = {name: round(taken / SOON) for name, taken in seconds.items()}
        if not any(weights.values()):  # in any order it is done soon
            return
        self._weights = weights
        self._usual = max(1, round(sum(weights.values()) / len(weights)))
        for instance in self.instances:
            first = instance.first
            self.priority[first : first + len(instance.workflow.names)] = self._urgencies(instance)

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

    def runs(self, number: int) -> Blueprint | None:
        """The workflow that a node runs; None where it runs none.

        Args:
            number: The node.
        """
        node = self.nodes[number]
        if not isinstance(node, MapNode | LoopNode | SubworkflowNode):
            return None
        return self.blueprints.inner.get(node.uses)

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
        name = self.names[owner] + ("" if item < 0 else f"[{item}]")
        workflow = self.runs(owner)
        if workflow is None:
            raise ValueError(f"{name!r} runs no workflow")
        if len(self.names) + len(workflow.names) > LARGEST:
            raise RunError(
                f"{name!r} would give the run more than {LARGEST:,} nodes",
                code="SYM-R086",
                hint="Give it shorter lists, or do more of the work inside of one operation.",
                details={"node": self.names[owner]},
            )
        return self._add(owner, item, f"{name}/", workflow)

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

    def _add(self, owner: int, item: int, name: str, workflow: Blueprint) -> Instance:
        first = len(self.names)
        instance = Instance(owner, item, name, workflow, first)
        if first:
            self.names += [name + one for one in workflow.names]
            numbers = list(range(first, len(self.names)))  # each a single object, however often it is named
            self.index.update(zip(self.names[first:], numbers, strict=True))
            self.parents += [[numbers[one] for one in parents] for parents in workflow.parents]
            self.children += [[numbers[one] for one in children] for children in workflow.children]
        else:
            self.names += workflow.names
            self.parents += workflow.parents
            self.children += workflow.children
            if self.blueprints.inner:  # more will come
                self.index.update(workflow.index)
                self.nodes.update(workflow.nodes)
            else:
                self.index, self.nodes = workflow.index, workflow.nodes
        self.priority += self._urgencies(instance)
        self.instances.append(instance)
        self.of += [instance] * len(workflow.names)
        if owner >= 0:
            self._inner.setdefault(owner, {})[item] = instance
        return instance

    def _made(self, number: int) -> Iterator[tuple[int, Node]]:
        instance = self.of[number]
        node = instance.workflow.nodes[number - instance.first]
        yield number, replace(node, id=self.names[number]) if instance.name else node

    def _urgencies(self, instance: Instance) -> list[int]:
        """How urgent each node of an instance is; each at least as much as the node that runs it."""
        urgent = self.priority[instance.owner] if instance.owner >= 0 else 0
        workflow, weights = instance.workflow, self._weights
        if not weights:
            return [urgent + count for count in workflow.priority] if urgent else [*workflow.priority]
        weight = [max(1, weights.get(instance.name + name, self._usual)) for name in workflow.names]
        for number in reversed(workflow.order):
            weight[number] += max([weight[child] for child in workflow.children[number]], default=0)
        return [urgent + one for one in weight]

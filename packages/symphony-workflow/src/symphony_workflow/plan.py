"""Compiles a workflow to integer arrays: order, levels and priorities for a scheduler.

Ids are sorted, so that a node's number is its place in the alphabet. Kahn's algorithm (Communications of the ACM 5,
1962) with a heap then gives, in one pass, the order that is first in the alphabet and the answer to whether there is
a cycle.
"""

import heapq
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from symphony_sdk.errors import WorkflowError

from symphony_workflow.model import INPUTS, Edge, Node, Workflow

_CYCLE_STEPS = 2_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A workflow as a scheduler reads it; every list is indexed by a node's number.

    Args:
        nodes: The nodes; a node's number is its index here.
        index: The number of each node id.
        parents: The numbers of the nodes that it waits for, each once.
        children: The numbers of the nodes that wait for it, each once.
        edges_in: The edges that end at it, those from `$inputs` included.
        order: All numbers in topological order, ties in the order of the ids.
        levels: The numbers by length of the longest path from a start.
        priority: Nodes on the longest path from it to an end, itself included; larger is more urgent.
    """

    nodes: list[Node]
    index: dict[str, int]
    parents: list[list[int]]
    children: list[list[int]]
    edges_in: list[list[Edge]]
    order: list[int]
    levels: list[list[int]]
    priority: list[int]

    @property
    def indegree(self) -> list[int]:
        """How many nodes each node waits for; a new list, for a scheduler to count down."""
        return [len(parents) for parents in self.parents]


def compile_plan(workflow: Workflow) -> Plan:
    """Compile a workflow.

    Args:
        workflow: A workflow without unknown nodes and without cycles; see `validation.check`.

    Raises:
        WorkflowError: Two nodes share an id, an edge names an unknown node, or there is a cycle.
    """
    nodes = sorted(workflow.nodes, key=lambda node: node.id)
    index = {node.id: number for number, node in enumerate(nodes)}
    if len(index) < len(nodes):
        twice = next(one.id for one, other in itertools.pairwise(nodes) if one.id == other.id)
        raise WorkflowError(f"two nodes have the id {twice!r}", code="SYM-W019", hint="Rename one of them.")
    edges_in: list[list[Edge]] = [[] for _ in nodes]
    pairs: list[tuple[int, int]] = []
    for edge in workflow.edges:
        try:
            target = index[edge.target]
            if edge.source != INPUTS:
                pairs.append((index[edge.source], target))
        except KeyError as error:
            raise WorkflowError(
                f"an edge from {edge.source!r} to {edge.target!r} names the node {error}, which there is not",
                code="SYM-W011",
                hint="Correct its name, or add the node.",
            ) from error
        edges_in[target].append(edge)
    children, parents = adjacency(len(nodes), pairs)
    order = topological_order(children, [len(one) for one in parents])
    if len(order) < len(nodes):
        cycle = shortest_cycle(children, set(range(len(nodes))).difference(order))
        names = [nodes[number].id for number in cycle]
        raise WorkflowError(
            f"the workflow has a cycle: {' -> '.join([*names, names[0]])}",
            code="SYM-W010",
            hint="Remove one of its edges.",
            details={"cycle": names},
        )
    return Plan(
        nodes, index, parents, children, edges_in, order, _levels(order, parents), _priority(order, children)
    )


def adjacency(count: int, pairs: Iterable[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    """The children and the parents of each node, each named once.

    Args:
        count: How many nodes there are.
        pairs: Source and target of each edge, as numbers.
    """
    children: list[list[int]] = [[] for _ in range(count)]
    parents: list[list[int]] = [[] for _ in range(count)]
    for source, target in dict.fromkeys(pairs):
        children[source].append(target)
        parents[target].append(source)
    return children, parents


def topological_order(children: Sequence[Sequence[int]], indegree: list[int]) -> list[int]:
    """The first topological order in the alphabet; shorter than the graph where that has a cycle.

    Args:
        children: The numbers of the nodes that wait for each node.
        indegree: How many nodes each node waits for; counted down in place.
    """
    ready = [node for node, waits in enumerate(indegree) if not waits]  # sorted, and so a heap
    order: list[int] = []
    done, push, pop = order.append, heapq.heappush, heapq.heappop
    while ready:
        node = pop(ready)
        done(node)
        for child in children[node]:
            left = indegree[child] - 1
            indegree[child] = left
            if not left:
                push(ready, child)
    return order


def shortest_cycle(children: Sequence[Sequence[int]], suspects: set[int]) -> list[int]:
    """A shortest cycle, from its smallest node; on huge tangles the shortest that a bounded search finds.

    Breadth-first search finds the shortest cycle through one node; that node can then be taken out, and with it all
    nodes that no longer lie on any cycle.

    Args:
        children: The numbers of the nodes that wait for each node.
        suspects: The nodes that a topological order leaves out; they hold at least one cycle.
    """
    ahead = {node: {child for child in children[node] if child in suspects} for node in suspects}
    behind: dict[int, set[int]] = {node: set() for node in suspects}
    for node, targets in ahead.items():
        for child in targets:
            behind[child].add(node)
    _prune(ahead, behind, [node for node in suspects if not ahead[node] or not behind[node]])
    best: list[int] = []
    steps = 0
    while ahead and steps < _CYCLE_STEPS and len(best) != 1:
        start = _on_a_cycle(ahead)
        came_from = {start: start}
        wave, found = [start], -1
        while found < 0:
            following = []
            for node in wave:
                steps += len(ahead[node])
                if start in ahead[node]:
                    found = node
                    break
                for child in sorted(ahead[node]):
                    if child not in came_from:
                        came_from[child] = node
                        following.append(child)
            wave = following
        path = [found]
        while path[-1] != start:
            path.append(came_from[path[-1]])
        if not best or len(path) < len(best):
            best = path[::-1]
        _prune(ahead, behind, [start])
    smallest = best.index(min(best))
    return best[smallest:] + best[:smallest]


def _on_a_cycle(ahead: dict[int, set[int]]) -> int:
    """A node that lies on a cycle, of a graph in which every node has a way on."""
    node, seen = min(ahead), set[int]()
    while node not in seen:
        seen.add(node)
        node = min(ahead[node])
    return node


def _prune(ahead: dict[int, set[int]], behind: dict[int, set[int]], gone: list[int]) -> None:
    """Take out the nodes `gone`, and every node that is then on no cycle for want of a way in or out."""
    while gone:
        node = gone.pop()
        if node not in ahead:
            continue
        for child in ahead.pop(node):
            if child in behind:
                behind[child].discard(node)
                if not behind[child]:
                    gone.append(child)
        for parent in behind.pop(node):
            if parent in ahead:
                ahead[parent].discard(node)
                if not ahead[parent]:
                    gone.append(parent)


def _levels(order: list[int], parents: list[list[int]]) -> list[list[int]]:
    level = [0] * len(order)
    levels: list[list[int]] = []
    for node in order:
        depth = max([level[parent] for parent in parents[node]], default=-1) + 1
        level[node] = depth
        if depth == len(levels):
            levels.append([])
        levels[depth].append(node)
    return levels


def _priority(order: list[int], children: list[list[int]]) -> list[int]:
    priority = [1] * len(order)
    for node in reversed(order):
        if children[node]:
            priority[node] = max([priority[child] for child in children[node]]) + 1
    return priority

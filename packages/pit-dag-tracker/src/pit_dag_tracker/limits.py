"""What the calls that are out at one executor may take together: cores, memory, devices, and calls of an extension."""

from collections.abc import Iterable, Mapping, Set

from symphony_sdk.ports.executor import Resources
from symphony_workflow.model import LoopNode, MapNode, Node

from pit_dag_tracker.graph import Graph
from pit_dag_tracker.resources import NOTHING_SPECIAL, needs

_PARTS = 1_000_000
"""Amounts are counted in whole millionths, so that what was taken and given back a million times is all there."""

Need = tuple[tuple[str, int], ...]
"""The kinds and amounts, in parts, that one call takes while it is out; empty for a call that is not limited."""

UNLIMITED: Need = ()


class Limits:
    """What there is at one executor, and how much of it is free.

    Args:
        capacity: What the executor has for all calls together; None where it sees to that itself.
        concurrency: Calls of an extension that may be out at once, by the id of the extension.
    """

    def __init__(self, capacity: Resources | None, concurrency: Mapping[str, int]) -> None:
        amounts = {} if capacity is None else _amounts(capacity)
        amounts |= {_calls_of(extension): calls for extension, calls in concurrency.items()}
        self._all = {kind: round(amount * _PARTS) for kind, amount in amounts.items()}
        self._free = dict(self._all)
        self._by_extension = bool(concurrency)

    def concern(self, node: Node) -> bool:
        """Whether the calls of a node are limited; quick, where only few are.

        Args:
            node: Any node.
        """
        return (self._by_extension or needs(node) is not NOTHING_SPECIAL) and bool(self.need(node))

    def need(self, node: Node) -> Need:
        """What each call of a node takes.

        A node that wants more than there is waits for all of it: whether it could ever run was asked before.

        Args:
            node: Any node.
        """
        amounts = _amounts(needs(node)) | {_calls_of(extension_of(getattr(node, "uses", ""))): 1}
        return tuple(
            (kind, min(round(amount * _PARTS), self._all[kind]))
            for kind, amount in amounts.items()
            if amount and self._all.get(kind)
        )

    def lacking(self, need: Need) -> Set[str]:
        """The kinds of which less is free than a call takes.

        Args:
            need: What it takes.
        """
        return {kind for kind, amount in need if self._free[kind] < amount}

    def some(self, kinds: Iterable[str]) -> bool:
        """Whether anything of some kinds is free.

        Args:
            kinds: The kinds.
        """
        return any(self._free[kind] > 0 for kind in kinds)

    def take(self, need: Need) -> None:
        """A call goes out.

        Args:
            need: What it takes; all of it is free.
        """
        for kind, amount in need:
            self._free[kind] -= amount

    def give(self, need: Need) -> None:
        """A call has come back.

        Args:
            need: What it took.
        """
        for kind, amount in need:
            self._free[kind] += amount


class Needs:
    """What the calls of one run take, computed once for each node.

    Args:
        graph: The nodes of the run.
        limits: What there is at its executor.
    """

    def __init__(self, graph: Graph, limits: Limits) -> None:
        self._graph = graph
        self._limits = limits
        self._known: dict[int, Need] = {}

    def of(self, key: tuple[int, int]) -> Need:
        """What the call of a node or an item takes.

        Args:
            key: The node's number and the index of the item; -1 for the whole node.
        """
        number, item = key
        node = self._graph.nodes[number]
        if isinstance(node, MapNode | LoopNode) and item < 0:
            return UNLIMITED
        if number not in self._known:
            runs_here = self._graph.runs(number) is not None
            self._known[number] = UNLIMITED if runs_here else self._limits.need(node)
        return self._known[number]


def needs_of(graph: Graph, limits: Limits) -> Needs | None:
    """What the calls of a run take; None where it has no node that takes anything.

    Args:
        graph: The nodes of the run.
        limits: What there is at its executor.
    """
    return Needs(graph, limits) if any(limits.concern(node) for node in graph.blueprints.examples) else None


def extension_of(operation: str) -> str:
    """Id of the extension that an operation belongs to: each keeps to its own namespace.

    Args:
        operation: `publisher.extension.operation`.
    """
    return ".".join(operation.split(".")[:2])


def _calls_of(extension: str) -> str:
    return f"calls of {extension}"


def _amounts(resources: Resources) -> dict[str, float]:
    named: dict[str, float] = {"cpu": resources.cpu, "memory": resources.memory, "gpu": resources.gpu}
    return named | {f"custom {name}": amount for name, amount in resources.custom.items()}

"""The order of a graph kept up to date, and the cycles that keep it from having one.

Pearce and Kelly, "A dynamic topological sort algorithm for directed acyclic graphs" (ACM Journal of Experimental
Algorithmics 11, 2007): an edge that fits the present order costs nothing, and any other one only a search between its
two ends. An edge that would close a cycle is set aside; it is tried again when others go.
"""

from collections.abc import Callable, Iterable

from symphony_workflow.plan import shortest_cycle
from symphony_workflow.rule_graph import Change, Graph


class Order:
    """A topological order of the nodes of a graph, but for the edges set aside.

    Args:
        graph: The graph; after each change of it `follow` has to be called.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._aside: set[int] = set()
        edges, nodes, into, out = graph.edges, graph.nodes, graph.into, graph.out
        waits = {id: len(into[id]) if id in into else 0 for id in nodes}
        for id in out.keys() - nodes.keys():  # an edge from nowhere, or from an input, holds nobody up
            for number in out[id]:
                if edges[number].target in nodes:
                    waits[edges[number].target] -= 1
        ready = [id for id, count in waits.items() if not count]
        waits.update(dict.fromkeys(into.keys() - nodes.keys(), -1))  # what leads nowhere is never ready
        for id in ready:  # it grows meanwhile
            for number in out.get(id, ()):
                target = edges[number].target
                left = waits[target] - 1
                waits[target] = left
                if not left:
                    ready.append(target)
        self.place = {id: number for number, id in enumerate(ready)}
        if len(ready) < len(nodes):
            self._break([id for id in nodes if id not in self.place])
        self._next = len(self.place)

    def _break(self, tangled: list[str]) -> None:
        """Give the nodes on and behind cycles a place: those of a depth-first search, its back edges set aside."""
        finished: list[str] = []
        state = dict.fromkeys(tangled, 0)
        for start in tangled:
            if state[start]:
                continue
            state[start] = 1
            path = [(start, iter(self._graph.out.get(start, ())))]
            while path:
                id, numbers = path[-1]
                for number in numbers:
                    target = self._graph.edges[number].target
                    if state.get(target) == 1:
                        self._aside.add(number)
                    elif state.get(target) == 0:
                        state[target] = 1
                        path.append((target, iter(self._graph.out.get(target, ()))))
                        break
                else:
                    state[id] = 2
                    finished.append(id)
                    path.pop()
        for id in reversed(finished):
            self.place[id] = len(self.place)

    @property
    def acyclic(self) -> bool:
        """Whether the graph has no cycle."""
        return not self._aside

    def follow(self, change: Change) -> None:
        """Take over a change of the graph.

        Args:
            change: What the graph says has changed.
        """
        nodes = self._graph.nodes
        came = [id for id in change.nodes if id in nodes and id not in self.place]
        went = [id for id in change.nodes if id not in nodes and id in self.place]
        freed = bool(went) and bool(self._aside)
        for number, _ in change.gone:
            freed |= bool(self._aside)
            self._aside.discard(number)
        for id in went:
            del self.place[id]
            self._aside.difference_update(self._graph.into.get(id, ()), self._graph.out.get(id, ()))
        for id in came:
            self.place[id] = self._next
            self._next += 1
        numbers = {number for number, _ in change.new}
        for id in came:  # edges that led to it before it was there
            numbers.update(self._graph.into.get(id, ()), self._graph.out.get(id, ()))
        self._aside |= numbers  # none of them is looked at before it has been put in its place
        for number in sorted(self._aside if freed else numbers):
            edge = self._graph.edges[number]
            if edge.source not in self.place or edge.target not in self.place or self._insert(number):
                self._aside.discard(number)

    def _insert(self, number: int) -> bool:
        """Change the order so that it has room for an edge; false where that closes a cycle."""
        edge, place = self._graph.edges[number], self.place
        low, high = place[edge.target], place[edge.source]
        if high < low:
            return True
        ahead = self._search(edge.target, self._targets, lambda at: at <= high)
        if edge.source in ahead:
            return False
        behind = self._search(edge.source, self._sources, lambda at: at >= low)
        moved = sorted(behind, key=place.__getitem__) + sorted(ahead, key=place.__getitem__)
        for id, at in zip(moved, sorted(place[id] for id in moved), strict=True):
            place[id] = at
        return True

    def _search(
        self, start: str, following: Callable[[str], Iterable[str]], within: Callable[[int], bool]
    ) -> set[str]:
        found, ahead = {start}, [start]
        while ahead:
            for id in following(ahead.pop()):
                at = self.place.get(id)
                if at is not None and within(at) and id not in found:
                    found.add(id)
                    ahead.append(id)
        return found

    def _targets(self, id: str) -> list[str]:
        edges, aside = self._graph.edges, self._aside
        return [edges[number].target for number in self._graph.out.get(id, ()) if number not in aside]

    def _sources(self, id: str) -> list[str]:
        edges, aside = self._graph.edges, self._aside
        return [edges[number].source for number in self._graph.into.get(id, ()) if number not in aside]

    def cycle(self) -> list[str]:
        """The nodes of one shortest cycle, from the first in the alphabet; none where there is no cycle."""
        if not self._aside:
            return []
        edges, graph, place = self._graph.edges, self._graph, self.place
        sources = {edges[number].source for number in self._aside}
        targets = {edges[number].target for number in self._aside}
        # Every other edge leads forward: no cycle begins before the first of these ends, or goes beyond the last.
        low, high = min(map(place.__getitem__, targets)), max(map(place.__getitem__, sources))
        ahead = self._reach(targets, low, high, lambda id: [edges[n].target for n in graph.out.get(id, ())])
        behind = self._reach(sources, low, high, lambda id: [edges[n].source for n in graph.into.get(id, ())])
        tangled = sorted(ahead & behind)
        rank = {id: number for number, id in enumerate(tangled)}
        children = [
            sorted({rank[target] for n in graph.out.get(id, ()) if (target := edges[n].target) in rank})
            for id in tangled
        ]
        return [tangled[number] for number in shortest_cycle(children, set(range(len(tangled))))]

    def _reach(
        self, starts: set[str], low: int, high: int, following: Callable[[str], Iterable[str]]
    ) -> set[str]:
        found, ahead = set(starts), list(starts)
        while ahead:
            for id in following(ahead.pop()):
                if id not in found and low <= self.place.get(id, -1) <= high:
                    found.add(id)
                    ahead.append(id)
        return found

"""Workflows as a tree for the terminal: each node once, below the last of the nodes that it waits for.

The largest of the subtrees below a node goes on in its column and the others step aside, so that n nodes never stand
more than log2(n) columns deep, however long their chains are.
"""

from collections.abc import Iterator, Mapping

from symphony_workflow.drawing.figure import conditions, title_of, variant
from symphony_workflow.drawing.order import drawing_order
from symphony_workflow.drawing.text import literal, printable, shorten
from symphony_workflow.model import (
    INPUTS,
    ONCE,
    ConditionalEdge,
    DataEdge,
    Edge,
    Node,
    Workflow,
)

_LONGEST = 72


def draw_tree(workflow: Workflow) -> str:
    """What runs after what, with the inputs, parameters and conditions of each node.

    Args:
        workflow: Any workflow, complete or not.
    """
    lines = [title_of(workflow, printable(workflow.id)), *_sections(workflow)]
    for one in workflow.workflows:
        lines += ["", title_of(one, f"#{printable(one.id)}")]
        lines += [f"  {line}" if line else "" for line in _sections(one)]
    return "\n".join([*lines, ""])


def _sections(workflow: Workflow) -> Iterator[str]:
    if workflow.inputs:
        yield "inputs"
        for one in workflow.inputs:
            kind = shorten(str(one.schema.get("type", "any")), 24)
            default = "" if one.required else f" = {literal(one.default, _LONGEST)}"
            about = f"  {shorten(one.description, _LONGEST)}" if one.description else ""
            yield f"  {printable(one.name)}: {kind}{default}{about}"
    edges: dict[str, list[Edge]] = {node.id: [] for node in workflow.nodes}
    lost: list[Edge] = []
    for edge in workflow.edges:
        edges.get(edge.target, lost).append(edge)
    yield "nodes" if workflow.nodes else "no nodes"
    for line in _Forest(workflow.nodes, edges).lines():
        yield f"  {line}" if line else ""
    if lost:
        yield "edges that lead to no node"
        for edge in lost:
            yield f"  {printable(edge.target)}: {_came(edge)}"
    if workflow.outputs:
        yield "outputs"
        for output in workflow.outputs:
            yield f"  {printable(output.name)} = {printable(output.node)}.{printable(output.port)}"


class _Forest:
    """The nodes of a workflow, each below the last of those that it waits for."""

    def __init__(self, nodes: tuple[Node, ...], edges: Mapping[str, list[Edge]]) -> None:
        self._nodes, self._edges = nodes, edges
        index = {node.id: number for number, node in enumerate(nodes)}
        parents = [
            {index[edge.source] for edge in edges[node.id] if edge.source in index and edge.source != node.id}
            for node in nodes
        ]
        pairs = [(parent, number) for number, some in enumerate(parents) for parent in sorted(some)]
        order = drawing_order(len(nodes), pairs)
        place = {number: at for at, number in enumerate(order)}
        self._roots: list[int] = []
        self._below: list[list[int]] = [[] for _ in nodes]
        self._size = [1] * len(nodes)
        above = [-1] * len(nodes)
        for number, some in enumerate(parents):
            earlier = [parent for parent in some if place[parent] < place[number]]
            if earlier:
                above[number] = max(earlier, key=place.__getitem__)
                self._below[above[number]].append(number)
            else:
                self._roots.append(number)
        for number in reversed(order):
            if above[number] >= 0:
                self._size[above[number]] += self._size[number]

    def lines(self) -> Iterator[str]:
        for number, root in enumerate(self._roots):
            if number:
                yield ""
            yield from self._chain(root, "", "")

    def _chain(self, number: int, first: str, prefix: str) -> Iterator[str]:
        """A node and what follows it in its column; `first` stands before its own line, `prefix` before the others."""
        while True:
            node, below = self._nodes[number], self._below[number]
            yield f"{first}{_MARKS.get(node.kind, '◇')} {_heading(node)}"
            for fact in _facts(node, self._edges[node.id]):
                yield f"{prefix}{'│' if below else ' '}   {fact}"
            if not below:
                return
            number = max(below, key=self._size.__getitem__)
            for child in below:
                if child != number:
                    yield from self._chain(child, f"{prefix}├─", f"{prefix}│ ")
            first = prefix


_MARKS = {"operator": "●", "instrument": "◆"}


def _heading(node: Node) -> str:
    label = f" ({shorten(node.label, 40)})" if node.label and node.label != node.id else ""
    uses = f" {printable(node.uses)}" if hasattr(node, "uses") else ""
    return f"{printable(node.id)}{label}  {variant(node)}{uses}"


def _facts(node: Node, edges: list[Edge]) -> Iterator[str]:
    """What there is to say about a node, a line each."""
    for said in conditions(node):
        yield shorten(said, _LONGEST)
    for edge in edges:
        yield _came(edge)
    for name, value in node.params.items():
        yield f"{printable(name)} = {literal(value, _LONGEST)}"
    retry, timeout = getattr(node, "retry", ONCE), getattr(node, "timeout", None)
    if retry.attempts > 1:
        yield f"tried up to {retry.attempts} times"
    if timeout is not None:
        yield f"ends after {timeout:g} s"
    if (idle := getattr(node, "idle_timeout", None)) is not None:
        yield f"ends after {idle:g} s without a word"


def _came(edge: Edge) -> str:
    """Why the target of an edge waits for its source."""
    if isinstance(edge, DataEdge):
        source = "inputs" if edge.source == INPUTS else printable(edge.source)
        return f"{printable(edge.target_port)} ← {source}.{printable(edge.source_port)}"
    if isinstance(edge, ConditionalEdge):
        return f"after {printable(edge.source)} if {shorten(edge.condition, _LONGEST)}"
    return f"after {printable(edge.source)}"

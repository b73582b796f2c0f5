"""What a picture of a workflow shows, whatever it is drawn with: boxes, and lines between them."""

from typing import Literal, NamedTuple

from symphony_workflow.drawing.text import printable, shorten
from symphony_workflow.model import (
    INPUTS,
    ApprovalNode,
    BranchNode,
    ConditionalEdge,
    DataEdge,
    Edge,
    JoinNode,
    LoopNode,
    MapNode,
    Node,
    SubworkflowNode,
    SwitchNode,
    Workflow,
)

Style = Literal["data", "control", "conditional"]

_LONGEST_LABEL = 48


class Box(NamedTuple):
    """One thing that is drawn.

    Args:
        name: What is written large.
        detail: What is written small.
        kind: That of the node or control node, or `input`, `output` or `unknown`, which no node has.
        note: All there is to say, for where a pointer rests on it.
    """

    name: str
    detail: str
    kind: str
    note: str


class Line(NamedTuple):
    """What leads from one box to another.

    Args:
        source: The index of the box that it starts at.
        target: The index of the box that it ends at.
        style: Whether it carries a value, only orders, or has a condition.
        label: The ports, or the condition.
    """

    source: int
    target: int
    style: Style
    label: str


class Figure(NamedTuple):
    """The picture of one workflow, without any place yet.

    Args:
        title: What stands above it.
        boxes: Its nodes, then its inputs and outputs.
        lines: At most one from each box to each other; none from a box to itself.
    """

    title: str
    boxes: list[Box]
    lines: list[Line]


def figures(workflow: Workflow) -> list[Figure]:
    """The picture of a workflow, and one of each workflow that it brings along.

    Args:
        workflow: Any workflow, complete or not.
    """
    inner = [_figure(one, f"#{printable(one.id)}") for one in workflow.workflows]
    return [_figure(workflow, printable(workflow.id)), *inner]


def title_of(workflow: Workflow, id: str) -> str:
    """What stands above a workflow: its id, and its name where that says more.

    Args:
        workflow: The workflow.
        id: Its id as the picture writes it.
    """
    name = shorten(workflow.name, 80)
    return f"{id}: {name}" if name and name != workflow.id else id


def variant(node: Node) -> str:
    """The kind of a node, and of a control node which one.

    Args:
        node: Any node.
    """
    return getattr(node, "control", node.kind)


def conditions(node: Node) -> list[str]:
    """What a control node decides by, in words.

    Args:
        node: Any node.
    """
    match node:
        case BranchNode():
            return [f"if {node.condition}"]
        case SwitchNode():
            return [f"{case.port} if {case.condition}" for case in node.cases]
        case JoinNode():
            return [f"wait for {node.wait}"]
        case MapNode():
            return [f"for each {node.over}"]
        case LoopNode():
            return [f"until {node.until}", f"at most {node.max_iterations} times"]
        case ApprovalNode():
            return [f"ask {node.prompt!r}"]
        case _:
            return []


def _figure(workflow: Workflow, id: str) -> Figure:
    boxes = [_box(node) for node in workflow.nodes]
    places = {("node", node.id): number for number, node in enumerate(workflow.nodes)}
    for one in workflow.inputs:
        places["input", one.name] = len(boxes)
        note = f"input {printable(one.name)}: {shorten(one.description, 200)}"
        boxes.append(Box(shorten(one.name, 40), "input", "input", note))

    def place(node: str, port: str) -> int:
        key = ("input", port) if node == INPUTS else ("node", node)
        if key not in places:
            places[key] = len(boxes)
            name = shorten(key[1], 40)
            boxes.append(Box(name, "unknown", "unknown", f"the workflow has no {key[0]} {name}"))
        return places[key]

    merged: dict[tuple[int, int], list[Edge]] = {}
    for edge in workflow.edges:
        port = edge.source_port if isinstance(edge, DataEdge) else ""
        ends = place(edge.source, port), place(edge.target, "")
        if ends[0] != ends[1]:
            merged.setdefault(ends, []).append(edge)
    lines = [_line(*ends, edges) for ends, edges in merged.items()]
    for output in workflow.outputs:
        lines.append(Line(place(output.node, output.port), len(boxes), "data", shorten(output.port, 24)))
        note = f"output {printable(output.name)} = {printable(output.node)}.{printable(output.port)}"
        boxes.append(Box(shorten(output.name, 40), "output", "output", note))
    return Figure(title_of(workflow, id), boxes, lines)


def _box(node: Node) -> Box:
    kind = variant(node)
    uses = getattr(node, "uses", "")
    said = conditions(node)
    if isinstance(node, MapNode | SubworkflowNode | LoopNode):
        detail = f"{kind} {uses}"
    else:
        detail = uses or ", ".join(said) or kind
    name = node.label or node.id
    note = [f"{node.id} ({kind})", *([uses] if uses else []), *said]
    return Box(shorten(name, 40), shorten(detail, 44), kind, "; ".join(shorten(one, 200) for one in note))


def _line(source: int, target: int, edges: list[Edge]) -> Line:
    """One line for all edges between two boxes; a condition says most, a value more than order."""
    ports = [f"{edge.source_port} → {edge.target_port}" for edge in edges if isinstance(edge, DataEdge)]
    tests = [f"if {edge.condition}" for edge in edges if isinstance(edge, ConditionalEdge)]
    style: Style = "conditional" if tests else "data" if ports else "control"
    return Line(source, target, style, shorten(", ".join([*tests, *ports]), _LONGEST_LABEL))

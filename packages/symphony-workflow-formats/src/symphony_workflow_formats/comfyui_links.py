"""The links of a graph of ComfyUI's editor, and where each really begins: behind reroutes, bypassed nodes, setters."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from symphony_workflow_formats.shapes import as_index, as_list, as_object, objects, wrong_shape

GRAPH_INPUTS = "-10"
GRAPH_OUTPUTS = "-20"
"""What the links of a subgraph name for its own inputs and outputs."""

REROUTE = "Reroute"
PRIMITIVE = "PrimitiveNode"
SETTER = "SetNode"
GETTER = "GetNode"
NOTES = ("Note", "MarkdownNote")
MUTED = 2
BYPASSED = 4


class Link(NamedTuple):
    """One link.

    Args:
        id: Its number.
        source: The node that it comes from.
        source_slot: Which of its outputs.
        target: The node that it goes to.
        target_slot: Which of its inputs.
    """

    id: int
    source: str
    source_slot: int
    target: str
    target_slot: int


class Origin(NamedTuple):
    """Where the value of an input comes from.

    Args:
        node: The node, or -10 for an input of the subgraph; empty where it comes from nowhere.
        slot: Its output.
        through: The nodes on the way that only pass it on.
        lost: Why it comes from nowhere.
    """

    node: str
    slot: int
    through: tuple[str, ...]
    lost: str = ""


def read_links(graph: Mapping[str, Any], place: str) -> list[Link]:
    """The links of a graph, written as lists (version 0.4) or as objects (version 1 and subgraphs).

    Args:
        graph: The graph.
        place: Where it stands in the file.

    Raises:
        WorkflowError: SYM-W102, one is neither.
    """
    found = []
    for number, link in enumerate(as_list(graph.get("links") or [], f"{place}.links")):
        at = f"{place}.links[{number}]"
        if isinstance(link, dict):
            keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
            parts = [link.get(key) for key in keys]
        elif isinstance(link, list) and len(link) >= 5:
            parts = link[:5]
        elif link is None:  # what was deleted leaves a hole
            continue
        else:
            raise wrong_shape(at, "a link", link)
        id, source, source_slot, target, target_slot = parts
        found.append(
            Link(
                as_index(id, at),
                node_id(source, at),
                as_index(source_slot, at),
                node_id(target, at),
                as_index(target_slot, at),
            )
        )
    return found


def node_id(value: Any, place: str) -> str:
    """The id of a node as text; the editor writes numbers, and texts for nodes of groups.

    Args:
        value: The id.
        place: Where it stands.

    Raises:
        WorkflowError: SYM-W102, it is neither.
    """
    if type(value) is int or (isinstance(value, str) and value):
        return str(value)
    raise wrong_shape(place, "the id of a node", value)


class Wiring:
    """Finds where the value of each input comes from.

    Args:
        nodes: The nodes of the graph by id.
        links: Its links.
    """

    def __init__(self, nodes: Mapping[str, dict[str, Any]], links: list[Link]) -> None:
        self._nodes = nodes
        self._into = {(link.target, link.target_slot): link for link in links}
        self._setters = {
            name: id
            for id, node in nodes.items()
            if node.get("type") == SETTER and (name := _first_value(node)) is not None
        }

    def origin(self, link: Link) -> Origin:
        """Where the value of a link comes from.

        Args:
            link: The link.
        """
        through: list[str] = []
        source, slot = link.source, link.source_slot
        while source != GRAPH_INPUTS:
            node = self._nodes.get(source)
            if node is None:
                return Origin("", 0, tuple(through), f"the file has no node {source}")
            if source in through:
                return Origin(
                    "", 0, tuple(through), "it goes round in a circle of nodes that only pass it on"
                )
            before = self._before(source, node, slot)
            if before is None:
                return Origin(source, slot, tuple(through))
            through.append(source)
            if isinstance(before, str):
                return Origin("", 0, tuple(through), before)
            source, slot = before.source, before.source_slot
        return Origin(source, slot, tuple(through))

    def _before(self, id: str, node: dict[str, Any], slot: int) -> Link | str | None:
        """The link that a node passes on; None where it makes the value itself; why there is none."""
        if node.get("mode") == MUTED:
            return f"node {id} is muted"
        kind = node.get("type")
        if kind in NOTES:
            return f"node {id} is a note"
        if kind == GETTER:
            setter = self._setters.get(_first_value(node))
            found = self._into.get((setter, 0)) if setter else None
            return found or f"node {id} gets what no node sets"
        if kind in (REROUTE, SETTER):
            return self._into.get((id, 0)) or f"nothing leads to node {id}"
        if node.get("mode") == BYPASSED:
            return self._bypass(id, node, slot)
        return None

    def _bypass(self, id: str, node: dict[str, Any], slot: int) -> Link | str:
        """The link into the input that stands for an output of a bypassed node: the first one of its type."""
        outputs = objects(node, "outputs", f"node {id}")
        inputs = objects(node, "inputs", f"node {id}")
        wanted = outputs[slot].get("type") if 0 <= slot < len(outputs) else None
        fitting = [number for number, one in enumerate(inputs) if one.get("type") in (wanted, "*")]
        for number in sorted(fitting, key=lambda number: number != slot):
            if (found := self._into.get((id, number))) is not None:
                return found
        return f"node {id} is bypassed and has no input of the type {wanted}"


def nodes_by_id(graph: Mapping[str, Any], place: str) -> dict[str, dict[str, Any]]:
    """The nodes of a graph.

    Args:
        graph: The graph.
        place: Where it stands in the file.

    Raises:
        WorkflowError: SYM-W102, one has no id, or that of another.
    """
    found: dict[str, dict[str, Any]] = {}
    for number, node in enumerate(as_list(graph.get("nodes"), f"{place}.nodes")):
        at = f"{place}.nodes[{number}]"
        id = node_id(as_object(node, at).get("id"), f"{at}.id")
        if id in found:
            raise wrong_shape(f"{at}.id", "an id that no other node has", id)
        if not isinstance(node.get("type"), str):
            raise wrong_shape(f"{at}.type", "a node type", node.get("type"))
        found[id] = node
    return found


def _first_value(node: Mapping[str, Any]) -> Any:
    values = node.get("widgets_values")
    first = values[0] if isinstance(values, list) and values else None
    return first if isinstance(first, str) else None

"""Turns edges into what a file says of them, and back."""

import re
from collections.abc import Sequence
from itertools import compress
from sys import intern
from typing import Any

from symphony_workflow.bulk import from_columns
from symphony_workflow.model import NODE_ID, PORT_NAME, ConditionalEdge, ControlEdge, DataEdge, Edge
from symphony_workflow.node_documents import plain, put_extra

_KEYS = {
    "data": frozenset({"kind", "from", "to", "metadata"}),
    "control": frozenset({"kind", "from", "to", "metadata"}),
    "conditional": frozenset({"kind", "from", "to", "condition", "metadata"}),
}
# Possessive, so that a column of thousands of lines leaves nothing to go back to.
_SOURCES = re.compile(rf"(?:(?:\$inputs|{NODE_ID.pattern})\.{PORT_NAME.pattern}\n)*+")
_TARGETS = re.compile(rf"(?:{NODE_ID.pattern}\.{PORT_NAME.pattern}\n)*+")


def edge_document(edge: Edge, place: int) -> dict[str, Any]:
    """What a file says of an edge.

    Args:
        edge: Any edge.
        place: Its index, for errors.

    Raises:
        WorkflowError: A value is not JSON, or an unknown field has the name of a known one.
    """
    document: dict[str, Any]
    if isinstance(edge, DataEdge):
        document = {
            "from": f"{edge.source}.{edge.source_port}",
            "to": f"{edge.target}.{edge.target_port}",
        }
    else:
        document = {"kind": edge.kind, "from": edge.source, "to": edge.target}
        if isinstance(edge, ConditionalEdge):
            document["condition"] = plain(edge.condition, f"edges[{place}].condition")
    if edge.metadata:
        document["metadata"] = plain(edge.metadata, f"edges[{place}].metadata")
    if edge.extra:
        put_extra(document, edge.extra, _KEYS[edge.kind], f"edges[{place}]")
    return document


def read_edges(documents: Sequence[dict[str, Any]]) -> tuple[Edge, ...]:
    """The edges that a file speaks of; names that many of them share are kept once.

    Args:
        documents: What the file says of them, checked; left as it is.
    """
    bare = [one for one in documents if len(one) == 2]
    sources = "\n".join([one["from"] for one in bare]).replace(".", "\n").split("\n")
    targets = "\n".join([one["to"] for one in bare]).replace(".", "\n").split("\n")
    made = iter(
        from_columns(
            DataEdge,
            len(bare),
            {
                "source": map(intern, sources[::2]),
                "source_port": map(intern, sources[1::2]),
                "target": map(intern, targets[::2]),
                "target_port": map(intern, targets[1::2]),
                "metadata": [{} for _ in bare],
                "extra": [{} for _ in bare],
            },
        )
    )
    return tuple([next(made) if len(one) == 2 else _edge(one) for one in documents])


def without_sound_bare_edges(documents: list[Any]) -> Sequence[int]:
    """The places of the edges that are worth a closer look: without those that say `from` and `to` alone, if all are sound.

    In large files nearly all edges are such, and checking them by columns takes a tenth of the time.

    Args:
        documents: Whatever stands in a file as its edges.
    """
    is_bare = [type(one) is dict and len(one) == 2 and "from" in one and "to" in one for one in documents]
    bare = list(compress(documents, is_bare))
    for end, column in (("from", _SOURCES), ("to", _TARGETS)):
        if not _are_places([one[end] for one in bare], column):
            return range(len(documents))
    return [place for place, is_one in enumerate(is_bare) if not is_one]


def _are_places(texts: list[Any], column: re.Pattern[str]) -> bool:
    """Whether each text is a place that a line of `column` describes."""
    if not set(map(type, texts)) <= {str}:
        return False
    lines = "\n".join([*texts, ""])
    return lines.count("\n") == len(texts) and column.fullmatch(lines) is not None


def _edge(document: dict[str, Any]) -> Edge:
    kind = document.get("kind", "data")
    source, target = document["from"], document["to"]
    metadata = document.get("metadata", {})
    extra = {key: document[key] for key in document if key not in _KEYS[kind]}
    if kind == "data":
        (node, port), (target, target_port) = source.split("."), target.split(".")
        return DataEdge(node, port, target, target_port, metadata, extra)
    if kind == "control":
        return ControlEdge(source, target, metadata, extra)
    return ConditionalEdge(source, target, document["condition"], metadata, extra)

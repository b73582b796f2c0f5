"""The connections of an n8n workflow: read, and made free of cycles, so that a loop becomes a node."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from symphony_workflow_formats.shapes import as_index, as_list, as_object, as_text


class Connection(NamedTuple):
    """One connection.

    Args:
        source: The node that it comes from.
        source_port: Which of its outputs.
        target: The node that it goes to.
        target_port: Which of its inputs.
        kind: `main`, or what of an AI node it is, such as `ai_tool`.
    """

    source: str
    source_port: int
    target: str
    target_port: int
    kind: str = "main"


class Loop(NamedTuple):
    """The nodes that a Loop Over Items runs for each batch, if they are closed in themselves.

    Args:
        body: The nodes.
        entries: The connections from the loop into the body.
        inner: Those within the body.
        backs: Those from the body back to the loop.
    """

    body: frozenset[str]
    entries: tuple[Connection, ...]
    inner: tuple[Connection, ...]
    backs: tuple[Connection, ...]


def read_connections(file: Mapping[str, Any]) -> list[Connection]:
    """The connections of a workflow.

    Args:
        file: The workflow.

    Raises:
        WorkflowError: SYM-W102, they are not as n8n writes them.
    """
    found = []
    for source, kinds in as_object(file.get("connections") or {}, "connections").items():
        for kind, outputs in as_object(kinds, f"connections.{source}").items():
            place = f"connections.{source}.{kind}"
            for number, targets in enumerate(as_list(outputs or [], place)):
                for each in as_list(targets or [], f"{place}[{number}]"):
                    target = as_object(each, f"{place}[{number}][]")
                    found.append(
                        Connection(
                            source,
                            number,
                            as_text(target.get("node"), f"{place}[{number}][].node"),
                            as_index(target.get("index", 0), f"{place}[{number}][].index"),
                            as_text(target.get("type", "main"), f"{place}[{number}][].type"),
                        )
                    )
    return found


def loop_of(node: str, loop_output: int, connections: Iterable[Connection]) -> Loop | None:
    """The body of a loop; None where it is open, so that no sub-workflow can stand for it.

    Args:
        node: The node that loops.
        loop_output: Which of its outputs leads into the body.
        connections: All connections.
    """
    connections = list(connections)
    entries = [one for one in connections if one.source == node and one.source_port == loop_output]
    children: dict[str, list[str]] = {}
    for one in connections:
        children.setdefault(one.source, []).append(one.target)
    body: set[str] = set()
    waiting = [one.target for one in entries]
    while waiting:
        id = waiting.pop()
        if id not in body and id != node:
            body.add(id)
            waiting.extend(children.get(id, ()))
    feeding = True
    while feeding:  # what only serves the body, such as the model of an agent in it, belongs to it
        feeding = False
        for source, targets in children.items():
            serves = all(one.kind != "main" for one in connections if one.source == source)
            if serves and source not in body and source != node and body.issuperset(targets):
                body.add(source)
                feeding = True
    backs = [one for one in connections if one.source in body and one.target == node]
    inner = [one for one in connections if one.source in body and one.target in body]
    strangers = [
        one for one in connections if one.target in body and one.source not in body and one not in entries
    ]
    if not body or node in body or not backs or strangers:
        return None
    return Loop(frozenset(body), tuple(entries), tuple(inner), tuple(backs))


def without_cycles(
    nodes: Collection[str], connections: Iterable[Connection]
) -> tuple[list[Connection], list[Connection]]:
    """Connections that lead in no circle, and those that were left out for it: each leads back to where it came from.

    Args:
        nodes: The nodes, in the order in which they are gone through.
        connections: The connections among them.
    """
    out: dict[str, list[Connection]] = {node: [] for node in nodes}
    entered = set()
    for one in connections:
        out[one.source].append(one)
        entered.add(one.target)
    kept: list[Connection] = []
    back: list[Connection] = []
    done: set[str] = set()
    for root in sorted(nodes, key=lambda node: node in entered):
        if root in done:
            continue
        path = {root}
        stack = [(root, iter(out[root]))]
        while stack:
            id, rest = stack[-1]
            for one in rest:
                if one.target in path:
                    back.append(one)
                    continue
                kept.append(one)
                if one.target not in done:
                    path.add(one.target)
                    stack.append((one.target, iter(out[one.target])))
                    break
            else:
                done.add(id)
                path.discard(id)
                stack.pop()
    order = {one: number for number, one in enumerate(connections)}
    return sorted(kept, key=order.__getitem__), back

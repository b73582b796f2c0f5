"""The rules about a node by itself: its names, numbers, resources, version, and what it uses."""

from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any

from symphony_workflow.findings import Fault
from symphony_workflow.model import (
    CACHED,
    LOCAL,
    NO_RESOURCES,
    NODE_ID,
    ONCE,
    OPERATION_ID,
    PORT_NAME,
    ApprovalNode,
    BranchNode,
    CachePolicy,
    CallingNode,
    InstrumentNode,
    JoinNode,
    LoopNode,
    MapNode,
    Node,
    OperatorNode,
    Resources,
    RetryPolicy,
    SubworkflowNode,
    SwitchNode,
)
from symphony_workflow.rule_graph import CALLERS, PASSES_ON, Graph

PORT_HINT = "Use letters, digits and _, such as `min_length`."


def is_plain(graph: Graph, node: Node) -> bool:
    """Whether a node can have none of the faults of this module and of conditions: most nodes of a workflow.

    Args:
        graph: The workflow.
        node: One of its nodes.
    """
    if type(node) is not OperatorNode and type(node) is not InstrumentNode:
        return False
    return (
        node.timeout is None
        and node.idle_timeout is None
        and node.retry is ONCE
        and node.resources is NO_RESOURCES
        and node.cache is CACHED
        and not node.extra
        and _is_use_sound(graph, node)
        and NODE_ID.fullmatch(node.id) is not None
        and all(map(PORT_NAME.fullmatch, node.params))
        and node.id not in graph.expressing
    )


def _is_use_sound(graph: Graph, node: OperatorNode | InstrumentNode) -> bool:
    use = (type(node), node.uses, node.version)
    if use not in graph.sound_uses and not _uses_fault(node):
        if any(_operation_faults(graph, node)):
            return False
        graph.sound_uses.add(use)
    return use in graph.sound_uses


def node_faults(graph: Graph, node: Node) -> Iterator[Fault]:
    """What is wrong with a node, whatever leads to it.

    Args:
        graph: The workflow.
        node: One of its nodes.
    """
    for fault, hint in _own_faults(node):
        yield Fault("SYM-W020", "error", f"node {node.id!r}: {fault}", hint, node.id)
    if isinstance(node, PASSES_ON):
        if isinstance(node, SwitchNode):
            yield from _switch_faults(node)
    else:
        yield from _operation_faults(graph, node)
        if not isinstance(node, SubworkflowNode) and node.resources is not NO_RESOURCES:
            yield from _resource_faults(node.id, node.resources, graph.setting.capacity)
    if node.extra:
        yield from unknown_fields(node.extra, fields_of(type(node)), f"node {node.id!r}", node=node.id)


def _own_faults(node: Node) -> Iterator[tuple[str, str]]:
    if not NODE_ID.fullmatch(node.id):
        yield "the id is no name", "Use letters, digits, _ and -, such as `word-count`."
    for port in node.params:
        if not PORT_NAME.fullmatch(port):
            yield f"the parameter {port!r} cannot be a port", PORT_HINT
    if isinstance(node, JoinNode):
        if isinstance(node.wait, int) and (node.wait < 1 or isinstance(node.wait, bool)):
            yield f"it waits for {node.wait} inputs", 'Wait for at least 1, for "any" or for "all".'
        return
    if isinstance(node, (BranchNode, SwitchNode)):
        if isinstance(node, SwitchNode) and not node.cases:
            yield "it has no case", "Add one, or connect what follows without a switch."
        return
    if node.timeout is not None and not node.timeout > 0:
        yield f"the timeout is {node.timeout} s", "Give more than 0 seconds, or none."
    if isinstance(node, ApprovalNode):
        if not node.prompt.strip():
            yield "the prompt is empty", "Say what the person is asked."
        return
    if fault := _uses_fault(node):
        yield fault
    if isinstance(node, SubworkflowNode):
        return
    if node.idle_timeout is not None and not node.idle_timeout > 0:
        yield f"the idle timeout is {node.idle_timeout} s", "Give more than 0 seconds, or none."
    if node.retry is not ONCE:
        yield from _retry_faults(node.retry)
    if node.cache is not CACHED:
        yield from _cache_faults(node.cache)
    if isinstance(node, MapNode):
        if node.concurrency < 1:
            yield f"the concurrency is {node.concurrency}", "Give at least 1."
        if node.max_items is not None and node.max_items < 1:
            yield f"it takes at most {node.max_items} items", "Give at least 1, or none for any number."
    if isinstance(node, LoopNode) and node.max_iterations < 1:
        yield f"it may iterate {node.max_iterations} times", "Give a bound of at least 1."


def _uses_fault(node: CallingNode | SubworkflowNode) -> tuple[str, str] | None:
    uses = node.uses
    local = uses.startswith(LOCAL)
    if local and not isinstance(node, CALLERS):
        return (
            f"it uses the sub-workflow {uses!r}, which only a map, a loop or a subworkflow can",
            'Write `"kind": "control", "control": "subworkflow"`.',
        )
    if isinstance(node, SubworkflowNode) and not local:
        return (
            f"it uses {uses!r}, which is no sub-workflow of the file",
            "Write it like `#clean`, or make the node an operator.",
        )
    if not local and not OPERATION_ID.fullmatch(uses):
        return f"it uses {uses!r}, which is no id of an operation", "Write it like `acme.text.word-count`."
    return None


def _retry_faults(retry: RetryPolicy) -> Iterator[tuple[str, str]]:
    if retry.attempts < 1 or not retry.delay >= 0 or not retry.factor >= 1:
        yield f"{retry} cannot be followed", "attempts >= 1, delay >= 0, factor >= 1."
    if not retry.limit >= 0 or not 0 <= retry.jitter <= 1:
        yield f"{retry} cannot be followed", "limit >= 0, jitter from 0 to 1."


def _cache_faults(cache: CachePolicy) -> Iterator[tuple[str, str]]:
    if cache.ttl is not None and not cache.ttl > 0:
        yield f"results count for {cache.ttl} s", 'Give more than 0 seconds, none, or `"use": "never"`.'


def _switch_faults(node: SwitchNode) -> Iterator[Fault]:
    met = set()
    for case in node.cases:
        if case.port == "default" or not PORT_NAME.fullmatch(case.port):
            what = "is reserved for where no case holds" if case.port == "default" else "has no proper name"
            message = f"node {node.id!r}: the case {case.port!r} {what}"
            yield Fault("SYM-W020", "error", message, PORT_HINT, node.id, case.port)
        elif case.port in met:
            message = f"two cases of node {node.id!r} are named {case.port!r}"
            hint = "Rename one, or join their conditions with ||."
            yield Fault("SYM-W019", "error", message, hint, node.id, case.port)
        met.add(case.port)


def _operation_faults(graph: Graph, node: Any) -> Iterator[Fault]:
    uses, operations = node.uses, graph.setting.operations
    if uses.startswith(LOCAL):
        if uses not in graph.local:
            yield Fault(
                "SYM-W013",
                "error",
                f"node {node.id!r} uses the sub-workflow {uses!r}, which the file does not have",
                "Add it to the `workflows` of the file.",
                node.id,
                name=uses,
                known=graph.local,
            )
        return
    if operations is None:
        return
    operation = operations.get(uses)
    if operation is None and isinstance(stands_for := node.metadata.get("placeholder"), str):
        yield Fault(
            "SYM-W013",
            "error",
            f"node {node.id!r} is a placeholder for {stands_for}, and must be replaced",
            "Let it use an operation that does the same, or import the file again with `--map`.",
            node.id,
        )
        return
    if operation is None:
        yield Fault(
            "SYM-W013",
            "error",
            f"node {node.id!r} uses {uses!r}, which no installed extension offers",
            "Install the extension that brings it; `symphony list` shows what there is.",
            node.id,
            name=uses,
            known=operations,
        )
        return
    if node.kind != "control" and operation.kind != node.kind:
        yield Fault(
            "SYM-W014",
            "error",
            f"node {node.id!r} is of kind {node.kind!r}, but {uses!r} is an {operation.kind}",
            f'Write "kind": "{operation.kind}".',
            node.id,
        )
    if getattr(node, "version", None) is not None and node.version != operation.version:
        newer = node.version > operation.version
        yield Fault(
            "SYM-W028",
            "error" if newer else "warning",
            f"node {node.id!r} was made for version {node.version} of {uses!r}, and version {operation.version} "
            "is installed",
            "Upgrade the extension."
            if newer
            else f'Look whether it still does what the node needs, and write "version": {operation.version}.',
            node.id,
        )


def _resource_faults(id: str, needs: Resources, capacity: Resources | None) -> Iterator[Fault]:
    offered = {} if capacity is None else _amounts(capacity)
    for name, amount in _amounts(needs).items():
        if not amount >= 0:
            message, hint = f"node {id!r} needs {amount} of {name}", "Give 0 or more."
        elif capacity is not None and amount > offered.get(name, 0):
            message = f"node {id!r} needs {amount:g} of {name}, and {offered.get(name, 0):g} is all there is"
            hint = "Lower what it needs, or run it where there is more: it would wait for ever."
        else:
            continue
        yield Fault("SYM-W027", "error", message, hint, id)


def _amounts(resources: Resources) -> dict[str, float]:
    return {
        **resources.custom,
        "cpu": resources.cpu,
        "memory": resources.memory,
        "gpu": resources.gpu,
    }


_SILENT = ("x-", "//", "$comment")


def unknown_fields(
    extra: dict[str, Any], known: Collection[str], where: str, *, node: str = "", edge: int | None = None
) -> Iterator[Fault]:
    """The fields of the file that this version does not know, but for notes (`x-...`, `//...`, `$comment`).

    Args:
        extra: The unknown fields.
        known: The names of those that there are.
        where: What they are of, in words.
        node: The node that they are of.
        edge: The number of the edge that they are of.
    """
    for name in extra:
        if not name.startswith(_SILENT):
            yield Fault(
                "SYM-W029",
                "warning",
                f"{where} has the field {name!r}, which this version does not know and keeps as it is",
                'Begin its name with "x-" where it is a note of your own.',
                node,
                edge=edge,
                name=name,
                known=known,
            )


def fields_of(kind: type) -> frozenset[str]:
    """The names that a part of a file can have.

    Args:
        kind: The class of the part in the model.
    """
    names = {one.name for one in fields(kind)} - {"extra"}
    if hasattr(kind, "kind"):
        names |= {"kind", "control"} if hasattr(kind, "control") else {"kind"}
    if {"source", "target"} <= names:
        names = names - {"source", "target", "source_port", "target_port"} | {"from", "to"}
    return frozenset(names)

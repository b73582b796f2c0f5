"""The rules that a workflow is held to: each is a function from the graph to its findings.

Without operations nothing is known of ports and types, and the rules about them find nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from symphony_workflow.conditions import check_condition
from symphony_workflow.findings import Finding
from symphony_workflow.model import (
    INPUTS,
    LOCAL,
    NODE_ID,
    OPERATION_ID,
    PORT_NAME,
    WORKFLOW_ID,
    BranchNode,
    CallingNode,
    ConditionalEdge,
    DataEdge,
    MapNode,
    Node,
)
from symphony_workflow.plan import adjacency, shortest_cycle, topological_order
from symphony_workflow.port_types import Schema, accepts, compatible, describe
from symphony_workflow.rule_graph import Graph


def _error(code: str, message: str, hint: str = "", **place: Any) -> Finding:
    return Finding(code, "error", message, hint, **place)


def _names_and_numbers(graph: Graph) -> Iterator[Finding]:
    workflow = graph.workflow
    if not WORKFLOW_ID.fullmatch(workflow.id):
        yield _error(
            "SYM-W020", f"the workflow's id {workflow.id!r} is no name", "Write it like `code-atlas`."
        )
    for what, names in (
        ("input", [one.name for one in workflow.inputs]),
        ("output", [one.name for one in workflow.outputs]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                yield _error(
                    "SYM-W019", f"{count} {what}s are named {name!r}", "Rename all but one.", port=name
                )
            if not PORT_NAME.fullmatch(name):
                yield _error("SYM-W020", f"the {what} {name!r} has no proper name", _PORT_HINT, port=name)
    if len(graph.nodes) < len(workflow.nodes):
        for id, count in Counter(node.id for node in workflow.nodes).items():
            if count > 1:
                yield _error("SYM-W019", f"{count} nodes have the id {id!r}", "Rename all but one.", node=id)
    for node in workflow.nodes:
        for fault, hint in _node_faults(node):
            yield _error("SYM-W020", f"node {node.id!r}: {fault}", hint, node=node.id)


_PORT_HINT = "Use letters, digits and _, such as `min_length`."


def _node_faults(node: Node) -> Iterator[tuple[str, str]]:
    if not NODE_ID.fullmatch(node.id):
        yield "the id is no name", "Use letters, digits, _ and -, such as `word-count`."
    for port in node.params:
        if not PORT_NAME.fullmatch(port):
            yield f"the parameter {port!r} cannot be a port", _PORT_HINT
    if not isinstance(node, CallingNode):
        return
    if not node.uses.startswith(LOCAL) and not OPERATION_ID.fullmatch(node.uses):
        yield (
            f"it uses {node.uses!r}, which is no id of an operation",
            "Write it like `acme.text.word-count`.",
        )
    if node.timeout is not None and not node.timeout > 0:
        yield f"the timeout is {node.timeout} s", "Give more than 0 seconds, or none."
    if node.retry.attempts < 1 or node.retry.delay < 0 or node.retry.factor < 1:
        yield f"{node.retry} cannot be followed", "attempts >= 1, delay >= 0, factor >= 1."
    if isinstance(node, MapNode) and node.concurrency < 1:
        yield f"the concurrency is {node.concurrency}", "Give at least 1."


def _edge_ends(graph: Graph) -> Iterator[Finding]:
    for number, edge in enumerate(graph.workflow.edges):
        for end, id in (("from", edge.source), ("to", edge.target)):
            if id not in graph.nodes and not (id == INPUTS and end == "from" and isinstance(edge, DataEdge)):
                yield _error(
                    "SYM-W011",
                    f"edge {number} ({edge.source} -> {edge.target}) leads {end} the node {id!r}, which there is not",
                    graph.suggest(id, graph.nodes),
                    node=id,
                    edge=number,
                )
        if isinstance(edge, DataEdge) and edge.source == INPUTS and edge.source_port not in graph.inputs:
            yield _error(
                "SYM-W012",
                f"edge {number} takes the input {edge.source_port!r}, which the workflow does not have",
                graph.suggest(edge.source_port, graph.inputs),
                node=edge.target,
                port=edge.target_port,
                edge=number,
            )


def _cycle(graph: Graph) -> Iterator[Finding]:
    ids = sorted(graph.nodes)
    index = {id: number for number, id in enumerate(ids)}
    pairs = [
        (index[edge.source], index[edge.target])
        for edge in graph.workflow.edges
        if edge.source in index and edge.target in index
    ]
    children, parents = adjacency(len(ids), pairs)
    order = topological_order(children, [len(one) for one in parents])
    if len(order) < len(ids):
        names = [ids[number] for number in shortest_cycle(children, set(range(len(ids))).difference(order))]
        yield _error(
            "SYM-W010",
            f"there is a cycle: {' -> '.join([*names, names[0]])}",
            "Remove one of its edges: a workflow runs from its inputs to its outputs.",
            node=names[0],
        )


def _operations(graph: Graph) -> Iterator[Finding]:
    if graph.operations is None:
        return
    for node in graph.workflow.nodes:
        if not isinstance(node, CallingNode) or node.uses.startswith(LOCAL):
            continue
        operation = graph.operations.get(node.uses)
        if operation is None:
            hint = graph.suggest(node.uses, graph.operations)
            yield _error(
                "SYM-W013",
                f"node {node.id!r} uses {node.uses!r}, which no installed extension offers",
                hint or "Install the extension that brings it; `symphony list` shows what there is.",
                node=node.id,
            )
        elif node.kind != "control" and operation.kind != node.kind:
            yield _error(
                "SYM-W014",
                f"node {node.id!r} is of kind {node.kind!r}, but {node.uses!r} is an {operation.kind}",
                f'Write "kind": "{operation.kind}".',
                node=node.id,
            )
        elif isinstance(node, MapNode) and node.over not in (
            names := [port.name for port in operation.inputs]
        ):
            yield _error(
                "SYM-W012",
                f"node {node.id!r} maps over {node.over!r}, which {node.uses!r} does not take",
                graph.suggest(node.over, names),
                node=node.id,
                port=node.over,
            )


def _output_ports(graph: Graph) -> Iterator[Finding]:
    for number, edge in enumerate(graph.workflow.edges):
        if not isinstance(edge, DataEdge):
            continue
        ports = graph.ports.get(edge.source)
        if ports and edge.source_port not in ports.outputs:
            yield _no_output(graph, edge.source, edge.source_port, ports.outputs, edge=number)
    for one in graph.workflow.outputs:
        if one.node not in graph.nodes:
            yield _error(
                "SYM-W011",
                f"the output {one.name!r} comes from the node {one.node!r}, which there is not",
                graph.suggest(one.node, graph.nodes),
                port=one.name,
            )
        elif (ports := graph.ports[one.node]) and one.port not in ports.outputs:
            yield _no_output(graph, one.node, one.port, ports.outputs)


def _no_output(
    graph: Graph, node: str, port: str, outputs: Mapping[str, Any], edge: int | None = None
) -> Finding:
    hint = graph.suggest(port, outputs)
    return _error("SYM-W012", f"node {node!r} has no output {port!r}", hint, node=node, port=port, edge=edge)


def _inputs_of_nodes(graph: Graph) -> Iterator[Finding]:
    for node in graph.workflow.nodes:
        given: dict[str, int] = dict.fromkeys(node.params, -1)
        ports = graph.ports[node.id]
        for number, edge in graph.data_into.get(node.id, ()):
            port = edge.target_port
            if port in given:
                yield _duplicate(graph, node, port, given[port], number)
            given[port] = number
        if ports is None:
            continue
        for port, number in given.items():
            if port not in ports.inputs and not ports.any_input:
                yield _error(
                    "SYM-W012",
                    f"node {node.id!r} has no input {port!r}",
                    graph.suggest(port, ports.inputs),
                    node=node.id,
                    port=port,
                    edge=number if number >= 0 else None,
                )
        for port, spec in ports.inputs.items():
            if spec.required and port not in given:
                yield _error(
                    "SYM-W016",
                    f"node {node.id!r} needs a value for its input {port!r} ({describe(spec.schema)})",
                    f"Draw an edge to `{node.id}.{port}`, or set it in its params.",
                    node=node.id,
                    port=port,
                )


def _duplicate(graph: Graph, node: Node, port: str, first: int, second: int) -> Finding:
    edges = graph.workflow.edges
    one = "its params" if first < 0 else f"edge {first} from {edges[first].source!r}"
    return _error(
        "SYM-W017",
        f"the input {port!r} of node {node.id!r} is given twice: by {one} and edge {second} from "
        f"{edges[second].source!r}",
        "Keep one; an operator can join two values into one.",
        node=node.id,
        port=port,
        edge=second,
    )


def _types(graph: Graph) -> Iterator[Finding]:
    fits: dict[tuple[int, int], str] = {}  # schemas live as long as the graph, so their ids are theirs alone
    for node in graph.workflow.nodes:
        ports = graph.ports[node.id]
        if ports is None:
            continue
        for port, value in node.params.items():
            if port in ports.inputs and (why := accepts(ports.inputs[port].schema, value).reason):
                yield _error(
                    "SYM-W015",
                    f"the parameter {port!r} of node {node.id!r} is not {describe(ports.inputs[port].schema)}: {why}",
                    "Change the value.",
                    node=node.id,
                    port=port,
                )
        for number, edge in graph.data_into.get(node.id, ()):
            if edge.target_port not in ports.inputs:
                continue
            source, target = graph.source_schema(edge), ports.inputs[edge.target_port].schema
            key = (id(source), id(target))
            if key not in fits:
                fits[key] = compatible(source, target).reason
            if fits[key]:
                yield _type_error(node, number, edge, source, target, fits[key])
    for one in graph.workflow.inputs:
        if not one.required and one.default is not None and (why := accepts(one.schema, one.default).reason):
            yield _error(
                "SYM-W015",
                f"the default of the input {one.name!r} is not {describe(one.schema)}: {why}",
                "Change the default or the schema.",
                port=one.name,
            )


def _type_error(node: Node, number: int, edge: DataEdge, source: Schema, target: Schema, why: str) -> Finding:
    place = {"node": node.id, "port": edge.target_port, "edge": number}
    if (
        isinstance(node, MapNode)
        and edge.target_port == node.over
        and source.get("type") not in ("array", None)
    ):
        return _error(
            "SYM-W022",
            f"node {node.id!r} maps over `{edge.source}.{edge.source_port}`, which is {describe(source)} and no list",
            f'Use an "operator" or "instrument" node for a single value, or connect {describe(target)}.',
            **place,
        )
    return _error(
        "SYM-W015",
        f"`{edge.source}.{edge.source_port}` gives {describe(source)}, but `{edge.target}.{edge.target_port}` "
        f"takes {describe(target)}: {why}",
        "Connect a port that fits, or put an operator between them that converts.",
        **place,
    )


def _conditions(graph: Graph) -> Iterator[Finding]:
    for number, edge in enumerate(graph.workflow.edges):
        if isinstance(edge, ConditionalEdge) and (node := graph.nodes.get(edge.source)):
            ports = graph.ports[node.id]
            known = ports.outputs.keys() if ports else None
            if fault := check_condition(edge.condition, known):
                hint = f"It can use the outputs of {edge.source!r}: {', '.join(known or ()) or 'none'}."
                yield _error(
                    "SYM-W021", fault, hint if known is not None else "", node=edge.target, edge=number
                )
    for node in graph.workflow.nodes:
        if isinstance(node, BranchNode):
            given = {*node.params, *(edge.target_port for _, edge in graph.data_into.get(node.id, ()))}
            if fault := check_condition(node.condition, given):
                hint = f"It can use the inputs of {node.id!r}: {', '.join(sorted(given)) or 'none'}."
                yield _error("SYM-W021", f"node {node.id!r}: {fault}", hint, node=node.id)


def _unconnected(graph: Graph) -> Iterator[Finding]:
    connected = {one.node for one in graph.workflow.outputs}
    taken = set()
    for edge in graph.workflow.edges:
        connected.update((edge.source, edge.target))
        if isinstance(edge, DataEdge) and edge.source == INPUTS:
            taken.add(edge.source_port)
    if not graph.workflow.nodes:
        yield _error("SYM-W023", "the workflow has no nodes", "Add at least one.")
    for node in graph.workflow.nodes if len(graph.workflow.nodes) > 1 else ():
        if node.id not in connected:
            yield Finding(
                "SYM-W018",
                "warning",
                f"no edge leads to or from node {node.id!r}",
                "Connect it, or remove it.",
                node=node.id,
            )
    for name in graph.inputs:
        if name not in taken:
            yield Finding(
                "SYM-W018",
                "warning",
                f"no edge takes the input {name!r}",
                f'Draw an edge from "{INPUTS}.{name}", or remove it.',
                port=name,
            )


RULES: tuple[Callable[[Graph], Iterator[Finding]], ...] = (
    _names_and_numbers,
    _edge_ends,
    _cycle,
    _operations,
    _output_ports,
    _inputs_of_nodes,
    _types,
    _conditions,
    _unconnected,
)

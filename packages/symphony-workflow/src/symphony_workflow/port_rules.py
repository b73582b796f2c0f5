"""The rules about what leads to a node: edges, ports, missing and doubled inputs, and types."""

import itertools
from collections.abc import Iterator, Mapping

from symphony_sdk.contributions import PortSpec

from symphony_workflow.condition_rules import edge_condition_faults
from symphony_workflow.findings import Fault
from symphony_workflow.model import (
    INPUTS,
    ConditionalEdge,
    DataEdge,
    Edge,
    Expression,
    JoinNode,
    LoopNode,
    MapNode,
    Node,
    SwitchNode,
)
from symphony_workflow.node_rules import fields_of, unknown_fields
from symphony_workflow.port_types import Schema, describe
from symphony_workflow.ports import Ports
from symphony_workflow.rule_graph import DECISIONS, Graph

_RESERVED = ("iteration", "iterations")


def edge_text(edge: Edge) -> str:
    """An edge as a drawing names it, such as `walk.files -> kinds.path`.

    Args:
        edge: Any edge.
    """
    if isinstance(edge, DataEdge):
        return f"`{edge.source}.{edge.source_port} -> {edge.target}.{edge.target_port}`"
    return f"`{edge.source} -> {edge.target}`"


def input_faults(graph: Graph, target: str) -> Iterator[Fault]:
    """What is wrong with the edges that lead to a node, and with the values that it is given.

    Args:
        graph: The workflow.
        target: The id that the edges lead to; there need not be such a node.
    """
    node, ports, edges = graph.nodes.get(target), graph.ports.get(target), graph.edges
    ports_of, sound, here = graph.ports.get, graph.sound_links, id(ports)
    given: dict[str, int] = {} if node is None else dict.fromkeys(node.params, -1)
    twice = []
    for number in graph.into.get(target, ()):
        edge = edges[number]
        if type(edge) is DataEdge:
            port = edge.target_port
            if port in given:
                twice.append(port)
            given[port] = number
            link = (id(ports_of(edge.source)), edge.source_port, here, port)
            if link in sound and not edge.extra:
                continue
            faults = [*_end_faults(graph, number, edge), *_carried_faults(graph, number, edge)]
            if not faults:
                graph.remember_sound(link, edge)
            yield from faults
        else:
            yield from _end_faults(graph, number, edge)
    if node is None:
        return
    for port in dict.fromkeys(twice):
        givers = [number for number, edge in graph.data_into(target) if edge.target_port == port]
        givers.sort(key=graph.position)
        if port in node.params:
            givers.insert(0, -1)
        given[port] = givers[-1]
        for first, second in itertools.pairwise(givers):
            yield _duplicate(graph, node, port, first, second)
    if ports is not None:
        yield from _given_faults(graph, node, ports, given)


def _end_faults(graph: Graph, number: int, edge: Edge) -> Iterator[Fault]:
    """What is wrong with the two ends of an edge, and with its condition."""
    if edge.target not in graph.nodes:
        yield _no_node(graph, number, edge, "to", edge.target)
    if edge.extra:
        where = f"the edge {edge_text(edge)}"
        yield from unknown_fields(edge.extra, fields_of(type(edge)), where, node=edge.target, edge=number)
    if edge.source in graph.nodes:
        if isinstance(edge, ConditionalEdge):
            yield from edge_condition_faults(graph, number, edge)
        elif isinstance(edge, DataEdge):
            ports = graph.ports[edge.source]
            if ports is not None and edge.source_port not in ports.outputs:
                yield no_output(edge.source, edge.source_port, ports, edge=number)
    elif edge.source != INPUTS or not isinstance(edge, DataEdge):
        yield _no_node(graph, number, edge, "from", edge.source)
    elif edge.source_port not in graph.inputs:
        yield Fault(
            "SYM-W012",
            "error",
            f"the edge {edge_text(edge)} takes the input {edge.source_port!r}, which the workflow does not have",
            "",
            edge.target,
            edge.target_port,
            number,
            edge.source_port,
            graph.inputs,
        )


def _carried_faults(graph: Graph, number: int, edge: DataEdge) -> Iterator[Fault]:
    """Why what an edge carries does not fit where it leads."""
    ports = graph.ports.get(edge.target)
    if ports is not None and edge.target_port in ports.inputs:
        source, target = graph.source_schema(edge), ports.inputs[edge.target_port].schema
        if why := graph.mismatch(source, target):
            yield _type_fault(graph.nodes[edge.target], number, edge, source, target, why)


def _given_faults(graph: Graph, node: Node, ports: Ports, given: Mapping[str, int]) -> Iterator[Fault]:
    inputs = ports.inputs
    for port, value in node.params.items():
        if (
            port in inputs
            and type(value) is not Expression
            and (why := graph.refusal(inputs[port].schema, value))
        ):
            yield _literal_fault(node, inputs[port], why)
    if not ports.any_input and not given.keys() <= inputs.keys():
        for port in given.keys() - inputs.keys():
            message = f"node {node.id!r} has no input {port!r}"
            edge = given[port] if given[port] >= 0 else None
            yield Fault("SYM-W012", "error", message, "", node.id, port, edge, port, inputs)
    for port, spec in inputs.items():
        if spec.required and port not in given:
            yield Fault(
                "SYM-W016",
                "error",
                f"node {node.id!r} needs a value for its input {port!r} ({describe(spec.schema)})",
                f"Draw an edge to `{node.id}.{port}`, or set it in its params.",
                node.id,
                port,
            )
    if isinstance(node, (MapNode, LoopNode)):
        yield from _repeated_faults(graph, node)
    elif isinstance(node, JoinNode):
        yield from _join_faults(graph, node)


def no_output(id: str, port: str, ports: Ports, edge: int | None = None) -> Fault:
    """That a node does not have an output port.

    Args:
        id: The node.
        port: The port that it does not have.
        ports: Those that it has.
        edge: The number of the edge that takes it.
    """
    return Fault(
        "SYM-W012",
        "error",
        f"node {id!r} has no output {port!r}",
        "",
        id,
        port,
        edge,
        port,
        ports.outputs,
    )


def _no_node(graph: Graph, number: int, edge: Edge, end: str, id: str) -> Fault:
    return Fault(
        "SYM-W011",
        "error",
        f"the edge {edge_text(edge)} leads {end} the node {id!r}, which there is not",
        "",
        id,
        edge=number,
        name=id,
        known=graph.nodes,
    )


def _literal_fault(node: Node, spec: PortSpec, why: str) -> Fault:
    return Fault(
        "SYM-W015",
        "error",
        f"the parameter {spec.name!r} of node {node.id!r} is not {describe(spec.schema)}: {why}",
        "Change the value.",
        node.id,
        spec.name,
    )


def _duplicate(graph: Graph, node: Node, port: str, first: int, second: int) -> Fault:
    one = "its params" if first < 0 else f"the edge {edge_text(graph.edges[first])}"
    return Fault(
        "SYM-W017",
        "error",
        f"the input {port!r} of node {node.id!r} is given twice: by {one} and the edge "
        f"{edge_text(graph.edges[second])}",
        "Keep one; an operator can join two values into one, and a join takes the one that was not skipped.",
        node.id,
        port,
        second,
    )


def _type_fault(node: Node, number: int, edge: DataEdge, source: Schema, target: Schema, why: str) -> Fault:
    if (
        isinstance(node, MapNode)
        and edge.target_port == node.over
        and source.get("type") not in ("array", None)
    ):
        return Fault(
            "SYM-W022",
            "error",
            f"node {node.id!r} maps over `{edge.source}.{edge.source_port}`, which is {describe(source)} and no list",
            f'Use an "operator" or "instrument" node for a single value, or connect {describe(target)}.',
            node.id,
            edge.target_port,
            number,
        )
    return Fault(
        "SYM-W015",
        "error",
        f"`{edge.source}.{edge.source_port}` gives {describe(source)}, but `{edge.target}.{edge.target_port}` "
        f"takes {describe(target)}: {why}",
        "Connect a port that fits, or put an operator between them that converts.",
        node.id,
        edge.target_port,
        number,
    )


def _repeated_faults(graph: Graph, node: MapNode | LoopNode) -> Iterator[Fault]:
    operation = graph.operation(node.uses)
    if operation is None:
        return
    inputs = {port.name: port for port in operation.inputs}
    if isinstance(node, MapNode):
        if node.over not in inputs:
            message = f"node {node.id!r} maps over {node.over!r}, which {node.uses!r} does not take"
            yield Fault("SYM-W012", "error", message, "", node.id, node.over, None, node.over, inputs)
        elif node.max_items is None and not _bounded(graph, node):
            yield Fault(
                "SYM-W026",
                "warning",
                f"node {node.id!r} maps over a list of any length, and nothing bounds it",
                "Give `max_items`, or `maxItems` in the type of the list.",
                node.id,
                node.over,
            )
        return
    outputs = {port.name: port for port in operation.outputs}
    for name in _RESERVED:
        if name in outputs:
            message = f"node {node.id!r}: the output {name!r} of {node.uses!r} has a name that a loop gives a meaning"
            yield Fault("SYM-W020", "error", message, "Rename that output.", node.id, name)
    for port, output in node.carry.items():
        if port not in inputs:
            message = f"the loop {node.id!r} carries to the input {port!r}, which {node.uses!r} does not take"
            yield Fault("SYM-W012", "error", message, "", node.id, port, None, port, inputs)
        if output not in outputs:
            message = f"the loop {node.id!r} carries the output {output!r}, which {node.uses!r} does not have"
            yield Fault("SYM-W012", "error", message, "", node.id, output, None, output, outputs)
        elif port in inputs and (why := graph.mismatch(outputs[output].schema, inputs[port].schema)):
            yield Fault(
                "SYM-W015",
                "error",
                f"the loop {node.id!r} carries `{output}`, which is {describe(outputs[output].schema)}, to `{port}`, "
                f"which takes {describe(inputs[port].schema)}: {why}",
                "Carry an output that fits.",
                node.id,
                port,
            )


def _bounded(graph: Graph, node: MapNode) -> bool:
    if node.over in node.params:
        return not isinstance(node.params[node.over], Expression)
    feeding = [edge for _, edge in graph.data_into(node.id) if edge.target_port == node.over]
    return not feeding or all("maxItems" in graph.source_schema(edge) for edge in feeding)


def _join_faults(graph: Graph, node: JoinNode) -> Iterator[Fault]:
    edges = [graph.edges[number] for number in graph.into.get(node.id, ())]
    arriving = sum(edge.source != INPUTS for edge in edges)  # what is there from the start is not waited for
    if not edges and not node.params:
        yield Fault(
            "SYM-W016",
            "error",
            f"the join {node.id!r} has no input, and so nothing to wait for",
            "Draw an edge to it from each way that it brings together.",
            node.id,
        )
    elif isinstance(node.wait, int) and node.wait > arriving > 0:
        yield Fault(
            "SYM-W025",
            "error",
            f"the join {node.id!r} waits for {node.wait} inputs, and {arriving} edges lead to it",
            'Lower it, or write "all".',
            node.id,
        )


def use_faults(graph: Graph, node: Node) -> Iterator[Fault]:
    """What is odd about what follows a node: nothing at all, or nothing on the ways that it decides between.

    Args:
        graph: The workflow.
        node: One of its nodes.
    """
    id = node.id
    if id not in graph.handed_back and not graph.out.get(id):
        if not graph.into.get(id) and len(graph.nodes) > 1:
            message, hint = f"no edge leads to or from node {id!r}", "Connect it, or remove it."
            yield Fault("SYM-W018", "warning", message, hint, id)
        elif isinstance(node, DECISIONS):
            message = f"node {id!r} decides on a way, and nothing follows any of them"
            yield Fault("SYM-W083", "warning", message, "Connect one of its outputs.", id)
    elif isinstance(node, SwitchNode):
        taken = graph.taken_ports(id)
        for port in dict.fromkeys(case.port for case in node.cases):
            if port not in taken:
                message = f"nothing follows the case {port!r} of node {id!r}"
                yield Fault("SYM-W083", "warning", message, "Connect it, or remove the case.", id, port)

"""The rules about a workflow as a whole: its name, its inputs and outputs."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from symphony_workflow.findings import Fault
from symphony_workflow.model import (
    INPUTS,
    PORT_NAME,
    WORKFLOW_ID,
    DataEdge,
    Expression,
    Node,
    Workflow,
    WorkflowInput,
)
from symphony_workflow.node_rules import PORT_HINT, fields_of, unknown_fields
from symphony_workflow.port_rules import no_output
from symphony_workflow.port_types import accepts, describe
from symphony_workflow.rule_graph import Graph

_USE_OF_INPUT = re.compile(r"\binputs\s*\.\s*([A-Za-z_]\w*)")


def workflow_faults(graph: Graph) -> Iterator[Fault]:
    """What is wrong with a workflow, but for its nodes and edges.

    Args:
        graph: The workflow.
    """
    workflow = graph.workflow
    if not WORKFLOW_ID.fullmatch(workflow.id):
        message = f"the workflow's id {workflow.id!r} is no name"
        yield Fault("SYM-W020", "error", message, "Write it like `code-atlas`.")
    if not workflow.nodes:
        yield Fault("SYM-W023", "error", "the workflow has no nodes", "Add at least one.")
    if len(graph.nodes) < len(workflow.nodes):
        for id, count in Counter(node.id for node in workflow.nodes).items():
            if count > 1:
                yield Fault(
                    "SYM-W019", "error", f"{count} nodes have the id {id!r}", "Rename all but one.", id
                )
    for what, names in (
        ("input", [one.name for one in workflow.inputs]),
        ("output", [one.name for one in workflow.outputs]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                message = f"{count} {what}s are named {name!r}"
                yield Fault("SYM-W019", "error", message, "Rename all but one.", port=name)
            if not PORT_NAME.fullmatch(name):
                message = f"the {what} {name!r} has no proper name"
                yield Fault("SYM-W020", "error", message, PORT_HINT, port=name)
    yield from _input_faults(graph)
    yield from _output_faults(graph)
    if workflow.extra:
        yield from unknown_fields(workflow.extra, fields_of(Workflow), "the workflow")


def used_inputs(nodes: Iterable[Node]) -> set[str]:
    """The inputs of the workflow that expressions of nodes name.

    Args:
        nodes: Any nodes.
    """
    values = (value for node in nodes for value in node.params.values())
    return {name for one in values if isinstance(one, Expression) for name in _USE_OF_INPUT.findall(one.text)}


def _input_faults(graph: Graph) -> Iterator[Fault]:
    edges = (graph.edges[number] for number in graph.out.get(INPUTS, ()))
    taken = {edge.source_port for edge in edges if isinstance(edge, DataEdge)}
    taken |= used_inputs(graph.nodes[id] for id in graph.expressing)
    for name, one in graph.inputs.items():
        if name not in taken:
            message = f"no edge takes the input {name!r}"
            hint = f'Draw an edge from "{INPUTS}.{name}", or remove it.'
            yield Fault("SYM-W018", "warning", message, hint, port=name)
        if not one.required and one.default is not None and (why := accepts(one.schema, one.default).reason):
            message = f"the default of the input {name!r} is not {describe(one.schema)}: {why}"
            yield Fault("SYM-W015", "error", message, "Change the default or the schema.", port=name)
        if one.extra:
            yield from unknown_fields(one.extra, _INPUT_FIELDS, f"the input {name!r}")


_INPUT_FIELDS = fields_of(WorkflowInput) - {"name"}


def _output_faults(graph: Graph) -> Iterator[Fault]:
    for one in graph.workflow.outputs:
        if one.node not in graph.nodes:
            yield Fault(
                "SYM-W011",
                "error",
                f"the output {one.name!r} comes from the node {one.node!r}, which there is not",
                port=one.name,
                name=one.node,
                known=graph.nodes,
            )
        elif (ports := graph.ports[one.node]) and one.port not in ports.outputs:
            yield no_output(one.node, one.port, ports)

"""The rules about the sub-workflows of a file: how they call each other, and how often that multiplies."""

from collections import defaultdict
from collections.abc import Mapping

from symphony_sdk.contributions import OperationSpec, PortSpec

from symphony_workflow.findings import Fault
from symphony_workflow.model import LOCAL, LoopNode, MapNode, Node, SubworkflowNode, Workflow
from symphony_workflow.plan import adjacency, shortest_cycle, topological_order
from symphony_workflow.rule_graph import CALLERS, Graph

MAX_FAN_OUT = 1_000_000
"""How many calls one node may lead to, by maps and loops within each other, before that is a fault."""


def calls(workflow: Workflow) -> list[MapNode | LoopNode | SubworkflowNode]:
    """The nodes of a workflow that run workflows of the file.

    Args:
        workflow: Any workflow.
    """
    return [node for node in workflow.nodes if isinstance(node, CALLERS) and node.uses.startswith(LOCAL)]


def definition_spec(definition: Workflow, graph: Graph | None = None) -> OperationSpec:
    """A sub-workflow as the operation that it is to the nodes that run it.

    Args:
        definition: The sub-workflow.
        graph: Its graph, for the types of its outputs; None where they cannot be known.
    """
    return OperationSpec(
        LOCAL + definition.id,
        "operator",
        inputs=tuple(
            PortSpec(one.name, dict(one.schema), one.required, one.default, one.description)
            for one in definition.inputs
        ),
        outputs=tuple(
            PortSpec(one.name, dict(graph.output_schema(one.node, one.port)) if graph else {})
            for one in definition.outputs
        ),
    )


def calling_order(definitions: Mapping[str, Workflow]) -> tuple[list[str], list[str]]:
    """The sub-workflows so that each comes after all that it runs, and a shortest ring of those that run themselves.

    What is on such a ring, or runs what is, is not in the order.

    Args:
        definitions: The sub-workflows by id.
    """
    ids = sorted(definitions)
    index = {LOCAL + id: number for number, id in enumerate(ids)}
    pairs = [
        (index[node.uses], index[LOCAL + id])
        for id in ids
        for node in calls(definitions[id])
        if node.uses in index
    ]
    callers, callees = adjacency(len(ids), pairs)
    order = topological_order(callers, [len(one) for one in callees])
    if len(order) == len(ids):
        return [ids[number] for number in order], []
    ring = shortest_cycle(callees, set(range(len(ids))).difference(order))
    return [ids[number] for number in order], [ids[number] for number in ring]


def family_faults(
    workflow: Workflow,
    graph: Graph,
    graphs: Mapping[str, Graph],
    order: list[str],
    ring: list[str],
) -> dict[str, list[Fault]]:
    """What is wrong with the sub-workflows as a family, by the id of the workflow that it is in.

    Args:
        workflow: The workflow with its sub-workflows.
        graph: Its own graph.
        graphs: The graphs of the sub-workflows by id.
        order: The sub-workflows that can be put in order, each after all that it runs.
        ring: Some that run themselves.
    """
    found: dict[str, list[Fault]] = defaultdict(list)
    _name_faults(workflow, found[""])
    if ring:
        found[ring[0]].append(_recursion(graphs[ring[0]], ring))
    _unused(graph, graphs, found[""])
    reach: dict[str, int] = {}
    for id in (*order, ""):
        here = graphs[id] if id else graph
        counting = here.callers | here.repeating if id else here.callers
        reach[id] = max((_fan_out(here.nodes[node], reach, found[id]) for node in counting), default=1)
    return found


def _name_faults(workflow: Workflow, found: list[Fault]) -> None:
    met = set()
    for one in workflow.workflows:
        if one.id in met:
            message = f"two sub-workflows have the id {one.id!r}"
            found.append(Fault("SYM-W019", "error", message, "Rename all but one."))
        met.add(one.id)
        if one.workflows:
            message = f"the sub-workflow {one.id!r} has sub-workflows of its own"
            hint = "Move them to the `workflows` of the file: all workflows of a file see them."
            found.append(Fault("SYM-W020", "error", message, hint))


def _recursion(graph: Graph, ring: list[str]) -> Fault:
    following = LOCAL + ring[1 % len(ring)]
    node = min(id for id in graph.callers if _uses(graph.nodes[id]) == following)
    steps = " -> ".join(LOCAL + id for id in [*ring, ring[0]])
    hint = "Use a loop, which has a bound: a sub-workflow cannot run itself."
    return Fault("SYM-W080", "error", f"sub-workflows run themselves: {steps}", hint, node)


def _unused(graph: Graph, graphs: Mapping[str, Graph], found: list[Fault]) -> None:
    used: set[str] = set()
    ahead = [graph]
    while ahead:
        here = ahead.pop()
        for uses in {_uses(here.nodes[id]) for id in here.callers} - used:
            used.add(uses)
            if uses.removeprefix(LOCAL) in graphs:
                ahead.append(graphs[uses.removeprefix(LOCAL)])
    for id in graphs:
        if LOCAL + id not in used:
            message = f"no node runs the sub-workflow {id!r}"
            found.append(Fault("SYM-W081", "warning", message, f"Use it as `{LOCAL}{id}`, or remove it."))


def _fan_out(node: Node, reach: Mapping[str, int], found: list[Fault]) -> int:
    """How many calls a node leads to at most, along the deepest nesting."""
    inner = reach.get(_uses(node).removeprefix(LOCAL), 1)
    times = 1
    if isinstance(node, MapNode):
        times = node.max_items or 1
    elif isinstance(node, LoopNode):
        times = node.max_iterations
    if times > 1 and 1 < inner <= MAX_FAN_OUT < times * inner:
        found.append(
            Fault(
                "SYM-W026",
                "warning",
                f"node {node.id!r} may lead to {times * inner:,} calls: {times:,} of {_uses(node)!r}, and up to "
                f"{inner:,} in each",
                f"Lower `max_items` or `max_iterations`: more than {MAX_FAN_OUT:,} calls are rarely meant.",
                node.id,
            )
        )
    return max(times, 1) * inner


def _uses(node: Node) -> str:
    return str(getattr(node, "uses", ""))

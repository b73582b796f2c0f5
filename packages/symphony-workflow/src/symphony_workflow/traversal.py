"""Walks over a compiled workflow: what comes before and after a node, in which order, and how long it takes at least.

All but [subgraph][symphony_workflow.traversal.subgraph] and [to_networkx][symphony_workflow.traversal.to_networkx] work
on the numbers of a [Plan][symphony_workflow.plan.Plan].
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from symphony_sdk.errors import WorkflowError

from symphony_workflow.findings import nearest
from symphony_workflow.model import INPUTS, LOCAL, DataEdge, Node, Workflow, WorkflowInput
from symphony_workflow.plan import Plan
from symphony_workflow.workflow_rules import used_inputs


def ancestors(plan: Plan, ids: Iterable[str]) -> list[str]:
    """The nodes that have to run before these, in topological order; the nodes themselves are not among them.

    Args:
        plan: A compiled workflow.
        ids: The ids of nodes.

    Raises:
        WorkflowError: There is no such node.
    """
    return _reached(plan, ids, plan.parents)


def descendants(plan: Plan, ids: Iterable[str]) -> list[str]:
    """The nodes that run after these, in topological order; the nodes themselves are not among them.

    Args:
        plan: A compiled workflow.
        ids: The ids of nodes.

    Raises:
        WorkflowError: There is no such node.
    """
    return _reached(plan, ids, plan.children)


def breadth_first(plan: Plan, id: str) -> Iterator[str]:
    """A node and what follows it, those that fewest edges lead to first, ties in the order of the ids.

    Args:
        plan: A compiled workflow.
        id: The id of a node.

    Raises:
        WorkflowError: There is no such node.
    """
    wave = [_number(plan, id)]
    met = set(wave)
    while wave:
        for number in wave:
            yield plan.nodes[number].id
        wave = sorted({child for number in wave for child in plan.children[number]} - met)
        met.update(wave)


def depth_first(plan: Plan, id: str) -> Iterator[str]:
    """A node and what follows it, each way to its end before the next one, in the order of the ids.

    Args:
        plan: A compiled workflow.
        id: The id of a node.

    Raises:
        WorkflowError: There is no such node.
    """
    ahead, met = [_number(plan, id)], set[int]()
    while ahead:
        number = ahead.pop()
        if number not in met:
            met.add(number)
            yield plan.nodes[number].id
            ahead += sorted(plan.children[number], reverse=True)


def resolution(plan: Plan, ids: Iterable[str]) -> list[str]:
    """All that has to run for these nodes to have run, themselves included, in topological order.

    Args:
        plan: A compiled workflow.
        ids: The ids of nodes.

    Raises:
        WorkflowError: There is no such node.
    """
    wanted = {_number(plan, id) for id in ids}
    wanted |= _reach(wanted, plan.parents)
    return [plan.nodes[number].id for number in plan.order if number in wanted]


def critical_path(plan: Plan, weight: Callable[[Node], float] = lambda node: 1.0) -> tuple[list[str], float]:
    """The longest way through a workflow: no number of workers makes a run shorter than it.

    Args:
        plan: A compiled workflow.
        weight: What a node counts, such as the seconds that it took in an earlier run; never negative.

    Returns:
        The ids on the way, and the sum of what they count. Of two ways that are as long, the first by id.
    """
    longest = [0.0] * len(plan.nodes)
    following = [-1] * len(plan.nodes)
    for number in reversed(plan.order):
        for child in sorted(plan.children[number]):
            if following[number] < 0 or longest[child] > longest[following[number]]:
                following[number] = child
        rest = longest[following[number]] if following[number] >= 0 else 0.0
        longest[number] = weight(plan.nodes[number]) + rest
    if not longest:
        return [], 0.0
    number = max(range(len(longest)), key=lambda one: (longest[one], -one))
    total, path = longest[number], []
    while number >= 0:
        path.append(plan.nodes[number].id)
        number = following[number]
    return path, total


def subgraph(workflow: Workflow, plan: Plan, ids: Iterable[str], part: Literal["to", "from"]) -> Workflow:
    """The part of a workflow that leads up to some nodes, or that follows from them.

    Inputs and sub-workflows that the part does not use are left out, as are outputs of nodes that are not in it. With
    `from`, what a node of the part took from a node outside it becomes an input of the workflow, named after the
    node and port that it came from.

    Args:
        workflow: The workflow.
        plan: The same, compiled.
        ids: The ids of the nodes where the part ends or begins.
        part: `to`: they and all before them; `from`: they and all after them.

    Raises:
        WorkflowError: There is no such node.
    """
    kept = {_number(plan, id) for id in ids}
    kept |= _reach(kept, plan.parents if part == "to" else plan.children)
    names = {plan.nodes[number].id for number in kept}
    nodes = tuple(node for node in workflow.nodes if node.id in names)
    new_inputs: dict[tuple[str, str], str] = {}
    taken = {one.name for one in workflow.inputs}
    edges = []
    for edge in workflow.edges:
        if edge.target not in names:
            continue
        if edge.source in names or edge.source == INPUTS:
            edges.append(edge)
        elif isinstance(edge, DataEdge):
            place = (edge.source, edge.source_port)
            if place not in new_inputs:
                new_inputs[place] = _free_name(place, taken)
                taken.add(new_inputs[place])
            edges.append(replace(edge, source=INPUTS, source_port=new_inputs[place]))
    used = {edge.source_port for edge in edges if isinstance(edge, DataEdge) and edge.source == INPUTS}
    used |= used_inputs(nodes)
    return replace(
        workflow,
        nodes=nodes,
        edges=tuple(edges),
        inputs=(
            *(one for one in workflow.inputs if one.name in used),
            *(_input_for(name, *place) for place, name in new_inputs.items()),
        ),
        outputs=tuple(one for one in workflow.outputs if one.node in names),
        workflows=_used_workflows(workflow, nodes),
    )


def to_networkx(workflow: Workflow) -> Any:
    """The workflow as a `networkx.MultiDiGraph`; networkx has to be installed.

    A node's attribute `node` is the node, an edge's attribute `edge` the edge and `kind` its kind. Edges from the
    inputs of the workflow start at the node `$inputs`, which is there only where there are such edges.

    Args:
        workflow: Any workflow, complete or not, cyclic or not.

    Raises:
        WorkflowError: networkx is not installed.
    """
    try:
        import networkx as nx  # type: ignore[import-untyped] # its import costs half a second
    except ImportError as error:
        raise WorkflowError(
            "networkx is not installed", code="SYM-W089", hint="Install it: `uv pip install networkx`."
        ) from error
    graph = nx.MultiDiGraph(id=workflow.id, name=workflow.name)
    graph.add_nodes_from((node.id, {"node": node}) for node in workflow.nodes)
    graph.add_edges_from(
        (edge.source, edge.target, {"edge": edge, "kind": edge.kind}) for edge in workflow.edges
    )
    return graph


def _number(plan: Plan, id: str) -> int:
    number = plan.index.get(id)
    if number is None:
        raise WorkflowError(
            f"the workflow has no node {id!r}", code="SYM-W011", hint=nearest(id, plan.index.keys())
        )
    return number


def _reach(starts: Iterable[int], following: Sequence[Sequence[int]]) -> set[int]:
    ahead, met = list(starts), set[int]()
    while ahead:
        for number in following[ahead.pop()]:
            if number not in met:
                met.add(number)
                ahead.append(number)
    return met


def _reached(plan: Plan, ids: Iterable[str], following: Sequence[Sequence[int]]) -> list[str]:
    starts = {_number(plan, id) for id in ids}
    met = _reach(starts, following) - starts
    return [plan.nodes[number].id for number in plan.order if number in met]


def _free_name(place: tuple[str, str], taken: set[str]) -> str:
    wanted = name = "_".join(place).replace("-", "_")
    count = 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name


def _input_for(name: str, node: str, port: str) -> WorkflowInput:
    return WorkflowInput(name, description=f"what `{node}.{port}` gave")


def _used_workflows(workflow: Workflow, nodes: Iterable[Node]) -> tuple[Workflow, ...]:
    """The sub-workflows that the nodes run, and those that these run."""
    definitions = {LOCAL + one.id: one for one in workflow.workflows}
    used: set[str] = set()
    ahead = [nodes]
    while ahead:
        for node in ahead.pop():
            uses = getattr(node, "uses", "")
            if uses in definitions and uses not in used:
                used.add(uses)
                ahead.append(definitions[uses].nodes)
    return tuple(one for one in workflow.workflows if LOCAL + one.id in used)

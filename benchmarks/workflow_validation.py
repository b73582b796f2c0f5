"""Validates a workflow of 10,000 nodes and 30,000 edges: all of it, and again after one edit of each kind.

Run it with `uv run benchmarks/workflow_validation.py`. The floor of an edit is full validation in the same run; what
the editor does to make the new state of the workflow is not counted. Figures are medians: of CPU time for all of it,
of wall time for one edit.
"""

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from symphony_sdk.contributions import OperationSpec, PortSpec
from symphony_workflow import (
    BranchNode,
    Checker,
    ControlEdge,
    DataEdge,
    OperatorNode,
    Workflow,
    dumps,
    loads,
    validate,
)

NODES, EDGES_PER_NODE, ROUNDS, EDITS = 10_000, 3, 7, 60


def generate(count: int) -> Workflow:
    """A layered graph whose ids are in no order, three data edges into each node."""
    chance = random.Random(1)
    ids = [f"node-{number:07d}" for number in chance.sample(range(count), count)]
    edges = [
        DataEdge(ids[chance.randrange(max(0, number - 200), number)], "result", ids[number], f"value{port}")
        for number in range(1, count)
        for port in range(EDGES_PER_NODE)
    ]
    nodes = tuple(OperatorNode(id=id, uses="bench.graph.merge", params={"level": 3}) for id in ids)
    return Workflow(id="bench", nodes=nodes, edges=tuple(edges))


def operations() -> dict[str, OperationSpec]:
    """What its nodes use."""
    ports = [PortSpec(f"value{port}", {"type": "number"}, required=False) for port in range(EDGES_PER_NODE)]
    level = PortSpec("level", {"type": "integer"})
    spec = OperationSpec(
        "bench.graph.merge", "operator", (*ports, level), (PortSpec("result", {"type": "integer"}),)
    )
    return {spec.id: spec}


def cpu(work: Callable[[], Any]) -> float:
    """Milliseconds of CPU that `work` takes."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e3


def parameter(workflow: Workflow, place: int) -> Workflow:
    """A parameter of a node has another value."""
    nodes = workflow.nodes
    return replace(
        workflow, nodes=(*nodes[:place], replace(nodes[place], params={"level": place}), *nodes[place + 1 :])
    )


def wrong_type(workflow: Workflow, place: int) -> Workflow:
    """A parameter of a node has the wrong type: there is a finding."""
    nodes = workflow.nodes
    return replace(
        workflow, nodes=(*nodes[:place], replace(nodes[place], params={"level": "x"}), *nodes[place + 1 :])
    )


def drop_edge(workflow: Workflow, place: int) -> Workflow:
    """An edge goes."""
    return replace(workflow, edges=workflow.edges[:place] + workflow.edges[place + 1 :])


def draw_edge(workflow: Workflow, place: int) -> Workflow:
    """An edge comes, between two nodes that are near each other."""
    source, target = sorted((place, min(place + 150, NODES - 1)))
    return replace(
        workflow, edges=(*workflow.edges, ControlEdge(workflow.nodes[source].id, workflow.nodes[target].id))
    )


def add_node(workflow: Workflow, place: int) -> Workflow:
    """A branch comes, fed by a node."""
    node = BranchNode(id=f"new-{len(workflow.nodes)}", condition="value > 3")
    edge = DataEdge(workflow.nodes[place].id, "result", node.id, "value")
    return replace(workflow, nodes=(*workflow.nodes, node), edges=(*workflow.edges, edge))


def drop_node(workflow: Workflow, place: int) -> Workflow:
    """A node goes with its edges."""
    gone = workflow.nodes[place].id
    return replace(
        workflow,
        nodes=workflow.nodes[:place] + workflow.nodes[place + 1 :],
        edges=tuple([edge for edge in workflow.edges if gone not in (edge.source, edge.target)]),
    )


def close_cycle(workflow: Workflow, place: int) -> Workflow:
    """An edge closes a cycle: it is named."""
    edge = workflow.edges[place]
    return replace(workflow, edges=(*workflow.edges, ControlEdge(edge.target, edge.source)))


def edit_times(
    checker: Checker, workflow: Workflow, edit: Callable[[Workflow, int], Workflow]
) -> list[float]:
    """Milliseconds that the checker takes after each of some edits, each undone before the next."""
    chance = random.Random(2)
    times = []
    for _ in range(EDITS):
        changed = edit(workflow, chance.randrange(NODES - 200))
        start = time.perf_counter()
        checker.edit(changed)
        times.append((time.perf_counter() - start) * 1e3)
        checker.edit(workflow)
    return times


def main() -> None:
    workflow, known = generate(NODES), operations()
    if validate(workflow, known):
        sys.exit("the generated workflow has faults")
    text = dumps(workflow)
    everything, loading = cpu(lambda: validate(workflow, known)), cpu(lambda: loads(text))
    print(
        f"{NODES:,} nodes, {len(workflow.edges):,} edges, {len(text) / 1e6:.1f} MB of JSON; CPU ms, medians"
    )
    print(f"  load                       {loading:8.1f}")
    print(f"  validate with types        {everything:8.1f}")
    print(f"  both                       {loading + everything:8.1f}")
    checker = Checker(workflow, known)
    print("after one edit               wall ms     worst   full / edit")
    for edit in (parameter, wrong_type, drop_edge, draw_edge, add_node, drop_node, close_cycle):
        times = edit_times(checker, workflow, edit)
        if checker.findings:
            sys.exit(f"{edit.__name__} left findings behind")
        middle = statistics.median(times)
        print(
            f"  {edit.__name__.replace('_', ' '):22} {middle:11.2f} {max(times):9.2f} {everything / middle:10.0f}x"
        )


if __name__ == "__main__":
    main()

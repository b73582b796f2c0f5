"""Loads, validates and compiles a workflow of 10,000 nodes and 30,000 edges; orders and walks it beside networkx.

Run it with `uv run --with networkx benchmarks/workflow_graph.py`. Figures are medians of CPU time. Cycle check and
deterministic order are one pass over a plan's lists of integers, which are counted apart as building the graph; for
networkx they are the same two steps. A million nodes are ordered with lists that are there already, three rounds.
"""

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from symphony_sdk.contributions import OperationSpec, PortSpec
from symphony_workflow import (
    DataEdge,
    OperatorNode,
    Workflow,
    compile_plan,
    dumps,
    loads,
    to_document,
    validate,
)
from symphony_workflow.plan import adjacency, topological_order
from symphony_workflow.traversal import critical_path, descendants

NODES, EDGES_PER_NODE, ROUNDS, MILLION = 10_000, 3, 7, 1_000_000


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


def median(work: Callable[[], Any]) -> float:
    """Milliseconds of CPU that `work` takes."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e3


def main() -> None:
    try:
        import networkx as nx
    except ImportError:
        sys.exit("networkx is missing: uv run --with networkx benchmarks/workflow_graph.py")
    workflow = generate(NODES)
    ports = tuple(
        PortSpec(f"value{number}", {"type": "number"}, required=False) for number in range(EDGES_PER_NODE)
    )
    operation = OperationSpec(
        "bench.graph.merge",
        "operator",
        inputs=(*ports, PortSpec("level", {"type": "integer"})),
        outputs=(PortSpec("result", {"type": "integer"}),),
    )
    operations = {operation.id: operation}
    text = dumps(workflow)
    loaded = loads(text)
    if loaded != workflow or validate(loaded, operations):
        sys.exit("the generated workflow did not come back as it was, or has faults")
    print(
        f"{NODES:,} nodes, {len(workflow.edges):,} edges, {len(text) / 1e6:.1f} MB of indented JSON; CPU ms, medians"
    )
    print(f"  loads                  {median(lambda: loads(text)):8.1f}")
    print(f"  validate with types    {median(lambda: validate(workflow, operations)):8.1f}")
    print(f"  to_document            {median(lambda: to_document(workflow)):8.1f}")
    print(f"  dumps                  {median(lambda: dumps(workflow)):8.1f}")
    print(f"  compile_plan           {median(lambda: compile_plan(workflow)):8.1f}")

    plan = compile_plan(workflow)
    pairs = [(plan.index[edge.source], plan.index[edge.target]) for edge in workflow.edges]
    children, _ = adjacency(NODES, pairs)
    ours_build = median(lambda: adjacency(NODES, pairs))
    ours_order = median(lambda: topological_order(children, plan.indegree))

    def build() -> Any:
        graph = nx.DiGraph()
        graph.add_nodes_from(range(NODES))
        graph.add_edges_from(pairs)
        return graph

    graph = build()
    peer_build = median(build)
    peer_order = median(lambda: list(nx.lexicographical_topological_sort(graph)))
    if list(nx.lexicographical_topological_sort(graph)) != plan.order:
        sys.exit("networkx orders the graph differently")
    middle = plan.nodes[plan.order[NODES // 2]].id
    number = plan.index[middle]
    print("                              ours  networkx   ratio")
    for name, ours, peer in (
        ("build the graph", ours_build, peer_build),
        ("cycle check and order", ours_order, peer_order),
        ("both", ours_build + ours_order, peer_build + peer_order),
        (
            "descendants",
            median(lambda: descendants(plan, [middle])),
            median(lambda: nx.descendants(graph, number)),
        ),
        ("critical path", median(lambda: critical_path(plan)), median(lambda: nx.dag_longest_path(graph))),
    ):
        print(f"  {name:22} {ours:9.1f} {peer:9.1f} {peer / ours:6.1f}x")
    million()


def million() -> None:
    """The order of a million nodes with three edges each."""
    chance = random.Random(1)
    ids = chance.sample(range(MILLION), MILLION)
    children, parents = adjacency(
        MILLION,
        (
            (ids[chance.randrange(max(0, number - 200), number)], ids[number])
            for number in range(1, MILLION)
            for _ in range(EDGES_PER_NODE)
        ),
    )
    times = []
    for _ in range(3):
        indegree = [len(one) for one in parents]
        gc.collect()
        start = time.process_time()
        if len(topological_order(children, indegree)) < MILLION:
            sys.exit("the order of a million nodes is not whole")
        times.append(time.process_time() - start)
    print(f"  cycle check and order of {MILLION:,} nodes: {statistics.median(times):.2f} s")


if __name__ == "__main__":
    main()

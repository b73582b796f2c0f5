from graphlib import CycleError, TopologicalSorter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import WorkflowError
from symphony_workflow import INPUTS, ControlEdge, DataEdge, OperatorNode, Workflow, compile_plan
from symphony_workflow.plan import shortest_cycle

IDS = "abcdefg"
pairs = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=14)


def workflow(edges, ids=IDS):
    nodes = tuple(OperatorNode(id=id, uses="a.b.c") for id in ids)
    return Workflow(id="x", nodes=nodes, edges=tuple(ControlEdge(*edge) for edge in edges))


def shortest_by_trial(edges):
    """The length of the shortest cycle, by following every edge from every node."""
    following = {id: {target for source, target in edges if source == id} for id in IDS}
    for length in range(1, len(IDS) + 1):
        for start in IDS:
            reached = {start}
            for _ in range(length):
                reached = set().union(*(following[node] for node in reached))
            if start in reached:
                return length
    return 0


@given(pairs)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_graph_has_an_order_or_a_shortest_cycle(edges):
    flow = workflow(edges)
    try:
        list(TopologicalSorter({id: {s for s, t in edges if t == id} for id in IDS}).static_order())
    except CycleError:
        with pytest.raises(WorkflowError, match="has a cycle") as refused:
            compile_plan(flow)
        cycle = refused.value.details["cycle"]
        assert all(step in edges for step in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
        assert len(cycle) == shortest_by_trial(edges)
        assert cycle[0] == min(cycle)
        return
    plan = compile_plan(flow)
    place = {node: position for position, node in enumerate(plan.order)}
    level = {node: depth for depth, nodes in enumerate(plan.levels) for node in nodes}
    assert sorted(plan.order) == sorted(level) == list(range(len(IDS)))
    for source, target in {(plan.index[s], plan.index[t]) for s, t in edges}:
        assert place[source] < place[target]
        assert level[source] < level[target]
        assert plan.priority[source] > plan.priority[target]
        assert plan.children[source].count(target) == plan.parents[target].count(source) == 1
    for node, parents in enumerate(plan.parents):
        assert level[node] == max((level[parent] + 1 for parent in parents), default=0)
        assert plan.priority[node] == max(
            (plan.priority[child] + 1 for child in plan.children[node]), default=1
        )
        assert plan.indegree[node] == len(parents)


@given(pairs, st.randoms(use_true_random=False))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_order_does_not_depend_on_the_order_of_the_file(edges, chance):
    upward = [(min(edge), max(edge)) for edge in edges if len(set(edge)) == 2]
    one = compile_plan(workflow(upward))
    other = compile_plan(workflow(chance.sample(upward, len(upward)), chance.sample(IDS, len(IDS))))
    assert (one.order, one.levels, one.priority) == (other.order, other.levels, other.priority)


def test_ties_are_ordered_by_id():
    plan = compile_plan(workflow([("g", "a"), ("c", "b")]))
    assert [plan.nodes[number].id for number in plan.order] == ["c", "b", "d", "e", "f", "g", "a"]


def test_edges_from_the_inputs_are_kept_but_wait_for_nothing():
    edge = DataEdge(INPUTS, "path", "a", "path")
    flow = Workflow(id="x", nodes=(OperatorNode(id="a", uses="a.b.c"),), edges=(edge,))
    plan = compile_plan(flow)
    assert (plan.edges_in, plan.indegree) == ([[edge]], [0])


def test_an_unknown_node_or_a_second_one_of_the_same_id_cannot_be_compiled():
    with pytest.raises(WorkflowError, match="names the node 'z'") as refused:
        compile_plan(workflow([("a", "z")]))
    assert refused.value.code == "SYM-W011"
    with pytest.raises(WorkflowError, match="two nodes have the id 'a'") as refused:
        compile_plan(workflow([], ids="aba"))
    assert refused.value.code == "SYM-W019"


def test_a_ring_of_thousands_of_nodes_is_named_whole():
    count = 5_000
    ids = [f"n{number:05}" for number in range(count)]
    ring = [(one, other) for one, other in zip(ids, [*ids[1:], ids[0]], strict=True)]
    with pytest.raises(WorkflowError) as refused:
        compile_plan(workflow(ring, ids))
    assert refused.value.details["cycle"] == ids


def test_the_search_for_a_cycle_is_bounded_in_a_tangle():
    count = 800
    children = [
        [other for other in range(count) if other != node and (other - node) % 3 == 1]
        for node in range(count)
    ]
    cycle = shortest_cycle(children, set(range(count)))
    assert all(other in children[one] for one, other in zip(cycle, [*cycle[1:], cycle[0]], strict=True))

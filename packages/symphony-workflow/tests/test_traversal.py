import itertools

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    INPUTS,
    ControlEdge,
    DataEdge,
    Expression,
    OperatorNode,
    SubworkflowNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
    compile_plan,
    validate,
)
from symphony_workflow.traversal import (
    ancestors,
    breadth_first,
    critical_path,
    depth_first,
    descendants,
    resolution,
    subgraph,
    to_networkx,
)

IDS = "abcdefgh"
upward = st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)).filter(lambda pair: pair[0] < pair[1])
graphs = st.lists(upward, max_size=16)
quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def flow(edges, ids=IDS, **more):
    nodes = tuple(OperatorNode(id=id, uses="a.b.c") for id in ids)
    return Workflow(id="x", nodes=nodes, edges=tuple(ControlEdge(*edge) for edge in edges), **more)


@given(graphs, st.sampled_from(IDS))
@quick
def test_what_is_before_and_after_a_node_is_what_networkx_finds(edges, id):
    workflow = flow(edges)
    plan, peer = compile_plan(workflow), to_networkx(workflow)
    place = {plan.nodes[number].id: at for at, number in enumerate(plan.order)}
    assert ancestors(plan, [id]) == sorted(nx.ancestors(peer, id), key=place.get)
    assert descendants(plan, [id]) == sorted(nx.descendants(peer, id), key=place.get)
    assert resolution(plan, [id]) == sorted({id, *nx.ancestors(peer, id)}, key=place.get)
    assert next(breadth_first(plan, id)) == next(depth_first(plan, id)) == id
    assert set(breadth_first(plan, id)) == set(depth_first(plan, id)) == {id, *nx.descendants(peer, id)}
    length = nx.single_source_shortest_path_length(peer, id)
    walked = [length[one] for one in breadth_first(plan, id)]
    assert walked == sorted(walked)


@given(graphs, st.lists(st.integers(0, 5), min_size=8, max_size=8))
@quick
def test_the_critical_path_is_the_longest_that_networkx_finds(edges, seconds):
    workflow = flow(edges)
    weights = dict(zip(IDS, seconds, strict=True))
    path, total = critical_path(compile_plan(workflow), lambda node: weights[node.id])
    assert total == sum(weights[id] for id in path)
    assert all((one, other) in edges for one, other in itertools.pairwise(path))
    peer = nx.DiGraph()
    peer.add_nodes_from((f"{id}{end}") for id in IDS for end in "<>")
    peer.add_weighted_edges_from((f"{id}<", f"{id}>", weights[id]) for id in IDS)
    peer.add_weighted_edges_from((f"{one}>", f"{other}<", 0) for one, other in edges)
    assert total == nx.dag_longest_path_length(peer)


def test_searches_go_by_id_and_name_the_nearest_of_an_unknown_node():
    plan = compile_plan(flow([("a", "d"), ("a", "b"), ("b", "e"), ("d", "c"), ("c", "e")]))
    assert list(breadth_first(plan, "a")) == ["a", "b", "d", "c", "e"]
    assert list(depth_first(plan, "a")) == ["a", "b", "e", "d", "c"]
    with pytest.raises(WorkflowError, match="no node 'z'") as refused:
        ancestors(plan, ["z"])
    assert refused.value.code == "SYM-W011"
    assert critical_path(compile_plan(Workflow(id="x"))) == ([], 0.0)


def test_a_part_of_a_workflow_is_a_workflow():
    nodes = (
        OperatorNode(id="read", uses="a.b.c"),
        OperatorNode(id="cut", uses="a.b.c", params={"at": Expression("inputs.limit")}),
        SubworkflowNode(id="store-it", uses="#inner"),
        OperatorNode(id="other", uses="a.b.c"),
    )
    inner = Workflow(id="inner", nodes=(OperatorNode(id="n", uses="a.b.c"),))
    workflow = Workflow(
        id="x",
        nodes=nodes,
        edges=(
            DataEdge(INPUTS, "path", "read", "path"),
            DataEdge("read", "text", "cut", "text"),
            DataEdge("cut", "text", "store-it", "text"),
            DataEdge("store-it", "key", "other", "key"),
            DataEdge("read", "text", "other", "text"),
            ControlEdge("cut", "other"),
            DataEdge(INPUTS, "read_text", "other", "more"),
        ),
        inputs=(WorkflowInput("path"), WorkflowInput("limit"), WorkflowInput("read_text")),
        outputs=(WorkflowOutput("a", "cut", "text"), WorkflowOutput("b", "other", "x")),
        workflows=(inner,),
    )
    plan = compile_plan(workflow)
    before = subgraph(workflow, plan, ["cut"], "to")
    assert [node.id for node in before.nodes] == ["read", "cut"]
    assert [one.name for one in before.inputs] == ["path", "limit"]
    assert ([one.name for one in before.outputs], before.workflows) == (["a"], ())
    assert validate(before) == []
    after = subgraph(workflow, plan, ["store-it"], "from")
    assert [node.id for node in after.nodes] == ["store-it", "other"]
    assert [one.name for one in after.inputs] == ["read_text", "cut_text", "read_text_2"]
    assert DataEdge(INPUTS, "cut_text", "store-it", "text") in after.edges
    assert DataEdge(INPUTS, "read_text_2", "other", "text") in after.edges
    assert ([one.name for one in after.outputs], after.workflows) == (["b"], (inner,))
    compile_plan(after)


def test_networkx_is_given_every_node_and_edge():
    workflow = Workflow(
        id="x",
        nodes=(OperatorNode(id="a", uses="a.b.c"),),
        edges=(DataEdge(INPUTS, "p", "a", "x"), DataEdge(INPUTS, "p", "a", "y")),
    )
    graph = to_networkx(workflow)
    assert graph.nodes["a"]["node"] is workflow.nodes[0]
    assert [edge["kind"] for _, _, edge in graph.edges(data=True)] == ["data", "data"]


def test_without_networkx_there_is_a_hint(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    with pytest.raises(WorkflowError) as refused:
        to_networkx(Workflow(id="x"))
    assert (refused.value.code, "Install it" in refused.value.hint) == ("SYM-W089", True)

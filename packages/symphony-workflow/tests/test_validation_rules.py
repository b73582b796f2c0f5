"""The rules about control nodes, ways, sub-workflows, resources, versions and unknown fields."""

import itertools
from dataclasses import replace

import pytest
from symphony_sdk.contributions import OperationSpec, PortSpec
from symphony_sdk.error_codes import CATALOGUE
from symphony_workflow import (
    INPUTS,
    ApprovalNode,
    BranchNode,
    CachePolicy,
    Case,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Expression,
    JoinNode,
    LoopNode,
    MapNode,
    OperatorNode,
    Resources,
    RetryPolicy,
    SubworkflowNode,
    SwitchNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
    validate,
)

WALK = OperatorNode(id="walk", uses="symphony.files.walk", params={"path": "."})
REPORT = OperatorNode(id="report", uses="symphony.report.html")
CLEAN = Workflow(
    id="clean",
    nodes=(OperatorNode(id="walk", uses="symphony.files.walk"),),
    edges=(DataEdge(INPUTS, "path", "walk", "path"),),
    inputs=(WorkflowInput("path", {"type": "string"}),),
    outputs=(WorkflowOutput("files", "walk", "files"), WorkflowOutput("count", "walk", "count")),
)


def flow(*nodes, edges=(), **more):
    return Workflow(id="x", nodes=nodes, edges=tuple(edges), **more)


def of(findings, code):
    assert code in CATALOGUE
    return [finding for finding in findings if finding.code == code]


def only(findings):
    (found,) = findings
    return found


# -- ways ------------------------------------------------------------------------------------------


def test_what_follows_a_way_that_is_never_taken_can_never_run():
    workflow = flow(
        WALK,
        BranchNode(id="way", condition="big", params={"big": False}),
        replace(REPORT, id="a"),
        replace(REPORT, id="b"),
        replace(REPORT, id="c"),
        edges=[
            DataEdge("walk", "files", "way", "value"),
            DataEdge("way", "then", "a", "rows"),
            DataEdge("way", "else", "b", "rows"),
            ControlEdge("a", "c"),
        ],
    )
    findings = validate(workflow)
    (constant,) = of(findings, "SYM-W082")
    assert (constant.node, constant.port, constant.severity) == ("way", "then", "warning")
    first, second = of(findings, "SYM-W024")
    assert (first.node, first.message) == (
        "a",
        "node 'a' can never run: `way.then` is never taken, `big` is always false",
    )
    assert (second.node, second.message) == (
        "c",
        "node 'c' can never run: it waits for 'a', which never runs",
    )


def test_a_condition_that_an_edge_feeds_is_not_taken_to_be_constant():
    way = BranchNode(id="way", condition="big", params={})
    edges = [DataEdge(INPUTS, "big", "way", "big"), ControlEdge("way", "walk")]
    assert validate(flow(way, WALK, edges=edges, inputs=(WorkflowInput("big"),))) == []


def test_edges_whose_condition_never_changes_are_found():
    edges = [ConditionalEdge("walk", "a", "1 > 2"), ConditionalEdge("walk", "b", "true")]
    findings = validate(flow(WALK, replace(WALK, id="a"), replace(WALK, id="b"), edges=edges))
    false, true = of(findings, "SYM-W082")
    assert (false.node, false.edge, "always false" in false.message) == ("a", 0, True)
    assert (true.node, true.edge, true.hint) == ("b", 1, "Use a control edge instead.")
    assert only(of(findings, "SYM-W024")).node == "a"


@pytest.mark.parametrize("between", [False, True])
def test_a_node_cannot_wait_for_both_ways_of_a_branch_but_a_join_can(between):
    middle = OperatorNode(id="middle", uses="a.b.c")
    last = JoinNode(id="last") if between else OperatorNode(id="last", uses="a.b.c")
    edges = [
        DataEdge("walk", "count", "way", "value"),
        DataEdge("way", "then", "middle", "x"),
        DataEdge("middle", "y", "last", "x"),
        DataEdge("way", "else", "last", "z"),
    ]
    findings = validate(flow(WALK, BranchNode(id="way", condition="value > 1"), middle, last, edges=edges))
    excluded = of(findings, "SYM-W025")
    if between:
        assert findings == []
    else:
        assert only(excluded).message == (
            "node 'last' can never run: it waits for `way.else` and for `way.then`, of which only one is taken"
        )
        assert only(excluded).severity == "error"


def test_after_a_join_a_node_may_wait_for_what_only_one_way_gave():
    edges = [
        DataEdge("walk", "count", "way", "value"),
        DataEdge("way", "then", "join", "a"),
        DataEdge("way", "else", "join", "b"),
        DataEdge("join", "value", "last", "x"),
        ControlEdge("walk", "last"),
    ]
    nodes = (
        WALK,
        BranchNode(id="way", condition="value > 1"),
        JoinNode(id="join"),
        replace(REPORT, id="last"),
    )
    assert validate(flow(*nodes, edges=edges)) == []


def test_a_join_that_can_get_nothing_is_found():
    way = BranchNode(id="way", condition="false")
    edges = [DataEdge("way", "then", "join", "a"), ControlEdge("way", "walk")]
    findings = validate(flow(way, JoinNode(id="join"), WALK, edges=edges))
    assert "every way to it is closed" in only(of(findings, "SYM-W024")).message
    one_way = [ControlEdge("walk", "b")]
    findings = validate(
        flow(WALK, JoinNode(id="a"), JoinNode(id="b", wait=2, params={"x": 1}), edges=one_way)
    )
    assert only(of(findings, "SYM-W016")).node == "a"
    assert only(of(findings, "SYM-W025")).node == "b"


def test_a_join_whose_open_ways_are_too_few_can_never_run():
    edges = [
        ControlEdge("walk", "join"),
        ConditionalEdge("walk", "join", "false"),
        ConditionalEdge("walk", "join", "count > 3"),
    ]
    assert of(validate(flow(WALK, JoinNode(id="join", wait=2), edges=edges)), "SYM-W024") == []
    found = only(of(validate(flow(WALK, JoinNode(id="join", wait=3), edges=edges)), "SYM-W024"))
    assert "it waits for 3 inputs, and 2 can arrive" in found.message


def test_both_answers_of_an_approval_exclude_each_other_but_not_the_answer_itself():
    ask = ApprovalNode(id="ask", prompt="Publish?", params={"value": 1})
    both = [DataEdge("ask", "approved", "n", "x"), DataEdge("ask", "rejected", "n", "y")]
    (found,) = validate(flow(ask, OperatorNode(id="n", uses="a.b.c"), edges=both))
    assert found.code == "SYM-W025"
    told = [DataEdge("ask", "approved", "n", "x"), DataEdge("ask", "answer", "n", "y")]
    assert validate(flow(ask, OperatorNode(id="n", uses="a.b.c"), edges=told)) == []


def test_cases_that_can_never_be_reached_are_found():
    cases = (Case("a", "value == 1"), Case("b", "value == 1"), Case("c", "true"), Case("d", "value == 2"))
    edges = [ControlEdge("walk", "way"), *(DataEdge("way", port, "n", port) for port in "abcd")]
    findings = validate(
        flow(WALK, SwitchNode(id="way", cases=cases, params={}), JoinNode(id="n"), edges=edges)
    )
    found = {finding.port: finding.message for finding in of(findings, "SYM-W082")}
    assert found.keys() == {"b", "d", "default"}
    assert "the case 'a' before it has the same condition" in found["b"]
    assert "the case 'c' before it always holds" in found["d"]


def test_decisions_that_nothing_follows_are_warned_of():
    switch = SwitchNode(id="way", cases=(Case("a", "value == 1"), Case("b", "value == 2")))
    edges = [ControlEdge("walk", "way"), ControlEdge("walk", "ask")]
    findings = validate(flow(WALK, switch, ApprovalNode(id="ask", prompt="?"), edges=edges))
    assert [one.node for one in of(findings, "SYM-W083")] == ["ask", "way"]
    edges.append(DataEdge("way", "a", "ask", "value"))
    findings = validate(flow(WALK, switch, ApprovalNode(id="ask", prompt="?"), edges=edges))
    assert [(one.node, one.port) for one in of(findings, "SYM-W083")] == [("ask", ""), ("way", "b")]


# -- nodes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "node",
    [
        SwitchNode(id="a", cases=()),
        SwitchNode(id="a", cases=(Case("default", "true"),)),
        SwitchNode(id="a", cases=(Case("not a name", "true"),)),
        ApprovalNode(id="a", prompt=" "),
        ApprovalNode(id="a", prompt="?", timeout=0),
        JoinNode(id="a", wait=0, params={"x": 1}),
        LoopNode(id="a", uses="a.b.c", until="iteration > 3", max_iterations=0),
        MapNode(id="a", uses="a.b.c", over="x", max_items=0),
        OperatorNode(id="a", uses="a.b.c", retry=RetryPolicy(2, jitter=2)),
        OperatorNode(id="a", uses="a.b.c", retry=RetryPolicy(2, delay=float("nan"))),
        OperatorNode(id="a", uses="a.b.c", cache=CachePolicy(ttl=0)),
        OperatorNode(id="a", uses="#clean"),
        SubworkflowNode(id="a", uses="a.b.c"),
    ],
)
def test_numbers_and_names_out_of_range_are_errors(node):
    found = of(validate(flow(node, workflows=(CLEAN,))), "SYM-W020")
    assert [(one.severity, one.node) for one in found] == [("error", "a")]
    assert found[0].hint


def test_two_cases_of_one_name_are_found():
    node = SwitchNode(id="way", cases=(Case("a", "value == 1"), Case("a", "value == 2")))
    assert only(of(validate(flow(node)), "SYM-W019")).port == "a"


def test_resources_below_zero_or_above_what_there_is_are_impossible():
    needs = replace(WALK, resources=Resources(cpu=-1, memory=1 << 40, gpu=2, custom={"licence": 1}))
    assert [one.node for one in of(validate(flow(needs)), "SYM-W027")] == ["walk"]
    capacity = Resources(cpu=4, memory=1 << 30, gpu=2)
    messages = [one.message for one in of(validate(flow(needs), capacity=capacity), "SYM-W027")]
    assert len(messages) == 3
    assert "node 'walk' needs 1 of licence, and 0 is all there is" in messages


def test_a_node_made_for_another_version_is_an_error_where_that_is_newer(operations):
    newer, older = replace(WALK, version=3), replace(WALK, id="old", version=1)
    operations["symphony.files.walk"] = OperationSpec(
        "symphony.files.walk", "operator", (PortSpec("path", {}),), version=2
    )
    edges = [ControlEdge("walk", "old")]
    found = of(validate(flow(newer, older, edges=edges), operations), "SYM-W028")
    assert {(one.node, one.severity) for one in found} == {("walk", "error"), ("old", "warning")}


def test_unknown_fields_are_warned_of_with_the_nearest_but_notes_are_not():
    notes = {"x-colour": 1, "// why": 2, "$comment": 3}
    workflow = flow(
        replace(WALK, extra={"parms": {}, **notes}),
        replace(WALK, id="next"),
        edges=[ControlEdge("walk", "next", extra={"form": "walk", **notes})],
        inputs=(WorkflowInput("i", extra={"requird": True}),),
        extra={"ouputs": {}, **notes},
    )
    hints = {(one.node, one.edge): one.hint for one in of(validate(workflow), "SYM-W029") if one.node}
    assert hints == {("walk", None): "Did you mean 'params'?", ("next", 0): "Did you mean 'from'?"}
    whole = [one.hint for one in of(validate(workflow), "SYM-W029") if not one.node]
    assert sorted(whole) == ["Did you mean 'outputs'?", "Did you mean 'required'?"]


# -- conditions and expressions --------------------------------------------------------------------


def test_a_condition_is_typed_by_the_ports_that_it_looks_at(operations):
    edges = [ConditionalEdge("walk", "next", "count.startsWith('a')")]
    found = only(of(validate(flow(WALK, replace(WALK, id="next"), edges=edges), operations), "SYM-W021"))
    assert (found.node, found.edge) == ("next", 0)


def test_an_expression_may_use_other_inputs_and_those_of_the_workflow(operations):
    def made(text):
        node = replace(WALK, params={"path": Expression(text), "include": ["*.py"]})
        return flow(node, inputs=(WorkflowInput("root", {"type": "string"}),))

    assert validate(made("inputs.root + include[0]"), operations) == []
    found = only(of(validate(made("inputs.root + nothing"), operations), "SYM-W021"))
    assert (found.node, found.port, "nothing" in found.message) == ("walk", "path", True)
    assert of(validate(made("size(inputs.root)"), operations), "SYM-W021")
    unused = only(of(validate(made("'a'"), operations), "SYM-W018"))
    assert unused.port == "root"


def test_an_expression_sees_neither_other_expressions_nor_an_input_named_inputs():
    computed = {"a": Expression("1 + 2"), "b": Expression("a + 1")}
    found = only(validate(flow(OperatorNode(id="n", uses="a.b.c", params=computed))))
    assert (found.code, found.port) == ("SYM-W021", "b")
    reserved = {"inputs": 3, "b": Expression("1 + 2")}
    found = only(validate(flow(OperatorNode(id="n", uses="a.b.c", params=reserved))))
    assert (found.code, found.port) == ("SYM-W020", "inputs")


def test_the_condition_of_a_loop_sees_an_iterations_outputs_and_its_number(operations):
    def loop(**more):
        node = LoopNode(
            id="loop",
            uses="symphony.files.walk",
            params={"path": "."},
            max_iterations=5,
            **{"until": "false", **more},
        )
        return validate(flow(node), operations)

    assert loop(until="iteration > 3 && count > 10") == []
    assert only(loop(until="iteration > 3 && cout > 10")).code == "SYM-W021"
    endless = only(loop())
    assert (endless.code, "always reaches its bound of 5" in endless.message) == ("SYM-W082", True)
    assert "stops after one" in only(loop(until="true")).message


# -- maps and loops --------------------------------------------------------------------------------


def test_what_a_loop_carries_has_to_exist_and_to_fit(operations):
    def carry(**ports):
        node = LoopNode(
            id="l",
            uses="symphony.files.walk",
            params={"path": "."},
            until="count > 3",
            max_iterations=5,
            carry=ports,
        )
        return validate(flow(node), operations)

    assert carry(include="files") == []
    assert [(one.code, one.port) for one in carry(inclde="files")] == [("SYM-W012", "inclde")]
    assert [(one.code, one.port) for one in carry(include="file")] == [("SYM-W012", "file")]
    assert [(one.code, one.port) for one in carry(path="count")] == [("SYM-W015", "path")]


def test_a_loop_gives_names_of_its_own_a_meaning():
    spec = OperationSpec("a.b.c", "operator", (), (PortSpec("iteration", {}),))
    node = LoopNode(id="l", uses="a.b.c", until="iteration > 3", max_iterations=5)
    assert only(validate(flow(node), {"a.b.c": spec})).code == "SYM-W020"


def test_a_map_over_any_length_is_warned_of_unless_its_list_is_bounded(operations):
    node = MapNode(id="m", uses="symphony.filetype.classify", over="path", max_items=None)
    edges = [DataEdge(INPUTS, "files", "m", "path")]
    strings = {"type": "array", "items": {"type": "string"}}

    def given(schema):
        return validate(flow(node, edges=edges, inputs=(WorkflowInput("files", schema),)), operations)

    assert only(given(strings)).code == "SYM-W026"
    assert given({**strings, "maxItems": 100}) == []
    assert validate(flow(replace(node, params={"path": ["a"]})), operations) == []


def test_maps_within_maps_multiply(operations):
    inner = MapNode(id="m", uses="symphony.filetype.classify", over="path", max_items=2_000)
    inside = flow(
        inner,
        edges=[DataEdge(INPUTS, "paths", "m", "path")],
        inputs=(WorkflowInput("paths"),),
    )
    inside = replace(inside, id="inside")
    outer = MapNode(id="outer", uses="#inside", over="paths", max_items=1_000)
    edges = [DataEdge(INPUTS, "all", "outer", "paths")]

    def whole(node):
        return validate(
            flow(node, edges=edges, inputs=(WorkflowInput("all"),), workflows=(inside,)), operations
        )

    found = only(whole(outer))
    assert (found.code, found.node, "2,000,000 calls" in found.message) == ("SYM-W026", "outer", True)
    assert whole(replace(outer, max_items=500)) == []


# -- sub-workflows ---------------------------------------------------------------------------------


def test_a_sub_workflow_gives_its_types_to_the_nodes_that_run_it(operations):
    run = SubworkflowNode(id="run", uses="#clean", params={"path": "."})
    fits = flow(run, REPORT, edges=[DataEdge("run", "files", "report", "rows")], workflows=(CLEAN,))
    assert validate(fits, operations) == []
    wrong = replace(fits, edges=(DataEdge("run", "count", "report", "rows"),))
    assert (
        "gives integer, but `report.rows` takes list of string" in only(validate(wrong, operations)).message
    )
    missing = replace(fits, nodes=(replace(run, params={}), REPORT))
    assert [(one.code, one.port) for one in validate(missing, operations)] == [("SYM-W016", "path")]


def test_the_findings_of_a_sub_workflow_say_that_they_are_its(operations):
    broken = replace(CLEAN, nodes=(OperatorNode(id="walk", uses="symphony.files.wolk"),))
    run = SubworkflowNode(id="run", uses="#clean", params={"path": "."})
    found = only(validate(flow(run, workflows=(broken,)), operations))
    assert (found.workflow, found.node, found.code) == ("clean", "walk", "SYM-W013")


def test_an_unknown_sub_workflow_names_the_nearest_and_an_unused_one_is_warned_of(operations):
    findings = validate(flow(SubworkflowNode(id="run", uses="#claen"), workflows=(CLEAN,)), operations)
    assert only(of(findings, "SYM-W013")).hint == "Did you mean '#clean'?"
    unused = only(of(findings, "SYM-W081"))
    assert (unused.severity, "'clean'" in unused.message) == ("warning", True)


def test_sub_workflows_that_run_themselves_are_named_as_a_ring(operations):
    def runs(id, other):
        return Workflow(id=id, nodes=(SubworkflowNode(id="next", uses=f"#{other}"),))

    family = (runs("a", "b"), runs("b", "c"), runs("c", "a"))
    found = only(validate(flow(SubworkflowNode(id="n", uses="#b"), workflows=family), operations))
    assert (found.code, found.workflow, found.node) == ("SYM-W080", "a", "next")
    assert "#a -> #b -> #c -> #a" in found.message


def test_sub_workflows_of_sub_workflows_and_two_of_one_name_are_refused(operations):
    nested = replace(CLEAN, workflows=(replace(CLEAN, id="inner"),))
    run = SubworkflowNode(id="run", uses="#clean", params={"path": "."})
    assert [one.code for one in validate(flow(run, workflows=(nested,)), operations)] == ["SYM-W020"]
    assert [one.code for one in validate(flow(run, workflows=(CLEAN, CLEAN)), operations)] == ["SYM-W019"]


# -- types that flow -------------------------------------------------------------------------------


def test_a_join_gives_what_the_ways_that_it_brings_together_give(operations):
    def joined(port):
        return flow(
            WALK,
            BranchNode(id="way", condition="size(value) > 3"),
            JoinNode(id="join"),
            REPORT,
            edges=[
                DataEdge("walk", "files", "way", "value"),
                DataEdge("way", "then", "join", "a"),
                DataEdge("walk", port, "join", "b"),
                DataEdge("join", "value", "report", "rows"),
            ],
        )

    assert validate(joined("files"), operations) == []
    found = only(validate(joined("count"), operations))
    assert (found.code, "integer" in found.message) == ("SYM-W015", True)


def test_a_long_row_of_branches_passes_its_type_on(operations):
    ids = [f"b{number}" for number in range(3_000)]
    edges = [
        DataEdge("walk", "count", ids[0], "value"),
        *(DataEdge(one, "then", other, "value") for one, other in itertools.pairwise(ids)),
        DataEdge(ids[-1], "then", "report", "rows"),
    ]
    nodes = (WALK, *(BranchNode(id=id, condition="value > 3") for id in ids), REPORT)
    assert [(one.code, one.node) for one in validate(flow(*nodes, edges=edges), operations)] == [
        ("SYM-W015", "report")
    ]

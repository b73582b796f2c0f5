from dataclasses import replace

import pytest
from symphony_sdk.contributions import OperationSpec, PortSpec
from symphony_sdk.error_codes import CATALOGUE
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    INPUTS,
    BranchNode,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    InstrumentNode,
    MapNode,
    OperatorNode,
    RetryPolicy,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
    check,
    map_result,
    node_ports,
    validate,
)


def of(findings, code):
    return [finding for finding in findings if finding.code == code]


def graph(*edges, nodes="abc", **more):
    made = tuple(OperatorNode(id=id, uses="acme.test.any") for id in nodes)
    return Workflow(id="x", nodes=made, edges=edges, **more)


WALK = OperatorNode(id="walk", uses="symphony.files.walk", params={"path": "."})


def test_a_workflow_without_a_fault_has_no_findings(atlas, operations):
    assert validate(atlas) == []
    assert validate(atlas, operations) == []
    assert check(atlas, operations) == []


def test_every_fault_is_found_in_one_pass(operations):
    workflow = Workflow(
        id="a b",
        nodes=(
            OperatorNode(id="walk", uses="symphony.files.wolk"),
            InstrumentNode(id="again", uses="symphony.files.walk"),
            OperatorNode(id="alone", uses="symphony.report.html"),
            BranchNode(id="way", condition="size( > 3"),
        ),
        edges=(
            DataEdge("wark", "files", "again", "path"),
            ControlEdge("again", "way"),
            ControlEdge("way", "again"),
        ),
        inputs=(WorkflowInput("unused"),),
    )
    findings = validate(workflow, operations)
    assert {finding.code for finding in findings} == {
        "SYM-W010",
        "SYM-W011",
        "SYM-W013",
        "SYM-W014",
        "SYM-W016",
        "SYM-W018",
        "SYM-W020",
        "SYM-W021",
    }
    with pytest.raises(WorkflowError) as refused:
        check(workflow, operations)
    assert refused.value.code == "SYM-W001"
    assert len(refused.value.details["findings"]) == len(findings)
    for finding in findings:
        assert finding.code in CATALOGUE
        assert (finding.message in refused.value.message) == (finding.severity == "error")


def test_warnings_alone_refuse_nothing():
    findings = check(graph(ControlEdge("a", "b")))
    assert [(one.severity, one.code, one.node) for one in findings] == [("warning", "SYM-W018", "c")]


def test_a_cycle_is_named_by_its_shortest_path():
    ring = [ControlEdge(one, other) for one, other in ("ab", "bc", "cd", "da", "db", "de")]
    (found,) = of(validate(graph(*ring, nodes="abcde")), "SYM-W010")
    assert "b -> c -> d -> b" in found.message
    (itself,) = of(
        validate(graph(ControlEdge("a", "a"), ControlEdge("a", "b"), ControlEdge("b", "a"))), "SYM-W010"
    )
    assert itself.message == "there is a cycle: a -> a"


def test_an_edge_to_an_unknown_node_names_the_nearest():
    workflow = graph(
        DataEdge("wallk", "x", "b", "y"), nodes=["walk", "b"], outputs=(WorkflowOutput("r", "bb", "x"),)
    )
    output, edge = of(validate(workflow), "SYM-W011")
    assert (edge.node, edge.edge, edge.hint) == ("wallk", 0, "Did you mean 'walk'?")
    assert (output.port, output.hint) == ("r", "Did you mean 'b'?")


def test_the_inputs_of_the_workflow_can_only_be_taken_by_data_edges_that_know_them():
    workflow = graph(
        DataEdge(INPUTS, "pth", "a", "x"),
        ControlEdge(INPUTS, "b"),
        inputs=(WorkflowInput("path"),),
        nodes="ab",
    )
    findings = validate(workflow)
    assert of(findings, "SYM-W012")[0].hint == "Did you mean 'path'?"
    assert of(findings, "SYM-W011")[0].node == INPUTS
    assert of(findings, "SYM-W018")[0].port == "path"


def test_an_unknown_node_type_names_the_nearest_operation(operations):
    node = OperatorNode(id="walk", uses="symphony.file.walk")
    (found,) = validate(Workflow(id="x", nodes=(node,)), operations)
    assert (found.code, found.node, found.hint) == ("SYM-W013", "walk", "Did you mean 'symphony.files.walk'?")
    (found,) = validate(Workflow(id="x", nodes=(node,)), {})
    assert "Install the extension" in found.hint


def test_unknown_ports_are_found_on_every_side(operations):
    workflow = Workflow(
        id="x",
        nodes=(
            replace(WALK, params={"path": ".", "inclued": []}),
            MapNode(id="kinds", uses="symphony.filetype.classify", over="pat"),
        ),
        edges=(DataEdge("walk", "file", "kinds", "path"), DataEdge("walk", "files", "kinds", "paths")),
        outputs=(WorkflowOutput("r", "kinds", "result"),),
    )
    found = of(validate(workflow, operations), "SYM-W012")
    assert {(one.node, one.port, one.hint) for one in found} == {
        ("walk", "inclued", "Did you mean 'include'?"),
        ("walk", "file", "Did you mean 'files'?"),
        ("kinds", "pat", "Did you mean 'path'?"),
        ("kinds", "paths", "Did you mean 'path'?"),
        ("kinds", "result", "Did you mean 'results'?"),
    }


def test_types_that_do_not_fit_are_both_shown(operations):
    workflow = Workflow(
        id="x",
        nodes=(WALK, OperatorNode(id="report", uses="symphony.report.html", params={"title": 3})),
        edges=(DataEdge("walk", "count", "report", "rows"), DataEdge("walk", "count", "report", "share")),
    )
    edge, literal = of(validate(workflow, operations), "SYM-W015")
    assert (literal.node, literal.port) == ("report", "title")
    assert "3 is not string" in literal.message
    assert (edge.node, edge.port, edge.edge) == ("report", "rows", 0)
    assert "`walk.count` gives integer, but `report.rows` takes list of string" in edge.message


def test_a_default_and_an_input_that_may_be_left_out_are_typed(operations):
    inputs = (
        WorkflowInput("path", {"type": "string"}, required=False),
        WorkflowInput("title", {"type": "string"}, required=False, default=3),
    )
    edges = (DataEdge(INPUTS, "path", "walk", "path"), DataEdge(INPUTS, "title", "walk", "include"))
    nodes = (replace(WALK, params={}),)
    default, wrong, null = of(
        validate(Workflow(id="x", nodes=nodes, edges=edges, inputs=inputs), operations), "SYM-W015"
    )
    assert "gives string or null" in null.message
    assert "gives string, but `walk.include` takes list of string" in wrong.message
    assert (default.port, "3 is not string" in default.message) == ("title", True)


def test_a_missing_input_is_named_with_its_type(operations):
    (found,) = validate(Workflow(id="x", nodes=(replace(WALK, params={}),)), operations)
    assert (found.code, found.node, found.port) == ("SYM-W016", "walk", "path")
    assert "(string)" in found.message


def test_an_input_given_twice_names_both_givers(operations):
    edges = (DataEdge(INPUTS, "p", "walk", "path"), DataEdge(INPUTS, "q", "walk", "path"))
    inputs = (WorkflowInput("p"), WorkflowInput("q"))
    first, second = validate(Workflow(id="x", nodes=(WALK,), edges=edges, inputs=inputs), operations)
    assert (first.code, second.code) == ("SYM-W017", "SYM-W017")
    assert "by its params and the edge `$inputs.p -> walk.path`" in first.message
    assert "by the edge `$inputs.p -> walk.path` and the edge `$inputs.q -> walk.path`" in second.message


def test_a_map_over_a_single_value_is_refused(operations):
    workflow = Workflow(
        id="x",
        nodes=(WALK, MapNode(id="kinds", uses="symphony.filetype.classify", over="path")),
        edges=(DataEdge("walk", "count", "kinds", "path"),),
    )
    (found,) = validate(workflow, operations)
    assert (found.code, found.node, found.port, found.edge) == ("SYM-W022", "kinds", "path", 0)
    assert "which is integer and no list" in found.message


def test_a_map_gives_a_list_of_what_its_operation_gives(operations):
    node = MapNode(id="m", uses="symphony.filetype.classify", over="path")
    ports = node_ports(node, operations)
    assert ports.inputs["path"].schema == {"type": "array", "items": {"type": "string"}}
    assert ports.outputs["results"].schema == {"type": "array", "items": {"type": "string"}}
    collecting = node_ports(replace(node, on_error="collect"), operations)
    assert collecting.outputs["results"].schema["items"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert collecting.outputs.keys() == {"results", "errors"}
    several = node_ports(replace(node, uses="symphony.files.walk"), operations)
    assert several.outputs["results"].schema["items"]["required"] == ["files", "count"]
    assert node_ports(replace(node, uses="acme.no.such"), operations) is None


def test_a_map_keeps_the_definitions_of_its_operations_types():
    point = {"$ref": "#/$defs/Point", "$defs": {"Point": {"type": "object", "title": "Point"}}}
    other = {"$ref": "#/$defs/Point", "$defs": {"Point": {"type": "string"}}}
    spec = OperationSpec(
        "a.b.c", "operator", (PortSpec("p", point),), (PortSpec("x", point), PortSpec("y", other))
    )
    ports = node_ports(MapNode(id="m", uses="a.b.c", over="p"), {"a.b.c": spec})
    assert ports.inputs["p"].schema["$defs"] == point["$defs"]
    assert ports.outputs["results"].schema["$defs"] == {"Point": {}}


def test_one_result_of_a_map_is_the_only_output_or_all_by_name():
    assert map_result({"result": 3}) == 3
    assert map_result({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert map_result({}) == {}


def test_a_branch_passes_on_the_type_that_it_is_given(operations):
    def report(source):
        return Workflow(
            id="x",
            nodes=(
                WALK,
                BranchNode(id="one", condition="value == value"),
                BranchNode(id="two", condition="value == value"),
                OperatorNode(id="report", uses="symphony.report.html"),
            ),
            edges=(
                DataEdge("walk", source, "one", "value"),
                DataEdge("one", "then", "two", "value"),
                DataEdge("two", "else", "report", "rows"),
            ),
        )

    assert validate(report("files"), operations) == []
    (found,) = validate(report("count"), operations)
    assert (found.code, found.node) == ("SYM-W015", "report")


def test_branches_in_a_ring_are_a_cycle_and_no_endless_search(operations):
    nodes = (BranchNode(id="a", condition="value"), BranchNode(id="b", condition="value"))
    edges = (DataEdge("a", "then", "b", "value"), DataEdge("b", "then", "a", "value"))
    assert [one.code for one in validate(Workflow(id="x", nodes=nodes, edges=edges), operations)] == [
        "SYM-W010"
    ]


def test_conditions_are_checked_against_what_they_are_given(operations):
    workflow = Workflow(
        id="x",
        nodes=(
            WALK,
            replace(WALK, id="next"),
            BranchNode(id="way", condition="value > limit", params={"value": 3}),
        ),
        edges=(
            ConditionalEdge("walk", "next", "count > 3 && fils.size() > 1"),
            ConditionalEdge("walk", "next", "count >"),
            ControlEdge("next", "way"),
        ),
    )
    names, syntax, branch = of(validate(workflow, operations), "SYM-W021")
    assert (names.edge, "`fils` is not given" in names.message, names.hint) == (
        0,
        True,
        "It can use the outputs of 'walk': count, files.",
    )
    assert (syntax.edge, "is not CEL" in syntax.message) == (1, True)
    assert (branch.node, "`limit` is not given" in branch.message, branch.hint) == (
        "way",
        True,
        "It can use the inputs of 'way': value.",
    )


def test_names_and_numbers_out_of_range_are_found():
    workflow = Workflow(
        id="x",
        nodes=(
            OperatorNode(id="a b", uses="Count", params={"x y": 1}, timeout=0, retry=RetryPolicy(0)),
            MapNode(id="m", uses="a.b.c", over="p", concurrency=0),
            OperatorNode(id="m", uses="a.b.c"),
        ),
        inputs=(WorkflowInput("p q"), WorkflowInput("r"), WorkflowInput("r")),
    )
    findings = validate(workflow)
    assert len(of(findings, "SYM-W020")) == 7
    assert {(one.node, one.port) for one in of(findings, "SYM-W019")} == {("m", ""), ("", "r")}


def test_a_workflow_without_nodes_is_refused():
    with pytest.raises(WorkflowError, match="no nodes"):
        check(Workflow(id="x"))


def test_thousands_of_misspelt_names_are_all_found():
    edges = tuple(ControlEdge(f"x{number}", f"y{number}") for number in range(2_000))
    findings = of(validate(graph(*edges, nodes=[f"n{number}" for number in range(500)])), "SYM-W011")
    assert len(findings) == 4_000
    with pytest.raises(WorkflowError, match="and 3980 more"):
        check(graph(*edges, nodes=["n"]))

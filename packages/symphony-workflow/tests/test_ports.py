import pytest
from symphony_sdk.contributions import OperationSpec, PortSpec
from symphony_workflow import (
    ApprovalNode,
    BranchNode,
    Case,
    JoinNode,
    LoopNode,
    MapNode,
    OperatorNode,
    SubworkflowNode,
    SwitchNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
    node_ports,
)

STRING = {"type": "string"}
CLEAN = Workflow(
    id="clean",
    inputs=(WorkflowInput("text", STRING), WorkflowInput("mode", required=False, description="How")),
    outputs=(WorkflowOutput("clean", "a", "result"),),
)
LOCAL = {"clean": CLEAN}


def ports_of(node, operations=None, workflows=LOCAL):
    ports = node_ports(node, operations or {}, workflows)
    return list(ports.inputs), list(ports.outputs), ports.any_input


@pytest.mark.parametrize(
    ("node", "outputs"),
    [
        (BranchNode(id="a", condition="x"), ["then", "else"]),
        (
            SwitchNode(id="a", cases=(Case("low", "x"), Case("high", "y"), Case("low", "z"))),
            ["low", "high", "default"],
        ),
        (ApprovalNode(id="a", prompt="?"), ["approved", "rejected", "answer"]),
    ],
)
def test_what_sends_a_value_one_of_several_ways_takes_any_input_and_has_a_port_for_each(node, outputs):
    assert ports_of(node) == (["value"], outputs, True)
    assert not node_ports(node, {}).inputs["value"].required


def test_a_join_takes_any_input_and_gives_the_first_and_all():
    assert ports_of(JoinNode(id="a")) == ([], ["value", "values"], True)


def test_a_sub_workflow_has_the_ports_of_the_workflow_that_it_uses():
    node = SubworkflowNode(id="a", uses="#clean")
    ports = node_ports(node, {}, LOCAL)
    assert ports.inputs == {
        "text": PortSpec("text", STRING),
        "mode": PortSpec("mode", {}, required=False, description="How"),
    }
    assert ports.outputs == {"clean": PortSpec("clean", {})}
    assert node_ports(node, {}) is None
    typed = OperationSpec("#clean", "operator", inputs=(), outputs=(PortSpec("clean", STRING),))
    assert node_ports(node, {"#clean": typed}, LOCAL).outputs == {"clean": PortSpec("clean", STRING)}


def test_a_loop_has_the_ports_of_what_it_runs_and_counts_its_iterations():
    node = LoopNode(id="a", uses="#clean", until="x", max_iterations=3)
    assert ports_of(node) == (["text", "mode"], ["clean", "iterations"], False)


def test_a_map_over_a_workflow_takes_a_list_and_gives_a_list():
    ports = node_ports(MapNode(id="a", uses="#clean", over="text", on_error="collect"), {}, LOCAL)
    assert ports.inputs["text"].schema == {"type": "array", "items": STRING}
    assert list(ports.outputs) == ["results", "errors"]


@pytest.mark.parametrize("uses", ["acme.text.count", "#missing", "#"])
def test_what_uses_something_unknown_has_unknown_ports(uses):
    assert node_ports(OperatorNode(id="a", uses=uses), {}, LOCAL) is None

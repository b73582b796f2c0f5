"""A checker says the same after any edits as a validation of the result, and does not look at everything."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symphony_workflow import (
    INPUTS,
    ApprovalNode,
    BranchNode,
    Case,
    Checker,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Expression,
    JoinNode,
    LoopNode,
    MapNode,
    OperatorNode,
    SubworkflowNode,
    SwitchNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
    validate,
)
from symphony_workflow.testing import examples

IDS = "abcdef"
PORTS = ("value", "then", "else", "x", "files", "path", "approved", "rejected", "results", "out")


def node(id, kind):
    return {
        "walk": lambda: OperatorNode(id=id, uses="symphony.files.walk", params={"path": "."}),
        "number": lambda: OperatorNode(id=id, uses="symphony.files.walk", params={"path": 1}),
        "truth": lambda: OperatorNode(id=id, uses="symphony.files.walk", params={"path": True}),
        "computed": lambda: OperatorNode(
            id=id, uses="symphony.files.walk", params={"path": Expression("inputs.i + missing")}
        ),
        "report": lambda: OperatorNode(id=id, uses="symphony.report.html"),
        "unknown": lambda: OperatorNode(id=id, uses="symphony.report.htm", extra={"parms": 1}),
        "branch": lambda: BranchNode(id=id, condition="size(value) > 2"),
        "closed": lambda: BranchNode(id=id, condition="on", params={"on": False}),
        "switch": lambda: SwitchNode(id=id, cases=(Case("x", "value == 1"), Case("then", "true"))),
        "join": lambda: JoinNode(id=id),
        "two": lambda: JoinNode(id=id, wait=2),
        "map": lambda: MapNode(id=id, uses="symphony.filetype.classify", over="path"),
        "maps": lambda: MapNode(id=id, uses="#one", over="x", max_items=None),
        "loop": lambda: LoopNode(id=id, uses="#two", until="out > 3", max_iterations=5, carry={"x": "out"}),
        "sub": lambda: SubworkflowNode(id=id, uses="#one"),
        "wrong": lambda: SubworkflowNode(id=id, uses="#on"),
        "approval": lambda: ApprovalNode(id=id, prompt="Go on?"),
    }[kind]()


KINDS = (
    "walk number truth computed report unknown branch closed switch join two map maps loop sub wrong approval"
)
nodes = st.builds(node, st.sampled_from(IDS), st.sampled_from(KINDS.split()))
ends = st.sampled_from([*IDS, "ghost"])
edges = st.one_of(
    st.builds(DataEdge, ends, st.sampled_from(PORTS), ends, st.sampled_from(PORTS)),
    st.builds(DataEdge, st.sampled_from(IDS), st.just("then"), st.sampled_from(IDS), st.just("value")),
    st.builds(DataEdge, st.just(INPUTS), st.sampled_from("ij"), ends, st.sampled_from(PORTS)),
    st.builds(ControlEdge, ends, ends),
    st.builds(ConditionalEdge, ends, ends, st.sampled_from(["count > 3", "false", "true", "1 +"])),
)
inputs = st.lists(
    st.builds(
        WorkflowInput,
        st.sampled_from("ijx"),
        st.sampled_from([{}, {"type": "integer"}, {"type": "string"}]),
        required=st.booleans(),
    ),
    max_size=2,
)
outputs = st.lists(
    st.builds(WorkflowOutput, st.sampled_from(["out", "o"]), ends, st.sampled_from(PORTS)), max_size=2
)
parts = {"nodes": nodes, "edges": edges}


@st.composite
def flows(draw, id, workflows=()):
    return Workflow(
        id=id,
        nodes=tuple(draw(st.lists(nodes, max_size=6, unique_by=lambda one: one.id))),
        edges=tuple(draw(st.lists(edges, max_size=10))),
        inputs=tuple(draw(inputs)),
        outputs=tuple(draw(outputs)),
        workflows=workflows,
    )


@st.composite
def edited(draw, workflow):
    """The workflow after an edit, or after several at once."""
    for _ in range(draw(st.integers(1, 3))):
        what = draw(st.sampled_from(["nodes", "edges", "edges", "inputs", "outputs", "workflows", "id"]))
        if what == "id":
            workflow = replace(workflow, id=draw(st.sampled_from(["x", "y z"])))
        elif what == "workflows":
            workflow = replace(workflow, workflows=draw(families))
        elif what in ("inputs", "outputs"):
            workflow = replace(workflow, **{what: tuple(draw(inputs if what == "inputs" else outputs))})
        else:
            old = getattr(workflow, what)
            place = draw(st.integers(0, len(old)))
            taken = draw(st.integers(0, 2))
            put = draw(st.lists(parts[what], max_size=2))
            if old and draw(st.booleans()):
                put.append(old[draw(st.integers(0, len(old) - 1))])  # moved, or there twice
            workflow = replace(workflow, **{what: (*old[:place], *put, *old[place + taken :])})
    return workflow


families = st.lists(st.sampled_from(["one", "two", "six"]).flatmap(flows), max_size=3).map(tuple)
EVERYDAY = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@given(st.data())
@EVERYDAY
def test_after_any_edits_the_findings_are_those_of_a_validation(every_operation, data):
    workflow = data.draw(families.flatmap(lambda family: flows("x", workflows=family)))
    checker = Checker(workflow, every_operation)
    for _ in range(data.draw(st.integers(1, 6))):
        workflow = data.draw(edited(workflow))
        assert checker.edit(workflow) == validate(workflow, every_operation)


@pytest.fixture(scope="module")
def every_operation():
    from symphony_sdk.contributions import OperationSpec, PortSpec

    string, strings = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    specs = (
        OperationSpec(
            "symphony.files.walk",
            "operator",
            (PortSpec("path", string), PortSpec("value", {}, required=False)),
            (PortSpec("files", strings), PortSpec("count", {"type": "integer"})),
        ),
        OperationSpec(
            "symphony.filetype.classify",
            "instrument",
            (PortSpec("path", string),),
            (PortSpec("out", string),),
        ),
        OperationSpec(
            "symphony.report.html", "operator", (PortSpec("value", strings),), (PortSpec("out", {}),)
        ),
    )
    return {spec.id: spec for spec in specs}

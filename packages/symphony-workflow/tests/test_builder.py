import inspect
from dataclasses import dataclass
from pathlib import Path

import pytest
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    INPUTS,
    BranchNode,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    InstrumentNode,
    MapNode,
    Metadata,
    OperatorNode,
    RetryPolicy,
    Workflow,
    WorkflowBuilder,
    WorkflowInput,
    WorkflowOutput,
    dumps,
    loads,
)


@dataclass
class Point:
    x: int


def line():
    """The line that calls this, in this file."""
    return inspect.currentframe().f_back.f_lineno


def test_a_workflow_is_built_as_it_is_drawn():
    wf = WorkflowBuilder("atlas", name="Atlas", metadata=Metadata(author="Ada"))
    walk = wf.operator("walk", uses="acme.files.walk", path=wf.input("path", str), depth=3)
    kinds = wf.map(
        "kinds", uses="acme.files.kind", over="file", file=walk.out.files, concurrency=2, on_error="collect"
    )
    kinds.retry(3, delay=0.5).timeout(30).label("Kinds").note(x=1).note(y=Path("a"))
    model = wf.instrument("model", uses="acme.text.model")
    way = wf.branch("way", condition="value > 3", value=walk.out.count)
    report = wf.operator("report", uses="acme.report.html")
    assert kinds.out.results >> report.in_.rows == report
    way.out["else"] >> report.in_["from"]
    assert walk.then(model).then(report, when="ok") == report
    wf.output("page", report.out.path)
    assert wf.build() == Workflow(
        id="atlas",
        name="Atlas",
        metadata=Metadata(author="Ada"),
        inputs=(WorkflowInput("path", {"type": "string"}),),
        nodes=(
            OperatorNode(id="walk", uses="acme.files.walk", params={"depth": 3}),
            MapNode(
                id="kinds",
                uses="acme.files.kind",
                over="file",
                concurrency=2,
                on_error="collect",
                retry=RetryPolicy(3, 0.5),
                timeout=30,
                label="Kinds",
                metadata={"x": 1, "y": "a"},
            ),
            InstrumentNode(id="model", uses="acme.text.model"),
            BranchNode(id="way", condition="value > 3"),
            OperatorNode(id="report", uses="acme.report.html"),
        ),
        edges=(
            DataEdge(INPUTS, "path", "walk", "path"),
            DataEdge("walk", "files", "kinds", "file"),
            DataEdge("walk", "count", "way", "value"),
            DataEdge("kinds", "results", "report", "rows"),
            DataEdge("way", "else", "report", "from"),
            ControlEdge("walk", "model"),
            ConditionalEdge("model", "report", "ok"),
        ),
        outputs=(WorkflowOutput("page", "report", "path"),),
    )


def test_the_readme_builds_and_shows_what_is_true():
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    code, shown = readme.split("```python\n")[1].split("```")[0], readme.split("```json\n")[1].split("```")[0]
    names = {}
    exec(code, names)
    assert dumps(names["workflow"]) == shown
    assert loads(shown) == names["workflow"]


def test_what_is_built_comes_back_from_its_file(atlas):
    assert loads(dumps(atlas)) == atlas


def test_inputs_have_the_schema_of_their_python_type():
    wf = WorkflowBuilder("x")
    wf.input("a", list[int], default=(1, 2), description="numbers")
    wf.input("b", {"type": "string"}, default=None)
    wf.input("c")
    wf.input("d", Path)
    wf.input("e", Point, default=Point(1))
    wf.operator("n", uses="a.b.c")
    a, b, c, d, e = wf.build().inputs
    assert a == WorkflowInput("a", {"type": "array", "items": {"type": "integer"}}, False, [1, 2], "numbers")
    assert b == WorkflowInput("b", {"type": "string"}, False)
    assert c == WorkflowInput("c")
    assert d.schema == {"type": "string", "format": "path"}
    assert e.default == {"x": 1}


MISUSES = {
    "a workflow id that is no name": (lambda wf: WorkflowBuilder("a b"), "is no name"),
    "a node id that is no name": (lambda wf: wf.operator("a.b", uses="a.b.c"), "'a.b' is no id of a node"),
    "a node id that is taken": (lambda wf: wf.operator("n", uses="a.b.c"), "a node 'n' already, made at"),
    "an operation id that is none": (lambda wf: wf.operator("m", uses="count"), "'count', which is no id"),
    "a literal that is not JSON": (
        lambda wf: wf.operator("m", uses="a.b.c", p=object()),
        "the input 'p' of node 'm'",
    ),
    "bytes": (lambda wf: wf.operator("m", uses="a.b.c", p=b"x"), "bytes is not a JSON type"),
    "a number that is none": (
        lambda wf: wf.operator("m", uses="a.b.c", p=float("nan")),
        "nan is not a JSON number",
    ),
    "an input name that is none": (lambda wf: wf.input("a b"), "the input 'a b' has no proper name"),
    "an input name that is taken": (lambda wf: (wf.input("i"), wf.input("i")), "an input 'i' already"),
    "a type without a schema": (lambda wf: wf.input("i", object), "has no JSON Schema"),
    "a default that is not JSON": (
        lambda wf: wf.input("i", default={1: object()}),
        "the default of the input 'i'",
    ),
    "an output of no port": (lambda wf: wf.output("r", "n.result"), "the output 'r' is given 'n.result'"),
    "an output of an input": (lambda wf: wf.output("r", wf.input("i")), "<output port $inputs.i>"),
    "a port that is no name": (
        lambda wf: wf.operator("m", uses="a.b.c").out["a b"],
        "'a b' is no name of a port",
    ),
    "an edge to a node": (
        lambda wf: wf.input("i") >> wf.operator("m", uses="a.b.c"),
        "cannot lead to <node m>",
    ),
    "an edge to an output": (
        lambda wf: wf.input("i") >> wf.operator("m", uses="a.b.c").out.x,
        "cannot lead to <output port m.x>",
    ),
    "an edge to another workflow": (
        lambda wf: wf.input("i") >> WorkflowBuilder("y").operator("m", uses="a.b.c").in_.x,
        "cannot lead to <input port m.x>",
    ),
    "an order with another workflow": (
        lambda wf: wf.operator("m", uses="a.b.c").then(WorkflowBuilder("y").operator("o", uses="a.b.c")),
        "cannot lead to <node o>",
    ),
    "a branch that is tried again": (lambda wf: wf.branch("b", condition="true").retry(3), "has no retry"),
    "a branch with a timeout": (lambda wf: wf.branch("b", condition="true").timeout(3), "has no timeout"),
}


@pytest.mark.parametrize("case", MISUSES)
def test_misuse_is_refused_at_the_line_that_made_it(case):
    misuse, said = MISUSES[case]
    wf = WorkflowBuilder("x")
    wf.operator("n", uses="a.b.c")
    with pytest.raises(WorkflowError) as refused:
        misuse(wf)
    first = misuse.__code__.co_firstlineno
    assert said in refused.value.message
    assert refused.value.hint
    assert refused.value.file == __file__
    assert first <= refused.value.line <= first + 2


def test_faults_of_the_whole_name_the_lines_that_made_their_parts(operations):
    wf = WorkflowBuilder("x")
    walk, made = wf.operator("walk", uses="symphony.files.walk"), line()
    report, drawn = wf.operator("report", uses="symphony.report.html", rows=walk.out.count), line()
    report.then(walk)
    wf.output("r", report.out.pth)
    named = line() - 1
    with pytest.raises(WorkflowError) as refused:
        wf.build(operations)
    lines = {finding["code"]: finding["line"] for finding in refused.value.details["findings"]}
    assert lines == {"SYM-W010": drawn, "SYM-W016": made, "SYM-W015": drawn, "SYM-W012": drawn}
    assert named > drawn
    assert {finding["file"] for finding in refused.value.details["findings"]} == {__file__}
    assert (refused.value.code, refused.value.file, refused.value.line) == ("SYM-W001", __file__, drawn)


def test_an_empty_workflow_is_refused_at_its_builder():
    wf, made = WorkflowBuilder("x"), line()
    with pytest.raises(WorkflowError, match="no nodes") as refused:
        wf.build()
    assert refused.value.line == made


def test_ports_leave_pythons_own_protocols_alone():
    node = WorkflowBuilder("x").operator("n", uses="a.b.c")
    assert not hasattr(node.out, "__len__")
    assert not hasattr(node.in_, "__deepcopy__")
    assert node.out._private.name == "_private"

import inspect
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from symphony_sdk.errors import WorkflowError
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
    InstrumentNode,
    JoinNode,
    LoopNode,
    MapNode,
    Metadata,
    OperatorNode,
    Resources,
    RetryPolicy,
    SubworkflowNode,
    SwitchNode,
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


def test_every_kind_of_node_is_built():
    wf = WorkflowBuilder("all", extra={"x-tool": "drawn"})
    clean = wf.workflow("clean", name="Clean", extra={"x-a": 1})
    text = clean.input("text", str)
    strip = clean.node("strip", uses="acme.text.strip", text=text)
    clean.output("text", strip.out)
    limit = wf.input("limit", int)
    walk = wf.node("walk", uses="acme.files.walk", depth=wf.expr("inputs.limit * 2")).version(3)
    tidy = wf.node("tidy", uses=clean, text=walk.out)
    each = wf.map("each", uses=clean, over="text", max_items=None, text=tidy.out)
    ways = wf.switch("ways", cases={"few": "count < 3"}, value=each.out, count=limit)
    sure = wf.approval("sure", prompt="Go on?", approvers=["Ada"], on_timeout="reject").timeout(60)
    again = wf.loop(
        "again",
        uses="#clean",
        until="text == ''",
        max_iterations=9,
        carry={"text": "text"},
        on_limit="complete",
    )
    join = wf.join("join", wait=1, a=again.out, b=sure.out.approved).set(c=[1], d=ways.out.default)
    again.cache("never", ttl=60, ignore=("seed",)).resources(cpu=2, memory=1, gpu=0.5, custom={"a": 1})
    again.retry(4, delay=1, factor=3, limit=9, jitter=0.5, on=("SYM-T",)).extra(**{"x-b": 2})
    walk >> sure
    assert walk.when("result != ''") >> join == join
    built = wf.draft()
    assert built.extra == {"x-tool": "drawn"}
    assert built.workflows == (
        Workflow(
            id="clean",
            name="Clean",
            inputs=(WorkflowInput("text", {"type": "string"}),),
            nodes=(OperatorNode(id="strip", uses="acme.text.strip"),),
            edges=(DataEdge(INPUTS, "text", "strip", "text"),),
            outputs=(WorkflowOutput("text", "strip", "result"),),
            extra={"x-a": 1},
        ),
    )
    assert built.nodes == (
        OperatorNode(
            id="walk", uses="acme.files.walk", version=3, params={"depth": Expression("inputs.limit * 2")}
        ),
        SubworkflowNode(id="tidy", uses="#clean"),
        MapNode(id="each", uses="#clean", over="text", max_items=None),
        SwitchNode(id="ways", cases=(Case("few", "count < 3"),)),
        ApprovalNode(id="sure", prompt="Go on?", approvers=("Ada",), on_timeout="reject", timeout=60),
        LoopNode(
            id="again",
            uses="#clean",
            until="text == ''",
            max_iterations=9,
            carry={"text": "text"},
            on_limit="complete",
            retry=RetryPolicy(4, 1, 3, 9, 0.5, ("SYM-T",)),
            resources=Resources(2, 1, 0.5, {"a": 1}),
            cache=CachePolicy("never", 60, ("seed",)),
            extra={"x-b": 2},
        ),
        JoinNode(id="join", wait=1, params={"c": [1]}),
    )
    assert built.edges == (
        DataEdge("walk", "result", "tidy", "text"),
        DataEdge("tidy", "text", "each", "text"),
        DataEdge("each", "results", "ways", "value"),
        DataEdge(INPUTS, "limit", "ways", "count"),
        DataEdge("again", "text", "join", "a"),
        DataEdge("sure", "approved", "join", "b"),
        DataEdge("ways", "default", "join", "d"),
        ControlEdge("walk", "sure"),
        ConditionalEdge("walk", "join", "result != ''"),
    )


def test_a_node_is_of_the_kind_that_its_operation_has(operations):
    wf = WorkflowBuilder("x", operations=operations)
    kinds = wf.node("kinds", uses="symphony.filetype.classify", path="a")
    report = wf.node("report", uses="symphony.report.html")
    shown = wf.map("shown", uses="symphony.filetype.classify", over="path", path=["a"])
    shown.out >> report.rows
    kinds.out >> report.title
    wf.output("page", report.out)
    built = wf.build()
    assert [node.kind for node in built.nodes] == ["instrument", "operator", "control"]
    assert built.outputs == (WorkflowOutput("page", "report", "path"),)
    wrong = wf.node("wrong", uses="symphony.filetype.classify", pth="a")
    with pytest.raises(WorkflowError) as refused:
        wf.build()
    assert "SYM-W012" in {finding["code"] for finding in refused.value.details["findings"]}
    assert repr(wrong) == "<node wrong>"


def test_parts_of_a_workflow_are_added_as_the_model_says_them(atlas):
    wf = WorkflowBuilder(atlas.id, name=atlas.name)
    for part in (*atlas.inputs, *atlas.nodes, *atlas.edges, *atlas.outputs):
        wf.add(part)
    assert wf.build() == atlas
    inner = WorkflowBuilder("y").add(replace(atlas, metadata=Metadata(author="Ada"), extra={"x-a": 1}))
    assert inner.draft() == replace(atlas, metadata=Metadata(author="Ada"), extra={"x-a": 1})


def test_a_fault_within_a_workflow_of_the_file_has_its_line():
    wf = WorkflowBuilder("x")
    inner = wf.workflow("inner")
    first = inner.operator("first", uses="a.b.c")
    second, forth = inner.operator("second", uses="a.b.c", text=first.out), line()
    second.out >> first.text
    back = line() - 1
    wf.node("all", uses=inner)
    with pytest.raises(WorkflowError) as refused:
        wf.build()
    finding = next(one for one in refused.value.details["findings"] if one["code"] == "SYM-W010")
    assert finding["workflow"] == "inner"
    assert finding["file"] == __file__
    assert forth - 1 <= finding["line"] <= back


MISUSES = {
    "a way out of several": (
        lambda wf: wf.branch("b", condition="true").out >> wf.operator("m", uses="a.b.c").text,
        "node 'b' has the outputs then, else",
    ),
    "a way out of a switch": (
        lambda wf: wf.operator("m", uses="a.b.c", x=wf.switch("s", cases=[("a", "true")]).out),
        "node 's' has the outputs a, default",
    ),
    "a way out of an approval": (
        lambda wf: wf.output("o", wf.approval("a", prompt="?").out),
        "node 'a' has the outputs approved, rejected",
    ),
    "a way out of nothing": (
        lambda wf: wf.node("m", uses=wf.workflow("y")).out >> wf.operator("o", uses="a.b.c").text,
        "node 'm' has no output",
    ),
    "an edge to a method": (
        lambda wf: wf.input("i") >> wf.operator("m", uses="a.b.c").label,
        "an edge from `$inputs.i` cannot lead to <bound method",
    ),
    "a misspelt method": (lambda wf: wf.operator("m", uses="a.b.c").retyr(3), "nodes have no method 'retyr'"),
    "an unknown method": (lambda wf: wf.operator("m", uses="a.b.c").xyzzy(3), "nodes have no method 'xyzzy'"),
    "a condition to a port": (
        lambda wf: wf.operator("m", uses="a.b.c").when("x > 1") >> wf.operator("o", uses="a.b.c").text,
        "node 'm' cannot lead to <input port o.text>",
    ),
    "an expression that is none": (lambda wf: wf.expr("count >"), "the expression `count >` is not CEL"),
    "a workflow of another": (
        lambda wf: wf.node("m", uses=WorkflowBuilder("y")),
        "<builder of workflow y> is no workflow of this builder",
    ),
    "a workflow within a workflow": (
        lambda wf: wf.workflow("y").workflow("z"),
        "'z' is within a workflow that is within another one",
    ),
    "a workflow that is there": (lambda wf: (wf.workflow("y"), wf.workflow("y")), "a workflow 'y' already"),
    "a field that is not JSON": (
        lambda wf: WorkflowBuilder("y", extra={"a": object()}),
        "the fields besides",
    ),
    "a field of a node that is not JSON": (
        lambda wf: wf.operator("m", uses="a.b.c").extra(a=object()),
        "the field 'a' of node 'm'",
    ),
    "resources of a join": (lambda wf: wf.join("j").resources(cpu=1), "the join 'j' has no resources"),
    "a cache of a sub-workflow": (
        lambda wf: wf.node("m", uses=wf.workflow("y")).cache("never"),
        "the subworkflow 'm' has no cache",
    ),
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
    assert first <= refused.value.line <= first + 3


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


TYPED = """
from symphony_workflow import NodeRef, OutputPort, Workflow, WorkflowBuilder

wf = WorkflowBuilder("x")
path: OutputPort = wf.input("path", str)
walk: NodeRef = wf.node("walk", uses="a.b.c", path=path)
each = wf.map("each", uses=wf.workflow("y"), over="text", text=walk.out.files, on_error="collect")
each.out >> walk.text
each.out.results >> walk.in_["from"]
each.when("count > 3") >> walk >> each
wf.join("j", wait=2).retry(3, delay=1.0).timeout(3).cache("never").label("J")
flow: Workflow = wf.build()
"""
UNTYPED = """
each.out >> walk
walk >> each.text
walk >> each.out.results
each.when("count > 3") >> each.text
walk.retyr(3)
walk.retry("3")
walk.cache("sometimes")
wf.map("each", uses="a.b.c", over="text", on_error="ignore")
wf.join("j", wait="some")
wf.loop("l", uses="a.b.c", until="true")
wf.switch("s", cases="count > 3")
wf.add("walk")
wf.output("o", path >> walk.text)
"""


def test_a_type_checker_tells_right_code_from_wrong(tmp_path):
    api = pytest.importorskip("mypy.api")
    code = tmp_path / "flow.py"
    code.write_text(TYPED + UNTYPED, "utf-8")
    said, _, _ = api.run(["--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent", str(code)])
    wrong = {int(fault.split(":")[1]) for fault in said.splitlines() if ": error:" in fault}
    first = len(TYPED.splitlines()) + 2
    assert wrong == set(range(first, first - 1 + len(UNTYPED.splitlines())))

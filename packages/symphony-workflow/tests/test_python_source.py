import ast
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    CachePolicy,
    DataEdge,
    Expression,
    Metadata,
    OperatorNode,
    Resources,
    Workflow,
    WorkflowBuilder,
    WorkflowInput,
    from_document,
    to_document,
)
from symphony_workflow.python_source import to_python
from symphony_workflow.testing import examples, workflows


def run(source):
    names = {}
    exec(compile(source, "flow.py", "exec"), names)
    return names["workflow"]


@settings(max_examples=examples(60), deadline=None)
@given(workflows())
def test_the_code_of_any_workflow_builds_the_same_workflow(workflow):
    assert run(to_python(workflow)) == workflow


def atlas():
    wf = WorkflowBuilder("atlas", name="Ada's atlas", metadata=Metadata(author="Ada", tags=("code",)))
    clean = wf.workflow("clean")
    text = clean.input("text", list[str] | None, default=None, description="What to clean")
    clean.output("text", clean.operator("strip", uses="acme.text.strip", text=text).out)
    path = wf.input("path", {"type": "string", "format": "path"})
    limit = wf.input("limit", {"type": "integer", "minimum": 1})
    walk = wf.operator("walk", uses="symphony.files.walk", include=["*.py"], path=path, limit=limit)
    walk.set(depth=wf.expr("inputs.limit * 2"))
    each = wf.map("each", uses=clean, over="text", text=walk.out.files).retry(3, delay=1.5).timeout(30)
    size = wf.switch("from", cases={"few": "count < 10", "many": "count < 1000"}, value=each.out, count=3)
    sure = wf.approval("sure", prompt="All of them?", approvers=["Ada"], value=size.out.many)
    sure.timeout(3600).label("Are you sure?").note(x=1, colour="a dark shade of the bluest green")
    both = wf.join("both", wait="any", many=sure.out.approved)
    size.out.few >> both.few
    report = wf.operator("report", uses="symphony.report.html", rows=both.out)
    walk.when("count > 0") >> report
    each >> report
    wf.output("page", report.out.path)
    return wf.build()


def test_the_code_reads_as_a_person_would_write_it():
    assert (
        to_python(atlas())
        == """\
from pathlib import Path

from symphony_workflow import Metadata, WorkflowBuilder

wf = WorkflowBuilder("atlas", name="Ada's atlas", metadata=Metadata(author="Ada", tags=("code",)))

clean = wf.workflow("clean")
text = clean.input("text", list[str] | None, default=None, description="What to clean")
strip = clean.operator("strip", uses="acme.text.strip", text=text)
clean.output("text", strip.out.result)

path = wf.input("path", Path)
limit = wf.input("limit", {"type": "integer", "minimum": 1})
walk = wf.operator(
    "walk",
    uses="symphony.files.walk",
    include=["*.py"],
    depth=wf.expr("inputs.limit * 2"),
    path=path,
    limit=limit,
)
each = wf.map("each", uses=clean, over="text", text=walk.out.files).retry(3, delay=1.5).timeout(30)
from_ = wf.switch(
    "from",
    cases={"few": "count < 10", "many": "count < 1000"},
    count=3,
    value=each.out.results,
)
sure = wf.approval("sure", prompt="All of them?", approvers=("Ada",), value=from_.out.many)
sure.timeout(3600)
sure.label("Are you sure?")
sure.note(x=1, colour="a dark shade of the bluest green")
both = wf.join("both", wait="any", many=sure.out.approved, few=from_.out.few)
report = wf.operator("report", uses="symphony.report.html", rows=both.out.value)
walk.when("count > 0") >> report
each >> report
wf.output("page", report.out.path)

workflow = wf.build()
"""
    )


HOSTILE = (
    '"); import os; os.abort()  #',
    "'''\nimport os; os.abort()\n'''",
    '"""\\',
    "\\",
    "\u202e\u2066 reversed",
    "\r\nimport os\x00\x1b[2J",
    "{0} %s {x!r}",
    "\\N{BELL} \\x41",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_stays_a_text(text):
    workflow = Workflow(
        id="x",
        name=text,
        metadata=Metadata(text, text, text, (text,), {text: text}),
        inputs=(
            WorkflowInput("i", {text: text}, False, text, text, {text: text}),
            WorkflowInput("j", {}, False, text, text),
        ),
        nodes=(
            OperatorNode(
                id="n",
                uses="a.b.c",
                params={text: text, "p": Expression(text), "q": [{text: [text]}]},
                label=text,
                resources=Resources(custom={text: 1.0}),
                cache=CachePolicy(ignore=(text,)),
                metadata={text: text},
                extra={text: text},
            ),
        ),
        edges=(
            DataEdge("$inputs", text, "n", text, {text: text}, {text: text}),
            DataEdge(text, "a", "n", "b"),
        ),
        extra={text: {text: text}},
    )
    source = to_python(workflow)
    tree = ast.parse(source)
    assert run(source) == workflow
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert {call.id for call in called if isinstance(call, ast.Name)} <= {
        "CachePolicy",
        "DataEdge",
        "Expression",
        "Metadata",
        "OperatorNode",
        "Resources",
        "WorkflowBuilder",
        "WorkflowInput",
    }
    assert not [node for node in tree.body if isinstance(node, ast.Import)]
    assert source.isprintable() or set(source) - {"\n"} <= {sign for sign in source if sign.isprintable()} | {
        "\n"
    }


@pytest.mark.parametrize(
    "id",
    [
        "class",
        "print",
        "wf",
        "workflow",
        "Path",
        "__debug__",
        "_",
        "match",
        "a-b",
        "__1",
        "None",
        "DataEdge",
        "Metadata",
        "Case",
    ],
)
def test_an_id_that_is_a_word_of_python_is_given_another_name(id):
    wf = WorkflowBuilder("x")
    first = wf.operator(id, uses="a.b.c", **{"class": 1, "uses_": 2, "__debug__": 3, "_a": 4}).set(
        uses=3, over=2
    )
    second = wf.operator(f"{id}_", uses="a.b.c")
    third = wf.operator(f"{id}-", uses="a.b.c")
    for port in ("class", "retry", "in_", "_node", "__debug__", "x"):
        first.out[port] >> second.in_[port]
        second.out[port] >> third.in_[port]
    wf.add(DataEdge(id, "a", f"{id}_", "b", metadata={"x": 1}))
    workflow = replace(wf.draft(), metadata=Metadata("A"))
    assert run(to_python(workflow)) == workflow


def test_ids_that_give_the_same_name_are_told_apart():
    wf = WorkflowBuilder("x")
    made = [wf.operator(id, uses="a.b.c") for id in ("a-b", "a_b", "a_b_2", "a--b", "a-b-2")]
    for first, second in pairwise(made):
        first >> second
    workflow = wf.build()
    assert run(to_python(workflow)) == workflow


@pytest.mark.parametrize(
    "type",
    [
        str,
        int,
        float,
        bool,
        list,
        dict,
        list[str],
        dict[str, list[int]],
        int | None,
        str | int,
        None,
        list[None],
    ],
)
def test_the_type_of_an_input_is_written_as_python_where_it_can_be(type):
    wf = WorkflowBuilder("x")
    wf.operator("n", uses="a.b.c", p=wf.input("i", type))
    workflow = wf.build()
    assert run(to_python(workflow)) == workflow


def test_a_workflow_with_faults_is_written_as_a_draft():
    workflow = Workflow(id="x")
    assert to_python(workflow).endswith("workflow = wf.draft()  # it has faults: `build` tells them\n")
    assert run(to_python(workflow)) == workflow


def test_a_long_list_of_imports_goes_over_several_lines():
    source = to_python(
        Workflow(
            id="x",
            metadata=Metadata("A"),
            inputs=(WorkflowInput("i", extra={"x-a": 1}),),
            nodes=(
                OperatorNode(
                    id="n",
                    uses="no",
                    params={"p": Expression("(")},
                    resources=Resources(1.0),
                    cache=CachePolicy("never"),
                ),
            ),
            edges=(DataEdge("no", "a", "no", "b"),),
        )
    )
    assert source.startswith("from symphony_workflow import (\n    CachePolicy,\n    DataEdge,\n")


NODE = OperatorNode(id="n", uses="a.b.c")
UNWRITABLE = {
    "an id that is no name": Workflow(id="a b"),
    "a node's id that is no name": Workflow(id="x", nodes=(replace(NODE, id="a.b"),)),
    "an id that is there twice": Workflow(id="x", nodes=(NODE, NODE)),
    "a value that is not JSON": Workflow(id="x", nodes=(replace(NODE, params={"p": object()}),)),
    "a number that is none": Workflow(id="x", nodes=(replace(NODE, params={"p": float("inf")}),)),
    "workflows of workflows": Workflow(id="x", workflows=(Workflow(id="y", workflows=(Workflow(id="z"),)),)),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_no_file_could_hold_is_refused(case):
    with pytest.raises(WorkflowError) as refused:
        to_python(UNWRITABLE[case])
    assert refused.value.code == "SYM-W072"
    assert refused.value.hint


def test_a_workflow_from_a_file_is_written_as_it_was_read():
    workflow = from_document(to_document(atlas()))
    assert run(to_python(workflow)) == atlas()

import json
import subprocess
import sys
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    ApprovalNode,
    BranchNode,
    Case,
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    Expression,
    MapNode,
    Metadata,
    OperatorNode,
    RetryPolicy,
    SwitchNode,
    Workflow,
    WorkflowInput,
    WorkflowOutput,
    digest,
    dumps,
    from_document,
    load,
    loads,
    save,
    validate,
)
from symphony_workflow.codec import MAX_BYTES
from symphony_workflow.json_values import MAX_DEPTH, json_fault
from symphony_workflow.testing import examples, json_values, workflows

SMALLEST = {"schema": 2, "id": "x", "nodes": {"a": {"kind": "operator", "uses": "acme.text.count"}}}


@given(workflows())
@settings(max_examples=examples(60))
def test_any_workflow_comes_back_from_json_as_it_was(workflow):
    text = dumps(workflow)
    back = loads(text)
    assert back == workflow
    assert dumps(back) == text
    assert digest(back) == digest(workflow)
    assert loads(text.encode()) == workflow
    assert from_document(json.loads(text)) == workflow


@given(workflows(), st.data())
@settings(max_examples=examples(40))
def test_a_truncated_or_damaged_file_is_refused_or_read_but_never_crashes(workflow, data):
    text = dumps(workflow).encode()
    cut = data.draw(st.integers(0, len(text) - 3))
    with pytest.raises(WorkflowError) as refused:
        loads(text[:cut])
    assert refused.value.code in ("SYM-W002", "SYM-W003")
    damaged = bytearray(text)
    damaged[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        validate(loads(bytes(damaged)))
    except WorkflowError as error:
        assert error.code in ("SYM-W002", "SYM-W003", "SYM-W004", "SYM-W005")


@given(json_values())
@settings(max_examples=examples(60))
def test_any_json_in_place_of_a_workflow_is_refused_with_its_faults(value):
    with pytest.raises(WorkflowError) as refused:
        from_document(value)
    assert refused.value.code == "SYM-W004"
    assert refused.value.details["faults"]


@given(workflows(), st.randoms(use_true_random=False))
@settings(max_examples=examples(30))
def test_the_digest_does_not_depend_on_the_order_of_the_parts(workflow, chance):
    def shuffled(parts):
        return tuple(chance.sample(parts, len(parts)))

    other = Workflow(
        id=workflow.id,
        name=workflow.name,
        nodes=shuffled(workflow.nodes),
        edges=shuffled(workflow.edges),
        inputs=shuffled(workflow.inputs),
        outputs=shuffled(workflow.outputs),
        metadata=workflow.metadata,
        workflows=tuple(replace(one, edges=shuffled(one.edges)) for one in shuffled(workflow.workflows)),
        extra=workflow.extra,
    )
    assert digest(other) == digest(workflow)


def test_the_digest_changes_with_all_that_the_workflow_says(atlas):
    node, edge = atlas.nodes[0], atlas.edges[0]
    inner = Workflow(id="in", edges=(ControlEdge("a", "b"),))
    others = [
        replace(atlas, id="other"),
        replace(atlas, name="other"),
        replace(atlas, edges=atlas.edges[1:]),
        replace(atlas, nodes=atlas.nodes[1:]),
        replace(atlas, nodes=(replace(node, label="other"), *atlas.nodes[1:])),
        replace(atlas, nodes=(replace(node, metadata={"x": 1}), *atlas.nodes[1:])),
        replace(atlas, edges=(replace(edge, extra={"x": 1}), *atlas.edges[1:])),
        replace(atlas, extra={"x": 1}),
        replace(atlas, workflows=(inner,)),
        replace(atlas, workflows=(replace(inner, edges=(ControlEdge("b", "a"),)),)),
        *(
            replace(atlas, nodes=(SwitchNode(id="s", cases=cases),))
            for cases in permutations([Case("p", "x"), Case("q", "y")])
        ),
    ]
    assert len({digest(one) for one in (atlas, *others)}) == len(others) + 1


def test_the_digest_is_the_same_on_every_machine_and_in_every_version(atlas):
    assert digest(atlas) == "456248aa8e9ac153133fea73e220855e5cf9459ec3e9e513466ecae812655a05"


def test_a_file_reads_like_the_drawing():
    workflow = Workflow(
        id="two",
        nodes=(
            OperatorNode(id="walk", uses="acme.files.walk", params={"path": "."}),
            MapNode(id="count", uses="acme.text.count", over="file", retry=RetryPolicy(3, delay=2.0)),
        ),
        edges=(
            DataEdge("walk", "files", "count", "file"),
            ConditionalEdge("walk", "count", "size(files) > 0"),
        ),
        outputs=(WorkflowOutput("counts", "count", "results"),),
    )
    assert dumps(workflow) == (
        "{\n"
        '  "schema": 2,\n'
        '  "id": "two",\n'
        '  "nodes": {\n'
        '    "walk": {"kind": "operator", "uses": "acme.files.walk", "params": {"path": "."}},\n'
        '    "count": {\n'
        '      "kind": "control",\n'
        '      "control": "map",\n'
        '      "uses": "acme.text.count",\n'
        '      "over": "file",\n'
        '      "retry": {"attempts": 3, "delay": 2}\n'
        "    }\n"
        "  },\n"
        '  "edges": [\n'
        '    {"from": "walk.files", "to": "count.file"},\n'
        '    {"kind": "conditional", "from": "walk", "to": "count", "condition": "size(files) > 0"}\n'
        "  ],\n"
        '  "outputs": {\n'
        '    "counts": "count.results"\n'
        "  }\n"
        "}\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "column", "said", "hinted"),
    [
        ("", 1, 1, "not JSON", "empty"),
        ("  \n", 2, 1, "not JSON", "empty"),
        ('{"schema": 1,\n "id": ', 2, 8, "not JSON", "cut off"),
        ('{"schema": 1,}', 1, None, "not JSON", "comma"),
        ('{\n  // hello\n  "schema": 1}', 2, 3, "not JSON", "no comments"),
        ("{'schema': 1}", 1, 2, "not JSON", "double quotes"),
        ('{"schema": NaN}', 0, 0, "NaN is not a JSON number", ""),
        ('{"schema": ' + "9" * 5000 + "}", 0, 0, "not JSON", ""),
        ("[" * 100_000, 0, 0, "too deeply", ""),
        ('{"nodes": {\n"a": 1,\n"a": 2}}', 3, 0, "the key 'a' stands twice", "Rename"),
        ('{"a": {"a": 1}, "b": {"a": 2, "a": 3}}', 0, 0, "the key 'a' stands twice", "Rename"),
    ],
)
def test_what_is_not_json_is_refused_with_its_line_and_column(text, line, column, said, hinted):
    with pytest.raises(WorkflowError) as refused:
        loads(text, file="flow.json")
    error = refused.value
    assert (error.code, error.file, error.line) == ("SYM-W003", "flow.json", line)
    assert column in (error.column, None)  # Python versions differ on which of the two characters is at fault
    assert said in error.message
    assert hinted in error.hint


def broken(**changes):
    return {**SMALLEST, **changes}


def node(**changes):
    return broken(nodes={"a": {"kind": "operator", "uses": "acme.text.count", **changes}})


def control(name, **fields):
    return broken(nodes={"a": {"kind": "control", "control": name, **fields}})


def inner(**changes):
    return broken(workflows={"w": {"nodes": {}, **changes}})


@pytest.mark.parametrize(
    ("document", "path", "said", "hinted"),
    [
        ([], "the document", "expected an object", ""),
        (None, "the document", "expected an object", ""),
        ({"schema": 2, "nodes": {}}, "the document", "the key 'id' is missing", ""),
        (broken(schema="1"), "schema", "found '1', expected 2", ""),
        (broken(schema=True), "schema", "found True, expected 2", ""),
        (broken(id="a b"), "id", "expected a name of letters", ""),
        (broken(nodes=[]), "nodes", "expected an object", ""),
        (broken(nodes={"a": 3}), "nodes.a", "expected an object", ""),
        (broken(nodes={"a.b": SMALLEST["nodes"]["a"]}), "nodes.a.b", "expected a name of letters", ""),
        (broken(nodes={"a": {}}), "nodes.a", "the key 'kind' is missing", '"instrument" or "operator"'),
        (node(kind="opertor"), "nodes.a.kind", "found 'opertor'", "Did you mean 'operator'?"),
        (node(kind=["x"]), "nodes.a.kind", "found ['x']", ""),
        (node(kind="control"), "nodes.a", "the key 'control' is missing", '"map" or "branch"'),
        (node(kind="control", control="mapp"), "nodes.a.control", "found 'mapp'", "Did you mean 'map'?"),
        (node(uses="count"), "nodes.a.uses", "expected the id of an operation", ""),
        (node(resources={"cpus": 2}), "nodes.a.resources.cpus", "unknown key", "Did you mean 'cpu'?"),
        (node(resources={"custom": {"x": -1}}), "nodes.a.resources.custom.x", "found -1", ""),
        (node(cache={"use": "always"}), "nodes.a.cache.use", "found 'always', expected 'auto'", ""),
        (node(cache={"tll": 3}), "nodes.a.cache.tll", "unknown key", "Did you mean 'ttl'?"),
        (node(version=0), "nodes.a.version", "found 0", ""),
        (node(version=10**30), "nodes.a.version", "found 1000", ""),
        (node(uses="#clean"), "nodes.a.uses", "expected the id of an operation", ""),
        (control("map", uses="#a b", over="x"), "nodes.a.uses", "or of a workflow of the file", ""),
        (control("map", uses="#b", over="x", max_items=0), "nodes.a.max_items", "found 0", ""),
        (control("subworkflow", uses="a.b.c"), "nodes.a.uses", "# and the id of a workflow", ""),
        (control("join", wait="some"), "nodes.a.wait", "found 'some', expected 'all' or 'any'", ""),
        (control("join", wait=0), "nodes.a.wait", "found 0, expected greater than or equal to 1", ""),
        (control("join", wait=None), "nodes.a.wait", "found None, expected an integer", ""),
        (control("switch"), "nodes.a", "the key 'cases' is missing", ""),
        (
            control("switch", cases=[{"port": "a", "conditon": "x"}]),
            "nodes.a.cases[0].conditon",
            "unknown key",
            "Did you mean 'condition'?",
        ),
        (control("loop", uses="#b", until="x"), "nodes.a", "the key 'max_iterations' is missing", ""),
        (control("loop", carry={"a b": "c"}), "nodes.a.carry.a b", "expected the name of a port", ""),
        (control("approval", prompt="?", on_timeout="ask"), "nodes.a.on_timeout", "found 'ask'", ""),
        (
            node(params={"a": {"$expr": 3}}),
            "nodes.a.params.a",
            "the text of a CEL expression",
            '{"$literal": ...}',
        ),
        (node(note="\ud800"), "nodes.a.note", "surrogate", ""),
        (broken(note={"a": 2**64}), "note", "does not fit into 64 bits", ""),
        (broken(workflows=[]), "workflows", "expected an object", ""),
        (inner(nodes={"b": {"kind": "x"}}), "workflows.w.nodes.b.kind", "found 'x'", ""),
        (inner(edges=[{"kind": "x"}]), "workflows.w.edges[0].kind", "found 'x'", ""),
        (inner(workflows={}), "workflows.w.workflows", "has no workflows of its own", "beside"),
        (inner(inputs={"p": {"required": True, "default": 1}}), "workflows.w.inputs.p", "cannot be", ""),
        (node(timeout=0), "nodes.a.timeout", "greater than 0", ""),
        (node(timeout="3"), "nodes.a.timeout", "found '3', expected a number", ""),
        (node(retry={"attempts": 0}), "nodes.a.retry.attempts", "found 0", ""),
        (node(retry={"attempts": True}), "nodes.a.retry.attempts", "expected an integer", ""),
        (node(retry={"atempts": 2}), "nodes.a.retry.atempts", "unknown key", "Did you mean 'attempts'?"),
        (node(params={"a b": 1}), "nodes.a.params.a b", "expected the name of a port", ""),
        (node(params={"a": "\ud800"}), "nodes.a.params", "surrogate", ""),
        (node(params={"a": float("inf")}), "nodes.a.params", "not a JSON number", ""),
        (broken(edges={}), "edges", "expected a list", ""),
        (broken(edges=[3]), "edges[0]", "expected an object", ""),
        (broken(edges=[{"from": "a", "to": "a.b"}]), "edges[0].from", "expected a node and its port", ""),
        (broken(edges=[{"form": "a.b", "to": "a.b"}]), "edges[0]", "the key 'from' is missing", ""),
        (
            broken(edges=[{"from": "a.b", "to": "a.b", "metadata": 3}]),
            "edges[0].metadata",
            "expected an object",
            "",
        ),
        (broken(edges=[{"kind": "date"}]), "edges[0].kind", "found 'date'", "Did you mean 'data'?"),
        (broken(edges=[{"kind": "control", "from": "a.b", "to": "a"}]), "edges[0].from", "letters", ""),
        (broken(inputs={"p": {"schema": 3}}), "inputs.p.schema", "expected an object", ""),
        (broken(inputs={"p": {"required": True, "default": 1}}), "inputs.p", "cannot be required", ""),
        (broken(outputs={"r": "report"}), "outputs.r", "expected a node and its port", ""),
        (broken(metadata={"tags": "x"}), "metadata.tags", "expected a list", ""),
        (broken(metadata={"tags": [1]}), "metadata.tags[0]", "expected a string", ""),
    ],
)
def test_a_wrong_shape_is_refused_with_its_path(document, path, said, hinted):
    with pytest.raises(WorkflowError) as refused:
        from_document(document, file="flow.json")
    faults = {fault["path"]: fault for fault in refused.value.details["faults"]}
    assert refused.value.code == "SYM-W004"
    assert refused.value.file == "flow.json"
    assert said in faults[path]["message"]
    assert hinted in faults[path]["hint"]
    assert path in refused.value.message


def test_every_fault_of_the_shape_is_told_at_once_and_a_flood_of_them_in_brief():
    document = {"schema": 2, "id": 3, "nodes": {f"n{number}": {"kind": "x"} for number in range(100)}}
    with pytest.raises(WorkflowError) as refused:
        from_document(document)
    assert len(refused.value.details["faults"]) == 101
    assert "101 faults" in refused.value.message
    assert "and 81 more" in refused.value.message


def test_a_saved_file_loads_as_it_was_and_leaves_nothing_beside_it(atlas, tmp_path):
    path = tmp_path / "flow.json"
    path.write_text("old")
    save(atlas, path)
    assert load(path) == atlas
    assert [found.name for found in tmp_path.iterdir()] == ["flow.json"]


def test_a_file_that_cannot_be_written_is_an_error_and_keeps_the_old_one(atlas, tmp_path):
    with pytest.raises(WorkflowError, match="cannot be written") as refused:
        save(atlas, tmp_path / "missing" / "flow.json")
    assert refused.value.code == "SYM-W006"
    (tmp_path / "flow.json").mkdir()
    with pytest.raises(WorkflowError, match="cannot be written"):
        save(atlas, tmp_path / "flow.json")
    assert [found.name for found in tmp_path.iterdir()] == ["flow.json"]


def test_what_json_cannot_hold_is_refused_before_the_file_is_touched(tmp_path):
    path = tmp_path / "flow.json"
    path.write_text("old")
    for value in (Path("x"), {1: 2}, float("nan"), (1,), 2**64, "\ud800"):
        workflow = Workflow(id="x", nodes=(OperatorNode(id="a", uses="a.b.c", params={"p": value}),))
        with pytest.raises(WorkflowError, match=r"nodes\.a\.params\.p cannot be written as JSON") as refused:
            save(workflow, path)
        assert refused.value.code == "SYM-W006"
    assert path.read_text() == "old"


def test_two_parts_of_one_name_are_not_written_because_one_would_be_lost():
    twice = OperatorNode(id="a", uses="a.b.c")
    with pytest.raises(WorkflowError, match="two nodes are named 'a'"):
        dumps(Workflow(id="x", nodes=(twice, twice)))
    with pytest.raises(WorkflowError, match="two outputs are named 'r'"):
        dumps(Workflow(id="x", outputs=(WorkflowOutput("r", "a", "b"), WorkflowOutput("r", "a", "c"))))


def test_what_a_file_cannot_say_is_not_written():
    inner = Workflow(id="in")
    with pytest.raises(WorkflowError, match="has workflows of its own"):
        dumps(Workflow(id="x", workflows=(Workflow(id="mid", workflows=(inner,)),)))
    with pytest.raises(WorkflowError, match="two workflows are named 'in'"):
        dumps(Workflow(id="x", workflows=(inner, inner)))
    with pytest.raises(WorkflowError, match="is required and has a default"):
        dumps(Workflow(id="x", inputs=(WorkflowInput("p", default=3),)))
    for broken in (
        OperatorNode(id="a", uses="a.b.c", label="\ud800"),
        OperatorNode(id="a", uses="a.b.c", params={"p": Expression("\ud800")}),
        OperatorNode(id="a", uses="a.b.c", params={"p": [Expression("x")]}),
        BranchNode(id="a", condition="\ud800"),
        ApprovalNode(id="a", prompt="\ud800"),
    ):
        with pytest.raises(WorkflowError, match=r"nodes\.a\..* cannot be written as JSON"):
            dumps(Workflow(id="x", nodes=(broken,)))
    for broken in (
        Workflow(id="x", name="\ud800"),
        Workflow(id="x", inputs=(WorkflowInput("p", description="\ud800"),)),
    ):
        with pytest.raises(WorkflowError, match=r"cannot be written as JSON: a string holds half"):
            dumps(broken)


def test_a_field_that_the_format_knows_cannot_hide_among_the_unknown_ones():
    for workflow, name in (
        (Workflow(id="x", extra={"nodes": {}}), "nodes"),
        (Workflow(id="x", nodes=(OperatorNode(id="a", uses="a.b.c", extra={"retry": {}}),)), "retry"),
        (Workflow(id="x", edges=(ControlEdge("a", "b", extra={"kind": "data"}),)), "kind"),
        (Workflow(id="x", inputs=(WorkflowInput("p", extra={"default": 3}),)), "default"),
        (Workflow(id="x", workflows=(Workflow(id="w", extra={"workflows": {}}),)), "workflows"),
    ):
        with pytest.raises(WorkflowError, match=f"has '{name}' among its unknown fields") as refused:
            dumps(workflow)
        assert refused.value.code == "SYM-W006"


def test_unknown_fields_stay_where_they_are_in_the_order_of_the_file():
    text = """{
  "schema": 2,
  "id": "x",
  "inputs": {
    "p": {"widget": "slider", "//": "of the form"}
  },
  "nodes": {
    "a": {"kind": "operator", "uses": "acme.text.count", "zoom": 3, "tiemout": [1, 2.50]}
  },
  "edges": [
    {"from": "$inputs.p", "to": "a.text", "x-colour": "red"}
  ],
  "workflows": {
    "w": {"nodes": {}, "schema": 2, "id": "pasted"}
  },
  "$comment": "kept",
  "future": {
    "b": 1,
    "a": null
  }
}
"""
    workflow = loads(text)
    assert workflow.nodes[0].extra == {"zoom": 3, "tiemout": [1, 2.5]}
    assert workflow.workflows[0] == Workflow(id="w", extra={"schema": 2, "id": "pasted"})
    assert list(workflow.extra) == ["$comment", "future"]
    assert dumps(workflow) == text.replace("2.50", "2.5")


def test_metadata_cannot_say_one_thing_twice():
    with pytest.raises(WorkflowError, match="author"):
        Metadata(extra={"author": "x"})


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe{}", "not UTF-8: byte 0 is 0xff"), (b"{}" + b" " * MAX_BYTES, "at most 67,108,864 are read")],
)
def test_a_file_that_is_no_text_or_far_too_large_is_refused(tmp_path, content, said):
    (tmp_path / "flow.json").write_bytes(content)
    with pytest.raises(WorkflowError, match=said) as refused:
        load(tmp_path / "flow.json")
    assert refused.value.code == "SYM-W002"


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    for path in (tmp_path / "flow.json", tmp_path):
        with pytest.raises(WorkflowError, match="cannot be read") as refused:
            load(path)
        assert (refused.value.code, refused.value.file) == ("SYM-W002", str(path))


def test_a_byte_order_mark_is_no_fault():
    assert loads(b"\xef\xbb\xbf" + json.dumps(SMALLEST).encode()).id == "x"


def test_an_input_is_required_unless_it_has_a_default():
    workflow = from_document(broken(inputs={"a": {}, "b": {"default": 1}, "c": {"required": False}}))
    assert [(one.required, one.default) for one in workflow.inputs] == [
        (True, None),
        (False, 1),
        (False, None),
    ]


def test_a_value_may_nest_to_a_fixed_depth_only():
    value = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert json_fault(value) == ""
    assert "deeper" in json_fault([value])


def test_the_package_imports_pydantic_and_cel_only_when_they_are_needed():
    code = (
        "import sys, symphony_workflow as w\n"
        "w.dumps(w.Workflow(id='x'))\n"
        "print(*sorted({'pydantic', 'cel', 'networkx', 'httpx'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("end", ["from", "to"])
@pytest.mark.parametrize(
    "place", ["b.x\nc.y", "b", "b.x.y", "", "b.x\n", "\u00e4.x", 3, None, ["b.x"], "$inputs.", "$other.x"]
)
def test_one_wrong_end_among_many_sound_edges_is_told_with_its_place(place, end):
    edges = [{"from": "$inputs.p", "to": "a.x"}, {"kind": "control", "from": "a", "to": "b"}] * 3
    edges[4] = {"from": "a.x", "to": "a.y", end: place}
    with pytest.raises(WorkflowError) as refused:
        from_document(broken(edges=edges))
    assert [fault["path"] for fault in refused.value.details["faults"]] == [f"edges[4].{end}"]


def test_a_fault_beside_sound_edges_has_the_place_of_the_file():
    edges = [
        {"from": "a.x", "to": "b.x"},
        {"kind": "x"},
        {"from": "a.x", "to": "b.x"},
        3,
        {"kind": "control"},
    ]
    with pytest.raises(WorkflowError) as refused:
        from_document(broken(edges=edges))
    paths = [fault["path"] for fault in refused.value.details["faults"]]
    assert paths == ["edges[1].kind", "edges[3]", "edges[4]", "edges[4]"]


def test_hostile_files_are_refused_in_bounded_memory():
    script = Path(__file__).with_name("hostile_files.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        "a million unknown keys": ["read", 0],
        "nodes of no kind": ["SYM-W004", 30_000],
        "nodes of a misspelt kind": ["SYM-W004", 30_000],
        "edges without ends": ["SYM-W004", 60_000],
        "workflows without nodes": ["SYM-W004", 30_000],
        "a kind of a million letters": ["SYM-W004", 1],
        "a kind of a million items": ["SYM-W004", 1],
        "nothing but brackets": ["SYM-W003", 0],
        "a number of a million digits": ["SYM-W003", 0],
        "one key thousands of times": ["SYM-W003", 0],
        "values that nest too deep": ["SYM-W004", 1],
    }

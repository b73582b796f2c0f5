import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
    WorkflowInput,
    WorkflowOutput,
    digest,
    dumps,
    from_document,
    json_schema,
    load,
    loads,
    save,
    to_document,
    validate,
)
from symphony_workflow.codec import MAX_BYTES
from symphony_workflow.json_values import MAX_DEPTH, json_fault

SMALLEST = {"schema": 1, "id": "x", "nodes": {"a": {"kind": "operator", "uses": "acme.text.count"}}}

node_ids = st.builds("{}{}".format, st.sampled_from("aZ_"), st.text("b3_-", max_size=4))
port_names = st.builds("{}{}".format, st.sampled_from("aZ_"), st.text("b3_", max_size=4))
operation_ids = st.builds(
    "acme.{}.{}".format, st.sampled_from(["a", "b-2"]), st.sampled_from(["x", "y9", "z-"])
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
seconds = st.floats(0.001, 1e6, allow_nan=False)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
params = st.dictionaries(port_names, json_values, max_size=3)
free = st.dictionaries(texts, json_values, max_size=2)
retries = st.builds(
    RetryPolicy,
    st.integers(1, 1000),
    st.floats(0, 86_400, allow_nan=False),
    st.floats(1, 100, allow_nan=False),
)


@st.composite
def nodes(draw, id):
    drawn = {"id": id, "params": draw(params), "label": draw(texts), "metadata": draw(free)}
    kind = draw(st.sampled_from([InstrumentNode, OperatorNode, MapNode, BranchNode]))
    if kind is BranchNode:
        return BranchNode(**drawn, condition=draw(texts.filter(bool)))
    drawn |= {"uses": draw(operation_ids), "retry": draw(retries), "timeout": draw(st.none() | seconds)}
    if kind is MapNode:
        drawn |= {"over": draw(port_names), "concurrency": draw(st.integers(1, 10_000))}
        drawn["on_error"] = draw(st.sampled_from(["fail", "collect"]))
    return kind(**drawn)


@st.composite
def inputs(draw, name):
    default = draw(json_values)
    required = draw(st.booleans())
    return WorkflowInput(name, draw(free), required, None if required else default, draw(texts))


edges = st.one_of(
    st.builds(DataEdge, node_ids | st.just(INPUTS), port_names, node_ids, port_names),
    st.builds(ControlEdge, node_ids, node_ids),
    st.builds(ConditionalEdge, node_ids, node_ids, texts.filter(bool)),
)
reserved = {"author", "created", "modified", "tags"}
metadata = st.builds(
    Metadata,
    texts,
    texts,
    texts,
    st.lists(texts, max_size=3).map(tuple),
    st.dictionaries(texts.filter(lambda key: key not in reserved), json_values, max_size=2),
)


@st.composite
def workflows(draw):
    names = draw(st.lists(port_names, unique=True, max_size=4))
    return Workflow(
        id=draw(st.builds("{}{}".format, st.sampled_from("aZ_7"), st.text("b3_.-", max_size=4))),
        name=draw(texts),
        nodes=tuple(draw(nodes(id)) for id in draw(st.lists(node_ids, unique=True, max_size=4))),
        edges=tuple(draw(st.lists(edges, max_size=6))),
        inputs=tuple(draw(inputs(name)) for name in names),
        outputs=tuple(draw(st.builds(WorkflowOutput, st.just(name), node_ids, port_names)) for name in names),
        metadata=draw(metadata),
    )


@given(workflows())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_workflow_comes_back_from_json_as_it_was(workflow):
    text = dumps(workflow)
    back = loads(text)
    assert back == workflow
    assert dumps(back) == text
    assert digest(back) == digest(workflow)
    assert loads(text.encode()) == workflow
    assert from_document(json.loads(text)) == workflow


@given(workflows(), st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


@given(json_values)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_in_place_of_a_workflow_is_refused_with_its_faults(value):
    with pytest.raises(WorkflowError) as refused:
        from_document(value)
    assert refused.value.code == "SYM-W004"
    assert refused.value.details["faults"]


@given(workflows(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    )
    assert digest(other) == digest(workflow)


def test_the_digest_changes_with_what_the_workflow_says(atlas):
    others = [
        Workflow(id="other", nodes=atlas.nodes, edges=atlas.edges),
        Workflow(id=atlas.id, nodes=atlas.nodes, edges=atlas.edges[1:]),
        Workflow(id=atlas.id, nodes=atlas.nodes[1:], edges=atlas.edges),
    ]
    assert len({digest(one) for one in (atlas, *others)}) == 4


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
        '  "schema": 1,\n'
        '  "id": "two",\n'
        '  "nodes": {\n'
        '    "walk": {"kind": "operator", "uses": "acme.files.walk", "params": {"path": "."}},\n'
        '    "count": {\n'
        '      "kind": "control",\n'
        '      "control": "map",\n'
        '      "uses": "acme.text.count",\n'
        '      "over": "file",\n'
        '      "retry": {"attempts": 3, "backoff": 2}\n'
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


@pytest.mark.parametrize(
    ("document", "path", "said", "hinted"),
    [
        ([], "the document", "expected an object", ""),
        (None, "the document", "expected an object", ""),
        ({"schema": 1, "nodes": {}}, "the document", "the key 'id' is missing", ""),
        (broken(schema="1"), "schema", "found '1', expected 1", ""),
        (broken(schema=True), "schema", "found True, expected 1", ""),
        (broken(id="a b"), "id", "expected a name of letters", ""),
        (broken(noodles={}), "noodles", "unknown key 'noodles'", "Did you mean 'nodes'?"),
        (broken(nodes=[]), "nodes", "expected an object", ""),
        (broken(nodes={"a": 3}), "nodes.a", "expected an object", ""),
        (broken(nodes={"a.b": SMALLEST["nodes"]["a"]}), "nodes.a.b", "expected a name of letters", ""),
        (broken(nodes={"a": {}}), "nodes.a", "the key 'kind' is missing", '"instrument" or "operator"'),
        (node(kind="opertor"), "nodes.a.kind", "found 'opertor'", "Did you mean 'operator'?"),
        (node(kind=["x"]), "nodes.a.kind", "found ['x']", ""),
        (node(kind="control"), "nodes.a", "the key 'control' is missing", '"map" or "branch"'),
        (node(kind="control", control="mapp"), "nodes.a.control", "found 'mapp'", "Did you mean 'map'?"),
        (node(uses="count"), "nodes.a.uses", "expected the id of an operation", ""),
        (node(timeuot=3), "nodes.a.timeuot", "unknown key", "Did you mean 'timeout'?"),
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
        (
            broken(edges=[{"form": "a.b", "to": "a.b"}]),
            "edges[0].form",
            "unknown key",
            "Did you mean 'from'?",
        ),
        (broken(edges=[{"kind": "date"}]), "edges[0].kind", "found 'date'", "Did you mean 'data'?"),
        (broken(edges=[{"kind": "control", "from": "a.b", "to": "a"}]), "edges[0].from", "letters", ""),
        (broken(inputs={"p": {"schema": 3}}), "inputs.p.schema", "expected an object", ""),
        (broken(inputs={"p": {"defualt": 3}}), "inputs.p.defualt", "unknown key", "Did you mean 'default'?"),
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
    document = {"schema": 1, "id": 3, "nodes": {f"n{number}": {"kind": "x"} for number in range(100)}}
    with pytest.raises(WorkflowError) as refused:
        from_document(document)
    assert len(refused.value.details["faults"]) == 101
    assert "101 faults" in refused.value.message
    assert "and 81 more" in refused.value.message


def test_a_file_of_a_newer_format_is_refused_with_the_mend():
    with pytest.raises(WorkflowError, match=r"format 2; this version of Symphony reads up to 1") as refused:
        loads(json.dumps({"schema": 2, "everything": "else"}))
    assert refused.value.code == "SYM-W005"
    assert "Upgrade" in refused.value.hint


def test_an_older_format_is_migrated_step_by_step_before_its_shape_is_checked():
    def from_minus_one(document):
        document["id"] = document.pop("title")
        return document

    def from_zero(document):
        document["nodes"] = document.pop("tasks")
        return document

    old = {"schema": -1, "title": "x", "tasks": SMALLEST["nodes"]}
    kept = json.dumps(old)
    migrated = from_document(old, migrations={-1: from_minus_one, 0: from_zero})
    assert migrated == from_document(SMALLEST)
    assert json.dumps(old) == kept
    with pytest.raises(WorkflowError, match="schema: found 0, expected 1"):
        from_document({**old, "schema": 0}, migrations={})


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
        with pytest.raises(WorkflowError, match=r"nodes\.a\.params cannot be written as JSON") as refused:
            save(workflow, path)
        assert refused.value.code == "SYM-W006"
    assert path.read_text() == "old"


def test_two_parts_of_one_name_are_not_written_because_one_would_be_lost():
    twice = OperatorNode(id="a", uses="a.b.c")
    with pytest.raises(WorkflowError, match="two nodes are named 'a'"):
        dumps(Workflow(id="x", nodes=(twice, twice)))
    with pytest.raises(WorkflowError, match="two outputs are named 'r'"):
        dumps(Workflow(id="x", outputs=(WorkflowOutput("r", "a", "b"), WorkflowOutput("r", "a", "c"))))


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


@pytest.fixture(scope="module")
def schema():
    return json_schema()


@given(workflow=workflows())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_published_schema_knows_every_key_that_is_written(schema, workflow):
    document = to_document(workflow)
    assert document.keys() <= schema["properties"].keys()
    kinds = {
        "instrument": "InstrumentFields",
        "operator": "OperatorFields",
        "map": "MapFields",
        "branch": "BranchFields",
    }
    for written in document["nodes"].values():
        known = schema["$defs"][kinds[written.get("control", written["kind"])]]
        assert set(known["required"]) <= written.keys() <= known["properties"].keys()


@pytest.mark.parametrize("kind", [InstrumentNode, OperatorNode, MapNode, BranchNode])
def test_the_document_says_every_field_of_a_node(kind, schema):
    name = {MapNode: "MapFields", BranchNode: "BranchFields"}.get(kind, f"{kind.kind.title()}Fields")
    known = set(schema["$defs"][name]["properties"])
    assert known - {"kind", "control"} == {field.name for field in fields(kind)} - {"id"}


def test_the_published_schema_refuses_names_that_the_reader_refuses(schema):
    for key in ("nodes", "inputs", "outputs"):
        assert schema["properties"][key]["additionalProperties"] is False
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["OperatorFields"]["properties"]["params"]["additionalProperties"] is False


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

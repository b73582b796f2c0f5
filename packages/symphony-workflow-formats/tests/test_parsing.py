"""Files that a stranger wrote are read within bounds, and refused with the place and the reason."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import SymphonyError, WorkflowError
from symphony_workflow.model import NODE_ID, OPERATION_ID, PORT_NAME, WORKFLOW_ID
from symphony_workflow.testing import examples
from symphony_workflow_formats import parsing
from symphony_workflow_formats.names import Names, node_name, port_name, word, workflow_name
from symphony_workflow_formats.parsing import parse_json, parse_yaml


def refused(function, data):
    with pytest.raises(WorkflowError) as caught:
        function(data)
    assert caught.value.code == "SYM-W101"
    return caught.value


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b'{"a": ', "not JSON"),
        (b"\xff{}", "not UTF-8: byte 0"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b"[NaN]", "NaN is not a JSON number"),
        (b"[1e999]", "inf is not a JSON number"),
        (b"[123456789012345678901234567890]", "64 bits"),
        (b'["\\ud800"]', "surrogate"),
        (b"[" * 60 + b"]" * 60, "nest deeper"),
        (b"[" * 100_000, "nest deeper"),
        (b"1" * 5000, "JSON"),
    ],
)
def test_json_that_no_workflow_could_hold_is_refused(data, why):
    assert why in refused(parse_json, data).message


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"a: [1", "not YAML"),
        (b"a: 1\na: 2", "the key 'a' stands twice"),
        (b"a: !!python/object/apply:os.system [ls]", "the tag"),
        (b"a: !include x.yml", "the tag"),
        (b"? [1, 2]\n: 3", "a key is a list"),
        (b"a: &x [*x]", "recursive"),
        (b"a: 1e999", "not a JSON number"),
        (b"- " * 200 + b"x", "nest deeper"),
        (b"[" * 900 + b"]" * 900, "nest deeper"),
        (b"- " * 100_000 + b"x", "nest deeper"),
        (b"[" * 100_000, "nest deeper"),
        (b"a: *missing", "not YAML"),
        (b"--- 1\n--- 2", "not YAML"),
    ],
)
def test_yaml_that_no_workflow_could_hold_is_refused(data, why):
    assert why in refused(parse_yaml, data).message


def test_the_place_of_a_fault_is_named():
    error = refused(parse_yaml, b"a: 1\nb: [2\nc: 3")
    assert error.line == 3
    error = refused(parse_json, b'{"a": 1,\n "b": }')
    assert (error.line, error.column) == (2, 7)


def test_aliases_that_grow_without_end_are_refused_before_they_do(monkeypatch):
    monkeypatch.setattr(parsing, "MAX_VALUES", 100_000)
    laughs = b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (now, now, b", ".join([b"*%c" % (now - 1)] * 10)) for now in range(98, 106)
    )
    assert "more than 100,000 values" in refused(parse_yaml, laughs).message


@pytest.mark.parametrize(("function", "limit"), [(parse_json, "MAX_JSON"), (parse_yaml, "MAX_YAML")])
def test_a_file_that_is_too_large_is_not_parsed(function, limit, monkeypatch):
    monkeypatch.setattr(parsing, limit, 10)
    assert "at most 10" in refused(function, b"[1, 2, 3, 4, 5]").message


def test_yaml_is_that_of_version_1_2():
    text = b"a: yes\nb: on\nc: 0123\nd: 1_000\ne: 2001-01-01\nf: ~\ng: true\nh: .5\ni: 1e3\nj: -7\nk: 12:30\nl: '1'\nm:\n1: x\ntrue: y"
    assert parse_yaml(text) == {
        "a": "yes",
        "b": "on",
        "c": 123,
        "d": "1_000",
        "e": "2001-01-01",
        "f": None,
        "g": True,
        "h": 0.5,
        "i": 1000.0,
        "j": -7,
        "k": "12:30",
        "l": "1",
        "m": None,
        "1": "x",
        "true": "y",
    }


def test_yaml_that_is_json_is_parsed_as_json():
    assert parse_yaml(b' {"a": [1, "yes"]}') == {"a": [1, "yes"]}


@given(st.binary(max_size=60) | st.text("{}[]:,-&*!#'\"ab1 \n", max_size=60).map(str.encode))
@settings(max_examples=examples(200), deadline=None)
def test_any_bytes_are_read_or_refused(data):
    for function in (parse_json, parse_yaml):
        try:
            function(data)
        except WorkflowError as error:
            assert error.code == "SYM-W101"


KEYS = st.sampled_from(
    [
        "nodes",
        "links",
        "id",
        "type",
        "inputs",
        "outputs",
        "widgets_values",
        "mode",
        "workflow",
        "specification",
        "tasks",
        "parents",
        "name",
        "connections",
        "main",
        "parameters",
        "class",
        "steps",
        "in",
        "out",
        "run",
        "scatter",
        "when",
        "source",
        "class_type",
        "definitions",
        "subgraphs",
        "cwlVersion",
        "$graph",
    ]
)
HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", ["comfyui", "comfyui-api", "wfformat", "n8n", "cwl"])
@given(file=st.dictionaries(KEYS, HOSTILE, max_size=5))
@settings(max_examples=examples(60), deadline=None)
def test_a_file_of_any_shape_is_read_or_refused_with_a_reason(formats, name, file):
    for shape in (
        file,
        {"cwlVersion": "v1.2", "class": "Workflow", **file},
        {"1": {"class_type": "A", **file}},
    ):
        try:
            formats[name].read(json.dumps(shape).encode(), name="x", mapping={})
        except SymphonyError as error:
            assert error.code in ("SYM-W102", "SYM-W101")


@given(st.lists(st.text(max_size=200), max_size=20, unique=True))
@settings(max_examples=examples(60), deadline=None)
def test_any_texts_become_names_that_are_allowed_and_differ(texts):
    for spell, pattern in ((node_name, NODE_ID), (port_name, PORT_NAME), (workflow_name, WORKFLOW_ID)):
        names = Names(spell)
        made = [names.of(text) for text in texts]
        assert all(pattern.fullmatch(name) for name in made)
        assert len(set(made)) == len(made)
        assert [names.of(text) for text in texts] == made
    assert all(OPERATION_ID.fullmatch(f"a.b.{word(text)}") for text in texts)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CLIPTextEncode", "clip-text-encode"),
        ("KSampler", "k-sampler"),
        ("bwa mem_2", "bwa-mem-2"),
        ("3D Pack", "n-3-d-pack"),
    ],
)
def test_node_types_become_readable_words(text, name):
    assert word(text) == name

import json
from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    ConditionalEdge,
    ControlEdge,
    DataEdge,
    WorkflowInput,
    from_document,
    json_schema,
    model,
    to_document,
)
from symphony_workflow.document_schema import document_schema
from symphony_workflow.node_documents import NODE_KINDS
from symphony_workflow.testing import examples, workflows

SCHEMA = json_schema()
KEPT = Path(__file__).parent / "kept"
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one_and_has_a_stable_id():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == "urn:symphony:workflow:2"


def test_the_published_schema_is_that_of_the_reader():
    """`uv run python docs/reference/generate.py` writes it."""
    assert document_schema() == SCHEMA


@pytest.mark.parametrize("version", range(1, model.SCHEMA + 1))
def test_the_schema_of_every_format_stays_published_and_takes_the_files_of_that_format(version):
    schema = json_schema(version)
    assert schema["$id"] == f"urn:symphony:workflow:{version}"
    for file in KEPT.glob(f"*-{version}.json"):
        jsonschema.validate(json.loads(file.read_text("utf-8")), schema)


@pytest.mark.parametrize("version", [0, model.SCHEMA + 1])
def test_the_schema_of_a_format_that_there_is_not_is_refused(version):
    with pytest.raises(WorkflowError, match="there is no JSON Schema") as refused:
        json_schema(version)
    assert refused.value.code == "SYM-W005"


@given(workflow=workflows())
@settings(max_examples=examples(30))
def test_every_file_that_is_written_is_valid_by_the_schema(workflow):
    VALIDATOR.validate(to_document(workflow))


@pytest.mark.parametrize("name", NODE_KINDS)
def test_the_schema_says_every_field_of_a_node(name):
    known = set(SCHEMA["$defs"][f"{name.title()}Fields"]["properties"])
    assert known - {"kind", "control"} == {field.name for field in fields(NODE_KINDS[name])} - {"id", "extra"}


@pytest.mark.parametrize("edge", [DataEdge, ControlEdge, ConditionalEdge])
def test_the_schema_says_every_field_of_an_edge(edge):
    known = set(SCHEMA["$defs"][f"{edge.__name__}Fields"]["properties"])
    ends = {"source", "source_port", "target", "target_port"}
    assert known == {"kind", "from", "to"} | {field.name for field in fields(edge)} - ends - {"extra"}


def test_the_schema_says_every_field_of_an_input():
    known = set(SCHEMA["$defs"]["InputFields"]["properties"])
    assert known == {field.name for field in fields(WorkflowInput)} - {"name", "extra"}


@pytest.mark.parametrize(
    "document",
    [
        {"schema": 2, "id": "x"},
        {"schema": 2, "id": "x", "nodes": {"a b": {"kind": "operator", "uses": "a.b.c"}}},
        {"schema": 2, "id": "x", "nodes": {}, "inputs": {"a b": {}}},
        {"schema": 2, "id": "x", "nodes": {}, "outputs": {"a": "b"}},
        {"schema": 2, "id": "x", "nodes": {"a": {"kind": "operator", "uses": "a.b.c", "params": {"a b": 1}}}},
        {
            "schema": 2,
            "id": "x",
            "nodes": {"a": {"kind": "operator", "uses": "a.b.c", "params": {"a": {"$expr": 1}}}},
        },
        {
            "schema": 2,
            "id": "x",
            "nodes": {"a": {"kind": "operator", "uses": "a.b.c", "retry": {"delai": 1}}},
        },
        {"schema": 2, "id": "x", "nodes": {"a": {"kind": "control", "control": "join", "wait": 0}}},
        {"schema": 2, "id": "x", "nodes": {}, "edges": [{"from": "a", "to": "b"}]},
        {"schema": 2, "id": "x", "nodes": {}, "workflows": {"a b": {"nodes": {}}}},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(document):
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(WorkflowError, match="in its shape"):
        from_document(document)


@pytest.mark.parametrize("wait", ["all", "any", 3])
def test_the_schema_takes_what_the_reader_takes(wait):
    node = {"kind": "control", "control": "join", "wait": wait, "params": {"a": {"$expr": "x"}}, "unknown": 1}
    document = {"schema": 2, "id": "x", "nodes": {"a": node}}
    VALIDATOR.validate(document)
    assert from_document(document).nodes[0].wait == wait

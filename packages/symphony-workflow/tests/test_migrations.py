import json
from pathlib import Path

import pytest
from symphony_sdk.errors import WorkflowError
from symphony_workflow import (
    SCHEMA,
    Expression,
    MapNode,
    RetryPolicy,
    digest,
    dumps,
    from_document,
    load,
    loads,
    to_document,
)
from symphony_workflow.migrations import MIGRATIONS

KEPT = Path(__file__).parent / "kept"
FILES = sorted(KEPT.glob("*.json"))


def test_every_older_format_has_a_migration_and_a_kept_file_that_uses_all_of_it():
    kept = {file.stem for file in FILES}
    assert list(MIGRATIONS) == list(range(1, SCHEMA))
    assert {f"{what}-{version}" for version in MIGRATIONS for what in ("small", "everything")} <= kept


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_kept_file_loads_and_is_written_in_the_present_format(file):
    workflow = load(file)
    assert json.loads(file.read_text("utf-8"))["schema"] == int(file.stem.rpartition("-")[2])
    assert to_document(workflow)["schema"] == SCHEMA
    assert loads(dumps(workflow)) == workflow


def test_a_kept_file_of_version_1_means_what_it_meant():
    workflow = load(KEPT / "everything-1.json")
    nodes = {node.id: node for node in workflow.nodes}
    assert list(nodes) == ["walk", "caption", "sizes", "many", "report"]
    assert nodes["walk"].retry == RetryPolicy(3, delay=1.5, factor=3)
    assert nodes["walk"].params == {
        "include": ["*.py"],
        "depth": 3,
        "filter": {"$expr": "no expression then"},
    }
    assert nodes["sizes"] == MapNode(
        id="sizes",
        uses="acme.files.size",
        over="file",
        params={"unit": "KiB"},
        concurrency=4,
        max_items=None,
        on_error="collect",
        retry=RetryPolicy(2, delay=7200, limit=7200),
        timeout=5,
    )
    assert nodes["many"].condition == "count > limit"
    assert workflow.metadata.extra == {"reviewed": {"by": "Grace", "score": 1.5}}
    assert [one.required for one in workflow.inputs] == [True, False, False]
    assert not any(part.extra for part in (workflow, *workflow.nodes, *workflow.edges, *workflow.inputs))


@pytest.mark.parametrize(
    ("attempts", "backoff", "factor"), [(2, 7200, 2), (5, 1, 2), (10, 60, 10), (1, 86_400, 100), (30, 0.5, 1)]
)
def test_the_waits_of_version_1_stay_as_they_were_up_to_a_year(attempts, backoff, factor):
    policy = {"attempts": attempts, "backoff": backoff, "factor": factor}
    node = {"kind": "operator", "uses": "a.b.c", "retry": policy}
    retry = from_document({"schema": 1, "id": "x", "nodes": {"a": node}}).nodes[0].retry
    for attempt in range(1, attempts):
        assert retry.wait(attempt) == min(backoff * factor ** (attempt - 1), 31_536_000)


@pytest.mark.parametrize(
    "retry",
    [
        {"attempts": 10**9, "backoff": 1, "factor": 100},
        {"attempts": 3, "backoff": 10**400},
        {"attempts": 3, "backoff": "1"},
        {"attempts": 3, "backoff": 1, "factor": 10**400},
        {"backoff": 1, "delay": 2},
        {"delai": 1},
        [],
    ],
)
def test_a_retry_policy_that_no_version_allows_is_refused_after_the_migration(retry):
    node = {"kind": "operator", "uses": "a.b.c", "retry": retry}
    with pytest.raises(WorkflowError) as refused:
        from_document({"schema": 1, "id": "x", "nodes": {"a": node}})
    assert refused.value.code == "SYM-W004"


@pytest.mark.parametrize(
    "nodes", [[], 3, {"a": 3}, {"a": {"params": 3}}, {"a": {"retry": 3, "control": "map"}}]
)
def test_a_broken_file_of_an_old_version_is_told_its_faults(nodes):
    with pytest.raises(WorkflowError) as refused:
        from_document({"schema": 1, "id": "x", "nodes": nodes})
    assert refused.value.code == "SYM-W004"


def test_what_looked_like_an_expression_before_there_were_any_is_a_literal():
    params = {"a": {"$expr": "x"}, "b": {"$literal": 1}, "c": {"$expr": "x", "y": 1}}
    node = {"kind": "operator", "uses": "a.b.c", "params": params}
    old = {"schema": 1, "id": "x", "nodes": {"a": node}}
    assert from_document(old).nodes[0].params == params
    new = from_document({**old, "schema": 2}).nodes[0].params
    assert new == {"a": Expression("x"), "b": 1, "c": {"$expr": "x", "y": 1}}


def test_a_file_of_a_newer_format_is_refused_with_the_mend():
    with pytest.raises(WorkflowError, match=r"format 3; this version of Symphony reads up to 2") as refused:
        loads(json.dumps({"schema": 3, "everything": "else"}))
    assert refused.value.code == "SYM-W005"
    assert "Upgrade" in refused.value.hint


def test_an_older_format_is_migrated_step_by_step_before_its_shape_is_checked():
    def from_minus_one(document):
        document["id"] = document.pop("title")
        return document

    def from_zero(document):
        document["nodes"] = document.pop("tasks")
        return document

    tasks = {"a": {"kind": "operator", "uses": "acme.text.count"}}
    old = {"schema": -1, "title": "x", "tasks": tasks}
    kept = json.dumps(old)
    migrated = from_document(old, migrations={**MIGRATIONS, -1: from_minus_one, 0: from_zero})
    assert digest(migrated) == digest(from_document({"schema": 2, "id": "x", "nodes": tasks}))
    assert json.dumps(old) == kept
    with pytest.raises(WorkflowError, match="schema: found 0, expected 2"):
        from_document({**old, "schema": 0}, migrations={})

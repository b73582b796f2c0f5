"""What is told of a run that has ended: how it went, what failed and why, and how to go on."""

import json
from typing import Any

import pytest
from symphony_core import Outcome
from symphony_host.cli.failures import failures
from symphony_host.cli.shell import Shell
from symphony_host.cli.summary import print_summary
from symphony_host.run_shape import RunShape
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.ports import NodeStatus, RunStatus

BROKE = ErrorPayload("SYM-E080", "it broke\nbadly", hint="Mend it.")
FULL = ErrorPayload("ACME-2", "the disk is full")
PAIRS = 5000


@pytest.fixture(scope="module")
def shape() -> RunShape:
    """Five thousand readers, and for each a counter that needs it."""
    nodes: dict[str, Any] = {}
    for number in range(PAIRS):
        nodes[f"read-{number}"] = {"kind": "operator", "uses": "acme.text.read"}
        nodes[f"count-{number}"] = {"kind": "operator", "uses": "acme.text.count"}
    edges = [
        {"from": f"read-{number}", "to": f"count-{number}", "kind": "control"} for number in range(PAIRS)
    ]
    return RunShape.of_document({"schema": 1, "id": "pairs", "nodes": nodes, "edges": edges})


@pytest.fixture(scope="module")
def failed() -> RunStatus:
    """A run in which 3,000 readers and two counters failed."""
    nodes = [NodeStatus(f"read-{n}", "failed", 2, 0, 1, 0.5, BROKE) for n in range(3000)]
    nodes += [NodeStatus(f"read-{n}", "completed", 1, 1, 1, 0.1) for n in range(3000, 4990)]
    nodes += [NodeStatus(f"read-{n}", "completed", 0, 1, 1, 9.0) for n in range(4990, PAIRS)]
    nodes += [NodeStatus(f"count-{n}", "skipped") for n in range(3000)]
    nodes += [NodeStatus(f"count-{n}", "completed", 1, 1, 1, n / 1000) for n in range(3000, 4998)]
    nodes += [NodeStatus(f"count-{n}", "failed", 1, 0, 1, 0.1, FULL) for n in range(4998, PAIRS)]
    return RunStatus(
        "r-1", "pairs", "failed", 1.0, 100.0, tuple(nodes), 9, ErrorPayload("SYM-R001", "failed")
    )


def test_three_thousand_failures_stay_one_screen(
    failed: RunStatus, shape: RunShape, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(Shell(), Outcome(failed), [], shape)
    captured = capsys.readouterr()
    assert len((captured.out + captured.err).splitlines()) <= 24
    assert "10,000 nodes: 3,998 completed, 3,002 failed, 3,000 skipped" in captured.out
    assert "69.9 nodes/s, 3,000 retried, 10 reused" in captured.out
    assert "slowest: count-4997 5.00 s, count-4996 5.00 s" in captured.out
    assert "3,000 nodes (acme.text.read) failed: read-0, read-1, read-2, read-3, read-4, ..." in captured.err
    assert (
        "error[SYM-E080]: it broke\n  hint: Mend it.\n  3,000 that depend on them were skipped"
        in captured.err
    )
    assert "more: symphony explain SYM-E080" in captured.err
    assert "2 nodes (acme.text.count) failed: count-4998, count-4999" in captured.err
    assert "explain ACME-2" not in captured.err
    assert captured.out.splitlines()[-2:] == [
        "go on with: symphony resume r-1",
        "or with one node and what depends on it: symphony runs retry r-1 read-0",
    ]


def test_the_json_summary_has_every_failure(
    failed: RunStatus, shape: RunShape, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(Shell(json=True), Outcome(failed), [], shape)
    told = json.loads(capsys.readouterr().out)
    assert [
        (one["code"], one["operation"], len(one["nodes"]), one["skipped"]) for one in told["failures"]
    ] == [
        ("SYM-E080", "acme.text.read", 3000, 3000),
        ("ACME-2", "acme.text.count", 2, 0),
    ]
    assert told["failures"][0]["error"]["message"] == "it broke\nbadly"
    assert (told["retries"], told["reused"], len(told["nodes"])) == (3000, 10, 10_000)
    assert told["slowest"][0] == "count-4997"
    assert told["counts"] == {"completed": 3998, "failed": 3002, "skipped": 3000}


def test_more_kinds_of_failure_than_are_shown_are_counted(
    shape: RunShape, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = tuple(
        NodeStatus(f"read-{n}", "failed", 1, error=ErrorPayload(f"ACME-{n}", "no")) for n in range(30)
    )
    print_summary(Shell(), Outcome(RunStatus("r-1", "pairs", "failed", 1.0, 1.0, nodes)), [], shape)
    assert (
        "and 27 more nodes failed in 27 other ways: symphony runs show r-1 --failed"
        in capsys.readouterr().err
    )


def test_one_failure_is_told_whole(shape: RunShape, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = (
        NodeStatus("read-0", "failed", 1, 0, 1, 0.5, BROKE),
        NodeStatus("read-1", "completed", 0, 1, 1, 3.0),
        NodeStatus("count-0", "skipped"),
    )
    print_summary(Shell(), Outcome(RunStatus("r-1", "pairs", "failed", 1.0, 1.0, nodes)), [], shape)
    captured = capsys.readouterr()
    assert (
        "read-0 (acme.text.read) failed:\nerror[SYM-E080]: it broke\n  badly\n  hint: Mend it.\n"
        in captured.err
    )
    assert "  1 that depend on it was skipped" not in captured.err
    assert "  one that depends on it was skipped" in captured.err
    assert "reused" in next(line for line in captured.out.splitlines() if line.startswith("read-1"))


def test_nodes_inside_of_a_map_fail_as_the_operation_that_they_use() -> None:
    shape = RunShape.of_document(
        {
            "schema": 1,
            "id": "outer",
            "nodes": {
                "each": {"kind": "control", "control": "map", "uses": "#inner", "over": "page"},
                "last": {"kind": "operator", "uses": "acme.text.join"},
            },
            "edges": [{"from": "each", "to": "last", "kind": "control"}],
            "workflows": {
                "inner": {
                    "inputs": {"page": {}},
                    "nodes": {"parse": {"kind": "operator", "uses": "acme.text.parse"}},
                }
            },
        }
    )
    nodes = [
        NodeStatus("each[7]/parse", "failed", 1, error=FULL),
        NodeStatus("last", "skipped"),
        NodeStatus("each", "failed", 1, error=FULL),
    ]
    found = failures(nodes, shape)
    assert [(one.operation, one.nodes, one.skipped) for one in found] == [
        ("acme.text.parse", ["each[7]/parse"], 1),
        ("#inner", ["each"], 1),
    ]
    assert shape.level("last") == 1
    assert shape.level("each[7]/parse") == 0
    assert (shape.is_control("each"), shape.is_control("each[7]/parse")) == (True, False)
    assert shape.operation("unknown/parse") == ""
    assert shape.parents("last") == ["each"]

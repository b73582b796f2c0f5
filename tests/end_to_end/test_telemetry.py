"""A real run as Prometheus reads it and as the tracker measured it, both told by the command line."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def file(symphony, tmp_path):
    file = tmp_path / "symphony.prom"
    symphony.environment |= {
        "SYMPHONY_EXTENSIONS__SYMPHONY_TELEMETRY__TEXTFILE": str(file),
        "TRACEPARENT": TRACE,
    }
    return file


def test_what_prometheus_reads_of_a_run_is_what_the_tracker_measured(symphony, atlas, folder, file):
    code, events = symphony.events("run", atlas, "--input", f"path={folder}")
    assert code == 0, events
    run = events[-1]["run"]
    metrics = json.loads(symphony("runs", "metrics", run, "--json").stdout)
    found = {}
    for family in text_string_to_metric_families(file.read_text()):
        for sample in family.samples:
            key = (sample.name, sample.labels.get("operation"), sample.labels.get("state"))
            found[key] = sample.value
    assert found["symphony_runs_begun_total", None, None] == 1
    assert found["symphony_runs_ended_total", None, "completed"] == 1
    assert metrics["state"] == "completed" and metrics["operations"]
    for group in metrics["operations"]:
        name = group["name"]
        assert found["symphony_nodes_ended_total", name, "completed"] == group["completed"]
        assert found["symphony_node_duration_seconds_count", name, None] == group["duration"]["count"]
        for metric, figure in (
            ("symphony_node_duration_seconds_sum", group["duration"]["total"]),
            ("symphony_node_queue_seconds_sum", group["queued"]["total"]),
            ("symphony_node_work_seconds_total", group["work"]),
        ):
            assert found[metric, name, None] == pytest.approx(figure)
    assert metrics["critical_seconds"] <= metrics["wall"]
    assert metrics["work"] == pytest.approx(sum(group["work"] for group in metrics["operations"]))
    told = symphony("runs", "metrics", run)
    assert told.returncode == 0, told.stderr
    assert "critical path" in told.stdout and run not in file.read_text()


def test_a_telemetry_that_cannot_work_keeps_no_run_from_its_end(symphony, atlas, folder, file):
    symphony.environment["SYMPHONY_EXTENSIONS__SYMPHONY_TELEMETRY__TEXTFILE"] = str(file.parent / "no" / "x")
    done = symphony("run", atlas, "--input", f"path={folder}", "-q")
    assert done.returncode == 0, done.stderr
    assert "metrics cannot be written to" in done.stderr
    listed = symphony("runs", "list", "--json")
    assert json.loads(listed.stdout)[0]["durable"] > 0 and listed.stderr == ""

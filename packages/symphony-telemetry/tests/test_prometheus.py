"""What Prometheus reads, by its own parser."""

import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from symphony_sdk.errors import ConfigurationError, ErrorPayload
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    RunFailed,
    RunStarted,
)
from symphony_telemetry.prometheus import PrometheusSink

BROKEN = ErrorPayload("TEST-001", "broken")


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def story(play):
    play.node("a", "completed", seconds=0.25, queued=0.75)
    play.node("b", "failed", seconds=2.0, queued=0.0)
    play.node("c", "skipped", began=0.0)
    play.node("d", "completed", began=0.0, origin="old")
    play.node("gate", "completed", "")
    return [
        play.event(RunStarted, 0, workflow="flow", nodes=5),
        play.event(NodeReused, 0, node="d", origin="old"),
        play.event(NodeCompleted, 1, node="gate", seconds=0.0),
        play.event(
            NodeCompleted, 2, node="a", seconds=0.25, work=0.125, received=10, produced=20, memory=4096
        ),
        play.event(NodeRetrying, 3, node="b", attempt=1, delay=0.0, error=BROKEN),
        play.event(NodeFailed, 4, node="b", error=BROKEN),
        play.event(NodeSkipped, 4, node="c", reason="no"),
        play.event(RunFailed, 8, error=BROKEN),
    ]


def test_a_run_is_counted_by_workflow_operation_and_state(play, watch, tmp_path):
    file = tmp_path / "symphony.prom"
    watch([PrometheusSink(None, str(file))], *story(play))
    found = samples(file.read_text())
    expected = {
        ("symphony_runs_begun_total", "flow"): 1,
        ("symphony_runs_ended_total", "failed", "flow"): 1,
        ("symphony_run_duration_seconds_sum", "flow"): 8.0,
        ("symphony_run_duration_seconds_bucket", "5.0", "flow"): 0,
        ("symphony_run_duration_seconds_bucket", "10.0", "flow"): 1,
        ("symphony_nodes_ended_total", "completed", "flow", "t.t.echo"): 1,
        ("symphony_nodes_ended_total", "failed", "flow", "t.t.echo"): 1,
        ("symphony_nodes_ended_total", "flow", "skipped", "t.t.echo"): 1,
        ("symphony_nodes_ended_total", "flow", "reused", "t.t.echo"): 1,
        ("symphony_nodes_ended_total", "", "completed", "flow"): 1,
        ("symphony_node_retries_total", "flow", "t.t.echo"): 1,
        ("symphony_node_duration_seconds_count", "flow", "t.t.echo"): 2,
        ("symphony_node_duration_seconds_sum", "flow", "t.t.echo"): 2.25,
        ("symphony_node_queue_seconds_sum", "flow", "t.t.echo"): 0.75,
        ("symphony_node_work_seconds_total", "flow", "t.t.echo"): 0.125,
        ("symphony_node_received_bytes_total", "flow", "t.t.echo"): 10,
        ("symphony_node_produced_bytes_total", "flow", "t.t.echo"): 20,
        ("symphony_node_memory_peak_bytes", "flow", "t.t.echo"): 4096,
        ("symphony_telemetry_dropped_total",): 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert not any("_created" in name for name, *_ in found)
    assert "old" not in file.read_text()  # no run is a label
    assert list(tmp_path.iterdir()) == [file]


def test_metrics_are_served_on_this_machine_until_the_end(play, watch):
    sink = PrometheusSink(("127.0.0.1", 0), "")
    url = f"http://127.0.0.1:{sink.port}/metrics"
    sink.under_way({("flow", "running"): 2})
    sink.under_way({("flow", "waiting"): 1})
    sink.dropped(3)
    with urllib.request.urlopen(url, timeout=30) as answer:
        found = samples(answer.read().decode())
    assert found[("symphony_runs", "flow", "running")] == 0
    assert found[("symphony_runs", "flow", "waiting")] == 1
    assert found[("symphony_telemetry_dropped_total",)] == 3
    watch([sink], *story(play))
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=30)


def test_a_taken_address_is_an_error_that_says_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="cannot be served at") as raised:
            PrometheusSink(taken.getsockname(), "")
    assert raised.value.code == "SYM-C031"


def test_a_file_that_cannot_be_written_is_an_error_at_first_and_told_once_later(tmp_path, caplog):
    with pytest.raises(ConfigurationError, match="cannot be written") as raised:
        PrometheusSink(None, str(tmp_path / "no" / "symphony.prom"))
    assert raised.value.code == "SYM-C033"
    folder = tmp_path / "folder"
    folder.mkdir()
    sink = PrometheusSink(None, str(folder / "symphony.prom"))
    Path(folder / "symphony.prom").unlink()
    folder.rmdir()
    sink.flush()
    sink.flush()
    assert caplog.text.count("cannot be written to") == 1
    folder.mkdir()
    sink.flush()
    assert samples((folder / "symphony.prom").read_text())
    sink.close()


def test_the_memory_that_is_shown_is_the_highest(play):
    sink = PrometheusSink(None, "")
    from symphony_telemetry.sinks import Run

    run = Run("r", "flow", 1, 0.0)
    play.node("a", "completed")
    for memory in (10, 30, 20):
        event = play.event(NodeCompleted, 1, node="a", seconds=0.0, memory=memory)
        sink.node(run, play.tracker.nodes["a"], event, None)
    labels = {"workflow": "flow", "operation": "t.t.echo"}
    assert sink.registry.get_sample_value("symphony_node_memory_peak_bytes", labels) == 30
    sink.close()

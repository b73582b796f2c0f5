"""Spans and metrics as a receiver of OTLP gets them, and receivers that are slow, refuse, or are gone."""

import socket
import threading

import pytest
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeReused,
    NodeSkipped,
    RunCompleted,
    RunFailed,
    RunStarted,
)

BROKEN = ErrorPayload("TEST-001", "it is broken")
START = 1_700_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
ASKED = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def sink(receiver):
    from symphony_telemetry.otlp import OtlpSink

    return OtlpSink(receiver.url, {"x-key": "k"}, "here", 60.0, patience=20.0)


def facts(span):
    kinds = ("string_value", "int_value", "double_value")
    return {
        each.key: next(getattr(each.value, kind) for kind in kinds if each.value.HasField(kind))
        for each in span.attributes
    }


def flow(play, *, origin="", end=RunFailed, **last):
    play.node("a", "completed", seconds=1.5, queued=0.5, work=1.25, attempts=1, place="t.t#2", memory=9)
    play.node("sub", "completed", "", seconds=2.0, attempts=1)
    play.node("sub/s", "failed", "t.t.boom", seconds=1.0, attempts=2, retries=1)
    play.node("z", "skipped", began=0.0)
    play.node("old", "completed", began=0.0, origin="before")
    return [
        play.event(RunStarted, 0, workflow="flow", nodes=4, origin=origin),
        play.event(NodeReused, 0, node="old", origin="before"),
        play.event(NodeCompleted, 2.5, node="a", seconds=1.5, work=1.25, received=3, produced=4),
        play.event(NodeFailed, 3, node="sub/s", error=BROKEN),
        play.event(NodeCompleted, 3, node="sub", seconds=2.0),
        play.event(NodeSkipped, 3, node="z", reason="no"),
        play.event(end, 4, **(last or {"error": BROKEN})),
    ]


def test_a_run_and_its_nodes_are_spans_of_one_trace_with_their_times(play, watch, sink, receiver):
    watch([sink], *flow(play, origin="before"))
    spans = {facts(span).get("symphony.node", "run"): span for span in receiver.spans}
    assert set(spans) == {"run", "old", "a", "sub", "sub/s"}
    run, a, sub, inner = (spans[name] for name in ("run", "a", "sub", "sub/s"))
    assert {span.trace_id for span in receiver.spans} == {run.trace_id}
    assert len({span.span_id for span in receiver.spans}) == 5
    assert run.parent_span_id == b""
    assert a.parent_span_id == sub.parent_span_id == run.span_id
    assert inner.parent_span_id == sub.span_id
    assert (run.name, a.name, sub.name, inner.name) == ("flow", "t.t.echo", "sub", "t.t.boom")
    assert (run.start_time_unix_nano, run.end_time_unix_nano) == (START * 10**9, (START + 4) * 10**9)
    assert (a.start_time_unix_nano, a.end_time_unix_nano) == (
        START * 10**9 + 10**9,
        START * 10**9 + 25 * 10**8,
    )
    assert (inner.status.code, inner.status.message) == (2, "it is broken")
    assert (run.status.code, a.status.code) == (2, 0)
    found = facts(a)
    assert found["symphony.run"] == "r" and found["symphony.place"] == "t.t#2"
    assert (found["symphony.work"], found["symphony.queued"], found["symphony.memory"]) == (1.25, 0.5, 9)
    assert facts(inner)["error.type"] == "TEST-001" and facts(inner)["symphony.attempts"] == 2
    assert [link.span_id for link in run.links] == [link.span_id for link in spans["old"].links] != []
    resource = receiver.requests[0].resource_spans[0].resource
    assert facts(resource)["service.name"] == "here"
    assert receiver.headers[0]["x-key"] == "k"


def test_ids_are_those_of_the_run_in_whichever_process_they_are_made(play, watch, receiver):
    from symphony_telemetry.otlp import OtlpSink

    for _ in range(2):
        play.sequence = 0
        watch([OtlpSink(receiver.url, {}, "here", 60.0, patience=20.0)], *flow(play))
    ids = [(span.trace_id, span.span_id) for span in receiver.spans]
    assert ids[:5] == ids[5:]


def test_a_run_belongs_to_the_trace_that_asked_for_it(play, watch, sink, receiver):
    play.tracker.labels = {"traceparent": ASKED}
    watch([sink], *flow(play))
    (run,) = (span for span in receiver.spans if span.name == "flow")
    assert {span.trace_id.hex() for span in receiver.spans} == {TRACE}
    assert run.parent_span_id.hex() == "b7ad6b7169203331"


def test_a_run_of_a_trace_that_is_not_sampled_gives_no_spans(play, watch, sink, receiver):
    play.tracker.labels = {"traceparent": ASKED[:-1] + "0"}
    watch([sink], *flow(play))
    assert receiver.spans == []
    assert "symphony.runs.ended" in receiver.metrics


@pytest.mark.parametrize("wrong", ["nonsense", "00-0-0-01", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
def test_a_malformed_trace_context_counts_as_none(play, watch, sink, receiver, wrong):
    play.tracker.labels = {"traceparent": wrong}
    watch([sink], *flow(play))
    (run,) = (span for span in receiver.spans if span.name == "flow")
    assert run.parent_span_id == b"" and run.trace_id.hex() != "0" * 32


def test_metrics_are_sent_with_workflow_operation_and_state(play, watch, sink, receiver):
    events = flow(play)
    watch([sink], *events)
    metrics = receiver.metrics
    ended = {
        tuple(facts(point).values()): point.as_int
        for point in metrics["symphony.nodes.ended"].sum.data_points
    }
    assert ended == {
        ("flow", "t.t.echo", "reused"): 1,
        ("flow", "t.t.echo", "completed"): 1,
        ("flow", "t.t.boom", "failed"): 1,
        ("flow", "", "completed"): 1,
        ("flow", "t.t.echo", "skipped"): 1,
    }
    durations = {
        facts(point)["symphony.operation"]: point.sum
        for point in metrics["symphony.node.duration"].histogram.data_points
    }
    assert durations == {"t.t.echo": 1.5, "t.t.boom": 1.0}
    (received,) = metrics["symphony.node.received"].sum.data_points
    assert received.as_int == 3
    (dropped,) = metrics["symphony.telemetry.dropped"].sum.data_points
    assert dropped.as_int == 0
    (state,) = metrics["symphony.runs.ended"].sum.data_points
    assert facts(state) == {"symphony.workflow": "flow", "symphony.state": "failed"}


def test_a_run_that_completes_is_told_without_blame(play, watch, sink, receiver):
    watch([sink], *flow(play, end=RunCompleted, seconds=4.0))
    (run,) = (span for span in receiver.spans if span.name == "flow")
    assert (run.status.code, facts(run)["symphony.state"]) == (0, "completed")


def test_a_receiver_that_is_gone_costs_no_more_than_patience_and_what_it_missed_is_told(
    play, watch, otel, caplog
):
    from symphony_telemetry.otlp import OtlpSink

    with socket.socket() as nobody:  # bound and not listening: every connection is refused
        nobody.bind(("127.0.0.1", 0))
        sink = OtlpSink(f"http://127.0.0.1:{nobody.getsockname()[1]}", {}, "here", 60.0, patience=0.2)
        watch([sink], *flow(play))
    assert sink.outbox.dropped == 5
    assert "5 spans did not reach" in caplog.text


def test_a_receiver_that_refuses_is_no_concern_of_the_run(play, watch, receiver, caplog):
    from symphony_telemetry.otlp import OtlpSink

    receiver.status = 400
    sink = OtlpSink(receiver.url, {}, "here", 60.0, patience=1.0)
    watch([sink], *flow(play))
    assert sink.outbox.dropped == 5 and receiver.spans == []


def test_a_receiver_that_never_answers_is_left_behind(play, watch, receiver):
    from symphony_telemetry.otlp import OtlpSink

    receiver.let_go.clear()
    sink = OtlpSink(receiver.url, {}, "here", 60.0, patience=0.2)
    events = flow(play)
    ended = threading.Event()

    def all_of_it():
        watch([sink], *events)
        ended.set()

    thread = threading.Thread(target=all_of_it)
    thread.start()
    assert receiver.reached.wait(30)
    assert ended.wait(30)
    thread.join()
    receiver.let_go.set()

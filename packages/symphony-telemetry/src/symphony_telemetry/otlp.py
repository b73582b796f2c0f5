"""Tells OpenTelemetry of runs: a span for each run and node, and metrics, by OTLP over HTTP.

Ids of traces and spans come from the ids of runs and nodes, so that spans of one run belong together in whichever
process they were made, before and after a crash.
"""

import logging
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Histogram, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from symphony_sdk import __version__
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    NodeCompleted,
    NodeFailed,
    NodeReused,
    NodeSkipped,
    RunEvent,
    RunFailed,
    event_name,
)
from symphony_sdk.ports import NodeMetrics

from symphony_telemetry.outbox import PATIENCE, Outbox
from symphony_telemetry.sinks import BUCKETS, NodeEnd, Run

_log = logging.getLogger(__name__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class OtlpSink:
    """Sends spans and metrics to a receiver of OTLP over HTTP.

    Args:
        receiver: URL of the receiver, without the path of a signal.
        headers: Headers that it asks for.
        service: What OpenTelemetry calls this Symphony.
        interval: Seconds between two sendings of metrics.
        patience: Seconds that a receiver which does not answer is waited for.
    """

    def __init__(
        self,
        receiver: str,
        headers: Mapping[str, str],
        service: str,
        interval: float,
        *,
        patience: float = PATIENCE,
    ) -> None:
        resource = Resource.create({"service.name": service, "service.version": __version__})
        self._receiver = receiver
        self._patience = patience
        self._spans = OTLPSpanExporter(f"{receiver}/v1/traces", headers=dict(headers), timeout=patience)
        self.outbox: Outbox[ReadableSpan] = Outbox(self._send, patience=patience)
        self._ids = _GivenIds()
        self._tracers = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._tracers.add_span_processor(_IntoOutbox(self.outbox))
        self._tracer = self._tracers.get_tracer("symphony", __version__)
        exporter = OTLPMetricExporter(f"{receiver}/v1/metrics", headers=dict(headers), timeout=patience)
        reader = PeriodicExportingMetricReader(
            exporter, export_interval_millis=interval * 1e3, export_timeout_millis=patience * 1e3
        )
        self._meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        meter = self._meters.get_meter("symphony", __version__)

        def spread(name: str, about: str) -> Histogram:
            return meter.create_histogram(
                f"symphony.{name}", "s", about, explicit_bucket_boundaries_advisory=BUCKETS
            )

        self._begun = meter.create_counter("symphony.runs.begun", "{run}", "Runs that began or went on.")
        self._ended = meter.create_counter("symphony.runs.ended", "{run}", "Runs that ended or paused.")
        self._under_way = meter.create_gauge("symphony.runs", "{run}", "Runs under way.")
        self._run_seconds = spread("run.duration", "From a run's begin here to its end.")
        self._nodes = meter.create_counter("symphony.nodes.ended", "{node}", "Nodes that ended.")
        self._retries = meter.create_counter("symphony.node.retries", "{attempt}", "Attempts made again.")
        self._seconds = spread("node.duration", "From a node's first start to its end.")
        self._queued = spread("node.queue", "From when a node could run to its start.")
        self._work = meter.create_counter("symphony.node.work", "s", "Time that the code of extensions ran.")
        self._received = meter.create_counter("symphony.node.received", "By", "Bytes of encoded inputs.")
        self._produced = meter.create_counter("symphony.node.produced", "By", "Bytes of encoded outputs.")
        meter.create_observable_counter(
            "symphony.telemetry.dropped",
            [self._dropped],
            "{item}",
            "Spans and ends of nodes that were not told.",
        )
        self._shown: set[tuple[str, str]] = set()
        self._untold = 0

    def begun(self, run: Run) -> None:
        """Count a run that began or went on."""
        self._begun.add(1, {"symphony.workflow": run.workflow})

    def retried(self, run: Run, operation: str, times: int) -> None:
        """Count attempts that were made again."""
        self._retries.add(times, {"symphony.workflow": run.workflow, "symphony.operation": operation})

    def node(self, run: Run, node: NodeMetrics, end: NodeEnd, inside: NodeMetrics | None) -> None:
        """Count a node that ended, and send its span."""
        labels = {"symphony.workflow": run.workflow, "symphony.operation": node.operation}
        state = "reused" if isinstance(end, NodeReused) else event_name(end).removeprefix("node-")
        self._nodes.add(1, {**labels, "symphony.state": state})
        if node.operation and node.began and state in ("completed", "failed"):
            self._seconds.record(node.seconds, labels)
            self._queued.record(node.queued, labels)
            if isinstance(end, NodeCompleted):
                self._work.add(end.work, labels)
                self._received.add(end.received, labels)
                self._produced.add(end.produced, labels)
        if not isinstance(end, NodeSkipped):
            self._node_span(run, node, end, state, inside)

    def ended(self, run: Run, state: str, seconds: float, end: RunEvent) -> None:
        """Count a run that ended or paused, and send its span."""
        labels = {"symphony.workflow": run.workflow}
        self._ended.add(1, {**labels, "symphony.state": state})
        self._run_seconds.record(seconds, labels)
        context = _asked_by(run)
        self._ids.trace, self._ids.span = _trace_id(run.id), _run_span(run.id, run.first)
        links = []
        if run.origin:
            there = SpanContext(_trace_id(run.origin), _run_span(run.origin, 1), True, _SAMPLED)
            links.append(Link(there, {"symphony.run": run.origin}))
        span = self._tracer.start_span(
            run.workflow,
            context,
            attributes={"symphony.run": run.id, **labels, "symphony.state": state},
            links=links,
            start_time=_nanoseconds(run.began),
        )
        if isinstance(end, RunFailed):
            _blame(span, end.error)
        span.end(_nanoseconds(end.at))

    def under_way(self, runs: Mapping[tuple[str, str], int]) -> None:
        """Show how many runs are under way."""
        for workflow, state in self._shown | runs.keys():
            labels = {"symphony.workflow": workflow, "symphony.state": state}
            self._under_way.set(runs.get((workflow, state), 0), labels)
        self._shown.update(runs)

    def dropped(self, count: int) -> None:
        """Count what was not told."""
        self._untold += count

    def flush(self) -> None:
        """The threads of OpenTelemetry send when it is time."""

    def close(self) -> None:
        """Send what is left, as far as there is time."""
        self.outbox.close()
        self._spans.shutdown()
        try:
            self._meters.shutdown(self._patience * 1e3)
        except Exception as error:  # noqa: BLE001 - a receiver that is gone: what counts is that the run is not kept
            _log.warning("metrics did not reach %s: %s", self._receiver, error)
        if self.outbox.dropped or self._untold:
            count = self.outbox.dropped + self._untold
            _log.warning("%d spans did not reach %s", count, self._receiver)

    def _node_span(
        self, run: Run, node: NodeMetrics, end: NodeEnd, state: str, inside: NodeMetrics | None
    ) -> None:
        asked = get_current_span(_asked_by(run)).get_span_context()
        parent = _run_span(run.id, run.first) if inside is None else _node_span_id(run, inside)
        trace = asked.trace_id if asked.is_valid else _trace_id(run.id)
        flags = asked.trace_flags if asked.is_valid else _SAMPLED
        self._ids.span = _node_span_id(run, node)
        links = []
        if isinstance(end, NodeReused):
            there = SpanContext(_trace_id(end.origin), _run_span(end.origin, 1), True, _SAMPLED)
            links.append(Link(there, {"symphony.run": end.origin}))
        began = node.began or end.at
        span = self._tracer.start_span(
            node.operation or node.node.rpartition("/")[2],
            set_span_in_context(NonRecordingSpan(SpanContext(trace, parent, False, flags)), Context()),
            attributes={
                "symphony.run": run.id,
                "symphony.workflow": run.workflow,
                "symphony.node": node.node,
                "symphony.operation": node.operation,
                "symphony.state": state,
                "symphony.attempts": node.attempts,
                "symphony.queued": node.queued,
                "symphony.work": node.work,
                "symphony.received": node.received,
                "symphony.produced": node.produced,
                "symphony.memory": node.memory,
                "symphony.place": node.place,
            },
            links=links,
            start_time=_nanoseconds(began),
        )
        if isinstance(end, NodeFailed):
            _blame(span, end.error)
        span.end(_nanoseconds(began + node.seconds))

    def _send(self, spans: list[ReadableSpan]) -> bool:
        return self._spans.export(spans) is SpanExportResult.SUCCESS

    def _dropped(self, options: CallbackOptions) -> Sequence[Observation]:
        return [Observation(self.outbox.dropped + self._untold)]


class _GivenIds(IdGenerator):  # type: ignore[misc] # its types are not read, as it is an extra
    """Gives the ids that it was told last; spans are made by one thread at a time."""

    def __init__(self) -> None:
        self.trace = self.span = 1

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


class _IntoOutbox(SpanProcessor):  # type: ignore[misc] # as above
    def __init__(self, outbox: Outbox[ReadableSpan]) -> None:
        self._outbox = outbox

    def on_end(self, span: ReadableSpan) -> None:
        self._outbox.put(span)


def _asked_by(run: Run) -> Context:
    """The trace context that a run belongs to; an empty one where it belongs to none, or to one that is malformed."""
    return TraceContextTextMapPropagator().extract({"traceparent": run.traceparent}, Context())


def _trace_id(run: str) -> int:
    return _id(16, run)


def _run_span(run: str, first: int) -> int:
    return _id(8, run, str(first))


def _node_span_id(run: Run, node: NodeMetrics) -> int:
    return _id(8, run.id, node.node, str(node.attempts))


def _id(size: int, *names: str) -> int:
    digest = blake2b("\0".join(names).encode("utf-8", "surrogatepass"), digest_size=size).digest()
    return int.from_bytes(digest) or 1


def _nanoseconds(at: float) -> int:
    return int(at * 1e9)


def _blame(span: Span, error: ErrorPayload) -> None:
    span.set_status(Status(StatusCode.ERROR, error.message))
    span.set_attribute("error.type", error.code)

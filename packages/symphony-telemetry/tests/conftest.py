"""A run told by hand, and a real receiver of OTLP."""

import asyncio
import gzip
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from symphony_sdk.errors import RunError
from symphony_sdk.events import RunEvent
from symphony_sdk.ports import NodeMetrics, RunMetrics, RunRequest

START = 1_700_000_000.0


class Tracker:
    """What a tracker would say of runs, set by the test."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeMetrics] = {}
        self.labels: dict[str, str] = {}
        self.workflow = "flow"
        self.asked = 0
        self.known = True

    async def metrics(self, run: str) -> RunMetrics:
        self.asked += 1
        if not self.known:
            raise RunError(f"there is no run {run!r}", code="SYM-R002")
        return RunMetrics(run, self.workflow, "running", 1, nodes=tuple(self.nodes.values()))

    async def request(self, run: str) -> RunRequest:
        return RunRequest(workflow={}, labels=self.labels)


class Play:
    """Plays events to what watches runs."""

    def __init__(self) -> None:
        self.tracker = Tracker()
        self.pit: Any = SimpleNamespace(tracker=self.tracker)
        self.sequence = 0

    def event(self, kind: Any, at: float, run: str = "r", **fields: Any) -> RunEvent:
        self.sequence += 1
        return kind(run=run, sequence=self.sequence, at=START + at, **fields)

    def node(self, name: str, state: Any, operation: str = "t.t.echo", **fields: Any) -> None:
        fields.setdefault("began", START + 1)
        self.tracker.nodes[name] = NodeMetrics(name, operation, state, **fields)


@pytest.fixture
def play() -> Play:
    return Play()


def decoded(path: str, data: bytes) -> Any:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    kinds = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
    return kinds[path].FromString(data)


class Receiver:
    """Takes OTLP over HTTP, as a collector does; it may be told to refuse, or to keep its senders waiting."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.let_go = threading.Event()
        self.let_go.set()
        self.reached = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                receiver.reached.set()
                receiver.let_go.wait(60)
                if receiver.status == 200:
                    receiver.headers.append(dict(self.headers))
                    receiver.requests.append(decoded(self.path, data))
                try:
                    self.send_response(receiver.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass  # the sender had no more patience

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in getattr(request, "resource_spans", ())
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def metrics(self) -> dict[str, Any]:
        """The last of each metric by its name."""
        return {
            metric.name: metric
            for request in self.requests
            for resource in getattr(request, "resource_metrics", ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def otel() -> None:
    try:
        import opentelemetry.exporter.otlp.proto.http
        import opentelemetry.sdk  # noqa: F401
    except ModuleNotFoundError:
        reason = "OpenTelemetry is not installed: `symphony-telemetry[otel]`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def receiver(otel: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    for name in [name for name in os.environ if name.startswith("OTEL_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def watch(play: Play) -> Any:
    """Shows events to what watches runs with some sinks, and closes it."""

    def watch(sinks: Any, *events: RunEvent, interval: float = 60.0) -> None:
        from symphony_telemetry.watching import Telemetry

        async def story() -> None:
            telemetry = Telemetry(play.pit, sinks, interval=interval)
            for event in events:
                telemetry.see(event)
            await telemetry.close()

        asyncio.run(asyncio.wait_for(story(), 60))

    return watch

"""Tells Prometheus of runs: metrics over HTTP on this machine, and in a file for node_exporter."""

import logging
from collections.abc import Mapping

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from symphony_sdk.errors import ConfigurationError
from symphony_sdk.events import NodeCompleted, NodeReused, RunEvent, event_name
from symphony_sdk.ports import NodeMetrics

from symphony_telemetry.sinks import BUCKETS, NodeEnd, Run

_log = logging.getLogger(__name__)


class PrometheusSink:
    """Counts runs and nodes for Prometheus.

    Args:
        address: Host and port where the metrics are served; None for nowhere.
        textfile: Path of the file for node_exporter; empty for none.

    Raises:
        ConfigurationError: SYM-C031, the address is taken; SYM-C033, the file cannot be written.
    """

    def __init__(self, address: tuple[str, int] | None, textfile: str) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # half as many series; the counters of a process begin at 0
        self.registry = CollectorRegistry()
        runs, nodes = ["workflow"], ["workflow", "operation"]
        self._begun = self._counter("runs_begun", "Runs that began or went on here.", runs)
        self._ended = self._counter("runs_ended", "Runs that ended or paused here.", [*runs, "state"])
        self._under_way = self._gauge("runs", "Runs under way here.", [*runs, "state"])
        self._run_seconds = self._histogram(
            "run_duration_seconds", "From a run's begin here to its end.", runs
        )
        self._nodes = self._counter("nodes_ended", "Nodes that ended.", [*nodes, "state"])
        self._retries = self._counter("node_retries", "Attempts that failed and were made again.", nodes)
        self._seconds = self._histogram(
            "node_duration_seconds", "From a node's first start to its end.", nodes
        )
        self._queued = self._histogram(
            "node_queue_seconds", "From when a node could run to its start.", nodes
        )
        self._work = self._counter("node_work_seconds", "Time that the code of extensions ran.", nodes)
        self._received = self._counter("node_received_bytes", "Bytes of encoded inputs.", nodes)
        self._produced = self._counter("node_produced_bytes", "Bytes of encoded outputs.", nodes)
        self._memory = self._gauge("node_memory_peak_bytes", "Highest resident memory seen.", nodes)
        self._lost = self._counter("telemetry_dropped", "Ends of nodes that were not counted in time.", [])
        self._highest: dict[tuple[str, str], int] = {}
        self._shown: set[tuple[str, str]] = set()
        self._textfile = textfile
        self._unwritable = False
        if textfile:
            try:
                self._write()
            except OSError as error:
                raise _unwritable(textfile, error) from error
        self._server = None
        if address is not None:
            try:
                self._server, self._thread = prometheus_client.start_http_server(
                    address[1], addr=address[0], registry=self.registry
                )
            except OSError as error:
                raise ConfigurationError(
                    f"metrics cannot be served at {address[0]}:{address[1]}: {error.strerror or error}",
                    code="SYM-C031",
                    hint="Another process has the address, perhaps another Symphony: give each its own, or use `textfile`.",
                ) from error

    @property
    def port(self) -> int:
        """Where the metrics are served; 0 for nowhere."""
        return int(self._server.server_port) if self._server is not None else 0

    def begun(self, run: Run) -> None:
        """Count a run that began or went on."""
        self._begun.labels(run.workflow).inc()

    def retried(self, run: Run, operation: str, times: int) -> None:
        """Count attempts that were made again."""
        self._retries.labels(run.workflow, operation).inc(times)

    def node(self, run: Run, node: NodeMetrics, end: NodeEnd, inside: NodeMetrics | None) -> None:
        """Count a node that ended."""
        labels = (run.workflow, node.operation)
        state = "reused" if isinstance(end, NodeReused) else event_name(end).removeprefix("node-")
        self._nodes.labels(*labels, state).inc()
        if not node.operation or not node.began or state not in ("completed", "failed"):
            return
        self._seconds.labels(*labels).observe(node.seconds)
        self._queued.labels(*labels).observe(node.queued)
        if isinstance(end, NodeCompleted):
            self._work.labels(*labels).inc(end.work)
            self._received.labels(*labels).inc(end.received)
            self._produced.labels(*labels).inc(end.produced)
            if end.memory > self._highest.get(labels, 0):
                self._highest[labels] = end.memory
                self._memory.labels(*labels).set(end.memory)

    def ended(self, run: Run, state: str, seconds: float, end: RunEvent) -> None:
        """Count a run that ended or paused."""
        self._ended.labels(run.workflow, state).inc()
        self._run_seconds.labels(run.workflow).observe(seconds)

    def under_way(self, runs: Mapping[tuple[str, str], int]) -> None:
        """Show how many runs are under way."""
        for labels in self._shown | runs.keys():
            self._under_way.labels(*labels).set(runs.get(labels, 0))
        self._shown.update(runs)

    def dropped(self, count: int) -> None:
        """Count what was not counted."""
        self._lost.inc(count)

    def flush(self) -> None:
        """Write the file."""
        if not self._textfile:
            return
        try:
            self._write()
            self._unwritable = False
        except OSError as error:
            if not self._unwritable:  # once, until it can be written again
                _log.warning("%s", _unwritable(self._textfile, error))
            self._unwritable = True

    def close(self) -> None:
        """Serve no more."""
        self.flush()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def _write(self) -> None:
        prometheus_client.write_to_textfile(self._textfile, self.registry)

    def _counter(self, name: str, about: str, labels: list[str]) -> Counter:
        return Counter(f"symphony_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, labels: list[str]) -> Gauge:
        return Gauge(f"symphony_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, labels: list[str]) -> Histogram:
        return Histogram(f"symphony_{name}", about, labels, registry=self.registry, buckets=BUCKETS)


def _unwritable(path: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"metrics cannot be written to {path}: {error.strerror or error}",
        code="SYM-C033",
        hint="The setting `textfile` of symphony.telemetry names a file in a folder that this user may write to.",
    )

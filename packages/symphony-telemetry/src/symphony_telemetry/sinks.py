"""Where runs are told of: what a sink is, and those that the settings ask for."""

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from symphony_sdk.errors import ConfigurationError
from symphony_sdk.events import NodeCompleted, NodeFailed, NodeReused, NodeSkipped, RunEvent
from symphony_sdk.ports import NodeMetrics

from symphony_telemetry.settings import TelemetrySettings

NodeEnd = NodeCompleted | NodeFailed | NodeReused | NodeSkipped
"""How a node ended."""


BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Upper bounds of the buckets of durations and waits, in seconds."""

_OPENTELEMETRY = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class Run(msgspec.Struct, frozen=True):
    """A run from when it began or went on here.

    Args:
        id: Its id.
        workflow: Id of its workflow, as it stands in labels.
        first: Number of the event that it began or went on with.
        began: Unix time of that event in seconds.
        origin: Id of the run whose results it takes over; empty for a run of its own.
        traceparent: W3C trace context that it belongs to; empty for a trace of its own.
    """

    id: str
    workflow: str
    first: int
    began: float
    origin: str = ""
    traceparent: str = ""


class Sink(Protocol):
    """Is told of runs, by one thread at a time that is never the event loop's."""

    def begun(self, run: Run) -> None:
        """A run began or went on."""

    def retried(self, run: Run, operation: str, times: int) -> None:
        """Attempts at a node were followed by others because they failed."""

    def node(self, run: Run, node: NodeMetrics, end: NodeEnd, inside: NodeMetrics | None) -> None:
        """A node ended; `inside` is the node that runs the workflow which it is a part of."""

    def ended(self, run: Run, state: str, seconds: float, end: RunEvent) -> None:
        """A run ended or paused, after so many seconds since it began or went on."""

    def under_way(self, runs: Mapping[tuple[str, str], int]) -> None:
        """So many runs are under way, by workflow and state."""

    def dropped(self, count: int) -> None:
        """So many ends of nodes could not be told in time, and never will be."""

    def flush(self) -> None:
        """All that was there to tell was told for now."""

    def close(self) -> None:
        """Nothing more will be told; return within a few seconds."""


def sinks_of(settings: TelemetrySettings) -> Sequence[Sink]:
    """The sinks that settings ask for.

    Args:
        settings: The extension's settings.

    Raises:
        ConfigurationError: A setting cannot be used, or needs a library that is not installed.
    """
    sinks: list[Sink] = []
    receiver = settings.receiver() if settings.otlp else ""
    headers = settings.headers()
    if settings.prometheus or settings.textfile:
        from symphony_telemetry.prometheus import PrometheusSink

        address = settings.address() if settings.prometheus else None
        sinks.append(PrometheusSink(address, settings.textfile))
    if receiver:
        try:
            sinks.append(_otlp(receiver, headers, settings))
        except BaseException:
            for sink in sinks:
                sink.close()
            raise
    return sinks


def _otlp(receiver: str, headers: Mapping[str, str], settings: TelemetrySettings) -> Sink:
    if not all(map(_installed, _OPENTELEMETRY)):
        raise ConfigurationError(
            "the setting `otlp` of symphony.telemetry needs the libraries of OpenTelemetry, which are not installed",
            code="SYM-C032",
            hint="Install `symphony-telemetry[otel]`, or empty the setting.",
        )
    from symphony_telemetry.otlp import OtlpSink

    # a receiver that is down would fill the terminal of every run; what it misses is counted, and told once
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return OtlpSink(receiver, headers, settings.service, settings.interval)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # what it would be a part of
        return False

"""Registers what watches the runs; the libraries are imported when a setting asks for them and a run begins."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from symphony_sdk import Observer, Services, provides_observers

if TYPE_CHECKING:
    from symphony_telemetry.watching import Telemetry


@provides_observers
def symphony_observers() -> Iterable[Observer]:
    """What tells Prometheus and OpenTelemetry of runs."""
    yield Observer("telemetry", create)


def create(services: Services) -> "Telemetry | None":
    """What the extension's settings ask for; None where they ask for nothing.

    Args:
        services: What the host gives to the parts that it creates.

    Raises:
        ConfigurationError: A setting cannot be used, or needs a library that is not installed.
    """
    from symphony_telemetry.settings import TelemetrySettings

    settings = TelemetrySettings.of(services.config)
    if not (settings.prometheus or settings.textfile or settings.otlp):
        return None
    from symphony_telemetry.sinks import sinks_of
    from symphony_telemetry.watching import Telemetry

    sinks = sinks_of(settings)
    return Telemetry(services.pit, sinks, interval=settings.interval)

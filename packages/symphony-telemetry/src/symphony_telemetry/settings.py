"""The extension's settings, checked beyond what their schema can say."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from symphony_sdk.errors import ConfigurationError


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to tell of runs, and how often.

    Args:
        prometheus: Host and port of this machine where metrics are served; off where empty.
        textfile: Path of the file for node_exporter; off where empty.
        otlp: URL of a receiver of OTLP over HTTP; off where empty.
        otlp_headers: Headers that it asks for.
        service: What OpenTelemetry calls this Symphony.
        interval: Seconds between two looks at the runs that are under way.
    """

    prometheus: str = ""
    textfile: str = ""
    otlp: str = ""
    otlp_headers: str = ""
    service: str = "symphony"
    interval: float = 15.0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "TelemetrySettings":
        """The settings in the validated configuration of the extension."""
        return msgspec.convert(dict(config), cls)

    def address(self) -> tuple[str, int]:
        """Host and port of `prometheus`.

        Raises:
            ConfigurationError: SYM-C030, it is no address of this machine.
        """
        host, _, port = self.prometheus.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (port.isascii() and port.isdigit() and int(port) < 65536 and _is_loopback(host)):
            raise _wrong(
                "prometheus",
                self.prometheus,
                "a host and a port of this machine, such as `127.0.0.1:9464`",
                "Metrics tell what runs here, so they are not served to others: let a proxy that asks who comes do that.",
            )
        return host, int(port)

    def receiver(self) -> str:
        """The URL of `otlp`, without a slash at its end.

        Raises:
            ConfigurationError: SYM-C030, it is no URL of HTTP.
        """
        try:
            parts = urlsplit(self.otlp)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise _wrong(
                "otlp",
                self.otlp,
                "a URL such as `http://127.0.0.1:4318`",
                "It is the part before `/v1/traces`.",
            )
        return self.otlp.rstrip("/")

    def headers(self) -> dict[str, str]:
        """The headers of `otlp_headers` by name.

        Raises:
            ConfigurationError: SYM-C030, one has no name.
        """
        found = {}
        for number, each in enumerate(filter(None, self.otlp_headers.split(",")), 1):
            name, equals, value = (part.strip() for part in each.partition("="))
            if not (name and equals and name.isascii() and name.isprintable() and value.isprintable()):
                raise _wrong(
                    "otlp_headers",
                    f"header {number}",
                    "`NAME=VALUE`",
                    "The values are secret, so none is shown.",
                )
            found[name] = value
        return found


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(name: str, found: str, expected: str, hint: str) -> ConfigurationError:
    return ConfigurationError(
        f"the setting `{name}` of symphony.telemetry is {found!r}, not {expected}", code="SYM-C030", hint=hint
    )

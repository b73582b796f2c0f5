"""What the extension tells and gives the host, and settings that cannot be used."""

import asyncio
import importlib.resources
import subprocess
import sys
from types import SimpleNamespace

import pytest
import symphony_telemetry
from symphony_sdk import manifest
from symphony_sdk.errors import ConfigurationError
from symphony_sdk.events import RunStarted
from symphony_telemetry import sinks
from symphony_telemetry.plugin import create, symphony_observers
from symphony_telemetry.settings import TelemetrySettings


def test_every_setting_of_the_manifest_is_one_of_the_extension_with_the_same_default():
    text = importlib.resources.files(symphony_telemetry).joinpath("symphony.toml").read_text("utf-8")
    parsed = manifest.parse(text, file="symphony.toml")
    settings = parsed.config.model_dump(exclude_none=True)["properties"]
    assert settings.keys() == set(TelemetrySettings.__struct_fields__)
    given = {name: setting["default"] for name, setting in settings.items() if "default" in setting}
    assert TelemetrySettings.of(given) == TelemetrySettings()


def test_without_a_setting_there_is_nothing_to_do():
    (provider,) = symphony_observers()
    assert (provider.name, provider.create(SimpleNamespace(config={}))) == ("telemetry", None)


def test_reading_the_hooks_and_doing_nothing_imports_no_library():
    code = (
        "import sys, symphony_telemetry.plugin as plugin\n"
        "from types import SimpleNamespace\n"
        "(provider,) = plugin.symphony_observers()\n"
        "assert provider.create(SimpleNamespace(config={})) is None\n"
        "print(sorted({'prometheus_client', 'opentelemetry', 'pydantic', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_what_is_asked_for_is_told_until_the_end(play, tmp_path):
    file = tmp_path / "symphony.prom"
    config = {"textfile": str(file), "prometheus": "127.0.0.1:0"}

    async def story():
        observer = create(SimpleNamespace(config=config, pit=play.pit))
        observer.see(play.event(RunStarted, 0, workflow="flow", nodes=1))
        await observer.close()

    asyncio.run(story())
    assert 'symphony_runs_begun_total{workflow="flow"} 1.0' in file.read_text()


def test_a_receiver_is_told_too(play, receiver):
    config = {"otlp": f"{receiver.url}/", "otlp_headers": "x-key=v, x-other=w=="}

    async def story():
        observer = create(SimpleNamespace(config=config, pit=play.pit))
        observer.see(play.event(RunStarted, 0, workflow="flow", nodes=1))
        await observer.close()

    asyncio.run(story())
    assert "symphony.runs.begun" in receiver.metrics
    assert {"x-key", "x-other"} <= receiver.headers[0].keys()


@pytest.mark.parametrize(
    "address",
    ["9464", "0.0.0.0:9464", "127.0.0.1", "127.0.0.1:web", "example.org:80", "127.0.0.1:70000", ":1"],
)
def test_metrics_are_served_to_this_machine_alone(address):
    with pytest.raises(ConfigurationError) as raised:
        create(SimpleNamespace(config={"prometheus": address}))
    assert raised.value.code == "SYM-C030" and repr(address) in raised.value.message


@pytest.mark.parametrize(("text", "address"), [("localhost:1", ("localhost", 1)), ("[::1]:2", ("::1", 2))])
def test_an_address_of_this_machine_is_taken(text, address):
    assert TelemetrySettings(prometheus=text).address() == address


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "ftp://x", "http://", "http://[x", "http://x:y"])
def test_a_receiver_has_a_url(url):
    with pytest.raises(ConfigurationError) as raised:
        create(SimpleNamespace(config={"otlp": url}))
    assert raised.value.code == "SYM-C030"


@pytest.mark.parametrize("headers", ["secret", "=secret", "a=b,se\ncret=1"])
def test_a_wrong_header_is_told_without_its_value(headers):
    with pytest.raises(ConfigurationError) as raised:
        create(SimpleNamespace(config={"otlp": "http://127.0.0.1:1", "otlp_headers": headers}))
    assert raised.value.code == "SYM-C030" and "secret" not in str(raised.value).replace("are secret", "")


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_a_missing_library_is_said_with_what_to_install_and_nothing_stays_open(
    missing, monkeypatch, tmp_path
):
    closed = []
    monkeypatch.setattr(sinks, "_installed", lambda module: module != missing)
    monkeypatch.setattr(
        "symphony_telemetry.prometheus.PrometheusSink.close", lambda self: closed.append(self)
    )
    config = {"otlp": "http://127.0.0.1:1", "textfile": str(tmp_path / "symphony.prom")}
    with pytest.raises(ConfigurationError) as raised:
        create(SimpleNamespace(config=config))
    assert raised.value.code == "SYM-C032" and "symphony-telemetry[otel]" in raised.value.hint
    assert len(closed) == 1


def test_a_library_is_found_or_not():
    assert sinks._installed("json") and not sinks._installed("no_such.thing")

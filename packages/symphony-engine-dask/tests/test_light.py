"""The package without Dask: it registers, and says what to install."""

import asyncio
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import pytest
import symphony_engine_dask
from symphony_engine_dask import DaskCluster, DaskSettings
from symphony_engine_dask.plugin import symphony_executors
from symphony_sdk import manifest
from symphony_sdk.errors import RunError
from symphony_sdk.ports import Resources
from symphony_sdk.testing.fakes import FakeExtensions

MANIFEST = Path(symphony_engine_dask.__file__).with_name("symphony.toml")


@pytest.fixture
def without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)  # an import of it fails


def created(**config):
    services = SimpleNamespace(
        config=config, extensions=FakeExtensions(), pit=SimpleNamespace(artifacts=None)
    )
    (provider,) = symphony_executors()
    assert provider.name == "dask"
    return provider.create(services)


def test_the_extension_is_found_and_its_settings_are_those_of_its_code():
    found = manifest.load(MANIFEST)
    assert found.extension.id == "symphony.engine-dask"
    assert "engine-dask" in entry_points(group="symphony.extensions").names
    defaults = {name: setting.default for name, setting in found.config.properties.items()}
    assert DaskSettings.of(defaults) == DaskSettings()


def test_the_executor_is_made_without_importing_dask():
    script = (
        "import sys; from symphony_engine_dask.plugin import create_executor; from types import SimpleNamespace as S;"
        "create_executor(S(config={}, extensions=None, pit=None)); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "symphony_isolation.cluster.fleet" in loaded.split()
    assert not {"dask", "distributed"} & set(loaded.split())


def test_without_dask_the_executor_says_what_to_install(without_dask):
    with pytest.raises(RunError) as caught:
        asyncio.run(created().start())
    assert caught.value.code == "SYM-R120"
    assert caught.value.hint == "pip install 'symphony-engine-dask[dask]'"


def test_without_dask_it_can_place_nothing_that_needs_something(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    executor = created(address="tcp://127.0.0.1:1")
    assert executor.can_place(Resources())
    assert not executor.can_place(Resources(cpu=1.0))


@pytest.mark.parametrize(
    ("config", "resources", "fits"),
    [
        ({"workers": 1}, Resources(cpu=1.0), True),
        ({"workers": 1}, Resources(cpu=4096.0), False),
        ({"workers": 2}, Resources(memory=1 << 60), False),
        ({"address": "tcp://10.0.0.5:8786"}, Resources(cpu=4096.0), True),
    ],
)
def test_before_the_cluster_is_there_only_what_is_known_is_refused(monkeypatch, config, resources, fits):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert created(**config).can_place(resources) is fits


def test_a_cluster_that_was_not_started_takes_nothing_and_stops():
    async def scenario():
        cluster = DaskCluster(DaskSettings())
        cluster.send("nobody", b"nothing")
        await cluster.stop()

    asyncio.run(scenario())

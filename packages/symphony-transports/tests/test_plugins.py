"""Each transport is an extension like any other: found by its entry point, registered by its hook."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from types import SimpleNamespace

import pluggy
import pytest
import symphony_transports
from symphony_sdk.errors import TransportError
from symphony_sdk.hookspecs import HostHooks
from symphony_sdk.manifest import parse
from symphony_sdk.markers import PROJECT

TRANSPORTS = {"named-pipe": "npipe", "shared-memory": "shm", "stdio": "stdio", "unix": "unix"}
HERE = {name: scheme for name, scheme in TRANSPORTS.items() if name != "named-pipe"}


def provided(name):
    plugin = import_module(f"symphony_transports.plugins.{name.replace('-', '_')}")
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HostHooks)
    manager.register(plugin)
    manager.check_pending()
    ((transport,),) = ([*given] for given in manager.hook.symphony_transports())
    return transport


def test_every_transport_has_an_entry_point():
    points = entry_points(group="symphony.extensions")
    ours = {point.name for point in points if point.value.startswith("symphony_transports:")}
    assert ours == {f"transport-{name}" for name in TRANSPORTS}


@pytest.mark.parametrize("name", TRANSPORTS)
def test_its_entry_point_names_its_manifest(name):
    (point,) = entry_points(group="symphony.extensions", name=f"transport-{name}")
    package, _, file = point.value.partition(":")
    text = (files(package) / file).read_text("utf-8")
    assert tomllib.loads(text)["extension"] == {
        "id": f"symphony.transport-{name}",
        "kind": "transport",
        "module": f"symphony_transports.plugins.{name.replace('-', '_')}",
        "runs": "host",
    }
    assert parse(text, file=file).extension.id == f"symphony.transport-{name}"


@pytest.mark.parametrize(("name", "scheme"), TRANSPORTS.items())
def test_its_hook_gives_a_transport_of_its_scheme(name, scheme):
    assert provided(name).scheme == scheme


@pytest.mark.parametrize(("name", "scheme"), HERE.items())
def test_what_is_for_this_system_can_be_made(name, scheme):
    assert provided(name).create(SimpleNamespace()).scheme == scheme


@pytest.mark.parametrize("name", ["stdio", "unix"])
def test_what_windows_has_not_is_refused_there_with_what_it_has(name, monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(TransportError, match="win32 has no") as caught:
        provided(name).create(SimpleNamespace())
    assert caught.value.code == "SYM-T030"
    assert "`npipe`" in caught.value.hint


def test_registering_them_imports_no_transport():
    modules = ", ".join(
        f"symphony_transports.plugins.{name.replace('-', '_')} as {name[0]}" for name in TRANSPORTS
    )
    code = (
        f"import sys, {modules}\n"
        "for module in [module for name, module in sys.modules.items() if name.startswith('symphony_transports.plugins.')]:\n"
        "    list(module.symphony_transports())\n"
        "print(sorted({'asyncio', 'symphony_ipc', 'subprocess'} & set(sys.modules)))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "[]"


def test_the_package_has_the_names_that_it_says_and_no_other():
    for name in symphony_transports.__all__:
        assert getattr(symphony_transports, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'PigeonTransport'"):
        symphony_transports.PigeonTransport  # noqa: B018 - looking it up is what fails

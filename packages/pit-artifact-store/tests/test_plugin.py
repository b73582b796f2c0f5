"""The store is an extension like any other: found by its entry point, registered by its hook."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from importlib.resources import files
from types import SimpleNamespace

import pluggy
from pit_artifact_store import plugin
from symphony_sdk.hookspecs import HostHooks
from symphony_sdk.markers import PROJECT


def test_its_entry_point_names_its_manifest():
    (point,) = entry_points(group="symphony.extensions", name="artifact-store")
    package, _, file = point.value.partition(":")
    manifest = tomllib.loads((files(package) / file).read_text("utf-8"))
    assert manifest["extension"] == {
        "id": "symphony.artifact-store",
        "kind": "pit",
        "module": plugin.__name__,
        "runs": "host",
    }


def test_its_hook_gives_a_store_in_the_extensions_directory(tmp_path):
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HostHooks)
    manager.register(plugin)
    manager.check_pending()
    ((component,),) = ([*given] for given in manager.hook.symphony_pit_components())
    assert component.role == "artifact_store"
    store = component.create(SimpleNamespace(data_dir=tmp_path, config={"tier": ""}))
    assert store.get(store.put(b"x").id) == b"x"
    store.close()
    assert (tmp_path / "format").exists()


def test_registering_it_imports_nothing_of_it():
    code = (
        "import sys, pit_artifact_store.plugin as plugin; list(plugin.symphony_pit_components());"
        "print([name for name in sys.modules if name in {'sqlite3', 'blake3', 'pit_artifact_store.store'}])"
    )
    # coverage's own start in child processes imports sqlite3
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    printed = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert printed.strip() == "[]"

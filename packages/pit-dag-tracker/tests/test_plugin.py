"""How the host finds the tracker, and that the README's example works."""

import re
import runpy
from importlib.metadata import entry_points
from pathlib import Path

from pit_dag_tracker import Tracker, plugin
from symphony_sdk.manifest import load

PACKAGE = Path(plugin.__file__).parent
README = Path(__file__).parents[1] / "README.md"


def test_the_entry_point_names_a_manifest_that_is_valid_and_runs_in_the_host():
    (entry,) = entry_points(group="symphony.extensions", name="dag-tracker")
    package, _, name = entry.value.partition(":")
    assert package == "pit_dag_tracker"
    manifest = load(PACKAGE / name)
    assert manifest.extension.id == "symphony.dag-tracker"
    assert (manifest.extension.kind, manifest.extension.runs) == ("pit", "host")
    assert manifest.extension.module == plugin.__name__


def test_the_hook_offers_the_tracker_as_the_component_of_its_role(desk):
    (component,) = plugin.symphony_pit_components()
    assert component.role == "dag_tracker"

    async def story():
        tracker = component.create(desk.services)
        assert isinstance(tracker, Tracker)
        await tracker.close()

    desk.play(story())


def test_the_example_of_the_readme_prints_what_it_says(tmp_path, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example)
    runpy.run_path(str(script))
    assert capsys.readouterr().out.splitlines()[-1] == "12"

import re
import subprocess
import sys
from pathlib import Path

import pytest
from symphony_host.cli.commands import COMMANDS
from symphony_workflow import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_python_of_the_readme_runs_and_builds_the_flow_of_the_demo(tmp_path):
    source = "\n".join(re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE))
    source += "\nassert word_count(None, 'to be or not to be')['be'] == 2\n"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    built, shipped = load(tmp_path / "code-atlas.json"), load(ROOT / "examples/workflows/code-atlas.json")
    assert {node.uses for node in built.nodes} == {node.uses for node in shipped.nodes}


def test_the_readme_begins_with_the_two_commands_and_names_only_commands_that_there_are():
    first, second = re.findall(r"^python -m pip install uv && (.*)$", README, re.MULTILINE)
    assert (first, second) == ("uv run symphony demo", "uv run nox -s tests")
    named = set(re.findall(r"\bsymphony ([a-z]+)\b", README)) & {*COMMANDS, "install", "start"}
    assert {"demo", "run", "resume", "validate", "doctor", "new"} <= named <= set(COMMANDS)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_of_the_readme_leads_somewhere(target):
    assert (ROOT / target).exists()

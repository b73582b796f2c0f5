"""An operator that runs the model of another extension, once that is granted."""

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")

FLOW = Path(__file__).parents[2] / "examples" / "workflows" / "measure-file.json"
EXTENSION = "symphony.code-metrics"
MODEL = "symphony.file-type.classify"


def test_a_model_of_another_extension_is_run_once_its_user_allows_it(symphony, tmp_path):
    file = tmp_path / "no_suffix"
    file.write_text("import os\n\n\ndef where():\n    if os.name:\n        return os.getcwd()\n" * 3)

    def measure():
        return symphony.events("run", FLOW, "--input", f"path={file}", "--no-input")

    code, events = measure()
    assert code != 0
    [failed] = [event["error"] for event in events if event["event"] == "node-failed"]
    assert failed["code"] == "SYM-P003"
    assert f"model:execute:{MODEL}" in failed["message"]

    assert symphony("permissions", "grant", EXTENSION, "--optional").returncode == 0
    code, events = measure()
    assert code == 0
    [summary] = [event for event in events if event["event"] == "summary"]
    metrics = summary["outputs"]["metrics"]["value"]
    assert (metrics["label"], metrics["functions"]) == ("python", 3)

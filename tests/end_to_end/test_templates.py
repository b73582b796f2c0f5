import json
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")

SHIPPED = ("symphony.code-report", "symphony.count-folders", "symphony.list-files")


def made(symphony, flow, template, **values):
    """The file of the workflow that a template makes of values."""
    given = [f"--param={name}={json.dumps(value)}" for name, value in values.items()]
    done = symphony("template", "instantiate", template, *given, "--output", flow)
    assert done.returncode == 0, done.stderr
    return flow


def summary_of(symphony, flow, *arguments):
    code, events = symphony.events("run", flow, *arguments)
    assert code == 0, events
    return next(event for event in events if event["event"] == "summary")


def value_of(summary, output):
    return summary["outputs"][output]["value"]


def test_the_shipped_templates_are_listed_without_starting_a_worker_and_have_no_fault(symphony, tmp_path):
    done = symphony("template", "list", "--json")
    listed = json.loads(done.stdout)
    assert listed["broken"] == []
    assert {each["id"] for each in listed["templates"]} >= set(SHIPPED)
    assert not (tmp_path / "symphony" / "cache" / "contributions").exists()
    symphony("list")  # asks the workers what they bring, so that the check below knows the ports
    for each in listed["templates"]:
        if each["id"] in SHIPPED:
            checked = symphony("template", "validate", each["file"], "--json")
            assert json.loads(checked.stdout)["faults"] == []


def test_a_report_of_a_template_runs(symphony, folder, tmp_path):
    flow = made(
        symphony, tmp_path / "flow.json", "symphony.code-report", include=["*.py"], only_many=True, many=3
    )
    summary = summary_of(symphony, flow, "--input", f"path={folder}")
    assert summary["state"] == "completed"
    assert value_of(summary, "summary")["files"] == 60


def test_a_template_that_repeats_a_node_runs(symphony, folder, tmp_path):
    folders = [{"name": "all", "path": str(folder)}, {"name": "deep", "path": str(folder / "deep" / "er")}]
    flow = made(symphony, tmp_path / "flow.json", "symphony.count-folders", folders=folders)
    summary = summary_of(symphony, flow)
    assert (value_of(summary, "all"), value_of(summary, "deep")) == (63, 1)


def test_the_list_of_files_of_a_template_is_as_long_as_it_may_be(symphony, folder, tmp_path):
    flow = made(symphony, tmp_path / "flow.json", "symphony.list-files", limit=7)
    assert value_of(summary_of(symphony, flow, "--input", f"path={folder}"), "count") == 7

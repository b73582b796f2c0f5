import asyncio
import json
import os
import select
import signal
import sys
from pathlib import Path

import pytest
from symphony_host.composition import Host
from symphony_host.configuration import load_settings
from symphony_sdk.events import ItemCompleted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")


def of(events, name, node=None):
    return [event for event in events if event["event"] == name and node in (None, event.get("node"))]


def read_until(process, wanted, node):
    """Read events until one of a node has come; all that were read."""
    seen = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if seen[-1]["event"] == wanted and seen[-1].get("node") == node:
            return seen
    raise AssertionError(f"the run ended before {wanted} of {node}: {process.stderr.read()}")


def test_the_code_atlas_runs_from_a_folder_to_a_report(symphony, atlas, folder):
    code, events = symphony.events("run", atlas, "--input", f"path={folder}")
    assert code == 0
    assert len(of(events, "item-completed", "classify")) == 63
    assert len(of(events, "item-completed", "metrics")) == 63
    [summary] = of(events, "summary")
    assert summary["state"] == "completed"
    report = Path(summary["outputs"]["report"]["path"])
    assert report.read_text().startswith("<!doctype html>")
    assert "module_" in report.read_text()
    data = json.loads(Path(summary["outputs"]["data"]["path"]).read_text())
    figures = data["summary"]
    assert (figures["files"], figures["functions"]) == (63, 60)
    assert {share["name"]: share["files"] for share in figures["languages"]}["python"] == 60
    ids = {artifact["ref"]["id"] for artifact in json.loads(symphony("artifacts", "list", "--json").stdout)}
    assert summary["outputs"]["report"]["artifact"]["id"] in ids


def kept_events(symphony, run):
    """What the log of a run holds."""

    async def read():
        async with Host.open(load_settings(environ=symphony.environment)) as host:
            return [event async for event in host.core.events(run)]

    return asyncio.run(read())


def test_a_run_whose_host_was_killed_is_resumed_without_doing_anything_twice(symphony, atlas, folder):
    with symphony.start("run", atlas, "--input", f"path={folder}", "--json") as process:
        read_until(process, "item-completed", "metrics")
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    [run] = json.loads(symphony("runs", "--json").stdout)
    assert run["state"] != "completed"
    kept = kept_events(symphony, run["run"])
    code, events = symphony.events("resume", run["run"])
    assert code == 0
    for node in ("classify", "metrics"):
        before = {event.item for event in kept if isinstance(event, ItemCompleted) and event.node == node}
        after = [event["item"] for event in of(events, "item-completed", node)]
        assert sorted([*before, *after]) == list(range(63))
    assert of(events, "summary")[0]["state"] == "completed"


def test_killed_workers_fail_their_node_and_the_run_can_be_resumed(symphony, atlas, folder, kill_workers):
    with symphony.start("run", atlas, "--input", f"path={folder}", "--json") as process:
        events = read_until(process, "item-completed", "classify")
        kill_workers(process.pid)
        events += map(json.loads, process.stdout)
        assert process.wait(100) == 1
    failures = of(events, "node-failed", "classify")
    assert failures
    assert "SIGKILL" in failures[0]["error"]["message"]
    assert [event["node"] for event in of(events, "node-skipped")] == ["metrics", "report"]
    assert of(events, "summary")[0]["state"] == "failed"
    code, events = symphony.events("resume", events[0]["run"])
    assert code == 0
    assert of(events, "summary")[0]["state"] == "completed"


def test_killed_workers_are_started_again_where_the_node_may_be_tried_again(
    symphony, atlas, folder, tmp_path, kill_workers
):
    flow = json.loads(atlas.read_text())
    flow["nodes"]["classify"]["retry"] = {"attempts": 3}
    patient = tmp_path / "patient.json"
    patient.write_text(json.dumps(flow))
    with symphony.start("run", patient, "--input", f"path={folder}", "--json") as process:
        events = read_until(process, "item-completed", "classify")
        kill_workers(process.pid)
        events += map(json.loads, process.stdout)
        assert process.wait(100) == 0
    assert of(events, "node-retrying", "classify")
    assert len(of(events, "item-completed", "classify")) == 63


def test_no_process_outlives_a_host_that_was_killed(symphony, atlas, folder):
    with symphony.start("run", atlas, "--input", f"path={folder}", "--json") as process:
        read_until(process, "item-completed", "classify")
        started = [
            os.pidfd_open(int(child))
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ]
        assert started
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    for descriptor in started:
        ready, _, _ = select.select([descriptor], [], [], 30)
        os.close(descriptor)
        assert ready, "a worker outlived its host"


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        ("nowhere", 1, "is not there; a folder was expected"),
        ("a-file", 1, "is a file; a folder was expected"),
    ],
)
def test_a_folder_that_is_none_fails_with_its_name(symphony, atlas, tmp_path, path, code, text):
    (tmp_path / "a-file").write_text("x")
    done = symphony("run", atlas, "--input", f"path={tmp_path / path}")
    assert done.returncode == code
    assert text in done.stdout + done.stderr
    assert "--input path=FOLDER" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_folder_gives_an_empty_report(symphony, atlas, tmp_path):
    (tmp_path / "nothing").mkdir()
    code, events = symphony.events("run", atlas, "--input", f"path={tmp_path / 'nothing'}")
    assert code == 0
    assert json.loads(Path(of(events, "summary")[0]["outputs"]["data"]["path"]).read_text())["files"] == []

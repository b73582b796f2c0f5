"""Output that somebody stops reading, as `symphony run FLOW --json | head` does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

DEADLINE = 100
GATES = 200


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """Two hundred branches, which need no extension."""
    nodes = {
        f"gate-{number}": {"kind": "control", "control": "branch", "condition": "true"}
        for number in range(GATES)
    }
    path = tmp_path / "gates.json"
    path.write_text(json.dumps({"schema": 1, "id": "gates", "nodes": nodes}))
    return path


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "symphony_host", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def output(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@pytest.mark.parametrize("options", [("--json",), ()])
def test_a_run_goes_on_when_nobody_reads_its_output_any_more(flow: Path, options: tuple[str, ...]) -> None:
    with start("run", str(flow), *options) as process:
        output(process).close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(DEADLINE) == 0
    assert "Traceback" not in err
    assert err.count("nobody reads the output any more") == 1
    with start("runs", "list", "--json") as listing:
        assert [run["state"] for run in json.loads(output(listing).read())] == ["completed"]


def test_a_run_whose_summary_nobody_reads_ends_as_ever(flow: Path) -> None:
    with start("run", str(flow), "--quiet") as process:
        output(process).close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(DEADLINE) == 0


def test_who_only_looks_on_ends_with_the_reader(flow: Path) -> None:
    with start("run", str(flow), "--quiet") as process:
        output(process).read()
    with start("runs", "list", "--json") as listing:
        run = json.loads(output(listing).read())[0]["run"]
    with start("runs", "watch", run, "--json") as process:
        output(process).close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(DEADLINE) == 141


def test_every_event_is_a_line_and_the_summary_is_the_last(flow: Path) -> None:
    with start("run", str(flow), "--json") as process:
        lines = [json.loads(line) for line in output(process)]
    assert process.returncode == 0
    kinds = [line["event"] for line in lines]
    assert kinds.count("summary") == 1
    assert kinds[0] == "run-started"
    assert kinds[-2:] == ["run-completed", "summary"]
    assert lines[-1]["counts"] == {"completed": GATES}
    assert len(lines[-1]["nodes"]) == GATES

"""`symphony runs timeline` on the log of a run that another process made."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from symphony_host.cli.root import run

GATES = 30


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The id of a run of thirty branches, one after the other, and the data directory that it lies in."""
    names = [f"gate-{number:02}" for number in range(GATES)]
    nodes = {name: {"kind": "control", "control": "branch", "condition": "true"} for name in names}
    edges = [{"from": one, "to": other, "kind": "control"} for one, other in pairwise(names)]
    folder = tmp_path_factory.mktemp("past")
    flow = folder / "gates.json"
    flow.write_text(json.dumps({"schema": 1, "id": "gates", "nodes": nodes, "edges": edges}))
    done = subprocess.run(
        [sys.executable, "-m", "symphony_host", "run", str(flow), "--quiet", "--json"],
        env={
            **os.environ,
            **{f"SYMPHONY_{name}_DIR": str(folder / name) for name in ("DATA", "CACHE", "CONFIG")},
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(done.stdout.splitlines()[-1])["run"]), folder / "DATA"


@pytest.fixture
def ended(past: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SYMPHONY_DATA_DIR", str(past[1]))
    monkeypatch.chdir(tmp_path)
    return past[0]


def test_a_page_is_written_that_is_named_after_the_run(
    ended: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["runs", "timeline", ended[:12]]) == 0
    assert capsys.readouterr().out.startswith(f"{ended}.html: {GATES} bars in ")
    page = Path(f"{ended}.html").read_text()
    assert page.startswith("<!doctype html>")
    assert f"gates: run {ended}" in page


def test_a_picture_is_written_where_it_is_asked_for(ended: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "timeline", ended, "-o", "out.svg", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["bars"]) == ("out.svg", GATES)
    assert told["critical_path"] == [f"gate-{number:02}" for number in range(GATES)]
    assert told["bytes"] == Path("out.svg").stat().st_size
    ET.fromstring(Path("out.svg").read_text())


def test_another_kind_of_file_is_a_usage_error(ended: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "timeline", ended, "-o", "out.png"]) == 2
    assert "'out.png' ends with neither .html nor .svg" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_clear_error(
    ended: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["runs", "timeline", ended, "-o", "missing/out.svg"]) == 1
    assert "error[SYM-C035]: the timeline cannot be written" in capsys.readouterr().err


def test_the_browser_is_shown_the_file(
    ended: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("symphony_host.cli.timeline.click.launch", shown.append)
    assert run(["runs", "timeline", ended, "-o", "out.html", "--open"]) == 0
    assert shown == [str(Path("out.html").resolve())]


def test_an_unknown_run_is_an_error(ended: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "timeline", "walk"]) == 1
    assert "error[SYM-R002]" in capsys.readouterr().err

"""`show`, `export`, `sign` and `verify` as a user meets them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from symphony_host.cli.root import root, run
from symphony_workflow import load

FLOW = {
    "schema": 2,
    "id": "shouting",
    "inputs": {"text": {"schema": {"type": "string"}}},
    "nodes": {
        "shout": {"kind": "operator", "uses": "test.extension.shout"},
        "each": {"kind": "control", "control": "map", "uses": "#one", "over": "text"},
    },
    "edges": [
        {"from": "$inputs.text", "to": "shout.text"},
        {"from": "shout.result", "to": "each.text"},
    ],
    "outputs": {"loud": "each.results"},
    "workflows": {"one": {"nodes": {"only": {"kind": "operator", "uses": "test.extension.whisper"}}}},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `flow.json`."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"SYMPHONY_{name}_DIR", str(tmp_path / name.lower()))
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    return tmp_path


def printed(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(root, [*arguments], prog_name="symphony")
    assert result.exit_code == code, result.output
    return result.stdout


def failed(capsys: pytest.CaptureFixture[str], *arguments: str, exit: int = 1) -> dict[str, Any]:
    """The error that a command ends with."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == exit
    error: dict[str, Any] = json.loads(capsys.readouterr().out)["error"]
    assert error["hint"]
    return error


def test_a_small_workflow_is_shown_as_a_graph_and_as_a_tree_on_demand(folder: Path) -> None:
    graph, tree = printed("show", "flow.json"), printed("show", "flow.json", "--as", "tree")
    assert "│ shout " in graph
    assert "▼" in graph
    assert "● shout  operator test.extension.shout\n" in tree
    assert "#one" in tree


def test_where_a_graph_does_not_fit_the_terminal_a_tree_is_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    assert printed("show", "flow.json", "--as", "graph") == printed("show", "flow.json", "--as", "tree")


def test_a_large_workflow_is_shown_as_a_tree_unless_a_graph_is_asked_for(folder: Path) -> None:
    nodes = {f"n{number}": {"kind": "operator", "uses": "acme.text.tool"} for number in range(50)}
    edges = [{"kind": "control", "from": f"n{number}", "to": f"n{number + 1}"} for number in range(49)]
    Path("large.json").write_text(json.dumps({"schema": 2, "id": "large", "nodes": nodes, "edges": edges}))
    assert "● n0" in printed("show", "large.json")
    assert "│ n0 " in printed("show", "large.json", "--as", "graph")


def test_show_tells_programs_what_is_in_a_workflow(folder: Path) -> None:
    told = json.loads(printed("show", "flow.json", "--json"))
    assert (told["id"], told["nodes"], told["edges"]) == ("shouting", 2, 2)
    assert told["kinds"] == {"map": 1, "operator": 1}
    assert told["uses"] == ["#one", "test.extension.shout", "test.extension.whisper"]
    assert told["outputs"] == {"loud": "each.results"}
    assert told["workflows"][0]["id"] == "one"
    assert len(told["digest"]) == 64


def test_the_end_of_the_name_chooses_the_form(folder: Path) -> None:
    for name in ("flow.symwf", "flow.dot", "flow.gv", "flow.mmd", "flow.svg", "again.json"):
        assert name in printed("export", "flow.json", "-o", name)
    assert load("flow.symwf") == load("again.json") == load("flow.json")
    assert Path("flow.dot").read_text().startswith("digraph")
    assert (
        Path("flow.gv").read_text()
        == Path("flow.dot").read_text()
        == printed("export", "flow.json", "--to", "dot")
    )
    assert "flowchart TD" in Path("flow.mmd").read_text()
    assert ET.parse("flow.svg").getroot().get("viewBox")


def test_a_binary_workflow_is_shown_and_exported_like_one_of_json(folder: Path) -> None:
    told = json.loads(printed("export", "flow.json", "-o", "flow.symwf", "--json"))
    size = Path("flow.symwf").stat().st_size
    assert told == {"form": "binary", "bytes": size, "file": "flow.symwf", "notes": []}
    assert printed("show", "flow.symwf") == printed("show", "flow.json")
    assert printed("export", "flow.symwf", "--to", "svg") == printed("export", "flow.json", "--to", "svg")
    assert json.loads(printed("export", "flow.symwf", "--to", "json")) == FLOW


def test_the_exported_python_builds_the_same_workflow(folder: Path) -> None:
    source = printed("export", "flow.json", "--python")
    printed("export", "flow.json", "-o", "flow.py")
    assert source == Path("flow.py").read_text()
    names: dict[str, Any] = {}
    exec(compile(source, "flow.py", "exec"), names)
    assert names["workflow"] == load("flow.json")


def test_a_binary_workflow_is_printed_into_a_pipe_byte_by_byte(folder: Path) -> None:
    command = [sys.executable, "-m", "symphony_host", "export", "flow.json", "--to", "binary"]
    done = subprocess.run(command, capture_output=True, check=True, env=os.environ | {"HOME": str(folder)})
    printed("export", "flow.json", "-o", "flow.symwf")
    assert done.stdout == Path("flow.symwf").read_bytes()


def test_an_export_is_never_written_over_its_own_source(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("flow.json").read_bytes()
    error = failed(capsys, "export", "flow.json", "-o", "./flow.json", "--to", "svg", exit=2)
    assert "take its place" in error["message"]
    assert Path("flow.json").read_bytes() == before
    printed("export", "flow.json", "-o", "flow.json")  # JSON laid out anew is the same workflow
    assert json.loads(Path("flow.json").read_text()) == FLOW


def test_an_unknown_form_is_refused_with_those_that_there_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (("-o", "flow.xyz"), ("--to", "xyz"), ("-o", "flow"), ("-o", "flow.svg", "--to", "xyz")):
        error = failed(capsys, "export", "flow.json", *arguments)
        assert error["code"] == "SYM-W065"
        assert "mermaid" in error["hint"]
    assert failed(capsys, "export", "flow.json", exit=2)["code"] == "SYM-C040"
    assert [file.name for file in folder.glob("flow*")] == ["flow.json"]


def test_an_export_into_a_missing_folder_is_one_clear_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = failed(capsys, "export", "flow.json", "-o", "nowhere/flow.svg")
    assert (error["code"], error["file"]) == ("SYM-W066", "nowhere/flow.svg")


def test_a_signature_holds_for_every_form_and_for_no_changed_workflow(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = printed("sign", "flow.json", "--key", "my.key", "--new-key")
    assert [line.split(":")[0] for line in told.splitlines()] == ["my.key", "my.key.pub", "flow.json.sig"]
    printed("export", "flow.json", "-o", "flow.symwf")
    printed("export", "flow.json", "-o", "flow.json")
    assert "unchanged since" in printed("verify", "flow.json", "--key", "my.key.pub")
    arguments = ("verify", "flow.symwf", "--key", "my.key.pub", "--signature", "flow.json.sig")
    assert json.loads(printed(*arguments, "--json"))["file"] == "flow.json.sig"
    Path("flow.json").write_text(json.dumps(FLOW | {"name": "Shouting!"}))
    error = failed(capsys, "verify", "flow.json", "--key", "my.key.pub")
    assert error["code"] == "SYM-W063"
    assert "was changed" in error["message"]


def test_one_of_several_trusted_keys_is_enough(folder: Path) -> None:
    printed("sign", "flow.json", "--key", "one.key", "--new-key")
    printed("sign", "flow.json", "--key", "two.key", "--new-key")
    told = json.loads(printed("sign", "flow.json", "--key", "one.key", "--json"))
    arguments = ("verify", "flow.json", "--key", "two.key.pub", "--key", "one.key.pub", "--json")
    assert json.loads(printed(*arguments)) == told


def test_a_key_is_never_made_over_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed("sign", "flow.json", "--key", "my.key", "--new-key")
    before = Path("my.key").read_bytes()
    assert failed(capsys, "sign", "flow.json", "--key", "my.key", "--new-key")["code"] == "SYM-W064"
    assert Path("my.key").read_bytes() == before


def test_what_is_missing_for_a_signature_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert failed(capsys, "sign", "flow.json", "--key", "no.key")["code"] == "SYM-W064"
    printed("sign", "flow.json", "--key", "my.key", "--new-key")
    error = failed(capsys, "verify", "flow.json", "--key", "my.key.pub", "--signature", "no.sig")
    assert (error["code"], error["file"]) == ("SYM-W062", "no.sig")
    Path("flow.json.sig").unlink()
    Path("flow.json.sig").mkdir()
    assert failed(capsys, "sign", "flow.json", "--key", "my.key")["code"] == "SYM-W066"

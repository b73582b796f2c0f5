"""`symphony import` and the foreign part of `symphony export`, as a user meets them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from symphony_host.cli.export import export
from symphony_host.cli.import_ import import_command
from symphony_host.cli.shell import Shell
from symphony_host.configuration import load_settings
from symphony_host.workflow_formats import (
    export_workflow,
    format_named,
    format_of,
    import_workflow,
    installed_formats,
    load_mapping,
    workflow_name,
)
from symphony_sdk import ImportedWorkflow, NodeMapping, WorkflowFormat
from symphony_sdk.errors import ExtensionError, SymphonyError, WorkflowError
from symphony_workflow import Workflow, load

PROMPT = {
    "1": {"class_type": "VAELoader", "inputs": {"vae_name": "v.pt"}},
    "2": {"class_type": "VAEDecode", "inputs": {"vae": ["1", 0]}},
}
MAPPING = """
VAELoader = "acme.image.load-vae"

[VAEDecode]
uses = "acme.image.decode"
kind = "instrument"
inputs = { vae = "model" }
"""


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    file = tmp_path / "my prompt.json"
    file.write_text(json.dumps(PROMPT))
    return file


def call(command, *arguments: object) -> Result:  # type: ignore[no-untyped-def]
    return CliRunner().invoke(command, [str(one) for one in arguments], obj=Shell(), standalone_mode=False)


def code_of(result: Result) -> str:
    assert isinstance(result.exception, SymphonyError), result.exception
    return result.exception.code


def test_a_file_of_another_program_becomes_a_workflow_file_with_a_table_of_notes(prompt, tmp_path):
    flow = tmp_path / "flow.json"
    result = call(import_command, prompt, "-o", flow)
    assert result.exception is None
    assert load(flow).id == "my-prompt"
    assert {node.id for node in load(flow).nodes} == {"VAELoader-1", "VAEDecode-2"}
    assert "2 nodes from ComfyUI, as its server is given it" in result.stdout
    assert "2 placeholders" in result.stdout
    assert "node type VAEDecode" in result.stderr


def test_the_result_is_told_as_json(prompt, tmp_path):
    flow = tmp_path / "flow.json"
    told = json.loads(call(import_command, prompt, "-o", flow, "--json").stdout)
    assert (told["format"], told["nodes"], told["output"]) == ("comfyui-api", 2, str(flow))
    assert [note["node"] for note in told["notes"]] == ["1", "2"]
    assert json.loads(call(import_command, prompt, "--json").stdout)["workflow"]["id"] == "my-prompt"


def test_without_an_output_the_workflow_is_printed_and_nothing_else(prompt):
    assert json.loads(call(import_command, prompt).stdout)["id"] == "my-prompt"


def test_a_mapping_names_the_operations_and_leaves_nothing_to_note(prompt, tmp_path):
    mapping, flow = tmp_path / "map.toml", tmp_path / "flow.json"
    mapping.write_text(MAPPING)
    result = call(import_command, prompt, "-o", flow, "--map", mapping, "--strict")
    assert result.exception is None
    nodes = {node.id: node for node in load(flow).nodes}
    assert (nodes["VAEDecode-2"].uses, nodes["VAEDecode-2"].kind) == ("acme.image.decode", "instrument")
    assert load(flow).edges[0].target_port == "model"
    assert result.stderr == ""


def test_strict_refuses_what_is_not_exact_and_writes_nothing(prompt, tmp_path):
    flow = tmp_path / "flow.json"
    result = call(import_command, prompt, "-o", flow, "--strict")
    assert code_of(result) == "SYM-W105"
    assert len(result.exception.details["notes"]) == 2
    assert not flow.exists()


def test_a_workflow_goes_back_to_the_program_that_it_came_from(prompt, tmp_path):
    flow, back = tmp_path / "flow.json", tmp_path / "back.json"
    call(import_command, prompt, "-o", flow)
    result = call(export, flow, "--to", "comfyui-api", "-o", back)
    assert result.exception is None
    written = json.loads(back.read_text())
    assert {id: one["inputs"] for id, one in written.items()} == {
        id: one["inputs"] for id, one in PROMPT.items()
    }


def test_the_end_of_the_name_chooses_the_format_and_notes_are_told(prompt, tmp_path):
    flow, file = tmp_path / "flow.json", tmp_path / "flow.cwl"
    call(import_command, prompt, "-o", flow)
    told = json.loads(call(export, flow, "-o", file, "--json").stdout)
    assert told["form"] == "cwl"
    assert {note["node"] for note in told["notes"]} == {"VAELoader-1", "VAEDecode-2"}
    assert file.read_text().startswith("cwlVersion: v1.2")
    assert "CWL knows no operations" in call(export, flow, "-o", file).stderr
    file.unlink()
    assert code_of(call(export, flow, "-o", file, "--strict")) == "SYM-W105"
    assert not file.exists()


def test_what_is_only_read_is_not_written(prompt, tmp_path):
    flow = tmp_path / "flow.json"
    call(import_command, prompt, "-o", flow)
    assert code_of(call(export, flow, "--to", "n8n")) == "SYM-W103"


def test_a_file_does_not_take_the_place_of_its_source(prompt):
    assert code_of(call(import_command, prompt, "-o", prompt)) == "SYM-C040"
    assert json.loads(prompt.read_text()) == PROMPT


@pytest.mark.parametrize(
    ("text", "arguments", "code"),
    [
        (None, [], "SYM-W101"),
        ("{}", [], "SYM-W100"),
        ('{"schema": 2, "id": "x", "nodes": {}}', [], "SYM-W100"),
        ("{}", ["--from", "word"], "SYM-W100"),
        ("{", ["--from", "n8n"], "SYM-W101"),
        ("[]", ["--from", "n8n"], "SYM-W102"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_its_place(tmp_path, text, arguments, code):
    file = tmp_path / "file.json"
    if text is not None:
        file.write_text(text)
    result = call(import_command, file, *arguments)
    assert code_of(result) == code
    assert result.exception.file in ("", str(file))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "[",
        "a = 3",
        'a = "no id"',
        "[a]\nkind = 'x'\nuses = 'a.b.c'",
        "[a]\nuses = 'a.b.c'\nx = 1",
        "\xff",
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(tmp_path, text):
    file = tmp_path / "map.toml"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    with pytest.raises(WorkflowError) as caught:
        load_mapping(file)
    assert (caught.value.code, caught.value.file) == ("SYM-W104", str(file))


def test_a_mapping_says_operations_kinds_and_ports(tmp_path):
    file = tmp_path / "map.toml"
    file.write_text(MAPPING)
    assert load_mapping(file) == {
        "VAELoader": NodeMapping("acme.image.load-vae"),
        "VAEDecode": NodeMapping("acme.image.decode", "instrument", inputs={"vae": "model"}),
    }


def test_files_and_mappings_that_are_too_large_are_not_read(prompt, tmp_path, monkeypatch):
    monkeypatch.setattr("symphony_host.workflow_formats.MAX_BYTES", 10)
    monkeypatch.setattr("symphony_host.workflow_formats.MAX_MAPPING", 10)
    (tmp_path / "map.toml").write_text(MAPPING)
    assert code_of(call(import_command, prompt)) == "SYM-W101"
    with pytest.raises(WorkflowError, match="more than 10 bytes"):
        load_mapping(tmp_path / "map.toml")


def test_the_installed_formats_are_those_of_the_family():
    assert set(installed_formats(load_settings())) >= {"comfyui", "comfyui-api", "wfformat", "n8n", "cwl"}


def never(data: bytes) -> float:
    return 0.0


def surely(data: bytes) -> float:
    return 1.0


def broken(data: bytes, *, name: str, mapping: object) -> ImportedWorkflow:
    raise ZeroDivisionError(name)


def test_a_file_that_two_formats_know_alike_is_not_guessed():
    formats = {name: WorkflowFormat(name, name, ".x", surely, broken) for name in ("a", "b")}
    with pytest.raises(WorkflowError, match="looks like a and like b"):
        format_of(formats, b"")
    with pytest.raises(WorkflowError) as caught:
        format_named({}, "a")
    assert "install symphony-workflow-formats" in caught.value.hint


def test_a_reader_or_writer_that_breaks_is_an_error_of_its_extension():
    def fail(document: object) -> object:
        raise KeyError("x")

    format = WorkflowFormat("acme", "Acme", ".x", never, broken, fail)  # type: ignore[arg-type]
    with pytest.raises(ExtensionError, match="'acme' raised ZeroDivisionError"):
        import_workflow(format, b"", name="x", mapping={})
    with pytest.raises(ExtensionError, match="'acme' raised KeyError"):
        export_workflow(format, Workflow(id="w"))


@pytest.mark.parametrize(
    ("path", "name"), [("a b.flow.json", "a-b"), ("日本.json", "imported"), (".cwl", "imported")]
)
def test_a_workflow_is_called_after_its_file(path, name):
    assert workflow_name(Path(path)) == name

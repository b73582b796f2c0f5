"""`symphony template` as a user meets it, and where its library comes from."""

import json
from pathlib import Path

import pytest
from symphony_host.cli import template as command
from symphony_host.cli.root import run
from symphony_host.configuration import load_settings
from symphony_host.template_library import open_library, template_sources
from symphony_workflow import WorkflowBuilder, load, save

TEMPLATE = {
    "template": 1,
    "id": "acme.tidy",
    "version": "1.0.0",
    "title": "Tidy a folder",
    "categories": ["files"],
    "parameters": {
        "name": {"type": "string", "description": "What it is called."},
        "where": {"type": "string", "format": "path", "default": "/"},
        "depth": {"type": "integer", "minimum": 1, "default": 2, "group": "Walk"},
    },
    "workflow": {
        "schema": 2,
        "id": "tidy",
        "name": "${name}",
        "nodes": {
            "walk": {
                "kind": "operator",
                "uses": "symphony.files.walk",
                "params": {"path": {"$param": "where"}, "limit": {"$param": "depth"}},
            }
        },
    },
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the user's own templates, with one in it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "templates"
    folder.mkdir(parents=True)
    (folder / "tidy.json").write_text(json.dumps(TEMPLATE))
    return folder


@pytest.fixture
def flow(tmp_path):
    wf = WorkflowBuilder("walk", name="Walk")
    wf.operator("walk", uses="symphony.files.walk", path="/", limit=3)
    save(wf.build(), tmp_path / "flow.json")
    return tmp_path / "flow.json"


@pytest.fixture
def answers(monkeypatch):
    """Makes the command line think that a user sits there, and answers what it asks, by the name in the question."""

    def sit_down(**given):
        monkeypatch.setattr(command.sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(
            "click.prompt",
            lambda text, default=None, **_: next(
                (answer for name, answer in given.items() if name in text.partition(" ")[0]), default
            ),
        )

    return sit_down


def symphony(capsys, *arguments, code=0):
    """What `symphony template` prints as JSON."""
    found = run(["template", *map(str, arguments), "--json"])
    printed = capsys.readouterr().out
    assert found == code, printed
    return json.loads(printed)


def listed(capsys, *arguments, code=0):
    return [each["id"] for each in symphony(capsys, *arguments, code=code)["templates"]]


def test_templates_are_listed_searched_and_narrowed(folder, capsys):
    assert listed(capsys, "list", "--source", "user") == ["acme.tidy"]
    assert listed(capsys, "search", "tdiy", "folder") == ["acme.tidy"]
    assert "acme.tidy" in listed(capsys, "list", "--category", "files", "--operation", "symphony.files.walk")
    assert listed(capsys, "search", "zzzzz", code=1) == []


def test_only_templates_whose_operations_are_installed_are_listed(folder, capsys, monkeypatch):
    monkeypatch.setattr(command, "_installed_operations", lambda settings: ("symphony.files.walk",))
    assert "acme.tidy" in listed(capsys, "list", "--installed")
    monkeypatch.setattr(command, "_installed_operations", lambda settings: ())
    assert listed(capsys, "list", "--installed") == []


def test_a_broken_template_is_named_with_its_reason(folder, capsys):
    (folder / "bad.json").write_text("{")
    [broken] = symphony(capsys, "list")["broken"]
    assert "not JSON" in broken["problem"]
    assert run(["template", "list"]) == 0
    printed = capsys.readouterr()
    assert "acme.tidy" in printed.out
    assert "bad.json" in printed.err


def test_a_template_is_shown_with_its_parameters(folder, capsys):
    shown = symphony(capsys, "show", "acme.tidy")
    assert shown["versions"] == ["1.0.0"]
    assert run(["template", "show", "acme.tidy@1.0.0"]) == 0
    printed = capsys.readouterr().out
    assert "What it is called." in printed
    assert "required" in printed
    assert symphony(capsys, "show", "acme.nobody", code=1)["error"]["code"] == "SYM-W094"


def test_a_template_becomes_a_workflow_that_is_printed_or_written(folder, tmp_path, capsys):
    arguments = ("template", "instantiate", "acme.tidy", "-p", "name=5", "-p", "depth=7", "-p", "where=here")
    assert run([*arguments]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "5"
    assert run([*arguments, "-o", "made.json", "--id", "mine"]) == 0
    assert "symphony run made.json" in capsys.readouterr().out
    made = load(tmp_path / "made.json")
    assert (made.id, made.nodes[0].params) == ("mine", {"path": str(tmp_path / "here"), "limit": 7})
    assert made.metadata.extra["template"]["id"] == "acme.tidy"


def test_a_value_can_be_json_in_a_file(folder, tmp_path, capsys):
    (tmp_path / "depth.json").write_text("9")
    given = ("instantiate", folder / "tidy.json", "-p", "name=x", "-p")
    made = symphony(capsys, *given, "depth=@depth.json")["workflow"]
    assert made["nodes"]["walk"]["params"]["limit"] == 9
    assert symphony(capsys, *given, "depth=@gone.json", code=2)["error"]["code"] == "SYM-C040"
    (tmp_path / "depth.json").write_text("{")
    assert symphony(capsys, *given, "depth=@depth.json", code=2)["error"]["code"] == "SYM-C040"


def test_missing_values_are_asked_for_on_a_terminal_and_never_without_input(folder, capsys, answers):
    answers(name="Asked")
    assert run(["template", "instantiate", "acme.tidy"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "Asked"
    assert run(["template", "instantiate", "acme.tidy", "--no-input"]) == 1
    assert "SYM-W093" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("instantiate",),
        ("instantiate", "acme.tidy", "--upgrade", "flow.json"),
        ("instantiate", "acme.tidy", "-p", "name"),
        ("instantiate", "acme.tidy", "-p", "name=a", "-p", "name=b"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(folder, capsys, arguments):
    assert symphony(capsys, *arguments, code=2)["error"]["code"] == "SYM-C040"


def test_a_workflow_is_made_again_with_the_latest_version_of_its_template(folder, tmp_path, capsys):
    run(
        [
            "template",
            "instantiate",
            "acme.tidy",
            "-p",
            "name=Mine",
            "-p",
            "depth=4",
            "-o",
            "made.json",
            "--id",
            "m",
        ]
    )
    capsys.readouterr()
    assert symphony(capsys, "instantiate", "--upgrade", "made.json")["changes"] == []
    newer = {**TEMPLATE, "version": "2.0.0"}
    newer["workflow"] = {**TEMPLATE["workflow"], "metadata": {"tags": ["tidy"]}}
    (folder / "newer.json").write_text(json.dumps(newer))
    told = symphony(capsys, "instantiate", "--upgrade", "made.json")
    assert (told["from"], told["to"]) == ("1.0.0", "2.0.0")
    assert any(line.startswith("+") and "tidy" in line for line in told["changes"])
    assert load(tmp_path / "made.json").metadata.extra["template"]["version"] == "1.0.0"
    assert run(["template", "instantiate", "--upgrade", "made.json"]) == 0
    assert "acme.tidy@2.0.0" in capsys.readouterr().out
    symphony(capsys, "instantiate", "--upgrade", "made.json", "-o", "made.json")
    made = load(tmp_path / "made.json")
    assert (made.id, made.name, made.nodes[0].params["limit"]) == ("m", "Mine", 4)
    assert made.metadata.extra["template"]["version"] == "2.0.0"


def test_a_workflow_of_no_template_cannot_be_upgraded(folder, flow, capsys):
    assert symphony(capsys, "instantiate", "--upgrade", flow, code=1)["error"]["code"] == "SYM-W098"


def test_a_template_is_made_of_a_workflow_and_found_in_the_library(folder, flow, capsys):
    made = symphony(
        capsys, "new", flow, "--id", "acme.walk", "-p", "limit=nodes.walk.params.limit", "--keyword", "stroll"
    )
    assert made["template"] == "acme.walk@1.0.0"
    assert listed(capsys, "search", "stroll") == ["acme.walk"]
    error = symphony(capsys, "new", flow, "--id", "acme.walk", code=1)["error"]
    assert error["code"] == "SYM-W096"
    assert run(["template", "new", str(flow), "--id", "acme.walk", "--replace"]) == 0
    assert "parameters: none" in capsys.readouterr().out
    assert (
        symphony(capsys, "new", flow, "--id", "a.b", "-p", "x=nodes.wlak", code=1)["error"]["code"]
        == "SYM-W097"
    )


def test_literals_are_offered_on_a_terminal(folder, flow, capsys, answers):
    answers(limit="most")
    assert run(["template", "new", str(flow), "--id", "acme.walk", "-o", "here"]) == 0
    assert "parameters: most" in capsys.readouterr().out
    assert Path("here/acme.walk@1.0.0.json").exists()


def test_a_template_file_is_added_to_the_library(folder, tmp_path, capsys):
    (tmp_path / "other.json").write_text(json.dumps({**TEMPLATE, "id": "acme.other"}))
    assert symphony(capsys, "add", "other.json")["template"] == "acme.other@1.0.0"
    assert (folder / "acme.other@1.0.0.json").exists()


def test_faults_of_a_template_file_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "t.json"
    file.write_text(json.dumps(TEMPLATE))
    assert symphony(capsys, "validate", file)["faults"] == []
    file.write_text(
        json.dumps({**TEMPLATE, "parameters": {**TEMPLATE["parameters"], "x": {"type": "string"}}})
    )
    [fault] = symphony(capsys, "validate", file)["faults"]
    assert fault["severity"] == "warning"
    file.write_text(json.dumps({**TEMPLATE, "titel": "x"}))
    assert symphony(capsys, "validate", file, code=1)["faults"][0]["path"] == "titel"
    assert run(["template", "validate", str(file)]) == 1
    assert "1 error, 0 warnings" in capsys.readouterr().out


def test_templates_come_from_the_user_folders_manifests_and_hooks(site, tmp_path, monkeypatch):
    site.add(
        "files",
        more='[templates]\nfiles = ["t/tidy.json", "t/gone.json"]\n',
        files={"t/tidy.json": json.dumps(TEMPLATE)},
    )
    hosted = 'schema = 1\n[extension]\nid = "acme.hosted"\nkind = "addon"\nmodule = "acme_hosted_code"\nruns = "host"\n'
    site.add("hosted", manifest=hosted, files={"made.json": json.dumps({**TEMPLATE, "id": "acme.hooked"})})
    (site.path / "acme_hosted_code.py").write_text(
        "from symphony_sdk import WorkflowTemplate, provides_workflow_templates\n"
        "@provides_workflow_templates\n"
        "def symphony_workflow_templates():\n"
        "    yield WorkflowTemplate('made', 'Made', 'acme_hosted_code_of', 'made.json')\n"
        "    yield WorkflowTemplate('gone', 'Gone', 'acme_nobody.x', 'gone.json')\n"
    )
    (site.path / "acme_hosted_code_of").mkdir()
    (site.path / "acme_hosted_code_of" / "made.json").write_text(
        json.dumps({**TEMPLATE, "id": "acme.hooked"})
    )
    site.settle()
    other = tmp_path / "other"
    other.mkdir()
    (other / "t.json").write_text(json.dumps({**TEMPLATE, "id": "acme.folder"}))
    config = tmp_path / "config" / "config.toml"
    config.parent.mkdir()
    config.write_text(f'trusted = ["acme.hosted"]\ntemplate_folders = ["{other}"]\n')
    settings = load_settings()
    names = [source.name for source in template_sources(settings)]
    assert names[:2] == ["user", str(other)]
    assert {"acme.files", "acme.hosted"} <= set(names)
    for _ in range(2):  # the second time, what the hooks said is remembered
        with open_library(settings) as library:
            found = {entry.id: entry.source for entry in library.search(limit=100)}
            broken = [(entry.id, entry.source) for entry in library.broken()]
        assert found["acme.tidy"] == "acme.files"
        assert found["acme.folder"] == str(other)
        assert found["acme.hooked"] == "acme.hosted"
        assert sorted(broken) == [("gone", "acme.files"), ("gone", "acme.hosted")]

"""The command line as a user meets it: real processes, exit codes, JSON, and what is not imported."""

import json
import os
import pty
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_host.cli.commands import COMMANDS
from symphony_host.cli.flow_inputs import read_value
from symphony_host.cli.root import root, run
from symphony_isolation.sandbox import probing, seatbelt
from symphony_sdk.error_codes import CATALOGUE
from symphony_workflow import WorkflowInput


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"SYMPHONY_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return dict(os.environ)


def symphony(
    *arguments: str, environment: dict[str, str], code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "symphony_host", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def on_macos(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """What `symphony` prints where it finds the sandbox of macOS."""
    forget = probing.probe.cache_clear
    forget()
    monkeypatch.setattr(probing, "sys", types.SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(seatbelt, "PROGRAM", sys.executable)

    def symphony(*arguments: str, code: int = 0, **variables: str) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert run(arguments) == code
        return capsys.readouterr().out

    yield symphony
    forget()


def on_a_terminal(*arguments: str, environment: dict[str, str]) -> str:
    """What `symphony` prints where its standard output is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "symphony_host", *arguments],
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says EIO where all writers are gone
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait(60) == 0
    return b"".join(parts).decode()


HEAVY = ("pydantic", "importlib.metadata", "importlib_metadata", "asyncio", "networkx", "httpx", "rich")


def imported_by(*arguments: str, environment: dict[str, str]) -> set[str]:
    program = (
        "import sys; from symphony_host.__main__ import main\n"
        f"sys.argv = ['symphony', *{list(arguments)!r}]\n"
        "code = main()\n"
        "print('\\n' + ' '.join(sys.modules)); sys.exit(code)"
    )
    # -S keeps out what the .pth files of a development environment import
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], []])
def test_version_and_help_import_neither_a_framework_nor_anything_heavy(
    environment: dict[str, str], arguments: list[str]
) -> None:
    imported_by("--help", environment=environment)  # what follows an installation; from then on it is warm
    assert not imported_by(*arguments, environment=environment) & {*HEAVY, "click", "msgspec", "pluggy"}


def test_a_warm_list_imports_neither_pydantic_nor_metadata_nor_asyncio(environment: dict[str, str]) -> None:
    def imports() -> set[str]:
        return imported_by("list", environment=environment) & {*HEAVY}

    assert imports()  # discovers
    # a test beside this one may write compiled code, whose directory is new and so makes the next list discover
    assert not imports() or not imports()


def test_a_command_imports_no_other_command(environment: dict[str, str]) -> None:
    modules = imported_by("explain", "SYM-M001", environment=environment)
    assert {name for name in modules if name.startswith("symphony_host.cli.")} == {
        f"symphony_host.cli.{name}"
        for name in (
            "commands",
            "exits",
            "explain",
            "extension_commands",
            "front_page",
            "root",
            "shell",
            "text",
        )
    }


def test_help_lists_every_command_and_the_exit_codes(environment: dict[str, str]) -> None:
    text = symphony("--help", environment=environment).stdout
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert "130 " in text
    assert text == symphony(environment=environment).stdout
    assert "\x1b" not in text


def test_help_is_coloured_on_a_terminal_unless_that_is_not_wanted(environment: dict[str, str]) -> None:
    assert "\x1b[1mWorkflows" in on_a_terminal("--help", environment=environment)
    assert "\x1b" not in on_a_terminal("--help", environment={**environment, "NO_COLOR": "1"})


def test_the_help_of_a_command_is_drawn_with_rich_on_a_terminal(environment: dict[str, str]) -> None:
    assert "╭─" in on_a_terminal("run", "--help", environment=environment)
    assert "╭─" not in symphony("run", "--help", environment=environment).stdout


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_help_of_every_command_has_an_example(
    environment: dict[str, str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example:" in text
    assert "symphony" in text.partition("Example:")[2]


def test_every_command_that_prints_can_print_json() -> None:
    context = root.make_context("symphony", [], resilient_parsing=True)
    without = set()
    for name in COMMANDS:
        without |= {
            leaf
            for leaf, command in leaves(name, root.get_command(context, name))
            if not any(parameter.name == "json" for parameter in command.params)
        }
    # a script for a shell, the bytes of an artifact, lines of JSON as they are kept, and a document that is JSON
    assert without == {"completion", "artifacts get", "audit export", "ipc schema"}


def leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """A command, or those of a group and of the groups in it, each with its whole name."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, each in command.commands.items():
        yield from leaves(f"{name} {word}", each)


def test_version_is_the_same_by_every_way(environment: dict[str, str]) -> None:
    text = symphony("--version", environment=environment).stdout
    assert text == symphony("--debug", "--version", environment=environment).stdout
    assert text.startswith("symphony 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "no such command 'nosuch'"),
        (["lst"], "Did you mean `symphony list`?"),
        (["run"], "missing argument 'FLOW'"),
        (["list", "--nosuch"], "no such option"),
        (["new", "operator", "Word Count"], "'Word Count'"),
        (["explain", "SYM-M00"], "'SYM-M00'"),
        (["completion", "tcsh"], "'tcsh'"),
    ],
)
def test_a_wrong_command_line_ends_with_code_2_and_a_hint(
    environment: dict[str, str], arguments: list[str], message: str
) -> None:
    done = symphony(*arguments, environment=environment, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("error[SYM-C040]: ")
    assert message in done.stderr
    assert "hint: " in done.stderr


def test_a_wrong_command_line_with_json_gives_the_error_as_json(environment: dict[str, str]) -> None:
    done = symphony("list", "--nosuch", "--json", environment=environment, code=2)
    assert json.loads(done.stdout)["error"]["code"] == "SYM-C040"
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "SYM-W002"),
        (b"\xff\xfe\x00garbage", "SYM-W002"),
        (b"{\n  'id': 1}", "SYM-W003"),
        (b"", "SYM-W003"),
    ],
)
def test_a_file_that_is_no_workflow_is_one_clear_error(
    environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    content: bytes | None,
    code: str,
) -> None:
    file = tmp_path / "flow.json"
    if content is not None:
        file.write_bytes(content)
    assert run([command, str(file), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["file"]) == (code, str(file))


def test_an_error_names_the_place_as_compilers_do(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text('{"schema": 1,\n  nodes}')
    done = symphony("validate", str(file), environment=environment, code=1)
    assert f"\n  --> {file}:2:3\n" in done.stderr


@pytest.mark.parametrize("code", list(CATALOGUE))
def test_every_error_code_is_explained(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", code.lower(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["explanation"] == CATALOGUE[code].explanation


def test_an_explanation_is_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "SYM-X001"]) == 0
    assert capsys.readouterr().out.startswith("SYM-X001: Internal error\n\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_each_shell_calls_symphony(environment: dict[str, str], shell: str) -> None:
    assert "_SYMPHONY_COMPLETE" in symphony("completion", shell, environment=environment).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("symphony en", "plain,enable"),
        ("symphony list --op", "plain,--operations"),
        ("symphony artifacts fs", "plain,fsck"),
    ],
)
def test_commands_and_options_are_completed(environment: dict[str, str], words: str, expected: str) -> None:
    asked = {
        **environment,
        "_SYMPHONY_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    assert symphony(environment=asked).stdout.split() == [expected]


def test_info_gives_all_that_is_known_of_an_extension_as_json(environment: dict[str, str]) -> None:
    known = json.loads(symphony("info", "symphony.dag-tracker", "--json", environment=environment).stdout)
    assert (known["id"], known["distribution"], known["runs"]) == (
        "symphony.dag-tracker",
        "pit-dag-tracker",
        "host",
    )
    assert known["requires"][0]["id"] == "symphony"
    assert (known["state"], known["problems"]) == ("resolved", [])
    assert known["start"] is None


def test_doctor_tells_the_environment_and_is_healthy(environment: dict[str, str]) -> None:
    report = json.loads(symphony("doctor", "--json", environment=environment, code=None).stdout)
    names = [check["name"] for check in report["checks"]]
    assert {"python", "platform", "sqlite", "data directory", "isolation", "index of extensions"} <= set(
        names
    )
    assert all(check["ok"] for check in report["checks"])


@pytest.mark.parametrize(
    ("setting", "code", "told"),
    [
        ("auto", 3, "bad +isolation .*the only sandbox here is Seatbelt.*`trusted`"),
        ("unverified", 0, "ok +isolation .*unverified: .*nobody has seen"),
    ],
)
def test_doctor_tells_what_an_unverified_sandbox_does_not_enforce(
    on_macos: Callable[..., str], setting: str, code: int, told: str
) -> None:
    report = on_macos("doctor", code=code, SYMPHONY_SANDBOX=setting)
    assert re.search(told, report, re.DOTALL), report
    assert re.search("ok +sandbox, Seatbelt +unverified; it stops opening files", report), report
    assert re.search("ok +Seatbelt lets through +memory: ", report), report
    assert "Landlock" not in report


def test_info_tells_the_unverified_sandbox_that_a_trusted_extension_runs_in(
    on_macos: Callable[..., str], site: Any
) -> None:
    site.add("text")
    refused = json.loads(on_macos("info", "acme.text", "--json"))["sandbox"]
    assert refused["tier"] is None
    assert "do not trust" in refused["means"]
    text = on_macos("info", "acme.text", SYMPHONY_TRUSTED="acme.text")
    assert re.search("sandbox +unverified: an extension does what", text), text
    assert re.search("what Seatbelt lets through\n +memory: ", text), text
    known = json.loads(on_macos("info", "acme.text", "--json"))["sandbox"]
    assert (known["tier"], known["backend"]) == ("unverified", "Seatbelt")
    assert known["unenforced"] == refused["unenforced"]
    assert known["unenforced"][0].startswith("memory: ")


def test_doctor_tells_a_directory_that_is_a_file_and_settings_that_are_wrong(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text("log_level = 'loud'\n")
    done = symphony("doctor", environment=environment, code=3)
    assert "is a file" in done.stdout
    assert "SYM-C001" in done.stdout
    assert "SYMPHONY_DATA_DIR" in done.stdout


def test_wrong_settings_are_one_clear_error_of_other_commands(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text("log_levle = 'info'\n")
    done = symphony("--config", str(tmp_path / "own.toml"), "list", environment=environment, code=3)
    assert done.stderr.startswith("error[SYM-C001]: ")
    assert "log_level" in done.stderr


def test_debug_prints_the_traceback(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "symphony_host", "info", "no.such", "--debug"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "error[SYM-E028]" in done.stderr
    assert "Traceback" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m symphony_host list --json | true; exit ${{PIPESTATUS[0]}}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1)  # whether the reader left before or after it was written to
    assert done.stderr == ""


def test_a_defect_is_an_error_and_no_traceback(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("never thought of that")

    monkeypatch.setattr("symphony_host.cli.extensions.survey", broken)
    assert run(["list"]) == 3
    err = capsys.readouterr().err
    assert err.startswith("error[SYM-X001]: RuntimeError: never thought of that")
    assert "Traceback" not in err


def test_ctrl_c_before_a_run_began_ends_with_code_130(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("symphony_host.cli.extensions.survey", pressed)
    assert run(["list"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_a_relative_path_becomes_absolute_because_extensions_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_value(WorkflowInput("p", {"type": "string", "format": "path"}), "x/y") == str(
        tmp_path / "x/y"
    )
    assert read_value(WorkflowInput("p", {"type": "string"}), "x/y") == "x/y"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_an_input_of_any_type_takes_every_json_value(value: Any) -> None:
    assert read_value(WorkflowInput("any"), json.dumps(value)) == value


@given(st.text())
def test_an_input_of_text_takes_every_text_as_it_was_typed(text: str) -> None:
    assert read_value(WorkflowInput("text", {"type": "string"}), text) == text


def test_an_input_of_one_of_some_words_needs_no_quotes(tmp_path: Path) -> None:
    words = WorkflowInput("word", {"enum": ["red", "green"]})
    assert read_value(words, "red") == "red"
    (tmp_path / "v.json").write_text('["a"]')
    assert read_value(WorkflowInput("list", {"type": "array"}), f"@{tmp_path / 'v.json'}") == ["a"]

"""`run`, `resume`, `runs` and `validate` on a host whose parts are fakes."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from symphony_core import SymphonyCore
from symphony_host.cli.displays import Silence
from symphony_host.cli.following import follow
from symphony_host.cli.root import root, run
from symphony_isolation.permissions import Authority
from symphony_sdk import Context, operator
from symphony_sdk.errors import RunError
from symphony_sdk.events import RunEvent, RunStarted
from symphony_sdk.ports import RunRequest
from symphony_sdk.testing.fakes import FakeDagTracker, FakeExecutor, FakeExtensions, FakePit
from symphony_sdk.values import decode


@operator("test.extension.shout")
def shout(ctx: Context, text: str, times: int = 1) -> str:
    """Shout."""
    return text.upper() * times


FLOW = {
    "schema": 1,
    "id": "shouting",
    "inputs": {
        "text": {"schema": {"type": "string"}},
        "times": {"schema": {"type": "integer"}, "default": 1},
    },
    "nodes": {"shout": {"kind": "operator", "uses": "test.extension.shout"}},
    "edges": [
        {"from": "$inputs.text", "to": "shout.text"},
        {"from": "$inputs.times", "to": "shout.times"},
    ],
    "outputs": {"loud": "shout.result"},
}


class FakeHost:
    """A host of fakes that outlives the commands that open it."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.pit = FakePit(tracker=FakeDagTracker(self.work))
        self.outputs: dict[str, Any] = {"loud": "HEY"}
        self.error: Exception | None = None
        self.set: list[tuple[str, ...]] = []
        self.core = SymphonyCore(
            pit=self.pit,
            extensions=FakeExtensions(shout),
            executors={"local": FakeExecutor({}), "other": FakeExecutor({})},
        )

    def work(self, request: RunRequest) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return self.outputs

    @asynccontextmanager
    async def open(self, settings: object) -> Any:
        yield SimpleNamespace(
            core=self.core,
            artifacts=self.pit.artifacts,
            set_of_executor=lambda *what: self.set.append(what),
            authority=self.authority,
        )

    @property
    def request(self) -> RunRequest:
        return self.pit.tracker.requests["run-1"]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, authority: Authority) -> FakeHost:
    host = FakeHost(authority)
    composition = ModuleType("symphony_host.composition")
    composition.Host = host  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "symphony_host.composition", composition)
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"SYMPHONY_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    return host


def lines_of(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_prints_its_result_and_ends_with_code_0(host: FakeHost, capsys: Any) -> None:
    assert run(["run", "flow.json", "--input", "text=hey"]) == 0
    out = capsys.readouterr().out
    assert 'loud  "HEY"' in out
    assert "run-1 completed" in out


def test_inputs_are_typed_by_their_schema(host: FakeHost) -> None:
    assert run(["run", "flow.json", "-q", "--input", "text=5", "--input", "times=3"]) == 0
    assert {name: decode(data) for name, data in host.request.inputs.items()} == {"text": "5", "times": 3}


def test_with_json_each_event_is_a_line_and_the_summary_is_the_last(host: FakeHost, capsys: Any) -> None:
    assert run(["run", "flow.json", "--input", "text=hey", "--json"]) == 0
    lines = lines_of(capsys.readouterr().out)
    assert [line["event"] for line in lines] == ["run-started", "run-completed", "summary"]
    assert lines[-1]["outputs"] == {"loud": {"value": "HEY", "size": 4}}


def test_an_artifact_is_copied_to_the_runs_folder_under_its_outputs_name(
    host: FakeHost, capsys: Any, tmp_path: Any
) -> None:
    ref = host.pit.artifacts.put(b"<p>", name="page.html", media_type="text/html")
    host.outputs = {"loud": ref}
    assert run(["run", "flow.json", "--input", "text=hey"]) == 0
    path = tmp_path / "data" / "runs" / "run-1" / "loud.html"
    assert path.read_bytes() == b"<p>"
    out = capsys.readouterr().out
    assert str(path) in out
    assert ref.id in out


def test_output_names_the_folder_of_the_artifacts(host: FakeHost, tmp_path: Any) -> None:
    host.outputs = {"loud": host.pit.artifacts.put(b"{}", name="../../x", media_type="application/json")}
    assert run(["run", "flow.json", "--input", "text=hey", "--output", "there"]) == 0
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["loud.json"]


def test_an_output_folder_that_is_a_file_is_one_clear_error(
    host: FakeHost, capsys: Any, tmp_path: Any
) -> None:
    host.outputs = {"loud": host.pit.artifacts.put(b"{}", name="x.json")}
    (tmp_path / "data" / "runs").mkdir(parents=True)
    (tmp_path / "data" / "runs" / "run-1").write_text("")
    assert run(["run", "flow.json", "--input", "text=hey"]) == 1
    assert "error[SYM-A080]" in capsys.readouterr().err


def test_a_value_too_large_to_be_shown_is_told_by_its_size(host: FakeHost, capsys: Any) -> None:
    host.outputs = {"loud": "x" * (2 << 20)}
    assert run(["run", "flow.json", "--input", "text=hey"]) == 0
    assert "2.0 MiB, too large to be shown" in capsys.readouterr().out


def test_a_failed_run_ends_with_code_1_and_says_why_and_how_to_go_on(host: FakeHost, capsys: Any) -> None:
    host.error = RunError("the disk is full", hint="Free some space.")
    assert run(["run", "flow.json", "--input", "text=hey"]) == 1
    captured = capsys.readouterr()
    assert "error[SYM-R001]: the disk is full" in captured.err
    assert "hint: Free some space." in captured.err
    assert "symphony resume run-1" in captured.out


def test_a_failed_run_can_be_resumed(host: FakeHost, capsys: Any) -> None:
    host.error = RunError("no")
    run(["run", "flow.json", "-q", "--input", "text=hey"])
    host.error = None
    capsys.readouterr()
    assert run(["resume", "run-1", "--json"]) == 0
    events = [line["event"] for line in lines_of(capsys.readouterr().out)]
    assert events == ["run-steered", "run-resumed", "run-completed", "summary"]


def test_resuming_an_unknown_run_ends_with_code_1(host: FakeHost, capsys: Any) -> None:
    assert run(["resume", "run-9"]) == 1
    assert "there is no run 'run-9'" in capsys.readouterr().err


def test_runs_lists_the_newest_first(host: FakeHost, capsys: Any) -> None:
    run(["run", "flow.json", "-q", "--input", "text=a"])
    run(["run", "flow.json", "-q", "--input", "text=b"])
    capsys.readouterr()
    assert run(["runs", "--json"]) == 0
    assert [each["run"] for each in json.loads(capsys.readouterr().out)] == ["run-2", "run-1"]
    run(["runs"])
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["run-2", "shouting", "completed"]


def test_runs_of_a_fresh_installation_name_the_demo(host: FakeHost, capsys: Any) -> None:
    assert run(["runs"]) == 0
    assert "symphony demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["text"], "the input 'text' is not NAME=VALUE"),
        (["txet=a"], "the workflow 'shouting' has no input 'txet'"),
        (["text=a", "text=b"], "the input 'text' is given twice"),
        (["times={"], "the input 'times': '{' is not JSON"),
        (["times=@none.json"], "the input 'times': the file 'none.json' cannot be read"),
    ],
)
def test_an_input_that_cannot_be_read_is_a_usage_error(
    host: FakeHost, capsys: Any, given: list[str], message: str
) -> None:
    assert run(["run", "flow.json", *(part for text in given for part in ("--input", text))]) == 2
    assert f"error[SYM-C040]: {message}" in capsys.readouterr().err


def test_missing_and_mistyped_inputs_are_told_together(host: FakeHost, capsys: Any) -> None:
    assert run(["run", "flow.json", "--input", 'times="x"', "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "SYM-W070"
    assert len(error["details"]["faults"]) == 2


def test_missing_inputs_are_asked_for_on_a_terminal(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symphony_host.cli.run._on_a_terminal", lambda: True)
    result = CliRunner().invoke(root, ["run", "flow.json", "-q"], input="hey\n")
    assert "text (string)" in result.output
    assert decode(host.request.inputs["text"]) == "hey"


def test_no_input_asks_for_nothing(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symphony_host.cli.run._on_a_terminal", lambda: True)
    result = CliRunner().invoke(root, ["run", "flow.json", "-q", "--no-input"], input="hey\n")
    assert getattr(result.exception, "code", "") == "SYM-W070"


def test_the_executor_is_the_one_that_was_named(host: FakeHost) -> None:
    assert run(["run", "flow.json", "-q", "--input", "text=a", "--executor", "other"]) == 0
    assert host.request.executor == "other"


def test_an_address_is_a_setting_of_the_executor_of_the_run(host: FakeHost) -> None:
    where = ["--executor", "other", "--address", "tcp://10.0.0.5:8786"]
    host.error = RunError("no luck")
    assert run(["run", "flow.json", "-q", "--input", "text=a", *where]) == 1
    host.error = None
    assert run(["resume", "run-1", "-q", "--address", "tcp://10.0.0.6:8786"]) == 0
    assert host.set == [
        ("other", "address", "tcp://10.0.0.5:8786"),
        ("other", "address", "tcp://10.0.0.6:8786"),
    ]


def test_an_unknown_executor_is_an_error_that_names_those_there_are(host: FakeHost, capsys: Any) -> None:
    assert run(["run", "flow.json", "--input", "text=a", "--executor", "moon"]) == 1
    err = capsys.readouterr().err
    assert "moon" in err
    assert "local, other" in err


def test_validate_tells_every_fault_with_its_node_and_ends_with_code_1(
    host: FakeHost, capsys: Any, tmp_path: Any
) -> None:
    broken = {
        **FLOW,
        "nodes": {
            "shout": {"kind": "operator", "uses": "test.extension.shuot"},
            "lost": {"kind": "operator", "uses": "a.b.c"},
        },
    }
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    assert run(["validate", "broken.json"]) == 1
    out = capsys.readouterr().out
    assert "broken.json:1, node shout" in out
    assert "broken.json:1, node lost" in out
    assert run(["validate", "broken.json", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {"shout", "lost"} <= {finding["node"] for finding in findings}


def test_validate_prints_the_json_schema_of_workflow_files(capsys: Any) -> None:
    assert run(["validate", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == "urn:symphony:workflow:2"


def test_validate_tells_the_line_of_each_fault_and_shows_those_of_a_kind_together(
    host: FakeHost, capsys: Any, tmp_path: Any
) -> None:
    nodes = {f"n{number}": {"kind": "operator", "uses": "a.b.c"} for number in range(12)}
    edges = [{"from": "n0.x", "to": "n1.y"}, {"kind": "control", "from": "n1", "to": "gone"}]
    inner = {"nodes": {"deep": {"kind": "operator", "uses": "a.b.d"}}}
    document = {
        **FLOW,
        "inputs": {},
        "outputs": {},
        "nodes": nodes,
        "edges": edges,
        "workflows": {"in": inner},
    }
    text = json.dumps(document, indent=1)
    (tmp_path / "broken.json").write_text(text)
    assert run(["validate", "broken.json"]) == 1
    out = capsys.readouterr().out
    lines = text.splitlines()
    third = next(number for number, line in enumerate(lines, 1) if '"n3"' in line)
    assert f"broken.json:{third}, node n3" in out
    assert "error[SYM-W013]: 3 more" in out
    assert run(["validate", "broken.json", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    line_of = {(one["workflow"], one["node"]): one["line"] for one in findings}
    assert lines[line_of["", "gone"] - 1] == "  {"
    assert '"kind": "control"' in lines[line_of["", "gone"]]
    assert '"deep"' in lines[line_of["in", "deep"] - 1]


def test_validate_lists_what_the_extensions_of_the_nodes_ask_to_be_allowed(
    host: FakeHost, site: Any, capsys: Any, tmp_path: Any
) -> None:
    asked = 'type = "file"\nscope = ["read"]\nresource = "${project}/**"\nreason = "walks the folders"\n'
    site.add("files", more=f"[[permissions.required]]\n{asked}")
    nodes = {"walk": {"kind": "operator", "uses": "acme.files.walk", "params": {"path": "."}}}
    (tmp_path / "walk.json").write_text(json.dumps({"schema": 1, "id": "walk", "nodes": nodes}))
    run(["validate", "walk.json"])
    out = capsys.readouterr().out
    assert "permissions that its extensions ask for" in out
    run(["validate", "walk.json", "--json"])
    (needed, *_) = json.loads(capsys.readouterr().out)["permissions"]
    assert (needed["extension"], needed["nodes"]) == ("acme.files", ["walk"])
    assert needed["permission"] == "file:read:${project}/**"
    assert needed["reason"] == "walks the folders"


def test_validate_of_a_sound_workflow_ends_with_code_0(host: FakeHost, capsys: Any) -> None:
    assert run(["validate", "flow.json"]) == 0
    assert "1 node, no fault found" in capsys.readouterr().out


class OpenTracker(FakeDagTracker):
    """Runs go on until somebody pauses them."""

    def _finish(self, run: str) -> None:
        return


class Pressing(Silence):
    """Presses Ctrl-C when the run begins, and again when it is told that the first one was heard.

    Args:
        times: How often.
    """

    def __init__(self, times: int) -> None:
        self._left = times
        self.notices: list[str] = []

    def see(self, event: RunEvent) -> None:
        if isinstance(event, RunStarted):
            self._press()

    def notice(self, text: str) -> None:
        self.notices.append(text)
        self._press()

    def _press(self) -> None:
        if self._left:
            self._left -= 1
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("times", "state"), [(1, "paused"), (2, "running")])
def test_ctrl_c_once_pauses_a_run_and_twice_leaves_it_at_once(host: FakeHost, times: int, state: str) -> None:
    class Stubborn(OpenTracker):
        async def pause(self, run: str, *, actor: str = "") -> None:
            if times == 1:
                await super().pause(run, actor=actor)

    host.pit.tracker = Stubborn()
    display = Pressing(times)

    async def scenario() -> tuple[str, bool]:
        from symphony_workflow import loads

        run_id = await host.core.start(loads(json.dumps(FLOW)), {"text": "hey"})
        outcome, interrupted = await asyncio.wait_for(follow(host.core, run_id, display), 20)
        return outcome.status.state, interrupted

    assert asyncio.run(scenario()) == (state, True)
    assert len(display.notices) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_paused_by_ctrl_c_ends_with_code_130_and_says_how_to_go_on(
    host: FakeHost, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.pit.tracker = OpenTracker()

    async def display_for(*_: Any, **__: Any) -> Pressing:
        return Pressing(1)

    monkeypatch.setattr("symphony_host.cli.run.display_for", display_for)
    assert run(["run", "flow.json", "--input", "text=a"]) == 130
    assert "symphony resume run-1" in capsys.readouterr().out

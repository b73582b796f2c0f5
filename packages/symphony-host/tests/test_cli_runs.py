"""The commands under `symphony runs` on a host whose parts are fakes."""

import asyncio
import getpass
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from symphony_core import SymphonyCore
from symphony_host.cli.root import run
from symphony_sdk import Context, operator
from symphony_sdk.errors import RunError
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
    "inputs": {"text": {"schema": {"type": "string"}}},
    "nodes": {"shout": {"kind": "operator", "uses": "test.extension.shout", "params": {"times": 1}}},
    "edges": [{"from": "$inputs.text", "to": "shout.text"}],
    "outputs": {"loud": "shout.result"},
}


class FakeHost:
    """A host of fakes that outlives the commands that open it."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.tracker = FakeDagTracker(self.work)
        self.pit = FakePit(tracker=self.tracker)
        self.core = SymphonyCore(
            pit=self.pit, extensions=FakeExtensions(shout), executors={"local": FakeExecutor({})}
        )

    def use(self, tracker: FakeDagTracker) -> None:
        self.tracker = self.pit.tracker = tracker

    def work(self, request: RunRequest) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        return {"loud": decode(request.inputs["text"]).upper()}

    @asynccontextmanager
    async def open(self, settings: object) -> Any:
        yield SimpleNamespace(core=self.core, artifacts=self.pit.artifacts)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> FakeHost:
    host = FakeHost()
    composition = ModuleType("symphony_host.composition")
    composition.Host = host  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "symphony_host.composition", composition)
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    return host


@pytest.fixture
def started(host: FakeHost, capsys: Any) -> None:
    """`run-1`, which has completed."""
    assert run(["run", "flow.json", "-q", "--input", "text=hey"]) == 0
    capsys.readouterr()


def paused(host: FakeHost, capsys: Any, **tracker: Any) -> None:
    """`run-1`, which does not end by itself."""
    host.use(FakeDagTracker(host.work, **tracker))
    from symphony_workflow import loads

    asyncio.run(host.core.start(loads(json.dumps(FLOW)), {"text": "hey"}))
    capsys.readouterr()


def history(capsys: Any) -> list[tuple[str, str, str]]:
    capsys.readouterr()
    assert run(["runs", "history", "--json"]) == 0
    return [(one["command"], one["actor"], one["node"]) for one in json.loads(capsys.readouterr().out)]


def test_list_and_no_command_say_the_same(started: None, capsys: Any) -> None:
    texts = []
    for words in (["runs"], ["runs", "list"]):
        assert run(words) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and "run-1" in texts[0]


def test_an_id_may_be_its_first_characters_where_only_one_run_has_them(
    host: FakeHost, started: None, capsys: Any
) -> None:
    assert run(["runs", "show", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"]["run"] == "run-1"
    assert run(["run", "flow.json", "-q", "--input", "text=b"]) == 0
    assert run(["runs", "show", "run-"]) == 1
    assert "error[SYM-R065]: 2 runs have an id that begins with 'run-'" in capsys.readouterr().err
    assert run(["runs", "show", "walk"]) == 1
    assert "error[SYM-R002]: there is no run 'walk'" in capsys.readouterr().err


def test_show_tells_the_nodes_and_who_did_what(started: None, capsys: Any) -> None:
    assert run(["runs", "show", "run-1"]) == 0
    out = capsys.readouterr().out
    assert "shout  completed" in out
    assert "start" in out and getpass.getuser() in out


def test_show_tells_what_waits_for_whom_and_how_to_answer(host: FakeHost, capsys: Any) -> None:
    paused(host, capsys, asks="shout")
    assert run(["runs", "show", "run-1"]) == 0
    out = capsys.readouterr().out
    assert "shout asks anybody: Go on?" in out
    assert "symphony runs approve run-1 shout" in out
    assert "0 % done: 0 of 1 nodes" in out


def test_pause_skip_and_cancel_say_how_the_run_stands_then(host: FakeHost, capsys: Any) -> None:
    paused(host, capsys, asks="shout")
    for words, state in (
        (["pause", "run-1"], "paused"),
        (["skip", "run-1", "shout"], "paused"),
        (["cancel", "run-1"], "cancelled"),
    ):
        assert run(["runs", *words]) == 0
        assert capsys.readouterr().out == f"run-1 is {state}\n"
    assert [each[0] for each in history(capsys)] == ["start", "pause", "skip", "cancel"]
    assert run(["runs", "pause", "run-1", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "SYM-R005"


def test_a_command_is_told_as_json(host: FakeHost, capsys: Any) -> None:
    paused(host, capsys, held=True)
    assert run(["runs", "cancel", "run-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "cancelled"


@pytest.mark.parametrize(("options", "command"), [([], "approve"), (["--reject"], "reject")])
def test_approve_answers_the_only_node_that_waits_in_the_users_name(
    host: FakeHost, capsys: Any, options: list[str], command: str
) -> None:
    paused(host, capsys, asks="shout")
    assert run(["runs", "approve", "run-1", *options, "--comment", "well"]) == 0
    assert history(capsys) == [("start", "", ""), (command, getpass.getuser(), "shout")]
    assert run(["runs", "approve", "run-1"]) == 2
    assert "no node of run-1 waits for an answer" in capsys.readouterr().err


def test_retry_runs_what_failed_again_and_shows_it_to_its_end(host: FakeHost, capsys: Any) -> None:
    host.error = RunError("no")
    assert run(["run", "flow.json", "-q", "--input", "text=hey"]) == 1
    host.error = None
    capsys.readouterr()
    assert run(["runs", "retry", "run-1", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["run-steered", "run-resumed", "run-completed", "summary"]
    assert lines[-1]["outputs"]["loud"]["value"] == "HEY"
    assert run(["runs", "retry", "run-1", "shot"]) == 1
    assert "SYM-R060" in capsys.readouterr().err


def test_rerun_begins_a_new_run_with_changed_inputs_of_their_type(
    host: FakeHost, started: None, capsys: Any
) -> None:
    words = ["runs", "rerun", "run-1", "--input", "text=5", "--param", "shout.times=2", "--from", "shout"]
    assert run([*words, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["origin"] == "run-1"
    assert lines[-1]["outputs"]["loud"]["value"] == "5"
    assert run(["runs", "show", "run-2"]) == 0
    assert "took results over from run-1" in capsys.readouterr().out


@pytest.mark.parametrize("param", ["times=2", "shout.times", ".x=1", "shout.=1"])
def test_a_param_that_cannot_be_read_is_a_usage_error(started: None, capsys: Any, param: str) -> None:
    assert run(["runs", "rerun", "run-1", "--param", param]) == 2
    assert "is not NODE.PORT=VALUE" in capsys.readouterr().err


def test_a_param_that_is_no_json_is_text(
    host: FakeHost, started: None, capsys: Any, monkeypatch: Any
) -> None:
    seen: dict[str, Any] = {}
    real = host.tracker.rerun

    async def rerun(run: str, **options: Any) -> str:
        seen.update(options)
        return await real(run, **options)

    monkeypatch.setattr(host.tracker, "rerun", rerun)
    assert run(["runs", "rerun", "run-1", "-q", "-p", "shout.times=2", "-p", "shout.style=loud"]) == 0
    assert seen["params"] == {"shout": {"times": 2, "style": "loud"}}


def test_watch_tells_every_event_from_any_number_on(started: None, capsys: Any) -> None:
    for options, events in (
        ([], ["run-started", "run-completed", "summary"]),
        (["--after", "1"], ["run-completed", "summary"]),
    ):
        assert run(["runs", "watch", "run-1", "--json", *options]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["event"] for line in lines] == events


def test_watch_ends_with_the_state_of_the_run(host: FakeHost, capsys: Any) -> None:
    paused(host, capsys, held=True)
    assert run(["runs", "watch", "run-1"]) == 1
    assert "run-1 paused" in capsys.readouterr().out


def test_ctrl_c_only_stops_watching(host: FakeHost, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from symphony_host.cli.displays import Silence

    class Pressing(Silence):
        def see(self, event: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    paused(host, capsys, asks="shout")
    monkeypatch.setattr("symphony_host.cli.steering.display_for", lambda *_, **__: Pressing())
    assert run(["runs", "watch", "run-1", "--after", "0"]) == 130
    assert "run-1 is waiting; it is no longer watched" in capsys.readouterr().err
    assert history(capsys) == [("start", "", "")]


def test_diff_tells_only_what_is_different(host: FakeHost, started: None, capsys: Any) -> None:
    assert run(["runs", "rerun", "run-1", "-q", "--input", "text=ho"]) == 0
    host.error = RunError("broken")
    assert run(["runs", "rerun", "run-1", "-q", "--input", "text=ho"]) == 1
    capsys.readouterr()
    assert run(["runs", "diff", "run-1", "run-2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["a"], found["b"]) == ("run-1", "run-2")
    assert found["inputs"] == {"text": {"a": "hey", "b": "ho"}}
    assert found["outputs"] == {"loud": {"a": "HEY", "b": "HO"}}
    assert found["params"] == {} and found["nodes"] == {}
    assert run(["runs", "diff", "run-1", "run-3"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["run", "state", "completed", "failed"] in lines
    assert ["outputs", "loud", "HEY", "-"] in lines
    assert ["node", "shout", "state", "completed", "failed"] in lines


def test_the_history_tells_the_newest_entries_unless_it_goes_on_from_one(
    host: FakeHost, started: None, capsys: Any
) -> None:
    for _ in range(3):
        assert run(["runs", "retry", "run-1", "shout", "-q"]) == 0
    capsys.readouterr()
    for options, numbers in (([], [3, 4]), (["--after", "2"], [3, 4]), (["--after", "4"], [])):
        assert run(["runs", "history", "run-1", "--limit", "2", "--json", *options]) == 0
        assert [one["id"] for one in json.loads(capsys.readouterr().out)] == numbers


def test_a_run_that_asks_is_told_on_plain_lines_with_how_to_answer(host: FakeHost, capsys: Any) -> None:
    host.use(FakeDagTracker(host.work, asks="shout"))
    real = host.tracker.start

    async def start(request: RunRequest) -> str:
        run_id = await real(request)
        asyncio.get_running_loop().call_soon(
            lambda: answers.append(asyncio.ensure_future(host.core.answer(run_id, "shout", True, by="bob")))
        )
        return run_id

    answers: list[Any] = []
    host.tracker.start = start  # type: ignore[method-assign]
    assert run(["run", "flow.json", "--input", "text=hey"]) == 0
    out = capsys.readouterr().out
    assert "waits: Go on? (symphony runs approve run-1 shout)" in out
    assert "run-1 completed" in out

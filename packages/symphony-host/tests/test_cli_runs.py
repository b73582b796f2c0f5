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

import msgspec
import pytest
from symphony_core import SymphonyCore
from symphony_host.cli.root import run
from symphony_isolation.permissions import Authority
from symphony_sdk import Context, operator
from symphony_sdk.errors import RunError
from symphony_sdk.ports import GroupMetrics, NodeMetrics, RunMetrics, RunRequest, RunStatus, Spread
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

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
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
        yield SimpleNamespace(core=self.core, artifacts=self.pit.artifacts, authority=self.authority)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, authority: Authority) -> FakeHost:
    host = FakeHost(authority)
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


def test_metrics_tell_what_a_run_took_as_a_table_and_as_json(
    host: FakeHost, started: None, capsys: Any, monkeypatch: Any
) -> None:
    spread = Spread(4, 12.0, 2.0, 5.0, 6.0, 6.0)
    shout = NodeMetrics(
        "shout", "test.extension.shout", "completed", 2, 1, 5.0, 6.0, 0.25, 5.5, 10, 2048, 4096, "here#2"
    )
    waits = NodeMetrics("waits", "", "pending")
    group = GroupMetrics("test.extension.shout", 1, 1, 0, 1, spread, spread, 5.5, 10, 2048, 4096)
    taken = RunMetrics(
        "run-1",
        "shouting",
        "running",
        9,
        nodes=(waits, shout),
        states={"completed": 1, "pending": 1},
        wall=8.0,
        throughput=0.125,
        recent=0.5,
        window=8.0,
        reused=1,
        retries=1,
        duration=spread,
        work=5.5,
        received=10,
        produced=2048,
        memory=4096,
        critical_path=("shout",),
        critical_seconds=6.0,
        parallelism=0.6875,
        overhead=2.0,
        operations=(group,),
        extensions=(msgspec.structs.replace(group, name="test.extension"),),
    )

    async def metrics(run: str) -> RunMetrics:
        assert run == "run-1"
        return taken

    monkeypatch.setattr(host.tracker, "metrics", metrics)
    assert run(["runs", "metrics", "run-1", "--limit", "1"]) == 0
    out = capsys.readouterr().out
    lines = {" ".join(line.split()) for line in out.splitlines()}
    assert lines >= {
        "nodes 1 completed, 1 pending",
        "throughput 0.1 nodes/s; 0.5 in the last 8.00 s",
        "work 5.50 s, 0.69 at once",
        "critical path 6.00 s of 1 node, 2.00 s beyond it",
        "node time p50 2.00 s, p95 5.00 s, p99 6.00 s, most 6.00 s",
        "node queue -",
        "data 10 B in, 2.0 KiB out",
        "peak memory 4.0 KiB",
        "test.extension.shout 1 0 1 2.00 s 5.00 s 6.00 s 5.00 s 5.50 s 10 B 2.0 KiB 4.0 KiB",
        "test.extension 1 0 1 2.00 s 5.00 s 6.00 s 5.00 s 5.50 s 10 B 2.0 KiB 4.0 KiB",
        "shout * completed 6.00 s 0.25 s 5.50 s 1 10 B 2.0 KiB 4.0 KiB here#2",
        "and 1 more node; --limit shows them",
        "* on the critical path",
    }
    assert "waits" not in out
    assert run(["runs", "metrics", "run-1", "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=RunMetrics) == taken


def test_a_run_belongs_to_the_trace_of_the_call_that_begins_it(
    host: FakeHost, capsys: Any, monkeypatch: Any
) -> None:
    context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for trace, labels in ((context, {"traceparent": context}), ("", {})):
        monkeypatch.setenv("TRACEPARENT", trace)
        assert run(["run", "flow.json", "-q", "--input", "text=hey"]) == 0
        assert list(host.tracker.requests.values())[-1].labels == labels


def test_metrics_of_a_run_that_there_is_not_are_an_error(host: FakeHost, capsys: Any) -> None:
    assert run(["runs", "metrics", "nope"]) == 1
    assert "SYM-R002" in capsys.readouterr().err


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

    async def display_for(*_: Any, **__: Any) -> Pressing:
        return Pressing()

    monkeypatch.setattr("symphony_host.cli.steering.display_for", display_for)
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


def test_show_lists_the_nodes_that_are_asked_for(host: FakeHost, capsys: Any) -> None:
    host.error = RunError("the disk is full")
    run(["run", "flow.json", "-q", "--input", "text=hey"])
    capsys.readouterr()
    assert run(["runs", "show", "run-1", "--failed"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["node", "state", "time", "attempts", "error"]
    assert len(lines) == 2
    assert lines[1].startswith("shout  failed")
    for options, shown in ((["--running"], 0), (["--level", "0"], 1), (["--level", "1"], 0)):
        assert run(["runs", "show", "run-1", *options, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["status"]["nodes"]) == shown
    assert run(["runs", "show", "run-1", "--running"]) == 0
    assert capsys.readouterr().out == "no such node\n"


def test_show_tells_where_nodes_failed_where_that_is_known(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    host.error = RunError("the disk is full")
    run(["run", "flow.json", "-q", "--input", "text=hey"])
    capsys.readouterr()
    real = host.tracker.status

    async def status(run: str) -> RunStatus:
        found = await real(run)
        nodes = tuple(msgspec.structs.replace(node, place="acme.text#2") for node in found.nodes)
        return msgspec.structs.replace(found, nodes=nodes)

    monkeypatch.setattr(host.tracker, "status", status)
    assert run(["runs", "show", "run-1", "--failed"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["node", "state", "time", "attempts", "place", "error"]
    assert line.split() == ["shout", "failed", "acme.text#2"]


def test_why_tells_every_node_or_one(started: None, capsys: Any) -> None:
    assert run(["runs", "why", "run-1"]) == 0
    out = capsys.readouterr().out
    assert "shout  first-time  nothing is kept" in out
    assert "0 of 1 nodes were not computed again" in out
    assert run(["runs", "why", "run-1", "shout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["code"] == "first-time"
    assert run(["runs", "why", "run-1", "whisper"]) == 1
    assert "error[SYM-R060]" in capsys.readouterr().err


def test_compact_tells_what_it_freed_and_refuses_what_may_go_on(
    host: FakeHost, started: None, capsys: Any
) -> None:
    for words in (["runs", "compact"], ["runs", "compact", "run-1", "--dry-run"]):
        assert run(words) == 0
        assert "run-1  completed  0" in capsys.readouterr().out
    assert run(["runs", "compact", "--older-than", "30d", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["run"] == "run-1"
    paused(host, capsys, held=True)
    assert run(["runs", "compact", "run-1"]) == 1
    assert "error[SYM-R100]" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--older-than", "soon"], ["--older-than", "30d", "run-1"]])
def test_compact_takes_runs_or_an_age_that_is_one(started: None, capsys: Any, words: list[str]) -> None:
    assert run(["runs", "compact", *words]) == 2

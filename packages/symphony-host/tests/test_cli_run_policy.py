"""How a run is run, as options of `symphony run` and as `runs show` tells it."""

import json
import sys
from contextlib import asynccontextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest
from symphony_core import SymphonyCore
from symphony_host.cli.root import run
from symphony_host.cli.run_policy import in_words
from symphony_isolation.permissions import Authority
from symphony_sdk import Context, operator
from symphony_sdk.ports import RunPolicy
from symphony_sdk.testing.fakes import FakeDagTracker, FakeExecutor, FakeExtensions, FakePit


@operator("test.extension.shout")
def shout(ctx: Context, text: str = "") -> str:
    """Shout."""
    return text.upper()


FLOW = {"schema": 2, "id": "loud", "nodes": {"shout": {"kind": "operator", "uses": "test.extension.shout"}}}


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, authority: Authority) -> FakeDagTracker:
    """The tracker of a host of fakes that outlives the commands that open it."""
    tracker = FakeDagTracker()
    pit = FakePit(tracker=tracker)
    core = SymphonyCore(pit=pit, extensions=FakeExtensions(shout), executors={"local": FakeExecutor({})})

    @asynccontextmanager
    async def open_host(settings: object) -> Any:
        yield SimpleNamespace(core=core, artifacts=pit.artifacts, authority=authority)

    composition = ModuleType("symphony_host.composition")
    composition.Host = SimpleNamespace(open=open_host)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "symphony_host.composition", composition)
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"SYMPHONY_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    return tracker


def policy_of(tracker: FakeDagTracker) -> RunPolicy:
    return tracker.requests["run-1"].policy


def test_a_run_without_options_is_run_as_usual(tracker: FakeDagTracker) -> None:
    assert run(["run", "flow.json", "-q"]) == 0
    assert policy_of(tracker) == RunPolicy()


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        (["--on-failure", "fail-fast"], RunPolicy(on_failure="fail-fast")),
        (["--on-failure", "isolate"], RunPolicy(on_failure="isolate")),
        (["--timeout", "90"], RunPolicy(timeout=90.0)),
        (["--timeout", "5 min"], RunPolicy(timeout=300.0)),
        (["--timeout", "1.5h"], RunPolicy(timeout=5400.0)),
        (["--concurrency", "3", "--weight", "0.5"], RunPolicy(concurrency=3, weight=0.5)),
        (["--no-cache"], RunPolicy(cache=False)),
    ],
)
def test_options_of_run_become_its_policy(
    tracker: FakeDagTracker, options: list[str], policy: RunPolicy
) -> None:
    assert run(["run", "flow.json", "-q", *options]) == 0
    assert policy_of(tracker) == policy


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--on-failure", "panic"], "fail-fast"),
        (["--timeout", "soon"], "'soon' is no time"),
        (["--timeout", "0"], "more than 0"),
        (["--timeout", "nan"], "more than 0"),
        (["--concurrency", "0"], "--concurrency"),
        (["--weight", "-1"], "no weight"),
        (["--weight", "heavy"], "no weight"),
    ],
)
def test_an_option_that_makes_no_sense_starts_nothing(
    tracker: FakeDagTracker, capsys: Any, options: list[str], said: str
) -> None:
    assert run(["run", "flow.json", *options]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not tracker.requests


def test_show_tells_how_a_run_is_run(tracker: FakeDagTracker, capsys: Any) -> None:
    assert run(["run", "flow.json", "-q", "--on-failure", "fail-fast", "--timeout", "5 min"]) == 0
    capsys.readouterr()
    assert run(["runs", "show", "run-1"]) == 0
    assert "the run stops at the first failure, may take 5 min 00 s" in capsys.readouterr().out
    assert run(["runs", "show", "run-1", "--json"]) == 0
    policy = msgspec.convert(json.loads(capsys.readouterr().out)["policy"], RunPolicy)
    assert policy == RunPolicy(on_failure="fail-fast", timeout=300.0)


def test_a_policy_in_words_says_only_what_is_not_as_usual() -> None:
    assert in_words(RunPolicy()) == ""
    assert in_words(RunPolicy(cache=False)) == "computes everything anew"
    assert in_words(RunPolicy(on_failure="isolate", concurrency=2000, weight=2.5)) == (
        "completes without what failed, has at most 2,000 calls out at once, has a weight of 2.5"
    )

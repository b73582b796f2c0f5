"""`symphony artifacts score`, `scores` and what `list` and `show` tell of them, on a store and scorers in memory."""

import json
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from symphony_core import Scoring
from symphony_host.cli.artifacts.progress_line import EVERY, ProgressLine
from symphony_host.cli.artifacts.scoring import score
from symphony_host.cli.root import run
from symphony_sdk import Artifact, Context, Rating, scorer
from symphony_sdk.ports import Lineage, Score
from symphony_sdk.testing.fakes import FakeArtifactStore, FakeExtensions

EVIL = "\x1b[2Jevil\x07"


@scorer("acme.text.length", accepts=("text/",))
def length(ctx: Context, artifact: Artifact, enough: int = 10, unit: str = "bytes") -> Rating:
    """Rate how long a text is."""
    return Rating(min(artifact.size / enough, 1.0), f"{artifact.size} {unit}")


@scorer("acme.text.named")
def named(ctx: Context, artifact: Artifact) -> Rating:
    """Rate whether an artifact has a name."""
    if artifact.name == "bad":
        raise ValueError(EVIL)
    return Rating(float(bool(artifact.name)), EVIL if artifact.name == "evil" else "")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeArtifactStore:
    store = FakeArtifactStore()
    scoring = Scoring(
        pit=SimpleNamespace(artifacts=store),  # type: ignore[arg-type]
        extensions=FakeExtensions(length, named, extension="acme.text"),
    )

    @asynccontextmanager
    async def opened(settings: object) -> Any:
        yield SimpleNamespace(artifacts=store, scoring=scoring)

    composition = ModuleType("symphony_host.composition")
    composition.Host = SimpleNamespace(open=opened)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "symphony_host.composition", composition)
    monkeypatch.chdir(tmp_path)
    return store


@pytest.fixture
def cli(store: FakeArtifactStore, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def symphony(*arguments: str, code: int = 0) -> str:
        assert run(["artifacts", *arguments]) == code, capsys.readouterr()
        out, err = capsys.readouterr()
        assert code or not err
        assert "\x1b[2J" not in out + err
        return out if code == 0 else out + err

    return symphony


@pytest.fixture
def as_json(cli: Callable[..., str]) -> Callable[..., Any]:
    return lambda *arguments, code=0: json.loads(cli(*arguments, "--json", code=code))


def test_an_artifact_is_scored_by_all_that_rate_it_and_the_scores_are_told(
    store: FakeArtifactStore, cli: Callable[..., str]
) -> None:
    text = store.put(b"hello", name="a.txt", media_type="text/plain")

    headings, first, second = cli("score", text.id).splitlines()

    assert headings.split() == ["artifact", "scorer", "score", "reason"]
    assert first.split() == [text.id, "acme.text.length", "0.50", "5", "bytes"]
    assert second.split() == [text.id, "acme.text.named", "1.00"]
    headings, first, second = cli("scores", text.id).splitlines()
    assert headings.split() == ["scorer", "score", "reason", "version", "inputs", "scored"]
    assert first.split()[:6] == ["acme.text.length", "0.50", "5", "bytes", "0", "enough=10,"]
    assert second.split()[:3] == ["acme.text.named", "1.00", "0"]


def test_the_quality_is_told_where_artifacts_are_shown_and_listed(
    store: FakeArtifactStore, cli: Callable[..., str]
) -> None:
    text = store.put(b"hello", name="a.txt", media_type="text/plain")
    assert "quality" not in cli("show", text.id)
    cli("score", text.id)

    assert "quality   0.75" in cli("show", text.id)
    assert " 0.75 " in cli("list").splitlines()[1] + " "


def test_scores_are_data_for_programs(store: FakeArtifactStore, as_json: Callable[..., Any]) -> None:
    text = store.put(b"hello", name="bad", media_type="text/plain")

    good, bad = as_json("score", text.id, code=1)

    assert (good["artifact"], good["scorer"], good["error"]) == (text.id, "acme.text.length", None)
    assert good["score"]["value"] == 0.5
    assert (bad["scorer"], bad["score"], bad["error"]["code"]) == ("acme.text.named", None, "SYM-E014")
    assert as_json("scores", text.id) == [good["score"]]


def test_a_scorer_that_fails_is_named_and_the_others_are_told(
    store: FakeArtifactStore, cli: Callable[..., str]
) -> None:
    text = store.put(b"hello", name="bad", media_type="text/plain")

    told = cli("score", text.id, code=1)

    assert f"{text.id}  acme.text.length  0.50" in told
    assert f"acme.text.named did not score {text.id}:" in told
    assert "ValueError" in told


def test_only_the_first_failures_are_told_one_by_one(
    store: FakeArtifactStore, cli: Callable[..., str]
) -> None:
    for number in range(23):
        store.put(b"%d" % number, name="bad")

    told = cli("score", "--name", "bad", "--scorer", "acme.text.named", code=1)

    assert told.count("did not score") == 20
    assert "and 3 failures more; --json has all" in told


def test_what_a_scorer_says_cannot_steer_the_terminal(
    store: FakeArtifactStore, cli: Callable[..., str]
) -> None:
    text = store.put(b"hello", name="evil")

    assert "evil" in cli("score", text.id)
    assert "evil" in cli("scores", text.id)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--run", "r1"], ["run"]),
        (["--name", "tag"], ["tagged"]),
        (["--tag", "rel/"], ["tagged"]),
        (["--type", "image/"], ["typed"]),
        (["--since", "2099-01-01"], []),
        (["--until", "2001-01-01"], []),
        (["--quality", "0.7"], ["typed"]),
        (["--quality", "0.2"], ["tagged", "typed"]),
        ([], ["run", "tagged", "typed"]),
    ],
)
def test_artifacts_are_scored_and_listed_by_the_same_options(
    filters: list[str], found: list[str], store: FakeArtifactStore, as_json: Callable[..., Any]
) -> None:
    store.put(b"1", name="run", lineage=Lineage(run="r1"))
    tagged = store.put(b"2", name="tagged")
    store.tag(tagged.id, "rel/1")
    typed = store.put(b"3", name="typed", media_type="image/png")
    store.score(typed.id, Score("other.one.x", "1", 0.7))
    store.score(tagged.id, Score("other.one.x", "1", 0.2))

    listed = as_json("list", *filters)
    scored = as_json("score", *filters)

    assert sorted(info["ref"]["name"] for info in listed) == found
    assert [one["artifact"] for one in scored] == [info["ref"]["id"] for info in listed]


def test_no_more_artifacts_are_scored_than_the_limit(
    store: FakeArtifactStore, as_json: Callable[..., Any]
) -> None:
    for number in range(5):
        store.put(b"%d" % number)

    assert len(as_json("score", "--limit", "3")) == 3


def test_inputs_are_read_as_their_scorers_want_them(
    store: FakeArtifactStore, as_json: Callable[..., Any]
) -> None:
    text = store.put(b"hello", media_type="text/plain")

    options = ("--scorer", "acme.text.length", "--input", "enough=5", "--input", "unit=12")
    [one] = as_json("score", text.id, *options)

    assert (one["score"]["value"], one["score"]["reason"]) == (1.0, "5 12")
    assert one["score"]["inputs"] == {"enough": "5", "unit": "12"}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--name", "a"], 2, "expected artifacts, or options that choose some"),
        (["--input", "enough"], 2, "the input 'enough' is not NAME=VALUE"),
        (["--input", "enough=1", "--input", "enough=2"], 2, "the input 'enough' is given twice"),
        (["--input", "enough=many"], 2, "the input 'enough'"),
        (["--input", "enogh=1"], 1, "SYM-A029"),
        (["--scorer", "acme.text.lenght"], 1, "Did you mean 'acme.text.length'?"),
        (["--quality", "2"], 2, "--quality"),
        (["--timeout", "0"], 2, "--timeout"),
    ],
)
def test_a_command_that_asks_for_something_impossible_says_so(
    arguments: list[str], code: int, told: str, store: FakeArtifactStore, cli: Callable[..., str]
) -> None:
    text = store.put(b"hello", media_type="text/plain")

    assert told in cli("score", text.id, *arguments, code=code)
    assert not store.scores(text.id)


def test_an_artifact_that_nobody_rates_is_an_error(store: FakeArtifactStore, cli: Callable[..., str]) -> None:
    picture = store.put(b"picture", media_type="image/png")

    assert "SYM-A028" in cli("score", picture.id, "--scorer", "acme.text.length", code=1)


def test_where_there_is_nothing_it_is_said(store: FakeArtifactStore, cli: Callable[..., str]) -> None:
    assert cli("score") == "no artifacts\n"
    assert cli("scores", store.put(b"a").id) == "no scores\n"


def test_the_timeout_is_that_of_the_domain_unless_given() -> None:
    from symphony_core.scoring import TIMEOUT

    [timeout] = [option.default for option in score.params if option.name == "timeout"]
    assert timeout == TIMEOUT


def test_progress_of_many_ratings_is_told_in_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    now = [0.0]
    with ProgressLine("scoring", large=8, words=str, clock=lambda: now[0]) as line:
        line(1, 7)
        line(1, 8)
        now[0] += EVERY
        line(4, 8)

    told = capsys.readouterr().err
    assert "scoring:  12 %, 1 of 8" in told
    assert "scoring:  50 %, 4 of 8" in told
    assert "of 7" not in told

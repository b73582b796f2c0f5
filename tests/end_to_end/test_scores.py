"""Scorers in workers rate artifacts of the real store: what each of them does wrong is its own affair."""

import asyncio
import json
import sys
from types import SimpleNamespace

import msgspec
import pytest
from pit_artifact_store import Store
from pit_dag_tracker import Tracker
from symphony_core import Scoring
from symphony_isolation import IsolatedExtensions, LocalExecutor, WorkerSpec
from symphony_isolation.permissions import compile_policy
from symphony_sdk.ports import RunRequest
from symphony_sdk.values import decode, encode
from symphony_workflow import WorkflowBuilder, to_document, validate

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")

LATE = 5.0
"""Seconds after which a scorer that hangs is given up; one that works takes some milliseconds."""

SOURCE = """
import os, threading
from symphony_sdk import Artifact, ArtifactRef, Context, Rating, operator, provides_operators, provides_scorers, scorer

@operator("acme.judge.write")
def write(ctx: Context, text: str) -> ArtifactRef:
    "Store a text."
    return ctx.artifacts.put(text.encode(), name="written.txt", media_type="text/plain")

@scorer("acme.judge.length", accepts=("text/",))
def length(ctx: Context, artifact: Artifact, enough: int = 10) -> Rating:
    "Rate how long a text is."
    return Rating(len(ctx.artifacts.get(artifact)) / enough * FACTOR, artifact.metadata.get("of", ""))

@scorer("acme.judge.raises")
def raises(ctx: Context, artifact: Artifact) -> Rating:
    raise ValueError("boom")

@scorer("acme.judge.hangs")
def hangs(ctx: Context, artifact: Artifact) -> Rating:
    threading.Event().wait()

@scorer("acme.judge.dies")
def dies(ctx: Context, artifact: Artifact) -> Rating:
    os._exit(3)

@scorer("acme.judge.nan")
def nan(ctx: Context, artifact: Artifact) -> Rating:
    return Rating(float("nan"))

@scorer("acme.judge.large")
def large(ctx: Context, artifact: Artifact) -> Rating:
    return Rating(1.5)

@scorer("acme.judge.text")
def text(ctx: Context, artifact: Artifact) -> Rating:
    return Rating("good")

@scorer("acme.judge.nothing")
def nothing(ctx: Context, artifact: Artifact) -> Rating:
    return None

@scorer("acme.judge.spy")
def spy(ctx: Context, artifact: Artifact, secret: str = "") -> Rating:
    try:
        return Rating(0.0, open(secret).read())
    except PermissionError:
        return Rating(1.0, "it may not be read")

@scorer("acme.judge.guessed")
def guessed(ctx: Context, artifact: Artifact) -> Rating:
    return Rating(ctx.models.run("acme.brain.guess", size=artifact.size).read("result", float), "guessed")

@provides_operators
def symphony_operators():
    yield write

@provides_scorers
def symphony_scorers():
    yield from (length, raises, hangs, dies, nan, large, text, nothing, spy, guessed)
"""
BRAIN = """
from symphony_sdk import Context, Instrument, provides_instruments

class Guess(Instrument):
    "Guess how good something is by its size."
    id = "acme.brain.guess"

    def infer(self, ctx: Context, size: int) -> float:
        return size / 20

@provides_instruments
def symphony_instruments():
    yield Guess()
"""


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as store:
        yield store


@pytest.fixture
def play(tmp_path, store):
    """Runs a story with the scoring by an extension in sandboxed workers, and a way to give it a new version."""
    versions = iter(("1.0", "2.0"))
    code = tmp_path / "code"
    code.mkdir()
    (code / "acme_brain.py").write_text(BRAIN)

    def install(extension=None):
        version = next(versions)
        (code / "acme_judge.py").write_text(SOURCE.replace("FACTOR", version[0]))
        return made("acme.judge", version, permissions=("model:execute:acme.brain.guess",))

    def made(id, version, **more):
        spec = WorkerSpec(
            id=id,
            version=version,
            kind="operator",
            module=id.replace(".", "_"),
            data_dir=str(tmp_path / "data" / id),
            fingerprint=version,
            import_path=(str(code),),
            **more,
        )
        return msgspec.structs.replace(spec, sandbox=compile_policy(spec, "fallback"))

    def play(story):
        async def whole():
            extensions = IsolatedExtensions(
                [install(), made("acme.brain", "1.0")],
                cache_dir=tmp_path / "cache",
                artifacts=lambda: store,
                on_log=lambda *line: None,
                renewed=install,
            )
            try:
                scoring = Scoring(pit=SimpleNamespace(artifacts=store), extensions=extensions)
                return await asyncio.wait_for(story(scoring, extensions), 60)
            finally:
                await extensions.stop()

        return asyncio.run(whole())

    return play


def test_a_scorer_without_permissions_reads_the_artifact_through_the_host_and_nothing_else(
    play, store, tmp_path
):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    text = store.put(b"hello", media_type="text/plain", metadata={"of": "test"})

    async def story(scoring, extensions):
        ids = ["acme.judge.length", "acme.judge.spy"]
        return await scoring.score([text.id], scorers=ids, inputs={"secret": str(secret)})

    length, spy = play(story)

    assert (length.score.value, length.score.reason, length.score.inputs) == (0.5, "test", {"enough": "10"})
    assert (spy.score.value, spy.score.reason) == (1.0, "it may not be read")
    assert list(store.scores(text.id)) == [length.score, spy.score]
    assert store.info(text.id).quality == 0.75


def test_scorers_that_fail_hang_or_give_nonsense_are_named_and_the_scores_of_the_others_are_kept(play, store):
    text = store.put(b"hello", media_type="text/plain")
    wrong = {
        "acme.judge.hangs": ("SYM-T004", "did not end within"),
        "acme.judge.large": ("SYM-A026", "its value is 1.5"),
        "acme.judge.nan": ("SYM-A026", "its value is nan"),
        "acme.judge.nothing": ("SYM-E010", "got `null`"),
        "acme.judge.raises": ("SYM-E014", "boom"),
        "acme.judge.text": ("SYM-E010", "Expected `float`, got `str`"),
    }

    async def story(scoring, extensions):
        return await scoring.score([text.id], scorers=[*wrong, "acme.judge.length"], timeout=LATE)

    found = {one.scorer: one for one in play(story)}

    for scorer, (code, message) in wrong.items():
        error = found[scorer].error
        assert (error.code, found[scorer].score) == (code, None)
        assert message in error.message
    assert [one.scorer for one in store.scores(text.id)] == ["acme.judge.length"]
    assert store.info(text.id).quality == 0.5


def test_a_scorer_that_kills_its_process_is_named_and_takes_no_other_with_it(play, store):
    texts = [store.put(b"%05d" % number, media_type="text/plain").id for number in range(3)]

    async def story(scoring, extensions):
        good = await scoring.score(texts, scorers=["acme.judge.length"])
        return good, await scoring.score(texts[:1], scorers=["acme.judge.dies", "acme.judge.length"])

    before, (dies, length) = play(story)

    assert (dies.score, dies.error.code, dies.error.details["exit_code"]) == (None, "SYM-T003", 3)
    assert length.score.value == 0.5
    assert [one.score.value for one in before] == [0.5] * 3


def test_a_new_version_of_the_extension_replaces_the_score_and_its_version_is_kept(play, store):
    text = store.put(b"hello", media_type="text/plain")
    other = store.put(b"hi", media_type="text/plain")

    async def story(scoring, extensions):
        ids = ["acme.judge.length"]
        await scoring.score([text.id, other.id], scorers=ids)
        before = store.scores(text.id)
        await extensions.reload("acme.judge")
        await scoring.score([text.id], scorers=ids)
        return before

    before = play(story)

    assert [(one.version, one.value) for one in before] == [("1.0", 0.5)]
    assert [(one.version, one.value) for one in store.scores(text.id)] == [("2.0", 1.0)]
    assert [(one.version, one.value) for one in store.scores(other.id)] == [("1.0", 0.2)]
    assert [info.ref.id for info in store.find(quality=0.7)] == [text.id]


def test_a_scorer_may_ask_a_model_of_another_extension(play, store):
    text = store.put(b"hello", media_type="text/plain")

    async def story(scoring, extensions):
        return await scoring.score([text.id], scorers=["acme.judge.guessed"])

    [guessed] = play(story)

    assert (guessed.score.value, guessed.score.reason, guessed.score.inputs) == (0.25, "guessed", {})


@pytest.mark.parametrize(("text", "way"), [("a long enough text", "good"), ("short", "bad")])
def test_a_scorer_is_a_node_whose_rating_decides_and_is_not_kept_as_a_score(play, store, tmp_path, text, way):
    wf = WorkflowBuilder("gate")
    written = wf.node("written", uses="acme.judge.write", text=wf.input("text", str))
    rated = wf.node("rated", uses="acme.judge.length", artifact=written.out.result, enough=20)
    gate = wf.branch(
        "gate", condition="rating.value >= 0.5", value=written.out.result, rating=rated.out.result
    )
    wf.output("good", gate.out.then)
    wf.output("bad", gate.out["else"])

    async def story(scoring, extensions):
        services = SimpleNamespace(
            config={},
            data_dir=tmp_path / "runs",
            executors={"local": LocalExecutor(extensions)},
            pit=SimpleNamespace(artifacts=store),
        )
        services.data_dir.mkdir()
        tracker = Tracker(services)
        try:
            assert validate(wf.build(), await extensions.operations()) == []
            run = await tracker.start(RunRequest(to_document(wf.build()), {"text": encode(text)}))
            async for _ in tracker.events(run):
                pass
            return await tracker.outputs(run)
        finally:
            await tracker.close()

    outputs = play(story)

    [(name, value)] = [(name, decode(value)) for name, value in outputs.items() if decode(value) is not None]
    assert name == way
    assert store.get(value["id"]) == text.encode()
    assert list(store.scores(value["id"])) == []


def test_many_artifacts_are_scored_and_found_again_in_a_store_that_was_closed(play, store, tmp_path):
    texts = [
        store.put(b"x" * (number % 10 + 1) + b" %d" % number, media_type="text/plain").id
        for number in range(60)
    ]

    async def story(scoring, extensions):
        return await scoring.score(texts, scorers=["acme.judge.length"], inputs={"enough": 20})

    found = play(story)
    store.close()

    assert [one.artifact for one in found] == texts
    with Store(tmp_path / "store") as again:
        assert [again.scores(id)[0] for id in texts] == [one.score for one in found]
        good = {id for id in texts if again.info(id).quality >= 0.5}
        assert {info.ref.id for info in again.find(quality=0.5)} == good
        assert 0 < len(good) < len(texts)


def test_the_command_line_scores_with_the_extension_that_is_installed(symphony, tmp_path):
    easy = tmp_path / "easy.txt"
    easy.write_text("The cat sat on the mat. It was warm. The dog came in and sat down too.")
    hard = tmp_path / "hard.txt"
    hard.write_text("Interdisciplinary collaboration facilitates methodological sophistication.")

    def told(*arguments, code=0):
        done = symphony("artifacts", *arguments, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    one, two = told("put", easy, hard)
    scorer = "symphony.text-quality.readability"
    scored = told("score", "--type", "text/", "--scorer", scorer, "--input", "target=80")
    values = {each["artifact"]: each["score"]["value"] for each in scored}
    assert values == {one["ref"]["id"]: 1.0, two["ref"]["id"]: 0.0}
    assert {each["score"]["inputs"]["target"] for each in scored} == {"80"}
    [best] = told("list", "--quality", "0.7")
    assert (best["ref"]["name"], best["quality"]) == ("easy.txt", 1.0)
    [score] = told("scores", one["ref"]["id"])
    assert (score["scorer"], score["version"]) == (scorer, "0.1.0")
    assert (
        told("score", one["ref"]["id"], "--scorer", "acme.no.scorer", code=1)["error"]["code"] == "SYM-A027"
    )

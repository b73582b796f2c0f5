import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_core import Scoring
from symphony_core.scoring import AT_ONCE
from symphony_sdk import Artifact, Context, Rating, operator, scorer
from symphony_sdk.errors import ArtifactError, DeadlineExceeded, ExtensionError, PeerGone
from symphony_sdk.messages import OperationResult
from symphony_sdk.ports import Score
from symphony_sdk.testing.fakes import FakeExtensions, FakePit
from symphony_sdk.values import decode, encode


@scorer("acme.text.length", accepts=("text/",))
def length(ctx: Context, artifact: Artifact, enough: int = 10, unit: str = "bytes") -> Rating:
    """Rate how long a text is."""
    return Rating(min(artifact.size / enough, 1.0), f"{artifact.size} {unit}")


@scorer("acme.text.described")
async def described(ctx: Context, artifact: Artifact, least: int = 1) -> Rating:
    """Rate how much is known of an artifact."""
    return Rating(float(len(artifact.metadata) >= least), ", ".join((artifact.name, *artifact.tags)))


@operator("acme.text.shout")
def shout(ctx: Context, text: str) -> str:
    """Shout."""
    return text.upper()


class Answering(FakeExtensions):
    """Extensions whose scorers answer what the test wants, as a worker that is not trusted could."""

    def __init__(self, answer, *operations):
        super().__init__(*(operations or (length, described)), extension="acme.text")
        self.answer = answer
        self.calls = []

    async def call(self, call, on_progress=None):
        self.calls.append(call)
        answer = self.answer(call)
        if isinstance(answer, BaseException):
            raise answer
        return OperationResult({}) if answer is None else OperationResult({"result": encode(answer)})


@pytest.fixture
def pit():
    return FakePit()


@pytest.fixture
def scoring(pit):
    return Scoring(pit=pit, extensions=FakeExtensions(length, described, shout, extension="acme.text"))


def run(scoring, artifacts, **how):
    return asyncio.run(scoring.score(artifacts, **how))


def told(results):
    return [(one.scorer, one.score.value if one.score else one.error.code) for one in results]


def test_every_scorer_that_rates_the_media_type_is_asked_and_its_score_is_kept(pit, scoring):
    text = pit.artifacts.put(b"hello", name="a.txt", media_type="text/plain", metadata={"of": "test"})
    pit.artifacts.tag(text.id, "best")

    results = run(scoring, [text.id])

    assert told(results) == [("acme.text.described", 1.0), ("acme.text.length", 0.5)]
    assert [one.score for one in results] == list(pit.artifacts.scores(text.id))
    first, second = pit.artifacts.scores(text.id)
    assert (first.reason, first.inputs) == ("a.txt, best", {"least": "1"})
    assert (second.reason, second.version, second.inputs) == (
        "5 bytes",
        "0",
        {"enough": "10", "unit": "bytes"},
    )
    assert pit.artifacts.info(text.id).quality == 0.75


def test_what_no_scorer_rates_is_passed_over(pit, scoring):
    text = pit.artifacts.put(b"hello", media_type="text/plain")
    picture = pit.artifacts.put(b"picture", media_type="image/png")

    results = run(scoring, [picture.id, text.id, picture.id], scorers=["acme.text.length"])

    assert [(one.artifact, one.scorer) for one in results] == [(text.id, "acme.text.length")]
    assert pit.artifacts.info(picture.id).quality is None


def test_inputs_go_to_the_scorers_that_take_them_and_are_kept_as_text(pit, scoring):
    text = pit.artifacts.put(b"hello", media_type="text/plain")

    run(scoring, [text.id], inputs={"enough": 5, "unit": "octets"})

    first, second = pit.artifacts.scores(text.id)
    assert first.inputs == {"least": "1"}
    assert (second.value, second.reason) == (1.0, "5 octets")
    assert second.inputs == {"enough": "5", "unit": "octets"}


def test_an_input_of_the_wrong_type_is_an_error_of_the_scorer_that_takes_it(pit, scoring):
    text = pit.artifacts.put(b"hello", media_type="text/plain")

    results = run(scoring, [text.id], inputs={"enough": "many"})

    assert told(results) == [("acme.text.described", 0.0), ("acme.text.length", "SYM-T002")]


def test_a_score_takes_the_place_of_the_last_one_of_the_same_scorer(pit, scoring):
    text = pit.artifacts.put(b"hello", media_type="text/plain")
    pit.artifacts.score(text.id, Score("acme.text.length", "0.0.1", 0.1))
    pit.artifacts.score(text.id, Score("other.scorer.x", "1", 0.2))

    run(scoring, [text.id], scorers=["acme.text.length"])

    assert [(one.scorer, one.version, one.value) for one in pit.artifacts.scores(text.id)] == [
        ("acme.text.length", "0", 0.5),
        ("other.scorer.x", "1", 0.2),
    ]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Rating(math.nan), "its value is nan, and not from 0 to 1"),
        (Rating(math.inf), "its value is inf, and not from 0 to 1"),
        (Rating(1.5), "its value is 1.5, and not from 0 to 1"),
        (Rating(-0.1), "its value is -0.1, and not from 0 to 1"),
        (Rating(0.5, "r" * 1001), "its reason has 1,001 characters"),
        ("good", "a value is not of the type"),
        ({"value": "good"}, "a value is not of the type"),
        (0.5, "a value is not of the type"),
        (None, "it gave no result"),
    ],
)
def test_nonsense_names_its_scorer_and_harms_neither_the_others_nor_the_earlier_score(pit, answer, fault):
    text = pit.artifacts.put(b"hello", media_type="text/plain")
    before = pit.artifacts.score(text.id, Score("acme.text.length", "0", 0.25))
    extensions = Answering(lambda call: answer if call.operation == length.id else Rating(1.0))

    good, bad = run(Scoring(pit=pit, extensions=extensions), [text.id])

    assert (good.scorer, good.score.value, good.error) == ("acme.text.described", 1.0, None)
    assert (bad.scorer, bad.score, bad.error.code) == ("acme.text.length", None, "SYM-A026")
    assert bad.error.message.startswith("the scorer 'acme.text.length' gave no rating that can be kept: ")
    assert fault in bad.error.message
    assert pit.artifacts.scores(text.id)[1] == before


@pytest.mark.parametrize(
    "error",
    [
        ExtensionError("boom", code="SYM-E014"),
        DeadlineExceeded("late"),
        ArtifactError("gone", code="SYM-A001"),
    ],
)
def test_a_scorer_that_fails_is_named_and_the_others_go_on(pit, error):
    text = pit.artifacts.put(b"hello", media_type="text/plain")
    extensions = Answering(lambda call: error if call.operation == described.id else Rating(1.0))

    bad, good = run(Scoring(pit=pit, extensions=extensions), [text.id])

    assert (bad.scorer, bad.error.code, bad.error.message) == (
        "acme.text.described",
        error.code,
        error.message,
    )
    assert good.score.value == 1.0


@pytest.mark.parametrize(("deaths", "code"), [(1, None), (2, "SYM-T003")])
def test_a_scorer_whose_process_died_is_asked_once_more_when_all_others_are_done(pit, deaths, code):
    text = pit.artifacts.put(b"hello", media_type="text/plain")
    dying = [PeerGone("the worker died")] * deaths
    extensions = Answering(
        lambda call: dying.pop() if dying and call.operation == described.id else Rating(1.0)
    )

    first, second = run(Scoring(pit=pit, extensions=extensions), [text.id])

    assert [call.operation for call in extensions.calls] == [described.id, length.id, described.id]
    assert (first.error and first.error.code) == code
    assert second.score.value == 1.0


def test_ratings_run_beside_each_other_and_not_all_at_once(pit):
    ids = [pit.artifacts.put(b"%d" % number, media_type="text/plain").id for number in range(3 * AT_ONCE)]
    running, most, steps = 0, 0, []

    class Slow(Answering):
        async def call(self, call, on_progress=None):
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(3):
                await asyncio.sleep(0)
            running -= 1
            return await super().call(call)

    scoring = Scoring(
        pit=pit, extensions=Slow(lambda call: Rating(decode(call.inputs["artifact"], Artifact).size / 2))
    )
    results = run(scoring, ids, scorers=["acme.text.length"], on_scored=lambda *step: steps.append(step))

    assert most == AT_ONCE
    assert [one.artifact for one in results] == ids
    assert [one.score.value for one in results] == [0.5] * 10 + [1.0] * 14
    assert steps == [(done + 1, len(ids)) for done in range(len(ids))]


def test_the_timeout_is_that_of_each_call(pit):
    text = pit.artifacts.put(b"hello", media_type="text/plain")
    extensions = Answering(lambda call: Rating(1.0))

    run(Scoring(pit=pit, extensions=extensions), [text.id], timeout=2.5)

    assert [call.timeout for call in extensions.calls] == [2.5, 2.5]


@pytest.mark.parametrize(
    ("how", "code", "message", "hint"),
    [
        (
            {"scorers": ["acme.text.lenght"]},
            "SYM-A027",
            "there is no scorer 'acme.text.lenght'",
            "'acme.text.length'",
        ),
        ({"scorers": ["acme.text.shout"]}, "SYM-A027", "there is no scorer 'acme.text.shout'", ""),
        (
            {"scorers": ["zz"]},
            "SYM-A027",
            "there is no scorer 'zz'",
            "There are acme.text.described, acme.text.length.",
        ),
        (
            {"inputs": {"enuogh": 1}},
            "SYM-A029",
            "none of the scorers takes the input 'enuogh'",
            "Did you mean 'enough'?",
        ),
        ({"inputs": {"artifact": 1}}, "SYM-A029", "none of the scorers takes the input 'artifact'", "enough"),
        (
            {"scorers": ["acme.text.described"], "inputs": {"enough": 1}},
            "SYM-A029",
            "'enough'",
            "They take least.",
        ),
        (
            {"scorers": ["acme.text.length"]},
            "SYM-A028",
            "no scorer rates artifacts of the type image/png",
            "text/",
        ),
    ],
)
def test_what_cannot_be_scored_is_said_before_anything_is(pit, scoring, how, code, message, hint):
    picture = pit.artifacts.put(b"picture", media_type="image/png")

    with pytest.raises(ArtifactError) as caught:
        run(scoring, [picture.id], **how)

    assert caught.value.code == code
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert not pit.artifacts.scores(picture.id)


def test_an_artifact_that_is_not_there_is_said_before_anything_is_scored(pit, scoring):
    text = pit.artifacts.put(b"hello", media_type="text/plain")

    with pytest.raises(ArtifactError):
        run(scoring, [text.id, "b3-nothing"])

    assert not pit.artifacts.scores(text.id)


def test_without_any_scorer_it_is_said_how_to_get_one(pit):
    text = pit.artifacts.put(b"hello", media_type="text/plain")

    with pytest.raises(ArtifactError, match="no scorer rates") as caught:
        run(Scoring(pit=pit, extensions=FakeExtensions(shout)), [text.id])

    assert (caught.value.code, caught.value.hint) == ("SYM-A028", "Install an extension that brings scorers.")


def test_without_any_artifact_nothing_is_scored(scoring):
    assert run(scoring, []) == []


def test_an_artifact_that_was_removed_gets_no_score(pit, scoring):
    text = pit.artifacts.put(b"hello", media_type="text/plain")
    pit.artifacts.remove(text.id)

    assert {one.error.code for one in run(scoring, [text.id])} == {"SYM-A002"}


@given(st.floats(allow_nan=True), st.text(max_size=20))
def test_whatever_a_scorer_gives_is_kept_whole_or_not_at_all(value, reason):
    pit = FakePit()
    text = pit.artifacts.put(b"hello", media_type="text/plain")

    [one] = run(Scoring(pit=pit, extensions=Answering(lambda call: Rating(value, reason), length)), [text.id])

    assert (one.score is None) == (not 0 <= value <= 1) == (one.error is not None)
    assert [(kept.value, kept.reason) for kept in pit.artifacts.scores(text.id)] == (
        [(value, reason)] if one.score else []
    )

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_sdk import Rating
from symphony_sdk.testing import ExtensionContract, SampleArtifact, recording_context
from symphony_text_quality.plugin import READ, described, readability
from symphony_text_quality.reading_ease import count_syllables, reading_ease

EASY = b"The cat sat on the mat. It was warm. The dog came in and sat down too."
HARD = (
    b"Notwithstanding considerable organizational difficulties, interdisciplinary collaboration facilitates "
    b"unprecedented methodological sophistication."
)


class TestContract(ExtensionContract):
    package = "symphony_text_quality"
    examples = {
        readability.id: {"artifact": SampleArtifact(EASY, "text/plain"), "target": 80.0},
        described.id: {"artifact": SampleArtifact(b"\x00")},
    }


def rated(data, **inputs):
    ctx = recording_context(permissions=[])
    return readability(ctx, SampleArtifact(data, "text/plain").put(ctx), **inputs)


@pytest.mark.parametrize(
    ("word", "syllables"),
    [
        ("cat", 1),
        ("table", 2),
        ("make", 1),
        ("free", 1),
        ("reading", 2),
        ("organization", 5),
        ("rhythm", 1),
        ("I", 1),
        ("hmm", 1),
        ("caf\u00e9", 2),
    ],
)
def test_syllables_are_counted_by_their_vowels(word, syllables):
    assert count_syllables(word) == syllables


def test_the_reading_ease_is_that_of_flesch():
    assert reading_ease("The cat sat. The dog ran!") == pytest.approx(206.835 - 1.015 * 3 - 84.6)


def test_an_easy_text_scores_more_than_a_hard_one():
    assert rated(EASY).value == 1.0
    assert rated(HARD) == Rating(0.0, rated(HARD).reason)
    assert rated(HARD).reason.startswith("reading ease -")


def test_the_target_says_what_scores_1():
    text = b"Reading a simple sentence like this demands modest attention from everybody."

    assert 0 < rated(text, target=100.0).value < rated(text, target=60.0).value < 1


@pytest.mark.parametrize("data", [b"", b"123 456", b"\x00\xff", b"...!?"])
def test_what_has_no_word_scores_0(data):
    assert rated(data) == Rating(0.0, "there is no word in it")


def test_of_a_long_text_the_beginning_counts():
    assert rated(EASY + b" " * READ + HARD) == rated(EASY)


def test_what_an_artifact_lacks_is_said():
    ctx = recording_context(permissions=[])

    whole = SampleArtifact(b"", "text/plain", name="a.txt", metadata={"of": "test"}, tags=("latest",))
    assert described(ctx, whole.put(ctx)) == Rating(1.0)
    assert described(ctx, SampleArtifact(b"", name="a").put(ctx)) == Rating(
        0.25, "it has no media type, no metadata, no tag"
    )


@given(st.text() | st.binary().map(lambda data: data.decode(errors="replace")))
def test_any_text_has_a_score(text):
    value = rated(text.encode()).value

    assert 0 <= value <= 1
    assert math.isfinite(value)

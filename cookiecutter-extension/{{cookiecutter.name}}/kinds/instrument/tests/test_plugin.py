from collections.abc import Iterator

import pytest
from symphony_sdk import SymphonyError
from symphony_sdk.testing import RecordingContext

from {{ cookiecutter.__package }}.plugin import GuessLanguage


@pytest.fixture
def model(symphony_context: RecordingContext) -> Iterator[GuessLanguage]:
    """The model as the host has it: loaded before and unloaded after."""
    instrument = GuessLanguage()
    instrument.load(symphony_context)
    yield instrument
    instrument.unload()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("English", "Where have they put the keys of the car?"),
        ("French", "Je voudrais une chambre pour deux personnes avec un petit déjeuner."),
        ("German", "Ich möchte ein Zimmer mit Frühstück für zwei Personen."),
        ("Italian", "Vorrei una camera per due persone con la colazione."),
        ("Spanish", "Quiero una habitación para dos personas con desayuno."),
    ],
)
def test_a_sentence_that_it_never_saw_is_recognized(
    model: GuessLanguage, symphony_context: RecordingContext, language: str, text: str
) -> None:
    guess = model.infer(symphony_context, text)

    assert guess["language"] == language
    assert 0.5 < guess["confidence"] <= 1


def test_a_text_without_letters_is_refused(model: GuessLanguage, symphony_context: RecordingContext) -> None:
    with pytest.raises(SymphonyError, match="no letters"):
        model.infer(symphony_context, "12 + 30 = 42")

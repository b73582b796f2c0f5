"""The instrument: guesses the language of a text with a tiny model in plain Python."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from math import exp, log
from pathlib import Path
from typing import TypedDict

from symphony_sdk import Context, Instrument, SymphonyError, provides_instruments


class Guess(TypedDict):
    """The outputs of the node: each key is a port."""

    language: str
    confidence: float


class GuessLanguage(Instrument):
    """Guess the language of a text.

    A naive Bayes classifier over three letters at a time, with Laplace smoothing. It learns from the few
    sentences in `samples.json` and is as sure of a text as those sentences let it be.
    """

    id = "{{ cookiecutter.__id }}.guess-language"

    def load(self, ctx: Context) -> None:
        """Count how often each trigram occurs in each language; runs once, before the first guess."""
        samples = json.loads(Path(__file__).with_name("samples.json").read_text("utf-8"))
        self._counts = {language: Counter(trigrams(" ".join(texts))) for language, texts in samples.items()}
        self._known = len(set().union(*self._counts.values()))
        ctx.log.info(f"learned {self._known:,} trigrams of {len(self._counts)} languages")

    def infer(self, ctx: Context, text: str) -> Guess:
        """The most likely language, and how likely the model finds it from 0 to 1."""
        found = trigrams(text)
        if not found:
            raise SymphonyError(
                f"the text {text[:40]!r} has no letters to guess by",
                code="{{ cookiecutter.publisher | upper }}-001",
                hint="Give it a sentence.",
            )
        likelihoods = {
            language: sum(log((counts[trigram] + 1) / (counts.total() + self._known)) for trigram in found)
            for language, counts in self._counts.items()
        }
        language = max(likelihoods, key=lambda name: likelihoods[name])
        odds = sum(exp(likelihood - likelihoods[language]) for likelihood in likelihoods.values())
        return {"language": language, "confidence": 1 / odds}

    def unload(self) -> None:
        """Give the memory back; `load` may come again."""
        del self._counts


def trigrams(text: str) -> list[str]:
    """Every three letters of a text in a row; a blank stands for the border of a word."""
    words = re.findall(r"[^\W\d_]+", text.casefold())
    letters = f" {' '.join(words)} "
    return [letters[start : start + 3] for start in range(len(letters) - 2)]


@provides_instruments
def symphony_instruments() -> Iterator[Instrument]:
    """The instruments of this extension."""
    yield GuessLanguage()

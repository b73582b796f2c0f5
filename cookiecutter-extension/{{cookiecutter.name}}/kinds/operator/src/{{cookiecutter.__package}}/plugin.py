"""The operator: counts the words of a text."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypedDict

from symphony_sdk import Context, Operator, operator, provides_operators


class WordCount(TypedDict):
    """The outputs of the node: each key is a port."""

    total: int
    frequent: dict[str, int]


@operator("{{ cookiecutter.__id }}.count-words")
def count_words(ctx: Context, text: str, most: int = 3) -> WordCount:
    """Count the words of a text, and list the most frequent ones."""
    words = Counter(re.findall(r"\w+", text.casefold()))
    ctx.log.info(f"{len(words):,} different words")
    return {"total": words.total(), "frequent": dict(words.most_common(max(most, 0)))}


@provides_operators
def symphony_operators() -> Iterator[Operator[..., Any]]:
    """The operators of this extension."""
    yield count_words

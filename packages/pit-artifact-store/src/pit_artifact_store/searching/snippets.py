"""The part of an artifact that shows why it was found."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import tantivy
from symphony_sdk.ports import ArtifactInfo

CHARACTERS: Final = 160
"""About so long is a snippet."""


class Snippet(NamedTuple):
    """A part of an artifact.

    Args:
        text: The part.
        highlights: Begin and end of each word in it that was looked for, in characters.
    """

    text: str
    highlights: tuple[tuple[int, int], ...]


class Snippets:
    """Makes the snippets of one search.

    Args:
        searcher: What was searched.
        schema: The fields.
        words: What was looked for.
    """

    def __init__(self, searcher: tantivy.Searcher, schema: tantivy.Schema, words: tantivy.Query) -> None:
        def of(field: str) -> tantivy.SnippetGenerator:
            generator = tantivy.SnippetGenerator.create(searcher, words, schema, field)
            generator.set_max_num_chars(CHARACTERS)
            return generator

        self._of = {field: of(field) for field in ("text", "name", "tag", "facts")}

    def of(self, info: ArtifactInfo, text: str) -> Snippet:
        """The part of an artifact that fits best: of its text, else of its name, its tags or its metadata.

        Args:
            info: What is known of it.
            text: What of it is text.
        """
        told: Iterable[tuple[str, str]] = (
            ("text", text),
            ("name", info.ref.name),
            *(("tag", tag) for tag in info.tags),
            *(("facts", f"{key} {value}") for key, value in info.metadata.items()),
        )
        for field, part in told:
            document = tantivy.Document()
            document.add_text(field, part)
            found = self._of[field].snippet_from_doc(document)
            if marks := found.highlighted():
                return _snippet(found.fragment(), [(mark.start, mark.end) for mark in marks])
        return Snippet(text[:CHARACTERS] or info.ref.name, ())


def _snippet(fragment: str, marks: list[tuple[int, int]]) -> Snippet:
    """What tantivy counts in bytes, in characters."""
    data = fragment.encode()
    characters = [(len(data[:begin].decode()), len(data[:end].decode())) for begin, end in marks]
    return Snippet(fragment, tuple(characters))

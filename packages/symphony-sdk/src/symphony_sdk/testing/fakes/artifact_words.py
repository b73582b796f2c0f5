"""Finds artifacts by their words, in memory: as plain as it can be."""

import re
from collections.abc import Iterator
from typing import Final

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports.artifacts import ArtifactInfo, Found
from symphony_sdk.testing.fakes.artifact_records import Artifact

_WORD: Final = re.compile(r"[^\W_]+")
_TEXTS: Final = ("text/", "application/json", "application/xml", "application/yaml")
_QUERY_CHARACTERS: Final = 2000
_AROUND: Final = 80


def words_of(query: str) -> set[str]:
    """The words that are looked for.

    Args:
        query: The query.

    Raises:
        ArtifactError: It is too long.
    """
    if len(query) > _QUERY_CHARACTERS:
        raise ArtifactError(
            f"the query {query!r:.100} cannot be understood: it has {len(query):,} characters, and a query has "
            f"{_QUERY_CHARACTERS:,} at most",
            code="SYM-A020",
            hint="Give fewer words.",
            details={"query": query[:_QUERY_CHARACTERS]},
        )
    return {word.lower() for word in _WORD.findall(query)}


def found(artifact: Artifact, info: ArtifactInfo, words: set[str]) -> Found | None:
    """An artifact, where it has all words: in its text, or in what is known of it.

    Args:
        artifact: The artifact.
        info: The newest of its descriptions that fits.
        words: The words, in lower case.
    """
    parts = [part for _, one in artifact.descriptions.values() for part in _parts(artifact, one)]
    parts += info.tags
    there = {match.group().lower() for part in parts for match in _WORD.finditer(part)}
    if not words or not words <= there:
        return None
    rank = len(words) * (1.0 if info.quality is None else 0.5 + info.quality)
    for part in (*_parts(artifact, info), *info.tags):
        marks = [match.span() for match in _WORD.finditer(part) if match.group().lower() in words]
        if marks:
            begin = max(0, marks[0][0] - _AROUND)
            snippet = part[begin : marks[0][1] + _AROUND]
            shown = tuple((low - begin, high - begin) for low, high in marks if high - begin <= len(snippet))
            return Found(info, rank, snippet, shown)
    return Found(info, rank, info.ref.name)


def _parts(artifact: Artifact, info: ArtifactInfo) -> Iterator[str]:
    if info.ref.media_type.startswith(_TEXTS):
        yield artifact.data.decode(errors="ignore")
    yield info.ref.name
    for key, value in info.metadata.items():
        yield f"{key} {value}"

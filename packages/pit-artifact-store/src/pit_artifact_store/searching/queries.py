"""What was asked for, as tantivy is asked: in its own syntax, leniently where it can be understood."""

from collections.abc import Iterator
from typing import Final

import tantivy
from symphony_sdk.errors import ArtifactError

from pit_artifact_store.lookups import Filters
from pit_artifact_store.searching.documents import microseconds
from pit_artifact_store.searching.schema import BOOSTED, SEARCHED, WEIGHT

QUERY_CHARACTERS: Final = 2000
QUERY_DEPTH: Final = 50

_SYNTAX: Final = "SyntaxError"
"""What is lenient: a bracket or a quote that is missing, or a word that is not finished."""

_AT_ONCE: Final = 1000
_BEGINNING: Final = 100
"""Characters of a beginning that tantivy is asked for; each hit is looked at once more."""


def words_of(index: tantivy.Index, text: str) -> tantivy.Query:
    """The query of a text.

    Args:
        index: The index of words.
        text: In the syntax of tantivy.

    Raises:
        ArtifactError: It cannot be understood.
    """
    if len(text) > QUERY_CHARACTERS:
        raise _refused(text, f"it has {len(text):,} characters, and a query has {QUERY_CHARACTERS:,} at most")
    if text.count("(") > QUERY_DEPTH:
        raise _refused(text, f"it has {text.count('('):,} brackets, and a query has {QUERY_DEPTH} at most")
    query, faults = index.parse_query_lenient(text, [SEARCHED], conjunction_by_default=True)
    serious = [fault for fault in faults if type(fault).__name__.removeprefix("Py") != _SYNTAX]
    if serious:
        raise _refused(text, str(serious[0]))
    better, _ = index.parse_query_lenient(text, [*BOOSTED], field_boosts=BOOSTED)
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Should, better)])


def filtered(schema: tantivy.Schema, words: tantivy.Query, filters: Filters) -> tantivy.Query:
    """Words, and at least what fits the filters; each hit is looked at once more in the store.

    Args:
        schema: The fields.
        words: The query.
        filters: The filters.
    """
    wanted = []
    if filters.run:
        wanted.append(tantivy.Query.term_query(schema, "run", filters.run, "basic"))
    for field, beginning in (("tagged", filters.tag), ("type", filters.media_type)):
        if beginning:
            part = beginning[:_BEGINNING]
            wanted.append(tantivy.Query.fuzzy_term_query(schema, field, part, distance=0, prefix=True))
    if filters.since or filters.until is not None:
        low = microseconds(max(filters.since, 0.0)) - 1
        high = 1 << 62 if filters.until is None else microseconds(filters.until) + 1
        wanted.append(tantivy.Query.range_query(schema, "created", tantivy.FieldType.Integer, low, high))
    if filters.quality:
        wanted.append(
            tantivy.Query.range_query(schema, "quality", tantivy.FieldType.Float, filters.quality - 1e-9)
        )
    must = [(tantivy.Occur.Must, tantivy.Query.const_score_query(each, 0.0)) for each in wanted]
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, words), *must]) if must else words


def pages(
    searcher: tantivy.Searcher, query: tantivy.Query, text: str, limit: int
) -> Iterator[dict[bytes, float]]:
    """Ids of what fits with their ranks, the best first, page by page; as many as are asked for.

    Args:
        searcher: What is searched.
        query: What is looked for.
        text: The same as it was given.
        limit: So many are wanted.

    Raises:
        ArtifactError: The query asks for what there is not.
    """
    offset, size = 0, min(limit, _AT_ONCE)
    while size:
        try:
            hits = searcher.search(query, size, count=False, offset=offset, weight_by_field=WEIGHT).hits
        except ValueError as error:
            raise _refused(text, str(error)) from error
        yield {bytes.fromhex(searcher.doc(address)["id"][0]): rank for rank, address in hits}
        if len(hits) < size:
            return
        offset, size = offset + size, _AT_ONCE


def _refused(text: str, why: str) -> ArtifactError:
    return ArtifactError(
        f"the query {text!r:.100} cannot be understood: {why}",
        code="SYM-A020",
        hint=f"Words are looked for in {', '.join((SEARCHED, *BOOSTED))}; `name:report` looks in one of them, `metadata.source:x` "
        "in metadata. Put into double quotes what is to be taken as it is.",
        details={"query": text[:QUERY_CHARACTERS]},
    )

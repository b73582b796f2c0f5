"""The fields of a document, and how words are told apart."""

from typing import Final

import tantivy

VERSION: Final = 1
"""Of the fields, of the words, and of the form in which they are kept: another one is made anew."""

_WORD_BYTES: Final = 256
"""Longer words are not indexed: nobody types them."""

SEARCHED: Final = "text"
"""Where words without a field are looked for. It has the names, tags and facts, too, so that one field is asked."""

BOOSTED: Final = {"name": 3.0, "tag": 3.0, "facts": 2.0}
"""Where a word counts more, and how much."""

WEIGHT: Final = "weight"


def schema() -> tantivy.Schema:
    """The fields of a document; an artifact has one, with everything that it was ever stored with."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    for name in (SEARCHED, *BOOSTED):
        builder.add_text_field(name, tokenizer_name="words")
    builder.add_json_field("metadata", tokenizer_name="words")
    for name in ("tagged", "type", "run", "extension"):  # as they are written
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("created", indexed=True, fast=True)  # microseconds of Unix time
    builder.add_float_field("quality", indexed=True, fast=True)
    builder.add_float_field(WEIGHT, fast=True)
    return builder.build()


def prepared(index: tantivy.Index) -> tantivy.Index:
    """An index that knows what a word is, and reads what is new only when it is told to.

    Args:
        index: The index.
    """
    index.register_tokenizer(
        "words",
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(_WORD_BYTES))
        .filter(tantivy.Filter.lowercase())
        .build(),
    )
    index.config_reader("manual")
    return index


def weight(quality: float | None) -> float:
    """What makes the rank of the best three times that of the worst; what nobody scored is between them.

    tantivy multiplies a rank by log2(2 + weight).

    Args:
        quality: From 0 to 1; None where nobody scored an artifact.
    """
    return 2 ** (1 + 2 * (0.5 if quality is None else quality)) - 2

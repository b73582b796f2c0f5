"""What of an artifact is indexed, taken from the store."""

from typing import Final, NamedTuple

import tantivy
import zstandard

from pit_artifact_store.entries import facts_of
from pit_artifact_store.packs import DamagedFrame
from pit_artifact_store.reading import DamagedContent, Reader
from pit_artifact_store.rows import Object, Rows
from pit_artifact_store.searching.schema import BOOSTED, SEARCHED, WEIGHT, weight
from pit_artifact_store.tiering.remote import OutOfReach

TEXT_BYTES: Final = 1 << 20
"""Of a text, so many of its first bytes are indexed."""

_TRIES: Final = 3
_KEY_CHARACTERS: Final = 200
_RAW_BYTES: Final = 60_000
"""tantivy takes no longer term."""

_TEXTS: Final = {
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/x-httpd-php",
    "application/x-javascript",
    "application/x-json",
    "application/x-ndjson",
    "application/x-python",
    "application/x-sh",
    "application/x-subrip",
    "application/x-tex",
    "application/x-yaml",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
    "image/svg+xml",
    "message/rfc822",
}
_SUFFIXES: Final = ("+json", "+xml", "+yaml")


class Known(NamedTuple):
    """An artifact, as it is indexed.

    Args:
        document: Everything of it.
        size: About how many bytes of text are in it.
    """

    document: tantivy.Document
    size: int


def is_text(media_type: str) -> bool:
    """Whether what is of a media type can be read as text.

    Args:
        media_type: Such as `text/html; charset=utf-8`.
    """
    plain = media_type.partition(";")[0].strip().lower()
    return plain.startswith("text/") or plain in _TEXTS or plain.endswith(_SUFFIXES)


def known(rows: Rows, reader: Reader | None, id: bytes) -> Known | None:
    """The document of an artifact; None where it is gone.

    Args:
        rows: The index of the store.
        reader: Reads the packs; None for a document without the text.
        id: Id of the artifact.

    Raises:
        OutOfReach: Its text is in the tier, and that cannot be used.
    """
    object = rows.object(id)
    if object is None:
        return None
    number = (object.number,)
    entries = rows.all(
        "select name, media_type, run, created, facts from entry where object = ? order by sequence desc",
        number,
    )
    tags = [tag for (tag,) in rows.all("select name from tag where object = ?", number)]
    (quality,) = rows.first("select avg(value) from score where object = ?", number)
    document = tantivy.Document()
    document.add_text("id", id.hex())
    facts = [facts_of(entry[4]) for entry in entries]
    metadata: dict[str, str] = {}
    for each in reversed(facts):
        metadata |= each.metadata
    said = {f"{key} {value}" for each in facts for key, value in each.metadata.items()}
    for field, texts in (
        ("name", {entry[0] for entry in entries}),
        ("type", {_cut(entry[1]) for entry in entries}),
        ("run", {_cut(entry[2]) for entry in entries}),
        ("extension", {_cut(each.lineage.extension) for each in facts}),
        ("facts", said),
        ("tag", tags),
        ("tagged", tags),
    ):
        for text in texts:
            if text:
                document.add_text(field, text)
                if field in BOOSTED:
                    document.add_text(SEARCHED, text)
    if metadata:
        document.add_json("metadata", {_as_key(key): value for key, value in metadata.items()})
    for entry in entries:
        document.add_integer("created", microseconds(entry[3]))
    if quality is not None:
        document.add_float("quality", quality)
    document.add_float(WEIGHT, weight(quality))
    text = content(rows, reader, object) if reader and any(is_text(entry[1]) for entry in entries) else ""
    if text:
        document.add_text(SEARCHED, text)
    return Known(document, len(text) + sum(map(len, said)) + 500)


def content(rows: Rows, reader: Reader, object: Object) -> str:
    """The first bytes of an artifact as text, without those that are none; nothing where they are gone or damaged.

    Args:
        rows: The index of the store.
        reader: Reads the packs.
        object: The artifact.

    Raises:
        OutOfReach: They are in the tier, and that cannot be used.
    """
    found: Object | None = object
    for _ in range(_TRIES):
        if found is None:
            break
        try:
            data = b"".join(reader.parts(found, 0, min(found.size, TEXT_BYTES)))
        except OutOfReach:
            raise
        except (OSError, DamagedFrame, DamagedContent, zstandard.ZstdError):
            found = rows.object(object.id)  # its pack may have been written anew just then
            continue
        return data.decode(errors="ignore")
    return ""


def microseconds(moment: float) -> int:
    """A time as it is indexed.

    Args:
        moment: Unix time in seconds.
    """
    return int(moment * 1_000_000)


def _cut(text: str) -> str:
    return text.encode()[:_RAW_BYTES].decode(errors="ignore")


def _as_key(text: str) -> str:
    """A key of the metadata as a path in an index can have it."""
    return "".join(character for character in text[:_KEY_CHARACTERS] if character >= " ")

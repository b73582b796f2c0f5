"""Descriptions of artifacts: what one was stored with, in the form in which it is kept and checked."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactInfo, Lineage

from pit_artifact_store.failures import damaged
from pit_artifact_store.ids import content_id, text_of

EntryRow = tuple[bytes, int, float, str, str, str, bytes, bytes]
"""Id, size and time of the object; name, media type, run, facts and fingerprint of the entry."""


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a description is looked at only together with its artifact.

    Args:
        metadata: Facts kept beside the artifact.
        lineage: Where it comes from.
    """

    metadata: dict[str, str] = {}
    lineage: Lineage = Lineage()


class Entry(NamedTuple):
    """One description of an artifact, ready to be kept.

    Args:
        object: Id of the artifact.
        name: File name for people.
        media_type: Such as `text/html`.
        run: Id of the run that made it.
        facts: The encoded `Facts`.
        fingerprint: Hash of all of the above: finds the same description again, and damage to it.
    """

    object: bytes
    name: str
    media_type: str
    run: str
    facts: bytes
    fingerprint: bytes


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Facts).decode


def describe(
    id: bytes, name: str, media_type: str, metadata: Mapping[str, str] | None, lineage: Lineage | None
) -> Entry:
    """The entry of a description.

    Args:
        id: Id of the artifact.
        name: File name for people.
        media_type: Such as `text/html`.
        metadata: Facts to keep beside it.
        lineage: Where it comes from.

    Raises:
        ArtifactError: Something of it is not what it should be.
    """
    try:
        described = msgspec.convert(
            {"metadata": dict(metadata or {}), "lineage": msgspec.structs.asdict(lineage or Lineage())}, Facts
        )
        facts = _encode(described)
        texts = msgspec.convert((name, media_type), tuple[str, str])
        run = described.lineage.run
        return Entry(id, *texts, run, facts, _fingerprint(id, name, media_type, run, facts))
    except (msgspec.ValidationError, UnicodeEncodeError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"artifact {name!r} cannot be described so: {error}",
            code="SYM-A010",
            hint="Name and media type are text, metadata is a mapping of text to text, lineage is a Lineage.",
        ) from error


def info_of(row: EntryRow) -> ArtifactInfo:
    """What a row of entry and object says.

    Args:
        row: Its columns.

    Raises:
        ArtifactError: The entry is damaged.
    """
    id, size, created, name, media_type, run, facts, fingerprint = row
    if _fingerprint(id, name, media_type, run, facts) != fingerprint:
        raise damaged(id, "its description is not what was stored")
    known = _decode(facts)
    return ArtifactInfo(
        ArtifactRef(text_of(id), size, media_type, name), created, known.metadata, known.lineage
    )


def _fingerprint(id: bytes, name: str, media_type: str, run: str, facts: bytes) -> bytes:
    return content_id(b"".join((id, _encode((name, media_type, run)), facts)))[:16]

"""Descriptions of artifacts: what they were stored with, in the form in which it is kept."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import Lineage

from pit_artifact_store.ids import ContentIds
from pit_artifact_store.records import EntryRow

FINGERPRINT_BYTES = 16


_Moment = Annotated[float, msgspec.Meta(ge=0, le=253402300799)]  # until the year 9999, as dates are written


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a description is looked at only together with its artifact.

    Args:
        metadata: Facts kept beside the artifact.
        lineage: Where it comes from.
    """

    metadata: dict[str, str] = {}
    lineage: Lineage = Lineage()


class Description(msgspec.Struct, frozen=True, array_like=True):
    """One way in which an artifact is stored.

    Args:
        name: File name for people.
        media_type: Such as `text/html`.
        run: Id of the run that made it.
        facts: The encoded `Facts`.
        inputs: Ids of the artifacts that it was made from, as they are written.
        created: Unix time in seconds when it was first stored elsewhere; None where it was not.
    """

    name: str
    media_type: str
    run: str
    facts: bytes
    inputs: tuple[str, ...]
    created: float | None = None

    def row(self, ids: ContentIds, object: bytes, version: int, now: float) -> EntryRow:
        """The row of this description.

        Args:
            ids: Gives the ids of the store.
            object: Id of the artifact.
            version: Which version of the name it is.
            now: Unix time in seconds.
        """
        told = _encode((self.name, version, self.media_type, self.run, self.facts))
        created = now if self.created is None else self.created
        fingerprint = ids(object + told)[:FINGERPRINT_BYTES]
        return EntryRow(
            object, fingerprint, created, self.name, version, self.media_type, self.run, self.facts
        )


_encode = msgspec.msgpack.Encoder(order="sorted").encode
facts_of = msgspec.msgpack.Decoder(Facts).decode


def describe(
    name: str,
    media_type: str,
    metadata: Mapping[str, str] | None,
    lineage: Lineage | None,
    created: float | None = None,
) -> Description:
    """A description, checked.

    Args:
        name: File name for people.
        media_type: Such as `text/html`.
        metadata: Facts to keep beside it.
        lineage: Where it comes from.
        created: Unix time in seconds when it was first stored elsewhere; None where it was not.

    Raises:
        ArtifactError: Something of it is not what it should be.
    """
    try:
        facts = msgspec.convert(
            {"metadata": dict(metadata or {}), "lineage": msgspec.structs.asdict(lineage or Lineage())}, Facts
        )
        name, media_type = msgspec.convert((name, media_type), tuple[str, str])
        told = _encode(facts)
        name.encode()
        media_type.encode()
        created = msgspec.convert(created, _Moment | None)
    except (msgspec.ValidationError, UnicodeEncodeError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"artifact {name!r} cannot be described so: {error}",
            code="SYM-A010",
            hint="Name and media type are text, metadata is a mapping of text to text, lineage is a Lineage, "
            "created is a Unix time.",
        ) from error
    return Description(name, media_type, facts.lineage.run, told, facts.lineage.inputs, created)

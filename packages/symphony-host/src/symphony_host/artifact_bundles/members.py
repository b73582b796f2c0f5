"""The members of a bundle: what their lines say, and how much of each there may be."""

from typing import Annotated, Final, Literal

import msgspec
from symphony_sdk.ports import ArtifactInfo, Hold, Lineage, RelationKind, Score

FORMAT: Final = "symphony-artifacts"
VERSION: Final = 1

MANIFEST: Final = "manifest.json"
ARTIFACTS: Final = "artifacts.jsonl"
DESCRIPTIONS: Final = "descriptions.jsonl"
RELATIONS: Final = "relations.jsonl"
TABLES: Final = (ARTIFACTS, DESCRIPTIONS, RELATIONS)
BLOBS: Final = "blobs/"

PART: Final = 1 << 20
"""Bytes that are read or written at a time."""

MOST_ARTIFACTS: Final = 250_000
"""Artifacts of one bundle: what is kept of each while it is read must fit into memory."""
MOST_DIRECTORY: Final = 40 << 20
"""Bytes of the directory of the zip file, which is read at once; enough for so many artifacts."""
MOST_MANIFEST: Final = 1 << 16
"""Bytes of the manifest."""
MOST_LINE: Final = 16 << 20
"""Bytes of one line."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
# Until the last year that every clock and calendar can tell, whatever its zone.
Moment = Annotated[float, msgspec.Meta(ge=0, le=253_370_764_800)]


class FormatVersion(msgspec.Struct, frozen=True):
    """What every version of the manifest begins with.

    Args:
        format: What kind of file it is.
        version: The version of the format.
    """

    format: str
    version: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle says of itself.

    Args:
        format: What kind of file it is.
        version: The version of the format.
        artifacts: How many artifacts there are.
        bytes: How many bytes they have together.
        sha256: Hashes of the members that tell of them, by name.
    """

    format: Literal["symphony-artifacts"]
    version: Literal[1]
    artifacts: Count
    bytes: Count
    sha256: dict[str, Sha256]


class TagLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tag of an artifact.

    Args:
        name: The tag.
        created: Unix time in seconds when the artifact got it.
    """

    name: str
    created: Moment


class ArtifactLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An artifact.

    Args:
        id: Its id in the store that it comes from.
        sha256: Hash of its bytes.
        size: How many there are.
        tags: The tags that it has.
        pinned: Whether it is pinned.
        holds: Why it must not be removed.
        scores: How good scorers find it.
    """

    id: Id
    sha256: Sha256
    size: Count
    tags: tuple[TagLine, ...] = ()
    pinned: bool = False
    holds: tuple[Hold, ...] = ()
    scores: tuple[Score, ...] = ()

    def __post_init__(self) -> None:
        for score in self.scores:
            msgspec.convert(score.created, Moment)


class DescriptionLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way in which an artifact was stored.

    Args:
        id: Id of the artifact in the store that it comes from.
        name: File name for people.
        media_type: Such as `text/html`.
        metadata: Facts kept beside it.
        lineage: Where it comes from; the inputs are ids of that store.
        version: Which version of its name it was there.
        created: Unix time in seconds when it was first stored so.
    """

    id: Id
    name: str
    media_type: str
    metadata: dict[str, str]
    lineage: Lineage
    version: Count
    created: Moment


class RelationLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one artifact is to another, or to the run that made it.

    Args:
        subject: Id of an artifact of the bundle in the store that it comes from.
        kind: What it is to the other.
        object: Id of the other there, which need not be in the bundle; of `produced-by`, any text.
        created: Unix time in seconds since when.
    """

    subject: Id
    kind: RelationKind
    object: str
    created: Moment


# Keys in order, so that the same facts are the same bytes.
encode = msgspec.json.Encoder(order="deterministic").encode


def line_of(info: ArtifactInfo) -> DescriptionLine:
    """The line of a description.

    Args:
        info: The description.
    """
    ref = info.ref
    return DescriptionLine(
        ref.id, ref.name, ref.media_type, info.metadata, info.lineage, info.version, info.created
    )

"""What is known of artifacts besides their bytes, as it is written into the packs: whole images of rows.

To replay them is to put each image in the place of an older one with the same key; the newest wins.
"""

from typing import Literal

import msgspec

Table = Literal["object", "tag", "pin", "hold", "relation"]
"""What can be gone; entries and scores go with their object."""


class ObjectRow(msgspec.Struct, frozen=True, array_like=True, tag="object"):
    """The bytes of an artifact.

    Args:
        id: Their id.
        size: How many there are.
        recipe: Where they are: an encoded `Recipe`.
        removed: Unix time in seconds when it was removed; 0 where it was not.
        born: The moment of the first image since the artifact was not there; 0 for this one. What was said about it
            before was about an earlier one, which is gone.
    """

    id: bytes
    size: int
    recipe: bytes
    removed: float = 0.0
    born: int = 0


class EntryRow(msgspec.Struct, frozen=True, array_like=True, tag="entry"):
    """One way in which an artifact was stored.

    Args:
        object: Id of the artifact.
        fingerprint: Hash of what follows, without the time: the same description again is one entry.
        created: Unix time in seconds when it was first stored so.
        name: File name for people.
        version: Which version of that name it is.
        media_type: Such as `text/html`.
        run: Id of the run that made it.
        facts: The encoded `Facts`.
    """

    object: bytes
    fingerprint: bytes
    created: float
    name: str
    version: int
    media_type: str
    run: str
    facts: bytes


class TagRow(msgspec.Struct, frozen=True, array_like=True, tag="tag"):
    """A tag, and the artifact that has it.

    Args:
        name: The tag.
        object: Id of the artifact.
        created: Unix time in seconds since when.
    """

    name: str
    object: bytes
    created: float


class PinRow(msgspec.Struct, frozen=True, array_like=True, tag="pin"):
    """An artifact is pinned.

    Args:
        object: Its id.
    """

    object: bytes


class HoldRow(msgspec.Struct, frozen=True, array_like=True, tag="hold"):
    """An artifact is held.

    Args:
        object: Its id.
        reason: Why.
        created: Unix time in seconds since when.
    """

    object: bytes
    reason: str
    created: float


class RelationRow(msgspec.Struct, frozen=True, array_like=True, tag="relation"):
    """What an artifact is to another.

    Args:
        subject: Id of the artifact.
        kind: What it is to the other.
        object: Id of the other as it is written, or what made it.
        created: Unix time in seconds since when.
    """

    subject: bytes
    kind: str
    object: str
    created: float


class ScoreRow(msgspec.Struct, frozen=True, array_like=True, tag="score"):
    """How good an artifact is, as one scorer sees it.

    Args:
        object: Id of the artifact.
        scorer: Id of the scorer.
        version: Version of it.
        value: From 0 to 1.
        reason: Why.
        inputs: What it was given besides the artifact.
        created: Unix time in seconds.
    """

    object: bytes
    scorer: str
    version: str
    value: float
    reason: str
    inputs: dict[str, str]
    created: float


class Gone(msgspec.Struct, frozen=True, array_like=True, tag="gone"):
    """A row is no more; with an object, everything that is known of it.

    Args:
        table: Where it was.
        object: Id of the artifact that it was about, but for a tag.
        name: The tag, the reason of a hold, what was at the other end of a relation.
        kind: The kind of a relation.
    """

    table: Table
    object: bytes = b""
    name: str = ""
    kind: str = ""


Row = ObjectRow | EntryRow | TagRow | PinRow | HoldRow | RelationRow | ScoreRow | Gone


class Image(msgspec.Struct, frozen=True, array_like=True):
    """A row as it was written at a moment.

    Args:
        seq: The moment: nanoseconds of Unix time, and later than that of any row that was there before.
        row: The row.
    """

    seq: int
    row: Row


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Image]).decode


def encode_commit(images: list[Image]) -> bytes:
    """The bytes of what is committed together.

    Args:
        images: The rows.
    """
    return _encode(images)


def decode_commit(data: bytes) -> list[Image]:
    """The rows of a commit.

    Args:
        data: Its bytes.

    Raises:
        ValueError: They are none.
    """
    try:
        return _decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"it is no commit: {error}") from error

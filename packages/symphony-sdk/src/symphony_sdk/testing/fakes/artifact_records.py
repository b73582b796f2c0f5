"""What the Artifact Store in memory keeps, and how an artifact is looked up in it."""

import re
import time
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports.artifacts import ArtifactInfo, Hold, Lineage, Relation, RelationKind, Score, Tag

_ID: Final = re.compile(r"b3-[0-9a-f]{1,64}")
_WHOLE: Final = 3 + 64
_TAG: Final = re.compile(r"(?!b3-)[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?")

Description = tuple[str, str, dict[str, str], Lineage]
"""Name, media type, metadata and lineage."""

_encode = msgspec.json.Encoder(order="sorted").encode


class Artifact(msgspec.Struct):
    """All that is kept of one artifact.

    Args:
        id: Its id.
        data: Its bytes.
        descriptions: What it was stored with and in which turn, by a key of it; the newest comes last.
        damaged: Whether its bytes are damaged.
        pinned: Whether it is pinned.
        holds: Why it must not be removed, by reason.
        removed: Unix time in seconds when it was removed; 0 where it was not.
        scores: How good it is, by scorer.
    """

    id: str
    data: bytes
    descriptions: dict[bytes, tuple[int, ArtifactInfo]] = {}
    damaged: bool = False
    pinned: bool = False
    holds: dict[str, Hold] = {}
    removed: float = 0.0
    scores: dict[str, Score] = {}

    @property
    def quality(self) -> float | None:
        """The mean of its scores."""
        values = [score.value for score in self.scores.values()]
        return sum(values) / len(values) if values else None


class Records:
    """All artifacts with their names, tags and relations; for one thread at a time."""

    def __init__(self) -> None:
        self.artifacts: dict[str, Artifact] = {}
        self.versions: dict[str, dict[int, str]] = {}
        self.tags: dict[str, Tag] = {}
        self.relations: dict[tuple[str, str, str], Relation] = {}
        self._turn = 0

    def describe(self, artifact: Artifact, description: Description, moment: float) -> ArtifactRef:
        """Keep a description as the newest, with the version and the relations that follow from it.

        Args:
            artifact: What is described.
            description: As it was checked.
            moment: Unix time in seconds when it was first stored.
        """
        name, media_type, metadata, lineage = description
        ref = ArtifactRef(artifact.id, len(artifact.data), media_type, name)
        version = self._version(name, artifact.id) if name else 0
        info = ArtifactInfo(ref, moment, metadata, lineage, version)
        key = _encode((description, version))
        _, before = artifact.descriptions.pop(key, (0, info))  # it comes last again: the newest
        info = min(info, before, key=lambda one: one.created)
        self._turn += 1
        artifact.descriptions[key] = (self._turn, info)
        for source in lineage.inputs:
            if source in self.artifacts and source != artifact.id:
                self.relate(artifact.id, "derived-from", source)
        if lineage.run:
            place = "/".join(filter(None, (lineage.run, lineage.node)))
            run = " ".join(filter(None, (place, lineage.extension, lineage.version)))
            self.relate(artifact.id, "produced-by", run)
        return ref

    def relate(self, subject: str, kind: RelationKind, object: str) -> Relation:
        """Keep a relation; one that is there stays as it is.

        Args:
            subject: Id of an artifact.
            kind: What it is to the other.
            object: Id of the other, or what produced it.
        """
        made = Relation(subject, kind, object, time.time())
        return self.relations.setdefault((subject, kind, object), made)

    def told(self, artifact: Artifact, info: ArtifactInfo) -> ArtifactInfo:
        """A description with what is known of its artifact now.

        Args:
            artifact: The artifact.
            info: One of its descriptions.
        """
        return msgspec.structs.replace(
            info,
            metadata=dict(info.metadata),
            tags=tuple(sorted(tag.name for tag in self.tags.values() if tag.id == artifact.id)),
            pinned=artifact.pinned,
            holds=tuple(artifact.holds.values()),
            removed=artifact.removed,
            quality=artifact.quality,
        )

    def forget(self, id: str) -> None:
        """Forget an artifact with all that is known of it; what others are to it stays known of them.

        Args:
            id: Its whole id.
        """
        del self.artifacts[id]
        self.tags = {name: tag for name, tag in self.tags.items() if tag.id != id}
        self.relations = {key: one for key, one in self.relations.items() if one.subject != id}
        for versions in self.versions.values():
            for version in [version for version, kept in versions.items() if kept == id]:
                del versions[version]

    def known(self, text: str) -> Artifact:
        """The artifact that is meant, removed or not.

        Args:
            text: Its id, the first characters of it, or a tag.

        Raises:
            ArtifactError: There is none, or there are several.
        """
        if text in self.artifacts:
            return self.artifacts[text]
        if _TAG.fullmatch(text):
            if text not in self.tags:
                raise _missing(text)
            return self.artifacts[self.tags[text].id]
        if not _ID.fullmatch(text):
            raise ArtifactError(
                f"{text[:200]!r} is neither an id nor a tag; an id is `b3-` and up to 64 hex digits in lower case",
                code="SYM-A004",
                hint="`symphony artifacts list` shows the ids.",
                details={"id": text[:200]},
            )
        found = [id for id in self.artifacts if id.startswith(text)]
        if not found:
            raise _missing(text)
        if len(found) > 1:
            raise ArtifactError(
                f"several artifacts begin with {text}: {', '.join(found[:4])}",
                code="SYM-A003",
                hint="Give more characters of the id.",
                details={"id": text, "candidates": found[:4]},
            )
        return self.artifacts[found[0]]

    def present(self, text: str) -> Artifact:
        """The artifact that is meant, if it is not removed.

        Args:
            text: Its id, the first characters of it, or a tag.

        Raises:
            ArtifactError: There is none, there are several, or it was removed.
        """
        artifact = self.known(text)
        if artifact.removed:
            raise ArtifactError(
                f"artifact {artifact.id} was removed",
                code="SYM-A002",
                hint="`restore` brings it back until it is collected.",
                details={"id": artifact.id, "removed": artifact.removed},
            )
        return artifact

    def _version(self, name: str, id: str) -> int:
        """Which version of a name an artifact is now; a new one where the newest is another."""
        versions = self.versions.setdefault(name, {})
        newest, held_by = next(reversed(versions.items()), (0, ""))
        if held_by == id:
            return newest
        versions[newest + 1] = id
        if held_by:
            self.relate(id, "replaces", held_by)
        return newest + 1


def checked_description(
    name: str, media_type: str, metadata: Mapping[str, str] | None, lineage: Lineage | None
) -> Description:
    """A description that can be kept.

    Args:
        name: File name for people.
        media_type: Such as `text/html`.
        metadata: Facts to keep beside it.
        lineage: Where it comes from.

    Raises:
        ArtifactError: Something of it is not what it should be.
    """
    told = (name, media_type, dict(metadata or {}), msgspec.structs.asdict(lineage or Lineage()))
    try:
        description: Description = msgspec.convert(told, Description)
        _encode(description)
    except (msgspec.ValidationError, UnicodeEncodeError, TypeError) as error:
        raise ArtifactError(
            f"artifact {name!r} cannot be described so: {error}",
            code="SYM-A010",
            hint="Name and media type are text, metadata is a mapping of text to text, lineage is a Lineage.",
        ) from error
    return description


def checked_moment(moment: float) -> float:
    """A moment at which something can have been stored.

    Args:
        moment: Unix time in seconds.

    Raises:
        ArtifactError: It is none.
    """
    checked: float
    try:
        checked = msgspec.convert(moment, Annotated[float, msgspec.Meta(ge=0, le=253402300799)])
    except msgspec.ValidationError as error:
        raise ArtifactError(
            f"nothing was stored at {moment!r}: {error}", code="SYM-A010", hint="Give a Unix time in seconds."
        ) from error
    return checked


def artifacts_of(relation: Relation) -> tuple[str, ...]:
    """Ids of the artifacts that a relation is between.

    Args:
        relation: The relation.
    """
    return (relation.subject,) if relation.kind == "produced-by" else (relation.subject, relation.object)


def check_range(id: str, offset: int, length: int) -> None:
    """Refuse a range that begins or ends before the first byte.

    Args:
        id: The artifact.
        offset: First byte, counted from 0.
        length: How many bytes.

    Raises:
        ArtifactError: It does.
    """
    if offset < 0 or length < 0:
        raise ArtifactError(
            f"artifact {id} has no {length} bytes from {offset} on; both count from 0",
            code="SYM-A010",
            details={"id": id},
        )


def check_whole(id: str) -> None:
    """Refuse what is not a whole id.

    Args:
        id: What was given as an id.

    Raises:
        ArtifactError: It is not.
    """
    if not _ID.fullmatch(id) or len(id) < _WHOLE:
        raise ArtifactError(
            f"{id[:200]!r} is not a whole id; an artifact is removed only by its whole id",
            code="SYM-A004",
            hint="Look at the artifact: its description has the whole id.",
            details={"id": id[:200]},
        )


def check_removable(artifact: Artifact) -> None:
    """Refuse to remove what is pinned or held.

    Args:
        artifact: The artifact.

    Raises:
        ArtifactError: It is; with each reason.
    """
    reasons = [f"it is held for {reason!r}" for reason in artifact.holds]
    if artifact.pinned:
        reasons.insert(0, "it is pinned")
    if reasons:
        raise ArtifactError(
            f"artifact {artifact.id} cannot be removed: {', '.join(reasons)}",
            code="SYM-A040",
            hint="Unpin it, and release it of each reason, if you may.",
            details={"id": artifact.id, "pinned": artifact.pinned, "holds": list(artifact.holds)},
        )


def check_tag(tag: str) -> None:
    """Refuse what is not how tags are written.

    Args:
        tag: The tag.

    Raises:
        ArtifactError: It is not.
    """
    if not _TAG.fullmatch(tag):
        raise ArtifactError(
            f"{tag[:200]!r} is not how tags are written; expected 1 to 128 letters, digits, and `.`, `_`, `-`, `/` "
            "inside, not beginning with `b3-`",
            code="SYM-A041",
            hint="Such as `stable` or `release/2026-11`.",
            details={"tag": tag[:200]},
        )


def _missing(text: str) -> ArtifactError:
    return ArtifactError(
        f"there is no artifact {text}",
        code="SYM-A002",
        hint="It was never stored here. `symphony artifacts list` shows what there is; ids begin with `b3-`.",
        details={"id": text},
    )


def no_tag(tag: str) -> ArtifactError:
    """Nothing has this tag.

    Args:
        tag: The tag.
    """
    return ArtifactError(
        f"no artifact has the tag {tag!r}",
        code="SYM-A041",
        hint="What begins with `b3-` is an id, all else is a tag.",
        details={"tag": tag},
    )


def damaged(id: str) -> ArtifactError:
    """The bytes of an artifact are not what was stored.

    Args:
        id: The artifact.
    """
    return ArtifactError(
        f"artifact {id} is damaged",
        code="SYM-A005",
        hint="Run again what made it: storing the same bytes mends it.",
        details={"id": id, "artifacts": [id]},
    )

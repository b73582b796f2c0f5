"""The Artifact Store in memory."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final, get_args

import msgspec

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError, ErrorPayload
from symphony_sdk.ports.artifact_tiers import ArtifactTier
from symphony_sdk.ports.artifacts import (
    GRACE,
    ArtifactInfo,
    Collected,
    Durability,
    Found,
    Hold,
    KeyInfo,
    Lineage,
    OnArtifactProgress,
    Relation,
    RelationKind,
    Score,
    StoreUsage,
    Tag,
    TierReport,
    TierStatus,
    checked_score,
)
from symphony_sdk.testing.fakes.artifact_records import (
    Artifact,
    Records,
    artifacts_of,
    check_range,
    check_removable,
    check_tag,
    check_whole,
    checked_description,
    checked_moment,
    damaged,
    no_tag,
    related_to_itself,
)
from symphony_sdk.testing.fakes.artifact_tiers import FakeTiering
from symphony_sdk.testing.fakes.artifact_words import found, words_of

_PART: Final = 1 << 20


class FakeArtifactStore:
    """Fake of ArtifactStore: bytes in memory, ids from SHA-256.

    Args:
        tier: Its tier; None where it has none.
    """

    def __init__(self, tier: ArtifactTier | None = None) -> None:
        self._tiering = FakeTiering(tier)
        self._lock = threading.RLock()
        self._records = Records()
        self._keys = [KeyInfo(1, time.time(), "file in memory", True)]

    def put(
        self,
        data: bytes | memoryview,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        lineage: Lineage | None = None,
        durability: Durability = "group",
        created: float | None = None,
    ) -> ArtifactRef:
        """Keep bytes."""
        if durability not in get_args(Durability):
            raise ArtifactError(
                f"there is no durability {durability!r}; expected one of {', '.join(get_args(Durability))}",
                code="SYM-A010",
            )
        description = checked_description(name, media_type, metadata, lineage)
        moment = time.time() if created is None else checked_moment(created)
        kept = bytes(data)
        id = f"b3-{sha256(kept).hexdigest()}"
        with self._lock:
            artifact = self._records.artifacts.setdefault(id, Artifact(id, kept))
            artifact.removed, artifact.damaged = 0.0, False
            self._tiering.stored(id)
            return self._records.describe(artifact, description, moment)

    def put_stream(
        self,
        parts: Iterable[bytes | memoryview],
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        lineage: Lineage | None = None,
        durability: Durability = "group",
        created: float | None = None,
    ) -> ArtifactRef:
        """Keep bytes that come in parts."""
        return self.put(
            b"".join(map(bytes, parts)),
            name=name,
            media_type=media_type,
            metadata=metadata,
            lineage=lineage,
            durability=durability,
            created=created,
        )

    def identify(self, parts: Iterable[bytes | memoryview]) -> str:
        """The id that bytes have."""
        whole = sha256()
        for part in parts:
            whole.update(part)
        return f"b3-{whole.hexdigest()}"

    def get(self, id: str) -> bytes:
        """All bytes of an artifact."""
        return self._tiering.data_of(self._readable(id))

    def read(self, id: str, offset: int, length: int) -> bytes:
        """Some bytes of an artifact."""
        check_range(id, offset, length)
        return self._tiering.data_of(self._readable(id))[offset : offset + length]

    def stream(self, id: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of an artifact in parts."""
        check_range(id, offset, length or 0)
        data = self._tiering.data_of(self._readable(id))
        end = len(data) if length is None else min(len(data), offset + length)
        return (data[start : min(start + _PART, end)] for start in range(offset, end, _PART))

    def info(self, id: str) -> ArtifactInfo:
        """What an artifact was last stored with."""
        return self.history(id)[0]

    def history(self, id: str) -> Sequence[ArtifactInfo]:
        """Everything that an artifact was ever stored with."""
        with self._lock:
            artifact = self._records.known(id)
            return [
                self._records.told(artifact, info) for _, info in reversed(artifact.descriptions.values())
            ]

    def versions(self, name: str, limit: int = 100) -> Sequence[ArtifactInfo]:
        """The versions of a name."""
        with self._lock:
            newest = list(reversed(self._records.versions.get(name, {}).items()))[:limit]
            return [
                next(info for info in self.history(id) if (info.ref.name, info.version) == (name, version))
                for version, id in newest
            ]

    def find(
        self,
        *,
        run: str = "",
        name: str = "",
        tag: str = "",
        media_type: str = "",
        since: float = 0.0,
        until: float | None = None,
        removed: bool = False,
        quality: float = 0.0,
        limit: int = 100,
    ) -> Sequence[ArtifactInfo]:
        """Artifacts, the newest first."""

        def fits(info: ArtifactInfo) -> bool:
            return (
                run in ("", info.lineage.run)
                and name in info.ref.name
                and info.ref.media_type.startswith(media_type)
                and since <= info.created
                and (until is None or info.created < until)
            )

        def good(artifact: Artifact) -> bool:
            return not quality or (artifact.quality is not None and artifact.quality >= quality)

        with self._lock:
            tagged = {kept.id for kept in self._records.tags.values() if kept.name.startswith(tag)}
            found: list[tuple[int, ArtifactInfo]] = []
            for artifact in self._records.artifacts.values():
                if (
                    bool(artifact.removed) == removed
                    and (not tag or artifact.id in tagged)
                    and good(artifact)
                ):
                    fitting = (one for one in reversed(artifact.descriptions.values()) if fits(one[1]))
                    found.extend([*fitting][:1])
            found.sort(key=lambda one: one[0], reverse=True)
            return [
                self._records.told(self._records.artifacts[info.ref.id], info) for _, info in found[:limit]
            ]

    def search(
        self,
        query: str,
        *,
        run: str = "",
        tag: str = "",
        media_type: str = "",
        since: float = 0.0,
        until: float | None = None,
        quality: float = 0.0,
        limit: int = 20,
        fresh: bool = False,
    ) -> Sequence[Found]:
        """Artifacts with all words of a query; each is found at once."""
        with self._lock:
            fitting = self.find(
                run=run,
                tag=tag,
                media_type=media_type,
                since=since,
                until=until,
                quality=quality,
                limit=len(self._records.artifacts),
            )
            if not query.strip():
                return [Found(info, 0.0, info.ref.name) for info in fitting[:limit]]
            words = words_of(query)
            hits = [found(self._records.artifacts[info.ref.id], info, words) for info in fitting]
        return sorted((hit for hit in hits if hit is not None), key=lambda hit: -hit.rank)[:limit]

    def tag(self, id: str, tag: str) -> Tag:
        """Give an artifact a tag."""
        check_tag(tag)
        with self._lock:
            artifact = self._records.present(id)
            if tag not in self._records.tags or self._records.tags[tag].id != artifact.id:
                self._records.tags[tag] = Tag(tag, artifact.id, time.time())
            return self._records.tags[tag]

    def untag(self, tag: str) -> None:
        """Take a tag away."""
        check_tag(tag)
        with self._lock:
            if self._records.tags.pop(tag, None) is None:
                raise no_tag(tag)

    def tags(self, limit: int = 1000) -> Sequence[Tag]:
        """The tags, in alphabetical order."""
        with self._lock:
            return [self._records.tags[name] for name in sorted(self._records.tags)[:limit]]

    def pin(self, id: str) -> None:
        """Keep an artifact from being removed."""
        with self._lock:
            self._records.present(id).pinned = True

    def unpin(self, id: str) -> None:
        """Let an artifact be removed again."""
        with self._lock:
            self._records.present(id).pinned = False

    def hold(self, id: str, reason: str) -> None:
        """Keep an artifact from being removed, for a reason."""
        if not reason:
            raise ArtifactError(
                f"artifact {id} is to be held without a reason",
                code="SYM-A010",
                hint="Say why, so that somebody can tell later when it may be released.",
            )
        with self._lock:
            self._records.present(id).holds.setdefault(reason, Hold(reason, time.time()))

    def release(self, id: str, reason: str) -> None:
        """End a hold."""
        with self._lock:
            artifact = self._records.present(id)
            if artifact.holds.pop(reason, None) is None:
                raise ArtifactError(
                    f"artifact {artifact.id} is not held for {reason!r}; it is held for "
                    f"{', '.join(map(repr, artifact.holds)) or 'nothing'}",
                    code="SYM-A042",
                    hint="Give the reason exactly as it was given when it was held.",
                    details={"id": artifact.id, "holds": list(artifact.holds)},
                )

    def relate(self, subject: str, kind: RelationKind, object: str) -> Relation:
        """Say what one artifact is to another."""
        if kind not in get_args(RelationKind):
            raise ArtifactError(
                f"there is no relation {kind!r}; expected one of {', '.join(get_args(RelationKind))}",
                code="SYM-A042",
            )
        with self._lock:
            one = self._records.known(subject).id
            other = object if kind == "produced-by" else self._records.known(object).id
            if one == other:
                raise related_to_itself(one, kind)
            return self._records.relate(one, kind, other)

    def derive(self, ids: Sequence[str], sources: Sequence[str]) -> None:
        """Say that artifacts are derived from others."""
        with self._lock:
            meant = [
                (self._records.present(id).id, self._records.present(source).id)
                for id in ids
                for source in sources
            ]
            for one, other in meant:
                if one == other:
                    raise related_to_itself(one, "derived-from")
            for one, other in meant:
                self._records.relate(one, "derived-from", other)

    def relations(self, id: str) -> Sequence[Relation]:
        """What an artifact is to others and they are to it."""
        with self._lock:
            whole = self._records.known(id).id
            return [one for one in reversed(self._records.relations.values()) if whole in artifacts_of(one)]

    def lineage(self, id: str, *, depth: int = 32, down: bool = False) -> Sequence[Relation]:
        """The relations that lead from an artifact to all it comes from."""
        with self._lock:
            level = [self._records.known(id).id]
            seen = set(level)
            found: list[Relation] = []
            relations = list(reversed(self._records.relations.values()))
            if down:  # a run is no artifact, and what it produced is no lineage of another
                relations = [one for one in relations if one.kind != "produced-by"]
            for _ in range(depth):
                steps = [
                    one for at in level for one in relations if at == (one.object if down else one.subject)
                ]
                found += steps
                ends = [one.subject if down else one.object for one in steps if one.kind != "produced-by"]
                level = [end for end in dict.fromkeys(ends) if end not in seen]
                seen.update(level)
                if not level:
                    break
            return found

    def score(self, id: str, score: Score) -> Score:
        """Keep how good an artifact is."""
        kept = checked_score(score)
        with self._lock:
            self._records.present(id).scores[kept.scorer] = kept
        return kept

    def scores(self, id: str) -> Sequence[Score]:
        """The scores of an artifact."""
        with self._lock:
            return [score for _, score in sorted(self._records.known(id).scores.items())]

    def remove(self, id: str) -> None:
        """Remove an artifact."""
        check_whole(id)
        with self._lock:
            artifact = self._records.present(id)
            check_removable(artifact)
            artifact.removed = time.time()

    def restore(self, id: str) -> None:
        """Undo a removal."""
        with self._lock:
            artifact = self._records.known(id)
            if not artifact.removed:
                raise ArtifactError(
                    f"artifact {artifact.id} is not removed",
                    code="SYM-A042",
                    hint="There is nothing to restore.",
                    details={"id": artifact.id},
                )
            artifact.removed = 0.0

    def collect(
        self, *, grace: float = GRACE, dry_run: bool = False, on_progress: OnArtifactProgress | None = None
    ) -> Collected:
        """Forget what was removed."""
        with self._lock:
            removed = [artifact for artifact in self._records.artifacts.values() if artifact.removed]
            gone = [artifact for artifact in removed if artifact.removed <= time.time() - grace]
            freed, all_bytes = (sum(len(one.data) for one in some) for some in (gone, removed))
            if not dry_run:
                for artifact in gone:
                    self._records.forget(artifact.id)
        if on_progress:
            on_progress(freed, freed)
        return Collected(len(gone), freed, all_bytes - freed)

    def verify(self, on_progress: OnArtifactProgress | None = None) -> Sequence[ErrorPayload]:
        """Name those whose bytes are damaged."""
        with self._lock:
            faults = [damaged(one.id).payload() for one in self._records.artifacts.values() if one.damaged]
            size = sum(len(artifact.data) for artifact in self._records.artifacts.values())
        if on_progress:
            on_progress(size, size)
        return faults

    def usage(self) -> StoreUsage:
        """What the store holds; it has no files."""
        with self._lock:
            sizes = [
                len(artifact.data) for artifact in self._records.artifacts.values() if not artifact.removed
            ]
            stored = sum(len(artifact.data) for artifact in self._records.artifacts.values())
            return StoreUsage(len(sizes), sum(sizes), stored, len(self._records.artifacts) - len(sizes), 0)

    def back_up(self, *, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Copy what the tier does not have."""
        with self._lock:
            return self._tiering.back_up(self._records, on_progress)

    def offload(self, *, age: float, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Have artifacts in the tier alone."""
        with self._lock:
            return self._tiering.offload(self._records, age, on_progress)

    def recall(self, *, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Bring back what is in the tier alone."""
        with self._lock:
            return self._tiering.recall(self._records, on_progress)

    def rebuild(self, *, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Become the store that was backed up to the tier."""
        with self._lock:
            self._records, report = self._tiering.rebuild(self._records, on_progress)
            return report

    def tier(self) -> TierStatus:
        """How much is in the tier."""
        with self._lock:
            return self._tiering.status(self._records)

    def keys(self) -> Sequence[KeyInfo]:
        """The keys of the store, which protect nothing here."""
        with self._lock:
            return list(reversed(self._keys))

    def rotate_keys(self, *, data: bool = False) -> KeyInfo:
        """Note a new key where what is stored from now on is to be sealed with one."""
        with self._lock:
            if data:
                epoch, source = len(self._keys) + 1, self._keys[-1].source
                self._keys[-1] = msgspec.structs.replace(self._keys[-1], current=False)
                self._keys.append(KeyInfo(epoch, time.time(), source, True))
            return self._keys[-1]

    def close(self) -> None:
        """There is nothing to close."""

    def damage(self, id: str) -> None:
        """Damage the bytes of an artifact, as a failing disk does: they cannot be read until they are put again.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none.
        """
        with self._lock:
            self._records.known(id).damaged = True

    def _readable(self, id: str) -> Artifact:
        with self._lock:
            artifact = self._records.present(id)
            if artifact.damaged:
                raise damaged(artifact.id)
            return artifact

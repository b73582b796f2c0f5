"""The Artifact Store of the Pit: bytes by their content, their names and versions, and where they come from.

An artifact is given by its id, by the first characters of it where only one artifact has them, or by a tag.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError, ErrorPayload

Durability = Literal["os", "group", "sync"]
"""`os`: handed to the operating system; `group`: synced with the next group; `sync`: synced before return."""

RelationKind = Literal["derived-from", "produced-by", "replaces"]
"""`derived-from`: made from another; `produced-by`: made by a run; `replaces`: a newer version of another."""

OnArtifactProgress = Callable[[int, int], None]
"""Told how many bytes are done, and of how many."""

GRACE = 7 * 24 * 3600.0
"""Seconds for which what was removed can be restored, unless another time is given."""


class Lineage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an artifact comes from.

    Args:
        run: Id of the run.
        node: Id of the node.
        extension: Id of the extension.
        inputs: Ids of the artifacts that it was made from.
        version: Version of the extension.
    """

    run: str = ""
    node: str = ""
    extension: str = ""
    inputs: tuple[str, ...] = ()
    version: str = ""


class Hold(msgspec.Struct, frozen=True):
    """Why an artifact must not be removed.

    Args:
        reason: Why.
        created: Unix time in seconds since when.
    """

    reason: str
    created: float


class Score(msgspec.Struct, frozen=True):
    """How good an artifact is, as one scorer sees it.

    Args:
        scorer: Id of the scorer, such as `acme.text.readability`.
        version: Version of it: scores of different ones may not be compared.
        value: From 0, of no use, to 1, as good as can be.
        reason: Why, in a line for people.
        inputs: What the scorer was given besides the artifact, as text.
        created: Unix time in seconds when it was given; 0 stands for now.
    """

    scorer: str
    version: str
    value: float
    reason: str = ""
    inputs: dict[str, str] = {}
    created: float = 0.0


class ArtifactInfo(msgspec.Struct, frozen=True):
    """What the Artifact Store knows of an artifact.

    Args:
        ref: The artifact.
        created: Unix time in seconds when it was first stored with this description.
        metadata: Facts kept beside it.
        lineage: Where it comes from.
        version: Which version of its name it is, counted from 1; 0 where it has no name.
        tags: The tags that it has.
        pinned: Whether it is pinned.
        holds: Why it must not be removed.
        removed: Unix time in seconds when it was removed; 0 where it was not.
        quality: The mean of its scores, from 0 to 1; None where nobody scored it.
    """

    ref: ArtifactRef
    created: float
    metadata: dict[str, str] = {}
    lineage: Lineage = Lineage()
    version: int = 0
    tags: tuple[str, ...] = ()
    pinned: bool = False
    holds: tuple[Hold, ...] = ()
    removed: float = 0.0
    quality: float | None = None


class Found(msgspec.Struct, frozen=True):
    """An artifact that was searched for.

    Args:
        info: What is known of it: the newest of its descriptions that fits.
        rank: How well it fits, against others of the same search; artifacts of more quality rank higher.
        snippet: A part of its text that shows why; else its name, a tag, or a fact.
        highlights: Begin and end of each word in the snippet that was looked for, in characters.
    """

    info: ArtifactInfo
    rank: float
    snippet: str
    highlights: tuple[tuple[int, int], ...] = ()


class Tag(msgspec.Struct, frozen=True):
    """A name for one artifact at a time.

    Args:
        name: The name.
        id: Id of the artifact that has it.
        created: Unix time in seconds when that got it.
    """

    name: str
    id: str
    created: float


class Relation(msgspec.Struct, frozen=True):
    """What one artifact is to another, or to the run that made it.

    Args:
        subject: Id of an artifact.
        kind: What it is to the other.
        object: Id of the other; of `produced-by`, `RUN/NODE EXTENSION VERSION` as far as these are known.
        created: Unix time in seconds since when.
    """

    subject: str
    kind: RelationKind
    object: str
    created: float


class Collected(msgspec.Struct, frozen=True):
    """What a collection freed, or would free.

    Args:
        artifacts: How many artifacts are gone for good.
        freed: Bytes of disk that are free again.
        waiting: Bytes that can be freed once nobody can be reading them any more, or their time of grace is over.
    """

    artifacts: int
    freed: int
    waiting: int


class StoreUsage(msgspec.Struct, frozen=True):
    """What a store holds.

    Args:
        artifacts: How many artifacts.
        bytes: Bytes of all of them, each artifact counted once.
        stored: Bytes on disk.
        removed: How many were removed and can still be restored.
        packs: How many files they are in.
    """

    artifacts: int
    bytes: int
    stored: int
    removed: int
    packs: int


class KeyInfo(msgspec.Struct, frozen=True):
    """A key of a store, without the key.

    Args:
        epoch: Its number, counted from 1.
        created: Unix time in seconds when it was made.
        source: Where the master key that protects it is: `passphrase`, `keyring`, or `file PATH`.
        current: Whether new data is sealed with it.
    """

    epoch: int
    created: float
    source: str
    current: bool


def checked_score(score: Score) -> Score:
    """A score as it can be kept, with the time.

    Args:
        score: The score.

    Raises:
        ArtifactError: It has no scorer or no version, its value is none from 0 to 1, or something of it has another
            type.
    """
    try:
        told = msgspec.convert(msgspec.structs.asdict(score), Score)
        msgspec.json.encode(told)
    except (msgspec.ValidationError, UnicodeEncodeError, TypeError) as error:
        raise _no_score(score, str(error)) from error
    if not told.scorer or not told.version:
        raise _no_score(score, "its scorer and the version of that are not both named")
    if not 0 <= told.value <= 1:
        raise _no_score(score, f"its value is {told.value}")
    if not 0 <= told.created < math.inf:
        raise _no_score(score, f"it was given at {told.created}")
    return msgspec.structs.replace(told, created=told.created or time.time())


def _no_score(score: Score, found: str) -> ArtifactError:
    return ArtifactError(
        f"{score.scorer!r:.140} gave no score: {found}",
        code="SYM-A025",
        hint="A score has a scorer, the version of it, a value from 0 to 1, and inputs that are text by names.",
    )


class TierReport(msgspec.Struct, frozen=True):
    """What was moved between a store and its tier.

    Args:
        packs: How many packs were moved now.
        bytes: Bytes of them.
        kept: How many packs stayed where they are, as there was nothing to do for them.
        faults: What could not be moved, and why; each names its pack.
    """

    packs: int = 0
    bytes: int = 0
    kept: int = 0
    faults: tuple[ErrorPayload, ...] = ()


class TierStatus(msgspec.Struct, frozen=True):
    """How much of a store is in its tier.

    Args:
        url: Where the tier is.
        packs: How many packs the store has, wherever they are.
        bytes: Bytes of them.
        backed_up: Bytes that are on this machine and in the tier.
        offloaded: Bytes that are in the tier alone.
        offloaded_packs: How many packs are in the tier alone.
        missing: Packs that should be in the tier and are not there.
        unknown: Packs in the tier that this store does not have.
        problem: Why the tier could not be asked; `missing` and `unknown` are not known then.
    """

    url: str
    packs: int
    bytes: int
    backed_up: int
    offloaded: int
    offloaded_packs: int
    missing: tuple[str, ...] = ()
    unknown: int = 0
    problem: ErrorPayload | None = None


class ArtifactStore(Protocol):
    """Keeps bytes by their content; safe with many threads."""

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
        """Store bytes; storing the same bytes again costs no space, and restores them where they were removed.

        A name with other bytes than before is the next version of it.

        Args:
            data: The bytes.
            name: File name for people.
            media_type: Such as `text/html`.
            metadata: Facts to keep beside it.
            lineage: Where it comes from.
            durability: When it counts as stored.
            created: Unix time in seconds when it was first stored, where that was elsewhere; None for now.

        Raises:
            ArtifactError: It cannot be written.
        """

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
        """Store bytes that need not fit into memory, as `put` does.

        Args:
            parts: The bytes, in parts of any size. What it raises passes through, and nothing is stored.
            name: File name for people.
            media_type: Such as `text/html`.
            metadata: Facts to keep beside it.
            lineage: Where it comes from.
            durability: When it counts as stored.
            created: Unix time in seconds when it was first stored, where that was elsewhere; None for now.

        Raises:
            ArtifactError: It cannot be written.
        """

    def identify(self, parts: Iterable[bytes | memoryview]) -> str:
        """The id that bytes have in this store, whether they are in it or not; nothing is stored.

        Args:
            parts: The bytes, in parts of any size. What it raises passes through.
        """

    def get(self, id: str) -> bytes:
        """All bytes of an artifact, checked against its id.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none, there are several, it was removed, or its bytes are damaged.
        """

    def read(self, id: str, offset: int, length: int) -> bytes:
        """Some bytes of an artifact, checked; fewer at its end.

        Args:
            id: The artifact.
            offset: First byte, counted from 0.
            length: How many bytes.

        Raises:
            ArtifactError: There is none, or its bytes are damaged.
        """

    def stream(self, id: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of an artifact in parts, each checked before it is given, in constant memory.

        Args:
            id: The artifact.
            offset: First byte, counted from 0.
            length: How many bytes; None for all that follow.

        Raises:
            ArtifactError: There is none, or its bytes are damaged.
        """

    def info(self, id: str) -> ArtifactInfo:
        """What is known of an artifact: what it was last stored with; also of one that was removed.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none, or there are several.
        """

    def history(self, id: str) -> Sequence[ArtifactInfo]:
        """Everything that an artifact was ever stored with, the newest first, each once.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none, or there are several.
        """

    def versions(self, name: str, limit: int = 100) -> Sequence[ArtifactInfo]:
        """The versions of a name, the newest first.

        Args:
            name: The whole name.
            limit: At most so many.
        """

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
        """Artifacts, the newest first, each once: with the newest of its descriptions that fits.

        Args:
            run: Only those of this run.
            name: Only those with this text in their name.
            tag: Only those with a tag that begins so.
            media_type: Only those of a type that begins so, such as `image/`.
            since: Only those stored at this Unix time in seconds, or later.
            until: Only those stored before this Unix time in seconds.
            removed: Only those that were removed, in place of those that were not.
            quality: Only those whose quality is at least this; with 0, also those that nobody scored.
            limit: At most so many.
        """

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
        """Artifacts with all words of a query in their text, name, tags or metadata, the best first.

        Args:
            query: Words, `"phrases"`, `OR`, `-not`, `name:word`, `metadata.key:word`: the syntax of tantivy. Empty: all
                that fit the filters, the newest first.
            run: Only those of this run.
            tag: Only those with a tag that begins so.
            media_type: Only those of a type that begins so, such as `text/`.
            since: Only those stored at this Unix time in seconds, or later.
            until: Only those stored before this Unix time in seconds.
            quality: Only those whose quality is at least this; with 0, also those that nobody scored.
            limit: At most so many.
            fresh: Whether all that was stored before is found. It is indexed about a second later, else.

        Raises:
            ArtifactError: The query cannot be understood, or what is stored cannot be indexed.
        """

    def tag(self, id: str, tag: str) -> Tag:
        """Give an artifact a tag; another that had it has it no more.

        Args:
            id: The artifact.
            tag: 1 to 128 letters, digits, and `.`, `_`, `-`, `/` inside; does not begin with `b3-`.

        Raises:
            ArtifactError: There is no such artifact, or tags are not written so.
        """

    def untag(self, tag: str) -> None:
        """Take a tag away.

        Args:
            tag: The tag.

        Raises:
            ArtifactError: Nothing has it.
        """

    def tags(self, limit: int = 1000) -> Sequence[Tag]:
        """The tags, in alphabetical order.

        Args:
            limit: At most so many.
        """

    def pin(self, id: str) -> None:
        """Keep an artifact from being removed until it is unpinned; a second time does nothing.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none.
        """

    def unpin(self, id: str) -> None:
        """Let an artifact be removed again; does nothing where it is not pinned.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none.
        """

    def hold(self, id: str, reason: str) -> None:
        """Keep an artifact from being removed until it is released of this reason, whoever else holds it.

        Args:
            id: The artifact.
            reason: Why, for people; not empty.

        Raises:
            ArtifactError: There is no such artifact, or no reason.
        """

    def release(self, id: str, reason: str) -> None:
        """End a hold.

        Args:
            id: The artifact.
            reason: The reason that it was held for.

        Raises:
            ArtifactError: There is no such artifact, or it is not held for that.
        """

    def relate(self, subject: str, kind: RelationKind, object: str) -> Relation:
        """Say what one artifact is to another; a second time does nothing.

        Args:
            subject: The artifact.
            kind: What it is to the other.
            object: The other artifact; of `produced-by`, any text.

        Raises:
            ArtifactError: There is none of them, they are one and the same, or the kind is unknown.
        """

    def derive(self, ids: Sequence[str], sources: Sequence[str]) -> None:
        """Say that each of some artifacts is derived from each of some others, all at once; what is known stays.

        Args:
            ids: The artifacts.
            sources: Those that they were made from.

        Raises:
            ArtifactError: One of them is not there, or an artifact is among its own sources; then nothing is said.
        """

    def relations(self, id: str) -> Sequence[Relation]:
        """What an artifact is to others and they are to it, the newest first.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none.
        """

    def lineage(self, id: str, *, depth: int = 32, down: bool = False) -> Sequence[Relation]:
        """The relations that lead from an artifact to all it comes from, the nearest first, each once.

        Args:
            id: The artifact.
            depth: At most so many steps.
            down: To all that came from it, instead.

        Raises:
            ArtifactError: There is none.
        """

    def score(self, id: str, score: Score) -> Score:
        """Keep how good an artifact is, in the place of what the same scorer said before; gives what is kept.

        Args:
            id: The artifact.
            score: The score.

        Raises:
            ArtifactError: There is no such artifact, the scorer has no name or no version, or the value is none.
        """

    def scores(self, id: str) -> Sequence[Score]:
        """The scores of an artifact, in the alphabetical order of the scorers.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none.
        """

    def remove(self, id: str) -> None:
        """Remove an artifact: it is not found and not read any more, and can be restored until it is collected.

        Args:
            id: Its whole id.

        Raises:
            ArtifactError: There is none, it is pinned, or it is held.
        """

    def restore(self, id: str) -> None:
        """Undo a removal.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none that was removed and not yet collected.
        """

    def collect(
        self, *, grace: float = GRACE, dry_run: bool = False, on_progress: OnArtifactProgress | None = None
    ) -> Collected:
        """Free the space of what was removed, and of what no artifact needs; others may store and read meanwhile.

        Args:
            grace: Only what was removed so many seconds ago, or longer.
            dry_run: Only say what would be freed.
            on_progress: Told how far it is.

        Raises:
            ArtifactError: Something is damaged, or cannot be written; nothing that is needed was freed.
        """

    def verify(self, on_progress: OnArtifactProgress | None = None) -> Sequence[ErrorPayload]:
        """Read every byte, and name each fault, with the artifacts that it touches in `details["artifacts"]`.

        Args:
            on_progress: Told how far it is.
        """

    def usage(self) -> StoreUsage:
        """What the store holds."""

    def back_up(self, *, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Copy what the tier does not have yet; each copy is read back and compared before it counts.

        Args:
            on_progress: Told how far it is.

        Raises:
            ArtifactError: There is no tier, it cannot be reached, or it is that of another store.
        """

    def offload(self, *, age: float, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Have packs in the tier alone: what was not written to for a while is backed up, then leaves this machine.

        It is read from the tier from then on.

        Args:
            age: Only what was last written so many seconds ago, or longer.
            on_progress: Told how far it is.

        Raises:
            ArtifactError: There is no tier, it cannot be reached, or it is that of another store.
        """

    def recall(self, *, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Bring everything that is in the tier alone back to this machine.

        Args:
            on_progress: Told how far it is.

        Raises:
            ArtifactError: There is no tier, it cannot be reached, or the disk refuses.
        """

    def rebuild(self, *, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Make this store, which is empty, the one that was backed up to its tier.

        Args:
            on_progress: Told how far it is.

        Raises:
            ArtifactError: This store is not empty, there is nothing in its tier, the master key of what is there is
                not here, or the tier cannot be reached. Nothing was changed that another attempt minds.
        """

    def tier(self) -> TierStatus:
        """How much of the store is in its tier.

        Raises:
            ArtifactError: There is no tier.
        """

    def keys(self) -> Sequence[KeyInfo]:
        """The keys of the store, the newest first."""

    def rotate_keys(self, *, data: bool = False) -> KeyInfo:
        """Protect the keys by a new master key; nothing that is stored is written again.

        Args:
            data: Whether what is stored from now on is sealed with a new key as well.

        Raises:
            ArtifactError: The new master key cannot be kept; the old one still holds.
        """

    def close(self) -> None:
        """Sync what is not yet synced, and close."""

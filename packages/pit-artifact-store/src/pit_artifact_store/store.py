"""The Artifact Store: bytes by their content, sealed, on this machine's disk."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, TypeVar, get_args

import apsw
import zstandard
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError, ErrorPayload
from symphony_sdk.ports import (
    GRACE,
    ArtifactInfo,
    ArtifactTier,
    Collected,
    Durability,
    Found,
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
)

from pit_artifact_store import layout
from pit_artifact_store.catalogue import Catalogue
from pit_artifact_store.checking import Checker
from pit_artifact_store.chunking import Chunker
from pit_artifact_store.collecting import Collector
from pit_artifact_store.committer import Committer
from pit_artifact_store.compressing import Compressor
from pit_artifact_store.entries import Description, describe
from pit_artifact_store.failures import damaged, disk_errors_named, out_of_reach
from pit_artifact_store.ids import ContentIds, text_of
from pit_artifact_store.index import Index
from pit_artifact_store.journal import Journal, Stale
from pit_artifact_store.keys import RepositoryKeys, open_keys, rotate
from pit_artifact_store.lookups import Filters, resolve
from pit_artifact_store.pack_files import PackFiles
from pit_artifact_store.packs import DamagedFrame
from pit_artifact_store.publishing import Publication, Publisher
from pit_artifact_store.reading import DamagedContent, Reader
from pit_artifact_store.recovery import recover
from pit_artifact_store.rows import Object
from pit_artifact_store.searching import Search
from pit_artifact_store.tiering.away import Packs, PacksHere
from pit_artifact_store.tiering.moving import Mover
from pit_artifact_store.tiering.rebuilding import Rebuilding, not_empty
from pit_artifact_store.tiering.remote import OutOfReach, Remote
from pit_artifact_store.tiering.stored_keys import has_keys, put_keys
from pit_artifact_store.tiering.stubs import Stubs

Result = TypeVar("Result")

UNREADABLE: Final = (OSError, DamagedFrame, DamagedContent, zstandard.ZstdError)


class Store:
    """Implements `symphony_sdk.ports.ArtifactStore` in a directory; safe with many threads and processes.

    Args:
        directory: Where it is; made if it is not there.
        open_tier: Opens its tier, when it is first needed; None where it has none.

    Raises:
        ArtifactError: The directory cannot be used, is of another version, or its keys cannot be had.
    """

    def __init__(self, directory: Path, open_tier: Callable[[], ArtifactTier] | None = None) -> None:
        self._root = directory
        self._process = os.getpid()
        self._remote = Remote(open_tier)
        self._open()

    def _open(self) -> None:
        self._closed = False
        with disk_errors_named(self._root, "opened"):
            self._keys, self._index, self._packs = self._join()
        self._files = self._packs.files
        self._ids = ids = ContentIds(self._keys.id_key)
        self._reader = Reader(self._packs, ids)
        self._journal = Journal(self._index, self._files)
        chunker = Chunker(self._keys.chunk_seed)
        # Nothing is shared with a pack that is in the tier alone: to store never waits for that.
        here = Reader(PacksHere(self._packs), ids)
        self._publisher = Publisher(self._index, self._journal, here, chunker, ids)
        self._catalogue = Catalogue(self._index, self._journal)
        self._mover = Mover(self._root, self._index, self._packs, self._journal, ids)
        self._collector = Collector(self._index, self._packs, self._journal, self._mover)
        self._compressor = Compressor(self._root, self._collector, self._publisher)
        self._checker = Checker(self._root, self._index, self._packs, ids)
        self._search = Search(self._root, self._index, self._reader, here, self._keys.search_key)
        alone = (ArtifactError, Stale, OSError, apsw.Error)
        self._committer: Committer[Publication] = Committer(self._publisher.commit, alone)

    def _join(self) -> tuple[RepositoryKeys, Index, Packs]:
        """Become one of the processes that use the directory; make it a store where it is not yet one."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with layout.joining(self._root):
            made = layout.is_made(self._root)
            if not made:
                layout.make_directories(self._root)
            keys = open_keys(self._root / "keys")
            files = PackFiles(self._root / "packs", keys, self._renew_keys)
            packs = Packs(files, Stubs(self._root), self._remote)
            index = Index(self._root / "index.db", keys.index_key)
            try:
                index.make()
                if not made:
                    layout.mark_made(self._root)
                recover(index, packs)
            except BaseException:
                index.close()
                raise
            return keys, index, packs

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- bytes ---------------------------------------------------------------------------------------

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
        """Store bytes; storing the same bytes again costs no space, and mends them if they were damaged.

        Args:
            data: The bytes.
            name: File name for people.
            media_type: Such as `text/html`.
            metadata: Facts to keep beside it.
            lineage: Where it comes from.
            durability: When it counts as stored. `os` survives the death of this process, `group` and
                `sync` a crash of the machine; `group` shares one sync among those who store at once.
            created: Unix time in seconds when it was first stored, where that was elsewhere; None for now.

        Raises:
            ArtifactError: It cannot be written.
        """
        description = self._describe(name, media_type, metadata, lineage, durability, created)
        view = memoryview(data)
        # Bytes that somebody could change between hashing and writing are copied first.
        view = view.cast("B") if view.readonly and view.c_contiguous else memoryview(bytes(view))
        with disk_errors_named(self._root):
            publication = self._publisher.stage(view, description, durable=durability != "os")
            self._publish(publication, durability)
        self._search.noticed()
        return ArtifactRef(text_of(publication.id), len(view), media_type, name)

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
            ArtifactError: It cannot be written, or what it shares with others was collected meanwhile.
        """
        description = self._describe(name, media_type, metadata, lineage, durability, created)
        durable = durability != "os"
        with disk_errors_named(self._root):
            try:
                publication = self._publisher.stage_stream(_foreign(parts), description, durable=durable)
                self._publish(publication, durability)
            except _FromParts as foreign:
                raise foreign.error from None
            except Stale:
                raise ArtifactError(
                    f"{name or 'an artifact'} was not stored: what it shares with others was collected meanwhile",
                    code="SYM-A011",
                    hint="Store it again.",
                ) from None
        self._search.noticed()
        return ArtifactRef(text_of(publication.id), publication.size, media_type, name)

    def identify(self, parts: Iterable[bytes | memoryview]) -> str:
        """The id that bytes have in this store, whether they are in it or not; nothing is stored.

        Args:
            parts: The bytes, in parts of any size. What it raises passes through.
        """
        self._expect_open()
        whole = self._ids.stream()
        for part in parts:
            whole.update(part)
        return text_of(whole.digest())

    def _publish(self, publication: Publication, durability: Durability) -> None:
        self._compressor.start()
        if durability == "group":
            with suppress(Stale):
                self._committer.submit(publication)
                return
        self._publisher.publish(publication)

    def get(self, id: str) -> bytes:
        """All bytes of an artifact, checked against its id.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none, there are several, it was removed, or its bytes are damaged.
        """
        self._expect_open()
        return self._with_object(id, self._reader.whole)

    def read(self, id: str, offset: int, length: int) -> bytes:
        """Some bytes of an artifact, checked; fewer at its end.

        Args:
            id: The artifact.
            offset: First byte, counted from 0.
            length: How many bytes.

        Raises:
            ArtifactError: There is none, its bytes are damaged, or the range begins before its first byte.
        """
        self._expect_range(id, offset, length)
        self._expect_open()
        return self._with_object(
            id, lambda found: b"".join(self._reader.parts(found, offset, min(offset + length, found.size)))
        )

    def stream(self, id: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of an artifact in parts, each checked before it is given, in constant memory.

        Args:
            id: The artifact.
            offset: First byte, counted from 0.
            length: How many bytes; None for all that follow.

        Raises:
            ArtifactError: There is none, its bytes are damaged, or the range begins before its first byte.
        """
        self._expect_range(id, offset, length or 0)
        self._expect_open()
        found = self._with_object(id, lambda found: found)
        end = found.size if length is None else min(offset + length, found.size)
        return self._parts(found, offset, end)

    def _parts(self, found: Object, at: int, end: int) -> Iterator[bytes]:
        while at < end:
            try:
                for part in self._reader.parts(found, at, end):
                    yield part
                    at += len(part)
            except UNREADABLE:
                # Packs may have been written anew meanwhile: look its place up again, and be sure of it.
                def again(found: Object, at: int = at) -> tuple[Object, bytes]:
                    return found, next(self._reader.parts(found, at, end))

                found, part = self._with_object(text_of(found.id), again)
                yield part
                at += len(part)

    # -- what is known -------------------------------------------------------------------------------

    def info(self, id: str) -> ArtifactInfo:
        """What is known of an artifact: what it was last stored with; also of one that was removed.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none, or there are several.
        """
        return self.history(id, 1)[0]

    def history(self, id: str, limit: int = -1) -> Sequence[ArtifactInfo]:
        """Everything that an artifact was ever stored with, the newest first, each once.

        Args:
            id: The artifact.
            limit: At most so many; -1 for all.

        Raises:
            ArtifactError: There is none, or there are several.
        """
        with self._reading():
            return self._catalogue.infos(id, limit)

    def versions(self, name: str, limit: int = 100) -> Sequence[ArtifactInfo]:
        """The versions of a name, the newest first.

        Args:
            name: The whole name.
            limit: At most so many.
        """
        with self._reading():
            return self._catalogue.versions(name, limit)

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
        with self._reading():
            return self._catalogue.find(
                run=run,
                name=name,
                tag=tag,
                media_type=media_type,
                since=since,
                until=until,
                removed=removed,
                quality=quality,
                limit=limit,
            )

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
        filters = Filters(run, "", tag, media_type, since, until, quality)
        with self._reading():
            for text in (query, run, tag, media_type):
                text.encode()  # what is no Unicode is named here
            if query.strip():
                return self._search.search(query, filters, limit, fresh=fresh)
            found = self._catalogue.find(**filters._asdict(), limit=limit)
            return [Found(info, 0.0, info.ref.name) for info in found]

    def tag(self, id: str, tag: str) -> Tag:
        """Give an artifact a tag; another that had it has it no more.

        Args:
            id: The artifact.
            tag: 1 to 128 letters, digits, and `.`, `_`, `-`, `/` inside; does not begin with `b3-`.

        Raises:
            ArtifactError: There is no such artifact, or tags are not written so.
        """
        with self._writing():
            return self._catalogue.tag(id, tag)

    def untag(self, tag: str) -> None:
        """Take a tag away.

        Args:
            tag: The tag.

        Raises:
            ArtifactError: Nothing has it.
        """
        with self._writing():
            self._catalogue.untag(tag)

    def tags(self, limit: int = 1000) -> Sequence[Tag]:
        """The tags, in alphabetical order.

        Args:
            limit: At most so many.
        """
        with self._reading():
            return self._catalogue.tags(limit)

    def pin(self, id: str) -> None:
        """Keep an artifact from being removed until it is unpinned; a second time does nothing.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none.
        """
        with self._writing():
            self._catalogue.pin(id, pinned=True)

    def unpin(self, id: str) -> None:
        """Let an artifact be removed again; does nothing where it is not pinned.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none.
        """
        with self._writing():
            self._catalogue.pin(id, pinned=False)

    def hold(self, id: str, reason: str) -> None:
        """Keep an artifact from being removed until it is released of this reason, whoever else holds it.

        Args:
            id: The artifact.
            reason: Why, for people; not empty.

        Raises:
            ArtifactError: There is no such artifact, or no reason.
        """
        with self._writing():
            self._catalogue.hold(id, reason, held=True)

    def release(self, id: str, reason: str) -> None:
        """End a hold.

        Args:
            id: The artifact.
            reason: The reason that it was held for.

        Raises:
            ArtifactError: There is no such artifact, or it is not held for that.
        """
        with self._writing():
            self._catalogue.hold(id, reason, held=False)

    def relate(self, subject: str, kind: RelationKind, object: str) -> Relation:
        """Say what one artifact is to another; a second time does nothing.

        Args:
            subject: The artifact.
            kind: What it is to the other.
            object: The other artifact; of `produced-by`, any text.

        Raises:
            ArtifactError: There is none of them, they are one and the same, or the kind is unknown.
        """
        with self._writing():
            return self._catalogue.relate([(subject, kind, object)])[0]

    def derive(self, ids: Sequence[str], sources: Sequence[str]) -> None:
        """Say that each of some artifacts is derived from each of some others, all at once; what is known stays.

        Args:
            ids: The artifacts.
            sources: Those that they were made from.

        Raises:
            ArtifactError: One of them is not there, or an artifact is among its own sources; then nothing is said.
        """
        with self._writing():
            self._catalogue.relate([(id, "derived-from", source) for id in ids for source in sources])

    def relations(self, id: str) -> Sequence[Relation]:
        """What an artifact is to others and they are to it, the newest first.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none.
        """
        with self._reading():
            return self._catalogue.relations(id)

    def lineage(self, id: str, *, depth: int = 32, down: bool = False) -> Sequence[Relation]:
        """The relations that lead from an artifact to all it comes from, the nearest first, each once.

        Args:
            id: The artifact.
            depth: At most so many steps.
            down: To all that came from it, instead.

        Raises:
            ArtifactError: There is none.
        """
        with self._reading():
            return self._catalogue.lineage(id, depth, down=down)

    def score(self, id: str, score: Score) -> Score:
        """Keep how good an artifact is, in the place of what the same scorer said before; gives what is kept.

        Args:
            id: The artifact.
            score: The score.

        Raises:
            ArtifactError: There is no such artifact, the scorer has no name or no version, or the value is none.
        """
        with self._writing():
            return self._catalogue.score(id, score)

    def scores(self, id: str) -> Sequence[Score]:
        """The scores of an artifact, in the alphabetical order of the scorers.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none.
        """
        with self._reading():
            return self._catalogue.scores(id)

    # -- keeping and freeing -------------------------------------------------------------------------

    def remove(self, id: str) -> None:
        """Remove an artifact: it is not found and not read any more, and can be restored until it is collected.

        Args:
            id: Its whole id.

        Raises:
            ArtifactError: There is none, it is pinned, or it is held.
        """
        with self._writing():
            self._catalogue.remove(id)

    def restore(self, id: str) -> None:
        """Undo a removal.

        Args:
            id: The artifact.

        Raises:
            ArtifactError: There is none that was removed and not yet collected.
        """
        with self._writing():
            self._catalogue.restore(id)

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
        with self._writing():
            return self._collector.collect(grace, dry_run=dry_run, on_progress=on_progress)

    def verify(self, on_progress: OnArtifactProgress | None = None) -> Sequence[ErrorPayload]:
        """Read every byte, and name each fault, with the artifacts that it touches in `details["artifacts"]`.

        Args:
            on_progress: Told how far it is.
        """
        self._expect_open()
        faults = [*self._checker.verify(on_progress), *self._search.faults()]
        return [error.payload() for error in faults]

    def usage(self) -> StoreUsage:
        """What the store holds."""
        with self._reading(), self._index.reading() as rows:
            artifacts, size = rows.first("select count(*), total(size) from object where removed = 0")
            (gone,) = rows.first("select count(*) from object where removed > 0")
        sizes = self._files.sizes()
        return StoreUsage(artifacts, int(size), sum(sizes), gone, len(sizes))

    # -- the tier ------------------------------------------------------------------------------------

    def back_up(self, *, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Copy what the tier does not have yet; each copy is read back and compared before it counts.

        Args:
            on_progress: Told how far it is.

        Raises:
            ArtifactError: There is no tier, it cannot be reached, or it is that of another store.
        """
        with self._reading():
            return self._mover.back_up(self._keys.tier_name, on_progress)

    def offload(self, *, age: float, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Have packs in the tier alone: what was not written to for a while is backed up, then leaves this machine.

        Args:
            age: Only what was last written so many seconds ago, or longer.
            on_progress: Told how far it is.

        Raises:
            ArtifactError: There is no tier, it cannot be reached, or it is that of another store.
        """
        with self._writing():
            return self._mover.offload(self._keys.tier_name, age, on_progress)

    def recall(self, *, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Bring everything that is in the tier alone back to this machine.

        Args:
            on_progress: Told how far it is.

        Raises:
            ArtifactError: There is no tier, it cannot be reached, or the disk refuses.
        """
        with self._writing():
            return self._mover.recall(on_progress)

    def rebuild(self, *, on_progress: OnArtifactProgress | None = None) -> TierReport:
        """Make this store, which is empty and which nobody else uses, the one that was backed up to its tier.

        Args:
            on_progress: Told how far it is.

        Raises:
            ArtifactError: This store is not empty, there is nothing in its tier, the master key of what is there is
                not here, or the tier cannot be reached. Another attempt goes on where this one ended.
        """
        with self._writing(), self._packs.stubs.locked():
            rebuilding = Rebuilding(self._root, self._remote.tier)
            self._expect_empty()
            report = rebuilding.fetch(on_progress)
            self.close()
            rebuilding.take_over()
        self._open()
        return report

    def tier(self) -> TierStatus:
        """How much of the store is in its tier.

        Raises:
            ArtifactError: There is no tier.
        """
        with self._reading():
            return self._mover.status()

    def _expect_empty(self) -> None:
        self._journal.finish()
        with self._index.reading() as rows:
            (artifacts,) = rows.first("select count(*) from object")
        if artifacts:
            raise not_empty(self._root, f"it has {artifacts:,} artifacts")
        for id in self._files.ids():
            with suppress(DamagedFrame):  # an attempt before brought it
                if self._files.lock(id) is None:
                    raise not_empty(self._root, "another process uses it")

    # -- keys ----------------------------------------------------------------------------------------

    def keys(self) -> Sequence[KeyInfo]:
        """The keys of the store, the newest first."""
        self._expect_open()
        return self._keys.infos

    def rotate_keys(self, *, data: bool = False) -> KeyInfo:
        """Protect the keys by a new master key; nothing that is stored is written again.

        Args:
            data: Whether what is stored from now on is sealed with a new key as well.

        Raises:
            ArtifactError: The new master key cannot be kept; the old one still holds. Or the keys are rotated, and the
                tier has the old ones still.
        """
        with self._writing(), layout.joining(self._root):
            self._keys = rotate(self._root / "keys", self._keys, data=data)
            self._files.wrapping = self._keys
        self._renew_keys_in_tier()
        return self._keys.infos[0]

    def _renew_keys_in_tier(self) -> None:
        """Have the keys in the tier, where the store is backed up: what is there opens with a key that is forgotten."""
        if not self._remote.is_set:
            return
        try:
            with self._writing(), self._packs.stubs.locked():
                if has_keys(self._remote.tier, self._keys.tier_name):
                    put_keys(self._remote.tier, self._keys.tier_name, (self._root / "keys").read_bytes())
        except ArtifactError as error:
            raise ArtifactError(
                f"the keys are rotated, but those in the tier are still the old ones: {error.message}",
                code=error.code,
                hint="Run `symphony artifacts tier back-up` as soon as it can be used: until then, the store cannot be "
                "restored from there.",
                details=error.details,
            ) from error

    def _renew_keys(self) -> RepositoryKeys:
        self._keys = open_keys(self._root / "keys")
        return self._keys

    def close(self) -> None:
        """Sync what is not yet synced, and close. A second time does nothing."""
        if self._closed or os.getpid() != self._process:
            return
        self._compressor.close()
        self._search.close()
        self._committer.close()
        self._closed = True
        with ExitStack() as closing:
            closing.callback(self._files.close)
            closing.callback(self._index.close)
            with disk_errors_named(self._root):
                self._journal.close()

    # -- for all of them -----------------------------------------------------------------------------

    def _describe(
        self,
        name: str,
        media_type: str,
        metadata: Mapping[str, str] | None,
        lineage: Lineage | None,
        durability: str,
        created: float | None,
    ) -> Description:
        self._expect_open()
        if durability not in get_args(Durability):
            raise ArtifactError(
                f"there is no durability {durability!r}; expected one of {', '.join(get_args(Durability))}",
                code="SYM-A010",
            )
        return describe(name, media_type, metadata, lineage, created)

    def _expect_range(self, id: str, offset: int, length: int) -> None:
        if offset < 0 or length < 0:
            raise ArtifactError(
                f"artifact {id} has no {length} bytes from {offset} on; both count from 0",
                code="SYM-A010",
                details={"id": id},
            )

    def _reading(self) -> ExitStack:
        return self._named("read")

    def _writing(self) -> ExitStack:
        stack = self._named("written to")
        stack.callback(self._search.noticed)
        return stack

    def _named(self, doing: str) -> ExitStack:
        self._expect_open()
        stack = ExitStack()
        stack.enter_context(disk_errors_named(self._root, doing))
        return stack

    def _expect_open(self) -> None:
        if self._closed:
            raise ArtifactError(f"the artifact store {self._root} is closed", code="SYM-A007")
        if os.getpid() != self._process:
            raise ArtifactError(
                f"the artifact store {self._root} was opened in process {self._process} and is used in its "
                f"fork {os.getpid()}",
                code="SYM-A007",
                hint="Open the store in each process that uses it.",
            )

    def _with_object(self, text: str, use: Callable[[Object], Result]) -> Result:
        """Use the bytes of an artifact, and be sure of it before they are called damaged."""
        with disk_errors_named(self._root, "read"):
            with self._index.peeking() as rows:
                found = resolve(rows, text, present=True)
            try:
                return use(found)
            except OutOfReach as away:
                raise out_of_reach(found.id, away.error) from away
            except UNREADABLE:
                # Its pack may have been written anew since its row was read: look once more, while nobody can write.
                with self._index.writing() as rows:
                    found = resolve(rows, text_of(found.id), present=True)
                    try:
                        return use(found)
                    except OutOfReach as away:
                        raise out_of_reach(found.id, away.error) from away
                    except FileNotFoundError as error:
                        raise damaged(found.id, f"its file {Path(error.filename).name} is gone") from error
                    except (DamagedFrame, DamagedContent, zstandard.ZstdError) as error:
                        raise damaged(found.id, str(error)) from error
                    except OSError as error:
                        if error.errno == errno.EIO:
                            raise damaged(found.id, "the disk cannot read its file") from error
                        raise


class _FromParts(Exception):
    """What the parts of a stream raised, kept apart from what the disk did."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _foreign(parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    try:
        yield from parts
    except Exception as error:
        raise _FromParts(error) from error

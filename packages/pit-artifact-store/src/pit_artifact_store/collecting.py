"""Frees the space of what no artifact needs, and compresses what is left where that pays, pack by pack.

A pack is never changed. What is still needed of it is written into another, synced, and in one transaction every
artifact refers to that and the pack is condemned. Writers that shared something with a condemned pack find out when
they commit, and write it again; readers look its place up again. A condemned pack stays for a while, and is then
deleted. So a collection needs nobody to stop, and a crash at any moment leaves each artifact in one place or both.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import zstandard
from symphony_sdk.ports import Collected, OnArtifactProgress

from pit_artifact_store.applying import is_newest
from pit_artifact_store.index import Index
from pit_artifact_store.journal import Journal, Stale
from pit_artifact_store.packs import CHUNK, COMMIT, HEADER_BYTES, PACKED_CHUNK, DamagedFrame, Frame, Pack
from pit_artifact_store.reading import recipe_of
from pit_artifact_store.recipes import Chunk, encode_recipe
from pit_artifact_store.records import Gone, Image, ObjectRow, Row, decode_commit
from pit_artifact_store.rows import CHUNK_PARTS, Object, PackRow, Rows
from pit_artifact_store.tiering.away import Packs
from pit_artifact_store.tiering.moving import Mover
from pit_artifact_store.tiering.remote import OutOfReach

WASTE: Final = 0.2
"""A pack is written anew when more of it than this part is not needed."""

AWAY_WASTE: Final = 0.5
"""The same of a pack that is in the tier alone: for that it is fetched, and what is needed of it comes back here."""

QUARANTINE: Final = 3600.0
"""Seconds for which a condemned pack stays, where the time of grace is not shorter."""

GAIN: Final = 0.9
"""A chunk is kept compressed where that leaves no more of it than this part."""

LEVEL: Final = 3
SAMPLED: Final = 16
"""Chunks of a pack that are compressed to see whether the others are worth it."""

_TOGETHER: Final = 256
_BATCH_BYTES: Final = 4 << 20


@dataclass(slots=True)
class Survey:
    """What of a pack is needed.

    Args:
        chunks: Its chunks that artifacts need, by their place.
        doomed: Those of its bytes that only artifacts need which are about to go.
    """

    chunks: dict[int, Chunk] = field(default_factory=dict)
    doomed: int = 0

    @property
    def live(self) -> int:
        """Bytes of it that are needed."""
        return sum(chunk.stored for chunk in self.chunks.values())


class Changed(Exception):
    """Something of a pack is needed again that was not needed when it was looked at."""


class Collector:
    """Collects in one open store, beside others that use it.

    Args:
        index: The index of the store.
        packs: Its packs.
        journal: Writes into both.
        mover: Deletes what the tier has of a pack.
    """

    def __init__(self, index: Index, packs: Packs, journal: Journal, mover: Mover) -> None:
        self._index = index
        self._packs = packs
        self._files = packs.files
        self._journal = journal
        self._mover = mover

    def collect(self, grace: float, *, dry_run: bool, on_progress: OnArtifactProgress | None) -> Collected:
        """Free what was removed before, and what no artifact needs.

        Args:
            grace: Only what was removed so many seconds ago, or longer.
            dry_run: Only say what would be freed.
            on_progress: Told how many bytes of packs were looked at, and of how many.

        Raises:
            OSError: The disk refuses.
            apsw.Error: The index refuses.
        """
        now = time.time()
        with self._index.reading() as rows:
            gone = rows.removed_before(now - grace)
        self._journal.learn()
        if dry_run:
            return self._foresee({*gone}, now - min(grace, QUARANTINE))
        before = sum(self._files.sizes())
        artifacts = sum(self._forget(gone[i : i + _TOGETHER]) for i in range(0, len(gone), _TOGETHER))
        self._journal.finish()
        with self._index.reading() as rows:
            settled = rows.packs("open", "closed")
        done, total = 0, sum(pack.indexed for pack in settled)
        in_reach = True
        for pack in settled:
            with suppress(Changed, Stale, DamagedFrame, FileNotFoundError):  # it stays as it is
                self._tidy(pack)
                try:
                    if in_reach:
                        self._tidy_away(pack)
                except OutOfReach:
                    in_reach = False
            done += pack.indexed
            if on_progress is not None:
                on_progress(done, total)
        waiting = self._delete_condemned(time.time() - min(grace, QUARANTINE))
        return Collected(artifacts, max(before - sum(self._files.sizes()), 0), waiting)

    def compress(self, give_way: Callable[[], None]) -> None:
        """Compress what is in packs that nobody goes on with, where that pays, and delete what waited long enough.

        A pack with chunks that no artifact needs is left alone for a while: somebody may be about to commit them.

        Args:
            give_way: Called between any two small steps; what it raises ends the work, and harms nothing.

        Raises:
            OSError: The disk refuses.
            apsw.Error: The index refuses.
        """
        self._journal.learn()
        with self._index.reading() as rows:
            closed = [pack for pack in rows.packs("closed") if not pack.packed]
        for known in closed:
            give_way()
            with suppress(Changed, Stale, DamagedFrame, FileNotFoundError):  # it stays as it is
                last_written = self._files.path(known.id).stat().st_mtime
                self._tidy(known, keep_waste=last_written > time.time() - QUARANTINE, give_way=give_way)
        self._delete_condemned(time.time() - QUARANTINE)

    def _forget(self, ids: Sequence[bytes]) -> int:
        """Forget artifacts for good that are still removed; tells how many."""
        told: list[Row] = []

        def build(rows: Rows) -> list[Row]:
            for id in ids:
                object = rows.object(id)
                if object is not None and object.removed:
                    told.append(Gone("object", id))
            return told

        self._journal.sync([self._journal.commit(build)])
        return len(told)

    def _foresee(self, gone: set[bytes], deletable: float) -> Collected:
        freed = 0
        with self._index.reading() as rows:
            waiting = rows.removed_bytes() - sum(object.size for id in gone if (object := rows.object(id)))
            for pack in rows.packs("open", "closed"):
                with suppress(DamagedFrame, FileNotFoundError):
                    waste = self._waste(self._files.open(pack.id), _survey(rows, pack, gone))
                    if waste > WASTE * (pack.indexed - HEADER_BYTES):
                        freed += waste
            for pack in rows.packs("condemned"):
                if pack.condemned <= deletable:
                    freed += pack.indexed
                else:
                    waiting += pack.indexed
        return Collected(len(gone), freed, waiting)

    def _tidy(
        self, known: PackRow, *, keep_waste: bool = False, give_way: Callable[[], None] = lambda: None
    ) -> None:
        """Write anew what is needed of a pack, where that frees enough; others that use it now keep it."""
        pack = self._files.lock(known.id)
        if pack is None:
            return
        with self._index.reading() as rows:
            row = rows.pack(known.id)
            if row is None or row.state == "condemned":
                return
            survey = _survey(rows, row, set())
        waste = self._waste(pack, survey)
        if waste and keep_waste:
            return
        wasted = waste > WASTE * (row.indexed - HEADER_BYTES)
        if not wasted and (row.packed or not self._pays(pack, survey)):
            self._mark_packed(row)
            return
        self._write_anew(pack, row, survey, give_way)

    def _tidy_away(self, known: PackRow) -> None:
        """Write anew what is needed of a pack that is in the tier alone, where hardly anything is.

        Raises:
            OutOfReach: The tier cannot be used.
        """
        stubs = self._packs.stubs
        if known.id not in stubs.away():
            return
        with stubs.locked(wait=False) as alone:
            stub = stubs.away().get(known.id)
            if not alone or stub is None:
                return
            with self._index.reading() as rows:
                row = rows.pack(known.id)
                if row is None or row.state != "closed":
                    return
                survey = _survey(rows, row, set())
            wasted = stub.chunks - survey.live
            if wasted > AWAY_WASTE * (stub.size - HEADER_BYTES) or (wasted and not survey.chunks):
                self._write_anew(self._packs.open(row.id), row, survey)

    def _waste(self, pack: Pack, survey: Survey) -> int:
        """Bytes of the chunks of a pack that nobody needs."""
        return sum(
            stored
            for kind, offset, stored in pack.outline()
            if kind in (CHUNK, PACKED_CHUNK) and offset not in survey.chunks
        )

    def _pays(self, pack: Pack, survey: Survey) -> bool:
        """Whether a sample of the chunks of a pack gets smaller, those that are compressed already included."""
        chunks = list(survey.chunks.values())
        sample = chunks[:: max(len(chunks) // SAMPLED, 1)]
        frames = [pack.read(chunk.offset, chunk.stored) for chunk in sample]
        compressor = zstandard.ZstdCompressor(level=1)
        after = sum(len(_compressed(frame, compressor)[1]) for frame in frames)
        return after < GAIN * sum(len(frame.data) for frame in frames)

    def _mark_packed(self, row: PackRow) -> None:
        if not row.packed:
            with self._index.writing() as rows:
                rows.db.execute("update pack set packed = 1 where number = ?", (row.number,))

    def _write_anew(
        self, pack: Pack, row: PackRow, survey: Survey, give_way: Callable[[], None] = lambda: None
    ) -> None:
        moved: dict[int, Chunk] = {}
        carried: list[Image] = []
        batch: list[tuple[Chunk, int, bytes]] = []
        size = 0
        compressor = zstandard.ZstdCompressor(level=LEVEL)
        for frame in _sound_frames(pack, row.indexed):
            give_way()
            if frame.kind == COMMIT:
                with self._index.reading() as rows:  # not a long one: the log of the index could not be cut
                    carried += [
                        image for image in decode_commit(frame.data) if is_newest(rows, image, row.number)
                    ]
            elif chunk := survey.chunks.get(frame.offset):
                batch.append((chunk, *_compressed(frame, compressor)))
                size += len(batch[-1][2])
                if size >= _BATCH_BYTES:
                    self._copy(batch, moved)
                    batch, size = [], 0
        self._copy(batch, moved)
        # What the index is about to say must be true after a crash of the machine.
        self._journal.sync({chunk.pack for chunk in moved.values()})
        homes: set[bytes] = set()
        while not self._move_users(pack, row, moved, carried, homes):
            give_way()

    def _move_users(
        self,
        pack: Pack,
        row: PackRow,
        moved: dict[int, Chunk],
        carried: Sequence[Image],
        homes: set[bytes],
    ) -> bool:
        """Have some artifacts refer to the new places; the last of them condemns the pack, which is told.

        `homes` are the packs that say so until then, synced before that.
        """
        with self._index.reading() as rows:
            is_last = len(list(rows.users(row.number, _TOGETHER))) < _TOGETHER
        if is_last:
            self._journal.sync(homes)

        def build(rows: Rows) -> Iterator[Row]:
            nonlocal is_last
            users = list(rows.users(row.number, _TOGETHER))
            for object in users:
                yield ObjectRow(
                    object.id, object.size, _moved(object, pack.id, moved), object.removed, object.born
                )
            is_last = is_last and len(users) < _TOGETHER
            if is_last:
                rows.db.execute("update object set home = ? where home = ?", (self._journal.home, row.number))
                rows.learn(moved.values())
                condemn = "update pack set state = 'condemned', condemned = ? where number = ?"
                rows.db.execute(condemn, (time.time(), row.number))

        refers_to = {chunk.pack for chunk in moved.values()}
        homes.add(self._journal.commit(build, refers_to, carried=carried if is_last else (), synced=is_last))
        return is_last

    def _copy(self, batch: Sequence[tuple[Chunk, int, bytes]], moved: dict[int, Chunk]) -> None:
        if batch:
            pack, places = self._journal.append([(kind, data) for _, kind, data in batch])
            for (chunk, _, _), (offset, stored) in zip(batch, places, strict=True):
                moved[chunk.offset] = Chunk(chunk.id, pack, offset, stored, chunk.size)

    def _delete_condemned(self, before: float) -> int:
        """Delete packs that were condemned before a moment; gives the bytes that wait, those of artifacts included."""
        with self._index.reading() as rows:
            waiting = rows.removed_bytes()
            condemned = rows.packs("condemned")
        in_reach, deleted = True, False
        for row in condemned:
            if row.condemned > before:
                waiting += row.indexed
                continue
            # First the file: without it the row does no harm, and the other way round it would be replayed.
            self._files.path(row.id).unlink(missing_ok=True)
            self._packs.forget(row.id)
            in_tier = self._packs.stubs.get(row.id) is not None
            if in_tier and not (in_reach := in_reach and self._mover.delete(row.id)):
                # The row stays as well: without it, what is in the tier would be replayed.
                waiting += row.indexed
                continue
            with self._index.writing() as rows:
                rows.db.execute("delete from pack where number = ? and state = 'condemned'", (row.number,))
            deleted = True
        if deleted:
            for part in range(CHUNK_PARTS):  # others write in between
                with self._index.writing() as rows:
                    rows.forget_chunks(part)
        return waiting


def _survey(rows: Rows, pack: PackRow, gone: set[bytes]) -> Survey:
    survey = Survey()
    for object in rows.users(pack.number):
        if object.id not in gone:
            for chunk in recipe_of(object):
                if chunk.pack == pack.id:
                    survey.chunks[chunk.offset] = chunk
    return survey


def _sound_frames(pack: Pack, end: int) -> Iterator[Frame]:
    try:
        yield from pack.frames()
    except DamagedFrame as damage:
        if damage.offset < end:  # behind it, a process was killed while it wrote
            raise


def _compressed(frame: Frame, compressor: zstandard.ZstdCompressor) -> tuple[int, bytes]:
    if frame.kind == CHUNK:
        smaller = compressor.compress(frame.data)
        if len(smaller) <= GAIN * len(frame.data):
            return PACKED_CHUNK, smaller
    return frame.kind, frame.data


def _moved(object: Object, pack: bytes, moved: dict[int, Chunk]) -> bytes:
    """The recipe of an artifact after its chunks in a pack have moved."""
    try:
        return encode_recipe(
            [moved[chunk.offset] if chunk.pack == pack else chunk for chunk in recipe_of(object)]
        )
    except KeyError:
        raise Changed from None

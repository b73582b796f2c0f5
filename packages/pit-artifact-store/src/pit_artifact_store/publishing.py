"""How an artifact enters the store: what is new of it is written, what is there already is read back and shared."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace
from zstandard import ZstdError

from pit_artifact_store.chunking import Chunker
from pit_artifact_store.entries import Description
from pit_artifact_store.ids import ContentIds, id_range, is_written_as_id, text_of
from pit_artifact_store.index import Index
from pit_artifact_store.journal import Journal, Stale
from pit_artifact_store.packs import CHUNK, DamagedFrame
from pit_artifact_store.reading import DamagedContent, Reader
from pit_artifact_store.recipes import Chunk, Recipe, encode_recipe
from pit_artifact_store.records import EntryRow, ObjectRow, RelationRow, Row
from pit_artifact_store.rows import Rows

BATCH_BYTES = 4 << 20
"""Bytes of chunks that are written together."""


@dataclass(slots=True)
class Publication:
    """An artifact on its way into the store.

    Args:
        id: Its id.
        size: How many bytes it has.
        description: What it is stored with.
        durable: Whether a crash of the machine must not lose it.
        chunks: Where its bytes are.
        is_there: Whether the artifact is in the store already, and sound.
        mends: Whether what is stored of it is damaged.
        packs: Ids of the packs that have to be durable with it.
        fresh: Those of its chunks that were not there before.
    """

    id: bytes
    size: int
    description: Description
    durable: bool
    chunks: list[Chunk] = field(default_factory=list)
    is_there: bool = False
    mends: bool = False
    packs: set[bytes] = field(default_factory=set)
    fresh: list[Chunk] = field(default_factory=list)


class Publisher:
    """Publishes artifacts; safe with many threads.

    Args:
        index: The index of the store.
        journal: Writes into it.
        reader: Reads from it.
        chunker: Cuts artifacts.
        ids: Gives the ids of the store.
    """

    def __init__(
        self, index: Index, journal: Journal, reader: Reader, chunker: Chunker, ids: ContentIds
    ) -> None:
        self._index = index
        self._journal = journal
        self._reader = reader
        self._chunker = chunker
        self._ids = ids

    def stage(self, data: memoryview, description: Description, *, durable: bool) -> Publication:
        """Write what of an artifact is not there.

        Args:
            data: Its bytes.
            description: What it is stored with.
            durable: Whether a crash of the machine must not lose it.

        Raises:
            OSError: It cannot be written.
            apsw.Error: The index cannot be read.
        """
        publication = Publication(self._ids(data), len(data), description, durable)
        self._restage(publication, data)
        return publication

    def stage_stream(
        self, parts: Iterable[bytes | memoryview], description: Description, *, durable: bool
    ) -> Publication:
        """Write what of an artifact is not there, without ever having all of it in memory.

        Args:
            parts: Its bytes.
            description: What it is stored with.
            durable: Whether a crash of the machine must not lose it.

        Raises:
            OSError: It cannot be written.
            apsw.Error: The index cannot be read.
        """
        whole = self._ids.stream()
        publication = Publication(b"", 0, description, durable)
        for batch in _batches(self._chunker.cut_stream(parts)):
            for part in batch:
                whole.update(part)
                publication.size += len(part)
            self._write(publication, batch)
        publication.id = whole.digest()
        return publication

    def commit(self, group: Sequence[Publication]) -> None:
        """Make artifacts part of the store, all of them or none.

        Args:
            group: The artifacts, their bytes written.

        Raises:
            Stale: Something that they share with others is gone since.
            OSError: The disk refuses.
            apsw.Error: The index refuses.
        """
        packs = {pack for publication in group for pack in publication.packs}
        now = time.time()

        def build(rows: Rows) -> Iterator[Row]:
            versions: dict[str, tuple[int, bytes]] = {}
            for publication in group:
                yield from self._rows(rows, publication, versions, now)

        home = self._journal.commit(build, packs)
        durable = {pack for publication in group if publication.durable for pack in publication.packs}
        if any(publication.durable for publication in group):
            self._journal.sync({home, *durable})
        for publication in group:
            self._journal.add_fresh(publication.fresh)

    def publish_whole(self, publication: Publication, data: memoryview) -> None:
        """Make an artifact part of the store, writing it again where what it shared is gone.

        Args:
            publication: The artifact.
            data: Its bytes.

        Raises:
            OSError: The disk refuses.
            apsw.Error: The index refuses.
        """
        while True:
            try:
                self.commit([publication])
            except Stale:
                self._restage(publication, data)
            else:
                return

    def _restage(self, publication: Publication, data: memoryview) -> None:
        publication.packs, publication.fresh, publication.chunks = set(), [], []
        publication.is_there = False
        if not self._is_there(publication):
            for batch in _batches(self._chunker.cut(data)):
                self._write(publication, batch)

    def _is_there(self, publication: Publication) -> bool:
        """Whether the artifact is in the store already; it is read, as it may be the only copy from now on."""
        with self._index.peeking() as rows:
            known = rows.object(publication.id)
            if known is None:
                return False
            home = rows.first("select id from pack where number = ?", (known.home,))
        try:
            self._reader.whole(known)  # what has this id has these bytes
        except (DamagedFrame, DamagedContent, OSError, ZstdError):
            publication.mends = True
            return False
        publication.is_there = True
        publication.packs = {*Recipe(known.recipe).packs, *(home or ())}
        return True

    def _write(self, publication: Publication, batch: Sequence[memoryview]) -> None:
        """Write those of some chunks that are not there, and add all of them to a publication."""
        is_whole = len(batch[0]) == publication.size and bool(publication.id)
        ids = [publication.id] if is_whole else [self._ids(part) for part in batch]
        places: dict[bytes, Chunk] = {}
        new: dict[bytes, memoryview] = {}
        with self._index.peeking() as rows:
            for id, part in zip(ids, batch, strict=True):
                if id in places or id in new:
                    continue
                known = self._journal.known(rows, id)
                if known is not None and self._reader.holds(known):
                    places[id] = known
                else:
                    new[id] = part
        if new:
            pack, written = self._journal.append([(CHUNK, part) for part in new.values()])
            for (id, part), (offset, stored) in zip(new.items(), written, strict=True):
                places[id] = Chunk(id, pack, offset, stored, len(part))
                publication.fresh.append(places[id])
        publication.chunks += [places[id] for id in ids]
        publication.packs.update(chunk.pack for chunk in places.values())

    def _rows(
        self, rows: Rows, publication: Publication, versions: dict[str, tuple[int, bytes]], now: float
    ) -> Iterator[Row]:
        id = publication.id
        known = rows.object(id)
        if publication.is_there:
            if known is None:
                raise Stale
            if known.removed:
                yield ObjectRow(id, known.size, known.recipe, born=known.born)
        elif known is None or known.removed or publication.mends or publication.fresh:
            recipe = encode_recipe(publication.chunks)
            yield ObjectRow(id, publication.size, recipe, born=known.born if known else 0)
        told = publication.description
        version = 0
        if told.name:
            newest = versions.get(told.name) or _newest_version(rows, told.name)
            version, before = newest or (0, b"")
            if before != id:
                version += 1
                if before:
                    yield from _related(rows, known and known.number, id, "replaces", before, now)
            versions[told.name] = (version, id)
        entry = told.row(self._ids, id, version, now)
        yield replace(entry, created=_first_stored(rows, known.number, entry)) if known else entry
        for text in told.inputs:
            if is_written_as_id(text):
                low, high = id_range(text)
                if low == high and low != id and rows.object(low) is not None:
                    yield from _related(rows, known and known.number, id, "derived-from", low, now)


def _newest_version(rows: Rows, name: str) -> tuple[int, bytes] | None:
    found: tuple[int, bytes] | None = rows.first(
        "select e.version, o.id from entry e join object o on o.number = e.object "
        "where e.name = ? and e.name != '' order by e.version desc limit 1",
        (name,),
    )
    return found


def _first_stored(rows: Rows, number: int, entry: EntryRow) -> float:
    """When an artifact was first stored so; in the newest image, as older ones may be collected."""
    before = rows.first(
        "select created from entry where object = ? and fingerprint = ?", (number, entry.fingerprint)
    )
    return min(entry.created, before[0]) if before else entry.created


def _related(
    rows: Rows, number: int | None, subject: bytes, kind: str, object: bytes, now: float
) -> Iterator[RelationRow]:
    """A relation, unless it is there."""
    query = "select 1 from relation where subject = ? and kind = ? and object = ?"
    if number is None or rows.first(query, (number, kind, text_of(object))) is None:
        yield RelationRow(subject, kind, text_of(object), now)


def _batches(parts: Iterable[memoryview]) -> Iterator[list[memoryview]]:
    batch: list[memoryview] = []
    size = 0
    for part in parts:
        batch.append(part)
        size += len(part)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch

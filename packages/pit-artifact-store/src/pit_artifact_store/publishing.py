"""How an artifact enters the store: what is new of it is written, what is there already is read back and shared."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from msgspec.structs import replace
from zstandard import ZstdError

from pit_artifact_store.chunking import Chunker
from pit_artifact_store.entries import Description
from pit_artifact_store.ids import CHUNK_ID_BYTES, ContentIds, id_range, is_written_as_id, text_of
from pit_artifact_store.index import Index
from pit_artifact_store.journal import Journal, Stale
from pit_artifact_store.packs import CHUNK, DamagedFrame
from pit_artifact_store.reading import DamagedContent, Reader
from pit_artifact_store.recipes import Chunk, Recipe, encode_recipe
from pit_artifact_store.records import EntryRow, ObjectRow, RelationRow, Row
from pit_artifact_store.rows import Object, Rows

BATCH_BYTES = 4 << 20
"""Bytes of chunks that are written together."""


_LOOKS = 5
"""How often what a stream shares is looked for again."""

TOGETHER_BYTES = 128 << 10
"""Bytes up to which new chunks are written together with the commit, while nobody else commits."""


@dataclass(slots=True)
class Publication:
    """An artifact on its way into the store.

    Args:
        description: What it is stored with.
        durable: Whether a crash of the machine must not lose it.
        data: Its bytes, where all of them are in memory.
        streamed: Whether they are not.
        size: How many there are.
        id: Their id; empty until it is known what of it is there.
        chunks: Ids of its chunks in order.
        places: Where those are that are there.
        pending: The others, which are written with the commit.
        fresh: Those that were written for it before.
        packs: Ids of the packs that have to be durable with it.
        is_there: Whether the artifact is in the store already, and sound.
        mends: Whether what is stored of it is damaged.
    """

    description: Description
    durable: bool
    data: memoryview = field(default_factory=lambda: memoryview(b""))
    streamed: bool = False
    size: int = 0
    id: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    places: dict[bytes, Chunk] = field(default_factory=dict)
    pending: dict[bytes, memoryview] = field(default_factory=dict)
    fresh: list[Chunk] = field(default_factory=list)
    packs: set[bytes] = field(default_factory=set)
    is_there: bool = False
    mends: bool = False


class Publisher:
    """Publishes artifacts; safe with many threads.

    Args:
        index: The index of the store.
        journal: Writes into it.
        reader: Reads from it.
        chunker: Cuts artifacts.
        ids: Gives the ids of the store.

    Attributes:
        latest: When something was last being stored, on the clock `time.monotonic`.
    """

    def __init__(
        self, index: Index, journal: Journal, reader: Reader, chunker: Chunker, ids: ContentIds
    ) -> None:
        self._index = index
        self._journal = journal
        self._reader = reader
        self._chunker = chunker
        self._ids = ids
        self.latest = 0.0

    def stage(self, data: memoryview, description: Description, *, durable: bool) -> Publication:
        """Write what of an artifact is not there; a small one is looked at when it is committed, beside others.

        Args:
            data: Its bytes.
            description: What it is stored with.
            durable: Whether a crash of the machine must not lose it.

        Raises:
            OSError: It cannot be written.
            apsw.Error: The index cannot be read.
        """
        publication = Publication(description, durable, data, size=len(data))
        if len(data) > TOGETHER_BYTES:
            self._stage([publication])
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
        publication = Publication(description, durable, streamed=True)
        for batch in _batches(self._chunker.cut_stream(parts)):
            for part in batch:
                whole.update(part)
                publication.size += len(part)
            self._find([(publication, batch)])
            self._write(publication)
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
        if small := [publication for publication in group if not publication.id]:
            self._stage(small)
        packs = {pack for publication in group for pack in publication.packs}
        pending = {id: part for publication in group for id, part in publication.pending.items()}
        written: dict[bytes, Chunk] = {}
        now = time.time()

        def placed(pack: bytes, places: list[tuple[int, int]]) -> None:
            written.update(_placed(pending, pack, places))
            for publication in group:
                publication.places.update((id, written[id]) for id in publication.pending)

        def build(rows: Rows) -> Iterator[Row]:
            versions: dict[str, tuple[int, bytes]] = {}
            objects = rows.objects([publication.id for publication in group])
            for publication in group:
                known = objects.get(publication.id)
                yield from self._rows(rows, publication, known, versions, now)

        home = self._journal.commit(build, packs, chunks=[*pending.values()], placed=placed)
        if durable := [publication.packs for publication in group if publication.durable]:
            self._journal.sync({home}.union(*durable))
        self.latest = time.monotonic()
        self._journal.add_fresh(written.values())
        for publication in group:
            self._journal.add_fresh(publication.fresh)

    def publish(self, publication: Publication) -> None:
        """Make an artifact part of the store, looking again for what it shared where that is gone.

        Args:
            publication: The artifact.

        Raises:
            Stale: Something that it shares is gone for good, and its bytes are not in memory.
            OSError: The disk refuses.
            apsw.Error: The index refuses.
        """
        for attempt in count():
            try:
                self.commit([publication])
            except Stale:
                if publication.streamed and attempt == _LOOKS:
                    raise
                self._look_again(publication)
            else:
                return

    def _look_again(self, publication: Publication) -> None:
        """Find anew what an artifact shares: where it was, a pack was written anew since."""
        self._journal.learn()  # so that nothing is remembered to be in such a pack
        if not publication.streamed:
            self._stage([publication])
            return
        with self._index.looking() as rows:
            packs = [rows.pack(id) for id in publication.packs]
            condemned = {pack.id for pack in packs if pack is not None and pack.state == "condemned"}
            moved = [id for id, chunk in publication.places.items() if chunk.pack in condemned]
            found = self._journal.places(rows, moved)
        if len(found) < len(moved) or not all(map(self._reader.holds, found.values())):
            raise Stale
        publication.places |= found
        publication.packs = {chunk.pack for chunk in publication.places.values()}

    def _stage(self, publications: Sequence[Publication]) -> None:
        """Find out what of some artifacts is there, and write the rest of each where it is much."""
        known = []
        for publication in publications:
            publication.chunks, publication.places, publication.pending = [], {}, {}
            publication.fresh, publication.packs = [], set()
            publication.id = self._ids(publication.data)
        with self._index.looking() as rows:
            objects = rows.objects([publication.id for publication in publications])
            for publication in publications:
                object = objects.get(publication.id)
                home = object and rows.first("select id from pack where number = ?", (object.home,))
                known.append((object, {*(home or ())}))
        small = []
        for publication, (object, packs) in zip(publications, known, strict=True):
            publication.is_there = object is not None and self._is_sound(object)
            if publication.is_there and object is not None:
                publication.packs = packs.union(Recipe(object.recipe).packs)
                continue
            publication.mends = object is not None
            if publication.size <= TOGETHER_BYTES:
                small.append((publication, [*self._chunker.cut(publication.data)]))
                continue
            for batch in _batches(self._chunker.cut(publication.data)):
                self._find([(publication, batch)])
                if sum(map(len, publication.pending.values())) > TOGETHER_BYTES:
                    self._write(publication)
        if small:
            self._find(small)

    def _is_sound(self, object: Object) -> bool:
        """Whether an artifact that is stored again can be read: it may be the only copy from now on."""
        try:
            self._reader.whole(object)  # what has this id has these bytes
        except (DamagedFrame, DamagedContent, OSError, ZstdError):
            return False
        return True

    def _find(self, cut: Sequence[tuple[Publication, Sequence[memoryview]]]) -> None:
        """Add chunks to publications: those that are there, read back, and those that are not."""
        self.latest = time.monotonic()
        wanted: dict[bytes, list[Publication]] = {}
        for publication, parts in cut:
            is_whole = len(parts) == 1 and len(parts[0]) == publication.size and bool(publication.id)
            ids = [publication.id[:CHUNK_ID_BYTES]] if is_whole else [*map(self._ids.of_chunk, parts)]
            publication.chunks += ids
            for id, part in zip(ids, parts, strict=True):
                if id not in publication.places and id not in publication.pending:
                    publication.pending[id] = part
                    wanted.setdefault(id, []).append(publication)
        with self._index.looking() as rows:
            found = self._journal.places(rows, wanted)
        for id, known in found.items():
            if self._reader.holds(known):
                for publication in wanted[id]:
                    publication.places[id] = known
                    publication.packs.add(known.pack)
                    del publication.pending[id]

    def _write(self, publication: Publication) -> None:
        """Write those chunks of a publication that are not there."""
        if publication.pending:
            pending, publication.pending = publication.pending, {}
            pack, written = self._journal.append([(CHUNK, part) for part in pending.values()])
            places = _placed(pending, pack, written)
            publication.places |= places
            publication.fresh += places.values()
            publication.packs.add(pack)

    def _rows(
        self,
        rows: Rows,
        publication: Publication,
        known: Object | None,
        versions: dict[str, tuple[int, bytes]],
        now: float,
    ) -> Iterator[Row]:
        id = publication.id
        if publication.is_there:
            if known is None:
                raise Stale
            if known.removed:
                yield ObjectRow(id, known.size, known.recipe, born=known.born)
        elif known is None or known.removed or publication.mends or publication.fresh or publication.pending:
            recipe = encode_recipe([publication.places[id] for id in publication.chunks])
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


def _placed(
    parts: dict[bytes, memoryview], pack: bytes, places: Iterable[tuple[int, int]]
) -> dict[bytes, Chunk]:
    """Where chunks were written."""
    return {
        id: Chunk(id, pack, offset, stored, len(part))
        for (id, part), (offset, stored) in zip(parts.items(), places, strict=True)
    }


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

"""The tables of the index, and the statements on packs, objects and chunks.

An object is bytes under their id. An entry is one way in which they were stored: a name, a media type, metadata,
lineage. The same bytes have one object and as many entries as they have descriptions; the newest has the highest
sequence. The numbers of objects and packs are those of this index alone and are never given a second time.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import apsw

from pit_artifact_store.ids import CHUNK_ID_BYTES
from pit_artifact_store.recipes import Chunk

PackState = Literal["open", "closed", "condemned"]
"""`open`: a process appends to it, or did until it was killed; `closed`: none does; `condemned`: nothing is needed of it."""

SCHEMA: Final = """
create table if not exists clock (one integer primary key check (one = 1), seq integer not null);
insert or ignore into clock values (1, 0);
create table if not exists pack (
    number    integer primary key autoincrement,
    id        blob not null unique,
    state     text not null,
    indexed   integer not null,           -- bytes of it whose commits are in this index
    condemned real not null default 0,    -- since when, Unix time in seconds
    packed    integer not null default 0  -- whether what of it can be compressed was, or nothing can
);
create table if not exists object (
    number  integer primary key,          -- the moment when it was entered
    id      blob not null unique,
    size    integer not null,
    removed real not null,
    born    integer not null,             -- when it was first written since it was not there
    seq     integer not null,
    home    integer not null,             -- number of the pack with the newest image of this row
    recipe  blob not null
);
create index if not exists object_removed on object (removed) where removed > 0;
create table if not exists use (pack integer, object integer, primary key (pack, object)) without rowid;
create table if not exists chunk (
    id blob primary key, pack integer not null, offset integer not null, stored integer not null,
    size integer not null
) without rowid;
drop index if exists chunk_of_pack;       -- of an earlier version: it cost each chunk a second page
create table if not exists entry (
    sequence    integer primary key,
    object      integer not null,
    fingerprint blob not null,
    created     real not null,
    name        text not null,
    version     integer not null,
    media_type  text not null,
    run         text not null,
    facts       blob not null
);
create unique index if not exists entry_of_object on entry (object, fingerprint);
create index if not exists entry_of_name on entry (name, version) where name != '';
create index if not exists entry_of_run on entry (run, sequence) where run != '';
create table if not exists tag (
    name text primary key, object integer not null, created real not null, seq integer not null
) without rowid;
create index if not exists tag_of_object on tag (object);
create table if not exists pin (object integer primary key, seq integer not null);
create table if not exists hold (
    object integer, reason text, created real not null, seq integer not null, primary key (object, reason)
) without rowid;
create table if not exists relation (
    subject integer, kind text, object text, created real not null, seq integer not null,
    primary key (subject, kind, object)
) without rowid;
create index if not exists relation_to on relation (object);
create table if not exists score (
    object integer, scorer text, version text not null, value real not null, reason text not null,
    inputs text not null, created real not null, seq integer not null, primary key (object, scorer)
) without rowid;
create table if not exists feed (
    one        integer primary key check (one = 1),
    generation blob not null,
    pruned     integer not null           -- whoever has not read the notes up to this moment has missed some
);
insert or ignore into feed values (1, randomblob(16), 0);
create table if not exists changed (object blob primary key, seq integer not null) without rowid;
create index if not exists changed_in_turn on changed (seq);
"""


class Object(NamedTuple):
    """An artifact's bytes, and where they are.

    Args:
        number: Its number in this index.
        id: Their id.
        size: How many there are.
        removed: Unix time in seconds when it was removed; 0 where it was not.
        born: When it was first written since it was not there.
        seq: When its row was written.
        home: Number of the pack with that row.
        recipe: Where the bytes are.
    """

    number: int
    id: bytes
    size: int
    removed: float
    born: int
    seq: int
    home: int
    recipe: bytes


class PackRow(NamedTuple):
    """A pack, as the index knows it.

    Args:
        number: Its number in this index.
        id: Its id.
        state: Who uses it.
        indexed: Bytes of it whose commits are in this index.
        condemned: Unix time in seconds since when it is condemned.
        packed: Whether what of it can be compressed was, or nothing can.
    """

    number: int
    id: bytes
    state: PackState
    indexed: int
    condemned: float
    packed: bool


_OBJECT: Final = "select number, id, size, removed, born, seq, home, recipe from object "
_OBJECTS: Final = """
select number, id, size, removed, born, seq, home, recipe from object
where id in (select unhex(value) from json_each(?))
"""
_USERS: Final = """
select number, id, size, removed, born, seq, home, recipe from object
where number in (select object from use where pack = ?) order by number limit ?
"""
CHUNK_PARTS: Final = 256
"""In how many parts the table of chunks is looked through."""

_ASKED_AT_ONCE: Final = 512
_CHUNKS: Final = """
select c.id, p.id, c.offset, c.stored, c.size from chunk c cross join pack p
where p.number = c.pack and p.state != 'condemned' and c.id in
"""
_PACK: Final = "select number, id, state, indexed, condemned, packed from pack "


class Rows:
    """The statements of the index, on one connection.

    Args:
        db: The connection.
    """

    __slots__ = ("db",)

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db

    def first(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """The first row of a query; None where there is none.

        Args:
            query: The query.
            values: Its values.
        """
        for row in self.db.execute(query, values):
            return row
        return None

    def all(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """The rows of a query.

        Args:
            query: The query.
            values: Its values.
        """
        return self.db.execute(query, values).fetchall()

    def make(self) -> None:
        """Make the tables that are not there."""
        self.db.execute(SCHEMA)

    def faults(self) -> list[str]:
        """What SQLite finds wrong with its own structure."""
        return [text for (text,) in self.db.execute("pragma integrity_check(10)") if text != "ok"]

    def tick(self, now: int, count: int) -> int:
        """Take moments for some rows, later than those of all rows so far; gives the last of them.

        Args:
            now: Nanoseconds of Unix time.
            count: How many.
        """
        (seq,) = self.first("update clock set seq = max(seq, ?) + ? returning seq", (now, count))
        return int(seq)

    # -- packs ---------------------------------------------------------------------------------------

    def pack(self, id: bytes) -> PackRow | None:
        """A pack.

        Args:
            id: Its id.
        """
        row = self.first(_PACK + "where id = ?", (id,))
        return row and PackRow(*row)

    def packs(self, *states: PackState) -> list[PackRow]:
        """The packs, the oldest first.

        Args:
            states: Only those in one of these states; none for all.
        """
        wanted = f"where state in ({', '.join('?' * len(states))}) " if states else ""
        return [PackRow(*row) for row in self.db.execute(_PACK + wanted + "order by number", states)]

    def put_pack(self, id: bytes, state: PackState, indexed: int) -> int:
        """Say how far a pack is known, and by whom it is used; gives its number.

        Args:
            id: Its id.
            state: Who uses it.
            indexed: Bytes of it whose commits are in this index.
        """
        (number,) = self.first(
            "insert into pack (id, state, indexed) values (?, ?, ?) "
            "on conflict (id) do update set state = excluded.state, indexed = excluded.indexed, "
            "packed = packed and excluded.state != 'open' returning number",
            (id, state, indexed),
        )
        return int(number)

    # -- objects -------------------------------------------------------------------------------------

    def matches(self, low: bytes, high: bytes, limit: int) -> list[bytes]:
        """Ids of artifacts in a range, removed ones included.

        Args:
            low: The first.
            high: The last.
            limit: At most so many.
        """
        query = "select id from object where id between ? and ? order by id limit ?"
        return [id for (id,) in self.db.execute(query, (low, high, limit))]

    def object(self, id: bytes) -> Object | None:
        """The object of an artifact, removed or not.

        Args:
            id: Its id.
        """
        row = self.first(_OBJECT + "where id = ?", (id,))
        return row and Object(*row)

    def objects(self, ids: Sequence[bytes]) -> dict[bytes, Object]:
        """The objects of some artifacts, removed or not, by their ids.

        Args:
            ids: Their ids.
        """
        if len(ids) == 1:  # the shortest way, as most are asked for alone
            object = self.object(ids[0])
            return {ids[0]: object} if object else {}
        found = self.db.execute(_OBJECTS, (json.dumps([id.hex() for id in ids]),))
        return {object.id: object for object in (Object(*row) for row in found)}

    def objects_after(self, number: int, limit: int) -> list[Object]:
        """Objects by number.

        Args:
            number: That of the last one seen.
            limit: At most so many.
        """
        query = _OBJECT + "where number > ? order by number limit ?"
        return [Object(*row) for row in self.db.execute(query, (number, limit))]

    def users(self, pack: int, limit: int = -1) -> Iterator[Object]:
        """The objects that have chunks in a pack, removed ones included.

        Args:
            pack: Number of the pack.
            limit: At most so many; -1 for all.
        """
        return (Object(*row) for row in self.db.execute(_USERS, (pack, limit)))

    def removed_before(self, moment: float) -> list[bytes]:
        """Ids of what was removed before a moment.

        Args:
            moment: Unix time in seconds.
        """
        query = "select id from object where removed > 0 and removed <= ? order by removed"
        return [id for (id,) in self.db.execute(query, (moment,))]

    def removed_bytes(self) -> int:
        """Bytes of the artifacts that are removed and can be restored."""
        (size,) = self.first("select total(size) from object where removed > 0")
        return int(size)

    # -- chunks --------------------------------------------------------------------------------------

    def chunks(self, ids: Iterable[bytes]) -> Iterator[Chunk]:
        """Where those of some chunks are that are known.

        Args:
            ids: Their ids.
        """
        wanted = [*ids]
        for begin in range(0, len(wanted), _ASKED_AT_ONCE):
            values = wanted[begin : begin + _ASKED_AT_ONCE]
            # Of few different lengths, so that a statement that was prepared is found again.
            values += values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))
            for row in self.db.execute(_CHUNKS + f"({', '.join('?' * len(values))})", values):
                yield Chunk(*row)

    def learn(self, chunks: Iterable[Chunk]) -> None:
        """Find these chunks from now on.

        Args:
            chunks: Where they are; those in packs that are not known are passed over.
        """
        numbers: dict[bytes, int] = {}
        rows = []
        for chunk in chunks:
            if chunk.pack not in numbers:
                pack = self.pack(chunk.pack)
                numbers[chunk.pack] = pack.number if pack and pack.state != "condemned" else 0
            if number := numbers[chunk.pack]:
                rows.append((chunk.id, number, chunk.offset, chunk.stored, chunk.size))
        self.db.executemany("insert or replace into chunk values (?, ?, ?, ?, ?)", sorted(rows))

    def forget_chunks(self, part: int) -> None:
        """Forget those chunks of a part of the table that are in packs which are not known any more.

        Args:
            part: Which one of `CHUNK_PARTS`.
        """
        self.db.execute(
            "delete from chunk where id between ? and ? and pack not in (select number from pack)",
            (bytes([part]), bytes([part]) + b"\xff" * CHUNK_ID_BYTES),
        )

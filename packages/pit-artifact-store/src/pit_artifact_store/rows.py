"""The tables of the index and every statement on them.

An object is bytes under their id. An entry is one way in which they were stored: a name, a media type,
metadata, lineage. The same bytes have one object and as many entries as they have descriptions; the newest
entry has the highest sequence. An object without entries was removed and waits to be taken away.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Final, NamedTuple

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactInfo

from pit_artifact_store.entries import Entry, info_of
from pit_artifact_store.failures import damaged

SCHEMA: Final = (
    """
create table if not exists object (
    number   integer primary key,
    id       blob not null unique,
    size     integer not null,
    created  real not null,
    synced   integer not null,  -- whether a crash of the machine cannot lose it
    segments blob not null,     -- hashes of its segments, 32 bytes each
    data     blob               -- its bytes, or null where they are a file
)
""",
    """
create table if not exists entry (
    sequence    integer primary key,
    object      blob not null,
    name        text not null,
    media_type  text not null,
    run         text not null,
    facts       blob not null,  -- metadata and lineage
    fingerprint blob not null   -- hash of all of the above
)
""",
    "create unique index if not exists entry_of_object on entry (object, fingerprint)",
    "create index if not exists entry_of_run on entry (run, sequence)",
)

_ENTRIES: Final = """
select e.object, o.size, o.created, e.name, e.media_type, e.run, e.facts, e.fingerprint
from entry e join object o on o.id = e.object
"""

_EVERY_ENTRY: Final = """
select e.sequence, e.object, o.size, o.created, e.name, e.media_type, e.run, e.facts, e.fingerprint
from entry e left join object o on o.id = e.object
where e.sequence > ? order by e.sequence limit 256
"""


class Object(NamedTuple):
    """An artifact's bytes, or where they are.

    Args:
        id: Their id.
        size: How many there are.
        synced: Whether a crash of the machine cannot lose them.
        segments: Hashes of their segments.
        data: The bytes themselves where they are not in a file.
    """

    id: bytes
    size: int
    synced: bool
    segments: bytes
    data: bytes | None


class Rows:
    """The statements of the index, on one connection.

    Args:
        db: The connection.
    """

    __slots__ = ("_db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def make(self) -> None:
        """Make the tables that are not there."""
        for statement in SCHEMA:
            self._db.execute(statement)

    def matches(self, low: bytes, high: bytes, limit: int) -> list[bytes]:
        """Ids of artifacts in a range.

        Args:
            low: The first.
            high: The last.
            limit: At most so many.
        """
        rows = self._db.execute(
            "select id from object where id between ? and ? "
            "and exists (select 1 from entry where entry.object = object.id) order by id limit ?",
            (low, high, limit),
        )
        return [id for (id,) in rows]

    def has_entries(self, id: bytes) -> bool:
        """Whether an artifact is there and not removed.

        Args:
            id: Its id.
        """
        return self._db.execute("select 1 from entry where object = ? limit 1", (id,)).fetchone() is not None

    def object(self, id: bytes) -> Object | None:
        """The object of an artifact, removed or not.

        Args:
            id: Its id.
        """
        row = self._db.execute("select id, size, synced, segments, data from object where id = ?", (id,))
        found = row.fetchone()
        return None if found is None else Object(found[0], found[1], bool(found[2]), found[3], found[4])

    def object_state(self, id: bytes) -> bool | None:
        """Whether an object is synced; None where there is none.

        Args:
            id: Its id.
        """
        found = self._db.execute("select synced from object where id = ?", (id,)).fetchone()
        return None if found is None else bool(found[0])

    def put_object(self, object: Object, created: float) -> None:
        """Keep an object; one that is there keeps its time and gets what is different.

        Args:
            object: The object.
            created: Unix time in seconds.
        """
        self._db.execute(
            """
            insert into object (id, size, created, synced, segments, data) values (?, ?, ?, ?, ?, ?)
            on conflict (id) do update set
                size = excluded.size, synced = excluded.synced, segments = excluded.segments, data = excluded.data
            where (size, synced, segments, data)
                is not (excluded.size, excluded.synced, excluded.segments, excluded.data)
            """,
            (object.id, object.size, created, object.synced, object.segments, object.data),
        )

    def put_entry(self, entry: Entry) -> None:
        """Keep a description as the newest of its artifact; the same one from before makes room.

        Args:
            entry: The description.
        """
        self._db.execute(
            "insert or replace into entry (object, name, media_type, run, facts, fingerprint) "
            "values (?, ?, ?, ?, ?, ?)",
            entry,
        )

    def entries(self, id: bytes, limit: int) -> list[ArtifactInfo]:
        """The descriptions of an artifact, the newest first.

        Args:
            id: Its id.
            limit: At most so many; -1 for all.
        """
        rows = self._db.execute(_ENTRIES + "where e.object = ? order by e.sequence desc limit ?", (id, limit))
        return [info_of(row) for row in rows]

    def find(self, run: str, name: str, limit: int) -> list[ArtifactInfo]:
        """The newest artifacts, each by the newest of its descriptions that fits.

        Args:
            run: Only those of this run, if not empty.
            name: Only those with this text in their name, if not empty.
            limit: At most so many.
        """
        found: dict[bytes, ArtifactInfo] = {}
        of_run = "where e.run = :run" if run else "where true"  # so that the index of runs is used
        query = _ENTRIES + of_run + " and instr(e.name, :name) order by e.sequence desc"
        with closing(self._db.execute(query, {"run": run, "name": name})) as rows:
            for row in rows:
                if len(found) >= limit:
                    break
                if row[0] not in found:
                    found[row[0]] = info_of(row)
        return list(found.values())

    def forget(self, id: bytes) -> bool:
        """Remove the descriptions of an artifact; tells whether there were any.

        Args:
            id: Its id.
        """
        return self._db.execute("delete from entry where object = ?", (id,)).rowcount > 0

    def drop_object(self, id: bytes) -> None:
        """Take the row of an object away.

        Args:
            id: Its id.
        """
        self._db.execute("delete from object where id = ?", (id,))

    def objects_after(self, number: int, limit: int) -> list[tuple[int, bytes]]:
        """Numbers and ids of objects, by number.

        Args:
            number: That of the last one seen.
            limit: At most so many.
        """
        query = "select number, id from object where number > ? order by number limit ?"
        return self._db.execute(query, (number, limit)).fetchall()

    def damaged_entries(self) -> Iterator[ArtifactError]:
        """Every description that is not what was stored, or whose object is gone."""
        last = -1
        while rows := self._db.execute(_EVERY_ENTRY, (last,)).fetchall():
            for sequence, *row in rows:
                last = sequence
                try:
                    if row[1] is None:
                        yield damaged(row[0], "its object is not in the index")
                    else:
                        info_of(tuple(row))
                except ArtifactError as error:
                    yield error

    def faults(self) -> list[str]:
        """What SQLite finds wrong with its own structure."""
        rows = self._db.execute("pragma quick_check(10)").fetchall()
        return [text for (text,) in rows if text != "ok"]

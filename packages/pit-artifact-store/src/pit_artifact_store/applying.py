"""Puts images of rows into the index: those just written, and those that are replayed, in one and the same way."""

import json
from typing import Final

from pit_artifact_store.recipes import Recipe
from pit_artifact_store.records import (
    EntryRow,
    Gone,
    HoldRow,
    Image,
    ObjectRow,
    PinRow,
    RelationRow,
    ScoreRow,
    TagRow,
)
from pit_artifact_store.rows import Rows

_FORGET: Final = (
    "delete from object where number = ?",
    "delete from use where object = ?",
    "delete from entry where object = ?",
    "delete from tag where object = ?",
    "delete from pin where object = ?",
    "delete from hold where object = ?",
    "delete from relation where subject = ?",
    "delete from score where object = ?",
)


def apply(rows: Rows, image: Image, home: int) -> bool:
    """Put an image in the place of an older one; tells whether it is the newest now.

    What is said about an artifact that is not there is passed over: it was collected since.

    Args:
        rows: The index, in a transaction that writes.
        image: The row.
        home: Number of the pack that it is in.
    """
    row, seq = image.row, image.seq
    match row:
        case ObjectRow():
            return _apply_object(rows, row, seq, home)
        case Gone():
            return _apply_gone(rows, row, seq)
        case TagRow():
            object = row.object
        case EntryRow() | PinRow() | HoldRow() | ScoreRow():
            object = row.object
        case RelationRow():
            object = row.subject
    found = rows.first("select number from object where id = ? and born < ?", (object, seq))
    return found is not None and _apply_fact(rows, row, seq, found[0])


def _apply_object(rows: Rows, row: ObjectRow, seq: int, home: int) -> bool:
    known = rows.first("select number, seq from object where id = ?", (row.id,))
    if known is None:
        rows.db.execute(
            "insert into object (id, size, removed, born, seq, home, recipe) values (?, ?, ?, ?, ?, ?, ?)",
            (row.id, row.size, row.removed, row.born or seq, seq, home, row.recipe),
        )
        number = rows.db.last_insert_rowid()
    else:
        number, newest = known
        if newest >= seq:
            return False
        rows.db.execute(
            "update object set size = ?, removed = ?, born = ?, seq = ?, home = ?, recipe = ? where number = ?",
            (row.size, row.removed, row.born or seq, seq, home, row.recipe, number),
        )
        rows.db.execute("delete from use where object = ?", (number,))
    for id in Recipe(row.recipe).packs:
        rows.db.execute("insert into use select number, ? from pack where id = ?", (number, id))
    return True


def _apply_fact(
    rows: Rows,
    row: EntryRow | TagRow | PinRow | HoldRow | RelationRow | ScoreRow,
    seq: int,
    number: int,
) -> bool:
    match row:
        case EntryRow():
            statement = (
                "insert into entry (sequence, object, fingerprint, created, name, version, media_type, run, facts) "
                "values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (object, fingerprint) do update set "
                "sequence = excluded.sequence, created = min(created, excluded.created) "
                "where excluded.sequence > sequence"
            )
            values: tuple[object, ...] = (
                seq,
                number,
                row.fingerprint,
                row.created,
                row.name,
                row.version,
                row.media_type,
                row.run,
                row.facts,
            )
        case TagRow():
            statement = (
                "insert into tag values (?, ?, ?, ?) on conflict (name) do update set object = excluded.object, "
                "created = excluded.created, seq = excluded.seq where excluded.seq > seq"
            )
            values = (row.name, number, row.created, seq)
        case PinRow():
            statement = (
                "insert into pin values (?, ?) on conflict (object) do update set seq = excluded.seq "
                "where excluded.seq > seq"
            )
            values = (number, seq)
        case HoldRow():
            statement = (
                "insert into hold values (?, ?, ?, ?) on conflict (object, reason) do update set "
                "created = excluded.created, seq = excluded.seq where excluded.seq > seq"
            )
            values = (number, row.reason, row.created, seq)
        case RelationRow():
            statement = (
                "insert into relation values (?, ?, ?, ?, ?) on conflict (subject, kind, object) do update set "
                "created = excluded.created, seq = excluded.seq where excluded.seq > seq"
            )
            values = (number, row.kind, row.object, row.created, seq)
        case ScoreRow():
            statement = (
                "insert into score values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (object, scorer) do update set "
                "version = excluded.version, value = excluded.value, reason = excluded.reason, "
                "inputs = excluded.inputs, created = excluded.created, seq = excluded.seq where excluded.seq > seq"
            )
            inputs = json.dumps(row.inputs)
            values = (number, row.scorer, row.version, row.value, row.reason, inputs, row.created, seq)
    rows.db.execute(statement, values)
    return rows.db.changes() > 0


def _apply_gone(rows: Rows, gone: Gone, seq: int) -> bool:
    if gone.table == "tag":
        rows.db.execute("delete from tag where name = ? and seq < ?", (gone.name, seq))
        return rows.db.changes() > 0
    found = rows.first("select number, seq from object where id = ?", (gone.object,))
    if found is None:
        return False
    number, newest = found
    match gone.table:
        case "object":
            if newest >= seq:
                return False
            for statement in _FORGET:
                rows.db.execute(statement, (number,))
            return True
        case "pin":
            rows.db.execute("delete from pin where object = ? and seq < ?", (number, seq))
        case "hold":
            rows.db.execute(
                "delete from hold where object = ? and reason = ? and seq < ?", (number, gone.name, seq)
            )
        case "relation":
            rows.db.execute(
                "delete from relation where subject = ? and kind = ? and object = ? and seq < ?",
                (number, gone.kind, gone.name, seq),
            )
    return rows.db.changes() > 0


def is_newest(rows: Rows, image: Image, leaving: int) -> bool:
    """Whether an image must be kept when the pack that it is in goes.

    Args:
        rows: The index.
        image: The row.
        leaving: Number of that pack; of the objects that have chunks in it, new images are written anyway.
    """
    row, seq = image.row, image.seq
    query: str
    values: tuple[object, ...]
    match row:
        case ObjectRow():
            query = "select seq from object where id = ? and number not in (select object from use where pack = ?)"
            values = (row.id, leaving)
        case EntryRow():
            query = (
                "select e.sequence from entry e join object o on o.number = e.object "
                "where o.id = ? and e.fingerprint = ?"
            )
            values = (row.object, row.fingerprint)
        case TagRow():
            query, values = "select seq from tag where name = ?", (row.name,)
        case PinRow():
            query = "select p.seq from pin p join object o on o.number = p.object where o.id = ?"
            values = (row.object,)
        case HoldRow():
            query = "select h.seq from hold h join object o on o.number = h.object where o.id = ? and h.reason = ?"
            values = (row.object, row.reason)
        case RelationRow():
            query = (
                "select r.seq from relation r join object o on o.number = r.subject "
                "where o.id = ? and r.kind = ? and r.object = ?"
            )
            values = (row.subject, row.kind, row.object)
        case ScoreRow():
            query = "select s.seq from score s join object o on o.number = s.object where o.id = ? and s.scorer = ?"
            values = (row.object, row.scorer)
        case Gone():
            # For ever: an older image of the row may be in a pack that stays.
            return True
    found = rows.first(query, values)
    return found is not None and found[0] == seq

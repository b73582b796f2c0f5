"""Who is meant by an id, the first characters of one, or a tag; and what the index says of an artifact."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.ports import ArtifactInfo, Hold, Relation

from pit_artifact_store.entries import facts_of
from pit_artifact_store.failures import ambiguous, missing, removed, untagged
from pit_artifact_store.ids import id_range, is_written_as_id, text_of
from pit_artifact_store.rows import Object, Rows

TAG: Final = re.compile(r"(?!b3-)[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?")
"""How a tag is written."""

INFO: Final = """
select o.id, o.size, e.created, e.name, e.version, e.media_type, e.facts, o.removed,
  (select json_group_array(t.name) from (select name from tag where object = o.number order by name) t),
  exists (select 1 from pin where object = o.number),
  (select json_group_array(json_array(h.reason, h.created)) from
    (select reason, created from hold where object = o.number order by created, reason) h),
  (select avg(value) from score where object = o.number)
from entry e join object o on o.number = e.object
"""
"""Everything that is known of an artifact by one of its descriptions."""


class Filters(NamedTuple):
    """Which artifacts are looked for.

    Args:
        run: Only those of this run, if not empty.
        name: Only those with this text in their name, if not empty.
        tag: Only those with a tag that begins so, if not empty.
        media_type: Only those of a type that begins so, if not empty.
        since: Only those stored at this Unix time in seconds, or later.
        until: Only those stored before this Unix time in seconds.
        quality: Only those whose quality is at least this, if not 0.
        removed: Only those that were removed, in place of those that were not.
    """

    run: str = ""
    name: str = ""
    tag: str = ""
    media_type: str = ""
    since: float = 0.0
    until: float | None = None
    quality: float = 0.0
    removed: bool = False


def fitting(rows: Rows, filters: Filters, ids: Sequence[bytes] | None = None) -> Iterator[ArtifactInfo]:
    """Descriptions that fit, the newest first.

    Args:
        rows: The index.
        filters: What they are to fit.
        ids: Only those of these artifacts; None for all.
    """
    wanted = [
        ("o.id in (select unhex(value) from json_each(:ids))", ids is not None),
        ("e.run = :run and e.run != ''", filters.run),  # so that the index of runs is used
        ("instr(e.name, :name)", filters.name),
        ("substr(e.media_type, 1, length(:media_type)) = :media_type", filters.media_type),
        (
            "exists (select 1 from tag where object = o.number and substr(name, 1, length(:tag)) = :tag)",
            filters.tag,
        ),
        ("e.created >= :since", filters.since),
        ("e.created < :until", filters.until is not None),
        ("(select avg(value) from score where object = o.number) >= :quality", filters.quality),
        (f"o.removed {'>' if filters.removed else '='} 0", True),
    ]
    query = INFO + "where " + " and ".join(condition for condition, asked in wanted if asked)
    values = {**filters._asdict(), "ids": json.dumps([id.hex() for id in ids or ()])}
    return map(info_of, rows.db.execute(query + " order by e.sequence desc", values))


def resolve(rows: Rows, text: str, *, present: bool = False) -> Object:
    """The artifact that is meant.

    Args:
        rows: The index.
        text: Its id, the first characters of it, or a tag.
        present: Whether one that was removed is as good as none.

    Raises:
        ArtifactError: There is none, there are several, or nothing can be written so.
    """
    if is_written_as_id(text):
        low, high = id_range(text)
        matches = rows.matches(low, high, 4) if low != high else [low]
        if len(matches) > 1:
            raise ambiguous(text, matches)
        object = rows.object(matches[0]) if matches else None
    elif TAG.fullmatch(text):
        query = "select o.id from tag t join object o on o.number = t.object where t.name = ?"
        found = rows.first(query, (text,))
        if found is None:
            raise untagged(text)
        object = rows.object(found[0])
    else:
        id_range(text)
        object = None
    if object is None:
        raise missing(text)
    if present and object.removed:
        raise removed(object.id)
    return object


def info_of(row: Sequence[Any]) -> ArtifactInfo:
    """What a row of `INFO` says.

    Args:
        row: The row.
    """
    id, size, created, name, version, media_type, facts, removed_at, tags, pinned, holds, quality = row
    known = facts_of(facts)
    return ArtifactInfo(
        ArtifactRef(text_of(id), size, media_type, name),
        created,
        known.metadata,
        known.lineage,
        version,
        tuple(json.loads(tags)),
        bool(pinned),
        tuple(Hold(*hold) for hold in json.loads(holds)),
        removed_at,
        quality,
    )


def reasons_of(rows: Rows, object: Object) -> list[str]:
    """What an artifact is held for.

    Args:
        rows: The index.
        object: The artifact.
    """
    query = "select reason from hold where object = ? order by created, reason"
    return [reason for (reason,) in rows.db.execute(query, (object.number,))]


def relations_of(rows: Rows, id: bytes, *, down: bool) -> Iterator[Relation]:
    """The relations of an artifact to others and to the runs that made it, or of others to it.

    Args:
        rows: The index.
        id: Id of the artifact.
        down: Whether those of others to it are meant.
    """
    if down:
        query = (
            "select o.id, r.kind, r.object, r.created from relation r join object o on o.number = r.subject "
            "where r.object = ? order by r.seq"
        )
        values: tuple[Any, ...] = (text_of(id),)
    else:
        query = (
            "select o.id, r.kind, r.object, r.created from object o join relation r on r.subject = o.number "
            "where o.id = ? order by r.seq"
        )
        values = (id,)
    for subject, kind, object, created in rows.all(query, values):
        yield Relation(text_of(subject), kind, object, created)
    if not down:
        query = "select e.facts, e.created from entry e join object o on o.number = e.object where o.id = ? and e.run != ''"
        makers: dict[str, float] = {}
        for facts, created in rows.all(query, (id,)):
            made = facts_of(facts).lineage
            where = "/".join(filter(None, (made.run, made.node)))
            makers.setdefault(" ".join(filter(None, (where, made.extension, made.version))), created)
        for maker, created in makers.items():
            yield Relation(text_of(id), "produced-by", maker, created)


def as_id(text: str) -> bytes | None:
    """The id at the end of a relation; None where that is no artifact.

    Args:
        text: How the end is written.
    """
    if not is_written_as_id(text):
        return None
    low, high = id_range(text)
    return low if low == high else None

"""Who is meant by an id, the first characters of one, or a tag; and what the index says of an artifact."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

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

"""What is known of artifacts: descriptions, versions, tags, pins, holds, and what they are to each other."""

import json
import time
from collections.abc import Iterable
from typing import Any, Final, get_args

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactInfo, Relation, RelationKind, Score, Tag, checked_score

from pit_artifact_store.failures import untagged
from pit_artifact_store.ids import id_range, text_of
from pit_artifact_store.index import Index
from pit_artifact_store.journal import Journal
from pit_artifact_store.lookups import INFO, TAG, as_id, info_of, reasons_of, relations_of, resolve
from pit_artifact_store.records import Gone, HoldRow, ObjectRow, PinRow, RelationRow, Row, ScoreRow, TagRow
from pit_artifact_store.rows import Rows

_VERSIONS: Final = "".join(
    (
        INFO,
        """
where e.name = ?1 and e.name != ''
  and e.sequence = (select max(sequence) from entry where name = ?1 and name != '' and version = e.version)
order by e.version desc limit ?2
""",
    )
)


class Catalogue:
    """What is known of the artifacts of a store; safe with many threads.

    Args:
        index: The index of the store.
        journal: Writes into it.
    """

    def __init__(self, index: Index, journal: Journal) -> None:
        self._index = index
        self._journal = journal

    # -- descriptions --------------------------------------------------------------------------------

    def infos(self, text: str, limit: int) -> list[ArtifactInfo]:
        """The descriptions of an artifact, the newest first.

        Args:
            text: The artifact.
            limit: At most so many; -1 for all.

        Raises:
            ArtifactError: There is none, or there are several.
        """
        with self._index.reading() as rows:
            object = resolve(rows, text)
            query = INFO + "where e.object = ? order by e.sequence desc limit ?"
            return [info_of(row) for row in rows.db.execute(query, (object.number, limit))]

    def versions(self, name: str, limit: int) -> list[ArtifactInfo]:
        """The versions of a name, the newest first, removed ones included.

        Args:
            name: The whole name.
            limit: At most so many.
        """
        with self._index.reading() as rows:
            return [info_of(row) for row in rows.db.execute(_VERSIONS, (name, limit))]

    def find(
        self,
        *,
        run: str,
        name: str,
        tag: str,
        media_type: str,
        since: float,
        until: float | None,
        removed: bool,
        quality: float,
        limit: int,
    ) -> list[ArtifactInfo]:
        """The newest artifacts, each by the newest of its descriptions that fits.

        Args:
            run: Only those of this run, if not empty.
            name: Only those with this text in their name, if not empty.
            tag: Only those with a tag that begins so, if not empty.
            media_type: Only those of a type that begins so, if not empty.
            since: Only those stored at this time, or later.
            until: Only those stored before this time.
            removed: Only those that were removed.
            quality: Only those whose quality is at least this, if not 0.
            limit: At most so many.
        """
        wanted = [
            ("e.run = :run and e.run != ''", run),  # so that the index of runs is used
            ("instr(e.name, :name)", name),
            ("substr(e.media_type, 1, length(:media_type)) = :media_type", media_type),
            (
                "exists (select 1 from tag where object = o.number and substr(name, 1, length(:tag)) = :tag)",
                tag,
            ),
            ("e.created >= :since", since),
            ("e.created < :until", until is not None),
            ("(select avg(value) from score where object = o.number) >= :quality", quality),
            (f"o.removed {'>' if removed else '='} 0", True),
        ]
        query = INFO + "where " + " and ".join(condition for condition, asked in wanted if asked)
        values = {
            "run": run,
            "name": name,
            "media_type": media_type,
            "tag": tag,
            "since": since,
            "until": until,
            "quality": quality,
        }
        found: dict[bytes, ArtifactInfo] = {}
        with self._index.reading() as rows:
            for row in rows.db.execute(query + " order by e.sequence desc", values):
                if len(found) >= limit:
                    break
                if row[0] not in found:
                    found[row[0]] = info_of(row)
        return list(found.values())

    # -- tags, pins, holds ---------------------------------------------------------------------------

    def tag(self, text: str, tag: str) -> Tag:
        """Give an artifact a tag.

        Args:
            text: The artifact.
            tag: The tag.

        Raises:
            ArtifactError: There is no such artifact, or tags are not written so.
        """
        if not isinstance(tag, str) or TAG.fullmatch(tag) is None:
            raise ArtifactError(
                f"{tag!r:.140} is no tag: expected 1 to 128 letters and digits, with `.`, `_`, `-` and `/` between",
                code="SYM-A041",
                hint="Such as `release/2026-11`. It must not begin with `b3-`, as ids do.",
            )
        told: list[TagRow] = []

        def build(rows: Rows) -> Iterable[Row]:
            object = resolve(rows, text, present=True)
            query = "select created from tag where name = ? and object = ?"
            known = rows.first(query, (tag, object.number))
            told.append(TagRow(tag, object.id, known[0] if known else time.time()))
            return [] if known else told

        self._commit(build)
        return Tag(tag, text_of(told[0].object), told[0].created)

    def untag(self, tag: str) -> None:
        """Take a tag away.

        Args:
            tag: The tag.

        Raises:
            ArtifactError: Nothing has it.
        """

        def build(rows: Rows) -> Iterable[Row]:
            if rows.first("select 1 from tag where name = ?", (tag,)) is None:
                raise untagged(tag, "SYM-A041")
            return [Gone("tag", name=tag)]

        self._commit(build)

    def tags(self, limit: int) -> list[Tag]:
        """The tags, in alphabetical order.

        Args:
            limit: At most so many.
        """
        query = "select t.name, o.id, t.created from tag t join object o on o.number = t.object order by t.name limit ?"
        with self._index.peeking() as rows:
            return [Tag(name, text_of(id), created) for name, id, created in rows.db.execute(query, (limit,))]

    def pin(self, text: str, *, pinned: bool) -> None:
        """Pin an artifact, or no more.

        Args:
            text: The artifact.
            pinned: Whether it is to be pinned.

        Raises:
            ArtifactError: There is none.
        """

        def build(rows: Rows) -> Iterable[Row]:
            object = resolve(rows, text, present=True)
            is_pinned = rows.first("select 1 from pin where object = ?", (object.number,)) is not None
            if is_pinned == pinned:
                return []
            return [PinRow(object.id) if pinned else Gone("pin", object.id)]

        self._commit(build)

    def hold(self, text: str, reason: str, *, held: bool) -> None:
        """Hold an artifact for a reason, or release it of that.

        Args:
            text: The artifact.
            reason: Why.
            held: Whether it is to be held.

        Raises:
            ArtifactError: There is no such artifact, no reason, or it is not held for that.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise ArtifactError(
                f"an artifact is not held for {reason!r}: expected a reason",
                code="SYM-A010",
                hint="Say why it must not be removed, so that others know when it may.",
            )

        def build(rows: Rows) -> Iterable[Row]:
            object = resolve(rows, text, present=True)
            query = "select 1 from hold where object = ? and reason = ?"
            is_held = rows.first(query, (object.number, reason)) is not None
            if held:
                return [] if is_held else [HoldRow(object.id, reason, time.time())]
            if not is_held:
                held_for = ", ".join(repr(hold) for hold in reasons_of(rows, object)) or "nothing"
                raise ArtifactError(
                    f"artifact {text_of(object.id)} is not held for {reason!r}, but for {held_for}",
                    code="SYM-A042",
                    hint="`symphony artifacts show` tells what it is held for.",
                    details={"id": text_of(object.id)},
                )
            return [Gone("hold", object.id, reason)]

        self._commit(build)

    # -- scores --------------------------------------------------------------------------------------

    def score(self, text: str, score: Score) -> Score:
        """Keep how good an artifact is.

        Args:
            text: The artifact.
            score: The score.

        Raises:
            ArtifactError: There is no such artifact, or it is no score.
        """
        kept = checked_score(score)
        row = (kept.scorer, kept.version, kept.value, kept.reason, kept.inputs, kept.created)
        self._commit(lambda rows: [ScoreRow(resolve(rows, text, present=True).id, *row)])
        return kept

    def scores(self, text: str) -> list[Score]:
        """The scores of an artifact.

        Args:
            text: The artifact.

        Raises:
            ArtifactError: There is none.
        """
        query = "select scorer, version, value, reason, inputs, created from score where object = ? order by scorer"
        with self._index.reading() as rows:
            found = rows.all(query, (resolve(rows, text).number,))
        return [
            Score(scorer, version, value, reason, json.loads(inputs), created)
            for scorer, version, value, reason, inputs, created in found
        ]

    # -- relations -----------------------------------------------------------------------------------

    def relate(self, subject: str, kind: str, object: str) -> Relation:
        """Say what one artifact is to another.

        Args:
            subject: The artifact.
            kind: What it is to the other.
            object: The other artifact, or what made it.

        Raises:
            ArtifactError: There is none of them, they are one and the same, or the kind is unknown.
        """
        if kind not in get_args(RelationKind):
            raise ArtifactError(
                f"{kind!r:.60} is no relation; expected one of {', '.join(get_args(RelationKind))}",
                code="SYM-A042",
                hint="What else is worth knowing of an artifact belongs into its metadata.",
            )
        told: list[Relation] = []

        def build(rows: Rows) -> Iterable[Row]:
            from_ = resolve(rows, subject, present=True)
            to = object if kind == "produced-by" else text_of(resolve(rows, object, present=True).id)
            if to == text_of(from_.id):
                raise ArtifactError(
                    f"artifact {to} cannot be {kind} itself",
                    code="SYM-A042",
                    hint="Give two different artifacts.",
                    details={"id": to},
                )
            query = "select created from relation where subject = ? and kind = ? and object = ?"
            known = rows.first(query, (from_.number, kind, to))
            created = known[0] if known else time.time()
            told.append(Relation(text_of(from_.id), kind, to, created))  # type: ignore[arg-type]
            return [] if known else [RelationRow(from_.id, kind, to, created)]

        self._commit(build)
        return told[0]

    def relations(self, text: str) -> list[Relation]:
        """What an artifact is to others and they are to it, the newest first.

        Args:
            text: The artifact.

        Raises:
            ArtifactError: There is none.
        """
        with self._index.reading() as rows:
            object = resolve(rows, text)
            found = [*relations_of(rows, object.id, down=False), *relations_of(rows, object.id, down=True)]
        return sorted(found, key=lambda relation: -relation.created)

    def lineage(self, text: str, depth: int, *, down: bool) -> list[Relation]:
        """The relations that lead from an artifact to all it comes from, the nearest first, each once.

        Args:
            text: The artifact.
            depth: At most so many steps.
            down: To all that came from it, instead.

        Raises:
            ArtifactError: There is none.
        """
        found: list[Relation] = []
        with self._index.reading() as rows:
            layer = [resolve(rows, text).id]
            seen = {*layer}
            for _ in range(depth):
                steps = [step for id in layer for step in relations_of(rows, id, down=down)]
                found += steps
                ends = [step.subject if down else step.object for step in steps]
                layer = [id for end in ends if (id := as_id(end)) is not None and id not in seen]
                layer = list(dict.fromkeys(layer))
                seen.update(layer)
                if not layer:
                    break
        return found

    # -- removing ------------------------------------------------------------------------------------

    def remove(self, text: str) -> None:
        """Remove an artifact.

        Args:
            text: Its whole id.

        Raises:
            ArtifactError: There is none, it is pinned, or it is held.
        """
        low, high = id_range(text)
        if low != high:
            raise ArtifactError(
                f"{text} is not a whole id; an artifact is removed only by its whole id",
                code="SYM-A004",
                hint="`symphony artifacts show` gives the whole id.",
                details={"id": text},
            )

        def build(rows: Rows) -> Iterable[Row]:
            object = resolve(rows, text, present=True)
            reasons = [f"it is held: {reason}" for reason in reasons_of(rows, object)]
            if rows.first("select 1 from pin where object = ?", (object.number,)):
                reasons.append("it is pinned")
            if reasons:
                raise ArtifactError(
                    f"artifact {text} cannot be removed: {'; '.join(reasons)}",
                    code="SYM-A040",
                    hint="`symphony artifacts release` ends a hold, `unpin` a pin; ask whoever made it.",
                    details={"id": text},
                )
            return [ObjectRow(object.id, object.size, object.recipe, time.time(), object.born)]

        self._commit(build)

    def restore(self, text: str) -> None:
        """Undo a removal.

        Args:
            text: The artifact.

        Raises:
            ArtifactError: There is none that was removed and not yet collected.
        """

        def build(rows: Rows) -> Iterable[Row]:
            object = resolve(rows, text)
            if not object.removed:
                raise ArtifactError(
                    f"artifact {text_of(object.id)} was not removed",
                    code="SYM-A042",
                    hint="`symphony artifacts list --removed` shows what can be restored.",
                    details={"id": text_of(object.id)},
                )
            return [ObjectRow(object.id, object.size, object.recipe, born=object.born)]

        self._commit(build)

    def _commit(self, build: Any) -> None:
        self._journal.sync([self._journal.commit(build)])

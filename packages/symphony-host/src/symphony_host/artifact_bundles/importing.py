"""Puts what bundles hold into a store, where it is not there yet."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec
from symphony_sdk.errors import ArtifactError, ErrorPayload
from symphony_sdk.ports import ArtifactInfo, ArtifactStore, Lineage, OnArtifactProgress

from symphony_host.artifact_bundles import members
from symphony_host.artifact_bundles.members import (
    ArtifactLine,
    DescriptionLine,
    RelationLine,
    encode,
    line_of,
)
from symphony_host.artifact_bundles.reading import Bundle
from symphony_host.artifact_bundles.reports import Imported, TakenTag

_NAMED: Final = ("SYM-A010", "SYM-A025", "SYM-A041", "SYM-A042", "SYM-A065")
"""Faults of one artifact, or of one thing that is said of it; all others end the import."""


def import_bundle(
    store: ArtifactStore,
    file: Path,
    *,
    passphrase: bytes | None = None,
    dry_run: bool = False,
    on_progress: OnArtifactProgress | None = None,
) -> Imported:
    """Add to a store what a bundle holds and it does not: a second time, that is nothing.

    Every artifact is checked before anything of it counts. An import that ends early leaves what it added, and the
    next one adds the rest. What is added is synced when the store is closed.

    Args:
        store: Where it goes.
        file: The bundle.
        passphrase: Of a sealed one.
        dry_run: Only check, and say what would be added.
        on_progress: Told how many bytes were checked and then stored, of both together.

    Raises:
        ArtifactError: It cannot be read, is no bundle, is refused, its passphrase is another one, or the store cannot
            be written.
    """
    with Bundle(file, passphrase) as bundle:
        work = _Import(store, bundle, dry_run, on_progress)
        work.check_artifacts()
        for description in bundle.descriptions():
            work.describe(description)
        for artifact in bundle.artifacts():
            work.keep(artifact)
        for relation in bundle.relations():
            work.relate(relation)
        return work.told()


class _Artifact(msgspec.Struct):
    """What an import knows of an artifact.

    Args:
        line: Its line, without what is kept of it later.
        id: Its id here.
        before: How often each description was here, by what it says.
        was_here: Whether it was here.
        is_new: Whether nothing of it was put yet.
    """

    line: ArtifactLine
    id: str
    before: Counter[bytes]
    was_here: bool
    is_new: bool = True


class _Import:
    """One import.

    Args:
        store: Where it goes.
        bundle: Where it comes from.
        dry_run: Whether to change nothing.
        tell: Told how far it is.
    """

    def __init__(
        self, store: ArtifactStore, bundle: Bundle, dry_run: bool, tell: OnArtifactProgress | None
    ) -> None:
        self._store = store
        self._bundle = bundle
        self._dry_run = dry_run
        self._tell = tell
        self._done = self._total = 0
        self._artifacts: dict[str, _Artifact | None] = {}
        self._versions: dict[str, tuple[str, set[bytes]]] = {}
        self._counts: Counter[str] = Counter()
        self._taken: list[TakenTag] = []
        self._faults: list[ErrorPayload] = []
        self._tags = {tag.name: tag.id for tag in store.tags(1_000_000_000)}
        self._related: tuple[str, set[tuple[str, str]]] = ("", set())

    # -- bytes ---------------------------------------------------------------------------------------

    def check_artifacts(self) -> None:
        """Read all bytes, and find out which ids they have here.

        Raises:
            ArtifactError: The bundle contradicts itself.
        """
        sizes = self._bundle.blobs()
        self._total = 2 * sum(sizes.values())
        unseen = dict(sizes)
        for line in self._bundle.artifacts():
            if line.id in self._artifacts:
                raise self._bundle.refused(f"it has the artifact {line.id} twice")
            if line.sha256 in sizes and line.sha256 not in unseen:
                raise self._bundle.refused(f"two of its artifacts have the bytes {line.sha256}")
            if unseen.pop(line.sha256, line.size) != line.size:
                raise self._bundle.refused(
                    f"its artifact {line.id} is to have {line.size:,} bytes, and has {sizes[line.sha256]:,}"
                )
            if len(self._artifacts) == members.MOST_ARTIFACTS:
                raise self._bundle.refused(f"it has more than {members.MOST_ARTIFACTS:,} artifacts")
            self._artifacts[line.id] = None
            until = self._done + line.size
            with self._fault_named():
                id = self._store.identify(self._parts(line))
                history = self._known(id)
                before = Counter(_fingerprint(line_of(info), info.lineage.inputs) for info in history)
                lean = ArtifactLine(line.id, line.sha256, line.size)
                self._artifacts[line.id] = _Artifact(lean, id, before, bool(history))
                self._counts["present" if history else "artifacts"] += 1
                self._counts["bytes"] += 0 if history else line.size
            self._done = until
        if unseen:
            raise self._bundle.refused(f"it has bytes that belong to no artifact: {min(unseen)}")
        if len(self._artifacts) != self._bundle.manifest.artifacts:
            raise self._bundle.refused("its manifest counts other artifacts than there are")

    def _parts(self, line: ArtifactLine) -> Iterator[bytes]:
        for part in self._bundle.blob(line):
            yield part
            self._done += len(part)
            if self._tell:
                self._tell(self._done, self._total)

    def _put(self, artifact: _Artifact, told: DescriptionLine, inputs: tuple[str, ...]) -> None:
        self._store.put_stream(
            self._parts(artifact.line) if artifact.is_new else self._bundle.blob(artifact.line),
            name=told.name,
            media_type=told.media_type,
            metadata=told.metadata,
            lineage=msgspec.structs.replace(told.lineage, inputs=inputs),
            durability="os",
            created=told.created,
        )
        artifact.is_new = False

    # -- descriptions --------------------------------------------------------------------------------

    def describe(self, told: DescriptionLine) -> None:
        """Add a description, unless it is here.

        Args:
            told: The description.

        Raises:
            ArtifactError: The bundle contradicts itself, or the store cannot be written.
        """
        artifact = self._artifact(told.id)
        if artifact is None:
            return
        inputs = tuple(self._here(id) for id in told.lineage.inputs)
        print_ = _fingerprint(told, inputs)
        if told.name:
            newest, seen = self._versions.get(told.name, ("", set()))
            if newest != told.id:
                seen = set()
                self._versions[told.name] = (told.id, seen)
            if print_ in seen:  # the version between them is not in the bundle: here they are one
                return
            seen.add(print_)
        if artifact.before[print_]:
            artifact.before[print_] -= 1
            return
        if print_ in artifact.before and self._is_newest(artifact.id, told.name, print_):
            return
        with self._fault_named():
            if not self._dry_run:
                self._put(artifact, told, inputs)
            self._counts["descriptions"] += 1

    def _is_newest(self, id: str, name: str, print_: bytes) -> bool:
        """Whether putting a description that was here would say what the newest version of its name says already."""
        if not name:
            return True
        newest = self._store.versions(name, 1)
        return (
            bool(newest)
            and newest[0].ref.id == id
            and any(
                _fingerprint(line_of(info), info.lineage.inputs) == print_
                for info in self._known(id)
                if info.version == newest[0].version
            )
        )

    # -- what is kept of artifacts -------------------------------------------------------------------

    def keep(self, line: ArtifactLine) -> None:
        """Give an artifact the tags, pins, holds and scores that it does not have.

        Args:
            line: The artifact.

        Raises:
            ArtifactError: The store cannot be written.
        """
        artifact = self._artifact(line.id)
        if artifact is None:
            return
        history = self._known(artifact.id)
        if artifact.was_here:
            self._make_readable(artifact, history[0])
        for tag in line.tags:
            self._give_tag(artifact.id, tag.name)
        is_pinned = bool(history) and history[0].pinned
        reasons = {hold.reason for hold in history[0].holds} if history else set()
        scored = {score.scorer: score.created for score in self._store.scores(artifact.id)} if history else {}
        if line.pinned and not is_pinned:
            self._change("pins", lambda: self._store.pin(artifact.id))
        for hold in line.holds:
            if hold.reason not in reasons:
                self._change("holds", lambda hold=hold: self._store.hold(artifact.id, hold.reason))
        for score in line.scores:
            if score.created > scored.get(score.scorer, -1.0):
                self._change("scores", lambda score=score: self._store.score(artifact.id, score))

    def _make_readable(self, artifact: _Artifact, info: ArtifactInfo) -> None:
        """Restore what was removed here, and mend what is damaged here; what was put is whole."""
        if not artifact.is_new:
            return
        if info.removed:
            self._change("restored", lambda: self._store.restore(artifact.id))
            if self._dry_run:
                return
        try:
            for part in self._store.stream(artifact.id):
                self._done += len(part)
                if self._tell:
                    self._tell(self._done, self._total)
        except ArtifactError as error:
            if error.code != "SYM-A005":
                raise
            self._change("mended", lambda: self._put(artifact, line_of(info), info.lineage.inputs))

    def _give_tag(self, id: str, name: str) -> None:
        kept_by = self._tags.get(name)
        if kept_by is None:
            if self._change("tags", lambda: self._store.tag(id, name)):
                self._tags[name] = id
        elif kept_by != id:
            self._taken.append(TakenTag(name, id, kept_by))

    # -- relations -----------------------------------------------------------------------------------

    def relate(self, line: RelationLine) -> None:
        """Make a relation, unless it is here.

        Args:
            line: The relation.

        Raises:
            ArtifactError: The bundle contradicts itself, or the store cannot be written.
        """
        artifact = self._artifact(line.subject)
        if artifact is None:
            return
        object = line.object
        if line.kind != "produced-by":
            object = self._here(line.object)
            if line.object not in self._artifacts and not self._is_here(object):
                self._counts["unrelated"] += 1
                return
            if line.object in self._artifacts and self._artifacts[line.object] is None:
                return  # it is damaged, and named
        if self._related[0] != artifact.id:
            known = self._store.relations(artifact.id) if self._known(artifact.id) else ()
            self._related = (
                artifact.id,
                {(one.kind, one.object) for one in known if one.subject == artifact.id},
            )
        if (line.kind, object) not in self._related[1]:
            self._change("relations", lambda: self._store.relate(artifact.id, line.kind, object))

    def told(self) -> Imported:
        """What was done."""
        return Imported(
            file=str(self._bundle.file),
            taken_tags=tuple(self._taken),
            faults=tuple(self._faults),
            **self._counts,
        )

    # -- this store ----------------------------------------------------------------------------------

    def _artifact(self, id: str) -> _Artifact | None:
        """An artifact of the bundle; None where it is damaged."""
        if id not in self._artifacts:
            raise self._bundle.refused(f"it tells of an artifact {id} that it does not have")
        return self._artifacts[id]

    def _here(self, id: str) -> str:
        """The id that an artifact of the bundle has here; that of any other stays."""
        artifact = self._artifacts.get(id)
        return id if artifact is None else artifact.id

    def _known(self, id: str) -> list[ArtifactInfo]:
        try:
            return list(self._store.history(id))
        except ArtifactError as error:
            if error.code != "SYM-A002":
                raise
            return []

    def _is_here(self, id: str) -> bool:
        try:
            return self._store.info(id).ref.id == id  # and not a tag, or the first characters of one
        except ArtifactError as error:
            if error.code not in ("SYM-A002", "SYM-A003", "SYM-A004", "SYM-A041"):
                raise
            return False

    def _change(self, what: str, change: Any) -> bool:
        """Change something, unless this only says what would be; tells whether it could be."""
        with self._fault_named():
            if not self._dry_run:
                change()
            self._counts[what] += 1
            return True
        return False

    @contextmanager
    def _fault_named(self) -> Iterator[None]:
        try:
            yield
        except ArtifactError as error:
            if error.code not in _NAMED:
                raise
            self._faults.append(error.payload())


def _fingerprint(told: DescriptionLine, inputs: Iterable[str]) -> bytes:
    """What a description says, but for what depends on the store: its time, its version, and the artifact's id."""
    lineage: Lineage = msgspec.structs.replace(told.lineage, inputs=tuple(inputs))
    said = encode((told.name, told.media_type, told.metadata, lineage))
    return blake2b(said, digest_size=16).digest()

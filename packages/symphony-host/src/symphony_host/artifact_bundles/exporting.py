"""Writes bundles."""

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from symphony_sdk.errors import ArtifactError, ErrorPayload
from symphony_sdk.ports import ArtifactInfo, ArtifactStore, OnArtifactProgress

from symphony_host.artifact_bundles import members
from symphony_host.artifact_bundles.drafts import whole_file
from symphony_host.artifact_bundles.failures import unwritable
from symphony_host.artifact_bundles.members import (
    ArtifactLine,
    Manifest,
    RelationLine,
    TagLine,
    encode,
    line_of,
)
from symphony_host.artifact_bundles.replaying import replay_order
from symphony_host.artifact_bundles.reports import Exported
from symphony_host.artifact_bundles.sealing import SealedWriter

_ALL: Final = 1_000_000_000
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_PRIVATE: Final = 0o600 << 16
_LEFT_OUT: Final = ("SYM-A002", "SYM-A005")
"""Removed since it was chosen, or damaged: the others are exported."""


def select(
    store: ArtifactStore,
    *,
    artifacts: Iterable[str] = (),
    run: str = "",
    name: str = "",
    tag: str = "",
    everything: bool = False,
    lineage: bool = False,
) -> list[str]:
    """Ids of artifacts: those given, or else those that fit.

    Args:
        store: Where they are.
        artifacts: Their ids, the first characters of these, or tags.
        run: Those of this run.
        name: Those with this text in their name.
        tag: Those with a tag that begins so.
        everything: All that there are.
        lineage: Also all that they come from, as far as it was not removed.

    Raises:
        ArtifactError: There is none, or one that is given was removed.
    """
    ids: list[str] = [_present(store, artifact).ref.id for artifact in artifacts]
    if run or name or tag or everything:
        ids += [info.ref.id for info in store.find(run=run, name=name, tag=tag, limit=_ALL)]
    if not ids:
        raise ArtifactError(
            "there is nothing to export: no artifact fits",
            code="SYM-A066",
            hint="`symphony artifacts list`, with the same filters, shows what there is.",
        )
    chosen = dict.fromkeys(ids)
    waiting = list(chosen) if lineage else []
    for id in waiting:
        for step in store.lineage(id, depth=1):
            if step.kind != "produced-by" and step.object not in chosen and _is_present(store, step.object):
                chosen[step.object] = None
                waiting.append(step.object)
    return list(chosen)


def export_bundle(
    store: ArtifactStore,
    ids: Sequence[str],
    file: Path,
    *,
    passphrase: bytes | None = None,
    on_progress: OnArtifactProgress | None = None,
) -> Exported:
    """Write artifacts with all that is known of them into a bundle, which is there whole or not at all.

    Each is read twice: the first time for its hash, which the bundle begins with.

    Args:
        store: Where they are.
        ids: Their whole ids, each once.
        file: The bundle; an older file is replaced.
        passphrase: Seals it; None for a bundle in clear.
        on_progress: Told how many bytes were read, of both times.

    Raises:
        ArtifactError: They are too many, the file cannot be written, or an artifact was removed meanwhile.
    """
    if len(ids) > members.MOST_ARTIFACTS:
        raise ArtifactError(
            f"{len(ids):,} artifacts are too many for one bundle, which holds {members.MOST_ARTIFACTS:,}",
            code="SYM-A066",
            hint="Export them in parts, such as by `--run`, `--name` or `--tag`.",
        )
    reading = _Reading(store, on_progress)
    histories = {id: store.history(id) for id in ids}
    reading.total = 2 * sum(infos[0].ref.size for infos in histories.values())
    hashes = {id: hash for id in ids if (hash := reading.hash(histories[id][0])) is not None}
    sound = {id: histories[id] for id in hashes}
    told = replay_order(sound, _newest_last(store, sound))
    order = list(dict.fromkeys(info.ref.id for info in told))
    size = sum(infos[0].ref.size for infos in sound.values())
    since = {tag.name: tag.created for tag in store.tags(_ALL)}
    try:
        with whole_file(file) as stream:
            with _sealed(stream, passphrase) as target, zipfile.ZipFile(target, "w") as archive:
                artifacts = (_artifact(store, sound[id][0], hashes[id], since) for id in order)
                digests = {
                    members.ARTIFACTS: _write_lines(archive, members.ARTIFACTS, artifacts),
                    members.DESCRIPTIONS: _write_lines(archive, members.DESCRIPTIONS, map(line_of, told)),
                    members.RELATIONS: _write_lines(archive, members.RELATIONS, _relations(store, order)),
                }
                manifest = Manifest(members.FORMAT, members.VERSION, len(order), size, digests)
                with _member(archive, members.MANIFEST) as member:
                    member.write(encode(manifest) + b"\n")
                for id in order:
                    with _member(archive, members.BLOBS + hashes[id], sound[id][0].ref.size) as member:
                        reading.copy(id, hashes[id], member)
            whole = stream.seek(0, os.SEEK_END)
    except OSError as error:
        raise unwritable(file, error) from error
    return Exported(str(file), len(order), size, whole, tuple(reading.faults))


class _Reading:
    """Reads artifacts, and tells how far it is.

    Args:
        store: Where they are.
        tell: Told how many bytes were read.
    """

    def __init__(self, store: ArtifactStore, tell: OnArtifactProgress | None) -> None:
        self.total = 0
        self.faults: list[ErrorPayload] = []
        self._store = store
        self._tell = tell
        self._done = 0

    def hash(self, info: ArtifactInfo) -> str | None:
        """The SHA-256 of an artifact; None where it cannot be read, which is noted."""
        until = self._done + info.ref.size
        hashed = sha256()
        try:
            for part in self._parts(info.ref.id):
                hashed.update(part)
        except ArtifactError as error:
            if error.code not in _LEFT_OUT:
                raise
            self.faults.append(error.payload())
            self._done = until
            return None
        return hashed.hexdigest()

    def copy(self, id: str, hash: str, target: IO[bytes]) -> None:
        """Write an artifact that was hashed."""
        hashed = sha256()
        for part in self._parts(id):
            hashed.update(part)
            target.write(part)
        if hashed.hexdigest() != hash:
            raise AssertionError(f"the store gave other bytes for {id} the second time")

    def _parts(self, id: str) -> Iterator[bytes]:
        for part in self._store.stream(id):
            yield part
            self._done += len(part)
            if self._tell:
                self._tell(self._done, self.total)


def _present(store: ArtifactStore, artifact: str) -> ArtifactInfo:
    info = store.info(artifact)
    if info.removed:
        raise ArtifactError(
            f"artifact {info.ref.id} was removed and cannot be exported",
            code="SYM-A002",
            hint="`symphony artifacts restore` brings it back until it is collected.",
            details={"id": info.ref.id},
        )
    return info


def _is_present(store: ArtifactStore, id: str) -> bool:
    try:
        return not store.info(id).removed
    except ArtifactError as error:
        if error.code != "SYM-A002":
            raise
        return False


def _newest_last(store: ArtifactStore, ids: Mapping[str, object]) -> list[str]:
    """The artifacts in the order in which their newest descriptions were told."""
    if len(ids) < 2:
        return []
    return [info.ref.id for info in reversed(store.find(limit=_ALL)) if info.ref.id in ids]


def _artifact(
    store: ArtifactStore, info: ArtifactInfo, hash: str, since: Mapping[str, float]
) -> ArtifactLine:
    tags = tuple(TagLine(name, since[name]) for name in info.tags if name in since)
    return ArtifactLine(
        info.ref.id, hash, info.ref.size, tags, info.pinned, info.holds, tuple(store.scores(info.ref.id))
    )


def _relations(store: ArtifactStore, order: Iterable[str]) -> Iterator[RelationLine]:
    for id in order:
        of_it = [relation for relation in store.relations(id) if relation.subject == id]
        for relation in sorted(of_it, key=lambda one: (one.created, one.kind, one.object)):
            yield RelationLine(relation.subject, relation.kind, relation.object, relation.created)


@contextmanager
def _sealed(stream: IO[bytes], passphrase: bytes | None) -> Iterator[Any]:
    """Where the bytes of the zip file go."""
    if passphrase is None:
        yield stream
        return
    writer = SealedWriter(stream, passphrase)
    yield writer
    writer.close()


def _member(archive: zipfile.ZipFile, name: str, size: int = 0) -> IO[bytes]:
    """A member to write into, of no time and no machine; it may be large where its size is."""
    info = zipfile.ZipInfo(name, _NO_TIME)
    info.create_system, info.external_attr, info.file_size = _UNIX, _PRIVATE, size
    return archive.open(info, "w")


def _write_lines(archive: zipfile.ZipFile, name: str, lines: Iterable[msgspec.Struct]) -> str:
    hashed = sha256()
    with _member(archive, name) as member:
        for line in lines:
            data = encode(line) + b"\n"
            hashed.update(data)
            member.write(data)
    return hashed.hexdigest()

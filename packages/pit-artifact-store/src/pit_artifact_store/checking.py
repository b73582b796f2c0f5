"""Reads every byte of a store, and names what is not what was written, with the artifacts that it touches."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import OnArtifactProgress

from pit_artifact_store import layout
from pit_artifact_store.failures import disk_errors_named
from pit_artifact_store.ids import ContentIds, text_of
from pit_artifact_store.index import Index
from pit_artifact_store.keys import open_keys
from pit_artifact_store.packs import (
    CHUNK,
    COMMIT,
    HEADER_BYTES,
    PACKED_CHUNK,
    DamagedFrame,
    Frame,
    Pack,
    pack_name,
)
from pit_artifact_store.reading import DamagedContent, recipe_of
from pit_artifact_store.recipes import Chunk
from pit_artifact_store.records import decode_commit
from pit_artifact_store.rows import PackRow, Rows
from pit_artifact_store.tiering.away import Packs
from pit_artifact_store.tiering.remote import OutOfReach

NAMED = 20
"""Artifacts that are named in the message of a fault; all of them are in its details."""


@dataclass(slots=True)
class Needs:
    """What artifacts need of a pack.

    Args:
        chunks: The chunks by their place, each with the ids of the artifacts that need it.
        artifacts: All of these.
    """

    chunks: dict[int, tuple[Chunk, list[str]]] = field(default_factory=dict)
    artifacts: dict[str, None] = field(default_factory=dict)


class Checker:
    """Checks one open store, beside others that use it.

    Args:
        root: The directory of the store.
        index: Its index.
        packs: Its packs.
        ids: Gives its ids.
    """

    def __init__(self, root: Path, index: Index, packs: Packs, ids: ContentIds) -> None:
        self._root = root
        self._index = index
        self._packs = packs
        self._files = packs.files
        self._ids = ids

    def verify(self, on_progress: OnArtifactProgress | None) -> list[ArtifactError]:
        """Each fault that there is.

        Args:
            on_progress: Told how many bytes were read, and of how many.
        """
        faults = []
        for check in (
            lambda: layout.is_made(self._root),
            lambda: open_keys(self._root / "keys"),
            self._index.check,
        ):
            try:
                with disk_errors_named(self._root, "read"):
                    check()
            except ArtifactError as error:
                faults.append(error)
        try:
            with disk_errors_named(self._root, "read"):
                faults += self._all_packs(on_progress)
                faults += self._recipes()
        except ArtifactError as error:  # the index ends here; what was found before it is worth knowing
            if error.message not in {fault.message for fault in faults}:
                faults.append(error)
        return faults

    def _all_packs(self, on_progress: OnArtifactProgress | None) -> Iterator[ArtifactError]:
        yield from self._strangers()
        with self._index.reading() as rows:
            packs = rows.packs("open", "closed")
        done, total = 0, sum(pack.indexed for pack in packs)
        for pack in packs:
            try:
                yield from self._pack(pack)
            except OutOfReach as away:
                yield self._unread(pack, away.error)
            done += pack.indexed
            if on_progress is not None:
                on_progress(done, total)

    def _unread(self, row: PackRow, reason: ArtifactError) -> ArtifactError:
        """A pack in the tier could not be checked."""
        with self._index.reading() as rows:
            artifacts = [*_needs(rows, row).artifacts]
        return ArtifactError(
            f"{pack_name(row.id)} is in the tier and could not be checked: {reason.message}",
            code=reason.code,
            hint=reason.hint,
            details={**reason.details, "artifacts": artifacts},
        )

    def _strangers(self) -> Iterator[ArtifactError]:
        """What lies among the packs, is not in the index, and cannot have been left there by a killed process."""
        there = self._files.ids()  # before the index is asked: a new one is in both, or in neither
        with self._index.reading() as rows:
            known = {pack.id for pack in rows.packs()}
        for id in there:
            if id not in known:
                try:
                    self._files.lock(id)
                except DamagedFrame as error:
                    with suppress(FileNotFoundError):  # it was collected just now
                        if (
                            self._files.path(id).stat().st_size >= HEADER_BYTES
                        ):  # else its making was cut short
                            yield _fault(f"{pack_name(id)} cannot be read: {error}", [])

    def _pack(self, row: PackRow) -> Iterator[ArtifactError]:
        with self._index.reading() as rows:
            now = rows.pack(row.id)
            if now is None or now.state == "condemned":  # it was collected meanwhile
                return
            needs = _needs(rows, now)
            try:
                self._packs.forget(row.id)
                pack = self._packs.open(row.id)
            except OutOfReach:
                raise
            except (OSError, DamagedFrame) as error:
                if isinstance(error, FileNotFoundError) and not needs.artifacts:
                    return  # it was collected, and a crash of the machine took that from the index
                what = "is gone" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
                yield _fault(f"{pack_name(row.id)} {what}", [*needs.artifacts])
                return
        sound: set[int] = set()
        # Behind what is committed may be what others share, and behind that what was never finished.
        at, end = HEADER_BYTES, max(now.indexed, *needs.chunks, 0)
        while at <= end:
            try:
                for frame in pack.frames(at):
                    if frame.offset > end:
                        break
                    yield from self._frame(pack, frame, needs, sound)
                break
            except DamagedFrame as damage:
                if damage.offset >= end and damage.offset not in needs.chunks:
                    break
                touched = needs.chunks.get(damage.offset)
                yield _fault(str(damage), touched[1] if touched else [])
                sound.add(damage.offset)
                at = _next_frame(pack, damage.offset, needs)
        for offset, (chunk, artifacts) in needs.chunks.items():
            if offset not in sound:
                found = (
                    f"a chunk of {chunk.size:,} bytes is not there, at byte {offset:,} of {pack_name(row.id)}"
                )
                yield _fault(found, artifacts)

    def _frame(self, pack: Pack, frame: Frame, needs: Needs, sound: set[int]) -> Iterator[ArtifactError]:
        """See that a frame, which is what was written, is also what artifacts take it for."""
        place = f"at byte {frame.offset:,} of {pack_name(pack.id)}"
        if frame.kind == COMMIT:
            try:
                decode_commit(frame.data)
            except ValueError as error:
                yield _fault(f"{error}, {place}", [])
        needed = needs.chunks.get(frame.offset)
        if needed is None:
            return
        sound.add(frame.offset)
        chunk, artifacts = needed
        data = frame.data if frame.kind == CHUNK else b""
        if frame.kind == PACKED_CHUNK:
            try:
                data = zstandard.ZstdDecompressor().decompress(frame.data, max_output_size=chunk.size)
            except zstandard.ZstdError as error:
                yield _fault(f"a chunk cannot be unpacked: {error}, {place}", artifacts)
                return
        if frame.stored != chunk.stored or len(data) != chunk.size or self._ids.of_chunk(data) != chunk.id:
            yield _fault(f"a chunk is not that of its id, {place}", artifacts)

    def _recipes(self) -> Iterator[ArtifactError]:
        number = 0
        while True:
            with self._index.reading() as rows:
                page = rows.objects_after(number, 256)
                known = {pack.id for pack in rows.packs("open", "closed")}
            if not page:
                return
            for object in page:
                number = object.number
                try:
                    recipe = recipe_of(object)
                    size = sum(chunk.size for chunk in recipe)
                    lost = [pack_name(id) for id in recipe.packs if id not in known]
                    if size != object.size or lost:
                        raise DamagedContent(
                            f"{size:,} of its {object.size:,} bytes are there, and {', '.join(lost) or 'no pack'} "
                            "is missing"
                        )
                except DamagedContent as error:
                    yield _fault(str(error), [text_of(object.id)])


def _needs(rows: Rows, pack: PackRow) -> Needs:
    needs = Needs()
    for object in rows.users(pack.number):
        id = text_of(object.id)
        needs.artifacts[id] = None
        for chunk in recipe_of(object):
            if chunk.pack == pack.id:
                _, artifacts = needs.chunks.setdefault(chunk.offset, (chunk, []))
                if id not in artifacts[-1:]:
                    artifacts.append(id)
    return needs


def _next_frame(pack: Pack, damaged: int, needs: Needs) -> int:
    """Where to go on after a frame that cannot be trusted, not even with its own length."""
    claimed = pack.claimed_end(damaged)
    return min((offset for offset in needs.chunks if offset > damaged), default=claimed)


def _fault(found: str, artifacts: list[str]) -> ArtifactError:
    named = ", ".join(artifacts[:NAMED]) + (
        f" and {len(artifacts) - NAMED} more" if len(artifacts) > NAMED else ""
    )
    return ArtifactError(
        f"{found}; it touches {f'artifact {named}' if artifacts else 'no artifact'}",
        code="SYM-A005",
        hint="Run again what made them: storing the same bytes mends them. And check the disk.",
        details={"artifacts": artifacts},
    )

"""Moves packs between this machine and the tier, one by one; killed anywhere, it goes on where it was."""

import os
import time
from pathlib import Path

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import OnArtifactProgress, TierReport, TierStatus

from pit_artifact_store.ids import ContentIds
from pit_artifact_store.index import Index
from pit_artifact_store.journal import Journal
from pit_artifact_store.layout import sync_directory
from pit_artifact_store.packs import Pack, pack_name
from pit_artifact_store.reading import recipe_of
from pit_artifact_store.rows import PackRow, PackState, Rows
from pit_artifact_store.tiering.away import Packs
from pit_artifact_store.tiering.copies import (
    Work,
    check_frames,
    chunk_bytes,
    fetch,
    is_there,
    not_what_was_put,
)
from pit_artifact_store.tiering.remote import file_of, folder_of, listed_packs
from pit_artifact_store.tiering.stored_keys import put_keys
from pit_artifact_store.tiering.stubs import Stub, new_path


class Mover:
    """Moves the packs of one open store, beside others that use it.

    Args:
        root: The directory of the store.
        index: Its index.
        packs: Its packs.
        journal: Writes into both.
        ids: Hashes what is moved.
    """

    def __init__(self, root: Path, index: Index, packs: Packs, journal: Journal, ids: ContentIds) -> None:
        self._root = root
        self._index = index
        self._packs = packs
        self._journal = journal
        self._ids = ids

    def back_up(self, store: str, on_progress: OnArtifactProgress | None) -> TierReport:
        """Copy what the tier does not have yet.

        Args:
            store: What the store is called in the tier.
            on_progress: Told how many bytes of packs were seen to, and of how many.

        Raises:
            ArtifactError: There is no tier, it cannot be used, or it is that of another store.
            OSError: The disk refuses.
        """
        with self._packs.stubs.locked():
            work = self._begin(store, on_progress)
            for row in self._rows("open", "closed"):
                with work.counted(row.id, row.indexed):
                    try:
                        pack = self._packs.files.open(row.id)
                    except FileNotFoundError:  # it is in the tier alone, or was collected just now
                        stub = self._packs.stubs.get(row.id)
                        if stub is not None and stub.size not in work.listed.get(row.id, ()):
                            work.fault(not_what_was_put(work.tier, row.id, stub.size))
                        continue
                    end = self._end(row)
                    check_frames(pack, end, work)  # the rest of a damaged one is worth a copy
                    work.moved(self._back_up(work, pack, end))
            return work.report()

    def offload(self, store: str, age: float, on_progress: OnArtifactProgress | None) -> TierReport:
        """Have packs in the tier alone.

        Args:
            store: What the store is called in the tier.
            age: Only those last written so many seconds ago, or longer.
            on_progress: Told how many bytes of packs were seen to, and of how many.

        Raises:
            ArtifactError: There is no tier, it cannot be used, or it is that of another store.
            OSError: The disk refuses.
        """
        with self._packs.stubs.locked():
            work = self._begin(store, on_progress)
            self._journal.finish()
            self._index.checkpoint()  # no crash of the machine makes it ask for packs that are away
            now = time.time()
            for row in self._rows("closed"):
                with work.counted(row.id, row.indexed):
                    pack = self._packs.files.lock(row.id)
                    if pack is None or os.fstat(pack.fd).st_mtime > now - age:
                        continue
                    with self._index.reading() as rows:
                        latest = rows.pack(row.id)
                    if latest is None or latest.state != "closed":
                        continue
                    whole = check_frames(pack, latest.indexed, work)
                    if whole and self._back_up(work, pack, latest.indexed) is not None:
                        # Nobody writes it any more: whoever gets its lock sees that its name is gone.
                        self._packs.files.path(row.id).unlink()
                        self._packs.files.forget(row.id)
                        work.moved(latest.indexed)
            self._packs.files.sync_names()
            return work.report()

    def recall(self, on_progress: OnArtifactProgress | None) -> TierReport:
        """Bring everything that is in the tier alone back.

        Args:
            on_progress: Told how many bytes came, and of how many.

        Raises:
            ArtifactError: There is no tier, or it cannot be used.
            OSError: The disk refuses.
        """
        with self._packs.stubs.locked():
            tier = self._packs.remote.tier
            away = self._packs.stubs.away()
            work = Work(tier, {}, on_progress, sum(stub.size for stub in away.values()))
            for id, stub in away.items():
                with work.counted(id, stub.size):
                    new = new_path(self._packs.files.directory, id)
                    if fetch(tier, file_of(id, stub.size), new, self._ids) == stub.digest:
                        new.replace(self._packs.files.path(id))
                        self._packs.forget(id)
                        work.moved(stub.size)
                    else:
                        new.unlink()
                        work.fault(not_what_was_put(tier, id, stub.size))
            sync_directory(self._packs.files.directory)
            return work.report()

    def status(self) -> TierStatus:
        """How much of the store is in its tier.

        Raises:
            ArtifactError: There is no tier.
        """
        tier = self._packs.remote.tier
        rows = self._rows("open", "closed")
        stubs = {row.id: stub for row in rows if (stub := self._packs.stubs.get(row.id)) and stub.verified}
        away = self._packs.stubs.away()
        missing: list[str] = []
        unknown, problem = 0, None
        try:
            listed = listed_packs(tier)
        except ArtifactError as error:
            problem = error.payload()
        else:
            missing = [pack_name(id) for id, stub in stubs.items() if stub.size not in listed.get(id, ())]
            unknown = len(listed.keys() - {row.id for row in self._rows()})
        return TierStatus(
            tier.url,
            len(rows),
            sum(max(row.indexed, stubs[row.id].size if row.id in stubs else 0) for row in rows),
            sum(stub.size for id, stub in stubs.items() if id not in away),
            sum(stub.size for id, stub in stubs.items() if id in away),
            len(stubs.keys() & away.keys()),
            tuple(missing),
            unknown,
            problem,
        )

    def delete(self, id: bytes) -> bool:
        """Delete what the tier has of a pack that nobody needs; tells whether nothing is there any more.

        Args:
            id: Its id.

        Raises:
            OSError: The disk refuses.
        """
        stubs = self._packs.stubs
        with stubs.locked(wait=False) as alone:
            if not alone:
                return False
            try:
                tier = self._packs.remote.tier
                for file in [*tier.list(folder_of(id))]:
                    tier.delete(file.name)
            except ArtifactError:  # the next collection tries again
                return False
            stubs.remove(id)
            return True

    # -- one pack ------------------------------------------------------------------------------------

    def _begin(self, store: str, on_progress: OnArtifactProgress | None) -> Work:
        tier = self._packs.remote.tier
        put_keys(tier, store, (self._root / "keys").read_bytes())
        total = sum(row.indexed for row in self._rows("open", "closed"))
        return Work(tier, listed_packs(tier), on_progress, total)

    def _back_up(self, work: Work, pack: Pack, end: int) -> int | None:
        """Have the first bytes of a pack in the tier, read back and compared.

        Gives how many were copied, 0 where they were there, None where they could not be.
        """
        stubs, id = self._packs.stubs, pack.id
        known = stubs.get(id)
        there = work.listed.get(id, set())
        if known is not None and known.verified and known.size == end and end in there:
            return 0
        data = pack.read_at(end, 0)
        stub = Stub(end, self._ids(data).hex(), chunk_bytes(pack, end), verified=False)
        stubs.put(id, stub)  # before: a collection that deletes the pack knows that something may be there
        with self._index.reading() as rows:
            now = rows.pack(id)
        if now is None or now.state == "condemned":
            stubs.remove(id)
            return None
        work.tier.put(file_of(id, end), data)
        if not is_there(work.tier, file_of(id, end), data):
            work.fault(not_what_was_put(work.tier, id, end))
            return None
        stubs.put(id, Stub(end, stub.digest, stub.chunks, verified=True))
        for size in there - {end}:
            work.tier.delete(file_of(id, size))
        return end

    def _end(self, row: PackRow) -> int:
        """How much of a pack stays as it is, and is all that is needed of it."""
        with self._index.reading() as rows:
            latest = rows.pack(row.id) or row
            return latest.indexed if latest.state == "closed" else _needed(rows, latest)

    def _rows(self, *states: PackState) -> list[PackRow]:
        with self._index.reading() as rows:
            return rows.packs(*states)


def _needed(rows: Rows, row: PackRow) -> int:
    """Where the last byte of a pack is that is committed or that artifacts need: none before it changes any more."""
    end = row.indexed
    for object in rows.users(row.number):
        for chunk in recipe_of(object):
            if chunk.pack == row.id:
                end = max(end, chunk.offset + chunk.stored)
    return end

"""Brings a store from its tier to a machine where it is not: its keys and its packs, from which the index is made."""

from pathlib import Path

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactTier, OnArtifactProgress, TierReport

from pit_artifact_store import layout
from pit_artifact_store.ids import ContentIds
from pit_artifact_store.keys import open_content, take_over
from pit_artifact_store.pack_files import PackFiles
from pit_artifact_store.packs import DamagedFrame, pack_name
from pit_artifact_store.tiering.copies import Work, check_frames, chunk_bytes, fetch, not_what_was_put
from pit_artifact_store.tiering.remote import file_of, listed_packs
from pit_artifact_store.tiering.stored_keys import newest_keys
from pit_artifact_store.tiering.stubs import Stub, Stubs, new_path


class Rebuilding:
    """One rebuilding of an empty store.

    Args:
        root: The directory of the store.
        tier: The tier.

    Raises:
        ArtifactError: There is nothing in the tier, or the master key of what is there is not here.
    """

    def __init__(self, root: Path, tier: ArtifactTier) -> None:
        self._root = root
        self._tier = tier
        where, self._content = newest_keys(tier)
        self._keys = open_content(self._content, where)
        self._listed = listed_packs(tier)

    def fetch(self, on_progress: OnArtifactProgress | None) -> TierReport:
        """Bring the packs here; those that an attempt before brought stay.

        Args:
            on_progress: Told how many bytes came, and of how many.

        Raises:
            ArtifactError: The tier cannot be used.
            OSError: The disk refuses.
        """
        sizes = {id: max(found) for id, found in self._listed.items()}
        work = Work(self._tier, self._listed, on_progress, sum(sizes.values()))
        files = PackFiles(self._root / "packs", self._keys, lambda: self._keys)
        for id, size in sizes.items():
            with work.counted(id, size):
                work.moved(self._fetch(work, files, id, size))
        files.sync_names()
        return work.report()

    def take_over(self) -> None:
        """Make the directory, which no other process uses, that of the store in the tier, but for its index.

        Raises:
            ArtifactError: The keys cannot be written.
            OSError: The disk refuses.
        """
        with layout.joining(self._root):
            for path in self._root.glob("index.db*"):
                path.unlink()
            keep = {pack_name(id) for id in self._listed}
            for path in (self._root / "packs").glob("*.pack"):  # the empty store's own
                if path.name not in keep:
                    path.unlink()
            layout.sync_directory(self._root / "packs")
            take_over(self._root / "keys", self._content)

    def _fetch(self, work: Work, files: PackFiles, id: bytes, size: int) -> int | None:
        """Bring one pack here; tells how many bytes came."""
        ids, stubs, path = ContentIds(self._keys.id_key), Stubs(self._root), files.path(id)
        known = stubs.get(id)
        if known is not None and known.size == size and path.exists() and path.stat().st_size == size:
            return 0
        new = new_path(files.directory, id)
        digest = fetch(self._tier, file_of(id, size), new, ids)
        came = new.stat().st_size
        new.replace(path)
        try:
            pack = files.open(id)
        except DamagedFrame:
            path.unlink()
            work.fault(not_what_was_put(self._tier, id, size))
            return None
        if came != size:
            work.fault(not_what_was_put(self._tier, id, size))
        check_frames(pack, size, work)
        stubs.put(id, Stub(came, digest, chunk_bytes(pack, came), verified=True))
        return came


def not_empty(root: Path, found: str) -> ArtifactError:
    """A store cannot be rebuilt where there is one.

    Args:
        root: The directory of the store.
        found: Why it is not empty.
    """
    return ArtifactError(
        f"the artifact store {root} cannot be rebuilt from its tier: {found}",
        code="SYM-A054",
        hint="Set an empty data directory (SYMPHONY_DATA_DIR). Nothing was changed.",
        details={"directory": str(root)},
    )

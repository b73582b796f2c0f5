"""The one way in which an artifact enters the store, and in which it leaves.

A file is staged before the index is locked. It gets its name inside of the transaction that writes its row, and
loses it inside of the one that takes the row away. So a row always has its file, and a file without a row is only
what a killed process left, which the next one to open the store takes away.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pit_artifact_store.entries import Entry
from pit_artifact_store.failures import disk_errors_named, missing
from pit_artifact_store.ids import text_of
from pit_artifact_store.index import Index
from pit_artifact_store.objects import ObjectFiles
from pit_artifact_store.rows import Object, Rows
from pit_artifact_store.staging import Staging

INLINE_BYTES: Final = 1 << 16
"""Up to this size an artifact is a row of the index, so that storing it costs one transaction and no file."""


@dataclass(slots=True)
class Publication:
    """An artifact on its way into the store.

    Args:
        data: Its bytes.
        segments: Hashes of their segments.
        entry: Its description.
        durable: Whether a crash of the machine must not lose it.
        replaces: Whether what is stored of it is damaged.
        staged: Path of the file with its bytes, if it was written.
    """

    data: memoryview
    segments: bytes
    entry: Entry
    durable: bool
    replaces: bool = False
    staged: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it is too large for a row of the index."""
        return len(self.data) > INLINE_BYTES


class Publisher:
    """Publishes artifacts and withdraws them; safe with many threads.

    Args:
        root: The directory of the store.
        index: Its index.
        files: Its files.
        staging: Where files are written.
    """

    def __init__(self, root: Path, index: Index, files: ObjectFiles, staging: Staging) -> None:
        self._root = root
        self._index = index
        self._files = files
        self._staging = staging
        self._unsynced: set[bytes] = set()
        self._unsynced_lock = threading.Lock()

    def stage(self, publication: Publication) -> None:
        """Write the file of a publication, unless it needs none or its bytes are in the store.

        Args:
            publication: What is to be published.

        Raises:
            OSError: It cannot be written.
        """
        if not publication.is_file:
            return
        found = self._files.compare(publication.entry.object, publication.data)
        if found == "same":
            return
        publication.replaces = found == "different"
        # A file that takes the place of another may owe that one's durability.
        publication.staged = self._staging.write(
            publication.data, sync=publication.durable or publication.replaces
        )

    def commit(self, group: Sequence[Publication]) -> None:
        """Publish a group in one transaction: all of it or nothing.

        Args:
            group: What is to be published, with one and the same durability.

        Raises:
            ArtifactError: It cannot be written.
        """
        durable = group[0].durable
        ids = [publication.entry.object for publication in group if publication.is_file]
        with disk_errors_named(self._root), self._staging.noting(ids):
            try:
                with self._index.writing(durable=durable) as rows:
                    placed = [id for publication in group for id in self._publish(rows, publication)]
                    if durable:
                        self._files.sync_names(placed)
            except BaseException:
                collect(self._index, self._files, ids)
                raise
        if not durable:
            with self._unsynced_lock:
                self._unsynced.update(ids)

    def _publish(self, rows: Rows, publication: Publication) -> list[bytes]:
        """Write the rows of a publication, and name its file; gives the id whose name is new."""
        id, data = publication.entry.object, publication.data
        synced = rows.object_state(id)
        placed = []
        if publication.is_file:
            here = synced is not None and self._files.size_of(id) == len(data)
            if not here or publication.replaces:
                # What was there when it was compared may have been removed since: then it is written now.
                staged = publication.staged or self._staging.write(data, sync=publication.durable)
                self._files.place(staged, id)
                publication.staged = ""
                synced = publication.durable
                placed.append(id)
            elif publication.durable and not synced:
                self._files.sync([id])
        content = None if publication.is_file else bytes(data)
        kept = Object(id, len(data), synced or publication.durable, publication.segments, content)
        rows.put_object(kept, time.time())
        rows.put_entry(publication.entry)
        return placed

    def withdraw(self, id: bytes) -> None:
        """Take an artifact out of the store.

        Args:
            id: Its id.

        Raises:
            ArtifactError: There is none, or the disk refuses.
        """
        with disk_errors_named(self._root), self._staging.noting([id]):
            with self._index.writing(durable=True) as rows:
                if not rows.forget(id):
                    raise missing(text_of(id))
            collect(self._index, self._files, [id])

    def sync(self) -> None:
        """Make durable what was published with less than that.

        Raises:
            OSError: The disk refuses.
        """
        self._files.sync(self._unsynced)
        self._index.sync()


def collect(index: Index, files: ObjectFiles, ids: Sequence[bytes]) -> None:
    """Take away the rows and files of those objects that no artifact has.

    Args:
        index: The index of the store.
        files: The files of the store.
        ids: Ids of the objects.
    """
    if not ids:
        return
    with index.writing(durable=False) as rows:
        for id in ids:
            if not rows.has_entries(id):
                files.remove(id)
                rows.drop_object(id)

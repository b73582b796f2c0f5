"""Brings the index of words up to the store, batch by batch."""

from collections.abc import Callable
from typing import Final, NamedTuple

import tantivy

from pit_artifact_store.changes import Feed, changed_since, feed, is_prunable, note, prune
from pit_artifact_store.index import Index
from pit_artifact_store.reading import Reader
from pit_artifact_store.searching.documents import known
from pit_artifact_store.searching.live import Live
from pit_artifact_store.searching.sealing import Progress
from pit_artifact_store.tiering.remote import OutOfReach

BATCH_BYTES: Final = 64 << 20
BATCH_DOCUMENTS: Final = 10_000
_HEAP_BYTES: Final = 50_000_000
_PAGE: Final = 200


class Stopped(Exception):
    """Nobody waits for it any more; what was not committed is indexed the next time."""


class Step(NamedTuple):
    """Artifacts to be indexed, and how far the store is indexed afterwards.

    Args:
        ids: Their ids.
        progress: How far.
    """

    ids: list[bytes]
    progress: Progress


class Indexing:
    """Indexes one open store; for one thread at a time.

    Args:
        index: The index of the store.
        reader: Reads its packs.
        here: Reads those of them that are on this machine.
        live: The index of words.
    """

    def __init__(self, index: Index, reader: Reader, here: Reader, live: Live) -> None:
        self._index = index
        self._reader = reader
        self._here = here
        self._live = live
        self._without_text: list[bytes] = []

    def goal(self) -> int:
        """The moment of what was stored last."""
        with self._index.peeking() as rows:
            return feed(rows).latest

    def batch(self, goal: int, stopping: Callable[[], bool], pausing: Callable[[], bool]) -> bool:
        """Index some artifacts; tells whether there may be more.

        Args:
            goal: Up to this moment.
            stopping: Whether all of it is to be dropped.
            pausing: Whether others are to go first soon.

        Raises:
            Stopped: It was.
            OSError: The system refuses.
            ValueError: tantivy does.
        """
        with self._live.turn():
            index = self._live.index()
            with self._index.peeking() as rows:
                followed = feed(rows)
            before = self._live.progress()
            progress = self._followed(followed, before)
            if progress == before and progress.number < 0 and progress.through >= goal:
                return False
            step = self._next(progress)
            if step is None:
                return False
            writer = index.writer(_HEAP_BYTES, 1)
            try:
                if progress.number == 0:
                    writer.delete_all_documents()
                size = count = 0
                while step is not None:
                    for id in step.ids:
                        if stopping():
                            raise Stopped
                        size += self._write(writer, id)
                    count += len(step.ids)
                    progress = step.progress
                    step = self._next(progress)
                    if size >= BATCH_BYTES or count >= BATCH_DOCUMENTS or pausing():
                        break
                writer.commit()
            except BaseException:
                writer.rollback()
                raise
            finally:
                writer.wait_merging_threads()
            self._live.keep(progress)
        self._prune(progress)
        self._note_for_later()
        return True

    def _followed(self, followed: Feed, progress: Progress | None) -> Progress:
        """How far the store is indexed, or that nothing of it counts."""
        if (
            progress is None
            or progress.generation != followed.generation
            or not followed.pruned <= progress.through <= followed.latest
        ):
            return Progress(followed.generation, followed.latest, 0)
        return progress

    def _next(self, progress: Progress) -> Step | None:
        """What comes next; None where everything is indexed."""
        with self._index.reading() as rows:
            if progress.number >= 0:
                query = "select number, id from object where number > ? order by number limit ?"
                page = rows.all(query, (progress.number, _PAGE))
                if page:
                    done = Progress(progress.generation, progress.through, page[-1][0])
                    return Step([id for _, id in page], done)
                return Step([], Progress(progress.generation, progress.through))
            found = changed_since(rows, progress.through, _PAGE)
        if not found:
            return None
        through = found[-1][0]
        return Step(list(dict.fromkeys(id for _, id in found)), Progress(progress.generation, through))

    def _write(self, writer: tantivy.IndexWriter, id: bytes) -> int:
        """Put the newest document of an artifact in the place of an older one; gives its size."""
        with self._index.peeking() as rows:
            try:
                found = known(rows, self._reader, id)
            except OutOfReach:
                self._reader = self._here  # nor are the others in reach: each attempt would take its time
                self._without_text.append(id)
                found = known(rows, None, id)
        writer.delete_documents_by_term("id", id.hex())
        if found is None:
            return 0
        writer.add_document(found.document)
        return found.size

    def _note_for_later(self) -> None:
        """Have looked at again whose text was out of reach: it is found by what else is known of it until then."""
        if self._without_text:
            with self._index.writing() as rows:
                for id in self._without_text:
                    note(rows, id)
            self._without_text = []

    def _prune(self, progress: Progress) -> None:
        if progress.number >= 0:
            return
        with self._index.peeking() as rows:
            many = is_prunable(rows, progress.through)
        if many:
            with self._index.writing() as rows:
                prune(rows, progress.through)

"""The one way in which anything is written: chunks first, then a commit in the pack and in the index together."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import apsw

from pit_artifact_store.applying import apply
from pit_artifact_store.index import Index
from pit_artifact_store.pack_files import PackFiles
from pit_artifact_store.packs import CHUNK, PACK_BYTES, DamagedFrame, PackWriter, Released
from pit_artifact_store.recipes import Chunk
from pit_artifact_store.records import Image, Row, encode_commit
from pit_artifact_store.rows import Rows

ADOPTED_BYTES: Final = PACK_BYTES // 2
"""A pack that is smaller is gone on with by the next process that writes."""

LEARNED_AT_ONCE: Final = 4096
"""Chunks that are entered into the index together: one by one, each would cost a page of its own."""

_NEIGHBOURS: Final = 512
"""Chunks that are entered in one transaction: between two of them, others commit."""


class Stale(Exception):
    """A pack that is referred to is not used any more: what was in it has to be written again."""


class Journal:
    """Writes into the packs and the index of one open store; safe with many threads.

    Args:
        index: The index.
        files: The packs.

    Attributes:
        home: Number of the pack that the commit under way goes into.
    """

    def __init__(self, index: Index, files: PackFiles) -> None:
        self.home = 0
        self._index = index
        self._files = files
        self._choosing = threading.Lock()
        self._writer: PackWriter | None = None
        self._finished: list[PackWriter] = []
        self._entered = b""
        self._written: set[bytes] = set()
        self._dirty: set[bytes] = set()
        self._durable: dict[bytes, int] = {}
        self._named: set[bytes] = set()
        self._fresh: dict[bytes, Chunk] = {}
        self._learning = threading.Lock()

    def append(
        self, contents: Sequence[tuple[int, bytes | memoryview]]
    ) -> tuple[bytes, list[tuple[int, int]]]:
        """Write frames; gives the id of their pack, and the place and length of each.

        Args:
            contents: Kind and bytes of each.

        Raises:
            OSError: They cannot be written.
        """
        while True:
            writer = self._current()
            self._touch(writer.pack.id)
            with suppress(Released):  # another thread let it go just now
                return writer.pack.id, writer.append(contents)

    def commit(
        self,
        build: Callable[[Rows], Iterable[Row]],
        refers_to: Iterable[bytes] = (),
        *,
        chunks: Sequence[memoryview] = (),
        placed: Callable[[bytes, list[tuple[int, int]]], None] | None = None,
        carried: Sequence[Image] = (),
        synced: bool = False,
    ) -> bytes:
        """Write rows into the pack and into the index; all of them or none. Gives the id of that pack.

        Another thread may have let the pack go when this returns: what must be durable names it to `sync`.

        Args:
            build: Gives the rows, from what the index says in this moment; nobody else writes meanwhile.
            refers_to: Ids of the packs that must still be in use.
            chunks: Chunks that are written before the rows, in the same piece.
            placed: Told before `build` is asked in which pack these will be, and the place and length of each.
            carried: Images that the index has, to be written into the pack once more.
            synced: Whether a crash of the machine must not lose the pack's side of it while the index has its own.

        Raises:
            Stale: One of these is not.
            OSError: The disk refuses.
            apsw.Error: The index refuses.
        """
        written: tuple[PackWriter, int] | None = None
        try:
            with self._index.writing() as rows:
                writer = self._current()
                finished = self._enter_packs(rows, writer)
                for id in {*refers_to} - {writer.pack.id}:
                    pack = rows.pack(id)
                    if pack is None or pack.state == "condemned":
                        raise Stale

                def enter(places: list[tuple[int, int]]) -> bytes:
                    if placed is not None:
                        placed(writer.pack.id, places)
                    found = [*build(rows)]
                    if not found and not carried:
                        return b""
                    last = rows.tick(time.time_ns(), len(found))
                    images = [Image(last - len(found) + number, row) for number, row in enumerate(found, 1)]
                    for image in images:
                        apply(rows, image, self.home)
                    self._touch(writer.pack.id)
                    return encode_commit([*carried, *images])

                # What the index refuses is not in the pack either: it is written when all of it is entered.
                places = writer.append([(CHUNK, chunk) for chunk in chunks], enter)
                if len(places) == len(chunks):
                    return writer.pack.id
                written = (writer, places[-1][0])
                if synced:
                    self._files.sync(writer.pack)
                rows.db.execute("update pack set indexed = ? where number = ?", (writer.end, self.home))
        except BaseException:
            self._entered = b""  # that it was may have been undone
            if written is not None:
                written[0].take_back(written[1])
            raise
        if finished:
            with self._choosing:
                self._finished = [writer for writer in self._finished if writer not in finished]
            for full in finished:
                full.release()
        return writer.pack.id

    def sync(self, packs: Iterable[bytes]) -> None:
        """Make durable what is in some packs.

        Args:
            packs: Their ids.

        Raises:
            OSError: The disk refuses.
        """
        ids = {*packs}
        for id in ids:
            self._dirty.discard(id)
            try:
                pack = self._files.open(id)
                size = pack.size  # before: what is added meanwhile may not be synced
                # The length of a pack of its own does not tell: a commit that was taken back made room for another.
                if id in self._written or self._durable.get(id) != size:
                    self._files.sync(pack)
                    self._durable[id] = size
            except FileNotFoundError:  # it was collected: what is needed of it is in another, synced
                continue
            except OSError:
                self._dirty.add(id)
                raise
        if not ids <= self._named:
            self._files.sync_names()
            self._named |= ids

    def finish(self) -> None:
        """Let the packs go that are written; what comes next goes into another.

        Raises:
            apsw.Error: The index refuses; then whoever opens the store next enters what is missing there.
        """
        with self._choosing:
            if self._writer is not None:
                self._finished.append(self._writer)
            self._writer, finished, self._finished = None, self._finished, []
            self._entered = b""  # the same pack may be gone on with
        try:
            self.learn()
            with self._index.writing() as rows:
                for writer in finished:
                    rows.put_pack(writer.pack.id, "closed", writer.end)
        finally:
            for writer in finished:
                writer.release()

    def close(self) -> None:
        """Sync, and let the packs go.

        Raises:
            OSError: The disk refuses.
        """
        if self._dirty:
            self.sync([*self._dirty])
        with suppress(apsw.Error):  # a full disk is no reason to keep it open: the packs have everything
            self.finish()

    # -- which chunks there are ----------------------------------------------------------------------

    def places(self, rows: Rows, ids: Iterable[bytes]) -> dict[bytes, Chunk]:
        """Where those of some chunks are that are there.

        Args:
            rows: The index.
            ids: Ids of the chunks.
        """
        found, others = {}, []
        for id in ids:
            if fresh := self._fresh.get(id):
                found[id] = fresh
            else:
                others.append(id)
        found.update((chunk.id, chunk) for chunk in rows.chunks(others))
        return found

    def add_fresh(self, chunks: Iterable[Chunk]) -> None:
        """Find these chunks from now on; they are entered into the index a little later, many at once.

        Args:
            chunks: Where they are; they are committed.
        """
        self._fresh.update((chunk.id, chunk) for chunk in chunks)
        if len(self._fresh) >= LEARNED_AT_ONCE:
            with suppress(
                apsw.Error
            ):  # what is stored is stored; on a full disk it is found a little less often
                self.learn()

    def learn(self) -> None:
        """Enter into the index where the chunks are that were written.

        Raises:
            apsw.Error: The index refuses.
        """
        with self._learning:
            fresh = sorted(dict(self._fresh).items())  # neighbours are on one page
            for begin in range(0, len(fresh), _NEIGHBOURS):
                some = fresh[begin : begin + _NEIGHBOURS]
                with self._index.writing() as rows:
                    rows.learn(chunk for _, chunk in some)
                for id, _ in some:
                    self._fresh.pop(id, None)

    def _touch(self, id: bytes) -> None:
        self._written.add(id)
        self._dirty.add(id)

    # -- which pack is written -----------------------------------------------------------------------

    def _current(self) -> PackWriter:
        with self._choosing:
            if self._writer is None or self._writer.is_full or self._is_of_old_epoch(self._writer):
                if self._writer is not None:
                    self._finished.append(self._writer)
                    self._writer = None
                    self._writer = self._files.make()
                else:
                    self._writer = self._adopt() or self._files.make()
            return self._writer

    def _adopt(self) -> PackWriter | None:
        """A small pack that nobody writes any more, so that not each short process leaves one of its own."""
        with self._index.reading() as rows:
            small = [pack for pack in rows.packs("open", "closed") if pack.indexed < ADOPTED_BYTES]
        for known in reversed(small[-4:]):
            try:
                pack = self._files.lock(known.id)
            except DamagedFrame:
                continue
            if pack is None:
                continue
            with self._index.reading() as rows:
                now = rows.pack(known.id)
            if now is not None and now.state != "condemned" and now.indexed == pack.size:
                writer = PackWriter(pack, pack.size)
                if not self._is_of_old_epoch(writer):
                    return writer
        return None

    def _is_of_old_epoch(self, writer: PackWriter) -> bool:
        return writer.pack.epoch != self._files.wrapping.epoch

    def _enter_packs(self, rows: Rows, writer: PackWriter) -> list[PackWriter]:
        """Enter the pack that is written, and those that are full, which are given."""
        with self._choosing:
            finished = [*self._finished]
        for full in finished:
            rows.put_pack(full.pack.id, "closed", full.end)
        if self._entered != writer.pack.id:
            self.home = rows.put_pack(writer.pack.id, "open", writer.end)
            self._entered = writer.pack.id
        return finished

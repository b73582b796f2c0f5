"""The connections of one open store to its index, and whose turn it is to write."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from pit_artifact_store.rows import Rows

BUSY_SECONDS: Final = 60.0
"""How long a writer waits for those of other processes; a transaction of theirs takes milliseconds."""

CHECKPOINT_PAGES: Final = 4000
"""Length of the log, in pages of 4 KiB, at which a commit moves it into the database."""

CACHE: Final = 16 << 20
"""Bytes of the index that a connection keeps in memory, at most."""


class Index:
    """The database of one open store, encrypted; safe with many threads.

    Readers each have a connection and never wait. All writers of a process share one and take turns. No commit is
    synced: what a crash of the machine takes from the index is still in the packs.

    Args:
        path: The database file.
        key: Its key, 32 bytes.

    Raises:
        apsw.Error: It cannot be opened.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._idle: deque[Rows] = deque()
        self._closed = False
        self._turn = threading.Lock()
        self._writer = self._connect()

    def _connect(self) -> Rows:
        db = apsw.Connection(str(self._path))
        try:
            db.set_busy_timeout(int(BUSY_SECONDS * 1000))
            db.execute("pragma cipher = 'aegis'")
            db.execute(f"pragma key = 'raw:{self._key.hex()}'")  # no passphrase: there is nothing to stretch
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = normal")
            db.execute("pragma temp_store = memory")
            db.execute(f"pragma cache_size = -{CACHE >> 10}")
            db.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
        except BaseException:
            db.close()
            raise
        return Rows(db)

    def make(self) -> None:
        """Make the tables that are not there."""
        with self.writing() as rows:
            rows.make()

    def check(self) -> None:
        """See that every page is what was written, and that they belong together.

        Raises:
            apsw.Error: One is not.
        """
        rows = self._connect()  # one that has no page in memory yet
        try:
            if faults := rows.faults():
                raise apsw.CorruptError("; ".join(faults))
        finally:
            rows.db.close()

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        """A transaction that reads: its statements see one and the same state."""
        with self.peeking() as rows:
            rows.db.execute("begin")
            try:
                yield rows
            finally:
                if rows.db.in_transaction:
                    rows.db.execute("rollback")

    @contextmanager
    def peeking(self) -> Iterator[Rows]:
        """A connection for a single statement, which needs no transaction."""
        try:
            rows = self._idle.pop()
        except IndexError:
            rows = self._connect()
        try:
            yield rows
        finally:
            self._idle.append(rows)
            if self._closed:  # while this thread was reading
                self._close_idle()

    @contextmanager
    def looking(self) -> Iterator[Rows]:
        """A transaction that reads on the connection of the writers, for those who are about to write.

        A connection of its own would read its pages anew after each commit of another.
        """
        with self._turn:
            db = self._writer.db
            db.execute("begin")
            try:
                yield self._writer
            finally:
                if db.in_transaction:
                    db.execute("rollback")

    @contextmanager
    def writing(self) -> Iterator[Rows]:
        """A transaction that no other thread or process writes beside; an error inside undoes it."""
        with self._turn:
            db = self._writer.db
            db.execute("begin immediate")
            try:
                yield self._writer
                db.execute("commit")
            except BaseException:
                if db.in_transaction:
                    db.execute("rollback")
                raise

    def checkpoint(self) -> None:
        """Make durable what was committed.

        Raises:
            apsw.Error: It cannot be.
        """
        with self._turn:
            self._writer.db.execute("pragma wal_checkpoint(full)")

    def close(self) -> None:
        """Close every connection; one that reads is closed when it is done."""
        self._closed = True
        self._close_idle()
        with self._turn:
            self._writer.db.close()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().db.close()
            except IndexError:  # another thread closed the last one
                return

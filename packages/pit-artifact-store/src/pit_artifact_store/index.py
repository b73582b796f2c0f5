"""The connections of one open store to its index, and whose turn it is to write."""

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pit_artifact_store.rows import Rows

BUSY_SECONDS: Final = 60.0
"""How long a writer waits for those of other processes; a transaction of theirs takes milliseconds."""

CHECKPOINT_PAGES: Final = 4000
"""Length of the log, in pages of 4 KiB, at which a commit moves it into the database; that costs two syncs."""


class Index:
    """The database of one open store; safe with many threads.

    Readers each have a connection and never wait. All writers of a process share one and take turns.

    Args:
        path: The database file.

    Raises:
        sqlite3.Error: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._turn = threading.Lock()
        self._writer = self._connect()
        self._durable = True  # what SQLite starts with

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = full")
            db.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
        except BaseException:
            db.close()
            raise
        return db

    def make(self) -> None:
        """Make the tables that are not there."""
        with self.writing(durable=True) as rows:
            rows.make()

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        """A transaction that reads: its statements see one and the same state."""
        try:
            db = self._idle.pop()
        except IndexError:
            db = self._connect()
        try:
            db.execute("begin")
            yield Rows(db)
        finally:
            if db.in_transaction:
                db.execute("rollback")
            self._idle.append(db)
            if self._closed:  # while this thread was reading
                self._close_idle()

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[Rows]:
        """A transaction that no other thread or process writes beside; an error inside undoes it.

        Args:
            durable: Whether a crash of the machine must not lose it, nor any that came before it.
        """
        with self._turn:
            db = self._writer
            if durable != self._durable:
                db.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
                self._durable = durable
            db.execute("begin immediate")
            try:
                yield Rows(db)
                db.execute("commit")
            except BaseException:
                if db.in_transaction:
                    db.execute("rollback")
                raise

    def sync(self) -> None:
        """Make durable what was committed; a full disk does not stand in the way."""
        with self._turn:
            # What left the log for the database was synced on the way. SQLite locks nothing of the log, so
            # closing it here, unlike the database, takes no lock away.
            try:
                fd = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:  # nothing was committed since it became part of the database
                return
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def close(self) -> None:
        """Close every connection; one that reads is closed when it is done."""
        self._closed = True
        self._close_idle()
        with self._turn:
            self._writer.close()

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread closed the last one
                return

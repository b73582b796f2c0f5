"""The durable log of all runs: SQLite with a write-ahead log and full sync, written by one thread in groups.

Whatever has gathered while one commit was under way goes into the next, so that a sync to the disk is paid once for
many events (group commit). Where the log cannot be written, what was to go into it is kept in memory and written
first when it can be: order and numbers stay without gaps.
"""

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from symphony_sdk.errors import RunError, SymphonyError

from pit_dag_tracker.entries import Entry, Unread, decode_entries, decode_unread
from pit_dag_tracker.result_tables import Keyed, add_results
from pit_dag_tracker.tables import (
    Outcome,
    RunRow,
    add_chunk,
    end_run,
    find_run,
    is_compacted,
    newest_runs,
    note_state,
    open_log,
    read_chunks,
)

Result = TypeVar("Result")

CHUNKS_AHEAD, BYTES_AHEAD = 64, 4 << 20
"""Chunks, and bytes of them, that are read at once where all of a run is."""

GATHERING = 0.002
"""Seconds after a commit in which events that come gather for the next one; nobody waits for a single event's sync."""


class _Append(msgspec.Struct):
    run: str
    entries: list[Entry]
    outcome: Outcome | None
    state: str
    results: list[Keyed]
    done: Callable[[RunError | None], None]

    def follow(self, later: "_Append") -> None:
        """Take what the same run appends next, before any of it is written."""
        self.entries += later.entries
        self.results += later.results
        self.outcome = later.outcome
        self.state = later.state or self.state
        self.done = later.done


class _Work(msgspec.Struct, frozen=True):
    function: Callable[[sqlite3.Connection], Any]
    future: Future[Any]


class EventLog:
    """The log of one data directory; several processes may use it at once, each run being written by one of them.

    Args:
        path: The database; made where it is missing.

    Raises:
        RunError: The file cannot be opened, is no log, or is one of a newer Symphony.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: list[_Append | _Work | None] = []
        self._changing = threading.Lock()
        self._urgent = False
        self._writer_waits: Literal["no", "for anything", "for what is urgent"] = "no"
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._backlog: list[_Append] = []
        self._failure: RunError | None = None
        self._reading = threading.Lock()
        self._closed = False
        try:
            self._reader = open_log(self._path)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._writer = threading.Thread(target=self._write, name="symphony-run-log", daemon=True)
        self._writer.start()

    def append(
        self,
        run: str,
        entries: list[Entry],
        done: Callable[[RunError | None], None],
        outcome: Outcome | None = None,
        state: str = "",
        results: Sequence[Keyed] = (),
    ) -> None:
        """Write the next events of a run.

        Args:
            run: Id of the run.
            entries: At least one; the list is the log's from now on.
            done: Called in the log's thread: with None once the events are on the disk, with an error each time
                that they cannot be written; they are then kept and written with the next attempt. Of appends to
                one run that are written together only that of the last is called.
            outcome: How the run stands after them, where nobody works on it any more.
            state: The state that they bring the run to, where it goes on in another one than before.
            results: The keys of those among them that may stand in for later nodes.
        """
        job = _Append(run, entries, outcome, state, [*results], done)
        with self._changing:
            last = self._jobs[-1] if self._jobs else None
            if isinstance(last, _Append) and last.run == run and last.outcome is None:
                last.follow(job)
            else:
                self._jobs.append(job)
            self._ring(urgent=outcome is not None)

    def work(self, function: Callable[[sqlite3.Connection], Result]) -> "Future[Result]":
        """Run a function in a transaction of its own, after everything appended before.

        Args:
            function: Reads and writes through the connection; what it raises undoes it.

        Returns:
            Its result once it is on the disk. The future raises RunError where the log cannot be written.
        """
        future: Future[Result] = Future()
        if self._closed:
            future.set_exception(self._closed_error())
        else:
            self._put(_Work(function, future))
        return future

    def flush(self) -> "Future[None]":
        """Try to write everything appended so far.

        Returns:
            Done once it is on the disk. The future raises RunError where the log cannot be written.
        """
        return self.work(lambda _connection: None)

    def read(self, run: str, after: int, *, limit: int = 64) -> list[Entry]:
        """Some durable entries of a run in order; none where there are no further ones.

        Args:
            run: Id of the run.
            after: Number of the last event that is not wanted.
            limit: At most so many chunks.

        Raises:
            RunError: The log is damaged, or closed.
        """
        with self._query() as connection:
            rows = connection.execute(
                "SELECT entries FROM chunks WHERE run = ? AND last > ? ORDER BY last LIMIT ?",
                (run, after, limit),
            ).fetchall()
        entries = [entry for (data,) in rows for entry in decode_entries(data, run)]
        return [entry for entry in entries if entry[0].sequence > after]

    def entries(self, run: str) -> Iterator[Entry]:
        """Every durable entry of a run in order.

        Args:
            run: Id of the run.

        Raises:
            RunError: The log is damaged or has a gap, or is closed.
        """
        after = 0
        while batch := self.read(run, after):
            for entry in batch:
                if entry[0].sequence != after + 1:
                    self._check_gap(run, after + 1)
                after = entry[0].sequence
                yield entry

    def unread(self, run: str) -> Iterator[list[Unread]]:
        """Every durable entry of a run in order, some at a time, without its outputs read.

        Args:
            run: Id of the run.

        Raises:
            RunError: The log is damaged or has a gap, or is closed.
        """
        after = 0
        while chunks := self.look(
            partial(read_chunks, run=run, sequence=after + 1, most=CHUNKS_AHEAD, size=BYTES_AHEAD)
        ):
            for data in chunks:
                entries = decode_unread(data, run)
                first, last = entries[0][0].sequence, entries[-1][0].sequence
                if first != after + 1 or last != after + len(entries):
                    self._check_gap(run, after + 1)
                after = last
                yield entries

    def _check_gap(self, run: str, number: int) -> None:
        """See that the events that a log lacks were dropped when it was compacted."""
        if not self.look(partial(is_compacted, run=run)):
            raise RunError(
                f"the log of run {run!r} lacks event {number}",
                code="SYM-R007",
                hint="Start the workflow anew; other runs are not affected.",
                details={"run": run},
            )

    def look(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        """What a function reads.

        Args:
            function: Only reads through the connection, and not for long.

        Raises:
            RunError: The log is damaged or closed.
        """
        with self._query() as connection:
            return function(connection)

    def run(self, run: str) -> RunRow:
        """What the index knows of a run.

        Args:
            run: Id of the run.

        Raises:
            RunError: There is no such run, or the log is damaged or closed.
        """
        return self.look(lambda connection: find_run(connection, run))

    def runs(self, limit: int) -> list[RunRow]:
        """The newest runs first.

        Args:
            limit: At most so many.

        Raises:
            RunError: The log is damaged or closed.
        """
        return self.look(lambda connection: newest_runs(connection, limit))

    def close(self) -> None:
        """Write what can be written, and close."""
        if self._closed:
            return
        self._closed = True
        self._put(None)
        self._writer.join()
        with self._reading:
            self._reader.close()

    @contextmanager
    def _query(self) -> Iterator[sqlite3.Connection]:
        with self._reading:
            if self._closed:
                raise self._closed_error()
            try:
                yield self._reader
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    def _put(self, job: _Work | None) -> None:
        with self._changing:
            self._jobs.append(job)
            self._ring(urgent=True)

    def _ring(self, *, urgent: bool) -> None:
        """Wake the writer where it waits for this; it finds what comes while it writes by itself."""
        self._urgent |= urgent
        if self._writer_waits == "for anything" or (urgent and self._writer_waits != "no"):
            self._writer_waits = "no"
            self._bell.put(None)

    def _next_jobs(self) -> list[_Append | _Work | None]:
        """Everything that is to be done, at least one job; events gather for a moment after each commit.

        In that moment the writer sleeps whether or not something has come already: then a run that goes on never
        wakes it, which would cost the interpreter lock each time.
        """
        due = time.monotonic() + GATHERING
        while True:
            with self._changing:
                left = due - time.monotonic()
                if self._jobs and (self._urgent or left <= 0):
                    jobs, self._jobs, self._urgent = self._jobs, [], False
                    self._writer_waits = "no"
                    return jobs
                self._writer_waits = "for what is urgent" if left > 0 else "for anything"
            with suppress(queue.Empty):
                self._bell.get(timeout=left if left > 0 else None)

    def _write(self) -> None:
        try:
            connection = open_log(self._path)
        except (sqlite3.Error, RunError) as error:  # it could be opened a moment ago
            self._refuse(error if isinstance(error, RunError) else self._unusable(error))
            return
        with closing(connection):
            stopping = False
            while not stopping:
                for job in self._next_jobs():
                    if isinstance(job, _Append):
                        self._backlog.append(job)
                        if self._failure is not None:
                            job.done(self._failure)
                    elif isinstance(job, _Work):
                        self._run_work(connection, job)
                    else:
                        stopping = True
                if stopping or self._failure is None:
                    self._commit_backlog(connection)

    def _commit_backlog(self, connection: sqlite3.Connection) -> RunError | None:
        backlog = self._backlog
        if not backlog:
            return None
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in backlog:
                size = add_chunk(connection, job.run, job.entries)
                if job.results:
                    add_results(connection, job.run, size, job.results)
                if job.state:
                    note_state(connection, job.run, job.state)
                if job.outcome is not None:
                    end_run(connection, job.run, job.outcome)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back(connection)
            self._failure = self._unwritable(error)
            for job in {job.run: job for job in backlog}.values():
                job.done(self._failure)
            return self._failure
        self._backlog = []
        self._failure = None
        for job in {job.run: job for job in backlog}.values():  # the last of each run
            job.done(None)
        return None

    def _run_work(self, connection: sqlite3.Connection, work: _Work) -> None:
        failure = self._commit_backlog(connection)
        if not work.future.set_running_or_notify_cancel():
            return
        if failure is not None:
            work.future.set_exception(failure)
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work.function(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back(connection)
            work.future.set_exception(self._unwritable(error))
        except SymphonyError as error:
            self._roll_back(connection)
            work.future.set_exception(error)
        else:
            work.future.set_result(result)

    def _refuse(self, error: RunError) -> None:
        stopping = False
        while not stopping:
            for job in self._next_jobs():
                if isinstance(job, _Append):
                    job.done(error)
                elif isinstance(job, _Work):
                    if job.future.set_running_or_notify_cancel():
                        job.future.set_exception(error)
                else:
                    stopping = True

    @staticmethod
    def _roll_back(connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def _unusable(self, error: sqlite3.Error) -> RunError:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL):
            return self._unwritable(error)
        return RunError(
            f"the log of the runs cannot be read: {error}",
            code="SYM-R007",
            hint="Move the file away and start the workflows anew, or restore it from a backup.",
            file=str(self._path),
        )

    def _unwritable(self, error: sqlite3.Error) -> RunError:
        return RunError(
            f"the log of the runs cannot be written: {error}",
            code="SYM-R008",
            hint="Free space on the disk or make the folder writable, then resume the run.",
            file=str(self._path),
        )

    def _closed_error(self) -> RunError:
        return RunError("the log of the runs is closed", code="SYM-R008", file=str(self._path))

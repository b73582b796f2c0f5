"""The tables of the log: one row for each run, and its events in chunks as they were written."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec
from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import RunCancelled, RunResumed

from pit_dag_tracker.entries import Entry, encode_entries

VERSION = 1
"""The version of the tables."""

_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY,
    workflow TEXT NOT NULL,
    request BLOB NOT NULL,
    started REAL NOT NULL,
    state TEXT NOT NULL,
    ended REAL NOT NULL DEFAULT 0,
    error BLOB,
    owner TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS runs_by_age ON runs (started);
CREATE TABLE IF NOT EXISTS chunks (
    run TEXT NOT NULL,
    last INTEGER NOT NULL,
    entries BLOB NOT NULL,
    PRIMARY KEY (run, last)
);
"""
_LOCK_WAIT = 30.0
_RUN_COLUMNS = "run, workflow, request, started, state, ended, error, owner"


class RunRow(msgspec.Struct, frozen=True):
    """A run as the log's index knows it.

    Args:
        run: Id of the run.
        workflow: Id of the workflow.
        request: The encoded RunRequest.
        started: Unix time of its start in seconds.
        state: Its state when that was last written.
        ended: Unix time in seconds when it reached that state, unless it is running.
        error: The encoded ErrorPayload that says why it failed.
        owner: Who works on it; empty for nobody.
    """

    run: str
    workflow: str
    request: bytes
    started: float
    state: str
    ended: float = 0.0
    error: bytes | None = None
    owner: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """How a run stands once nobody works on it any more.

    Args:
        state: Its state.
        ended: Unix time in seconds.
        error: Why it failed.
    """

    state: str
    ended: float
    error: ErrorPayload | None = None


def open_log(path: Path) -> sqlite3.Connection:
    """A connection to a log, whose commits are on the disk when they return.

    Args:
        path: The database; made where it is missing.

    Raises:
        sqlite3.Error: The file cannot be opened, or is no database.
        RunError: It is the log of a newer Symphony.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_LOCK_WAIT)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise RunError(
                f"the log has the version {version}; this Symphony knows versions up to {VERSION}",
                code="SYM-R009",
                hint="Upgrade Symphony, or give this one another data directory.",
                file=str(path),
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if version < VERSION:
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def newest_runs(connection: sqlite3.Connection, limit: int) -> list[RunRow]:
    """The rows of the newest runs, the newest first.

    Args:
        connection: A connection to the log.
        limit: At most so many.
    """
    rows = connection.execute(
        f"SELECT {_RUN_COLUMNS} FROM runs ORDER BY started DESC, rowid DESC LIMIT ?",  # noqa: S608 - a constant
        (limit,),
    ).fetchall()
    return [RunRow(*row) for row in rows]


def find_run(connection: sqlite3.Connection, run: str) -> RunRow:
    """The index's row of a run.

    Args:
        connection: A connection to the log.
        run: Id of the run.

    Raises:
        RunError: There is no such run.
    """
    row = connection.execute(f"SELECT {_RUN_COLUMNS} FROM runs WHERE run = ?", (run,)).fetchone()  # noqa: S608 - a constant
    if row is None:
        raise RunError(
            f"there is no run {run!r}",
            code="SYM-R002",
            hint="Give the id that `symphony run` printed, and the data directory that it used.",
            details={"run": run},
        )
    return RunRow(*row)


def add_run(connection: sqlite3.Connection, row: RunRow, entry: Entry) -> None:
    """Add a new run with its first event.

    Args:
        connection: A connection to the log, in a transaction.
        row: The run.
        entry: Its RunStarted.
    """
    connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(row))
    add_chunk(connection, row.run, [entry])


def take_run(connection: sqlite3.Connection, owner: str, event: RunResumed) -> None:
    """Note who works on a run from now on, with the event that it goes on with.

    Args:
        connection: A connection to the log, in a transaction.
        owner: Name of the owner.
        event: The event.

    Raises:
        RunError: Something happened in the run since it was read.
    """
    if last_sequence(connection, event.run) != event.sequence - 1:
        raise RunError(
            f"run {event.run!r} went on in another process meanwhile",
            code="SYM-R006",
            hint="Look how it stands now, and resume it again if need be.",
        )
    connection.execute(
        "UPDATE runs SET state = 'running', ended = 0, error = NULL, owner = ? WHERE run = ?",
        (owner, event.run),
    )
    add_chunk(connection, event.run, [(event, {})])


def cancel_run(connection: sqlite3.Connection, run: str, at: float) -> None:
    """End a run on which nobody works.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        at: Unix time in seconds.
    """
    event = RunCancelled(run=run, sequence=last_sequence(connection, run) + 1, at=at)
    add_chunk(connection, run, [(event, {})])
    end_run(connection, run, Outcome("cancelled", at))


def last_sequence(connection: sqlite3.Connection, run: str) -> int:
    """Number of the last event of a run that is in the log; 0 where there is none.

    Args:
        connection: A connection to the log.
        run: Id of the run.
    """
    (last,) = connection.execute("SELECT max(last) FROM chunks WHERE run = ?", (run,)).fetchone()
    return last or 0


def add_chunk(connection: sqlite3.Connection, run: str, entries: Sequence[Entry]) -> None:
    """Add the next events of a run.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        entries: At least one.
    """
    connection.execute(
        "INSERT INTO chunks VALUES (?, ?, ?)", (run, entries[-1][0].sequence, encode_entries(entries))
    )


def end_run(connection: sqlite3.Connection, run: str, outcome: Outcome) -> None:
    """Note that nobody works on a run any more.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        outcome: How it stands.
    """
    error = msgspec.msgpack.encode(outcome.error) if outcome.error else None
    connection.execute(
        "UPDATE runs SET state = ?, ended = ?, error = ?, owner = '' WHERE run = ?",
        (outcome.state, outcome.ended, error, run),
    )

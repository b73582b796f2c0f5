"""The tables of the log: one row for each run, and its events in chunks as they were written."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec
from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import RunCancelled, RunEvent, RunStarted, RunSteered
from symphony_sdk.ports.pit import HistoryEntry

from pit_dag_tracker.entries import Entry, encode_entries

VERSION = 2
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
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    at REAL NOT NULL,
    command TEXT NOT NULL,
    actor TEXT NOT NULL,
    node TEXT NOT NULL,
    comment TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS history_by_run ON history (run, id);
CREATE TABLE IF NOT EXISTS mailbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    command BLOB NOT NULL,
    taken INTEGER NOT NULL DEFAULT 0,
    answer BLOB
);
CREATE TABLE IF NOT EXISTS paces (
    workflow TEXT PRIMARY KEY,
    pace BLOB NOT NULL
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
    """The rows of the newest runs, the newest first, without their requests, which may be large.

    Args:
        connection: A connection to the log.
        limit: At most so many.
    """
    rows = connection.execute(
        "SELECT run, workflow, x'', started, state, ended, error, owner FROM runs"
        " ORDER BY started DESC, rowid DESC LIMIT ?",
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


def add_run(connection: sqlite3.Connection, row: RunRow, entries: Sequence[Entry]) -> None:
    """Add a new run with its first events.

    Args:
        connection: A connection to the log, in a transaction.
        row: The run.
        entries: Its RunStarted, and what it takes over from another run.
    """
    connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(row))
    add_chunk(connection, row.run, entries)


def amend_run(connection: sqlite3.Connection, run: str, events: Sequence[RunEvent]) -> None:
    """Add events to a run on which nobody works.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        events: The events, numbered after the last one that was read.

    Raises:
        RunError: Something happened in the run since it was read.
    """
    if last_sequence(connection, run) != events[0].sequence - 1:
        raise RunError(
            f"run {run!r} went on in another process meanwhile",
            code="SYM-R006",
            hint="Look how it stands now, and ask again if need be.",
        )
    add_chunk(connection, run, [(event, {}) for event in events])


def take_run(connection: sqlite3.Connection, run: str, owner: str, events: Sequence[RunEvent]) -> None:
    """Note who works on a run from now on, with the events that it goes on with.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        owner: Name of the owner.
        events: The events, numbered after the last one that was read.

    Raises:
        RunError: Something happened in the run since it was read.
    """
    amend_run(connection, run, events)
    connection.execute(
        "UPDATE runs SET state = 'running', ended = 0, error = NULL, owner = ? WHERE run = ?", (owner, run)
    )


def cancel_run(connection: sqlite3.Connection, run: str, actor: str, at: float) -> None:
    """End a run on which nobody works.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        actor: Who asks.
        at: Unix time in seconds.
    """
    last = last_sequence(connection, run)
    steered = RunSteered(run=run, sequence=last + 1, at=at, command="cancel", actor=actor)
    add_chunk(connection, run, [(steered, {}), (RunCancelled(run=run, sequence=last + 2, at=at), {})])
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
    for event, _ in entries:
        if isinstance(event, RunSteered):
            row = (event.command, event.actor, event.node, event.comment)
        elif isinstance(event, RunStarted):
            row = ("rerun" if event.origin else "start", event.actor, "", event.origin)
        else:
            continue
        connection.execute(
            "INSERT INTO history (run, sequence, at, command, actor, node, comment) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run, event.sequence, event.at, *row),
        )


def read_history(connection: sqlite3.Connection, run: str, after: int, limit: int) -> list[HistoryEntry]:
    """Who gave which command, in order.

    Args:
        connection: A connection to the log.
        run: Id of a run; empty for all.
        after: Id of the last entry that is not wanted.
        limit: At most so many.
    """
    rows = connection.execute(
        "SELECT id, run, sequence, at, command, actor, node, comment FROM history"
        " WHERE id > ? AND (run = ? OR ? = '') ORDER BY id LIMIT ?",
        (after, run, run, limit),
    ).fetchall()
    return [HistoryEntry(*row) for row in rows]


def note_state(connection: sqlite3.Connection, run: str, state: str) -> None:
    """Note that a run that goes on is in another state.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        state: The state.
    """
    connection.execute("UPDATE runs SET state = ? WHERE run = ?", (state, run))


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

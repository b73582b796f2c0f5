"""The tables of the log: one row for each run, and its events in chunks as they were written.

What is large and never changes has a table of its own: SQLite writes the whole of a row whenever any of it changes. Only
runs of earlier versions have their request in their row.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
from symphony_sdk.errors import ErrorPayload, RunError
from symphony_sdk.events import RunCancelled, RunEvent, RunStarted, RunSteered
from symphony_sdk.ports.pit import HistoryEntry

from pit_dag_tracker.entries import Entry, encode_entries

VERSION = 4
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
    owner TEXT NOT NULL,
    compacted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS runs_by_age ON runs (started);
CREATE TABLE IF NOT EXISTS requests (
    run TEXT PRIMARY KEY,
    request BLOB NOT NULL
);
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
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    identity BLOB NOT NULL,
    run TEXT NOT NULL,
    keys BLOB NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS results_by_identity ON results (identity, id);
CREATE INDEX IF NOT EXISTS results_by_run ON results (run);
CREATE TABLE IF NOT EXISTS operations (
    run TEXT PRIMARY KEY,
    known BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS blueprints (
    run TEXT PRIMARY KEY,
    form BLOB NOT NULL
);
"""
_LOCK_WAIT = 30.0
_SHRINKS = 3
"""The first version whose files give back what compaction frees."""
_COMMANDS = frozenset({RunSteered, RunStarted})


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
        last: Number of its last event; 0 where that was not asked for.
    """

    run: str
    workflow: str
    request: bytes
    started: float
    state: str
    ended: float = 0.0
    error: bytes | None = None
    owner: str = ""
    last: int = 0


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
        if version == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts only before there is any page
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if version < VERSION:
            _migrate(connection)
        if 0 < version < _SHRINKS:
            _let_it_shrink(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _let_it_shrink(connection: sqlite3.Connection) -> None:
    """Let a file of an earlier version give back what compaction frees; it is written anew for that, once."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    try:
        connection.execute("VACUUM")
    except (
        sqlite3.OperationalError
    ):  # another process uses it, or the disk is full: it keeps the space for later
        return


def is_compacted(connection: sqlite3.Connection, run: str) -> bool:
    """Whether some of the events of a run were dropped, or are about to be.

    Args:
        connection: A connection to the log.
        run: Id of the run.
    """
    row = connection.execute("SELECT compacted FROM runs WHERE run = ?", (run,)).fetchone()
    return row is not None and row[0] > 0


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to their newest version, whichever they have and whoever else is about to."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(runs)")]
    if "compacted" not in columns:
        connection.execute("ALTER TABLE runs ADD COLUMN compacted INTEGER NOT NULL DEFAULT 0")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def newest_runs(connection: sqlite3.Connection, limit: int) -> list[RunRow]:
    """The rows of the newest runs, the newest first, without their requests, which may be large.

    Args:
        connection: A connection to the log.
        limit: At most so many.
    """
    rows = connection.execute(
        "SELECT run, workflow, x'', started, state, ended, error, owner,"
        " (SELECT max(last) FROM chunks WHERE chunks.run = runs.run) FROM runs"
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
    row = connection.execute(
        "SELECT run, workflow, coalesce(requests.request, runs.request), started, state, ended, error, owner"
        " FROM runs LEFT JOIN requests USING (run) WHERE run = ?",
        (run,),
    ).fetchone()
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
    connection.execute(
        "INSERT INTO runs (run, workflow, request, started, state, ended, error, owner)"
        " VALUES (?, ?, x'', ?, ?, ?, ?, ?)",
        (row.run, row.workflow, row.started, row.state, row.ended, row.error, row.owner),
    )
    connection.execute("INSERT INTO requests VALUES (?, ?)", (row.run, row.request))
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
        "UPDATE runs SET state = 'running', ended = 0, error = NULL, owner = ?, compacted = min(compacted, 1)"
        " WHERE run = ?",
        (owner, run),
    )


def keep_blueprints(connection: sqlite3.Connection, run: str, form: bytes) -> None:
    """Keep the blueprints of a run instead of those that are there.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        form: Their form.
    """
    connection.execute("INSERT OR REPLACE INTO blueprints VALUES (?, ?)", (run, form))


def read_blueprints(connection: sqlite3.Connection, run: str) -> bytes:
    """The form of the blueprints of a run; empty for a run of an earlier Symphony, and for one that was compacted.

    Args:
        connection: A connection to the log.
        run: Id of the run.
    """
    row = connection.execute("SELECT form FROM blueprints WHERE run = ?", (run,)).fetchone()
    return row[0] if row else b""


def drop_blueprints(connection: sqlite3.Connection, run: str) -> None:
    """Keep the blueprints of a run no longer; whoever needs them makes them anew.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
    """
    connection.execute("DELETE FROM blueprints WHERE run = ?", (run,))


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


def add_chunk(connection: sqlite3.Connection, run: str, entries: Sequence[Entry]) -> int:
    """Add the next events of a run, and return how many bytes they take.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        entries: At least one.
    """
    data = encode_entries(entries)
    connection.execute("INSERT INTO chunks VALUES (?, ?, ?)", (run, entries[-1][0].sequence, data))
    # `isinstance` asks the metaclass of these types: 4 % of all that a node costs, for a handful of commands.
    commands = [cast("RunSteered | RunStarted", event) for event, _ in entries if type(event) in _COMMANDS]
    for event in commands:
        if isinstance(event, RunSteered):
            row = (event.command, event.actor, event.node, event.comment)
        else:
            row = ("rerun" if event.origin else "start", event.actor, "", event.origin)
        connection.execute(
            "INSERT INTO history (run, sequence, at, command, actor, node, comment) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run, event.sequence, event.at, *row),
        )
    return len(data)


def read_chunks(connection: sqlite3.Connection, run: str, sequence: int, most: int, size: int) -> list[bytes]:
    """Some chunks of a run: the one with an event, and those after it.

    Args:
        connection: A connection to the log.
        run: Id of the run.
        sequence: Number of the event.
        most: At most so many chunks.
        size: Bytes after which no further chunk is read.
    """
    found: list[bytes] = []
    for (data,) in connection.execute(
        "SELECT entries FROM chunks WHERE run = ? AND last >= ? ORDER BY last LIMIT ?", (run, sequence, most)
    ):
        found.append(data)
        size -= len(data)
        if size <= 0:
            break
    return found


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

"""The tables of the cache: which results the log holds, by the key of what they were computed from.

A result is not kept twice: a key leads to the event, in the log of its run, that brought the result. The keys of a
chunk of the log are written with it, as one row for each identity of an operation; the newest rows are those that were
used last, because a result that stands in for a node is a result of that run too.
"""

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

from pit_dag_tracker.keys import KEY_BYTES, Known

Pointer = tuple[str, int]
"""Where a result is: id of the run, and number of the event that brought it."""

Keyed = tuple[bytes, bytes, int]
"""The identity of an operation, the key of a call, and the number of the event that brought its result."""

_SEQUENCE_BYTES = 8
_ROW_BYTES = KEY_BYTES + _SEQUENCE_BYTES


class Held(msgspec.Struct, frozen=True):
    """What the cache holds.

    Args:
        results: How many results.
        size: Bytes that they take in the log; artifacts count with their references alone.
    """

    results: int
    size: int


def add_results(connection: sqlite3.Connection, run: str, size: int, results: Sequence[Keyed]) -> None:
    """Add the keys of a chunk.

    Args:
        connection: A connection to the log, in the transaction that adds the chunk.
        run: Id of the run.
        size: Bytes of the chunk, which its results share.
        results: The keys of some of its entries; at least one.
    """
    rows: dict[bytes, list[bytes]] = {}
    for identity, key, sequence in results:
        rows.setdefault(identity, []).append(key + sequence.to_bytes(_SEQUENCE_BYTES, "big"))
    connection.executemany(
        "INSERT INTO results (identity, run, keys, bytes) VALUES (?, ?, ?, ?)",
        [
            (identity, run, b"".join(keys), size * len(keys) // len(results))
            for identity, keys in rows.items()
        ],
    )


def read_results(
    connection: sqlite3.Connection, identity: bytes, after: int
) -> tuple[int, list[tuple[bytes, Pointer]]]:
    """The keys of an operation, those that were used last coming last.

    Args:
        connection: A connection to the log.
        identity: Which operation, of which version.
        after: Id of the last row that is not wanted.

    Returns:
        The id of the last row, and each key with where its result is.
    """
    found = []
    for id_, run, keys in connection.execute(
        "SELECT id, run, keys FROM results WHERE identity = ? AND id > ? ORDER BY id", (identity, after)
    ):
        after = id_
        found += [(key, (run, sequence)) for key, sequence in _unpacked(keys)]
    return after, found


def keys_of_run(connection: sqlite3.Connection, run: str) -> dict[int, tuple[bytes, bytes]]:
    """The identity and the key of each result of a run that the cache holds, by the number of its event.

    Args:
        connection: A connection to the log.
        run: Id of the run.
    """
    rows = connection.execute("SELECT identity, keys FROM results WHERE run = ?", (run,))
    return {sequence: (identity, key) for identity, keys in rows for key, sequence in _unpacked(keys)}


def held(connection: sqlite3.Connection) -> Held:
    """How much the cache holds.

    Args:
        connection: A connection to the log.
    """
    size, keys = connection.execute("SELECT total(bytes), total(length(keys)) FROM results").fetchone()
    return Held(int(keys) // _ROW_BYTES, int(size))


def evict(connection: sqlite3.Connection, most: Held) -> int:
    """Let the cache forget what was used longest ago, as far as it holds too much; the number of results.

    Args:
        connection: A connection to the log, in a transaction.
        most: What it may hold.
    """
    now = held(connection)
    results, size, last = now.results - most.results, now.size - most.size, 0
    gone = 0
    if results <= 0 and size <= 0:
        return 0
    for id_, bytes_, length in connection.execute("SELECT id, bytes, length(keys) FROM results ORDER BY id"):
        last = id_
        gone += length // _ROW_BYTES
        size -= bytes_
        if gone >= results and size <= 0:
            break
    connection.execute("DELETE FROM results WHERE id <= ?", (last,))
    return gone


def note_operations(connection: sqlite3.Connection, run: str, known: dict[str, Known]) -> None:
    """Keep what was known of a run's operations when it began, or was resumed last.

    Args:
        connection: A connection to the log, in a transaction.
        run: Id of the run.
        known: What was known, by the id of the operation.
    """
    data = msgspec.msgpack.encode(known)
    connection.execute("INSERT OR REPLACE INTO operations VALUES (?, ?)", (run, data))


def read_operations(connection: sqlite3.Connection, run: str) -> dict[str, Known]:
    """What was known of a run's operations; empty for a run of an earlier Symphony.

    Args:
        connection: A connection to the log.
        run: Id of the run.
    """
    row = connection.execute("SELECT known FROM operations WHERE run = ?", (run,)).fetchone()
    return msgspec.msgpack.decode(row[0], type=dict[str, Known]) if row else {}


def _unpacked(keys: bytes) -> Iterator[tuple[bytes, int]]:
    for start in range(0, len(keys), _ROW_BYTES):
        end = start + KEY_BYTES
        yield keys[start:end], int.from_bytes(keys[end : start + _ROW_BYTES], "big")

"""Makes the logs of old runs small: drops what nobody needs once a run is over, and deflates the rest.

What is dropped: the compiled workflow, the items of maps that completed (their outputs are those of the node), the values of iterations of
loops that completed, and the errors of attempts that were made again. What the cache holds is kept. A compacted run
still has its states, outputs and history, and can be resumed, retried, rerun and compared like any other; its events
keep their numbers, with gaps where some were dropped. A run is rewritten only if replaying what is kept leads to the
same; else all its events are kept, deflated.

It is done in slices, each a short transaction, so that runs under way go on writing in between. A crash leaves the
slices that are done; what is left is done the next time.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import msgspec
from symphony_sdk.errors import RunError
from symphony_sdk.events import ItemCompleted, NodeRetrying, RunWaiting
from symphony_sdk.ports.pit import CompactedRun
from symphony_workflow.document import from_document
from symphony_workflow.model import LoopNode, MapNode
from symphony_workflow.state import NodeState

from pit_dag_tracker.entries import Entry, decode_entries, deflate_entries
from pit_dag_tracker.graph import Graph
from pit_dag_tracker.ledger import Ledger
from pit_dag_tracker.log import EventLog
from pit_dag_tracker.records import request_of
from pit_dag_tracker.recovery import Remains, replay
from pit_dag_tracker.result_tables import keys_of_run
from pit_dag_tracker.tables import drop_blueprints, find_run, last_sequence

OVER = ("completed", "cancelled")
"""The states of a run whose log may be compacted."""

SLICE_CHUNKS = 256
SLICE_BYTES = 512 << 10
"""Chunks, and bytes of them, that are rewritten in one transaction."""

FREED_PAGES = 512
"""Pages of the file that are given back in one transaction."""

ANY = 1 << 62
"""More runs than there are."""

_UNDER_WAY, _DONE = 1, 2


class _Slice(msgspec.Struct, frozen=True):
    """Consecutive chunks of a run: the number before their first event, that of their last, their bytes and entries."""

    after: int
    last: int
    size: int
    entries: list[Entry]


def due(connection: sqlite3.Connection, before: float, beyond: int) -> list[str]:
    """Ids of the runs that are over and not compacted, the oldest first.

    Args:
        connection: A connection to the log.
        before: Those that ended before this Unix time in seconds.
        beyond: And all that are not among so many newest runs.
    """
    rows = connection.execute(
        "SELECT run FROM runs WHERE compacted < ? AND owner = '' AND state IN (?, ?) AND (ended < ? OR rowid NOT IN "
        "(SELECT rowid FROM runs ORDER BY started DESC, rowid DESC LIMIT ?)) ORDER BY started, rowid",
        (_DONE, *OVER, before, beyond),
    )
    return [run for (run,) in rows]


def compact(
    log: EventLog, run: str, *, dry_run: bool = False, go_on: Callable[[], bool] = lambda: True
) -> CompactedRun:
    """Compact the log of a run; waits for the disk, so it belongs in a thread.

    Args:
        log: The log.
        run: Id of the run.
        dry_run: Only say what would be done.
        go_on: Whether another slice may be rewritten; what is left is done the next time.

    Raises:
        RunError: There is no such run, it may still go on, its log is damaged or cannot be written.
    """
    row = log.run(run)
    _check_over(row.run, row.state, row.owner)
    slices = list(_slices(log, run))
    entries = [entry for one in slices for entry in one.entries]
    held = log.look(partial(keys_of_run, run=run))
    workflow = from_document(request_of(row).workflow)
    kept = _kept(entries, Graph(workflow), held)
    if not _same(Graph(workflow), entries, Graph(workflow), kept):
        kept = entries
    last = entries[-1][0].sequence
    before, after, place = sum(one.size for one in slices), 0, 0
    for one in slices:
        start = place
        while place < len(kept) and kept[place][0].sequence <= one.last:
            place += 1
        data = deflate_entries(kept[start:place]) if place > start else b""
        after += len(data)
        if not dry_run and go_on():
            state = _DONE if one.last == last else _UNDER_WAY
            log.work(partial(_rewrite, run=run, last=last, slice_=one, data=data, state=state)).result()
    return CompactedRun(run, row.state, len(entries) - len(kept), before, after)  # type: ignore[arg-type]


def give_back(log: EventLog) -> None:
    """Let the file shrink by what compaction freed; waits for the disk, so it belongs in a thread.

    Args:
        log: The log.

    Raises:
        RunError: The log cannot be written.
    """

    def some(connection: sqlite3.Connection) -> int:
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        connection.execute(f"PRAGMA incremental_vacuum({FREED_PAGES})").fetchall()
        (left,) = connection.execute("PRAGMA freelist_count").fetchone()
        return int(left) if left < free else 0

    while log.work(some).result():
        pass


def _check_over(run: str, state: str, owner: str) -> None:
    if state not in OVER or owner:
        raise RunError(
            f"run {run!r} is {state} and may still go on",
            code="SYM-R100",
            hint="Only what is completed or cancelled is compacted; `symphony runs cancel` ends a run for good.",
            details={"run": run, "state": state},
        )


def _slices(log: EventLog, run: str) -> Iterator[_Slice]:
    after = last = 0
    size, chunks, entries = 0, 0, list[Entry]()
    while True:
        rows = log.look(partial(_chunks_after, run=run, last=last))
        for number, data in rows:
            last, size, chunks = number, size + len(data), chunks + 1
            entries += decode_entries(data, run)
            if size >= SLICE_BYTES or chunks >= SLICE_CHUNKS:
                yield _Slice(after, last, size, entries)
                after, size, chunks, entries = last, 0, 0, []
        if not rows:
            break
    if entries:
        yield _Slice(after, last, size, entries)


def _chunks_after(connection: sqlite3.Connection, run: str, last: int) -> list[tuple[int, bytes]]:
    return connection.execute(
        "SELECT last, entries FROM chunks WHERE run = ? AND last > ? ORDER BY last LIMIT 64", (run, last)
    ).fetchall()


def _kept(entries: Sequence[Entry], graph: Graph, held: Mapping[int, object]) -> list[Entry]:
    """What is still needed of a run that is over."""
    ledger = Ledger(graph)
    replay(entries, ledger)
    found: list[Entry] = []
    for event, stored in entries:
        match event:
            case RunWaiting():
                continue
            case NodeRetrying(item=-1) if ledger.over(graph.index[event.node]):
                continue
            case ItemCompleted(error=None) if event.sequence not in held:
                number = graph.index[event.node]
                node, completed = graph.nodes[number], ledger.state[number] is NodeState.COMPLETED
                if completed and isinstance(node, MapNode) and not event.origin:
                    continue
                if completed and isinstance(node, MapNode | LoopNode):
                    stored = {}
        found.append((event, stored))
    return found


def _same(one: Graph, entries: Sequence[Entry], other: Graph, kept: Sequence[Entry]) -> bool:
    """Whether what is kept of a run leads to the same as all of it."""
    return _achieved(one, entries) == _achieved(other, kept)


def _achieved(graph: Graph, entries: Sequence[Entry]) -> tuple[object, ...]:
    ledger = Ledger(graph)
    remains: Remains = replay(entries, ledger)
    status = ledger.status("", "", durable=ledger.sequence, now=ledger.run_ended)
    return (
        status,
        ledger.held,
        ledger.asked,
        ledger.answers,
        remains.stored,
        remains.stored_items,
        ledger.total,
    )


def _rewrite(
    connection: sqlite3.Connection, run: str, last: int, slice_: _Slice, data: bytes, state: int
) -> None:
    """Put what is kept of some chunks into their place, if nothing has happened in the run since they were read."""
    row = find_run(connection, run)
    _check_over(run, row.state, row.owner)
    if last_sequence(connection, run) != last:
        raise RunError(
            f"run {run!r} went on meanwhile",
            code="SYM-R100",
            hint="It is compacted once it is over.",
            details={"run": run},
        )
    where = (run, slice_.after, slice_.last)
    connection.execute("DELETE FROM chunks WHERE run = ? AND last > ? AND last <= ?", where)
    if data:
        connection.execute("INSERT INTO chunks VALUES (?, ?, ?)", (run, slice_.last, data))
    connection.execute("UPDATE runs SET compacted = ? WHERE run = ?", (state, run))
    drop_blueprints(connection, run)

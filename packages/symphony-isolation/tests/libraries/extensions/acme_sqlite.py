"""A database of its own: SQLite with a write-ahead log, written and read by threads at once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from symphony_sdk import Context, operator, provides_operators

BASE = "base.sqlite"


def _opened() -> sqlite3.Connection:
    base = sqlite3.connect(BASE, timeout=60, isolation_level=None)
    base.execute("pragma synchronous = full")
    return base


def _write(writer: int) -> int:
    with closing(_opened()) as base:
        for n in range(25):
            base.execute("begin immediate")
            base.execute("insert into notes values (?, ?)", (writer, f"note {n} of writer {writer}"))
            base.execute("commit")
        return base.execute("select count(*) > 0 from notes").fetchone()[0]


@operator("acme.sqlite.work")
def work(ctx: Context) -> dict[str, str]:
    """Write from four threads, search the text, back it up, shrink it, and check it."""
    for path in Path().glob(f"{BASE}*"):
        path.unlink()
    with closing(_opened()) as base:
        mode = base.execute("pragma journal_mode = wal").fetchone()[0]
        base.execute("create table notes (writer integer, text text)")
        with ThreadPoolExecutor(4) as pool:
            wrote = sum(pool.map(_write, range(4)))
        shared = Path(f"{BASE}-shm").exists()
        base.execute("create virtual table found using fts5(text)")
        base.execute("insert into found select text from notes")
        hits = base.execute("select count(*) from found where found match 'writer AND 3'").fetchone()[0]
        with closing(sqlite3.connect("backup.sqlite")) as copy:
            base.backup(copy)
            kept = copy.execute("select count(*), sum(writer) from notes").fetchone()
        base.execute("vacuum")
        sound = base.execute("pragma integrity_check").fetchone()[0]
    return {"mode": mode, "seen": f"{wrote} {shared} {hits}", "kept": str(kept), "sound": sound}


@provides_operators
def symphony_operators():
    yield work

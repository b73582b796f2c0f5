"""Which artifacts the search has to look at again, and up to where it did.

What was stored since a moment is found by the sequence of its entries. Tags and scores that were given or taken, and
artifacts that are gone, leave nothing with a later moment: those are noted in a table of their own.
"""

import time
from typing import Final, NamedTuple

from pit_artifact_store.rows import Rows

NOTED: Final = 10_000
"""Notes that are kept before those that were read are deleted."""

_CHANGED: Final = """
select e.sequence, o.id from entry e join object o on o.number = e.object where e.sequence > :after
union all select seq, object from changed where seq > :after
order by 1 limit :limit
"""


class Feed(NamedTuple):
    """What can be followed.

    Args:
        generation: Another one where the index was lost and made anew: nothing that was followed before counts.
        pruned: Whoever has not followed up to this moment has missed something.
        latest: The moment of the latest row.
    """

    generation: bytes
    pruned: int
    latest: int


def feed(rows: Rows) -> Feed:
    """What can be followed now.

    Args:
        rows: The index.
    """
    return Feed(*rows.first("select f.generation, f.pruned, c.seq from feed f, clock c"))


def note(rows: Rows, id: bytes) -> None:
    """Have an artifact looked at again.

    Args:
        rows: The index, in a transaction that writes.
        id: Id of the artifact.
    """
    rows.db.execute("insert or replace into changed values (?, ?)", (id, rows.tick(time.time_ns(), 1)))


def changed_since(rows: Rows, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Moments at which artifacts changed, and their ids; the earliest first.

    Args:
        rows: The index.
        after: Only those after this moment.
        limit: At most so many.
    """
    return rows.all(_CHANGED, {"after": after, "limit": limit})


def prune(rows: Rows, through: int) -> None:
    """Forget notes that were read, where there are many.

    Args:
        rows: The index, in a transaction that writes.
        through: Those up to this moment were read.
    """
    rows.db.execute("delete from changed where seq <= ?", (through,))
    rows.db.execute("update feed set pruned = max(pruned, ?)", (through,))


def is_prunable(rows: Rows, through: int) -> bool:
    """Whether there are many notes that were read.

    Args:
        rows: The index.
        through: Those up to this moment were read.
    """
    query = "select count(*) from (select 1 from changed where seq <= ? limit ?)"
    return bool(rows.first(query, (through, NOTED))[0] == NOTED)

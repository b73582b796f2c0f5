"""Brings the index up to what the packs say: after a crash, and where the index itself is lost."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

import apsw
import msgspec

from pit_artifact_store.applying import apply
from pit_artifact_store.changes import note
from pit_artifact_store.index import Index
from pit_artifact_store.pack_files import PackFiles
from pit_artifact_store.packs import COMMIT, HEADER_BYTES, DamagedFrame, Pack
from pit_artifact_store.recipes import Recipe
from pit_artifact_store.records import EntryRow, Gone, Image, ObjectRow, decode_commit
from pit_artifact_store.rows import PackRow, Rows
from pit_artifact_store.tiering.away import Packs

_AT_ONCE: Final = 1000


def recover(index: Index, packs: Packs) -> None:
    """Replay what processes wrote that are no more, as far as the index does not have it.

    Called while no other process joins the store.

    Args:
        index: The index.
        packs: The packs.

    Raises:
        OutOfReach: What the index does not have is in the tier alone, and that cannot be used.
        OSError: The disk refuses.
        apsw.Error: The index refuses.
    """
    files = packs.files
    with index.reading() as rows:
        states = {pack.id: pack for pack in rows.packs()}
    # Each stays locked until its commits are in the index.
    behind: list[Tail] = []
    complete: list[Tail] = []
    for id, stub in packs.stubs.away().items():
        known = states.get(id)
        if known is None or (known.state != "condemned" and known.indexed < stub.size):
            with suppress(DamagedFrame):  # `verify` says so
                begin = known.indexed if known else HEADER_BYTES
                behind.append(Tail(packs.open(id), begin, stub.size, commits=True))
    for id in files.ids():
        known = states.get(id)
        if known is not None and _is_settled(files, known):
            continue
        try:
            pack = files.lock(id)
        except DamagedFrame:  # it was being made; or it is damaged, and `verify` says so
            continue
        if pack is not None:
            tail = _tail(pack, known.indexed if known else HEADER_BYTES)
            (complete if known is not None and not tail.commits else behind).append(tail)
    try:
        if behind:
            with index.writing() as rows:
                _replay(rows, behind)
    except BaseException:
        for tail in (*behind, *complete):  # whoever keeps the error must not keep the locks
            tail.pack.close()
        raise
    if complete:
        with suppress(apsw.FullError, apsw.ReadOnlyError), index.writing() as rows:  # nothing depends on it
            for tail in complete:
                _settle(rows, tail)


def _is_settled(files: PackFiles, pack: PackRow) -> bool:
    """Whether all of a pack is in the index.

    That it was opened again may be what a crash of the machine took from the index: so its length tells.
    """
    if pack.state != "closed":
        return pack.state == "condemned"
    try:
        return files.path(pack.id).stat().st_size <= pack.indexed
    except FileNotFoundError:  # it was collected just now
        return True


class Tail(NamedTuple):
    """What a process left in a pack.

    Args:
        pack: The pack, locked.
        begin: Where what the index does not have begins.
        end: Where its sound part ends.
        commits: Whether there are commits between.
    """

    pack: Pack
    begin: int
    end: int
    commits: bool


def _tail(pack: Pack, begin: int) -> Tail:
    end, commits = begin, False
    with suppress(DamagedFrame):
        for frame in pack.frames(begin):
            end = frame.offset + frame.stored
            commits = commits or frame.kind == COMMIT
    return Tail(pack, begin, end, commits)


def _replay(rows: Rows, behind: list[Tail]) -> None:
    had_any = rows.first("select 1 from entry limit 1") is not None
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Image).decode
    # In a table, not in memory: of a store whose index is lost, this is everything.
    rows.db.execute(
        "create table replay (fact integer, seq integer, pack integer, image blob, primary key (fact, seq)) without rowid"
    )
    for tail in behind:
        number = rows.put_pack(tail.pack.id, "open", tail.begin)
        for image in _images(tail.pack, tail.begin):
            rows.db.execute(
                "insert or ignore into replay values (?, ?, ?, ?)",
                (_is_fact(image), image.seq, number, encode(image)),
            )
    # What is said of an artifact may be older than what is left of its own images: they come first.
    latest, last = 0, (0, 0)
    replayed: set[bytes] = set()
    query = "select fact, seq, pack, image from replay where (fact, seq) > (?, ?) order by fact, seq limit ?"
    while page := rows.all(query, (*last, _AT_ONCE)):
        for fact, seq, number, data in page:
            image = decode(data)
            apply(rows, image, number)
            if isinstance(image.row, ObjectRow):
                rows.learn(Recipe(image.row.recipe))
            elif isinstance(image.row, EntryRow):
                replayed.add(image.row.object)
            latest, last = max(latest, seq), (fact, seq)
    rows.tick(latest, 0)
    if had_any:  # else all of it is new to the search
        for id in replayed:  # at moments that the search may have seen, of an index that was set back since
            note(rows, id)
    rows.db.execute("drop table replay")
    for tail in behind:
        _settle(rows, tail)


def _images(pack: Pack, at: int) -> Iterator[Image]:
    """Each image of a pack from a place on; a damaged frame, which `verify` names, takes none of the others along."""
    while at < pack.size:
        try:
            for frame in pack.frames(at):
                if frame.kind == COMMIT:
                    yield from decode_commit(frame.data)
        except DamagedFrame as damage:
            at = pack.claimed_end(damage.offset)
        else:
            return


def _is_fact(image: Image) -> bool:
    return not (
        isinstance(image.row, ObjectRow) or (isinstance(image.row, Gone) and image.row.table == "object")
    )


def _settle(rows: Rows, tail: Tail) -> None:
    """Let anybody go on with a pack, and find its chunks again that were not yet entered."""
    pack = tail.pack
    number = rows.put_pack(pack.id, "closed", tail.end)
    for object in rows.users(number):
        rows.learn(chunk for chunk in Recipe(object.recipe) if chunk.pack == pack.id)

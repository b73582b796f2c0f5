"""The head of the audit log: where it begins and how it ends, kept apart from the log.

It is written before the line that it tells of, and holds that line. So a log that is shorter than its head by the
end of this one line was left by a process that died; any other difference was made by somebody.

The file has two places that are written in turn, each with a checksum: one is whole at any time.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec

from symphony_isolation.audit.record import GENESIS, digest_of

_PLACE: Final = 64 * 1024  # the longest line fits: see `LONGEST` of the log
_PAGE: Final = 4096  # most heads fit
_PREFIX: Final = 4 + 32  # the length of a head, and its checksum


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What the log must be.

    Args:
        first: Number of the first record that is kept.
        first_prev: What that record names as the line before it.
        seq: Number of the last record; 0 where there is none.
        file: Name of the file that it is in.
        offset: Where it begins in that file.
        line: The last record itself.
    """

    first: int = 1
    first_prev: str = GENESIS
    seq: int = 0
    file: str = ""
    offset: int = 0
    line: bytes = b""

    @property
    def prev(self) -> str:
        """What the next record names as the line before it."""
        return digest_of(self.line) if self.seq else self.first_prev


def read_head(path: Path) -> Head | None:
    """The head in a file; None where the file is missing.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read.
        ValueError: No place of it is whole.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        known = [head for at in (0, _PLACE) if (head := _read_place(descriptor, at)) is not None]
        if not known and os.fstat(descriptor).st_size:
            raise ValueError("the head of the audit log is damaged")
    finally:
        os.close(descriptor)
    return max(known, key=lambda head: head.seq, default=None)


def write_head(path: Path, head: Head) -> None:
    """Write the head into the place that the one before it is not in.

    Args:
        path: The file; made, for this user alone, where it is missing.
        head: The new head.

    Raises:
        OSError: It cannot be written.
    """
    body = msgspec.msgpack.encode(head)
    data = len(body).to_bytes(4, "little") + hashlib.sha256(body).digest() + body
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, data, _PLACE * (head.seq % 2))
    finally:
        os.close(descriptor)


def _read_place(descriptor: int, at: int) -> Head | None:
    place = os.pread(descriptor, _PAGE, at)
    length = int.from_bytes(place[:4], "little")
    if _PREFIX + length > _PAGE:
        place += os.pread(descriptor, min(_PREFIX + length, _PLACE) - _PAGE, at + _PAGE)
    digest, body = place[4:_PREFIX], place[_PREFIX : _PREFIX + length]
    if not length or len(body) != length or hashlib.sha256(body).digest() != digest:
        return None
    try:
        return msgspec.msgpack.decode(body, type=Head)
    except msgspec.MsgspecError:
        return None

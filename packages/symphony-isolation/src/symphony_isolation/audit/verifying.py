"""Checks the audit log against itself and against its head, without changing either."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from symphony_isolation.audit.head import Head, read_head
from symphony_isolation.audit.log import log_files, tampered
from symphony_isolation.audit.record import digest_of, record_of
from symphony_isolation.file_lock import locked


class Verdict(msgspec.Struct, frozen=True):
    """What is known of a log whose chain holds.

    Args:
        records: How many records are kept.
        first: Number of the first one.
        last: Number of the last one.
        unfinished: Whether the process that wrote the last line died meanwhile; the head holds the whole line, and
            the next record completes it.
    """

    records: int
    first: int
    last: int
    unfinished: bool


def verify(directory: Path, head_file: Path) -> Verdict:
    """Check every line of a log.

    Args:
        directory: Where the log is.
        head_file: The file of its head.

    Raises:
        PermissionDenied: SYM-P041, a record was changed, added, taken out or cut off: the first place where.
        OSError: It cannot be read.
    """
    if not head_file.parent.exists():
        if log_files(directory):
            raise tampered(str(head_file), 0, "there is a log, and its head is gone")
        return Verdict(0, 1, 0, unfinished=False)
    with locked(head_file.with_suffix(".lock")):  # hosts wait; nothing is half written meanwhile
        try:
            head = read_head(head_file)
        except ValueError as error:
            raise tampered(str(head_file), 0, str(error)) from error
        files = log_files(directory)
        if head is None:
            if files:
                raise tampered(str(head_file), 0, "there is a log, and its head is gone")
            return Verdict(0, 1, 0, unfinished=False)
        return _check(log_files(directory, head.first), head)


def _check(files: list[Path], head: Head) -> Verdict:
    expected, prev = head.first, head.first_prev
    last_line = b""
    unfinished = True
    for path, number, line, complete in _lines(files):
        if expected > head.seq:
            raise tampered(str(path), number, f"a line follows the last record, which is {head.seq}")
        if not complete:
            if expected == head.seq and head.line.startswith(line):
                break
            raise tampered(str(path), number, f"record {expected} is cut off")
        try:
            record = record_of(line)
        except ValueError as error:
            raise tampered(str(path), number, "the line holds no record") from error
        if record.seq != expected:
            raise tampered(str(path), number, f"found record {record.seq}, expected {expected}")
        if record.prev != prev:
            raise tampered(str(path), number, f"record {record.seq} does not follow the line before it")
        expected, prev, last_line = expected + 1, digest_of(line), line
    if expected == head.seq + 1:
        unfinished = False
        if last_line != head.line:
            raise tampered(str(files[-1]), 0, f"record {head.seq} is not the one that the head tells of")
    elif expected != head.seq:
        raise tampered(
            str(files[-1]) if files else "", 0, f"the records from {expected} to {head.seq} are gone"
        )
    return Verdict(head.seq - head.first + 1, head.first, head.seq, unfinished)


def _lines(files: list[Path]) -> Iterator[tuple[Path, int, bytes, bool]]:
    """Path, number and content of each line, and whether it has its end."""
    for path in files:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                yield path, number, line.removesuffix(b"\n"), line.endswith(b"\n")

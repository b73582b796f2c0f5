"""The audit log: every decision about a permission, one line each, each naming the line before it.

Several hosts may append at once. A decision that repeats is counted, not written again, for as long as
`REPEAT` seconds, and so is what one extension causes faster than `STEADY` records a second: what floods the log is
told in numbers. What is counted and not yet written dies with the host; nothing else does when it is killed.
The log is not synced to the disk for each record: it outlives a process, and a loss of power up to what the system
had written.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from symphony_sdk.errors import PermissionDenied

from symphony_isolation.audit.head import Head, read_head, write_head
from symphony_isolation.audit.record import AuditEvent, AuditRecord, line_of, record_of
from symphony_isolation.file_lock import locked

REPEAT: Final = 10.0
"""Seconds within which the same event is counted rather than written again."""

STEADY: Final = 20.0
"""Records a second that one extension may cause for long."""

BURST: Final = 500.0
"""Records that one extension may cause at once."""

LONGEST: Final = 4096
"""Characters of a resource that are kept."""

_LONGEST_NAME: Final = 256

_COUNTED: Final = 1024  # different events that are counted at the same time


class _Repeats(msgspec.Struct):
    """An event that was written a while ago, and how often it came again."""

    event: AuditEvent
    since: float
    count: int = 0


class _Budget(msgspec.Struct):
    """How many records an extension may cause just now (a token bucket)."""

    tokens: float
    at: float


class AuditLog:
    """The audit log of a user.

    Args:
        directory: Where the files are; made, for this user alone, when it is first written to.
        head: The file of the head; best kept in another directory.
        file_size: Bytes after which a new file is begun.
        files: The most files that are kept, at least two; the oldest ones go.
        clock: Gives the Unix time in seconds.
    """

    def __init__(
        self,
        directory: Path,
        head: Path,
        *,
        file_size: int = 16 << 20,
        files: int = 16,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._head = head
        self._file_size = file_size
        self._files = files
        self._clock = clock
        self._repeats: dict[AuditEvent, _Repeats] = {}
        self._budgets: dict[str, _Budget] = {}
        self._lock = threading.Lock()
        self._made = False

    def append(self, event: AuditEvent, *, count: int = 1) -> None:
        """Record an event, or count it where it repeats.

        Args:
            event: What happened; texts of any length and content.
            count: How many times it happened.

        Raises:
            PermissionDenied: SYM-P040, it cannot be recorded; SYM-P041, the log is not what its head says. What
                cannot be recorded must not be allowed.
        """
        with self._lock:
            now = self._clock()
            due = self._due(now)
            known = self._repeats.get(event)
            if known is None and not self._within_budget(event.extension, now):
                event = msgspec.structs.replace(event, resource="")
                known = self._repeats.get(event)
            if known is None:
                self._repeats[event] = _Repeats(event, now)
                due.append((event, count))
            else:
                known.count += count
            if due:
                self._write(due, now)

    def flush(self) -> None:
        """Write what is only counted so far, and give the log to the disk.

        Raises:
            PermissionDenied: As `append`.
        """
        with self._lock:
            due = [(one.event, one.count) for one in self._repeats.values() if one.count]
            self._repeats.clear()
            if due:
                self._write(due, self._clock())

    def records(self) -> Iterator[AuditRecord]:
        """All records that are kept, the oldest first, whether or not the chain holds.

        Raises:
            PermissionDenied: SYM-P041, a line holds no record; SYM-P040, the log cannot be read.
        """
        for path in log_files(self._directory):
            number = 1
            try:
                with path.open("rb") as stream:
                    while (line := stream.readline()).endswith(
                        b"\n"
                    ):  # else its writer died; it is completed
                        yield record_of(line[:-1])
                        number += 1
            except OSError as error:
                raise _unwritable(path, error) from error
            except ValueError as error:
                raise tampered(str(path), number, "the line holds no record") from error

    def _due(self, now: float) -> list[tuple[AuditEvent, int]]:
        """What was counted long enough, or is too much to be counted on; the oldest stands first."""
        due: list[tuple[AuditEvent, int]] = []
        while self._repeats:
            oldest = next(iter(self._repeats.values()))
            if now - oldest.since < REPEAT and len(self._repeats) <= _COUNTED:
                break
            del self._repeats[oldest.event]
            if oldest.count:
                due.append((oldest.event, oldest.count))
        return due

    def _within_budget(self, extension: str, now: float) -> bool:
        budget = self._budgets.setdefault(extension, _Budget(BURST, now))
        budget.tokens = min(BURST, budget.tokens + max(0.0, now - budget.at) * STEADY)
        budget.at = now
        if budget.tokens < 1:
            return False
        budget.tokens -= 1
        return True

    # -- the file, under the lock of all hosts ---------------------------------------------------------

    def _write(self, events: list[tuple[AuditEvent, int]], now: float) -> None:
        try:
            if not self._made:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._head.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._made = True
            with locked(self._head.with_suffix(".lock")):
                head = self._sound_head()
                for event, count in events:
                    head = self._append_one(head, _record(event, count, now, head))
        except OSError as error:
            raise _unwritable(self._directory, error) from error

    def _append_one(self, head: Head, record: AuditRecord) -> Head:
        line = line_of(record)
        end = head.offset + len(head.line) + 1 if head.seq else 0
        first, first_prev, file, old = head.first, head.first_prev, head.file or _name(1), []
        if end and end + len(line) > self._file_size:
            file, end = _name(record.seq), 0
            files = log_files(self._directory)
            old = files[: max(0, len(files) + 1 - self._files)]
            if old:
                first, first_prev = _beginning(files[len(old)])
        new = Head(first, first_prev, record.seq, file, end, line)
        write_head(self._head, new)
        _append(self._directory / file, line + b"\n")
        for path in old:
            path.unlink(missing_ok=True)
        return new

    def _sound_head(self) -> Head:
        """The head, once the log is as long as it says: a process may have died between the two."""
        try:
            head = read_head(self._head)
        except ValueError as error:
            raise tampered(str(self._head), 0, str(error)) from error
        if head is None:
            if log_files(self._directory):
                raise tampered(str(self._head), 0, "there is a log, and its head is gone")
            return Head()
        mend(self._directory, head)
        return head


def log_files(directory: Path, first: int = 0) -> list[Path]:
    """The files of a log, the oldest first.

    Args:
        directory: Where they are.
        first: Number of the first record that is kept; files before it are about to be deleted.
    """
    return sorted(path for path in directory.glob("audit-*.jsonl") if path.name >= _name(first))


def mend(directory: Path, head: Head) -> bool:
    """Write the end of the last line, where the process that wrote it died; whether it had to be done.

    Args:
        directory: Where the log is.
        head: Its head.

    Raises:
        OSError: It cannot be written.
        PermissionDenied: SYM-P041, what is there is not the beginning of that line.
    """
    if not head.seq:
        return False
    path = directory / head.file
    whole = head.line + b"\n"
    size = path.stat().st_size if path.exists() else 0
    if size == head.offset + len(whole):  # what is in it, `verify` finds
        return False
    found = b""
    if size > head.offset:
        with path.open("rb") as stream:
            stream.seek(head.offset)
            found = stream.read(len(whole) + 1)
    if size < head.offset or not whole.startswith(found):
        raise tampered(str(path), 0, f"the file has {size} bytes; its head says {head.offset + len(whole)}")
    _append(path, whole[len(found) :])
    return True


def tampered(file: str, line: int, what: str) -> PermissionDenied:
    """The error of a log that somebody has changed.

    Args:
        file: Where.
        line: The line, counted from 1; 0 where none is meant.
        what: What was found and what was expected.
    """
    return PermissionDenied(
        f"the audit log was changed: {what}",
        code="SYM-P041",
        hint="`symphony audit verify` tells all that is known. Keep the files for whoever looks into it, and move them "
        "and their head away to begin a new log.",
        file=file,
        line=line,
    )


def _record(event: AuditEvent, count: int, now: float, head: Head) -> AuditRecord:
    return AuditRecord(
        seq=head.seq + 1,
        ts=round(now, 6),
        extension=event.extension[:_LONGEST_NAME],
        version=event.version[:_LONGEST_NAME],
        pid=event.pid or os.getpid(),
        type=event.type,
        scope=event.scope,
        resource=event.resource[:LONGEST],
        decision=event.decision,
        rule=event.rule,
        count=count,
        prev=head.prev,
    )


def _name(seq: int) -> str:
    return f"audit-{seq:012}.jsonl"


def _beginning(path: Path) -> tuple[int, str]:
    """Number of the first record of a file, and what it names as the line before it."""
    with path.open("rb") as stream:
        try:
            first = record_of(stream.readline()[:-1])
        except ValueError as error:
            raise tampered(str(path), 1, "the line holds no record") from error
    return first.seq, first.prev


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> PermissionDenied:
    return PermissionDenied(
        f"the audit log cannot be written: {error.strerror or error}",
        code="SYM-P040",
        hint="What cannot be recorded is not allowed. Make room on the disk, or mend the rights of the folder.",
        file=str(path),
    )

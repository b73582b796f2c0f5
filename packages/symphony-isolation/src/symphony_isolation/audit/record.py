"""One record of the audit log, as a line of JSON that names the line before it."""

import hashlib
import json
from typing import Any, Final

import msgspec

GENESIS: Final = "0" * 64
"""What the very first record names in place of a line before it."""


class AuditEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that was decided, or that the sandbox refused.

    Args:
        extension: Id of the extension that it is about.
        type: `file`, `network`, `system`, `model`, or `syscall` for what the sandbox refused.
        scope: `read`, `write` or `execute`.
        resource: Which one; empty where several are counted together.
        decision: `allow`, `deny`, `ask`; of the user `grant`, `revoke`.
        rule: What made the decision, such as `user-allow` or `sandbox`.
        version: Version of the extension.
        pid: Process of the extension, or of the host where none is concerned.
    """

    extension: str
    type: str
    scope: str
    resource: str
    decision: str
    rule: str
    version: str = ""
    pid: int = 0


class AuditRecord(msgspec.Struct, frozen=True):
    """One line of the log.

    Args:
        seq: Its number, counted from 1 without gaps.
        ts: Unix time in seconds.
        extension: As of [AuditEvent][symphony_isolation.audit.AuditEvent], and so are the next seven.
        version: Version of the extension.
        pid: Process.
        type: Type of the resource.
        scope: What was to be done.
        resource: Which one.
        decision: What was decided.
        rule: Why.
        count: How many times, since the record before this one of the same.
        prev: SHA-256 of the line before this one.
    """

    seq: int
    ts: float
    extension: str
    version: str
    pid: int
    type: str
    scope: str
    resource: str
    decision: str
    rule: str
    count: int
    prev: str


def line_of(record: AuditRecord) -> bytes:
    """The line of a record, without its end: ASCII, so that no character of it can change how it is shown.

    Args:
        record: The record; its texts may hold anything.
    """
    fields: dict[str, Any] = msgspec.structs.asdict(record)
    # json escapes control characters, and with ASCII also bidirectional ones and lone surrogates; but not DEL.
    return json.dumps(fields, separators=(",", ":")).replace("\x7f", "\\u007f").encode("ascii")


def record_of(line: bytes) -> AuditRecord:
    """The record that a line holds.

    Args:
        line: A line without its end.

    Raises:
        ValueError: It holds none.
    """
    try:
        return msgspec.convert(json.loads(line), AuditRecord)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error


def digest_of(line: bytes) -> str:
    """What the next record names.

    Args:
        line: A line without its end.
    """
    return hashlib.sha256(line).hexdigest()

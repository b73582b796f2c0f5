"""Workflows as text and files of JSON."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow.atomic_file import write_atomically
from symphony_workflow.bulk import collector_paused
from symphony_workflow.document import from_document, to_document
from symphony_workflow.migrations import MIGRATIONS, Migration
from symphony_workflow.model import Workflow

MAX_BYTES = 64 << 20
"""The size of the largest workflow file that is read, in bytes."""
BINARY_MAGIC = b"\x89SYMWF\r\n"
"""How every binary workflow begins: no text does, and a transfer that mends line ends breaks it visibly."""


def loads(text: str | bytes, *, file: str = "", migrations: Mapping[int, Migration] = MIGRATIONS) -> Workflow:
    """Decode a workflow from JSON.

    Args:
        text: The JSON; bytes are UTF-8.
        file: Where it came from, for errors.
        migrations: The step from each older format to the next.

    Raises:
        WorkflowError: It is too large, not UTF-8, not JSON, of a newer format, or of the wrong shape.
    """
    if len(text) > MAX_BYTES:
        raise _unreadable(f"the workflow has {len(text):,} bytes; at most {MAX_BYTES:,} are read", file)
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _unreadable(
                f"the workflow is not UTF-8: byte {error.start} is {text[error.start]:#04x}", file
            ) from error
    return from_document(_parse(text, file), file=file, migrations=migrations)


def load(path: str | os.PathLike[str]) -> Workflow:
    """Read a workflow file.

    Args:
        path: A file of JSON, or a binary one.

    Raises:
        WorkflowError: The file cannot be read, or does not hold a workflow.
    """
    file = os.fspath(path)
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(f"the workflow cannot be read: {error.strerror}", file) from error
    if text.startswith(BINARY_MAGIC):
        from symphony_workflow.binary import loads_binary  # most workflows are JSON

        return loads_binary(text, file=file)
    return loads(text, file=file)


def dumps(workflow: Workflow) -> str:
    """Encode a workflow as JSON for people: a line for each node and edge that fits one, keys in a fixed order.

    Args:
        workflow: Any workflow, complete or not.

    Raises:
        WorkflowError: Two parts share a name, or a value is not JSON.
    """
    document = to_document(workflow)
    lines = (f"  {_encode(key)}: {_layout(value, 1, unfold=True)}" for key, value in document.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def save(workflow: Workflow, path: str | os.PathLike[str]) -> None:
    """Write a workflow file; whoever reads `path` meanwhile sees the old file or the new one, never a part.

    Args:
        workflow: Any workflow, complete or not.
        path: The file; its folder exists.

    Raises:
        WorkflowError: The file cannot be written, two parts share a name, or a value is not JSON.
    """
    text = dumps(workflow)
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise WorkflowError(
            f"the workflow cannot be written: {error.strerror}",
            code="SYM-W006",
            hint="Choose a folder that exists and may be written to.",
            file=os.fspath(path),
        ) from error


def digest(workflow: Workflow) -> str:
    """The SHA-256 of all that a workflow says, in hex: its labels, notes and unknown fields too.

    The order of nodes, edges, inputs, outputs, workflows and keys makes no difference; that of cases does.

    Args:
        workflow: Any workflow, complete or not.

    Raises:
        WorkflowError: Two parts share a name, or a value is not JSON.
    """
    document = to_document(workflow)
    for one in (document, *document.get("workflows", {}).values()):
        one["edges"] = sorted(_canonical(edge) for edge in one.get("edges", ()))
    return hashlib.sha256(_canonical(document).encode()).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_WIDTH = 110
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _layout(value: Any, depth: int, *, unfold: bool = False) -> str:
    """JSON of `value` on one line if it fits, and otherwise (or with `unfold`) a line or more for each part."""
    if not value or not isinstance(value, dict | list):
        return _encode(value)
    if not unfold and len(line := _encode(value)) <= _WIDTH - 2 * depth:
        return line
    indent = "\n" + "  " * (depth + 1)
    if isinstance(value, dict):
        parts = [f"{_encode(key)}: {_layout(part, depth + 1)}" for key, part in value.items()]
        return "{" + indent + f",{indent}".join(parts) + indent[:-2] + "}"
    parts = [_layout(part, depth + 1) for part in value]
    return "[" + indent + f",{indent}".join(parts) + indent[:-2] + "]"


class _Twice(ValueError):
    """A key stands twice in one object: all but the last would be lost."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(next(key for key in keys if keys.count(key) > 1))
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _parse(text: str, file: str) -> Any:
    try:
        with collector_paused():
            return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise WorkflowError(
            f"the workflow is not JSON: {error.msg[0].lower()}{error.msg[1:]}",
            code="SYM-W003",
            hint=_json_hint(text, error.pos),
            file=file,
            line=error.lineno,
            column=error.colno,
        ) from error
    except _Twice as error:
        key = str(error)
        places = [match.start() for match in re.finditer(rf"{re.escape(json.dumps(key))}\s*:", text)]
        raise WorkflowError(
            f"the key {key!r} stands twice in one object, and only one of the two can count",
            code="SYM-W003",
            hint="Rename or remove one of them.",
            file=file,
            line=text.count("\n", 0, places[-1]) + 1 if len(places) == 2 else 0,
        ) from error
    except RecursionError as error:
        raise WorkflowError(
            "the workflow nests lists and objects too deeply to be read", code="SYM-W003", file=file
        ) from error
    except ValueError as error:  # NaN, or an integer of thousands of digits
        raise WorkflowError(f"the workflow is not JSON: {error}", code="SYM-W003", file=file) from error


def _json_hint(text: str, position: int) -> str:
    if not text.strip():
        return "The file is empty."
    if position >= len(text.rstrip()):
        return "The text ends too early: the file may have been cut off."
    if re.compile(r",\s*[}\]]").match(text, len(text[: position + 1].rstrip(" \t\r\n}]")) - 1):
        return "Remove the comma before the bracket: JSON allows none there."
    if text[position] in "#/":
        return 'JSON has no comments; notes can go into "metadata".'
    if text[position] == "'":
        return "JSON strings stand in double quotes."
    return ""


def _unreadable(message: str, file: str) -> WorkflowError:
    return WorkflowError(
        message,
        code="SYM-W002",
        hint="Give the path of a workflow file in JSON, encoded as UTF-8.",
        file=file,
    )

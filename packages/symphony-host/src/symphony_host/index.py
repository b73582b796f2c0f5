"""Remembers what discovery found, so that a warm start reads one small file instead of every manifest.

The index is a cache: whatever is wrong with it (absent, damaged, of another Symphony, in a directory that
cannot be written), the extensions are discovered anew. It belongs to one environment and holds good while

- the same directories of `sys.path` hold distributions, each with the modification time that it had, and
- each extension's `entry_points.txt` and manifest has the modification time and size that it had.

An `entry_points.txt` that is edited in place so that it mentions Symphony for the first time is not seen
until the index is refreshed; installers never do that.

It is JSON under a checksum. It is read with the scanner in C that the json package is built on, because the
import of the package itself takes longer than all the rest of a warm start.
"""

# ruff: noqa: PTH103, PTH105, PTH108, PTH118, PTH120, PTH123 - so does that of pathlib
from __future__ import annotations

import os
import sys
from binascii import crc32
from time import time_ns

from symphony_host import __version__
from symphony_host.directories import user_directory
from symphony_host.installed import metadata_dirs, search_path, stamp
from symphony_host.records import ExtensionRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = 2
"""The version of the index's own format."""

_OPENING = b'{"checksum": "%08x", "index": '
_LENGTH = len(_OPENING % 0)

SETTLED_NS = 100_000_000
"""How old what is read must be for the index to be written: file systems count time in ticks of some
milliseconds, and what changes within the tick in which it was read looks unchanged for ever."""


def load_records(*, refresh: bool = False, cache_dir: str = "") -> tuple[ExtensionRecord, ...]:
    """Every installed extension, the broken ones included, sorted by id.

    Reads the index where it holds good; else discovers, and writes the index. Never raises for what is
    installed or for the state of the index.

    Args:
        refresh: Whether to discover even where the index holds good.
        cache_dir: Where the index is kept; the user's cache directory unless given.
    """
    file = index_file(cache_dir or user_directory("cache"))
    if not refresh:
        records = _from_index(file)
        if records is not None:
            return records
    began = time_ns()
    directories = {path: [stamp(path)[0], bool(metadata_dirs(path))] for path in search_path()}
    from symphony_host.discovery import discover

    records = discover()
    files = {path: stamp(path) for record in records for path in _files(record)}
    changed = [modified for modified, holds in directories.values() if holds]
    changed += [modified for modified, _ in files.values()]
    missing = any(record.package and not record.root for record in records)  # who knows where it will appear
    if not missing and max(changed, default=0) < began - SETTLED_NS:
        rows = [record.to_index() for record in records]
        _write(file, {"key": _key(), "directories": directories, "files": files, "records": rows})
    return records


def index_file(cache_dir: str) -> str:
    """Path of this environment's index.

    Args:
        cache_dir: The directory that it is in.
    """
    environment = f"{sys.prefix}\0{sys.version}".encode(errors="surrogateescape")
    return os.path.join(cache_dir, f"extensions-{crc32(environment):08x}.json")


def _key() -> list[Any]:
    return [FORMAT, __version__, sys.version, sys.prefix]


def _files(record: ExtensionRecord) -> list[str]:
    files = [os.path.join(record.metadata_dir, "entry_points.txt")]
    return [*files, record.manifest_file] if record.manifest_file else files


def _from_index(file: str) -> tuple[ExtensionRecord, ...] | None:
    """The records of the index; None where it does not hold good."""
    try:
        with open(file, "rb") as stream:
            content = stream.read()
        body = content[_LENGTH:-1]
        if content != _framed(body):
            return None
        index = _parsed(body.decode("ascii"))
        if index["key"] != _key() or not _same_directories(index["directories"]):
            return None
        if any(stamp(path) != known for path, known in index["files"].items()):
            return None
        return tuple(map(ExtensionRecord.from_index, index["records"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _framed(body: bytes) -> bytes:
    """The whole file around its body."""
    return _OPENING % crc32(body) + body + b"}"


class _Decoding:
    """How the scanner makes Python's values of JSON's: as the json package does unless told otherwise."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _parsed(text: str) -> dict[str, Any]:
    try:
        from _json import make_scanner
    except ImportError:  # a Python that is built without it
        import json

        parsed: dict[str, Any] = json.loads(text)
        return parsed
    index: dict[str, Any] = make_scanner(_Decoding)(text, 0)[0]  # type: ignore[arg-type] # the stubs say otherwise
    return index


def _same_directories(known: dict[str, list[Any]]) -> bool:
    """Whether `sys.path` names the same directories with distributions, in the same order, unchanged.

    Directories without distributions come and go (the working directory, a script's own): only that they
    still hold none is looked at, and that only when they changed.
    """
    expected = [path for path, (_, holds) in known.items() if holds]
    found = []
    for path in search_path():
        modified, holds = known.get(path, (None, False))
        unchanged = stamp(path)[0] == modified
        if holds and not unchanged:
            return False
        if holds or (not unchanged and metadata_dirs(path)):
            found.append(path)
    return found == expected


def _write(file: str, index: dict[str, Any]) -> None:
    import json

    body = json.dumps(index).encode("ascii")
    temporary = f"{file}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
        with open(temporary, "xb") as stream:
            stream.write(_framed(body))
        os.replace(temporary, file)
    except OSError:  # a cache that cannot be kept costs time, nothing else
        _remove(temporary)


def _remove(file: str) -> None:
    try:
        os.unlink(file)
    except OSError:
        return

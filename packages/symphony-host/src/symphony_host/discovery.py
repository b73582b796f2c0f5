"""Finds the installed extensions by their entry points, without importing a line of them.

An extension's distribution has an entry point of the group `symphony.extensions` whose value names a data
file in one of its top-level packages, as in `word-count = "acme_text:symphony.toml"`. This is the cold path,
it reads everything; [index][symphony_host.index] remembers what it found.
"""

# paths are compared with those of sys.path, which are text
# ruff: noqa: PTH110, PTH118, PTH119, PTH123
import importlib
import importlib.util
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import symphony_sdk
from importlib_metadata import Distribution
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion
from symphony_sdk.errors import ExtensionError, SymphonyError
from symphony_sdk.manifest import load, load_document

from symphony_host.installed import metadata_dirs, search_path
from symphony_host.records import SYMPHONY, ExtensionRecord, Requirement

GROUP = "symphony.extensions"
"""The group of entry points that extensions are found by."""

_VALUE = re.compile(r"(?P<package>[^\W\d]\w*)\s*:\s*(?P<file>[\w.-]+(?:/[\w.-]+)*)")


class _Entry(NamedTuple):
    """An entry point of an extension, or what stands in for one that cannot be read."""

    distribution: str
    version: str
    summary: str
    license: str
    authors: str
    metadata_dir: str
    editable: bool
    name: str
    value: str
    error: SymphonyError | None = None

    def record(self, **found: Any) -> ExtensionRecord:
        """What is known of the extension.

        Args:
            found: The fields of the record that the entry point does not tell.
        """
        return ExtensionRecord(
            id=f"{self.distribution}:{self.name}",
            distribution=self.distribution,
            version=self.version,
            summary=self.summary,
            license=self.license,
            authors=self.authors,
            entry_point=self.name,
            metadata_dir=self.metadata_dir,
            editable=self.editable,
            **found,
        )


def discover() -> tuple[ExtensionRecord, ...]:
    """Every extension that is installed where this interpreter imports from, the broken ones included.

    Distributions of one name count once, the first on `sys.path`, as for an import. Never raises for what
    is installed: a broken extension is a record with its error.

    Returns:
        The records, sorted by id.
    """
    importlib.invalidate_caches()
    located = [_located(entry) for entry in _entries()]
    inheritable = _Documents([record.manifest_file for record in located if record.manifest_file])
    read = [_read(record, inheritable) for record in located]
    unique = {(record.id, record.manifest_file): record for record in reversed(read)}
    return tuple(sorted(_compared(_told_apart(unique.values())), key=lambda record: record.id))


def _entries() -> Iterator[_Entry]:
    seen: set[str] = set()
    for directory in search_path():
        for metadata_dir in metadata_dirs(directory):
            stem = os.path.basename(metadata_dir).rpartition(".")[0]
            name = re.sub(r"[-_.]+", "-", stem.partition("-")[0]).lower()
            if name not in seen:
                seen.add(name)
                yield from _entries_of(metadata_dir, name)


def _entries_of(metadata_dir: str, name: str) -> Iterator[_Entry]:
    file = os.path.join(metadata_dir, "entry_points.txt")
    try:
        with open(file, "rb") as stream:
            raw = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield _described(metadata_dir, name)._replace(
            name="entry_points.txt", error=_unreadable(file, error.strerror or str(error))
        )
        return
    if GROUP.encode() not in raw:
        return
    described = _described(metadata_dir, name)
    try:
        points = Distribution.at(metadata_dir).entry_points.select(group=GROUP)
    except (ValueError, TypeError) as error:  # not UTF-8; a line that is no `name = value`
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "a line is not `name = value`"
        yield described._replace(name="entry_points.txt", error=_unreadable(file, reason))
        return
    for point in points:
        yield described._replace(name=point.name, value=point.value)


def _unreadable(file: str, reason: str) -> ExtensionError:
    return ExtensionError(
        f"the entry points cannot be read: {reason}",
        code="SYM-E020",
        hint="Install the distribution again.",
        file=file,
    )


def _described(metadata_dir: str, name: str) -> _Entry:
    """What the metadata says of a distribution; its directory's name stands in for what it does not say."""
    stem = os.path.basename(metadata_dir).rpartition(".")[0]
    distribution = Distribution.at(metadata_dir)
    try:
        fields: Mapping[str, str] = dict(distribution.metadata.items())
        origin = distribution.origin
    except (OSError, ValueError):  # missing, unreadable or not UTF-8
        fields, origin = {}, None
    return _Entry(
        distribution=fields.get("Name", name),
        version=fields.get("Version", stem.partition("-")[2]),
        summary=fields.get("Summary", ""),
        license=fields.get("License-Expression") or fields.get("License", ""),
        authors=fields.get("Author") or fields.get("Author-email", ""),
        metadata_dir=metadata_dir,
        editable=bool(getattr(getattr(origin, "dir_info", None), "editable", False)),
        name="",
        value="",
    )


def _located(entry: _Entry) -> ExtensionRecord:
    """The record of an entry point with the place of its manifest, or with the reason why it has none."""
    if entry.error is not None:
        return entry.record(fault=_fault(entry.error))
    file = os.path.join(entry.metadata_dir, "entry_points.txt")
    match = _VALUE.fullmatch(entry.value)
    if match is None or ".." in match["file"].split("/"):
        return entry.record(
            fault=_fault(
                ExtensionError(
                    f"the entry point {entry.name!r} of {entry.distribution} is {entry.value!r}; "
                    "expected a top-level package and a file in it",
                    code="SYM-E020",
                    hint=f'Write {entry.name} = "PACKAGE:symphony.toml" under '
                    f'[project.entry-points."{GROUP}"] and install it again.',
                    file=file,
                )
            )
        )
    package, relative = match["package"], match["file"]
    places = _places(package)
    if not places:
        return entry.record(
            package=package,
            fault=_fault(
                ExtensionError(
                    f"the entry point {entry.name!r} of {entry.distribution} names the package {package!r}, "
                    "which is not there",
                    code="SYM-E021",
                    hint="The package must be a directory that the wheel includes. Install it again, or "
                    "correct the entry point.",
                    file=file,
                )
            ),
        )
    candidates = [(place, os.path.join(place, *relative.split("/"))) for place in places]
    root, manifest_file = next((each for each in candidates if os.path.exists(each[1])), candidates[0])
    return entry.record(package=package, root=root, manifest_file=manifest_file)


def _places(package: str) -> list[str]:
    """The directories of a top-level package; none where there is no such package."""
    try:
        spec = importlib.util.find_spec(package)
    except Exception:  # noqa: BLE001 - an import hook of some other distribution may raise anything
        return []
    return list(spec.submodule_search_locations or ()) if spec else []


class _Documents:
    """Gives a manifest's document by id, to those that inherit from it; reads nothing until asked."""

    def __init__(self, files: list[str]) -> None:
        self._files = files
        self._by_id: dict[str, dict[str, Any]] | None = None

    def __call__(self, extension: str) -> Mapping[str, Any]:
        if self._by_id is None:
            self._by_id = {}
            for file in self._files:
                document = _document(file)
                self._by_id.setdefault(_said_id(document), document)
        return self._by_id[extension]


def _document(file: str) -> dict[str, Any]:
    try:
        return load_document(Path(file))
    except SymphonyError:
        return {}  # its own record says why


def _said_id(document: Mapping[str, Any]) -> str:
    section = document.get("extension")
    found = section.get("id") if isinstance(section, dict) else None
    return found if isinstance(found, str) else ""


def _read(record: ExtensionRecord, inheritable: _Documents) -> ExtensionRecord:
    """`record` with what its manifest says, or with what is wrong with it."""
    if record.fault is not None:
        return record
    try:
        manifest = load(Path(record.manifest_file), lookup=inheritable).record()
    except SymphonyError as error:
        said = _said_id(_document(record.manifest_file))
        return record.with_changes(id=said or record.id, fault=_fault(error))
    return record.with_changes(
        id=manifest.id,
        kind=manifest.kind,
        runs=manifest.runs,
        requires=(
            Requirement(SYMPHONY, manifest.requires.symphony, False, symphony_sdk.__version__, False),
            *(
                Requirement(each.id, each.version, each.optional, "", False)
                for each in manifest.requires.extensions
            ),
        ),
        after=manifest.requires.after,
        document=_json(manifest.to_index()),
    )


def _told_apart(records: Any) -> Iterator[ExtensionRecord]:
    """The records; those that have one id between them are all broken, and each says who the others are."""
    by_id: defaultdict[str, list[ExtensionRecord]] = defaultdict(list)
    for record in records:
        by_id[record.id].append(record)
    for same in by_id.values():
        if len(same) == 1:
            yield same[0]
            continue
        owners = sorted(f"{each.distribution} {each.version} ({each.manifest_file})" for each in same)
        for record in same:
            error = ExtensionError(
                f"the id {record.id!r} belongs to more than one extension: {', '.join(owners)}",
                code="SYM-E022",
                hint="Uninstall all of these distributions but one.",
                details={"id": record.id, "distributions": sorted(each.distribution for each in same)},
                file=record.manifest_file,
            )
            yield record.with_changes(fault=record.fault or _fault(error))


def _compared(records: Iterator[ExtensionRecord]) -> list[ExtensionRecord]:
    """The records with each requirement compared to the versions that are installed."""
    known = list(records)
    versions = {record.id: record.version for record in known}

    def compared(requirement: Requirement) -> Requirement:
        found = requirement.found or versions.get(requirement.id, "")
        met = bool(found) and _fits(found, requirement.range)
        return Requirement(requirement.id, requirement.range, requirement.optional, found, met)

    return [record.with_changes(requires=tuple(map(compared, record.requires))) for record in known]


def _fits(version: str, versions: str) -> bool:
    if versions == "*":
        return True
    try:
        return SpecifierSet(versions).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _fault(error: SymphonyError) -> dict[str, Any]:
    return _json(error.payload())


def _json(value: Any) -> dict[str, Any]:
    """What JSON makes of a value, so that a record is equal to the one that the index gives back."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return document

"""The library of templates: what folders, the user and installed extensions have, version beside version.

Every template file of every source is listed; one that is broken is listed with its reason and hides no other.
"""

import contextlib
import os
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from packaging.version import Version
from symphony_sdk.errors import WorkflowError

from symphony_workflow.templates.definition import (
    Template,
    dumps,
    load,
    parse,
    read_bytes,
    read_template,
    version_of,
)
from symphony_workflow.templates.faults import nearest
from symphony_workflow.templates.search import EVERYTHING, Filter, SearchIndex, TemplateEntry

T = TypeVar("T")

SUFFIX = ".json"
"""How the files of a folder of templates end."""


class Source(NamedTuple):
    """Where templates come from.

    Args:
        name: What the library calls it: `user`, a folder, or the id of an extension.
        folder: A folder whose files are templates; None where there is none.
        files: Further files, each a template.
    """

    name: str
    folder: Path | None = None
    files: tuple[Path, ...] = ()


class TemplateLibrary:
    """The templates of some sources; close it, or use it as a context manager.

    Args:
        sources: Where they come from. Of two with the same id and version, that of the earlier source counts.
        index: Where the index is kept; None for memory.
    """

    def __init__(self, sources: Sequence[Source], *, index: Path | None = None) -> None:
        self._sources = tuple(sources)
        self._file = index
        self._index = SearchIndex(index)
        self.refresh()

    def __enter__(self) -> "TemplateLibrary":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def refresh(self) -> None:
        """Read what has changed since the index was written."""
        self._healed(self._refresh)

    def _refresh(self) -> None:
        known = self._index.stamps()
        found = dict(_files(self._sources))
        gone = known.keys() - found.keys()
        changed = [
            (file, source, stamp)
            for file, (source, stamp) in found.items()
            if known.get(file) != (source, *stamp)
        ]
        if gone or changed:
            read = [(_listed(file, source), stamp) for file, source, stamp in changed]
            with self._index.changing():
                for file in (*gone, *(file for file, _, _ in changed)):
                    self._index.forget(file)
                for entry, stamp in read:
                    self._index.take_in(entry, *stamp)
                self._rank()

    def search(self, text: str = "", filter: Filter = EVERYTHING, *, limit: int = 50) -> list[TemplateEntry]:
        """The templates that fit, the best first; broken ones are in `broken`.

        Args:
            text: Words, the beginnings of words, or misspelt ones; none for all, by title.
            filter: Which templates are looked at.
            limit: At most so many.
        """
        return self._healed(lambda: self._index.find(text, filter, limit=limit))

    def broken(self) -> list[TemplateEntry]:
        """The templates that cannot be used, each with its reason."""
        return self._healed(lambda: self._index.broken())

    def versions(self, id: str) -> list[TemplateEntry]:
        """The usable versions of a template, the latest first.

        Args:
            id: Its id.
        """
        usable = [entry for entry in self._all_versions(id) if not entry.problem]
        return sorted(usable, key=lambda entry: _order(entry.version), reverse=True)

    def find(self, reference: str) -> TemplateEntry:
        """The entry of a template.

        Args:
            reference: `ID` for its latest version, or `ID@VERSION`.

        Raises:
            WorkflowError: SYM-W094, there is no such template or version, or it is broken.
        """
        id, _, version = reference.partition("@")
        versions = self.versions(id)
        for entry in versions:
            if not version or version_of(entry.version) == version_of(version):
                return entry
        if versions:
            message = f"the template {id!r} has no version {version!r}"
            hint = f"It has {', '.join(entry.version for entry in versions)}."
        elif broken := [entry for entry in self._all_versions(id) if entry.problem]:
            message, hint = (
                f"the template {id!r} cannot be used: {broken[0].problem}",
                f"Mend {broken[0].file}.",
            )
        else:
            message = f"there is no template {id!r}"
            near = nearest(id, self._index.ids())
            hint = near if near.startswith("Did") else "`symphony template list` shows those that are there."
        raise WorkflowError(message, code="SYM-W094", hint=hint, details={"template": reference})

    def get(self, reference: str) -> Template:
        """A template.

        Args:
            reference: `ID` for its latest version, or `ID@VERSION`.

        Raises:
            WorkflowError: SYM-W094, there is no such template or version, or it is broken; SYM-W090, its file
                was just changed and is broken now.
        """
        return load(self.find(reference).file)

    def _all_versions(self, id: str) -> list[TemplateEntry]:
        return self._healed(lambda: self._index.versions(id))

    def _healed(self, use: Callable[[], T]) -> T:
        """What `use` gives of the index; one that turns out to be damaged is made again first."""
        try:
            return use()
        except sqlite3.DatabaseError:
            self._index.close()
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.unlink(missing_ok=True)
            self._index = SearchIndex(self._file)
            self._refresh()
            return use()

    def _rank(self) -> None:
        """Say which version of each template is the latest, and which files another file stands before."""
        order = {source.name: place for place, source in enumerate(self._sources)}
        same: defaultdict[tuple[str, Version], list[tuple[int, str, int]]] = defaultdict(list)
        for key, id, version, source, file, problem in self._index.rows():
            if not problem:
                same[id, _order(version)].append((order[source], file, key))
        latest: dict[str, tuple[Version, int]] = {}
        problems = []
        for (id, number), places in same.items():
            (_, first, key), *others = sorted(places)
            problems += [
                (other, f"{first} has the same id and version and comes first") for _, _, other in others
            ]
            latest[id] = max(latest.get(id, (number, key)), (number, key))
        self._index.rank([key for _, key in latest.values()], problems)


def save_template(template: Template, folder: Path, *, replace: bool = False) -> Path:
    """Write a template into a folder, whole or not at all; its file is named after its id and version.

    Args:
        template: The template.
        folder: The folder; made where it is missing.
        replace: Whether a file of the same id and version may be written over.

    Returns:
        The file.

    Raises:
        WorkflowError: SYM-W096, there is such a file, or it cannot be written.
    """
    file = folder / f"{template.reference}{SUFFIX}"
    draft = folder / f".{file.name}.{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(dumps(template))
                stream.flush()
                os.fsync(stream.fileno())
            if replace:
                draft.replace(file)
            else:
                os.link(draft, file)  # unlike a rename, it fails where the file is there
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        taken = isinstance(error, FileExistsError) and file.exists()
        raise WorkflowError(
            f"the template {template.reference!r} "
            + ("is there already" if taken else f"cannot be written: {error.strerror}"),
            code="SYM-W096",
            hint="Give it a new version, or replace it with `--replace`."
            if taken
            else "Choose a folder that may be written to.",
            file=os.fspath(file),
        ) from error
    return file


def _files(sources: Sequence[Source]) -> Iterator[tuple[str, tuple[str, tuple[int, int]]]]:
    """Each file with its source, modification time and size; a file of two sources belongs to the first."""
    seen: set[str] = set()
    for source in sources:
        for file, stat in _files_of(source):
            if file not in seen:
                seen.add(file)
                yield file, (source.name, (stat.st_mtime_ns, stat.st_size) if stat else (0, 0))


def _files_of(source: Source) -> Iterator[tuple[str, os.stat_result | None]]:
    if source.folder is not None:
        with contextlib.suppress(OSError), os.scandir(source.folder) as folder:
            for entry in sorted(folder, key=lambda each: each.name):
                if entry.name.endswith(SUFFIX) and not entry.name.startswith(".") and entry.is_file():
                    yield entry.path, entry.stat()
    for file in source.files:
        try:
            yield os.fspath(file), file.stat()
        except OSError:
            yield os.fspath(file), None  # listed as broken: it cannot be read


def _listed(file: str, source: str) -> TemplateEntry:
    """The entry of a file, with the reason where it is no template that can be used."""
    try:
        template, faults = read_template(parse(read_bytes(file), file=file))
    except WorkflowError as error:
        return TemplateEntry(Path(file).stem, "0", source, file, problem=error.message)
    errors = [fault for fault in faults if fault.severity == "error"]
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    nodes = list(_nodes(template.workflow))
    return TemplateEntry(
        template.id or Path(file).stem,
        template.version or "0",
        source,
        file,
        title=template.title or template.id,
        description=template.description,
        categories=template.categories,
        keywords=template.keywords,
        author=template.author,
        parameters=tuple(parameter.name for parameter in template.parameters),
        operations=tuple(sorted({uses for node in nodes if (uses := _operation(node))})),
        kinds=tuple(
            sorted(
                {kind for node in nodes if isinstance(kind := node.get("control") or node.get("kind"), str)}
            )
        ),
        problem=f"{errors[0]}{more}" if errors else "",
    )


def _nodes(workflow: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every node that is written in a template's workflow, whether or not it is wrapped."""
    for key in ("nodes", "workflows"):
        parts = workflow.get(key)
        for part in parts.values() if isinstance(parts, dict) else ():
            while isinstance(part, dict) and "$value" in part:
                part = part["$value"]
            if isinstance(part, dict):
                if key == "nodes":
                    yield part
                else:
                    yield from _nodes(part)


def _operation(node: Mapping[str, Any]) -> str:
    uses = node.get("uses")
    return uses if isinstance(uses, str) and "${" not in uses and not uses.startswith("#") else ""


def _order(version: str) -> Version:
    return version_of(version) or Version("0")

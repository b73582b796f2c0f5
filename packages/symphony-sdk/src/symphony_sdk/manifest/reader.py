"""Reads a `symphony.toml`: from bytes or text to a checked manifest, or one error that tells all faults."""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from symphony_sdk.errors import ManifestError
from symphony_sdk.manifest.faults import Fault, gathered, told
from symphony_sdk.manifest.inheritance import resolve
from symphony_sdk.manifest.locator import KeyPath, locate
from symphony_sdk.manifest.model import SCHEMA, Manifest

FILE_NAME = "symphony.toml"
LARGEST = 2**20
"""The most bytes that a manifest may have."""

_TOMLLIB_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


def load(path: Path, *, lookup: Callable[[str], Mapping[str, Any]] | None = None) -> Manifest:
    """The manifest in a file.

    Args:
        path: Its `symphony.toml`.
        lookup: As of [parse][symphony_sdk.manifest.parse].

    Raises:
        ManifestError: As of [parse][symphony_sdk.manifest.parse], and SYM-M002 where the file cannot be read.
    """
    return parse(_text_of(path), file=str(path), lookup=lookup)


def load_document(path: Path) -> dict[str, Any]:
    """The tables in a file, not validated: what [resolve][symphony_sdk.manifest.resolve] works on.

    Args:
        path: A `symphony.toml`.

    Raises:
        ManifestError: SYM-M002 or SYM-M003.
    """
    return _document_of(_text_of(path), file=str(path))


def parse(
    text: str, *, file: str = FILE_NAME, lookup: Callable[[str], Mapping[str, Any]] | None = None
) -> Manifest:
    """The manifest that `text` is.

    Args:
        text: TOML.
        file: Its name, for errors.
        lookup: Gives the document of an extension that this one inherits from, by id; raises LookupError
            where there is none. Without it there is none at all.

    Raises:
        ManifestError: With file, line and column. SYM-M001: faults, all of them in `details["faults"]` as
            `path`, `line`, `column`, `message` and `hint`. SYM-M002: empty or too large. SYM-M003: not
            TOML. SYM-M004: of a newer schema. SYM-M005: its base is unknown or its own child.
    """
    document = _document_of(text, file=file)
    _check_schema(document, text=text, file=file)
    try:
        resolved = resolve(document, lookup or _nothing_installed)
    except ManifestError as error:
        if not error.file:  # a base that cannot be read is told in its own file
            error.file = file
            error.line, error.column = locate(text, ("extension", "inherits")) or (1, 1)
        raise
    try:
        return Manifest.model_validate(resolved)
    except ValidationError as error:
        faults = [_own(fault, document, resolved) for fault in gathered(error, Manifest)]
    raise told(faults, text=text, file=file)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except OSError as error:
        raise ManifestError(
            f"the manifest cannot be read: {error.strerror or error}",
            code="SYM-M002",
            hint=f"An extension has a {FILE_NAME} in its top-level package, and its wheel includes it.",
            file=str(path),
        ) from error
    _check_size(len(raw), file=str(path))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        raise ManifestError(
            f"the manifest is not UTF-8: found the byte 0x{raw[error.start]:02x}",
            code="SYM-M003",
            hint="Save the file as UTF-8.",
            file=str(path),
            line=before.count(b"\n") + 1,
            column=len(before[before.rfind(b"\n") + 1 :].decode()) + 1,
        ) from None


def _document_of(text: str, *, file: str) -> dict[str, Any]:
    _check_size(len(text), file=file)
    if not text.strip():
        raise ManifestError(
            "the manifest is empty",
            code="SYM-M002",
            hint=f"Start it with `schema = {SCHEMA}` and a table `[extension]`; `symphony new` writes one.",
            file=file,
            line=1,
            column=1,
        )
    try:
        return tomllib.loads(text)
    except RecursionError:
        message, line, column = "the manifest is nested too deeply", 1, 1
    except ValueError as error:  # also what is not a TOMLDecodeError: a number of thousands of digits
        message = str(error)
        place = _TOMLLIB_PLACE.search(message)
        message = f"the manifest is not TOML: {message[: place.start()] if place else message}"
        if place and place[1]:
            line, column = int(place[1]), int(place[2])
        else:
            line, column = (text.count("\n") + 1, len(text) - text.rfind("\n")) if place else (1, 1)
    raise ManifestError(
        message,
        code="SYM-M003",
        hint="See https://toml.io for its grammar.",
        file=file,
        line=line,
        column=column,
    )


def _check_size(size: int, *, file: str) -> None:
    if size > LARGEST:
        raise ManifestError(
            f"the manifest is larger than {LARGEST} bytes",
            code="SYM-M002",
            hint="A manifest is a page of text: put data into files of their own.",
            file=file,
        )


def _check_schema(document: Mapping[str, Any], *, text: str, file: str) -> None:
    schema = document.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        line, column = locate(text, ("schema",)) or (1, 1)
        raise ManifestError(
            f"the manifest has schema {schema} and needs a newer Symphony: this one reads schema {SCHEMA}",
            code="SYM-M004",
            hint="Upgrade Symphony, or install an older version of the extension.",
            file=file,
            line=line,
            column=column,
        )


def _nothing_installed(extension: str) -> Mapping[str, Any]:
    raise LookupError(extension)


def _own(fault: Fault, document: Mapping[str, Any], resolved: Mapping[str, Any]) -> Fault:
    """`fault`, told where `document` inherits if what is wrong came from there."""
    if len(_present(fault.path, resolved)) == len(_present(fault.path, document)):
        return fault
    place = ("extension", "inherits")
    base = document["extension"]["inherits"]
    return fault._replace(message=f"{fault.message} (inherited from {base})", place=place)


def _present(path: KeyPath, document: Mapping[str, Any]) -> KeyPath:
    """As much of `path` as leads somewhere in `document`."""
    value: Any = document
    for length, part in enumerate(path):
        try:
            value = value[part]
        except (LookupError, TypeError):
            return path[:length]
    return path

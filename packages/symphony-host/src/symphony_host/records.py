"""What discovery knows of one installed extension, as plain data that a warm start reads in microseconds.

This module and what it imports stay off msgspec, pydantic, importlib.metadata and even typing, whose import
alone would take longer than reading the index: a record holds its manifest and its error as plain documents
and makes the typed objects when somebody asks for them.
"""

# ruff: noqa: PTH118 - pathlib is as heavy
from __future__ import annotations

import os

from symphony_host.installed import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from symphony_sdk.errors import SymphonyError
    from symphony_sdk.manifest_record import ManifestRecord

SYMPHONY = "symphony"
"""The name of Symphony itself among requirements; ids of extensions have a dot, so it is none of them."""


class Requirement:
    """Something that an extension needs, compared with what is installed. Not to be changed.

    Args:
        id: Id of the other extension, or `symphony`.
        range: The versions that will do (PEP 440), `*` for any.
        optional: Whether the extension works without it.
        found: The installed version; empty where none is.
        met: Whether `found` is in `range`.
    """

    __slots__ = ("found", "id", "met", "optional", "range")

    def __init__(self, id: str, range: str, optional: bool, found: str, met: bool) -> None:
        self.id = id
        self.range = range
        self.optional = optional
        self.found = found
        self.met = met

    def fields(self) -> dict[str, Any]:
        """Its fields by name: what `Requirement(**fields)` makes it from."""
        return {name: getattr(self, name) for name in self.__slots__}


class ExtensionRecord:
    """One installed extension, usable or broken. Not to be changed.

    Args:
        id: `publisher.name`; of a manifest too broken to say it, `distribution:entry-point`.
        kind: What it is; empty where the manifest is broken.
        runs: `worker` or `host`; empty where the manifest is broken.
        distribution: Name of the distribution that brings it.
        version: Version of that distribution.
        summary: Its one-line description.
        license: Its licence.
        authors: Its authors.
        entry_point: Name of the entry point.
        package: Import name of the package with the manifest.
        root: Directory of that package; empty where it was not found.
        manifest_file: Path of the manifest; empty where it was not found.
        metadata_dir: The distribution's `.dist-info` directory.
        editable: Whether its files are those of a checkout.
        requires: What it needs, compared with what is installed.
        after: Ids of extensions that load first where they are there.
        document: The manifest as `ManifestRecord.to_index` gives it; None where it is broken.
        fault: Why it cannot be used, as the fields of an `ErrorPayload`; None where it can.
    """

    __slots__ = (
        "after",
        "authors",
        "distribution",
        "document",
        "editable",
        "entry_point",
        "fault",
        "id",
        "kind",
        "license",
        "manifest_file",
        "metadata_dir",
        "package",
        "requires",
        "root",
        "runs",
        "summary",
        "version",
    )

    def __init__(
        self,
        *,
        id: str,
        distribution: str,
        version: str,
        metadata_dir: str,
        entry_point: str,
        kind: str = "",
        runs: str = "",
        summary: str = "",
        license: str = "",
        authors: str = "",
        package: str = "",
        root: str = "",
        manifest_file: str = "",
        editable: bool = False,
        requires: tuple[Requirement, ...] = (),
        after: tuple[str, ...] = (),
        document: dict[str, Any] | None = None,
        fault: dict[str, Any] | None = None,
    ) -> None:
        self.id = id
        self.kind = kind
        self.runs = runs
        self.distribution = distribution
        self.version = version
        self.summary = summary
        self.license = license
        self.authors = authors
        self.entry_point = entry_point
        self.package = package
        self.root = root
        self.manifest_file = manifest_file
        self.metadata_dir = metadata_dir
        self.editable = editable
        self.requires = requires
        self.after = after
        self.document = document
        self.fault = fault

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExtensionRecord) and self.to_index() == other.to_index()

    def __hash__(self) -> int:
        return hash((self.id, self.metadata_dir))

    def __repr__(self) -> str:
        return f"<ExtensionRecord {self.id} {self.version} of {self.distribution}>"

    def with_changes(self, **changes: Any) -> ExtensionRecord:
        """This record with some of its fields changed.

        Args:
            changes: The new values by field.
        """
        return ExtensionRecord(**{name: getattr(self, name) for name in self.__slots__} | changes)

    def to_index(self) -> dict[str, Any]:
        """This record as plain data."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"requires": [need.fields() for need in self.requires]}

    @classmethod
    def from_index(cls, fields: dict[str, Any]) -> ExtensionRecord:
        """The record that `to_index` was called on.

        Args:
            fields: What it gave.

        Raises:
            TypeError: It gave something else.
        """
        requires = tuple(Requirement(**need) for need in fields["requires"])
        return cls(**fields | {"requires": requires, "after": tuple(fields["after"])})

    @property
    def usable(self) -> bool:
        """Whether discovery found nothing wrong with it."""
        return self.fault is None

    @property
    def error(self) -> SymphonyError | None:
        """Why it cannot be used; None where it can."""
        if self.fault is None:
            return None
        import msgspec
        from symphony_sdk.errors import ErrorPayload, error_from_payload

        return error_from_payload(msgspec.convert(self.fault, ErrorPayload))

    @property
    def manifest(self) -> ManifestRecord:
        """Its manifest.

        Raises:
            SymphonyError: It has none that can be read: the error that discovery met.
        """
        if self.document is None:
            from symphony_sdk.errors import ExtensionError

            raise self.error or ExtensionError(f"{self.id} has no manifest")
        from symphony_sdk.manifest_record import ManifestRecord

        return ManifestRecord.from_index(self.document)

    def fingerprint(self) -> str:
        """Names the code that is installed now: it changes when the distribution is replaced or edited.

        An installed distribution is told by its version and its RECORD; of an editable one the time and
        size of each file in its package count. No file is read.
        """
        import hashlib

        digest = hashlib.blake2b(f"{self.distribution} {self.version}".encode(), digest_size=16)
        files = [os.path.join(self.metadata_dir, "RECORD"), self.manifest_file]
        if self.editable:
            for directory, folders, names in os.walk(self.root):
                folders[:] = sorted(name for name in folders if name != "__pycache__")
                files += [os.path.join(directory, name) for name in sorted(names)]
        for file in files:
            digest.update(f"\0{file}{stamp(file)}".encode(errors="surrogateescape"))
        return digest.hexdigest()

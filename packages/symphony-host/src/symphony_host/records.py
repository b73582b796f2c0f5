"""What discovery knows of one installed extension, as plain data that a warm start reads in microseconds.

This module and what it imports stay off msgspec, pydantic and importlib.metadata: a record holds its
manifest and its error as plain documents and makes the typed objects when somebody asks for them.
"""

# pathlib alone costs as much as the whole warm start
# ruff: noqa: PTH118
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from symphony_host.installed import stamp

if TYPE_CHECKING:
    from symphony_sdk.errors import SymphonyError
    from symphony_sdk.manifest_record import ManifestRecord

SYMPHONY = "symphony"
"""The name of Symphony itself among requirements; ids of extensions have a dot, so it is none of them."""


class Requirement(NamedTuple):
    """Something that an extension needs, compared with what is installed.

    Args:
        id: Id of the other extension, or `symphony`.
        range: The versions that will do (PEP 440), `*` for any.
        optional: Whether the extension works without it.
        found: The installed version; empty where none is.
        met: Whether `found` is in `range`.
    """

    id: str
    range: str
    optional: bool
    found: str
    met: bool


class ExtensionRecord(NamedTuple):
    """One installed extension, usable or broken.

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

    id: str
    kind: str
    runs: str
    distribution: str
    version: str
    summary: str
    license: str
    authors: str
    entry_point: str
    package: str
    root: str
    manifest_file: str
    metadata_dir: str
    editable: bool
    requires: tuple[Requirement, ...] = ()
    after: tuple[str, ...] = ()
    document: dict[str, Any] | None = None
    fault: dict[str, Any] | None = None

    @property
    def usable(self) -> bool:
        """Whether discovery found nothing wrong with it."""
        return self.fault is None

    @property
    def error(self) -> "SymphonyError | None":
        """Why it cannot be used; None where it can."""
        if self.fault is None:
            return None
        import msgspec
        from symphony_sdk.errors import ErrorPayload, error_from_payload

        return error_from_payload(msgspec.convert(self.fault, ErrorPayload))

    @property
    def manifest(self) -> "ManifestRecord":
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

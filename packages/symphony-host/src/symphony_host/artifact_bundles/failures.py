"""What can be wrong with bundles."""

import struct
import zipfile
from pathlib import Path
from typing import Final

from symphony_sdk.errors import ArtifactError


class DamagedBytes(Exception):
    """Bytes of a bundle are not what was written."""


UNREADABLE: Final = (
    DamagedBytes,
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
    struct.error,
)
"""What reading a zip file raises whose bytes somebody changed, by accident or on purpose."""


def unreadable(file: Path, error: OSError) -> ArtifactError:
    """A bundle cannot be read.

    Args:
        file: The bundle.
        error: Why.
    """
    return ArtifactError(
        f"the bundle {file} cannot be read: {error.strerror or error}",
        code="SYM-A060",
        hint="Name a bundle that is there and that you may read.",
        file=str(file),
    )


def unwritable(file: Path, error: OSError) -> ArtifactError:
    """A bundle cannot be written.

    Args:
        file: The bundle.
        error: Why.
    """
    return ArtifactError(
        f"the bundle {file} cannot be written: {error.strerror or error}",
        code="SYM-A060",
        hint="Name a file in a directory that can be written to and has room: `--output FILE`.",
        file=str(file),
    )


def no_bundle(file: Path, reason: str) -> ArtifactError:
    """A file is no bundle.

    Args:
        file: The file.
        reason: Why not.
    """
    return ArtifactError(
        f"{file} is no bundle of artifacts, or it is damaged: {reason}",
        code="SYM-A061",
        hint="`symphony artifacts export` makes bundles. Copy it again from where it was made.",
        file=str(file),
    )


def refused(file: Path, reason: str) -> ArtifactError:
    """A bundle is made as no bundle is.

    Args:
        file: The bundle.
        reason: How.
    """
    return ArtifactError(
        f"the bundle {file} is refused: {reason}",
        code="SYM-A062",
        hint="It was not made by `symphony artifacts export`, or it was changed since. Nothing of it was imported.",
        file=str(file),
    )


def newer(file: Path) -> ArtifactError:
    """A bundle is of a newer version.

    Args:
        file: The bundle.
    """
    return ArtifactError(
        f"the bundle {file} is of a version that this Symphony does not know; it knows version 1",
        code="SYM-A063",
        hint="Import it with the Symphony that made it, or a newer one.",
        file=str(file),
    )


def no_passphrase(file: Path) -> ArtifactError:
    """A bundle is sealed, or is to be, and there is no passphrase.

    Args:
        file: The bundle.
    """
    return ArtifactError(
        f"there is no passphrase for the sealed bundle {file}",
        code="SYM-A064",
        hint="Set SYMPHONY_BUNDLE_PASSPHRASE, or run this on a terminal, where it is asked for.",
        file=str(file),
    )


def damaged_blob(file: Path, id: str, reason: str) -> ArtifactError:
    """The bytes of an artifact are not in a bundle as they were written.

    Args:
        file: The bundle.
        id: Id of the artifact in the store that it comes from.
        reason: What was found.
    """
    return ArtifactError(
        f"artifact {id} is damaged in the bundle {file} and was not imported: {reason}",
        code="SYM-A065",
        hint="Copy the bundle again from where it was made and import it again: what is here stays as it is.",
        file=str(file),
        details={"id": id, "artifacts": [id]},
    )

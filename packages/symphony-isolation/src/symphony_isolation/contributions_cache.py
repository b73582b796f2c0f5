"""Remembers what extensions contribute, so that a worker starts only when one of its nodes is about to run."""

import os
import platform
import tempfile
from pathlib import Path

import msgspec
import symphony_sdk
from symphony_sdk.messages import ExtensionLoaded

from symphony_isolation.spec import WorkerSpec


class _Entry(msgspec.Struct, frozen=True):
    """What is kept of one extension: the key that it was learned under, and what it was.

    Args:
        key: Everything that the contributions depend on.
        loaded: The contributions.
    """

    key: tuple[str, ...]
    loaded: ExtensionLoaded


class ContributionsCache:
    """One JSON file an extension, replaced whole. A file that cannot be used counts as missing.

    Args:
        directory: Where the files are; made if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, spec: WorkerSpec) -> ExtensionLoaded | None:
        """What an extension contributes; None where it is not known for just this content.

        Args:
            spec: The extension.
        """
        try:
            entry = msgspec.json.decode(self._path(spec).read_bytes(), type=_Entry)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return entry.loaded if entry.key == _key(spec) else None

    def put(self, spec: WorkerSpec, loaded: ExtensionLoaded) -> None:
        """Remember what an extension contributes, unless just that is remembered.

        Args:
            spec: The extension.
            loaded: What it contributes.

        Raises:
            OSError: It cannot be written.
        """
        if self.get(spec) == loaded:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._directory, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(_Entry(_key(spec), loaded)))
            Path(name).replace(self._path(spec))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _path(self, spec: WorkerSpec) -> Path:
        return self._directory / f"{spec.id}.json"


def _key(spec: WorkerSpec) -> tuple[str, ...]:
    return (
        spec.id,
        spec.version,
        spec.module,
        spec.fingerprint,
        spec.python,
        platform.python_version(),
        symphony_sdk.__version__,
    )

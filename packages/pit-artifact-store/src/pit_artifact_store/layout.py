"""The directory of a store, its version, and the lock under which a process joins it.

format          name and version of this layout; written last, so a store without it is not yet one
lock            held for the moment in which a process opens the store
compressing     held by the process that compresses packs in the background
keys            the keys of the store, wrapped by the master key, which is elsewhere
packs/*.pack    everything that is stored, sealed; see `packs`
index.db        what the packs say, ready to be asked; made anew from them where it is lost
search/         what the search has indexed, sealed; made anew from the rest where it is lost
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from symphony_sdk.errors import ArtifactError

NAME: Final = "symphony-artifact-store"
VERSION: Final = 2


def is_made(root: Path) -> bool:
    """Whether a directory is a store that this code can read.

    Args:
        root: The directory.

    Raises:
        ArtifactError: It is a store of a newer version, or its `format` says something else.
    """
    file = root / "format"
    try:
        written = file.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return False
    name, _, version = written.strip().partition(" ")
    if name != NAME or not version.isdecimal() or int(version) < 1:
        raise ArtifactError(
            f"this is not the directory of an artifact store: expected `{NAME} {VERSION}`, "
            f"found {written[:60]!r}",
            code="SYM-A008",
            hint="Set another data directory, or restore the file.",
            file=str(file),
        )
    if int(version) != VERSION:
        raise ArtifactError(
            f"the artifact store has layout {version}, and this version of Symphony knows layout {VERSION}",
            code="SYM-A008",
            hint="Use the version of pit-artifact-store that it was made with, or set another data directory. "
            "Nothing was changed.",
            file=str(file),
        )
    return True


def make_directories(root: Path) -> None:
    """Make the directories of a store; those that are there stay.

    Args:
        root: The directory of the store.
    """
    (root / "packs").mkdir(mode=0o700, exist_ok=True)


def mark_made(root: Path) -> None:
    """Write `format`: from here on the directory is a store.

    Args:
        root: The directory of the store.
    """
    new = root / "format.new"
    with new.open("w", encoding="utf-8") as file:
        file.write(f"{NAME} {VERSION}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(root / "format")
    sync_directory(root)


def sync_directory(path: Path | str) -> None:
    """Make the names in a directory durable.

    Args:
        path: The directory.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def joining(root: Path) -> Iterator[None]:
    """Hold the lock under which processes join a store one by one.

    Args:
        root: The directory of the store.
    """
    fd = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def compressing(root: Path) -> Iterator[bool]:
    """Be the only process that compresses packs in the background; tells whether it is.

    Args:
        root: The directory of the store.
    """
    fd = os.open(root / "compressing", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)

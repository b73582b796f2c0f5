"""Files that only their owner can read, replaced as a whole: after a crash there is the old one or the new one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from symphony_sdk.errors import ArtifactError

from pit_artifact_store.layout import sync_directory


def replace(path: Path, content: bytes) -> None:
    """Write a file of mode 0600, durable when this returns.

    Args:
        path: The file; its directory exists.
        content: All of it.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)  # of a process that was killed
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    new.replace(path)
    sync_directory(path.parent)


def make_directory(path: Path) -> None:
    """Make a directory of mode 0700 and those above it, durable when this returns.

    Args:
        path: The directory; it may exist.
    """
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        sync_directory(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside a file that several processes change.

    Args:
        path: The file.
    """
    fd = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def refusals_named(what: str, path: Path, hint: str) -> Iterator[None]:
    """Turn what the disk refuses into `ArtifactError`.

    Args:
        what: What could not be done, as in `the keys cannot be written`.
        path: The file.
        hint: What to do.

    Raises:
        ArtifactError: In place of an `OSError` from inside.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArtifactError(f"{what}: {reason}", code="SYM-A036", hint=hint, file=str(path)) from error

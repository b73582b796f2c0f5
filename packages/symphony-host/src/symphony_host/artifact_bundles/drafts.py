"""Files that are there whole or not at all, and of which nothing is left where their writer is killed."""

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_MODE: Final = 0o600
_WITHOUT_NAMES: Final = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}
"""What says that a file system has no files without names."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which only its owner can read. It is synced and gets its name when it is done.

    On Linux it has no name until then, so that nothing is left of it whatever happens. Elsewhere it is `.NAME.PID`.

    Args:
        path: Its name; an older file is replaced.

    Raises:
        OSError: It cannot be written, or something that is no file has its name.
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "it is there and is no file", str(path))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    unnamed = _unnamed(path.parent)
    descriptor = unnamed if unnamed is not None else os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
            if unnamed is not None:
                _name(descriptor, draft)
        draft.replace(path)
        _sync_directory(path.parent)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _unnamed(directory: Path) -> int | None:
    """A new file without a name; None where there are none."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return None
    try:
        return os.open(directory, flag | os.O_RDWR, _MODE)
    except OSError as error:
        if error.errno in _WITHOUT_NAMES:
            return None
        raise


def _name(descriptor: int, path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a directory given, the link is to what /proc names; without, to the entry of /proc itself.
        os.link(f"/proc/self/fd/{descriptor}", path.name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

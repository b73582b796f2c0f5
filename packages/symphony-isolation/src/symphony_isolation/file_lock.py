"""A lock between processes: a lock on a file, which the system frees when its holder dies."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    _ITSELF = os.O_NOINHERIT

    def _lock(descriptor: int) -> None:
        while True:
            try:
                return msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
            except OSError as error:
                if error.errno != errno.EDEADLK:  # it gives up after ten seconds
                    raise

else:
    import fcntl

    _ITSELF = os.O_CLOEXEC | os.O_NOFOLLOW

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing; waits for whoever holds it.

    Args:
        path: The file; its folder exists. Nothing is ever written to it.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _ITSELF, 0o600)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)

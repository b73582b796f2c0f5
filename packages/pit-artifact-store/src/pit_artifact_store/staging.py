"""Files on their way into the store, and what a killed process left of them.

Every open store has a mark in `staging/`, a file that it locks for as long as it lives; the files that it
writes have the mark's name in front. The kernel drops the lock of a process that dies, however it dies, so
whoever can lock a mark knows that its files are litter. The mark also lists the objects that are being
published: a process that dies between naming a file and committing its row leaves no file without a row.
"""

import fcntl
import itertools
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pit_artifact_store.ids import ID_BYTES

MARK: Final = ".mark"
WRITE_BYTES: Final = 1 << 26


class Staging:
    """The files that one open store writes.

    Args:
        directory: The `staging` directory. It is joined under the lock of the store.
    """

    def __init__(self, directory: Path) -> None:
        self._prefix = str(directory / secrets.token_hex(8))
        self._numbers = itertools.count()
        self._mark = os.open(self._prefix + MARK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._mark, fcntl.LOCK_EX)
        self._noting = threading.Lock()
        self._noted: list[bytes] = []

    def write(self, data: memoryview, *, sync: bool) -> str:
        """Write a file of its own, and return its path.

        Args:
            data: What is in it.
            sync: Whether a crash of the machine must not lose it.

        Raises:
            OSError: It cannot be written; nothing is left of it.
        """
        path = f"{self._prefix}.{next(self._numbers)}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        try:
            for start in range(0, len(data), WRITE_BYTES):
                part = data[start : start + WRITE_BYTES]
                while part:
                    part = part[os.write(fd, part) :]
            if sync:
                os.fsync(fd)
        except BaseException:
            Path(path).unlink()
            raise
        finally:
            os.close(fd)
        return path

    @contextmanager
    def noting(self, ids: list[bytes]) -> Iterator[None]:
        """Note the objects whose file and row are about to come or go, for as long as they do.

        Ids of earlier ones may stand behind those noted; whoever sweeps looks at the index anyway.

        Args:
            ids: Their ids.
        """
        with self._noting:
            self._noted.extend(ids)
            os.pwrite(self._mark, b"".join(self._noted), 0)
        try:
            yield
        finally:
            with self._noting:
                for id in ids:
                    self._noted.remove(id)

    def close(self) -> None:
        """Take the mark away."""
        Path(self._prefix + MARK).unlink(missing_ok=True)
        os.close(self._mark)


def sweep(directory: Path, collect: Callable[[list[bytes]], None]) -> None:
    """Take away what processes left that are no more. Called under the lock of the store.

    Args:
        directory: The `staging` directory.
        collect: Takes away the files and rows of those of some objects that no artifact has.
    """
    for mark in directory.glob("*" + MARK):
        try:
            fd = os.open(mark, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # its store was closed just now
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            noted = os.pread(fd, os.fstat(fd).st_size, 0)
            collect([noted[i : i + ID_BYTES] for i in range(0, len(noted) - ID_BYTES + 1, ID_BYTES)])
            for litter in directory.glob(mark.stem + ".*"):
                if litter != mark:
                    litter.unlink()
            mark.unlink()  # last: without it nobody would know the others
        except BlockingIOError:  # its process lives
            continue
        finally:
            os.close(fd)

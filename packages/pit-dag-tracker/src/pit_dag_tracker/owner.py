"""Says whether the process that works on a run is alive: it holds a lock that ends with it, however it ends."""

import os
import secrets
from pathlib import Path

from filelock import FileLock, Timeout


class Owner:
    """This process, or this tracker of several in it, as the owner of runs.

    Args:
        directory: Where the owners of one log keep their locks; made where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = FileLock(self._path(self.name), thread_local=False)
        self._lock.acquire(timeout=0)

    def alive(self, name: str) -> bool:
        """Whether an owner is still at work.

        Args:
            name: Name of an owner; empty for none.
        """
        if not name:
            return False
        path = self._path(name)
        if name == self.name:
            return self._lock.is_locked
        if not path.exists():
            return False
        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        path.unlink(missing_ok=True)  # names are never used again
        return False

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()
        self._path(self.name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.lock"

"""The index of words while it is used: in memory, never in clear on a disk.

Where the system has a directory in memory (tmpfs), all processes that use a store share one index there. A shared lock
on its directory says who uses it; the last one takes it away, and whoever comes after a killed one goes on with it.
Elsewhere each process has an index of its own.
"""

import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final, Protocol

import msgspec
import tantivy
from blake3 import blake3

from pit_artifact_store.searching.schema import VERSION, prepared, schema
from pit_artifact_store.searching.sealing import DamagedSeal, Progress, Sealed

_PROGRESS: Final = "progress"
_MOUNTS: Final = Path("/proc/self/mountinfo")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Progress).decode


class Live(Protocol):
    """An index of words that can be searched and written."""

    def index(self) -> tantivy.Index:
        """The index, as it was last committed.

        Raises:
            OSError: The system refuses.
            ValueError: tantivy does.
        """

    def turn(self) -> AbstractContextManager[None]:
        """Be the only one that writes."""

    def progress(self) -> Progress | None:
        """How far the store is indexed; None where nothing is."""

    def keep(self, progress: Progress) -> None:
        """Say how far the store is indexed, after a commit.

        Args:
            progress: How far.

        Raises:
            OSError: The system refuses.
        """

    def close(self) -> None:
        """Let it go."""


class OwnLive:
    """An index of this process alone; made anew in each."""

    def __init__(self) -> None:
        self._index = prepared(tantivy.Index(schema()))
        self._progress: Progress | None = None

    def index(self) -> tantivy.Index:
        """The index, as it was last committed."""
        return self._index

    def turn(self) -> AbstractContextManager[None]:
        """Nobody else writes."""
        return nullcontext()

    def progress(self) -> Progress | None:
        """How far the store is indexed."""
        return self._progress

    def keep(self, progress: Progress) -> None:
        """Say how far the store is indexed, after a commit.

        Args:
            progress: How far.
        """
        self._index.reload()
        self._progress = progress

    def close(self) -> None:
        """There is nothing to let go."""


class SharedLive:
    """The index that all processes share; safe with many threads.

    Args:
        path: Its directory, in memory; made when it is first needed.
        sealed: Where it is kept when nobody uses it.
    """

    def __init__(self, path: Path, sealed: Sealed) -> None:
        self._path = path
        self._sealed = sealed
        self._writing = threading.RLock()
        self._depth = 0
        self._joining = threading.Lock()  # taken after that of writing
        self._fd = -1
        self._index: tantivy.Index | None = None
        self._read: tuple[int, int] | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one that writes; a thread may ask for it once more."""
        with self._writing:
            self._depth += 1
            try:
                with self._sealed.turn() if self._depth == 1 else nullcontext():
                    yield
            finally:
                self._depth -= 1

    def index(self) -> tantivy.Index:
        """The index, as it was last committed.

        Raises:
            OSError: The system refuses.
            ValueError: tantivy does, also where the index was made anew.
        """
        with suppress(OSError, ValueError), self._joining:
            if self._join():
                return self._opened()
        with self.turn(), self._joining:
            with suppress(OSError, ValueError):  # another process may have mended it
                if self._join():
                    return self._opened()
            self._leave()
            self._take_away()
            self._make()
            self._join()
            return self._opened()

    def _opened(self) -> tantivy.Index:
        found = (self._path / "meta.json").stat()
        read = (found.st_ino, found.st_mtime_ns)
        if self._index is None:
            self._index = prepared(tantivy.Index.open(str(self._path)))
        if self._read != read:
            self._index.reload()
            self._read = read
        return self._index

    def progress(self) -> Progress | None:
        """How far the store is indexed; None where nothing is."""
        try:
            return _decode((self._path / _PROGRESS).read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def keep(self, progress: Progress) -> None:
        """Say how far the store is indexed, and seal what is.

        Args:
            progress: How far.

        Raises:
            OSError: The system refuses.
        """
        _write_progress(self._path, progress)
        with suppress(OSError):  # on a full disk it is indexed again the next time
            self._sealed.seal(self._path, progress)

    def close(self) -> None:
        """Let it go; the last one that does takes it away."""
        with self._joining:
            if self._fd < 0:
                return
            self._leave()
            with suppress(OSError), _locked(self._path, fcntl.LOCK_EX | fcntl.LOCK_NB) as fd:
                if _is_at(fd, self._path):
                    self._take_away()

    def _join(self) -> bool:
        """Use the directory that is there now, if there is one."""
        if self._fd >= 0 and _is_at(self._fd, self._path):
            return True
        self._leave()
        while True:
            try:
                fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
            try:
                fcntl.flock(fd, fcntl.LOCK_SH)
                if _is_at(fd, self._path):  # else the last one has taken it away meanwhile
                    if not _is_private(fd):
                        raise PermissionError(errno.EACCES, "it is not this user's alone", str(self._path))
                    self._fd, fd = fd, -1
                    return True
            finally:
                if fd >= 0:
                    os.close(fd)

    def _leave(self) -> None:
        self._index, self._read = None, None
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # also for a process that was forked meanwhile
            os.close(self._fd)
            self._fd = -1

    def _make(self) -> None:
        """Unseal the index, or make an empty one."""
        for left in self._path.parent.glob(self._path.name + ".*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        new = self._path.with_suffix(".new")
        new.mkdir(mode=0o700)
        try:
            progress = self._sealed.unseal(new)
        except DamagedSeal:
            progress = None
        if progress is None:
            shutil.rmtree(new)
            new.mkdir(mode=0o700)
            tantivy.Index(schema(), str(new))
        else:
            _write_progress(new, progress)
        new.rename(self._path)

    def _take_away(self) -> None:
        old = self._path.with_suffix(f".{os.getpid()}.old")
        with suppress(FileNotFoundError):
            self._path.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def open_live(root: Path, key: bytes, sealed: Sealed) -> Live:
    """The index of words of a store, where this system can have it.

    Args:
        root: The directory of the store.
        key: Names it, 32 bytes.
        sealed: Where it is kept when nobody uses it.
    """
    place = in_memory()
    if place is None:
        return OwnLive()
    name = blake3(f"{VERSION} {os.getuid()} {root.resolve()}".encode(), key=key).hexdigest(16)
    return SharedLive(place / f"symphony-search-{name}", sealed)


def in_memory() -> Path | None:
    """A directory in memory in which this user can write; None where there is none."""
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return None
    kinds = {words[4]: words[words.index("-") + 1] for words in mounts}
    for place in (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm"):  # noqa: S108 - what is in it is private
        path = Path(place)
        if path.is_absolute() and path.is_dir() and os.access(path, os.W_OK | os.X_OK):
            real = path.resolve()
            mount = next((str(at) for at in (real, *real.parents) if str(at) in kinds), "")
            if kinds.get(mount) in ("tmpfs", "ramfs"):
                return path
    return None


def _write_progress(path: Path, progress: Progress) -> None:
    new = path / (_PROGRESS + ".new")
    new.write_bytes(_encode(progress))
    new.replace(path / _PROGRESS)


def _is_at(fd: int, path: Path) -> bool:
    """Whether an open directory is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def _is_private(fd: int) -> bool:
    found = os.fstat(fd)
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


@contextmanager
def _locked(path: Path, how: int) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
        yield fd
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)

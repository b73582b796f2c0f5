"""The packs of a store: which there are, their keys, who writes them, and those that are open."""

import fcntl
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from symphony_sdk.errors import ArtifactError

from pit_artifact_store.layout import sync_directory
from pit_artifact_store.packs import (
    HEADER,
    HEADER_BYTES,
    MAGIC,
    PACK_ID_BYTES,
    SUFFIX,
    WRAPPED_BYTES,
    DamagedFrame,
    Pack,
    PackWriter,
    pack_name,
    write_all,
)

_OPEN_FILES: Final = 128


class Wrapping(Protocol):
    """Wraps the keys of packs."""

    @property
    def epoch(self) -> int:
        """That of the key that wraps those of new packs."""

    def wrap(self, pack_id: bytes, pack_key: bytes) -> tuple[int, bytes]:
        """The epoch of the key that wraps it, and the key of a pack, wrapped.

        Args:
            pack_id: Id of the pack.
            pack_key: Its key.
        """

    def unwrap(self, epoch: int, pack_id: bytes, wrapped: bytes) -> bytes:
        """The key of a pack.

        Args:
            epoch: That of the key that wraps it.
            pack_id: Id of the pack.
            wrapped: Its key, wrapped.

        Raises:
            ArtifactError: It does not fit.
        """


class PackFiles:
    """The packs of a store; safe with many threads.

    Args:
        directory: Where they are.
        wrapping: Wraps their keys.
        renewed: Gives it anew, where another process has made a key since.
    """

    def __init__(self, directory: Path, wrapping: Wrapping, renewed: Callable[[], Wrapping]) -> None:
        self.directory = directory
        self.wrapping = wrapping
        self._renewed = renewed
        self._open: OrderedDict[bytes, Pack] = OrderedDict()
        self._lock = threading.Lock()

    def path(self, id: bytes) -> Path:
        """Where a pack is.

        Args:
            id: Its id.
        """
        return self.directory / pack_name(id)

    def ids(self) -> list[bytes]:
        """The packs that are there."""
        names = [path.name.removesuffix(SUFFIX) for path in self.directory.glob("*" + SUFFIX)]
        return sorted(bytes.fromhex(name) for name in names if _is_name(name))

    def sizes(self) -> list[int]:
        """Bytes of each pack that is there."""
        found = []
        for id in self.ids():
            with suppress(FileNotFoundError):  # it was collected just now
                found.append(self.path(id).stat().st_size)
        return found

    def open(self, id: bytes) -> Pack:
        """A pack, to read from.

        Args:
            id: Its id.

        Raises:
            FileNotFoundError: It is not there.
            DamagedFrame: Its header is not what was written, or its key does not fit those of the store.
        """
        with self._lock:
            if pack := self._open.get(id):
                self._open.move_to_end(id)
                return pack
        pack = self._read_header(id)
        with self._lock:
            kept = self._open.setdefault(id, pack)
            while len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        return kept

    def make(self) -> PackWriter:
        """A new pack, locked for this process.

        Raises:
            OSError: It cannot be made.
        """
        id, key = os.urandom(PACK_ID_BYTES), AESGCM.generate_key(256)
        epoch, wrapped = self.wrapping.wrap(id, key)
        header = HEADER.pack(MAGIC, id, epoch, len(wrapped)) + wrapped.ljust(WRAPPED_BYTES, b"\0")
        fd = os.open(self.path(id), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        pack = Pack(fd, id, AESGCM(key), epoch)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_all(fd, [header], 0)
        except BaseException:
            self.path(id).unlink()
            raise
        return PackWriter(pack, HEADER_BYTES)

    def lock(self, id: bytes) -> Pack | None:
        """A pack that no other open store writes, locked until it is let go; None where one does, or it is gone.

        Args:
            id: Its id.

        Raises:
            DamagedFrame: Its header is not what was written, or its key does not fit those of the store.
            OSError: The disk refuses.
        """
        try:
            pack = self._read_header(id, os.O_RDWR)
            fcntl.flock(pack.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the two it may have been deleted, or left this machine and come back.
            is_the_same = self.path(id).stat().st_ino == os.fstat(pack.fd).st_ino
        except (BlockingIOError, FileNotFoundError):
            return None
        return pack if is_the_same else None

    def sync(self, pack: Pack) -> None:
        """Make durable what was appended to a pack.

        Args:
            pack: The pack.

        Raises:
            OSError: The disk refuses.
        """
        os.fdatasync(pack.fd)

    def sync_names(self) -> None:
        """Make durable which packs there are.

        Raises:
            OSError: The disk refuses.
        """
        sync_directory(self.directory)

    def forget(self, id: bytes) -> None:
        """Open a pack anew the next time.

        Args:
            id: Its id.
        """
        with self._lock:
            self._open.pop(id, None)

    def close(self) -> None:
        """Let go of every pack; one that is being read is closed when that is done."""
        with self._lock:
            self._open.clear()

    def _read_header(self, id: bytes, access: int = os.O_RDONLY) -> Pack:
        fd = os.open(self.path(id), access | os.O_CLOEXEC)
        try:
            cipher, epoch = self.opened(id, os.pread(fd, HEADER_BYTES, 0))
        except BaseException:
            os.close(fd)
            raise
        return Pack(fd, id, cipher, epoch)

    def opened(self, id: bytes, header: bytes) -> tuple[AESGCM, int]:
        """What opens the frames of a pack, and the epoch of the key that wraps its own.

        Args:
            id: Its id.
            header: Its first `HEADER_BYTES`.

        Raises:
            DamagedFrame: They are not what was written, or its key does not fit those of the store.
        """
        if len(header) < HEADER_BYTES:
            raise DamagedFrame(id, 0, f"{len(header)} of the {HEADER_BYTES} bytes of its header are there")
        magic, named, epoch, length = HEADER.unpack_from(header)
        wrapped, rest = header[HEADER.size :][:length], header[HEADER.size + length :]
        if magic != MAGIC or named != id or any(rest):
            raise DamagedFrame(id, 0, "its header is not what was written")
        if epoch > self.wrapping.epoch:
            self.wrapping = self._renewed()
        try:
            return AESGCM(self.wrapping.unwrap(epoch, id, wrapped)), epoch
        except ArtifactError as error:
            raise DamagedFrame(id, 0, str(error)) from error


def _is_name(text: str) -> bool:
    return len(text) == 2 * PACK_ID_BYTES and not text.strip("0123456789abcdef")

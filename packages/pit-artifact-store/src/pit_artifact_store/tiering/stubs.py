"""What of each pack is in the tier, and the lock under which that changes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from pit_artifact_store.layout import sync_directory
from pit_artifact_store.packs import SUFFIX, pack_name

STUB_SUFFIX: Final = ".tier"
_LOCK: Final = "tier.lock"


class Stub(msgspec.Struct, frozen=True):
    """What of a pack is in the tier.

    Args:
        size: Its first so many bytes.
        digest: Their keyed hash, in hex digits.
        chunks: Bytes of the frames among them that are chunks.
        verified: Whether they were read back and compared; otherwise they may be there, or on their way.
    """

    size: int
    digest: str
    chunks: int
    verified: bool


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Stub).decode


class Stubs:
    """The stubs of a store.

    Args:
        root: The directory of the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directory = root / "packs"

    def get(self, id: bytes) -> Stub | None:
        """The stub of a pack; None where nothing of it is in the tier, or the stub cannot be read.

        Args:
            id: Id of the pack.
        """
        try:
            return _decode(self._path(id).read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def put(self, id: bytes, stub: Stub) -> None:
        """Write a stub; a verified one is durable when this returns.

        Args:
            id: Id of the pack.
            stub: What of it is in the tier.

        Raises:
            OSError: The disk refuses.
        """
        path = self._path(id)
        new = path.with_suffix(STUB_SUFFIX + ".new")
        with new.open("wb") as file:
            file.write(_encode(stub))
            if stub.verified:
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)
        if stub.verified:
            sync_directory(self._directory)

    def remove(self, id: bytes) -> None:
        """Forget a stub.

        Args:
            id: Id of the pack.
        """
        self._path(id).unlink(missing_ok=True)

    def away(self) -> dict[bytes, Stub]:
        """The stubs of the packs that are in the tier alone."""
        found = {}
        for path in self._directory.glob("*" + STUB_SUFFIX):
            id = bytes.fromhex(path.name.removesuffix(STUB_SUFFIX))
            if not (self._directory / pack_name(id)).exists() and (stub := self.get(id)) and stub.verified:
                found[id] = stub
        return found

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[bool]:
        """Let no other process or thread move packs meanwhile; tells whether that is so.

        Args:
            wait: Whether to wait for the others.
        """
        fd = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)

    def _path(self, id: bytes) -> Path:
        return (self._directory / pack_name(id)).with_suffix(STUB_SUFFIX)


def new_path(directory: Path, id: bytes) -> Path:
    """Where a pack is written until it is whole.

    Args:
        directory: That of the packs.
        id: Id of the pack.
    """
    return directory / (id.hex() + SUFFIX + ".new")

"""The files of artifacts that are too large for the index: one a content, named by its id, never changed.

A file is read in segments, each checked against a hash of its own, so that a range of a large artifact is
checked without reading the rest of it.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from blake3 import blake3

from pit_artifact_store.failures import damaged
from pit_artifact_store.ids import ID_BYTES, content_id
from pit_artifact_store.layout import sync_directory

SEGMENT_BYTES: Final = 1 << 20

Found = Literal["absent", "same", "different"]


def segment_hashes(id: bytes, data: memoryview) -> bytes:
    """The hashes of the segments of an artifact, one after another; of a single one it is the id.

    Args:
        id: Id of the artifact.
        data: Its bytes.
    """
    if len(data) <= SEGMENT_BYTES:
        return id
    return b"".join(content_id(data[i : i + SEGMENT_BYTES]) for i in range(0, len(data), SEGMENT_BYTES))


class ObjectFiles:
    """The files under `objects/`.

    Args:
        directory: The `objects` directory with its shards.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)

    def path(self, id: bytes) -> str:
        """Where the bytes of an artifact are.

        Args:
            id: Its id.
        """
        digits = id.hex()
        return f"{self._directory}/{digits[:2]}/{digits[2:]}"

    def size_of(self, id: bytes) -> int | None:
        """Size of a file in bytes, if it is there.

        Args:
            id: Its id.
        """
        try:
            return os.stat(self.path(id)).st_size  # noqa: PTH116 - a Path would cost more than the call
        except FileNotFoundError:
            return None

    def compare(self, id: bytes, data: memoryview) -> Found:
        """Whether a file is there and holds just these bytes.

        Args:
            id: Its id.
            data: The bytes.
        """
        try:
            file = open(self.path(id), "rb", buffering=0)  # noqa: PTH123, SIM115 - closed below
        except FileNotFoundError:
            return "absent"
        with file:
            if os.fstat(file.fileno()).st_size != len(data):
                return "different"
            try:
                for start in range(0, len(data), SEGMENT_BYTES):
                    # As bytes: a memoryview is compared one item after another.
                    if file.read(SEGMENT_BYTES) != bytes(data[start : start + SEGMENT_BYTES]):
                        return "different"
            except OSError:  # a sector that cannot be read: the new file takes another one
                return "different"
        return "same"

    def place(self, staged: str, id: bytes) -> None:
        """Give a staged file its name in the store.

        Args:
            staged: Path of the file.
            id: Id of what is in it.
        """
        os.replace(staged, self.path(id))  # noqa: PTH105 - a Path would cost more than the call

    def sync(self, ids: Iterable[bytes]) -> None:
        """Make the bytes and the names of files durable; those that were removed need nothing.

        Args:
            ids: Their ids.
        """
        here = []
        for id in ids:
            try:
                fd = os.open(self.path(id), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            here.append(id)
        self.sync_names(here)

    def sync_names(self, ids: Iterable[bytes]) -> None:
        """Make the names of files durable.

        Args:
            ids: Their ids.
        """
        for directory in sorted({os.path.dirname(self.path(id)) for id in ids}):  # noqa: PTH120 - as above
            sync_directory(directory)

    def remove(self, id: bytes) -> None:
        """Take a file away, if it is there.

        Args:
            id: Its id.
        """
        Path(self.path(id)).unlink(missing_ok=True)

    def read(self, id: bytes, size: int) -> bytes:
        """All bytes of a file, checked.

        Args:
            id: Its id.
            size: Its size in bytes.

        Raises:
            FileNotFoundError: It is not there.
            ArtifactError: It holds something else.
        """
        with open(self.path(id), "rb", buffering=0) as file:  # noqa: PTH123 - a Path would cost more
            _expect_size(id, size, os.fstat(file.fileno()).st_size)
            data = file.readall()
        check(id, size, data)
        return data

    def read_range(self, id: bytes, size: int, segments: bytes, offset: int, length: int) -> bytes:
        """Some bytes of a file, checked; memory holds them and one segment, however large the file is.

        Args:
            id: Its id.
            size: Its size in bytes.
            segments: The hashes of its segments.
            offset: First byte, counted from 0.
            length: How many bytes; all of them are in the file.

        Raises:
            FileNotFoundError: It is not there.
            ArtifactError: It holds something else.
        """
        with open(self.path(id), "rb", buffering=0) as file:  # noqa: PTH123 - a Path would cost more
            _expect_size(id, size, os.fstat(file.fileno()).st_size)
            parts = []
            for number in range(offset // SEGMENT_BYTES, -(-(offset + length) // SEGMENT_BYTES)):
                start = number * SEGMENT_BYTES
                file.seek(start)
                segment = file.read(SEGMENT_BYTES)
                if content_id(segment) != segments[number * ID_BYTES : (number + 1) * ID_BYTES]:
                    raise damaged(id, f"bytes {start} to {start + len(segment)} are not what was stored")
                parts.append(segment[max(0, offset - start) : max(0, offset + length - start)])
        return b"".join(parts)

    def verify(self, id: bytes, size: int, segments: bytes) -> None:
        """Read a whole file in constant memory.

        Args:
            id: Its id.
            size: Its size in bytes.
            segments: The hashes of its segments.

        Raises:
            FileNotFoundError: It is not there.
            ArtifactError: It holds something else.
        """
        whole = blake3()
        for offset in range(0, size, SEGMENT_BYTES):
            length = min(SEGMENT_BYTES, size - offset)
            whole.update(self.read_range(id, size, segments, offset, length))
        if whole.digest() != id:
            raise damaged(id, f"its {size} bytes are not what was stored")


def check(id: bytes, size: int, data: bytes) -> None:
    """Make sure that bytes are what their id says.

    Args:
        id: The id.
        size: How many they were.
        data: The bytes.

    Raises:
        ArtifactError: They are not.
    """
    _expect_size(id, size, len(data))
    if content_id(data) != id:
        raise damaged(id, f"its {size} bytes are not what was stored")


def _expect_size(id: bytes, expected: int, found: int) -> None:
    if found != expected:
        raise damaged(id, f"expected {expected} bytes, found {found}")

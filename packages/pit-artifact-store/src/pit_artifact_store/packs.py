"""The files that hold everything: sealed frames, appended by one process at a time and never changed.

A pack begins with a header that names it and has its key, wrapped. Each frame behind it is sealed with that key
together with its place, so that no frame passes for another, nor for one of another pack.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PACK_ID_BYTES: Final = 16
PACK_BYTES: Final = 64 << 20
"""A pack that is as large gets no further frames."""

FRAME_BYTES: Final = 256 << 20
"""A frame that claims more than this is none of ours."""

CHUNK: Final = 1
PACKED_CHUNK: Final = 2  # a chunk, compressed
COMMIT: Final = 3

MAGIC: Final = b"SYMPACK1"
HEADER: Final = Struct("<8s16sIH")
WRAPPED_BYTES: Final = 128
HEADER_BYTES: Final = HEADER.size + WRAPPED_BYTES

_HEAD: Final = Struct("<BI")
_NONCE: Final = 12
_TAG: Final = 16
_BODY: Final = _HEAD.size + _NONCE
OVERHEAD: Final = _BODY + _TAG
"""Bytes of a frame besides what is in it."""

_PLACE: Final = Struct("<16sQBI")
_PARTS_AT_ONCE: Final = 1024
"""Parts that the kernel writes at once."""


class Frame(NamedTuple):
    """What is in a frame.

    Args:
        kind: What it is.
        data: Its bytes.
        offset: Where it begins in its pack.
        stored: Bytes of it there.
    """

    kind: int
    data: bytes
    offset: int
    stored: int


class DamagedFrame(Exception):
    """A frame is not what was written.

    Args:
        pack: Id of its pack.
        offset: Where it is to begin.
        found: What is there.
    """

    def __init__(self, pack: bytes, offset: int, found: str) -> None:
        super().__init__(f"{found}, at byte {offset:,} of {pack_name(pack)}")
        self.pack = pack
        self.offset = offset


class Released(Exception):
    """A pack was let go: another one takes what comes next."""


class Pack:
    """An open pack, to read from.

    Args:
        fd: Its file; closed with this object.
        id: Its id.
        cipher: Seals and opens with its key.
        epoch: Epoch of the key that wraps it.
    """

    def __init__(self, fd: int, id: bytes, cipher: AESGCM, epoch: int) -> None:
        self.fd = fd
        self.id = id
        self.epoch = epoch
        self._cipher = cipher

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close its file, and with it give up the lock that it may have; a second time does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self.fd).st_size

    def read_at(self, length: int, offset: int) -> bytes:
        """Some bytes of the file, as they are.

        Args:
            length: How many; fewer come at its end.
            offset: The first.

        Raises:
            OSError: The disk refuses.
        """
        return os.pread(self.fd, length, offset)

    def seal(self, offset: int, contents: Sequence[tuple[int, bytes | memoryview]]) -> list[bytes]:
        """Frames, ready to be appended: the beginning and the rest of each in turn.

        Args:
            offset: Where the first one will begin.
            contents: Kind and bytes of each.
        """
        sealed = []
        encrypt, nonces = self._cipher.encrypt, os.urandom(_NONCE * len(contents))
        for at, (kind, data) in zip(range(0, len(nonces), _NONCE), contents, strict=True):
            inner, nonce = _NONCE + len(data) + _TAG, nonces[at : at + _NONCE]
            sealed.append(_HEAD.pack(kind, inner) + nonce)
            sealed.append(encrypt(nonce, data, _PLACE.pack(self.id, offset, kind, inner)))
            offset += _HEAD.size + inner
        return sealed

    def read(self, offset: int, stored: int) -> Frame:
        """The frame at a place.

        Args:
            offset: Where it begins.
            stored: Bytes of it.

        Raises:
            DamagedFrame: It is not there, or not what was written.
            OSError: The disk refuses.
        """
        return self._open(self.read_at(stored, offset), offset, stored)

    def frames(self, offset: int = HEADER_BYTES) -> Iterator[Frame]:
        """All frames from a place on, to the end of the file.

        Args:
            offset: Where the first one begins.

        Raises:
            DamagedFrame: What follows is no frame; at its `offset` the sound part ends.
            OSError: The disk refuses.
        """
        size = self.size
        while offset < size:
            head = self.read_at(_HEAD.size, offset)
            if len(head) < _HEAD.size:
                raise DamagedFrame(self.id, offset, "a frame ends too early")
            inner = _HEAD.unpack(head)[1]
            if not _NONCE + _TAG <= inner <= FRAME_BYTES:
                raise DamagedFrame(self.id, offset, f"a frame claims {inner:,} bytes")
            frame = self.read(offset, _HEAD.size + inner)
            yield frame
            offset += frame.stored

    def outline(self) -> Iterator[tuple[int, int, int]]:
        """Kind, place and length of each frame as it says itself, to the end of the file; nothing is checked.

        Raises:
            OSError: The disk refuses.
        """
        offset, size = HEADER_BYTES, self.size
        while offset + OVERHEAD <= size:
            kind, inner = _HEAD.unpack(self.read_at(_HEAD.size, offset))
            yield kind, offset, _HEAD.size + inner
            offset += max(_HEAD.size + inner, OVERHEAD)

    def claimed_end(self, offset: int) -> int:
        """Where a frame says that it ends; the end of the file where it says nothing that can be.

        Args:
            offset: Where it begins.
        """
        head = self.read_at(_HEAD.size, offset)
        end = offset + _HEAD.size + _HEAD.unpack(head)[1] if len(head) == _HEAD.size else self.size
        return min(max(end, offset + OVERHEAD), self.size)

    def _open(self, data: bytes, offset: int, stored: int) -> Frame:
        if len(data) < stored or stored < OVERHEAD:
            raise DamagedFrame(self.id, offset, f"{len(data):,} of {stored:,} bytes are there")
        kind, inner = _HEAD.unpack_from(data)
        if inner != stored - _HEAD.size:
            raise DamagedFrame(
                self.id, offset, f"a frame says that it has {inner + _HEAD.size:,} bytes, not {stored:,}"
            )
        nonce, place = data[_HEAD.size : _BODY], _PLACE.pack(self.id, offset, kind, inner)
        try:
            return Frame(kind, self._cipher.decrypt(nonce, memoryview(data)[_BODY:], place), offset, stored)
        except InvalidTag:
            raise DamagedFrame(self.id, offset, "a frame is not what was written") from None


class PackWriter:
    """The pack that this process appends to; safe with many threads.

    Args:
        pack: The pack, locked for this process.
        offset: Where its last frame ends.
    """

    def __init__(self, pack: Pack, offset: int) -> None:
        self.pack = pack
        self._lock = threading.Lock()
        self._end = offset
        self._broken = False
        self._released = False

    @property
    def end(self) -> int:
        """Where the next frame will begin."""
        return self._end

    @property
    def is_full(self) -> bool:
        """Whether another pack should take what comes next."""
        return self._broken or self._end >= PACK_BYTES

    def append(
        self,
        contents: Sequence[tuple[int, bytes | memoryview]],
        commit: Callable[[list[tuple[int, int]]], bytes] | None = None,
    ) -> list[tuple[int, int]]:
        """Write frames, all in one piece; gives the offset and the length of each.

        Args:
            contents: Kind and bytes of each.
            commit: Told where they will be, gives a commit that is written behind them, in the same piece; empty for none.

        Raises:
            Released: It takes no further ones.
            OSError: They cannot be written; it takes no further ones.
        """
        with self._lock:
            if self._released:
                raise Released
            offset = end = self._end
            places = []
            for _, data in contents:
                places.append((end, OVERHEAD + len(data)))
                end += OVERHEAD + len(data)
            if commit is not None and (data := commit(places)):
                contents = [*contents, (COMMIT, data)]
                places.append((end, OVERHEAD + len(data)))
                end += OVERHEAD + len(data)
            try:
                write_all(self.pack.fd, self.pack.seal(offset, contents), offset)
            except BaseException:
                self._broken = True
                os.ftruncate(self.pack.fd, offset)
                raise
            self._end = end
        return places

    def release(self) -> None:
        """Let another process go on with it."""
        with self._lock:
            if not self._released:
                self._released = True
                self.pack.close()

    def take_back(self, offset: int) -> None:
        """Take the last frame away again, unless another is behind it by now.

        Args:
            offset: Where it begins.

        Raises:
            DamagedFrame: It is not what was written.
            OSError: The disk refuses.
        """
        with self._lock:
            if [frame.offset for frame in self.pack.frames(offset)] == [offset]:
                os.ftruncate(self.pack.fd, offset)
                self._end = offset


SUFFIX: Final = ".pack"


def pack_name(id: bytes) -> str:
    """What the file of a pack is called.

    Args:
        id: Its id.
    """
    return id.hex() + SUFFIX


def write_all(fd: int, parts: Sequence[bytes], offset: int) -> None:
    """Write parts one behind the other.

    Args:
        fd: The file.
        parts: The parts.
        offset: Where the first one begins.

    Raises:
        OSError: The disk refuses.
    """
    for begin in range(0, len(parts), _PARTS_AT_ONCE):
        group = parts[begin : begin + _PARTS_AT_ONCE]
        size, done = sum(map(len, group)), os.pwritev(fd, group, offset)
        while done < size:  # a disk that is about to be full takes a part, and says so the next time
            done += os.pwrite(fd, b"".join(group)[done:], offset + done)
        offset += size

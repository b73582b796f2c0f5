"""Sealed bundles: a stream of authenticated segments under a passphrase; the module above has the format."""

import io
import os
from pathlib import Path
from typing import IO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from symphony_sdk.errors import ArtifactError

from symphony_host.artifact_bundles.failures import DamagedBytes, newer, unreadable

NAMED: Final = b"symphony sealed bundle "
MAGIC: Final = NAMED + b"1\n"
SALT_BYTES: Final = 16
CHECK_BYTES: Final = 32
HEADER_BYTES: Final = len(MAGIC) + SALT_BYTES + CHECK_BYTES
SEGMENT_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16

# The second choice of RFC 9106. They are of the format, not of the file: no file can ask for more.
_MEMORY_KIB: Final = 64 * 1024
_ITERATIONS: Final = 3
_LANES: Final = 4


def is_sealed(file: Path) -> bool:
    """Whether a file is a sealed bundle, of this version or another.

    Args:
        file: The file.

    Raises:
        ArtifactError: It cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return stream.read(len(NAMED)) == NAMED
    except OSError as error:
        raise unreadable(file, error) from error


class SealedWriter:
    """Seals what is written to it; `close` seals the last segment and leaves the file open.

    Args:
        target: Where the sealed bytes go.
        passphrase: The passphrase.
    """

    def __init__(self, target: IO[bytes], passphrase: bytes) -> None:
        salt = os.urandom(SALT_BYTES)
        key, check = derive(passphrase, salt)
        self._header = MAGIC + salt + check
        self._cipher = AESGCM(key)
        self._target = target
        self._number = 0
        self._waiting = bytearray()
        target.write(self._header)

    def write(self, data: bytes | memoryview) -> int:
        """Seal bytes.

        Args:
            data: The bytes.
        """
        self._waiting += data
        while len(self._waiting) > SEGMENT_BYTES:  # the last segment is known only when nothing follows it
            self._seal(bytes(self._waiting[:SEGMENT_BYTES]), last=False)
            del self._waiting[:SEGMENT_BYTES]
        return len(data)

    def flush(self) -> None:
        """Does nothing: a segment is sealed when it is full."""

    def close(self) -> None:
        """Seal what is left."""
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, segment: bytes, *, last: bool) -> None:
        self._target.write(self._cipher.encrypt(_nonce(self._number, last=last), segment, self._header))
        self._number += 1


class SealedReader(io.RawIOBase):
    """Reads a sealed bundle anywhere, and gives no byte that was not authenticated.

    Args:
        stream: The file.
        file: Its path, for messages.
        passphrase: The passphrase.

    Raises:
        ArtifactError: The passphrase is another one, or the file is of a newer version.
        DamagedBytes: It is too short.
    """

    def __init__(self, stream: IO[bytes], file: Path, passphrase: bytes) -> None:
        super().__init__()
        self._stream = stream
        self._header = stream.read(HEADER_BYTES)
        if not self._header.startswith(MAGIC):
            raise newer(file)
        body = stream.seek(0, os.SEEK_END) - HEADER_BYTES
        self._segments = -(-body // (SEGMENT_BYTES + TAG_BYTES))
        self._size = body - self._segments * TAG_BYTES
        if self._segments < 1 or self._size < 0:
            raise DamagedBytes("it ends before its first segment does")
        salt = self._header[len(MAGIC) : -CHECK_BYTES]
        key, check = derive(passphrase, salt)
        if not bytes_eq(check, self._header[-CHECK_BYTES:]):
            raise ArtifactError(
                f"the passphrase of {file} is another one, or the beginning of the file is damaged",
                code="SYM-A064",
                hint="Give the passphrase that it was exported with in SYMPHONY_BUNDLE_PASSPHRASE.",
                file=str(file),
            )
        self._cipher = AESGCM(key)
        self._at = 0
        self._opened = (-1, b"")

    def tell(self) -> int:
        """Where it is read next."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read on at another place.

        Args:
            offset: Where.
            whence: From where that counts.

        Raises:
            ValueError: That is before the first byte.
        """
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"there is no byte {start + offset}")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fill a buffer as far as one segment does.

        Args:
            buffer: Where the bytes go.

        Raises:
            DamagedBytes: They are not what was sealed.
        """
        if self._at >= self._size:
            return 0
        number, begin = divmod(self._at, SEGMENT_BYTES)
        part = self._segment(number)[begin : begin + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _segment(self, number: int) -> bytes:
        if self._opened[0] != number:
            length = SEGMENT_BYTES + TAG_BYTES
            self._stream.seek(HEADER_BYTES + number * length)
            sealed = self._stream.read(length)
            nonce = _nonce(number, last=number == self._segments - 1)
            try:
                self._opened = (number, self._cipher.decrypt(nonce, sealed, self._header))
            except InvalidTag:
                raise DamagedBytes(
                    f"segment {number + 1} of {self._segments} is not what was sealed"
                ) from None
        return self._opened[1]


def derive(passphrase: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """The key of a sealed bundle, and the bytes that tell the right passphrase.

    Args:
        passphrase: The passphrase.
        salt: 16 bytes that only this bundle has.
    """
    stretched = Argon2id(
        salt=salt,
        length=32 + CHECK_BYTES,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY_KIB,
    ).derive(passphrase)
    return stretched[:32], stretched[32:]


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])

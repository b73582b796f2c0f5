"""Opens bundles, and refuses what no bundle is: whoever made one may have meant harm."""

import os
import re
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, TypeVar

import msgspec

from symphony_host.artifact_bundles import members
from symphony_host.artifact_bundles.failures import (
    UNREADABLE,
    DamagedBytes,
    damaged_blob,
    newer,
    no_bundle,
    no_passphrase,
    refused,
    unreadable,
)
from symphony_host.artifact_bundles.members import (
    ArtifactLine,
    DescriptionLine,
    FormatVersion,
    Manifest,
    RelationLine,
)
from symphony_host.artifact_bundles.sealing import NAMED, SealedReader

Line = TypeVar("Line", ArtifactLine, DescriptionLine, RelationLine)

_NAME: Final = re.compile(rf"{members.BLOBS}[0-9a-f]{{64}}")
_ENCRYPTED: Final = 1


class Bundle:
    """A bundle that is open; its parts are read when they are asked for, in constant memory.

    Args:
        file: The bundle.
        passphrase: Of a sealed one.

    Raises:
        ArtifactError: It cannot be read, is no bundle, is of a newer version, or its passphrase is another one.
    """

    def __init__(self, file: Path, passphrase: bytes | None) -> None:
        self.file = file
        try:
            self._stream = file.open("rb")
        except OSError as error:
            raise unreadable(file, error) from error
        try:
            self._archive = zipfile.ZipFile(self._opened(passphrase))
            self._sizes = self._checked_members()
            self.manifest = self._read_manifest()
            for name in members.TABLES:
                self._check_table(name)
        except UNREADABLE as error:
            self._stream.close()
            raise no_bundle(file, str(error) or type(error).__name__) from error
        except OSError as error:
            self._stream.close()
            raise unreadable(file, error) from error
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> Self:
        """It is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._archive.close()
        self._stream.close()

    def artifacts(self) -> Iterator[ArtifactLine]:
        """The artifacts.

        Raises:
            ArtifactError: A line is none.
        """
        return self._lines(members.ARTIFACTS, ArtifactLine)

    def descriptions(self) -> Iterator[DescriptionLine]:
        """Their descriptions, in the order in which a store has to be told them.

        Raises:
            ArtifactError: A line is none.
        """
        return self._lines(members.DESCRIPTIONS, DescriptionLine)

    def relations(self) -> Iterator[RelationLine]:
        """What they are to others.

        Raises:
            ArtifactError: A line is none.
        """
        return self._lines(members.RELATIONS, RelationLine)

    def blobs(self) -> dict[str, int]:
        """The sizes of all blobs by their SHA-256."""
        return {
            name.removeprefix(members.BLOBS): size
            for name, size in self._sizes.items()
            if name.startswith(members.BLOBS)
        }

    def blob(self, artifact: ArtifactLine) -> Iterator[bytes]:
        """The bytes of an artifact; where they are not what was written, that is raised in place of their end.

        Args:
            artifact: The artifact.

        Raises:
            ArtifactError: They are damaged or missing, or the file cannot be read.
        """
        hashed = sha256()
        try:
            with self._archive.open(members.BLOBS + artifact.sha256) as member:
                while part := member.read(members.PART):
                    hashed.update(part)
                    yield part
        except KeyError:
            raise damaged_blob(self.file, artifact.id, "its bytes are not there") from None
        except UNREADABLE as error:
            reason = str(error) or type(error).__name__
            raise damaged_blob(self.file, artifact.id, reason) from error
        except OSError as error:
            raise unreadable(self.file, error) from error
        if hashed.hexdigest() != artifact.sha256:
            raise damaged_blob(self.file, artifact.id, f"the SHA-256 of its bytes is {hashed.hexdigest()}")

    def refused(self, reason: str) -> Exception:
        """The error of a bundle that is made as none is.

        Args:
            reason: How it is made.
        """
        return refused(self.file, reason)

    def _opened(self, passphrase: bytes | None) -> "_Bounded":
        sealed = self._stream.read(len(NAMED)) == NAMED
        self._stream.seek(0)
        if not sealed:
            return _Bounded(self._stream)
        if not passphrase:
            raise no_passphrase(self.file)
        return _Bounded(SealedReader(self._stream, self.file, passphrase))

    def _checked_members(self) -> dict[str, int]:
        """The sizes of the members by name, of which none can be of harm."""
        known = {members.MANIFEST, *members.TABLES}
        sizes: dict[str, int] = {}
        for info in self._archive.infolist():
            # What stands before a zero byte is all that zipfile gives of a name, but for this attribute.
            name = info.orig_filename
            if name not in known and not _NAME.fullmatch(name):
                raise self.refused(f"it has a member {name[:100]!r}, which no bundle has")
            if name in sizes:
                raise self.refused(f"it has the member {name} twice")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
                raise self.refused(
                    f"its member {name} is compressed or encrypted; in a bundle each is stored as it is"
                )
            if info.file_size != info.compress_size:
                raise self.refused(f"its member {name} says that it has two sizes")
            sizes[name] = info.file_size
        if missing := known - sizes.keys():
            raise self.refused(f"it has no {', no '.join(sorted(missing))}")
        if sum(sizes.values()) > (whole := _size_of(self._archive.fp)):
            raise self.refused(
                f"its members say that they have {sum(sizes.values()):,} bytes; it has {whole:,}"
            )
        return sizes

    def _read_manifest(self) -> Manifest:
        if (size := self._sizes[members.MANIFEST]) > members.MOST_MANIFEST:
            raise self.refused(
                f"its manifest has {size:,} bytes; at most {members.MOST_MANIFEST:,} were expected"
            )
        data = self._archive.read(members.MANIFEST)
        try:
            told = msgspec.json.decode(data, type=FormatVersion)
            if told.format == members.FORMAT and told.version > members.VERSION:
                raise newer(self.file)
            return msgspec.json.decode(data, type=Manifest)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise no_bundle(self.file, f"its manifest cannot be read: {error}") from error

    def _check_table(self, name: str) -> None:
        """Read a table once, so that nothing of it is believed before all of it is known to be whole."""
        hashed = sha256()
        with self._archive.open(name) as member:
            while part := member.read(members.PART):
                hashed.update(part)
        if self.manifest.sha256.get(name) != hashed.hexdigest():
            raise DamagedBytes(f"its member {name} is not what the manifest says")

    def _lines(self, name: str, kind: type[Line]) -> Iterator[Line]:
        decode = msgspec.json.Decoder(kind).decode
        try:
            with self._archive.open(name) as member:
                number = 0
                while line := member.readline(members.MOST_LINE + 1):
                    number += 1
                    if len(line) > members.MOST_LINE:
                        raise self.refused(
                            f"line {number} of its {name} is longer than {members.MOST_LINE:,} bytes"
                        )
                    try:
                        yield decode(line)
                    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                        raise self.refused(
                            f"line {number} of its {name} is not as expected: {error}"
                        ) from error
        except UNREADABLE as error:
            raise no_bundle(self.file, str(error) or type(error).__name__) from error
        except OSError as error:
            raise unreadable(self.file, error) from error


class _Bounded:
    """A file that is never asked for more at once than a bundle can need; zipfile reads its directory so.

    Args:
        stream: The file.
    """

    def __init__(self, stream: "IO[bytes] | SealedReader") -> None:
        self._stream: Any = stream
        self.tell = stream.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read on at another place.

        Args:
            offset: Where.
            whence: From where that counts.

        Raises:
            DamagedBytes: That is before the first byte.
        """
        if whence == os.SEEK_SET and offset < 0:
            raise DamagedBytes(f"it says that something of it is at byte {offset}")
        at: int = self._stream.seek(offset, whence)
        return at

    def seekable(self) -> bool:
        """It is."""
        return True

    def read(self, count: int = -1) -> bytes:
        """Bytes; fewer only at the end.

        Args:
            count: How many; below 0 for all that follow.

        Raises:
            DamagedBytes: They are too many.
        """
        if count < 0:
            at = self.tell()
            count = self.seek(0, os.SEEK_END) - at
            self.seek(at)
        if count > members.MOST_DIRECTORY:
            raise DamagedBytes(
                f"its directory has {count:,} bytes; at most {members.MOST_DIRECTORY:,} were expected"
            )
        parts: list[bytes] = []
        while count > 0 and (part := self._stream.read(count)):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def _size_of(stream: Any) -> int:
    size: int = stream.seek(0, os.SEEK_END)
    return size

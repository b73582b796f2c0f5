"""The index of words as it is kept on disk: each of its files sealed, and a sealed manifest that says which belong to it.

The files of a segment never change, so only new ones are written. Nothing is synced: what a crash of the machine tears
is found when it is unsealed, and made anew from the store.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MANIFEST: Final = "manifest"
_PART: Final = 4 << 20
_NONCE: Final = 12
_TAG: Final = 16


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far the store is indexed.

    Args:
        generation: Of the index of the store that it follows.
        through: Everything up to this moment is indexed, once all objects were.
        number: While the index is made anew, the number of the last object that is in it; -1 afterwards.
    """

    generation: bytes
    through: int
    number: int = -1


class Manifest(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed.

    Args:
        version: Of the fields of a document.
        progress: How far the store is indexed in it.
        meta: The file `meta.json` of tantivy.
        sizes: The other files, and how long each is.
    """

    version: int
    progress: Progress
    meta: bytes
    sizes: dict[str, int]


class DamagedSeal(Exception):
    """What is sealed is not what was sealed."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Manifest).decode


class Sealed:
    """The sealed index of words of one store.

    Args:
        directory: Where it is; made when it is first needed.
        key: Seals it, 32 bytes.
        version: That of the fields of a document.
    """

    def __init__(self, directory: Path, key: bytes, version: int) -> None:
        self._directory = directory
        self._cipher = AESGCM(key)
        self._version = version

    @contextmanager
    def turn(self, *, shared: bool = False) -> Iterator[None]:
        """Be the only process that changes the index of words.

        Args:
            shared: Only see that nobody does.
        """
        self._directory.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # also for a process that was forked meanwhile
            os.close(fd)

    def manifest(self) -> Manifest | None:
        """What is sealed; None where nothing is, or another version sealed it.

        Raises:
            DamagedSeal: It is not what was sealed.
        """
        try:
            data = b"".join(self._opened(MANIFEST))
        except FileNotFoundError:
            return None
        try:
            version = msgspec.msgpack.decode(data)[0]
            return _decode(data) if version == self._version else None
        except (msgspec.MsgspecError, LookupError, TypeError) as error:
            raise DamagedSeal(f"{MANIFEST} says nothing: {error}") from error

    def seal(self, live: Path, progress: Progress) -> None:
        """Keep an index of words, whose files nobody changes meanwhile.

        Args:
            live: Its directory.
            progress: How far the store is indexed in it.

        Raises:
            OSError: The disk refuses.
        """
        self._directory.mkdir(mode=0o700, exist_ok=True)
        try:
            before = self.manifest()
        except DamagedSeal:
            before = None
        kept = before.sizes if before else {}
        meta = (live / "meta.json").read_bytes()
        sizes = {path.name: path.stat().st_size for path in files_of(live, meta)}
        for name, size in sizes.items():
            if kept.get(name) != size or not self._path(name).exists():
                with (live / name).open("rb") as file:
                    self._write(self._path(name), name, file)
        new = self._path(MANIFEST + ".new")
        self._write(new, MANIFEST, BytesIO(_encode(Manifest(self._version, progress, meta, sizes))))
        new.replace(self._path(MANIFEST))
        wanted = {MANIFEST, *sizes}
        for path in self._directory.iterdir():
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def unseal(self, live: Path) -> Progress | None:
        """Write the files of the index of words into a directory; gives how far the store is indexed in it.

        Args:
            live: The directory, empty.

        Raises:
            DamagedSeal: One of them is not what was sealed.
            OSError: The disk refuses.
        """
        manifest = self.manifest()
        if manifest is None:
            return None
        for name, size in manifest.sizes.items():
            with (live / name).open("wb") as file:
                for part in self._sound(name, size):
                    file.write(part)
        (live / ".managed.json").write_text(json.dumps([*manifest.sizes, "meta.json"]))
        (live / "meta.json").write_bytes(manifest.meta)
        return manifest.progress

    def faults(self) -> list[tuple[str, str]]:
        """Each file that is not what was sealed, and what is wrong with it."""
        try:
            manifest = self.manifest()
        except DamagedSeal as error:
            return [(MANIFEST, str(error))]
        found = []
        for name, size in manifest.sizes.items() if manifest else ():
            try:
                for _ in self._sound(name, size):
                    pass
            except DamagedSeal as error:
                found.append((name, str(error)))
        return found

    def _path(self, name: str) -> Path:
        return self._directory / name

    def _sound(self, name: str, size: int) -> Iterator[bytes]:
        found = 0
        try:
            for part in self._opened(name):
                found += len(part)
                yield part
        except FileNotFoundError as error:
            raise DamagedSeal(f"{name} is gone") from error
        if found != size:
            raise DamagedSeal(f"{name} has {found:,} of {size:,} bytes")

    def _opened(self, name: str) -> Iterator[bytes]:
        """The bytes of a sealed file, part by part."""
        with self._path(name).open("rb") as file:
            number = 0
            while sealed := file.read(_NONCE + _PART + _TAG):
                try:
                    yield self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _place(name, number))
                except (InvalidTag, ValueError) as error:
                    raise DamagedSeal(f"{name} is not what was written") from error
                number += 1

    def _write(self, path: Path, name: str, source: BinaryIO) -> None:
        with path.open("wb") as sealed:
            number = 0
            while part := source.read(_PART):
                nonce = os.urandom(_NONCE)
                sealed.write(nonce + self._cipher.encrypt(nonce, part, _place(name, number)))
                number += 1


def files_of(live: Path, meta: bytes) -> list[Path]:
    """The files of the segments that an index of words consists of.

    Args:
        live: Its directory.
        meta: Its `meta.json`.
    """
    segments = {
        segment["segment_id"].replace("-", ""): segment["deletes"] for segment in json.loads(meta)["segments"]
    }
    found = []
    for path in live.iterdir():
        stem, _, rest = path.name.partition(".")
        if stem in segments:
            deletes = segments[stem]
            if not rest.endswith("del") or (deletes and rest == f"{deletes['opstamp']}.del"):
                found.append(path)
    return found


def _place(name: str, number: int) -> bytes:
    return f"{name} {number}".encode()

"""Packs wherever they are: those in the tier alone are read as those on this machine, frame by frame, each authenticated
with its place.
"""

from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from symphony_sdk.errors import ArtifactError

from pit_artifact_store.pack_files import PackFiles
from pit_artifact_store.packs import HEADER_BYTES, DamagedFrame, Frame, Pack, pack_name
from pit_artifact_store.tiering.remote import OutOfReach, Remote
from pit_artifact_store.tiering.stubs import Stub, Stubs

_NO_FILE: Final = -1


class AwayPack(Pack):
    """A pack that is in the tier alone.

    Args:
        id: Its id.
        cipher: Opens with its key.
        epoch: Epoch of the key that wraps it.
        size: Bytes of it.
        remote: Where it is.
    """

    def __init__(self, id: bytes, cipher: AESGCM, epoch: int, size: int, remote: Remote) -> None:
        super().__init__(_NO_FILE, id, cipher, epoch)
        self._size = size
        self._remote = remote

    @property
    def size(self) -> int:
        """Bytes of it."""
        return self._size

    def read(self, offset: int, stored: int) -> Frame:
        """The frame at a place.

        Args:
            offset: Where it begins.
            stored: Bytes of it.

        Raises:
            DamagedFrame: It is not there, or not what was written.
            OutOfReach: The tier cannot be used.
        """
        try:
            return super().read(offset, stored)
        except (
            DamagedFrame
        ):  # on its way, perhaps: what was fetched before must not be blamed on the tier for ever
            self._remote.drop(self.id)
            return super().read(offset, stored)

    def read_at(self, length: int, offset: int) -> bytes:
        """Some bytes of it.

        Args:
            length: How many; fewer come at its end.
            offset: The first.

        Raises:
            DamagedFrame: The tier does not have it.
            OutOfReach: The tier cannot be used.
        """
        try:
            return self._remote.read(self.id, self._size, offset, length)
        except FileNotFoundError as error:
            raise DamagedFrame(self.id, offset, error.strerror or "") from error


class Packs:
    """The packs of a store, wherever they are; safe with many threads.

    Args:
        files: Those on this machine.
        stubs: What is in the tier.
        remote: The tier.
    """

    def __init__(self, files: PackFiles, stubs: Stubs, remote: Remote) -> None:
        self.files = files
        self.stubs = stubs
        self.remote = remote
        self._away: dict[bytes, AwayPack] = {}

    def open(self, id: bytes) -> Pack:
        """A pack, to read from.

        Args:
            id: Its id.

        Raises:
            FileNotFoundError: It is nowhere.
            DamagedFrame: Its header is not what was written, or its key does not fit those of the store.
            OutOfReach: It is in the tier, and that cannot be used.
        """
        try:
            return self.files.open(id)
        except FileNotFoundError:
            stub = self.stubs.get(id)
            if stub is None or not stub.verified:
                raise
            return self._open_away(id, stub)

    def forget(self, id: bytes) -> None:
        """Open a pack anew the next time.

        Args:
            id: Its id.
        """
        self.files.forget(id)
        self._away.pop(id, None)
        self.remote.drop(id)

    def _open_away(self, id: bytes, stub: Stub) -> AwayPack:
        known = self._away.get(id)
        if known is None or known.size != stub.size:
            header = AwayPack(id, AESGCM(bytes(32)), 0, stub.size, self.remote).read_at(HEADER_BYTES, 0)
            cipher, epoch = self.files.opened(id, header)
            known = self._away[id] = AwayPack(id, cipher, epoch, stub.size, self.remote)
        return known


class PacksHere:
    """Those packs of a store that are on this machine: the tier is never asked.

    Args:
        packs: The packs, wherever they are.
    """

    def __init__(self, packs: Packs) -> None:
        self._packs = packs

    def open(self, id: bytes) -> Pack:
        """A pack, to read from.

        Args:
            id: Its id.

        Raises:
            FileNotFoundError: It is nowhere.
            DamagedFrame: Its header is not what was written, or its key does not fit those of the store.
            OutOfReach: It is in the tier alone.
        """
        try:
            return self._packs.files.open(id)
        except FileNotFoundError:
            if self._packs.stubs.get(id) is None:
                raise
            away = ArtifactError(f"{pack_name(id)} is in the tier alone", code="SYM-A050")
            raise OutOfReach(away) from None

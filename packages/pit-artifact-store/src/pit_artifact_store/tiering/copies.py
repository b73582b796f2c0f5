"""Copies of packs: how they are compared, fetched and found to be damaged, and the report of what was done."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from symphony_sdk.errors import ArtifactError, ErrorPayload
from symphony_sdk.ports import ArtifactTier, OnArtifactProgress, TierReport

from pit_artifact_store.ids import ContentIds
from pit_artifact_store.packs import CHUNK, PACKED_CHUNK, DamagedFrame, Pack, pack_name
from pit_artifact_store.tiering.remote import file_of

PART_BYTES: Final = 32 << 20
"""Bytes that are read from the tier together."""


class Work:
    """One round of moving packs.

    Args:
        tier: The tier.
        listed: What is in it.
        on_progress: Told how many bytes were seen to, and of how many.
        total: Of how many.
    """

    def __init__(
        self,
        tier: ArtifactTier,
        listed: dict[bytes, set[int]],
        on_progress: OnArtifactProgress | None,
        total: int,
    ) -> None:
        self.tier = tier
        self.listed = listed
        self._on_progress = on_progress
        self._total = total
        self._done = 0
        self._seen = 0
        self._packs = 0
        self._bytes = 0
        self._faults: dict[bytes, ErrorPayload] = {}
        self._of = b""

    @contextmanager
    def counted(self, id: bytes, size: int) -> Iterator[None]:
        """See to one pack.

        Args:
            id: Its id.
            size: Bytes of it.
        """
        self._of = id
        yield
        self._seen += 1
        self._done += size
        if self._on_progress is not None:
            self._on_progress(self._done, self._total)

    def moved(self, size: int | None) -> None:
        """This pack was moved.

        Args:
            size: Bytes of it; none where there was nothing to do for it, or nothing could be done.
        """
        if size:
            self._packs += 1
            self._bytes += size

    def fault(self, error: ArtifactError) -> None:
        """Something is wrong with this pack; the first thing is told.

        Args:
            error: What.
        """
        self._faults.setdefault(self._of, error.payload())

    def report(self) -> TierReport:
        """What was done."""
        kept = self._seen - self._packs
        return TierReport(self._packs, self._bytes, kept, tuple(self._faults.values()))


def is_there(tier: ArtifactTier, name: str, data: bytes) -> bool:
    """Whether a file in the tier has these bytes, and no others.

    Args:
        tier: The tier.
        name: Name of the file.
        data: Its bytes.

    Raises:
        ArtifactError: The tier cannot be used.
    """
    if tier.size(name) != len(data):
        return False
    for offset in range(0, len(data), PART_BYTES):
        part = memoryview(data)[offset : offset + PART_BYTES]
        try:
            if tier.get(name, offset, len(part)) != part:
                return False
        except FileNotFoundError:
            return False
    return True


def fetch(tier: ArtifactTier, name: str, path: Path, ids: ContentIds) -> str:
    """Write a file of the tier to this machine, durable when this returns; gives its keyed hash, in hex digits.

    Args:
        tier: The tier.
        name: Name of the file.
        path: Where to; what is there is written over.
        ids: Hashes it.

    Raises:
        ArtifactError: The tier cannot be used.
        OSError: The disk refuses.
    """
    hash = ids.stream()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        try:
            while part := tier.get(name, file.tell(), PART_BYTES):
                hash.update(part)
                file.write(part)
        except FileNotFoundError:  # then the hash is another
            hash.update(b"")
        file.flush()
        os.fsync(fd)
    return hash.hexdigest()


def check_frames(pack: Pack, end: int, work: Work) -> bool:
    """Whether the frames of a pack are what was written; it is told where one is not.

    Args:
        pack: The pack, on this machine.
        end: Where those end that matter.
        work: Is told.

    Raises:
        OSError: The disk refuses.
    """
    try:
        for frame in pack.frames():
            if frame.offset + frame.stored >= end:
                break
    except DamagedFrame as damage:
        if damage.offset < end:
            work.fault(
                ArtifactError(
                    f"a pack on this machine is damaged: {damage}",
                    code="SYM-A005",
                    hint="`symphony artifacts fsck` names the artifacts that it touches, and how they are mended.",
                    details={"pack": pack_name(pack.id)},
                )
            )
            return False
    return True


def chunk_bytes(pack: Pack, end: int) -> int:
    """Bytes of the frames of a pack that are chunks.

    Args:
        pack: The pack.
        end: Where those end that matter.
    """
    return sum(
        stored for kind, offset, stored in pack.outline() if kind in (CHUNK, PACKED_CHUNK) and offset < end
    )


def not_what_was_put(tier: ArtifactTier, id: bytes, size: int) -> ArtifactError:
    """A pack in the tier is not what was put there.

    Args:
        tier: The tier.
        id: Id of the pack.
        size: Bytes that it should have.
    """
    name = file_of(id, size)
    return ArtifactError(
        f"{pack_name(id)} in the tier is not what was put there: {tier.url}/{name} is gone or has other bytes",
        code="SYM-A053",
        hint="Where the pack is on this machine, too, delete that file in the tier and back up again; otherwise bring "
        "it back from a version or a backup of the bucket. If the `tier` was changed, set it back and recall first.",
        details={"url": tier.url, "name": name, "pack": pack_name(id)},
    )

"""What a store knows of the place of its tier: the names there, and how it is opened and read."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactTier

from pit_artifact_store.packs import pack_name

BLOCK_BYTES: Final = 1 << 20
"""Bytes that are fetched together: a request costs as long as some hundred KiB do."""

CACHED_BLOCKS: Final = 32

READ_AHEAD: Final = 8
"""At most so many blocks are fetched by one request."""

PACKS: Final = "packs/"
KEYS: Final = "keys/"


class OutOfReach(OSError):
    """What is needed is in the tier, and that cannot be used now.

    Args:
        error: Why.
    """

    def __init__(self, error: ArtifactError) -> None:
        super().__init__(error.message)
        self.error = error


class Remote:
    """The tier of a store, opened when it is first needed; safe with many threads.

    Args:
        open_tier: Opens it; None where the store has none.
    """

    def __init__(self, open_tier: Callable[[], ArtifactTier] | None) -> None:
        self._open_tier = open_tier
        self._tier: ArtifactTier | None = None
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._reading_on: dict[str, tuple[int, int]] = {}
        self._lock = Lock()

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return self._open_tier is not None

    @property
    def tier(self) -> ArtifactTier:
        """The tier.

        Raises:
            ArtifactError: There is none, or it cannot be opened.
        """
        if self._tier is None:
            if self._open_tier is None:
                raise ArtifactError(
                    "this artifact store has no tier",
                    code="SYM-A051",
                    hint='Set `tier = "URL"` of symphony.artifact-store, such as `s3://bucket/folder`. Packs that were '
                    "offloaded are at the URL that was set then.",
                )
            self._tier = self._open_tier()
        return self._tier

    def read(self, id: bytes, size: int, offset: int, length: int) -> bytes:
        """Some bytes of a pack, by way of a cache of whole blocks.

        Args:
            id: Its id.
            size: Bytes of it there.
            offset: First byte.
            length: How many bytes; fewer come at its end.

        Raises:
            FileNotFoundError: The tier does not have it.
            OutOfReach: The tier cannot be used.
        """
        end = min(offset + length, size)
        first = offset // BLOCK_BYTES
        parts = [self._block(id, size, number) for number in range(first, -(-end // BLOCK_BYTES))]
        begin = offset - first * BLOCK_BYTES
        return b"".join(parts)[begin : begin + max(end - offset, 0)]

    def drop(self, id: bytes) -> None:
        """Fetch what is needed of a pack anew.

        Args:
            id: Its id.
        """
        with self._lock:
            for key in [key for key in self._blocks if key[0].startswith(folder_of(id))]:
                del self._blocks[key]
                self._reading_on.pop(key[0], None)

    def _block(self, id: bytes, size: int, number: int) -> bytes:
        name = file_of(id, size)
        with self._lock:
            if (block := self._blocks.get((name, number))) is not None:
                self._blocks.move_to_end((name, number))
                return block
            # Who reads on gets twice as much each time, as most of what a request costs is the waiting for it.
            expected, count = self._reading_on.get(name, (-1, 1))
            count = min(2 * count, READ_AHEAD) if number == expected else 1
            self._reading_on[name] = (number + count, count)
        try:
            begin = number * BLOCK_BYTES
            data = self.tier.get(name, begin, min(count * BLOCK_BYTES, size - begin))
        except FileNotFoundError:
            raise FileNotFoundError(2, f"it is not in the tier {self.tier.url}", pack_name(id)) from None
        except ArtifactError as error:
            raise OutOfReach(error) from error
        blocks = [data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)] or [b""]
        with self._lock:
            self._blocks.update(((name, number + index), block) for index, block in enumerate(blocks))
            while len(self._blocks) > CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        return blocks[0]


def folder_of(id: bytes) -> str:
    """Where all copies of a pack are.

    Args:
        id: Its id.
    """
    return f"{PACKS}{id.hex()}/"


def file_of(id: bytes, size: int) -> str:
    """Where a pack is, as it was with so many bytes.

    Args:
        id: Its id.
        size: How many bytes.
    """
    return f"{folder_of(id)}{size}"


def listed_packs(tier: ArtifactTier) -> dict[bytes, set[int]]:
    """The packs that are in a tier, each with the sizes that it is there with, whole.

    Args:
        tier: The tier.

    Raises:
        ArtifactError: It cannot be reached, or refuses.
    """
    found: dict[bytes, set[int]] = {}
    for file in tier.list(PACKS):
        match file.name.removeprefix(PACKS).split("/"):
            case [name, size] if (
                len(name) == 32 and not name.strip("0123456789abcdef") and size == str(file.size)
            ):
                found.setdefault(bytes.fromhex(name), set()).add(file.size)
    return found

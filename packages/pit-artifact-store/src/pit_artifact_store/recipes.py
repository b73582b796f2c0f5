"""Where the bytes of an artifact are: its chunks in order, each with its pack and place."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from struct import Struct
from typing import Final, NamedTuple

from pit_artifact_store.packs import PACK_ID_BYTES

_HEAD: Final = Struct("<BHI")  # version of this form, number of packs, number of chunks
_CHUNK: Final = Struct("<32sHIII")
_VERSION: Final = 1


class Chunk(NamedTuple):
    """One chunk of an artifact.

    Args:
        id: Id of its bytes.
        pack: Id of the pack that it is in.
        offset: Where its frame begins there.
        stored: Bytes of its frame.
        size: Bytes of it.
    """

    id: bytes
    pack: bytes
    offset: int
    stored: int
    size: int


class Recipe:
    """The chunks of an artifact.

    Args:
        data: The encoded recipe.

    Raises:
        ValueError: It is none.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEAD.size:
            raise ValueError(f"a recipe of {len(data)} bytes")
        version, packs, chunks = _HEAD.unpack_from(data)
        begin = _HEAD.size + packs * PACK_ID_BYTES
        if version != _VERSION or len(data) != begin + chunks * _CHUNK.size:
            raise ValueError(f"a recipe of version {version} with {chunks} chunks in {len(data)} bytes")
        self.packs = [data[i : i + PACK_ID_BYTES] for i in range(_HEAD.size, begin, PACK_ID_BYTES)]
        self._data = memoryview(data)[begin:]
        self._count: int = chunks

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Chunk]:
        packs = self.packs
        for id, pack, offset, stored, size in _CHUNK.iter_unpack(self._data):
            yield Chunk(id, packs[pack], offset, stored, size)

    def __getitem__(self, number: int) -> Chunk:
        id, pack, offset, stored, size = _CHUNK.unpack_from(self._data, number * _CHUNK.size)
        return Chunk(id, self.packs[pack], offset, stored, size)

    @cached_property
    def ends(self) -> list[int]:
        """Where each chunk ends in the artifact."""
        return list(accumulate(chunk.size for chunk in self))

    def between(self, begin: int, end: int) -> Iterator[tuple[Chunk, int]]:
        """The chunks that have bytes of a range, each with its own first byte.

        Args:
            begin: First byte.
            end: The byte after the last one.
        """
        for number in range(bisect_right(self.ends, begin), self._count):
            chunk = self[number]
            first = self.ends[number] - chunk.size
            if first >= end:
                return
            yield chunk, first


def encode_recipe(chunks: Sequence[Chunk]) -> bytes:
    """A recipe, encoded.

    Args:
        chunks: The chunks in order.
    """
    packs = {pack: number for number, pack in enumerate(dict.fromkeys(chunk.pack for chunk in chunks))}
    parts = [_HEAD.pack(_VERSION, len(packs), len(chunks)), *packs]
    parts += [_CHUNK.pack(id, packs[pack], offset, stored, size) for id, pack, offset, stored, size in chunks]
    return b"".join(parts)

"""Where the bytes of an artifact are: its chunks in order, each with its pack and place."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from struct import Struct, unpack_from
from struct import pack as pack_values
from typing import Final, NamedTuple

from pit_artifact_store.ids import CHUNK_ID_BYTES
from pit_artifact_store.packs import OVERHEAD, PACK_ID_BYTES

_HEAD: Final = Struct("<BHI")  # version of this form, number of packs, number of chunks
_REST: Final = Struct("<I?")  # number of runs, whether each chunk is as it was cut
_RUN: Final = Struct("<IHI")  # number of its first chunk, its pack, its place: the others follow it
_VERSION: Final = 2

_FIRST_VERSION: Final = 1
_CHUNK_OF_FIRST: Final = Struct("<32sHIII")


class Chunk(NamedTuple):
    """One chunk of an artifact.

    Args:
        id: Id of its bytes, `CHUNK_ID_BYTES` long.
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
        self._count: int = chunks
        begin = _HEAD.size + packs * PACK_ID_BYTES
        self.packs = [data[i : i + PACK_ID_BYTES] for i in range(_HEAD.size, begin, PACK_ID_BYTES)]
        self._first = version == _FIRST_VERSION
        self._data = memoryview(data)[begin:]
        self._chunks: list[Chunk] | None = None
        if version not in (_FIRST_VERSION, _VERSION) or len(data) < begin or not self._is_whole():
            raise ValueError(f"a recipe of version {version} with {self._count} chunks in {len(data)} bytes")

    def _is_whole(self) -> bool:
        data, count = self._data, self._count
        if self._first:
            return len(data) == count * _CHUNK_OF_FIRST.size
        if len(data) < _REST.size:
            return False
        runs, is_plain = _REST.unpack_from(data)
        columns = count * (CHUNK_ID_BYTES + (4 if is_plain else 8))
        if len(data) != _REST.size + runs * _RUN.size + columns or bool(runs) != bool(count):
            return False
        last = -1
        for first, pack, _ in self._runs(runs):
            if not last < first < count or pack >= len(self.packs) or (last < 0 and first):
                return False
            last = first
        return True

    def _runs(self, count: int) -> Iterator[tuple[int, int, int]]:
        return _RUN.iter_unpack(self._data[_REST.size : _REST.size + count * _RUN.size])

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Chunk]:
        if self._chunks is None:
            self._chunks = self._read()
        return iter(self._chunks)

    def __getitem__(self, number: int) -> Chunk:
        if self._chunks is None:
            self._chunks = self._read()
        return self._chunks[number]

    def _read(self) -> list[Chunk]:
        data, count, packs = self._data, self._count, self.packs
        if self._first:
            return [
                Chunk(id[:CHUNK_ID_BYTES], packs[pack], *place)
                for id, pack, *place in _CHUNK_OF_FIRST.iter_unpack(data)
            ]
        runs, is_plain = _REST.unpack_from(data)
        begin = _REST.size + runs * _RUN.size
        end = begin + count * CHUNK_ID_BYTES
        ids = bytes(data[begin:end])
        sizes = unpack_from(f"<{count}I", data, end)
        stored = [OVERHEAD + size for size in sizes]
        if not is_plain:
            stored = [*unpack_from(f"<{count}I", data, end + 4 * count)]
        chunks = []
        starts = [*self._runs(runs), (count, 0, 0)]
        for (first, number, offset), (behind, _, _) in pairwise(starts):
            pack = packs[number]
            for at in range(first, behind):
                id = ids[at * CHUNK_ID_BYTES : (at + 1) * CHUNK_ID_BYTES]
                chunks.append(Chunk(id, pack, offset, stored[at], sizes[at]))
                offset += stored[at]
        return chunks

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
    packs = {pack: number for number, pack in enumerate(dict.fromkeys([chunk.pack for chunk in chunks]))}
    runs = []
    follows: tuple[bytes, int] = (b"", 0)
    is_plain = True
    for number, (_, pack, offset, stored, size) in enumerate(chunks):
        if (pack, offset) != follows:
            runs.append(_RUN.pack(number, packs[pack], offset))
        follows = (pack, offset + stored)
        is_plain = is_plain and stored == size + OVERHEAD
    column = f"<{len(chunks)}I"
    parts = [_HEAD.pack(_VERSION, len(packs), len(chunks)), *packs, _REST.pack(len(runs), is_plain), *runs]
    parts += [chunk.id for chunk in chunks]
    parts.append(pack_values(column, *[chunk.size for chunk in chunks]))
    if not is_plain:
        parts.append(pack_values(column, *[chunk.stored for chunk in chunks]))
    return b"".join(parts)

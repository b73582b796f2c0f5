"""Reads artifacts: every byte is authenticated with its place, and a whole artifact is checked against its id."""

from collections.abc import Iterator
from typing import Protocol

import zstandard

from pit_artifact_store.ids import ContentIds
from pit_artifact_store.packs import CHUNK, PACKED_CHUNK, DamagedFrame, Pack
from pit_artifact_store.recipes import Chunk, Recipe
from pit_artifact_store.rows import Object


class DamagedContent(Exception):
    """The bytes of an artifact are not those of its id, or its recipe is none."""


class OpensPacks(Protocol):
    """Where a reader has the packs from."""

    def open(self, id: bytes) -> Pack:
        """A pack, to read from.

        Args:
            id: Its id.

        Raises:
            FileNotFoundError: It is not there.
        """


class Reader:
    """Reads what is in the packs.

    Args:
        files: The packs.
        ids: Gives the ids of the store.
    """

    def __init__(self, files: OpensPacks, ids: ContentIds) -> None:
        self._files = files
        self._ids = ids
        self._recent: tuple[bytes, int, Recipe] | None = None

    def chunk(self, chunk: Chunk) -> bytes:
        """The bytes of a chunk.

        Args:
            chunk: Where it is.

        Raises:
            DamagedFrame: They are not what was written.
            OSError: The disk refuses.
        """
        frame = self._files.open(chunk.pack).read(chunk.offset, chunk.stored)
        if frame.kind == CHUNK and len(frame.data) == chunk.size:
            return frame.data
        if frame.kind == PACKED_CHUNK:
            data = zstandard.ZstdDecompressor().decompress(frame.data, max_output_size=chunk.size)
            if len(data) == chunk.size:
                return data
        raise DamagedFrame(chunk.pack, chunk.offset, f"a frame is no chunk of {chunk.size:,} bytes")

    def holds(self, chunk: Chunk) -> bool:
        """Whether a chunk is there, and is that of its id.

        Args:
            chunk: Where it is to be.
        """
        try:
            return self._ids.of_chunk(self.chunk(chunk)) == chunk.id
        except (DamagedFrame, OSError, zstandard.ZstdError):
            return False

    def whole(self, object: Object) -> bytes:
        """All bytes of an artifact.

        Args:
            object: The artifact.

        Raises:
            DamagedContent: They are not those of its id.
            DamagedFrame: They are not what was written.
            OSError: The disk refuses.
        """
        recipe = recipe_of(object)
        data = self.chunk(recipe[0]) if len(recipe) == 1 else b"".join(map(self.chunk, recipe))
        if len(data) != object.size or self._ids(data) != object.id:
            raise DamagedContent("its bytes are not those of its id")
        return data

    def parts(self, object: Object, begin: int, end: int) -> Iterator[bytes]:
        """The bytes of a range of an artifact, chunk by chunk, each checked against the id of its chunk.

        Args:
            object: The artifact.
            begin: First byte.
            end: The byte after the last one.

        Raises:
            DamagedContent: They are not those of their ids.
            DamagedFrame: They are not what was written.
            OSError: The disk refuses.
        """
        for chunk, first in self._recipe(object).between(begin, end):
            data = self.chunk(chunk)
            if self._ids.of_chunk(data) != chunk.id:
                raise DamagedContent(f"the bytes from {first:,} on are not those of their id")
            yield data[max(begin - first, 0) : end - first]

    def _recipe(self, object: Object) -> Recipe:
        """Where its bytes are; that of the latest artifact is kept, as whoever reads a part often reads another."""
        recent = self._recent  # once: another thread may put another one there
        if recent is not None and recent[:2] == (object.id, object.seq):
            return recent[2]
        recipe = recipe_of(object)
        self._recent = (object.id, object.seq, recipe)
        return recipe


def recipe_of(object: Object) -> Recipe:
    """Where the bytes of an artifact are.

    Args:
        object: The artifact.

    Raises:
        DamagedContent: Nothing says so.
    """
    try:
        return Recipe(object.recipe)
    except ValueError as error:
        raise DamagedContent(f"where its bytes are is not known: {error}") from error

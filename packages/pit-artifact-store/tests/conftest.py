"""A store in a directory of its own, and artifacts of each way to be kept."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pit_artifact_store import Store
from pit_artifact_store.chunking import WHOLE
from pit_artifact_store.index import Index
from pit_artifact_store.keys import open_keys
from pit_artifact_store.packs import pack_name
from pit_artifact_store.recipes import Chunk, Recipe

SIZES = {
    "empty": 0,
    "one-chunk": WHOLE,
    "small-chunks": WHOLE + 1,
    "middle-chunks": (512 << 10) + 1,
    "large-chunks": (4 << 20) + 12_345,
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    with Store(directory) as store:
        yield store


@pytest.fixture(params=SIZES)
def content(request: pytest.FixtureRequest) -> bytes:
    size = SIZES[request.param]
    return bytes(range(251)) * (size // 251) + b"\x07" * (size % 251)


@pytest.fixture
def damage(directory: Path) -> Callable[[str], None]:
    """Flips a bit of the last chunk of an artifact, on disk."""

    def flip(id: str) -> None:
        chunk = chunks_of(directory, id)[-1]
        flip_bit(directory / "packs" / pack_name(chunk.pack), chunk.offset + chunk.stored // 2)

    return flip


def chunks_of(directory: Path, id: str) -> list[Chunk]:
    """Where the chunks of an artifact are."""
    index = Index(directory / "index.db", open_keys(directory / "keys").index_key)
    try:
        with index.reading() as rows:
            found = rows.object(bytes.fromhex(id.removeprefix("b3-")))
            assert found is not None
            return list(Recipe(found.recipe))
    finally:
        index.close()


def flip_bit(path: Path, position: int) -> None:
    """Flip a bit of a file, in its place."""
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1 << position % 8]))

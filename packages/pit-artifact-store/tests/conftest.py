"""A store in a directory of its own, and artifacts of each way to be kept."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pit_artifact_store import Store
from pit_artifact_store.objects import SEGMENT_BYTES
from pit_artifact_store.publishing import INLINE_BYTES

SIZES = {
    "empty": 0,
    "small": 1000,
    "largest-inline": INLINE_BYTES,
    "smallest-file": INLINE_BYTES + 1,
    "one-segment": SEGMENT_BYTES,
    "segments": 2 * SEGMENT_BYTES + 12_345,
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
def object_file(directory: Path) -> Callable[[str], Path]:
    """Where the bytes of a large artifact are."""

    def path(id: str) -> Path:
        digits = id.removeprefix("b3-")
        return directory / "objects" / digits[:2] / digits[2:]

    return path

"""Where the tests' sockets lie, and how many descriptors are open."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory whose path leaves room for the name of a socket, wherever the tests are run from."""
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def descriptors() -> Callable[[], int]:
    """Counts the open descriptors of this process."""
    return lambda: len(list(Path("/dev/fd").iterdir()))

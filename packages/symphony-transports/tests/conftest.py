"""Where the tests' sockets lie."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory whose path leaves room for the name of a socket, wherever the tests are run from."""
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as name:
        yield Path(name)

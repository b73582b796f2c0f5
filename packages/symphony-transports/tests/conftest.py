"""Where the tests' sockets lie, the ends of shared memory, and how many descriptors are open."""

import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from symphony_transports.shared_memory import Channel, offer, receive


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory whose path leaves room for the name of a socket, wherever the tests are run from."""
    with tempfile.TemporaryDirectory(prefix="symphony-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """The two ends of a connection through shared memory, each with rings of 64 KiB: first the listening one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        first, second = offer(ours, 64 << 10), receive(theirs)
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def descriptors() -> Callable[[], int]:
    """Counts the open descriptors of this process."""
    return lambda: len(list(Path("/dev/fd").iterdir()))

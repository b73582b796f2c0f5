"""Files and servers as the host opens them for a worker, which gets their descriptors."""

import errno
import os
import socket
from typing import Final, Literal

from symphony_sdk.broker_messages import (
    ENTRIES_LIMIT,
    PATH_LIMIT,
    Connect,
    Connected,
    DirectoryEntries,
    FileKind,
    FileMode,
    FileOpened,
    FileStatus,
    ListDirectory,
    MakeDirectory,
    OpenFile,
    RemoveFile,
    RenameFile,
    StatFile,
)
from symphony_sdk.errors import AccessFailed
from symphony_sdk.messages import Done
from symphony_sdk.worker.channel import Channel, MessageT
from symphony_sdk.worker.descriptors import Descriptors

EVERYTHING: Final = ("/",)
"""What a process sees that is in no sandbox."""


class HostFiles:
    """The host's file system; adapter of `HostFileSystem`.

    Args:
        channel: The connection to the host.
        descriptors: Where descriptors come.
        read: What this process can read by itself: the roots of trees, or single files.
        write: What it can write by itself.
        hidden: Trees within these of which it sees nothing; it sees others that lie within them.
    """

    def __init__(
        self,
        channel: Channel,
        descriptors: Descriptors,
        read: tuple[str, ...] = EVERYTHING,
        write: tuple[str, ...] = EVERYTHING,
        hidden: tuple[str, ...] = (),
    ) -> None:
        self._channel = channel
        self._descriptors = descriptors
        self._visible = {"read": (*read, *write), "write": write}
        self._hidden = hidden

    def hides(self, path: str, scope: Literal["read", "write"]) -> bool:
        """Whether this process cannot do it by itself."""
        return _innermost(path, self._hidden) >= _innermost(path, self._visible[scope])

    def open(self, path: str, mode: FileMode) -> int:
        """A descriptor of a regular file."""
        opened = self._ask(OpenFile(_encoded(path), mode), FileOpened, path)
        return self._descriptors.take(opened.descriptor)

    def stat(self, path: str) -> FileStatus:
        """What is at a path."""
        return self._ask(StatFile(_encoded(path)), FileStatus, path)

    def entries(self, path: str) -> dict[str, FileKind]:
        """What is in a directory."""
        found: dict[str, FileKind] = {}
        after, full = b"", True
        while full:
            part = self._ask(ListDirectory(_encoded(path), after), DirectoryEntries, path).entries
            found.update((os.fsdecode(entry.name), entry.kind) for entry in part)
            full = len(part) == ENTRIES_LIMIT
            after = part[-1].name if part else b""
        return found

    def make_directory(self, path: str) -> None:
        """Make a directory in one that there is."""
        self._ask(MakeDirectory(_encoded(path)), Done, path)

    def remove(self, path: str) -> None:
        """Remove a file or an empty directory."""
        self._ask(RemoveFile(_encoded(path)), Done, path)

    def rename(self, path: str, target: str) -> None:
        """Give a file another path."""
        self._ask(RenameFile(_encoded(path), _encoded(target)), Done, path)

    def _ask(
        self,
        message: OpenFile | StatFile | ListDirectory | MakeDirectory | RemoveFile | RenameFile,
        answer: type[MessageT],
        path: str,
    ) -> MessageT:
        try:
            return self._channel.request(message, answer)
        except AccessFailed as error:
            number = error.details.get("errno")
            if not isinstance(number, int):
                raise
            raise OSError(number, os.strerror(number), path) from None


class HostNetwork:
    """The network through the host; adapter of `Network`.

    Args:
        channel: The connection to the host.
        descriptors: Where descriptors come.
    """

    def __init__(self, channel: Channel, descriptors: Descriptors) -> None:
        self._channel = channel
        self._descriptors = descriptors

    def connect(self, host: str, port: int, timeout: float | None = None) -> socket.socket:
        """A connected socket; see [Network.connect][symphony_sdk.extension.network.Network.connect]."""
        try:
            connected = self._channel.request(Connect(host, port, timeout), Connected)
        except AccessFailed as error:
            number = error.details.get("errno")
            if not isinstance(number, int):
                raise
            kind = socket.gaierror if error.details.get("lookup") else OSError
            raise kind(number, error.message) from None
        connection = socket.socket(fileno=self._descriptors.take(connected.descriptor))
        connection.settimeout(timeout)
        return connection


def _innermost(path: str, trees: tuple[str, ...]) -> int:
    """How long the path of the smallest tree is that a path is in; 0 where it is in none."""
    within = (tree for tree in trees if tree == "/" or path == tree or path.startswith(f"{tree}/"))
    return max(map(len, within), default=0)


def _encoded(path: str) -> bytes:
    encoded = os.fsencode(path)
    if len(encoded) > PATH_LIMIT:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path[:80])
    return encoded

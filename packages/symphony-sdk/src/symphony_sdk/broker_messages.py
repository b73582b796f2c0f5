"""What a worker asks its host to open for it: files and connections. The answers name descriptors.

A descriptor itself comes over a socket of its own, beside the channel, together with the number by which the
answer calls it. Paths travel as bytes: names of files need not be text.
"""

from typing import Annotated, Final, Literal

import msgspec

from symphony_sdk.messages import DATA_LIMIT, message

PATH_LIMIT: Final = 4096
"""Bytes of a path; Linux takes no longer one."""

HOST_LIMIT: Final = 1024
"""Characters of a host name or an address; the longest that there is has 253."""

ENTRIES_LIMIT: Final = 1024
"""Names of a directory that are told at once."""

Path = Annotated[bytes, msgspec.Meta(max_length=PATH_LIMIT)]
"""An absolute path, as the file system spells it."""

FileMode = Literal["read", "write", "append"]
FileKind = Literal["file", "directory", "link", "other"]


@message("file.open")
class OpenFile(msgspec.Struct, frozen=True):
    """Worker to host: open a regular file.

    Args:
        path: The file.
        mode: To `read` it, to `write` it anew or to `append` to it; the latter two make it where it is missing.
    """

    path: Path
    mode: FileMode = "read"


@message("file.opened")
class FileOpened(msgspec.Struct, frozen=True):
    """Host to worker: the file is open.

    Args:
        descriptor: Number of the descriptor, which was sent before this.
    """

    descriptor: int


@message("file.stat")
class StatFile(msgspec.Struct, frozen=True):
    """Worker to host: say what is at a path; links are followed.

    Args:
        path: The path.
    """

    path: Path


@message("file.status")
class FileStatus(msgspec.Struct, frozen=True):
    """Host to worker: what is at a path.

    Args:
        kind: What it is.
        size: Bytes of a file.
        modified: When it was last changed, in seconds since 1970.
    """

    kind: FileKind
    size: int = 0
    modified: float = 0.0


@message("file.list")
class ListDirectory(msgspec.Struct, frozen=True):
    """Worker to host: say what is in a directory, as much as is told at once.

    Args:
        path: The directory.
        after: Only names after this one.
    """

    path: Path
    after: Path = b""


class DirectoryEntry(msgspec.Struct, frozen=True, array_like=True):
    """A name in a directory.

    Args:
        name: The name, as the file system spells it.
        kind: What it is.
    """

    name: bytes
    kind: FileKind


@message("file.entries", limit=DATA_LIMIT)
class DirectoryEntries(msgspec.Struct, frozen=True):
    """Host to worker: what is in a directory.

    Args:
        entries: The first of its names, in order; where they are as many as are told at once, more may follow.
    """

    entries: Annotated[tuple[DirectoryEntry, ...], msgspec.Meta(max_length=ENTRIES_LIMIT)] = ()


@message("file.make-directory")
class MakeDirectory(msgspec.Struct, frozen=True):
    """Worker to host: make a directory in one that there is.

    Args:
        path: The directory.
    """

    path: Path


@message("file.remove")
class RemoveFile(msgspec.Struct, frozen=True):
    """Worker to host: remove a file, a link or an empty directory.

    Args:
        path: What to remove.
    """

    path: Path


@message("file.rename")
class RenameFile(msgspec.Struct, frozen=True):
    """Worker to host: give a regular file another path; one that is there is replaced.

    Args:
        path: The file.
        target: Its new path.
    """

    path: Path
    target: Path


@message("network.connect")
class Connect(msgspec.Struct, frozen=True):
    """Worker to host: connect to a server with TCP.

    Args:
        host: Its name or address.
        port: Its port.
        timeout: Seconds; the host has a bound of its own besides.
    """

    host: Annotated[str, msgspec.Meta(max_length=HOST_LIMIT)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    timeout: Annotated[float, msgspec.Meta(gt=0)] | None = None


@message("network.connected")
class Connected(msgspec.Struct, frozen=True):
    """Host to worker: the connection stands.

    Args:
        descriptor: Number of the descriptor, which was sent before this.
        address: The address that was connected to.
    """

    descriptor: int
    address: str = ""

"""The file system as an extension sees it: directly where its process sees a path, through the host elsewhere."""

import os
import stat
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol, overload

from symphony_sdk.broker_messages import FileKind, FileMode, FileStatus
from symphony_sdk.permissions import Access, PermissionSet

_MODES: Final[dict[str, FileMode]] = {"r": "read", "w": "write", "a": "append"}


class HostFileSystem(Protocol):
    """The file system of the host, as a worker reaches it; every path is absolute."""

    def hides(self, path: str, scope: Literal["read", "write"]) -> bool:
        """Whether this process cannot do it by itself."""

    def open(self, path: str, mode: FileMode) -> int:
        """A descriptor of a regular file."""

    def stat(self, path: str) -> FileStatus:
        """What is at a path."""

    def entries(self, path: str) -> dict[str, FileKind]:
        """What is in a directory."""

    def make_directory(self, path: str) -> None:
        """Make a directory in one that there is."""

    def remove(self, path: str) -> None:
        """Remove a file or an empty directory."""

    def rename(self, path: str, target: str) -> None:
        """Give a file another path."""


class Files:
    """The file system, as far as the extension's manifest declares it and the user allows it.

    Every method raises `PermissionDenied` where it is not, and `OSError` where the system refuses.

    Args:
        permissions: What the manifest declares.
        host: Reaches what this process does not see; None where it sees all.
    """

    def __init__(self, permissions: PermissionSet, host: HostFileSystem | None = None) -> None:
        self._permissions = permissions
        self._host = host

    def check(self, path: str | Path, scope: Literal["read", "write"]) -> Path:
        """The absolute path, if the manifest declares it.

        Args:
            path: A file or a directory; symbolic links are followed before the check.
            scope: What is to be done with it.

        Raises:
            PermissionDenied: The manifest does not declare it.
        """
        resolved = _absolute(path)
        self._permissions.check(Access("file", scope, str(resolved)))
        return resolved

    @overload
    def open(self, path: str | Path, mode: Literal["r", "w", "a"]) -> IO[str]: ...
    @overload
    def open(self, path: str | Path, mode: Literal["rb", "wb", "ab"] = "rb") -> IO[bytes]: ...
    def open(self, path: str | Path, mode: str = "rb") -> IO[Any]:
        """Open a regular file; text is UTF-8.

        Args:
            path: The file.
            mode: `r`, `w` or `a`, with a `b` for bytes; as for the built-in `open`.

        Raises:
            PermissionDenied: The manifest does not declare it.
            OSError: It cannot be opened.
        """
        means = _MODES.get(mode.removesuffix("b"))
        if means is None:
            raise ValueError(f"{mode!r} is no mode: expected one of r, w, a, rb, wb, ab")
        encoding = None if "b" in mode else "utf-8"
        resolved = _absolute(path)
        host = self._through(resolved, "read" if means == "read" else "write")
        if host is None:
            return resolved.open(mode, encoding=encoding)
        return open(resolved, mode, encoding=encoding, opener=lambda name, flags: host.open(name, means))

    def read_bytes(self, path: str | Path) -> bytes:
        """All bytes of a file."""
        with self.open(path, "rb") as file:
            return file.read()

    def read_text(self, path: str | Path) -> str:
        """All text of a UTF-8 file."""
        with self.open(path, "r") as file:
            return file.read()

    def write_bytes(self, path: str | Path, data: bytes) -> None:
        """Write a file anew."""
        with self.open(path, "wb") as file:
            file.write(data)

    def write_text(self, path: str | Path, text: str) -> None:
        """Write a UTF-8 file anew."""
        with self.open(path, "w") as file:
            file.write(text)

    def stat(self, path: str | Path) -> FileStatus:
        """What is at a path: its kind, its size and when it was changed."""
        resolved = _absolute(path)
        host = self._through(resolved, "read")
        if host is not None:
            return host.stat(str(resolved))
        found = resolved.stat()
        return FileStatus(_kind(found.st_mode), found.st_size, found.st_mtime)

    def entries(self, path: str | Path) -> dict[str, FileKind]:
        """What is in a directory: the kind of each name, in the order of the names; links are not followed."""
        resolved = _absolute(path)
        host = self._through(resolved, "read")
        if host is not None:
            found = host.entries(str(resolved))
        else:
            with os.scandir(resolved) as names:
                found = {name.name: _kind(name.stat(follow_symlinks=False).st_mode) for name in names}
        return dict(sorted(found.items()))

    def make_directory(self, path: str | Path) -> None:
        """Make a directory in one that there is."""
        resolved = _absolute(path)
        host = self._through(resolved, "write")
        if host is not None:
            host.make_directory(str(resolved))
        else:
            resolved.mkdir()

    def remove(self, path: str | Path) -> None:
        """Remove a file, a link (not what it leads to) or an empty directory."""
        place = _entry(path)
        host = self._through(place, "write")
        if host is not None:
            host.remove(str(place))
        elif stat.S_ISDIR(place.lstat().st_mode):
            place.rmdir()
        else:
            place.unlink()

    def rename(self, path: str | Path, target: str | Path) -> None:
        """Give a file another path; it is read there and written here and there. One that is there is replaced.

        Args:
            path: The file.
            target: Its new path.
        """
        place, new = _entry(path), _entry(target)
        through = (self._through(place, "read"), self._through(place, "write"), self._through(new, "write"))
        host = next((one for one in through if one is not None), None)
        if host is not None:
            host.rename(str(place), str(new))
        else:
            place.replace(new)

    def _through(self, path: Path, scope: Literal["read", "write"]) -> HostFileSystem | None:
        """The host, where it has to do it; None where this process may and can.

        Raises:
            PermissionDenied: The manifest does not declare it, and there is no host to say so.
        """
        access = Access("file", scope, str(path))
        if self._host is None:
            self._permissions.check(access)
            return None
        if self._host.hides(access.resource, scope) or not self._permissions.covers(access):
            return self._host  # what is not declared, too: the host refuses it, and its log tells of it
        return None


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().resolve()


def _entry(path: str | Path) -> Path:
    """The place of a name itself, whatever a link there leads to."""
    place = Path(path).expanduser()
    return place.parent.resolve() / place.name


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"

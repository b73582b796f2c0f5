"""Reaches what is beneath a directory, and nothing else, whatever is renamed or linked meanwhile.

Linux resolves the path in one step with `openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)`. Where that is missing, the
path is walked name by name from descriptor to descriptor, and a symbolic link in it is refused: a link that is looked
at first and followed then is a race that the one who opens the file loses.

What is found is looked at before it is opened, so that no pipe and no device notices.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from symphony_sdk.errors import PermissionDenied

from symphony_isolation.broker.descriptors import Descriptor

_OPENAT2: Final = 437  # the same on every architecture of Linux but alpha
_NO_MAGIC_LINKS: Final = 0x02
_NO_LINKS: Final = 0x04
_BENEATH: Final = 0x08
_HOW: Final = struct.Struct("=QQQ")
_TRIES: Final = 64  # the kernel asks to try again where a rename crosses the resolution of a `..` in a link
# these are not on Windows, which opens no file here
_NONBLOCK: Final = getattr(os, "O_NONBLOCK", 0)
_QUIET: Final = _NONBLOCK | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
_PATH: Final = getattr(os, "O_PATH", os.O_RDONLY | _NONBLOCK)
_OWN_DESCRIPTORS: Final = "/proc/self/fd/"
_OF_THE_KERNEL: Final = ("/proc", "/sys")

Allowed = Callable[[str], None]
"""Told the true path of what was found beneath the root, where links led there; raises where that is not granted."""


class Root:
    """A directory that was open before anybody could put another one in its place.

    Args:
        path: The directory; symbolic links in it are followed now, and never again.
        links: Whether symbolic links beneath it are followed; where the system can do that, unless given.

    Attributes:
        path: The directory, as it was given.
        true_path: The directory, without links.

    Raises:
        OSError: It is none, or not accessible.
    """

    def __init__(self, path: str, *, links: bool | None = None) -> None:
        self.path = path
        self._links = follows_links() if links is None else links
        self.true_path = os.path.realpath(path)
        self._directory = Descriptor(os.open(self.true_path, _PATH | os.O_DIRECTORY | os.O_CLOEXEC))

    def below(self, path: str) -> str:
        """The rest of a path that begins with this root; `.` for the root itself."""
        return path[len(self.path.rstrip("/")) :].strip("/") or "."

    def above(self, below: str) -> str:
        """The whole path of what is beneath this root."""
        return f"{self.path.rstrip('/')}/{below}" if below != "." else self.path

    def open(self, below: str, flags: int, allowed: Allowed) -> Descriptor:
        """Open a regular file that there is.

        Args:
            below: Its path from the root on.
            flags: Of `os.open`: for reading or for writing; the descriptor blocks.
            allowed: Asked about its true path.

        Raises:
            PermissionDenied: SYM-P032, it is not beneath the root; SYM-P033, it is no regular file.
            OSError: It is missing, or not accessible.
        """
        if self._links:
            found = self._find(below, _PATH, allowed)
            _check_regular(os.fstat(found.number), self.above(below))
            return Descriptor(
                os.open(f"{_OWN_DESCRIPTORS}{found.number}", flags | os.O_CLOEXEC | os.O_NOCTTY)
            )
        folder, name = self.parent(below, allowed)
        seen = os.lstat(name, dir_fd=folder.number)
        if stat.S_ISLNK(seen.st_mode):
            raise _outside(self.above(below), links=False)
        _check_regular(seen, self.above(below))
        opened = Descriptor(os.open(name, flags | os.O_NOFOLLOW | _QUIET, dir_fd=folder.number))
        _check_regular(os.fstat(opened.number), self.above(below))
        os.set_blocking(opened.number, True)
        return opened

    def create(self, below: str, flags: int, allowed: Allowed) -> Descriptor:
        """Make a regular file that is missing, and open it.

        Args:
            below: Its path from the root on.
            flags: Of `os.open`, for writing.
            allowed: Asked about the true path.

        Raises:
            PermissionDenied: SYM-P032, its directory is not beneath the root.
            OSError: It is there, or cannot be made.
        """
        folder, name = self.parent(below, allowed)
        made = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return Descriptor(os.open(name, flags | made, 0o666, dir_fd=folder.number))

    def status(self, below: str, allowed: Allowed) -> os.stat_result:
        """What is at a path.

        Args:
            below: The path from the root on.
            allowed: Asked about its true path.

        Raises:
            PermissionDenied: SYM-P032, it is not beneath the root.
            OSError: Nothing is there.
        """
        if below != "." and not self._links:
            folder, name = self.parent(below, allowed)
            return os.stat(name, dir_fd=folder.number, follow_symlinks=False)
        found = self._find(below, _PATH, allowed)
        return os.fstat(found.number)

    def directory(self, below: str, allowed: Allowed) -> Descriptor:
        """Open a directory for reading its names; it must never leave this process.

        Args:
            below: Its path from the root on.
            allowed: Asked about its true path.

        Raises:
            PermissionDenied: SYM-P032, it is not beneath the root.
            OSError: It is none, or not accessible.
        """
        return self._find(below, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK, allowed)

    def parent(self, below: str, allowed: Allowed) -> tuple[Descriptor, str]:
        """The directory that a path is in, and its name there.

        Args:
            below: The path from the root on.
            allowed: Asked about the true path.

        Raises:
            PermissionDenied: SYM-P032, it is not beneath the root, or is the root itself.
            OSError: The directory is none, or not accessible.
        """
        above, _, name = below.rpartition("/")
        if name in ("", ".", "..") or "\0" in name:
            raise _outside(self.above(below))

        def parent_allowed(true: str) -> None:
            allowed(name if true == "." else f"{true}/{name}")

        return self._find(above or ".", _PATH | os.O_DIRECTORY, parent_allowed), name

    def _find(self, below: str, flags: int, allowed: Allowed) -> Descriptor:
        names = below.split("/")
        if "\0" in below or (below != "." and not {"", ".", ".."}.isdisjoint(names)):
            raise _outside(self.above(below))
        try:
            found = self._resolve(below, flags, allowed) if self._links else self._walk(names, flags)
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.ELOOP):
                raise _outside(self.above(below), links=self._links) from None
            raise
        status = os.fstat(found.number)
        if flags & os.O_DIRECTORY and not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self.above(below))
        if status.st_dev in _of_the_kernel():
            raise PermissionDenied(
                f"the host opens nothing of the kernel's own files for extensions, as {self.above(below)!r}",
                code="SYM-P032",
                hint="What is in /proc and /sys tells about the host itself, not about a file.",
            )
        return found

    def _resolve(self, below: str, flags: int, allowed: Allowed) -> Descriptor:
        root = self._directory.number
        try:  # without a link there is no doubt what was opened
            return Descriptor(_openat2(root, below, flags, _BENEATH | _NO_MAGIC_LINKS | _NO_LINKS))
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        found = Descriptor(_openat2(root, below, flags, _BENEATH | _NO_MAGIC_LINKS))
        true, start = (str(Path(f"{_OWN_DESCRIPTORS}{one}").readlink()) for one in (found.number, root))
        start = start.rstrip("/")
        if true != start and not true.startswith(f"{start}/"):  # renamed away: nobody can say where it is now
            raise _outside(self.above(below))
        allowed(true[len(start) + 1 :] or ".")
        return found

    def _walk(self, names: list[str], flags: int) -> Descriptor:
        found = self._directory
        for name in names[:-1]:
            found = Descriptor(_open_name(name, _PATH, found))
        return Descriptor(_open_name(names[-1], flags, found))


@cache
def follows_links() -> bool:
    """Whether this system resolves links beneath a directory in one step; where not, links are refused."""
    try:
        os.close(_openat2(-100, ".", _PATH, 0))
    except (
        OSError,
        AttributeError,
    ):  # another system, an older Linux, or a sandbox that does not know the call
        return False
    return Path(_OWN_DESCRIPTORS).is_dir()


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    how = _HOW.pack(flags | os.O_CLOEXEC, 0, resolve)
    encoded = os.fsencode(path)
    for _ in range(_TRIES):
        number: int = _libc().syscall(_OPENAT2, directory, encoded, how, ctypes.c_size_t(_HOW.size))
        if number >= 0:
            return number
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code), path)


def _open_name(name: str, flags: int, directory: Descriptor) -> int:
    # O_PATH opens a link itself, and O_DIRECTORY would call it no directory
    number = os.open(name, flags & ~os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.number)
    if stat.S_ISLNK(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    return number


@cache
def _of_the_kernel() -> frozenset[int]:
    return frozenset(Path(path).stat().st_dev for path in _OF_THE_KERNEL if os.path.ismount(path))


def _check_regular(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise PermissionDenied(
            f"{path!r} is no regular file, and the host opens no other for extensions",
            code="SYM-P033",
            hint="Pipes, sockets and devices act when they are opened.",
        )


def _outside(path: str, *, links: bool = True) -> PermissionDenied:
    return PermissionDenied(
        f"{path!r} leads out of the directory that is granted"
        if links
        else f"{path!r} holds a symbolic link, which this system cannot follow safely for an extension",
        code="SYM-P032",
        hint="Give the path that the link leads to; a permission has to cover it.",
    )

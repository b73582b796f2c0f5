"""The file system as an extension reaches it through the host: each path checked, and opened beneath what was granted."""

import errno
import heapq
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

from symphony_sdk.broker_messages import (
    ENTRIES_LIMIT,
    DirectoryEntries,
    DirectoryEntry,
    FileKind,
    FileMode,
    FileStatus,
)
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import Access, Permission, PermissionSet, Scope, covers

from symphony_isolation.broker.beneath import Root
from symphony_isolation.broker.descriptors import Descriptor

Check = Callable[[Access], None]
"""Returns where an access is allowed, and raises `PermissionDenied` where not."""

_FLAGS: Final = {"read": os.O_RDONLY, "write": os.O_WRONLY, "append": os.O_WRONLY | os.O_APPEND}
_WILDCARDS: Final = frozenset("*?")
_TRIES: Final = 3  # a file can be made and removed by others while it is opened


class _Granted(NamedTuple):
    permission: Permission
    root: Root


class FileAccess:
    """Does what an extension asks of the file system; every method may wait for a disk, and may be called at once.

    Args:
        permissions: What the extension declared. The roots of them are opened now, before its first line runs.
        check: Says whether a single access is allowed.
        hidden: Whether a path without links is one that no extension may reach, whatever is granted.
        links: Whether symbolic links are followed; where the system can do that safely, unless given.
    """

    def __init__(
        self,
        permissions: PermissionSet,
        check: Check,
        *,
        hidden: Callable[[str], bool] = lambda path: False,
        links: bool | None = None,
    ) -> None:
        self._hidden = hidden
        self._roots = permissions.roots
        self._check = check
        self._granted: list[_Granted] = []
        opened: dict[str, Root] = {}
        for permission, path in _anchors(permissions):
            with suppress(OSError):  # what cannot be opened now grants nothing
                root = opened.get(path) or opened.setdefault(path, Root(path, links=links))
                self._granted.append(_Granted(permission, root))

    def open(self, path: str, mode: FileMode) -> Descriptor:
        """Open a regular file.

        Args:
            path: The file; it was checked.
            mode: What for.

        Raises:
            PermissionDenied: It is not what the path says.
            OSError: The system refuses.
        """
        scope: Scope = "read" if mode == "read" else "write"
        root, below, allowed = self._reach(path, scope)
        if mode == "read":
            return root.open(below, _FLAGS[mode], allowed)
        for _ in range(_TRIES):
            try:
                opened = root.open(below, _FLAGS[mode], allowed)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    return root.create(below, _FLAGS[mode], allowed)
            else:
                if mode == "write":
                    os.ftruncate(opened.number, 0)
                return opened
        raise FileExistsError(errno.EEXIST, "a link is there that leads to nothing", path)

    def status(self, path: str) -> FileStatus:
        """What is at a path; raises as `open`."""
        root, below, allowed = self._reach(path, "read")
        found = root.status(below, allowed)
        return FileStatus(_kind(found.st_mode), found.st_size, found.st_mtime)

    def entries(self, path: str, after: bytes = b"") -> DirectoryEntries:
        """The next names in a directory, in order; raises as `open`."""
        root, below, allowed = self._reach(path, "read")
        folder = root.directory(below, allowed)
        with os.scandir(folder.number) as names:
            later = ((name, entry) for entry in names if (name := os.fsencode(entry.name)) > after)
            found = heapq.nsmallest(ENTRIES_LIMIT, later, key=itemgetter(0))
            return DirectoryEntries(tuple(DirectoryEntry(name, _kind_of(entry)) for name, entry in found))

    def make_directory(self, path: str) -> None:
        """Make a directory; raises as `open`."""
        folder, name = self._parent(path)
        os.mkdir(name, dir_fd=folder.number)

    def remove(self, path: str) -> None:
        """Remove a file, a link or an empty directory; raises as `open`."""
        folder, name = self._parent(path)
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder.number).st_mode):
            os.rmdir(name, dir_fd=folder.number)
        else:
            os.unlink(name, dir_fd=folder.number)

    def rename(self, path: str, target: str) -> None:
        """Give a regular file another path; raises as `open`."""
        folder, name = self._parent(path)
        # A directory would take along what the extension may not read to where it may.
        if not stat.S_ISREG(os.lstat(name, dir_fd=folder.number).st_mode):
            raise PermissionDenied(f"{path!r} is no regular file, and cannot be renamed", code="SYM-P033")
        new_folder, new_name = self._parent(target)
        os.replace(name, new_name, src_dir_fd=folder.number, dst_dir_fd=new_folder.number)

    def _parent(self, path: str) -> tuple[Descriptor, str]:
        root, below, allowed = self._reach(path, "write")
        return root.parent(below, allowed)

    def _reach(self, path: str, scope: Scope) -> tuple[Root, str, Callable[[str], None]]:
        """The widest root that a path may be reached from, and how a true path beneath it is checked."""
        access = Access("file", scope, path)
        roots = [root for permission, root in self._granted if covers(permission, access, roots=self._roots)]
        if not roots:
            raise FileNotFoundError(errno.ENOENT, "its granted directory was not there at the start", path)
        root = min(roots, key=lambda one: len(one.path))
        below = root.below(path)
        self._refuse_hidden(root, below)

        def allowed(true: str) -> None:
            self._check(Access("file", scope, root.above(true)))
            self._refuse_hidden(root, true)

        return root, below, allowed

    def _refuse_hidden(self, root: Root, below: str) -> None:
        place = os.path.normpath(f"{root.true_path}/{below}")
        if self._hidden(place):
            raise PermissionDenied(
                f"{place!r} is hidden from every extension, whatever is granted to it",
                code="SYM-P039",
                hint="Give the extension a directory of its own, or one of the project.",
            )


def _anchors(permissions: PermissionSet) -> Iterable[tuple[Permission, str]]:
    """Each file permission, and the directory that its paths are resolved beneath.

    Where the extension may write what is above a directory, it could put a link in its place: its paths are then
    resolved from above as well.
    """
    found = [
        (permission, anchor)
        for permission in permissions
        if permission.type == "file" and (anchor := _anchor(permission, permissions))
    ]
    for permission, anchor in found:
        entry = Access("file", "write", anchor)
        above = [
            other
            for writer, other in found
            if anchor.startswith(f"{other.rstrip('/')}/")
            and other != anchor
            and covers(writer, entry, roots=permissions.roots)
        ]
        yield permission, min([anchor, *above], key=len)


def _anchor(permission: Permission, permissions: PermissionSet) -> str:
    """The directory of a permission: that of its variable, or the deepest one that there is before a wildcard."""
    resource = permission.resource
    if resource.startswith("${"):
        return permissions.roots.get(resource[2 : resource.index("}")], "")
    names = resource.split("/")
    plain = next((at for at, name in enumerate(names) if _WILDCARDS & set(name)), len(names))
    for end in range(plain, 1, -1):
        path = "/".join(names[:end])
        if Path(path).is_dir():
            return path
    return "/"


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def _kind_of(entry: "os.DirEntry[str]") -> FileKind:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    return "file" if entry.is_file(follow_symlinks=False) else "other"

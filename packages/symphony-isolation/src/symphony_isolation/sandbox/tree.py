"""Gives a process a file tree of its own, with nothing in it but what its policy names.

The trees of the policy are bound into an empty one at the paths that they have in the host, and the symbolic links
that lead to them are there too. Needs mount and pid namespaces of its own. Constants are those of `linux/mount.h`.
"""

import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from symphony_isolation.sandbox.kernel import syscall
from symphony_isolation.sandbox.policy import SandboxPolicy

DEVICES: Final = ("null", "zero", "full", "random", "urandom")
"""What is in `/dev`."""

_DEVICE_LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "shm": "/tmp",  # noqa: S108 - of the new tree
}
_STAGE: Final = "/tmp"  # noqa: S108 - nothing is written in the host's: the new root is mounted over it
_TMP: Final = "/tmp"  # noqa: S108 - of the new tree
_FILES_PER_BYTE: Final = 1 / 4096
_HERE: Final = b"."

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 1 << 14, 1 << 18
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH: Final = 4
_MNT_DETACH: Final = 2


def enter_tree(policy: SandboxPolicy) -> None:
    """Leave the file tree of the host for one of its own.

    Args:
        policy: What is in it.

    Raises:
        OSError: The kernel refused.
    """
    working = os.getcwd()
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    ways = _Ways()
    written = _outermost(ways.ends(policy.write))
    seen = _outermost([*ways.ends((*policy.read, *policy.execute)), *written])
    hidden = [path for path in _Ways().ends(policy.hidden) if _is_in_any(path, seen)]
    own = {path for path in policy.write if _is_in_any(path, hidden) and os.path.exists(path)}
    inner = {path for path in policy.read if _is_in_any(path, hidden) and os.path.exists(path)}
    places = {*seen, *written, *own, *inner}
    trees = {path: _cloned(path, writable=path in own or path in written) for path in sorted(places)}
    devices = {name: _cloned(f"/dev/{name}", device=True) for name in DEVICES}
    _begin(trees.pop("/", None))
    made = {""}
    if policy.private_tmp and not _is_in_any(_TMP, seen):
        _make(_TMP, made)
        _tmpfs(_STAGE + _TMP, policy.private_tmp, mode="1777")
    for path in sorted({*trees, *hidden}):
        if path in trees:
            _attach(trees[path], path, made)
        else:
            _cover(path, made)
    for path in hidden:
        _set_attributes(_AT_FDCWD, _STAGE + path, _ATTR_RDONLY)
    for link, target in ways.links.items():
        _make(os.path.dirname(link), made)
        with suppress(FileExistsError):
            os.symlink(target, _STAGE + link)
    _make("/proc", made)
    _mount("proc", _STAGE + "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _fill_dev(devices, made)
    os.chdir(_STAGE)
    syscall("pivot_root", _HERE, _HERE)
    syscall("umount2", _HERE, _MNT_DETACH)
    _set_attributes(_AT_FDCWD, "/", _ATTR_RDONLY)
    try:
        os.chdir(working)
    except OSError:
        os.chdir("/")


class _Ways:
    """Where paths lead, each part of which is looked at once.

    Attributes:
        links: The symbolic links on the ways, with what they say.
    """

    def __init__(self) -> None:
        self.links: dict[str, str] = {}
        self._ends = {"": "", "/": ""}

    def ends(self, paths: Iterable[str]) -> list[str]:
        """The paths that exist, without links, those within others left out.

        Args:
            paths: Absolute paths.
        """
        return [self._end(path) or "/" for path in _outermost(paths) if os.path.exists(path)]

    def _end(self, path: str) -> str:
        end = self._ends.get(path)
        if end is None:
            parent, _, name = path.rpartition("/")
            above = self._end(parent)
            if name in ("", "."):
                end = above
            elif name == "..":
                end = above.rpartition("/")[0]
            else:
                end = f"{above}/{name}"
                if os.path.islink(end):
                    target = self.links[end] = os.readlink(end)
                    end = self._end(target if target.startswith("/") else f"{above}/{target}")
            self._ends[path] = end
        return end


def _outermost(paths: Iterable[str]) -> list[str]:
    """The paths that are not within another one."""
    found: list[str] = []
    for path in sorted(set(paths), key=_as_tree):  # what is within a tree comes right behind it
        if not found or not _within(path, found[-1]):
            found.append(path)
    return found


def _as_tree(path: str) -> str:
    return path.rstrip("/") + "/"


def _is_in_any(path: str, trees: Iterable[str]) -> bool:
    return any(_within(path, tree) for tree in trees)


def _within(path: str, tree: str) -> bool:
    return path == tree or path.startswith(_as_tree(tree))


def _cloned(path: str, *, writable: bool = False, device: bool = False) -> int:
    """A detached copy of the mounts at a path, with what is mounted within."""
    tree = syscall(
        "open_tree",
        _AT_FDCWD,
        os.fsencode(path),
        _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE,
    )
    attributes = _ATTR_NOSUID | (0 if device else _ATTR_NODEV) | (0 if writable or device else _ATTR_RDONLY)
    _set_attributes(tree, "", attributes, _AT_EMPTY_PATH | _AT_RECURSIVE)
    return tree


def _begin(root: int | None) -> None:
    """Put the new root in its place: the whole of the host's tree where that is granted, else an empty one."""
    if root is None:
        _tmpfs(_STAGE, 1 << 20, mode="755")
    else:
        syscall("move_mount", root, b"", _AT_FDCWD, os.fsencode(_STAGE), _MOVE_MOUNT_F_EMPTY_PATH)
        os.close(root)


def _attach(tree: int, path: str, made: set[str]) -> None:
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        _make(path, made)
    else:
        _make(os.path.dirname(path), made)
        with suppress(FileExistsError):
            os.close(os.open(_STAGE + path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    place = os.fsencode(_STAGE + path)
    syscall("move_mount", tree, b"", _AT_FDCWD, place, _MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)


def _make(path: str, made: set[str]) -> None:
    """Have a directory in the new tree, with those above it.

    Args:
        path: Its path there.
        made: Those that are there; it is added.
    """
    path = path.rstrip("/")
    if path not in made:
        _make(path.rpartition("/")[0], made)
        with suppress(FileExistsError):
            os.mkdir(_STAGE + path)
        made.add(path)


def _cover(path: str, made: set[str]) -> None:
    """Put something empty over what is hidden."""
    place = _STAGE + path
    if os.path.isdir(place):
        _tmpfs(place, 1 << 16, mode="755")
    else:
        _attach(_cloned("/dev/null", device=True), path, made)


def _fill_dev(devices: dict[str, int], made: set[str]) -> None:
    _make("/dev", made)
    _tmpfs(f"{_STAGE}/dev", 1 << 16, mode="755")
    for name, tree in devices.items():
        _attach(tree, f"/dev/{name}", made)
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{_STAGE}/dev/{name}")
    _set_attributes(_AT_FDCWD, f"{_STAGE}/dev", _ATTR_RDONLY)


def _tmpfs(place: str, size: int, *, mode: str) -> None:
    files = max(1024, int(size * _FILES_PER_BYTE))
    _mount("tmpfs", place, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={size},nr_inodes={files},mode={mode}")


def _mount(source: str | None, place: str, kind: str | None, flags: int, data: str | None = None) -> None:
    words = (None if word is None else os.fsencode(word) for word in (source, place, kind))
    syscall("mount", *words, flags, None if data is None else data.encode())


def _set_attributes(directory: int, path: str, attributes: int, flags: int = 0) -> None:
    changes = struct.pack("=4Q", attributes, 0, 0, 0)
    syscall("mount_setattr", directory, os.fsencode(path), flags, changes, len(changes))

"""Walks a tree of folders, in a stable order, with patterns of what to take and what to leave."""

import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

ALWAYS_LEFT_OUT = (
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    ".venv",
    "node_modules",
    ".nox",
    ".tox",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
)
"""Folders that hold what tools made, not what people wrote."""


@lru_cache(maxsize=256)
def pattern(glob: str) -> re.Pattern[str]:
    """A glob as a pattern of relative paths with `/`.

    Args:
        glob: `**` stands for any folders, `*` and `?` for anything inside of one name. Without a `/` it
            is matched against the last name of a path.
    """
    anchored = glob if "/" in glob else f"**/{glob}"
    text = ""
    position = 0
    while position < len(anchored):
        if anchored.startswith("**/", position):
            text += "(?:[^/]+/)*"
            position += 3
        elif anchored.startswith("**", position):
            text += ".*"
            position += 2
        elif anchored[position] == "*":
            text += "[^/]*"
            position += 1
        elif anchored[position] == "?":
            text += "[^/]"
            position += 1
        else:
            text += re.escape(anchored[position])
            position += 1
    return re.compile(text, re.DOTALL)


def walk(
    root: Path, *, include: Sequence[str] = (), exclude: Sequence[str] = (), follow_links: bool = False
) -> Iterator[tuple[Path, str, int]]:
    """Each regular file below a folder: its path, its path relative to the folder, and its size in bytes.

    Args:
        root: The folder.
        include: Globs of the files to take; empty for all.
        exclude: Globs of the files and folders to leave out, beside those that are always left out.
        follow_links: Whether to follow symbolic links to folders and files.

    Raises:
        OSError: `root` cannot be read. A folder below it that cannot be read is left out.
    """
    taken = [pattern(glob) for glob in include]
    left = [pattern(glob) for glob in exclude]
    seen = {_identity(root)}
    folders = [(root, "")]
    while folders:
        folder, relative = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            if folder == root:
                raise
            continue
        below: list[tuple[Path, str]] = []
        for entry in entries:
            path = f"{relative}{entry.name}"
            if entry.name in ALWAYS_LEFT_OUT or any(glob.fullmatch(path) for glob in left):
                continue
            if entry.is_dir(follow_symlinks=follow_links):
                target = Path(entry.path)
                if not follow_links or _identity(target) not in seen:
                    seen.add(_identity(target) if follow_links else (0, 0))
                    below.append((target, f"{path}/"))
            elif entry.is_file(follow_symlinks=follow_links) and (
                not taken or any(glob.fullmatch(path) for glob in taken)
            ):
                yield Path(entry.path), path, entry.stat(follow_symlinks=follow_links).st_size
        folders.extend(reversed(below))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino

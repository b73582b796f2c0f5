"""Where distributions are installed: the directories of `sys.path` and the metadata in them."""

# pathlib alone costs as much as the whole warm start
# ruff: noqa: PTH100, PTH112, PTH116, PTH118, PTH208
import os
import sys

METADATA_SUFFIXES = (".dist-info", ".egg-info")
"""What the directories with a distribution's metadata are named."""


def search_path() -> list[str]:
    """The directories that `sys.path` names, absolute, each once, in order."""
    found = dict.fromkeys(os.path.abspath(entry) for entry in sys.path if isinstance(entry, str))
    return [entry for entry in found if os.path.isdir(entry)]


def metadata_dirs(directory: str) -> list[str]:
    """The metadata directories of the distributions that are installed in a directory, sorted.

    Args:
        directory: A directory of `sys.path`; one that cannot be read has none.
    """
    try:
        names = [name for name in os.listdir(directory) if name.endswith(METADATA_SUFFIXES)]
    except OSError:
        return []
    # pip renames what it is about to remove so that it starts with a tilde
    return [os.path.join(directory, name) for name in sorted(names) if not name.startswith("~")]


def stamp(path: str) -> list[int]:
    """Modification time in nanoseconds and size in bytes, `[0, -1]` of what is not there.

    Args:
        path: A file or a directory.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return [0, -1]
    return [status.st_mtime_ns, status.st_size]

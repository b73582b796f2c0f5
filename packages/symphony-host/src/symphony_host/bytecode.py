"""Forgets compiled code that Python could take for that of source which has changed since."""

from contextlib import suppress
from pathlib import Path

_SECOND_NS = 1_000_000_000


def forget_doubtful(root: Path) -> None:
    """Remove the compiled files below a directory that were written in the second in which their source was.

    Python tells by the second of its last change and by its size whether a source was changed. So what is changed
    twice within a second, to the same size, is the same to it.

    Args:
        root: Directory of a package.
    """
    for compiled in root.rglob("__pycache__/*.pyc"):
        source = compiled.parent.parent / f"{compiled.name.partition('.')[0]}.py"
        with suppress(
            OSError
        ):  # one of them is not there, or may not be removed: then Python has what it has
            written, changed = compiled.stat().st_mtime_ns, source.stat().st_mtime_ns
            if written // _SECOND_NS <= changed // _SECOND_NS + 1:
                compiled.unlink()

"""Remembers that every layer of the sandbox worked here, so that they are not tried again at each start.

Nothing but that is remembered. So whoever changes the file can only have more promised than the machine holds, and
what is promised and refused ends a worker before its extension runs; then it is forgotten.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import symphony_sdk

_FILE: Final = "sandbox.json"
_BOOT: Final = "/proc/sys/kernel/random/boot_id"
_STATUS: Final = ("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp")
_SETTINGS: Final = (
    "/proc/self/attr/current",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_unconfined",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/kernel/unprivileged_userns_clone",
)
"""What an administrator changes to allow or forbid namespaces while the machine runs."""

_LIMITS: Final = "/proc/sys/user"
"""How many namespaces of each kind there may be."""


class KeptTrial:
    """The file in which it is remembered.

    Args:
        directory: Where it is; made if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def holds(self) -> bool:
        """Whether every layer has worked in just these surroundings."""
        try:
            return (
                msgspec.json.decode((self._directory / _FILE).read_bytes(), type=list[str]) == _surroundings()
            )
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False

    def put(self) -> None:
        """Remember that every layer works; where that cannot be written, they are tried again the next time."""
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._directory, suffix=".part")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(msgspec.json.encode(_surroundings()))
                Path(name).replace(self._directory / _FILE)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def forget(self) -> None:
        """Have every layer tried again the next time."""
        with suppress(OSError):
            (self._directory / _FILE).unlink()


def _surroundings() -> list[str]:
    """All that the layers depend on: this start of the machine, what this process may do there, and this code."""
    return [
        *os.uname(),
        _text(_BOOT),
        sys.executable,
        sys.version,
        symphony_sdk.__version__,
        *_code(),
        *(line for line in _text("/proc/self/status").splitlines() if line.startswith(_STATUS)),
        *sorted(str(path.readlink()) for path in Path("/proc/self/ns").iterdir()),
        *map(_text, _SETTINGS),
        *(_text(path) for path in sorted(Path(_LIMITS).iterdir())),
        str(Path("/").stat()[:3]),
    ]


def _code() -> Iterator[str]:
    """The files of the sandbox: who works on them tries them anew."""
    with os.scandir(Path(__file__).parent) as entries:
        yield from sorted(f"{entry.name} {entry.stat().st_mtime_ns}" for entry in entries if entry.is_file())


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""

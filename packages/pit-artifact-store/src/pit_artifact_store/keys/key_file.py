"""The file that has the master keys where there is neither a passphrase nor a keyring; one line for each key.

Each line is the id of a key and the key, in hex digits. All stores of a user share the file.
"""

import errno
import os
from pathlib import Path
from typing import Final

from symphony_sdk.errors import ArtifactError

from pit_artifact_store.keys import private_files

NAME: Final = "artifact-master.key"

_TOP: Final = "# Master keys of Symphony's artifact stores: ID KEY. Keep this file secret, and back it up."
_REFUSED: Final = "the file of master keys cannot be used"
_HINT: Final = (
    "Give this user the right to read and write there; or set SYMPHONY_ARTIFACT_PASSPHRASE for a new store."
)


def default_path() -> Path:
    """Where the file is: in Symphony's configuration directory of this user."""
    chosen = os.environ.get("SYMPHONY_CONFIG_DIR", "").strip()
    base = os.environ.get("XDG_CONFIG_HOME", "").strip() or "~/.config"
    return Path(chosen or f"{base}/symphony").expanduser().absolute() / NAME


def add(path: Path, id: str, master: bytes) -> None:
    """Write a key into the file, durable when this returns.

    Args:
        path: The file; it is made where it is not there.
        id: Id of the key.
        master: The key.

    Raises:
        ArtifactError: It cannot be written.
    """
    with private_files.refusals_named(_REFUSED, path, _HINT):
        if not str(path).isprintable():
            raise OSError(errno.EILSEQ, "a path that the file `keys` can name is printable text")
        private_files.make_directory(path.parent)
        with private_files.locked(path):
            lines = _lines(path) or [_TOP]
            _write(path, [*lines, f"{id} {master.hex()}"])


def look_up(path: Path, id: str) -> bytes | None:
    """A key from the file; None where it has none of that id.

    Args:
        path: The file.
        id: Id of the key.

    Raises:
        ArtifactError: It cannot be read, or others than its owner can read it.
    """
    with private_files.refusals_named(_REFUSED, path, _HINT):
        for line in _lines(path):
            match line.split():
                case [found, key] if found == id:
                    return from_hex(key)
    return None


def remove(path: Path, id: str) -> None:
    """Take a key out of the file; the others stay.

    Args:
        path: The file.
        id: Id of the key.

    Raises:
        ArtifactError: It cannot be written.
    """
    with private_files.refusals_named(_REFUSED, path, _HINT):
        if not path.exists():
            return
        with private_files.locked(path):
            lines = _lines(path)
            kept = [line for line in lines if line.split()[:1] != [id]]
            if kept != lines:
                _write(path, kept)


def from_hex(text: str) -> bytes:
    """A key from its hex digits; something that is no key from other text.

    Args:
        text: The digits.
    """
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _lines(path: Path) -> list[str]:
    if not path.is_file():  # a forged file `keys` may name anything, such as a pipe that nobody writes to
        return []
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & 0o077:
            raise ArtifactError(
                f"others than its owner may use the file of master keys: its mode is {mode:04o}, expected 0600",
                code="SYM-A033",
                hint=f"Run `chmod 600 {path}`, and rotate the keys if somebody may have read them.",
                file=str(path),
            )
        return file.read().splitlines()


def _write(path: Path, lines: list[str]) -> None:
    private_files.replace(path, "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))

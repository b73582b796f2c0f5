"""Which extensions are quarantined, kept across starts until their code or settings change, or the user acts.

Each is one small file with its id as name: on the first line the fingerprint that it had, then the reason. So a
command that starts nothing can tell of it and lift it, and it imports nothing heavy for that.
"""

import os
import tempfile
from pathlib import Path


class Quarantine:
    """The quarantined extensions of a user.

    Args:
        directory: Where the files are; made when it is first written to.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def reason(self, extension: str, fingerprint: str | None = None) -> str:
        """Why an extension is quarantined; empty where it is not.

        Args:
            extension: Its id.
            fingerprint: What it is now: for another one than it had, the quarantine does not hold. None holds always.
        """
        try:
            had, _, reason = (self._directory / extension).read_text("utf-8").partition("\n")
        except (OSError, ValueError):
            return ""
        return reason if fingerprint in (None, had) else ""

    def put(self, extension: str, fingerprint: str, reason: str) -> None:
        """Quarantine an extension.

        Args:
            extension: Its id.
            fingerprint: What it is.
            reason: Why, for people.

        Raises:
            OSError: It cannot be kept.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._directory, prefix=".")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{fingerprint}\n{reason}")
            Path(name).replace(self._directory / extension)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def lift(self, extension: str) -> bool:
        """Let an extension be started again; whether it was quarantined.

        Args:
            extension: Its id.

        Raises:
            OSError: It cannot be kept.
        """
        try:
            (self._directory / extension).unlink()
        except FileNotFoundError:
            return False
        return True

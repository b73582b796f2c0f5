"""Which extensions the user has switched off, kept across starts.

Each switched-off extension is one small file whose name is its id and whose text is the reason. So two
commands at once lose nothing, a broken extension can be switched off, and no file can be damaged that says
more than one thing.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote


class Enablement:
    """The switched-off extensions of a user.

    Args:
        directory: Where the files are; made when it is first written to.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def disabled(self) -> Mapping[str, str]:
        """The reason of each switched-off extension by id, sorted; empty where nothing was ever switched off.

        Raises:
            OSError: The directory is there and cannot be read.
        """
        try:
            files = sorted(self._directory.iterdir())
        except FileNotFoundError:
            return {}
        return {unquote(file.name): _reason_in(file) for file in files if not file.name.startswith(".")}

    def disable(self, extension: str, reason: str = "") -> None:
        """Switch an extension off; whether it is installed does not matter.

        Args:
            extension: Its id.
            reason: Why, in a line for people.

        Raises:
            OSError: It cannot be kept.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self._directory, prefix=".", delete=False
        ) as stream:
            stream.write(reason)
        os.replace(stream.name, self._file(extension))  # noqa: PTH105 - the name is text

    def enable(self, extension: str) -> bool:
        """Switch an extension on again.

        Args:
            extension: Its id.

        Returns:
            Whether it was switched off.

        Raises:
            OSError: It cannot be kept.
        """
        try:
            self._file(extension).unlink()
        except FileNotFoundError:
            return False
        return True

    def _file(self, extension: str) -> Path:
        # a name must not begin with a dot: those are files being written
        return self._directory / quote(extension, safe="").replace(
            ".", "%2E", 1 if extension[:1] == "." else 0
        )


def _reason_in(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (FileNotFoundError, ValueError):  # switched on just now; not text
        return ""

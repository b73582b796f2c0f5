"""The context: everything that an extension may touch while it runs."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Literal, Protocol, overload

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import Cancelled
from symphony_sdk.permissions import Access, PermissionSet

LogLevel = Literal["debug", "info", "warning", "error"]


class Artifacts(Protocol):
    """The Artifact Store as an extension sees it."""

    def put(
        self,
        data: bytes,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ArtifactRef:
        """Store bytes.

        Args:
            data: The bytes, of any size.
            name: File name for people.
            media_type: Such as `text/html`.
            metadata: Facts to keep beside it.

        Raises:
            ArtifactError: They cannot be stored.
        """

    def get(self, ref: ArtifactRef | str) -> bytes:
        """All bytes of an artifact.

        Args:
            ref: The artifact or its id.

        Raises:
            ArtifactError: There is no such artifact, or it is damaged.
        """


class Log:
    """The log of an extension; its lines reach the user with the extension's and the node's name.

    Args:
        write: Takes the level and the line.
    """

    def __init__(self, write: Callable[[LogLevel, str], None]) -> None:
        self._write = write

    def debug(self, text: str) -> None:
        """Write what only the author wants to know."""
        self._write("debug", text)

    def info(self, text: str) -> None:
        """Write what was done."""
        self._write("info", text)

    def warning(self, text: str) -> None:
        """Write what looks wrong while the work goes on."""
        self._write("warning", text)

    def error(self, text: str) -> None:
        """Write what failed while the work goes on."""
        self._write("error", text)


class Files:
    """The file system, as far as the extension's manifest declares it.

    Args:
        permissions: What the manifest declares.
    """

    def __init__(self, permissions: PermissionSet) -> None:
        self._permissions = permissions

    def check(self, path: str | Path, scope: Literal["read", "write"]) -> Path:
        """The absolute path, if the manifest declares it.

        Args:
            path: A file or a directory; symbolic links are followed before the check.
            scope: What is to be done with it.

        Raises:
            PermissionDenied: The manifest does not declare it.
        """
        resolved = Path(path).expanduser().resolve()
        self._permissions.check(Access("file", scope, str(resolved)))
        return resolved

    @overload
    def open(self, path: str | Path, mode: Literal["r", "w", "a"]) -> IO[str]: ...
    @overload
    def open(self, path: str | Path, mode: Literal["rb", "wb", "ab"] = "rb") -> IO[bytes]: ...
    def open(self, path: str | Path, mode: str = "rb") -> IO[Any]:
        """Open a file; text is UTF-8.

        Args:
            path: The file.
            mode: As for the built-in `open`.

        Raises:
            PermissionDenied: The manifest does not declare it.
            OSError: It cannot be opened.
        """
        checked = self.check(path, "read" if mode.startswith("r") else "write")
        return checked.open(mode, encoding=None if "b" in mode else "utf-8")

    def read_bytes(self, path: str | Path) -> bytes:
        """All bytes of a file; raises as [open][symphony_sdk.extension.context.Files.open]."""
        return self.check(path, "read").read_bytes()

    def read_text(self, path: str | Path) -> str:
        """All text of a UTF-8 file; raises as [open][symphony_sdk.extension.context.Files.open]."""
        return self.check(path, "read").read_text("utf-8")

    def write_bytes(self, path: str | Path, data: bytes) -> None:
        """Write a file anew; raises as [open][symphony_sdk.extension.context.Files.open]."""
        self.check(path, "write").write_bytes(data)

    def write_text(self, path: str | Path, text: str) -> None:
        """Write a UTF-8 file anew; raises as [open][symphony_sdk.extension.context.Files.open]."""
        self.check(path, "write").write_text(text, "utf-8")


class Context:
    """What one call of an extension may touch, and how it tells the host where it is.

    Args:
        config: The extension's settings.
        files: The file system, as far as declared.
        artifacts: The Artifact Store.
        log: The extension's log.
        progress: Takes the fraction done and a text.
        cancelled: Set when the call is cancelled.
        run: Id of the run; empty outside of one.
        node: Id of the node; empty outside of a run.
        attempt: Number of this attempt, counted from 1.
        item: Index of the item in a fan-out; -1 outside of one.
    """

    def __init__(
        self,
        *,
        config: Mapping[str, Any],
        files: Files,
        artifacts: Artifacts,
        log: Log,
        progress: Callable[[float, str], None],
        cancelled: threading.Event,
        run: str = "",
        node: str = "",
        attempt: int = 1,
        item: int = -1,
    ) -> None:
        self.config = config
        self.files = files
        self.artifacts = artifacts
        self.log = log
        self.run = run
        self.node = node
        self.attempt = attempt
        self.item = item
        self._progress = progress
        self._cancelled = cancelled

    def progress(self, fraction: float, text: str = "") -> None:
        """Tell how far the call is.

        Args:
            fraction: From 0 to 1; values outside are clipped.
            text: What is being done, for a person.

        Raises:
            Cancelled: The call was cancelled; let it pass through.
        """
        self.check_cancelled()
        self._progress(min(max(fraction, 0.0), 1.0), text)

    @property
    def cancelled(self) -> bool:
        """Whether the call was cancelled and should end soon."""
        return self._cancelled.is_set()

    def check_cancelled(self) -> None:
        """Do nothing, unless the call was cancelled.

        Raises:
            Cancelled: It was; let it pass through.
        """
        if self.cancelled:
            raise Cancelled(f"the call was cancelled{f' in node {self.node!r}' if self.node else ''}")

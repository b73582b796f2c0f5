"""The context: everything that an extension may touch while it runs."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import Cancelled
from symphony_sdk.extension.files import Files
from symphony_sdk.extension.models import Models
from symphony_sdk.extension.network import Network

if TYPE_CHECKING:
    import socket

    from symphony_sdk.extension.http import Http

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


class Context:
    """What one call of an extension may touch, and how it tells the host where it is.

    Args:
        config: The extension's settings.
        files: The file system, as far as declared.
        network: The network, as far as declared.
        artifacts: The Artifact Store.
        models: The models of other extensions, as far as declared.
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
        network: Network,
        artifacts: Artifacts,
        models: Models,
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
        self.models = models
        self.log = log
        self.run = run
        self.node = node
        self.attempt = attempt
        self.item = item
        self._network = network
        self._progress = progress
        self._cancelled = cancelled
        self._told = (0.0, "")

    @property
    def idempotency_key(self) -> str:
        """Names this attempt: equal where it is delivered twice, different for each further attempt.

        Give it to services that carry a request out once however often they get it. Where that is to hold over all
        attempts at a node, make the key of `run`, `node` and `item` alone.
        """
        return f"{self.run}/{self.node}/{self.item}/{self.attempt}"

    @property
    def http(self) -> "Http":
        """Asks HTTP servers that the manifest declares: `ctx.http.get("https://api.example.org/")`."""
        from symphony_sdk.extension.http import Http  # http.client costs 20 ms that few extensions need

        return Http(self._network)

    def connect(self, host: str, port: int, timeout: float | None = None) -> "socket.socket":
        """A connected TCP socket, made by the host; TLS is for the extension to speak on it.

        Args:
            host: A name or an address that the manifest declares.
            port: The port.
            timeout: Seconds until the connection stands, and then of each wait on it; None for the host's bound,
                and none on the connection.

        Raises:
            PermissionDenied: The manifest does not declare it, the user does not allow it, or the name leads
                elsewhere.
            OSError: The server cannot be reached.
        """
        return self._network.connect(host, port, timeout)

    def progress(self, fraction: float, text: str = "") -> None:
        """Tell how far the call is.

        Args:
            fraction: From 0 to 1; values outside are clipped.
            text: What is being done, for a person.

        Raises:
            Cancelled: The call was cancelled; let it pass through.
        """
        self.check_cancelled()
        self._told = (min(max(fraction, 0.0), 1.0), text)
        self._progress(*self._told)

    def heartbeat(self) -> None:
        """Tell that the call is at work, where there is no progress to tell: an `idle_timeout` counts anew.

        Raises:
            Cancelled: The call was cancelled; let it pass through.
        """
        self.check_cancelled()
        self._progress(*self._told)

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

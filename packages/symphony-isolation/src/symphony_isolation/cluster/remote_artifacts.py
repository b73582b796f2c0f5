"""The Artifact Store of the host, as the workers on another machine reach it: by requests to the host.

Only the methods that workers need are there; they block, and are called from threads.
"""

import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError, PeerGone, SymphonyError, error_from_payload
from symphony_sdk.messages import ArtifactData, ArtifactStored, GetArtifact, PutArtifact
from symphony_sdk.ports import ArtifactInfo, Durability, Lineage

from symphony_isolation.broker.artifact_requests import PART_LIMIT
from symphony_isolation.cluster.messages import Answer, Ask

NO_LINEAGE: Final = Lineage()


class RemoteArtifacts:
    """The requests of one machine that wait for the host's answer.

    Args:
        ask: Sends a request; may be called from any thread.
    """

    def __init__(self, ask: Callable[[Ask], None]) -> None:
        self._ask = ask
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Answer]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def put(
        self,
        data: bytes,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        lineage: Lineage = NO_LINEAGE,
        durability: Durability = "group",
    ) -> ArtifactRef:
        """Store bytes in the host, in parts.

        Args:
            data: The bytes.
            name: File name for people.
            media_type: Such as `text/html`.
            metadata: Facts to keep beside them.
            lineage: Where they come from: the run, the node, the extension and its version.
            durability: The host's choice; not sent.

        Raises:
            ArtifactError: The host refuses them.
            PeerGone: The host is gone.
        """
        upload = next(self._numbers)
        for offset in range(0, max(1, len(data)), PART_LIMIT):
            last = offset + PART_LIMIT >= len(data)
            part = PutArtifact(
                data[offset : offset + PART_LIMIT],
                upload,
                last,
                name,
                media_type,
                dict(metadata or {}),
                lineage.run,
                lineage.node,
            )
            stored = self._answer(lineage.extension, put=part, version=lineage.version).stored
        return _ref(stored)

    def info(self, id: str) -> ArtifactInfo:
        """What the host knows of an artifact: its size.

        Args:
            id: Id of the artifact.

        Raises:
            ArtifactError: There is none.
            PeerGone: The host is gone.
        """
        return ArtifactInfo(ArtifactRef(id=id, size=self._read(id, 0, 0).size), created=0.0)

    def read(self, id: str, offset: int, length: int) -> bytes:
        """Bytes of an artifact.

        Args:
            id: Id of the artifact.
            offset: First byte.
            length: How many, at most `PART_LIMIT`.

        Raises:
            ArtifactError: There is none, or it is damaged.
            PeerGone: The host is gone.
        """
        return self._read(id, offset, length).data

    def answered(self, answer: Answer) -> None:
        """Take an answer of the host.

        Args:
            answer: What it says.
        """
        with self._lock:
            future = self._waiting.pop(answer.number, None)
        if future is not None:
            future.set_result(answer)

    def close(self) -> None:
        """Let nobody wait any more: the host is gone."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for future in waiting:
            future.set_exception(_gone())

    def _read(self, id: str, offset: int, length: int) -> ArtifactData:
        data = self._answer("", get=GetArtifact(id, offset, length)).data
        if data is None:
            raise ArtifactError(f"the host answered the request for artifact {id} without its bytes")
        return data

    def _answer(
        self,
        extension: str,
        *,
        put: PutArtifact | None = None,
        get: GetArtifact | None = None,
        version: str = "",
    ) -> Answer:
        number, future = next(self._numbers), Future[Answer]()
        with self._lock:
            if self._closed:
                raise _gone()
            self._waiting[number] = future
        self._ask(Ask(number, extension, put, get, version))
        answer = future.result()
        if answer.error is not None:
            raise error_from_payload(answer.error)
        return answer


def _ref(stored: ArtifactStored | None) -> ArtifactRef:
    if stored is None or stored.ref is None:
        raise ArtifactError("the host answered an artifact that was sent to it without its id")
    return stored.ref


def _gone() -> SymphonyError:
    return PeerGone("the host is gone, and with it the Artifact Store", hint="Resume the run.")

"""Answers what a worker asks of the Artifact Store: in a thread, in bounded memory, for its own calls alone."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
from symphony_sdk.errors import ArtifactError, TransportError
from symphony_sdk.messages import ArtifactData, ArtifactStored, GetArtifact, PutArtifact, message_type
from symphony_sdk.ports import ArtifactStore, Lineage

PART_LIMIT: Final = 8 << 20
"""Bytes of an artifact that travel in one message."""

PENDING_LIMIT: Final = 512 << 20
"""Bytes of artifacts that one worker has sent in part."""

UPLOADS_LIMIT: Final = 256
"""Artifacts of one worker that are sent in part."""


class ArtifactRequests:
    """The Artifact Store as one worker reaches it.

    Args:
        extension: Id of the extension; every artifact that it stores says so.
        version: Version of the extension; likewise.
        artifacts: Gives the store.
        calls: Counts the calls under way of each node, for all that share it; the worker's own alone, unless given.
    """

    def __init__(
        self,
        extension: str,
        version: str,
        artifacts: Callable[[], ArtifactStore],
        calls: Counter[tuple[str, str]] | None = None,
    ) -> None:
        self._extension = extension
        self._version = version
        self._artifacts = artifacts
        self._calls: Counter[tuple[str, str]] = Counter() if calls is None else calls
        self._parts: dict[int, list[bytes]] = {}
        self._pending = 0

    def begin(self, run: str, node: str) -> None:
        """The worker begins a call for a node: it may store artifacts for it.

        Args:
            run: Id of the run.
            node: Id of the node.
        """
        self._calls[run, node] += 1

    def end(self, run: str, node: str) -> None:
        """A call has ended.

        Args:
            run: Id of the run.
            node: Id of the node.
        """
        self._calls[run, node] -= 1
        if not self._calls[run, node]:
            del self._calls[run, node]

    async def answer(self, message: msgspec.Struct) -> msgspec.Struct:
        """Answer a request of the worker.

        Args:
            message: What it asks.

        Raises:
            ArtifactError: The store refuses, or the worker asks for more than it may.
            TransportError: It asks for something else.
        """
        match message:
            case PutArtifact():
                return await self._put(message)
            case GetArtifact():
                return await asyncio.to_thread(self._get, message)
            case _:
                raise TransportError(
                    f"{self._extension!r} asks the host with {message_type(message)!r}, which workers may not",
                    code="SYM-E035",
                )

    async def _put(self, part: PutArtifact) -> ArtifactStored:
        if part.run and (part.run, part.node) not in self._calls:
            raise ArtifactError(
                f"{self._extension!r} stores an artifact for node {part.node!r} of run {part.run!r}, "
                "on which it does not work",
                code="SYM-E035",
                hint="Store artifacts before the operation returns.",
            )
        parts = self._parts.get(part.upload, [])
        held = self._pending + len(part.data)
        if len(part.data) > PART_LIMIT or held > PENDING_LIMIT or len(self._parts) > UPLOADS_LIMIT:
            raise ArtifactError(
                f"{self._extension!r} sends {len(part.data):,} bytes at once, {held:,} in {len(self._parts)} "
                f"unfinished artifacts; {PART_LIMIT:,}, {PENDING_LIMIT:,} and {UPLOADS_LIMIT} are allowed",
                code="SYM-E035",
                hint="Store large results as several artifacts.",
            )
        parts.append(part.data)
        self._pending = held
        if not part.last:
            self._parts[part.upload] = parts
            return ArtifactStored()
        self._parts.pop(part.upload, None)
        try:
            ref = await asyncio.to_thread(
                self._artifacts().put,
                parts[0] if len(parts) == 1 else b"".join(parts),
                name=part.name,
                media_type=part.media_type,
                metadata=part.metadata,
                lineage=Lineage(
                    run=part.run, node=part.node, extension=self._extension, version=self._version
                ),
            )
        finally:
            self._pending -= sum(map(len, parts))
        return ArtifactStored(ref)

    def _get(self, wanted: GetArtifact) -> ArtifactData:
        if not 0 <= wanted.length <= PART_LIMIT or wanted.offset < 0:
            raise ArtifactError(
                f"{self._extension!r} asks for {wanted.length:,} bytes from {wanted.offset:,} of an artifact; "
                f"0 to {PART_LIMIT:,} are given at once",
                code="SYM-E035",
            )
        store = self._artifacts()
        size = store.info(wanted.id).ref.size
        return ArtifactData(store.read(wanted.id, wanted.offset, wanted.length), size)

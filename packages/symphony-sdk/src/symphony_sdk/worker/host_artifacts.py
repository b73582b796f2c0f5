"""The Artifact Store of the host, as a call in a worker reaches it."""

from collections.abc import Iterator, Mapping
from typing import Final

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import TransportError
from symphony_sdk.messages import ArtifactData, ArtifactStored, GetArtifact, PutArtifact
from symphony_sdk.worker.channel import Channel

PART: Final = 8 << 20
"""Bytes of an artifact that travel in one message."""


class HostArtifacts:
    """The Artifact Store behind the channel, as one call sees it.

    Args:
        channel: The connection to the host.
        uploads: Numbers the artifacts of the process.
        run: Id of the run; empty outside of one.
        node: Id of the node; empty outside of a run.
    """

    def __init__(self, channel: Channel, uploads: Iterator[int], run: str = "", node: str = "") -> None:
        self._channel = channel
        self._uploads = uploads
        self._run = run
        self._node = node

    def put(
        self,
        data: bytes,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ArtifactRef:
        """Store bytes; see [Artifacts.put][symphony_sdk.extension.context.Artifacts.put]."""
        upload = next(self._uploads)
        view = memoryview(data)
        for start in range(0, max(len(view), 1), PART):
            stored = self._channel.request(
                PutArtifact(
                    data=bytes(view[start : start + PART]),
                    upload=upload,
                    last=start + PART >= len(view),
                    name=name,
                    media_type=media_type,
                    metadata=dict(metadata or {}),
                    run=self._run,
                    node=self._node,
                ),
                ArtifactStored,
            )
        if stored.ref is None:
            raise TransportError("the host stored an artifact and did not say which")
        return stored.ref

    def get(self, ref: ArtifactRef | str) -> bytes:
        """All bytes of an artifact; see [Artifacts.get][symphony_sdk.extension.context.Artifacts.get]."""
        id = ref if isinstance(ref, str) else ref.id
        data = bytearray()
        while True:
            part = self._channel.request(GetArtifact(id, offset=len(data), length=PART), ArtifactData)
            data += part.data
            if len(data) >= part.size:
                return bytes(data)
            if not part.data:
                raise TransportError(f"the host sent {len(data)} of the {part.size} bytes of artifact {id}")

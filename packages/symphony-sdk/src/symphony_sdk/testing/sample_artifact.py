"""An artifact that a test makes up, for scorers and for operators that take artifacts."""

import msgspec

from symphony_sdk.contributions import Artifact
from symphony_sdk.extension import Context


class SampleArtifact(msgspec.Struct, frozen=True):
    """An artifact that is nowhere yet.

    Args:
        data: Its bytes.
        media_type: Such as `text/html`.
        name: File name for people.
        metadata: Facts kept beside it.
        tags: The tags that it has.
        created: Unix time in seconds when it was first stored.
    """

    data: bytes
    media_type: str = "application/octet-stream"
    name: str = ""
    metadata: dict[str, str] = {}
    tags: tuple[str, ...] = ()
    created: float = 0.0

    def put(self, ctx: Context) -> Artifact:
        """Put it into the artifacts of a context, and give it as a scorer is given it.

        Args:
            ctx: The context that the scorer is to be called with.
        """
        ref = ctx.artifacts.put(self.data, name=self.name, media_type=self.media_type, metadata=self.metadata)
        return Artifact(ref.id, ref.size, self.media_type, self.name, self.metadata, self.tags, self.created)

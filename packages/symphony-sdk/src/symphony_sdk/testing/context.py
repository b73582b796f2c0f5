"""A context for tests: it records what an extension says, keeps its artifacts in memory, and runs models of the test."""

import threading
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError
from symphony_sdk.extension import Context, Files, Log, OwnNetwork
from symphony_sdk.messages import Progress
from symphony_sdk.permissions import PermissionSet
from symphony_sdk.testing.models import FakeModels


class RecordingArtifacts:
    """The Artifact Store of a [RecordingContext][symphony_sdk.testing.context.RecordingContext]."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def put(
        self,
        data: bytes,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ArtifactRef:
        """Keep bytes in memory."""
        id = sha256(data).hexdigest()
        self.stored[id] = bytes(data)
        return ArtifactRef(id, len(data), media_type, name)

    def get(self, ref: ArtifactRef | str) -> bytes:
        """Bytes that were put here before."""
        id = ref if isinstance(ref, str) else ref.id
        if id not in self.stored:
            raise ArtifactError(
                f"there is no artifact {id!r}", hint="Put it into the context's artifacts first."
            )
        return self.stored[id]


class RecordingContext(Context):
    """A context that records.

    Attributes:
        progressed: Every progress that was told.
        lines: Every line of the log, with its level.
        artifacts: The store, with everything in `artifacts.stored`.
        models: The models that the test gave, with what was run in `models.ran`.
    """

    progressed: list[Progress]
    lines: list[tuple[str, str]]
    artifacts: RecordingArtifacts
    models: FakeModels

    def cancel(self) -> None:
        """Cancel the call, as a user would."""
        self._cancelled.set()


def recording_context(
    *,
    config: Mapping[str, Any] | None = None,
    permissions: Iterable[str] = ("file:read,write:/**", "model:read,execute:**"),
    models: Mapping[str, Callable[..., Any]] | None = None,
    run: str = "",
    node: str = "",
    attempt: int = 1,
    item: int = -1,
    on_progress: Callable[[Progress], None] | None = None,
) -> RecordingContext:
    """A context for a test.

    Args:
        config: The extension's settings.
        permissions: What the extension may touch, in the text form of the permission grammar.
        models: Stand-ins for models of other extensions, by name: functions that are annotated as the instrument's
            `infer` is, without the context.
        run: Id of the run.
        node: Id of the node.
        attempt: Number of this attempt, counted from 1.
        item: Index of the item in a fan-out; -1 outside of one.
        on_progress: Takes each progress as well.
    """
    progressed: list[Progress] = []
    lines: list[tuple[str, str]] = []

    def progress(fraction: float, text: str) -> None:
        progressed.append(Progress(fraction, text))
        if on_progress is not None:
            on_progress(progressed[-1])

    declared = PermissionSet.parse(permissions)
    context = RecordingContext(
        config=dict(config or {}),
        files=Files(declared),
        network=OwnNetwork(declared),
        artifacts=RecordingArtifacts(),
        models=FakeModels(models or {}, declared),
        log=Log(lambda level, text: lines.append((level, text))),
        progress=progress,
        cancelled=threading.Event(),
        run=run,
        node=node,
        attempt=attempt,
        item=item,
    )
    context.progressed = progressed
    context.lines = lines
    return context

"""The operations of an extension that runs in the host: what they may touch, and where their calls go."""

import threading
from collections.abc import Mapping
from typing import Any

from symphony_isolation import HostLane, fingerprint
from symphony_sdk.contributions import ArtifactRef, ModelInfo
from symphony_sdk.errors import AccessFailed
from symphony_sdk.extension import Context, Files, Log, ModelOutputs, Network
from symphony_sdk.loading import Contributions
from symphony_sdk.ports import ExtensionInfo, Lineage, PitPort
from symphony_sdk.worker import RunningCall

from symphony_host.records import ExtensionRecord


class HostedContext:
    """Makes the contexts of one extension that runs in the host.

    Args:
        extension: Its id.
        version: Its version.
        config: Its settings.
        files: The file system, as far as its manifest declares it.
        network: The network, as far as its manifest declares it.
        log: Its log.
        pit: The components of the Pit.
    """

    def __init__(
        self,
        extension: str,
        version: str,
        config: Mapping[str, Any],
        files: Files,
        network: Network,
        log: Log,
        pit: PitPort,
    ) -> None:
        self.config = config
        self.log = log
        self._extension = extension
        self._version = version
        self._files = files
        self._network = network
        self._pit = pit

    def of_hook(self) -> Context:
        """The context of a hook, which belongs to no run."""
        return Context(
            config=self.config,
            files=self._files,
            network=self._network,
            artifacts=_HostArtifacts(self._pit, None),
            models=_NoModels(self._extension),
            log=self.log,
            progress=lambda fraction, text: None,
            cancelled=threading.Event(),
        )

    def of_call(self, call: RunningCall) -> Context:
        """The context of a call.

        Args:
            call: The call.
        """
        message = call.message
        return Context(
            config=self.config,
            files=self._files,
            network=self._network,
            artifacts=_HostArtifacts(
                self._pit, Lineage(message.run, message.node, self._extension, version=self._version)
            ),
            models=_NoModels(self._extension),
            log=self.log,
            progress=call.on_progress,
            cancelled=call.cancelled,
            run=message.run,
            node=message.node,
            attempt=message.attempt,
            item=message.item,
        )


def host_lane(record: ExtensionRecord, contributions: Contributions, context: HostedContext) -> HostLane:
    """Where the calls of an active extension in the host go.

    Args:
        record: The extension.
        contributions: Its code.
        context: Makes its contexts.
    """
    info = ExtensionInfo(
        record.id,
        record.version,
        record.kind,
        "active",
        operations=tuple(operation.spec for operation in contributions.operations.values()),
        addons=tuple(addon.spec for addon in contributions.addons),
        fingerprint=fingerprint(record.fingerprint(), record.version, context.config),
        permissions=tuple(str(permission) for permission in record.manifest.permissions),
    )
    return HostLane(info, contributions, context=context.of_call, log=context.log.error)


class _HostArtifacts:
    """The Artifact Store as an extension in the host sees it."""

    def __init__(self, pit: PitPort, lineage: Lineage | None) -> None:
        self._pit = pit
        self._lineage = lineage

    def put(
        self,
        data: bytes,
        *,
        name: str = "",
        media_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> ArtifactRef:
        return self._pit.artifacts.put(
            data, name=name, media_type=media_type, metadata=metadata, lineage=self._lineage
        )

    def get(self, ref: ArtifactRef | str) -> bytes:
        return self._pit.artifacts.get(ref if isinstance(ref, str) else ref.id)


class _NoModels:
    """Says that an extension in the host reaches no models; adapter of `Models`."""

    def __init__(self, extension: str) -> None:
        self._extension = extension

    def describe(self, name: str) -> ModelInfo:
        raise self._refusal()

    def list(self, pattern: str = "**") -> tuple[str, ...]:
        raise self._refusal()

    def run(self, name: str, /, **inputs: Any) -> ModelOutputs:
        raise self._refusal()

    def _refusal(self) -> AccessFailed:
        return AccessFailed(
            f"{self._extension!r} runs in the host itself, where `ctx.models` reaches nothing",
            code="SYM-P046",
            hint='Let it run in a worker, `runs = "worker"`, or take the result of a model from a node before its own.',
        )

"""Spills large outputs to the Artifact Store, and finds the artifacts among small ones."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError, MalformedMessage, PortError, RunError
from symphony_sdk.ports import ArtifactStore, Lineage
from symphony_sdk.providers import Services
from symphony_sdk.values import UNTYPED_LIMIT, decode

from pit_dag_tracker.entries import Stored

INLINE = 32 << 10
"""Bytes of the largest value that always stands in the log itself."""

INLINE_AT_NEED = 16 << 20
"""Bytes of the largest value that stands in the log where the Artifact Store cannot take it."""

MEDIA_TYPE = "application/vnd.msgpack"

_log = logging.getLogger(__name__)

_ARTIFACT = b"$type"
_NOT_THERE = ("SYM-A002", "SYM-A003", "SYM-A004")
_LEAST_REF = 20
"""Bytes of the smallest map that has `$type`, `artifact` and an `id`; most values are smaller and not searched."""
_DEEPEST = 32


class Spill:
    """Keeps the outputs of one run; its methods may be called from any thread.

    Args:
        services: Gives the Artifact Store.
        run: Id of the run.
    """

    def __init__(self, services: Services, run: str) -> None:
        self._services = services
        self._run = run

    def keep(self, node: str, outputs: Mapping[str, bytes], sources: Sequence[str] = ()) -> dict[str, Stored]:
        """The outputs of a node as the log holds them; the artifacts among them say from now on what they come from.

        Args:
            node: Id of the node.
            outputs: Encoded values by port name.
            sources: Ids of the artifacts that it was given.

        Raises:
            RunError: The Artifact Store cannot take a value that is too large for the log.
        """
        self._derive(node, artifact_ids(outputs), sources)
        return {
            port: value if len(value) <= INLINE else self._put(node, port, value, sources)
            for port, value in outputs.items()
        }

    def _derive(self, node: str, made: Sequence[str], sources: Sequence[str]) -> None:
        new = [id for id in made if id not in sources]
        if new and sources:
            try:
                artifacts = self._services.pit.artifacts
                artifacts.derive(
                    [id for id in new if _is_there(artifacts, id)],
                    [id for id in sources if _is_there(artifacts, id)],
                )
            except (ArtifactError, PortError, OSError) as error:
                # The results are worth more than to know where they come from.
                _log.warning("what the artifacts of node %r were made from is not kept: %s", node, error)

    def load(self, stored: Mapping[str, Stored]) -> dict[str, bytes]:
        """The outputs that [keep][pit_dag_tracker.spill.Spill.keep] took.

        Args:
            stored: What the log holds.

        Raises:
            ArtifactError: An artifact is missing or damaged.
            PortError: There is no Artifact Store.
        """
        return {
            port: value if isinstance(value, bytes) else self._get(value) for port, value in stored.items()
        }

    def _put(self, node: str, port: str, value: bytes, sources: Sequence[str]) -> Stored:
        try:
            return self._services.pit.artifacts.put(
                value,
                name=f"{node}.{port}.msgpack",
                media_type=MEDIA_TYPE,
                lineage=Lineage(run=self._run, node=node, inputs=tuple(sources)),
                durability="group",
            )
        except (ArtifactError, PortError, OSError) as error:
            if len(value) <= INLINE_AT_NEED:
                return value
            raise RunError(
                f"output {port!r} of node {node!r} has {len(value):,} bytes and cannot be stored: {error}",
                code="SYM-R013",
                hint="Make room for the Artifact Store, then resume the run.",
            ) from error

    def _get(self, ref: ArtifactRef) -> bytes:
        data = self._services.pit.artifacts.read(ref.id, 0, ref.size)
        if len(data) != ref.size:
            raise ArtifactError(
                f"artifact {ref.id} has {len(data):,} bytes where {ref.size:,} were stored",
                hint="Resume the run: the node that made it runs again.",
            )
        return data


def _is_there(artifacts: ArtifactStore, id: str) -> bool:
    """Whether an artifact is there: extensions may name any in what they give."""
    try:
        info = artifacts.info(id)
    except ArtifactError as error:
        if error.code in _NOT_THERE:
            return False
        raise
    return info.ref.id == id and not info.removed


def spilled(stored: Mapping[str, Stored]) -> dict[str, str]:
    """Ids of the artifacts that the large ones among some outputs are in, by port name.

    Args:
        stored: What the log holds.
    """
    return {port: value.id for port, value in stored.items() if isinstance(value, ArtifactRef)}


def plain_size(outputs: Mapping[str, bytes]) -> int:
    """Bytes of outputs that stand in the log as they are; -1 where an artifact is or should be among them.

    Args:
        outputs: Encoded values by port name.
    """
    size = 0
    for value in outputs.values():
        length = len(value)
        if length > INLINE or (length >= _LEAST_REF and _ARTIFACT in value):
            return -1
        size += length
    return size


def artifact_ids(outputs: Mapping[str, bytes]) -> tuple[str, ...]:
    """Ids of the artifacts that outputs refer to, each once; values over 1 MiB are not searched.

    Args:
        outputs: Encoded values by port name.
    """
    found: dict[str, None] = {}
    for value in outputs.values():
        if _ARTIFACT in value and len(value) <= UNTYPED_LIMIT:
            try:
                decoded: Any = decode(value)
            except MalformedMessage:  # whoever reads the value will say so
                continue
            found.update(dict.fromkeys(_ids(decoded, 0)))
    return tuple(found)


def _ids(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        id_ = value.get("id")
        if value.get("$type") == "artifact" and isinstance(id_, str):
            yield id_
        else:
            for child in value.values():
                yield from _ids(child, depth + 1)
    elif isinstance(value, list):
        for child in value:
            yield from _ids(child, depth + 1)

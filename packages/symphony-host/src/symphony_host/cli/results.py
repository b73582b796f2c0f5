"""Hands over what a run gave: copies artifacts to files, and tells small values."""

import contextlib
import mimetypes
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError, MalformedMessage
from symphony_sdk.ports import ArtifactStore
from symphony_sdk.values import decode

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,16}")


class Result(NamedTuple):
    """One output of a workflow.

    Args:
        name: Its name.
        value: The value; None of an artifact, and where it is too large to be shown.
        artifact: The artifact; None of any other value.
        path: Where the artifact was copied to.
        size: Bytes of the artifact, or of the encoded value.
    """

    name: str
    value: Any = None
    artifact: ArtifactRef | None = None
    path: Path | None = None
    size: int = 0


def hand_over(outputs: Mapping[str, bytes], store: ArtifactStore, folder: Path) -> list[Result]:
    """Copy each output that is an artifact to a file named after the output, and decode the others.

    Args:
        outputs: Encoded values by the name of the output.
        store: Where the artifacts are.
        folder: Where they go; made when the first one comes.

    Raises:
        ArtifactError: One is missing or damaged, or a file cannot be written.
    """
    results = []
    for name, data in outputs.items():
        try:
            value: Any = decode(data)
        except MalformedMessage:  # longer than what is read without a type
            results.append(Result(name, size=len(data)))
            continue
        if isinstance(value, dict) and value.get("$type") == "artifact":
            ref = msgspec.convert(value, ArtifactRef)
            path = folder / f"{name}{_suffix(ref)}"
            copy(store, ref, path)
            results.append(Result(name, artifact=ref, path=path, size=ref.size))
        else:
            results.append(Result(name, value, size=len(data)))
    return results


def copy(store: ArtifactStore, ref: ArtifactRef, path: Path) -> None:
    """Copy an artifact to a file, which is there whole or not at all.

    Args:
        store: Where the artifact is.
        ref: The artifact.
        path: The file; its folder is made, and an older file is replaced.

    Raises:
        ArtifactError: It is missing or damaged, or the file cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            for part in store.stream(ref.id):
                stream.write(part)
        draft.replace(path)
    except OSError as error:
        raise ArtifactError(
            f"the artifact {ref.id} cannot be copied: {error.strerror}",
            code="SYM-A080",
            hint="Name a folder that can be written to: `--output DIR`.",
            file=str(path),
        ) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _suffix(ref: ArtifactRef) -> str:
    suffix = Path(ref.name).suffix
    return suffix if _SUFFIX.fullmatch(suffix) else mimetypes.guess_extension(ref.media_type) or ""

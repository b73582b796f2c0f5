"""The extensions of the host as another machine can run them, and whether they are installed there just so."""

import hashlib
import importlib.metadata
import importlib.util
import sys
import tempfile
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

import msgspec
from symphony_sdk.errors import MalformedMessage, RunError
from symphony_sdk.messages import ExtensionLoaded
from symphony_sdk.values import DECODING_ERRORS

from symphony_isolation.spec import WorkerSpec


class Deployed(msgspec.Struct, frozen=True, array_like=True):
    """One extension of the host.

    Args:
        spec: How its worker is started in the host; its paths are the host's.
        content: Digest of its code.
        loaded: What it contributes; None where that is not known.
    """

    spec: WorkerSpec
    content: str
    loaded: ExtensionLoaded | None


def encode_deployment(extensions: Iterable[tuple[WorkerSpec, ExtensionLoaded | None]]) -> bytes:
    """The extensions as bytes; reads every file of theirs.

    Args:
        extensions: Each with what it contributes, where that is known.
    """
    deployed = [Deployed(spec, content_of(spec) or "", loaded) for spec, loaded in extensions]
    return msgspec.msgpack.encode(deployed)


def decode_deployment(data: bytes) -> list[Deployed]:
    """The extensions of the host.

    Args:
        data: What `encode_deployment` gave; nothing for none.

    Raises:
        MalformedMessage: It is something else.
    """
    try:
        return msgspec.msgpack.decode(data, type=list[Deployed]) if data else []
    except DECODING_ERRORS as error:
        raise MalformedMessage(
            f"the extensions that this machine is to run cannot be read: {error}"
        ) from error


def content_of(spec: WorkerSpec) -> str | None:
    """Digest of the files of the package that an extension's module is in; None where it is not installed here.

    Args:
        spec: The extension.
    """
    package = spec.module.partition(".")[0]
    try:
        found = PathFinder.find_spec(package, list(spec.import_path)) or importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if found is None or found.origin is None:
        return None
    origin = Path(found.origin)
    if not found.submodule_search_locations:
        return hashlib.blake2b(origin.read_bytes(), digest_size=16).hexdigest()
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(origin.parent.rglob("*")):
        if "__pycache__" not in file.parts and file.is_file():
            name, data = file.relative_to(origin.parent).as_posix(), file.read_bytes()
            digest.update(f"{len(name)} {name} {len(data)} ".encode(errors="surrogateescape"))
            digest.update(data)
    return digest.hexdigest()


def check_installed(extension: Deployed, machine: str) -> None:
    """Make sure that this machine has an extension, of the host's version and with the host's code.

    Args:
        extension: The extension as the host has it.
        machine: Name of this machine, for people.

    Raises:
        RunError: SYM-R123, it does not.
    """
    spec = extension.spec
    here = ""
    if spec.distribution:
        try:
            here = importlib.metadata.version(spec.distribution)
        except importlib.metadata.PackageNotFoundError:
            raise _unusable(
                spec, machine, f"has no {spec.distribution}; the host has {spec.version}"
            ) from None
        if here != spec.version:
            raise _unusable(spec, machine, f"has {spec.distribution} {here}; the host has {spec.version}")
    content = content_of(spec)
    if content is None:
        raise _unusable(spec, machine, f"has no module {spec.module!r}")
    if content != extension.content:
        what = f"other code in {spec.distribution or spec.module} {here}".rstrip()
        raise _unusable(spec, machine, f"has {what} ({content}) than the host ({extension.content})")


def moved(spec: WorkerSpec, directory: Path, project: str) -> WorkerSpec:
    """An extension with the paths of this machine.

    Args:
        spec: The extension with the paths of the host.
        directory: The machine's own directory.
        project: Directory that extensions see as the project; the current one where empty.
    """
    data = directory / "extensions" / spec.id
    roots = {
        "project": str(Path(project or Path.cwd()).resolve()),
        "home": str(Path.home().resolve()),
        "data": str(data.resolve()),
        "cache": str((directory / "cache" / spec.id).resolve()),
        "tmp": str(Path(tempfile.gettempdir()).resolve()),
    }
    hidden = (*spec.hidden, str(directory.resolve()))
    return msgspec.structs.replace(
        spec, data_dir=str(data), roots=roots, python=sys.executable, hidden=hidden
    )


def _unusable(spec: WorkerSpec, machine: str, what: str) -> RunError:
    wanted = f"{spec.distribution or spec.id}=={spec.version}"
    return RunError(
        f"the machine {machine!r} cannot run {spec.id!r} {spec.version}: it {what}",
        code="SYM-R123",
        hint=f"On that machine: `pip install --force-reinstall {wanted}`, from where the host has it.",
        details={"machine": machine, "extension": spec.id, "version": spec.version},
    )

"""What the host has to know of an extension to run it in a worker."""

import sys
from typing import Any

import msgspec


class WorkerLimits(msgspec.Struct, frozen=True):
    """The most that a worker may use; the kernel holds it to the first two.

    Args:
        memory: Bytes of private writable memory, the stacks of its threads included; 0 for no bound.
        open_files: Descriptors.
        load_timeout: Seconds from its start until it is ready.
    """

    memory: int = 0
    open_files: int = 1024
    load_timeout: float = 10.0


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One extension and how its worker is started.

    Args:
        id: `publisher.name`.
        version: Version of its distribution.
        kind: What it is, as its manifest says.
        module: Dotted name of the module with its hooks; imported in the worker alone.
        data_dir: Its own directory: where it is started; made if it is missing.
        fingerprint: Changes with the extension's content.
        distribution: Name of the distribution that brings it.
        config: Its settings, validated.
        permissions: What it declared, in the text form of the permission grammar.
        roots: Directories behind the variables of that grammar.
        limits: The most that it may use.
        python: The interpreter that finds the extension's packages.
        import_path: Directories to import from besides that interpreter's own.
    """

    id: str
    version: str
    kind: str
    module: str
    data_dir: str
    fingerprint: str
    distribution: str = ""
    config: dict[str, Any] = {}
    permissions: tuple[str, ...] = ()
    roots: dict[str, str] = {}
    limits: WorkerLimits = WorkerLimits()
    python: str = sys.executable
    import_path: tuple[str, ...] = ()


def extension_of(operation: str) -> str:
    """Id of the extension that an operation belongs to: each keeps to its own namespace.

    Args:
        operation: `publisher.extension.operation`.
    """
    return ".".join(operation.split(".")[:2])

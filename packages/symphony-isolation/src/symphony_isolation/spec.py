"""What the host has to know of an extension to run it in a worker."""

import hashlib
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from symphony_sdk.permissions import parse

from symphony_isolation.sandbox.policy import SandboxPolicy, Wanted


class WorkerLimits(msgspec.Struct, frozen=True):
    """The most that each worker of an extension may use, with all that it starts; 0 is no bound.

    Args:
        memory: Bytes of memory in RAM.
        open_files: Descriptors of each process.
        load_timeout: Seconds from its start until it is ready.
        cpu: Cores, as a share of time.
        processes: Processes, where it may start any.
        threads: Threads of all its processes.
        disk: Bytes by which the files that it may write may grow.
    """

    memory: int = 0
    open_files: int = 1024
    load_timeout: float = 10.0
    cpu: float = 0.0
    processes: int = 0
    threads: int = 0
    disk: int = 0


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
        workers: Processes that its operations may run in at the same time; 0 where their kind decides.
        python: The interpreter that finds the extension's packages.
        import_path: Directories to import from besides that interpreter's own.
        sandbox: What the kernel holds its workers to; or the tier that what it declared is enforced in, where `auto`
            is the best one of the machine.
        hidden: Trees that it may not see, whatever is granted, except its own directories in them.
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
    workers: int = 0
    python: str = sys.executable
    import_path: tuple[str, ...] = ()
    sandbox: SandboxPolicy | Wanted = "auto"
    hidden: tuple[str, ...] = ()


def connects(spec: WorkerSpec) -> bool:
    """Whether an extension may connect to a server.

    Args:
        spec: The extension; its permissions are those that are granted.
    """
    return any(each.type == "network" and "read" in each.scope for each in map(parse, spec.permissions))


def fingerprint(content: str, version: str, config: Mapping[str, Any]) -> str:
    """Changes with what an extension is and with its settings.

    Args:
        content: Changes with its content.
        version: Version of its distribution.
        config: Its settings.
    """
    settings = msgspec.json.encode(config, order="deterministic")
    return hashlib.sha256(b"\0".join((content.encode(), version.encode(), settings))).hexdigest()


def extension_of(operation: str) -> str:
    """Id of the extension that an operation belongs to: each keeps to its own namespace.

    Args:
        operation: `publisher.extension.operation`.
    """
    return ".".join(operation.split(".")[:2])

"""What macOS is told of one worker: a profile of its sandbox, Seatbelt, made from the same policy as on Linux.

**Unverified**: no part of it has confined a process yet. It is text, and its tests read it as Seatbelt is documented
to. `sandbox-exec(1)` is marked as deprecated by Apple, and is what browsers use.
"""

import os
from pathlib import PurePosixPath
from typing import Final

from msgspec.structs import replace
from symphony_sdk.errors import PermissionDenied

from symphony_isolation.sandbox.policy import SandboxPolicy

NAME: Final = "Seatbelt"
PROGRAM: Final = "/usr/bin/sandbox-exec"
STOPS: Final = "opening files that were not granted, programs and sockets"

UNENFORCED: Final = (
    "memory: the data of one process is limited, as far as macOS heeds that, and nobody watches what all use",
    "cpu, threads, processes and disk: not limited; the size of one file is",
    "its end: a process that it starts in a session of its own outlives it, and one that is busy outlives the host",
    "programs: it may execute its own interpreter, in the same sandbox",
    "files: the libraries and frameworks of the system can be read",
    "denials: what macOS refuses it is not told, and not in the audit log",
)
"""What a worker can do there although its policy says otherwise, for people."""

_SYSTEM: Final = (
    "/Library/Apple/System/Library",
    "/System/Library",
    "/System/Volumes/Preboot/Cryptexes",
    "/private/var/db/dyld",
    "/private/var/db/timezone",
    "/usr/lib",
    "/usr/share/zoneinfo",
)
"""Trees that the dynamic linker and the C library read in every process."""

_READ_DEVICES: Final = ("/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")
_WRITE_DEVICES: Final = ("/dev/null",)


def missing() -> str:
    """Why it cannot be used here; empty where it can."""
    return "" if os.access(PROGRAM, os.X_OK) else f"{PROGRAM} is missing"


def command(policy: SandboxPolicy, arguments: list[str]) -> list[str]:
    """A command line that runs another one in the sandbox.

    Args:
        policy: What it may see and use.
        arguments: The program, as an absolute path, and its arguments.

    Raises:
        PermissionDenied: SYM-P023, a path cannot be written in a profile.
    """
    # Seatbelt compares where links lead. The links themselves are read on the way there.
    true = {name: _with_true_paths(getattr(policy, name)) for name in ("read", "write", "execute")}
    return [PROGRAM, "-p", profile(replace(policy, **true), os.path.realpath(arguments[0])), *arguments]


def profile(policy: SandboxPolicy, interpreter: str) -> str:
    """The text of a profile: everything is denied but what is listed, and nothing of it is the network.

    Args:
        policy: What the worker may see and use.
        interpreter: The program that it executes; its absolute path with symbolic links resolved.

    Raises:
        PermissionDenied: SYM-P023, a path is relative, or has characters that cannot be written in a profile.
    """
    read = sorted({*policy.read, *policy.write, *policy.execute, interpreter, *_SYSTEM})
    seen = sorted({str(parent) for path in read for parent in PurePosixPath(path).parents})
    lines = [
        "(version 1)",
        "(deny default)",
        "(allow process-info* (target same-sandbox))",
        "(allow signal (target same-sandbox))",
        "(allow sysctl-read)",
        _allow("file-read*", _trees(read), _files(_READ_DEVICES)),
        _allow("file-read-metadata", _files(seen)),  # to get there; what else is in them stays hidden
        _allow("file-write*", _trees(sorted(policy.write)), _files(_WRITE_DEVICES)),
        _allow(
            "process-exec", _trees(sorted(policy.execute)), _files((interpreter, *_in_framework(interpreter)))
        ),
        _allow("file-map-executable", _trees(read)),
    ]
    if policy.starts_processes:
        lines.append("(allow process-fork)")
    return "\n".join(lines) + "\n"


def _with_true_paths(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for path in paths for each in (path, os.path.realpath(path))))


def _in_framework(interpreter: str) -> list[str]:
    """The program that the interpreter of a framework executes in its place."""
    version, _, _ = interpreter.partition("/bin/")
    return [f"{version}/Resources/Python.app/Contents/MacOS/Python"] if ".framework/" in version else []


def _allow(operation: str, *places: list[str]) -> str:
    listed = "".join(f"\n    {place}" for group in places for place in group)
    return f"(allow {operation}{listed})"


def _trees(paths: list[str]) -> list[str]:
    return [f"(subpath {_quoted(path)})" for path in paths]


def _files(paths: tuple[str, ...] | list[str]) -> list[str]:
    return [f"(literal {_quoted(path)})" for path in paths]


def _quoted(path: str) -> str:
    if not path.startswith("/") or not path.isprintable():
        raise PermissionDenied(
            f"{path!r} cannot be named in a profile of Seatbelt: it is not an absolute, printable path",
            code="SYM-P023",
            hint="Rename the folder, or grant one without such characters.",
            details={"path": path},
        )
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""Compares what an extension's own code plainly uses with what its manifest declares, before any of it runs.

Looking at the code takes milliseconds for each of its files, so what was found is kept until the code changes.
"""

import importlib.util
import os
import tempfile
import tokenize
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

import msgspec
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import Access, Permission, PermissionSet

from symphony_isolation.permissions.plain_use import Need, Use, find_uses
from symphony_isolation.spec import WorkerSpec

MOST_FILES: Final = 2000
"""Files of one extension that are looked at."""

LARGEST: Final = 1 << 20
"""Bytes of a file above which it is not looked at: nobody wrote it by hand."""

_VERSION: Final = 1  # of what is looked for: what an older one found is not taken for all there is
_LINES: Final[dict[Need, str]] = {
    "network": '[[permissions.required]]\ntype = "network"\nscope = ["read"]\nresource = "host.example:443"\n'
    'reason = "why the user should allow it"',
    "process": '[[permissions.required]]\ntype = "system"\nscope = ["execute"]\nresource = "process"\n'
    'reason = "why the user should allow it"',
}


class _Kept(msgspec.Struct, frozen=True):
    """What was found in the code of one extension.

    Args:
        key: All that it depends on.
        uses: What was found.
    """

    key: tuple[str, ...]
    uses: tuple[Use, ...]


class DeclaredUse:
    """Looks at the code of extensions.

    Args:
        cache: Where what was found is kept; made when it is first written to.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def check(self, spec: WorkerSpec, declared: PermissionSet) -> tuple[Use, ...]:
        """Look at the code of an extension, unless that was done since it changed.

        Args:
            spec: The extension.
            declared: What its manifest declares.

        Returns:
            What is perhaps undeclared: it depends on the machine, or on what is installed.

        Raises:
            PermissionDenied: SYM-P010, it uses what is not declared: the first place, the others in `details`.
        """
        undeclared = [use for use in self._uses(spec) if not _is_declared(use, declared)]
        certain = [use for use in undeclared if use.certain]
        if certain:
            raise _refusal(spec.id, certain)
        return tuple(undeclared)

    def _uses(self, spec: WorkerSpec) -> Sequence[Use]:
        file = self._cache / f"{spec.id}.json"
        key = (str(_VERSION), spec.version, spec.module, spec.fingerprint, *spec.import_path)
        try:
            kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
            if kept.key == key:
                return kept.uses
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # not looked at yet, or to be looked at again
        uses = tuple(use for path in _own_files(spec) for use in _uses_in(path))
        _keep(file, msgspec.json.encode(_Kept(key, uses)))
        return uses


def _own_files(spec: WorkerSpec) -> Iterator[Path]:
    """The Python files of the extension's own package, without importing it."""
    package = spec.module.partition(".")[0]
    found = PathFinder.find_spec(package, list(spec.import_path)) or importlib.util.find_spec(package)
    if found is None:
        return
    count = 0
    if found.submodule_search_locations is None:
        if found.origin is not None and found.origin.endswith(".py"):
            yield Path(found.origin)
        return
    for root in found.submodule_search_locations:
        for directory, folders, names in os.walk(root):
            folders[:] = sorted(each for each in folders if each not in ("__pycache__", "tests", "test"))
            for name in sorted(names):
                if name.endswith(".py") and count < MOST_FILES:
                    count += 1
                    yield Path(directory, name)


def _uses_in(path: Path) -> list[Use]:
    try:
        if path.stat().st_size > LARGEST:
            return []
        with tokenize.open(path) as stream:
            return find_uses(stream.read(), str(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # the worker will say what is wrong with it


def _is_declared(use: Use, declared: PermissionSet) -> bool:
    if use.need == "network":
        return any(permission.type == "network" for permission in declared)
    if use.need == "process":
        return any(map(_starts_processes, declared))
    return declared.covers(Access("file", "write", use.what))


def _starts_processes(permission: Permission) -> bool:
    return "execute" in permission.scope and (
        permission.type == "file" or (permission.type == "system" and permission.resource == "process")
    )


def _refusal(extension: str, uses: Sequence[Use]) -> PermissionDenied:
    first = uses[0]
    more = f", and in {len(uses) - 1} more places" if len(uses) > 1 else ""
    what = "a network permission" if first.need == "network" else "a permission to start processes"
    return PermissionDenied(
        f"permission violations detected at declaration time: {extension} uses {first.what}, and its manifest "
        f"declares no {what.removeprefix('a ')}{more}",
        code="SYM-P010",
        hint=f"Its author takes it out, or adds to symphony.toml, `optional` where it works without:\n\n"
        f"{_LINES[first.need]}",
        details={"extension": extension, "uses": [msgspec.to_builtins(use) for use in uses]},
        file=first.file,
        line=first.line,
    )


def _keep(file: Path, data: bytes) -> None:
    """Keep what was found; where that cannot be, it is looked for again."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=file.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            Path(draft).replace(file)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError:
        return

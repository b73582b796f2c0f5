"""Turns what is granted to an extension into what the kernel is told.

The kernel knows trees, not patterns: a pattern becomes the tree that its plain beginning names, never a wider one, and
what it lets through within that tree is for `ctx.files` to check. What is taken out of a tree, which is where the host
keeps its own things and what somebody has denied, is hidden within it where the sandbox has a file tree of its own.
Elsewhere its neighbours are named one by one, as of the start: what is made beside them later, the broker opens.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import Permission, PermissionSet

from symphony_isolation.certificates import certificate_files
from symphony_isolation.sandbox.interpreter import readable_by
from symphony_isolation.sandbox.policy import Limits, SandboxPolicy, Tier
from symphony_isolation.spec import WorkerSpec, connects

PRIVATE_TMP: Final = 64 << 20
"""Bytes of the `/tmp` that a worker has for itself."""

MOST_TREES: Final = 4096
"""Trees that one permission may become; one that would become more is left to the broker."""

_OF_KERNEL: Final = frozenset({"dev", "proc", "run", "sys"})  # the sandbox has its own, or none


def compile_policy(spec: WorkerSpec, tier: Tier) -> SandboxPolicy:
    """What the sandbox of an extension's workers is to let through.

    Args:
        spec: The extension; its permissions are those that are granted.
        tier: How much is enforced.

    Raises:
        PermissionDenied: SYM-P011, a permission reaches where no sandbox may.
    """
    own = own_directories(spec)
    hidden = [os.path.realpath(path) for path in spec.hidden]
    trees: dict[str, dict[str, None]] = {"read": {}, "write": {}, "execute": {}}
    starts = False
    for permission in PermissionSet.parse(spec.permissions, roots=spec.roots):
        if permission.type == "file":
            root = tree_of(permission, spec.roots)
            if root is None:
                continue
            for scope in permission.scope:
                _refuse(spec.id, permission, root, scope, hidden, own)
                trees[scope].update(dict.fromkeys(_let_through(root, hidden, own, tier)))
        elif permission.type == "system" and permission.resource == "process":
            starts = True
    if connects(spec):
        files = (file for file in certificate_files() if not is_hidden(os.path.realpath(file), hidden, own))
        trees["read"].update(dict.fromkeys(files))
    limits = spec.limits
    if starts:  # what `multiprocessing` and its like start: nothing that it could not do in itself
        trees["execute"][os.path.realpath(spec.python)] = None
    starts = starts or bool(trees["execute"])
    seen = [path for each in trees.values() for path in each]
    return SandboxPolicy(
        tier=tier,
        read=tuple(dict.fromkeys((*readable_by(spec.python), *spec.import_path, *trees["read"]))),
        write=tuple(dict.fromkeys((os.path.realpath(spec.data_dir), *trees["write"]))),
        execute=tuple(trees["execute"]),
        private_tmp=PRIVATE_TMP,
        limits=Limits(
            memory=limits.memory,
            cpu=limits.cpu,
            processes=limits.processes if starts else 1,
            threads=limits.threads,
            open_files=limits.open_files,
            disk=limits.disk,
        ),
        hidden=tuple(path for path in hidden if any(_within(path, tree) for tree in seen)),
        proxy=connects(spec) and tier == "full",
    )


def tree_of(permission: Permission, roots: Mapping[str, str]) -> str | None:
    """The tree that all that a file permission stands for is in, its links followed.

    Args:
        permission: A permission of the type `file`.
        roots: The directories behind variables.

    Returns:
        An absolute path; None for what a sandbox brings itself, such as `${tmp}`, or where a variable is not known.
    """
    resource = permission.resource
    if resource.startswith("${"):
        variable, _, below = resource[2:].partition("}")
        if variable == "tmp" or not roots.get(variable):
            return None
        resource = roots[variable] + below
        begin = len(
            roots[variable].rstrip("/").split("/")
        )  # a root's own names are text, whatever is in them
    else:
        begin = 0
    names = resource.split("/")
    plain = next((at for at in range(begin, len(names)) if "*" in names[at] or "?" in names[at]), len(names))
    return os.path.realpath("/".join(names[:plain]) or "/")


def denied_trees(denied: Iterable[Permission], roots: Mapping[str, str]) -> Iterator[str]:
    """The trees that hold all that is denied.

    Args:
        denied: Permissions of any type.
        roots: The directories behind variables.
    """
    for permission in denied:
        tree = tree_of(permission, roots) if permission.type == "file" else None
        if tree is not None:
            yield tree


def is_hidden(path: str, hidden: Sequence[str], own: Sequence[str]) -> bool:
    """Whether a path is in what is hidden from an extension, and not in what is its own.

    Args:
        path: An absolute path without links.
        hidden: Trees.
        own: The extension's own directories.
    """
    return any(_within(path, tree) for tree in hidden) and not any(_within(path, tree) for tree in own)


def own_directories(spec: WorkerSpec) -> tuple[str, ...]:
    """An extension's own directories, their links followed.

    Args:
        spec: The extension.
    """
    named = (spec.data_dir, *(spec.roots[name] for name in ("data", "cache") if spec.roots.get(name)))
    return tuple(dict.fromkeys(map(os.path.realpath, named)))


def _let_through(root: str, hidden: Sequence[str], own: Sequence[str], tier: Tier) -> list[str]:
    """The trees that a tree becomes once what is hidden is taken out of it."""
    holes = (
        [path for path in hidden if _within(path, root)] if not any(_within(root, one) for one in own) else []
    )
    if is_hidden(root, hidden, own):
        return []
    if root == "/" and (tier == "full" or not holes):
        return [str(path) for path in sorted(Path("/").iterdir()) if not _is_of_kernel(path)]
    if tier == "full" or not holes:
        return [root]
    found: list[str] = []
    for path in _around(root, holes):
        found.append(path)
        if len(found) > MOST_TREES:
            return []
    return found


def _around(root: str, holes: Sequence[str]) -> Iterator[str]:
    """The trees beside the holes in a tree; links are left out, as where they lead is named itself or not granted."""
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError:  # gone, or not for this user: then it is not for the extension either
        return
    for entry in entries:
        if entry.is_symlink() or _is_of_kernel(Path(entry.path)):
            continue
        below = [hole for hole in holes if _within(hole, entry.path)]
        if not below:
            yield entry.path
        elif entry.path not in below:
            yield from _around(entry.path, below)


def _refuse(
    extension: str, permission: Permission, root: str, scope: str, hidden: Sequence[str], own: Sequence[str]
) -> None:
    if scope != "read" and root == "/":
        what = f"is granted {str(permission)!r}, which is all there is"
    elif hidden and is_hidden(root, hidden, own):
        what = f"is granted {str(permission)!r}, where Symphony keeps what no extension may reach, or what is denied"
    else:
        return
    raise PermissionDenied(
        f"{extension} {what}: no sandbox is opened so far",
        code="SYM-P011",
        hint="Its author declares a narrower folder. `symphony permissions revoke` takes the grant back.",
        details={"extension": extension, "permission": str(permission), "tree": root},
    )


def _is_of_kernel(path: Path) -> bool:
    return path.parent == Path("/") and path.name in _OF_KERNEL


def _within(path: str, tree: str) -> bool:
    return path == tree or tree == "/" or path.startswith(tree + "/")

"""Drafts the permissions of a manifest from what an extension did while nothing was denied to it."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from symphony_sdk.errors import ManifestError
from symphony_sdk.permissions import SCOPES, Access, Permission, PermissionSet, covers

from symphony_isolation.audit import AuditRecord
from symphony_isolation.permissions.declaration import Declaration

SIBLINGS: Final = 3
"""Files of one folder after which the folder as a whole is drafted."""


def draft_permissions(declaration: Declaration, records: Iterable[AuditRecord]) -> list[Permission]:
    """What the manifest has to declare for what an extension did, as narrow as that allows.

    Args:
        declaration: What it declares.
        records: The audit log.

    Returns:
        Permissions, by type and resource; those that can be written.
    """
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records:
        if (
            record.extension == declaration.extension
            and record.decision == "would-deny"
            and record.resource
            and record.scope in SCOPES
        ):
            wanted[record.type, record.resource].add(record.scope)
    found: list[Permission] = []
    siblings: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (type_, resource), scopes in sorted(wanted.items()):
        if type_ == "file":
            resource = below_a_variable(resource, declaration.permissions)
            siblings[resource.rpartition("/")[0], tuple(sorted(scopes))].append(resource)
        else:
            found += _written(type_, scopes, resource)
    for (folder, scopes_of), files in siblings.items():
        names = [f"{folder}/**"] if len(files) >= SIBLINGS and folder else files
        for name in names:
            found += _written("file", set(scopes_of), name)
    return [each for each in found if not declaration.permissions.covers(each)]


def below_a_variable(path: str, permissions: PermissionSet) -> str:
    """A path as a resource, below the deepest variable that it is in.

    Args:
        path: An absolute path.
        permissions: Knows what the variables stand for.
    """
    access = Access("file", "read", path)
    best, resource = "", path
    for variable, root in permissions.roots.items():
        folder = Permission("file", ("read",), f"${{{variable}}}/**")
        if len(root) > len(best) and covers(folder, access, roots=permissions.roots):
            best, resource = root, f"${{{variable}}}{path[len(root.rstrip('/')) :]}"
    return resource.replace("*", "?")  # a path's `*` is a character, a resource's a wildcard


def manifest_lines(permissions: Iterable[Permission]) -> str:
    """Permissions as they are written in `symphony.toml`.

    Args:
        permissions: Any permissions.
    """
    return "\n".join(
        f"[[permissions.{'required' if each.required else 'optional'}]]\n"
        f"type = {json.dumps(each.type)}\n"
        f"scope = {json.dumps(each.scope)}\n"
        f"resource = {json.dumps(each.resource, ensure_ascii=False)}\n"
        'reason = "why the user should allow it"\n'
        for each in permissions
    )


def _written(type_: str, scopes: set[str], resource: str) -> list[Permission]:
    """The permission; none where no manifest can say it."""
    try:
        # The constructor refuses what is not of the declared literals.
        return [Permission(type_, tuple(scopes), resource)]  # type: ignore[arg-type]
    except ManifestError:
        return []

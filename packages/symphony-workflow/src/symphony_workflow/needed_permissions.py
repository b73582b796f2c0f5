"""Which permissions a workflow needs: those that the extensions of its nodes declare, with their reasons."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from symphony_sdk.permissions import Permission

from symphony_workflow.model import CallingNode, Workflow


class NeededPermission(NamedTuple):
    """One permission, of one extension.

    Args:
        extension: The id of the extension that declares it.
        permission: What may be touched, and why.
        nodes: The nodes that use the extension, in the author's order; `#clean/walk` is one of a sub-workflow.
    """

    extension: str
    permission: Permission
    nodes: tuple[str, ...]


def required_permissions(
    workflow: Workflow, permissions_of: Mapping[str, Sequence[Permission]]
) -> list[NeededPermission]:
    """The permissions that a run of a workflow may use: what no extension of its nodes declares, none of them gets.

    Args:
        workflow: Any workflow.
        permissions_of: What each extension declares, by its id.

    Returns:
        The required ones, then the optional ones; each by extension, in the order of its manifest.
    """
    users: dict[str, list[str]] = defaultdict(list)
    for place, uses in _calls(workflow):
        extension = uses
        while extension and extension not in permissions_of:
            extension = extension.rpartition(".")[0]
        if extension:
            users[extension].append(place)
    found = [
        NeededPermission(extension, permission, tuple(users[extension]))
        for extension in sorted(users)
        for permission in permissions_of[extension]
    ]
    return sorted(found, key=lambda one: not one.permission.required)


def _calls(workflow: Workflow, prefix: str = "") -> Iterator[tuple[str, str]]:
    for node in workflow.nodes:
        if isinstance(node, CallingNode):
            yield prefix + node.id, node.uses
    for part in workflow.workflows if not prefix else ():
        yield from _calls(part, f"#{part.id}/")

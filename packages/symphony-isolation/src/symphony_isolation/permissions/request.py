"""What the user is asked: every permission that an extension lacks, with its risk, in a form for any interface."""

from collections.abc import Mapping
from typing import Final

import msgspec
from symphony_sdk.permissions import Permission, PermissionSet, PermissionType, Scope

from symphony_isolation.permissions.declaration import Declaration, single_scopes
from symphony_isolation.permissions.grants import Accepted
from symphony_isolation.permissions.risk import Risk, risk_of
from symphony_isolation.permissions.shown_text import shown

CHOICES: Final = ("once", "session", "until-version", "always", "deny")
"""What the user can answer."""

_VERBS: Final[Mapping[tuple[PermissionType, Scope], str]] = {
    ("file", "read"): "read",
    ("file", "write"): "change and delete",
    ("file", "execute"): "run as programs",
    ("network", "read"): "connect to",
    ("network", "write"): "take connections on",
    ("system", "read"): "read from the system:",
    ("system", "write"): "write to the system:",
    ("system", "execute"): "use of the system:",
    ("model", "read"): "look at the models",
    ("model", "write"): "train and replace the models",
    ("model", "execute"): "run the models",
}


class RequestItem(msgspec.Struct, frozen=True):
    """One permission that the user is asked for.

    Args:
        type: What kind of resource.
        scope: What may be done to it.
        resource: Which one, in the grammar.
        text: What it allows, in words, with the directory that a variable stands for.
        reason: Why, in the author's words, made harmless.
        risk: How much harm it can do.
        required: Whether the extension cannot run without it.
        new_since: The version that was accepted last, where that one did not ask for this; empty otherwise.
    """

    type: PermissionType
    scope: Scope
    resource: str
    text: str
    reason: str
    risk: Risk
    required: bool
    new_since: str = ""


class PermissionRequest(msgspec.Struct, frozen=True):
    """All that one extension asks for and has not got.

    Args:
        extension: Id of the extension.
        version: Its version.
        publisher: Where it comes from.
        verified: Whether that has been proven; nothing is, until a signature says so.
        items: The permissions, those with the highest risk first.
        choices: What can be answered.
    """

    extension: str
    version: str
    publisher: str
    items: tuple[RequestItem, ...]
    verified: bool = False
    choices: tuple[str, ...] = CHOICES


def make_request(
    declaration: Declaration, missing: tuple[Permission, ...], accepted: Accepted | None
) -> PermissionRequest:
    """The request for what an extension lacks.

    Args:
        declaration: The extension.
        missing: What it lacks, each of one scope.
        accepted: The declaration that the user accepted last; None where none was.
    """
    new: tuple[str, ...] = ()
    if accepted is not None:
        old = PermissionSet(accepted.permissions, declaration.permissions.roots)
        wider = declaration.permissions.widens(old)
        new = tuple(str(one) for each in wider for one in single_scopes(each))
    version = accepted.version if accepted else ""
    items = [
        RequestItem(
            each.type,
            each.scope[0],
            each.resource,
            permission_text(each, declaration.permissions.roots),
            shown(each.reason),
            risk_of(each),
            each.required,
            version if str(each) in new else "",
        )
        for each in missing
    ]
    order: dict[Risk, int] = {"high": 0, "medium": 1, "low": 2}
    items.sort(key=lambda item: order[item.risk])
    return PermissionRequest(
        declaration.extension, declaration.version, shown(declaration.publisher), tuple(items)
    )


def permission_text(permission: Permission, roots: Mapping[str, str]) -> str:
    """What a permission allows, in words.

    Args:
        permission: A permission of one scope.
        roots: The directories behind variables.
    """
    resource = permission.resource
    if resource.startswith("${"):
        name = resource[2 : resource.index("}")]
        resource = roots.get(name, f"${{{name}}}") + resource[len(name) + 3 :]
    if permission.type == "file":
        if resource.endswith("/**"):
            resource = f"everything in {resource[:-3] or '/'}"
        return f"{_VERBS['file', permission.scope[0]]} {shown(resource, 500)}"
    return f"{_VERBS[permission.type, permission.scope[0]]} {shown(resource, 500)}"

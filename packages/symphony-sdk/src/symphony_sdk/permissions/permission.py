"""A permission, an access, their text form, and whether the one covers the other."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal, get_args

import msgspec

from symphony_sdk.errors import ManifestError
from symphony_sdk.permissions.names import (
    FEATURES,
    feature_of,
    model_of,
    model_pattern,
    path_of,
    path_pattern,
)
from symphony_sdk.permissions.network import network_of, network_pattern
from symphony_sdk.permissions.syntax import malformed

PermissionType = Literal["file", "network", "system", "model"]
Scope = Literal["read", "write", "execute"]

PERMISSION_TYPES: tuple[PermissionType, ...] = get_args(PermissionType)
SCOPES: tuple[Scope, ...] = get_args(Scope)

LONGEST_RESOURCE = 1024
LONGEST_ACCESS = 4096
"""Linux allows no longer path; it bounds what a hostile worker can make the host match and remember."""

_NO_ROOTS: Mapping[str, str] = {}


class Permission(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an extension asks to be allowed, or a user has granted.

    Args:
        type: What kind of resource.
        scope: What may be done to it; kept in the order read, write, execute, each once.
        resource: Which ones, in the grammar of `type`.
        reason: Why, in the author's words, shown to the user.
        required: Whether the extension cannot work without it; otherwise it is asked for when first used.

    Raises:
        ManifestError: SYM-M006; `details["part"]` names the part that is wrong.
    """

    type: PermissionType
    scope: tuple[Scope, ...]
    resource: str
    reason: str = ""
    required: bool = True

    def __post_init__(self) -> None:
        if self.type not in PERMISSION_TYPES:
            raise malformed(
                "type", f"{self.type!r} is no type of permission", _nearest(self.type, PERMISSION_TYPES)
            )
        for scope in self.scope:
            if scope not in SCOPES:
                raise malformed("scope", f"{scope!r} is no scope of a permission", _nearest(scope, SCOPES))
        if not self.scope:
            raise malformed("scope", "the scope is empty", "Name at least one of read, write and execute.")
        if len(self.resource) > LONGEST_RESOURCE:
            raise malformed(
                "resource",
                f"the resource has {len(self.resource)} characters, expected at most {LONGEST_RESOURCE}",
                "Name a folder, a host or a family of models that holds them all.",
            )
        allowed: tuple[str, ...] = SCOPES
        if self.type == "file":
            path_pattern(self.resource)
        elif self.type == "network":
            network_pattern(self.resource)
            allowed = ("read", "write")
        elif self.type == "system":
            allowed = FEATURES[feature_of(self.resource).feature]
        else:
            model_pattern(self.resource)
        for scope in self.scope:
            if scope not in allowed:
                what = "network" if self.type == "network" else f"system feature {self.resource!r}"
                raise malformed(
                    "scope", f"the {what} has no scope {scope!r}", f"Its scopes are {', '.join(allowed)}."
                )
        canonical = tuple(scope for scope in SCOPES if scope in self.scope)
        msgspec.structs.force_setattr(self, "scope", canonical)

    def __str__(self) -> str:
        return f"{self.type}:{','.join(self.scope)}:{self.resource}"


class Access(msgspec.Struct, frozen=True):
    """One thing that an extension is about to do.

    Args:
        type: What kind of resource.
        scope: What is done to it.
        resource: Which one, as it is: an absolute path, `host:port`, a feature, a model name. Nothing in it
            is a wildcard. It may be anything at all; what is not well formed is not covered.
    """

    type: PermissionType
    scope: Scope
    resource: str

    def __str__(self) -> str:
        return f"{self.type}:{self.scope}:{self.resource}"


def parse(text: str, *, reason: str = "", required: bool = True) -> Permission:
    """The permission that `text` says; `str(permission)` is its inverse.

    Args:
        text: `type:scope[,scope]:resource`, such as `file:read,write:${project}/**`.
        reason: Why it is asked for.
        required: Whether the extension cannot work without it.

    Raises:
        ManifestError: SYM-M006.
    """
    parts = text.split(":", 2)
    if len(parts) < 3:
        raise malformed(
            "type",
            f"{text!r} is no permission",
            "Write `type:scope:resource`, such as `file:read:${project}/**`.",
        )
    kind, scopes, resource = parts
    # The constructor refuses what is not of the declared literals.
    return Permission(kind, tuple(scopes.split(",")), resource, reason, required)  # type: ignore[arg-type]


def covers(granted: Permission, asked: Permission | Access, *, roots: Mapping[str, str] = _NO_ROOTS) -> bool:
    """Whether everything that `asked` allows is allowed by `granted` already.

    Args:
        granted: What is allowed.
        asked: Another permission, or a single access.
        roots: The absolute path that each variable of a path stands for. Without them, paths below
            different variables are not compared.
    """
    if granted.type != asked.type:
        return False
    if isinstance(asked, Permission):
        return set(asked.scope) <= set(granted.scope) and _pattern_covered(granted, asked.resource, roots)
    if asked.scope not in granted.scope or len(asked.resource) > LONGEST_ACCESS:
        return False
    return _access_covered(granted, asked.resource, roots)


def _pattern_covered(granted: Permission, resource: str, roots: Mapping[str, str]) -> bool:
    if granted.type == "file":
        return path_pattern(granted.resource).covers(path_pattern(resource), roots)
    if granted.type == "network":
        return network_pattern(granted.resource).covers(network_pattern(resource))
    if granted.type == "system":
        return feature_of(granted.resource).covers(feature_of(resource))
    return model_pattern(granted.resource).covers(model_pattern(resource))


def _access_covered(granted: Permission, resource: str, roots: Mapping[str, str]) -> bool:
    if granted.type == "file":
        path = path_of(resource)
        return path is not None and path_pattern(granted.resource).covers(path, roots)
    if granted.type == "network":
        host = network_of(resource)
        return host is not None and network_pattern(granted.resource).covers(host)
    if granted.type == "system":
        if "*" in resource:
            return False
        try:
            return feature_of(granted.resource).covers(feature_of(resource))
        except ManifestError:  # no such feature: it cannot have been granted
            return False
    model = model_of(resource)
    return model is not None and model_pattern(granted.resource).covers(model)


def _nearest(found: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(str(found), known, n=1)
    return f"Did you mean `{near[0]}`?" if near else f"Write one of {', '.join(known)}."

"""The permission grammar: what an extension may touch, how that is written, and what it covers.

A permission is a type, one or more scopes and a resource, such as `file:read,write:${project}/**`:

| type | read | write | execute | resource |
|---|---|---|---|---|
| `file` | read, list | create, change, delete | run as a program | absolute or `${variable}` path; `*` `?` within a name, `**` for any depth |
| `network` | connect | listen | | `host`, `*.host`, `*`, an address or CIDR block, each with an optional `:port` or `:low-high` |
| `system` | | | | a feature of [FEATURES][symphony_sdk.permissions.FEATURES], which names its scopes |
| `model` | metadata | train, upload | run | model name; `*` `?` within a part, `**` for any depth |

What is not declared is not allowed. Where it is uncertain whether one pattern covers another, it does not.
"""

from symphony_sdk.permissions.names import FEATURES, VARIABLES
from symphony_sdk.permissions.permission import (
    PERMISSION_TYPES,
    SCOPES,
    Access,
    Permission,
    PermissionType,
    Scope,
    covers,
    parse,
)
from symphony_sdk.permissions.permission_set import PermissionSet

__all__ = [
    "FEATURES",
    "PERMISSION_TYPES",
    "SCOPES",
    "VARIABLES",
    "Access",
    "Permission",
    "PermissionSet",
    "PermissionType",
    "Scope",
    "covers",
    "parse",
]

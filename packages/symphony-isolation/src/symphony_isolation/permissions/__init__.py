"""What extensions may do: what they declare, what their user has granted, what the administrator allows at all."""

from symphony_isolation.permissions.admin_policy import AdminPolicy, load_policy
from symphony_isolation.permissions.authority import Authority, Standing, split, standing_of
from symphony_isolation.permissions.compiling import compile_policy
from symphony_isolation.permissions.deciding import Decision, decide
from symphony_isolation.permissions.declaration import Declaration, single_scopes
from symphony_isolation.permissions.declared_use import DeclaredUse
from symphony_isolation.permissions.gate import Gate, decide_for
from symphony_isolation.permissions.grants import LIFETIMES, Accepted, Grant, Grants, Held, Lifetime
from symphony_isolation.permissions.plain_use import Use, find_uses
from symphony_isolation.permissions.request import (
    PermissionRequest,
    RequestItem,
    make_request,
    permission_text,
)

__all__ = [
    "LIFETIMES",
    "Accepted",
    "AdminPolicy",
    "Authority",
    "Decision",
    "Declaration",
    "DeclaredUse",
    "Gate",
    "Grant",
    "Grants",
    "Held",
    "Lifetime",
    "PermissionRequest",
    "RequestItem",
    "Standing",
    "Use",
    "compile_policy",
    "decide",
    "decide_for",
    "find_uses",
    "load_policy",
    "make_request",
    "permission_text",
    "single_scopes",
    "split",
    "standing_of",
]

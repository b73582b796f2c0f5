"""Decides each access of one extension, and records what it decided."""

import os
from collections.abc import Callable, Sequence
from typing import Protocol

from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import Access, Permission, PermissionSet

from symphony_isolation.audit import AuditEvent
from symphony_isolation.permissions.admin_policy import AdminPolicy
from symphony_isolation.permissions.compiling import is_hidden
from symphony_isolation.permissions.deciding import Decision, decide
from symphony_isolation.permissions.declaration import Declaration
from symphony_isolation.permissions.grants import Grants


class Audit(Protocol):
    """Where decisions are recorded."""

    def append(self, event: AuditEvent, *, count: int = 1) -> None:
        """Record an event; raises PermissionDenied where it cannot be recorded."""


Ask = Callable[[Declaration, Access], bool]
"""Asks the user for an access that is declared and not decided; whether it was granted since."""


def decide_for(
    declaration: Declaration,
    asked: Permission | Access,
    grants: Grants,
    policy: AdminPolicy,
    *,
    askable: bool = True,
) -> Decision:
    """The decision about a permission or an access of an extension.

    Args:
        declaration: The extension.
        asked: A permission of one scope, or an access.
        grants: The answers of the user.
        policy: What the administrator says.
        askable: Whether there is somebody to ask.

    Raises:
        PermissionDenied: SYM-P008, the answers cannot be read.
    """
    extension, roots = declaration.extension, declaration.permissions.roots
    answers = grants.answers(declaration)
    return decide(
        declared=declaration.permissions.covers(asked),
        policy_denies=policy.denies(extension, asked, roots),
        user_denies=PermissionSet(answers.denied, roots).covers(asked),
        policy_allows=policy.allows(extension, asked, roots),
        user_allows=PermissionSet(answers.allowed, roots).covers(asked),
        askable=askable,
    )


class Gate:
    """Decides the accesses of one extension; threads may use it at once.

    Args:
        declaration: The extension, and what its manifest declares.
        grants: The answers of the user; those given while it is used count from then on.
        policy: What the administrator says.
        audit: Where each decision is recorded.
        ask: Asks the user; without it, the decision `ask` is given back.
        audit_only: Whether what nobody has denied is allowed and recorded as what would have been decided.
        hidden: Trees that no extension reaches, whatever is granted, except its own directories in them.
    """

    def __init__(
        self,
        declaration: Declaration,
        grants: Grants,
        policy: AdminPolicy,
        audit: Audit,
        *,
        ask: Ask | None = None,
        audit_only: bool = False,
        hidden: Sequence[str] = (),
    ) -> None:
        self._declaration = declaration
        self._grants = grants
        self._policy = policy
        self._audit = audit
        self._ask = ask
        self._audit_only = audit_only
        self._hidden = tuple(map(os.path.realpath, hidden))
        roots = declaration.permissions.roots
        self._own = tuple(os.path.realpath(roots[name]) for name in ("data", "cache") if roots.get(name))

    def check(self, access: Access, *, pid: int = 0) -> Decision:
        """Decide an access and record it.

        Args:
            access: What is about to be done.
            pid: The process that is about to do it.

        Raises:
            PermissionDenied: SYM-P008 or SYM-P040: what cannot be looked up or recorded is not allowed.
        """
        decision = self._decide(access)
        if decision.outcome == "ask" and self._ask is not None and not self._audit_only:
            self._ask(self._declaration, access)
            decision = self._decide(access)
        recorded = decision.outcome
        if self._audit_only and decision.rule in ("undeclared", "ask"):
            decision = Decision("allow", "audit-only")
        self._audit.append(
            AuditEvent(
                self._declaration.extension,
                access.type,
                access.scope,
                access.resource,
                f"would-{recorded}" if decision.rule == "audit-only" else recorded,
                decision.rule,
                self._declaration.version,
                pid,
            )
        )
        return decision

    def require(self, access: Access, *, pid: int = 0) -> None:
        """Return if an access is allowed, once it was recorded.

        Args:
            access: What is about to be done.
            pid: The process that is about to do it.

        Raises:
            PermissionDenied: It is not: SYM-P001, not declared; SYM-P003, not granted yet; SYM-P004, denied by the
                administrator; SYM-P005, denied by the user. Or as `check`.
        """
        decision = self.check(access, pid=pid)
        if not decision.allowed:
            raise self.refusal(access, decision)

    def refusal(self, access: Access, decision: Decision) -> PermissionDenied:
        """The error that tells an extension why it may not.

        Args:
            access: What it wanted to do.
            decision: Why it may not.
        """
        extension = self._declaration.extension
        if decision.rule == "undeclared":
            try:
                self._declaration.permissions.check(access, extension=extension)
            except PermissionDenied as error:
                return error
        return refusal(extension, str(access), decision)

    def _decide(self, access: Access) -> Decision:
        if access.type == "file" and is_hidden(self._absolute(access.resource), self._hidden, self._own):
            return Decision("deny", "protected")
        return decide_for(self._declaration, access, self._grants, self._policy)

    def _absolute(self, resource: str) -> str:
        """The path that is meant, as the trees are written; what has a `..` in it is never declared."""
        for name, root in self._declaration.permissions.roots.items():
            if resource.startswith(f"${{{name}}}"):
                return root + resource[len(name) + 3 :]
        return resource


def refusal(extension: str, asked: str, decision: Decision) -> PermissionDenied:
    """The error for something that is declared and not allowed.

    Args:
        extension: Id of the extension.
        asked: The access or the permission, as text.
        decision: Why not.
    """
    what, code, hint = {
        "policy-deny": (
            "the administrator's policy denies it",
            "SYM-P004",
            "The setting `permission_policy` names the file of the policy.",
        ),
        "protected": (
            "Symphony keeps its own things there",
            "SYM-P011",
            "No permission reaches there; an extension has `ctx.artifacts` and its own directory.",
        ),
        "user-deny": (
            "you have denied it",
            "SYM-P005",
            f"To change your mind: `symphony permissions grant {extension}`.",
        ),
    }.get(
        decision.rule,
        (
            "it is declared and not granted yet",
            "SYM-P003",
            f"To allow it: `symphony permissions grant {extension} --optional`.",
        ),
    )
    shown = asked if len(asked) <= 500 else f"{asked[:200]}..."
    portable = shown.encode("utf-8", "backslashreplace").decode()
    return PermissionDenied(
        f"{extension} may not use {portable!r}: {what}",
        code=code,
        hint=hint,
        details={"extension": extension, "asked": portable, "rule": decision.rule},
    )

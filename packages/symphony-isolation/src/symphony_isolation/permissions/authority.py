"""Says of each extension what it lacks, and starts none that lacks something: grants, policy and audit put together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import Permission, PermissionSet, parse

from symphony_isolation.audit import AuditEvent
from symphony_isolation.environment import access_to, variables_of
from symphony_isolation.permissions.admin_policy import AdminPolicy
from symphony_isolation.permissions.compiling import compile_policy, denied_trees
from symphony_isolation.permissions.deciding import Decision
from symphony_isolation.permissions.declaration import Declaration, single_scopes
from symphony_isolation.permissions.declared_use import DeclaredUse
from symphony_isolation.permissions.gate import Ask, Audit, Gate, decide_for, refusal
from symphony_isolation.permissions.grants import Accepted, Grants, Lifetime
from symphony_isolation.permissions.plain_use import Use
from symphony_isolation.permissions.request import PermissionRequest, make_request
from symphony_isolation.sandbox import SandboxPolicy, choose
from symphony_isolation.spec import WorkerSpec

EVERYTHING: Final = (
    "file:read,write:/**",
    "network:read:*",
    "network:read:0.0.0.0/0",
    "network:read:[::/0]",
    "model:read:**",
)
"""What the broker opens where nothing that is undeclared is denied."""


WATCHED: Final = ("file:read:${home}/**", "file:read:${project}/**")
"""What the sandbox of an extension lets through besides, where nothing that is undeclared is denied."""


class Standing(NamedTuple):
    """How an extension stands with its user.

    Args:
        declaration: What it declares.
        decided: The decision about each permission, each of one scope, in the order of the manifest.
        wider: What it asks for beyond the declaration that was accepted last.
        accepted: That declaration; None where none was accepted.
    """

    declaration: Declaration
    decided: tuple[tuple[Permission, Decision], ...]
    wider: tuple[Permission, ...]
    accepted: Accepted | None

    @property
    def granted(self) -> tuple[Permission, ...]:
        """What it may do now."""
        return tuple(permission for permission, decision in self.decided if decision.allowed)

    @property
    def missing(self) -> tuple[Permission, ...]:
        """What the user has to answer before it is started: the required ones, and what an update adds."""
        wider = set(map(str, self.wider))
        return tuple(
            permission
            for permission, decision in self.decided
            if decision.outcome == "ask" and (permission.required or str(permission) in wider)
        )

    @property
    def open(self) -> tuple[Permission, ...]:
        """What the user has not answered, the optional ones included."""
        return tuple(permission for permission, decision in self.decided if decision.outcome == "ask")

    @property
    def request(self) -> PermissionRequest:
        """What the user is to be asked for before it is started."""
        return make_request(self.declaration, self.missing, self.accepted)

    @property
    def error(self) -> PermissionDenied | None:
        """Why it is not started; None where it is."""
        extension = self.declaration.extension
        for permission, decision in self.decided:
            if permission.required and decision.outcome == "deny":
                return refusal(extension, str(permission), decision)
        missing = self.missing
        if not missing:
            return None
        wanted = ", ".join(map(str, missing))
        details = {"extension": extension, "missing": [str(each) for each in missing]}
        hint = f"`symphony permissions grant {extension}` grants it; `... request {extension}` shows risk and reason."
        if self.accepted is not None and self.wider:
            return PermissionDenied(
                f"{extension} {self.declaration.version} asks for more than {self.accepted.version}, which you "
                f"accepted: {wanted}",
                code="SYM-P006",
                hint=hint,
                details=details,
            )
        return PermissionDenied(
            f"{extension} needs what you have not granted: {wanted}",
            code="SYM-P002",
            hint=hint,
            details=details,
        )


class Authority:
    """Decides what extensions may do.

    Args:
        declarations: What each extension that runs in a worker declares, by id.
        grants: The answers of the user.
        policy: What the administrator says.
        audit: Where decisions are recorded.
        ask: Asks the user for an optional permission when it is first used; nobody is asked without it.
        audit_only: Whether what nobody has denied is allowed, and recorded.
        code: Looks at the code of extensions before it runs; it is not looked at without it.
        hidden: Trees that no extension reaches, whatever is granted, except its own directories in them.
    """

    def __init__(
        self,
        declarations: Mapping[str, Declaration],
        grants: Grants,
        policy: AdminPolicy,
        audit: Audit,
        *,
        ask: Ask | None = None,
        audit_only: bool = False,
        code: DeclaredUse | None = None,
        hidden: Sequence[str] = (),
    ) -> None:
        self._declarations = dict(declarations)
        self._grants = grants
        self._policy = policy
        self._audit = audit
        self._ask = ask
        self._audit_only = audit_only
        self._code = code
        self._hidden = hidden

    @property
    def declarations(self) -> Mapping[str, Declaration]:
        """What each extension declares, by id."""
        return self._declarations

    def renew(self, declaration: Declaration) -> None:
        """Take note of what an extension declares now: it was installed, updated or edited since.

        Args:
            declaration: What it declares; it counts for workers that are started from now on.
        """
        self._declarations[declaration.extension] = declaration

    @property
    def policy(self) -> AdminPolicy:
        """What the administrator says."""
        return self._policy

    @property
    def audit_only(self) -> bool:
        """Whether what nobody has denied is allowed, and recorded."""
        return self._audit_only

    def standing(self, extension: str) -> Standing:
        """How an extension stands with its user.

        Args:
            extension: Id of an extension that runs in a worker.

        Raises:
            PermissionDenied: SYM-P008, the answers cannot be read.
        """
        return standing_of(self._declared_by(extension), self._grants, self._policy)

    def inspect(self, spec: WorkerSpec) -> tuple[Use, ...]:
        """Look at the code of an extension before any of it runs; reads files where it changed since.

        Args:
            spec: The extension.

        Returns:
            What is perhaps used and not declared.

        Raises:
            PermissionDenied: SYM-P010, it uses what it does not declare.
        """
        if self._code is None or self._audit_only or spec.id not in self._declarations:
            return ()
        return self._code.check(spec, self._declarations[spec.id].permissions)

    def admit(self, spec: WorkerSpec) -> WorkerSpec:
        """An extension as its worker is started: its permissions are those that are granted, and recorded as such.

        Args:
            spec: The extension; its permissions are those that it declares.

        Raises:
            PermissionDenied: Why it is not started: SYM-P002, P004, P005 or P006.
        """
        if not spec.permissions:
            return spec
        standing = self.standing(spec.id)
        error = standing.error
        if error is not None and self._audit_only and error.code in ("SYM-P002", "SYM-P006"):
            error = None
        for permission, decision in standing.decided:
            self._audit.append(_event(standing.declaration, permission, decision.outcome, decision.rule))
        if error is not None:
            raise error
        self._grants.note_use(standing.declaration)
        granted = standing.granted
        if self._audit_only:
            granted = tuple(each for each, decision in standing.decided if decision.outcome != "deny")
        declaration = standing.declaration
        granted = tuple(one for each in granted for one in self._without_denied(declaration, each))
        denied = (
            *self._policy.denied(spec.id, declaration.permissions.roots),
            *self._grants.answers(declaration).denied,
        )
        hidden = dict.fromkeys((*spec.hidden, *denied_trees(denied, declaration.permissions.roots)))
        admitted = msgspec.structs.replace(spec, permissions=tuple(map(str, granted)), hidden=tuple(hidden))
        return _opened(admitted) if self._audit_only else admitted

    def _without_denied(self, declaration: Declaration, granted: Permission) -> Iterator[Permission]:
        """A permission as it is granted; one for several variables of the environment as one for each not denied."""
        if granted.type != "system" or not granted.resource.endswith("*"):
            yield granted
            return
        for variable in variables_of(granted):
            decision = decide_for(declaration, access_to(variable), self._grants, self._policy)
            one = msgspec.structs.replace(granted, resource=f"environment:{variable}")
            self._audit.append(_event(declaration, one, decision.outcome, decision.rule))
            if decision.outcome != "deny":
                yield one

    def reach(self, extension: str) -> PermissionSet:
        """What the broker of an extension opens at most; the gate decides about each access of it.

        Args:
            extension: Id of an extension that runs in a worker.
        """
        declared = self._declared_by(extension).permissions
        if not self._audit_only:
            return declared
        return PermissionSet((*declared, *map(parse, EVERYTHING)), declared.roots)

    def gate(self, extension: str) -> Gate:
        """What decides each access of an extension while it runs.

        Args:
            extension: Id of an extension that runs in a worker.
        """
        return Gate(
            self._declared_by(extension),
            self._grants,
            self._policy,
            self._audit,
            ask=self._ask,
            audit_only=self._audit_only,
            hidden=self._hidden,
        )

    def grant(
        self, extension: str, lifetime: Lifetime, permissions: tuple[Permission, ...] | None = None
    ) -> tuple[Permission, ...]:
        """Grant permissions to an extension, as its user decided, and record that.

        Args:
            extension: Id of an extension that runs in a worker.
            lifetime: How long.
            permissions: Which ones, each of one scope; all that it requires where it is None.

        Returns:
            What was granted.

        Raises:
            PermissionDenied: SYM-P008 or SYM-P040, it cannot be kept or recorded.
        """
        declaration = self._declarations[extension]
        if permissions is None:
            permissions = split(declaration.permissions.required)
        self._grants.grant(declaration, permissions, lifetime)
        for permission in permissions:
            self._audit.append(_event(declaration, permission, "grant", lifetime))
        return permissions

    def deny(
        self, extension: str, lifetime: Lifetime, permissions: tuple[Permission, ...]
    ) -> tuple[Permission, ...]:
        """Deny permissions to an extension, as its user decided, and record that; as of `grant`."""
        declaration = self._declarations[extension]
        self._grants.deny(declaration, permissions, lifetime)
        for permission in permissions:
            self._audit.append(_event(declaration, permission, "deny", lifetime))
        return permissions

    def _declared_by(self, extension: str) -> Declaration:
        """What an extension declares: nothing where it is not known here, so that it may do nothing."""
        return self._declarations.get(extension) or Declaration(extension, "", "", PermissionSet())

    def on_denied(self, extension: str, syscall: str, count: int) -> None:
        """Record system calls that the sandbox refused to an extension; may be called from any thread.

        Args:
            extension: Id of the extension.
            syscall: Name of the system call.
            count: How many.

        Raises:
            PermissionDenied: SYM-P040, it cannot be recorded.
        """
        event = AuditEvent(extension, "syscall", "execute", syscall, "deny", "sandbox")
        self._audit.append(event, count=count)


def standing_of(declaration: Declaration, grants: Grants, policy: AdminPolicy) -> Standing:
    """How an extension stands with its user.

    Args:
        declaration: What it declares.
        grants: The answers of the user.
        policy: What the administrator says.

    Raises:
        PermissionDenied: SYM-P008, the answers cannot be read.
    """
    accepted = grants.answers(declaration).accepted
    wider: tuple[Permission, ...] = ()
    if accepted is not None and accepted.digest != declaration.digest:
        old = PermissionSet(accepted.permissions, declaration.permissions.roots)
        wider = tuple(one for each in declaration.permissions.widens(old) for one in single_scopes(each))
    decided = tuple(
        (permission, decide_for(declaration, permission, grants, policy))
        for permission in split(declaration.permissions)
    )
    return Standing(declaration, decided, wider, accepted)


def _opened(spec: WorkerSpec) -> WorkerSpec:
    """An extension that is watched: its sandbox lets it read the user's files; `ctx` still asks for each."""
    if isinstance(spec.sandbox, SandboxPolicy):
        return spec
    seen = msgspec.structs.replace(spec, permissions=(*spec.permissions, *WATCHED))
    return msgspec.structs.replace(spec, sandbox=compile_policy(seen, choose(spec.sandbox)))


def split(permissions: PermissionSet) -> tuple[Permission, ...]:
    """The permissions of a set, each as one for each of its scopes.

    Args:
        permissions: Any set.
    """
    return tuple(one for each in permissions for one in single_scopes(each))


def _event(declaration: Declaration, permission: Permission, decision: str, rule: str) -> AuditEvent:
    return AuditEvent(
        declaration.extension,
        permission.type,
        permission.scope[0],
        permission.resource,
        decision,
        rule,
        declaration.version,
    )

"""All permissions of one extension: what they cover, what an update adds, and the check of an access."""

import json
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from symphony_sdk.errors import ManifestError, PermissionDenied
from symphony_sdk.permissions.permission import LONGEST_ACCESS, Access, Permission, covers, parse

_NO_ROOTS: Mapping[str, str] = {}
_VERBS = {
    ("file", "read"): "read",
    ("file", "write"): "write",
    ("file", "execute"): "run",
    ("network", "read"): "connect to",
    ("network", "write"): "listen on",
    ("system", "read"): "read the system's",
    ("system", "write"): "write the system's",
    ("system", "execute"): "use the system's",
    ("model", "read"): "inspect the model",
    ("model", "write"): "change the model",
    ("model", "execute"): "run the model",
}


class PermissionSet(msgspec.Struct, frozen=True):
    """What one extension has declared, or what one user has granted to it.

    Args:
        permissions: In the order of the manifest.
        roots: The absolute path that each of [VARIABLES][symphony_sdk.permissions.VARIABLES] stands for here.
    """

    permissions: tuple[Permission, ...] = ()
    roots: Mapping[str, str] = {}

    @classmethod
    def parse(cls, texts: Iterable[str], *, roots: Mapping[str, str] = _NO_ROOTS) -> "PermissionSet":
        """The set of what each text says, all of it required.

        Args:
            texts: As of [parse][symphony_sdk.permissions.parse].
            roots: The absolute path that each variable stands for here.

        Raises:
            ManifestError: SYM-M006.
        """
        return cls(tuple(map(parse, texts)), roots)

    def __iter__(self) -> Iterator[Permission]:
        return iter(self.permissions)

    @property
    def required(self) -> "PermissionSet":
        """Those that the extension cannot work without."""
        return PermissionSet(tuple(each for each in self.permissions if each.required), self.roots)

    @property
    def optional(self) -> "PermissionSet":
        """Those that are asked for when first used."""
        return PermissionSet(tuple(each for each in self.permissions if not each.required), self.roots)

    def covers(self, asked: Permission | Access) -> bool:
        """Whether `asked` is allowed, each scope of it by one of these permissions.

        Args:
            asked: Another permission, or a single access.
        """
        if isinstance(asked, Access):
            return any(covers(each, asked, roots=self.roots) for each in self.permissions)
        return not self._uncovered(asked)

    def widens(self, old: "PermissionSet") -> list[Permission]:
        """What these permissions allow beyond `old`, for the user to accept before an update is enabled.

        A permission that was optional and is now required counts: it was never asked for.

        Args:
            old: The permissions of the version that the user has accepted.

        Returns:
            In the order of the manifest, each with only those of its scopes that are new.
        """
        accepted_as_required = old.required
        wider = []
        for each in self.permissions:
            uncovered = (accepted_as_required if each.required else old)._uncovered(each)
            if uncovered is not None:
                wider.append(uncovered)
        return wider

    def check(self, access: Access, *, extension: str = "the extension") -> None:
        """Return if `access` is allowed.

        Args:
            access: What is about to be done.
            extension: The id of the extension that is about to do it, for the message.

        Raises:
            PermissionDenied: SYM-P001, naming the access and what is declared; the hint holds the lines
                that allow it, as `details["declaration"]` does.
        """
        if self.covers(access):
            return
        alike = [str(each) for each in self.permissions if each.type == access.type]
        declared = (
            f"it declares only {', '.join(alike)}" if alike else f"it declares no {access.type} permission"
        )
        verb = _VERBS.get((access.type, access.scope), f"{access.scope} the {access.type}")
        declaration = self._declaration(access)
        resource = _portable(access.resource)
        raise PermissionDenied(
            f"{extension} may not {verb} {resource!r}: {declared}",
            hint=f"If it should, add to its symphony.toml:\n\n{declaration}"
            if declaration
            else f"No permission can allow this: {resource!r} is not a plain {access.type} resource.",
            details={
                "extension": extension,
                "type": access.type,
                "scope": access.scope,
                "resource": resource,
                "declared": [str(each) for each in self.permissions],
                "declaration": declaration,
            },
        )

    def _uncovered(self, asked: Permission) -> Permission | None:
        """`asked` with only those of its scopes that none of these permissions covers."""
        scopes = tuple(
            scope
            for scope in asked.scope
            if not any(
                covers(each, msgspec.structs.replace(asked, scope=(scope,)), roots=self.roots)
                for each in self.permissions
            )
        )
        return msgspec.structs.replace(asked, scope=scopes) if scopes else None

    def _declaration(self, access: Access) -> str:
        """The lines of a manifest that allow `access`, or nothing where none can."""
        try:
            narrowest = Permission(access.type, (access.scope,), self._narrowest_resource(access))
        except ManifestError:
            return ""
        if not covers(narrowest, access, roots=self.roots):
            return ""
        return (
            "[[permissions.required]]\n"
            f'type = "{narrowest.type}"\n'
            f'scope = ["{access.scope}"]\n'
            f"resource = {json.dumps(narrowest.resource, ensure_ascii=False)}\n"
            'reason = "why the user should allow it"\n'
        )

    def _narrowest_resource(self, access: Access) -> str:
        if access.type != "file":
            return access.resource.lower() if access.type == "network" else access.resource
        resource = access.resource.replace("*", "?")  # a path's `*` is a character, a resource's a wildcard
        if access.resource.startswith("${"):
            return resource
        longest = ""
        for variable, root in self.roots.items():
            folder = Permission("file", (access.scope,), f"${{{variable}}}/**")
            if len(root) > len(longest) and covers(folder, access, roots=self.roots):
                longest = root
                resource = f"${{{variable}}}{access.resource[len(root.rstrip('/')) :].replace('*', '?')}"
        return resource


def _portable(resource: str) -> str:
    """A foreign text short enough for a message, and encodable: file names may hold lone surrogates."""
    short = resource if len(resource) <= LONGEST_ACCESS else resource[:200] + "..."
    return short.encode("utf-8", "backslashreplace").decode()

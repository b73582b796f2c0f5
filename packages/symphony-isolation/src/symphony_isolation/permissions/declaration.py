"""What one version of an extension asks to be allowed: the thing that users accept or refuse."""

import hashlib

import msgspec
from symphony_sdk.permissions import Permission, PermissionSet


class Declaration(msgspec.Struct, frozen=True):
    """The permissions of one version of an extension.

    Args:
        extension: Id of the extension.
        version: Its version.
        publisher: Who it comes from, as far as that is known: the name of its distribution. A grant is to both, so
            that another distribution with the same id inherits nothing.
        permissions: What it declares, and the directories behind its variables.
    """

    extension: str
    version: str
    publisher: str
    permissions: PermissionSet

    @property
    def digest(self) -> str:
        """Names what is declared, whatever the order and the reasons: the same for two versions that ask for the same."""
        lines = sorted(f"{'required' if each.required else 'optional'} {each}" for each in self.permissions)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def single_scopes(permission: Permission) -> tuple[Permission, ...]:
    """A permission as one for each of its scopes, as decisions are made for each.

    Args:
        permission: Any permission.
    """
    return tuple(msgspec.structs.replace(permission, scope=(scope,)) for scope in permission.scope)

"""The administrator's policy: a TOML file whose lists cap what users can grant.

    deny = ["file:read,write:${home}/.ssh/**", "network"]

    [extensions."acme.*"]
    allow = ["file:read:${project}/**"]

Each entry is a permission, or a type alone for all of it. Patterns of ids are those of `fnmatch`.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
from symphony_sdk.errors import ManifestError, PermissionDenied
from symphony_sdk.permissions import PERMISSION_TYPES, Access, Permission, PermissionSet, parse

_LISTS = ("allow", "deny")


class Rules(msgspec.Struct, frozen=True):
    """What is said of the extensions whose ids match a pattern.

    Args:
        extensions: Pattern of their ids.
        allow: What they may do without the user being asked.
        deny: What they may not do, whatever the user says.
        allow_types: Types of which they may do everything.
        deny_types: Types of which they may do nothing.
    """

    extensions: str
    allow: tuple[Permission, ...] = ()
    deny: tuple[Permission, ...] = ()
    allow_types: tuple[str, ...] = ()
    deny_types: tuple[str, ...] = ()


class AdminPolicy(msgspec.Struct, frozen=True):
    """What the administrator says; nothing unless a file says something.

    Args:
        rules: In the order of the file.
    """

    rules: tuple[Rules, ...] = ()

    def denies(self, extension: str, asked: Permission | Access, roots: Mapping[str, str]) -> bool:
        """Whether all of `asked` is denied to an extension.

        Args:
            extension: Its id.
            asked: A permission of one scope, or an access.
            roots: The directories behind variables, for that extension.
        """
        rules = self._of(extension)
        if not rules:
            return False
        types = (type for each in rules for type in each.deny_types)
        return asked.type in types or self.denied(extension, roots).covers(asked)

    def allows(self, extension: str, asked: Permission | Access, roots: Mapping[str, str]) -> bool:
        """Whether all of `asked` is allowed to an extension; as of `denies`."""
        rules = self._of(extension)
        if not rules:
            return False
        types = (type for each in rules for type in each.allow_types)
        allowed = PermissionSet(tuple(one for each in rules for one in each.allow), roots)
        return asked.type in types or allowed.covers(asked)

    def denied(self, extension: str, roots: Mapping[str, str]) -> PermissionSet:
        """What is denied to an extension, besides whole types.

        Args:
            extension: Its id.
            roots: The directories behind variables, for that extension.
        """
        return PermissionSet(tuple(one for each in self._of(extension) for one in each.deny), roots)

    def _of(self, extension: str) -> list[Rules]:
        return [each for each in self.rules if fnmatchcase(extension, each.extensions)]


def load_policy(path: Path | None) -> AdminPolicy:
    """The policy in a file.

    Args:
        path: The file; None for no policy.

    Raises:
        PermissionDenied: SYM-P007, it is not there, not TOML, or says something that no policy can say: then
            nothing is allowed, rather than everything.
    """
    if path is None:
        return AdminPolicy()
    import tomllib

    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise _broken(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"is not TOML: {error}") from error
    tables = document.pop("extensions", {})
    if not isinstance(tables, dict):
        raise _broken(path, "says `extensions`, which is no table")
    rules = [_rules(path, "*", "", document)]
    for pattern, table in tables.items():
        if not isinstance(table, dict):
            raise _broken(path, f"says `extensions.{pattern}`, which is no table")
        rules.append(_rules(path, pattern, f"extensions.{pattern}: ", table))
    return AdminPolicy(tuple(rules))


def _rules(path: Path, extensions: str, place: str, table: Mapping[str, Any]) -> Rules:
    for key in table:
        if key not in _LISTS:
            raise _broken(path, f"says {place}`{key}`; expected `allow`, `deny` and `extensions`")
    allow, allow_types = _entries(path, f"{place}allow", table.get("allow", []))
    deny, deny_types = _entries(path, f"{place}deny", table.get("deny", []))
    return Rules(extensions, allow, deny, allow_types, deny_types)


def _entries(path: Path, place: str, texts: Sequence[Any]) -> tuple[tuple[Permission, ...], tuple[str, ...]]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _broken(path, f"says {place} = {texts!r}; expected a list of permissions")
    types = tuple(text for text in texts if text in PERMISSION_TYPES)
    return tuple(_parsed(path, place, set(texts) - set(types), texts)), types


def _parsed(path: Path, place: str, wanted: set[str], texts: Sequence[str]) -> Iterable[Permission]:
    for text in texts:
        if text in wanted:
            try:
                yield parse(text)
            except ManifestError as error:
                raise _broken(path, f"says in {place}: {error.message}", error.hint) from error


def _broken(path: Path, what: str, hint: str = "") -> PermissionDenied:
    return PermissionDenied(
        f"the policy {what}",
        code="SYM-P007",
        hint=hint or "Mend the file, or have the setting `permission_policy` name another.",
        file=str(path),
    )

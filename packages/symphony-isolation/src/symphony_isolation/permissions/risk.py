"""How much harm a permission can do, for the user who is asked about it."""

from typing import Literal

from symphony_sdk.permissions import Permission, Scope

Risk = Literal["low", "medium", "high"]

_OWN = ("${data}", "${cache}", "${tmp}")
_OF_FEATURE: dict[str, Risk] = {
    "process": "high",
    "camera": "high",
    "microphone": "high",
    "clipboard": "medium",
    "environment": "medium",
    "notifications": "low",
    "gpu": "low",
    "hardware": "low",
}
_OF_MODEL: dict[Scope, Risk] = {"read": "low", "execute": "low", "write": "medium"}


def risk_of(permission: Permission) -> Risk:
    """How much harm a permission can do.

    Args:
        permission: A permission of one scope.

    Returns:
        `high`: what it reaches can take the user's secrets or their machine. `medium`: it can read or change what is
        the user's. `low`: what it reaches is its own.
    """
    scope, resource = permission.scope[0], permission.resource
    if permission.type == "file":
        return _of_file(scope, resource)
    if permission.type == "network":
        host = resource.rpartition(":")[0] or resource
        return "high" if scope == "write" or host.startswith("*") or "/" in resource else "medium"
    if permission.type == "system":
        feature, _, name = resource.partition(":")
        return "high" if feature == "environment" and name.endswith("*") else _OF_FEATURE[feature]
    return _OF_MODEL[scope]


def _of_file(scope: Scope, resource: str) -> Risk:
    if resource.startswith(_OWN):
        return "low"
    if scope == "execute":
        return "high"
    if resource.startswith("${project}"):
        return "medium"
    # Below the root and the home directory lie keys, passwords and what is run at the next login.
    top = resource.removeprefix("${home}").removeprefix("/").partition("/")[0]
    wide = resource.startswith("${home}") or any(character in top for character in "*?") or not top
    return "high" if scope == "write" or wide else "medium"

"""What a worker has in its environment: a few variables of the host, and those that its user granted it.

What was granted goes with the plan. In the environment that a process is executed with it could change how the process
is loaded, before that is confined; and what the zygote has, each worker could read.
"""

import os
import re
from typing import Final

from symphony_sdk.errors import PermissionDenied
from symphony_sdk.permissions import Access, Permission, PermissionSet

from symphony_isolation.certificates import named_certificates
from symphony_isolation.spec import WorkerSpec, connects

ENVIRONMENT_LIMIT: Final = 1 << 16
"""Bytes of all variables that were granted to an extension."""

_OF_THE_HOST: Final = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def host_environment() -> dict[str, str]:
    """The few variables of the host that every process for extensions gets."""
    return {
        name: value for name, value in os.environ.items() if name in _OF_THE_HOST or name.startswith("LC_")
    }


def clean_environment(spec: WorkerSpec) -> dict[str, str]:
    """What the process of a worker is started with.

    Args:
        spec: The extension; its `tmp` root, where it has one, becomes TMPDIR, and its own directory HOME unless it may
            do something in the user's.
    """
    environment = host_environment()
    if "tmp" in spec.roots:
        environment["TMPDIR"] = spec.roots["tmp"]
    if not any("${home}" in permission for permission in spec.permissions):
        environment["HOME"] = spec.data_dir  # libraries keep caches there
    return environment


def granted_environment(spec: WorkerSpec) -> tuple[bytes, ...]:
    """The variables of the host that a worker gets besides, each as `NAME=value`.

    Args:
        spec: The extension; its permissions are those that are granted. Who may connect is told which certificates
            the user trusts.

    Raises:
        PermissionDenied: SYM-P012, they are larger than a worker takes.
    """
    if not spec.permissions:
        return ()
    found: dict[str, str] = named_certificates() if connects(spec) else {}
    for permission in PermissionSet.parse(spec.permissions, roots=spec.roots):
        found.update((name, os.environ[name]) for name in variables_of(permission))
    variables = tuple(os.fsencode(f"{name}={value}") for name, value in found.items())
    size = sum(map(len, variables))
    if size > ENVIRONMENT_LIMIT:
        raise PermissionDenied(
            f"the variables that {spec.id} is granted hold {size:,} bytes, and a worker takes {ENVIRONMENT_LIMIT:,}: "
            f"{', '.join(sorted(found))}",
            code="SYM-P012",
            hint="Put what is large into a file, and grant that.",
            details={"extension": spec.id, "variables": sorted(found), "bytes": size},
        )
    return variables


def variables_of(permission: Permission) -> list[str]:
    """Names of the variables of the host that a permission is for; none where it is for something else.

    Args:
        permission: A permission of any type.
    """
    if permission.type != "system" or not permission.resource.startswith("environment:"):
        return []
    alone = PermissionSet((permission,))
    return [name for name in sorted(os.environ) if _NAME.fullmatch(name) and alone.covers(access_to(name))]


def access_to(variable: str) -> Access:
    """What it is to read a variable.

    Args:
        variable: Its name.
    """
    return Access("system", "read", f"environment:{variable}")

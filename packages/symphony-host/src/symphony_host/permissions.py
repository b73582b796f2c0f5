"""Where this user's grants, policy and audit log are, and what the installed extensions declare."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from symphony_isolation.audit import AuditLog
from symphony_isolation.permissions import Authority, Declaration, DeclaredUse, Grants, load_policy
from symphony_sdk.permissions import PermissionSet

from symphony_host.directories import user_directory

if TYPE_CHECKING:
    from symphony_host.configuration import Settings
    from symphony_host.records import ExtensionRecord


def roots_of(settings: "Settings", extension: str) -> dict[str, str]:
    """The directories behind the variables of paths, for an extension.

    Args:
        settings: The settings of this start.
        extension: Its id.
    """
    return {
        "project": str(Path.cwd().resolve()),
        "home": str(Path.home().resolve()),
        "data": str((settings.data_dir / "extensions" / extension).resolve()),
        "cache": str((settings.cache_dir / "extensions" / extension).resolve()),
        "tmp": str(Path(tempfile.gettempdir()).resolve()),
    }


def declaration_of(settings: "Settings", record: "ExtensionRecord") -> Declaration:
    """What an installed extension declares.

    Args:
        settings: The settings of this start.
        record: The extension.

    Raises:
        SymphonyError: It has no usable manifest.
    """
    permissions = PermissionSet(record.manifest.permissions, roots_of(settings, record.id))
    return Declaration(record.id, record.version, record.distribution, permissions)


def hidden_from(settings: "Settings") -> tuple[str, ...]:
    """What no extension sees, whatever is granted: where Symphony keeps its settings, grants, log and results.

    Args:
        settings: The settings of this start.
    """
    folders = [settings.data_dir, settings.cache_dir, Path(user_directory("config"))]
    files = [file for file in (settings.file, settings.permission_policy) if file is not None]
    return tuple(dict.fromkeys(str(path.resolve()) for path in (*folders, *files)))


def audit_directory(settings: "Settings") -> Path:
    """Where the audit log is.

    Args:
        settings: The settings of this start.
    """
    return settings.data_dir / "audit"


def audit_head(settings: "Settings") -> Path:
    """The head of the audit log, apart from it.

    Args:
        settings: The settings of this start.
    """
    return settings.data_dir / "host" / "audit.head"


def audit_log(settings: "Settings") -> AuditLog:
    """This user's audit log.

    Args:
        settings: The settings of this start.
    """
    return AuditLog(audit_directory(settings), audit_head(settings))


def grants_of(settings: "Settings") -> Grants:
    """What this user has granted.

    Args:
        settings: The settings of this start.
    """
    return Grants(settings.data_dir / "grants")


def authority_of(settings: "Settings", records: "Iterable[ExtensionRecord]", audit: AuditLog) -> Authority:
    """What decides what the extensions in workers may do.

    Args:
        settings: The settings of this start.
        records: The usable extensions; those that run in the host are trusted and not asked about.
        audit: Where decisions are recorded.

    Raises:
        PermissionDenied: SYM-P007, the administrator's policy is broken.
    """
    declarations = {
        record.id: declaration_of(settings, record) for record in records if record.runs == "worker"
    }
    return Authority(
        declarations,
        grants_of(settings),
        load_policy(settings.permission_policy),
        audit,
        audit_only=settings.audit_only,
        code=DeclaredUse(settings.cache_dir / "declared-use"),
        hidden=hidden_from(settings),
    )

"""What the disk and SQLite refuse, as errors that say which store, why, and what to do; and the store's own."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
from symphony_sdk.errors import ArtifactError

from pit_artifact_store.ids import text_of
from pit_artifact_store.tiering.remote import OutOfReach

_MENDS: Final = {
    errno.ENOSPC: "Free some space on that disk; what was stored before is kept.",
    errno.EDQUOT: "The disk quota of this user is used up: free some of it.",
    errno.EROFS: "The file system is mounted read-only: mount it writable, or set another data directory.",
    errno.EACCES: "Give this user the right to write there, or set another data directory.",
    errno.EPERM: "Give this user the right to write there, or set another data directory.",
    errno.EMFILE: "The process has too many open files: raise its limit (`ulimit -n`).",
    errno.EIO: "The disk reports an error: copy what you need to another one and check it.",
}

_SQLITE_ERRNO: Final[dict[type[apsw.Error], int]] = {
    apsw.FullError: errno.ENOSPC,
    apsw.ReadOnlyError: errno.EACCES,
    apsw.CantOpenError: errno.EACCES,
    apsw.PermissionsError: errno.EACCES,
    apsw.IOError: errno.EIO,
}


@contextmanager
def disk_errors_named(root: Path, doing: str = "written to") -> Iterator[None]:
    """Turn errors of the disk and of SQLite into `ArtifactError`.

    Args:
        root: The store's directory.
        doing: What of the store failed: `written to`, `read`, `opened`.

    Raises:
        ArtifactError: In place of what was raised inside.
    """
    try:
        yield
    except OutOfReach as away:
        raise away.error from away
    except OSError as error:
        raise _refusal(root, doing, error.strerror or str(error), error.errno) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise ArtifactError(
            f"the artifact store {root} cannot be asked for that: {error}",
            code="SYM-A010",
            hint="Text must be Unicode that can be encoded, numbers must fit into 64 bits.",
        ) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise damaged_index(root, str(error)) from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise ArtifactError(
            f"the artifact store {root} cannot be {doing}: another process has held it for too long",
            code="SYM-A006",
            hint="Look for a stopped or hanging process of Symphony, end it, and try again.",
        ) from error
    except apsw.Error as error:
        raise _refusal(root, doing, str(error), _SQLITE_ERRNO.get(type(error))) from error


def _refusal(root: Path, doing: str, reason: str, number: int | None) -> ArtifactError:
    return ArtifactError(
        f"the artifact store {root} cannot be {doing}: {reason}",
        code="SYM-A006",
        hint=_MENDS.get(number or 0, "Check the disk and the rights of that directory."),
        details={"errno": errno.errorcode.get(number or 0, "")},
    )


def damaged_index(root: Path, reason: str) -> ArtifactError:
    """The index of a store is damaged.

    Args:
        root: The store's directory.
        reason: What SQLite says.
    """
    return ArtifactError(
        f"the index of the artifact store {root} is damaged: {reason}",
        code="SYM-A009",
        hint="Close every program that uses the store, and delete the files `index.db*` in it: the index is made "
        "anew from the packs, which have everything.",
        details={"artifacts": []},
    )


def damaged(id: bytes, found: str) -> ArtifactError:
    """What is stored of an artifact is not what was stored.

    Args:
        id: Its id.
        found: What is wrong with it.
    """
    return ArtifactError(
        f"artifact {text_of(id)} is damaged: {found}",
        code="SYM-A005",
        hint="Run again what made it: storing the same bytes mends it. Or remove it, and check the disk.",
        details={"id": text_of(id), "artifacts": [text_of(id)]},
    )


def out_of_reach(id: bytes, reason: ArtifactError) -> ArtifactError:
    """An artifact is in the tier, and that cannot be used now.

    Args:
        id: Its id.
        reason: Why not.
    """
    return ArtifactError(
        f"artifact {text_of(id)} was offloaded, and cannot be read now: {reason.message}",
        code=reason.code,
        hint=reason.hint,
        details={**reason.details, "id": text_of(id)},
    )


def removed(id: bytes) -> ArtifactError:
    """An artifact was removed.

    Args:
        id: Its id.
    """
    return ArtifactError(
        f"artifact {text_of(id)} was removed",
        code="SYM-A002",
        hint=f"`symphony artifacts restore {text_of(id)}` brings it back, until it is collected.",
        details={"id": text_of(id)},
    )


def missing(text: str) -> ArtifactError:
    """There is no such artifact.

    Args:
        text: What was asked for.
    """
    return ArtifactError(
        f"there is no artifact {text}",
        code="SYM-A002",
        hint="It was never stored here, or it was removed. `symphony artifacts list` shows what there is.",
        details={"id": text},
    )


def ambiguous(text: str, candidates: list[bytes]) -> ArtifactError:
    """Several artifacts begin with what was asked for.

    Args:
        text: What was asked for.
        candidates: Some of them.
    """
    names = [text_of(id) for id in candidates]
    return ArtifactError(
        f"several artifacts begin with {text}: {', '.join(name[:19] for name in names)}, ...",
        code="SYM-A003",
        hint="Give more characters of the id.",
        details={"id": text, "candidates": names},
    )


def untagged(tag: str, code: str = "SYM-A002") -> ArtifactError:
    """No artifact has a tag.

    Args:
        tag: The tag.
        code: Code of the error: whether an artifact was looked for, or the tag itself.
    """
    return ArtifactError(
        f"no artifact has the tag {tag!r:.140}",
        code=code,
        hint="`symphony artifacts tags` lists those that there are; an id begins with `b3-`.",
    )

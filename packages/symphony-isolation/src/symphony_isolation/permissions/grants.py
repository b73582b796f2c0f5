"""What users have granted and denied to extensions, kept across starts.

One JSON file for each extension and publisher, replaced whole under a lock: readers see the old file or the new one,
whatever happens to the writer, and writers of several processes lose nothing of each other.
"""

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

import msgspec
from symphony_sdk.errors import ManifestError, PermissionDenied
from symphony_sdk.permissions import Permission, parse

from symphony_isolation.file_lock import locked
from symphony_isolation.permissions.declaration import Declaration, single_scopes
from symphony_isolation.permissions.session import current_session

Lifetime = Literal["once", "session", "until-version", "always"]
State = Literal["granted", "denied", "denied-always"]

LIFETIMES: Final[tuple[Lifetime, ...]] = ("once", "session", "until-version", "always")

UNUSED: Final = 90 * 86400.0
"""Seconds without a use after which a grant ends."""

_USE_NOTED: Final = 86400.0  # seconds between two notes that a grant is used: it is a date, not a counter


class Grant(msgspec.Struct, frozen=True):
    """One answer of the user, for one permission of one scope.

    Args:
        permission: What it is about, in the text form of the grammar.
        state: `denied` ends like a grant does; `denied-always` stays until it is revoked.
        lifetime: How long it holds: for this process, this session, this version, or until it is revoked.
        digest: Names all that the extension declared when the user answered.
        version: The extension's version then.
        session: The session then.
        at: Unix time of the answer.
        used: Unix time of the latest use, to the day.
    """

    permission: str
    state: State
    lifetime: Lifetime
    digest: str
    version: str
    session: str
    at: float
    used: float

    def holds(self, version: str, session: str, now: float) -> bool:
        """Whether it still counts.

        Args:
            version: The version of the extension that is installed.
            session: The session that asks.
            now: Unix time.
        """
        if self.state == "denied-always":
            return True
        if self.lifetime == "session" and self.session != session:
            return False
        if self.lifetime == "until-version" and self.version != version:
            return False
        return now - max(self.at, self.used) < UNUSED


class Accepted(msgspec.Struct, frozen=True):
    """The declaration that the user has seen and accepted last.

    Args:
        version: The version of the extension.
        digest: Names what it declared.
        permissions: What it declared, the optional ones included.
    """

    version: str
    digest: str
    permissions: tuple[Permission, ...]


class Held(msgspec.Struct, frozen=True):
    """All that one extension of one publisher holds.

    Args:
        extension: Id of the extension.
        publisher: Where it comes from.
        accepted: The declaration that was accepted last; None where none was.
        grants: The answers of the user, the oldest first.
    """

    extension: str
    publisher: str
    accepted: Accepted | None = None
    grants: tuple[Grant, ...] = ()


class Answers(NamedTuple):
    """What the user has said that counts now.

    Args:
        allowed: The permissions that are granted.
        denied: The permissions that are denied.
        accepted: The declaration that was accepted last; None where none was.
    """

    allowed: tuple[Permission, ...]
    denied: tuple[Permission, ...]
    accepted: Accepted | None


class _Counted(NamedTuple):
    """Answers that were counted before, and what they hold for: a version, two states of what is kept, and a time."""

    answers: Answers
    version: str
    of: Held
    and_of: Held | None
    ends: float

    def holds(self, version: str, kept: Held, here: Held | None, now: float) -> bool:
        """Whether nothing has changed since."""
        return self.version == version and self.of is kept and self.and_of is here and self.ends > now


class Grants:
    """The answers of one user; threads and processes may use it at once.

    Args:
        directory: Where the files are; made, for this user alone, when it is first written to.
        session: Names the session that asks.
        clock: Gives the Unix time in seconds.
    """

    def __init__(self, directory: Path, *, session: str = "", clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._session = session or current_session()
        self._clock = clock
        self._once: dict[tuple[str, str], Held] = {}
        self._answers: dict[tuple[str, str], _Counted] = {}
        self._files: dict[tuple[str, str], Path] = {}
        self._none: dict[Path, Held] = {}
        self._known: dict[Path, tuple[tuple[int, int, int], Held]] = {}
        self._lock = threading.Lock()

    def answers(self, declaration: Declaration) -> Answers:
        """What the user has said of an extension that counts now.

        Args:
            declaration: The extension as it is installed.

        Raises:
            PermissionDenied: SYM-P008, the file of its grants is damaged or cannot be read.
        """
        key = declaration.extension, declaration.publisher
        kept = self._read(*key)
        here = self._once.get(key)
        now = self._clock()
        known = self._answers.get(key)
        if known is None or not known.holds(declaration.version, kept, here, now):
            known = self._answers[key] = self._counted(declaration, kept, here, now)
        return known.answers

    def _counted(self, declaration: Declaration, kept: Held, here: Held | None, now: float) -> "_Counted":
        once = here or Held(kept.extension, kept.publisher)
        grants = [
            grant
            for grant in (*kept.grants, *once.grants)
            if grant.holds(declaration.version, self._session, now)
        ]
        allowed = tuple(parse(grant.permission) for grant in grants if grant.state == "granted")
        denied = tuple(parse(grant.permission) for grant in grants if grant.state != "granted")
        answers = Answers(allowed, denied, once.accepted or kept.accepted)
        ends = min((max(grant.at, grant.used) + UNUSED for grant in grants), default=now + UNUSED)
        return _Counted(answers, declaration.version, kept, here, ends)

    def grant(self, declaration: Declaration, permissions: Iterable[Permission], lifetime: Lifetime) -> None:
        """Allow permissions to an extension, and take its declaration as accepted.

        Args:
            declaration: The extension as it is installed.
            permissions: Which ones.
            lifetime: How long; `once` is kept in this process alone.

        Raises:
            PermissionDenied: SYM-P008, they cannot be kept.
        """
        self._answer(declaration, permissions, "granted", lifetime)

    def deny(self, declaration: Declaration, permissions: Iterable[Permission], lifetime: Lifetime) -> None:
        """Deny permissions to an extension; a denial with the lifetime `always` never ends by itself.

        Args:
            declaration: The extension as it is installed.
            permissions: Which ones.
            lifetime: How long; `once` is kept in this process alone.

        Raises:
            PermissionDenied: SYM-P008, they cannot be kept.
        """
        self._answer(
            declaration, permissions, "denied-always" if lifetime == "always" else "denied", lifetime
        )

    def revoke(self, extension: str, permissions: Iterable[Permission] | None = None) -> tuple[str, ...]:
        """Forget answers, whoever published the extension.

        Args:
            extension: Its id; it need not be installed.
            permissions: Which ones; all, and what was accepted, where it is None.

        Returns:
            The permissions that were forgotten.

        Raises:
            PermissionDenied: SYM-P008, it cannot be kept.
        """
        chosen = None if permissions is None else _texts(permissions)
        gone: list[str] = []
        with self._lock:
            self._once = {key: held for key, held in self._once.items() if key[0] != extension}
        for held in self.all():
            if held.extension != extension:
                continue

            def without(old: Held) -> Held:
                left = [one for one in old.grants if chosen is not None and one.permission not in chosen]
                gone.extend(one.permission for one in old.grants if one not in left)
                return msgspec.structs.replace(
                    old, grants=tuple(left), accepted=old.accepted if chosen is not None else None
                )

            self._change(held.extension, held.publisher, without)
        return tuple(gone)

    def note_use(self, declaration: Declaration) -> None:
        """Note that an extension uses what was granted to it, so that it does not end; writes at most once a day.

        Args:
            declaration: The extension as it is installed.

        Raises:
            PermissionDenied: SYM-P008, it cannot be kept.
        """
        now = self._clock()

        def is_due(grant: Grant) -> bool:
            return now - grant.used >= _USE_NOTED and grant.holds(declaration.version, self._session, now)

        def used(old: Held) -> Held:
            grants = (msgspec.structs.replace(one, used=now) if is_due(one) else one for one in old.grants)
            return msgspec.structs.replace(old, grants=tuple(grants))

        key = declaration.extension, declaration.publisher
        if any(map(is_due, self._read(*key).grants)):
            self._change(*key, used)

    def all(self) -> list[Held]:
        """Everything that is kept, sorted by extension, what no longer counts included.

        Raises:
            PermissionDenied: SYM-P008, a file is damaged or cannot be read.
        """
        try:
            files = sorted(self._directory.glob("*.json"))
        except OSError as error:  # pragma: no cover - the glob of a directory that vanished is empty
            raise _failed(self._directory, f"cannot be read: {error.strerror}") from error
        return [self._load(file) for file in files]

    # -- files ----------------------------------------------------------------------------------------

    def _answer(
        self, declaration: Declaration, permissions: Iterable[Permission], state: State, lifetime: Lifetime
    ) -> None:
        now = self._clock()
        digest = declaration.digest
        texts = _texts(permissions)
        new = tuple(
            Grant(text, state, lifetime, digest, declaration.version, self._session, now, now)
            for text in texts
        )
        accepted = Accepted(declaration.version, digest, declaration.permissions.permissions)

        def answered(old: Held) -> Held:
            # What has ended goes with the next answer, so a file does not grow for ever.
            left = (
                one
                for one in old.grants
                if one.permission not in texts and one.holds(declaration.version, self._session, now)
            )
            return msgspec.structs.replace(
                old, grants=(*left, *new), accepted=accepted if state == "granted" else old.accepted
            )

        key = declaration.extension, declaration.publisher
        if lifetime == "once":
            with self._lock:
                self._once[key] = answered(self._once.get(key, Held(*key)))
        else:
            self._change(*key, answered)

    def _change(self, extension: str, publisher: str, change: Callable[[Held], Held]) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._lock, locked(self._directory / ".lock"):
                file = self._file(extension, publisher)
                held = change(self._read(extension, publisher))
                if held.grants or held.accepted:
                    _replace(file, msgspec.json.encode(held))
                else:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(self._directory, f"cannot be written: {error.strerror}") from error

    def _read(self, extension: str, publisher: str) -> Held:
        file = self._file(extension, publisher)
        try:
            status = file.stat()
        except FileNotFoundError:
            return self._none.setdefault(file, Held(extension, publisher))
        except OSError as error:
            raise _failed(file, f"cannot be read: {error.strerror}") from error
        stamp = status.st_ino, status.st_mtime_ns, status.st_size
        known = self._known.get(file)
        if known is None or known[0] != stamp:
            known = self._known[file] = stamp, self._load(file)
        return known[1]

    def _load(self, file: Path) -> Held:
        try:
            held = msgspec.json.decode(file.read_bytes(), type=Held)
            for grant in held.grants:
                parse(grant.permission)
        except FileNotFoundError:  # revoked since it was listed
            return Held("", "")
        except OSError as error:
            raise _failed(file, f"cannot be read: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ManifestError) as error:
            raise _failed(file, f"is damaged: {error}") from error
        return held

    def _file(self, extension: str, publisher: str) -> Path:
        file = self._files.get((extension, publisher))
        if file is None:
            name = f"{quote(extension, safe='')}~{quote(publisher, safe='')}"
            name = name.replace(".", "%2E", 1) if name[:1] == "." else name
            file = self._files[extension, publisher] = self._directory / f"{name}.json"
        return file


def _texts(permissions: Iterable[Permission]) -> dict[str, None]:
    """Each permission as one text for each of its scopes, in their order."""
    return dict.fromkeys(str(one) for permission in permissions for one in single_scopes(permission))


def _replace(file: Path, data: bytes) -> None:
    """Replace a file as a whole, for this user alone, and let it outlive a loss of power."""
    draft = file.with_name(f".{secrets.token_hex(8)}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _failed(path: Path, what: str) -> PermissionDenied:
    return PermissionDenied(
        f"what the user has granted {what}",
        code="SYM-P008",
        hint="Nothing is allowed that cannot be looked up. Mend the rights of the file, or delete it and grant anew.",
        file=str(path),
    )

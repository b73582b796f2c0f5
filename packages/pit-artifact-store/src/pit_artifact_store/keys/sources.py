"""Where the master key of a store is: in a passphrase, in the system's keyring, or in a file of the user's.

`make` takes the first of these that there is; the file `keys` then names it, so that `find` looks nowhere else.
"""

import logging
import os
from pathlib import Path
from typing import Annotated, Final

from blake3 import blake3
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec import Meta, Struct
from symphony_sdk.errors import ArtifactError

from pit_artifact_store.keys import key_file

PASSPHRASE: Final = "SYMPHONY_ARTIFACT_PASSPHRASE"  # noqa: S105 - the name of a variable
NEW_PASSPHRASE: Final = "SYMPHONY_ARTIFACT_NEW_PASSPHRASE"  # noqa: S105 - the name of a variable
SERVICE: Final = "symphony-artifact-store"
"""The name under which the keyring has the master keys."""

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
MEMORY = 64 * 1024
"""What Argon2id is given: KiB of memory; with ITERATIONS and LANES the second choice of RFC 9106."""
ITERATIONS: Final = 3
LANES: Final = 4

_log = logging.getLogger(__name__)


class Passphrase(Struct, frozen=True, tag="passphrase", forbid_unknown_fields=True):
    """The master key is made of a passphrase; the bounds keep a forged file from asking for all memory.

    Args:
        salt: Of Argon2id.
        memory: KiB.
        iterations: Passes over the memory.
        lanes: Threads.
    """

    salt: Annotated[bytes, Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    memory: Annotated[int, Meta(ge=128, le=256 * 1024)]
    iterations: Annotated[int, Meta(ge=1, le=16)]
    lanes: Annotated[int, Meta(ge=1, le=16)]


class Keyring(Struct, frozen=True, tag="keyring", forbid_unknown_fields=True):
    """The master key is in the system's keyring, under its id."""


class KeyFile(Struct, frozen=True, tag="file", forbid_unknown_fields=True):
    """The master key is in a file of the user's, under its id.

    Args:
        path: The file.
    """

    path: str


Source = Passphrase | Keyring | KeyFile


def key_id(master: bytes) -> str:
    """The id by which a master key is looked up, and known again.

    Args:
        master: The key.
    """
    return blake3(master, derive_key_context="pit-artifact-store 2 master key id").hexdigest()[:32]


def place(source: Source) -> str:
    """Where a master key is, for people.

    Args:
        source: Where it is.
    """
    match source:
        case Passphrase():
            return "passphrase"
        case Keyring():
            return "keyring"
        case KeyFile(path):
            return f"file {path}"


def make(*, rotating: bool) -> tuple[Source, bytes]:
    """A new master key, durable at the first place that there is.

    Args:
        rotating: Whether a new passphrase may stand in for the one that there was.

    Raises:
        ArtifactError: It cannot be kept, or a passphrase is empty.
    """
    passphrase = (_passphrase(NEW_PASSPHRASE) if rotating else None) or _passphrase(PASSPHRASE)
    if passphrase is not None:
        source = Passphrase(os.urandom(SALT_BYTES), MEMORY, ITERATIONS, LANES)
        return source, _stretched(passphrase, source)
    master = os.urandom(KEY_BYTES)
    if _keep_in_keyring(master):
        return Keyring(), master
    path = key_file.default_path()
    key_file.add(path, key_id(master), master)
    return KeyFile(str(path)), master


def find(source: Source, id: str, file: str) -> tuple[bytes, str]:
    """The master key that a file `keys` names, and where it was found.

    Args:
        source: Where it is.
        id: Its id.
        file: The file `keys`, for errors.

    Raises:
        ArtifactError: It is not there, or it is another one.
    """
    match source:
        case Passphrase():
            return _find_by_passphrase(source, id, file), place(source)
        case Keyring():
            found = _find_in_keyring(id, file)
        case KeyFile():
            path, found = _find_in_file(source, id, file)
            source = KeyFile(str(path))
    if key_id(found) != id:
        raise _missing(f"what the {place(source)} has as the master key {id} is another key", file)
    return found, place(source)


def forget(source: Source, id: str) -> None:
    """Delete a master key that no file needs any more; a failure is only logged, for the new key is in force.

    Args:
        source: Where it is.
        id: Its id.
    """
    try:
        match source:
            case Passphrase():
                pass
            case Keyring():
                import keyring

                keyring.delete_password(SERVICE, id)
            case KeyFile(path):
                for each in _paths(path):
                    key_file.remove(each, id)
    except Exception as error:  # noqa: BLE001 - each backend of the keyring raises what it likes
        _log.warning("the old master key %s is still in the %s: %s", id, place(source), error)


def _passphrase(name: str) -> bytes | None:
    text = os.environ.get(name)
    if text == "":
        raise ArtifactError(
            f"the passphrase of the artifact store is empty: {name} is set to nothing",
            code="SYM-A032",
            hint=f"Set {name} to the passphrase, or unset it. Nothing was changed.",
        )
    return None if text is None else os.fsencode(text)


def _stretched(passphrase: bytes, source: Passphrase) -> bytes:
    return Argon2id(
        salt=source.salt,
        length=KEY_BYTES,
        iterations=source.iterations,
        lanes=source.lanes,
        memory_cost=source.memory,
    ).derive(passphrase)


def _find_by_passphrase(source: Passphrase, id: str, file: str) -> bytes:
    # The new one as well: a rotation that was cut short may have come to its end, and is asked for again.
    given = [each for name in (PASSPHRASE, NEW_PASSPHRASE) if (each := _passphrase(name)) is not None]
    for passphrase in given:
        master = _stretched(passphrase, source)
        if key_id(master) == id:
            return master
    raise ArtifactError(
        "the passphrase of the artifact store is wrong"
        if given
        else f"the artifact store is sealed with a passphrase, and {PASSPHRASE} is not set",
        code="SYM-A032",
        hint=f"Set {PASSPHRASE} to the passphrase that the store has. Nothing was changed.",
        file=file,
    )


def _keep_in_keyring(master: bytes) -> bool:
    try:
        import keyring

        # Less than 1 is what keyring itself does not recommend: none at all, or files in clear.
        if keyring.get_keyring().priority < 1:
            return False
        keyring.set_password(SERVICE, key_id(master), master.hex())
        return keyring.get_password(SERVICE, key_id(master)) == master.hex()
    except Exception as error:  # noqa: BLE001 - each backend raises what it likes
        _log.info("the system's keyring does not keep the master key: %s", error)
        return False


def _find_in_keyring(id: str, file: str) -> bytes:
    try:
        import keyring

        found = keyring.get_password(SERVICE, id)
    except Exception as error:
        raise _missing(
            f"the system's keyring, which has the master key {id}, does not answer: {error}", file
        ) from error
    if found is None:
        raise _missing(f"the system's keyring has no master key {id} of {SERVICE}", file)
    return key_file.from_hex(found)


def _find_in_file(source: KeyFile, id: str, file: str) -> tuple[Path, bytes]:
    paths = _paths(source.path)
    for path in paths:
        found = key_file.look_up(path, id)
        if found is not None:
            return path, found
    raise _missing(f"there is no master key {id} in {' or '.join(map(str, paths))}", file)


def _paths(written: str) -> list[Path]:
    """Where the key file was, and where it is now if the user's directory was moved or restored elsewhere."""
    return list(dict.fromkeys((Path(written), key_file.default_path())))


def _missing(found: str, file: str) -> ArtifactError:
    return ArtifactError(
        f"the master key of the artifact store is missing: {found}",
        code="SYM-A033",
        hint="Restore it from its backup, and unlock the keyring where it is there. Nothing was changed.",
        file=file,
    )

"""The file `keys`: a line of JSON that says where the master key is, then the secrets, sealed with that key.

The whole line is authenticated with the secrets, and each master key seals one file only: a changed bit
anywhere is found, and no part of another file fits.
"""

import os
from typing import Final, Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from symphony_sdk.errors import ArtifactError

from pit_artifact_store.keys.sources import Source, key_id

VERSION: Final = 1
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class RepositoryKey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What seals the keys of the packs of an epoch.

    Args:
        epoch: Its number, counted from 1.
        created: Unix time in seconds.
        key: The key.
    """

    epoch: int
    created: float
    key: bytes


class Secrets(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All that a store must not lose and not tell.

    Args:
        root: What the keys that never change are derived from.
        keys: The repository keys, the newest last.
    """

    root: bytes
    keys: tuple[RepositoryKey, ...]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of the file.

    Args:
        format: What the file is.
        version: Version of the format.
        key_id: Id of the master key.
        source: Where the master key is.
    """

    format: Literal["symphony-artifact-keys"]
    version: Literal[1]
    key_id: str
    source: Source


class Envelope(NamedTuple):
    """The file as it was read, not yet opened.

    Args:
        file: Its path.
        header: Its first line.
        line: The bytes of that line.
        sealed: What follows.
    """

    file: str
    header: Header
    line: bytes
    sealed: bytes


class _Start(msgspec.Struct):
    version: int


def seal(secrets: Secrets, source: Source, master: bytes) -> bytes:
    """The content of a file.

    Args:
        secrets: What is to be kept.
        source: Where the master key is.
        master: The master key, used for this file only.
    """
    header = Header("symphony-artifact-keys", VERSION, key_id(master), source)
    line = msgspec.json.encode(header) + b"\n"
    nonce = os.urandom(NONCE_BYTES)
    return line + nonce + AESGCM(master).encrypt(nonce, msgspec.msgpack.encode(secrets), line)


def parse(content: bytes, file: str) -> Envelope:
    """Take a file apart.

    Args:
        content: Its bytes.
        file: Its path, for errors.

    Raises:
        ArtifactError: It is damaged, or of a newer version.
    """
    line, newline, sealed = content.partition(b"\n")
    try:
        version = msgspec.json.decode(line, type=_Start).version
        if version > VERSION:
            raise ArtifactError(
                f"the keys of the artifact store are written in version {version}, and this version of "
                f"Symphony reads up to {VERSION}",
                code="SYM-A035",
                hint="Upgrade it: `pip install --upgrade pit-artifact-store`. Nothing was changed.",
                file=file,
            )
        return Envelope(file, msgspec.json.decode(line, type=Header), line + newline, sealed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(file, f"its first line is not what is written there: {error}") from error


def unseal(envelope: Envelope, master: bytes) -> Secrets:
    """Open a file with its master key.

    Args:
        envelope: The file.
        master: The master key, whose id is the one that the file names.

    Raises:
        ArtifactError: The file is damaged.
    """
    nonce, ciphertext = envelope.sealed[:NONCE_BYTES], envelope.sealed[NONCE_BYTES:]
    try:
        if len(nonce) != NONCE_BYTES:
            raise InvalidTag
        plain = AESGCM(master).decrypt(nonce, ciphertext, envelope.line)
    except InvalidTag:
        raise _damaged(envelope.file, "its master key fits, and what it sealed was changed since") from None
    return msgspec.msgpack.decode(plain, type=Secrets)


def _damaged(file: str, found: str) -> ArtifactError:
    return ArtifactError(
        f"the keys of the artifact store are damaged: {found}",
        code="SYM-A030",
        hint="Restore this file from its newest backup; without it nothing in the store can be read. "
        "Nothing was changed.",
        file=file,
    )

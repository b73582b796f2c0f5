"""Signatures of workflows: who vouches for one, and that nothing of it has changed since.

What is signed is the workflow's [digest][symphony_workflow.codec.digest], not a file: one signature holds for the
JSON, for the same JSON laid out anew, and for the binary form, and for no other workflow. The signature is Ed25519
(RFC 8032), in a small file of its own beside the workflow. `cryptography` is imported when something is signed or
verified.
"""

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symphony_sdk.errors import WorkflowError

from symphony_workflow.codec import digest
from symphony_workflow.model import SCHEMA, Workflow

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "ed25519"
_PURPOSE = "symphony workflow signature 1"
"""First of what is signed, so that no signature of anything else ever passes for one of a workflow."""
_MAX_BYTES = 1 << 16
_FORM = {
    "algorithm": re.compile(r"[a-z0-9-]{1,32}"),
    "key": re.compile(r"[0-9a-f]{64}"),
    "digest": re.compile(r"[0-9a-f]{64}"),
    "signed": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"),
    "signature": re.compile(r"[A-Za-z0-9+/]{86}=="),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Says that the holder of a key vouches for a workflow.

    Args:
        algorithm: `ed25519`.
        key: The id of the key: the SHA-256 of its public part, in hex.
        schema: The format of workflows whose digest was signed.
        digest: The digest of the workflow.
        signed: When it was signed, as the signer's clock had it: ISO 8601 in UTC, to the second.
        signature: The 64 bytes of the signature over all of these, in base64.
    """

    algorithm: str = ALGORITHM
    key: str
    schema: int = SCHEMA
    digest: str
    signed: str
    signature: str

    def dumps(self) -> str:
        """The text of the signature's file."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        said = (_PURPOSE, self.algorithm, self.key, str(self.schema), self.digest, self.signed)
        return "\n".join(said).encode()


def sign(workflow: Workflow, key: "Ed25519PrivateKey", *, at: datetime | None = None) -> Signature:
    """Sign a workflow.

    Args:
        workflow: The workflow; faults in it do not matter.
        key: The private key.
        at: The time to sign with it; now unless given.

    Raises:
        WorkflowError: Two parts of the workflow share a name, or a value is not JSON.
    """
    signed = (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    draft = Signature(key=key_id(key.public_key()), digest=digest(workflow), signed=signed, signature="")
    signature = base64.b64encode(key.sign(draft.message)).decode()
    return Signature(key=draft.key, digest=draft.digest, signed=signed, signature=signature)


def verify_signature(
    workflow: Workflow, signature: Signature, keys: "Iterable[Ed25519PublicKey]", *, file: str = ""
) -> None:
    """Check that one of the keys signed just this workflow.

    Args:
        workflow: The workflow.
        signature: Its signature.
        keys: The public keys that are trusted.
        file: Where the signature came from, for errors.

    Raises:
        WorkflowError: The workflow or the signature was changed, or another key made it.
    """
    from cryptography.exceptions import InvalidSignature

    if signature.algorithm != ALGORITHM:
        raise _broken(
            f"it is made with {signature.algorithm}, and only {ALGORITHM} is known",
            "Upgrade symphony-workflow, or have the workflow signed again.",
            file,
        )
    known = {key_id(key): key for key in keys}
    if signature.key not in known:
        trusted = ", ".join(known) or "none"
        raise _broken(
            f"it is of the key {signature.key}, and the keys that you trust are: {trusted}",
            "Give the public key of the one who signed, if you trust them.",
            file,
        )
    try:
        known[signature.key].verify(base64.b64decode(signature.signature), signature.message)
    except (InvalidSignature, binascii.Error):
        raise _broken(
            f"the key {signature.key} did not make it: the signature itself was changed",
            "Fetch the workflow and its signature again.",
            file,
        ) from None
    if signature.schema != SCHEMA:
        raise _broken(
            f"it is over format {signature.schema} of workflows, and this version of Symphony reads them as "
            f"format {SCHEMA}, whose digest is another",
            "Verify it with the version of Symphony that signed it, or have the workflow signed again.",
            file,
        )
    if (found := digest(workflow)) != signature.digest:
        raise _broken(
            f"the workflow {workflow.id!r} was changed after {signature.signed}: its digest is {found}, and "
            f"{signature.digest} was signed",
            "Fetch the workflow again, or ask whoever signed it to look at the change and to sign anew.",
            file,
        )


def load_signature(path: str | os.PathLike[str]) -> Signature:
    """Read the file of a signature.

    Args:
        path: The file.

    Raises:
        WorkflowError: There is no such file, or it does not hold a signature.
    """
    file = os.fspath(path)
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(f"the signature cannot be read: {error.strerror}", file) from error
    try:
        found = json.loads(text) if len(text) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.keys() != _FORM.keys() | {"schema"}:
        expected = ", ".join((*_FORM, "schema"))
        raise _unreadable(f"this is no signature: it must be a JSON object with {expected}", file)
    for name, form in _FORM.items():
        if not isinstance(found[name], str) or not form.fullmatch(found[name]):
            raise _unreadable(f"{name!r} of the signature is not of the form {form.pattern}", file)
    if type(found["schema"]) is not int:
        raise _unreadable("'schema' of the signature is not an integer", file)
    return Signature(**found)


def key_id(key: "Ed25519PublicKey") -> str:
    """What a signature calls a key: the SHA-256 of its 32 public bytes, in hex.

    Args:
        key: The public key.
    """
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def new_key(path: str | os.PathLike[str]) -> "Ed25519PrivateKey":
    """Make a private key that only its owner may read, and its public part beside it, with `.pub` at the end.

    Args:
        path: The file of the private key; nothing is written over.

    Raises:
        WorkflowError: One of the two files exists, or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made: list[Path] = []
    try:
        for target, text, mode in ((Path(path), private, 0o600), (public_path(path), public, 0o644)):
            target.touch(mode, exist_ok=False)
            made.append(target)
            target.write_bytes(text)
    except OSError as error:
        for written in made:
            written.unlink(missing_ok=True)
        raise _useless(f"the new key cannot be written: {error.strerror}", error.filename or path) from error
    return key


def public_path(path: str | os.PathLike[str]) -> Path:
    """Where the public part of a private key lies.

    Args:
        path: The file of the private key.
    """
    return Path(f"{os.fspath(path)}.pub")


def load_private_key(path: str | os.PathLike[str]) -> "Ed25519PrivateKey":
    """Read a private key in PEM.

    Args:
        path: Its file.

    Raises:
        WorkflowError: There is no such file, or it does not hold a private Ed25519 key without a passphrase.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = _parse_key(path, "private", lambda text: load_pem_private_key(text, None))
    if not isinstance(key, Ed25519PrivateKey):
        raise _useless("this is a key of another algorithm than Ed25519", path)
    return key


def load_public_key(path: str | os.PathLike[str]) -> "Ed25519PublicKey":
    """Read a public key in PEM.

    Args:
        path: Its file.

    Raises:
        WorkflowError: There is no such file, or it does not hold a public Ed25519 key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = _parse_key(path, "public", load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise _useless("this is a key of another algorithm than Ed25519", path)
    return key


def _parse_key(path: str | os.PathLike[str], kind: str, parse: Callable[[bytes], Any]) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        with Path(path).open("rb") as stream:
            return parse(stream.read(_MAX_BYTES))
    except OSError as error:
        raise _useless(f"the key cannot be read: {error.strerror}", path) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it wants a passphrase
        raise _useless(f"this is no {kind} key in PEM without a passphrase", path) from error


def _broken(message: str, hint: str, file: str) -> WorkflowError:
    return WorkflowError(f"the signature does not hold: {message}", code="SYM-W063", hint=hint, file=file)


def _unreadable(message: str, file: str) -> WorkflowError:
    return WorkflowError(
        message, code="SYM-W062", hint="`symphony sign FLOW --key KEY` makes a signature.", file=file
    )


def _useless(message: str, path: str | os.PathLike[str]) -> WorkflowError:
    return WorkflowError(
        message,
        code="SYM-W064",
        hint="`symphony sign FLOW --key KEY --new-key` makes a key; sign with KEY, verify with KEY.pub.",
        file=os.fspath(path),
    )

"""Signatures: what they hold for, and everything that breaks them."""

import base64
import dataclasses
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from symphony_sdk.errors import WorkflowError
from symphony_workflow import ControlEdge, Metadata, Workflow, dumps, loads, to_document
from symphony_workflow.binary import dumps_binary, loads_binary
from symphony_workflow.signing import (
    Signature,
    key_id,
    load_private_key,
    load_public_key,
    load_signature,
    new_key,
    public_path,
    sign,
    verify_signature,
)
from symphony_workflow.testing import examples, workflows

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def broken(workflow: Workflow, signature: Signature, *keys: Ed25519PublicKey) -> WorkflowError:
    with pytest.raises(WorkflowError) as caught:
        verify_signature(workflow, signature, keys or (PUBLIC,), file="flow.json.sig")
    assert caught.value.code == "SYM-W063"
    assert caught.value.file == "flow.json.sig"
    assert caught.value.hint
    return caught.value


def test_one_signature_holds_for_json_laid_out_anew_and_for_the_binary_form(atlas: Workflow) -> None:
    signature = sign(atlas, KEY)
    reordered = dict(reversed(to_document(atlas).items()))
    for same in (
        loads(dumps(atlas)),
        loads(json.dumps(reordered, indent=7)),
        loads_binary(dumps_binary(atlas)),
    ):
        verify_signature(same, signature, [OTHER, PUBLIC])


def test_a_signature_says_who_signed_what_and_when(atlas: Workflow) -> None:
    signature = sign(atlas, KEY, at=NOON)
    assert signature.signed == "2026-05-01T12:00:00Z"
    assert signature.key == key_id(PUBLIC)
    assert signature == sign(atlas, KEY, at=NOON)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "code-atlas-2"},
        {"name": ""},
        {"edges": ()},
        {"outputs": ()},
        {"metadata": Metadata(author="Eve")},
    ],
)
def test_any_change_of_the_workflow_breaks_the_signature(atlas: Workflow, change: dict[str, Any]) -> None:
    signature = sign(atlas, KEY, at=NOON)
    error = broken(dataclasses.replace(atlas, **change), signature)
    assert "was changed after 2026-05-01T12:00:00Z" in error.message


def test_a_parameter_that_changes_only_its_type_breaks_the_signature(atlas: Workflow) -> None:
    signature = sign(atlas, KEY)
    text = dumps(atlas)
    assert '"timeout": 5' in text
    broken(loads(text.replace('"*.py"', '"*.pyc"')), signature)
    broken(dataclasses.replace(atlas, edges=(*atlas.edges, ControlEdge("walk", "report"))), signature)


@given(workflows(most=3))
@settings(max_examples=examples(12), deadline=None)
def test_every_workflow_can_be_signed_and_no_other_passes_for_it(workflow: Workflow) -> None:
    signature = sign(workflow, KEY)
    verify_signature(loads_binary(dumps_binary(workflow)), signature, [PUBLIC])
    broken(dataclasses.replace(workflow, name=f"{workflow.name}!"), signature)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("signed", "2020-01-01T00:00:00Z"),
        ("digest", "0" * 64),
        ("signature", base64.b64encode(bytes(64)).decode()),
        ("schema", 0),
    ],
)
def test_a_changed_signature_does_not_hold(atlas: Workflow, field: str, value: Any) -> None:
    changed = dataclasses.replace(sign(atlas, KEY), **{field: value})
    assert "signature itself was changed" in broken(atlas, changed).message


def test_a_signature_of_a_key_that_is_not_trusted_does_not_hold(atlas: Workflow) -> None:
    error = broken(atlas, sign(atlas, KEY), OTHER)
    assert key_id(PUBLIC) in error.message
    assert key_id(OTHER) in error.message


def test_a_signature_cannot_claim_to_be_of_another_key(atlas: Workflow) -> None:
    forged = dataclasses.replace(sign(atlas, KEY), key=key_id(OTHER))
    assert "did not make it" in broken(atlas, forged, OTHER).message


def test_a_signature_over_the_digest_alone_does_not_hold(atlas: Workflow) -> None:
    signature = sign(atlas, KEY)
    bare = base64.b64encode(KEY.sign(bytes.fromhex(signature.digest))).decode()
    broken(atlas, dataclasses.replace(signature, signature=bare))


def test_another_algorithm_is_refused(atlas: Workflow) -> None:
    other = dataclasses.replace(sign(atlas, KEY), algorithm="none")
    assert "only ed25519" in broken(atlas, other).message


def test_a_signature_over_another_format_says_so(atlas: Workflow) -> None:
    draft = dataclasses.replace(sign(atlas, KEY), schema=0)
    older = dataclasses.replace(draft, signature=base64.b64encode(KEY.sign(draft.message)).decode())
    assert "over format 0" in broken(atlas, older).message


def test_a_signature_comes_back_from_its_file(atlas: Workflow, tmp_path: Path) -> None:
    file = tmp_path / "flow.json.sig"
    signature = sign(atlas, KEY)
    file.write_text(signature.dumps())
    assert load_signature(file) == signature


GOOD = json.loads(
    Signature(key="a" * 64, digest="b" * 64, signed="2026-05-01T12:00:00Z", signature="").dumps()
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 60_000,
        " " * (1 << 17),
        b"\xff",
        json.dumps(GOOD),  # the signature is empty
        json.dumps(GOOD | {"more": 1}),
        json.dumps(GOOD | {"signature": 5}),
        json.dumps(GOOD | {"signature": "A" * 86 + "==", "schema": True}),
        json.dumps(GOOD | {"signature": "A" * 86 + "==", "signed": "yesterday"}),
        json.dumps(GOOD | {"signature": "A" * 86 + "==", "key": "A" * 64 + "\n"}),
    ],
)
def test_what_is_no_signature_is_refused(tmp_path: Path, text: str | bytes) -> None:
    file = tmp_path / "flow.json.sig"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WorkflowError) as caught:
        load_signature(file)
    assert caught.value.code == "SYM-W062"
    assert caught.value.file == str(file)


def test_a_missing_signature_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="cannot be read") as caught:
        load_signature(tmp_path / "none.sig")
    assert caught.value.code == "SYM-W062"


def test_a_new_key_is_the_owners_alone_and_its_public_part_is_beside_it(
    tmp_path: Path, atlas: Workflow
) -> None:
    file = tmp_path / "signing.key"
    before = os.umask(0)
    try:
        key = new_key(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(public_path(file).stat().st_mode) == 0o644
    public = load_public_key(public_path(file))
    verify_signature(atlas, sign(atlas, load_private_key(file)), [public])
    assert key_id(key.public_key()) == key_id(public)


@pytest.mark.parametrize("taken", ["signing.key", "signing.key.pub"])
def test_a_new_key_writes_over_nothing_and_leaves_nothing_half_made(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    useless(new_key, tmp_path / "signing.key", "File exists")
    assert [file.name for file in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "precious"


def useless(load: Any, file: Path, message: str) -> None:
    with pytest.raises(WorkflowError, match=message) as caught:
        load(file)
    assert caught.value.code == "SYM-W064"
    assert caught.value.file.startswith(str(file))


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    useless(load_private_key, file, "cannot be read")
    useless(load_public_key, file, "cannot be read")
    file.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    useless(load_private_key, file, "no private key")
    useless(load_public_key, file, "no public key")
    other = rsa.generate_private_key(65537, 2048)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(other.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    useless(load_private_key, file, "another algorithm")
    file.write_bytes(other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    useless(load_public_key, file, "another algorithm")
    file.write_bytes(KEY.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"secret")))
    useless(load_private_key, file, "without a passphrase")

"""The file of the keys is what was written, or it is refused."""

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pit_artifact_store.keys import envelope, open_keys, sources
from pit_artifact_store.keys.envelope import RepositoryKey, Secrets
from symphony_sdk.errors import ArtifactError

CODES = {"SYM-A030", "SYM-A032", "SYM-A033", "SYM-A035"}
key = st.binary(min_size=32, max_size=32)
paths = st.text(st.characters(codec="utf-8"))
secrets_of_stores = st.builds(
    Secrets,
    root=key,
    keys=st.lists(st.builds(RepositoryKey, st.integers(1, 2**40), st.floats(allow_nan=False), key)).map(
        tuple
    ),
)
sources_of_stores = st.one_of(
    st.builds(
        sources.Passphrase,
        st.binary(min_size=16, max_size=16),
        st.integers(128, 256 * 1024),
        st.integers(1, 16),
        st.integers(1, 16),
    ),
    st.just(sources.Keyring()),
    st.builds(sources.KeyFile, paths),
)


def code_of(file):
    with pytest.raises(ArtifactError) as raised:
        open_keys(file)
    return raised.value.code


@given(secrets=secrets_of_stores, source=sources_of_stores, master=key)
def test_what_is_sealed_is_what_is_opened(secrets, source, master):
    content = envelope.seal(secrets, source, master)
    found = envelope.parse(content, "keys")

    assert found.header.source == source
    assert found.header.key_id == sources.key_id(master)
    assert envelope.unseal(found, master) == secrets
    assert all(each.key not in content for each in secrets.keys)


@pytest.mark.parametrize("kept", ["file", "keyring", "passphrase"])
def test_every_changed_bit_of_the_file_is_found(file, kept, request, quick, monkeypatch):
    if kept == "keyring":
        request.getfixturevalue("memory_keyring")
    if kept == "passphrase":
        monkeypatch.setenv(sources.PASSPHRASE, "correct horse")
    id_key = open_keys(file).id_key
    good = file.read_bytes()
    found = set()
    with file.open("r+b", buffering=0) as written:
        for at in range(len(good)):
            for changed in (good[at] ^ 1 << bit for bit in range(8)):
                os.pwrite(written.fileno(), bytes([changed]), at)
                found.add(code_of(file))
            os.pwrite(written.fileno(), good[at : at + 1], at)

    assert {"SYM-A030"} < found <= CODES
    assert open_keys(file).id_key == id_key


def test_every_shorter_file_and_a_longer_one_are_damaged(file):
    open_keys(file)
    with file.open("ab") as end:
        end.write(b"\0")
    assert code_of(file) == "SYM-A030"
    for length in reversed(range(file.stat().st_size - 1)):
        os.truncate(file, length)
        assert code_of(file) == "SYM-A030"


@given(content=st.binary(max_size=300))
def test_a_file_of_anything_is_damaged(content):
    with pytest.raises(ArtifactError) as raised:
        envelope.parse(content, "keys")
    assert raised.value.code == "SYM-A030"
    assert raised.value.file == "keys"


def test_a_deeply_nested_file_is_damaged():
    with pytest.raises(ArtifactError) as raised:
        envelope.parse(b'{"version":1,"x":' + b"[" * 100_000 + b"\n", "keys")
    assert raised.value.code == "SYM-A030"


def test_the_sealed_part_of_another_file_does_not_fit(file, tmp_path, memory_keyring):
    other = tmp_path / "other"
    other.mkdir()
    open_keys(file)
    open_keys(other / "keys")
    line = file.read_bytes().partition(b"\n")[0]
    file.write_bytes(line + b"\n" + (other / "keys").read_bytes().partition(b"\n")[2])
    assert code_of(file) == "SYM-A030"


@pytest.mark.parametrize(
    "forged",
    [
        {"memory": 100 * 1024 * 1024},
        {"memory": 256 * 1024 + 1},
        {"memory": 127},
        {"memory": -1},
        {"iterations": 17},
        {"iterations": 0},
        {"lanes": 17},
        {"lanes": 0},
        {"salt": "AAAA"},
        {"salt": "A" * 10_000},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_forged_file_cannot_ask_argon2_for_more_than_the_bounds(file, quick, monkeypatch, forged):
    monkeypatch.setenv(sources.PASSPHRASE, "correct horse")
    open_keys(file)
    line, _, sealed = file.read_bytes().partition(b"\n")
    header = msgspec.json.decode(line)
    header["source"] |= forged
    file.write_bytes(msgspec.json.encode(header) + b"\n" + sealed)
    monkeypatch.setattr(sources, "_stretched", lambda *_: pytest.fail("Argon2id was asked"))

    assert code_of(file) == "SYM-A030"


def test_a_file_of_a_newer_version_says_so(file):
    open_keys(file)
    newer = file.read_bytes().replace(b'"version":1', b'"version":2,"more":[]')
    file.write_bytes(newer)

    assert code_of(file) == "SYM-A035"
    assert file.read_bytes() == newer


def test_keys_that_are_gone_while_there_are_packs_are_not_made_anew(file):
    packs = file.parent / "packs"
    packs.mkdir()
    open_keys(file)
    (packs / "00.pack").write_bytes(b"")
    file.unlink()

    assert code_of(file) == "SYM-A031"
    assert not file.exists()


def test_keys_that_cannot_be_read_say_why(file):
    file.mkdir()
    with pytest.raises(ArtifactError, match="cannot be read: Is a directory") as raised:
        open_keys(file)
    assert raised.value.code == "SYM-A036"

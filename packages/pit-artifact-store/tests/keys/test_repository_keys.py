"""What the keys of a store give to those who work with them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pit_artifact_store.keys import WRAPPED_BYTES, RepositoryKeys, open_keys, rotate
from pit_artifact_store.keys.envelope import RepositoryKey, Secrets
from symphony_sdk.errors import ArtifactError

PACK = bytes(range(16))
KEY = bytes(range(32))


def stable(keys):
    return keys.id_key, keys.index_key, keys.chunk_seed


def test_keys_that_were_made_are_those_that_are_opened(file):
    before = time.time()
    made = open_keys(file)
    opened = open_keys(file)

    assert stable(opened) == stable(made)
    assert opened.unwrap(*made_wrap(made)) == KEY
    assert opened.infos == made.infos
    assert made.epoch == 1
    assert before <= made.infos[0].created <= time.time()
    assert file.stat().st_mode & 0o777 == 0o600


def made_wrap(keys):
    epoch, wrapped = keys.wrap(PACK, KEY)
    return epoch, PACK, wrapped


def test_keys_differ_from_each_other_and_from_those_of_another_store(file, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    first, second = open_keys(file), open_keys(other / "keys")

    secrets = {first.id_key, first.index_key, second.id_key, second.index_key}
    assert len(secrets) == 4
    assert {len(key) for key in secrets} == {32}
    assert first.chunk_seed != second.chunk_seed
    assert 0 <= first.chunk_seed < 2**64
    with pytest.raises(ArtifactError) as raised:
        second.unwrap(*made_wrap(first))
    assert raised.value.code == "SYM-A034"


def test_what_never_changes_is_derived_as_it_always_was():
    keys = RepositoryKeys(Secrets(bytes(32), (RepositoryKey(1, 0.0, bytes(32)),)), "", "passphrase")

    assert keys.id_key.hex() == "004690c00b1fd6c238baa5f52d2888c59b93f4f6d3463939bdcdd9272a19feb3"
    assert keys.index_key.hex() == "6a72aa5f586282ead81f015a06a6bfaaace0fbd6b23d096a78050629b1c5f818"
    assert keys.chunk_seed == 7430839442194164623


@given(pack_id=st.binary(min_size=16, max_size=16), pack_key=st.binary(min_size=32, max_size=32))
def test_the_key_of_any_pack_comes_back(pack_id, pack_key):
    keys = RepositoryKeys(Secrets(bytes(32), (RepositoryKey(7, 0.0, KEY),)), "", "keyring")
    epoch, wrapped = keys.wrap(pack_id, pack_key)

    assert epoch == 7
    assert len(wrapped) == WRAPPED_BYTES
    assert pack_key not in wrapped
    assert keys.unwrap(epoch, pack_id, wrapped) == pack_key
    assert keys.wrap(pack_id, pack_key) != (epoch, wrapped)


def test_every_changed_bit_of_a_wrapped_key_or_of_its_pack_is_found(file):
    keys = open_keys(file)
    epoch, wrapped = keys.wrap(PACK, KEY)
    changed = [
        *((PACK, flipped(wrapped, bit)) for bit in range(8 * len(wrapped))),
        *((flipped(PACK, bit), wrapped) for bit in range(8 * len(PACK))),
        *((PACK, wrapped[:length]) for length in range(len(wrapped))),
        (PACK, wrapped + b"\0"),
    ]
    for pack, sealed in changed:
        with pytest.raises(ArtifactError, match=f"pack {pack.hex()} cannot be opened with key 1") as raised:
            keys.unwrap(epoch, pack, sealed)
        assert raised.value.code == "SYM-A034"


def flipped(data, bit):
    return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))


def test_the_key_of_an_epoch_that_the_store_does_not_know_is_refused(file):
    old = open_keys(file)
    new = rotate(file, old, data=True)

    with pytest.raises(
        ArtifactError, match="is sealed with key 2, and the store's `keys` have up to 1"
    ) as raised:
        old.unwrap(*made_wrap(new))
    assert raised.value.code == "SYM-A034"
    assert raised.value.details["epoch"] == 2

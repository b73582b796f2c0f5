"""Damaged bytes are named and never handed out."""

import os
import random

import pytest
from pit_artifact_store import Store
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import Score


def flip_bit(path, position):
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1 << position % 8]))


def packs(directory):
    return sorted((directory / "packs").iterdir())


def test_every_flipped_bit_of_a_pack_and_of_the_keys_is_found(directory):
    contents = [b"small", random.Random(1).randbytes(9_000), b""]
    with Store(directory) as store:
        ids = [
            store.put(data, name=f"{number}", metadata={"a": "b"}).id for number, data in enumerate(contents)
        ]
        store.tag(ids[0], "tagged")
        assert store.verify() == []
    (pack,) = packs(directory)
    chance = random.Random(2)
    sound = {path: path.read_bytes() for path in (pack, directory / "keys", directory / "format")}
    with Store(directory) as store:
        for path, content in sound.items():
            everywhere = range(len(content))
            for position in everywhere if len(content) < 200 else chance.sample(everywhere, 40):
                flip_bit(path, position)
                faults = store.verify()
                assert faults, f"bit of byte {position} of {path.name}"
                for id, data in zip(ids, contents, strict=True):
                    try:
                        assert store.get(id) == data
                    except ArtifactError as error:
                        assert error.code == "SYM-A005"
                        assert id in {named for fault in faults for named in fault.details["artifacts"]}
                path.write_bytes(content)
        assert store.verify() == []


def test_flipped_bits_of_the_index_are_errors_and_never_wrong_answers(directory):
    contents = {}
    with Store(directory) as store:
        for number in range(40):
            data = random.Random(number).randbytes(500)
            contents[store.put(data, name=f"n{number}", durability="os").id] = data
    index = directory / "index.db"
    sound = index.read_bytes()
    chance = random.Random(3)
    for position in chance.sample(range(len(sound)), 12):
        flip_bit(index, position)
        try:
            with Store(directory) as store:
                faults = store.verify()
                for id, data in contents.items():
                    try:
                        assert store.get(id) == data
                    except ArtifactError as error:
                        assert error.code == "SYM-A009"
                        assert any(fault.code == "SYM-A009" for fault in faults)
        except ArtifactError as error:
            assert error.code == "SYM-A009"
            assert "index.db" in error.hint
        for path in directory.glob("index.db*"):
            path.unlink()
        index.write_bytes(sound)


def test_a_pack_whose_key_is_damaged_takes_along_only_what_is_in_it(directory):
    with Store(directory) as store:
        lost = store.put(b"lost").id
    (pack,) = packs(directory)
    flip_bit(pack, 40)
    with Store(directory) as store:
        kept = store.put(b"kept").id
        with pytest.raises(ArtifactError, match=lost) as caught:
            store.get(lost)
        assert caught.value.code == "SYM-A005"
        assert store.get(kept) == b"kept"
        assert {id for fault in store.verify() for id in fault.details["artifacts"]} == {lost}
        assert store.put(b"lost").id == lost
        assert store.get(lost) == b"lost"


def test_a_sound_range_of_a_damaged_artifact_is_still_read(store, damage):
    data = os.urandom(600_000)
    id = store.put(data).id
    damage(id)  # its last chunk
    assert store.read(id, 1000, 100) == data[1000:1100]
    with pytest.raises(ArtifactError, match=id):
        store.read(id, len(data) - 1, 1)


def test_a_pack_that_is_gone_is_named_with_all_that_it_takes_along(directory):
    with Store(directory) as store:
        ids = {store.put(os.urandom(1000)).id for _ in range(3)}
    (pack,) = packs(directory)
    pack.unlink()
    with Store(directory) as store:
        for id in ids:
            with pytest.raises(ArtifactError, match=f"{pack.name} is gone") as caught:
                store.get(id)
            assert caught.value.details["artifacts"] == [id]
        (fault,) = store.verify()
        assert set(fault.details["artifacts"]) == ids
        assert f"{pack.name} is gone" in fault.message


@pytest.mark.parametrize("durability", ["os", "group", "sync"])
def test_storing_the_same_bytes_mends_what_was_damaged(store, damage, content, durability):
    id = store.put(content).id
    damage(id)
    with pytest.raises(ArtifactError):
        store.get(id)
    store.put(content, durability=durability)
    assert store.get(id) == content
    damage(id)
    assert store.put_stream([content], durability=durability).id == id
    assert store.get(id) == content


def test_what_shares_a_damaged_chunk_is_named_and_does_not_get_it(store, damage):
    shared = os.urandom(100_000)
    first = store.put(os.urandom(20_000) + shared).id
    second = store.put(os.urandom(20_000) + shared).id
    damage(first)
    (fault,) = store.verify()
    assert set(fault.details["artifacts"]) == {first, second}
    third = os.urandom(20_000) + shared
    assert store.get(store.put(third).id) == third
    assert first in fault.message
    assert second in fault.message


def test_an_index_that_is_lost_is_made_again_from_the_packs(directory):
    with Store(directory) as store:
        first = store.put(b"one", name="x", metadata={"a": "b"})
        second = store.put(b"two", name="x")
        store.tag(first.id, "old")
        store.pin(first.id)
        store.hold(second.id, "audit")
        store.score(second.id, Score("acme.length", "1", 0.25, "short", {"least": "4"}))
        store.remove(store.put(b"three").id)
        before = told(store)
    for path in directory.glob("index.db*"):
        path.unlink()
    with Store(directory) as store:
        assert told(store) == before
        assert store.verify() == []


def told(store):
    return (
        store.find(limit=1000),
        store.find(removed=True),
        store.versions("x"),
        store.tags(),
        [(store.relations(info.ref.id), store.scores(info.ref.id)) for info in store.find()],
        store.usage().artifacts,
    )

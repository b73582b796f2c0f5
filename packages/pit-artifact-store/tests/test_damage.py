"""Damaged bytes are named and never handed out."""

import os
import random
import sqlite3

import pytest
from pit_artifact_store import Store
from symphony_sdk.errors import ArtifactError


def flip(path, position):
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << random.randrange(8)
    path.write_bytes(data)


@pytest.mark.parametrize("size", [65_537, 1 << 20, 2_500_000])
def test_every_flipped_bit_of_a_file_is_found_and_refused(store, object_file, size):
    kept = store.put(os.urandom(1000)).id
    data = os.urandom(size)
    id = store.put(data).id
    sound = object_file(id).read_bytes()
    for position in [0, size // 2, size - 1]:
        flip(object_file(id), position)
        assert [fault.details["id"] for fault in store.verify()] == [id]
        for call in (lambda: store.get(id), lambda at=position: store.read(id, at, 1)):
            with pytest.raises(ArtifactError, match=id) as caught:
                call()
            assert caught.value.code == "SYM-A005"
            assert caught.value.details == {"id": id}
        object_file(id).write_bytes(sound)
    assert store.get(id) == data
    assert store.get(kept)


def test_a_sound_range_of_a_damaged_file_is_still_read(store, object_file):
    data = os.urandom(3 << 20)
    id = store.put(data).id
    flip(object_file(id), 10)
    assert store.read(id, 2 << 20, 100) == data[2 << 20 : (2 << 20) + 100]


@pytest.mark.parametrize("change", [-1, 1, -70_000])
def test_a_file_of_another_length_is_refused(store, object_file, change):
    id = store.put(os.urandom(70_000)).id
    object_file(id).chmod(0o600)
    os.truncate(object_file(id), 70_000 + change)
    for call in (store.get, lambda id: store.read(id, 0, 5)):
        with pytest.raises(ArtifactError, match="expected 70000 bytes"):
            call(id)
    assert [fault.code for fault in store.verify()] == ["SYM-A005"]


def test_a_file_that_is_gone_is_named(store, object_file):
    id = store.put(os.urandom(70_000)).id
    object_file(id).unlink()
    with pytest.raises(ArtifactError, match="its file is gone") as caught:
        store.get(id)
    assert caught.value.details == {"id": id}
    assert [fault.details["id"] for fault in store.verify()] == [id]


@pytest.mark.parametrize("durability", ["os", "group", "sync"])
def test_storing_the_same_bytes_mends_what_was_damaged(store, directory, object_file, content, durability):
    id = store.put(content).id
    if object_file(id).exists():
        flip(object_file(id), len(content) // 2)
    else:
        change_row(directory, "update object set data = ?, size = 3 where id = ?", b"bad", id)
    with pytest.raises(ArtifactError):
        store.get(id)
    store.put(content, durability=durability)
    assert store.get(id) == content
    assert list(store.verify()) == []
    if object_file(id).exists():
        object_file(id).unlink()
        store.put(content, durability=durability)
        assert store.get(id) == content


def change_row(directory, statement, value, id):
    with sqlite3.connect(directory / "index.db") as db:
        changed = db.execute(statement, (value, bytes.fromhex(id[3:]))).rowcount
    db.close()
    assert changed == 1


@pytest.mark.parametrize(
    "statement, value",
    [
        ("update object set data = ? where id = ?", b"hellp"),
        ("update object set size = ? where id = ?", 4),
        ("update entry set name = ? where object = ?", "b.txt"),
        ("update entry set media_type = ? where object = ?", "text/html"),
        ("update entry set run = ? where object = ?", "r2"),
        ("update entry set facts = ? where object = ?", b'{"metadata":{"k":"w"}}'),
    ],
    ids=["data", "size", "name", "media type", "run", "facts"],
)
def test_a_changed_row_is_found(store, directory, statement, value):
    other = store.put(b"other").id
    id = store.put(b"hello", name="a.txt", metadata={"k": "v"}).id
    change_row(directory, statement, value, id)
    assert [(fault.code, fault.details["id"]) for fault in store.verify()] == [("SYM-A005", id)]
    with pytest.raises(ArtifactError, match=id):
        (store.info if "entry" in statement else store.get)(id)
    assert store.get(other) == b"other"


def test_a_description_without_its_object_is_found(store, directory):
    id = store.put(b"hello").id
    change_row(directory, "update object set id = ? where id = ?", b"\x01" * 32, id)
    assert [fault.details["id"] for fault in store.verify()] == [id]
    for call in (store.get, store.info):
        with pytest.raises(ArtifactError, match="its object is not in the index"):
            call(id)


def test_flipped_bytes_anywhere_in_the_index_never_give_wrong_bytes(directory):
    contents = {}
    with Store(directory) as store:
        for number in range(40):
            data = random.Random(number).randbytes(number * 97)
            contents[store.put(data, durability="os").id] = data
    index = directory / "index.db"
    sound = index.read_bytes()
    chance = random.Random(5)
    for _ in range(60):
        damaged = bytearray(sound)
        for _ in range(3):
            damaged[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        index.write_bytes(damaged)
        try:
            with Store(directory) as store:
                store.verify()
                for id, data in contents.items():
                    try:
                        assert store.get(id) == data
                    except ArtifactError:
                        continue
        except ArtifactError as error:
            assert error.code in {"SYM-A006", "SYM-A009"}, error


def test_an_index_that_is_no_database_is_named(directory):
    Store(directory).close()
    (directory / "index.db").write_bytes(b"garbage " * 1000)
    with pytest.raises(ArtifactError, match="is damaged") as caught:
        Store(directory)
    assert caught.value.code == "SYM-A009"


def test_verify_tells_what_sqlite_finds_wrong(store, directory, monkeypatch):
    monkeypatch.setattr("pit_artifact_store.rows.Rows.faults", lambda _: ["row 1 missing from index"])
    assert [(fault.code, fault.details["id"]) for fault in store.verify()] == [("SYM-A009", "")]

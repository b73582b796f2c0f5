"""What this store promises beyond the contract of every store."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from pit_artifact_store import Store
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import Lineage


def test_an_artifact_outlives_the_store_that_took_it(directory, content):
    for durability in ("os", "group", "sync"):
        with Store(directory) as store:
            id = store.put(content, name=durability, durability=durability).id
        with Store(directory) as store:
            assert store.get(id) == content
            assert store.info(id).ref.name == durability


def test_an_id_is_the_blake3_hash_of_the_bytes(store):
    empty = "b3-af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert store.put(b"").id == empty


def test_the_same_bytes_under_two_names_are_one_object_with_both_in_its_history(store, directory):
    data = os.urandom(200_000)
    first = store.put(data, name="a.txt", lineage=Lineage(run="r1"))
    store.put(data, name="b.txt", lineage=Lineage(run="r2"))
    files = [path for path in (directory / "objects").rglob("*") if path.is_file()]
    assert len(files) == 1
    assert [info.ref.name for info in store.history(first.id)] == ["b.txt", "a.txt"]
    assert [info.ref.name for info in store.find()] == ["b.txt"]
    assert [info.ref.name for info in store.find(run="r1")] == ["a.txt"]


def test_storing_the_same_again_adds_no_history_and_makes_it_the_newest(store):
    id = store.put(b"x", name="a").id
    store.put(b"x", name="b")
    store.put(b"x", name="a")
    assert [info.ref.name for info in store.history(id)] == ["a", "b"]


def test_a_removed_file_frees_its_space(store, object_file):
    id = store.put(os.urandom(100_000)).id
    assert object_file(id).exists()
    store.remove(id)
    assert not object_file(id).exists()


def test_only_a_whole_id_is_removed(store):
    id = store.put(b"x").id
    with pytest.raises(ArtifactError, match="whole id") as caught:
        store.remove(id[:20])
    assert caught.value.code == "SYM-A004"
    assert store.get(id) == b"x"


def test_each_refusal_of_an_id_has_its_code(store):
    ids = [store.put(b"%d" % number, durability="os").id for number in range(40)]
    twice = next(id[:4] for id in ids if sum(other.startswith(id[:4]) for other in ids) > 1)
    for id, code in [("b3-" + "0" * 64, "SYM-A002"), (twice, "SYM-A003"), ("b3-XY", "SYM-A004")]:
        with pytest.raises(ArtifactError) as caught:
            store.get(id)
        assert caught.value.code == code
        assert caught.value.hint
        assert caught.value.details["id"] == id


@pytest.mark.parametrize("offset, length", [(-1, 5), (0, -1)])
def test_a_range_before_the_first_byte_is_refused(store, content, offset, length):
    id = store.put(content).id
    with pytest.raises(ArtifactError) as caught:
        store.read(id, offset, length)
    assert caught.value.code == "SYM-A010"


@pytest.mark.parametrize(
    "described",
    [
        {"name": 5},
        {"name": "\ud800"},
        {"media_type": None},
        {"metadata": {"k": 1}},
        {"metadata": {1: "v"}},
        {"metadata": 7},
        {"metadata": {"k": "\udfff"}},
        {"lineage": Lineage(run=5)},
        {"lineage": "r1"},
        {"durability": "forever"},
    ],
    ids=repr,
)
def test_a_description_that_cannot_be_kept_is_refused_and_nothing_is_stored(store, described):
    with pytest.raises(ArtifactError) as caught:
        store.put(b"x", **described)
    assert caught.value.code == "SYM-A010"
    assert store.find() == []


def test_a_closed_store_says_so(directory):
    store = Store(directory)
    id = store.put(b"x").id
    store.close()
    for call in (
        lambda: store.get(id),
        lambda: store.put(b"y"),
        lambda: store.verify(),
        lambda: store.find(),
    ):
        with pytest.raises(ArtifactError, match="is closed") as caught:
            call()
        assert caught.value.code == "SYM-A007"


def test_what_was_handed_to_the_system_is_synced_when_the_store_is_closed(directory, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd))[1])
    with Store(directory) as store:
        store.put(os.urandom(100_000), durability="os")
        inode = next(path for path in (directory / "objects").rglob("*") if path.is_file()).stat().st_ino
        assert inode not in synced
    assert inode in synced


@pytest.mark.parametrize("durability", ["group", "sync"])
def test_a_durable_put_of_known_bytes_syncs_the_file_that_only_the_system_had(
    store, object_file, monkeypatch, durability
):
    data = os.urandom(100_000)
    inode = object_file(store.put(data, durability="os").id).stat().st_ino
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd))[1])
    store.put(data, durability=durability)
    assert inode in synced


@pytest.mark.parametrize("durability", ["group", "sync"])
def test_a_durable_put_syncs_its_file_and_the_name_of_it(store, object_file, monkeypatch, durability):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_ino), fsync(fd))[1])
    file = object_file(store.put(os.urandom(100_000), durability=durability).id)
    assert {file.stat().st_ino, file.parent.stat().st_ino} <= set(synced)


def test_writers_at_once_share_the_syncs_of_a_group(store, directory, monkeypatch):
    commits = []
    commit = store._committer._commit
    monkeypatch.setattr(
        store._committer, "_commit", lambda group: (commits.append(len(group)), commit(group))[1]
    )
    with ThreadPoolExecutor(16) as pool:
        refs = list(pool.map(lambda number: store.put(b"%d" % number), range(320)))
    assert sum(commits) == 320
    assert len(commits) < 320
    assert all(store.get(ref.id) == b"%d" % number for number, ref in enumerate(refs))


def test_one_that_cannot_be_stored_harms_none_of_its_group(store, monkeypatch):
    publish = store._publisher._publish

    def refuse(rows, publication):
        if bytes(publication.data) == b"13":
            raise OSError(28, "No space left on device")
        return publish(rows, publication)

    monkeypatch.setattr(store._publisher, "_publish", refuse)

    def put(number):
        try:
            return store.put(b"%d" % number).id
        except ArtifactError as error:
            return error.code

    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(put, range(32)))
    assert got[13] == "SYM-A006"
    assert sum(id.startswith("b3-") for id in got) == 31
    assert len(store.find()) == 31


def test_a_file_whose_row_could_not_be_written_is_taken_away(store, directory, monkeypatch):
    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pit_artifact_store.rows.Rows.put_entry", refuse)
    data = os.urandom(100_000)
    for durability in ("os", "sync", "group"):
        with pytest.raises(ArtifactError):
            store.put(data, durability=durability)
    monkeypatch.undo()
    files = [path for path in (directory / "objects").rglob("*") if path.is_file()]
    assert files == []
    assert store.get(store.put(data).id) == data


def test_a_range_of_a_large_artifact_reads_only_its_segments(store, monkeypatch):
    data = os.urandom(8 << 20)
    id = store.put(data).id
    hashed = []
    from pit_artifact_store import objects

    plain = objects.content_id
    monkeypatch.setattr(objects, "content_id", lambda part: (hashed.append(len(part)), plain(part))[1])
    assert store.read(id, 3_000_000, 100) == data[3_000_000:3_000_100]
    assert hashed == [1 << 20]


def test_a_fork_is_told_to_open_a_store_of_its_own(store, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(ArtifactError, match="fork") as caught:
        store.put(b"x")
    assert caught.value.code == "SYM-A007"
    monkeypatch.undo()
    assert store.get(store.put(b"x").id) == b"x"

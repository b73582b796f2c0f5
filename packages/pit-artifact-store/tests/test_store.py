"""What this store promises beyond the contract of every store."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import apsw
import pytest
from pit_artifact_store import Store
from pit_artifact_store.chunking import LARGEST_CHUNK
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import Lineage


def test_an_artifact_outlives_the_store_that_took_it(directory, content):
    for durability in ("os", "group", "sync"):
        with Store(directory) as store:
            id = store.put(content, name=durability, durability=durability).id
        with Store(directory) as store:
            assert store.get(id) == content
            assert store.info(id).ref.name == durability


def test_the_same_bytes_under_two_names_are_one_object_with_both_in_its_history(store):
    data = os.urandom(200_000)
    first = store.put(data, name="a.txt", lineage=Lineage(run="r1"))
    store.put(data, name="b.txt", lineage=Lineage(run="r2"))
    assert store.usage().artifacts == 1
    assert store.usage().stored < 250_000
    assert [info.ref.name for info in store.history(first.id)] == ["b.txt", "a.txt"]
    assert [info.ref.name for info in store.find()] == ["b.txt"]
    assert [info.ref.name for info in store.find(run="r1")] == ["a.txt"]


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
    rows = store._publisher._rows

    def refuse(index, publication, *given):
        if publication.description.name == "13":
            raise OSError(28, "No space left on device")
        return rows(index, publication, *given)

    monkeypatch.setattr(store._publisher, "_rows", refuse)

    def put(number):
        try:
            return store.put(b"%d" % number, name=str(number)).id
        except ArtifactError as error:
            return error.code

    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(put, range(32)))
    assert got[13] == "SYM-A006"
    assert sum(id.startswith("b3-") for id in got) == 31
    assert len(store.find()) == 31


@pytest.mark.parametrize("durability", ["os", "sync", "group"])
def test_what_the_index_refuses_is_not_in_the_packs_either(directory, monkeypatch, durability):
    with Store(directory) as store:
        store.put(b"first", name="first", durability=durability)

        def refuse(*_):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr("pit_artifact_store.journal.apply", refuse)
        with pytest.raises(ArtifactError, match="Input/output error"):
            store.put(b"second", name="second", durability=durability)
        monkeypatch.undo()
        store.put(b"third", name="third", durability=durability)
    for path in directory.glob("index.db*"):
        path.unlink()
    with Store(directory) as store:
        assert [info.ref.name for info in store.find()] == ["third", "first"]


def test_a_commit_that_the_index_refuses_last_is_taken_back(directory, monkeypatch):
    with Store(directory) as store:
        store.put(b"first", name="first")
        (pack,) = (directory / "packs").iterdir()
        before = pack.stat().st_size
        index, wrote = store._index, []
        writing = index.writing

        @contextmanager
        def refusing_to_commit():
            with writing() as rows:
                yield rows
                wrote.append(pack.stat().st_size)
                raise apsw.FullError("database or disk is full")

        monkeypatch.setattr(index, "writing", refusing_to_commit)
        with pytest.raises(ArtifactError, match="disk is full") as caught:
            store.remove(store.find()[0].ref.id)
        assert caught.value.details["errno"] == "ENOSPC"
        assert wrote[0] > before == pack.stat().st_size
        monkeypatch.undo()
        assert [info.ref.name for info in store.find()] == ["first"]


def test_a_range_of_a_large_artifact_reads_only_its_chunks(store, monkeypatch):
    data = os.urandom(8 << 20)
    id = store.put(data).id
    read = []
    pread = os.pread
    monkeypatch.setattr("os.pread", lambda fd, size, offset: (read.append(size), pread(fd, size, offset))[1])
    assert store.read(id, 3_000_000, 100) == data[3_000_000:3_000_100]
    assert sum(read) <= 2 * LARGEST_CHUNK


def test_a_fork_is_told_to_open_a_store_of_its_own(store, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(ArtifactError, match="fork") as caught:
        store.put(b"x")
    assert caught.value.code == "SYM-A007"
    monkeypatch.undo()
    assert store.get(store.put(b"x").id) == b"x"


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.find(name="\ud800"),
        lambda store: store.find(run="\ud800"),
        lambda store: store.find(since=float("inf"), tag="\ud800"),
        lambda store: store.versions("\ud800"),
        lambda store: store.versions("x", 2**80),
        lambda store: store.tags(2**80),
        lambda store: store.untag("\ud800"),
        lambda store: store.hold(store.put(b"x").id, "\ud800"),
        lambda store: store.relate(store.put(b"x").id, "produced-by", "\ud800"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_words(store, ask):
    with pytest.raises(ArtifactError) as caught:
        ask(store)
    assert caught.value.code == "SYM-A010"
    assert store.verify() == []


def test_however_chunks_are_written_together_each_has_its_own_id(store, monkeypatch):
    monkeypatch.setattr("pit_artifact_store.publishing.BATCH_BYTES", 1)  # each by itself
    data = os.urandom(300_000)
    for id in (store.put(data).id, store.put_stream([data[1:]]).id):
        whole = store.get(id)
        assert store.read(id, 100_000, 100_000) == whole[100_000:200_000]
        assert b"".join(store.stream(id)) == whole
    assert store.verify() == []

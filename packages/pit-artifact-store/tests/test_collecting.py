"""Collecting frees what nobody needs, and only that, whoever stores and reads meanwhile."""

import os
import random

import pytest
from pit_artifact_store import Store, collecting
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import Lineage, Score

TEXT = "\n".join(f"line {number} of a text that compresses well" for number in range(20_000)).encode()


def stored_bytes(directory):
    return sum(path.stat().st_size for path in (directory / "packs").iterdir())


def test_what_is_removed_is_freed_and_what_it_shared_stays(store, directory):
    shared = os.urandom(400_000)
    gone = store.put(os.urandom(400_000) + shared, name="x").id
    data = os.urandom(1000) + shared
    kept = store.put(data, name="y", lineage=Lineage(run="r", node="n")).id
    store.tag(kept, "v1")
    before = store.info(kept)
    store.remove(gone)
    found = store.collect(grace=0)
    assert (found.artifacts, found.waiting) == (1, 0)
    assert found.freed > 350_000
    assert stored_bytes(directory) < 500_000
    assert store.get(kept) == data
    assert store.info("v1") == before
    assert store.verify() == []
    with pytest.raises(ArtifactError, match="there is no artifact"):
        store.info(gone)


def test_after_any_collections_a_lost_index_says_the_same(directory):
    chance = random.Random(4)
    with Store(directory) as store:
        ids = []
        for number in range(60):
            ids.append(store.put(chance.randbytes(3000), name=f"n{number % 7}").id)
            store.tag(chance.choice(ids), f"t{number % 5}")
            store.score(chance.choice(ids), Score("acme.chance", f"{number}", chance.random()))
            store.put(store.get(ids[0]), name="again")
            if number % 3 == 2:
                for id in chance.sample(ids, 1):
                    store.remove(id)
                    ids.remove(id)
            if number % 10 == 9:
                store.collect(grace=0)
        before = told(store)
    for path in directory.glob("index.db*"):
        path.unlink()
    with Store(directory) as store:
        assert told(store) == before
        assert {info.ref.id for info in before[0]} == set(ids)
        assert store.verify() == []


def told(store):
    found = store.find(limit=100)
    return (
        found,
        [(store.history(info.ref.id), store.scores(info.ref.id)) for info in found],
        store.tags(),
        [store.versions(f"n{number}") for number in range(7)],
    )


def test_an_artifact_that_was_collected_and_stored_again_is_new(store):
    id = store.put(b"again", name="x").id
    store.tag(id, "old")
    store.remove(id)
    store.collect(grace=0)
    assert store.put(b"again").id == id
    assert store.info(id).tags == ()
    assert [info.ref.name for info in store.history(id)] == [""]


def test_what_compresses_is_compressed_by_a_collection_and_read_as_before(store, directory):
    id = store.put(TEXT).id
    before = stored_bytes(directory)
    store.collect(grace=0)
    assert stored_bytes(directory) < before / 3
    assert store.get(id) == TEXT
    assert store.read(id, 100_000, 50) == TEXT[100_000:100_050]
    assert store.verify() == []
    settled = {path.name for path in (directory / "packs").iterdir()}
    store.collect(grace=0)
    assert {path.name for path in (directory / "packs").iterdir()} == settled


def test_small_artifacts_are_not_written_anew_each_time_for_what_is_known_of_them(store, directory):
    for number in range(30):
        store.put(os.urandom(50), name=f"n{number}", metadata={"key": "value " * 20})
    store.collect(grace=0)
    before = {path.name for path in (directory / "packs").iterdir()}
    store.collect(grace=0)
    assert before <= {path.name for path in (directory / "packs").iterdir()}


def test_what_does_not_compress_is_not_written_anew(store, directory):
    store.put(os.urandom(300_000))
    store.collect(grace=0)
    before = {path.name for path in (directory / "packs").iterdir()}
    store.collect(grace=0)
    assert {path.name for path in (directory / "packs").iterdir()} == before


def test_a_condemned_pack_stays_for_its_quarantine_and_is_then_deleted(store, directory, monkeypatch):
    monkeypatch.setattr(collecting, "QUARANTINE", 1000.0)
    store.remove(store.put(os.urandom(300_000)).id)
    store.put(os.urandom(1000))
    assert store.collect(grace=0).freed > 290_000  # no grace: none for packs, either
    store.put(TEXT)
    first = store.collect(grace=5000.0)
    assert first.waiting > len(TEXT)
    assert stored_bytes(directory) > len(TEXT)
    second = store.collect(grace=0)
    assert second.freed >= len(TEXT) * 0.9
    assert second.waiting == 0


def test_a_reader_that_is_at_work_goes_on_while_everything_moves(directory):
    data = os.urandom(3_000_000)
    with Store(directory) as reader, Store(directory) as other:
        id = other.put(data).id
        other.remove(other.put(os.urandom(3_000_000)).id)
        parts = reader.stream(id)
        given = [next(parts)]
        assert other.collect(grace=0).freed > 2_500_000
        reader._files.close()  # so that no pack is kept open
        given += parts
        assert b"".join(given) == data
        assert reader.get(id) == data


def test_a_writer_that_shared_what_is_collected_meanwhile_writes_it_again(directory, monkeypatch):
    shared = os.urandom(500_000)
    with Store(directory) as writer, Store(directory) as other:
        writer.put(b"its own pack")
        id = other.put(shared).id
        other.remove(id)
        other.collect()  # its chunks are known to all from here on
        commit = writer._publisher.commit

        def after_a_collection(group):
            if id:
                other.collect(grace=0)
            commit(group)

        monkeypatch.setattr(writer._publisher, "commit", after_a_collection)
        data = os.urandom(1000) + shared
        kept = writer.put(data, durability="os").id
        assert writer.get(kept) == data
        assert other.put(shared, durability="os").id == id
        other.remove(id)
        assert writer.put(shared, durability="os").id == id
        assert writer.get(id) == shared
        assert writer.verify() == []


def test_a_stream_that_shared_what_is_collected_meanwhile_is_an_error_and_not_stored(directory):
    shared = os.urandom(5_000_000)
    with Store(directory) as writer, Store(directory) as other:
        writer.put(b"its own pack")
        other.remove(other.put(shared).id)
        other.collect()  # its chunks are known to all from here on

        def parts():
            yield shared
            yield os.urandom(10_000_000)  # the first window is written when the next part is asked for
            other.collect(grace=0)
            yield b"end"

        with pytest.raises(ArtifactError, match="collected meanwhile") as caught:
            writer.put_stream(parts(), name="x")
        assert caught.value.code == "SYM-A011"
        assert len(writer.find()) == 1
        assert writer.verify() == []


def test_a_damaged_pack_is_left_as_it_is(store, directory, damage):
    first = store.put(os.urandom(50_000)).id
    data = os.urandom(50_000)
    kept = store.put(data).id
    for _ in range(5):
        store.remove(store.put(os.urandom(50_000)).id)
    damage(first)
    store.collect(grace=0)
    assert store.get(kept) == data
    assert {id for fault in store.verify() for id in fault.details["artifacts"]} == {first}


def test_progress_is_told_up_to_the_end(store):
    store.remove(store.put(os.urandom(50_000)).id)
    told = []
    store.collect(grace=0, on_progress=lambda done, total: told.append((done, total)))
    assert told
    assert told[-1][0] == told[-1][1] > 50_000

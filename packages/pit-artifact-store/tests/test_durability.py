"""What each durability costs: how many syncs, of what, before `put` returns."""

import os
import threading
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from pit_artifact_store import Store
from symphony_sdk.errors import ArtifactError


@pytest.fixture
def syncs(monkeypatch):
    """The files and directories that were synced, in order."""
    done = []
    lock = threading.Lock()

    def noting(sync):
        def noted(fd):
            with lock:
                done.append(Path(f"/proc/self/fd/{fd}").readlink().name)
            sync(fd)

        return noted

    monkeypatch.setattr("os.fdatasync", noting(os.fdatasync))
    monkeypatch.setattr("os.fsync", noting(os.fsync))
    return done


def test_os_syncs_nothing(store, syncs):
    for size in (10, 100_000, 2_000_000):
        store.put(os.urandom(size), durability="os")
    assert syncs == []


@pytest.mark.parametrize("size", [10, 20_000, 2_000_000])
def test_sync_syncs_the_pack_once_and_its_name_the_first_time(store, directory, syncs, size):
    store.put(os.urandom(size), durability="sync")
    (pack,) = (directory / "packs").iterdir()
    assert syncs == [pack.name, "packs"]
    store.put(os.urandom(size), durability="sync")
    assert syncs == [pack.name, "packs", pack.name]


def test_what_is_shared_with_what_was_not_synced_is_synced_with_it(directory, syncs):
    shared = os.urandom(200_000)
    with Store(directory) as one, Store(directory) as other:
        one.put(shared, durability="os")
        (pack,) = (directory / "packs").iterdir()
        assert pack.name not in syncs
        other.put(shared, name="x", durability="sync")
        assert pack.name in syncs
        del syncs[:]
        other.put(b"more" + shared, durability="sync")
        assert pack.name not in syncs  # once is enough
        more = os.urandom(200_000)
        one.put(more, durability="os")
        other.put(more, name="x", durability="sync")
        assert pack.name in syncs


def test_a_group_shares_its_sync(store, syncs):
    store.put(b"first", durability="group")
    del syncs[:]
    gate = threading.Barrier(8)

    def work(number):
        gate.wait(60)
        for turn in range(5):
            store.put(f"{number} {turn}".encode(), durability="group")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.usage().artifacts == 41
    assert 5 <= len(syncs) <= 40


def test_closing_syncs_what_was_not(directory, syncs):
    with Store(directory) as store:
        store.put(b"x", durability="os")
        (pack,) = (directory / "packs").iterdir()
        assert pack.name not in syncs
    assert pack.name in syncs


def test_what_was_committed_is_synced_though_its_pack_was_let_go_meanwhile(
    store, directory, syncs, monkeypatch
):
    id = store.put(b"x").id
    (pack,) = (directory / "packs").iterdir()
    del syncs[:]
    commit = store._journal.commit

    def then_let_go(*given, **named):
        home = commit(*given, **named)
        store._journal.finish()  # as another thread does that collects
        return home

    monkeypatch.setattr(store._journal, "commit", then_let_go)
    store.tag(id, "tagged")
    assert syncs == [pack.name]


def test_a_commit_in_the_place_of_one_that_was_taken_back_is_synced(store, directory, syncs, monkeypatch):
    """Both are equally long, and the first one was synced by another thread before it was taken back."""
    id = store.put(b"x").id
    (pack,) = (directory / "packs").iterdir()
    writing = store._index.writing

    @contextmanager
    def refusing():
        with writing() as rows:
            yield rows
            store._journal.sync([bytes.fromhex(pack.stem)])
            raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(store._index, "writing", refusing)
        with pytest.raises(ArtifactError):
            store.tag(id, "first")
    del syncs[:]
    store.tag(id, "other")
    assert syncs == [pack.name]

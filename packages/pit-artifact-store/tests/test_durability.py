"""What each durability costs: how many syncs, of what, before `put` returns."""

import os
import threading
from pathlib import Path

import pytest
from pit_artifact_store import Store


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

"""What is indexed can be lost at any moment, is never in clear on disk, and leaves nothing behind."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pit_artifact_store import Store, changes
from pit_artifact_store.lookups import Filters, fitting
from pit_artifact_store.searching import live, schema, search
from symphony_sdk.errors import ArtifactError

pytestmark = pytest.mark.skipif(
    live.in_memory() is None and os.environ.get("CI") != "true", reason="there is no directory in memory"
)

TASKS = Path("/proc/self/task")


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """A directory in memory of this test alone."""
    with tempfile.TemporaryDirectory(dir=live.in_memory()) as path:
        monkeypatch.setenv("XDG_RUNTIME_DIR", path)
        yield Path(path)


def put(store, text, **described):
    return store.put(text.encode(), media_type="text/plain", durability="os", **described).id


def ids(store, query, *, fresh=True):
    return {found.info.ref.id for found in store.search(query, fresh=fresh, limit=100_000)}


def until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("artifact-")]


def documents(store):
    return store._search._opened().index().searcher().num_docs


# -- in the background ---------------------------------------------------------------------------------


def test_what_is_stored_is_indexed_a_little_later_by_itself(directory, monkeypatch):
    monkeypatch.setattr(search, "DELAY", 0.05)
    with Store(directory) as store:
        first = put(store, "needle one")
        until(lambda: ids(store, "needle", fresh=False) == {first})
        second = put(store, "needle two")
        until(lambda: ids(store, "needle", fresh=False) == {first, second})
        until(lambda: not [thread for thread in threads() if thread.name == "artifact-search"])


def test_what_cannot_be_indexed_is_told_and_indexed_the_next_time(directory, monkeypatch, caplog):
    monkeypatch.setattr(search, "DELAY", 0.05)
    with Store(directory) as store:
        with monkeypatch.context() as broken:
            broken.setattr(live.SharedLive, "keep", refuse)
            put(store, "needle one")
            until(lambda: "No space left" in caplog.text)
            assert str(directory) in caplog.text
        second = put(store, "needle two")
        until(lambda: second in ids(store, "needle", fresh=False))
        assert len(ids(store, "needle")) == 2


def refuse(*_):
    raise OSError(28, "No space left on device")


def test_what_another_process_stored_is_indexed_by_one_that_searches(directory, monkeypatch):
    monkeypatch.setattr(search, "DELAY", 0.05)
    with Store(directory) as store:
        assert ids(store, "needle", fresh=False) == set()
        ran(directory, "store.put(b'needle', media_type='text/plain')")
        until(lambda: len(ids(store, "needle", fresh=False)) == 1)


def test_a_short_process_indexes_nothing_and_opens_nothing(directory, memory):
    with Store(directory) as store:
        put(store, "needle")
    assert not (directory / "search").exists()
    assert list(memory.iterdir()) == []


def test_a_program_that_does_not_close_the_store_ends_all_the_same(directory):
    code = f"import sys; from pathlib import Path; from pit_artifact_store import Store\nstore = Store(Path({str(directory)!r})); store.put(b'x')"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


def test_no_thread_and_no_directory_in_memory_is_left_after_close(directory, memory):
    before = len(list(TASKS.iterdir()))
    with Store(directory) as store, Store(directory) as beside:
        put(store, "needle")
        assert len(ids(store, "needle")) == len(ids(beside, "needle")) == 1
        (shared,) = memory.iterdir()
        assert shared.stat().st_mode & 0o777 == 0o700
        beside.close()
        assert shared.exists()
    assert list(memory.iterdir()) == []
    assert threads() == []
    until(lambda: len(list(TASKS.iterdir())) == before)


def test_a_close_while_it_indexes_waits_for_no_more_than_the_batch(directory, monkeypatch, memory):
    monkeypatch.setattr(search, "DELAY", 0.0)
    store = Store(directory)
    for number in range(300):
        put(store, f"needle {number}")
    until(lambda: store._search._live is not None)
    store.close()
    assert (threads(), list(memory.iterdir())) == ([], [])
    with Store(directory) as store:
        assert len(ids(store, "needle")) == 300


def test_where_nothing_has_the_words_no_artifact_is_looked_up(directory):
    with Store(directory) as store:
        put(store, "needle")
        with store._index.reading() as rows:
            assert list(fitting(rows, Filters(), [])) == []
            assert len(list(fitting(rows, Filters()))) == 1


# -- lost, torn, damaged -------------------------------------------------------------------------------


def sealed(directory):
    return sorted(path for path in (directory / "search").iterdir())


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        Path.unlink,
        lambda path: os.truncate(path, path.stat().st_size // 2),
        lambda path: os.truncate(path, 0),
    ],
    ids=["flipped", "lost", "torn", "emptied"],
)
def test_whatever_is_damaged_of_what_is_sealed_is_named_and_made_anew(directory, damage):
    with Store(directory) as store:
        wanted = {put(store, f"needle {number}", name=f"n{number}") for number in range(5)}
        removed = put(store, "needle removed")
        assert ids(store, "needle") == wanted | {removed}
        store.remove(removed)
    number = 0
    while number < len(sealed(directory)):
        path = sealed(directory)[number]
        damage(path)
        with Store(directory) as store:
            faults = store.verify()
            if path.name == "manifest" and damage is Path.unlink:
                assert faults == []
            else:
                assert [fault.code for fault in faults] == ["SYM-A022"]
                assert path.name in faults[0].message
            assert ids(store, "needle") == wanted
            assert store.verify() == []
        number += 1
    assert number > 5


def test_what_is_sealed_is_used_and_not_made_anew(directory, monkeypatch):
    with Store(directory) as store:
        wanted = {put(store, f"needle {number}") for number in range(3)}
        ids(store, "needle")
    with Store(directory) as store:
        assert ids(store, "needle", fresh=False) == wanted


def test_a_folder_of_the_search_that_is_gone_is_made_anew(directory):
    with Store(directory) as store:
        wanted = {put(store, "needle")}
        ids(store, "needle")
    shutil.rmtree(directory / "search")
    with Store(directory) as store:
        assert ids(store, "needle") == wanted


def test_what_another_version_sealed_is_made_anew(directory, monkeypatch):
    with Store(directory) as store:
        wanted = {put(store, "needle")}
        ids(store, "needle")
    monkeypatch.setattr(live, "VERSION", 99)
    monkeypatch.setattr(schema, "VERSION", 99)
    with Store(directory) as store:
        assert ids(store, "needle", fresh=False) == set()
        assert ids(store, "needle") == wanted
        assert store.verify() == []


@pytest.mark.parametrize("lost", ["meta.json", "*.term", "*.store", "progress", "*"])
def test_what_is_damaged_in_memory_is_made_anew(directory, memory, lost):
    with Store(directory) as store:
        wanted = {put(store, "needle")}
        ids(store, "needle")
        (shared,) = memory.iterdir()
        for path in shared.glob(lost):
            path.unlink()
        with Store(directory) as beside:
            assert ids(beside, "needle") == wanted
        assert ids(store, "needle") == wanted


def test_a_lost_index_of_the_store_has_all_indexed_anew(directory):
    with Store(directory) as store:
        wanted = {put(store, f"needle {number}") for number in range(3)}
        gone = put(store, "needle gone")
        ids(store, "needle")
        store.remove(gone)
        store.collect(grace=0)
    for path in directory.glob("index.db*"):
        path.unlink()
    with Store(directory) as store:
        assert ids(store, "needle") == wanted
        assert documents(store) == 3


def test_what_a_crash_of_the_machine_took_from_the_index_is_indexed_when_it_is_replayed(directory):
    with Store(directory) as store:
        first = store.put(b"needle", media_type="text/plain", durability="sync").id
    earlier = (directory / "index.db").read_bytes()
    with Store(directory) as store:
        second = store.put(b"needle two", media_type="text/plain", durability="sync").id
        store.tag(first, "marked")
        assert ids(store, "needle") == {first, second}
        shutil.copytree(directory / "search", directory.with_name("before"))
        store.tag(second, "marked")
        store.put(b"needle three", name="three", media_type="text/plain", durability="sync")
    for path in directory.glob("index.db*"):
        path.unlink()
    (directory / "index.db").write_bytes(earlier)
    shutil.rmtree(directory / "search")
    directory.with_name("before").rename(directory / "search")
    with Store(directory) as store:
        assert len(ids(store, "needle")) == 3
        assert ids(store, "marked") == {second}


def test_notes_that_were_read_are_forgotten_and_whoever_missed_them_begins_anew(directory, monkeypatch):
    monkeypatch.setattr(changes, "NOTED", 3)
    with Store(directory) as store:
        one, two = put(store, "one"), put(store, "two")
        store.tag(one, "marked")
        assert ids(store, "marked") == {one}
    shutil.copytree(directory / "search", directory.with_name("before"))
    with Store(directory) as store:
        for number in range(3):
            store.tag(two, f"t{number}")
            store.tag(one, f"t{number}")
        store.tag(two, "marked")
        assert ids(store, "marked") == {two}
        for number in range(5):
            store.tag(put(store, f"{number}"), f"u{number}")
        assert ids(store, "marked") == {two}
        with store._index.reading() as rows:
            assert rows.first("select count(*) from changed") == (0,)
    shutil.rmtree(directory / "search")
    directory.with_name("before").rename(directory / "search")
    with Store(directory) as store:
        assert ids(store, "marked") == {two}
        assert ids(store, "t1") == {one}


def test_what_is_collected_leaves_the_index_of_words(directory):
    with Store(directory) as store:
        put(store, "stays")
        gone = put(store, "needle")
        ids(store, "needle")
        assert documents(store) == 2
        store.remove(gone)
        store.collect(grace=0)
        assert ids(store, "needle") == set()
        assert documents(store) == 1


def test_what_was_removed_before_it_was_indexed_is_found_when_it_is_restored(directory):
    with Store(directory) as store:
        id = put(store, "needle")
        store.remove(id)
        assert ids(store, "needle") == set()
        store.restore(id)
        assert ids(store, "needle", fresh=False) == {id}


# -- where there is no directory in memory ----------------------------------------------------------------


def test_without_a_directory_in_memory_each_process_indexes_for_itself(directory, monkeypatch, memory):
    monkeypatch.setattr(live, "in_memory", lambda: None)
    for count in (1, 2):
        with Store(directory) as store:
            put(store, f"needle {count}")
            assert len(ids(store, "needle")) == count
            store.tag(put(store, "other"), f"t{count}")
            assert len(ids(store, f"t{count}")) == 1
        assert list(memory.iterdir()) == []
    assert list((directory / "search").glob("*")) == []


def test_a_full_directory_in_memory_is_named(directory, monkeypatch):
    def full(*_):
        raise ValueError("An IO error occurred: 'No space left on device (os error 28)'")

    with Store(directory) as store:
        id = put(store, "needle")
        monkeypatch.setattr("pit_artifact_store.searching.indexing.Indexing.batch", full)
        with pytest.raises(ArtifactError, match="No space left") as caught:
            store.search("needle", fresh=True)
        assert caught.value.code == "SYM-A021"
        assert "/dev/shm" in caught.value.hint
        assert [found.info.ref.id for found in store.search("", fresh=True)] == [id]


def test_a_directory_in_memory_that_others_can_read_is_not_used(directory, memory):
    with Store(directory) as store:
        put(store, "needle")
        ids(store, "needle")
        (shared,) = memory.iterdir()
    shared.mkdir(mode=0o755)
    with Store(directory) as store:
        ids(store, "needle")
        assert shared.stat().st_mode & 0o777 == 0o700


# -- several processes ---------------------------------------------------------------------------------


def ran(directory, code, **options):
    begin = f"from pathlib import Path; import os, signal, sys; from pit_artifact_store import Store\nstore = Store(Path({str(directory)!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", begin + code], timeout=60, capture_output=True, text=True, **options
    )


def test_two_processes_find_what_each_of_them_stored(directory, memory):
    code = (
        f"from pathlib import Path; from pit_artifact_store import Store; import sys\n"
        f"with Store(Path({str(directory)!r})) as store:\n"
        "    for line in sys.stdin:\n"
        "        store.put(line.encode(), media_type='text/plain', durability='os')\n"
        "        print(len(store.search('needle', fresh=True, limit=1000)), flush=True)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with Store(directory) as store:
        for number in range(1, 20):
            put(store, f"needle mine {number}")
            other.stdin.write(f"needle theirs {number}\n")
            other.stdin.flush()
            assert int(other.stdout.readline()) == 2 * number
            assert len(ids(store, "needle")) == 2 * number
    assert len(list(memory.iterdir())) == 1  # the other has it
    other.communicate(timeout=30)
    assert other.returncode == 0
    assert list(memory.iterdir()) == []


def test_many_threads_store_search_and_remove_at_once(directory, monkeypatch):
    monkeypatch.setattr(search, "DELAY", 0.0)
    with Store(directory) as store, Store(directory) as beside, ThreadPoolExecutor(6) as pool:

        def work(seed):
            each = (store, beside)[seed % 2]
            kept = set()
            for number in range(15):
                id = put(each, f"needle {seed} {number}")
                if number % 3:
                    kept.add(id)
                    assert id in ids(each, "needle", fresh=number % 4 == 0) or number % 4
                else:
                    each.remove(id)
                    assert id not in ids(each, "needle", fresh=False)
            return kept

        kept = set().union(*pool.map(work, range(6)))
        assert ids(store, "needle") == ids(beside, "needle") == kept
        assert store.verify() == []


def test_a_process_that_is_killed_while_it_indexes_loses_nothing_of_the_search(directory, memory):
    code = """
import threading
def write(number):
    count = 0
    while True:
        id = store.put(b"needle %d %d %d" % (os.getpid(), number, count), media_type="text/plain", durability="os").id
        os.write(1, (id + "\\n").encode())
        count += 1
        if count % 5 == 0:
            store.search("needle", fresh=True)
for number in range(2):
    threading.Thread(target=write, args=(number,), daemon=True).start()
threading.Event().wait()
"""
    begin = f"from pathlib import Path; import os; from pit_artifact_store import Store\nstore = Store(Path({str(directory)!r}))\n"
    stored = set()
    for round in range(8):
        process = subprocess.Popen([sys.executable, "-c", begin + code], stdout=subprocess.PIPE)
        for _ in range(6 + 5 * round):
            stored.add(process.stdout.readline().decode().strip())
        process.kill()
        rest, _ = process.communicate(timeout=30)
        stored |= set(rest.decode().split())
        if round % 3 == 0:  # also without what is in memory, as after a start of the machine
            for path in memory.iterdir():
                shutil.rmtree(path)
        if round % 2:
            with Store(directory) as store:
                assert stored <= ids(store, "needle")
                assert store.verify() == []
            assert list(memory.iterdir()) == []
    with Store(directory) as store:
        found = [each.info.ref.id for each in store.search("needle", fresh=True, limit=100_000)]
        assert stored <= set(found)
        assert len(found) == len(set(found)) == documents(store)
    assert list(memory.iterdir()) == []


# -- secrecy -------------------------------------------------------------------------------------------


def test_nothing_of_what_is_indexed_is_in_clear_under_the_root(directory):
    with Store(directory) as store:
        id = put(store, "the-needle " * 100, name="thename.txt", metadata={"thekey": "thevalue"})
        store.tag(id, "thetag")
        assert ids(store, "needle") == ids(store, "thetag") == {id}
        found = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    found += [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    assert len(found) > 10
    for secret in ("needle", "thename", "thekey", "thevalue", "thetag", id.removeprefix("b3-"), "segment_id"):
        assert not any(secret.encode() in content for content in found), secret


def test_two_stores_and_copies_of_one_have_each_an_index_of_their_own(tmp_path, memory):
    with Store(tmp_path / "a") as store:
        one = put(store, "needle one")
        ids(store, "needle")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with Store(tmp_path / "a") as store, Store(tmp_path / "b") as copy:
        two = put(copy, "needle two")
        assert ids(copy, "needle") == {one, two}
        assert ids(store, "needle") == {one}
        assert len(list(memory.iterdir())) == 2
    assert list(memory.iterdir()) == []

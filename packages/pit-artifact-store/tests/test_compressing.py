"""Packs are compressed in the background: what nobody writes any more, never beside a put, and nothing is lost by it."""

import os
import threading
import time

import pytest
from pit_artifact_store import Store, collecting, compressing, journal, layout, packs

TEXT = "\n".join(f"line {number} of a text that compresses well" for number in range(40_000)).encode()


@pytest.fixture
def closed(directory):
    """A store with a pack of text that nobody writes any more; gives the id of the text."""
    with Store(directory) as store:
        return store.put(TEXT, name="text").id


def names(directory):
    return {path.name for path in (directory / "packs").iterdir()}


def stored_bytes(directory):
    return sum(path.stat().st_size for path in (directory / "packs").iterdir())


def test_a_closed_pack_is_compressed_and_the_old_one_deleted_after_its_quarantine(
    closed, directory, monkeypatch
):
    before = names(directory)
    with Store(directory) as store:
        store._compressor.compress()
        assert store.get(closed) == TEXT
        assert names(directory) > before
        monkeypatch.setattr(collecting, "QUARANTINE", 0.0)
        store._compressor.compress()
        assert not names(directory) & before
        assert stored_bytes(directory) < len(TEXT) / 3
        assert store.get(closed) == TEXT
        assert store.verify() == []
    for path in directory.glob("index.db*"):
        path.unlink()
    with Store(directory) as store:
        assert store.get(closed) == TEXT
        assert store.info(closed).ref.name == "text"


def test_a_pack_that_is_written_and_one_that_does_not_compress_stay(directory):
    with Store(directory) as store:
        store.put(os.urandom(300_000))
    with Store(directory) as reader, Store(directory) as writer:
        writer.put(TEXT)  # goes on with the pack
        before = names(directory)
        reader._compressor.compress()
        assert names(directory) == before
    with Store(directory) as store:
        store.collect(grace=0)
        store.put(os.urandom(100))
    before = names(directory)
    with Store(directory) as store:
        store._compressor.compress()
        assert names(directory) == before


def test_while_something_is_stored_it_waits_until_the_store_is_closed(closed, directory):
    before = names(directory)
    store = Store(directory)
    waits = threading.Event()
    wait = store._compressor._closing.wait

    def noted(timeout):
        waits.set()
        return wait(timeout)

    store._compressor._closing.wait = noted
    store._publisher.latest = time.monotonic() + 1000
    raised = []

    def work():
        try:
            store._compressor.compress()
        except compressing.Stopped as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert waits.wait(60)
    assert names(directory) == before
    store.close()
    thread.join(60)
    assert len(raised) == 1
    assert names(directory) == before


def test_one_process_at_a_time_compresses(closed, directory):
    before = names(directory)
    with Store(directory) as store:
        with layout.compressing(directory) as is_alone:
            assert is_alone
            store._compressor.compress()
            assert names(directory) == before
        store._compressor.compress()
        assert names(directory) != before


def test_what_a_stream_has_written_and_not_yet_committed_is_left_alone(directory, monkeypatch):
    monkeypatch.setattr(packs, "PACK_BYTES", 1 << 20)
    with Store(directory) as writer, Store(directory) as other:

        def parts():
            for number in range(3):
                yield TEXT * 8 + b"%d" % number
                writer.put(b"%d" % number)  # the packs that are full are closed by it
                other._compressor.compress()
            yield b"end"

        id = writer.put_stream(parts(), name="x").id
        assert writer.get(id) == b"".join(TEXT * 8 + b"%d" % number for number in range(3)) + b"end"
        other._compressor.compress()
        assert other.get(id) == writer.get(id)
        assert other.verify() == []


@pytest.mark.parametrize("durability", ["os", "group"])
def test_a_stream_that_shares_what_is_compressed_meanwhile_finds_it_again(directory, durability, monkeypatch):
    monkeypatch.setattr(journal, "ADOPTED_BYTES", 0)  # no pack is gone on with
    long = TEXT * 8
    with Store(directory) as store:
        store.put(long)
    with Store(directory) as writer, Store(directory) as other:

        def parts():
            yield long
            yield os.urandom(9_000_000)  # the first window is looked for when the next part is asked for
            other._compressor.compress()
            yield b"end"

        id = writer.put_stream(parts(), durability=durability).id
        assert writer.get(id).startswith(long)
        assert writer.get(id).endswith(b"end")
        with writer._index.reading() as rows:
            assert len(rows.packs("condemned")) == 1
        assert writer.verify() == []


def test_the_thread_compresses_by_itself_a_little_after_something_was_stored(closed, directory, monkeypatch):
    monkeypatch.setattr(compressing, "FIRST_AFTER", 0.0)
    monkeypatch.setattr(journal, "ADOPTED_BYTES", 0)
    done = threading.Event()
    with Store(directory) as store:
        compress = store._collector.compress

        def noted(give_way):
            compress(give_way)
            done.set()

        monkeypatch.setattr(store._collector, "compress", noted)
        store.put(b"x")
        assert done.wait(60)
        assert store.get(closed) == TEXT
        with store._index.reading() as rows:
            assert len(rows.packs("condemned")) == 1


def test_an_error_in_the_background_is_logged_and_harms_nobody(store, monkeypatch, caplog):
    monkeypatch.setattr(compressing, "FIRST_AFTER", 0.0)
    done = threading.Event()

    def refused(_):
        done.set()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._collector, "compress", refused)
    store.put(b"x")
    assert done.wait(60)
    store.close()
    assert "were not compressed: [Errno 28] No space left on device" in caplog.text

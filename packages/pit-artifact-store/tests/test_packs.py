"""Packs: whatever is appended is read, and whatever else is there is refused."""

import os
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pit_artifact_store.pack_files import PackFiles
from pit_artifact_store.packs import CHUNK, COMMIT, HEADER_BYTES, OVERHEAD, DamagedFrame


class Plain:
    """The key of a pack is its own wrapping, together with the id."""

    epoch = 1

    def wrap(self, pack_id, pack_key):
        return 1, pack_key + pack_id

    def unwrap(self, epoch, pack_id, wrapped):
        if wrapped[32:] != pack_id or epoch != 1:
            raise DamagedFrame(pack_id, 0, "its header is not what was written")
        return wrapped[:32]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return PackFiles(tmp_path_factory.mktemp("packs"), Plain(), Plain)


contents = st.lists(st.tuples(st.sampled_from([CHUNK, COMMIT]), st.binary(max_size=300)), max_size=8)


@given(st.lists(contents, max_size=5))
def test_what_is_appended_is_read_one_by_one_and_in_order(files, batches):
    writer = files.make()
    places = [place for batch in batches for place in writer.append(batch)]
    flat = [one for batch in batches for one in batch]
    pack = files.open(writer.pack.id)
    assert [(frame.kind, frame.data) for frame in pack.frames()] == flat
    for (offset, stored), (kind, data) in zip(places, flat, strict=True):
        assert pack.read(offset, stored)[:2] == (kind, data)
        assert stored == OVERHEAD + len(data)
    assert writer.end == pack.size == HEADER_BYTES + sum(stored for _, stored in places)


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_flipped_bit_anywhere_is_found(files, data, drawn):
    writer = files.make()
    ((offset, stored),) = writer.append([(CHUNK, data)])
    path = files.path(writer.pack.id)
    content = bytearray(path.read_bytes())
    position = drawn.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << drawn.draw(st.integers(0, 7))
    path.write_bytes(content)
    files.forget(writer.pack.id)
    with pytest.raises(DamagedFrame):
        files.open(writer.pack.id).read(offset, stored)


@given(st.binary(max_size=60), st.data())
def test_a_torn_end_is_where_the_sound_part_ends(files, data, drawn):
    writer = files.make()
    (_, (second, stored)) = writer.append([(CHUNK, b"sound"), (CHUNK, data)])
    os.truncate(files.path(writer.pack.id), second + drawn.draw(st.integers(0, stored - 1)))
    frames = files.open(writer.pack.id).frames()
    assert next(frames).data == b"sound"
    try:
        assert next(frames, None) is None
    except DamagedFrame as damage:
        assert damage.offset == second


def test_a_frame_is_refused_in_the_place_of_another_and_in_another_pack(files):
    one, other = files.make(), files.make()
    ((first, stored), (second, _)) = one.append([(CHUNK, b"first!"), (CHUNK, b"second")])
    other.append([(CHUNK, b"other!")])
    frame = os.pread(one.pack.fd, stored, second)
    os.pwrite(one.pack.fd, frame, first)
    os.pwrite(other.pack.fd, frame, HEADER_BYTES)
    for pack in (one.pack, other.pack):
        with pytest.raises(DamagedFrame, match="not what was written"):
            pack.read(HEADER_BYTES, stored)


def test_the_same_bytes_are_sealed_differently_each_time(files):
    writer = files.make()
    data = secrets.token_bytes(100)
    ((first, stored), (second, _)) = writer.append([(CHUNK, data)] * 2)
    assert os.pread(writer.pack.fd, stored, first) != os.pread(writer.pack.fd, stored, second)


def test_a_pack_is_locked_by_whoever_writes_it(files):
    writer = files.make()
    id = writer.pack.id
    assert files.lock(id) is None
    files.forget(id)
    del writer
    locked = files.lock(id)
    assert locked is not None
    assert files.lock(id) is None


def test_a_write_that_fails_ends_the_pack(files, monkeypatch):
    writer = files.make()

    def refused(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwritev", refused)
    with pytest.raises(OSError, match="No space"):
        writer.append([(CHUNK, b"x")])
    assert writer.is_full


@pytest.mark.parametrize("change", ["short", "magic", "id"])
def test_a_file_that_is_no_pack_is_refused(files, change):
    writer = files.make()
    path = files.path(writer.pack.id)
    header = path.read_bytes()
    path.write_bytes(
        {"short": header[:-1], "magic": b"X" + header[1:], "id": header[:8] + bytes(16) + header[24:]}[change]
    )
    with pytest.raises(DamagedFrame, match="header"):
        files.open(writer.pack.id)


def test_other_files_beside_the_packs_are_none(files):
    (files.directory / "notes.pack").write_text("x")
    (files.directory / f"{'g' * 32}.pack").write_text("x")
    writer = files.make()
    assert writer.pack.id in files.ids()
    assert all(len(id) == 16 for id in files.ids())

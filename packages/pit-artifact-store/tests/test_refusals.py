"""What the disk refuses is a clear error, and what was stored before stays."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pit_artifact_store import Store
from symphony_sdk.errors import ArtifactError

NOBODY = 65534


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that every user may reach."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


@contextmanager
def without_root() -> Iterator[None]:
    """Root may write everywhere; somebody else may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def read_only(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    directory.chmod(0o555)


def writable_again(directory: Path) -> None:
    directory.chmod(stat.S_IRWXU)
    for path in directory.rglob("*"):
        if path.is_dir():
            path.chmod(stat.S_IRWXU)


def test_a_read_only_directory_cannot_be_opened(open_place):
    directory = open_place / "store"
    with Store(directory) as store:
        store.put(b"x")
    read_only(directory)
    with without_root(), pytest.raises(ArtifactError, match="cannot be opened: Permission denied") as caught:
        Store(directory)
    writable_again(directory)
    assert caught.value.code == "SYM-A006"
    assert "right to write" in caught.value.hint
    assert str(directory) in str(caught.value)


def test_a_store_cannot_be_made_where_nothing_may_be_written(open_place):
    open_place.chmod(0o555)
    with without_root(), pytest.raises(ArtifactError, match="cannot be opened: Permission denied"):
        Store(open_place / "store")
    open_place.chmod(0o755)


def test_a_directory_that_becomes_read_only_refuses_a_new_pack_and_still_reads(open_place, monkeypatch):
    directory = open_place / "store"
    data = os.urandom(100_000)
    with Store(directory) as store:
        id = store.put(data).id
        monkeypatch.setattr("pit_artifact_store.packs.PACK_BYTES", 1000)  # the one that is open is full
        read_only(directory)
        with without_root():
            with pytest.raises(ArtifactError, match="cannot be written to: Permission denied"):
                store.put(os.urandom(100_000))
            assert store.get(id) == data
        writable_again(directory)
        assert store.get(store.put(b"again").id) == b"again"


def test_a_file_in_place_of_the_directory_is_named(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(ArtifactError, match="cannot be opened: File exists"):
        Store(tmp_path / "store")


@pytest.mark.parametrize("written", ["symphony-artifact-store 1\n", "symphony-artifact-store 17"])
def test_another_layout_is_refused_and_left_as_it_is(directory, written):
    with Store(directory) as store:
        store.put(b"x")
    (directory / "format").write_text(written)
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(ArtifactError, match="layout") as caught:
        Store(directory)
    assert caught.value.code == "SYM-A008"
    assert "Nothing was changed" in caught.value.hint
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "written", [b"", b"something else\n", b"symphony-artifact-store x\n", b"\xff\xfe\x00"]
)
def test_a_directory_of_something_else_is_refused(directory, written):
    directory.mkdir()
    (directory / "format").write_bytes(written)
    with pytest.raises(ArtifactError, match="not the directory of an artifact store") as caught:
        Store(directory)
    assert caught.value.code == "SYM-A008"
    assert caught.value.file == str(directory / "format")


def test_a_store_whose_making_was_cut_short_is_made_to_its_end(directory):
    Store(directory).close()
    (directory / "format").unlink()
    (directory / "format.new").write_text("sym")
    with Store(directory) as store:
        assert store.get(store.put(b"x").id) == b"x"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("a small tmpfs cannot be mounted: needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("size", [30_000, 300_000])
@pytest.mark.parametrize("durability", ["os", "group", "sync"])
def test_a_full_disk_is_named_and_what_was_stored_before_is_kept(small_disk, size, durability):
    kept: dict[str, bytes] = {}
    with Store(small_disk / "store") as store:
        with pytest.raises(ArtifactError) as caught:
            for _ in range(1000):
                data = os.urandom(size)
                kept[store.put(data, durability=durability).id] = data
        assert caught.value.code == "SYM-A006"
        assert "disk" in caught.value.hint
        assert caught.value.details["errno"] == "ENOSPC"
        assert kept
        assert all(store.get(id) == data for id, data in kept.items())
    with Store(small_disk / "store") as store:
        assert list(store.verify()) == []
        assert {info.ref.id for info in store.find(limit=1000)} == set(kept)

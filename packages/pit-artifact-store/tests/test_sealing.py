"""What is sealed is what is unsealed, or a fault."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pit_artifact_store.searching import sealing
from pit_artifact_store.searching.sealing import DamagedSeal, Progress, Sealed

META = b'{"segments": [{"segment_id": "%s", "deletes": null}], "opstamp": 1}'
SEGMENT = "0a" * 16
NAMES = [f"{SEGMENT}.{kind}" for kind in ("term", "idx", "pos")]


def segment(live: Path, contents: list[bytes]) -> None:
    live.mkdir()
    (live / "meta.json").write_bytes(META % SEGMENT.encode())
    for name, content in zip(NAMES, contents, strict=False):
        (live / name).write_bytes(content)


def files(live: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in live.iterdir() if path.name != ".managed.json"}


@given(
    st.lists(st.binary(max_size=40), max_size=3),
    st.builds(Progress, st.binary(max_size=16), st.integers(0, 2**62), st.integers(-1, 2**62)),
)
@settings(max_examples=40, deadline=None)
def test_what_is_sealed_comes_back(contents, progress):
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "_PART", 16)  # so that files have several parts
        path = Path(root)
        segment(path / "live", contents)
        sealed = Sealed(path / "sealed", bytes(32), 1)
        sealed.seal(path / "live", progress)
        (path / "new").mkdir()
        assert sealed.unseal(path / "new") == progress
        assert files(path / "new") == files(path / "live")
        assert sealed.faults() == []


def test_every_flipped_byte_and_every_torn_end_is_found(tmp_path):
    segment(tmp_path / "live", [b"x" * 40, b"y"])
    sealed = Sealed(tmp_path / "sealed", bytes(32), 1)
    sealed.seal(tmp_path / "live", Progress(b"", 1))
    for file in (tmp_path / "sealed").iterdir():
        before = file.read_bytes()
        for place in range(len(before)):
            file.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
            assert [name for name, _ in sealed.faults()] == [file.name]
            file.write_bytes(before[:place])
            assert [name for name, _ in sealed.faults()] == [file.name]
        file.write_bytes(before)
    assert sealed.faults() == []


def test_parts_cannot_change_places_and_files_cannot_change_names(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "_PART", 16)
    segment(tmp_path / "live", [b"x" * 32, b"x" * 32])
    sealed = Sealed(tmp_path / "sealed", bytes(32), 1)
    sealed.seal(tmp_path / "live", Progress(b"", 1))
    one, two = (tmp_path / "sealed" / name for name in NAMES[:2])
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(first[44:] + first[:44])
    assert [name for name, _ in sealed.faults()] == [one.name]
    one.write_bytes(second)
    two.write_bytes(first)
    assert sorted(name for name, _ in sealed.faults()) == sorted([one.name, two.name])


def test_only_what_is_new_is_written_and_what_is_not_needed_goes(tmp_path):
    segment(tmp_path / "live", [b"1", b"2"])
    sealed = Sealed(tmp_path / "sealed", bytes(32), 1)
    sealed.seal(tmp_path / "live", Progress(b"", 1))
    kept = (tmp_path / "sealed" / NAMES[0]).stat().st_ino, (tmp_path / "sealed" / NAMES[0]).read_bytes()
    (tmp_path / "live" / NAMES[1]).unlink()
    (tmp_path / "live" / NAMES[2]).write_bytes(b"3")
    sealed.seal(tmp_path / "live", Progress(b"", 2))
    assert (
        (tmp_path / "sealed" / NAMES[0]).stat().st_ino,
        (tmp_path / "sealed" / NAMES[0]).read_bytes(),
    ) == kept
    assert {path.name for path in (tmp_path / "sealed").iterdir()} == {"manifest", NAMES[0], NAMES[2]}


def test_another_key_or_version_unseals_nothing(tmp_path):
    segment(tmp_path / "live", [b"1"])
    Sealed(tmp_path / "sealed", bytes(32), 1).seal(tmp_path / "live", Progress(b"", 1))
    assert Sealed(tmp_path / "sealed", bytes(32), 2).manifest() is None
    with pytest.raises(DamagedSeal, match="is not what was written"):
        Sealed(tmp_path / "sealed", b"1" * 32, 1).manifest()

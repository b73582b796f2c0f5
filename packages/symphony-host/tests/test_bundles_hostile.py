"""Bundles that somebody changed, by accident or on purpose: what is damaged is found, and nothing does harm."""

import functools
import os
import struct
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from symphony_host.artifact_bundles import export_bundle, import_bundle, is_sealed, members, sealing
from symphony_host.artifact_bundles.failures import DamagedBytes
from symphony_host.artifact_bundles.members import ARTIFACTS, DESCRIPTIONS, MANIFEST, RELATIONS, TABLES
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import Lineage, Score
from symphony_sdk.testing.fakes import FakeArtifactStore

FIRST, SECOND = b"the first " * 5, b"the second " * 30
SECRET = b"correct horse"

Members = dict[str, bytes]


@pytest.fixture
def store() -> FakeArtifactStore:
    store = FakeArtifactStore()
    first = store.put(FIRST, name="n", created=1.0)
    store.put(SECOND, name="n", created=2.0, lineage=Lineage(inputs=(first.id,)))
    store.tag(first.id, "best")
    store.hold(first.id, "audit")
    store.score(first.id, Score("acme.scorer", "1", 0.5, created=3.0))
    return store


@pytest.fixture
def bundle(store: FakeArtifactStore, tmp_path: Path) -> Path:
    return export(store, tmp_path / "in-clear.bundle")


def export(store: FakeArtifactStore, file: Path, passphrase: bytes | None = None) -> Path:
    export_bundle(store, [info.ref.id for info in store.find()], file, passphrase=passphrase)
    return file


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretch each passphrase once."""
    monkeypatch.setattr(sealing, "derive", functools.cache(sealing.derive))


@pytest.fixture
def sealed(store: FakeArtifactStore, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sealed bundle of many small segments."""
    monkeypatch.setattr(sealing, "SEGMENT_BYTES", 256)
    return export(store, tmp_path / "sealed.bundle", SECRET)


def found(file: Path, passphrase: bytes | None = None) -> str:
    """The code of what is found to be wrong with a bundle; empty where it is as the store has it."""
    there = FakeArtifactStore()
    try:
        added = import_bundle(there, file, passphrase=passphrase)
    except ArtifactError as error:
        assert str(file) in error.message
        assert error.hint
        assert all(there.get(info.ref.id) in (FIRST, SECOND) for info in there.find())
        return error.code
    if added.faults:
        assert len(added.faults) + added.artifacts == 2
        assert all(there.get(info.ref.id) in (FIRST, SECOND) for info in there.find())
        return added.faults[0].code
    assert [there.get(info.ref.id) for info in there.find()] == [SECOND, FIRST]
    assert [info.version for info in there.versions("n")] == [2, 1]
    assert there.info("best").holds[0].reason == "audit"
    assert there.scores("best")[0].value == 0.5
    return ""


# -- damage ------------------------------------------------------------------------------------------


def test_a_sealed_bundle_comes_back_and_shows_nothing(sealed: Path) -> None:
    assert is_sealed(sealed)
    assert found(sealed, SECRET) == ""
    content = sealed.read_bytes()
    for clear in (b"PK\3\4", b"first", b"best", b".jsonl", b"audit"):
        assert clear not in content
    assert len(content) > 10 * 256


def test_every_flipped_byte_of_a_sealed_bundle_is_found(sealed: Path, tmp_path: Path) -> None:
    content = bytearray(sealed.read_bytes())
    other = tmp_path / "flipped.bundle"
    codes = set()
    for at in range(len(content)):
        content[at] ^= 1 << at % 8
        other.write_bytes(content)
        codes.add(found(other, SECRET))
        content[at] ^= 1 << at % 8
    assert codes == {"SYM-A061", "SYM-A063", "SYM-A064", "SYM-A065"}


def test_a_sealed_bundle_that_is_cut_off_anywhere_or_has_more_is_found(sealed: Path, tmp_path: Path) -> None:
    content = sealed.read_bytes()
    other = tmp_path / "cut.bundle"
    whole = 256 + sealing.TAG_BYTES
    ends = {*range(0, len(content), 37), *range(sealing.HEADER_BYTES, len(content), whole), len(content) - 1}
    for end in ends:
        other.write_bytes(content[:end])
        assert found(other, SECRET) in {"SYM-A061", "SYM-A063"}
    for more in (b"\0", os.urandom(whole), content[sealing.HEADER_BYTES :], content[-100:]):
        other.write_bytes(content + more)
        assert found(other, SECRET) == "SYM-A061"


def test_segments_that_are_moved_doubled_or_of_another_bundle_are_found(
    store: FakeArtifactStore, sealed: Path, tmp_path: Path
) -> None:
    begin, length = sealing.HEADER_BYTES, 256 + sealing.TAG_BYTES
    content = sealed.read_bytes()
    foreign = export(store, tmp_path / "foreign.bundle", SECRET).read_bytes()
    head, parts = content[:begin], [content[at : at + length] for at in range(begin, len(content), length)]
    other = tmp_path / "moved.bundle"
    for changed in (
        [parts[1], parts[0], *parts[2:]],
        [*parts[:-2], parts[-1], parts[-2]],
        [parts[0], *parts],
        parts[1:],
        [foreign[begin : begin + length], *parts[1:]],
        [*parts[:-2], parts[-1]],
    ):
        other.write_bytes(head + b"".join(changed))
        assert found(other, SECRET) == "SYM-A061"


def test_segments_that_end_a_bundle_too_early_are_no_end(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SEGMENT_BYTES", 256)
    file = tmp_path / "sealed"
    with file.open("wb") as target:
        writer = sealing.SealedWriter(target, SECRET)
        writer.write(bytes(1000))
        writer.close()
    for kept in (3, 2, 1):
        os.truncate(file, sealing.HEADER_BYTES + kept * (256 + sealing.TAG_BYTES))
        with file.open("rb") as stream, pytest.raises(DamagedBytes, match=f"segment {kept} of {kept}"):
            sealing.SealedReader(stream, file, SECRET).readall()


@pytest.mark.parametrize("passphrase", [None, b"", b"another"])
def test_a_sealed_bundle_needs_its_passphrase(sealed: Path, passphrase: bytes | None) -> None:
    assert found(sealed, passphrase) == "SYM-A064"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 5])
def test_segments_of_any_number_are_read_as_they_were_written(tmp_path: Path, quick: None, size: int) -> None:
    data = os.urandom(size)
    file = tmp_path / "sealed"
    with file.open("wb") as target:
        writer = sealing.SealedWriter(target, SECRET)
        for at in range(0, size, 70_001):
            writer.write(data[at : at + 70_001])
        writer.close()
    segments = max(1, -(-size // (1 << 20)))
    assert file.stat().st_size == sealing.HEADER_BYTES + size + segments * sealing.TAG_BYTES
    with file.open("rb") as stream:
        reader = sealing.SealedReader(stream, file, SECRET)
        assert reader.readall() == data
        assert reader.seek(-3, os.SEEK_END) == max(0, size - 3) if size > 2 else True
        reader.seek(size // 2)
        assert reader.read(10) == data[size // 2 : size // 2 + 10]
        with pytest.raises(ValueError, match="there is no byte -1"):
            reader.seek(-1)


def test_each_flipped_byte_of_a_bundle_in_clear_is_found_or_does_no_harm(
    bundle: Path, tmp_path: Path
) -> None:
    content = bytearray(bundle.read_bytes())
    other = tmp_path / "flipped.bundle"
    codes: dict[str, int] = {}
    for at in range(len(content)):
        content[at] ^= 1 << at % 8
        other.write_bytes(content)
        code = found(other)
        codes[code] = codes.get(code, 0) + 1
        content[at] ^= 1 << at % 8
    assert codes.keys() <= {"", "SYM-A061", "SYM-A062", "SYM-A063", "SYM-A065"}
    assert codes[""] < len(content) // 5  # times, attributes, and versions of programs
    with zipfile.ZipFile(bundle) as archive:
        data = {name: archive.getinfo(name).header_offset + 30 + len(name) for name in archive.namelist()}
        sizes = {name: archive.getinfo(name).file_size for name in archive.namelist()}
    for name, start in data.items():
        for at in range(start, start + sizes[name]):
            content[at] ^= 0x10
            other.write_bytes(content)
            assert found(other) == ("SYM-A065" if name.startswith("blobs/") else "SYM-A061")
            content[at] ^= 0x10


def test_a_damaged_artifact_is_named_and_the_rest_imported_and_a_whole_copy_adds_it(
    store: FakeArtifactStore, bundle: Path, tmp_path: Path
) -> None:
    content = bundle.read_bytes()
    damaged = tmp_path / "damaged.bundle"
    damaged.write_bytes(content.replace(FIRST, FIRST[:-1] + b"?"))
    first, second = store.find()[1].ref.id, store.find()[0].ref.id
    there = FakeArtifactStore()
    added = import_bundle(there, damaged)
    [fault] = added.faults
    assert (fault.code, fault.details["id"]) == ("SYM-A065", first)
    assert [info.ref.id for info in there.find()] == [second]
    assert (added.tags, added.relations, added.unrelated) == (0, 0, 0)
    added = import_bundle(there, bundle)
    assert (added.artifacts, added.present, added.relations, added.faults) == (1, 1, 2, ())
    assert there.info("best").ref.id == first


def test_a_blob_that_changes_between_the_check_and_the_copy_is_not_stored(
    store: FakeArtifactStore, tmp_path: Path
) -> None:
    data = os.urandom(100_000)  # more than what is read ahead
    store.put(data, name="changes", created=4.0)
    file = export(store, tmp_path / "some.bundle")

    class Changing(FakeArtifactStore):
        def put_stream(self, *arguments: Any, **options: Any) -> Any:
            with file.open("r+b") as stream:
                stream.seek(file.stat().st_size - 50_000)
                stream.write(b"changed")
            return super().put_stream(*arguments, **options)

    there = Changing()
    added = import_bundle(there, file)
    assert [fault.code for fault in added.faults] == ["SYM-A065"]
    assert [there.get(info.ref.id) for info in there.find()] == [SECOND, FIRST]


# -- hostile archives --------------------------------------------------------------------------------


def rewrite(
    bundle: Path,
    change: Callable[[Members], None] = lambda members: None,
    *,
    add: Callable[[zipfile.ZipFile], None] = lambda archive: None,
    told: dict[str, Any] | None = None,
) -> Path:
    """A bundle with other members, and a manifest that fits them but for what is told."""
    with zipfile.ZipFile(bundle) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    if MANIFEST in content:
        manifest = msgspec.json.decode(content[MANIFEST])
        manifest["sha256"] = {name: sha256(content.get(name, b"")).hexdigest() for name in TABLES}
        content[MANIFEST] = msgspec.json.encode(manifest | (told or {}))
    target = bundle.with_name("rewritten.bundle")
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        add(archive)
    return target


def line_with(table: str, **fields: Any) -> Callable[[Members], None]:
    """Change fields of the first line of a table."""

    def change(content: Members) -> None:
        first, *rest = content[table].splitlines()
        content[table] = b"\n".join([msgspec.json.encode(msgspec.json.decode(first) | fields), *rest, b""])

    return change


def line_more(table: str, line: bytes) -> Callable[[Members], None]:
    """Add a line to a table."""
    return lambda content: content.update({table: content[table] + line + b"\n"})


def written(name: str, data: bytes = b"", **options: Any) -> Callable[[zipfile.ZipFile], None]:
    """Add a member to a zip file."""
    return lambda archive: archive.writestr(zipfile.ZipInfo(name), data, **options)


def test_a_bundle_that_is_written_again_by_another_program_is_imported(bundle: Path) -> None:
    assert found(rewrite(bundle)) == ""


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "blobs/../../evil", "blobs/", "blobs/" + "0" * 63, "C:\\evil", "a\0b", "blobs/" + "A" * 64],
)  # fmt: skip
def test_members_with_other_names_are_refused(bundle: Path, name: str) -> None:
    def named(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("x" * len(name))
        info.filename = name  # ZipInfo itself would cut some of them
        archive.writestr(info, b"evil")

    assert found(rewrite(bundle, add=named)) == "SYM-A062"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused_so_that_no_bomb_is_unpacked(bundle: Path, method: int) -> None:
    bomb = b"\0" * 1_000_000
    blob = members.BLOBS + sha256(bomb).hexdigest()
    assert found(rewrite(bundle, add=written(blob, bomb, compress_type=method))) == "SYM-A062"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_with_one_name_are_refused(bundle: Path) -> None:
    assert found(rewrite(bundle, add=written(ARTIFACTS))) == "SYM-A062"


def test_an_encrypted_member_is_refused(bundle: Path) -> None:
    content = bytearray(bundle.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    bundle.write_bytes(content)
    assert found(bundle) == "SYM-A062"


def test_members_that_share_their_bytes_are_refused(bundle: Path) -> None:
    """As a bomb does that says of the same bytes again and again that they are another member."""
    content = bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        start, blob = archive.start_dir, archive.infolist()[-1]
    entries = content[start : content.index(b"PK\5\6", start)]
    last = entries[entries.rindex(b"PK\1\2") :]
    names = [f"blobs/{number:064x}".encode() for number in range(40)]
    more = b"".join(last.replace(blob.filename.encode(), name) for name in names)
    directory = entries + more
    count = 6 + len(names)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0)
    bundle.write_bytes(content[:start] + directory + end)
    with pytest.raises(ArtifactError, match="its members say that they have") as caught:
        import_bundle(FakeArtifactStore(), bundle)
    assert caught.value.code == "SYM-A062"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop(MANIFEST),
        lambda content: content.pop(RELATIONS),
        line_with(ARTIFACTS, size=7),
        line_with(ARTIFACTS, size=-1),
        line_with(ARTIFACTS, size=2**80),
        line_with(ARTIFACTS, sha256="../../etc/passwd"),
        line_with(ARTIFACTS, id=""),
        line_with(ARTIFACTS, id="b" * 300),
        line_with(ARTIFACTS, holds=[{"reason": "x", "created": "soon"}]),
        line_with(ARTIFACTS, scores=[{"scorer": "a", "version": "1", "value": 1, "created": 1e300}]),
        line_with(ARTIFACTS, more=1),
        line_with(DESCRIPTIONS, id="b3-unknown"),
        line_with(DESCRIPTIONS, created=1e300),
        line_with(DESCRIPTIONS, name=7),
        line_with(DESCRIPTIONS, metadata={"k": []}),
        line_with(RELATIONS, subject="b3-unknown"),
        line_with(RELATIONS, kind="owns"),
        line_more(ARTIFACTS, b""),
        line_more(ARTIFACTS, b"no json"),
        line_more(DESCRIPTIONS, b"[" * 100_000),
        line_more(DESCRIPTIONS, b'"\xff"'),
        lambda content: line_more(ARTIFACTS, content[ARTIFACTS].splitlines()[0])(content),
        lambda content: line_more(ARTIFACTS, content[ARTIFACTS].splitlines()[0].replace(b"b3-", b"b4-", 1))(content),
        lambda content: content.update({ARTIFACTS: content[ARTIFACTS].splitlines(keepends=True)[0]}),
    ],
)  # fmt: skip
def test_lines_that_are_not_true_are_refused(bundle: Path, change: Callable[[Members], None]) -> None:
    assert found(rewrite(bundle, change)) == "SYM-A062"


def test_a_manifest_that_counts_other_artifacts_is_refused(bundle: Path) -> None:
    assert found(rewrite(bundle, told={"artifacts": 3})) == "SYM-A062"


@pytest.mark.parametrize(
    "told", [{"format": "other"}, {"version": 0}, {"sha256": {}}, {"sha256": {ARTIFACTS: "x"}}, {"bytes": "many"}]
)  # fmt: skip
def test_a_manifest_that_is_none_is_no_bundle(bundle: Path, told: dict[str, Any]) -> None:
    assert found(rewrite(bundle, told=told)) == "SYM-A061"


def test_a_manifest_of_lists_in_lists_is_no_bundle(bundle: Path) -> None:
    def deep(archive: zipfile.ZipFile) -> None:
        archive.writestr(MANIFEST, b"[" * 60_000)

    assert found(rewrite(bundle, lambda content: content.pop(MANIFEST) and None, add=deep)) == "SYM-A061"


def test_a_bundle_of_a_newer_version_says_so(bundle: Path, sealed: Path) -> None:
    assert found(rewrite(bundle, told={"version": 2, "and": "more"})) == "SYM-A063"
    sealed.write_bytes(sealed.read_bytes().replace(b"bundle 1\n", b"bundle 2\n", 1))
    assert is_sealed(sealed)
    assert found(sealed, SECRET) == "SYM-A063"


def test_a_huge_manifest_line_directory_or_number_of_artifacts_is_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = rewrite(bundle, told={"more": "x" * members.MOST_MANIFEST})
    assert found(huge) == "SYM-A062"
    line = rewrite(bundle, line_with(DESCRIPTIONS, media_type="x" * 5000))
    assert found(line) == ""
    monkeypatch.setattr(members, "MOST_LINE", 5000)
    assert found(line) == "SYM-A062"
    monkeypatch.setattr(members, "MOST_ARTIFACTS", 1)
    assert found(bundle) == "SYM-A062"
    monkeypatch.setattr(members, "MOST_DIRECTORY", 300)
    assert found(bundle) == "SYM-A061"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (line_with(ARTIFACTS, tags=[{"name": "../no tag", "created": 1}]), "SYM-A041"),
        (line_with(ARTIFACTS, holds=[{"reason": "", "created": 1}]), "SYM-A010"),
        (
            line_with(ARTIFACTS, scores=[{"scorer": "a", "version": "1", "value": 7, "created": 1}]),
            "SYM-A025",
        ),
        (line_with(RELATIONS, kind="derived-from", object="b3-" + "0" * 64), ""),
    ],
)
def test_what_a_store_cannot_keep_is_named_and_the_rest_imported(
    bundle: Path, change: Callable[[Members], None], code: str
) -> None:
    there = FakeArtifactStore()
    added = import_bundle(there, rewrite(bundle, change))
    assert [fault.code for fault in added.faults] == [code] * bool(code)
    assert (added.artifacts, added.descriptions) == (2, 2)
    assert added.unrelated == (0 if code else 1)


def test_a_relation_to_itself_is_named(store: FakeArtifactStore, bundle: Path) -> None:
    first = store.info("best").ref.id
    change = line_with(RELATIONS, subject=first, kind="derived-from", object=first)
    added = import_bundle(FakeArtifactStore(), rewrite(bundle, change))
    assert [fault.code for fault in added.faults] == ["SYM-A042"]


def test_a_description_that_is_told_twice_counts_once(bundle: Path) -> None:
    plain = rewrite(bundle, line_with(DESCRIPTIONS, name="", version=0))
    with zipfile.ZipFile(plain) as archive:
        first = archive.read(DESCRIPTIONS).splitlines()[0]
    twice = rewrite(plain, line_more(DESCRIPTIONS, first)).replace(bundle)
    there = FakeArtifactStore()
    assert import_bundle(there, twice).descriptions == 3
    before = [there.history(info.ref.id) for info in there.find()]
    assert import_bundle(there, twice).descriptions == 0
    assert [there.history(info.ref.id) for info in there.find()] == before


@pytest.mark.parametrize("bytes_", [None, b"another ".ljust(len(FIRST))])
def test_bytes_that_are_missing_or_others_than_their_name_says_are_damaged(
    bundle: Path, bytes_: bytes | None
) -> None:
    name = members.BLOBS + sha256(FIRST).hexdigest()

    def change(content: Members) -> None:
        content.pop(name) if bytes_ is None else content.update({name: bytes_})

    assert found(rewrite(bundle, change)) == "SYM-A065"


def test_a_disk_that_fails_when_a_bundle_is_opened_is_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "open", failing)
    assert found(bundle) == "SYM-A060"


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"PK\3\4", b"PK\5\6" + bytes(18), b"noise" * 1000],
    ids=["empty", "text", "head", "tail", "long"],
)
def test_a_file_that_is_no_bundle_says_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert not is_sealed(file)
    assert found(file) in {"SYM-A061", "SYM-A062"}


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    assert found(tmp_path / "missing") == "SYM-A060"
    with pytest.raises(ArtifactError, match="cannot be read") as caught:
        is_sealed(tmp_path)
    assert caught.value.code == "SYM-A060"


def test_a_disk_that_fails_while_a_bundle_is_read_ends_the_import(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(FakeArtifactStore):
        def identify(self, parts: Any) -> str:
            monkeypatch.setattr(zipfile.ZipExtFile, "read", failing)
            return super().identify(parts)

    def failing(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with pytest.raises(ArtifactError, match="Input/output error") as caught:
        import_bundle(Failing(), bundle)
    assert caught.value.code == "SYM-A060"

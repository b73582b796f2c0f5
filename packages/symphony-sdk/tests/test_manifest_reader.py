"""Files that are no manifests: each gives one error that names the file, the place and the mend."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symphony_sdk.errors import ManifestError
from symphony_sdk.manifest import LARGEST, load, load_document, parse

SOUND = 'schema = 1\n[extension]\nid = "acme.text"\nkind = "operator"\nmodule = "acme_text"\n'


def _error(path: Path) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load(path)
    assert caught.value.file == str(path)
    assert caught.value.hint
    return caught.value


def test_a_manifest_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "symphony.toml"
    path.write_bytes(SOUND.replace("\n", "\r\n").encode())
    manifest = load(path)
    assert (manifest.extension.id, manifest.extension.runs) == ("acme.text", "worker")
    assert load_document(path)["extension"]["module"] == "acme_text"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "symphony.toml"
    path.write_text(SOUND, encoding="utf-8-sig")
    assert load(path).extension.id == "acme.text"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = _error(tmp_path / "symphony.toml")
    assert error.code == "SYM-M002"
    assert "No such file" in error.message


def test_a_directory_is_no_manifest(tmp_path: Path) -> None:
    assert _error(tmp_path).code == "SYM-M002"


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_an_empty_file_is_told_what_to_start_with(tmp_path: Path, text: str) -> None:
    path = tmp_path / "symphony.toml"
    path.write_text(text)
    error = _error(path)
    assert (error.code, error.message) == ("SYM-M002", "the manifest is empty")


def test_bytes_that_are_not_utf8_are_told_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "symphony.toml"
    path.write_bytes("schema = 1\n# é".encode() + b"\xff\n")
    error = _error(path)
    assert (error.code, error.line, error.column) == ("SYM-M003", 2, 4)
    assert "0xff" in error.message


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "symphony.toml"
    path.write_text(SOUND + "#" * LARGEST)
    assert _error(path).code == "SYM-M002"
    with pytest.raises(ManifestError, match="larger than 1048576 bytes"):
        parse(" " * (LARGEST + 1))
    path.write_text(SOUND + "#" * (LARGEST - len(SOUND)))
    assert load(path).extension.id == "acme.text"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("schema = ", 1, 10, "Invalid value"),
        ("schema = 1\nkind = operator\n", 2, 8, "Invalid value"),
        ('schema = 1\nid = "acme', 2, 11, "Unterminated string"),
        ("schema = 1\nschema = 1\n", 2, 11, "Cannot overwrite a value"),
        ("a = 1\n[a]\n", 2, 3, "Cannot"),
        ("x = [1,\n2", 2, 2, "Unclosed array"),
        ("x = 1979-02-30", 1, 5, "Invalid date"),
        ("x = " + "9" * 5000, 1, 1, "Exceeds the limit"),
        ("x = " + "[" * 5000, 1, 1, "nested too deeply"),
    ],
)
def test_text_that_is_not_toml_is_told_where_the_reader_gave_up(
    text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text, file="symphony.toml")
    error = caught.value
    assert error.code == "SYM-M003"
    assert message in error.message
    assert "(at " not in error.message
    assert (error.file, error.line, error.column) == ("symphony.toml", line, column)


def test_a_newer_schema_asks_for_a_newer_symphony_and_for_nothing_else() -> None:
    with pytest.raises(ManifestError) as caught:
        parse("[extension]\nfuture = true\n[x]\n".replace("[ext", "schema = 2\n[ext"), file="symphony.toml")
    error = caught.value
    assert error.code == "SYM-M004"
    assert "needs a newer Symphony" in error.message
    assert error.place == "symphony.toml:1:1"


def test_what_is_not_text_for_a_schema_is_a_fault_of_its_own() -> None:
    with pytest.raises(ManifestError, match="schema: expected a whole number, found the boolean true"):
        parse(SOUND.replace("schema = 1", "schema = true"))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "symphony.toml"
    path.write_bytes(raw)
    assert _error(path).code in {"SYM-M001", "SYM-M002", "SYM-M003", "SYM-M004"}


@settings(deadline=None)
@given(st.text(alphabet="[]{}=.,\"'#\n a1", max_size=60))
def test_any_toml_like_text_is_a_manifest_or_one_clear_error(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text)
    assert caught.value.line >= 1

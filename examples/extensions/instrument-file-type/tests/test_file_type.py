import base64
import os
from pathlib import Path

import pytest
from symphony_file_type.plugin import FileEntry, FileType
from symphony_sdk.errors import PermissionDenied
from symphony_sdk.testing import ExtensionContract, recording_context

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


class TestContract(ExtensionContract):
    package = "symphony_file_type"
    examples = {FileType.id: {"file": {"path": __file__, "relative": Path(__file__).name, "size": 1}}}


@pytest.fixture(scope="module")
def model():
    """The real model, loaded once."""
    context = recording_context()
    instrument = FileType()
    instrument.load(context)
    assert [level for level, _ in context.lines] == ["info"]
    yield instrument
    instrument.unload()


@pytest.fixture
def classify(model, symphony_context):
    def run(path):
        size = path.stat().st_size if path.exists() else 0
        return model.infer(symphony_context, FileEntry(str(path), path.name, size))

    return run


def test_this_file_is_python(classify):
    result = classify(Path(__file__))

    assert (result.label, result.group, result.is_text) == ("python", "code", True)
    assert result.mime.startswith("text/")
    assert 0.5 < result.score <= 1
    assert (result.path, result.relative) == (__file__, Path(__file__).name)


def test_content_counts_and_the_name_does_not(tmp_path, classify):
    file = tmp_path / "notes.py"
    file.write_bytes(PNG)

    result = classify(file)

    assert (result.label, result.group, result.mime, result.is_text) == ("png", "image", "image/png", False)


@pytest.mark.parametrize(
    ("content", "label", "text"),
    [
        (b"", "empty", False),
        (b"\xff\xfe\x00", "unknown", False),
        (b"hello, this is only a line of words\n", "txt", True),
    ],
)
def test_small_files_have_a_label(tmp_path, classify, content, label, text):
    file = tmp_path / "file"
    file.write_bytes(content)

    result = classify(file)

    assert (result.label, result.is_text) == (label, text)
    assert result.size == len(content)


def test_binary_garbage_is_no_text(tmp_path, classify):
    file = tmp_path / "garbage"
    file.write_bytes(
        bytes((7919 * index * index + index) % 256 for index in range(50_000)) + os.urandom(50_000)
    )

    result = classify(file)

    assert not result.is_text
    assert 0 <= result.score <= 1


def test_a_file_that_is_not_there_is_labelled_and_the_log_says_so(tmp_path, classify, symphony_context):
    result = classify(tmp_path / "missing")

    assert (result.label, result.group, result.mime, result.score) == ("unreadable", "unknown", "", 0.0)
    assert [level for level, _ in symphony_context.lines] == ["warning"]
    assert "missing" in symphony_context.lines[0][1]


def test_a_folder_is_not_taken_for_text(tmp_path, classify):
    assert not classify(tmp_path).is_text


def test_what_is_not_declared_is_not_read(tmp_path, model):
    context = recording_context(permissions=["file:read:/nowhere/**"])

    with pytest.raises(PermissionDenied):
        model.infer(context, FileEntry(__file__, "x", 1))


def test_the_model_can_be_loaded_again_after_it_was_unloaded(symphony_context):
    instrument = FileType()
    for _ in range(2):
        instrument.load(symphony_context)
        assert instrument.infer(symphony_context, FileEntry(__file__, "x", 1)).label == "python"
        instrument.unload()

import os
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from symphony_files.plugin import read_file, walk_folder
from symphony_files.walk import pattern, walk
from symphony_sdk.errors import Cancelled, PermissionDenied, SymphonyError
from symphony_sdk.testing import ExtensionContract, recording_context

NAME = st.text(st.sampled_from("ab.[]*?\n"), min_size=1, max_size=6)
PATH = st.lists(st.sampled_from(["a", "b", "ab", "a.py", "b.txt"]), min_size=1, max_size=5)


class TestContract(ExtensionContract):
    package = "symphony_files"
    examples = {
        walk_folder.id: {"path": os.path.dirname(__file__), "include": ["*.py"]},  # noqa: PTH120
        read_file.id: {"path": __file__, "limit": 100},
    }


@pytest.fixture
def folder(tmp_path):
    for name in (
        "a.py",
        "b.txt",
        "deep/c.py",
        "deep/er/d.py",
        ".git/e.py",
        "deep/__pycache__/f.py",
        "z/g.py",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path


def found(context, folder, **options):
    return [file.relative for file in walk_folder(context, str(folder), **options)["files"]]


def test_files_come_in_a_stable_order_without_what_tools_made(folder, symphony_context):
    walked = walk_folder(symphony_context, str(folder))

    assert [file.relative for file in walked["files"]] == [
        "a.py",
        "b.txt",
        "deep/c.py",
        "deep/er/d.py",
        "z/g.py",
    ]
    assert walked["count"] == 5
    assert [file.size for file in walked["files"]] == [4, 5, 9, 12, 6]
    assert all(os.path.isabs(file.path) for file in walked["files"])  # noqa: PTH117


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (("*.txt",), (), ["b.txt"]),
        (("deep/*",), (), ["deep/c.py"]),
        (("deep/**",), (), ["deep/c.py", "deep/er/d.py"]),
        (("**/?.py",), ("deep",), ["a.py", "z/g.py"]),
        ((), ("*.py",), ["b.txt"]),
        ((), ("**/er",), ["a.py", "b.txt", "deep/c.py", "z/g.py"]),
        (("nothing",), (), []),
    ],
)
def test_globs_say_what_is_taken_and_what_is_left(folder, symphony_context, include, exclude, expected):
    assert found(symphony_context, folder, include=include, exclude=exclude) == expected


@given(NAME, NAME)
def test_a_glob_without_folders_matches_names_as_fnmatch_does(glob, name):
    literal = glob.replace("[", "[[]")  # fnmatch knows sets, these globs do not
    if "**" not in glob:
        assert bool(pattern(glob).fullmatch(name)) == fnmatchcase(name, literal)


@given(PATH)
def test_two_stars_stand_for_any_folders(parts):
    path = "/".join(parts)

    assert pattern("**").fullmatch(path)
    assert pattern(f"**/{parts[-1]}").fullmatch(path)
    assert pattern(f"{parts[0]}/**").fullmatch(path) or len(parts) == 1
    assert bool(pattern("/*").fullmatch(path)) is False


def test_links_are_left_out_unless_the_settings_say_otherwise(folder, symphony_context):
    (folder / "link").symlink_to(folder / "deep")
    (folder / "link.py").symlink_to(folder / "a.py")
    (folder / "dangling").symlink_to(folder / "nowhere")
    following = recording_context(config={"follow_links": True})

    assert not any("link" in name for name in found(symphony_context, folder))
    assert [name for name in found(following, folder) if "link" in name] == [
        "link.py"
    ]  # `deep` was seen already


def test_a_loop_of_links_ends(folder):
    (folder / "deep" / "up").symlink_to(folder)
    following = recording_context(config={"follow_links": True})

    assert found(following, folder) == ["a.py", "b.txt", "deep/c.py", "deep/er/d.py", "z/g.py"]


def test_a_folder_that_is_followed_by_its_link_alone_is_walked_once(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "one").symlink_to(outside)
    (root / "two").symlink_to(outside)

    assert found(recording_context(config={"follow_links": True}), root) == ["one/x"]


def test_a_folder_that_cannot_be_read_is_left_out(folder, symphony_context, monkeypatch):
    scandir = os.scandir

    def refusing(path):
        if os.fspath(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)

    assert found(symphony_context, folder) == ["a.py", "b.txt", "z/g.py"]


def test_a_root_that_cannot_be_read_is_an_error(folder, symphony_context, monkeypatch):
    def refusing(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refusing)

    with pytest.raises(SymphonyError, match="cannot be read: Permission denied") as caught:
        walk_folder(symphony_context, str(folder))
    assert caught.value.code == "FILES-002"


def test_what_vanishes_while_it_is_walked_is_left_out(folder):
    walking = walk(folder)
    assert next(walking)[1] == "a.py"
    for name in ("deep/er/d.py", "deep/c.py"):
        (folder / name).unlink()
    (folder / "deep" / "er").rmdir()

    assert [relative for _, relative, _ in walking] == ["b.txt", "z/g.py"]


@pytest.mark.parametrize(("name", "what"), [("a.py", "a file"), ("missing", "not there")])
def test_only_a_folder_can_be_walked(folder, symphony_context, name, what):
    with pytest.raises(SymphonyError, match=f"is {what}; a folder was expected") as caught:
        walk_folder(symphony_context, str(folder / name))
    assert caught.value.code == "FILES-001"
    assert caught.value.hint


def test_at_most_so_many_files_are_taken_and_the_log_says_so(folder, symphony_context):
    assert found(symphony_context, folder, limit=2) == ["a.py", "b.txt"]
    assert symphony_context.lines == [("warning", "stopped at 2 files: raise `limit` for more")]


def test_a_walk_tells_how_far_it_is_and_can_be_cancelled(tmp_path):
    for number in range(2000):
        (tmp_path / str(number)).touch()
    context = recording_context(on_progress=lambda progress: context.cancel())

    with pytest.raises(Cancelled):
        walk_folder(context, str(tmp_path))
    assert [progress.text for progress in context.progressed] == ["1,000 files"]


def test_what_is_not_declared_is_not_walked(folder):
    context = recording_context(permissions=[f"file:read:{folder}/deep/**"])

    with pytest.raises(PermissionDenied):
        walk_folder(context, str(folder))
    with pytest.raises(PermissionDenied):
        read_file(context, str(folder / "a.py"))


def test_text_is_read_up_to_its_limit_and_what_is_no_text_is_replaced(tmp_path, symphony_context):
    file = tmp_path / "text"
    file.write_bytes("grün".encode("latin-1") + b"\x00end")

    assert read_file(symphony_context, str(file)) == "gr\ufffdn\x00end"
    assert read_file(symphony_context, str(file), encoding="latin-1") == "grün\x00end"
    assert read_file(symphony_context, str(file), limit=2) == "gr"


@pytest.mark.parametrize("name", ["missing", ""])
def test_what_cannot_be_read_is_named(tmp_path, symphony_context, name):
    with pytest.raises(SymphonyError, match="cannot be read") as caught:
        read_file(symphony_context, str(tmp_path / name))
    assert caught.value.code == "FILES-003"
    assert str(tmp_path) in caught.value.message

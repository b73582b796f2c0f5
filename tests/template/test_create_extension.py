"""Making a project: exactly these files, or a clear error and none."""

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import symphony_host.template
from packaging.specifiers import SpecifierSet
from symphony_host.template import create_extension, template_folder
from symphony_sdk import __version__
from symphony_sdk.errors import ConfigurationError

EVERY_KIND = {
    ".gitignore",
    ".symphony-template.json",
    "README.md",
    "pyproject.toml",
    "src/my_word_count/__init__.py",
    "src/my_word_count/plugin.py",
    "src/my_word_count/py.typed",
    "src/my_word_count/symphony.toml",
    "tests/test_contract.py",
    "tests/test_plugin.py",
    "workflows/word-count.json",
}
PANEL = {f"src/my_word_count/panel.{suffix}" for suffix in ("css", "html", "js")}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("kind", "more"),
    [("operator", set()), ("instrument", {"src/my_word_count/samples.json"}), ("addon", PANEL)],
)
def test_a_project_has_exactly_these_files(tmp_path, tree, kind, more):
    project = create_extension(kind, "word-count", tmp_path / "deep" / "folder")

    files = tree(project)
    assert project == tmp_path / "deep" / "folder" / "word-count"
    assert set(files) == EVERY_KIND | more
    assert names_in(project.parent) == ["word-count"]
    assert [name for name, data in files.items() if b"cookiecutter" in data or b"{%" in data] == []


def test_the_same_answers_make_the_same_project(tmp_path, tree):
    first = create_extension("addon", "word-count", tmp_path / "a", publisher="acme")
    second = create_extension("addon", "word-count", tmp_path / "b", publisher="acme")

    assert tree(first) == tree(second)
    assert b"acme.word-count" in tree(first)["src/acme_word_count/symphony.toml"]


@pytest.mark.parametrize("kind", ["operator", "instrument", "addon"])
def test_the_longest_names_keep_the_style(tmp_path, kind):
    project = create_extension(kind, "n" * 36, tmp_path, publisher="p" * 36)

    for check in (["check"], ["format", "--check"]):
        ran = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--no-cache"], cwd=project, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Word Count", "'word-count'"),
        ("word_count", "'word-count'"),
        ("-word", "'word'"),
        ("../up", "'up'"),
        ("word\n", "'word'"),
        ("{{ 1/0 }}", "'word-count'"),
        ("wörter", "'w-rter'"),
        ("1st", "'word-count'"),
        ("", "'word-count'"),
        ("n" * 37, f"'{'n' * 36}'"),
    ],
)
def test_a_name_that_is_no_id_is_refused_with_one_that_is(tmp_path, tree, name, near):
    with pytest.raises(ConfigurationError) as caught:
        create_extension("operator", name, tmp_path / "new")

    assert caught.value.code == "SYM-C040"
    assert near in caught.value.hint
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("publisher", ["symphony", "pit", "Me", "a b", "p" * 37])
def test_a_publisher_that_cannot_be_is_refused(tmp_path, publisher):
    with pytest.raises(ConfigurationError) as caught:
        create_extension("operator", "word-count", tmp_path, publisher=publisher)

    assert caught.value.code == "SYM-C040"
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_there_is_never_written_over(tmp_path, kind):
    place = tmp_path / "word-count"
    {
        "folder": place.mkdir,
        "file": place.touch,
        "dangling link": lambda: place.symlink_to(tmp_path / "nowhere"),
    }[kind]()
    before = place.lstat()

    with pytest.raises(ConfigurationError, match="exists already") as caught:
        create_extension("operator", "word-count", tmp_path)

    assert caught.value.code == "SYM-C042"
    assert place.lstat() == before
    assert names_in(tmp_path) == ["word-count"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(ConfigurationError, match="cannot be written to") as caught:
        create_extension("operator", "word-count", file / "below")

    assert caught.value.code == "SYM-C042"
    assert str(file) in caught.value.message


def test_a_damaged_template_leaves_nothing_behind(tmp_path, monkeypatch):
    broken = tmp_path / "template"
    (broken / "{{cookiecutter.name}}").mkdir(parents=True)
    (broken / "cookiecutter.json").write_text('{"kind": ["operator"], "name": ""}')
    (broken / "{{cookiecutter.name}}" / "README.md").write_text("{{ cookiecutter.nobody }}")
    monkeypatch.setattr(symphony_host.template, "template_folder", lambda: broken)
    working = Path.cwd()

    with pytest.raises(ConfigurationError, match="nobody") as caught:
        create_extension("operator", "word-count", tmp_path / "new" / "folder")

    assert caught.value.code == "SYM-C042"
    assert names_in(tmp_path) == ["template"]
    assert Path.cwd() == working


def test_an_interrupt_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(answers, scratch):
        (scratch / "half").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(symphony_host.template, "_render", interrupted)

    with pytest.raises(KeyboardInterrupt):
        create_extension("operator", "word-count", tmp_path / "new")

    assert names_in(tmp_path) == []


def test_the_home_of_the_user_is_neither_read_nor_written(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".cookiecutterrc").write_text("default_context:\n  publisher: somebody\n")
    script = (
        "from pathlib import Path; from symphony_host.template import create_extension;"
        "print(create_extension('operator', 'word-count', Path('out')))"
    )

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(home), "COOKIECUTTER_CONFIG": str(home / ".cookiecutterrc")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"{tmp_path / 'out' / 'word-count'}\n"
    assert names_in(home) == [".cookiecutterrc"]
    assert (tmp_path / "out" / "word-count" / "src" / "my_word_count").is_dir()


def test_no_temporary_file_is_left(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    create_extension("operator", "word-count", tmp_path / "made", publisher="acme")
    assert list(temporary.iterdir()) == []
    assert tempfile.tempdir == str(temporary)


def test_threads_that_make_projects_at_once_leave_the_folder_for_temporary_files_as_it_was(
    tmp_path, monkeypatch
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda name: create_extension("operator", name, tmp_path / "made"), "abc"))
    assert all(project.is_dir() for project in made)
    assert tempfile.tempdir == str(temporary)
    assert list(temporary.iterdir()) == []


def test_the_publisher_is_asked_for_where_somebody_can_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("acme\n"))

    project = create_extension("operator", "word-count", tmp_path, no_input=False)

    assert (project / "src" / "acme_word_count").is_dir()
    assert "publisher" in capsys.readouterr().out


def test_no_answer_is_an_error_and_makes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    with pytest.raises(ConfigurationError, match="no answer came") as caught:
        create_extension("operator", "word-count", tmp_path, no_input=False)

    assert "--no-input" in caught.value.hint
    assert names_in(tmp_path) == []


def test_only_one_of_two_at_once_gets_the_name(tmp_path):
    script = (
        "import sys; from pathlib import Path; from symphony_host.template import create_extension;"
        "create_extension(sys.argv[1], 'word-count', Path('.'))"
    )
    results = {}

    def make(kind):
        ran = subprocess.run(
            [sys.executable, "-c", script, kind], cwd=tmp_path, capture_output=True, timeout=60
        )
        results[kind] = ran.returncode

    threads = [threading.Thread(target=make, args=(kind,)) for kind in ("operator", "addon")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results.values()) == [0, 1]
    assert names_in(tmp_path) == ["word-count"]
    [winner] = [kind for kind, code in results.items() if code == 0]
    made = json.loads((tmp_path / "word-count" / ".symphony-template.json").read_text())
    assert made["answers"]["kind"] == winner


@pytest.mark.parametrize(
    ("field", "value"), [("name", "Word Count"), ("publisher", 'a"b'), ("name", "n" * 37)]
)
def test_cookiecutter_itself_refuses_the_same_names(tmp_path, field, value):
    ran = subprocess.run(
        [sys.executable, "-m", "cookiecutter", "--no-input", str(template_folder()), f"{field}={value}"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode != 0
    assert f"the {field} {value!r} is not made of" in ran.stderr
    assert [name for name in names_in(tmp_path) if not name.startswith(".")] == []


def test_the_template_asks_for_this_version_of_the_sdk():
    answers = json.loads((template_folder() / "cookiecutter.json").read_text())

    assert __version__ in SpecifierSet(answers["_sdk"])


def test_the_wheel_of_the_host_has_the_template_and_makes_projects_from_it(tmp_path, tree, uv):
    root = Path(__file__).parents[2]
    uv("build", "--wheel", "--out-dir", str(tmp_path / "dist"), str(root / "packages" / "symphony-host"))
    [wheel] = (tmp_path / "dist").glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)

    shipped = installed / "symphony_host" / "shipped"
    assert tree(shipped / "cookiecutter-extension") == tree(root / "cookiecutter-extension")
    script = (
        "from pathlib import Path; from symphony_host.template import create_extension, template_folder;"
        "create_extension('addon', 'word-count', Path('.')); print(template_folder())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.stdout, ran.stderr) == (f"{shipped / 'cookiecutter-extension'}\n", "")
    assert tree(tmp_path / "word-count") == tree(create_extension("addon", "word-count", tmp_path / "here"))

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from symphony_sdk.errors import WorkflowError
from symphony_workflow.templates import (
    Filter,
    Source,
    Template,
    TemplateLibrary,
    from_document,
    save_template,
)
from symphony_workflow.templates.search import distance


def document(id, version="1.0.0", nodes=None, **more):
    return {
        "template": 1,
        "id": id,
        "version": version,
        "workflow": {
            "schema": 2,
            "id": "flow",
            "nodes": nodes or {"a": {"kind": "operator", "uses": "acme.text.count"}},
        },
        **more,
    }


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    return folder


def write(folder, *documents):
    for each in documents:
        (folder / f"{each['id']}-{each['version']}.json").write_text(json.dumps(each))


def library(folder, **more):
    return TemplateLibrary([Source("user", folder)], **more)


def ids(entries):
    return [entry.id for entry in entries]


def code_of(call):
    with pytest.raises(WorkflowError) as caught:
        call()
    return caught.value.code


def test_the_latest_version_counts_unless_another_is_named(folder):
    write(folder, document("a.b", "1.9"), document("a.b", "1.10"), document("a.b", "2.0rc1"))
    with library(folder) as templates:
        assert templates.get("a.b").version == "2.0rc1"
        assert templates.get("a.b@1.10.0").version == "1.10"
        assert [entry.version for entry in templates.versions("a.b")] == ["2.0rc1", "1.10", "1.9"]
        assert ids(templates.search()) == ["a.b"]
        assert len(templates.search(filter=Filter(all_versions=True))) == 3


def test_what_is_not_there_is_told_with_what_comes_nearest(folder):
    write(folder, document("acme.tidy"))
    with library(folder) as templates:
        with pytest.raises(WorkflowError, match=r"no template 'acme\.tidi'") as caught:
            templates.get("acme.tidi")
        assert caught.value.hint == "Did you mean 'acme.tidy'?"
        assert code_of(lambda: templates.get("acme.tidy@9")) == "SYM-W094"


def test_a_broken_template_is_listed_with_its_reason_and_hides_no_other(folder):
    write(folder, document("a.good"), document("a.bad", titel="x"))
    (folder / "no-json.json").write_text("{")
    (folder / "notes.txt").write_text("not a template")
    with TemplateLibrary([Source("user", folder, (folder / "gone.json",))]) as templates:
        assert ids(templates.search()) == ["a.good"]
        problems = {entry.id: entry.problem for entry in templates.broken()}
        assert problems.keys() == {"a.bad", "no-json", "gone"}
        assert "titel: unknown key" in problems["a.bad"]
        assert "not JSON" in problems["no-json"]
        assert "cannot be read" in problems["gone"]
        assert code_of(lambda: templates.get("a.bad")) == "SYM-W094"


def test_of_two_with_one_id_and_version_that_of_the_earlier_source_counts(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, document("a.b", title=name))
    sources = [Source(name, tmp_path / name) for name in ("first", "second")]
    with TemplateLibrary(sources, index=tmp_path / "index") as templates:
        assert templates.get("a.b").title == "first"
        [shadowed] = templates.broken()
        assert shadowed.source == "second"
        assert "comes first" in shadowed.problem
    with TemplateLibrary(sources[::-1], index=tmp_path / "index") as templates:
        templates.refresh()
        (tmp_path / "second" / "a.b-1.0.0.json").unlink()
        templates.refresh()
        assert templates.get("a.b").title == "first"
        assert templates.broken() == []


def test_a_search_finds_words_beginnings_and_misspellings_the_best_first(folder):
    write(
        folder,
        document("a.one", title="Translate a letter", description="Into any language"),
        document("a.two", title="Tidy a folder", description="Translate nothing", keywords=["clean"]),
        document("a.three", title="Classify files", categories=["files"]),
        document("a.four", title="Über alles"),
    )
    with library(folder) as templates:
        assert ids(templates.search("translate")) == ["a.one", "a.two"]
        assert ids(templates.search("transl")) == ["a.one", "a.two"]
        assert ids(templates.search("trnaslate letter")) == ["a.one"]
        assert ids(templates.search("clasify")) == ["a.three"]
        assert ids(templates.search("tdiy")) == ["a.two"]
        assert ids(templates.search("cleen")) == ["a.two"]
        assert ids(templates.search("uber")) == ["a.four"]
        assert sorted(ids(templates.search("acme count"))) == ["a.four", "a.one", "a.three", "a.two"]
        assert templates.search("zzzzzzzz") == []
        assert ids(templates.search('" OR * NEAR( translate')) == []
        assert ids(templates.search("- ()")) == ids(templates.search())
        assert ids(templates.search(limit=2)) == ["a.three", "a.two"]


def test_a_search_is_narrowed_by_what_templates_are_and_use(folder):
    nodes = {
        "walk": {"kind": "operator", "uses": "acme.files.walk"},
        "each": {
            "$if": "true",
            "$value": {"kind": "control", "control": "map", "uses": "acme.files.read", "over": "p"},
        },
    }
    write(
        folder,
        document("a.map", nodes=nodes, categories=["Files"], keywords=["Read"], author="Ada", title="Map"),
        document("a.count", categories=["texts"], title="Count"),
    )
    with library(folder) as templates:
        for filter in (
            Filter(category="files"),
            Filter(keyword="read"),
            Filter(author="ada"),
            Filter(kind="map"),
            Filter(operation="acme.files.read"),
            Filter(installed=("acme.files.read", "acme.files.walk")),
        ):
            assert ids(templates.search("", filter)) == ["a.map"]
        assert ids(templates.search("", Filter(source="user"))) == ["a.count", "a.map"]
        assert templates.search("", Filter(source="acme.other")) == []
        assert ids(templates.search("map", Filter(category="files", kind="operator"))) == ["a.map"]
        assert templates.search("", Filter(installed=())) == []


def test_what_changes_is_seen_and_what_does_not_is_not_read_again(folder, tmp_path, monkeypatch):
    write(folder, document("a.one"), document("a.two", title="Old words"))
    index = tmp_path / "cache" / "index.sqlite"
    library(folder, index=index).close()
    write(folder, document("a.two", title="Newer words"), document("a.three"))
    (folder / "a.one-1.0.0.json").unlink()
    with library(folder, index=index) as templates:
        assert ids(templates.search()) == ["a.two", "a.three"] or ids(templates.search()) == [
            "a.three",
            "a.two",
        ]
        assert ids(templates.search("newer")) == ["a.two"]
        assert templates.search("old") == []
    monkeypatch.setattr("symphony_workflow.templates.library.read_bytes", None)
    with library(folder, index=index) as templates:
        assert len(templates.search()) == 2


@pytest.mark.parametrize("damage", ["garbage", "cut", "version", "page", "tables", "folder"])
def test_an_index_that_is_damaged_is_made_again(folder, tmp_path, damage):
    write(folder, *(document(f"a.t{n}", title=f"Tidy {n}") for n in range(50)))
    index = tmp_path / "index.sqlite"
    library(folder, index=index).close()
    content = index.read_bytes()
    if damage == "garbage":
        index.write_bytes(b"x" * 5000)
    elif damage == "cut":
        index.write_bytes(content[: len(content) // 2])
    elif damage == "page":
        index.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    elif damage == "folder":
        index.unlink()
        index.mkdir()
    else:
        with sqlite3.connect(index) as connection:
            connection.execute("pragma user_version = 99" if damage == "version" else "drop table entries")
        connection.close()
    with library(folder, index=index) as templates:
        assert len(templates.search("tidy")) == 50
        assert templates.get("a.t7").title == "Tidy 7"


def test_two_processes_can_make_one_index_at_once(folder, tmp_path):
    write(folder, *(document(f"a.t{n}") for n in range(30)))
    code = (
        "import sys; from pathlib import Path; from symphony_workflow.templates import Source, TemplateLibrary\n"
        "with TemplateLibrary([Source('user', Path(sys.argv[1]))], index=Path(sys.argv[2])) as library:\n"
        "    print(len(library.search()))"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "index.sqlite")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0].strip() for process in started] == ["30"] * 3


def test_a_template_is_added_whole_and_never_over_another(folder):
    made = from_document(document("a.b", title="First"))
    file = save_template(made, folder / "new")
    assert file.name == "a.b@1.0.0.json"
    assert code_of(lambda: save_template(made, folder / "new")) == "SYM-W096"
    save_template(from_document(document("a.b", title="Second")), folder / "new", replace=True)
    assert [each.name for each in (folder / "new").iterdir()] == [file.name]
    with library(folder / "new") as templates:
        assert templates.get("a.b").title == "Second"
    (folder / "file").write_text("")
    assert code_of(lambda: save_template(made, folder / "file")) == "SYM-W096"


def test_of_many_that_add_one_template_at_once_one_succeeds(folder):
    refused, barrier = [], threading.Barrier(6)

    def add(number):
        barrier.wait()
        try:
            save_template(Template(id="a.b", version="1", title=str(number), workflow={}), folder)
        except WorkflowError as error:
            refused.append(error.code)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["SYM-W096"] * 5
    assert [each.name for each in folder.iterdir()] == ["a.b@1.json"]


def test_a_template_that_broke_after_it_was_listed_is_told(folder):
    write(folder, document("a.b"))
    with library(folder) as templates:
        Path(templates.find("a.b").file).write_text("{")
        assert code_of(lambda: templates.get("a.b")) == "SYM-W090"


@pytest.mark.parametrize(
    ("left", "right", "steps"),
    [
        ("tidy", "tidy", 0),
        ("tidy", "tdiy", 1),
        ("tidy", "tidi", 1),
        ("tidy", "tid", 1),
        ("tidy", "tolly", 3),
        ("a", "abcdef", 3),
    ],
)
def test_the_distance_of_words_counts_letters_and_swaps(left, right, steps):
    assert distance(left, right, 2) == min(steps, 3)


def test_importing_the_model_imports_no_templates():
    code = (
        "import sys, symphony_workflow\n"
        "print([name for name in ('symphony_workflow.templates', 'sqlite3', 'packaging.version') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

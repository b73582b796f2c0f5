"""`symphony artifacts` on a store in memory: each command, and each way to get it wrong."""

import io
import json
import re
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import click
import pytest
from symphony_host.cli.artifacts import artifacts
from symphony_host.cli.artifacts.catalogue import KINDS
from symphony_host.cli.artifacts.comparing import COMPARED
from symphony_host.cli.artifacts.keeping import DURABILITIES
from symphony_host.cli.artifacts.lineage_tree import tree
from symphony_host.cli.artifacts.progress_line import EVERY, LARGE, SLOW, ProgressLine
from symphony_host.cli.artifacts.reading import RELATED
from symphony_host.cli.artifacts.searching import shown
from symphony_host.cli.artifacts.upkeep import GRACE_DAYS, NAMED
from symphony_host.cli.root import run
from symphony_host.cli.run_compaction import Age
from symphony_sdk.contributions import ArtifactRef
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactInfo, Found, Lineage, Score
from symphony_sdk.ports.artifacts import GRACE, Collected, Durability, Relation, RelationKind
from symphony_sdk.testing.fakes import FakeArtifactStore

Cli = Callable[..., str]

ABSENT = "b3-" + "0" * 64
EVIL = "\x1b[2Jevil\x07"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeArtifactStore:
    """A store in memory that outlives the commands that open it."""
    store = FakeArtifactStore()

    @asynccontextmanager
    async def opened(settings: object) -> Any:
        yield SimpleNamespace(artifacts=store)

    composition = ModuleType("symphony_host.composition")
    composition.Host = SimpleNamespace(open=opened)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "symphony_host.composition", composition)
    monkeypatch.chdir(tmp_path)
    return store


@pytest.fixture
def cli(store: FakeArtifactStore, capsys: pytest.CaptureFixture[str]) -> Cli:
    """What `symphony artifacts ...` prints on standard output; all it prints where it is to fail."""

    def symphony(*arguments: str, code: int = 0) -> str:
        assert run(["artifacts", *arguments]) == code, capsys.readouterr()
        out, err = capsys.readouterr()
        assert code or not err
        assert "\x1b[2J" not in out + err
        return out if code == 0 else out + err

    return symphony


@pytest.fixture
def as_json(cli: Cli) -> Callable[..., Any]:
    return lambda *arguments, code=0: json.loads(cli(*arguments, "--json", code=code))


# -- list, show, log ---------------------------------------------------------------------------------


def test_artifacts_are_listed_the_newest_first_with_name_version_and_tags(
    store: FakeArtifactStore, cli: Cli
) -> None:
    old = store.put(b"old", name="a.txt", lineage=Lineage(run="r1"))
    new = store.put(b"new", name="a.txt", media_type="text/plain")
    store.tag(new.id, "latest")
    headings, first, second = cli("list").splitlines()
    expected = ["artifact", "name", "version", "size", "type", "stored", "quality", "run", "tags"]
    assert headings.split() == expected
    assert re.match(rf"{new.id}  a\.txt  2 +3 B +text/plain .*latest$", first)
    assert second.startswith(old.id)
    assert second.endswith("r1")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--run", "r1"], ["run"]),
        (["--name", "name"], ["named"]),
        (["--tag", "rel/"], ["tagged"]),
        (["--type", "image/"], ["typed"]),
        (["--since", "2099-01-01"], []),
        (["--until", "2001-01-01"], []),
        (["--since", "2001-01-01", "--until", "2099-01-01T10:00:00", "--limit", "1"], ["typed"]),
        (["--removed"], ["removed"]),
    ],
)
def test_each_filter_of_list_chooses(
    store: FakeArtifactStore, as_json: Callable[..., Any], filters: list[str], found: list[str]
) -> None:
    ids = {
        "run": store.put(b"1", lineage=Lineage(run="r1")).id,
        "named": store.put(b"2", name="a name.txt").id,
        "tagged": store.put(b"3").id,
        "removed": store.put(b"4").id,
        "typed": store.put(b"5", media_type="image/png").id,
    }
    store.tag(ids["tagged"], "rel/1")
    store.remove(ids["removed"])
    assert [info["ref"]["id"] for info in as_json("list", *filters)] == [ids[name] for name in found]


def test_nothing_found_is_said(cli: Cli, as_json: Callable[..., Any]) -> None:
    assert cli("list", "--name", "nothing") == "no artifacts\n"
    assert as_json("list") == []
    assert cli("log", "--name", "nothing") == "no artifacts\n"
    assert cli("tags") == "no tags\n"


def test_search_shows_why_each_artifact_was_found(store: FakeArtifactStore, cli: Cli) -> None:
    text = f"the first\nquarterly  figures{EVIL} of the year".encode()
    first = store.put(text, name="report.txt", media_type="text/plain")
    store.put(b"figures", name="other", media_type="text/plain")
    assert cli("search", "Quarterly", "figures").splitlines() == [
        f"{first.id} report.txt (49 B)",
        "  the first quarterly  figures [2Jevil  of the year",
    ]
    assert len(cli("search", "figures").splitlines()) == 4
    assert cli("search", "missing") == "no artifacts\n"
    assert cli("search", "--type", "text/").splitlines()[1] == f"{first.id} report.txt (49 B)"


def test_search_prints_words_in_bold_on_a_terminal() -> None:
    found = Found(ArtifactInfo(ArtifactRef("b3-0", 1, "text/plain", "a"), 0.0), 1.0, "a word, a", ((2, 6),))
    assert shown(found) == "a \x1b[1mword\x1b[0m, a"


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--run", "r1"], ["run"]),
        (["--tag", "rel/"], ["tagged"]),
        (["--type", "text/h"], ["typed"]),
        (["--since", "2099-01-01"], []),
        (["--until", "2001-01-01"], ["old"]),
        (["--quality", "0.5"], ["good"]),
        (["--limit", "2"], ["run", "tagged"]),
    ],
)
def test_each_filter_of_search_chooses(
    store: FakeArtifactStore, as_json: Callable[..., Any], filters: list[str], found: list[str]
) -> None:
    store.put(b"word 1", name="old", media_type="text/plain", created=5.0)
    good = store.put(b"word 2", name="good", media_type="text/plain")
    store.score(good.id, Score("acme.a", "1", 0.5))
    store.put(b"word 3", name="typed", media_type="text/html")
    tagged = store.put(b"word 4", name="tagged", media_type="text/plain")
    store.tag(tagged.id, "rel/1")
    store.put(b"word 5", name="run", media_type="text/plain", lineage=Lineage(run="r1"))
    assert [each["info"]["ref"]["name"] for each in as_json("search", *filters)] == found
    if "--limit" not in filters:
        assert [each["info"]["ref"]["name"] for each in as_json("search", "word", *filters)] == found


def test_show_tells_all_that_is_known(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    source = store.put(b"source")
    lineage = Lineage("run-1", "draw", "acme.report", (source.id,), "1.2")
    ref = store.put(b"\0data", name="a.bin", metadata={"made-by": "test"}, lineage=lineage)
    store.tag(ref.id, "best")
    store.pin(ref.id)
    store.hold(ref.id, "audit")
    told = dict(re.split(r"  +", line, maxsplit=1) for line in cli("show", ref.id[:9]).splitlines())
    assert (told["artifact"], told["name"], told["size"]) == (ref.id, "a.bin", "5 B (5 bytes)")
    assert (told["run"], told["node"], told["extension"]) == ("run-1", "draw", "acme.report 1.2")
    assert (told["tags"], told["pinned"], told["metadata made-by"]) == ("best", "yes", "test")
    assert told["held for"].startswith("audit (since ")
    assert told["derived from"] == source.id
    assert told["produced by"] == "run-1/draw acme.report 1.2"
    assert f"source of  {ref.id}" in re.sub("  +", "  ", cli("show", source.id))
    assert as_json("show", "best")["relations"][0]["subject"] == ref.id


def test_show_tells_some_of_many_relations(store: FakeArtifactStore, cli: Cli) -> None:
    source = store.put(b"source")
    for number in range(RELATED + 2):
        store.put(b"%d" % number, lineage=Lineage(inputs=(source.id,)))
    shown = cli("show", source.id)
    assert shown.count("source of") == RELATED
    assert shown.endswith("and 2 relations more; --json has all\n")


def test_what_was_removed_is_shown_as_removed(store: FakeArtifactStore, cli: Cli) -> None:
    ref = store.put(b"x")
    store.remove(ref.id)
    assert "\nremoved " in cli("show", ref.id)


def test_log_tells_each_description_and_each_version(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    one = store.put(b"1", name="a.txt", lineage=Lineage("r1", "n1", "acme.x", version="3"))
    store.put(b"1", name="copy.txt", metadata={"k": "v"})
    two = store.put(b"2", name="a.txt")
    newest, oldest = cli("log", one.id).splitlines()[1:]
    assert re.search(r"1 +copy\.txt .*k=v$", newest)
    assert re.search(r"1 +a\.txt .* r1 +n1 +acme\.x 3$", oldest)
    assert len(as_json("log", one.id, "--limit", "1")) == 1
    versions = as_json("log", "--name", "a.txt")
    assert [(info["version"], info["ref"]["id"]) for info in versions] == [(2, two.id), (1, one.id)]
    assert two.id in cli("log", "--name", "a.txt").splitlines()[1]


# -- get ---------------------------------------------------------------------------------------------


def test_get_writes_the_bytes_to_standard_output_or_a_file(
    store: FakeArtifactStore, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    ref = store.put(b"\0\r\n\xff")
    assert run(["artifacts", "get", ref.id]) == 0
    assert capfdbinary.readouterr().out == b"\0\r\n\xff"
    assert run(["artifacts", "get", ref.id, "--output", "deep/a.bin"]) == 0
    assert (tmp_path / "deep" / "a.bin").read_bytes() == b"\0\r\n\xff"
    assert capfdbinary.readouterr().out == b"deep/a.bin (4 B)\n"


def test_a_file_that_cannot_be_written_is_one_clear_error(store: FakeArtifactStore, cli: Cli) -> None:
    ref = store.put(b"x")
    Path("file").touch()
    assert "error[SYM-A080]" in cli("get", ref.id, "--output", "file/a.bin", code=1)


# -- diff --------------------------------------------------------------------------------------------


def test_diff_shows_descriptions_side_by_side_and_the_lines_that_differ(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    a = store.put(b"one\n\ttwo\nthree\n", name="a.txt", media_type="text/plain", metadata={"k": "1"})
    b = store.put(b"one\n\tTWO\x1b[2J\r\nthree\n", name="b.txt", media_type="text/plain", metadata={"k": "2"})
    lines = cli("diff", a.id, b.id).splitlines()
    assert any(re.match(r"name +a\.txt +b\.txt +differs$", line) for line in lines)
    assert any(re.match(r"type +text/plain +text/plain$", line) for line in lines)
    assert any(re.match(r"metadata k +1 +2 +differs$", line) for line in lines)
    assert lines[-5:] == [" one", "-   two", "+   TWO [2J^M", " three", " "]
    found = as_json("diff", a.id, b.id)
    assert found["differences"]["name"] == {"a": "a.txt", "b": "b.txt"}
    assert "type" not in found["differences"]
    assert found["content"] == "the lines are different"
    assert "-\ttwo" in found["lines"]


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (b"same", b"same", "the bytes are the same"),
        (b"text", b"with \0", "they are binary"),
        (b"\xff\xfe", b"text", "they are binary"),
        (b"text", b"x" * COMPARED, "1.0 MiB or more are not compared"),
    ],
)
def test_diff_says_why_there_are_no_lines(
    store: FakeArtifactStore, cli: Cli, a: bytes, b: bytes, verdict: str
) -> None:
    assert verdict in cli("diff", store.put(a).id, store.put(b).id).splitlines()[-1]


def test_diff_tells_what_was_removed_without_its_bytes(store: FakeArtifactStore, cli: Cli) -> None:
    a, b = store.put(b"a"), store.put(b"b")
    store.remove(a.id)
    assert "one was removed" in cli("diff", a.id, b.id).splitlines()[-1]


# -- lineage and relate ------------------------------------------------------------------------------


def test_lineage_is_a_tree_in_both_directions(store: FakeArtifactStore, cli: Cli) -> None:
    raw = store.put(b"raw", name="raw.csv")
    left = store.put(b"left", lineage=Lineage(inputs=(raw.id,)))
    right = store.put(b"right", lineage=Lineage("r1", "n", inputs=(raw.id, left.id)))
    root, *lines = cli("lineage", right.id).splitlines()
    assert root == f"{right.id} (5 B)"
    assert sorted(line.lstrip("├└│─ ") for line in lines) == sorted(
        [
            "produced by r1/n",
            f"derived from {left.id} (4 B)",
            f"derived from {raw.id} raw.csv (3 B)",
            f"derived from {raw.id} raw.csv (3 B)",
        ]
    )
    assert len(cli("lineage", right.id, "--depth", "1").splitlines()) == 4
    down = cli("lineage", raw.id, "--down")
    assert down.count("source of") == 3
    assert f"source of {right.id} (5 B)" in down


def test_a_tree_draws_each_artifact_below_once_and_ends_where_relations_go_in_circles() -> None:
    relations = [
        Relation("a", "derived-from", "b", 0.0),
        Relation("a", "derived-from", "c", 0.0),
        Relation("b", "derived-from", "c", 0.0),
        Relation("c", "derived-from", "a", 0.0),
    ]
    titles = {name: name.upper() for name in "abc"}
    assert list(tree("a", relations, titles, down=False, ascii=True)) == [
        "|- derived from B",
        "|  `- derived from C",
        "|     `- derived from A (see above)",
        "`- derived from C (see above)",
    ]
    assert list(tree("c", relations[:1], titles, down=False, ascii=False)) == []
    assert list(tree("c", relations[1:3], titles, down=True, ascii=False)) == [
        "├─ source of A",
        "└─ source of B",
    ]


def test_a_long_chain_is_drawn_to_its_end(
    store: FakeArtifactStore, as_json: Callable[..., Any], cli: Cli
) -> None:
    ref = store.put(b"0")
    for number in range(1, 1500):
        ref = store.put(b"%d" % number, lineage=Lineage(inputs=(ref.id,)))
    assert len(cli("lineage", ref.id, "--depth", "5000").splitlines()) == 1500
    assert len(as_json("lineage", ref.id)["relations"]) == 32


def test_an_artifact_of_unknown_origin_is_said_to_be_one(store: FakeArtifactStore, cli: Cli) -> None:
    ref = store.put(b"x")
    assert cli("lineage", ref.id).endswith("nothing is known of where it comes from\n")
    assert cli("lineage", ref.id, "--down").endswith("nothing came from it\n")


def test_a_source_that_is_gone_still_stands_in_the_tree(
    store: FakeArtifactStore, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = store.put(b"x")
    gone = [Relation(ref.id, "derived-from", ABSENT, 0.0)]
    monkeypatch.setattr(store, "lineage", lambda *_, **__: gone)
    assert f"derived from {ABSENT} (gone)" in cli("lineage", ref.id)


def test_relations_are_said_by_hand(store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]) -> None:
    a, b = store.put(b"a"), store.put(b"b")
    assert cli("relate", a.id, "derived-from", b.id) == f"{a.id} derived-from {b.id}\n"
    assert as_json("relate", a.id, "replaces", b.id)["kind"] == "replaces"
    assert cli("relate", a.id, "produced-by", f"hand {EVIL}") == f"{a.id} produced-by hand  [2Jevil\n"
    assert {relation.kind for relation in store.relations(a.id)} == set(KINDS)


# -- put ---------------------------------------------------------------------------------------------


def test_put_stores_files_with_name_type_and_metadata(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    Path("data.csv").write_bytes(b"a,b\n")
    Path("data.tar.gz").write_bytes(b"no archive")
    first, second = as_json("put", "data.csv", "data.tar.gz", "--meta", "source=a=b", "--meta", "empty=")
    assert first["ref"]["name"] == "data.csv"
    assert first["ref"]["media_type"] == "text/csv"
    assert first["metadata"] == {"source": "a=b", "empty": ""}
    assert store.info(second["ref"]["id"]).ref.media_type == "application/octet-stream"
    told = cli("put", "data.csv", "--name", "other.bin", "--type", "x/y", "--durability", "sync")
    assert told == f"{first['ref']['id']} other.bin (4 B)\n"
    assert store.info(first["ref"]["id"]).ref.media_type == "x/y"
    Path("other.bin").write_bytes(b"more")
    assert "other.bin (version 2, 4 B)" in cli("put", "other.bin")


def test_a_file_of_many_parts_is_stored_whole(store: FakeArtifactStore, as_json: Callable[..., Any]) -> None:
    content = bytes(range(256)) * (5 << 12) + b"end"
    Path("large.bin").write_bytes(content)
    (info,) = as_json("put", "large.bin")
    assert store.get(info["ref"]["id"]) == content


# -- tags, pins, holds -------------------------------------------------------------------------------


def test_tags_name_artifacts_and_move(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    a, b = store.put(b"a"), store.put(b"b")
    assert cli("tag", a.id, "best") == f"best is {a.id}\n"
    assert as_json("tag", b.id, "best")["id"] == b.id
    assert as_json("show", "best")["ref"]["id"] == b.id
    assert [(tag["name"], tag["id"]) for tag in as_json("tags")] == [("best", b.id)]
    assert re.search(rf"best +{b.id} ", cli("tags"))
    assert cli("untag", "best") == "nothing has the tag best any more\n"
    cli("tag", a.id, "again")
    assert as_json("untag", "again") == {"untagged": "again"}
    assert store.tags() == []


def test_what_is_pinned_or_held_is_not_removed(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    ref = store.put(b"x", name="x.txt")
    assert cli("pin", ref.id) == f"pinned: {ref.id} x.txt (1 B)\n"
    assert "error[SYM-A040]" in cli("remove", ref.id, code=1)
    assert as_json("unpin", ref.id)["ref"]["id"] == ref.id
    assert cli("hold", ref.id, "--reason", "audit").startswith("held: ")
    assert [hold["reason"] for hold in as_json("hold", ref.id, "--reason", "court")["holds"]] == [
        "audit",
        "court",
    ]
    assert "audit" in cli("remove", ref.id, code=1)
    assert cli("release", ref.id, "--reason", "audit").startswith("released: ")
    assert as_json("release", ref.id, "--reason", "court").get("holds", []) == []
    assert cli("remove", ref.id) == f"removed: {ref.id} x.txt (1 B, removed)\n"


def test_what_was_removed_is_neither_found_nor_read_until_it_is_restored(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    ref = store.put(b"x", name="x.txt")
    assert as_json("remove", ref.id)["removed"] > 0
    assert cli("list") == "no artifacts\n"
    assert "error[SYM-A002]" in cli("get", ref.id, code=1)
    assert ref.id in cli("list", "--removed")
    assert cli("restore", ref.id[:10]) == f"restored: {ref.id} x.txt (1 B)\n"
    assert store.get(ref.id) == b"x"


# -- gc, fsck, usage, keys ---------------------------------------------------------------------------


def test_gc_frees_what_was_removed_long_enough_ago(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    ref = store.put(b"x" * 2048)
    store.remove(ref.id)
    waits = "2.0 KiB can be freed later: somebody may still read or restore it\n"
    assert cli("gc") == f"0 artifacts gone for good, 0 B freed\n{waits}"
    assert cli("gc", "--grace", "0d", "--dry-run") == "1 artifact would be gone for good, 2.0 KiB to free\n"
    assert store.usage().removed == 1
    assert as_json("gc", "--grace", "0d") == {"artifacts": 1, "freed": 2048, "waiting": 0}
    assert store.usage().removed == 0


def test_gc_hands_on_its_grace(store: FakeArtifactStore, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    graces: list[float] = []

    def collect(*, grace: float, dry_run: bool, on_progress: object) -> Collected:
        graces.append(grace)
        return Collected(0, 0, 0)

    monkeypatch.setattr(store, "collect", collect)
    cli("gc")
    cli("gc", "--grace", "12h")
    assert graces == [GRACE, 12 * 3600.0]
    assert Age().convert(GRACE_DAYS, None, None) == GRACE


def test_fsck_names_each_fault_and_the_artifacts_that_it_touches(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    ref = store.put(b"x")
    assert cli("fsck") == "every artifact is whole\n"
    assert as_json("fsck") == {"faults": []}
    store.damage(ref.id)
    told = cli("fsck", code=1)
    assert told.startswith("error[SYM-A005]: ")
    assert f"\n  touches {ref.id}\n" in told
    assert told.endswith("1 fault, 1 artifact touched\n")
    (fault,) = as_json("fsck", code=1)["faults"]
    assert (fault["code"], fault["details"]["artifacts"]) == ("SYM-A005", [ref.id])


def test_fsck_names_some_of_many_artifacts_and_each_once(
    store: FakeArtifactStore, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"b3-{number:064x}" for number in range(NAMED + 2)]
    fault = ArtifactError("a pack is torn", details={"artifacts": ids}).payload()
    bare = ArtifactError(f"nobody needs {EVIL}").payload()
    monkeypatch.setattr(store, "verify", lambda _: [fault, fault, bare])
    told = cli("fsck", code=1)
    assert told.count("touches") == 2 * NAMED
    assert "  and 2 artifacts more\n" in told
    assert told.endswith(f"3 faults, {NAMED + 2} artifacts touched\n")


def test_usage_tells_what_the_store_holds(
    store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]
) -> None:
    store.put(b"x" * 1500)
    assert re.sub(" +", " ", cli("usage")) == (
        "artifacts 1\ntheir bytes 1.5 KiB\non disk 1.5 KiB in 0 packs\nremoved 0\n"
    )
    assert as_json("usage")["bytes"] == 1500


def test_keys_are_told_and_rotated(store: FakeArtifactStore, cli: Cli, as_json: Callable[..., Any]) -> None:
    assert re.search(r"^1 .* yes +file in memory$", cli("keys"), re.MULTILINE)
    assert cli("rotate-keys").startswith("a new master key protects the store: file in memory\nkey 1, ")
    assert as_json("rotate-keys", "--data")["epoch"] == 2
    assert [(key["epoch"], key["current"]) for key in as_json("keys")] == [(2, True), (1, False)]


# -- what is the same for all ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show"], "missing argument 'ARTIFACT'"),
        (["nosuch"], "no such command 'nosuch'"),
        (["list", "--since", "yesterday"], "'yesterday'"),
        (["list", "--since", "0001-01-01"], "'0001-01-01' is no time"),
        (["list", "--name", "\udcff"], "is not text"),
        (["list", "--limit", "0"], "'--limit'"),
        (["tags", "--limit", "9" * 20], "'--limit'"),
        (["untag", "\udcff"], "is not text"),
        (["relate", "b3-00", "produced-by", "\udcff"], "is not text"),
        (["log"], "expected an artifact, or --name"),
        (["log", "b3-00", "--name", "a"], "expected an artifact, or --name"),
        (["diff", "b3-00"], "missing argument 'B'"),
        (["lineage", "b3-00", "--depth", "0"], "'--depth'"),
        (["relate", "b3-00", "made-of", "b3-01"], "'made-of'"),
        (["put"], "missing argument 'FILE...'"),
        (["put", "nosuch.txt"], "'nosuch.txt' does not exist"),
        (["put", "."], "is a directory"),
        (["put", "a", "b", "--name", "c"], "one name was given for 2 files"),
        (["put", "-", "-"], "standard input was given twice"),
        (["put", "a", "--meta", "novalue"], "'novalue' is no fact"),
        (["put", "a", "--meta", "=value"], "'=value' is no fact"),
        (["put", "a", "--meta", "k=1", "--meta", "k=2"], "'k' was given twice"),
        (["put", "a", "--durability", "never"], "'never'"),
        (["hold", "b3-00"], "missing option '--reason'"),
        (["hold", "b3-00", "--reason", "\udcff"], "is not text"),
        (["release", "b3-00"], "missing option '--reason'"),
        (["gc", "--grace", "7"], "'7' is no age"),
        (["gc", "--grace", "-7d"], "'-7d' is no age"),
    ],
)
def test_a_wrong_command_line_ends_with_code_2_and_a_hint(cli: Cli, arguments: list[str], told: str) -> None:
    for name in "ab":
        Path(name).touch()
    printed = cli(*arguments, code=2)
    assert printed.startswith("error[SYM-C040]: ")
    assert told in printed
    assert "hint: " in printed


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["show", ABSENT], "SYM-A002"),
        (["show", "B3-XY!"], "SYM-A004"),
        (["show", "b3-"], "SYM-A004"),
        (["log", ABSENT], "SYM-A002"),
        (["get", ABSENT], "SYM-A002"),
        (["diff", ABSENT, ABSENT], "SYM-A002"),
        (["lineage", ABSENT], "SYM-A002"),
        (["tag", ABSENT, "best"], "SYM-A002"),
        (["tag", ABSENT, f"b3-{EVIL}"], "SYM-A041"),
        (["untag", "nosuch"], "SYM-A041"),
        (["pin", "no-such-tag"], "SYM-A002"),
        (["unpin", ABSENT], "SYM-A002"),
        (["hold", ABSENT, "--reason", "x"], "SYM-A002"),
        (["release", ABSENT, "--reason", "x"], "SYM-A002"),
        (["relate", ABSENT, "replaces", ABSENT], "SYM-A002"),
        (["remove", ABSENT], "SYM-A002"),
        (["restore", ABSENT], "SYM-A002"),
    ],
)
def test_what_is_not_there_is_one_clear_error_and_code_1(cli: Cli, arguments: list[str], error: str) -> None:
    printed = cli(*arguments, code=1)
    assert printed.startswith(f"error[{error}]: ")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["show", "b3-"], "SYM-A004"),
        (["hold", "ID", "--reason", ""], "SYM-A010"),
        (["release", "ID", "--reason", "no such"], "SYM-A042"),
        (["relate", "ID", "replaces", "ID"], "SYM-A042"),
        (["remove", "PREFIX"], "SYM-A004"),
        (["restore", "ID"], "SYM-A042"),
    ],
)
def test_what_the_store_refuses_is_its_own_error(
    store: FakeArtifactStore, as_json: Callable[..., Any], arguments: list[str], error: str
) -> None:
    id = store.put(b"x").id
    words = {"ID": id, "PREFIX": id[:12]}
    printed = as_json(*(words.get(word, word) for word in arguments), code=1)
    assert printed["error"]["code"] == error


def test_a_damaged_artifact_is_not_handed_out(store: FakeArtifactStore, cli: Cli) -> None:
    ref = store.put(b"x")
    store.damage(ref.id)
    assert "error[SYM-A005]" in cli("get", ref.id, code=1)
    assert "error[SYM-A005]" in cli("get", ref.id, "-o", "x.bin", code=1)
    assert not Path("x.bin").exists()


def test_text_of_strangers_moves_no_cursor(store: FakeArtifactStore, cli: Cli) -> None:
    lineage = Lineage(EVIL, EVIL, EVIL, version=EVIL)
    ref = store.put(b"x", name=EVIL, media_type=EVIL, metadata={EVIL: EVIL}, lineage=lineage)
    other = store.put(b"y", name=EVIL, lineage=Lineage(inputs=(ref.id,)))
    store.hold(ref.id, EVIL)
    for arguments in (
        ["list"],
        ["show", ref.id],
        ["log", ref.id],
        ["log", "--name", EVIL],
        ["lineage", other.id],
        ["lineage", ref.id],
        ["diff", ref.id, other.id],
        ["pin", ref.id],
    ):
        printed = cli(*arguments)
        assert "evil" in printed
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", printed)
    assert "\x07" not in cli("remove", ref.id, code=1)


def test_every_command_has_an_example_and_the_choices_of_the_port(cli: Cli) -> None:
    for name, command in artifacts.commands.items():
        assert f"symphony artifacts {name}" in cli(name, "--help").partition("Example:")[2]
        assert isinstance(command, click.Command)
    assert get_args(RelationKind) == KINDS
    assert get_args(Durability) == DURABILITIES


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_progress_line_is_drawn_now_and_then_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    now = 0.0
    with ProgressLine(f"a\x1bb{'c' * 99}", clock=lambda: now) as line:
        line(1, LARGE - 1)
        assert terminal.getvalue() == ""
        line(LARGE // 2, LARGE)
        line(LARGE // 2 + 1, LARGE)
        now += EVERY
        line(LARGE, 0)
        now += SLOW
        line(3, 4)
    first, second, third, nothing = terminal.getvalue().split("\r\x1b[K")[1:]
    assert first == f"a b{'c' * 35}..:  50 %, 32.0 MiB of 64.0 MiB"
    assert second == f"a b{'c' * 35}..: 64.0 MiB"
    assert third == f"a b{'c' * 35}..:  75 %, 3 B of 4 B"
    assert nothing == ""


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_no_progress_is_drawn_where_nothing_can_move_the_cursor(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]
) -> None:
    monkeypatch.setattr(sys, "stderr", written := stream())
    monkeypatch.setenv("TERM", "dumb")
    with ProgressLine("a") as line:
        line(LARGE, LARGE)
    assert written.getvalue() == ""

"""Bundles: what goes out of one store comes into another, once, whole, and the same."""

import os
import signal
import stat
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pit_artifact_store import Store
from symphony_host.artifact_bundles import export_bundle, import_bundle, members, select
from symphony_host.artifact_bundles.replaying import replay_order
from symphony_sdk.errors import ArtifactError
from symphony_sdk.ports import ArtifactStore, Lineage, Score
from symphony_sdk.testing.fakes import FakeArtifactStore

ALL = 10**9
SETTINGS = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))

_index = st.integers(0, 5)
_put = st.fixed_dictionaries(
    {
        "content": _index,
        "name": st.sampled_from(["", "a", "a b.txt"]),
        "media_type": st.sampled_from(["text/plain", "application/octet-stream"]),
        "metadata": st.dictionaries(st.sampled_from("kl"), st.text(max_size=3), max_size=2),
        "run": st.sampled_from(["", "r1"]),
        "inputs": st.lists(_index, max_size=2, unique=True),
        "created": st.floats(0, 2e9),
    }
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _put),
        st.tuples(st.just("put"), _put),
        st.tuples(st.just("tag"), st.tuples(_index, st.sampled_from(["x", "y/1"]))),
        st.tuples(st.just("pin"), _index),
        st.tuples(st.just("hold"), st.tuples(_index, st.sampled_from(["law", "audit"]))),
        st.tuples(st.just("relate"), st.tuples(_index, _index)),
        st.tuples(st.just("score"), st.tuples(_index, st.floats(0, 1), st.floats(1, 2e9))),
    ),
    max_size=14,
)
"""What a store can be told, in some order."""


def fill(store: ArtifactStore, steps: Any) -> list[str]:
    """Tell a store what was drawn; what needs artifacts that are not there is passed over. Gives the ids."""
    ids: dict[int, str] = {}
    for what, drawn in steps:
        match what:
            case "put":
                inputs = tuple(ids[one] for one in drawn["inputs"] if one in ids)
                inputs += ("b3-" + "e" * 64,) if len(drawn["inputs"]) == 2 else ()
                ids[drawn["content"]] = store.put(
                    f"content {drawn['content']}".encode() * 20,
                    name=drawn["name"],
                    media_type=drawn["media_type"],
                    metadata=drawn["metadata"],
                    lineage=Lineage(drawn["run"], "node" if drawn["run"] else "", "ext", inputs, "1"),
                    created=drawn["created"],
                    durability="os",
                ).id
            case "tag" if drawn[0] in ids:
                store.tag(ids[drawn[0]], drawn[1])
            case "pin" if drawn in ids:
                store.pin(ids[drawn])
            case "hold" if drawn[0] in ids:
                store.hold(ids[drawn[0]], drawn[1])
            case "relate" if drawn[0] in ids and drawn[1] in ids and drawn[0] != drawn[1]:
                store.relate(ids[drawn[0]], "derived-from", ids[drawn[1]])
            case "score" if drawn[0] in ids:
                store.score(ids[drawn[0]], Score("acme.scorer", "1", drawn[1], "why", {"a": "b"}, drawn[2]))
    return list(ids.values())


def told(store: ArtifactStore) -> dict[str, Any]:
    """Everything that a store tells but for its ids, and since when tags, holds and relations are there."""
    infos = store.find(limit=ALL)
    of = {info.ref.id: sha256(store.get(info.ref.id)).hexdigest()[:8] for info in infos}

    def one(info: Any) -> Any:
        facts = msgspec.to_builtins(info)
        facts["ref"]["id"] = of[info.ref.id]
        facts["lineage"]["inputs"] = [of.get(id, id) for id in info.lineage.inputs]
        facts["holds"] = sorted(hold["reason"] for hold in facts.get("holds", ()))
        return facts

    names = sorted({info.ref.name for id in of for info in store.history(id)} - {""})
    return {
        "newest": list(of.values()),
        "histories": {hash: [one(info) for info in store.history(id)] for id, hash in of.items()},
        "versions": {name: [one(info) for info in store.versions(name)] for name in names},
        "tags": {tag.name: of.get(tag.id) for tag in store.tags(ALL)},
        "scores": {hash: store.scores(id) for id, hash in of.items()},
        "relations": {
            (of.get(one.subject, one.subject), one.kind, of.get(one.object, one.object))
            for id in of
            for one in store.relations(id)
        },
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.bundle"


@pytest.fixture
def store() -> FakeArtifactStore:
    return FakeArtifactStore()


def exported(store: ArtifactStore, file: Path, *artifacts: str, **options: Any) -> Any:
    ids = select(store, artifacts=artifacts, everything=not artifacts)
    return export_bundle(store, ids, file, **options)


def code_of(call: Any) -> str:
    with pytest.raises(ArtifactError) as caught:
        call()
    return caught.value.code


# -- whole stores ------------------------------------------------------------------------------------


@SETTINGS
@given(steps=STEPS)
def test_a_store_that_goes_through_a_bundle_tells_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: Any
) -> None:
    here, there = FakeArtifactStore(), FakeArtifactStore()
    file = tmp_path_factory.getbasetemp() / "whole.bundle"
    ids = fill(here, steps)
    if not ids:
        assert code_of(lambda: exported(here, file)) == "SYM-A066"
        return
    done = exported(here, file)
    assert (done.artifacts, done.size) == (len(ids), file.stat().st_size)
    added = import_bundle(there, file)
    assert (added.artifacts, added.present, added.faults) == (len(ids), 0, ())
    assert told(there) == told(here)
    again = import_bundle(there, file)
    assert again == type(again)(file=str(file), present=len(ids))
    assert told(there) == told(here)


@SETTINGS
@given(ours=STEPS, theirs=STEPS)
def test_what_is_imported_into_another_store_takes_nothing_from_it_and_a_second_time_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, ours: Any, theirs: Any
) -> None:
    here, there = FakeArtifactStore(), FakeArtifactStore()
    file = tmp_path_factory.getbasetemp() / "merged.bundle"
    fill(there, theirs)
    if not fill(here, ours):
        return
    before, source = told(there), told(here)
    exported(here, file)
    import_bundle(there, file)
    after = told(there)
    assert after["tags"] == source["tags"] | before["tags"]
    assert after["relations"] >= before["relations"] | source["relations"]
    assert after["histories"].keys() == before["histories"].keys() | source["histories"].keys()
    for which in (before, source):
        for hash, infos in which["histories"].items():
            assert {said(info) for info in infos} <= {said(info) for info in after["histories"][hash]}
            assert {*infos[0]["holds"]} <= {*after["histories"][hash][0]["holds"]}
    again = import_bundle(there, file)
    assert again == type(again)(file=str(file), present=len(source["histories"]), taken_tags=again.taken_tags)
    assert told(there) == after


def said(info: Any) -> bytes:
    """What a description says, but for its time and version, which may be others there."""
    return msgspec.json.encode([info["ref"], info["metadata"], info["lineage"]], order="deterministic")


class Killed(BaseException):
    """The end of an import, wherever it is."""


class Mortal(FakeArtifactStore):
    """A store in which only so many changes are made."""

    lives = ALL

    def __getattribute__(self, name: str) -> Any:
        if name in {"put_stream", "tag", "pin", "hold", "score", "relate"}:
            if not self.lives:
                raise Killed
            self.lives -= 1
        return super().__getattribute__(name)


@SETTINGS
@given(steps=STEPS, lives=st.integers(0, 20))
def test_an_import_that_was_ended_anywhere_is_completed_by_the_next(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, lives: int
) -> None:
    here, there = FakeArtifactStore(), Mortal()
    file = tmp_path_factory.getbasetemp() / "ended.bundle"
    if not fill(here, steps):
        return
    exported(here, file)
    there.lives = lives
    try:
        import_bundle(there, file)
    except Killed:
        there.lives = ALL
        import_bundle(there, file)
    there.lives = ALL
    assert told(there) == told(here)


def test_a_real_store_gives_all_to_another_with_other_ids(tmp_path: Path, file: Path) -> None:
    with Store(tmp_path / "here") as here, Store(tmp_path / "there") as there:
        data = here.put(b"data" * 1000, name="data.csv", metadata={"source": "field"}, created=1000.5)
        other = here.put(b"other data", name="data.csv", created=2000.0)
        lineage = Lineage("r1", "count", "acme.count", (data.id, other.id), "1.2")
        report = here.put(b"report", name="report.txt", media_type="text/plain", lineage=lineage)
        here.put(b"data" * 1000, name="data.csv", created=3000.0)
        here.tag(report.id, "best")
        here.pin(data.id)
        here.hold(other.id, "audit")
        here.score(report.id, Score("acme.scorer", "2", 0.75, "good", {"a": "b"}, 5.0))
        here.relate(report.id, "derived-from", other.id)
        done = exported(here, file)
        added = import_bundle(there, file)
        assert (added.artifacts, added.bytes, added.descriptions) == (3, done.bytes, 4)
        assert told(there) == told(here)
        assert there.info("best").ref.id != report.id  # keyed: of this store alone
        inputs = there.info("best").lineage.inputs
        assert [there.get(id) for id in inputs] == [b"data" * 1000, b"other data"]
        assert import_bundle(there, file).present == 3
        assert told(there) == told(here)
        assert not there.verify()


# -- what is chosen ----------------------------------------------------------------------------------


def test_artifacts_are_chosen_by_id_tag_run_and_name_with_all_that_they_come_from(
    store: FakeArtifactStore,
) -> None:
    root = store.put(b"root").id
    middle = store.put(b"middle", lineage=Lineage(inputs=(root,))).id
    leaf = store.put(b"leaf", name="leaf.txt", lineage=Lineage("r1", inputs=(middle,))).id
    store.tag(leaf, "rel/1")
    assert select(store, artifacts=("rel/1", leaf[:12])) == [leaf]
    assert select(store, run="r1") == select(store, name="leaf") == select(store, tag="rel/") == [leaf]
    assert select(store, artifacts=[leaf], lineage=True) == [leaf, middle, root]
    assert {*select(store, everything=True)} == {root, middle, leaf}
    store.remove(root)
    assert select(store, artifacts=[leaf], lineage=True) == [leaf, middle]
    store.collect(grace=0)
    assert select(store, artifacts=[leaf], lineage=True) == [leaf, middle]
    assert code_of(lambda: select(store, run="unknown")) == "SYM-A066"
    store.remove(middle)
    assert code_of(lambda: select(store, artifacts=[middle])) == "SYM-A002"


def test_relations_to_what_is_not_in_the_bundle_are_counted_unless_it_is_there(
    store: FakeArtifactStore, file: Path
) -> None:
    source = store.put(b"source")
    made = store.put(b"made", lineage=Lineage("r1", inputs=(source.id,)))
    exported(store, file, made.id)
    there = FakeArtifactStore()
    assert import_bundle(there, file).unrelated == 1
    assert there.info(made.id).lineage.inputs == (source.id,)
    assert [one.kind for one in there.relations(made.id)] == ["produced-by"]
    there.put(b"source")
    added = import_bundle(there, file)
    assert (added.unrelated, added.relations) == (0, 1)
    assert source.id in {one.object for one in there.lineage(made.id)}


def test_more_artifacts_than_a_bundle_holds_are_refused(
    store: FakeArtifactStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "MOST_ARTIFACTS", 1)
    store.put(b"1")
    store.put(b"2")
    assert code_of(lambda: exported(store, file)) == "SYM-A066"
    assert not file.exists()


def test_damaged_artifacts_are_named_and_the_rest_is_exported(store: FakeArtifactStore, file: Path) -> None:
    sound, damaged = store.put(b"sound", name="n").id, store.put(b"damaged", name="n").id
    store.relate(sound, "derived-from", damaged)
    store.damage(damaged)
    done = exported(store, file)
    assert (done.artifacts, [fault.code for fault in done.faults]) == (1, ["SYM-A005"])
    there = FakeArtifactStore()
    added = import_bundle(there, file)
    assert (added.artifacts, added.unrelated) == (1, 1)
    assert [info.ref.id for info in there.find()] == [sound]


# -- the file ----------------------------------------------------------------------------------------


def test_anybody_can_open_a_bundle_in_clear(store: FakeArtifactStore, file: Path) -> None:
    ref = store.put(b"the bytes", name="a.txt", metadata={"k": "v"})
    exported(store, file)
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            *members.TABLES,
            members.MANIFEST,
            f"blobs/{sha256(b'the bytes').hexdigest()}",
        ]
        assert archive.read(archive.namelist()[-1]) == b"the bytes"
        [line] = archive.read(members.DESCRIPTIONS).splitlines()
        described = msgspec.json.decode(line)
        assert (described["id"], described["name"], described["metadata"]) == (ref.id, "a.txt", {"k": "v"})


def test_the_same_artifacts_give_the_same_bytes(store: FakeArtifactStore, tmp_path: Path) -> None:
    for number in range(20):
        store.put(b"%d" % number, name=f"n{number % 3}", metadata={"b": "1", "a": "2"}, created=7.0)
    first, second = tmp_path / "first", tmp_path / "second"
    exported(store, first)
    exported(store, second)
    assert first.read_bytes() == second.read_bytes()


def test_only_its_owner_can_read_a_bundle_and_an_older_one_is_replaced(
    store: FakeArtifactStore, file: Path
) -> None:
    store.put(b"x")
    file.write_bytes(b"older")
    exported(store, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [*file.parent.iterdir()] == [file]
    assert import_bundle(FakeArtifactStore(), file).artifacts == 1


@pytest.mark.parametrize("unnamed", [True, False])
def test_an_export_that_fails_leaves_the_older_file_and_nothing_else(
    store: FakeArtifactStore, file: Path, monkeypatch: pytest.MonkeyPatch, unnamed: bool
) -> None:
    if not unnamed:
        monkeypatch.delattr(os, "O_TMPFILE")
    ref = store.put(b"x")
    file.write_bytes(b"older")
    reads = iter([b"x", b"y"])
    monkeypatch.setattr(store, "stream", lambda id: iter([next(reads)]))
    with pytest.raises(AssertionError, match="other bytes"):
        export_bundle(store, [ref.id], file)
    assert file.read_bytes() == b"older"
    assert [*file.parent.iterdir()] == [file]


def test_without_files_that_have_no_name_a_bundle_is_written_all_the_same(
    store: FakeArtifactStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_RDWR)  # what older kernels take it for
    store.put(b"x")
    exported(store, file)
    assert [*file.parent.iterdir()] == [file]
    assert import_bundle(FakeArtifactStore(), file).artifacts == 1


@pytest.mark.parametrize("where", ["missing/some.bundle", "folder"])
def test_a_bundle_that_cannot_be_written_is_an_error(
    store: FakeArtifactStore, tmp_path: Path, where: str
) -> None:
    (tmp_path / "folder").mkdir()
    store.put(b"x")
    assert code_of(lambda: exported(store, tmp_path / where)) == "SYM-A060"


def test_progress_is_told_of_all_bytes_in_both_directions(store: FakeArtifactStore, file: Path) -> None:
    store.put(b"a" * 1000)
    store.put(b"b" * 500, name="n")
    store.put(b"b" * 500)
    seen: list[tuple[int, int]] = []
    exported(store, file, on_progress=lambda *told: seen.append(told))
    assert seen[-1] == (3000, 3000)
    there = FakeArtifactStore()
    for _ in range(2):
        import_bundle(there, file, on_progress=lambda *told: seen.append(told))
        assert seen[-1] == (3000, 3000)
    import_bundle(there, file, dry_run=True, on_progress=lambda *told: seen.append(told))
    assert all(done <= total for done, total in seen)


# -- into a store that has something -----------------------------------------------------------------


def test_a_tag_that_another_artifact_has_is_not_taken_from_it_but_named(
    store: FakeArtifactStore, file: Path
) -> None:
    ref = store.put(b"ours")
    store.tag(ref.id, "best")
    store.tag(ref.id, "free")
    exported(store, file)
    there = FakeArtifactStore()
    theirs = there.put(b"theirs")
    there.tag(theirs.id, "best")
    added = import_bundle(there, file)
    assert [(one.name, one.id, one.kept_by) for one in added.taken_tags] == [("best", ref.id, theirs.id)]
    assert added.tags == 1
    assert there.info("best").ref.id == theirs.id
    assert there.info("free").ref.id == ref.id


def test_the_newer_score_of_a_scorer_stays(store: FakeArtifactStore, file: Path) -> None:
    ref = store.put(b"x")
    store.score(ref.id, Score("a", "1", 0.1, created=10.0))
    store.score(ref.id, Score("b", "1", 0.2, created=30.0))
    exported(store, file)
    there = FakeArtifactStore()
    there.put(b"x")
    for scorer in "ab":
        there.score(ref.id, Score(scorer, "2", 0.9, created=20.0))
    assert import_bundle(there, file).scores == 1
    assert [score.value for score in there.scores(ref.id)] == [0.9, 0.2]


def test_what_was_removed_here_is_restored_and_what_is_damaged_here_is_mended(
    store: FakeArtifactStore, file: Path
) -> None:
    removed, damaged = store.put(b"removed", name="r").id, store.put(b"damaged", name="d").id
    exported(store, file)
    store.remove(removed)
    store.damage(damaged)
    dry = import_bundle(store, file, dry_run=True)
    assert (dry.restored, dry.mended) == (1, 1)
    assert [fault.details["id"] for fault in store.verify()] == [damaged]
    added = import_bundle(store, file)
    assert (added.present, added.restored, added.mended, added.descriptions) == (2, 1, 1, 0)
    assert (store.get(removed), store.get(damaged)) == (b"removed", b"damaged")
    assert not store.verify()


def test_a_dry_run_says_what_would_be_added_and_adds_nothing(store: FakeArtifactStore, file: Path) -> None:
    fill(store, [("put", {"content": 1, "name": "n", "media_type": "text/plain", "metadata": {}, "run": "r",
                          "inputs": [], "created": 1.0}), ("tag", (1, "x")), ("pin", 1), ("hold", (1, "law")),
                 ("score", (1, 0.5, 2.0))])  # fmt: skip
    exported(store, file)
    there = FakeArtifactStore()
    dry = import_bundle(there, file, dry_run=True)
    assert there.usage().artifacts == 0
    assert (dry.artifacts, dry.descriptions, dry.tags, dry.pins, dry.holds, dry.scores) == (1, 1, 1, 1, 1, 1)
    done = import_bundle(there, file)
    assert (done.artifacts, done.descriptions, done.tags) == (1, 1, 1)
    assert import_bundle(there, file, dry_run=True) == type(dry)(file=str(file), present=1)


def test_an_artifact_between_whose_versions_another_is_missing_gets_one_version(
    store: FakeArtifactStore, file: Path
) -> None:
    ours = store.put(b"ours", name="n").id
    store.put(b"other", name="n")
    store.put(b"ours", name="n")
    exported(store, file, ours)
    there = FakeArtifactStore()
    assert import_bundle(there, file).descriptions == 1
    assert [info.version for info in there.history(ours)] == [1]
    there.put(b"newer", name="n")
    assert import_bundle(there, file).descriptions == 0
    assert len(there.versions("n")) == 2


def test_the_versions_of_a_name_that_are_here_in_another_order_stay_so(
    store: FakeArtifactStore, file: Path
) -> None:
    for data in (b"x", b"y", b"x", b"z"):
        store.put(data, name="n" if data != b"z" else "other")
    exported(store, file)
    there = FakeArtifactStore()
    there.put(b"y", name="n")
    there.put(b"x", name="n")
    for added in (1, 0, 0):
        assert import_bundle(there, file).descriptions == added
        assert [there.get(info.ref.id) for info in there.versions("n")] == [b"x", b"y"]
        assert [there.get(info.ref.id) for info in there.find()] == [b"z", b"x", b"y"]


def test_versions_keep_their_order_whenever_they_were_first_stored(
    store: FakeArtifactStore, file: Path
) -> None:
    store.put(b"x", name="n", created=9.0)
    store.put(b"y", name="n", created=1.0)
    store.put(b"x", name="m", created=5.0)
    exported(store, file)
    there = FakeArtifactStore()
    import_bundle(there, file)
    assert [there.get(info.ref.id) for info in there.versions("n")] == [b"y", b"x"]
    assert told(there) == told(store)


def test_a_store_that_seems_to_have_been_told_things_in_a_circle_is_exported_by_time(
    store: FakeArtifactStore,
) -> None:
    one, other = store.put(b"1", created=1.0).id, store.put(b"2", created=2.0).id
    histories = {one: store.history(one), other: store.history(other)}
    told_again = replay_order(histories, [one, other, one])
    assert [info.ref.id for info in told_again] == [one, other]


# -- killed ------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from pit_artifact_store import Store
from symphony_host.artifact_bundles import export_bundle, import_bundle, select

what, folder, file, left = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])

def tell(done, total):
    global left
    left -= 1
    if not left:
        print("here", flush=True)
        sys.stdin.read()  # until it is killed

with Store(folder) as store:
    if what == "export":
        export_bundle(store, select(store, everything=True), file, on_progress=tell)
    else:
        import_bundle(store, file, on_progress=tell)
"""


def kill_at(step: int, *arguments: object) -> None:
    """Kill a process that exports or imports when it tells for the so manieth time how far it is."""
    command = [sys.executable, "-c", CHILD, *map(str, arguments), str(step)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """The directory of a store with 12 artifacts of 3 MiB."""
    with Store(tmp_path / "here") as store:
        for number in range(12):
            ref = store.put(
                os.urandom(3 << 20), name=f"n{number % 2}", durability="os", created=float(number)
            )
            store.tag(ref.id, f"t{number}")
    return tmp_path / "here"


@pytest.mark.parametrize("step", [1, 45, 72])
def test_an_export_that_is_killed_leaves_nothing(large: Path, tmp_path: Path, step: int) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    kill_at(step, "export", large, folder / "killed.bundle")
    assert not [*folder.iterdir()]


def test_an_import_that_is_killed_is_completed_by_the_next(large: Path, tmp_path: Path, file: Path) -> None:
    with Store(large) as here:
        exported(here, file)
        expected = told(here)
    for step in (10, 38, 50, 60):  # the first 36 are of the check
        kill_at(step, "import", tmp_path / "there", file)
    with Store(tmp_path / "there") as there:
        assert not there.verify()
        some = len(there.find())
        assert 0 < some < 12
        added = import_bundle(there, file)
        assert (added.artifacts, added.present) == (12 - some, some)
        assert told(there) == expected


# -- memory ------------------------------------------------------------------------------------------

MEASURED = """
import resource, sys
from pathlib import Path
from pit_artifact_store import Store
from symphony_host.artifact_bundles import export_bundle, import_bundle, select

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

folder, sealed = Path(sys.argv[1]), sys.argv[2] == "sealed"
passphrase = b"secret" if sealed else None
with Store(folder / "here") as here, Store(folder / "there") as there:
    for number, size in enumerate((9 << 20, 64 << 20)):
        part = bytes(range(256)) * 2048
        parts = (part[:-4] + (number * 1000 + at).to_bytes(4, "big") for at in range(size // len(part)))
        ref = here.put_stream(parts, name="large", durability="os")
        before = peak()
        file = folder / "b"
        export_bundle(here, [ref.id], file, passphrase=passphrase)
        assert import_bundle(there, file, passphrase=passphrase).bytes == ref.size
        assert file.stat().st_size > ref.size
    print(peak() - before)
"""


@pytest.mark.parametrize("how", ["clear", "sealed"])
def test_64_mib_go_out_and_in_in_constant_memory(tmp_path: Path, how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path), how], capture_output=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 16 << 10  # KiB more than for 9 MiB

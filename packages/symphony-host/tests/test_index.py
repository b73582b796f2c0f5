import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import symphony_host
import symphony_sdk
from symphony_host import discovery
from symphony_host.index import index_file, load_records

RECORDS = (
    "import json\n"
    "from symphony_host.index import load_records\n"
    "print(json.dumps(sorted(r.id for r in load_records() if r.id.startswith('acme'))))"
)
HEAVY = (
    "import sys\n"
    "from symphony_host.index import load_records\n"
    "records = load_records()\n"
    "names = set(sys.modules)\n"
    "import json\n"
    "heavy = 'msgspec pydantic importlib.metadata importlib_metadata tomllib packaging platformdirs '\n"
    "heavy += 'pathlib json typing re'\n"
    "print(json.dumps([sorted(names & set(heavy.split())), [r.id for r in records]]))"
)


@pytest.fixture
def scans(monkeypatch):
    """Counts how often discovery really looks."""
    counted = []
    real = discovery.discover

    def discover():
        counted.append(1)
        return real()

    monkeypatch.setattr(discovery, "discover", discover)
    return counted


def acme(records):
    return {record.id: record for record in records if record.id.startswith("acme")}


def test_a_warm_load_gives_the_same_records_and_looks_at_no_manifest(site, scans):
    site.add("text", more='[requires]\nextensions = [{ id = "acme.gone" }]\nafter = ["acme.first"]\n')
    site.add("bad", more="colour = 1\n")
    site.settle()
    cold = load_records()
    warm = load_records()
    assert (warm, len(scans)) == (cold, 1)
    assert acme(warm)["acme.text"].manifest == acme(cold)["acme.text"].manifest
    assert acme(warm)["acme.bad"].error.payload() == acme(cold)["acme.bad"].error.payload()


def test_a_warm_load_imports_nothing_heavy(site, tmp_path):
    site.add("base")
    site.add(
        "text", more='[requires]\nsymphony = ">=0.1"\nextensions = [{ id = "acme.base", version = ">=1" }]\n'
    )
    site.settle()
    heavy, cold = site.run(HEAVY, cache=tmp_path / "cache")
    assert "pydantic" in heavy
    assert site.run(HEAVY, cache=tmp_path / "cache") == [[], cold]
    assert {"acme.base", "acme.text"} <= set(cold)


def test_refresh_looks_anew(site, scans):
    site.add("text")
    site.settle()
    load_records()
    load_records(refresh=True)
    assert len(scans) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda site, root: site.add("more"),
        lambda site, root: (root / "symphony.toml").write_text("schema = 1\n"),
        lambda site, root: (root / "symphony.toml").unlink(),
        lambda site, root: (site.path / "acme_text-1.0.dist-info" / "entry_points.txt").write_text(""),
        lambda site, root: (site.path / "acme_text-1.0.dist-info").rename(site.path / "x-1.dist-info"),
    ],
    ids=["installed", "manifest edited", "manifest removed", "entry points edited", "renamed"],
)
def test_a_change_of_what_is_installed_is_seen(site, scans, change):
    root = site.add("text")
    site.settle()
    load_records()
    change(site, root)
    changed = load_records()
    assert (len(scans), acme(changed)) == (2, site.discover())


def test_a_manifest_that_appears_is_seen(site, scans):
    root = site.add("text", manifest=None)
    site.settle()
    assert acme(load_records())["acme-text:text"].error.code == "SYM-M002"
    load_records()
    assert len(scans) == 1
    site.add("text")
    assert root.joinpath("symphony.toml").exists()
    assert acme(load_records())["acme.text"].usable


def test_a_package_that_is_missing_is_looked_for_each_time(site, scans):
    site.add("text", entry_points="[symphony.extensions]\ntext = acme_later:symphony.toml\n")
    site.settle()
    load_records()
    load_records()
    assert len(scans) == 2


def test_what_changed_just_now_is_not_taken_for_settled(site, scans):
    site.add("text")
    soon = time.time() + 60  # as late as anything that changes while it is looked at, however slow the look
    os.utime(site.path / "acme_text-1.0.dist-info" / "entry_points.txt", (soon, soon))
    load_records()
    load_records()
    assert len(scans) == 2


def test_a_directory_without_distributions_may_change_as_it_likes(site, scans, tmp_path, monkeypatch):
    site.add("text")
    site.settle()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr(sys, "path", [str(work), *sys.path])
    load_records()
    (work / "notes.txt").write_text("hello")
    load_records()
    monkeypatch.setattr(sys, "path", sys.path[1:])
    load_records()
    assert len(scans) == 1


def test_a_directory_that_comes_to_hold_distributions_is_seen(site, scans, tmp_path, monkeypatch):
    site.add("text")
    site.settle()
    other = type(site)(tmp_path / "other")
    monkeypatch.setattr(sys, "path", [*sys.path, str(other.path)])
    load_records()
    other.add("more")
    assert sorted(acme(load_records())) == ["acme.more", "acme.text"]


def test_the_order_of_the_path_counts(site, scans, monkeypatch):
    site.add("text")
    site.settle()
    load_records()
    monkeypatch.setattr(sys, "path", [*sys.path[1:], sys.path[0]])
    load_records()
    assert len(scans) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\x00" + data[1:],
        lambda data: data.replace(b"acme.text", b"acme.tixt"),
        lambda data: b"00000000\n{}",
        lambda data: os.urandom(2000),
        lambda data: b"[" * 100_000,
    ],
    ids=["empty", "cut", "flipped", "forged", "other", "random", "deep"],
)
def test_a_damaged_index_is_made_anew(site, scans, damage):
    site.add("text")
    site.settle()
    cold = load_records()
    file = Path(index_file(os.environ["SYMPHONY_CACHE_DIR"]))
    file.write_bytes(damage(file.read_bytes()))
    assert load_records() == cold
    assert load_records() == cold
    assert len(scans) == 2


def test_an_index_of_another_format_is_made_anew(site, scans, monkeypatch):
    site.add("text")
    site.settle()
    load_records()
    monkeypatch.setattr("symphony_host.index.FORMAT", 0)
    load_records()
    assert len(scans) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(site, scans, tmp_path):
    site.add("text")
    site.settle()
    (tmp_path / "cache").write_text("a file where the directory would be")
    assert "acme.text" in acme(load_records())
    assert "acme.text" in acme(load_records())
    assert len(scans) == 2


def test_an_index_that_is_a_directory_costs_only_time_and_leaves_no_litter(site, scans, tmp_path):
    site.add("text")
    site.settle()
    file = Path(index_file(str(tmp_path / "cache")))
    file.mkdir(parents=True)
    assert "acme.text" in acme(load_records())
    assert list(file.parent.iterdir()) == [file]


def test_an_index_of_another_version_of_symphony_is_made_anew(site, scans, monkeypatch):
    site.add("text")
    site.settle()
    load_records()
    monkeypatch.setattr("symphony_host.index.__version__", "0.0.1")
    load_records()
    assert len(scans) == 2


def test_host_and_sdk_are_of_one_version():
    assert symphony_host.__version__ == symphony_sdk.__version__


def test_the_index_is_kept_where_it_is_asked_to_be(site, tmp_path):
    site.add("text")
    site.settle()
    load_records(cache_dir=str(tmp_path / "elsewhere"))
    assert [file.suffix for file in (tmp_path / "elsewhere").iterdir()] == [".json"]
    assert not (tmp_path / "cache").exists()


def test_many_processes_that_start_at_once_all_see_the_same(site, tmp_path):
    site.add("text")
    site.settle()
    environment = {
        **os.environ,
        "PYTHONPATH": str(site.path),
        "SYMPHONY_CACHE_DIR": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-c", RECORDS]
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(6)]
    answers = [json.loads(process.communicate()[0]) for process in started]
    assert answers == [["acme.text"]] * 6
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".json"]

"""`symphony artifacts export` and `import`: what they say, what they refuse, and where the passphrase comes from."""

import json
import os
import pty
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from symphony_host.cli.root import run
from symphony_sdk.ports import Lineage, Score
from symphony_sdk.testing.fakes import FakeArtifactStore

Cli = Callable[..., str]

COMMAND = (sys.executable, "-m", "symphony_host", "artifacts")
EVIL = "\x1b[2Jevil\x07"


class Stores:
    """Stores in memory, one of which the commands use."""

    def __init__(self) -> None:
        self.current = self.here = FakeArtifactStore()
        self.there = FakeArtifactStore()


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stores:
    stores = Stores()

    @asynccontextmanager
    async def opened(settings: object) -> Any:
        yield SimpleNamespace(artifacts=stores.current)

    composition = ModuleType("symphony_host.composition")
    composition.Host = SimpleNamespace(open=opened)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "symphony_host.composition", composition)
    monkeypatch.chdir(tmp_path)
    return stores


@pytest.fixture
def cli(stores: Stores, capsys: pytest.CaptureFixture[str]) -> Cli:
    """What `symphony artifacts ...` prints: an export of one store, an import into the other."""

    def symphony(command: str, *arguments: str, code: int = 0) -> str:
        stores.current = stores.here if command == "export" else stores.there
        assert run(["artifacts", command, *arguments]) == code, capsys.readouterr()
        out, err = capsys.readouterr()
        assert "\x1b[2J" not in out + err
        return out + err

    return symphony


@pytest.fixture
def one(stores: Stores) -> str:
    """An artifact with everything that one can have."""
    source = stores.here.put(b"source")
    ref = stores.here.put(b"data", name="a.txt", lineage=Lineage("r1", "n", "e", (source.id,), "1"))
    stores.here.tag(ref.id, "best")
    stores.here.pin(ref.id)
    stores.here.hold(ref.id, "audit")
    stores.here.score(ref.id, Score("acme.scorer", "1", 0.5))
    return ref.id


def test_an_export_and_an_import_say_what_they_did(stores: Stores, cli: Cli, one: str) -> None:
    assert cli("export", "best", "--lineage", "-o", "a.bundle") == "a.bundle (2 artifacts, 10 B)\n"
    told = cli("import", "a.bundle", "--dry-run").splitlines()
    assert told[0] == "2 artifacts would be added, 10 B; 0 are here already"
    assert stores.there.usage().artifacts == 0
    told = cli("import", "a.bundle").splitlines()
    assert told[0] == "2 artifacts added, 10 B; 0 are here already"
    assert told[1] == "added: 2 descriptions, 1 tag, 1 pin, 1 hold, 1 score"
    assert cli("import", "a.bundle") == "0 artifacts added, 0 B; 2 are here already\n"
    info = stores.there.info("best")
    assert (info.ref.id, info.pinned, info.holds[0].reason, info.quality) == (one, True, "audit", 0.5)


def test_json_has_all_that_was_done(stores: Stores, cli: Cli, one: str) -> None:
    done = json.loads(cli("export", "--all", "--output", "a.bundle", "--json"))
    size = Path("a.bundle").stat().st_size
    assert done == {"file": "a.bundle", "artifacts": 2, "bytes": 10, "size": size, "faults": []}
    added = json.loads(cli("import", "a.bundle", "--json"))
    assert (added["artifacts"], added["descriptions"], added["faults"], added["taken_tags"]) == (2, 2, [], [])


@pytest.mark.parametrize(
    "chosen", [["--run", "r1"], ["--name", "a."], ["--tag", "be"], ["--run", "r1", "--tag", "best"]]
)
def test_each_filter_chooses(stores: Stores, cli: Cli, one: str, chosen: list[str]) -> None:
    assert cli("export", *chosen, "-o", "a.bundle") == "a.bundle (1 artifact, 4 B)\n"
    told = cli("import", "a.bundle").splitlines()
    assert told[0] == "1 relation left out: to artifacts neither in the bundle nor here"


@pytest.mark.parametrize("chosen", [[], ["best", "--all"], ["best", "--run", "r1"], ["--all", "--tag", "b"]])
def test_artifacts_filters_or_all_are_expected(cli: Cli, one: str, chosen: list[str]) -> None:
    assert "SYM-C040" in cli("export", *chosen, "-o", "a.bundle", code=2)
    assert not Path("a.bundle").exists()


def test_nothing_to_export_is_an_error(cli: Cli) -> None:
    assert "SYM-A066" in cli("export", "--all", "-o", "a.bundle", code=1)
    assert "SYM-A002" in cli("export", "b3-00", "-o", "a.bundle", code=1)


def test_tags_that_are_taken_and_what_was_restored_are_named(stores: Stores, cli: Cli, one: str) -> None:
    theirs = stores.there.put(b"theirs").id
    stores.there.tag(theirs, "best")
    stores.there.put(b"data", name="a.txt")
    stores.there.remove(one)
    cli("export", "best", "--lineage", "-o", "a.bundle")
    told = cli("import", "a.bundle", "--dry-run").splitlines()
    assert told[0] == f"the tag best stays with {theirs}; in the bundle {one} has it"
    assert told[1] == "1 artifact would be added, 6 B; 1 is here already"
    cli("import", "a.bundle")
    stores.there.unpin(one)
    stores.there.release(one, "audit")
    stores.there.remove(one)
    told = cli("import", "a.bundle").splitlines()
    assert told[1:] == [
        "0 artifacts added, 0 B; 2 are here already",
        "added: 1 pin, 1 hold",
        "restored: 1; mended: 0",
    ]


def test_what_is_damaged_is_named_and_the_exit_code_is_1(stores: Stores, cli: Cli, one: str) -> None:
    stores.here.damage(stores.here.put(b"broken").id)
    told = cli("export", "--all", "-o", "a.bundle", code=1)
    assert "SYM-A005" in told
    assert told.endswith("a.bundle (2 artifacts, 10 B)\n")
    content = Path("a.bundle").read_bytes()
    Path("a.bundle").write_bytes(content.replace(b"source", b"sourcE"))
    told = cli("import", "a.bundle", code=1)
    assert "SYM-A065" in told
    assert "1 artifact added, 4 B" in told


def test_what_a_bundle_says_cannot_write_to_the_terminal(stores: Stores, cli: Cli) -> None:
    stores.here.put(b"x", name=EVIL)
    cli("export", "--all", "-o", "a.bundle")
    with zipfile.ZipFile("a.bundle", "a") as archive:
        archive.writestr(f"../{EVIL}", b"")
    assert "SYM-A062" in cli("import", "a.bundle", code=1)
    assert "SYM-A061" in cli("import", __file__, code=1)


def test_a_sealed_bundle_takes_its_passphrase_from_the_variable(
    stores: Stores, cli: Cli, one: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "SYM-A064" in cli("export", "--all", "--encrypt", "-o", "a.bundle", code=1)
    monkeypatch.setenv("SYMPHONY_BUNDLE_PASSPHRASE", "correct horse")
    told = cli("export", "--all", "--encrypt", "-o", "a.bundle")
    assert told == "a.bundle (2 artifacts, 10 B, sealed)\n"
    assert b"source" not in Path("a.bundle").read_bytes()
    cli("import", "a.bundle")
    assert stores.there.get("best") == b"data"
    monkeypatch.setenv("SYMPHONY_BUNDLE_PASSPHRASE", "wrong")
    assert "SYM-A064" in cli("import", "a.bundle", code=1)


# -- in processes of their own, on the store that is installed -----------------------------------------


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Become another user, with another store."""
    monkeypatch.chdir(tmp_path)

    def become(name: str) -> None:
        for kind in ("DATA", "CACHE", "CONFIG"):
            monkeypatch.setenv(f"SYMPHONY_{kind}_DIR", str(tmp_path / name / kind.lower()))

    become("one")
    return become


def artifacts(*arguments: str, code: int = 0) -> bytes:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def on_a_terminal(*arguments: str, typed: tuple[str, ...]) -> str:
    """What `symphony artifacts` shows on a terminal where each question is answered."""
    ours, theirs = pty.openpty()
    # In a session of its own, so that it asks there and not on the terminal of whoever runs the tests.
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown, answers = b"", iter(typed)
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux says EIO where all writers are gone
            break
        if not part:
            break
        shown += part
        if shown.endswith(b": ") and (answer := next(answers, None)) is not None:
            os.write(ours, f"{answer}\n".encode())
    os.close(ours)
    assert process.wait(60) == 0, shown
    return shown.decode()


def test_a_passphrase_is_asked_for_on_a_terminal_and_not_shown(user: Callable[[str], None]) -> None:
    Path("a.txt").write_bytes(b"some text")
    artifacts("put", "a.txt")
    typed = ("correct horse", "correct horse")
    shown = on_a_terminal("export", "--all", "--encrypt", "-o", "a.bundle", typed=typed)
    assert "a.bundle (1 artifact, 9 B, sealed)" in shown
    assert "correct" not in shown
    user("two")
    shown = on_a_terminal("import", "a.bundle", typed=("correct horse",))
    assert "1 artifact added, 9 B" in shown
    [info] = json.loads(artifacts("list", "--json"))
    assert info["ref"]["name"] == "a.txt"
    assert artifacts("get", info["ref"]["id"]) == b"some text"
    assert artifacts("fsck") == b"every artifact is whole\n"


def test_a_bundle_mends_a_store_that_its_disk_damaged(user: Callable[[str], None], tmp_path: Path) -> None:
    data = os.urandom(300_000)
    Path("a.bin").write_bytes(data)
    artifacts("put", "a.bin")
    artifacts("export", "--all", "-o", "backup.bundle")
    [pack] = [path for path in tmp_path.glob("one/data/**/packs/**/*") if path.is_file()]
    with pack.open("r+b") as stream:
        stream.seek(100_000)
        stream.write(b"????")
    assert artifacts("fsck", code=1).endswith(b"1 fault, 1 artifact touched\n")
    assert b"mended: 1" in artifacts("import", "backup.bundle")
    assert artifacts("fsck", code=1).endswith(b"1 fault, 0 artifacts touched\n")  # until it is collected
    [info] = json.loads(artifacts("list", "--json"))
    assert artifacts("get", info["ref"]["id"]) == data

"""`symphony artifacts tier` on a store in memory: what is said, and with which exit code."""

import json
import sys
from contextlib import asynccontextmanager
from types import ModuleType, SimpleNamespace

import pytest
from symphony_host.cli.root import run
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.ports import TierReport, TierStatus
from symphony_sdk.testing.fakes import FakeArtifactStore, FakeArtifactTier

EVIL = "\x1b[2Jevil"
FAULT = ErrorPayload("SYM-A053", f"a pack is not what was put there {EVIL}", hint="Back up again.")


@pytest.fixture
def tier():
    return FakeArtifactTier()


@pytest.fixture
def store(tier, monkeypatch, tmp_path):
    store = FakeArtifactStore(tier)
    store.set = []

    @asynccontextmanager
    async def opened(settings):
        yield SimpleNamespace(artifacts=store, set_of_component=lambda *given: store.set.append(given))

    composition = ModuleType("symphony_host.composition")
    composition.Host = SimpleNamespace(open=opened)
    monkeypatch.setitem(sys.modules, "symphony_host.composition", composition)
    monkeypatch.chdir(tmp_path)
    return store


@pytest.fixture
def cli(store, capsys):
    def symphony(*arguments, code=0):
        assert run(["artifacts", "tier", *arguments]) == code
        out, err = capsys.readouterr()
        assert "\x1b[2J" not in out + err
        return out if code == 0 else out + err

    return symphony


def test_each_command_says_how_many_packs_it_moved(store, cli):
    store.put(b"x" * 2048)
    assert cli("back-up") == "1 pack copied to the tier, 2.0 KiB\n"
    assert cli("offload") == "0 packs in the tier alone now, 0 B\n"  # nothing is thirty days old
    assert cli("offload", "--age", "0d") == "1 pack in the tier alone now, 2.0 KiB\n"
    assert cli("recall") == "1 pack back on this machine, 2.0 KiB\n"
    assert json.loads(cli("back-up", "--json")) == {"packs": 0, "bytes": 0, "kept": 1, "faults": []}


def test_a_store_is_restored_from_the_url_that_is_given(store, tier, cli):
    other = FakeArtifactStore(tier)
    id = other.put(b"x", name="kept").id
    other.back_up()
    assert cli("restore", "s3://bucket/folder").startswith("1 pack restored, 1 B\n")
    assert store.set == [("artifact_store", "tier", "s3://bucket/folder")]
    assert store.info(id).ref.name == "kept"
    assert "SYM-A054" in cli("restore", "s3://bucket/folder", code=1)


def test_what_could_not_be_moved_is_told_and_the_exit_code_is_1(store, cli, monkeypatch):
    for command, method in (("back-up", "back_up"), ("offload", "offload"), ("recall", "recall")):
        monkeypatch.setattr(store, method, lambda **_: TierReport(1, 2, 3, (FAULT,)))
        told = cli(command, code=1)
        assert "1 pack " in told
        assert "SYM-A053" in told
        assert json.loads(cli(command, "--json", code=1))["faults"][0]["code"] == "SYM-A053"


def test_the_status_says_what_is_where(store, cli):
    store.put(b"x" * 2048)
    store.back_up()
    store.put(b"y" * 1024)
    told = " ".join(cli("status").split())
    for words in (
        "tier fake://tier",
        "the store 3.0 KiB in 2 packs",
        "here and there 2.0 KiB",
        "not backed up 1.0 KiB",
    ):
        assert words in told
    assert json.loads(cli("status", "--json"))["backed_up"] == 2048


def test_the_status_names_what_is_missing_and_why_the_tier_cannot_be_asked(store, tier, cli, monkeypatch):
    tier.reachable = False
    assert "SYM-A050" in cli("status", code=3)
    told = TierStatus("s3://x", 1, 2, 2, 0, 0, (f"{EVIL}.pack",), 4)
    monkeypatch.setattr(store, "tier", lambda: told)
    printed = cli("status", code=1)
    assert "which should be there" in printed
    assert "4 packs" in printed


def test_an_age_that_is_none_is_a_wrong_command_line(cli):
    assert "write a number" in cli("offload", "--age", "soon", code=2)

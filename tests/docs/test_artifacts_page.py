"""The page "Find and keep artifacts", done to the letter: its commands in their order, on the real store."""

import json
import re
import shlex

import pytest
from symphony_host.cli.root import run


@pytest.fixture
def artifacts(tmp_path, monkeypatch, capsys):
    """What `symphony artifacts ...` gives, in a folder and with a store of its own."""
    for kind in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"SYMPHONY_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.chdir(tmp_path)

    def artifacts(*arguments):
        assert run(["artifacts", *arguments]) == 0, capsys.readouterr()
        return capsys.readouterr().out

    return artifacts


def test_the_commands_of_the_page_work_in_their_order(pages, artifacts, tmp_path):
    (tmp_path / "survey.csv").write_text("a,b\n1,2\n")
    (tmp_path / "other.csv").write_text("a,b\n1,3\n")
    [other] = json.loads(artifacts("put", "other.csv", "--json"))
    names = {"OTHER": other["ref"]["id"], "RUN": "some-run"}
    done = []
    for block in pages["how-to/find-and-keep-artifacts.md"].blocks:
        for line in re.findall(r"^\$ symphony artifacts (.+)$", block.text, re.MULTILINE):
            told = artifacts(*(names.get(word, word) for word in shlex.split(line)))
            done.append(line.split()[0])
            if done == ["put"]:
                names["ID"] = told.split()[0]
    assert len(set(done)) == 23  # every command but those that have pages of their own
    assert (tmp_path / "copy.csv").read_bytes() == (tmp_path / "survey.csv").read_bytes()
    survey = json.loads(artifacts("show", "survey", "--json"))
    assert survey["ref"]["name"] == "survey.csv"
    assert survey["metadata"] == {"source": "field"}
    assert not survey.get("removed")
    assert [relation["kind"] for relation in survey["relations"]] == ["derived-from"]

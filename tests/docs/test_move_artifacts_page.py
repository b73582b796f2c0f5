"""The page "Move artifacts", done to the letter: its commands in their order, from one real store into another."""

import json
import re
import shlex
import subprocess

import pytest
from symphony_host.artifact_bundles.members import MANIFEST, TABLES
from symphony_host.cli.root import run


@pytest.fixture
def symphony(tmp_path, monkeypatch, capsys):
    """What `symphony ...` gives with the stores of a user, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYMPHONY_BUNDLE_PASSPHRASE", "correct horse")

    def symphony(user, *arguments):
        for kind in ("DATA", "CACHE", "CONFIG"):
            monkeypatch.setenv(f"SYMPHONY_{kind}_DIR", str(tmp_path / user / kind.lower()))
        assert run([*arguments]) == 0, capsys.readouterr()
        return capsys.readouterr().out

    return symphony


def test_the_commands_of_the_page_work_in_their_order(pages, symphony, tmp_path):
    page = pages["how-to/move-artifacts.md"]
    (tmp_path / "raw.csv").write_text("a,b\n1,2\n")
    (tmp_path / "report.csv").write_text("a,b\n1,3\n")
    [raw, report] = json.loads(symphony("here", "artifacts", "put", "raw.csv", "report.csv", "--json"))
    raw, report = raw["ref"]["id"], report["ref"]["id"]
    symphony("here", "artifacts", "relate", report, "derived-from", raw)
    for tag in ("survey", "release/1"):
        symphony("here", "artifacts", "tag", report, tag)
    done = []
    for block in page.blocks:
        for line in re.findall(r"^(?:\$ )?symphony (artifacts .+)$", block.text, re.MULTILINE):
            words = shlex.split(line)
            if "--run" not in words:  # nothing has run here
                symphony("there" if words[1] == "import" else "here", *words)
            done.append(words[1])
    assert done == ["export"] * 6 + ["import"] * 2
    there = json.loads(symphony("there", "artifacts", "show", "survey", "--json"))
    assert there["ref"]["name"] == "report.csv"
    assert there["tags"] == ["release/1", "survey"]
    told = symphony("there", "artifacts", "import", "survey-and-sources.bundle")
    assert told.splitlines()[0] == "1 artifact added, 8 B; 1 is here already"
    symphony("third", "artifacts", "import", "backup.bundle")
    assert len(json.loads(symphony("third", "artifacts", "list", "--json"))) == 2


def test_the_members_that_the_page_names_are_those_that_there_are(pages, symphony, tmp_path):
    named = re.findall(r"^\| `([^`]+)` \|", pages["how-to/move-artifacts.md"].text, re.MULTILINE)
    assert [*TABLES, MANIFEST, "blobs/SHA256"] == named
    (tmp_path / "a.txt").write_text("text\n")
    symphony("here", "artifacts", "put", "a.txt")
    symphony("here", "artifacts", "export", "--all", "--output", "survey.bundle")
    python = subprocess.run(
        ["python3", "-m", "zipfile", "-l", "survey.bundle"], capture_output=True, text=True, check=True
    )
    listed = [line.split()[0].split("/")[0] for line in python.stdout.splitlines()[1:]]
    assert listed == [*TABLES, MANIFEST, "blobs"]

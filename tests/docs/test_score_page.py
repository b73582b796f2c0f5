"""The page "Score artifacts", done to the letter: its commands in their order, on the real store and in real workers."""

import json
import re
import shlex
import sys

import pytest
from symphony_host.cli.root import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")


def test_the_commands_of_the_page_work_in_their_order(pages, tmp_path, monkeypatch, capsys):
    for kind in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"SYMPHONY_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "easy.txt").write_text("The cat sat on the mat. It was warm.")
    (tmp_path / "hard.txt").write_text("Interdisciplinary collaboration facilitates sophistication.")

    def symphony(*arguments):
        assert run([*arguments]) == 0, capsys.readouterr()
        return capsys.readouterr().out

    names, done = {}, []
    for block in pages["how-to/score-artifacts.md"].blocks:
        for line in re.findall(r"^\$ symphony artifacts (.+)$", block.text, re.MULTILINE):
            told = symphony("artifacts", *(names.get(word, word) for word in shlex.split(line)))
            done.append(line.split()[0])
            if done == ["put"]:
                names["ID"] = told.split()[0]
    assert done == ["put", "score", "score", "list", "show", "scores"]
    [best] = json.loads(symphony("artifacts", "list", "--quality", "0.7", "--json"))
    assert best["ref"]["name"] == "easy.txt"
    [described, readability] = json.loads(symphony("artifacts", "scores", names["ID"], "--json"))
    assert (described["value"], readability["inputs"]) == (0.5, {"target": "80"})
    assert re.search(r"symphony\.text-quality\.described +scorer ", symphony("list", "--operations"))
    assert "rates        every artifact" in symphony("info", "symphony.text-quality.described")
    told = symphony("info", "symphony.text-quality.readability")
    assert "rates        text/plain, text/markdown" in told
    assert "target" in told

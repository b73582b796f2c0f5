"""The how-to about sharing workflows, done to the letter: its commands in their order, and what they print."""

import re
import shlex
import shutil

import pytest
from click.testing import CliRunner
from symphony_host.cli.root import root


@pytest.fixture
def folder(docs, tmp_path, monkeypatch):
    """A working directory with the examples of the checkout, and no terminal."""
    shutil.copytree(docs.parent / "examples" / "workflows", tmp_path / "examples" / "workflows")
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_commands_of_the_page_work_and_print_what_it_says(pages, folder):
    shown = 0
    for block in pages["how-to/share-a-workflow.md"].blocks:
        for command, told in re.findall(r"^\$ symphony (.+)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
            ran = CliRunner().invoke(root, shlex.split(command), prog_name="symphony")
            assert ran.exit_code == 0, ran.output
            if told:
                assert ran.stdout == told
                shown += 1
    assert shown == 2
    made = {path.name for path in folder.iterdir() if path.is_file()}
    assert made == {
        *("atlas.svg", "atlas.mmd", "atlas.dot", "atlas.symwf", "atlas.json", "atlas.json.sig"),
        *("my.key", "my.key.pub"),
    }

"""Does what the tutorial says, to the letter: its commands, its files, its output."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

INSTALL = "uv pip install --editable . --group dev"


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """The variables of a user whose own environment has Symphony, pytest and nothing of the tutorial."""
    folder = tmp_path / "environment"
    uv("venv", "--python", sys.executable, str(folder))
    [packages] = folder.glob("lib/python*/site-packages")
    family = sysconfig.get_path("purelib")
    (packages / "family.pth").write_text(f"import site; site.addsitedir({family!r})\n")
    for command, module in (("symphony", "symphony_host"), ("pytest", "pytest")):
        script = folder / "bin" / command
        script.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" -m {module} "$@"\n')
        script.chmod(0o755)
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "VIRTUAL_ENV": str(folder), "HOME": str(tmp_path / "home"), "NO_COLOR": "1"}


def uv(*arguments: str, cwd: Path | None = None) -> None:
    program = os.environ.get("UV") or shutil.which("uv")
    assert program, "this test needs uv, as everything else in this checkout does"
    subprocess.run([program, *arguments, "--quiet"], check=True, capture_output=True, timeout=110, cwd=cwd)


def spoken(text: str, home: Path) -> list[str]:
    """Output without what differs from run to run: times, ids of runs, the folder, the width of columns."""
    text = text.replace(str(home), "/home/ada")
    text = re.sub(r"\b\d{8}-\d{6}-[0-9a-f]{6}\b", "RUN", text)
    text = re.sub(r"\b\d+\.\d+ ?s\b", "SECONDS", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def test_the_tutorial_does_what_it_says(pages, tmp_path, environment):
    home = tmp_path / "you"
    home.mkdir()
    folder = home
    commands = 0
    for block in pages["tutorial.md"].blocks:
        if block.title:
            file = folder / block.title
            assert file.exists(), f"the tutorial changes {block.title}, which `symphony new` does not make"
            file.write_text(block.text, "utf-8")
        elif block.language == "console":
            for part in block.text.removeprefix("$ ").split("\n$ "):
                command, _, expected = part.partition("\n")
                commands += 1
                if command.startswith("cd "):
                    folder /= command.removeprefix("cd ")
                elif command == INSTALL:  # the libraries are at hand already; nothing is fetched
                    python = f"{environment['VIRTUAL_ENV']}/bin/python"
                    uv("pip", "install", "--python", python, "--no-deps", "--editable", ".", cwd=folder)
                else:
                    ran = subprocess.run(
                        command,
                        shell=True,
                        cwd=folder,
                        env=environment,
                        capture_output=True,
                        text=True,
                        timeout=60,
                        check=False,
                    )
                    assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
                    assert spoken(ran.stdout, home) == spoken(expected, home), command
    assert commands >= 7


def test_output_that_differs_in_more_than_time_and_place_is_noticed(tmp_path):
    said = f"made {tmp_path}/x\n20261122-161618-be4f94 completed in 0.23 s"

    assert spoken(said, tmp_path) == spoken(
        "made /home/ada/x\n20250101-000000-000000 completed in 9.5 s", Path("/-")
    )
    assert spoken(said, tmp_path) != spoken(
        "made /home/ada/x\n20250101-000000-000000 failed in 9.5 s", Path("/-")
    )

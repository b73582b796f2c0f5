"""A project of each kind, made once and installed into an environment of its own beside the family."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from symphony_host.template import create_extension

KINDS = ("operator", "instrument", "addon")


@dataclass(frozen=True)
class Project:
    """A generated project.

    Args:
        kind: What it contributes.
        folder: Where it lies.
        python: The interpreter of the environment that it is installed in.
        home: The home of the user who works on it.
    """

    kind: str
    folder: Path
    python: Path
    home: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the project's folder, as its author would."""
        variables = {"HOME": str(self.home), "NO_COLOR": "1", "COLUMNS": "200"}
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=kept | variables,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )


@pytest.fixture(scope="session", params=KINDS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("author")
    made = create_extension(request.param, f"tiny-{request.param}", folder, publisher="acme")
    environment = folder / "environment"
    run_uv("venv", "--python", sys.executable, str(environment))
    python = environment / "bin" / "python"
    if not python.exists():
        python = environment / "Scripts" / "python.exe"
    [site_packages] = environment.rglob("site-packages")
    # The family and the tools are those of the environment that runs this test.
    family = sysconfig.get_path("purelib")
    (site_packages / "family.pth").write_text(f"import site; site.addsitedir({family!r})\n")
    run_uv("pip", "install", "--python", str(python), "--no-deps", "--editable", str(made))
    home = folder / "home"
    home.mkdir()
    return Project(request.param, made, python, home)


@pytest.fixture(scope="session")
def uv() -> Callable[..., None]:
    return run_uv


def run_uv(*arguments: str) -> None:
    """Run uv; it names itself in the environment of what it starts."""
    program = os.environ.get("UV") or shutil.which("uv")
    assert program, "these tests need uv, as everything else in this checkout does"
    subprocess.run([program, *arguments, "--quiet"], check=True, capture_output=True, timeout=110)


@pytest.fixture
def tree() -> Callable[[Path], dict[str, Any]]:
    """Every file below a folder with its bytes, by its relative path."""

    def read(folder: Path) -> dict[str, Any]:
        files = (file for file in folder.rglob("*") if file.is_file())
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}

    return read

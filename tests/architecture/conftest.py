"""What the tests of the house look at: the root of the checkout and every member of the workspace."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Member:
    """One package of the workspace.

    Args:
        folder: Where its pyproject.toml lies.
        project: The [project] table of it.
    """

    folder: Path
    project: dict[str, Any]

    @property
    def packages(self) -> list[Path]:
        """The folders of its top-level packages."""
        return sorted(init.parent for init in self.folder.glob("src/*/__init__.py"))


def workspace_members() -> list[Member]:
    """Read the members as uv finds them."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    files = sorted(file for pattern in patterns for file in ROOT.glob(f"{pattern}/pyproject.toml"))
    return [Member(file.parent, tomllib.loads(file.read_text())["project"]) for file in files]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def members() -> list[Member]:
    return workspace_members()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `member` once for each member."""
    if "member" in metafunc.fixturenames:
        every = workspace_members()
        metafunc.parametrize("member", every, ids=[member.project["name"] for member in every])

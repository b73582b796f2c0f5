"""The documentation as the tests read it: pages, their code blocks, and what the code wants documented."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```([a-z]+)?(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A block of code on a page.

    Args:
        language: What stands behind its fence.
        title: Its title; empty where it has none.
        text: Its lines.
    """

    language: str
    title: str
    text: str


class Page:
    """A page of the documentation.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text("utf-8")

    @property
    def blocks(self) -> list[Block]:
        """Its blocks of code in order."""
        return [Block(found[1] or "", found[2] or "", found[3]) for found in _FENCE.finditer(self.text)]

    @property
    def prose(self) -> str:
        """Its text without the blocks of code."""
        return _FENCE.sub("", self.text)

    @property
    def headings(self) -> Iterator[str]:
        """The text of its headings, as a reader sees it."""
        for heading in re.findall(r"^#{1,6} (.+)$", self.prose, re.MULTILINE):
            yield heading.replace("`", "")


@pytest.fixture(scope="session")
def docs() -> Path:
    return ROOT / "docs"


@pytest.fixture(scope="session")
def pages(docs: Path) -> dict[str, Page]:
    """Every page by its path below `docs`."""
    return {path.relative_to(docs).as_posix(): Page(path) for path in sorted(docs.rglob("*.md"))}

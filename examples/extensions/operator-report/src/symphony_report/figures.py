"""Turns the measures of many files into the figures of one report."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec


class FunctionMetrics(msgspec.Struct, frozen=True):
    """A function and its measures.

    Args:
        name: Its name.
        line: Where it begins, counted from 1.
        lines: How many lines it has.
        complexity: Cyclomatic complexity.
    """

    name: str
    line: int
    lines: int
    complexity: int


class FileMetrics(msgspec.Struct, frozen=True):
    """A file and its measures.

    Args:
        relative: Path to show to people.
        size: Bytes.
        label: What it is, such as `python`.
        group: The kind of content, such as `code`.
        lines: All lines.
        code: Lines that are neither blank nor only a comment.
        comment: Lines that are only a comment.
        blank: Blank lines.
        functions: How many functions it defines.
        complexity: Cyclomatic complexity, summed over its functions.
        complex: Its most complex functions.
        note: Why something could not be measured.
    """

    relative: str
    size: int
    label: str
    group: str
    lines: int = 0
    code: int = 0
    comment: int = 0
    blank: int = 0
    functions: int = 0
    complexity: int = 0
    complex: tuple[FunctionMetrics, ...] = ()
    note: str = ""


class Share(msgspec.Struct, frozen=True):
    """What some of the files add up to.

    Args:
        name: What they have in common, such as a language or a folder.
        files: How many they are.
        size: Bytes.
        lines: All lines.
        code: Lines of code.
    """

    name: str
    files: int
    size: int
    lines: int
    code: int


class Hotspot(msgspec.Struct, frozen=True):
    """A function worth a look.

    Args:
        file: Path of its file.
        name: Its name.
        line: Where it begins, counted from 1.
        lines: How many lines it has.
        complexity: Cyclomatic complexity.
    """

    file: str
    name: str
    line: int
    lines: int
    complexity: int


class Summary(msgspec.Struct, frozen=True):
    """The figures of a report.

    Args:
        files: How many files.
        size: Bytes.
        lines: All lines of text.
        code: Lines of code.
        comment: Lines that are only a comment.
        blank: Blank lines.
        functions: How many functions.
        complexity: Mean cyclomatic complexity of a Python function; 0 without any.
        languages: By what the files are, those with the most lines first.
        groups: By kind of content, those with the most files first.
        folders: By first folder, those with the most code first.
        hotspots: The most complex functions.
        largest: The files with the most lines of code.
        notes: Files that could not be measured whole, with the reason.
    """

    files: int
    size: int
    lines: int
    code: int
    comment: int
    blank: int
    functions: int
    complexity: float
    languages: Annotated[tuple[Share, ...], msgspec.Meta(description="By what the files are")]
    groups: tuple[Share, ...]
    folders: tuple[Share, ...]
    hotspots: tuple[Hotspot, ...]
    largest: tuple[FileMetrics, ...]
    notes: tuple[str, ...]


def summarize(files: Sequence[FileMetrics]) -> Summary:
    """Add the measures of files up.

    Args:
        files: The files, in any order.
    """
    python_functions = sum(file.functions for file in files if file.label == "python")
    complexity = sum(file.complexity for file in files)
    hotspots = [
        Hotspot(file.relative, function.name, function.line, function.lines, function.complexity)
        for file in files
        for function in file.complex
    ]
    hotspots.sort(key=lambda spot: (-spot.complexity, spot.file, spot.line))
    return Summary(
        files=len(files),
        size=sum(file.size for file in files),
        lines=sum(file.lines for file in files),
        code=sum(file.code for file in files),
        comment=sum(file.comment for file in files),
        blank=sum(file.blank for file in files),
        functions=sum(file.functions for file in files),
        complexity=round(complexity / python_functions, 2) if python_functions else 0.0,
        languages=_shares(files, lambda file: file.label, lambda share: share.lines),
        groups=_shares(files, lambda file: file.group, lambda share: share.files),
        folders=_shares(files, _first_folder, lambda share: share.code),
        hotspots=tuple(hotspots[:15]),
        largest=tuple(sorted(files, key=lambda file: (-file.code, file.relative))[:15]),
        notes=tuple(f"{file.relative}: {file.note}" for file in files if file.note),
    )


def _first_folder(file: FileMetrics) -> str:
    folder, slash, _ = file.relative.partition("/")
    return folder if slash else "."


def _shares(
    files: Sequence[FileMetrics], key: Callable[[FileMetrics], str], weight: Callable[[Share], int]
) -> tuple[Share, ...]:
    members: defaultdict[str, list[FileMetrics]] = defaultdict(list)
    for file in files:
        members[key(file)].append(file)
    shares = [
        Share(
            name,
            len(found),
            sum(file.size for file in found),
            sum(file.lines for file in found),
            sum(file.code for file in found),
        )
        for name, found in members.items()
    ]
    return tuple(sorted(shares, key=lambda share: (-weight(share), share.name)))

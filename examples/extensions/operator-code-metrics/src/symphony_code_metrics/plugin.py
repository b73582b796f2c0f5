"""The operators: measure one file, of which it is known what it is, or which a model of another extension looks at."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from symphony_sdk import Context, Operator, on_load, operator, provides_operators

from symphony_code_metrics.measures import count_functions, count_lines, read_python


class ClassifiedFile(msgspec.Struct, frozen=True):
    """A file and what it is.

    Args:
        path: Absolute path.
        relative: Path to show to people.
        size: Bytes.
        label: What it is, such as `python`.
        group: The kind of content, such as `code`.
        is_text: Whether it is text.
    """

    path: str
    relative: str
    size: int
    label: str
    group: str
    is_text: bool


class FunctionMetrics(msgspec.Struct, frozen=True):
    """A function and its measures.

    Args:
        name: Its name, with those of the classes and functions around it.
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
        lines: All lines; 0 for files that are no text.
        code: Lines that are neither blank nor only a comment.
        comment: Lines that are only a comment.
        blank: Blank lines.
        functions: How many functions it defines; 0 where that is not known for its language.
        complexity: Cyclomatic complexity, summed over its functions; only for Python.
        complex: Its most complex functions, at most five; only for Python.
        note: Why something could not be measured; empty where all was.
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


@operator("symphony.code-metrics.measure", title="Measure a file")
def measure(
    ctx: Context, file: Annotated[ClassifiedFile, msgspec.Meta(description="The file to measure")]
) -> FileMetrics:
    """Count a file's lines; for Python its functions and their complexity too."""
    about = (file.relative, file.size, file.label, file.group)
    largest = int(ctx.config.get("largest", 4 << 20))
    if not file.is_text:
        return FileMetrics(*about)
    if file.size > largest:
        return FileMetrics(*about, note=f"larger than {largest:,} bytes")
    try:
        text = Path(ctx.files.check(file.path, "read")).read_text("utf-8-sig", errors="replace")
    except OSError as error:
        return FileMetrics(*about, note=f"cannot be read: {error.strerror}")
    if file.label != "python":
        lines = count_lines(text, file.label)
        return FileMetrics(*about, *lines, functions=count_functions(text, file.label))
    try:
        functions, docstrings = read_python(text)
    # MemoryError is what the parser of Python says of a text that is nested too deeply.
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "nested too deeply"
        lines = count_lines(text, file.label)
        return FileMetrics(*about, *lines, note=f"no Python that can be parsed: {reason}")
    functions.sort(key=lambda function: (-function.complexity, function.line))
    return FileMetrics(
        *about,
        *count_lines(text, file.label, docstrings),
        functions=len(functions),
        complexity=sum(function.complexity for function in functions),
        complex=tuple(FunctionMetrics(*function) for function in functions[:5]),
    )


@operator("symphony.code-metrics.measure-path", title="Measure a file by its path")
def measure_path(
    ctx: Context, path: Annotated[Path, msgspec.Meta(description="The file to measure")]
) -> FileMetrics:
    """Have a model tell what a file is, then measure it."""
    size = ctx.files.stat(path).size
    file = {"path": str(path), "relative": path.name, "size": size}
    kind = ctx.models.run("symphony.file-type.classify", file=file)
    return measure(ctx, kind.read("result", ClassifiedFile))


@on_load
def ignore_warnings_of_measured_code(ctx: Context) -> None:
    """Parsing somebody's file must not fill the log with warnings about that file."""
    warnings.filterwarnings("ignore", module="<unknown>")  # what `ast` calls a text without a file name


@provides_operators
def symphony_operators() -> Iterator[Operator[..., Any]]:
    """The operators of this extension."""
    yield measure
    yield measure_path

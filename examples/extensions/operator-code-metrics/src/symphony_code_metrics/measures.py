"""Measures a source text: its lines, and for Python its functions, classes and their complexity."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

COMMENT = {
    "#": {"python", "shell", "ruby", "perl", "yaml", "toml", "makefile", "dockerfile", "r", "ini", "cmake"},
    "//": {
        "c", "cpp", "javascript", "typescript", "java", "rust", "go", "kotlin", "swift", "php", "scala", "css",
        "scss", "cs", "tsx", "jsx",
    },
    "--": {"sql", "lua", "haskell"},
}  # fmt: skip
"""Languages by the sign that begins a line of comment."""

_FUNCTION = {
    "javascript": r"\bfunction\b|=>\s*[{(]|=>\s*\w",
    "typescript": r"\bfunction\b|=>\s*[{(]|=>\s*\w",
    "go": r"^\s*func\b",
    "rust": r"^\s*(?:pub\s+)?(?:async\s+)?fn\b",
    "shell": r"^\s*(?:function\s+\w+(?:\s*\(\))?|\w+\s*\(\))\s*\{",
    "ruby": r"^\s*def\b",
    "php": r"\bfunction\b",
    "lua": r"\bfunction\b",
}
"""How a function begins, in languages that are counted by pattern."""


class Lines(NamedTuple):
    """Lines of a text.

    Args:
        total: All of them.
        code: Those that are neither blank nor only a comment.
        comment: Those that are only a comment.
        blank: Those that are blank.
    """

    total: int
    code: int
    comment: int
    blank: int


class Function(NamedTuple):
    """A function of a Python text.

    Args:
        name: Its name, with those of the classes and functions around it.
        line: Where it begins, counted from 1.
        lines: How many lines it has.
        complexity: Cyclomatic complexity: one, and one more for each branch.
    """

    name: str
    line: int
    lines: int
    complexity: int


def count_lines(text: str, label: str) -> Lines:
    """Count the lines of a text.

    Args:
        text: The text.
        label: What it is, such as `python`.
    """
    sign = next((sign for sign, labels in COMMENT.items() if label in labels), None)
    total = blank = comment = 0
    for line in text.splitlines():
        total += 1
        stripped = line.strip()
        if not stripped:
            blank += 1
        elif sign is not None and stripped.startswith(sign):
            comment += 1
    return Lines(total, total - blank - comment, comment, blank)


def count_functions(text: str, label: str) -> int:
    """How many functions a text in a language other than Python defines; 0 where that is not known."""
    expression = _FUNCTION.get(label)
    return len(re.findall(expression, text, re.MULTILINE)) if expression else 0


def python_functions(text: str) -> list[Function]:
    """The functions of a Python text, in the order in which they begin.

    Args:
        text: The text.

    Raises:
        SyntaxError: It is no Python, or not of this version.
    """
    return list(_functions(ast.parse(text), ""))


def _functions(node: ast.AST, prefix: str) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}{child.name}"
            yield Function(
                name, child.lineno, (child.end_lineno or child.lineno) - child.lineno + 1, complexity(child)
            )
            yield from _functions(child, f"{name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        else:
            yield from _functions(child, prefix)


def complexity(function: ast.AST) -> int:
    """Cyclomatic complexity of a function, without the functions inside of it.

    One, and one more for each `if`, loop, `except`, `case`, conditional expression, comprehension and its
    conditions, `assert`, and each further operand of `and` and `or`.

    Source: McCabe, "A Complexity Measure", IEEE Transactions on Software Engineering, 1976.
    """
    total = 1
    stack = list(ast.iter_child_nodes(function))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(
            node,
            ast.If
            | ast.For
            | ast.AsyncFor
            | ast.While
            | ast.ExceptHandler
            | ast.IfExp
            | ast.Assert
            | ast.match_case,
        ):
            total += 1
        elif isinstance(node, ast.BoolOp):
            total += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            total += 1 + len(node.ifs)
        stack.extend(ast.iter_child_nodes(node))
    return total

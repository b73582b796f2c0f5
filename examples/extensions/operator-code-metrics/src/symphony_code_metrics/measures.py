"""Measures a source text: its lines, and for Python its functions, classes and their complexity."""

import ast
import re
from collections.abc import Collection
from typing import Any, NamedTuple

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
        comment: Those that are only a comment or a docstring.
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


class PythonText(NamedTuple):
    """What parsing a Python text tells.

    Args:
        functions: Its functions, in the order in which they begin.
        docstrings: The numbers of the lines that docstrings are on, counted from 1.
    """

    functions: list[Function]
    docstrings: set[int]


def count_lines(text: str, label: str, docstrings: Collection[int] = ()) -> Lines:
    """Count the lines of a text; docstrings count as comments.

    Args:
        text: The text.
        label: What it is, such as `python`.
        docstrings: The numbers of the lines that docstrings are on, counted from 1.
    """
    sign = next((sign for sign, labels in COMMENT.items() if label in labels), None)
    total = blank = comment = 0
    for line in text.splitlines():
        total += 1
        stripped = line.strip()
        if not stripped:
            blank += 1
        elif total in docstrings or (sign is not None and stripped.startswith(sign)):
            comment += 1
    return Lines(total, total - blank - comment, comment, blank)


def count_functions(text: str, label: str) -> int:
    """How many functions a text in a language other than Python defines; 0 where that is not known."""
    expression = _FUNCTION.get(label)
    return len(re.findall(expression, text, re.MULTILINE)) if expression else 0


def read_python(text: str) -> PythonText:
    """Parse a Python text and measure its functions, in one walk over its tree.

    The complexity of a function is one, and one more for each `if`, loop, `except`, `case`, conditional
    expression, `assert`, comprehension and each of its conditions, and each further operand of `and` and `or`;
    what is inside of a function or a class of its own is not counted.

    Source: McCabe, "A Complexity Measure", IEEE Transactions on Software Engineering, 1976.

    Args:
        text: The text.

    Raises:
        SyntaxError: It is no Python, or not of this version.
    """
    measured = PythonText([], set())
    tree = ast.parse(text)
    _note_docstring(tree, measured.docstrings)
    _branches(tree, "", measured)
    return measured


_ONE_BRANCH = frozenset(
    {ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.Assert, ast.match_case}
)


def _branches(node: ast.AST, prefix: str, measured: PythonText) -> int:
    """The branches below a node, outside of the functions and classes that are measured on the way."""
    branches = 0
    for name in node._fields:
        value: Any = getattr(node, name, None)
        child: Any
        for child in value if isinstance(value, list) else (value,):
            kind = type(child)  # compared by identity: half of the time would go into isinstance
            if kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
                _measure_function(child, prefix, measured)
            elif kind is ast.ClassDef:
                _note_docstring(child, measured.docstrings)
                _branches(child, f"{prefix}{child.name}.", measured)
            elif kind is ast.Lambda or not issubclass(kind, ast.AST):
                continue
            else:
                if kind in _ONE_BRANCH:
                    branches += 1
                elif kind is ast.BoolOp:
                    branches += len(child.values) - 1
                elif kind is ast.comprehension:
                    branches += 1 + len(child.ifs)
                branches += _branches(child, prefix, measured)
    return branches


def _measure_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, prefix: str, measured: PythonText
) -> None:
    function = Function(
        f"{prefix}{node.name}", node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1, 1
    )
    _note_docstring(node, measured.docstrings)
    index = len(measured.functions)
    measured.functions.append(function)
    branches = _branches(node, f"{function.name}.", measured)
    measured.functions[index] = function._replace(complexity=1 + branches)


def _note_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, lines: set[int]
) -> None:
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))

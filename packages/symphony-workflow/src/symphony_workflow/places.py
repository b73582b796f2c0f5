"""Where the parts of a workflow stand in the text of its file."""

import re

from symphony_workflow.findings import Finding

Path = tuple[str | int, ...]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]')
_DEEPEST = 4


def line_numbers(text: str) -> dict[Path, int]:
    """The line of each part of a workflow, counted from 1, by its path such as `("nodes", "walk")`.

    Parts of sub-workflows have longer paths: `("workflows", "clean", "nodes", "walk")`.

    Args:
        text: JSON that has been read without a fault.
    """
    lines: dict[Path, int] = {}
    path: list[str | int] = []
    awaits_key: list[bool] = []
    line, counted = 1, 0
    for token in _TOKEN.finditer(text):
        mark = token[0][0]
        is_part = mark == '"' and bool(awaits_key) and awaits_key[-1]
        if is_part:
            awaits_key[-1] = False
            path[-1] = token[0][1:-1]
        elif mark in "{[":
            is_part = bool(path) and isinstance(path[-1], int)
        elif mark == ",":
            if isinstance(path[-1], int):
                path[-1] += 1
            else:
                awaits_key[-1] = True
        elif mark in "}]":
            path.pop()
            awaits_key.pop()
        if is_part and len(path) <= _DEEPEST:
            line += text.count("\n", counted, token.start())
            counted = token.start()
            lines[tuple(path)] = line
        if mark in "{[":
            path.append("" if mark == "{" else 0)
            awaits_key.append(mark == "{")
    return lines


def line_of(finding: Finding, lines: dict[Path, int]) -> int:
    """The line that a finding is about; 0 where that cannot be told.

    Args:
        finding: A finding about the workflow.
        lines: The lines of its parts.
    """
    start: Path = ("workflows", finding.workflow) if finding.workflow else ()
    paths: list[Path] = []
    if finding.edge is not None:
        paths.append((*start, "edges", finding.edge))
    if finding.node:
        paths.append((*start, "nodes", finding.node))
    elif finding.port:
        paths += [(*start, "inputs", finding.port), (*start, "outputs", finding.port)]
    return next((lines[path] for path in (*paths, start) if path in lines), 0)

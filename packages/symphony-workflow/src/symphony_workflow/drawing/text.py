"""Foreign text made fit for a picture: harmless, on one line, and no wider than there is room."""

import json
import unicodedata
from typing import Any

from symphony_workflow.model import Expression


def printable(text: str) -> str:
    """`text` on one line, without what could move a cursor or turn the direction of writing.

    Args:
        text: Anything that an author wrote.
    """
    if text.isprintable():
        return text
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def width(text: str) -> int:
    """The columns that `text` takes in a terminal.

    Args:
        text: Printable text.
    """
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def shorten(text: str, most: int) -> str:
    """`text`, made printable and cut to `most` columns, with an ellipsis where something is missing.

    Args:
        text: Anything that an author wrote.
        most: Columns; at least 1.
    """
    text = printable(text[: 8 * most + 64]) if len(text) > 8 * most + 64 else printable(text)
    if width(text) <= most:
        return text
    taken, room = [], most - 1
    for char in text:
        room -= _columns(char)
        if room < 0:
            break
        taken.append(char)
    return "".join(taken).rstrip() + "…"


def literal(value: Any, most: int) -> str:
    """The value of a parameter: JSON, or the text of an expression in braces.

    Args:
        value: A literal or an expression.
        most: Columns.
    """
    if isinstance(value, Expression):
        return f"{{{shorten(value.text, most - 2)}}}"
    return shorten(json.dumps(value, ensure_ascii=False, default=str), most)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1

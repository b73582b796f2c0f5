"""How a view changed: xi's updates, which turn the lines that a front end has into those that it needs.

Columns, cursors and styles count bytes of UTF-8 on the line. A line's text holds its line break, but for the
last one.
"""

from typing import Annotated

import msgspec

from symphony_ipc.editor.edits import Count

Some = Annotated[int, msgspec.Meta(ge=1)]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of an update.

    Args:
        text: Its text, with the line break.
        ln: Its number, counted from 1; None where it goes on a wrapped line.
        cursor: Where cursors are on it.
        styles: Triples: bytes from the end of the previous span, length in bytes, style.
    """

    text: str
    ln: Some | None = None
    cursor: tuple[Count, ...] = ()
    styles: tuple[int, ...] = ()


class Copy(msgspec.Struct, frozen=True, tag_field="op", tag="copy", omit_defaults=True):
    """Lines stay as they are.

    Args:
        n: How many.
        ln: Number of the first of them now, counted from 1.
    """

    n: Some
    ln: Some | None = None


class Skip(msgspec.Struct, frozen=True, tag_field="op", tag="skip"):
    """Lines go.

    Args:
        n: How many.
    """

    n: Some


class Ins(msgspec.Struct, frozen=True, tag_field="op", tag="ins"):
    """Lines come.

    Args:
        n: How many.
        lines: The lines.
    """

    n: Some
    lines: tuple[Line, ...]


class Invalidate(msgspec.Struct, frozen=True, tag_field="op", tag="invalidate"):
    """Lines are there that are not told; the front end asks for them when they are seen.

    Args:
        n: How many.
    """

    n: Some


Op = Copy | Skip | Ins | Invalidate


class Annotation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ranges of the text that mean something.

    Args:
        type: `selection`, `find` or a plugin's own.
        ranges: First line, column, last line, column of each.
        n: How many.
        payloads: What belongs to each; None where nothing does. Not decoded.
    """

    type: str
    ranges: tuple[tuple[Count, Count, Count, Count], ...]
    n: Count
    payloads: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Changes(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the lines of a view changed.

    Args:
        ops: From the first line to the last.
        pristine: Whether the text is as it is in its file.
        annotations: All of the lines that are seen.
        rev: Number of the state of the text, which xi itself does not send; None where it is not told.
    """

    ops: tuple[Op, ...]
    pristine: bool = False
    annotations: tuple[Annotation, ...] = ()
    rev: Count | None = None


class Update(msgspec.Struct, frozen=True):
    """`update`: a view changed.

    Args:
        view_id: Its name.
        update: How.
    """

    view_id: str
    update: Changes

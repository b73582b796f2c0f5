"""The calls of `TextEditingPort` as messages, so that an editor can live behind a connection or the bus.

Each call is answered with a `BufferState`, `BufferText` or `Done`; `WatchBuffer` with a stream of
`BufferChanged`, until the buffer is closed.
"""

from typing import Annotated

import msgspec
from symphony_sdk.messages import DATA_LIMIT, message
from symphony_sdk.ports import Buffer, Cursor, Edit, EditorUpdate


@message("editor.open")
class OpenBuffer(msgspec.Struct, frozen=True):
    """Open a file, or a new text.

    Args:
        path: The file; empty for a new text.
    """

    path: str = ""


@message("editor.buffer")
class BufferState(msgspec.Struct, frozen=True):
    """A buffer as it is now.

    Args:
        buffer: The buffer.
    """

    buffer: Buffer


@message("editor.close")
class CloseBuffer(msgspec.Struct, frozen=True):
    """Close a buffer.

    Args:
        buffer: Its id.
    """

    buffer: str


@message("editor.save")
class SaveBuffer(msgspec.Struct, frozen=True):
    """Write a buffer to its file.

    Args:
        buffer: Its id.
        path: Another file to write to; empty for its own.
    """

    buffer: str
    path: str = ""


@message("editor.text")
class ReadBuffer(msgspec.Struct, frozen=True):
    """The text of a buffer.

    Args:
        buffer: Its id.
        start: First code point.
        end: First code point after; None for the end.
    """

    buffer: str
    start: int = 0
    end: int | None = None


@message("editor.content", limit=DATA_LIMIT)
class BufferText(msgspec.Struct, frozen=True):
    """The answer to `editor.text`.

    Args:
        text: The text.
    """

    text: str


@message("editor.edit", limit=DATA_LIMIT)
class EditBuffer(msgspec.Struct, frozen=True):
    """Change a buffer.

    Args:
        buffer: Its id.
        edits: Ranges of that revision; they do not overlap. More than these go in several calls.
        revision: The revision that the edits were made for.
    """

    buffer: str
    edits: Annotated[tuple[Edit, ...], msgspec.Meta(max_length=1024)]
    revision: int


@message("editor.cursors")
class SetCursors(msgspec.Struct, frozen=True):
    """Place the cursors.

    Args:
        buffer: Id of the buffer.
        cursors: At least one.
    """

    buffer: str
    cursors: tuple[Cursor, ...]


@message("editor.undo")
class UndoEdit(msgspec.Struct, frozen=True):
    """Take the last group of edits back.

    Args:
        buffer: Id of the buffer.
    """

    buffer: str


@message("editor.redo")
class RedoEdit(msgspec.Struct, frozen=True):
    """Make the last group of edits that was taken back again.

    Args:
        buffer: Id of the buffer.
    """

    buffer: str


@message("editor.watch")
class WatchBuffer(msgspec.Struct, frozen=True):
    """Each change of a buffer from now on.

    Args:
        buffer: Its id.
    """

    buffer: str


@message("editor.update")
class BufferChanged(msgspec.Struct, frozen=True):
    """A buffer changed.

    Args:
        update: How.
    """

    update: EditorUpdate

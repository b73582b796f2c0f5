"""TextEditingPort: a text editor, whichever process holds the text."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec


class Cursor(msgspec.Struct, frozen=True):
    """A cursor or a selection.

    Args:
        start: Where the selection begins, in code points from the start of the text.
        end: Where the cursor is, in code points from the start of the text; equal to `start` without one.
    """

    start: int
    end: int


class Edit(msgspec.Struct, frozen=True):
    """Replaces a range of a text.

    Args:
        start: First code point that is replaced.
        end: First code point after those.
        text: What comes in their place.
    """

    start: int
    end: int
    text: str


class Buffer(msgspec.Struct, frozen=True):
    """An open text.

    Args:
        id: Names it in this editor.
        path: Its file; empty for a new text.
        revision: Number of its state; grows with each change.
        length: Code points.
        dirty: Whether it differs from its file.
    """

    id: str
    path: str
    revision: int
    length: int
    dirty: bool


class EditorUpdate(msgspec.Struct, frozen=True):
    """A buffer changed.

    Args:
        buffer: The buffer after the change.
        edits: What changed, in order; empty where only cursors did.
        cursors: Its cursors after the change.
    """

    buffer: Buffer
    edits: tuple[Edit, ...] = ()
    cursors: tuple[Cursor, ...] = ()


class TextEditingPort(Protocol):
    """Edits texts. An edit that was acknowledged survives a crash of the editor's process.

    Every method that names a buffer raises `PortError` where it is not open.
    """

    async def open(self, path: str = "") -> Buffer:
        """Open a file, or a new text.

        Args:
            path: The file; empty for a new text.

        Raises:
            PortError: The file cannot be read.
        """

    async def close(self, buffer: str) -> None:
        """Close a buffer; what was not saved is kept in the journal.

        Args:
            buffer: Its id.
        """

    async def save(self, buffer: str, path: str = "") -> Buffer:
        """Write a buffer to its file, whole or not at all.

        Args:
            buffer: Its id.
            path: Another file to write to.

        Raises:
            PortError: The file cannot be written.
        """

    async def text(self, buffer: str, start: int = 0, end: int | None = None) -> str:
        """The text of a buffer.

        Args:
            buffer: Its id.
            start: First code point.
            end: First code point after; None for the end.
        """

    async def edit(self, buffer: str, edits: Sequence[Edit], revision: int) -> Buffer:
        """Change a buffer; edits that were made for an older revision are moved to where they now belong.

        Args:
            buffer: Its id.
            edits: Ranges of that revision; they do not overlap.
            revision: The revision that the edits were made for.

        Raises:
            PortError: A range lies outside of the text.
        """

    async def set_cursors(self, buffer: str, cursors: Sequence[Cursor]) -> None:
        """Place the cursors.

        Args:
            buffer: Its id.
            cursors: At least one.
        """

    async def undo(self, buffer: str) -> Buffer:
        """Take the last group of edits back; nothing where there is none.

        Args:
            buffer: Its id.
        """

    async def redo(self, buffer: str) -> Buffer:
        """Make the last group of edits that was taken back again; nothing where there is none.

        Args:
            buffer: Its id.
        """

    def updates(self, buffer: str) -> AsyncIterator[EditorUpdate]:
        """Each change of a buffer, until it is closed.

        Args:
            buffer: Its id.
        """

"""An editor that keeps its texts in memory."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from symphony_sdk.errors import PortError
from symphony_sdk.ports import Buffer, Cursor, Edit, EditorUpdate


class _Text:
    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.saved = text
        self.revision = 0
        self.changes: list[tuple[Edit, ...]] = []
        self.undone: list[str] = []
        self.past: list[str] = []
        self.subscribers: list[asyncio.Queue[EditorUpdate | None]] = []


class FakeEditor:
    """Fake of TextEditingPort: whole texts in memory, files on disk."""

    def __init__(self) -> None:
        self._texts: dict[str, _Text] = {}
        self._ids = itertools.count(1)

    async def open(self, path: str = "") -> Buffer:
        """Open a file, or a new text."""
        try:
            text = Path(path).read_text("utf-8") if path else ""
        except (OSError, UnicodeDecodeError) as error:
            raise PortError(f"{path!r} cannot be read: {error}") from error
        id = f"buffer-{next(self._ids)}"
        self._texts[id] = _Text(path, text)
        return self._buffer(id)

    async def close(self, buffer: str) -> None:
        """Close a buffer."""
        text = self._find(buffer)
        del self._texts[buffer]
        for queue in text.subscribers:
            queue.put_nowait(None)

    async def save(self, buffer: str, path: str = "") -> Buffer:
        """Write a buffer to its file."""
        text = self._find(buffer)
        text.path = path or text.path
        if not text.path:
            raise PortError(f"{buffer!r} has no file", hint="Name one.")
        Path(text.path).write_text(text.text, "utf-8")
        text.saved = text.text
        return self._buffer(buffer)

    async def text(self, buffer: str, start: int = 0, end: int | None = None) -> str:
        """The text of a buffer."""
        return self._find(buffer).text[start:end]

    async def edit(self, buffer: str, edits: Sequence[Edit], revision: int) -> Buffer:
        """Change a buffer; edits of an older revision are moved by the changes since then."""
        text = self._find(buffer)
        moved = tuple(self._move(text, edit, revision) for edit in edits)
        result = text.text
        for edit in sorted(moved, key=lambda edit: edit.start, reverse=True):
            if not 0 <= edit.start <= edit.end <= len(text.text):
                raise PortError(f"{edit} lies outside of the {len(text.text)} code points of {buffer!r}")
            result = result[: edit.start] + edit.text + result[edit.end :]
        text.past.append(text.text)
        text.undone.clear()
        return self._become(buffer, text, result, moved)

    async def set_cursors(self, buffer: str, cursors: Sequence[Cursor]) -> None:
        """Tell the subscribers where the cursors are."""
        text = self._find(buffer)
        self._announce(text, EditorUpdate(self._buffer(buffer), cursors=tuple(cursors)))

    async def undo(self, buffer: str) -> Buffer:
        """Take the last edits back."""
        text = self._find(buffer)
        if not text.past:
            return self._buffer(buffer)
        text.undone.append(text.text)
        return self._become(buffer, text, text.past.pop(), None)

    async def redo(self, buffer: str) -> Buffer:
        """Make the last edits that were taken back again."""
        text = self._find(buffer)
        if not text.undone:
            return self._buffer(buffer)
        text.past.append(text.text)
        return self._become(buffer, text, text.undone.pop(), None)

    async def updates(self, buffer: str) -> AsyncIterator[EditorUpdate]:
        """Each change of a buffer from now on."""
        queue: asyncio.Queue[EditorUpdate | None] = asyncio.Queue()
        self._find(buffer).subscribers.append(queue)
        while (update := await queue.get()) is not None:
            yield update

    def _find(self, buffer: str) -> _Text:
        if buffer not in self._texts:
            raise PortError(f"{buffer!r} is not open")
        return self._texts[buffer]

    def _buffer(self, id: str) -> Buffer:
        text = self._texts[id]
        return Buffer(id, text.path, text.revision, len(text.text), text.text != text.saved)

    @staticmethod
    def _move(text: _Text, edit: Edit, revision: int) -> Edit:
        start, end = edit.start, edit.end
        for change in text.changes[revision:]:
            for other in change:
                shift = len(other.text) - (other.end - other.start)
                start += shift if other.end <= start else 0
                end += shift if other.end <= end else 0
        return Edit(start, end, edit.text)

    def _become(self, id: str, text: _Text, result: str, edits: tuple[Edit, ...] | None) -> Buffer:
        whole = (Edit(0, len(text.text), result),)
        text.text = result
        text.revision += 1
        text.changes.append(edits or whole)
        buffer = self._buffer(id)
        self._announce(text, EditorUpdate(buffer, edits or whole))
        return buffer

    @staticmethod
    def _announce(text: _Text, update: EditorUpdate) -> None:
        for queue in text.subscribers:
            queue.put_nowait(update)

"""Finds the line and column of a key in TOML text, which tomllib does not tell.

It scans the whole grammar of TOML 1.0 (tables, arrays of tables, dotted, quoted and inline keys, every kind
of string, comments), since what looks like a key may be text. It runs only where there is a fault to tell,
on text that tomllib has already accepted.
"""

import re
import tomllib
from typing import NamedTuple

KeyPath = tuple[str | int, ...]


class Position(NamedTuple):
    """A place in a text; both count characters from 1."""

    line: int
    column: int


def locate(text: str, path: KeyPath) -> Position | None:
    """Where `path` is first written; None where it is not.

    A table is found at its name in the first header or dotted key that mentions it, an element of an array
    at its first character, an element of an array of tables at the name in its own header.

    Args:
        text: Valid TOML.
        path: Keys, and indexes from 0.
    """
    offset = _Scan(text).offsets.get(path)
    if offset is None:
        return None
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\r\n]*")


class _Scan:
    """One pass over a text that notes where each path is first written."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.offsets: dict[KeyPath, int] = {}
        self.elements: dict[KeyPath, int] = {}
        self._document()

    def _document(self) -> None:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self.text.startswith("[[", self.at):
                self.at += 2
                table = self._header(is_array=True)
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self._header(is_array=False)
                self.at += 1
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self, *, is_array: bool) -> KeyPath:
        path: KeyPath = ()
        keys = self._keys()
        for number, (key, offset) in enumerate(keys):
            path = (*path, key)
            self.offsets.setdefault(path, offset)
            if is_array and number == len(keys) - 1:
                self.elements[path] = self.elements.get(path, -1) + 1
            if path in self.elements:  # a header goes on in the last element of each array that it names
                path = (*path, self.elements[path])
                self.offsets.setdefault(path, offset)
        return path

    def _pair(self, table: KeyPath) -> None:
        path = table
        for key, offset in self._keys():
            path = (*path, key)
            self.offsets.setdefault(path, offset)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[tuple[str, int]]:
        """The parts of a dotted key with their offsets; stops at what follows it."""
        keys = []
        while True:
            self._skip(_SPACE)
            offset = self.at
            if self.text[self.at] in "\"'":
                quoted = self._skip(_STRING)
                keys.append((str(tomllib.loads(f"key = {quoted}")["key"]), offset))
            else:
                keys.append((self._skip(_BARE_KEY), offset))
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if opening in "\"'" else _BARE_VALUE)

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        self._skip(_BLANK)
        index = 0
        while self.text[self.at] != "]":
            self.offsets.setdefault((*path, index), self.at)
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1
                self._skip(_BLANK)
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        self._skip(_BLANK)
        while self.text[self.at] != "}":
            self._pair(path)
            self._skip(_BLANK)
            if self.text[self.at] == ",":
                self.at += 1
                self._skip(_BLANK)
        self.at += 1

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(f"not TOML at offset {self.at}: the text was not checked by tomllib first")
        self.at = found.end()
        return found[0]

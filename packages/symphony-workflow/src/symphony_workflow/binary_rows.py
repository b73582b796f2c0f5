"""A JSON document as positional rows: one table of strings, one of shapes, and one flat list of values.

An object is a row: the number of its shape, and its values in the order of the shape's keys. A string that occurs
twice stands in the table once, the most frequent first, and is a small number everywhere else; a place in a workflow
such as `walk.files` is two numbers. So an edge of a large workflow takes about ten bytes. Nothing here knows what the
keys of a workflow mean: a document of any format, older or newer, with fields that nobody knows, comes back as it was.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

import msgspec

INTEGER = -1
"""Before an integer that stands for itself; any other number that is not negative is that of a string."""
LIST = -2
"""Before the length of a list and its items."""
PLACE = -3
"""Before two strings that a dot joins."""
FIRST_SHAPE = -4
"""Before the values of an object of shape 0; those of shape 1 follow -5, and so on."""

MAX_DEPTH = 100
"""How deeply lists and objects may nest in a document, those of a workflow around a value included."""
MAX_VALUES = 1 << 23
"""The longest table or list of values that is read."""
MAX_PLACE = 300
"""The longest string that is written as a place, in characters: two names and the dot."""

_Table = msgspec.Meta(max_length=MAX_VALUES)


class Rows(NamedTuple):
    """A document as it stands in a binary file.

    Args:
        strings: The string of each number.
        shapes: For each shape, the count of its keys and the number of each.
        values: The values of the document, depth first.
    """

    strings: Annotated[list[str], _Table]
    shapes: Annotated[list[int], _Table]
    values: Annotated[list[bool | int | float | str | None], _Table]


class RowFault(ValueError):
    """Rows that no document has; the text says why."""


def to_rows(document: Any, names: Iterable[str] = ()) -> Rows:
    """The rows of a document.

    Args:
        document: A JSON value; integers fit into 64 bits.
        names: What may stand before the dot of a place, such as the ids of nodes.
    """
    places = _Places(names)
    strings, keys, shapes = Counter[str](), Counter[str](), Counter[tuple[str, ...]]()
    _count(document, strings, shapes, places)
    for shape in shapes:
        keys.update(shape)
    # A string that occurs once stands where it is, unless it is a key.
    shared = [text for text, count in (strings + keys).items() if count > 1 or text in keys]
    shared.sort(key=lambda text: -strings[text])
    number = {text: index for index, text in enumerate(shared)}
    token = {shape: FIRST_SHAPE - index for index, (shape, _) in enumerate(shapes.most_common())}
    flat: list[int] = []
    for shape in token:
        flat.append(len(shape))
        flat.extend([number[key] for key in shape])
    values: list[Any] = []
    _write(document, values, number, token, places)
    return Rows(shared, flat, values)


def from_rows(rows: Rows, max_characters: int) -> Any:
    """The document of rows that may come from anybody.

    Args:
        rows: What was decoded.
        max_characters: About how long the JSON of the document may be: a few bytes can name a long string very often.

    Raises:
        RowFault: They are not the rows of a document, or of too large a one.
    """
    return _Reader(rows, max_characters).document()


class _Places(dict[str, tuple[str, str] | None]):
    """The two halves of each string that is a place in a workflow, found when first asked for; None for any other."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def __missing__(self, text: str) -> tuple[str, str] | None:
        name, dot, port = text.partition(".")
        halves = (name, port) if dot and len(text) <= MAX_PLACE and name in self._names else None
        self[text] = halves
        return halves


def _count(value: Any, strings: Counter[str], shapes: Counter[tuple[str, ...]], places: _Places) -> None:
    kind = type(value)
    if kind is str:
        for text in places[value] or (value,):
            strings[text] += 1
    elif kind is dict:
        shapes[tuple(value)] += 1
        for item in value.values():
            _count(item, strings, shapes, places)
    elif kind is list:
        for item in value:
            _count(item, strings, shapes, places)


def _write(
    value: Any,
    values: list[Any],
    number: dict[str, int],
    token: dict[tuple[str, ...], int],
    places: _Places,
) -> None:
    kind = type(value)
    if kind is str:
        if halves := places[value]:
            values.append(PLACE)
            values.extend([number.get(half, half) for half in halves])
        else:
            values.append(number.get(value, value))
    elif kind is dict:
        values.append(token[tuple(value)])
        for item in value.values():
            _write(item, values, number, token, places)
    elif kind is list:
        values += (LIST, len(value))
        for item in value:
            _write(item, values, number, token, places)
    elif kind is int:
        values += (INTEGER, value)
    else:
        values.append(value)


class _Reader:
    """Reads the values of rows from the first to the last."""

    def __init__(self, rows: Rows, max_characters: int) -> None:
        self._strings = rows.strings
        self._shapes = [(keys, sum(map(len, keys))) for keys in _shapes(rows)]
        self._take: Callable[[], Any] = iter(rows.values).__next__
        self._left = max_characters

    def document(self) -> Any:
        try:
            document = self._value(0)
        except StopIteration:
            raise RowFault("the values end in the middle of one") from None
        try:
            self._take()
        except StopIteration:
            return document
        raise RowFault("there are values behind the last one")

    def _value(self, depth: int) -> Any:
        token = self._take()
        if type(token) is not int:
            if type(token) is float and not math.isfinite(token):
                raise RowFault(f"{token} is not a JSON number")
            self._spend(len(token) if type(token) is str else 4)
            return token
        if token >= 0:
            return self._string(token)
        if token == INTEGER:
            self._spend(1)
            return self._integer()
        if token == PLACE:
            name, port = self._half(), self._half()
            if len(name) + len(port) >= MAX_PLACE:
                raise RowFault("a place in the workflow has too long a name")
            return f"{name}.{port}"
        if depth >= MAX_DEPTH:
            raise RowFault(f"lists and objects nest deeper than {MAX_DEPTH}")
        if token == LIST:
            count = self._integer()
            if not 0 <= count <= MAX_VALUES:
                raise RowFault(f"a list claims {count:,} items")
            self._spend(2)
            return [self._value(depth + 1) for _ in range(count)]
        if FIRST_SHAPE - token >= len(self._shapes):
            raise RowFault(f"an object names shape {FIRST_SHAPE - token} of {len(self._shapes)}")
        keys, characters = self._shapes[FIRST_SHAPE - token]
        self._spend(characters + 4 * len(keys) + 2)
        return {key: self._value(depth + 1) for key in keys}

    def _half(self) -> str:
        token = self._take()
        if type(token) is str:
            self._spend(len(token))
            return token
        if type(token) is not int or token < 0:
            raise RowFault(f"found {token!r} where a place has a string")
        return self._string(token)

    def _string(self, number: int) -> str:
        if number >= len(self._strings):
            raise RowFault(f"a value names string {number:,} of {len(self._strings):,}")
        text = self._strings[number]
        self._spend(len(text) + 2)
        return text

    def _integer(self) -> int:
        token = self._take()
        if type(token) is not int:
            raise RowFault(f"found {token!r} where there must be an integer")
        return token

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise RowFault("it stands for a larger workflow than is read")


def _shapes(rows: Rows) -> list[tuple[str, ...]]:
    shapes, numbers, start = [], rows.shapes, 0
    while start < len(numbers):
        end = start + 1 + numbers[start]
        if not start < end <= len(numbers):
            raise RowFault(f"a shape claims {numbers[start]:,} keys")
        row = numbers[start + 1 : end]
        if row and not 0 <= min(row) <= max(row) < len(rows.strings):
            raise RowFault(f"a key is not one of the {len(rows.strings):,} strings")
        keys = tuple([rows.strings[number] for number in row])
        if len(set(keys)) < len(keys):
            raise RowFault("a key stands twice in one object")
        shapes.append(keys)
        start = end
    return shapes

"""A JSON document as positional rows: one table of strings, one of shapes, and one flat list of values.

An object is a row: the number of its shape, and its values in the order of the shape's keys. A string that occurs
twice stands in the table once, the most frequent first, and is a small number everywhere else; a place in a workflow
such as `walk.files` is two numbers. So an edge of a large workflow takes about ten bytes. Nothing here knows what the
keys of a workflow mean: a document of any format, older or newer, with fields that nobody knows, comes back as it was.
"""

from collections import Counter
from collections.abc import Iterable
from math import isfinite
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
_CONTAINER = 16
"""What a list or object counts of the characters that a document may have: an empty one takes memory all the same."""

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
    flat: list[Any] = []  # the values, but with strings for their numbers and keys for shapes
    _flatten(document, flat, _Strings(names))
    strings = Counter([part for part in flat if type(part) is str])
    shapes = Counter([part for part in flat if type(part) is tuple])
    keys = Counter([key for shape in shapes for key in shape])
    # A string that occurs once stands where it is, unless it is a key.
    shared = [text for text, count in (strings + keys).items() if count > 1 or text in keys]
    shared.sort(key=lambda text: -strings[text])
    number: dict[Any, int] = {text: index for index, text in enumerate(shared)}
    number |= {shape: FIRST_SHAPE - index for index, (shape, _) in enumerate(shapes.most_common())}
    table: list[int] = []
    for shape, _ in shapes.most_common():
        table.append(len(shape))
        table.extend([number[key] for key in shape])
    values = [number.get(part, part) if type(part) in (str, tuple) else part for part in flat]
    return Rows(shared, table, values)


def from_rows(rows: Rows, max_characters: int) -> Any:
    """The document of rows that may come from anybody.

    Args:
        rows: What was decoded.
        max_characters: About how long the JSON of the document may be: a few bytes can name a long string very often.

    Raises:
        RowFault: They are not the rows of a document, or of too large a one.
    """
    strings, tokens, left = rows.strings, iter(rows.values), max_characters
    take = tokens.__next__
    shapes = [(keys, sum(map(len, keys)) + 4 * len(keys) + _CONTAINER) for keys in _shapes(rows)]

    def value(depth: int) -> Any:
        nonlocal left
        token = take()
        if type(token) is not int:
            if type(token) is float and not isfinite(token):
                raise RowFault(f"{token} is not a JSON number")
            left -= len(token) if type(token) is str else 4
            return token
        if token >= 0:
            text = _string(strings, token)
            left -= len(text) + 2
            return text
        if left < 0:
            raise RowFault("it stands for a larger workflow than is read")
        if token == PLACE:
            place = f"{_half(strings, take())}.{_half(strings, take())}"
            left -= len(place)
            return place
        if token == INTEGER:
            left -= 1
            return _integer(take())
        if depth >= MAX_DEPTH:
            raise RowFault(f"lists and objects nest deeper than {MAX_DEPTH}")
        if token == LIST:
            count = _integer(take())
            if not 0 <= count <= MAX_VALUES:
                raise RowFault(f"a list claims {count:,} items")
            left -= _CONTAINER
            return [value(depth + 1) for _ in range(count)]
        if FIRST_SHAPE - token >= len(shapes):
            raise RowFault(f"an object names shape {FIRST_SHAPE - token} of {len(shapes)}")
        keys, characters = shapes[FIRST_SHAPE - token]
        left -= characters
        return {key: value(depth + 1) for key in keys}

    try:
        document = value(0)
    except StopIteration:
        raise RowFault("the values end in the middle of one") from None
    if left < 0:
        raise RowFault("it stands for a larger workflow than is read")
    if next(tokens, _END) is not _END:
        raise RowFault("there are values behind the last one")
    return document


_END = object()


def _string(strings: list[str], number: int) -> str:
    if number >= len(strings):
        raise RowFault(f"a value names string {number:,} of {len(strings):,}")
    return strings[number]


def _half(strings: list[str], token: Any) -> str:
    half = token
    if type(token) is int and token >= 0:
        half = _string(strings, token)
    if type(half) is not str or len(half) > MAX_PLACE:
        raise RowFault(f"found {token!r} where a place has a name of at most {MAX_PLACE} characters")
    return half


def _integer(token: Any) -> int:
    if type(token) is not int:
        raise RowFault(f"found {token!r} where there must be an integer")
    return token


class _Strings(dict[str, tuple[Any, ...]]):
    """How each string is written, found when first asked for: as it is, or in two halves where it is a place."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def __missing__(self, text: str) -> tuple[Any, ...]:
        name, dot, port = text.partition(".")
        is_place = dot and name in self._names and len(text) <= MAX_PLACE
        written = self[text] = (PLACE, name, port) if is_place else (text,)
        return written


def _flatten(value: Any, flat: list[Any], strings: _Strings) -> None:
    kind = type(value)
    if kind is dict or kind is list:
        if kind is dict:
            flat.append(tuple(value))
            items = value.values()
        else:
            flat += (LIST, len(value))
            items = value
        for item in items:
            if type(item) is str:
                flat += strings[item]
            else:
                _flatten(item, flat, strings)
    elif kind is str:
        flat += strings[value]
    elif kind is int:
        flat += (INTEGER, value)
    else:
        flat.append(value)


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

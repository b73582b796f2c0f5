"""How much work an expression may take with the values at hand, told before it runs.

Macros are the only loops of the language, so the work of an expression has a bound that follows from its tree and the
sizes of its values. The estimate never falls short; it may be larger than what a run takes. The weights of the steps
come from measuring the library, whose `map` and `filter` copy their list once for each item.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from symphony_workflow.expression_syntax import Call, Entries, Items, Literal, Macro, Name, Select, Tree, walk

MAX_STEPS = 10_000_000
"""Steps of one evaluation; about a second."""

MAX_DEPTH = 100
"""How deeply the lists and objects of a value may nest: the library's own stack ends somewhere."""

MAX_VALUES = 1_000_000
"""How many values a list or object may hold, all in all: each is copied for the library."""

_CHARACTERS = 16  # that weigh as much as one value
_MADE = 8  # steps for a value that a part makes, which takes memory too
_REGEX_COMPILATION = 400  # steps for each character of a pattern
_UNKNOWN_PATTERN = 2_000_000  # steps for one that is not written out: the library refuses what takes longer
_WEIGHED = 500_000  # values in one value; weighing more would take too long itself


class Size(NamedTuple):
    """How large a value may be.

    Args:
        total: Values in it, all in all; a text weighs one more for every 16 characters.
        length: Items of it, where it is a list or an object.
        item: `total` of the largest of them.
    """

    total: int
    length: int
    item: int


_SCALAR = Size(1, 0, 0)


def steps(tree: Tree, values: Mapping[str, Any]) -> int:
    """The most steps that evaluating an expression may take.

    Args:
        tree: The expression.
        values: A JSON-like value for each of its names.
    """
    if not any(_grows(part) for part in walk(tree)):
        return 0
    return _work(tree, {name: size(value) for name, value in values.items()})[0]


def excess(value: Any) -> str:
    """Why a value is more than an expression may be given, in words; empty where it is not.

    Args:
        value: Any object.
    """
    level, count = [value], 0
    for _ in range(MAX_DEPTH):
        level = [part for part in level if isinstance(part, list | tuple | dict)]
        count += sum(map(len, level))
        if count > MAX_VALUES:
            return f"holds more than {MAX_VALUES:,} values"
        if not level:
            return ""
        level = [child for part in level for child in (part.values() if isinstance(part, dict) else part)]
    return f"nests lists and objects more than {MAX_DEPTH} deep"


def size(value: Any) -> Size:
    """How large a JSON-like value is; what is larger than any bound is not looked at further.

    Args:
        value: Any object.
    """
    total, item = 1, 0
    parts = _parts(value)
    for part in parts:
        weight = _weight(part, _WEIGHED - total, 0)
        total += weight
        item = max(item, weight)
        if total > _WEIGHED:
            return Size(MAX_STEPS, len(value), MAX_STEPS)
    return Size(total + _text_weight(value), len(value) if parts else 0, item)


def _weight(value: Any, left: int, depth: int) -> int:
    weight = 1 + _text_weight(value)
    for part in _parts(value) if depth < MAX_DEPTH else ():
        weight += _weight(part, left - weight, depth + 1)
        if weight > left:
            break
    return weight


def _parts(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list | tuple) else ()


def _text_weight(value: Any) -> int:
    return len(value) // _CHARACTERS if isinstance(value, str) else 0


def _grows(tree: Tree) -> bool:
    """Whether the work or the result of a part is more than in line with what it is given."""
    if isinstance(tree, Call):
        return tree.function in ("+", ".matches")
    return isinstance(tree, Macro | Items | Entries)


def _work(tree: Tree, names: Mapping[str, Size]) -> tuple[int, Size]:
    """The steps of a part, and the size of what it gives."""
    match tree:
        case Literal():
            return 1, Size(1 + len(tree.text) // _CHARACTERS, 0, 0)
        case Name():
            return 1, names.get(tree.name, _SCALAR)
        case Select():
            work, owner = _work(tree.operand, names)
            return work + 1 + owner.length // 256, _within(owner)
        case Macro():
            return _macro(tree, names)
        case Items():
            return _collection([_work(part, names) for part in tree.items], len(tree.items))
        case Entries():
            parts = [_work(part, names) for entry in tree.entries for part in entry]
            return _collection(parts, len(tree.entries))
        case Call():
            return _call(tree, [_work(part, names) for part in tree.arguments])


def _within(owner: Size) -> Size:
    return Size(owner.item, owner.item, owner.item)


def _collection(parts: list[tuple[int, Size]], length: int) -> tuple[int, Size]:
    total = 1 + sum(part.total for _, part in parts)
    item = max((part.total for _, part in parts), default=0)
    return total * _MADE + sum(work for work, _ in parts), Size(total, length, item)


def _macro(tree: Macro, names: Mapping[str, Size]) -> tuple[int, Size]:
    work, over = _work(tree.range, names)
    bodies = [_work(body, {**names, tree.variable: _within(over)}) for body in tree.bodies]
    work += over.length * (1 + sum(body for body, _ in bodies))
    if tree.name not in ("map", "filter"):
        return work, _SCALAR
    made = bodies[-1][1].total if tree.name == "map" else over.item
    result = Size(1 + over.length * made, over.length, made)
    return work + 4 * over.length * over.length + result.total * _MADE, result


def _call(tree: Call, given: list[tuple[int, Size]]) -> tuple[int, Size]:
    work = 1 + sum(part for part, _ in given)
    sizes = [one for _, one in given]
    total = sum(one.total for one in sizes)
    match tree.function:
        case "+":
            result = Size(total, sum(one.length for one in sizes), max(one.item for one in sizes))
            return work + total * _MADE, result
        case "?:":
            holds, fails = sizes[1:]
            return work, Size(*map(max, holds, fails))
        case "[]":
            return work + sizes[0].length // 256, _within(sizes[0])
        case ".matches":
            return work + total + _regex_steps(tree.arguments[-1]), _SCALAR
        case "string" | "dyn":
            return work + total // 4, sizes[0] if sizes else _SCALAR
    return work + total // 16, _SCALAR


def _regex_steps(pattern: Tree) -> int:
    """Steps to compile a pattern, which is done at each call; what it repeats is compiled so many times."""
    if not isinstance(pattern, Literal):
        return _UNKNOWN_PATTERN
    repeats = 1
    for number in re.findall(r"\d+(?=\})", pattern.text):
        repeats = min(repeats * max(1, int(number)), _UNKNOWN_PATTERN)
    return min(len(pattern.text) * _REGEX_COMPILATION * repeats, _UNKNOWN_PATTERN)

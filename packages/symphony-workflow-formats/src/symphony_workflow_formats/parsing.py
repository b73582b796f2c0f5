"""Parses files that a stranger wrote: bounded in size, depth and number of values, with an error for each fault."""

import json
import math
import re
from collections.abc import Hashable
from typing import Any

import yaml  # type: ignore[import-untyped]
from symphony_sdk.errors import WorkflowError

MAX_JSON = 64 << 20
"""The largest JSON file that is read, in bytes."""
MAX_YAML = 2 << 20
"""The largest YAML file that is read, in bytes."""
MAX_DEPTH = 48
"""How deeply lists and objects may nest."""
MAX_VALUES = 4_000_000
"""How many values a file may hold; a value that YAML repeats by an alias counts each time."""

_TOO_DEEP = f"lists and objects nest deeper than {MAX_DEPTH}"


def parse_json(data: bytes, *, odd_numbers: list[str] | None = None) -> Any:
    """The value of a JSON file.

    Args:
        data: The file.
        odd_numbers: Takes NaN and Infinity, which some programs write although JSON has none: each becomes a text.
            Where None, they are refused.

    Raises:
        WorkflowError: SYM-W101, it is no JSON or too much of it.
    """

    def constant(name: str) -> Any:
        if odd_numbers is None:
            raise ValueError(f"{name} is not a JSON number")
        odd_numbers.append(name)
        return name

    text = _text(data, MAX_JSON)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise _unreadable(f"it is not JSON: {error.msg}", error.lineno, error.colno) from error
    except RecursionError as error:
        raise _unreadable(_TOO_DEEP) from error
    except ValueError as error:
        raise _unreadable(f"it is not JSON that can be read: {error}") from error
    _check(value)
    return value


def parse_yaml(data: bytes) -> Any:
    """The value of a YAML file, which may be JSON; scalars are those of YAML 1.2, and there are no tags.

    Args:
        data: The file.

    Raises:
        WorkflowError: SYM-W101, it is no YAML or too much of it.
    """
    text = _text(data, MAX_YAML)
    if text.lstrip().startswith("{"):
        return parse_json(data)
    try:
        _check_depth(text)
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - makes plain values alone, see below
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise _unreadable(f"it is not YAML: {error.problem or error.context}", line, column) from error
    except RecursionError as error:
        raise _unreadable(_TOO_DEEP) from error
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(f"it is not YAML that can be read: {error}") from error
    _check(value)
    return value


def _check_depth(text: str) -> None:
    """Refuse what nests too deeply before values are made of it: libyaml's composer would overflow the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _unreadable(_TOO_DEEP)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Loader(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
    """Knows null, booleans and numbers as YAML 1.2 writes them; a tag of any other kind is refused."""


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable) or isinstance(key, tuple):
            raise yaml.constructor.ConstructorError(
                None, None, "a key is a list or an object", key_node.start_mark
            )
        text = key if isinstance(key, str) else json.dumps(key)
        if text in found:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {text!r} stands twice in one object", key_node.start_mark
            )
        found[text] = loader.construct_object(value_node, deep=True)
    return found


def _refused(loader: Any, suffix: str, node: Any) -> Any:
    raise yaml.constructor.ConstructorError(None, None, f"the tag {suffix!r} is unknown", node.start_mark)


for _tag, _pattern, _first, _make in (
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF"), lambda text: text[0] in "tT"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""], lambda text: None),
    ("int", r"[-+]?[0-9]+", list("-+0123456789"), int),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
        float,
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)
    _Loader.add_constructor(
        f"tag:yaml.org,2002:{_tag}", lambda loader, node, make=_make: make(loader.construct_scalar(node))
    )
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor(
    "tag:yaml.org,2002:seq",
    lambda loader, node: [loader.construct_object(one, deep=True) for one in node.value],
)
_Loader.add_constructor("tag:yaml.org,2002:str", lambda loader, node: loader.construct_scalar(node))
_Loader.add_multi_constructor("", _refused)


def _text(data: bytes, limit: int) -> str:
    if len(data) > limit:
        raise _unreadable(f"it has {len(data):,} bytes; at most {limit:,} are read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(f"it is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _check(value: Any) -> None:
    """Refuse what a workflow could not hold; each level at once, so that no depth of a file is a depth of ours."""
    level, depth, seen = [value], 0, 0
    while level:
        seen += len(level)
        if seen > MAX_VALUES:
            raise _unreadable(f"it holds more than {MAX_VALUES:,} values")
        if depth > MAX_DEPTH:
            raise _unreadable(_TOO_DEEP)
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one)
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
            elif fault := _fault(one):
                raise _unreadable(fault)
            if len(below) > MAX_VALUES:
                raise _unreadable(f"it holds more than {MAX_VALUES:,} values")
        level, depth = below, depth + 1


def _fault(value: Any) -> str:
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "a string holds half of a surrogate pair"
    if type(value) is int and not -(2**63) <= value < 2**64:
        return "an integer does not fit into 64 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a JSON number"
    return ""


def _unreadable(message: str, line: int = 0, column: int = 0) -> WorkflowError:
    return WorkflowError(
        f"the file cannot be imported: {message}",
        code="SYM-W101",
        hint="Save it again with the program that it comes from, as UTF-8.",
        line=line,
        column=column,
    )

"""Faults of a manifest: raised inside validators, gathered from pydantic, told with line and column."""

import datetime
import types
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from symphony_sdk.errors import ManifestError
from symphony_sdk.manifest.locator import KeyPath, Position, locate

_TYPE_NAMES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_FOUND_NAMES: Sequence[tuple[type, str]] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "float"),
    (str, "string"),
    (list, "array"),
    (dict, "table"),
    (datetime.date, "date"),
    (datetime.time, "time"),
)


class Fault(NamedTuple):
    """One thing that is wrong with a manifest.

    Args:
        path: The keys and indexes that lead to it.
        message: What was expected there and what was found.
        hint: What to write instead.
        place: The keys that lead to where it is told, if that is another place.
    """

    path: KeyPath
    message: str
    hint: str = ""
    place: KeyPath = ()


def refusal(*faults: Fault) -> PydanticCustomError:
    """What a validator raises; the paths are relative to the value that it validates.

    Args:
        faults: At least one.
    """
    return PydanticCustomError("symphony", "refused", {"faults": faults})


def refuse(message: str, hint: str) -> PydanticCustomError:
    """What a validator raises for the one value that it validates."""
    return refusal(Fault((), message, hint))


def gathered(error: ValidationError, model: type[BaseModel]) -> list[Fault]:
    """Every fault that pydantic has found, in our words.

    Args:
        error: What validation raised.
        model: The model that was validated, for the keys that it knows.
    """
    return [fault for details in error.errors(include_url=False) for fault in _faults(details, model)]


def told(faults: Sequence[Fault], *, text: str, file: str) -> ManifestError:
    """The one error that tells all of `faults`, each with its place.

    Args:
        faults: At least one.
        text: The manifest that they were found in.
        file: Its name.
    """
    placed = sorted(
        ((_place(text, fault.place or fault.path), fault) for fault in faults), key=lambda each: each[0]
    )
    rows = [
        {
            "path": shown(fault.path),
            "line": position.line,
            "column": position.column,
            "message": fault.message,
            "hint": fault.hint,
        }
        for position, fault in placed
    ]
    first, fault = placed[0]
    if len(placed) == 1:
        message, hint = _sentence(fault), fault.hint
    else:
        lines = [
            f"{file}:{position.line}:{position.column}: {_sentence(each)}"
            + (f" ({each.hint})" if each.hint else "")
            for position, each in placed
        ]
        message, hint = f"{len(lines)} faults:\n  " + "\n  ".join(lines), "Mend each of the lines named."
    return ManifestError(
        message, hint=hint, details={"faults": rows}, file=file, line=first.line, column=first.column
    )


def shown(path: KeyPath) -> str:
    """A path as TOML writes keys, with array indexes in brackets: `permissions.required[0].scope`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.replace("-", "").replace("_", "").isalnum() and part.isascii()
            text += ("." if text else "") + (part if bare else repr(part))
    return text


def nearest(found: str, known: Sequence[str]) -> str:
    """A hint that names the known word most like `found`, or all of them."""
    near = get_close_matches(found, known, n=1)
    return f"Did you mean `{near[0]}`?" if near else f"Known here: {', '.join(known)}."


def _sentence(fault: Fault) -> str:
    return f"{shown(fault.path)}: {fault.message}" if fault.path else fault.message


def _place(text: str, path: KeyPath) -> Position:
    """Where `path` is, or the nearest table around it."""
    for length in range(len(path), 0, -1):
        position = locate(text, path[:length])
        if position is not None:
            return position
    return Position(1, 1)


def _faults(details: ErrorDetails, model: type[BaseModel]) -> Iterator[Fault]:
    path: KeyPath = details["loc"]
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "symphony":
        yield from (fault._replace(path=path + fault.path) for fault in context["faults"])
    elif kind == "missing":
        example = _example(model, path)
        yield Fault(path, "is missing", f"Add `{path[-1]} = {example}`." if example else "Add it.")
    elif kind == "extra_forbidden":
        yield Fault(path, "unknown key", nearest(str(path[-1]), sorted(_keys(model, path[:-1]))))
    elif kind == "literal_error":
        known = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
        hint = nearest(value, known) if isinstance(value, str) else ""
        yield Fault(path, f"expected {context['expected']}, found {found(value)}", hint)
    elif kind in _TYPE_NAMES:
        yield Fault(
            path, f"expected {_TYPE_NAMES[kind]}, found {found(value)}", _write(_example(model, path))
        )
    else:
        message = details["msg"][0].lower() + details["msg"][1:]
        yield Fault(path, f"{message}, found {found(value)}", _write(_example(model, path)))


def found(value: object) -> str:
    """A value as a message shows it: its TOML type and, where short, itself."""
    name = next((name for kind, name in _FOUND_NAMES if isinstance(value, kind)), type(value).__name__)
    if isinstance(value, list | dict):
        return f"{'an' if name == 'array' else 'a'} {name}"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"the {name} {text if len(text) <= 80 else text[:77] + '...'}"


def _write(example: str) -> str:
    return f"Write for example `{example}`." if example else ""


def _example(model: type[BaseModel], path: KeyPath) -> str:
    owner = _model_at(model, path[:-1])
    for name, field in owner.model_fields.items() if owner else ():
        if (field.alias or name) == path[-1] and field.examples:
            return _toml(field.examples[0])
    return ""


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    owner = _model_at(model, path)
    return [field.alias or name for name, field in owner.model_fields.items()] if owner else []


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The model of the table that `path` leads to."""
    annotation: Any = model
    for part in path:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
            annotation = _plain(fields[str(part)].annotation)
        else:
            # An array's element or a table's value: tuple[T, ...] and dict[str, T].
            annotation = _plain([each for each in get_args(annotation) if each is not Ellipsis][-1])
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _plain(annotation: Any) -> Any:
    """`T` for `T | None`."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return next(each for each in get_args(annotation) if each is not type(None))
    return annotation

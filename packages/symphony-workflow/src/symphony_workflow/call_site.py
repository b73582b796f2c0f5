"""Errors at the line of the author's code that built something wrong."""

import sys
from dataclasses import dataclass
from typing import Any

import msgspec
from symphony_sdk.errors import WorkflowError
from symphony_sdk.values import encode_hook

from symphony_workflow.json_values import json_fault


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the author's code."""

    file: str
    line: int


def caller() -> Place:
    """The line outside of this package that led here."""
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith("symphony_workflow.") and frame.f_back is not None:
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def misuse(message: str, hint: str, *, code: str = "SYM-W050") -> WorkflowError:
    """An error at the line that called into this package.

    Args:
        message: What was given and what was expected.
        hint: What to do about it.
        code: Its code.
    """
    place = caller()
    return WorkflowError(message, code=code, hint=hint, file=place.file, line=place.line)


def literal(what: str, value: Any) -> Any:
    """The JSON value that `value` stands for: paths, dates, enums, dataclasses and tuples are converted.

    Args:
        what: What is given, for errors.
        value: Any object.

    Raises:
        WorkflowError: It cannot be written as JSON.
    """
    hint = "Pass such a value as an input of the workflow, or make it in a node."
    try:
        plain = _lists(msgspec.to_builtins(value, builtin_types=(bytes,), enc_hook=encode_hook))
    except (TypeError, RecursionError) as error:
        raise misuse(f"{what} cannot be written as JSON: {error}", hint) from error
    if fault := json_fault(plain):
        raise misuse(f"{what} cannot be written as JSON: {fault}", hint)
    return plain


def _lists(value: Any) -> Any:
    """`value` with its tuples as lists, which is what comes back from JSON."""
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    return {key: _lists(item) for key, item in value.items()} if isinstance(value, dict) else value

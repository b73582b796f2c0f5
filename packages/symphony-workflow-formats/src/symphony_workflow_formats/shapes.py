"""Takes values out of a parsed file, with an error that names the place where it is not as its format says."""

from collections.abc import Mapping
from typing import Any

from symphony_sdk.errors import WorkflowError


def as_object(value: Any, place: str) -> dict[str, Any]:
    """`value`, which is to be an object.

    Args:
        value: A value of the file.
        place: Where it stands.

    Raises:
        WorkflowError: SYM-W102, it is something else.
    """
    if not isinstance(value, dict):
        raise wrong_shape(place, "an object", value)
    return value


def as_list(value: Any, place: str) -> list[Any]:
    """`value`, which is to be a list.

    Args:
        value: A value of the file.
        place: Where it stands.

    Raises:
        WorkflowError: SYM-W102, it is something else.
    """
    if not isinstance(value, list):
        raise wrong_shape(place, "a list", value)
    return value


def as_text(value: Any, place: str) -> str:
    """`value`, which is to be a text.

    Args:
        value: A value of the file.
        place: Where it stands.

    Raises:
        WorkflowError: SYM-W102, it is something else.
    """
    if not isinstance(value, str):
        raise wrong_shape(place, "a text", value)
    return value


def as_index(value: Any, place: str) -> int:
    """`value`, which is to be a whole number, perhaps written as a text.

    Args:
        value: A value of the file.
        place: Where it stands.

    Raises:
        WorkflowError: SYM-W102, it is something else.
    """
    if type(value) is int:
        return value
    if isinstance(value, str) and len(value) < 12 and value.lstrip("-").isdecimal():
        return int(value)
    raise wrong_shape(place, "a whole number", value)


def objects(parent: Mapping[str, Any], key: str, place: str) -> list[dict[str, Any]]:
    """The objects of the list `parent[key]`; none where it is missing or null.

    Args:
        parent: An object of the file.
        key: A key of it.
        place: Where `parent` stands.

    Raises:
        WorkflowError: SYM-W102, it is no list of objects.
    """
    found = as_list(parent.get(key) or [], f"{place}.{key}")
    return [as_object(one, f"{place}.{key}[{number}]") for number, one in enumerate(found)]


def wrong_shape(place: str, expected: str, found: Any) -> WorkflowError:
    """The error of a file that is not as its format says.

    Args:
        place: Where.
        expected: What was to stand there.
        found: What does.
    """
    shown = repr(found)
    return WorkflowError(
        f"{place} is {shown if len(shown) <= 60 else shown[:57] + '...'}; {expected} was expected",
        code="SYM-W102",
        hint="Save the file again with the program that it comes from.",
        details={"place": place},
    )

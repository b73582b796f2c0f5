"""Checks settings against the subset of JSON Schema that a manifest's `[config]` is written in."""

import copy
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from symphony_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator


class ValueFault(NamedTuple):
    """What is wrong with a value, or with a part of it.

    Args:
        path: Where in the value: the indexes of nested arrays, empty for the value itself.
        message: What was expected and what was found.
    """

    path: tuple[int, ...]
    message: str


_IS: Mapping[str, Callable[[Any], bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    ),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list | tuple),
}


def faults_of(setting: Mapping[str, Any], value: Any) -> Iterator[ValueFault]:
    """Each reason why `value` cannot be the value of `setting`.

    Args:
        setting: The schema of one setting.
        value: Any value.
    """
    kind = setting["type"]
    shown = "a secret" if setting.get("format") == "secret" else repr(value)
    if not _IS[kind](value):
        yield ValueFault((), f"expected {_article(kind)}, found {shown}")
        return
    if "enum" in setting and not any(_same(value, choice) for choice in setting["enum"]):
        choices = ", ".join(map(repr, setting["enum"]))
        yield ValueFault((), f"expected one of {choices}, found {shown}")
    if "minimum" in setting and value < setting["minimum"]:
        yield ValueFault((), f"expected at least {setting['minimum']}, found {shown}")
    if "maximum" in setting and value > setting["maximum"]:
        yield ValueFault((), f"expected at most {setting['maximum']}, found {shown}")
    if "minLength" in setting and len(value) < setting["minLength"]:
        yield ValueFault((), f"expected at least {setting['minLength']} characters, found {len(value)}")
    if "maxLength" in setting and len(value) > setting["maxLength"]:
        yield ValueFault((), f"expected at most {setting['maxLength']} characters, found {len(value)}")
    if "pattern" in setting and not matches(setting["pattern"], value):
        yield ValueFault((), f"expected text that matches {setting['pattern']!r}, found {shown}")
    if kind == "array":
        for index, element in enumerate(value):
            for fault in faults_of(setting["items"], element):
                yield ValueFault((index, *fault.path), fault.message)


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> "SchemaValidator":
    # Imported only where a setting has a pattern: pydantic's core is not on the path of a warm start.
    from pydantic_core import SchemaValidator, core_schema

    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` is found in `text`.

    The pattern is an extension's and runs in the host, so it runs on an engine that needs linear time:
    Python's own can be made to take for ever.

    Args:
        pattern: A regular expression without look-around and back-references.
        text: Any text.

    Raises:
        pydantic_core.SchemaError: `pattern` is no such expression.
    """
    return _matcher(pattern).isinstance_python(text)


def defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The default of each setting that has one; the caller owns the result.

    Args:
        schema: The schema of all settings of an extension.
    """
    return {
        name: copy.deepcopy(setting["default"])
        for name, setting in schema["properties"].items()
        if "default" in setting
    }


def validate(schema: Mapping[str, Any], values: Mapping[str, Any], *, owner: str) -> dict[str, Any]:
    """The settings to run with: `values`, and the defaults where they say nothing.

    Args:
        schema: The schema of all settings of an extension.
        values: What the user has set, by name.
        owner: The id of that extension, for the message.

    Raises:
        ConfigurationError: SYM-C001; `details["faults"]` lists each fault as `path`, `message` and `hint`,
            and the message has a line for each.
    """
    settings = schema["properties"]
    faults: list[dict[str, str]] = []

    def add(path: str, message: str, hint: str) -> None:
        faults.append({"path": path, "message": message, "hint": hint})

    for name, value in values.items():
        if name not in settings:
            near = get_close_matches(name, settings, n=1)
            known = ", ".join(sorted(settings)) or "none"
            add(name, "unknown setting", f"Did you mean `{near[0]}`?" if near else f"Its settings: {known}.")
            continue
        for fault in faults_of(settings[name], value):
            place = name + "".join(f"[{index}]" for index in fault.path)
            add(place, fault.message, settings[name].get("description", ""))
    merged = {**defaults(schema), **copy.deepcopy(dict(values))}
    for name in schema.get("required", ()):
        if name not in merged:
            add(name, "is required and not set", settings[name].get("description", ""))
    if faults:
        lines = [f"{fault['path']}: {fault['message']}" for fault in faults]
        raise ConfigurationError(
            f"the settings of {owner} are wrong:\n  " + "\n  ".join(lines),
            hint=faults[0]["hint"] if len(faults) == 1 else "Mend each of the settings named.",
            details={"extension": owner, "faults": faults},
        )
    return merged


def _same(value: Any, choice: Any) -> bool:
    """JSON's equality: unlike Python's, `true` is not 1."""
    return bool(value == choice) and isinstance(value, bool) == isinstance(choice, bool)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "ai" else f"a {kind}"

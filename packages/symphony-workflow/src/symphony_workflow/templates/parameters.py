"""The parameters of a template: a subset of JSON Schema that says which values they take.

A value is checked against types, choices and bounds, at every depth. A pattern runs on an engine that needs linear
time, so that no template can make the check of a value take for ever.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from symphony_workflow.json_values import json_fault
from symphony_workflow.port_types import accepts, describe
from symphony_workflow.templates.faults import TemplateFault, nearest

PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")

_COUNT = "a whole number, 0 or more"
KEYWORDS: Mapping[str, str] = {
    "type": "the name of a type or a list of them",
    "enum": "a list of values",
    "const": "",
    "minimum": "a number",
    "maximum": "a number",
    "exclusiveMinimum": "a number",
    "exclusiveMaximum": "a number",
    "minLength": _COUNT,
    "maxLength": _COUNT,
    "pattern": "a regular expression",
    "format": "text",
    "items": "a schema",
    "minItems": _COUNT,
    "maxItems": _COUNT,
    "properties": "an object of schemas",
    "required": "a list of names",
    "additionalProperties": "a schema, true or false",
    "anyOf": "a list of schemas",
    "title": "text",
    "description": "text",
    "examples": "a list of values",
}
"""The keywords of a parameter's schema, and what each of them takes."""

_OWN = ("default", "group")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What whoever uses a template chooses.

    Args:
        name: The name that place holders use.
        schema: The JSON Schema of its values.
        required: Whether it has no default.
        default: The value where none is given; used only where not `required`.
        group: The heading that a form shows it under.
    """

    name: str
    schema: dict[str, Any] = field(default_factory=dict)
    required: bool = True
    default: Any = None
    group: str = ""

    @property
    def title(self) -> str:
        """Its title; the name where it has none."""
        return str(self.schema.get("title") or self.name)

    @property
    def description(self) -> str:
        """What it is, for people."""
        return str(self.schema.get("description", ""))

    @property
    def type(self) -> str:
        """What it takes in words, such as `list of string`."""
        return describe({key: part for key, part in self.schema.items() if key != "title"})

    def document(self) -> dict[str, Any]:
        """Its entry in a template file."""
        document = dict(self.schema)
        if self.group:
            document["group"] = self.group
        if not self.required:
            document["default"] = self.default
        return document


def read_parameter(name: str, fields: Any, path: str) -> tuple[Parameter, list[TemplateFault]]:
    """A parameter out of its entry in a template file, and every fault of that entry.

    Args:
        name: Its name.
        fields: The entry.
        path: Where it stands.
    """
    faults = []
    if not PARAMETER_NAME.fullmatch(name):
        faults.append(
            TemplateFault(
                path, f"{name!r} is no name of a parameter", "Use letters, digits and underscores.", name
            )
        )
    if not isinstance(fields, dict):
        return Parameter(name), [
            *faults,
            TemplateFault(path, "expected an object with a JSON Schema", "", name),
        ]
    schema = {key: part for key, part in fields.items() if key not in _OWN}
    schema_faults = [
        TemplateFault(f"{path}{place}", message, hint, name)
        for place, message, hint in _schema_faults(schema)
    ]
    faults += schema_faults
    group = fields.get("group", "")
    if not isinstance(group, str):
        faults.append(TemplateFault(f"{path}.group", f"expected text, found {group!r:.60}", "", name))
        group = ""
    parameter = Parameter(name, schema, "default" not in fields, fields.get("default"), group)
    if not schema_faults and not parameter.required:
        faults += [
            TemplateFault(
                f"{path}.default{place}", message, "A default must be a value that can be given.", name
            )
            for place, message in value_faults(schema, parameter.default)
        ]
    return parameter, faults


def bind(
    parameters: Sequence[Parameter], given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[TemplateFault]]:
    """The value of every parameter, defaults filled in, and every fault of what was given.

    Args:
        parameters: The parameters of the template.
        given: Values by name.
    """
    known = {parameter.name: parameter for parameter in parameters}
    faults = [
        TemplateFault(name, "there is no such parameter", nearest(name, known) or "It has none.", name)
        for name in given
        if name not in known
    ]
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in given:
            values[name] = given[name]
            faults += [
                TemplateFault(f"{name}{place}", message, parameter.description, name)
                for place, message in value_faults(parameter.schema, given[name])
            ]
        elif parameter.required:
            hint = f"Give {parameter.type}" + (f": {parameter.description}" if parameter.description else ".")
            faults.append(TemplateFault(name, "a value is missing", hint, name))
        else:
            values[name] = deepcopy(parameter.default)
    return values, faults


def value_faults(schema: Mapping[str, Any], value: Any) -> list[tuple[str, str]]:
    """Why `value` is not what `schema` takes, each reason with its place in the value.

    Args:
        schema: The schema of a parameter.
        value: Any value.
    """
    if fault := json_fault(value):
        return [("", fault)]
    if _holds_expression(value):
        return [("", "a value cannot hold an expression: only the template's author writes those")]
    if not (fits := accepts(schema, value)):
        return [
            ("", f"expected {describe({k: v for k, v in schema.items() if k != 'title'})}: {fits.reason}")
        ]
    return list(_bound_faults(schema, value, ""))


def _holds_expression(value: Any) -> bool:
    if isinstance(value, dict):
        return "$expr" in value or any(map(_holds_expression, value.values()))
    return isinstance(value, list) and any(map(_holds_expression, value))


def _bound_faults(schema: Mapping[str, Any], value: Any, place: str) -> Iterator[tuple[str, str]]:
    if alternatives := schema.get("anyOf"):
        reasons = [list(_bound_faults(part, value, place)) for part in alternatives if accepts(part, value)]
        if [] not in reasons:
            yield from reasons[0]
    if isinstance(value, str):
        yield from _length_faults(schema, len(value), "minLength", "maxLength", "characters", place)
        if "pattern" in schema and not _matches(schema["pattern"], value):
            yield place, f"expected text that matches {schema['pattern']!r}, found {value!r:.60}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _range_faults(schema, value, place)
    elif isinstance(value, list):
        yield from _length_faults(schema, len(value), "minItems", "maxItems", "items", place)
        for index, item in enumerate(value):
            yield from _bound_faults(schema.get("items", {}), item, f"{place}[{index}]")
    elif isinstance(value, dict):
        rest = schema.get("additionalProperties", {})
        for name, item in value.items():
            part = schema.get("properties", {}).get(name, rest)
            if isinstance(part, Mapping):
                yield from _bound_faults(part, item, f"{place}.{name}")


def _range_faults(schema: Mapping[str, Any], value: float, place: str) -> Iterator[tuple[str, str]]:
    if "minimum" in schema and value < schema["minimum"]:
        yield place, f"expected at least {schema['minimum']}, found {value}"
    if "maximum" in schema and value > schema["maximum"]:
        yield place, f"expected at most {schema['maximum']}, found {value}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield place, f"expected more than {schema['exclusiveMinimum']}, found {value}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield place, f"expected less than {schema['exclusiveMaximum']}, found {value}"


def _length_faults(
    schema: Mapping[str, Any], length: int, least: str, most: str, what: str, place: str
) -> Iterator[tuple[str, str]]:
    if least in schema and length < schema[least]:
        yield place, f"expected at least {schema[least]} {what}, found {length}"
    if most in schema and length > schema[most]:
        yield place, f"expected at most {schema[most]} {what}, found {length}"


def _matches(pattern: str, text: str) -> bool:
    from symphony_sdk.config_schema import matches  # pydantic's core: only where there is a pattern

    return matches(pattern, text)


def _schema_faults(schema: Any, place: str = "") -> Iterator[tuple[str, str, str]]:
    if not isinstance(schema, dict):
        yield place, f"expected a JSON Schema, found {schema!r:.60}", ""
        return
    for key, part in schema.items():
        here = f"{place}.{key}"
        if key not in KEYWORDS:
            if not key.startswith("x-"):
                yield here, "unknown key", nearest(key, [*KEYWORDS, *_OWN])
        elif not _takes(key, part):
            yield here, f"expected {KEYWORDS[key]}, found {part!r:.60}", ""
        elif key == "items" or (key == "additionalProperties" and not isinstance(part, bool)):
            yield from _schema_faults(part, here)
        elif key == "properties":
            for name, inner in part.items():
                yield from _schema_faults(inner, f"{here}.{name}")
        elif key == "anyOf":
            for index, inner in enumerate(part):
                yield from _schema_faults(inner, f"{here}[{index}]")


def _takes(key: str, part: Any) -> bool:
    expected = KEYWORDS[key]
    if key == "type":
        names = part if isinstance(part, list) and part else [part]
        return all(isinstance(name, str) and name in TYPES for name in names)
    if key == "pattern":
        return isinstance(part, str) and _compiles(part)
    if expected == _COUNT:
        return type(part) is int and part >= 0
    if expected == "a number":
        return isinstance(part, int | float) and not isinstance(part, bool)
    if expected == "text":
        return isinstance(part, str)
    if key == "required":
        return isinstance(part, list) and all(isinstance(name, str) for name in part)
    if key in ("enum", "anyOf"):
        return isinstance(part, list) and bool(part)
    if key == "examples":
        return isinstance(part, list)
    return key != "properties" or isinstance(part, dict)


def _compiles(pattern: str) -> bool:
    from pydantic_core import SchemaError

    try:
        _matches(pattern, "")
    except SchemaError:
        return False
    return True

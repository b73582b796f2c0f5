"""Turns docstrings, JSON Schemas and data types into the Markdown of the reference."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import griffe


def table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table.

    Args:
        headings: Of its columns.
        rows: The cells of each row.
    """
    cells = [headings, ("---",) * len(headings), *rows]
    lines = ["| " + " | ".join(line(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]
    return "\n".join(lines) + "\n"


def line(text: str) -> str:
    """A text on one line, without the references that only mkdocstrings resolves."""
    return re.sub(r"\[([^]]+)\]\[[\w.]+\]", r"`\1`", " ".join(text.split()))


def slug(heading: str) -> str:
    """The anchor of a heading, as Python-Markdown makes it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def docstring(documented: Any) -> Iterator[str]:
    """A docstring with its arguments as a list and its example as code.

    Args:
        documented: What has it.
    """
    for section in _sections(documented):
        if section.kind is griffe.DocstringSectionKind.text:
            yield f"{section.value}\n"
        elif section.kind is griffe.DocstringSectionKind.parameters:
            yield from (f"- `{argument.name}`: {line(argument.description)}" for argument in section.value)
            yield ""
        elif section.kind is griffe.DocstringSectionKind.returns:
            yield from (f"Returns: {line(result.description)}\n" for result in section.value)
        elif section.kind is griffe.DocstringSectionKind.admonition:
            yield f"{section.value.description}\n"


def summary(documented: Any) -> str:
    """What a docstring says before its arguments.

    Args:
        documented: What has it.
    """
    texts = [
        section.value for section in _sections(documented) if section.kind is griffe.DocstringSectionKind.text
    ]
    return "\n\n".join(texts)


def arguments(documented: Any) -> dict[str, str]:
    """What a docstring says of each argument.

    Args:
        documented: What has it.
    """
    return {
        argument.name: line(argument.description)
        for section in _sections(documented)
        if section.kind is griffe.DocstringSectionKind.parameters
        for argument in section.value
    }


def fields(struct: type) -> str:
    """The fields of a data type, those of its bases included: their types, defaults and meanings.

    Args:
        struct: A `msgspec.Struct`.
    """
    rows = []
    for base in reversed(struct.__mro__):
        package = base.__module__.partition(".")[0]
        if package != struct.__module__.partition(".")[0] or base.__name__ == "_Event":
            continue
        meanings = arguments(base)
        for name, member in _source(package)[
            f"{base.__module__}.{base.__qualname__}"[len(package) + 1 :]
        ].members.items():
            if member.is_attribute and "instance-attribute" in member.labels and name in meanings:
                given = "" if member.value is None else f"`{member.value}`"
                rows.append((f"`{name}`", f"`{_annotation(member)}`", given, meanings[name]))
    return table(("field", "type", "default", "meaning"), rows) if rows else ""


def meanings(enumeration: type) -> list[str]:
    """What stands below each member of an enumeration, in their order.

    Args:
        enumeration: An `enum.Enum`.
    """
    package, _, place = f"{enumeration.__module__}.{enumeration.__qualname__}".partition(".")
    members = _source(package)[place].members
    return [line(members[name].docstring.value) for name in enumeration.__members__]


def _annotation(member: Any) -> str:
    """The type of a field, without its bounds."""
    written = str(member.annotation).strip('"')
    return re.sub(r"Annotated\[(.+?), (?:msgspec\.)?Meta\(.*?\)\]", r"\1", written)


def json_type(field: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """A JSON Schema in a few words.

    Args:
        field: The schema.
        names: Headings of the page by the name of the definition, which become links.
    """
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{names[name]}](#{slug(names[name])})" if name in names else "any value"
    if "allOf" in field:
        return json_type(field["allOf"][0], names)
    choices = field.get("anyOf") or field.get("oneOf")
    if choices:
        kinds = (json_type(each, names) for each in choices if each.get("type") != "null")
        return " or ".join(dict.fromkeys(kinds))
    if "const" in field:
        return f"`{toml(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {json_type(field.get('items', {}), names)}"
    inner = next(iter(field.get("patternProperties", {}).values()), field.get("additionalProperties"))
    if field.get("type") == "object" and isinstance(inner, dict):
        return f"table of {json_type(inner, names)}"
    return {"object": "table", None: "any value"}.get(field.get("type"), str(field.get("type")))


def description(field: Mapping[str, Any]) -> str:
    """What a JSON Schema says of itself.

    Args:
        field: The schema.
    """
    each = (field, *field.get("anyOf", ()))
    return next((part["description"] for part in each if "description" in part), "")


def toml(value: Any) -> str:
    """A value as it is written in TOML, on one line.

    Args:
        value: A JSON-like value.
    """
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _sections(documented: Any) -> list[Any]:
    return griffe.Docstring(inspect.getdoc(documented) or "", parser="google").parse(warnings=False)


@cache
def _source(package: str) -> Any:
    return griffe.load(package)

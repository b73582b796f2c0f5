"""Types of CWL as JSON Schemas, and back."""

from collections.abc import Mapping
from typing import Any

_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "int": {"type": "integer"},
    "long": {"type": "integer"},
    "float": {"type": "number"},
    "double": {"type": "number"},
    "string": {"type": "string"},
    "File": {"type": "string", "format": "path"},
    "Directory": {"type": "string", "format": "path"},
    "Any": {},
}
_TYPES = {"boolean": "boolean", "integer": "long", "number": "double", "null": "null"}


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of the values of a CWL type; `{}` for one that cannot be told.

    Args:
        kind: The type, in any of its spellings.
    """
    if isinstance(kind, str):
        if kind.endswith("?"):
            return _any_of([schema_of(kind[:-1]), {"type": "null"}])
        if kind.endswith("[]"):
            return _array(schema_of(kind[:-2]))
        return dict(_SCHEMAS.get(kind, {}))
    if isinstance(kind, list):
        return _any_of([schema_of(one) for one in kind])
    if not isinstance(kind, dict):
        return {}
    if kind.get("type") == "array":
        return _array(schema_of(kind.get("items")))
    symbols = kind.get("symbols")
    if kind.get("type") == "enum" and isinstance(symbols, list):
        return {"enum": [str(one).rpartition("/")[2].rpartition("#")[2] for one in symbols]}
    if kind.get("type") == "record":
        return {"type": "object"}
    return schema_of(kind["type"]) if isinstance(kind.get("type"), str | list | dict) else {}


def type_of(schema: Mapping[str, Any]) -> Any:
    """The CWL type whose values a JSON Schema has; `Any` where there is none.

    Args:
        schema: A JSON Schema.
    """
    choices = schema.get("anyOf")
    if isinstance(choices, list) and choices and all(isinstance(one, dict) for one in choices):
        kinds = [type_of(one) for one in choices]
        return "Any" if "Any" in kinds else kinds
    enum = schema.get("enum")
    if isinstance(enum, list) and enum and all(isinstance(one, str) and one for one in enum):
        return {"type": "enum", "symbols": enum}
    kind = schema.get("type")
    if kind == "string":
        return "File" if schema.get("format") == "path" else "string"
    if kind == "array":
        items = schema.get("items")
        return {"type": "array", "items": type_of(items) if isinstance(items, dict) else "Any"}
    return _TYPES.get(kind, "Any") if isinstance(kind, str) else "Any"


def is_optional(kind: Any) -> bool:
    """Whether null is a value of a CWL type.

    Args:
        kind: The type.
    """
    if isinstance(kind, str):
        return kind == "null" or kind.endswith("?")
    return isinstance(kind, list) and any(is_optional(one) for one in kind)


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items} if items else {"type": "array"}


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    if not schemas or {} in schemas:
        return {}
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

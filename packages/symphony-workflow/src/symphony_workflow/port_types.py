"""Whether a value of one JSON Schema may flow into a port of another.

The rules: anything fits any (`{}`) and any fits anything; an integer fits a number; every alternative of a union
must fit, and may fit any alternative of the target; lists fit by their items, objects by their properties; an enum
fits where each of its values does. Bounds, patterns and formats are left to the run, where there is a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_UNIONS = ("anyOf", "oneOf")
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "string": (str,),
    "array": (list, tuple),
    "object": (dict,),
    "integer": (int,),
    "number": (int, float),
}


@dataclass(frozen=True, slots=True)
class Compatibility:
    """Whether two port types fit; true in a condition if they do.

    Args:
        reason: Why they do not; empty where they do.
    """

    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason


def compatible(source: Schema, target: Schema) -> Compatibility:
    """Whether every value of type `source` is welcome where `target` is expected.

    Args:
        source: JSON Schema of the output port.
        target: JSON Schema of the input port.
    """
    return Compatibility(_Comparison(source, target).mismatch(source, target))


def accepts(schema: Schema, value: Any) -> Compatibility:
    """Whether the JSON value `value` is of type `schema`.

    Args:
        schema: JSON Schema of the port.
        value: A literal.
    """
    return Compatibility(_value_mismatch(schema, schema, value, 0))


def describe(schema: Schema) -> str:
    """A port type in words, such as `list of string` or `integer or null`.

    Args:
        schema: A JSON Schema.
    """
    return _describe(schema, schema, 0)


class _Comparison:
    """One comparison of two schemas, each with its own definitions; recursive types end at a pair seen before."""

    def __init__(self, source_root: Schema, target_root: Schema) -> None:
        self.source_root = source_root
        self.target_root = target_root
        self.seen: set[tuple[int, int]] = set()

    def mismatch(self, source: Any, target: Any) -> str:
        source = _resolve(source, self.source_root)
        target = _resolve(target, self.target_root)
        if _is_any(source) or _is_any(target) or (source == target and "$ref" not in str(source)):
            return ""
        if source is False or target is False:
            return "nothing can flow here" if target is False else ""
        if (id(source), id(target)) in self.seen:
            return ""
        self.seen.add((id(source), id(target)))

        if "allOf" in target:
            return next((why for part in target["allOf"] if (why := self.mismatch(source, part))), "")
        if alternatives := _alternatives(source):
            return next((why for part in alternatives if (why := self.mismatch(part, target))), "")
        if "allOf" in source:
            reasons = [self.mismatch(part, target) for part in source["allOf"]]
            return "" if "" in reasons else reasons[0]
        if (values := _values(source)) is not None:
            return next(
                (why for value in values if (why := _value_mismatch(target, self.target_root, value, 0))), ""
            )
        if alternatives := _alternatives(target):
            reasons = [self.mismatch(source, part) for part in alternatives]
            return "" if "" in reasons else self._differs(source, target)
        return self._typed_mismatch(source, target)

    def _typed_mismatch(self, source: Schema, target: Schema) -> str:
        if (values := _values(target)) is not None:
            exhausted = source.get("type") == "boolean" and True in values and False in values
            return "" if exhausted or source.get("type") is None else self._differs(source, target)
        have, want = source.get("type"), target.get("type")
        if have is None or want is None:
            return ""
        if have != want:
            return "" if (have, want) == ("integer", "number") else self._differs(source, target)
        if have == "array":
            return self._array_mismatch(source, target)
        if have == "object":
            return self._object_mismatch(source, target)
        return ""

    def _array_mismatch(self, source: Schema, target: Schema) -> str:
        have, want = source.get("prefixItems", []), target.get("prefixItems", [])
        places = max(len(have), len(want))
        for place in range(places):
            mine = have[place] if place < len(have) else source.get("items", {})
            theirs = want[place] if place < len(want) else target.get("items", {})
            if theirs is False or (mine is False and place >= len(have)):
                return self._differs(source, target)
            if why := self.mismatch(mine, theirs):
                return f"item {place}: {why}"
        why = self.mismatch(source.get("items", {}), target.get("items", {}))
        return f"items: {why}" if why else ""

    def _object_mismatch(self, source: Schema, target: Schema) -> str:
        have, want = source.get("properties", {}), target.get("properties", {})
        rest, target_rest = source.get("additionalProperties", {}), target.get("additionalProperties", {})
        if not have and _is_any(rest):  # an object of which nothing is known
            return ""
        certain = set(source.get("required", ()))
        for name in target.get("required", ()):
            if name not in certain:
                may = "may lack" if name in have or rest is not False else "lacks"
                return f"{self._name(source, self.source_root)} {may} the property {name!r}"
        for name, schema in have.items():
            expected = want.get(name, target_rest)
            if expected is False:
                return f"{self._name(target, self.target_root)} has no property {name!r}"
            if why := self.mismatch(schema, expected):
                return f"property {name!r}: {why}"
        if rest is not False and not _is_any(rest):
            for expected in (*(want[name] for name in want if name not in have), target_rest):
                if expected is not False and (why := self.mismatch(rest, expected)):
                    return f"values: {why}"
        return ""

    def _differs(self, source: Any, target: Any) -> str:
        return f"{self._name(source, self.source_root)} is not {self._name(target, self.target_root)}"

    def _name(self, schema: Any, root: Schema) -> str:
        return _describe(schema, root, 0)


def _value_mismatch(schema: Any, root: Schema, value: Any, depth: int) -> str:
    schema = _resolve(schema, root)
    if _is_any(schema):
        return ""
    if schema is False:
        return "no value is allowed here"
    if alternatives := _alternatives(schema):
        reasons = [_value_mismatch(part, root, value, depth + 1) for part in alternatives]
        return "" if "" in reasons else f"{_show(value)} is not {_describe(schema, root, 0)}"
    for part in schema.get("allOf", ()):
        if why := _value_mismatch(part, root, value, depth + 1):
            return why
    values = _values(schema)
    if values is not None and not any(_same(value, allowed) for allowed in values):
        return f"{_show(value)} is not {_describe(schema, root, 0)}"
    wanted = schema.get("type")
    if wanted is not None and not _is_a(value, wanted):
        return f"{_show(value)} is not {_describe(schema, root, 0)}"
    if isinstance(value, list | tuple):
        prefix = schema.get("prefixItems", [])
        for index, item in enumerate(value):
            part = prefix[index] if index < len(prefix) else schema.get("items", {})
            if why := _value_mismatch(part, root, item, depth + 1):
                return f"item {index}: {why}"
    if isinstance(value, dict):
        return _properties_mismatch(schema, root, value, depth)
    return ""


def _properties_mismatch(schema: Schema, root: Schema, value: dict[str, Any], depth: int) -> str:
    properties, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name in schema.get("required", ()):
        if name not in value:
            return f"the property {name!r} is missing"
    for name, item in value.items():
        expected = properties.get(name, rest)
        if expected is False:
            return f"there is no property {name!r}"
        if why := _value_mismatch(expected, root, item, depth + 1):
            return f"property {name!r}: {why}"
    return ""


def _resolve(schema: Any, root: Schema) -> Any:
    hops = 0
    while isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        hops += 1
        target: Any = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/") if schema["$ref"] != "#" else ():
            target = (
                target.get(step.replace("~1", "/").replace("~0", "~"))
                if isinstance(target, Mapping)
                else None
            )
        if target is None or hops > 32:  # a definition that is not there says nothing about the value
            return {}
        schema = target
    return schema


def _is_any(schema: Any) -> bool:
    return schema is True or (isinstance(schema, Mapping) and not (schema.keys() & _TELLING))


_TELLING = frozenset(
    {"type", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "required", "items", "prefixItems"}
)


def _alternatives(schema: Schema) -> list[Any]:
    for keyword in _UNIONS:
        if keyword in schema:
            return list(schema[keyword])
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": name} for name in schema["type"]]
    return []


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _same(left: Any, right: Any) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)  # in JSON true is not 1


def _is_a(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _PYTHON_TYPES.get(name, (object,)))


def _describe(schema: Any, root: Schema, depth: int) -> str:
    schema = _resolve(schema, root)
    if _is_any(schema) or depth > 4:
        return "any"
    if schema is False:
        return "nothing"
    if alternatives := _alternatives(schema):
        return " or ".join(dict.fromkeys(_describe(part, root, depth + 1) for part in alternatives))
    if (values := _values(schema)) is not None:
        return (
            _show(values[0]) if len(values) == 1 else f"one of {', '.join(_show(value) for value in values)}"
        )
    kind = schema.get("type")
    if kind == "array":
        items = _describe(schema.get("items", {}), root, depth + 1)
        return "list" if items == "any" else f"list of {items}"
    if kind == "object" or kind is None:
        values_of = schema.get("additionalProperties", {})
        if "title" in schema:
            return str(schema["title"])
        if "properties" in schema or _is_any(values_of) or values_of is False:
            return "object"
        return f"object of {_describe(values_of, root, depth + 1)}"
    return str(kind)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Whether a value of one JSON Schema may flow into a port of another.

The rules: anything fits any (`{}`) and any fits anything; an integer fits a number; every alternative of a union
must fit, and may fit any alternative of the target; lists fit by their items, objects by their properties; an enum
fits where each of its values does. Bounds, patterns and formats are left to the run, where there is a value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_UNIONS = ("anyOf", "oneOf")
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "string": (str,),
    "array": (list,),
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
    return Compatibility(_Comparison({}, schema).value_mismatch(value, schema))


def describe(schema: Schema) -> str:
    """A port type in words, such as `list of string` or `integer or null`.

    Args:
        schema: A JSON Schema.
    """
    return _describe(schema, schema)


class _Comparison:
    """One comparison of two schemas, each with its own definitions.

    A pair that is met again within itself (recursive types) counts as fitting, and a pair is compared once only, so
    that no schema takes exponential time.
    """

    def __init__(self, source_root: Schema, target_root: Schema) -> None:
        self.source_root = source_root
        self.target_root = target_root
        self.met: dict[tuple[int, int], tuple[Any, Any, str]] = {}  # keeps both alive: their ids are the key

    def mismatch(self, source: Any, target: Any) -> str:
        """Why not every `source` is a `target`; empty where every one is."""
        source = _resolve(source, self.source_root)
        target = _resolve(target, self.target_root)
        if _is_any(source) or _is_any(target) or source is False:
            return ""
        if target is False:
            return "nothing is expected there"
        key = (id(source), id(target))
        if key not in self.met:
            self.met[key] = (source, target, "")
            self.met[key] = (source, target, self._mismatch(source, target))
        return self.met[key][2]

    def value_mismatch(self, value: Any, schema: Any) -> str:
        """Why a value is not of the target's type `schema`; empty where it is."""
        schema = _resolve(schema, self.target_root)
        if _is_any(schema):
            return ""
        if schema is False:
            return "no value is allowed here"
        key = (id(value), id(schema))
        if key not in self.met:
            self.met[key] = (value, schema, "")
            self.met[key] = (value, schema, self._value_mismatch(value, schema))
        return self.met[key][2]

    def _mismatch(self, source: Schema, target: Schema) -> str:
        if "allOf" in target:
            return next((why for part in target["allOf"] if (why := self.mismatch(source, part))), "")
        if alternatives := _alternatives(source):
            return next((why for part in alternatives if (why := self.mismatch(part, target))), "")
        if "allOf" in source:
            reasons = [self.mismatch(part, target) for part in source["allOf"]]
            return "" if "" in reasons else reasons[0]
        if (values := _values(source)) is not None:
            return next((why for value in values if (why := self.value_mismatch(value, target))), "")
        if alternatives := _alternatives(target):
            reasons = [self.mismatch(source, part) for part in alternatives]
            return "" if "" in reasons else self._differs(source, target)
        have, want = source.get("type"), target.get("type")
        if (values := _values(target)) is not None:
            exhausted = have == "boolean" and True in values and False in values
            return "" if exhausted or (have == "null" and None in values) else self._differs(source, target)
        if have is None or want is None or (have, want) == ("integer", "number"):
            return ""
        if have != want:
            return self._differs(source, target)
        if have == "array":
            return self._array_mismatch(source, target)
        return self._object_mismatch(source, target) if have == "object" else ""

    def _array_mismatch(self, source: Schema, target: Schema) -> str:
        have, want = source.get("prefixItems", []), target.get("prefixItems", [])
        rest, target_rest = source.get("items", {}), target.get("items", {})
        for place in range(max(len(have), len(want))):
            mine = have[place] if place < len(have) else rest
            theirs = want[place] if place < len(want) else target_rest
            if mine is False or theirs is False:
                return self._differs(source, target)
            if why := self.mismatch(mine, theirs):
                return f"item {place}: {why}"
        if target_rest is False and rest is not False:
            return self._differs(source, target)
        why = self.mismatch(rest, target_rest)
        return f"items: {why}" if why else ""

    def _object_mismatch(self, source: Schema, target: Schema) -> str:
        have, want = source.get("properties", {}), target.get("properties", {})
        rest, target_rest = source.get("additionalProperties", {}), target.get("additionalProperties", {})
        if not have and _is_any(rest):  # an object of which nothing is known
            return ""
        for name in target.get("required", ()):
            if name not in source.get("required", ()):
                verb = "may lack" if name in have or rest is not False else "lacks"
                return f"{_describe(source, self.source_root)} {verb} the property {name!r}"
        for name, schema in have.items():
            expected = want.get(name, target_rest)
            if expected is False:
                return f"{_describe(target, self.target_root)} has no property {name!r}"
            if why := self.mismatch(schema, expected):
                return f"property {name!r}: {why}"
        if rest is False or _is_any(rest):
            return ""
        others = (*(schema for name, schema in want.items() if name not in have), target_rest)
        why = next((why for expected in others if (why := self.mismatch(rest, expected))), "")
        return f"values: {why}" if why else ""

    def _value_mismatch(self, value: Any, schema: Schema) -> str:
        if alternatives := _alternatives(schema):
            reasons = [self.value_mismatch(value, part) for part in alternatives]
            return "" if "" in reasons else self._refusal(value, schema)
        for part in schema.get("allOf", ()):
            if why := self.value_mismatch(value, part):
                return why
        values = _values(schema)
        if values is not None and not any(_same(value, allowed) for allowed in values):
            return self._refusal(value, schema)
        if "type" in schema and not _is_a(value, schema["type"]):
            return self._refusal(value, schema)
        if isinstance(value, list):
            prefix, rest = schema.get("prefixItems", []), schema.get("items", {})
            for place, item in enumerate(value):
                if why := self.value_mismatch(item, prefix[place] if place < len(prefix) else rest):
                    return f"item {place}: {why}"
        return self._property_mismatch(value, schema) if isinstance(value, dict) else ""

    def _property_mismatch(self, value: dict[str, Any], schema: Schema) -> str:
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name in schema.get("required", ()):
            if name not in value:
                return f"the property {name!r} is missing"
        for name, item in value.items():
            expected = properties.get(name, rest)
            if expected is False:
                return f"there is no property {name!r}"
            if why := self.value_mismatch(item, expected):
                return f"property {name!r}: {why}"
        return ""

    def _refusal(self, value: Any, schema: Schema) -> str:
        return f"{_show(value)} is not {_describe(schema, self.target_root)}"

    def _differs(self, source: Schema, target: Schema) -> str:
        return f"{_describe(source, self.source_root)} is not {_describe(target, self.target_root)}"


def _resolve(schema: Any, root: Schema) -> Any:
    """What a `$ref` stands for; any, where it names nothing or itself."""
    for _ in range(32):
        if not isinstance(schema, Mapping) or not isinstance(schema.get("$ref"), str):
            return schema
        target: Any = root
        for step in schema["$ref"].removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            target = target.get(name, {}) if isinstance(target, Mapping) else {}
        schema = target
    return {}


def _is_any(schema: Any) -> bool:
    """Whether a schema welcomes every value; what is no schema at all does, too."""
    return schema is not False and (not isinstance(schema, Mapping) or _TELLING.isdisjoint(schema))


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


def _describe(schema: Any, root: Schema, depth: int = 0) -> str:
    schema = _resolve(schema, root)
    if _is_any(schema) or depth > 4:
        return "any"
    if schema is False:
        return "nothing"

    def inner(part: Any) -> str:
        return _describe(part, root, depth + 1)

    if alternatives := _alternatives(schema):
        return _listing(
            " or ", dict.fromkeys(inner(part) for part in alternatives[:_SHOWN]), len(alternatives)
        )
    if (values := _values(schema)) is not None:
        shown = _listing(", ", [_show(value) for value in values[:_SHOWN]], len(values))
        return shown if len(values) == 1 else f"one of {shown}"
    kind = schema.get("type")
    if kind == "array" and (places := schema.get("prefixItems")):
        return f"tuple of {_listing(', ', [inner(part) for part in places[:_SHOWN]], len(places))}"
    if kind == "array":
        items = inner(schema.get("items", {}))
        return "list" if items == "any" else f"list of {items}"
    if kind not in ("object", None):
        return str(kind)
    if "title" in schema:
        return str(schema["title"])
    rest = schema.get("additionalProperties", {})
    return (
        "object" if "properties" in schema or _is_any(rest) or rest is False else f"object of {inner(rest)}"
    )


_SHOWN = 8
"""How many alternatives, values or places a description names."""


def _listing(separator: str, shown: Iterable[str], count: int) -> str:
    return separator.join(shown) + (f"{separator}..." if count > _SHOWN else "")


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

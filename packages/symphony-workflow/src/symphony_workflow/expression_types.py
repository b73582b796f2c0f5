"""The types of values in expressions: the kinds that a value may be of, as far as a JSON Schema tells them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]

NUMBERS = frozenset({"integer", "unsigned", "double"})
TIMES = frozenset({"timestamp", "duration"})
KINDS = NUMBERS | TIMES | {"null", "boolean", "string", "bytes", "list", "object"}
JSON = KINDS - TIMES - {"bytes"}
_SHOWN = {"double": "number", "unsigned": "integer"}
_SCHEMA_KINDS = {
    "integer": frozenset({"integer"}),
    "number": frozenset({"integer", "double"}),
    "array": frozenset({"list"}),
}
_DEPTH = 12  # of a schema that is looked at
_PARTS = 1_000  # of a schema that are looked at


@dataclass(frozen=True, slots=True)
class Type:
    """What is known of a value.

    Args:
        kinds: The kinds that it may be of.
        item: What its items are, where it is a list; None where that is not known.
        fields: What its fields are, where it is an object.
        others: What fields are that `fields` does not name; None where there are none.
    """

    kinds: frozenset[str]
    item: "Type | None" = None
    fields: "Mapping[str, Type]" = field(default_factory=dict)
    others: "Type | None" = None

    def __str__(self) -> str:
        if self.kinds >= JSON:
            return "any"
        shown = sorted({_SHOWN.get(kind, kind) for kind in self.kinds})
        if self.kinds == {"list"} and self.item and not self.item.kinds >= JSON:
            return f"list of {self.item}"
        return " or ".join(shown) or "nothing"


ANY = Type(KINDS)


def type_of_schema(schema: Any) -> Type:
    """The type of the values of a JSON Schema.

    Args:
        schema: A JSON Schema; any part that is not understood, and what is very deep or large, is any value.
    """
    return _Reader(schema).type_of(schema, 0)


class _Reader:
    """Reads one schema; references may lead back to where they are, so only so many parts are read.

    Args:
        root: The whole schema, at which references start.
    """

    def __init__(self, root: Any) -> None:
        self.root = root
        self.left = _PARTS

    def type_of(self, schema: Any, depth: int) -> Type:
        """The type of a part."""
        self.left -= 1
        if depth > _DEPTH or self.left < 0 or not isinstance(schema, Mapping):
            return ANY
        if isinstance(reference := schema.get("$ref"), str):
            return self.type_of(self.target(reference), depth + 1)
        for keyword in ("anyOf", "oneOf"):
            if isinstance(schema.get(keyword), list):
                return union(self.type_of(part, depth + 1) for part in schema[keyword])
        if isinstance(schema.get("enum"), list):
            return union(_of_value(value) for value in schema["enum"])
        if "const" in schema:
            return _of_value(schema["const"])
        kind = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kind, list):
            return union(self.type_of({**schema, "type": one}, depth + 1) for one in kind)
        if kind == "object":
            return self.type_of_object(schema, depth + 1)
        if kind == "array":
            items = ANY if "prefixItems" in schema else self.type_of(schema.get("items", True), depth + 1)
            return Type(frozenset({"list"}), item=items)
        kinds = _SCHEMA_KINDS.get(kind, frozenset({kind})) if isinstance(kind, str) else KINDS
        return Type(kinds) if kinds <= KINDS else ANY

    def type_of_object(self, schema: Mapping[str, Any], depth: int) -> Type:
        """The type of an object; what it has besides its properties counts as a slip, unless it says that there may be more."""
        named = schema.get("properties", {})
        named = named if isinstance(named, Mapping) else {}
        rest = schema.get("additionalProperties", not named)
        return Type(
            frozenset({"object"}),
            fields={name: self.type_of(part, depth) for name, part in named.items()},
            others=None if rest is False else self.type_of(rest, depth),
        )

    def target(self, reference: str) -> Any:
        """The part of the schema that a reference leads to."""
        target = self.root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            target = target.get(name, {}) if isinstance(target, Mapping) else {}
        return target


def _of_value(value: Any) -> Type:
    names = {bool: "boolean", int: "integer", float: "double", str: "string", type(None): "null"}
    return Type(frozenset({names[type(value)]})) if type(value) in names else ANY


def union(types: Iterable[Type]) -> Type:
    """The type of a value that is of one of several types; any where there are none.

    Args:
        types: The types.
    """
    found = list(types)
    if not found or any(one == ANY for one in found):
        return ANY
    lists = [one.item or ANY for one in found if "list" in one.kinds]
    objects = [one for one in found if "object" in one.kinds]
    names = dict.fromkeys(name for one in objects for name in one.fields)
    return Type(
        frozenset().union(*(one.kinds for one in found)),
        item=union(lists) if lists else None,
        fields={name: union(field_type(one, name) or ANY for one in objects) for name in names},
        others=ANY if len(objects) > 1 or any(one.others for one in objects) else None,
    )


def field_type(owner: Type, name: str) -> Type | None:
    """The type of a field of an object; None where it has no such field.

    Args:
        owner: The type of the object.
        name: The field.
    """
    if "object" not in owner.kinds or owner.kinds == KINDS:
        return ANY
    return owner.fields.get(name, owner.others)


def fits(have: Type, want: Type) -> bool:
    """Whether a value of type `have` may be of type `want`.

    Args:
        have: What an expression gives.
        want: What is expected.
    """
    kinds = have.kinds | ({"double", "integer"} if have.kinds & NUMBERS else set())
    common = kinds & want.kinds
    if common == {"list"}:
        return fits(have.item or ANY, want.item or ANY)
    if common == {"object"}:
        return all(fits(field_type(have, name) or ANY, part) for name, part in want.fields.items())
    return bool(common)

"""The types of an expression and its parts, as far as JSON Schemas tell them, and what in it can never work.

A type is the set of kinds that a value may have. A fault is told only where none of the kinds that an operator is given
can work; what may work is left to the run. Names, fields of known objects, operators, functions, the ranges of macros and
the type of the result are checked; bounds, patterns and formats of a schema are not.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from symphony_workflow.expression_syntax import (
    MACROS,
    Call,
    Entries,
    Items,
    Literal,
    Macro,
    Name,
    Select,
    Tree,
    walk,
)

Schema = Mapping[str, Any]

_NUMBERS = frozenset({"integer", "unsigned", "double"})
_TIMES = frozenset({"timestamp", "duration"})
_KINDS = _NUMBERS | _TIMES | {"null", "boolean", "string", "bytes", "list", "object"}
_JSON = _KINDS - _TIMES - {"bytes"}
_SHOWN = {"double": "number", "unsigned": "integer"}
_SCHEMA_KINDS = {
    "integer": frozenset({"integer"}),
    "number": frozenset({"integer", "double"}),
    "array": frozenset({"list"}),
}
_DEPTH = 12  # of a schema that is looked at


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
        if self.kinds >= _JSON:
            return "any"
        shown = sorted({_SHOWN.get(kind, kind) for kind in self.kinds})
        if self.kinds == {"list"} and self.item and not self.item.kinds >= _JSON:
            return f"list of {self.item}"
        return " or ".join(shown) or "nothing"


ANY = Type(_KINDS)
_BOOLEAN, _INTEGER, _DOUBLE, _STRING = (
    Type(frozenset({kind})) for kind in ("boolean", "integer", "double", "string")
)
_TIMESTAMP, _DURATION = (Type(frozenset({kind})) for kind in ("timestamp", "duration"))


def type_of_schema(schema: Any) -> Type:
    """The type of the values of a JSON Schema.

    Args:
        schema: A JSON Schema; any part that is not understood is any value.
    """
    return _of_schema(schema, schema, 0)


def _of_schema(schema: Any, root: Any, depth: int) -> Type:
    if depth > _DEPTH or not isinstance(schema, Mapping):
        return ANY
    if isinstance(reference := schema.get("$ref"), str):
        target = root
        for step in reference.removeprefix("#").split("/")[1:]:
            target = target.get(step, {}) if isinstance(target, Mapping) else {}
        return _of_schema(target, root, depth + 1)
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            return _union(_of_schema(part, root, depth + 1) for part in schema[keyword])
    if isinstance(schema.get("enum"), list):
        return _union(_of_value(value) for value in schema["enum"])
    if "const" in schema:
        return _of_value(schema["const"])
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        return _union(_of_schema({**schema, "type": one}, root, depth + 1) for one in kind)
    if kind == "object":
        named = schema.get("properties", {})
        # what an object has besides its properties counts as a slip, unless the schema says that there may be more
        rest = schema.get("additionalProperties", not named)
        return Type(
            frozenset({"object"}),
            fields={name: _of_schema(part, root, depth + 1) for name, part in named.items()},
            others=None if rest is False else _of_schema(rest, root, depth + 1),
        )
    if kind == "array":
        items = ANY if "prefixItems" in schema else _of_schema(schema.get("items", True), root, depth + 1)
        return Type(frozenset({"list"}), item=items)
    kinds = _SCHEMA_KINDS.get(kind, frozenset({kind})) if isinstance(kind, str) else _KINDS
    return Type(kinds) if kinds <= _KINDS else ANY


def _of_value(value: Any) -> Type:
    names = {bool: "boolean", int: "integer", float: "double", str: "string", type(None): "null"}
    return Type(frozenset({names[type(value)]})) if type(value) in names else ANY


def _union(types: Iterable[Type]) -> Type:
    found = list(types)
    if not found or any(one == ANY for one in found):
        return ANY
    lists = [one.item or ANY for one in found if "list" in one.kinds]
    objects = [one for one in found if "object" in one.kinds]
    names = dict.fromkeys(name for one in objects for name in one.fields)
    return Type(
        frozenset().union(*(one.kinds for one in found)),
        item=_union(lists) if lists else None,
        fields={name: _union(_field(one, name) or ANY for one in objects) for name in names},
        others=ANY if len(objects) > 1 or any(one.others for one in objects) else None,
    )


def _field(owner: Type, name: str) -> Type | None:
    if "object" not in owner.kinds or owner.kinds == _KINDS:
        return ANY
    return owner.fields.get(name, owner.others)


def fits(have: Type, want: Type) -> bool:
    """Whether a value of type `have` may be of type `want`.

    Args:
        have: What an expression gives.
        want: What is expected.
    """
    kinds = have.kinds | ({"double", "integer"} if have.kinds & _NUMBERS else set())
    common = kinds & want.kinds
    if common == {"list"}:
        return fits(have.item or ANY, want.item or ANY)
    if common == {"object"}:
        return all(fits(_field(have, name) or ANY, part) for name, part in want.fields.items())
    return bool(common)


class Checker:
    """Finds the types of the parts of one expression, and collects what can never work.

    Args:
        text: The expression.
        names: The types of the names that it may use; None where any name may be used.
    """

    def __init__(self, text: str, names: Mapping[str, Type] | None) -> None:
        self.text = text
        self.names = names
        self.faults: list[str] = []

    def type_of(self, tree: Tree, bound: Mapping[str, Type]) -> Type:
        """The type of a part.

        Args:
            tree: The part.
            bound: The types of the names that macros around it bind.
        """
        match tree:
            case Literal():
                return Type(frozenset({tree.kind}))
            case Name():
                return self._name(tree, bound)
            case Select():
                return self._select(tree, self.type_of(tree.operand, bound))
            case Items():
                return Type(
                    frozenset({"list"}), item=_union(self.type_of(part, bound) for part in tree.items)
                )
            case Entries():
                return self._entries(tree, bound)
            case Macro():
                return self._macro(tree, bound)
            case Call():
                return self._call(tree, [self.type_of(part, bound) for part in tree.arguments])

    def fault(self, tree: Tree, said: str) -> Type:
        """Add a fault, and go on as if the part gave any value."""
        part = self.text[tree.start : tree.end]
        message = f"`{part if len(part) <= 60 else part[:57] + '...'}` {said}"
        if message not in self.faults:
            self.faults.append(message)
        return ANY

    def _name(self, tree: Name, bound: Mapping[str, Type]) -> Type:
        if tree.name in bound:
            return bound[tree.name]
        if self.names is None:
            return ANY
        if tree.name not in self.names:
            return self.fault(tree, f"is not given; {_nearest(tree.name, {*self.names, *bound})}")
        return self.names[tree.name]

    def _select(self, tree: Select, owner: Type) -> Type:
        if "object" not in owner.kinds:
            return self.fault(tree, f"asks for a field of {_a(owner)}")
        found = _field(owner, tree.field)
        if found is None and not tree.tested:
            return self.fault(tree, f"is no field of the object; {_nearest(tree.field, owner.fields)}")
        return _BOOLEAN if tree.tested else found or ANY

    def _entries(self, tree: Entries, bound: Mapping[str, Type]) -> Type:
        fields: dict[str, Type] = {}
        others = None
        for key, part in tree.entries:
            value = self.type_of(part, bound)
            if "string" not in self.type_of(key, bound).kinds:
                self.fault(key, "is the key of an object, and no string")
            if isinstance(key, Literal) and key.kind == "string" and "\\" not in key.text:
                fields[key.text.strip(key.text[-1])] = value
            else:
                others = ANY
        return Type(frozenset({"object"}), fields=fields, others=others)

    def _macro(self, tree: Macro, bound: Mapping[str, Type]) -> Type:
        over = self.type_of(tree.range, bound)
        if over.kinds.isdisjoint({"list", "object"}):
            self.fault(tree.range, f"is {_a(over)}; `{tree.name}` goes over a list or the keys of an object")
        one = _union(
            [
                *([over.item or ANY] if "list" in over.kinds else []),
                *([_STRING] if "object" in over.kinds else []),
            ]
        )
        results = [self.type_of(body, {**bound, tree.variable: one}) for body in tree.bodies]
        for body, result in zip(tree.bodies, results, strict=True):
            if (tree.name != "map" or body is not tree.bodies[-1]) and "boolean" not in result.kinds:
                self.fault(body, f"is {_a(result)}; `{tree.name}` needs true or false")
        if tree.name == "map":
            return Type(frozenset({"list"}), item=results[-1])
        return Type(frozenset({"list"}), item=one) if tree.name == "filter" else _BOOLEAN

    def _call(self, tree: Call, given: list[Type]) -> Type:
        if check := _OPERATORS.get(tree.function):
            result = check(*given)
            words = " and ".join(str(one) for one in given)
            return result or self.fault(tree, f"cannot work: `{tree.function.strip('x')}` is given {words}")
        result, *expected = FUNCTIONS[tree.function]
        if len(expected) != len(given):
            return self.fault(tree, f"gives {tree.function!r} {len(given)} values; it takes {len(expected)}")
        for argument, have, kinds in zip(tree.arguments, given, expected, strict=True):
            if have.kinds.isdisjoint(kinds):
                self.fault(argument, f"is {_a(have)}; `{tree.function}` takes {Type(kinds)}")
        return result


def unknown_call(tree: Tree) -> str:
    """The first function in an expression that the language has not, in words; empty where there is none.

    Args:
        tree: The expression.
    """
    for part in walk(tree):
        if isinstance(part, Call) and part.function not in FUNCTIONS and part.function not in _OPERATORS:
            method = part.function.startswith(".")
            known = [
                name
                for name in (*FUNCTIONS, *(f".{macro}" for macro in MACROS))
                if name.startswith(".") == method
            ]
            return f"calls `{part.function}`, which there is not; {_nearest(part.function, known)}"
    return ""


def _kinds(*names: str) -> frozenset[str]:
    return frozenset(names)


_SIZED = _kinds("string", "bytes", "list", "object")
_TEXT = _kinds("string")
FUNCTIONS: Mapping[str, tuple[Type, *tuple[frozenset[str], ...]]] = {
    "size": (_INTEGER, _SIZED),
    ".size": (_INTEGER, _SIZED),
    ".contains": (_BOOLEAN, _TEXT, _TEXT),
    ".startsWith": (_BOOLEAN, _TEXT, _TEXT),
    ".endsWith": (_BOOLEAN, _TEXT, _TEXT),
    ".matches": (_BOOLEAN, _TEXT, _TEXT),
    "int": (_INTEGER, _NUMBERS | _TEXT),
    "uint": (Type(_kinds("unsigned")), _NUMBERS | _TEXT),
    "double": (_DOUBLE, _NUMBERS | _TEXT),
    "string": (_STRING, _NUMBERS | _TEXT | _TIMES | {"bytes"}),
    "dyn": (ANY, _KINDS),
    "timestamp": (_TIMESTAMP, _TEXT),
    "duration": (_DURATION, _TEXT),
    ".getFullYear": (_INTEGER, _kinds("timestamp")),
    ".getMonth": (_INTEGER, _kinds("timestamp")),
    ".getDate": (_INTEGER, _kinds("timestamp")),
    ".getDayOfMonth": (_INTEGER, _kinds("timestamp")),
    ".getDayOfWeek": (_INTEGER, _kinds("timestamp")),
    ".getDayOfYear": (_INTEGER, _kinds("timestamp")),
    ".getHours": (_INTEGER, _TIMES),
    ".getMinutes": (_INTEGER, _TIMES),
    ".getSeconds": (_INTEGER, _TIMES),
    ".getMilliseconds": (_INTEGER, _TIMES),
}
"""What a function gives, and the kinds that it takes; a method has a point before its name, and takes its target first."""


def _compare(left: Type, right: Type) -> Type | None:
    ordered = {"boolean", "string", "bytes", *_TIMES}
    alike = left.kinds & right.kinds & ordered or (left.kinds & _NUMBERS and right.kinds & _NUMBERS)
    return _BOOLEAN if alike else None


def _equal(left: Type, right: Type) -> Type | None:
    if "null" in left.kinds | right.kinds or fits(left, right) or fits(right, left):
        return _BOOLEAN
    return None


def _member(left: Type, right: Type) -> Type | None:
    if "list" in right.kinds and _equal(left, right.item or ANY):
        return _BOOLEAN
    return _BOOLEAN if "object" in right.kinds and left.kinds & {"string"} else None


def _arithmetic(*kinds: str) -> Callable[[Type, Type], Type | None]:
    def check(left: Type, right: Type) -> Type | None:
        common = left.kinds & right.kinds & frozenset(kinds)
        return Type(common, item=_union([left.item or ANY, right.item or ANY])) if common else None

    return check


def _plus(left: Type, right: Type) -> Type | None:
    if (left.kinds, right.kinds) in (
        (_TIMESTAMP.kinds, _DURATION.kinds),
        (_DURATION.kinds, _TIMESTAMP.kinds),
    ):
        return _TIMESTAMP
    return _arithmetic(*_NUMBERS, "string", "bytes", "list", "duration")(left, right)


def _minus(left: Type, right: Type) -> Type | None:
    if left.kinds == right.kinds == _TIMESTAMP.kinds:
        return _DURATION
    if (left.kinds, right.kinds) == (_TIMESTAMP.kinds, _DURATION.kinds):
        return _TIMESTAMP
    return _arithmetic(*_NUMBERS, *_TIMES)(left, right)


def _at(owner: Type, index: Type) -> Type | None:
    found = []
    if "list" in owner.kinds and index.kinds & _NUMBERS:
        found.append(owner.item or ANY)
    if "object" in owner.kinds and "string" in index.kinds:
        found.append(_union([*owner.fields.values(), *([owner.others] if owner.others else [])]))
    return _union(found) if found else None


def _choice(condition: Type, holds: Type, fails: Type) -> Type | None:
    return _union([holds, fails]) if "boolean" in condition.kinds else None


def _logic(*given: Type) -> Type | None:
    return _BOOLEAN if all("boolean" in one.kinds for one in given) else None


def _negative(given: Type) -> Type | None:
    kinds = given.kinds & {"integer", "double"}
    return Type(kinds) if kinds else None


_OPERATORS: Mapping[str, Callable[..., Type | None]] = {
    "&&": _logic,
    "||": _logic,
    "!x": _logic,
    "-x": _negative,
    "?:": _choice,
    "[]": _at,
    "in": _member,
    "+": _plus,
    "-": _minus,
    "*": _arithmetic(*_NUMBERS),
    "/": _arithmetic(*_NUMBERS),
    "%": _arithmetic("integer", "unsigned"),
    **dict.fromkeys(("==", "!="), _equal),
    **dict.fromkeys(("<", "<=", ">", ">="), _compare),
}


def result_fault(result: Type, want: Type) -> str:
    """Why the result of an expression can never be what is wanted; empty where it may be.

    Args:
        result: What it gives.
        want: What is wanted.
    """
    if result.kinds.isdisjoint(_JSON):
        return f"it gives {_a(result)}, which JSON has not; write `string(...)`"
    return "" if fits(result, want) else f"it gives {_a(result)}, where {_a(want)} is wanted"


def _a(one: Type) -> str:
    words = str(one)
    if words in ("any", "nothing", "null"):
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if close := get_close_matches(name, names, 1):
        return f"did you mean `{close[0]}`?"
    return f"there is {', '.join(f'`{one}`' for one in names[:12]) or 'nothing'}{', ...' if len(names) > 12 else ''}"

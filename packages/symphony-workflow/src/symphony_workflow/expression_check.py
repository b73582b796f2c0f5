"""Finds what in an expression can never work, by the types of its parts.

A fault is told only where none of the kinds that an operator is given can work; what may work is left to the run. Names,
fields of known objects, operators, functions, the ranges of macros and the type of the result are checked; bounds, patterns
and formats of a schema are not.
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

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
from symphony_workflow.expression_types import ANY, JSON, KINDS, NUMBERS, TIMES, Type, field_type, fits, union

_BOOLEAN, _INTEGER, _DOUBLE, _STRING = (
    Type(frozenset({kind})) for kind in ("boolean", "integer", "double", "string")
)
_TIMESTAMP, _DURATION = (Type(frozenset({kind})) for kind in ("timestamp", "duration"))


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
                return Type(frozenset({"list"}), item=union(self.type_of(part, bound) for part in tree.items))
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
        found = field_type(owner, tree.field)
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
        one = union(
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
    "int": (_INTEGER, NUMBERS | _TEXT),
    "uint": (Type(_kinds("unsigned")), NUMBERS | _TEXT),
    "double": (_DOUBLE, NUMBERS | _TEXT),
    "string": (_STRING, NUMBERS | _TEXT | TIMES | {"bytes"}),
    "dyn": (ANY, KINDS),
    "timestamp": (_TIMESTAMP, _TEXT),
    "duration": (_DURATION, _TEXT),
    ".getFullYear": (_INTEGER, _kinds("timestamp")),
    ".getMonth": (_INTEGER, _kinds("timestamp")),
    ".getDate": (_INTEGER, _kinds("timestamp")),
    ".getDayOfMonth": (_INTEGER, _kinds("timestamp")),
    ".getDayOfWeek": (_INTEGER, _kinds("timestamp")),
    ".getDayOfYear": (_INTEGER, _kinds("timestamp")),
    ".getHours": (_INTEGER, TIMES),
    ".getMinutes": (_INTEGER, TIMES),
    ".getSeconds": (_INTEGER, TIMES),
    ".getMilliseconds": (_INTEGER, TIMES),
}
"""What a function gives, and the kinds that it takes; a method has a point before its name, and takes its target first."""


def _compare(left: Type, right: Type) -> Type | None:
    ordered = {"boolean", "string", "bytes", *TIMES}
    alike = left.kinds & right.kinds & ordered or (left.kinds & NUMBERS and right.kinds & NUMBERS)
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
        return Type(common, item=union([left.item or ANY, right.item or ANY])) if common else None

    return check


def _plus(left: Type, right: Type) -> Type | None:
    if (left.kinds, right.kinds) in (
        (_TIMESTAMP.kinds, _DURATION.kinds),
        (_DURATION.kinds, _TIMESTAMP.kinds),
    ):
        return _TIMESTAMP
    return _arithmetic(*NUMBERS, "string", "bytes", "list", "duration")(left, right)


def _minus(left: Type, right: Type) -> Type | None:
    if left.kinds == right.kinds == _TIMESTAMP.kinds:
        return _DURATION
    if (left.kinds, right.kinds) == (_TIMESTAMP.kinds, _DURATION.kinds):
        return _TIMESTAMP
    return _arithmetic(*NUMBERS, *TIMES)(left, right)


def _at(owner: Type, index: Type) -> Type | None:
    found = []
    if "list" in owner.kinds and index.kinds & NUMBERS:
        found.append(owner.item or ANY)
    if "object" in owner.kinds and "string" in index.kinds:
        found.append(union([*owner.fields.values(), *([owner.others] if owner.others else [])]))
    return union(found) if found else None


def _choice(condition: Type, holds: Type, fails: Type) -> Type | None:
    return union([holds, fails]) if "boolean" in condition.kinds else None


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
    "*": _arithmetic(*NUMBERS),
    "/": _arithmetic(*NUMBERS),
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
    if result.kinds.isdisjoint(JSON):
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

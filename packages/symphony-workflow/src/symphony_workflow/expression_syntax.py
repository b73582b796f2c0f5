"""The syntax tree of an expression: what it names, calls and loops over, for checks before anything runs.

The library that evaluates CEL tells nothing of its tree. This parser reads the grammar of the language's
specification (https://github.com/google/cel-spec, `doc/langdef.md`) without messages, optional values and
containers, which no workflow has. Tests hold it to the library: what one refuses as syntax, the other does too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_NESTING = 100
"""How deeply the parts of an expression may nest."""

MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
"""Methods that run their last argument once for each item of a list, or for each key of an object."""

RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "null",
        "package",
        "namespace",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is written out; `kind` is a kind of `expression_types`."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`, or `has(operand.field)` where it is only `tested`."""

    operand: "Tree"
    field: str
    tested: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Call:
    """An operator (`+`, `?:`, `[]`, `-x`), a function, or a method, whose first argument is its target."""

    function: str
    arguments: "tuple[Tree, ...]"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b]`."""

    items: "tuple[Tree, ...]"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entries:
    """`{key: value}`."""

    entries: "tuple[tuple[Tree, Tree], ...]"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Macro:
    """`range.name(variable, bodies)`; `map` may have two bodies, a filter and the result."""

    name: str
    range: "Tree"
    variable: str
    bodies: "tuple[Tree, ...]"
    start: int
    end: int


Tree = Literal | Name | Select | Call | Items | Entries | Macro


class SyntaxFault(Exception):
    """Text that is no expression; its one argument says why."""


def parse(text: str) -> Tree:
    """The tree of an expression.

    Args:
        text: A CEL expression.

    Raises:
        SyntaxFault: It is none, or it nests too deeply.
    """
    parser = _Parser(text)
    tree = parser.expression()
    if parser.kind != "end":
        raise parser.unexpected()
    return tree


def children(tree: Tree) -> tuple[Tree, ...]:
    """The direct parts of a tree."""
    match tree:
        case Select():
            return (tree.operand,)
        case Call():
            return tree.arguments
        case Items():
            return tree.items
        case Entries():
            return tuple(part for entry in tree.entries for part in entry)
        case Macro():
            return (tree.range, *tree.bodies)
    return ()


def walk(tree: Tree) -> Iterator[Tree]:
    """Every part of a tree, the whole first."""
    yield tree
    for child in children(tree):
        yield from walk(child)


def free_names(tree: Tree) -> frozenset[str]:
    """The names that an expression needs values for; those that its macros bind are not among them."""
    if isinstance(tree, Name):
        return frozenset({tree.name})
    if isinstance(tree, Macro):
        within = frozenset[str]().union(*map(free_names, tree.bodies))
        return free_names(tree.range) | (within - {tree.variable})
    return frozenset[str]().union(*map(free_names, children(tree)))


_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\r\n\f]|//[^\n]*(?:\n|$))+)
  | (?P<float>(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?))
  | (?P<int>(?:0x[0-9a-fA-F]+|\d+)(?P<unsigned>[uU])?)
  | (?P<string>(?:[bB]?[rR]|[bB]|)(?:
        (?<=[rR])(?:\"{3}(?:.|\n)*?\"{3}|'{3}(?:.|\n)*?'{3}|"[^"\n\r]*"|'[^'\n\r]*')
      | (?<![rR])(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*')
    ))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,(){}\[\]])
    """,
    re.VERBOSE,
)

_STRENGTH = {"||": 1, "&&": 2, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5}
_STRENGTH |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3)


class _Parser:
    """Reads tokens one ahead; a binary operator is bound by its strength."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0
        self.sign = self.kind = ""
        self.start = self.end = 0  # of the token
        self.last = 0  # where the token before it ended
        self.advance()

    def advance(self) -> str:
        """Go to the next token, and give the one that was read."""
        read, self.last = self.sign, self.end
        found = _TOKEN.match(self.text, self.place)
        if found and found.lastgroup == "space":
            self.place = found.end()
            found = _TOKEN.match(self.text, self.place)
        if self.place == len(self.text):
            self.kind, self.sign, self.start, self.end = "end", "", self.place, self.place
            return read
        if not found:
            raise SyntaxFault(f"{self.text[self.place]!r} at column {self.place + 1} is not of the language")
        self.kind, self.sign = found.lastgroup or "", found[0]
        if self.kind == "name" and self.sign == "in":
            self.kind = "sign"
        self.start, self.end = found.span()
        self.place = found.end()
        return read

    def unexpected(self) -> SyntaxFault:
        what = f"`{self.sign:.40}`" if self.sign else "the end"
        return SyntaxFault(f"{what} at column {self.start + 1} is not expected there")

    def take(self, sign: str) -> bool:
        if self.kind == "sign" and self.sign == sign:
            self.advance()
            return True
        return False

    def need(self, sign: str) -> None:
        if not self.take(sign):
            raise self.unexpected()

    def deeper(self, count: int = 1) -> None:
        self.depth += count
        if self.depth > MAX_NESTING:
            raise SyntaxFault(f"its parts nest more than {MAX_NESTING} deep")

    def expression(self) -> Tree:
        """`a ? b : c`, or what binds stronger."""
        before = self.depth
        self.deeper()
        condition = self.binary(1)
        if self.take("?"):
            holds = self.binary(1)
            self.need(":")
            condition = Call("?:", (condition, holds, self.expression()), condition.start, self.last)
        self.depth = before
        return condition

    def binary(self, strength: int) -> Tree:
        """Operators of at least this strength, those of equal strength from left to right."""
        before = self.depth
        left = self.unary()
        while self.kind == "sign" and (bound := _STRENGTH.get(self.sign, 0)) >= strength:
            self.deeper()  # a chain nests on its left
            operator = self.advance()
            left = Call(operator, (left, self.binary(bound + 1)), left.start, self.last)
        self.depth = before
        return left

    def unary(self) -> Tree:
        """`!a`, `-a`, or a member."""
        if self.kind != "sign" or self.sign not in ("!", "-"):
            return self.member()
        start, before = self.start, self.depth
        self.deeper()
        operator = self.advance()
        operand = self.unary() if self.kind == "sign" and self.sign == operator else self.member()
        self.depth = before
        return Call(f"{operator}x", (operand,), start, self.last)

    def member(self) -> Tree:
        """`a`, and any number of `.b`, `.b(...)` and `[c]` behind it."""
        before = self.depth
        tree = self.primary()
        while self.kind == "sign" and self.sign in (".", "["):
            self.deeper()
            if self.advance() == "[":
                index = self.expression()
                self.need("]")
                tree = Call("[]", (tree, index), tree.start, self.last)
                continue
            if self.kind != "name":
                raise self.unexpected()
            name = self.advance()
            if self.take("("):
                tree = self.method(tree, name)
            else:
                tree = Select(tree, name, False, tree.start, self.last)
        self.depth = before
        return tree

    def method(self, target: Tree, name: str) -> Tree:
        arguments = self.until(")")
        if name not in MACROS or len(arguments) not in ((2, 3) if name == "map" else (2,)):
            return Call(f".{name}", (target, *arguments), target.start, self.last)
        variable, *bodies = arguments
        if not isinstance(variable, Name):
            raise SyntaxFault(
                f"`{name}` at column {target.end + 2} names no variable, such as `{name}(x, ...)`"
            )
        return Macro(name, target, variable.name, tuple(bodies), target.start, self.last)

    def until(self, closing: str) -> tuple[Tree, ...]:
        """Expressions with commas between them, and the sign that closes them."""
        found: list[Tree] = []
        while not self.take(closing):
            if found:
                self.need(",")
                if closing == "]" and self.take(closing):  # a list may end in a comma
                    break
            found.append(self.expression())
        return tuple(found)

    def primary(self) -> Tree:
        start = self.start
        if self.kind == "name":
            return self.name(start)
        negative = self.take("-")  # a number of its own, as in `!-1`
        if self.kind in ("float", "int") or (self.kind == "string" and not negative):
            return self.literal(start)
        if negative:
            raise self.unexpected()
        if self.take("("):
            tree = self.expression()
            self.need(")")
            return tree
        if self.take("["):
            return Items(self.until("]"), start, self.last)
        if self.take("{"):
            return self.entries(start)
        raise self.unexpected()

    def name(self, start: int) -> Tree:
        name = self.sign
        if name in ("true", "false", "null"):
            self.advance()
            return Literal("null" if name == "null" else "boolean", name, start, self.last)
        if name in RESERVED:
            raise SyntaxFault(f"`{name}` at column {start + 1} is a reserved word")
        self.advance()
        if not self.take("("):
            return Name(name, start, self.last)
        arguments = self.until(")")
        if name != "has":
            return Call(name, arguments, start, self.last)
        match arguments:
            case (Select(operand, field),):
                return Select(operand, field, True, start, self.last)
        raise SyntaxFault(f"`has` at column {start + 1} tests no field, such as `has(report.path)`")

    def literal(self, start: int) -> Tree:
        kind, text = self.kind, self.advance()
        if kind == "float":
            return Literal("double", text, start, self.last)
        if kind == "int":
            return Literal("unsigned" if text[-1] in "uU" else "integer", text, start, self.last)
        return Literal(
            "bytes" if "b" in text[:2].lower().partition(text[-1])[0] else "string", text, start, self.last
        )

    def entries(self, start: int) -> Tree:
        found: list[tuple[Tree, Tree]] = []
        while not self.take("}"):
            if found:
                self.need(",")
                if self.take("}"):
                    break
            key = self.expression()
            self.need(":")
            found.append((key, self.expression()))
        return Entries(tuple(found), start, self.last)

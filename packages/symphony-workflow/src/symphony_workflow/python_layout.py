"""Python expressions as text: quoted literals, and lines as formatters lay them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any

WIDTH = 100
"""Characters of the longest line that is not a single literal."""


@dataclass(slots=True)
class Group:
    """Code between two signs.

    Args:
        before: What opens it, such as `f(`; or, where `after` is empty, what stands before its only item.
        items: The codes between commas.
        after: What closes it.
        closing_comma: Whether a comma follows the last item on one line too, as in a tuple of one.
    """

    before: str
    items: "list[Code]" = field(default_factory=list)
    after: str = ""
    closing_comma: bool = False

    def flat(self) -> str:
        """All of it on one line."""
        inner = ", ".join(one if isinstance(one, str) else one.flat() for one in self.items)
        return f"{self.before}{inner}{',' if self.closing_comma else ''}{self.after}"


Code = str | Group


def lay_out(before: str, code: Code, depth: int = 0) -> str:
    """The lines of an expression.

    Args:
        before: What stands before it on its first line.
        code: The expression.
        depth: How many levels it is indented.
    """
    indent = "    " * depth
    flat = code if isinstance(code, str) else code.flat()
    fits = len(indent) + len(before) + len(flat) + 1 <= WIDTH
    if isinstance(code, str) or not code.items or fits:
        return f"{indent}{before}{flat}"
    if not code.after:
        return lay_out(before + code.before, code.items[0], depth)
    inner = "".join(f"{lay_out('', item, depth + 1)},\n" for item in code.items)
    return f"{indent}{before}{code.before}\n{inner}{indent}{code.after}"


def quoted(text: str) -> str:
    """A text as a literal of Python; what does not print is escaped.

    Args:
        text: Any text.
    """
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in text else plain


def arguments(given: Sequence[Code], named: Mapping[str, Code]) -> Group:
    """The arguments of a call; those whose names are no words of Python are unpacked from an object.

    Args:
        given: Those without a name.
        named: The others.
    """
    items = list(given)
    items += [Group(f"{name}=", [value], "") for name, value in named.items() if is_word(name)]
    others = {name: value for name, value in named.items() if not is_word(name)}
    if others:
        items.append(Group("**", [mapping(others)], ""))
    return Group("(", items, ")")


def json_literal(value: Any) -> Code:
    """The code of a JSON value.

    Args:
        value: Only what is JSON.
    """
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return Group("[", [json_literal(item) for item in value], "]")
    if isinstance(value, dict):
        return mapping({key: json_literal(item) for key, item in value.items()})
    return repr(value)


def mapping(entries: Mapping[str, Code]) -> Group:
    """A dict.

    Args:
        entries: The codes of its values by key.
    """
    return Group("{", [Group(f"{quoted(key)}: ", [value], "") for key, value in entries.items()], "}")


def tuple_of(items: Sequence[Code]) -> Group:
    """A tuple.

    Args:
        items: The codes of its items.
    """
    return Group("(", list(items), ")", closing_comma=len(items) == 1)


def is_word(name: str) -> bool:
    """Whether a name may stand in code as it is; Python reads other scripts as letters that look alike.

    Args:
        name: Any text.
    """
    return name.isascii() and name.isidentifier() and not iskeyword(name) and not name.startswith("_")


def member(name: str) -> str:
    """`.name`, or `["name"]` where that is no word of Python.

    Args:
        name: The name of a port.
    """
    return f".{name}" if is_word(name) else f"[{quoted(name)}]"

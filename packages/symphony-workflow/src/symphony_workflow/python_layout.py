"""Lays Python expressions out over lines as formatters do: on one line where it fits, else one item a line."""

from dataclasses import dataclass, field

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

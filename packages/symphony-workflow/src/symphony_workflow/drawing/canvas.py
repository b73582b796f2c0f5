"""A grid of characters on which boxes, wires and words are drawn."""

from symphony_workflow.drawing.figure import Box, Style
from symphony_workflow.drawing.text import width

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8

_CROSSES = dict(
    zip(
        (
            *(UP, DOWN, UP | DOWN, LEFT, RIGHT, LEFT | RIGHT),
            *(DOWN | RIGHT, DOWN | LEFT, UP | RIGHT, UP | LEFT),
            *(UP | DOWN | RIGHT, UP | DOWN | LEFT, DOWN | LEFT | RIGHT, UP | LEFT | RIGHT),
            UP | DOWN | LEFT | RIGHT,
        ),
        "│││───╭╮╰╯├┤┬┴┼",
        strict=True,
    )
)
_STRAIGHT: dict[Style, tuple[str, str]] = {
    "data": ("│", "─"),
    "conditional": ("┆", "┄"),
    "control": ("┊", "┈"),
}
_ROUND, _SQUARE, _DOUBLE = tuple("╭─╮│╰╯┬"), tuple("┌─┐│└┘┬"), tuple("╔═╗║╚╝╤")
_BORDERS = {
    "operator": _SQUARE,
    "instrument": _ROUND,
    "input": _ROUND,
    "output": _ROUND,
    "unknown": _ROUND,
}


class Canvas:
    """A grid that grows to the right and down."""

    def __init__(self) -> None:
        self._signs: dict[tuple[int, int], str] = {}
        self._wires: dict[tuple[int, int], dict[int, tuple[int, Style]]] = {}

    def box(self, top: int, left: int, wide: int, box: Box) -> None:
        """Draw a box of four rows.

        Args:
            top: Its first row.
            left: Its first column.
            wide: Its columns, borders included.
            box: What stands in it.
        """
        corner, line, other, side, low, last, _ = _BORDERS.get(box.kind, _DOUBLE)
        self.text(top, left, corner + line * (wide - 2) + other)
        for row, words in ((top + 1, box.name), (top + 2, box.detail)):
            self.text(row, left, f"{side} {words}{' ' * (wide - 4 - width(words))} {side}")
        self.text(top + 3, left, low + line * (wide - 2) + last)

    def leave(self, row: int, column: int, box: Box) -> None:
        """Let a wire leave through the lower border of a box.

        Args:
            row: The row of the border.
            column: Where.
            box: What the border is of.
        """
        self._signs[row, column] = _BORDERS.get(box.kind, _DOUBLE)[-1]

    def text(self, row: int, column: int, words: str) -> None:
        """Write words to the right of a place.

        Args:
            row: The row.
            column: The column of the first character.
            words: Printable text.
        """
        last = column
        for char in words:
            wide = width(char)
            if not wide:  # a combining character belongs to the one before it
                self._signs[row, last] = self._signs.get((row, last), "") + char
                continue
            last = column
            self._signs[row, column] = char
            if wide == 2:
                self._signs[row, column + 1] = ""
            column += wide

    def upright(self, first: int, last: int, column: int, net: int, style: Style) -> None:
        """Draw a wire from the upper edge of one row to the lower edge of another.

        Args:
            first: The upper row.
            last: The lower row; with one above `first`, nothing is drawn.
            column: The column.
            net: What it belongs to: wires of one net that meet are joined.
            style: How it looks.
        """
        for row in range(first, last + 1):
            self.wire(row, column, UP | DOWN, net, style)

    def wire(self, row: int, column: int, ways: int, net: int, style: Style) -> None:
        """Let a wire lead from the middle of a place to some of its sides.

        Args:
            row: The row.
            column: The column.
            ways: The sides: a sum of UP, DOWN, LEFT and RIGHT.
            net: What it belongs to: wires of one net that meet are joined.
            style: How it looks.
        """
        nets = self._wires.setdefault((row, column), {})
        nets[net] = (nets.get(net, (0, style))[0] | ways, style)

    def lines(self) -> list[str]:
        """The rows as text."""
        signs = {place: _sign(nets) for place, nets in self._wires.items()} | self._signs
        rows: dict[int, dict[int, str]] = {}
        for (row, column), sign in signs.items():
            rows.setdefault(row, {})[column] = sign
        lines = []
        for row in range(max(rows, default=-1) + 1):
            columns = rows.get(row, {})
            lines.append("".join(columns.get(column, " ") for column in range(max(columns, default=-1) + 1)))
        return lines


def _sign(nets: dict[int, tuple[int, Style]]) -> str:
    """The character of a place; of two nets that cross, the one that leads down is seen."""
    ways, style = max(nets.values(), key=lambda wire: (wire[0] & (UP | DOWN), wire[0]))
    upright, level = _STRAIGHT[style]
    if not ways & (LEFT | RIGHT):
        return upright
    return level if not ways & (UP | DOWN) else _CROSSES[ways]

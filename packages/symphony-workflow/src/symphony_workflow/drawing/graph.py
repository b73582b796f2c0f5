"""Workflows as a drawing of boxes and lines for the terminal.

Lines between two layers run in a channel: down from their source, along a track of their own, and down to their target.
Where two cross without meeting, the one that leads down passes over the other.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise

from symphony_workflow.drawing.canvas import DOWN, LEFT, RIGHT, UP, Canvas
from symphony_workflow.drawing.figure import Figure, Style, figures
from symphony_workflow.drawing.layers import Layers, layers, place
from symphony_workflow.drawing.text import shorten, width
from symphony_workflow.drawing.tree import draw_tree
from symphony_workflow.model import Workflow

_GAP = 2
_MAX_BOXES = 2000
_BOX_ROWS = 4
_SHORTEST_LABEL = 6


def draw_graph(workflow: Workflow, columns: int = 100) -> str:
    """The workflow and those that it brings along, drawn; as a tree where one is wider than there is room.

    Args:
        workflow: Any workflow, complete or not.
        columns: The room.
    """
    drawn = []
    for figure in figures(workflow):
        picture = _draw(figure, columns)
        if picture is None:
            return draw_tree(workflow)
        drawn.append("\n".join([figure.title, *picture]))
    return "\n\n".join(drawn) + "\n"


@dataclass(slots=True)
class _Net:
    """What leads from one cell to the layer below, in one style and direction.

    Args:
        source: The column that it leaves at.
        style: How it is drawn.
        upward: Whether its lines lead up, so that no arrow is at their lower ends.
        tipped: Whether the arrow is where it leaves.
        lines: The line of the figure to each cell below.
        targets: The column that it arrives at, by cell below.
    """

    source: int
    style: Style
    upward: bool
    tipped: bool
    lines: dict[int, int]
    targets: dict[int, int] = field(default_factory=dict)


def _draw(figure: Figure, columns: int) -> list[str] | None:
    if len(figure.boxes) > _MAX_BOXES:
        return None
    found = layers(figure)
    widths = [max(width(box.name), width(box.detail)) + 4 for box in figure.boxes] + [1] * found.bends
    if any(sum(widths[cell] + _GAP for cell in row) - _GAP > columns for row in found.rows):
        return None
    left = _columns(found, widths)
    if max((left[cell] + widths[cell] for row in found.rows for cell in row), default=0) > columns:
        return None
    return _Drawing(figure, found, widths, left, columns).lines()


def _columns(found: Layers, widths: list[int]) -> list[int]:
    """The left column of each cell."""
    middle = place(found, widths, _GAP)
    left = [round(x - wide / 2) for x, wide in zip(middle, widths, strict=True)]
    for row in found.rows:
        for cell, after in pairwise(row):
            left[after] = max(left[after], left[cell] + widths[cell] + _GAP)
    return left


class _Drawing:
    """The figure on a canvas, layer by layer."""

    def __init__(self, figure: Figure, found: Layers, widths: list[int], left: list[int], room: int) -> None:
        self._figure, self._found, self._widths, self._left = figure, found, widths, left
        self._room = room
        self._boxes = len(figure.boxes)
        self._canvas = Canvas()
        # What leads down from each cell: the line to each cell below.
        self._below: list[dict[int, int]] = [{} for _ in widths]
        for line, path in enumerate(found.paths):
            for upper, lower in pairwise(path):
                self._below[upper][lower] = line

    def lines(self) -> list[str]:
        top = 0
        for row in self._found.rows:
            for cell in row:
                left = self._left[cell]
                if cell < self._boxes:
                    self._canvas.box(top, left, self._widths[cell], self._figure.boxes[cell])
                else:
                    (line,) = self._below[cell].values()
                    style = self._figure.lines[line].style
                    self._canvas.upright(top, top + _BOX_ROWS - 1, left, cell, style)
            top = self._channel(top + _BOX_ROWS, row)
        return self._canvas.lines()

    def _channel(self, top: int, row: list[int]) -> int:
        """Draw what leads from a row of cells to the next, from the row `top` on; gives the first row below it."""
        nets = [net for cell in row for net in self._leave(top - 1, cell)]
        if not nets:
            return top
        self._arrive(nets)
        first = top
        for net in nets:
            if net.tipped:
                self._canvas.text(top, net.source, "▲")
                first = top + 1
        tracks = _tracks(nets)
        after = first + max(max(tracks, default=-1) + 1, 1)
        bottom = after + self._label(after, nets)
        for number, (net, track) in enumerate(zip(nets, tracks, strict=True)):
            self._wire(net, number, top, first + max(track, 0), bottom)
            for cell, column in net.targets.items():
                if cell < self._boxes and not net.upward:
                    self._canvas.text(bottom, column, "▼")
        return bottom + 1

    def _leave(self, border: int, cell: int) -> list[_Net]:
        """The nets that leave a cell, next to each other around its middle."""
        nets: dict[tuple[Style, bool], _Net] = {}
        for below, line in self._below[cell].items():
            style, upward = self._figure.lines[line].style, self._found.upward[line]
            net = nets.setdefault((style, upward), _Net(0, style, upward, upward and cell < self._boxes, {}))
            net.lines[below] = line
        middle = self._left[cell] + self._widths[cell] // 2
        for number, net in enumerate(nets.values()):
            net.source = middle + 2 * number - (len(nets) - 1)
            if cell < self._boxes:
                self._canvas.leave(border, net.source, self._figure.boxes[cell])
        return list(nets.values())

    def _arrive(self, nets: list[_Net]) -> None:
        """Give each net a column at each cell that it leads to, where nothing else leads down if that can be."""
        leaving = {net.source: net for net in nets}
        arriving: dict[int, list[_Net]] = {}
        for net in sorted(nets, key=lambda net: net.source):
            for cell in net.lines:
                arriving.setdefault(cell, []).append(net)
        for cell, some in arriving.items():
            left, wide = self._left[cell], self._widths[cell]
            if cell >= self._boxes:
                some[0].targets[cell] = left
                continue
            free = set(range(left + 1, left + wide - 1))
            for number, net in enumerate(some):
                low, high = left + wide * number / len(some), left + wide * (number + 1) / len(some)
                wanted = net.source if low < net.source < high - 1 else int((low + high) / 2)
                open_ = [one for one in free if leaving.get(one, net) is net] or [wanted]
                column = min(open_, key=lambda one: (abs(one - wanted), one))
                free.discard(column)
                net.targets[cell] = column

    def _wire(self, net: _Net, number: int, top: int, track: int, bottom: int) -> None:
        wire = self._canvas.wire
        columns = list(net.targets.values())
        self._canvas.upright(top, track - 1, net.source, number, net.style)
        low, high = min(net.source, *columns), max(net.source, *columns)
        wire(track, net.source, UP, number, net.style)
        for column in columns:
            wire(track, column, DOWN, number, net.style)
            self._canvas.upright(track + 1, bottom, column, number, net.style)
        for column in range(low, high + 1):
            ways = (LEFT if column > low else 0) | (RIGHT if column < high else 0)
            wire(track, column, ways, number, net.style)

    def _label(self, row: int, nets: list[_Net]) -> bool:
        """Write the conditions of the lines that end below this row to their right, as far as there is room."""
        columns = sorted(column for net in nets for column in net.targets.values())
        written = False
        for net in nets:
            for cell, column in net.targets.items():
                label = self._figure.lines[net.lines[cell]].label
                if net.style != "conditional" or cell >= self._boxes:
                    continue
                after = bisect_right(columns, column)
                end = columns[after] - 1 if after < len(columns) else self._room
                if end - column - 2 >= min(len(label), _SHORTEST_LABEL):
                    self._canvas.text(row, column + 2, shorten(label, end - column - 2))
                    written = True
        return written


def _tracks(nets: list[_Net]) -> list[int]:
    """The track of each net that is not straight, such that no two in one track overlap; -1 for straight ones."""
    tracks = [-1] * len(nets)
    ends: list[int] = []
    spans = [(min(net.source, *net.targets.values()), max(net.source, *net.targets.values())) for net in nets]
    for number in sorted(range(len(nets)), key=spans.__getitem__):
        low, high = spans[number]
        if low < high:
            track = next((track for track, end in enumerate(ends) if end < low), len(ends))
            ends[track : track + 1] = [high]
            tracks[number] = track
    return tracks

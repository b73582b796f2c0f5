"""Places boxes in layers, so that lines lead down, cross little and run straight.

The steps are those of Sugiyama, Tagawa and Toda (IEEE Transactions on Systems, Man and Cybernetics 11, 1981): layers
by longest path, bends where a line passes a layer, an order within each layer by barycentres. Places follow by least
squares: each box wants to stand at the mean of its neighbours, and isotonic regression (Ayer et al., Annals of
Mathematical Statistics 26, 1955) moves those that would overlap no further than they must.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from symphony_workflow.drawing.figure import Figure
from symphony_workflow.drawing.order import drawing_order

MAX_BENDS = 20_000
"""With more bends, lines lead straight across the layers between their ends."""

_ORDER_ROUNDS = 4
_PLACE_ROUNDS = 12
_BEND_WEIGHT, _ALONE_WEIGHT = 8.0, 0.1
_STRAIGHTEN = 3
"""How many times more a bend follows a bend than a box, so that long lines run straight."""


class Layers(NamedTuple):
    """Where everything stands, before sizes are known. A cell is a box, or above the count of boxes a bend.

    Args:
        rows: The cells of each layer, from left to right.
        paths: For each line of the figure, the cells that it leads through, from top to bottom.
        upward: For each line, whether it leads from the last of these cells to the first, as one in a cycle must.
        bends: How many cells are bends.
    """

    rows: list[list[int]]
    paths: list[list[int]]
    upward: list[bool]
    bends: int


def layers(figure: Figure) -> Layers:
    """Find the layer of each box and the order in each layer.

    Args:
        figure: What is drawn.
    """
    order = drawing_order(len(figure.boxes), [(line.source, line.target) for line in figure.lines])
    number = {box: index for index, box in enumerate(order)}
    ends = [
        (line.source, line.target)
        if number[line.source] < number[line.target]
        else (line.target, line.source)
        for line in figure.lines
    ]
    level = _levels(figure, order, ends)
    rows: list[list[int]] = [[] for _ in range(max(level, default=-1) + 1)]
    for box, row in enumerate(level):
        rows[row].append(box)
    bending = sum([level[bottom] - level[top] - 1 for top, bottom in ends]) <= MAX_BENDS
    paths, cells = [], len(level)
    for top, bottom in ends:
        path = [top]
        if bending:
            for row in range(level[top] + 1, level[bottom]):
                rows[row].append(cells)
                path.append(cells)
                cells += 1
        paths.append([*path, bottom])
    _order(rows, *_neighbours(cells, paths))
    upward = [line.source != top for line, (top, _) in zip(figure.lines, ends, strict=True)]
    return Layers(rows, paths, upward, cells - len(level))


def place(found: Layers, widths: Sequence[float], gap: float) -> list[float]:
    """The middle of each cell, from the left.

    Args:
        found: The layers.
        widths: The width of each cell.
        gap: The space between two cells.
    """
    above, below = _neighbours(len(widths), found.paths)
    middle = [0.0] * len(widths)
    boxes = len(widths) - found.bends
    offsets = []
    for row in found.rows:
        offset, right = [], 0.0
        for cell in row:
            offset.append(right + widths[cell] / 2)
            right += widths[cell] + gap
        offsets.append(offset)
        for cell, x in zip(row, offset, strict=True):
            middle[cell] = x - right / 2
    for round in range(_PLACE_ROUNDS):
        down = round % 2 == 0
        for number in range(len(found.rows)) if down else range(len(found.rows) - 1, -1, -1):
            wanted, weights = [], []
            for cell in (row := found.rows[number]):
                near = above[cell] if down else below[cell]
                if round >= _PLACE_ROUNDS // 2:
                    near = above[cell] + below[cell]
                if cell >= boxes and (bent := [one for one in near if one >= boxes]):
                    near = near + bent * _STRAIGHTEN
                wanted.append(sum([middle[one] for one in near]) / len(near) if near else middle[cell])
                weights.append(_BEND_WEIGHT if cell >= boxes else 1.0 if near else _ALONE_WEIGHT)
            for cell, x in zip(row, _apart(wanted, weights, offsets[number]), strict=True):
                middle[cell] = x
    left = min((middle[cell] - widths[cell] / 2 for row in found.rows for cell in row), default=0.0)
    return [x - left for x in middle]


def _levels(figure: Figure, order: list[int], ends: list[tuple[int, int]]) -> list[int]:
    """The layer of each box: below all that leads to it, inputs just above the first box that takes them."""
    children: list[list[int]] = [[] for _ in order]
    for upper, lower in ends:
        children[upper].append(lower)
    starts = set(order).difference([lower for _, lower in ends])
    level = [1] * len(order)
    for box in order:
        for child in children[box]:
            level[child] = max(level[child], level[box] + 1)
    for box in starts:
        if figure.boxes[box].kind == "input" and children[box]:
            level[box] = min([level[child] for child in children[box]]) - 1
    top = min(level, default=0)
    return [one - top for one in level]


def _neighbours(count: int, paths: Iterable[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for path in paths:
        for upper, lower in pairwise(path):
            below[upper].append(lower)
            above[lower].append(upper)
    return above, below


def _order(rows: list[list[int]], above: list[list[int]], below: list[list[int]]) -> None:
    """Order each row in place by the mean place of its neighbours; the sweep with the fewest crossings counts."""
    best, fewest = [row[:] for row in rows], _crossings(rows, below)
    for _ in range(_ORDER_ROUNDS):
        if not fewest:
            break
        for sequence, near in ((rows[1:], above), (rows[-2::-1], below)):
            place = {cell: index for row in rows for index, cell in enumerate(row)}
            for row in sequence:
                wanted = {
                    cell: sum([place[one] for one in near[cell]]) / len(near[cell])
                    if near[cell]
                    else float(place[cell])
                    for cell in row
                }
                row.sort(key=wanted.__getitem__)
                place.update({cell: index for index, cell in enumerate(row)})
            crossings = _crossings(rows, below)
            if crossings < fewest:
                best, fewest = [row[:] for row in rows], crossings
    rows[:] = best


def _crossings(rows: list[list[int]], below: list[list[int]]) -> int:
    """How many pairs of lines cross, by counting inversions."""
    total = 0
    for upper, lower in pairwise(rows):
        place = {cell: index for index, cell in enumerate(lower)}
        seen: list[int] = []
        for cell in upper:
            ends = [place[one] for one in below[cell] if one in place]
            total += sum([len(seen) - bisect_right(seen, end) for end in ends])
            for end in ends:
                insort(seen, end)
    return total


def _apart(wanted: list[float], weights: list[float], offsets: list[float]) -> list[float]:
    """The places nearest to those wanted, by weighted squares, where all keep the distances of `offsets` at least."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, cells: pool adjacent violators
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, mass, cells = want - offset, weight, 1
        while blocks and blocks[-1][0] > mean:
            before, more, others = blocks.pop()
            mean = (mean * mass + before * more) / (mass + more)
            mass, cells = mass + more, cells + others
        blocks.append((mean, mass, cells))
    flat = [mean for mean, _, cells in blocks for _ in range(cells)]
    return [x + offset for x, offset in zip(flat, offsets, strict=True)]

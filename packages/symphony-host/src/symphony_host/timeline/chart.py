"""Draws the chart of a timeline as plain SVG shapes; whatever a node says is escaped text.

What is less wide than a pixel or two is drawn together with its neighbours, so that a drawing costs what can be seen.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple
from xml.sax.saxutils import escape

from symphony_workflow.drawing.text import shorten, width

from symphony_host.cli.text import seconds
from symphony_host.timeline.record import Bar, BarState, Timeline
from symphony_host.timeline.rows import Row, rows_of
from symphony_host.timeline.words import note_of

WIDTH = 1200.0
"""Pixels."""
LOAD = 44.0
"""Height of the picture of how many bars there are at once."""
COLORS = 7
"""Operations that have a colour of their own; all others share one."""

MARGIN = 18.0
LETTER = 6.6
"""The usual width of a letter."""

_AXIS = 22.0
_SMALL = 2.0
"""Bars that are less wide are drawn with their neighbours."""
_MANY = 20_000
_QUEUES = 400
"""With more bars, only those on the critical path tell how long they waited."""
_STEPS = (1.0, 2.0, 5.0)
_MINUTES = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)

STATE_CLASS: dict[BarState, str] = {"failed": "bad", "retried": "bad", "waiting": "ask", "reused": "reused"}
"""The classes of the states that have a colour of their own."""
STATE_MARK: dict[BarState, str] = {"running": " going", "stopped": " stopped"}
"""What is added to the colour of the operation."""


class Layout(NamedTuple):
    """Where the parts of a chart are, in pixels.

    Args:
        rows: Its rows, from the top.
        left: Where time begins.
        right: Where it ends.
        row: The height of a row.
        height: The height of the whole.
        colors: The number of the colour of each operation.
        small: The width below which bars are drawn together.
    """

    rows: list[Row]
    left: float
    right: float
    row: float
    height: float
    colors: dict[str, int]
    small: float


class Piece(NamedTuple):
    """What is drawn as one: a bar, or several that are too small.

    Args:
        bars: The bars.
        x: Where it begins.
        end: Where it ends.
    """

    bars: list[Bar]
    x: float
    end: float


def layout_of(timeline: Timeline) -> Layout:
    """Find a place for everything.

    Args:
        timeline: What is to be drawn.
    """
    rows = rows_of(timeline.bars)
    spent: Counter[str] = Counter()
    for bar in timeline.bars:
        spent[bar.operation] += 1 + int(1000 * bar.seconds)
    colors = {name: min(rank, COLORS) for rank, (name, _) in enumerate(spent.most_common())}
    names = max((width(shorten(row.name, 24)) for row in rows), default=0)
    left = MARGIN + (names * LETTER + 10 if names else 0)
    high = next((size for most, size in ((12, 26.0), (40, 16.0), (80, 10.0)) if len(rows) <= most), 6.0)
    small = _SMALL * max(1.0, len(timeline.bars) / _MANY)
    return Layout(
        rows,
        left,
        WIDTH - MARGIN,
        high,
        LOAD + _AXIS + high * max(1, len(rows)) + 6,
        colors,
        small,
    )


def plot(timeline: Timeline, layout: Layout) -> Iterator[str]:
    """The parts of the chart itself, for time from begin to end.

    Args:
        timeline: What is drawn.
        layout: Where.
    """
    whole = timeline.seconds or 1.0
    scale = (layout.right - layout.left) / whole
    top = LOAD + _AXIS
    bottom = layout.height - 6
    for pause in timeline.pauses:
        begin, wide = layout.left + pause.start * scale, max(1.0, (pause.end - pause.start) * scale)
        note = f"{pause.reason}: nobody worked on it for {seconds(pause.end - pause.start)}"
        yield (
            f'<g><title>{escape(note)}</title><rect class="pause" x="{number(begin)}" y="0" '
            f'width="{number(wide)}" height="{number(bottom)}"/></g>'
        )
    yield from _load(timeline.bars, layout, scale)
    for at, name in ticks(whole, (layout.right - layout.left) / 90):
        x = number(layout.left + at * scale)
        yield f'<path class="grid" d="M{x} {number(LOAD)}V{number(bottom)}"/>'
        yield f'<text class="soft" x="{x}" y="{number(LOAD + 14)}" text-anchor="middle">{name}</text>'
    queues = len(timeline.bars) <= _QUEUES
    for index, row in enumerate(layout.rows):
        y = top + index * layout.row
        if row.name:
            yield f'<path class="grid" d="M{number(MARGIN)} {number(y)}H{number(layout.right)}"/>'
            middle = number(y + layout.row / 2 + 4)
            yield f'<text class="soft" x="{number(MARGIN)}" y="{middle}">{escape(shorten(row.name, 24))}</text>'
        drawn = list(pieces(row.bars, layout.left, scale, layout.small))
        for piece, after in zip(drawn, [*drawn[1:], None], strict=True):
            room = (after.x if after else layout.right) - piece.x
            yield from _piece(piece, y, layout, room)
        yield _queue(row.bars, y, layout, scale, every=queues)
    yield from _path(timeline, layout, scale, top)


def pieces(bars: Iterable[Bar], left: float, scale: float, small: float) -> Iterator[Piece]:
    """The bars of a row as they are drawn: those that are too small together with their neighbours.

    Args:
        bars: In the order of their starts.
        left: Where time begins, in pixels.
        scale: Pixels a second.
        small: The width in pixels below which a bar is too small.
    """
    held: Piece | None = None
    for bar in bars:
        x, end = left + bar.start * scale, left + bar.end * scale
        tiny = end - x < small
        if held is not None:
            if tiny and x - held.end < 1 and held.end - held.x < 8 * small:
                held.bars.append(bar)
                held = held._replace(end=max(held.end, end))
                continue
            yield held
        held = Piece([bar], x, end) if tiny else None
        if not tiny:
            yield Piece([bar], x, end)
    if held is not None:
        yield held


def ticks(whole: float, most: float) -> Iterator[tuple[float, str]]:
    """Round times along an axis, with their names.

    Args:
        whole: Seconds that the axis is long.
        most: At most about so many of them.
    """
    least = whole / max(1.0, most)
    power = 10.0 ** math.floor(math.log10(least))
    short = [step * power * ten for ten in (1, 10) for step in _STEPS]
    step = next(each for each in (short if least < 10 else _MINUTES) if each >= least or each == _MINUTES[-1])
    for count in range(int(whole / step) + 1):
        yield count * step, _clock(count * step, step)


def _clock(at: float, step: float) -> str:
    if step < 1:
        return f"{at:.{max(0, -math.floor(math.log10(step)))}f} s"
    if step < 15:
        return f"{at:.0f} s"
    minutes, rest = divmod(round(at), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def color_of(bar: Bar, layout: Layout) -> str:
    """The classes of a bar.

    Args:
        bar: The bar.
        layout: What knows the colours of the operations.
    """
    own = STATE_CLASS.get(bar.state) or f"o{layout.colors.get(bar.operation, COLORS)}"
    return own + STATE_MARK.get(bar.state, "")


def _piece(piece: Piece, y: float, layout: Layout, room: float) -> Iterator[str]:
    bars = piece.bars
    worst = next((bar for bar in bars if STATE_CLASS.get(bar.state) == "bad"), bars[0])
    if len(bars) == 1:
        note = note_of(worst)
    else:
        bad = sum(STATE_CLASS.get(bar.state) == "bad" for bar in bars)
        note = f"{len(bars):,} bars from {bars[0].start:.3f} s to {max(bar.end for bar in bars):.3f} s"
        note += f", {bad:,} of them failed" if bad else ""
    wide, high = max(1.4, piece.end - piece.x - 0.4), layout.row - (4 if layout.row > 12 else 2)
    round_ = ' rx="3"' if wide > 14 and high > 8 else ""
    rect = (
        f'<rect class="{color_of(worst, layout)}" x="{number(piece.x)}" y="{number(y + 1)}" '
        f'width="{number(wide)}" height="{number(high)}"{round_}/>'
    )
    name = ""
    letters = int((max(wide, room) - 10) / LETTER) if layout.row > 12 and len(bars) == 1 else 0
    inside = int((wide - 8) / LETTER)
    text = worst.node if worst.item < 0 else f"{worst.node}[{worst.item}]"
    if letters >= 4 and (inside >= 4 or width(text) <= letters):
        shown, beside = (
            shorten(text, max(4, inside)),
            width(text) > inside and width(text) <= letters - inside,
        )
        x = piece.x + (wide + 4 if beside else 5)
        if beside or inside >= 4:
            css = "name soft" if beside else "name"
            name = (
                f'<text class="{css}" x="{number(x)}" y="{number(y + 1 + high / 2 + 4)}">'
                f"{escape(shorten(text, 60) if beside else shown)}</text>"
            )
    yield f"<g><title>{escape(note)}</title>{rect}{name}</g>"


def _queue(bars: Iterable[Bar], y: float, layout: Layout, scale: float, *, every: bool) -> str:
    """For how long bars had waited for a free place: a thin line below them."""
    line = y + layout.row - 2
    course = "".join(
        f"M{number(layout.left + bar.ready * scale)} {number(line)}H{number(layout.left + bar.start * scale)}"
        for bar in bars
        if (every or bar.critical) and (bar.start - bar.ready) * scale >= 1
    )
    return f'<path class="queue" d="{course}"/>' if course else ""


def _path(timeline: Timeline, layout: Layout, scale: float, top: float) -> Iterator[str]:
    """The critical path: a line along its bars, and one from each to the next."""
    course: list[str] = []
    links: list[str] = []
    ends: list[tuple[float, float, float]] = []
    for index, row in enumerate(layout.rows):
        y = top + index * layout.row + layout.row - (3 if layout.row > 12 else 1.5)
        reach = -math.inf
        for bar in row.bars:
            if not bar.critical:
                continue
            x, end = (
                layout.left + bar.start * scale,
                layout.left + max(bar.end * scale, bar.start * scale + 1),
            )
            ends.append((x, end, y))
            if x - reach < 0.5:
                course[-1] = f"{course[-1].rpartition('H')[0]}H{number(end)}"
            else:
                course.append(f"M{number(x)} {number(y)}H{number(end)}")
            reach = end
    if len(ends) <= _QUEUES:
        ends.sort()
        links = [f"M{number(a[1])} {number(a[2])}L{number(b[0])} {number(b[2])}" for a, b in pairwise(ends)]
    if links:
        yield f'<path class="link" d="{"".join(links)}"/>'
    if course:
        yield f'<path class="path" d="{"".join(course)}"/>'


def _load(bars: Iterable[Bar], layout: Layout, scale: float) -> Iterator[str]:
    """How many bars there are at once, control nodes left aside, as an area above the rows."""
    columns = int(layout.right - layout.left) // 2
    changes = [0.0] * (columns + 2)
    for bar in bars:
        if bar.control:
            continue
        first, last = bar.start * scale / 2, bar.end * scale / 2
        for at, sign in ((first, 1.0), (last, -1.0)):  # each column is given its part of what begins in it
            column, part = min(columns, int(at)), at - int(at)
            changes[column] += sign * (1 - part)
            changes[column + 1] += sign * part
    heights: list[float] = []
    now = 0.0
    for change in changes[: columns + 1]:
        now += change
        heights.append(now)
    most = max(heights, default=0.0)
    if most <= 0:
        return
    high = LOAD - 14
    course = "".join(
        f"L{number(layout.left + 2 * column)} {number(LOAD - height / most * high)}"
        for column, height in enumerate(heights)
    )
    x = number(layout.left)
    yield f'<path class="load" d="M{x} {number(LOAD)}{course}V{number(LOAD)}z"/>'
    yield f'<text class="soft" x="{x}" y="10">up to {most:,.1f} at once</text>'


def number(value: float) -> str:
    """A length as SVG writes it.

    Args:
        value: Pixels.
    """
    return f"{value:.1f}".removesuffix(".0")

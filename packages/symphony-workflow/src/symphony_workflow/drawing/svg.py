"""Workflows as SVG, drawn without any other program.

The picture is one element of plain shapes: no script, no link, nothing that is fetched. Its colours follow whether the
reader's screen is light or dark. Whatever an author wrote is text or an attribute, escaped.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from symphony_workflow.drawing.figure import Box, Figure, figures
from symphony_workflow.drawing.layers import Layers, layers, place
from symphony_workflow.drawing.text import width
from symphony_workflow.model import Workflow

_MARGIN, _TITLE = 28.0, 34.0
_HEIGHT, _GAP, _CHANNEL = 46.0, 26.0, 58.0
_BEND = 10.0
_PORTS = 22.0
"""The most that two lines stand apart where they meet a box."""
_MAX_LABELS = 400
"""With more lines, only conditions are written; the rest shows where a pointer rests on a line."""

_STYLE = """\
.b{fill:#fff}.n{font:600 13px system-ui,sans-serif;fill:#0f172a}.d{font:11px system-ui,sans-serif;fill:#64748b}
.t{font:600 16px system-ui,sans-serif;fill:#0f172a}.w{font:10px system-ui,sans-serif;fill:#64748b;text-anchor:middle;
paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}.w.conditional{fill:#b45309}
.s{fill:#fff;stroke-width:1.5}path.l{fill:none;stroke:#94a3b8;stroke-width:1.5}path.l.conditional{stroke:#d97706;
stroke-dasharray:6 4}path.l.order{stroke-dasharray:2 4}.a{fill:#94a3b8}.a.conditional{fill:#d97706}
.operator{stroke:#2563eb;fill:#eff6ff}.instrument{stroke:#7c3aed;fill:#f5f3ff}.control{stroke:#0d9488;fill:#f0fdfa}
.choice{stroke:#b45309;fill:#fffbeb}.approval{stroke:#be185d;fill:#fdf2f8}.port{stroke:#15803d;fill:#f0fdf4}
.unknown{stroke:#dc2626;fill:#fff;stroke-dasharray:4 3}
@media(prefers-color-scheme:dark){.b{fill:#0f172a}.n,.t{fill:#f1f5f9}.d,.w{fill:#94a3b8}.w{stroke:#0f172a}
.w.conditional{fill:#fbbf24}.operator{fill:#172554}.instrument{fill:#2e1065}.control{fill:#042f2e}.choice{fill:#451a03}
.approval{fill:#500724}.port{fill:#052e16}.unknown{fill:#0f172a}}"""

_CLASSES = {
    "operator": "operator",
    "instrument": "instrument",
    "branch": "choice",
    "switch": "choice",
    "approval": "approval",
    "input": "port",
    "output": "port",
    "unknown": "unknown",
}


def to_svg(workflow: Workflow) -> str:
    """The workflow as a picture; each workflow that it brings along is drawn below it.

    Args:
        workflow: Any workflow, complete or not.
    """
    parts: list[str] = []
    top, right = _MARGIN, 0.0
    for figure in (drawn := figures(workflow)):
        panel = _panel(figure, top)
        parts += panel.parts
        top = panel.bottom + _MARGIN
        right = max(right, panel.right)
    wide, high = _number(right + _MARGIN), _number(top)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" '
        f'role="img" aria-label={quoteattr(drawn[0].title)}>'
    )
    background = f'<rect class="b" width="{wide}" height="{high}"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", background, *parts, "</svg>", ""])


class _Panel(NamedTuple):
    """The drawing of one workflow."""

    parts: list[str]
    right: float
    bottom: float


class _Way(NamedTuple):
    """A line across one channel: where it starts and ends, and whether it goes on beyond."""

    x1: float
    y1: float
    x2: float
    y2: float


def _panel(figure: Figure, top: float) -> _Panel:
    found = layers(figure)
    widths = [_box_width(box) for box in figure.boxes] + [_BEND] * found.bends
    middle = [x + _MARGIN for x in place(found, widths, _GAP)]
    row_of = {cell: number for number, row in enumerate(found.rows) for cell in row}
    below = top + _TITLE
    ys = [below + number * (_HEIGHT + _CHANNEL) for number in range(len(found.rows))]
    parts = [f'<text class="t" x="{_number(_MARGIN)}" y="{_number(top + 14)}">{escape(figure.title)}</text>']
    parts += _lines(
        figure, found, _ways(figure, found, middle, widths, [ys[row_of[c]] for c in range(len(widths))])
    )
    for number, box in enumerate(figure.boxes):
        parts += _box(box, middle[number] - widths[number] / 2, ys[row_of[number]], widths[number])
    right = max((x + wide / 2 for x, wide in zip(middle, widths, strict=True)), default=0.0)
    right = max(right, _MARGIN + 9.0 * width(figure.title))
    return _Panel(parts, right, (ys[-1] + _HEIGHT) if ys else below)


def _box_width(box: Box) -> float:
    return max(96.0, 7.6 * width(box.name) + 28, 6.2 * width(box.detail) + 28)


def _ways(
    figure: Figure, found: Layers, middle: list[float], widths: list[float], tops: list[float]
) -> list[list[_Way]]:
    """The pieces of each line; where several meet a box they stand next to each other, in order."""
    boxes = len(figure.boxes)
    leaving: list[list[tuple[float, int, int]]] = [[] for _ in widths]
    arriving: list[list[tuple[float, int, int]]] = [[] for _ in widths]
    for line, path in enumerate(found.paths):
        for piece, (upper, lower) in enumerate(pairwise(path)):
            leaving[upper].append((middle[lower], line, piece))
            arriving[lower].append((middle[upper], line, piece))
    ends: list[dict[tuple[int, int], float]] = []
    for side in (leaving, arriving):
        at: dict[tuple[int, int], float] = {}
        for cell, some in enumerate(side):
            apart = min(_PORTS, 0.7 * widths[cell] / max(len(some), 1)) if cell < boxes else 0.0
            for slot, (_, line, piece) in enumerate(sorted(some)):
                at[line, piece] = middle[cell] + apart * (slot - (len(some) - 1) / 2)
        ends.append(at)
    starts, stops = ends
    return [
        [
            _Way(starts[line, piece], tops[upper] + _HEIGHT, stops[line, piece], tops[lower])
            for piece, (upper, lower) in enumerate(pairwise(path))
        ]
        for line, path in enumerate(found.paths)
    ]


def _lines(figure: Figure, found: Layers, ways: list[list[_Way]]) -> Iterator[str]:
    labels = []
    channels: dict[float, int] = {}
    for number, (line, pieces) in enumerate(zip(figure.lines, ways, strict=True)):
        first, last = pieces[0], pieces[-1]
        course = [f"M{_number(first.x1)} {_number(first.y1)}"]
        for way in pieces:
            if way is not first:
                course.append(f"V{_number(way.y1)}")
            half = _number((way.y1 + way.y2) / 2)
            course.append(
                f"C{_number(way.x1)} {half} {_number(way.x2)} {half} {_number(way.x2)} {_number(way.y2)}"
            )
        source, target = figure.boxes[line.source].name, figure.boxes[line.target].name
        note = f"{source} → {target}" + (f": {line.label}" if line.label else "")
        css = "order" if line.style == "control" else line.style
        yield f'<g><title>{escape(note)}</title><path class="l {css}" d="{"".join(course)}"/>'
        x, y, away = (first.x1, first.y1, 7) if found.upward[number] else (last.x2, last.y2, -7)
        tip = f"M{_number(x)} {_number(y)}l-4 {away}h8z"
        yield f'<path class="a {css}" d="{tip}"/></g>'
        if line.label and (line.style == "conditional" or len(figure.lines) <= _MAX_LABELS):
            turn = channels[last.y2] = channels.get(last.y2, -1) + 1
            x, y = _point(last, (0.5, 0.34, 0.66)[turn % 3])
            labels.append(
                f'<text class="w {css}" x="{_number(x)}" y="{_number(y + 3)}">{escape(line.label)}</text>'
            )
    yield from labels


def _point(way: _Way, t: float) -> tuple[float, float]:
    """The point of a piece at `t` from 0 to 1, by the polynomial of Bernstein of its curve."""
    half = (way.y1 + way.y2) / 2
    a, b, c, d = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
    return (a + b) * way.x1 + (c + d) * way.x2, a * way.y1 + (b + c) * half + d * way.y2


def _box(box: Box, x: float, y: float, wide: float) -> Iterator[str]:
    middle = _number(x + wide / 2)
    yield f"<g><title>{escape(box.note)}</title>{_shape(box.kind, x, y, wide)}"
    yield f'<text class="n" x="{middle}" y="{_number(y + 20)}" text-anchor="middle">{escape(box.name)}</text>'
    yield f'<text class="d" x="{middle}" y="{_number(y + 35)}" text-anchor="middle">{escape(box.detail)}</text></g>'


def _shape(kind: str, x: float, y: float, wide: float) -> str:
    """The outline of a box, which tells its kind without its colour."""
    css = f'class="s {_CLASSES.get(kind, "control")}"'
    match kind:
        case "branch" | "switch":
            return _polygon(
                css, x, y, [(10, 0), (wide - 10, 0), (wide, 23), (wide - 10, 46), (10, 46), (0, 23)]
            )
        case "join":
            return _polygon(css, x, y, [(0, 0), (wide, 0), (wide - 12, 46), (12, 46)])
        case "approval":
            return _polygon(css, x, y, [(12, 0), (wide - 12, 0), (wide, 46), (0, 46)])
        case "map":
            return "".join(_rect(css, x + by, y + by, wide, 4) for by in (6, 3, 0))
        case "loop" | "subworkflow":
            inner = _rect(css, x + 4, y + 4, wide - 8, 4 if kind == "subworkflow" else 16, _HEIGHT - 8)
            return _rect(css, x, y, wide, 6 if kind == "subworkflow" else 20) + inner
        case _:
            return _rect(css, x, y, wide, {"instrument": 14, "input": 23, "output": 23}.get(kind, 5))


def _rect(css: str, x: float, y: float, wide: float, round: float, high: float = _HEIGHT) -> str:
    size = f'width="{_number(wide)}" height="{_number(high)}" rx="{_number(round)}"'
    return f'<rect {css} x="{_number(x)}" y="{_number(y)}" {size}/>'


def _polygon(css: str, x: float, y: float, corners: list[tuple[float, float]]) -> str:
    points = " ".join(f"{_number(x + dx)},{_number(y + dy)}" for dx, dy in corners)
    return f'<polygon {css} points="{points}"/>'


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

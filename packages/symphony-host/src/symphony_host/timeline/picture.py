"""A timeline as an SVG picture of its own: no script, no link, nothing that is fetched."""

from collections.abc import Iterator
from importlib.resources import files
from xml.sax.saxutils import escape

from symphony_workflow.drawing.text import shorten, width

from symphony_host.timeline.chart import (
    COLORS,
    LETTER,
    MARGIN,
    STATE_CLASS,
    WIDTH,
    Layout,
    layout_of,
    number,
    plot,
)
from symphony_host.timeline.record import Timeline
from symphony_host.timeline.words import description, headline

STYLE = files(__package__).joinpath("chart.css").read_text("utf-8")
"""The colours and sizes of a chart, light and dark."""


def to_svg(timeline: Timeline) -> str:
    """The whole timeline as a picture with its title and what its colours mean.

    Args:
        timeline: What is to be drawn.
    """
    layout = layout_of(timeline)
    title, facts = headline(timeline)
    legend, top = _legend(timeline, layout)
    height = number(top + layout.height + MARGIN)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" role="img" aria-labelledby="t d" '
        f'width="{number(WIDTH)}" height="{height}" viewBox="0 0 {number(WIDTH)} {height}">'
    )
    parts = [
        opening,
        f'<title id="t">{escape(title)}</title><desc id="d">{escape(description(timeline))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{number(WIDTH)}" height="{height}"/>',
        f'<text class="title" x="{number(MARGIN)}" y="32">{escape(title)}</text>',
        f'<text class="soft" x="{number(MARGIN)}" y="52">{escape(facts)}</text>',
        *legend,
        f'<g transform="translate(0 {number(top)})">',
        *plot(timeline, layout),
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _legend(timeline: Timeline, layout: Layout) -> tuple[list[str], float]:
    """The colours and what they mean, in as many lines as they need; and where the chart begins."""
    parts, x, y = [], MARGIN, 76.0
    for css, text in legend_of(timeline, layout):
        wide = 22 + LETTER * 1.1 * width(text) + 16
        if x + wide > WIDTH - MARGIN:
            x, y = MARGIN, y + 20
        if css in ("path", "queue"):
            parts.append(f'<path class="{css}" d="M{number(x)} {number(y - 4)}h14"/>')
        else:
            parts.append(
                f'<rect class="{css}" x="{number(x)}" y="{number(y - 10)}" width="14" height="11" rx="2"/>'
            )
        parts.append(f'<text class="soft" x="{number(x + 20)}" y="{number(y)}">{escape(text)}</text>')
        x += wide
    return parts, y + 22


def legend_of(timeline: Timeline, layout: Layout) -> Iterator[tuple[str, str]]:
    """The classes that are drawn with what they mean.

    Args:
        timeline: What is drawn.
        layout: What knows the colours of the operations.
    """
    colored = {bar.operation for bar in timeline.bars if bar.state not in STATE_CLASS}
    for name, color in layout.colors.items():
        if color < COLORS and name in colored:
            yield f"o{color}", shorten(name, 40)
    others = sum(1 for name in colored if layout.colors[name] == COLORS)
    if others:
        yield f"o{COLORS}", f"{others} other operation{'' if others == 1 else 's'}"
    states = {bar.state for bar in timeline.bars}
    if states & {"failed", "retried"}:
        yield "bad", "failed attempt"
    if "waiting" in states:
        yield "ask", "waits for a person"
    if "reused" in states:
        yield "reused", "reused from another run"
    if "running" in states:
        yield "o7 going", "still runs"
    if timeline.path:
        yield "path", "critical path"
    if any(bar.start - bar.ready > 0.0005 for bar in timeline.bars):
        yield "queue", "had to wait"
    if timeline.pauses:
        yield "pause", "nobody worked on it"

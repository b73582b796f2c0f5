"""A timeline as one HTML page: the picture, tables for those who cannot see it, and a script that zooms.

The page fetches nothing. Its policy lets only its own style and script be used, named by their hashes, so that what a
node says could not run even if it were not escaped, which it is. Without the script the picture is there all the same.
"""

import base64
import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from symphony_workflow.drawing.text import shorten

from symphony_host.cli.text import seconds
from symphony_host.timeline.chart import LOAD, WIDTH, Layout, color_of, layout_of, number, plot
from symphony_host.timeline.picture import STYLE, legend_of
from symphony_host.timeline.record import Bar, Timeline
from symphony_host.timeline.words import STATE_WORDS, description, headline

LONGEST = 20
"""Bars in the table of those that took longest."""
PATH = 100
"""Nodes of the critical path that are listed."""

_TOOLS = (
    '<div class="tools" id="tools" hidden><button type="button" id="in">Zoom in</button>'
    '<button type="button" id="out">Zoom out</button><button type="button" id="all">Whole run</button>'
    '<label>Find <input type="search" id="find" placeholder="node" autocomplete="off"></label>'
    '<span id="said" role="status"></span><span class="hint">Drag to zoom; arrows, + and - work too</span></div>'
)
_PAGE_STYLE = files(__package__).joinpath("page.css").read_text("utf-8")
_SCRIPT = files(__package__).joinpath("page.js").read_text("utf-8")


def to_html(timeline: Timeline) -> str:
    """The whole timeline as a page that stands alone.

    Args:
        timeline: What is to be shown.
    """
    layout = layout_of(timeline)
    title, facts = headline(timeline)
    style = STYLE + _PAGE_STYLE
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(_SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    wide, high = number(WIDTH), number(layout.height)
    chart = (
        f'<svg id="chart" role="img" tabindex="0" aria-labelledby="d" viewBox="0 0 {wide} {high}" '
        f'width="{wide}" height="{high}"><desc id="d">{escape(description(timeline))}</desc><g id="plot">'
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(title)}</title><style>{style}</style></head>",
            f'<body class="timeline"><header><h1>{escape(title)}</h1><p>{escape(facts)}</p></header>',
            "<main>",
            f'<ul class="legend" aria-label="Legend">{"".join(_legend(timeline, layout))}</ul>',
            _TOOLS,
            chart,
            *plot(timeline, layout),
            "</g></svg>",
            *_table(
                f"The {LONGEST} that took longest",
                heapq.nlargest(LONGEST, timeline.bars, key=lambda bar: bar.seconds),
            ),
            *_table(*_critical(timeline)),
            "</main>",
            f'<script type="application/json" id="data">{_data(timeline, layout)}</script>',
            f"<script>{_SCRIPT}</script></body></html>",
            "",
        ]
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _legend(timeline: Timeline, layout: Layout) -> Iterator[str]:
    for css, text in legend_of(timeline, layout):
        shape = (
            f'<path class="{css}" d="M0 6h14"/>'
            if css in ("path", "queue")
            else f'<rect class="{css}" x="1" y="1" width="12" height="10" rx="2"/>'
        )
        yield f'<li><svg width="14" height="12" aria-hidden="true">{shape}</svg>{escape(text)}</li>'


def _critical(timeline: Timeline) -> tuple[str, list[Bar]]:
    bars = [bar for bar in timeline.bars if bar.critical]
    shown = f", the first {PATH:,} of {len(bars):,} bars" if len(bars) > PATH else ""
    spent = seconds(sum(bar.seconds for bar in bars))
    return f"The critical path: {spent} of {seconds(timeline.seconds)}{shown}", bars[:PATH]


def _table(caption: str, bars: Iterable[Bar]) -> Iterator[str]:
    yield (
        f"<table><caption>{escape(caption)}</caption><thead><tr>"
        + "".join(
            f'<th scope="col">{name}</th>'
            for name in (
                "Node",
                "Operation",
                "Took",
                "Began at",
                "Waited",
                "Attempt",
                "Where",
                "How it ended",
            )
        )
        + "</tr></thead><tbody>"
    )
    for bar in bars:
        item = f"[{bar.item}]" if bar.item >= 0 else ""
        ended = STATE_WORDS[bar.state] or "completed"
        note = f": {shorten(bar.note, 200)}" if bar.note else ""
        cells = (
            bar.operation,
            seconds(bar.seconds),
            f"{bar.start:.3f} s",
            seconds(bar.start - bar.ready),
            str(bar.attempt or ""),
            bar.place,
            f"{ended}{note}",
        )
        yield (
            f'<tr><th scope="row">{escape(shorten(bar.node + item, 120))}</th>'
            + "".join(f"<td>{escape(shorten(cell, 260))}</td>" for cell in cells)
            + "</tr>"
        )
    yield "</tbody></table>"


def _data(timeline: Timeline, layout: Layout) -> str:
    """What the script draws from, as JSON that cannot end the element that it stands in."""
    document = {
        "seconds": timeline.seconds,
        "left": layout.left,
        "right": layout.right,
        "row": layout.row,
        "load": LOAD,
        "height": layout.height,
        "small": layout.small,
        "pauses": [(round(pause.start, 4), round(pause.end, 4), pause.reason) for pause in timeline.pauses],
        "rows": [
            {"name": row.name, "bars": [_numbers(bar, layout) for bar in row.bars]} for row in layout.rows
        ],
    }
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _numbers(bar: Bar, layout: Layout) -> list[object]:
    name = bar.node if bar.item < 0 else f"{bar.node}[{bar.item}]"
    told = [
        bar.operation,
        STATE_WORDS[bar.state],
        f"on {bar.place}" if bar.place else "",
        shorten(bar.note, 200),
    ]
    return [
        round(bar.start, 5),
        round(bar.seconds, 5),
        color_of(bar, layout),
        name,
        " · ".join(filter(None, told)),
        bar.attempt,
        round(bar.start - bar.ready, 4),
        int(bar.critical),
        int(bar.control),
    ]

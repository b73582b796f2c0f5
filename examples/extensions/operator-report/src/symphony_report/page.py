"""Draws the figures of a report as one HTML page that needs nothing else: no script, no font, no network."""

from collections.abc import Callable, Sequence
from html import escape
from math import cos, pi, sin

from symphony_report.figures import Share, Summary

_PALETTE = ("#4f7cff", "#22b8a0", "#f2a93b", "#e0637c", "#8d6bf0", "#57a6d9", "#9bb83a", "#c77dd6", "#8792a6")

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2230; --soft: #667085; --line: #e4e7ee; --card: #fff; --page: #f6f7fb }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --soft: #98a2b5; --line: #2b3242; --card: #191e2a; --page: #10141d } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1120px; padding: 40px 24px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 30px; letter-spacing: -.02em; margin: 0 }
h2 { font-size: 16px; margin: 0 0 14px }
header p { color: var(--soft); margin: 4px 0 26px }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px }
.card, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px }
.card b { display: block; font-size: 25px; letter-spacing: -.02em; font-variant-numeric: tabular-nums }
.card span { color: var(--soft); font-size: 13px }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 14px; margin-top: 14px }
section { margin-top: 14px; overflow-x: auto } .two section { margin-top: 0 }
table { border-collapse: collapse; width: 100%; font-size: 14px }
th { text-align: left; color: var(--soft); font-weight: 500 }
td, th { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line) }
tr:last-child td { border-bottom: 0 }
.n { text-align: right; font-variant-numeric: tabular-nums }
code { font-family: ui-monospace, monospace; font-size: 13px; overflow-wrap: anywhere }
text { fill: var(--ink); font: 13px system-ui, sans-serif } .soft { fill: var(--soft) } .track { fill: var(--line) }
ul { margin: 0; padding-left: 18px } footer { color: var(--soft); font-size: 13px; margin-top: 26px }
"""


def render_page(title: str, summary: Summary) -> str:
    """The page, as a whole HTML document.

    Args:
        title: Heading of the page.
        summary: The figures.
    """
    cards = "".join(
        f'<div class="card"><b>{value}</b><span>{label}</span></div>'
        for value, label in (
            (f"{summary.files:,}", "files"),
            (_bytes(summary.size), "on disk"),
            (f"{summary.code:,}", "lines of code"),
            (f"{summary.comment:,}", "lines of comment"),
            (f"{summary.functions:,}", "functions"),
            (f"{summary.complexity:.2f}", "mean complexity of a Python function"),
        )
    )
    languages = [share for share in summary.languages if share.lines]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{escape(title)}</h1>
<p>Every file classified by its content, every source file measured.</p></header>
<div class="cards">{cards}</div>
<div class="two">
<section><h2>Lines by language</h2>{bars(languages, lambda share: share.lines)}</section>
<section><h2>Files by kind of content</h2>{ring(summary.groups, lambda share: share.files)}</section>
<section><h2>Code by folder</h2>{bars([share for share in summary.folders if share.code], lambda share: share.code)}</section>
<section><h2>Lines</h2>{_line_kinds(summary)}</section>
</div>
<section><h2>Most complex functions</h2>{_hotspots(summary)}</section>
<section><h2>Largest source files</h2>{_largest(summary)}</section>
{_notes(summary)}
<footer>Drawn by a Symphony workflow.</footer>
</body>
</html>
"""


def bars(shares: Sequence[Share], weight: Callable[[Share], int], *, most: int = 10) -> str:
    """A bar chart as SVG; what does not fit is added up in its last bar.

    Args:
        shares: What to draw, the heaviest first.
        weight: Length of a bar.
        most: At most so many bars.
    """
    rows = [(share.name, weight(share)) for share in shares[:most]]
    if rest := sum(weight(share) for share in shares[most:]):
        rows.append((f"{len(shares) - most} others", rest))
    if not rows:
        return "<p>Nothing to show.</p>"
    longest = max(value for _, value in rows) or 1
    parts = []
    for index, (name, value) in enumerate(rows):
        y = index * 28
        width = max(2.0, 250 * value / longest)
        color = _PALETTE[index % len(_PALETTE)]
        parts.append(
            f'<text x="0" y="{y + 16}">{escape(_short(name))}</text>'
            f'<rect class="track" x="130" y="{y + 5}" width="250" height="14" rx="4"/>'
            f'<rect fill="{color}" x="130" y="{y + 5}" width="{width:.1f}" height="14" rx="4"/>'
            f'<text class="soft" x="390" y="{y + 16}">{value:,}</text>'
        )
    return _svg(460, 28 * len(rows), "".join(parts))


def ring(shares: Sequence[Share], weight: Callable[[Share], int], *, most: int = 8) -> str:
    """A ring chart with its legend as SVG; what does not fit is added up in its last part.

    Args:
        shares: What to draw, the heaviest first.
        weight: Size of a part.
        most: At most so many parts.
    """
    rows = [(share.name, weight(share)) for share in shares[:most]]
    if rest := sum(weight(share) for share in shares[most:]):
        rows.append((f"{len(shares) - most} others", rest))
    total = sum(value for _, value in rows)
    if not total:
        return "<p>Nothing to show.</p>"
    parts = []
    angle = -pi / 2
    for index, (name, value) in enumerate(rows):
        color = _PALETTE[index % len(_PALETTE)]
        parts.append(_arc(angle, angle + 2 * pi * value / total, color))
        angle += 2 * pi * value / total
        y = 20 + index * 24
        parts.append(
            f'<rect fill="{color}" x="230" y="{y - 10}" width="12" height="12" rx="3"/>'
            f'<text x="250" y="{y}">{escape(_short(name))}</text>'
            f'<text class="soft" x="350" y="{y}">{value:,} ({100 * value / total:.0f} %)</text>'
        )
    return _svg(460, max(200, 24 * len(rows) + 10), "".join(parts))


def _arc(start: float, end: float, color: str) -> str:
    if end - start > 2 * pi - 1e-6:  # an arc cannot begin where it ends
        return f'<circle cx="100" cy="100" r="72" fill="none" stroke="{color}" stroke-width="36"/>'
    large = 1 if end - start > pi else 0
    x0, y0, x1, y1 = 72 * cos(start), 72 * sin(start), 72 * cos(end), 72 * sin(end)
    path = f"M {100 + x0:.2f} {100 + y0:.2f} A 72 72 0 {large} 1 {100 + x1:.2f} {100 + y1:.2f}"
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="36"/>'


def _line_kinds(summary: Summary) -> str:
    kinds = (("code", summary.code), ("comment", summary.comment), ("blank", summary.blank))
    return ring([Share(name, 0, 0, value, value) for name, value in kinds], lambda share: share.lines)


def _hotspots(summary: Summary) -> str:
    if not summary.hotspots:
        return "<p>No Python functions.</p>"
    rows = "".join(
        f"<tr><td><code>{escape(spot.name)}</code></td><td><code>{escape(spot.file)}:{spot.line}</code></td>"
        f'<td class="n">{spot.lines:,}</td><td class="n">{spot.complexity:,}</td></tr>'
        for spot in summary.hotspots
    )
    return (
        '<table><tr><th>function</th><th>place</th><th class="n">lines</th><th class="n">complexity</th></tr>'
        f"{rows}</table>"
    )


def _largest(summary: Summary) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(file.relative)}</code></td><td>{escape(file.label)}</td>"
        f'<td class="n">{file.code:,}</td><td class="n">{file.functions:,}</td></tr>'
        for file in summary.largest
        if file.code
    )
    if not rows:
        return "<p>No source files.</p>"
    return f'<table><tr><th>file</th><th>is</th><th class="n">code</th><th class="n">functions</th></tr>{rows}</table>'


def _notes(summary: Summary) -> str:
    if not summary.notes:
        return ""
    rows = "".join(f"<li>{escape(note)}</li>" for note in summary.notes[:100])
    more = f"<p>... and {len(summary.notes) - 100:,} more</p>" if len(summary.notes) > 100 else ""
    return f"<section><h2>Not measured whole</h2><ul>{rows}</ul>{more}</section>"


def _svg(width: int, height: int, content: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="100%" role="img">{content}</svg>'


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"


def _bytes(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} TiB"

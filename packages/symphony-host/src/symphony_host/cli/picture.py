"""A run as lines of text that fit a terminal: how far it is, what failed, who is asked, the levels, what is at work.

A picture costs what its lines cost, not what the run's nodes would: it never looks at all of them.
"""

import heapq
import textwrap
from collections.abc import Iterator, Sequence
from itertools import islice

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text
from symphony_sdk.ports.pit import NodeState

from symphony_host.cli.displays import FEW, short
from symphony_host.cli.run_view import NodeView, RunView
from symphony_host.cli.signs import Signs
from symphony_host.cli.text import clean, counted, seconds

STYLES: dict[NodeState, str] = {
    "completed": "green",
    "failed": "bold red",
    "running": "cyan",
    "retrying": "yellow",
    "waiting": "bold yellow",
    "skipped": "dim",
    "cancelled": "dim",
}
_TOLD: tuple[NodeState, ...] = (
    "failed",
    "waiting",
    "running",
    "retrying",
    "completed",
    "skipped",
    "cancelled",
)
_SPINS = 10
"""Pictures of the spinner a second."""
_WIDEST = 160
"""Wider lines would be harder to read, not easier."""
_BAR, _LEAST_BAR = 24, 6
_LEAST_REMARK = 12


def picture(view: RunView, now: float, width: int, height: int, signs: Signs) -> list[Text]:
    """The run as it is, in at most `height` lines of at most `width` columns.

    Args:
        view: Where the run is.
        now: Unix time in seconds.
        width: Columns.
        height: Lines; at least 1.
        signs: What is drawn with.
    """
    return _Picture(view, now, min(width, _WIDEST), signs).lines(height)


class _Picture:
    """One picture of a run."""

    def __init__(self, view: RunView, now: float, width: int, signs: Signs) -> None:
        self._view, self._now, self._width, self._signs = view, now, width, signs
        self._turn = signs.spinner[int(now * _SPINS) % len(signs.spinner)]

    def lines(self, height: int) -> list[Text]:
        view = self._view
        asked = self._asked(max(2, height // 3))
        if len(view.nodes) <= min(FEW, height - len(asked)):
            return [*self._rows(list(view.nodes.values())), *asked][:height]
        head = list(islice(self._head(), 3 if height >= 10 else 1))
        asked = asked if len(head) + len(asked) < height else []
        room = height - len(head) - len(asked)
        failed = self._most(
            view.failed, max(2, room // 4), "failed", f"symphony runs show {view.run} --failed"
        )
        room -= len(failed)
        levels = self._levels(max(room // 3, room - len(view.active) - 1))
        room -= len(levels)
        return [*head, *failed, *asked, *levels, *self._most(view.active, room, "at work")][:height]

    # -- the whole run --------------------------------------------------------------------------------

    def _head(self) -> Iterator[Text]:
        view = self._view
        done, total = view.finished, len(view.nodes)
        facts = [f"{done:,} of {total:,}", f"{100 * done // max(1, total)} %"]
        if view.started:
            facts.append(seconds(max(0.0, self._now - view.started)))
        left = view.left(self._now)
        if left is not None and done < total:
            facts.append(f"about {seconds(left)} left")
        while len(facts) > 1 and sum(map(len, facts)) + 2 * len(facts) > self._width - 2:
            facts.pop()
        told = "  ".join(facts)
        bar = min(40, self._width - len(told) - 4)
        yield self._line(
            (f"{self._turn} ", "cyan"),
            *(self._bar(done / max(1, total), bar) if bar >= _LEAST_BAR else ()),
            ("  " if bar >= _LEAST_BAR else "", ""),
            (told, "bold"),
        )
        counts = [(f"{view.counts[state]:,} {state}", STYLES[state]) for state in _TOLD if view.counts[state]]
        to_come = total - sum(view.counts[state] for state in _TOLD)
        yield self._facts([*counts, *([(f"{to_come:,} to come", "dim")] if to_come else [])])
        late, mean = view.pace(self._now)
        told_facts = [f"{_rate(late)} nodes/s now", f"{_rate(mean)} in all"] if mean else []
        told_facts += [f"{view.retries:,} retried"] if view.retries else []
        told_facts += [f"{view.reused:,} reused"] if view.reused else []
        if len(view.places) > 1:
            most = ", ".join(f"{clean(place)} {count:,}" for place, count in view.places.most_common(3))
            told_facts.append(f"{len(view.places):,} places: {most}")
        if told_facts:
            yield self._facts([(fact, "dim") for fact in told_facts])

    def _facts(self, facts: list[tuple[str, str]]) -> Text:
        """As many of the facts as there is room for."""
        parts: list[tuple[str, str]] = []
        room = self._width - 2
        for text, style in facts:
            room -= len(self._signs.dot) * bool(parts) + cell_len(text)
            if room < 0:
                break
            if parts:
                parts.append((self._signs.dot, "dim"))
            parts.append((text, style))
        return self._line(("  ", ""), *parts)

    # -- levels ---------------------------------------------------------------------------------------

    def _levels(self, room: int) -> list[Text]:
        """The levels under way, and one line for those before and one for those after."""
        view = self._view
        if len(view.levels) < 2 or room < 1 or not view.busy:
            return []
        shown = heapq.nsmallest(max(1, room - 3), view.busy)
        rows = [self._level(number) for number in shown]
        done, under_way, to_come = (view.stages[stage] for stage in ("done", "under way", "to come"))
        room -= len(rows)
        if done[0] and room > 0:
            rows.insert(0, self._folded(done, "done"))
        if under_way[0] > len(shown) and room > 1:
            hidden = under_way[0] - len(shown)
            rows.append(self._line((f"  {counted(hidden, 'more level')} under way", "dim")))
        if to_come[0] and room > 2:
            rows.append(self._folded(to_come, "to come"))
        return rows

    def _level(self, number: int) -> Text:
        level = self._view.levels[number]
        name, told = f"  level {number:,}", f"{level.over:,} of {level.total:,}"
        facts = [(told, "")]
        facts += [(f", {level.failed:,} failed", "red")] if level.failed else []
        facts += [(f", {level.running:,} at work", "dim")] if level.running else []
        facts += [(f", {level.waiting:,} waiting", "yellow")] if level.waiting else []
        room = self._width - max(12, len(name)) - 4
        while len(facts) > 1 and sum(len(text) for text, _ in facts) + _LEAST_BAR > room:
            facts.pop()
        bar = min(_BAR, room - sum(len(text) for text, _ in facts))
        drawn = self._bar(level.over / max(1, level.total), bar) if bar >= _LEAST_BAR else ()
        return self._line((f"{name.ljust(12)}  ", ""), *drawn, ("  " if drawn else "", ""), *facts)

    def _folded(self, levels: list[int], what: str) -> Text:
        return self._line((f"  {counted(levels[0], 'level')} {what}, {counted(levels[1], 'node')}", "dim"))

    # -- nodes ----------------------------------------------------------------------------------------

    def _most(self, nodes: dict[str, NodeView], room: int, what: str, more: str = "") -> list[Text]:
        """Rows of as many nodes as there is room for, and a line for the others."""
        if room < 1:
            return []
        if len(nodes) <= room:
            return self._rows(list(nodes.values()))
        rows = self._rows(list(islice(nodes.values(), room - 1)))
        rest = f"  and {len(nodes) - len(rows):,} more {what}"
        told = f"{rest}: {more}" if more and len(rest) + len(more) + 2 <= self._width else rest
        return [*rows, self._line((told, "dim"))]

    def _rows(self, nodes: list[NodeView]) -> list[Text]:
        """A row for each node: its sign, its name, how far it is, for how long, and a remark."""
        if not nodes:
            return []
        names = [clean(node.id) for node in nodes]
        wide = min(max(map(cell_len, names)), 32, max(8, self._width // 3))
        states = max(len(node.state) for node in nodes) if self._width >= 60 else 0
        bars = [self._known(node) for node in nodes]
        bar = min(_BAR, self._width // 5) if self._width >= 72 and any(bars) else 0
        items = [f"{node.done:,}/{node.total:,}" if node.total > 1 else "" for node in nodes]
        counts = max(map(len, items)) if self._width >= 60 else 0
        times = [self._spent(node) for node in nodes]
        clock = max(map(len, times))
        rows = []
        for node, name, known, item, spent in zip(nodes, names, bars, items, times, strict=True):
            style = STYLES.get(node.state, "dim")
            sign = self._turn if node.state == "running" else self._signs.states.get(node.state, " ")
            row: list[tuple[str, str]] = [(f"{sign} ", style), (self._fit(name, wide), "")]
            if states:
                row.append((f" {node.state.ljust(states)}", style))
            if bar:
                row += [(" ", ""), *(self._bar(node.share, bar) if known else [(" " * bar, "")])]
            if counts:
                row.append((f" {item.rjust(counts)}", ""))
            if clock:
                row.append((f" {spent.rjust(clock)}", "dim"))
            room = self._width - sum(cell_len(text) for text, _ in row) - 2
            remark, style = self._remark(node)
            if remark and room >= _LEAST_REMARK:
                row.append((f"  {self._fit(remark, room).rstrip()}", style))
            rows.append(self._line(*row))
        return rows

    def _known(self, node: NodeView) -> bool:
        return node.state == "completed" or node.total > 1 or node.fraction > 0

    def _spent(self, node: NodeView) -> str:
        under_way = node.started and node.state in ("running", "retrying", "waiting")
        spent = self._now - node.started if under_way else node.seconds
        return seconds(spent) if spent > 0 else ""

    def _remark(self, node: NodeView) -> tuple[str, str]:
        again = f"attempt {node.attempt} " if node.attempt > 1 else ""
        if node.error is not None:
            return again + clean(short(node.error)), "red"
        told = node.text if node.state in ("running", "waiting", "skipped") else ""
        return again + clean(told), "dim"

    def _asked(self, room: int) -> list[Text]:
        """The questions that people are asked, each above the whole command that answers it."""
        rows: list[Text] = []
        for node in self._view.waiting.values():
            who = ", ".join(map(clean, node.approvers)) or "anybody"
            question = f"{self._signs.states['waiting']} {node.id} asks {who}: {clean(node.text)}"
            command = f"symphony runs approve {self._view.run} {node.id}"
            wrapped = textwrap.wrap(command, max(10, self._width - 2), break_on_hyphens=False)
            if len(rows) + 1 + len(wrapped) > room:
                break
            rows.append(self._line((question, "bold yellow")))
            rows += [self._line((f"  {part}", "yellow")) for part in wrapped]
        return rows

    # -- text -----------------------------------------------------------------------------------------

    def _bar(self, share: float, width: int) -> list[tuple[str, str]]:
        full = round(width * min(1.0, share))
        return [
            (self._signs.full * full, "green" if share >= 1 else "cyan"),
            (self._signs.empty * (width - full), "dim"),
        ]

    def _fit(self, text: str, width: int) -> str:
        """`text` in exactly so many columns."""
        text = _plain(text) if self._signs.ascii else text
        if cell_len(text) <= width:
            return set_cell_size(text, width)
        return set_cell_size(text, max(0, width - len(self._signs.cut))) + self._signs.cut[:width]

    def _line(self, *parts: tuple[str, str]) -> Text:
        """A line of the parts, cut to the width."""
        line, room = Text(no_wrap=True, end=""), self._width
        for text, style in parts:
            text = _plain(text) if self._signs.ascii else text
            wide = cell_len(text)
            line.append(text if wide <= room else self._fit(text, room), style)
            room -= min(wide, room)
        return line


def _plain(text: str) -> str:
    return text if text.isascii() else text.encode("ascii", "replace").decode()


def _rate(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 else f"{amount:.1f}"


class Lines:
    """Lines below each other, each as wide as it is: rich need not look for places to break them.

    Args:
        lines: The lines.
    """

    def __init__(self, lines: Sequence[Text]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, line in enumerate(self._lines, start=1):
            yield from line.render(console, end="\n" if number < len(self._lines) else "")

"""The live picture of a run on a terminal; the only module that imports rich."""

import shutil
import time
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from symphony_sdk.events import RunEvent
from symphony_sdk.ports.pit import NodeState

from symphony_host.cli.displays import FEW
from symphony_host.cli.run_view import NodeView, RunView
from symphony_host.cli.text import clean, seconds

_STYLES: dict[NodeState, str] = {
    "completed": "green",
    "failed": "bold red",
    "running": "cyan",
    "retrying": "yellow",
    "waiting": "bold yellow",
    "skipped": "dim",
    "cancelled": "dim",
}
_SIGNS: dict[NodeState, str] = {
    "completed": "✓",
    "failed": "✗",
    "skipped": "-",
    "cancelled": "-",
    "retrying": "↻",
    "waiting": "?",
    "paused": "‖",
}


class LivePicture:
    """Draws a row for each node; beyond a screenful, counts and the nodes that are at work.

    Args:
        view: Where the run is.
        console: Where to draw; standard output unless given.
    """

    def __init__(self, view: RunView, console: Console | None = None) -> None:
        self._view = view
        self._console = console or Console()
        self._spinner = Spinner("dots")
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def see(self, event: RunEvent) -> None:
        """Take note of an event; the next refresh shows it."""
        self._view.see(event)

    def refresh(self) -> None:
        """Draw."""
        self._live.update(self.picture(time.time()), refresh=True)

    def notice(self, text: str) -> None:
        """Print a line above the picture."""
        self._console.print(Text(text, style="yellow"))

    def picture(self, now: float) -> RenderableType:
        """The run as it is.

        Args:
            now: Unix time in seconds.
        """
        view = self._view
        if len(view.nodes) <= FEW:
            return self._rows(list(view.nodes.values()), now)
        room = max(3, min(FEW, shutil.get_terminal_size().lines - 4))
        rows = list(view.active.values())[:room]
        head = Table.grid(padding=(0, 1))
        head.add_row(
            self._spinner.render(now),
            ProgressBar(total=len(view.nodes), completed=view.finished, width=40),
            Text(self._totals()),
            Text(seconds(max(0.0, now - view.started)) if view.started else "", style="dim"),
        )
        hidden = len(view.active) - len(rows)
        rest = [Text(f"  and {hidden:,} more at work", style="dim")] if hidden > 0 else []
        return Group(head, self._rows(rows, now), *rest)

    def _totals(self) -> str:
        counts = self._view.counts
        parts = [f"{counts['completed']:,} of {len(self._view.nodes):,}"]
        parts += [
            f"{counts[state]:,} {state}"
            for state in ("running", "retrying", "waiting", "failed", "skipped")
            if counts[state]
        ]
        return ", ".join(parts)

    def _rows(self, nodes: list[NodeView], now: float) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(no_wrap=True, max_width=32, overflow="ellipsis")
        table.add_column(no_wrap=True)
        table.add_column(width=24)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for node in nodes:
            style = _STYLES.get(node.state, "dim")
            sign: RenderableType = Text(_SIGNS.get(node.state, " "), style=style)
            if node.state == "running":
                sign = self._spinner.render(now)
            items = f"{node.done:,}/{node.total:,}" if node.total > 1 else ""
            spent = node.seconds or (now - node.started if node.started else 0.0)
            known = node.state == "completed" or node.total > 1 or node.fraction > 0
            table.add_row(
                sign,
                Text(clean(node.id)),
                Text(node.state, style=style),
                ProgressBar(total=1.0, completed=node.share, width=24) if known else Text(""),
                Text(items),
                Text(seconds(max(0.0, spent)) if spent else "", style="dim"),
                Text(clean(self._remark(node)), style="red" if node.error else "dim"),
            )
        return table

    def _remark(self, node: NodeView) -> str:
        if node.error is not None:
            return node.error.message
        return node.text if node.state in ("running", "waiting", "skipped") else ""

"""Draws the live picture of a run on a terminal; with `picture` the only module that imports rich."""

import time
from typing import Self

from rich.console import Console
from rich.control import Control
from rich.live import Live
from rich.text import Text
from symphony_sdk.events import RunEvent
from symphony_sdk.ports.pit import Progress

from symphony_host.cli.picture import Lines, picture
from symphony_host.cli.run_view import RunView
from symphony_host.cli.signs import signs_for

_SHARE = 20
"""Drawing takes at most one part in so many of the time."""


class LivePicture:
    """Draws a run as it goes on: each node of a small one; of a large one what stands out, and the levels.

    Args:
        view: Where the run is.
        console: Where to draw; standard output unless given.
    """

    estimated = True

    def __init__(self, view: RunView, console: Console | None = None) -> None:
        self._view = view
        self._console = console or Console()
        self._signs = signs_for(self._console.encoding)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._size = self._console.size
        self._next = 0.0

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def see(self, event: RunEvent) -> None:
        """Take note of an event; the next refresh shows it."""
        self._view.see(event)

    def estimate(self, progress: Progress) -> None:
        """Take note of how long the run may still take."""
        self._view.estimate(progress, time.time())

    def refresh(self) -> None:
        """Draw, unless drawing has just taken long."""
        begun = time.monotonic()
        if begun < self._next:
            return
        if self._console.size != self._size:  # nobody knows how the terminal has wrapped the last picture
            self._size = self._console.size
            self._console.control(Control.home(), Control.clear())
        lines = picture(self._view, time.time(), self._size.width, max(1, self._size.height - 1), self._signs)
        self._live.update(Lines(lines), refresh=True)
        ended = time.monotonic()
        self._next = ended + _SHARE * (ended - begun)

    def notice(self, text: str) -> None:
        """Print a line above the picture."""
        self._console.print(Text(text, style="yellow"))

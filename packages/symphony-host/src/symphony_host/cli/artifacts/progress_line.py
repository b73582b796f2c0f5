"""One line of a terminal that tells how far something large is."""

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import click

from symphony_host.cli.text import clean, size

LARGE: Final = 64 << 20
"""Bytes from which on it is worth a line."""

EVERY: Final = 0.1
"""Seconds between two pictures of it."""

_LABEL = 40


class ProgressLine:
    """Tells on standard error how much is done; nothing unless that is a terminal and it is much.

    Args:
        label: What is done, such as the name of a file.
        large: How much is worth a line; bytes unless `words` says else.
        words: Says how much that is.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        label: str,
        *,
        large: int = LARGE,
        words: Callable[[int], str] = size,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        label = clean(label)
        self._label = label if len(label) <= _LABEL else f"{label[: _LABEL - 2]}.."
        self._large = large
        self._words = words
        self._clock = clock
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = float("-inf")
        self._drawn = False

    def __enter__(self) -> Self:
        """Begin; draws nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away."""
        if self._drawn:
            click.echo("\r\x1b[K", err=True, nl=False)

    def __call__(self, done: int, total: int) -> None:
        """Tell how far it is; an `OnArtifactProgress`.

        Args:
            done: How much is done.
            total: Of how much; 0 where that is not known.
        """
        if not self._terminal or max(done, total) < self._large:
            return
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY
        self._drawn = True
        share = (
            f"{100 * done // total:3} %, {self._words(done)} of {self._words(total)}"
            if total
            else self._words(done)
        )
        click.echo(f"\r\x1b[K{self._label}: {share}", err=True, nl=False)

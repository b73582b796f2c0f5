"""The ways to follow a run: nothing, one JSON event a line, plain lines, or a live picture of a terminal."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import click
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunEvent,
)
from symphony_sdk.ports import RunStatus
from symphony_sdk.ports.pit import NodeState, Progress

from symphony_host.cli.run_view import RunView
from symphony_host.cli.shell import Shell
from symphony_host.cli.text import clean, seconds
from symphony_host.run_shape import RunShape

if TYPE_CHECKING:
    from symphony_core import SymphonyCore

FEW = 20
"""Up to so many nodes a display shows each; beyond, it shows counts and what stands out."""

SILENT = 30.0
"""Seconds after which plain lines say where a large run is, though little happens."""

_TOLD: tuple[NodeState, ...] = ("running", "retrying", "waiting", "failed", "skipped")


class Display(Protocol):
    """Shows a run while it goes on."""

    estimated: bool
    """Whether it shows how long the run may still take."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def see(self, event: RunEvent) -> None:
        """Show an event."""

    def estimate(self, progress: Progress) -> None:
        """Take note of how far the run is and how long it may still take; called now and then."""

    def refresh(self) -> None:
        """Bring the picture up to date; called some times a second."""

    def notice(self, text: str) -> None:
        """Tell the user something."""


async def display_for(shell: Shell, core: "SymphonyCore", status: RunStatus, *, quiet: bool) -> Display:
    """The display that fits what was asked and where the output goes.

    Args:
        shell: What was asked of this call.
        core: Where the run is.
        status: Where the run is when the events begin.
        quiet: Whether to show nothing.
    """
    if shell.json:
        return JsonLines(shell)
    if quiet:
        return Silence()
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return PlainLines(RunView(status.nodes, run=status.run))
    from symphony_host.cli.live import LivePicture

    shape = None
    if len(status.nodes) > FEW:
        request = await core.request(status.run)
        shape = await asyncio.to_thread(RunShape.of_document, request.workflow)
    return LivePicture(RunView(status.nodes, shape, status.run))


class Silence:
    """Shows nothing but notices, and those on stderr."""

    estimated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def see(self, event: RunEvent) -> None:
        """Show nothing."""

    def estimate(self, progress: Progress) -> None:
        """Show nothing."""

    def refresh(self) -> None:
        """Show nothing."""

    def notice(self, text: str) -> None:
        """Tell the user something."""
        click.echo(text, err=True)


class JsonLines(Silence):
    """Prints each event as a line of JSON, at once.

    Args:
        shell: What prints it.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def see(self, event: RunEvent) -> None:
        """Print the event."""
        self._shell.print_json(event)


class PlainLines(Silence):
    """Prints a line for what matters: for logs and pipes.

    Each node of a small run is told. Of a large one: failures and questions at once, and where it is whenever a
    twentieth more is done or half a minute has passed.

    Args:
        view: Where the run is.
        clock: The time in seconds, as it passes.
    """

    estimated = True

    def __init__(self, view: RunView, clock: Callable[[], float] = time.time) -> None:
        self._view = view
        self._clock = clock
        self._few = len(view.nodes) <= FEW
        self._width = max((len(id) for id in view.nodes), default=0) if self._few else 0
        self._shown: dict[str, int] = {}
        self._told = 0.0

    def see(self, event: RunEvent) -> None:
        """Print a line if the event is worth one."""
        self._view.see(event)
        if not self._few:
            self._twentieth()
        match event:
            case NodeStarted() if self._few:
                items = f" {event.items:,} items" if event.items else ""
                again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
                self._say(event.node, f"started{items}{again}")
            case ItemCompleted() if self._few:
                node = self._view.nodes[event.node]
                self._tenth(event.node, node.done, node.total)
            case NodeCompleted() if self._few:
                self._say(event.node, f"completed in {seconds(event.seconds)}")
            case NodeReused() if self._few:
                self._say(event.node, f"reused from {event.origin}")
            case NodeWaiting():
                self._say(
                    event.node, f"waits: {event.prompt} (symphony runs approve {event.run} {event.node})"
                )
            case NodeSkipped() if self._few:
                self._say(event.node, f"skipped: {event.reason}")
            case NodeRetrying() if self._few:
                self._say(
                    event.node,
                    f"attempt {event.attempt} failed, next in {seconds(event.delay)}: {short(event.error)}",
                )
            case NodeFailed():
                item = f"item {event.item} " if event.item >= 0 else ""
                self._say(event.node, f"{item}failed: {short(event.error)}")
            case _:
                pass

    def estimate(self, progress: Progress) -> None:
        """Take note of how long the run may still take."""
        self._view.estimate(progress, self._clock())

    def refresh(self) -> None:
        """Say where a large run is, if nothing has been said of that for long."""
        now = self._clock()
        self._told = self._told or now
        if not self._few and now - self._told >= SILENT:
            self._say_where()

    def _tenth(self, name: str, done: int, total: int) -> None:
        tenth = done * 10 // total if total else 0
        if 0 < tenth < 10 and tenth > self._shown.get(name, 0):
            self._shown[name] = tenth
            self._say(name, f"{done:,} of {total:,}")

    def _twentieth(self) -> None:
        done, total = self._view.finished, len(self._view.nodes)
        twentieth = done * 20 // total if total else 0
        if done < total and twentieth > self._shown.get("", 0):
            self._shown[""] = twentieth
            self._say_where()

    def _say_where(self) -> None:
        view, now = self._view, self._clock()
        self._told = now
        done, total = view.finished, len(view.nodes)
        facts = [f"{done:,} of {total:,} nodes ({100 * done // max(1, total)} %)"]
        facts += [f"{view.counts[state]:,} {state}" for state in _TOLD if view.counts[state]]
        facts += [f"{view.retries:,} retried"] if view.retries else []
        facts += [f"{view.reused:,} reused"] if view.reused else []
        left = view.left(now)
        facts += [f"about {seconds(left)} left"] if left is not None else []
        click.echo(", ".join(facts))

    def _say(self, name: str, text: str) -> None:
        click.echo(f"{clean(name).ljust(self._width)}  {clean(text)}")


def short(error: ErrorPayload) -> str:
    """An error in one line.

    Args:
        error: The error.
    """
    return f"[{error.code}] {error.message.partition(chr(10))[0]}"

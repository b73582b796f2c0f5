"""The ways to follow a run: nothing, one JSON event a line, plain lines, or a live picture of a terminal."""

import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

import click
from symphony_sdk.errors import ErrorPayload
from symphony_sdk.events import (
    ItemCompleted,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunEvent,
)
from symphony_sdk.ports import NodeStatus

from symphony_host.cli.run_view import RunView
from symphony_host.cli.shell import Shell
from symphony_host.cli.text import clean, seconds

FEW = 20
"""Up to so many nodes a display shows each; beyond, it shows counts and what stands out."""


class Display(Protocol):
    """Shows a run while it goes on."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def see(self, event: RunEvent) -> None:
        """Show an event."""

    def refresh(self) -> None:
        """Bring the picture up to date; called some times a second."""

    def notice(self, text: str) -> None:
        """Tell the user something."""


def display_for(shell: Shell, nodes: Iterable[NodeStatus], *, quiet: bool) -> Display:
    """The display that fits what was asked and where the output goes.

    Args:
        shell: What was asked of this call.
        nodes: Where the nodes of the run are when the events begin.
        quiet: Whether to show nothing.
    """
    if shell.json:
        return JsonLines(shell)
    if quiet:
        return Silence()
    view = RunView(nodes)
    if not sys.stdout.isatty():
        return PlainLines(view)
    from symphony_host.cli.live import LivePicture

    return LivePicture(view)


class Silence:
    """Shows nothing but notices, and those on stderr."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def see(self, event: RunEvent) -> None:
        """Show nothing."""

    def refresh(self) -> None:
        """Show nothing."""

    def notice(self, text: str) -> None:
        """Tell the user something."""
        click.echo(text, err=True)


class JsonLines(Silence):
    """Prints each event as a line of JSON.

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

    Args:
        view: Where the run is.
    """

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._few = len(view.nodes) <= FEW
        self._width = max((len(id) for id in view.nodes), default=0) if self._few else 0
        self._shown: dict[str, int] = {}

    def see(self, event: RunEvent) -> None:
        """Print a line if the event is worth one."""
        self._view.see(event)
        match event:
            case NodeStarted() if self._few:
                items = f" {event.items:,} items" if event.items else ""
                again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
                self._say(event.node, f"started{items}{again}")
            case ItemCompleted() if self._few:
                node = self._view.nodes[event.node]
                self._tenth(event.node, node.done, node.total)
            case NodeCompleted():
                if self._few:
                    self._say(event.node, f"completed in {seconds(event.seconds)}")
                else:
                    self._tenth("nodes", self._view.finished, len(self._view.nodes))
            case NodeWaiting():
                self._say(
                    event.node, f"waits: {event.prompt} (symphony runs approve {event.run} {event.node})"
                )
            case NodeSkipped() if self._few:
                self._say(event.node, f"skipped: {event.reason}")
            case NodeRetrying():
                self._say(
                    event.node,
                    f"attempt {event.attempt} failed, next in {seconds(event.delay)}: {short(event.error)}",
                )
            case NodeFailed():
                item = f"item {event.item} " if event.item >= 0 else ""
                self._say(event.node, f"{item}failed: {short(event.error)}")
            case _:
                pass

    def _tenth(self, name: str, done: int, total: int) -> None:
        tenth = done * 10 // total if total else 0
        if 0 < tenth < 10 and tenth > self._shown.get(name, 0):
            self._shown[name] = tenth
            self._say(name, f"{done:,} of {total:,}")

    def _say(self, name: str, text: str) -> None:
        click.echo(f"{clean(name).ljust(self._width)}  {clean(text)}")


def short(error: ErrorPayload) -> str:
    """An error in one line.

    Args:
        error: The error.
    """
    return f"[{error.code}] {error.message.partition(chr(10))[0]}"
